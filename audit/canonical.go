package audit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"oncegate/api"
)

// ErrForm says that bytes are not the JSON they must be: malformed, with duplicate names, too deep, or with a number that
// is no integer of I-JSON.
var ErrForm = errors.New("not well-formed JSON of this contract")

const (
	maxJSON  = 16 << 20  // bytes read at most
	maxDepth = 64        // of nested arrays and objects
	maxExact = 1<<53 - 1 // greatest integer that every reader keeps exactly
)

// Canonical returns the RFC 8785 (JCS) bytes of v, which is a Go value or a jsontext.Value. Numbers must be integers of
// at most 53 bits (amounts are strings); anything else is ErrForm.
func Canonical(v any) ([]byte, error) {
	text, err := api.Canonical(v)
	if err != nil {
		return nil, fmt.Errorf("write canonical JSON: %w", ErrForm) // the library's text may quote the value
	}
	return text, nil
}

func canonicalize(text []byte) ([]byte, error) { return canonicalizeOwn(bytes.Clone(text)) }

// canonicalizeOwn may write into text.
func canonicalizeOwn(text []byte) ([]byte, error) {
	if err := checkJSON(text); err != nil {
		return nil, err
	}
	value := jsontext.Value(text)
	if err := value.Canonicalize(); err != nil {
		return nil, fmt.Errorf("write canonical JSON: %w", ErrForm)
	}
	return value, nil
}

// checkJSON reads the text token by token: the decoder refuses duplicate names and invalid UTF-8 itself.
func checkJSON(text []byte) error {
	if len(text) > maxJSON {
		return fmt.Errorf("read JSON of %d bytes: %w", len(text), ErrForm)
	}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(text)) // a Buffer is read where it stands
	for first := true; first || decoder.StackDepth() > 0; first = false {
		token, err := decoder.ReadToken()
		if err != nil || decoder.StackDepth() > maxDepth {
			return fmt.Errorf("read JSON: %w", ErrForm)
		}
		if token.Kind() == '0' && !isExact(token.String()) {
			return fmt.Errorf("read JSON: a number is no exact integer: %w", ErrForm)
		}
	}
	if _, err := decoder.ReadToken(); err != io.EOF {
		return fmt.Errorf("read JSON: %w", ErrForm)
	}
	return nil
}

func isExact(number string) bool {
	n, err := strconv.ParseInt(number, 10, 64)
	return err == nil && n <= maxExact && n >= -maxExact && strconv.FormatInt(n, 10) == number
}

// writeExact writes numbers as they are, however great: what is sealed and replayed loses no bit. Durations are nanoseconds.
func writeExact(w *bytes.Buffer, v any) error {
	if err := json.MarshalWrite(w, v, json.Deterministic(true), jsonv1.FormatDurationAsNano(true)); err != nil {
		return ErrForm // the library's text may quote the value
	}
	return nil
}

func digestOf(newSM3 func() hash.Hash, data []byte) []byte {
	h := newSM3()
	h.Write(data)
	return h.Sum(nil)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decode reads unpadded base64url; each value has one text.
func decode(text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || encode(b) != text {
		return nil, fmt.Errorf("read base64url: %w", ErrForm)
	}
	return b, nil
}
