package api

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

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
