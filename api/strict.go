package api

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// MaxBody is the length in bytes of the longest request body, where an operation does not say otherwise.
	MaxBody = 512 << 10
	// MaxDepth is how deeply a body may be nested; its outermost object is level 1.
	MaxDepth = 16
)

// CheckJSON reports what is wrong with body as I-JSON (RFC 7493): its size, encoding, syntax, depth, duplicate members and
// numbers. Every error is a *Problem that repeats nothing of the body but the names of its members.
func CheckJSON(body []byte) error { return checkJSON(body, MaxBody) }

func checkJSON(body []byte, most int) error {
	switch {
	case len(body) > most:
		return NewProblem("too-large")
	case len(bytes.TrimLeft(body, " \t\r\n")) == 0:
		return NewProblem("empty-body")
	case !utf8.Valid(body):
		return NewProblem("invalid-utf8")
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(body))
	for {
		if err := checkNext(d); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// checkNext reads one token. The error is io.EOF after one whole value, else a *Problem.
func checkNext(d *jsontext.Decoder) error {
	if d.StackDepth() == 0 && d.InputOffset() > 0 { // the value is whole: nothing may follow
		if d.PeekKind() != jsontext.KindInvalid {
			return NewProblem("malformed-json")
		}
		if _, err := d.ReadToken(); err != io.EOF {
			return NewProblem("malformed-json")
		}
		return io.EOF
	}
	if d.PeekKind() == jsontext.KindNumber {
		v, err := d.ReadValue()
		if err != nil {
			return syntaxProblem(err)
		}
		if !isInteger(v) {
			return NewProblem("number-not-integer").At(safePointer(d.StackPointer()), "is no plain integer within ±(2^53 − 1)")
		}
		return nil
	}
	if _, err := d.ReadToken(); err != nil {
		return syntaxProblem(err)
	}
	if d.StackDepth() > MaxDepth {
		return NewProblem("too-deep")
	}
	return nil
}

// syntaxProblem tells a duplicate member from any other fault of the syntax.
func syntaxProblem(err error) error {
	syntactic, ok := errors.AsType[*jsontext.SyntacticError](err)
	if ok && errors.Is(syntactic.Err, jsontext.ErrDuplicateName) {
		return NewProblem("duplicate-key").At(safePointer(syntactic.JSONPointer), "is named twice")
	}
	return NewProblem("malformed-json")
}

// DecodeStrict reads body into a T: what CheckJSON refuses, unknown members, members of another type and dates that do not
// exist are a *Problem. It does not know lengths and patterns; Operation.Decode does.
func DecodeStrict[T any](body []byte) (T, error) {
	var v T
	if err := CheckJSON(body); err != nil {
		return v, err
	}
	return decode[T](body)
}

// decode reads a body that CheckJSON let pass.
func decode[T any](body []byte) (T, error) {
	var v, none T
	err := json.Unmarshal(body, &v, json.RejectUnknownMembers(true))
	if err == nil {
		return v, nil
	}
	semantic, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return none, NewProblem("malformed-json")
	}
	pointer := safePointer(semantic.JSONPointer)
	switch {
	case errors.Is(semantic.Err, json.ErrUnknownName):
		return none, NewProblem("unknown-field").At(pointer, "is not known here")
	case errors.Is(semantic.Err, errTime):
		return none, NewProblem("date-impossible").At(pointer, errTime.Error())
	default:
		return none, NewProblem("invalid-field").At(pointer, "is of another type")
	}
}
