package sqldb

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A scanner copies a query token by token and replaces :name where it is a parameter, which is anywhere but inside
// strings, quoted identifiers, comments, dollar quotes and casts (::type).
type scanner struct {
	in    string
	form  string
	pos   int
	out   strings.Builder
	args  []string
	first string // the first word
	last  string // the word that ended exactly at pos, if any
	ended bool   // a semicolon has been seen
}

// next copies one token.
func (s *scanner) next() error {
	word := s.last
	s.last = ""
	c := s.in[s.pos]
	rest := s.in[s.pos:]
	if s.ended && !isSpace(c) && !strings.HasPrefix(rest, "--") && !strings.HasPrefix(rest, "/*") {
		return errors.New("there may be only one statement")
	}
	switch {
	case c == '\'':
		if w := strings.ToLower(word); w == "q" || w == "nq" {
			return errors.New("q-quotes are not understood; use a plain string")
		}
		if s.form == colon && strings.HasPrefix(rest, "''") && !strings.HasPrefix(rest, "'''") {
			return errors.New("'' is null in Oracle and equals nothing; ask whether it is null, as in :number is null")
		}
		return s.quoted('\'')
	case c == '"' || c == '`':
		return s.quoted(c)
	case c == '[' && s.form != dollar: // PostgreSQL's arrays; elsewhere a quoted identifier
		return s.quoted(']')
	case strings.HasPrefix(rest, "--"):
		if s.form == question && len(rest) > 2 && !isSpace(rest[2]) {
			return errors.New("-- without a space after it is no comment in MySQL; add the space")
		}
		s.drop(lineLength(rest))
	case c == '#' && s.form == question:
		s.drop(lineLength(rest))
	case strings.HasPrefix(rest, "/*"):
		return s.comment(rest)
	case c == '$' && s.form == dollar && word == "":
		return s.dollar(rest)
	case c == ':':
		return s.colon(rest)
	case c == '?' && s.form == question:
		return errors.New("? stands where only named parameters may: use :holder_code, :holder_type, :number")
	case c == '@' && s.form == at && hasDigit(strings.TrimPrefix(strings.ToLower(rest), "@p")) && strings.EqualFold(rest[:min(2, len(rest))], "@p"):
		return errors.New("@p1 stands where only named parameters may")
	case c == ';':
		s.ended = true
		s.pos++ // not copied: some drivers refuse it
	case isWord(c):
		return s.word(rest)
	default:
		s.copy(1)
	}
	return nil
}

func (s *scanner) copy(n int) {
	s.out.WriteString(s.in[s.pos : s.pos+n])
	s.pos += n
}

// drop leaves out a comment: drivers that count placeholders by eye would find some in it.
func (s *scanner) drop(n int) {
	s.out.WriteByte(' ')
	s.pos += n
}

// writing are words that make a statement of SQL Server write, which no read-only transaction stops there, or ask another server.
var writing = []string{"insert", "update", "delete", "merge", "exec", "execute", "openquery", "openrowset", "opendatasource"}

// word copies a word. "select … into" writes a table or a file on some databases, even in a read-only transaction (MySQL's outfile).
func (s *scanner) word(rest string) error {
	n := wordLength(rest)
	s.last = rest[:n]
	if s.first == "" {
		s.first = s.last
	}
	word := strings.ToLower(s.last)
	if word == "into" || s.form == at && slices.Contains(writing, word) {
		return fmt.Errorf("a query may not write: %s; quote it if it is a name", word)
	}
	s.copy(n)
	return nil
}

// quoted copies up to the closing quote; a doubled one stands for itself.
func (s *scanner) quoted(end byte) error {
	for i := s.pos + 1; i < len(s.in); i++ {
		if s.in[i] == '\\' && i+1 < len(s.in) && s.in[i+1] == end && end != ']' {
			return errors.New("a backslash before a quote means different things to different databases; write the text otherwise")
		}
		if s.in[i] != end {
			continue
		}
		if i+1 < len(s.in) && s.in[i+1] == end {
			i++
			continue
		}
		s.copy(i + 1 - s.pos)
		return nil
	}
	return errors.New("a quote is not closed")
}

func (s *scanner) comment(rest string) error {
	end := strings.Index(rest[2:], "*/")
	switch {
	case end < 0:
		return errors.New("a comment is not closed")
	case strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!"):
		return errors.New("executable comments are refused")
	case strings.Contains(rest[2:2+end], "/*"):
		return errors.New("a comment inside a comment means different things to different databases")
	}
	if strings.HasPrefix(rest, "/*+") { // a hint to the optimiser
		s.copy(end + 4)
		return nil
	}
	s.drop(end + 4)
	return nil
}

// dollar copies PostgreSQL's $tag$ … $tag$.
func (s *scanner) dollar(rest string) error {
	if hasDigit(rest[1:]) {
		return errors.New("$1 stands where only named parameters may")
	}
	n := 1
	for n < len(rest) && isWord(rest[n]) {
		n++
	}
	if n == len(rest) || rest[n] != '$' {
		return errors.New("a dollar sign that quotes nothing")
	}
	tag := rest[:n+1]
	end := strings.Index(rest[len(tag):], tag)
	if end < 0 {
		return errors.New("a dollar quote is not closed")
	}
	s.copy(end + 2*len(tag))
	return nil
}

// colon copies a cast, an assignment or a slice, and replaces a parameter.
func (s *scanner) colon(rest string) error {
	if strings.HasPrefix(rest, "::") {
		s.copy(2) // what follows is a type, never a parameter
		return nil
	}
	n := wordLength(rest[1:])
	if n == 0 {
		s.copy(1)
		return nil
	}
	name := rest[1 : 1+n]
	if hasDigit(name) {
		if s.form == dollar { // a[1:2]
			s.copy(1)
			return nil
		}
		return errors.New(":1 stands where only named parameters may")
	}
	if !slices.Contains(parameters, name) {
		return fmt.Errorf("unknown parameter :%s; known are :%s", name, strings.Join(parameters, ", :"))
	}
	s.pos += 1 + n
	s.place(name)
	return nil
}

// place writes the placeholder of a parameter. PostgreSQL and SQL Server name each parameter once; Oracle binds by the place, whatever
// number stands there.
func (s *scanner) place(name string) {
	if s.form == question {
		s.args = append(s.args, name)
		s.out.WriteString("?")
		return
	}
	i := slices.Index(s.args, name)
	if i < 0 || s.form == colon {
		i = len(s.args)
		s.args = append(s.args, name)
	}
	s.out.WriteString(strings.TrimSuffix(s.form, "1") + strconv.Itoa(i+1))
}

func lineLength(s string) int {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return i + 1
	}
	return len(s)
}

func wordLength(s string) int {
	n := 0
	for n < len(s) && (isWord(s[n]) || n > 0 && s[n] == '$') {
		n++
	}
	return n
}

func isWord(c byte) bool {
	return c == '_' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

func hasDigit(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }
