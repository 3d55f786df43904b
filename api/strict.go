package api

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/canonical"
)

const (
	// MaxBody is the length in bytes of the longest request body, where an operation does not say otherwise.
	MaxBody = 512 << 10
	// MaxDepth is how deeply a body may be nested; its outermost object is level 1.
	MaxDepth = 16
	// MaxMembers is how many members an object of a body may have. The contract knows none with more than 512.
	MaxMembers = 4096
)

// checkJSON reports what is wrong with a body of most bytes at most as I-JSON (RFC 7493), as canonical.Check finds it. Every error is a *Problem that repeats
// nothing of the body but the names of its members.
func checkJSON(body []byte, most int) error {
	err := canonical.Check(body, canonical.Limits{Bytes: most, Depth: MaxDepth, Members: MaxMembers})
	if err == nil {
		return nil
	}
	fault, _ := errors.AsType[*canonical.SyntaxError](err)
	at := safePointer(fault.Pointer)
	switch fault.Fault {
	case canonical.TooLarge:
		return NewProblem("too-large")
	case canonical.Empty:
		return NewProblem("empty-body")
	case canonical.NotUTF8:
		return NewProblem("invalid-utf8")
	case canonical.NotInteger:
		return NewProblem("number-not-integer").At(at, "is no plain integer within ±(2^53 − 1)")
	case canonical.DuplicateName:
		return NewProblem("duplicate-key").At(at, "is named twice")
	case canonical.TooDeep:
		return NewProblem("too-deep")
	case canonical.TooWide:
		return NewProblem("invalid-field").At("", "an object has too many members")
	}
	return NewProblem("malformed-json")
}

// DecodeStrict reads body into a T: what is no I-JSON of MaxBody bytes at most, unknown members, members of another type and dates that do not
// exist are a *Problem. It does not know lengths and patterns; Decode does.
func DecodeStrict[T any](body []byte) (T, error) {
	var v T
	if err := checkJSON(body, MaxBody); err != nil {
		return v, err
	}
	return decode[T](body)
}

// decode reads a body that checkJSON let pass.
func decode[T any](body []byte) (T, error) {
	var v, none T
	err := json.Unmarshal(body, &v, json.RejectUnknownMembers(true), canonical.Checked)
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
	case errors.Is(semantic.Err, canonical.ErrTime):
		return none, NewProblem("date-impossible").At(pointer, canonical.ErrTime.Error())
	default:
		return none, NewProblem("invalid-field").At(pointer, "is of another type")
	}
}

// maxPointer bounds a pointer in a problem, in bytes.
const maxPointer = 256

// safePointer returns the JSON pointer with every token that is no plain member name or index replaced by "?": a caller may
// have put anything into a name, a person's number too, and problems are logged.
func safePointer(p jsontext.Pointer) string {
	var tokens []string
	for t := range p.Tokens() {
		tokens = append(tokens, t)
	}
	return joinPointer(tokens)
}

func joinPointer(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		if !isPlain(t) {
			t = "?"
		}
		if b.Len()+1+len(t) > maxPointer {
			break
		}
		b.WriteByte('/')
		b.WriteString(t)
	}
	return b.String()
}

// isPlain reports whether t looks like a member name of a contract, or like an index of an array.
func isPlain(t string) bool {
	if t == "" || len(t) > 32 {
		return false
	}
	digits := strings.Trim(t, "0123456789") == ""
	if digits {
		return len(t) <= 4
	}
	return t[0] >= 'a' && t[0] <= 'z' && strings.Trim(t, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
