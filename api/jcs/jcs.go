// Package jcs writes the RFC 8785 (JCS) form of JSON that this program has written itself, in one pass: every answer, record and
// digest waits for it.
package jcs

import (
	"bytes"
	"strings"
)

// maxDepth bounds nesting; what is deeper is left to the slow way.
const maxDepth = 64

// Sort brings text, which is valid JSON without white space as json.Marshal writes it, into RFC 8785 form, in its place. It reports
// false where that takes more care than members in order: escapes, names beyond the basic plane, numbers that are no integers of at
// most 15 digits, deep nesting, white space, or a name that stands twice. Then text is the same JSON still, perhaps partly in order:
// ask jsontext.Value.Canonicalize, which also refuses what is no JSON.
func Sort(text []byte) bool {
	if bytes.IndexByte(text, '\\') >= 0 {
		return false
	}
	s := sorter{text: text}
	return s.value(maxDepth) && s.at == len(text)
}

// A sorter has read up to at.
type sorter struct {
	text  []byte
	at    int
	spare []byte // for members that change places
}

// next reports whether the next byte is b, and goes past it if it is.
func (s *sorter) next(b byte) bool {
	if s.at == len(s.text) || s.text[s.at] != b {
		return false
	}
	s.at++
	return true
}

func (s *sorter) value(depth int) bool {
	if s.at == len(s.text) || depth == 0 {
		return false
	}
	switch s.text[s.at] {
	case '"':
		return s.string()
	case '{':
		return s.object(depth)
	case '[':
		return s.array(depth)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

// string goes past a string that has no escapes.
func (s *sorter) string() bool {
	if !s.next('"') {
		return false
	}
	end := bytes.IndexByte(s.text[s.at:], '"')
	s.at += end + 1
	return end >= 0
}

func (s *sorter) word(w string) bool {
	if !strings.HasPrefix(string(s.text[s.at:min(len(s.text), s.at+len(w))]), w) {
		return false
	}
	s.at += len(w)
	return true
}

// number goes past an integer that has one form only. What stands behind it is for others to judge.
func (s *sorter) number() bool {
	negative := s.next('-')
	from := s.at
	for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
		s.at++
	}
	n := s.at - from
	return n > 0 && n <= 15 && (s.text[from] != '0' || n == 1 && !negative)
}

func (s *sorter) array(depth int) bool {
	s.at++
	if s.next(']') {
		return true
	}
	for s.value(depth - 1) {
		if s.next(']') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
	return false
}

// A member is where one stands in text: its name with the quotes, and the whole of it without a comma.
type member struct{ from, name, to int }

func (s *sorter) object(depth int) bool {
	s.at++
	if s.next('}') {
		return true
	}
	var few [16]member
	members, sorted := few[:0], true
	for {
		m := member{from: s.at}
		if !s.string() {
			return false
		}
		m.name = s.at
		if !plain(s.text[m.from:m.name]) || !s.next(':') || !s.value(depth-1) {
			return false
		}
		m.to = s.at
		sorted = sorted && (len(members) == 0 || s.compare(members[len(members)-1], m) < 0)
		members = append(members, m)
		if s.next('}') {
			return sorted || s.permute(members)
		}
		if !s.next(',') {
			return false
		}
	}
}

// plain reports whether a name sorts by its bytes as it does by UTF-16, which RFC 8785 asks for: from U+E000 on it might not.
func plain(name []byte) bool {
	for _, b := range name {
		if b >= 0xee {
			return false
		}
	}
	return true
}

// compare orders by name, the bytes between the quotes.
func (s *sorter) compare(a, b member) int {
	return bytes.Compare(s.text[a.from+1:a.name-1], s.text[b.from+1:b.name-1])
}

// permute puts the members of an object in order. They are few, and mostly in order.
func (s *sorter) permute(members []member) bool {
	start := members[0].from
	for i := range members {
		for j := i; j > 0 && s.compare(members[j-1], members[j]) >= 0; j-- {
			if s.compare(members[j-1], members[j]) == 0 {
				return false
			}
			members[j-1], members[j] = members[j], members[j-1]
		}
	}
	s.spare = s.spare[:0]
	for i, m := range members {
		if i > 0 {
			s.spare = append(s.spare, ',')
		}
		s.spare = append(s.spare, s.text[m.from:m.to]...)
	}
	copy(s.text[start:], s.spare)
	return true
}
