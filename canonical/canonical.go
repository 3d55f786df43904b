// Package canonical writes and strictly reads the canonical forms that digests and signatures are over, so that one value has one text:
// JSON by RFC 8785 (JCS) with the integers of I-JSON (RFC 7493), unpadded base64url, and times.
package canonical

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var (
	// ErrForm says that a value has no canonical JSON, or that bytes are not the JSON they must be. Errors of this package quote nothing of
	// either: the JSON library's errors may, and are never passed on.
	ErrForm = errors.New("not well-formed JSON of this contract")

	// ErrNumber says that a number is no integer that I-JSON carries exactly (|n| < 2^53). It is an ErrForm too.
	ErrNumber = fmt.Errorf("%w: a number is no integer within ±(2^53 − 1)", ErrForm)
)

// Marshal returns the RFC 8785 (JCS) bytes of v, which is a Go value or a jsontext.Value. Numbers must be integers of at most 53 bits
// (amounts are strings). A type whose members are declared in the order of their names is written at once.
func Marshal(v any) ([]byte, error) {
	raw, err := json.Marshal(v, json.Deterministic(true), exactIntegers)
	if err != nil {
		if errors.Is(err, ErrNumber) {
			err = ErrNumber
		} else {
			err = ErrForm
		}
		return nil, fmt.Errorf("write canonical JSON of %T: %w", v, err)
	}
	if v != nil && IsOrdered(reflect.TypeOf(v)) && !isBeyondBMP(raw) {
		return raw, nil
	}
	return reformat(raw)
}

// isBeyondBMP reports whether a text has a character above U+FFFF. Only then is the order of names by bytes, in which maps are written,
// another than that by UTF-16 code units, which RFC 8785 section 3.2.3 asks for.
func isBeyondBMP(text []byte) bool {
	for _, b := range text { // of UTF-8
		if b >= 0xF0 {
			return true
		}
	}
	return false
}

// Reformat returns the RFC 8785 bytes of a JSON value. Duplicate names, invalid UTF-8, numbers that are no integers and trailing data are
// ErrForm. raw is not kept.
func Reformat(raw []byte) ([]byte, error) { return reformat(bytes.Clone(raw)) }

// reformat may write into raw.
func reformat(raw []byte) ([]byte, error) {
	if err := checkIntegers(raw); err != nil {
		return nil, err
	}
	value := jsontext.Value(raw)
	if err := value.Canonicalize(); err != nil {
		return nil, fmt.Errorf("write canonical JSON: %w", ErrForm)
	}
	return value, nil
}

// Checked is the option to read JSON that Check has let pass. It does not look for duplicate names, which costs more than all else that
// is done with hostile JSON.
var Checked = jsontext.AllowDuplicateNames(true)

// ReformatChecked returns the RFC 8785 bytes of JSON that Check has let pass. It writes into raw.
func ReformatChecked(raw []byte) ([]byte, error) {
	value := jsontext.Value(raw)
	if err := value.Canonicalize(Checked); err != nil {
		return nil, fmt.Errorf("write canonical JSON: %w", ErrForm)
	}
	return value, nil
}

// checkIntegers walks the value's tokens. Duplicate names are a fault that Canonicalize reports.
func checkIntegers(raw []byte) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(raw), Checked) // a Buffer is read where it stands
	for {
		switch k := d.PeekKind(); k {
		case jsontext.KindNumber:
			v, err := d.ReadValue()
			if err != nil {
				return fmt.Errorf("read JSON: %w", ErrForm)
			}
			if !IsInteger(v) {
				return fmt.Errorf("read JSON: %w", ErrNumber)
			}
		case jsontext.KindInvalid: // the end, or a fault that Canonicalize reports
			return nil
		default:
			if _, err := d.ReadToken(); err != nil {
				return fmt.Errorf("read JSON: %w", ErrForm)
			}
		}
	}
}

// IsInteger reports whether a JSON number is written as a plain integer below 2^53, without a negative zero.
func IsInteger(v []byte) bool {
	digits := bytes.TrimPrefix(v, []byte("-"))
	if len(digits) > 16 || (len(digits) != len(v) && digits[0] == '0') {
		return false
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + uint64(c-'0')
	}
	return n < 1<<53
}

// ErrNotCanonical says that JSON is not in the one form that Marshal writes, or not of the type that was asked for.
var ErrNotCanonical = errors.New("not the canonical JSON of this type")

// Unmarshal reads raw into v, a pointer, strictly: exactly the bytes that Marshal writes for what v then holds. So no member is unknown,
// missing, null or twice there. The error is ErrNotCanonical.
func Unmarshal(raw []byte, v any) error {
	if err := json.Unmarshal(raw, v, json.RejectUnknownMembers(true)); err != nil {
		return ErrNotCanonical
	}
	again, err := Marshal(reflect.ValueOf(v).Elem().Interface())
	if err != nil || !bytes.Equal(again, raw) {
		return ErrNotCanonical
	}
	return nil
}

// A Union reads objects of several types, which the member "change" tells apart by its text, each with Variant.
type Union map[string]func(raw []byte) (any, error)

// Name returns the text of the member that tells the types apart; "" if raw has none.
func (Union) Name(raw []byte) string {
	var named struct {
		Change string `json:"change"`
	}
	if json.Unmarshal(raw, &named) != nil {
		return ""
	}
	return named.Change
}

// Unmarshal reads one object as Unmarshal does, and returns a value of its type. The error is ErrNotCanonical.
func (u Union) Unmarshal(raw []byte) (any, error) {
	read, ok := u[u.Name(raw)]
	if !ok {
		return nil, fmt.Errorf("%w: its name is not known", ErrNotCanonical)
	}
	return read(raw)
}

// Variant reads a T. valid looks at what the Go type does not say.
func Variant[T any](valid func(T) bool) func(raw []byte) (any, error) {
	return func(raw []byte) (any, error) {
		var v T
		if err := Unmarshal(raw, &v); err != nil || !valid(v) {
			return nil, ErrNotCanonical
		}
		return v, nil
	}
}

// AppendStrings appends the JCS list of texts to b. The error is ErrForm: a text is not UTF-8.
func AppendStrings(b []byte, texts ...string) ([]byte, error) {
	b = append(b, '[')
	for i, text := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = jsontext.AppendQuote(b, text); err != nil {
			return nil, ErrForm
		}
	}
	return append(b, ']'), nil
}

// Limits bound JSON that anybody may have written.
type Limits struct {
	Bytes   int
	Depth   int // of nested arrays and objects; the outermost one is level 1
	Members int // of one object. To tell that the names of a wide object are all different costs more than all else that is done with it
}

// A Fault is why bytes are not I-JSON within limits.
type Fault string

// The faults, in the order in which they are looked for.
const (
	TooLarge      Fault = "too large"
	Empty         Fault = "empty"
	NotUTF8       Fault = "not UTF-8"
	Malformed     Fault = "malformed"
	DuplicateName Fault = "a name stands twice"
	NotInteger    Fault = "a number is no integer within ±(2^53 − 1)"
	TooDeep       Fault = "nested too deeply"
	TooWide       Fault = "an object has too many members"
)

// A SyntaxError says what is wrong with JSON, and where. It is an ErrForm.
type SyntaxError struct {
	Fault   Fault
	Pointer jsontext.Pointer // RFC 6901; its names are anybody's
}

func (e *SyntaxError) Error() string { return "read JSON: " + string(e.Fault) }

// Is makes every SyntaxError an ErrForm.
func (e *SyntaxError) Is(target error) bool { return target == ErrForm }

// Check reports the first thing that keeps raw from being one value of I-JSON (RFC 7493) within limits: its size, encoding, syntax, depth,
// duplicate names, numbers and members. Every error is a *SyntaxError.
func Check(raw []byte, l Limits) error {
	switch {
	case len(raw) > l.Bytes:
		return &SyntaxError{Fault: TooLarge}
	case len(bytes.TrimLeft(raw, " \t\r\n")) == 0:
		return &SyntaxError{Fault: Empty}
	case !utf8.Valid(raw):
		return &SyntaxError{Fault: NotUTF8}
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(raw)) // a Buffer is read where it stands
	for first := true; first || d.StackDepth() > 0; first = false {
		if err := checkToken(d, l.Depth); err != nil {
			return err
		}
		if kind, length := d.StackIndex(d.StackDepth()); kind == jsontext.KindBeginObject && length > 2*int64(l.Members) {
			return &SyntaxError{Fault: TooWide}
		}
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return &SyntaxError{Fault: Malformed}
	}
	return nil
}

// checkToken reads one token.
func checkToken(d *jsontext.Decoder, depth int) error {
	if d.PeekKind() == jsontext.KindNumber {
		v, err := d.ReadValue()
		if err != nil {
			return syntaxError(err)
		}
		if !IsInteger(v) {
			return &SyntaxError{NotInteger, d.StackPointer()}
		}
		return nil
	}
	if _, err := d.ReadToken(); err != nil {
		return syntaxError(err)
	}
	if d.StackDepth() > depth {
		return &SyntaxError{Fault: TooDeep}
	}
	return nil
}

// syntaxError tells a duplicate name from any other fault of the syntax.
func syntaxError(err error) error {
	syntactic, ok := errors.AsType[*jsontext.SyntacticError](err)
	if ok && errors.Is(syntactic.Err, jsontext.ErrDuplicateName) {
		return &SyntaxError{DuplicateName, syntactic.JSONPointer}
	}
	return &SyntaxError{Fault: Malformed}
}
