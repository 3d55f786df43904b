package pki

import (
	"bytes"
	"unicode/utf8"

	"oncegate/certs/der"
)

// ParseForeign reads a certificate as [Parse] does, and also accepts names (DN) with attribute values whose bytes do not match their declared
// string type: licensed authorities have put Chinese into an IA5String. Paths are built from names as bytes and
// signatures are over bytes, all as they stand in raw, so that nothing is decided by what was changed for reading.
func ParseForeign(raw []byte) (*Certificate, error) {
	c, err := Parse(raw)
	if err == nil || len(raw) > maxCertificate {
		return c, err
	}
	mended := bytes.Clone(raw)
	p, err2 := partsOf(mended)
	if err2 != nil || !mend(p.issuer) || !mend(p.subject) {
		return nil, err
	}
	c, again := Parse(mended)
	if again != nil {
		return nil, err
	}
	p, _ = partsOf(raw)
	c.Raw, c.RawTBSCertificate, c.RawIssuer, c.RawSubject, c.RawSubjectPublicKeyInfo = raw, p.tbs, p.issuer, p.subject, p.key
	return c, nil
}

// parts of a certificate as they stand in it, with tag and length.
type parts struct{ tbs, issuer, subject, key []byte }

// what was being read when a certificate cannot be: the error of the library says more, and is the one that is reported.
const what = "certificate"

// partsOf finds them; they share their bytes with the certificate.
func partsOf(certificate []byte) (p parts, err error) {
	in := der.Read(certificate, ErrMalformed)
	whole := in.Sequence(what)
	p.tbs = whole.Element(der.Sequence, what)
	tbs := in.In(p.tbs)
	body := tbs.Sequence(what)
	body.Optional(der.Explicit(0), what)
	body.Content(der.Integer, what)
	body.Content(der.Sequence, what)
	p.issuer = body.Element(der.Sequence, what)
	body.Content(der.Sequence, what)
	p.subject = body.Element(der.Sequence, what)
	p.key = body.Element(der.Sequence, what)
	return p, in.Err()
}

// mend gives the texts of a name, in place, a type that they fit: UTF8String, or T61String, which takes any bytes.
func mend(name []byte) bool {
	in := der.Read(name, ErrMalformed)
	for sets := in.Sequence(what); !sets.Empty(); {
		for set := sets.Set(what); !set.Empty(); {
			pair := set.Sequence(what)
			pair.Content(der.OID, what)
			value := pair.Rest()
			t, text := pair.Any(what)
			switch t {
			case der.IA5String, der.PrintableString, der.UTF8String:
				value[0] = byte(der.T61String)
				if utf8.Valid(text) {
					value[0] = byte(der.UTF8String)
				}
			}
		}
	}
	return in.Err() == nil
}
