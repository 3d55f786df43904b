package der

import (
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cryptotag "golang.org/x/crypto/cryptobyte/asn1"
)

// Tag is an ASN.1 tag with its class and whether the value is constructed.
type Tag = cryptotag.Tag

// Universal tags.
const (
	Boolean         = cryptotag.BOOLEAN
	Integer         = cryptotag.INTEGER
	BitString       = cryptotag.BIT_STRING
	OctetString     = cryptotag.OCTET_STRING
	Null            = cryptotag.NULL
	OID             = cryptotag.OBJECT_IDENTIFIER
	UTF8String      = cryptotag.UTF8String
	PrintableString = cryptotag.PrintableString
	T61String       = cryptotag.T61String
	IA5String       = cryptotag.IA5String
	UTCTime         = cryptotag.UTCTime
	GeneralizedTime = cryptotag.GeneralizedTime
	Sequence        = cryptotag.SEQUENCE
	Set             = cryptotag.SET
)

// Context is the primitive tag [n]: of an IMPLICIT value that is primitive.
func Context(n uint8) Tag { return Tag(n).ContextSpecific() }

// Explicit is the constructed tag [n]: of an EXPLICIT value, or of an IMPLICIT one that is constructed.
func Explicit(n uint8) Tag { return Tag(n).ContextSpecific().Constructed() }

// A Cursor reads DER values one after another: a pull parser. The first fault sticks, and everything that is read after it is empty;
// so a structure is read in the order of its definition and asked once, by Err, whether it could be. Cursors into one input share its
// fault. The argument "what" of a method names the member of the structure: it is the reason when the member is not as it must be.
//
// A Cursor alone does not demand the strict form of values that are not read: [Check] does.
type Cursor struct {
	rest  cryptobyte.String
	fault *fault
}

// fault is what all cursors into one input share.
type fault struct {
	form error // that the input is not of its form; what is wrong wraps it
	err  error
}

// Read begins to read an input. Faults wrap form: that the input is not what it should be.
func Read(input []byte, form error) Cursor { return Cursor{input, &fault{form: form}} }

// Err is the first fault; nil if there was none.
func (c *Cursor) Err() error { return c.fault.err }

// Fail notes that a member is not as it must be.
func (c *Cursor) Fail(what string) { c.FailWith(fmt.Errorf("%w: %s", c.fault.form, what)) }

// FailWith is Fail with an error that may not wrap the form; nil is no fault.
func (c *Cursor) FailWith(err error) {
	if err == nil {
		return
	}
	if c.fault.err == nil {
		c.fault.err = err
	}
	c.rest = nil
}

// Empty tells whether nothing follows. It is true after a fault, so that every loop over the values ends.
func (c *Cursor) Empty() bool { return c.fault.err != nil || len(c.rest) == 0 }

// End demands that nothing follows.
func (c *Cursor) End(what string) {
	if !c.Empty() {
		c.Fail(what)
	}
}

// Is tells whether the next value has a tag.
func (c *Cursor) Is(t Tag) bool { return c.fault.err == nil && c.rest.PeekASN1Tag(t) }

// Rest returns what was not read yet.
func (c *Cursor) Rest() []byte { return c.rest }

// In returns a cursor into bytes that were read already, of the same input.
func (c *Cursor) In(element []byte) Cursor { return Cursor{element, c.fault} }

// Content reads the next value, which has tag t, and returns its content.
func (c *Cursor) Content(t Tag, what string) []byte {
	var out cryptobyte.String
	if c.fault.err != nil || !c.rest.ReadASN1(&out, t) {
		c.Fail(what)
		return nil
	}
	return out
}

// Element is Content with tag and length.
func (c *Cursor) Element(t Tag, what string) []byte {
	var out cryptobyte.String
	if c.fault.err != nil || !c.rest.ReadASN1Element(&out, t) {
		c.Fail(what)
		return nil
	}
	return out
}

// Any reads the next value, whatever it is.
func (c *Cursor) Any(what string) (t Tag, content []byte) {
	var out cryptobyte.String
	if c.fault.err != nil || !c.rest.ReadAnyASN1(&out, &t) {
		c.Fail(what)
		return 0, nil
	}
	return t, out
}

// AnyElement is Any with tag and length.
func (c *Cursor) AnyElement(what string) (t Tag, element []byte) {
	var out cryptobyte.String
	if c.fault.err != nil || !c.rest.ReadAnyASN1Element(&out, &t) {
		c.Fail(what)
		return 0, nil
	}
	return t, out
}

// Into opens the next value, which has tag t.
func (c *Cursor) Into(t Tag, what string) Cursor { return Cursor{c.Content(t, what), c.fault} }

// Sequence opens the next value, a SEQUENCE.
func (c *Cursor) Sequence(what string) Cursor { return c.Into(Sequence, what) }

// Set opens the next value, a SET.
func (c *Cursor) Set(what string) Cursor { return c.Into(Set, what) }

// Optional opens the next value if it has tag t; else the cursor is empty.
func (c *Cursor) Optional(t Tag, what string) (in Cursor, present bool) {
	if !c.Is(t) {
		return Cursor{nil, c.fault}, false
	}
	return c.Into(t, what), true
}

// Octets reads an OCTET STRING.
func (c *Cursor) Octets(what string) []byte { return c.Content(OctetString, what) }

// Bits reads a BIT STRING of whole octets.
func (c *Cursor) Bits(what string) (out []byte) {
	if c.fault.err != nil || !c.rest.ReadASN1BitStringAsBytes(&out) {
		c.Fail(what)
		return nil
	}
	return out
}

// BitString reads a BIT STRING.
func (c *Cursor) BitString(what string) (out asn1.BitString) {
	if c.fault.err != nil || !c.rest.ReadASN1BitString(&out) {
		c.Fail(what)
		return asn1.BitString{}
	}
	return out
}

// Int reads an INTEGER of at most 64 bits.
func (c *Cursor) Int(what string) (n int64) {
	if c.fault.err != nil || !c.rest.ReadASN1Integer(&n) {
		c.Fail(what)
		return 0
	}
	return n
}

// TaggedInt reads an INTEGER under an implicit tag if it is there; else it is zero and not present.
func (c *Cursor) TaggedInt(t Tag, what string) (n int64, present bool) {
	if !c.Is(t) {
		return 0, false
	}
	if !c.rest.ReadASN1Int64WithTag(&n, t) {
		c.Fail(what)
		return 0, false
	}
	return n, true
}

// BigInt reads an INTEGER. It is zero after a fault.
func (c *Cursor) BigInt(what string) *big.Int {
	n := new(big.Int)
	if c.fault.err != nil || !c.rest.ReadASN1Integer(n) {
		c.Fail(what)
		return new(big.Int)
	}
	return n
}

// Enum reads an ENUMERATED.
func (c *Cursor) Enum(what string) (n int) {
	if c.fault.err != nil || !c.rest.ReadASN1Enum(&n) {
		c.Fail(what)
		return 0
	}
	return n
}

// OID reads an OBJECT IDENTIFIER.
func (c *Cursor) OID(what string) (id asn1.ObjectIdentifier) {
	if c.fault.err != nil || !c.rest.ReadASN1ObjectIdentifier(&id) {
		c.Fail(what)
		return nil
	}
	return id
}

// Bool reads a BOOLEAN if it is there. DER leaves a default of FALSE out; whether it may be written is the caller's to say.
func (c *Cursor) Bool(what string) (set, present bool) {
	if !c.Is(Boolean) {
		return false, false
	}
	if !c.rest.ReadASN1Boolean(&set) {
		c.Fail(what)
		return false, false
	}
	return set, true
}

// Algorithm reads an AlgorithmIdentifier whose parameters say nothing: absent or NULL. RSA and elliptic curves abroad write either; SM2
// and SM3 stand without, and some write NULL.
func (c *Cursor) Algorithm(what string) asn1.ObjectIdentifier {
	in := c.Sequence(what)
	id := in.OID(what)
	in.Optional(Null, what)
	in.End(what)
	return id
}

// UTF8 reads a UTF8String.
func (c *Cursor) UTF8(what string) string {
	b := c.Content(UTF8String, what)
	if !utf8.Valid(b) {
		c.Fail(what)
	}
	return string(b)
}

// ASCII reads a string type that holds ASCII, such as an IA5String.
func (c *Cursor) ASCII(t Tag, what string) string {
	b := c.Content(t, what)
	for _, x := range b {
		if x >= utf8.RuneSelf {
			c.Fail(what)
			return ""
		}
	}
	return string(b)
}

// GeneralizedTime reads a GeneralizedTime to the second, in any zone.
func (c *Cursor) GeneralizedTime(what string) (at time.Time) {
	if c.fault.err != nil || !c.rest.ReadASN1GeneralizedTime(&at) {
		c.Fail(what)
		return time.Time{}
	}
	return at
}

// Time reads UTCTime or GeneralizedTime in the one form that RFC 5280 section 4.1.2.5 allows: to the second, in Z. A large revocation
// list has 400,000 of them; the library's reader takes ten times as long.
func (c *Cursor) Time(what string) time.Time {
	t := GeneralizedTime
	if c.Is(UTCTime) {
		t = UTCTime
	}
	at, ok := parseTime(t, c.Content(t, what))
	if !ok {
		c.Fail(what)
	}
	return at
}

func parseTime(t Tag, text []byte) (time.Time, bool) {
	digits := 4
	if t == UTCTime {
		digits = 2
	}
	if len(text) != digits+len("0102150405Z") || text[len(text)-1] != 'Z' {
		return time.Time{}, false
	}
	year, ok := number(text[:digits])
	if t == UTCTime {
		if year += 1900; year < 1950 {
			year += 100
		}
	}
	var part [5]int // month, day, hour, minute, second
	for i := range part {
		n, is := number(text[digits+2*i : digits+2*i+2])
		part[i], ok = n, ok && is
	}
	if !ok {
		return time.Time{}, false
	}
	at := time.Date(year, time.Month(part[0]), part[1], part[2], part[3], part[4], 0, time.UTC)
	// time.Date carries what is out of range: 30 February is 2 March.
	same := int(at.Month()) == part[0] && at.Day() == part[1] && at.Hour() == part[2] && at.Minute() == part[3] && at.Second() == part[4]
	return at, same
}

func number(digits []byte) (n int, ok bool) {
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = 10*n + int(d-'0')
	}
	return n, true
}
