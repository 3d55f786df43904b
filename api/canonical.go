package api

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrNumber says that a number is no integer that I-JSON carries exactly (|n| < 2^53).
var ErrNumber = errors.New("a number is no integer within ±(2^53 − 1)")

// Canonical returns the RFC 8785 (JCS) bytes of v: what digests and receipts are over. Numbers must be integers. A type
// whose members are declared in the order of their names is written at once.
func Canonical(v any) ([]byte, error) {
	raw, err := json.Marshal(v, json.Deterministic(true), exact)
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	if v != nil && ordered(reflect.TypeOf(v)) && !slices.ContainsFunc(raw, beyond) {
		return raw, nil
	}
	return canonicalize(raw)
}

// beyond finds the first byte of a character above U+FFFF. Only where there is one is the order of names by bytes, in which
// maps are written, another than that by UTF-16 code units, which RFC 8785 section 3.2.3 asks for.
func beyond(b byte) bool { return b >= 0xF0 }

// Canonicalize returns the RFC 8785 bytes of a JSON value. Duplicate members, invalid UTF-8, numbers that are no integers and
// trailing data are refused. raw is not kept.
func Canonicalize(raw []byte) ([]byte, error) { return canonicalize(bytes.Clone(raw)) }

// ErrNotCanonical says that JSON is not in the one form that Canonical writes, or not of the type that was asked for.
var ErrNotCanonical = errors.New("not the canonical JSON of this type")

// UnmarshalCanonical reads raw into v, a pointer, strictly: exactly the bytes that Canonical writes for what v then holds. So no member
// is unknown, missing, null or twice there. The error is ErrNotCanonical and quotes nothing of raw.
func UnmarshalCanonical(raw []byte, v any) error {
	if err := json.Unmarshal(raw, v, json.RejectUnknownMembers(true)); err != nil {
		return ErrNotCanonical
	}
	again, err := Canonical(reflect.ValueOf(v).Elem().Interface())
	if err != nil || !bytes.Equal(again, raw) {
		return ErrNotCanonical
	}
	return nil
}

// canonicalize may write into raw.
func canonicalize(raw []byte) ([]byte, error) {
	if err := checkIntegers(raw); err != nil {
		return nil, err
	}
	value := jsontext.Value(raw)
	if err := value.Canonicalize(); err != nil {
		return nil, errors.New("not canonicalizable JSON") // the library's error may quote the input
	}
	return value, nil
}

// checkIntegers walks the value's tokens.
func checkIntegers(raw []byte) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(raw)) // a Buffer is read where it stands
	for {
		switch k := d.PeekKind(); k {
		case jsontext.KindNumber:
			v, err := d.ReadValue()
			if err != nil {
				return errors.New("not JSON")
			}
			if !isInteger(v) {
				return ErrNumber
			}
		case jsontext.KindInvalid: // the end, or a fault that Canonicalize reports
			return nil
		default:
			if _, err := d.ReadToken(); err != nil {
				return errors.New("not JSON")
			}
		}
	}
}

// isInteger reports whether a JSON number is written as a plain integer below 2^53, without a negative zero.
func isInteger(v []byte) bool {
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
