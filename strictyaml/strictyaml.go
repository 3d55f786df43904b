// Package strictyaml parses the YAML files of a configuration within bounds of size and nesting, so that no file exhausts a parser's
// stack, and says where and why a file cannot be read.
package strictyaml

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits bound a file.
type Limits struct {
	Bytes int // of the file
	Depth int // of nested lists and mappings in brackets; of indicators that nest without them, eight times as many
}

// An Error says where and why a file cannot be read. Reason is one line and quotes at most 200 bytes of the file.
type Error struct {
	Line, Column int // from 1
	Reason       string
}

func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Reason) }

// Parse reads a file. Every error is an *Error.
func Parse(data []byte, l Limits) (*ast.File, error) {
	switch {
	case len(data) > l.Bytes:
		return nil, &Error{1, 1, fmt.Sprintf("the file is larger than %d bytes", l.Bytes)}
	case !utf8.Valid(data):
		return nil, &Error{1, 1, "the file is not UTF-8"}
	}
	tokens := lexer.Tokenize(string(data))
	if tooDeep(tokens, l.Depth) {
		return nil, &Error{1, 1, fmt.Sprintf("the file is nested deeper than %d levels", l.Depth)}
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, Explain(err)
	}
	return file, nil
}

// tooDeep bounds nesting before the parser, which is recursive, sees the tokens. Brackets inside texts and comments are no tokens: they
// neither open a level nor close one. Indentation needs no bound of its own: its depth grows with the root of the file's size.
func tooDeep(tokens token.Tokens, most int) bool {
	depth := 0  // open brackets
	inARow := 0 // indicators with no text between them, such as "- - -" and "!a !a"
	inLine := 0 // indicators of one line with no comma between them, such as "a: b: c:"
	line := 0
	for _, t := range tokens {
		if t.Position != nil && t.Position.Line != line {
			line, inLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
			inARow++
		case token.SequenceEndType, token.MappingEndType:
			depth = max(0, depth-1)
			inARow, inLine = 0, 0
		case token.CollectEntryType:
			inARow, inLine = 0, 0
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType, token.TagType, token.AnchorType, token.AliasType:
			inARow++
			inLine++
		case token.CommentType:
		default:
			inARow = 0
		}
		if depth > most || max(inARow, inLine) > 8*most {
			return true
		}
	}
	return false
}

// Explain says where and why the YAML library could not read or decode something. Line and Column are 0 if it does not say where.
func Explain(err error) *Error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e
	}
	var placed interface {
		GetToken() *token.Token
		GetMessage() string
	}
	e := &Error{Reason: err.Error()}
	if errors.As(err, &placed) {
		e.Reason = placed.GetMessage()
		if t := placed.GetToken(); t != nil && t.Position != nil {
			e.Line, e.Column = t.Position.Line, t.Position.Column
		}
	}
	e.Reason, _, _ = strings.Cut(e.Reason, "\n")
	e.Reason = Clip(e.Reason)
	return e
}

// Clip bounds a text that a file brings before it is quoted: at most 200 bytes of it stay.
func Clip(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
