// Package der validates and reads strict DER (ITU-T X.690 clauses 8 and 10).
//
// Signed structures are hashed and compared as bytes, so one value must have one encoding; and not every library that parses
// such structures is safe against false lengths. ASN.1 from outside is checked here before it is parsed.
package der

import (
	"errors"
	"fmt"
)

// ErrNotDER says that bytes are not one value in strict DER.
var ErrNotDER = errors.New("not strict DER")

const (
	// MaxDepth bounds how deep values stand in values. Signed messages with certificates reach 16.
	MaxDepth = 32
	// MaxValues bounds the values in all. A revocation list of 200,000 entries has about a million.
	MaxValues = 1 << 20
)

const constructed = 0x20

// Check reports whether b is exactly one value in strict DER, with nothing after it: tags below 31, lengths definite,
// shortest and within bounds, strings in one piece, integers, booleans, bit strings and object identifiers in their one
// form. It does not look at the order inside a SET OF, in which many signers are careless and which no parser depends on,
// nor inside octet strings and implicitly tagged primitives, whose type it cannot know. Any error is ErrNotDER.
func Check(b []byte) error {
	values := 0
	rest, err := check(b, 0, &values)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: %d bytes after the value", ErrNotDER, len(rest))
	}
	return nil
}

// check takes the first value off b and returns what follows it.
func check(b []byte, depth int, values *int) ([]byte, error) {
	if *values++; *values > MaxValues {
		return nil, fmt.Errorf("%w: more than %d values", ErrNotDER, MaxValues)
	}
	tag, content, rest, err := split(b)
	if err != nil {
		return nil, err
	}
	if tag < 0x40 {
		if err := universal(tag, content); err != nil {
			return nil, err
		}
	}
	if tag&constructed == 0 {
		return rest, nil
	}
	if depth++; depth > MaxDepth {
		return nil, fmt.Errorf("%w: more than %d levels", ErrNotDER, MaxDepth)
	}
	for len(content) > 0 {
		if content, err = check(content, depth, values); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// split reads tag and length.
func split(b []byte) (tag byte, content, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, nil, fmt.Errorf("%w: ends inside a tag or length", ErrNotDER)
	}
	if tag = b[0]; tag&0x1f == 0x1f {
		return 0, nil, nil, fmt.Errorf("%w: tag number above 30", ErrNotDER)
	}
	n, head := int(b[1]), 2
	if n == 0x80 {
		return 0, nil, nil, fmt.Errorf("%w: indefinite length", ErrNotDER)
	}
	if n > 0x80 {
		octets := n & 0x7f
		if octets > 4 || len(b) < 2+octets {
			return 0, nil, nil, fmt.Errorf("%w: length of %d octets", ErrNotDER, octets)
		}
		n, head = 0, 2+octets
		for _, o := range b[2:head] {
			n = n<<8 | int(o)
		}
		if n < 0x80 || b[2] == 0 {
			return 0, nil, nil, fmt.Errorf("%w: length is not the shortest", ErrNotDER)
		}
	}
	if n < 0 || n > len(b)-head {
		return 0, nil, nil, fmt.Errorf("%w: length reaches beyond the end", ErrNotDER)
	}
	return tag, b[head : head+n], b[head+n:], nil
}

// Universal tags with a rule of their own.
const (
	tagBoolean    = 1
	tagInteger    = 2
	tagBitString  = 3
	tagNull       = 5
	tagOID        = 6
	tagEnumerated = 10
	tagSequence   = 16
	tagSet        = 17
)

// universal checks the form of a value whose tag is of class universal.
func universal(tag byte, content []byte) error {
	number := tag &^ constructed
	// EXTERNAL (8) and EMBEDDED PDV (11) are constructed too, and stand in nothing that is signed here.
	if isCollection := number == tagSequence || number == tagSet; isCollection != (tag&constructed != 0) {
		return fmt.Errorf("%w: universal tag %d in the wrong form", ErrNotDER, number)
	}
	ok := true
	switch number {
	case 0:
		ok = false // the end-of-contents mark of indefinite lengths
	case tagBoolean:
		ok = len(content) == 1 && (content[0] == 0 || content[0] == 0xff)
	case tagInteger, tagEnumerated:
		ok = shortest(content)
	case tagBitString:
		ok = len(content) > 0 && content[0] < 8 && (content[0] == 0 || len(content) > 1 && content[len(content)-1]&(1<<content[0]-1) == 0)
	case tagNull:
		ok = len(content) == 0
	case tagOID:
		ok = identifier(content)
	}
	if !ok {
		return fmt.Errorf("%w: malformed value of universal tag %d", ErrNotDER, number)
	}
	return nil
}

// shortest tells whether an integer has no octet too many.
func shortest(content []byte) bool {
	if len(content) < 2 {
		return len(content) == 1
	}
	return !(content[0] == 0 && content[1] < 0x80 || content[0] == 0xff && content[1] >= 0x80)
}

// identifier tells whether every arc of an object identifier ends, and none starts with a needless octet.
func identifier(content []byte) bool {
	start := true
	for _, o := range content {
		if start && o == 0x80 {
			return false
		}
		start = o < 0x80
	}
	return len(content) > 0 && start
}
