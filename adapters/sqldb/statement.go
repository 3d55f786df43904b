package sqldb

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Placeholder forms of drivers.
const (
	question = "?"   // SQLite, MySQL, Dameng
	dollar   = "$1"  // PostgreSQL and its family
	at       = "@p1" // SQL Server
	colon    = ":1"  // Oracle
)

var placeholderForms = []string{question, dollar, at, colon}

// The parameters that a statement may name.
const (
	holderCode = "holder_code"
	holderType = "holder_type"
	number     = "number"
)

var parameters = []string{holderCode, holderType, number}

// A statement is a query in the driver's own placeholder form.
type statement struct {
	text string
	args []string // the parameter to bind at each position
}

// maxStatement bounds a query text, in bytes.
const maxStatement = 64 << 10

// rewrite turns a query with named parameters into the driver's form. It refuses what it could read differently from
// some database (a backslash before a quote, executable comments, Oracle's q-quotes, a second statement, the driver's
// own placeholders), because a parameter misplaced by one binds a holder's code where a number belongs.
func rewrite(query, form string) (statement, error) {
	if !slices.Contains(placeholderForms, form) {
		return statement{}, fmt.Errorf("unknown placeholder form; expected one of %s", strings.Join(placeholderForms, " "))
	}
	if len(query) > maxStatement {
		return statement{}, fmt.Errorf("the statement is longer than %d bytes", maxStatement)
	}
	if strings.ContainsRune(query, 0) {
		return statement{}, errors.New("the statement has a NUL byte")
	}
	s := scanner{in: query, form: form}
	for s.pos < len(s.in) {
		if err := s.next(); err != nil {
			return statement{}, fmt.Errorf("at byte %d: %w", s.pos, err)
		}
	}
	if word := strings.ToLower(s.first); word != "select" && word != "with" {
		return statement{}, errors.New("the statement must begin with select or with")
	}
	return statement{text: s.out.String(), args: s.args}, nil
}

// bind returns the arguments in the order of the placeholders.
func (st statement) bind(value func(parameter string) any) []any {
	args := make([]any, len(st.args))
	for i, name := range st.args {
		args[i] = value(name)
	}
	return args
}
