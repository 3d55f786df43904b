package seal

import (
	"encoding/asn1"
	"fmt"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// explicit0 is the tag [0] EXPLICIT.
const explicit0 = tag.Tag(0xa0)

// A cursor reads one DER value after another. The first fault sticks, and everything read after it is empty, so that a
// structure is read in the words of its definition and asked once whether it could be.
type cursor struct {
	rest cryptobyte.String
	*reading
}

// reading is what all cursors of one DER share.
type reading struct {
	err      error
	oddities []string // what the standard does not know, in words without personal data
}

func read(der []byte) cursor { return cursor{cryptobyte.String(der), &reading{}} }

func (c *cursor) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrForm, what)
	}
	c.rest = nil
}

func (c *cursor) odd(format string, args ...any) {
	c.oddities = append(c.oddities, fmt.Sprintf(format, args...))
}

// empty also ends every loop after a fault.
func (c *cursor) empty() bool { return c.err != nil || len(c.rest) == 0 }

// end says that nothing may follow.
func (c *cursor) end(what string) {
	if !c.empty() {
		c.fail("more than a " + what)
	}
}

func (c *cursor) is(t tag.Tag) bool { return c.err == nil && c.rest.PeekASN1Tag(t) }

// content of the next value, which has tag t.
func (c *cursor) content(t tag.Tag, what string) []byte {
	var out cryptobyte.String
	if c.err != nil || !c.rest.ReadASN1(&out, t) {
		c.fail(what)
		return nil
	}
	return out
}

// element is content with tag and length.
func (c *cursor) element(t tag.Tag, what string) []byte {
	var out cryptobyte.String
	if c.err != nil || !c.rest.ReadASN1Element(&out, t) {
		c.fail(what)
		return nil
	}
	return out
}

// into opens the next value, which has tag t.
func (c *cursor) into(t tag.Tag, what string) cursor {
	return cursor{c.content(t, what), c.reading}
}

// open is into for a sequence that was already read as an element.
func (c *cursor) open(element []byte, what string) cursor {
	whole := cursor{element, c.reading}
	return whole.sequence(what)
}

func (c *cursor) sequence(what string) cursor { return c.into(tag.SEQUENCE, what) }

func (c *cursor) octets(what string) []byte { return c.content(tag.OCTET_STRING, what) }

// bits reads a BIT STRING of whole octets.
func (c *cursor) bits(what string) []byte {
	var out []byte
	if c.err != nil || !c.rest.ReadASN1BitStringAsBytes(&out) {
		c.fail(what)
		return nil
	}
	return out
}

func (c *cursor) integer(what string) (n int64) {
	if c.err != nil || !c.rest.ReadASN1Integer(&n) {
		c.fail(what)
		return 0
	}
	return n
}

func (c *cursor) oid(what string) (id asn1.ObjectIdentifier) {
	if c.err != nil || !c.rest.ReadASN1ObjectIdentifier(&id) {
		c.fail(what)
		return nil
	}
	return id
}

func (c *cursor) utf8(what string) string {
	b := c.content(tag.UTF8String, what)
	if !utf8.Valid(b) {
		c.fail(what)
	}
	return string(b)
}

// ascii reads an IA5String or PrintableString.
func (c *cursor) ascii(t tag.Tag, what string) string {
	b := c.content(t, what)
	for _, x := range b {
		if x >= utf8.RuneSelf {
			c.fail(what)
			return ""
		}
	}
	return string(b)
}

// moment reads a GeneralizedTime or UTCTime; version 1 in use has either. It also returns the text.
func (c *cursor) moment(what string) (time.Time, []byte) {
	t := tag.GeneralizedTime
	if c.is(tag.UTCTime) {
		t = tag.UTCTime
	}
	text := c.content(t, what)
	at, ok := parseTime(t, string(text))
	if !ok {
		c.fail(what)
	}
	return at, text
}

// parseTime reads the text of a time: whole or, in GeneralizedTime, broken seconds, and always Z.
func parseTime(t tag.Tag, text string) (time.Time, bool) {
	form := "20060102150405Z"
	if t == tag.UTCTime {
		form = "060102150405Z"
	}
	at, err := time.Parse(form, text)
	if err != nil {
		return time.Time{}, false
	}
	if t == tag.UTCTime && at.Year() >= 2050 {
		at = at.AddDate(-100, 0, 0) // RFC 5280 section 4.1.2.5.1; the library turns the century at 69
	}
	// time.Parse lets a fraction stand after the seconds; DER has none that ends in zero.
	if dot := len(form) - 1; len(text) > len(form) && (t == tag.UTCTime || text[dot] != '.' || text[len(text)-2] == '0') {
		return time.Time{}, false
	}
	return at, true
}
