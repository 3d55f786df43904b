package license

import (
	"fmt"
	"strings"
)

// Root is the fixed root of every license identifier (GB/T 36904).
const Root = "1.2.156.3005.2"

const (
	maxSerial     = 64
	maxIdentifier = 128 // of the national aggregation tables
	maxVersion    = 999
)

// An Identifier is an e-license identifier (证照标识, GB/T 36904):
//
//	1.2.156.3005.2 . type code 21 . issuer 18 . serial . version 3 . check character
//
// It keeps the text as it was written, because the text is also a file name in the wild; accessors and Equal work on
// the upper-case form. The zero Identifier is none.
type Identifier struct {
	written  string
	typeCode string
	issuer   string
	serial   string
	version  int
}

// NewIdentifier makes an identifier to issue: typeCode is the type's 21 characters, issuer the USCC of the issuing
// body, serial digits and capital letters, version 1 to 999.
func NewIdentifier(typeCode, issuer, serial string, version int) (Identifier, error) {
	if version < 1 || version > maxVersion {
		return Identifier{}, WrongVersion
	}
	payload := [4]string{typeCode, issuer, serial, fmt.Sprintf("%03d", version)}
	for _, part := range payload {
		if err := checkPart(part); err != nil {
			return Identifier{}, err
		}
	}
	check := identifierCheck(payload)
	return ParseIdentifier(Root + "." + strings.Join(payload[:], ".") + "." + string(check))
}

// ParseIdentifier reads an identifier strictly: every part as the standard says, both USCCs and the check character
// right, letters upper case. The error wraps a Reason.
func ParseIdentifier(text string) (Identifier, error) {
	id, flags, err := ImportIdentifier(text)
	if err != nil {
		return Identifier{}, err
	}
	if len(flags) > 0 {
		return Identifier{}, fmt.Errorf("read license identifier: %w", Reason(flags[0].Reason))
	}
	return id, nil
}

// ImportIdentifier reads an identifier from existing stock. Root, number of parts, alphabet and version must be right;
// a wrong check character, lower-case letters and faulty type or issuer codes are accepted and flagged, never repaired.
func ImportIdentifier(text string) (Identifier, []Flag, error) {
	id, check, err := splitIdentifier(upper(text))
	if err != nil {
		return Identifier{}, nil, fmt.Errorf("read license identifier: %w", err)
	}
	var flags []Flag
	flag := func(field string, err error) {
		if err != nil {
			flags = append(flags, Flag{Field: field, Reason: string(ReasonOf(err))})
		}
	}
	if upper(text) != text {
		flag("identifier", WrongAlphabet)
	}
	flag("type_code", CheckTypeCode(id.typeCode))
	flag("issuer_code", CheckUSCC(id.issuer))
	if check != id.check() {
		flag("identifier", WrongCheck)
	}
	id.written = text
	return id, flags, nil
}

// splitIdentifier reads upper-case text and returns the check character apart.
func splitIdentifier(text string) (Identifier, byte, error) {
	if len(text) > maxIdentifier {
		return Identifier{}, 0, WrongLength
	}
	rest, ok := strings.CutPrefix(text, Root+".")
	if !ok {
		return Identifier{}, 0, WrongRoot
	}
	parts := strings.Split(rest, ".")
	if len(parts) != 5 || len(parts[4]) != 1 {
		return Identifier{}, 0, WrongForm
	}
	for _, part := range parts {
		if err := checkPart(part); err != nil {
			return Identifier{}, 0, err
		}
	}
	version, err := parseVersion(parts[3])
	if err != nil {
		return Identifier{}, 0, err
	}
	return Identifier{typeCode: parts[0], issuer: parts[1], serial: parts[2], version: version}, parts[4][0], nil
}

func checkPart(part string) error {
	if part == "" || len(part) > maxSerial {
		return WrongLength
	}
	for i := range len(part) {
		if strings.IndexByte(alphabet36, part[i]) < 0 {
			return WrongAlphabet
		}
	}
	return nil
}

func parseVersion(part string) (int, error) {
	if len(part) != 3 {
		return 0, WrongVersion
	}
	version := 0
	for _, ch := range []byte(part) {
		if ch < '0' || ch > '9' {
			return 0, WrongVersion
		}
		version = version*10 + int(ch-'0')
	}
	if version == 0 {
		return 0, WrongVersion
	}
	return version, nil
}

// identifierCheck is ISO/IEC 7064 MOD 37,36 over the parts without root and dots. The parts hold only its alphabet.
func identifierCheck(payload [4]string) byte {
	p := 36
	for _, part := range payload {
		for i := range len(part) {
			p = hybrid(p, strings.IndexByte(alphabet36, part[i]), 36)
		}
	}
	return alphabet36[(37-p)%36]
}

func (id Identifier) check() byte {
	return identifierCheck([4]string{id.typeCode, id.issuer, id.serial, fmt.Sprintf("%03d", id.version)})
}

// CheckTypeCode checks a license type code (证照类型代码): the USCC of the defining body and three digits.
func CheckTypeCode(code string) error {
	if len(code) != 21 {
		return WrongLength
	}
	for _, ch := range []byte(code[18:]) {
		if ch < '0' || ch > '9' {
			return WrongAlphabet
		}
	}
	return CheckUSCC(code[:18])
}

// String returns the identifier as it was written.
func (id Identifier) String() string { return id.written }

// TypeCode returns the 21 characters of the license type.
func (id Identifier) TypeCode() string { return id.typeCode }

// Issuer returns the code of the issuing body.
func (id Identifier) Issuer() string { return id.issuer }

// Serial returns the serial number (流水号).
func (id Identifier) Serial() string { return id.serial }

// Version returns the version, 1 to 999; 0 for the zero Identifier.
func (id Identifier) Version() int { return id.version }

// IsZero reports whether there is no identifier.
func (id Identifier) IsZero() bool { return id == Identifier{} }

// Equal compares two identifiers as the standard does: upper-cased, check character included.
func (id Identifier) Equal(other Identifier) bool {
	return upper(id.written) == upper(other.written)
}

// upper raises ASCII letters only: some letters outside fold into the alphabet.
func upper(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}, text)
}

// Next returns the identifier of the next version: same type, issuer and serial, a new check character. After version
// 999 the error wraps VersionsAreOut.
func (id Identifier) Next() (Identifier, error) {
	if id.version >= maxVersion {
		return Identifier{}, fmt.Errorf("raise license version: %w", VersionsAreOut)
	}
	return NewIdentifier(id.typeCode, id.issuer, id.serial, id.version+1)
}

// MarshalText writes the identifier.
func (id Identifier) MarshalText() ([]byte, error) { return []byte(id.written), nil }

// UnmarshalText reads strictly; the empty text is the zero Identifier.
func (id *Identifier) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*id = Identifier{}
		return nil
	}
	*id, err = ParseIdentifier(string(text))
	return err
}
