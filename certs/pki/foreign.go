package pki

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// ParseForeign reads a certificate as [Parse] does, but forgives text in its names that is not of the string type that is
// written before it: licensed authorities have put Chinese into an IA5String. Paths are built from names as bytes and
// signatures are over bytes, all as they stand in der, so that nothing is decided by what was forgiven.
func ParseForeign(der []byte) (*Certificate, error) {
	c, err := Parse(der)
	if err == nil || len(der) > maxCertificate {
		return c, err
	}
	mended := bytes.Clone(der)
	if p, ok := partsOf(mended); !ok || !mend(p.issuer) || !mend(p.subject) {
		return nil, err
	}
	c, again := Parse(mended)
	if again != nil {
		return nil, err
	}
	p, _ := partsOf(der)
	c.Raw, c.RawTBSCertificate, c.RawIssuer, c.RawSubject, c.RawSubjectPublicKeyInfo = der, p.tbs, p.issuer, p.subject, p.key
	return c, nil
}

// parts of a certificate as they stand in it, with tag and length.
type parts struct{ tbs, issuer, subject, key cryptobyte.String }

// partsOf finds them; they share their bytes with der.
func partsOf(der []byte) (p parts, ok bool) {
	in := cryptobyte.String(der)
	var whole, body cryptobyte.String
	if !in.ReadASN1(&whole, tag.SEQUENCE) || !whole.ReadASN1Element(&p.tbs, tag.SEQUENCE) {
		return p, false
	}
	tbs := p.tbs
	return p, tbs.ReadASN1(&body, tag.SEQUENCE) &&
		body.SkipOptionalASN1(tag.Tag(0).Constructed().ContextSpecific()) && body.SkipASN1(tag.INTEGER) && body.SkipASN1(tag.SEQUENCE) &&
		body.ReadASN1Element(&p.issuer, tag.SEQUENCE) && body.SkipASN1(tag.SEQUENCE) &&
		body.ReadASN1Element(&p.subject, tag.SEQUENCE) && body.ReadASN1Element(&p.key, tag.SEQUENCE)
}

// mend gives the texts of a name, in place, a type that they fit: UTF8String, or T61String, which takes any bytes.
func mend(name cryptobyte.String) bool {
	var sets, set, pair, text cryptobyte.String
	if !name.ReadASN1(&sets, tag.SEQUENCE) {
		return false
	}
	for !sets.Empty() {
		if !sets.ReadASN1(&set, tag.SET) {
			return false
		}
		for !set.Empty() {
			var t tag.Tag
			if !set.ReadASN1(&pair, tag.SEQUENCE) || !pair.SkipASN1(tag.OBJECT_IDENTIFIER) || pair.Empty() {
				return false
			}
			value := pair
			if !pair.ReadAnyASN1(&text, &t) {
				return false
			}
			switch t {
			case tag.IA5String, tag.PrintableString, tag.UTF8String:
				value[0] = byte(tag.T61String)
				if utf8.Valid(text) {
					value[0] = byte(tag.UTF8String)
				}
			}
		}
	}
	return true
}
