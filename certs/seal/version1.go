package seal

import (
	"time"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// Version 1 is GM/T 0031-2014: read only.

// signInfo1 reads SES_SignInfo. What the maker signed does not stand there in one piece: it is a SEQUENCE of info,
// certificate and algorithm.
func (c *cursor) signInfo1(s *Seal, info []byte) {
	in := c.sequence("signInfo")
	both := in.rest
	s.Certificate = in.octets("maker's certificate")
	s.Algorithm = in.oid("signatureAlgorithm")
	both = both[:len(both)-len(in.rest)]
	s.Signature = in.bits("signData")
	in.end("signInfo")
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(info)
		b.AddBytes(both)
	})
	s.Signed = b.BytesOrPanic() // of one depth and bounded: it cannot fail
}

// signature1 reads TBS_Sign and what stands beside it, version 1.
func (c *cursor) signature1(s *Signature, tbs cursor) {
	s.Seal = tbs.seal()
	tbs.time1(s)
	s.DataHash = tbs.loose("dataHash")
	s.PropertyInfo = tbs.ascii(tag.IA5String, "propertyInfo")
	s.Certificate = tbs.octets("signer's certificate")
	s.Algorithm = tbs.oid("signatureAlgorithm")
	tbs.end("toSign")
	s.Signature = c.bits("signature value")
}

// loose reads a BIT STRING, or the OCTET STRING that some encoders write in its place.
func (c *cursor) loose(what string) []byte {
	if c.is(tag.OCTET_STRING) {
		return c.octets(what)
	}
	return c.bits(what)
}

// time1 reads timeInfo, a BIT STRING of a time or of a time stamp; the standard does not say how. A time in DER or as text
// is understood; of anything else the octets are kept.
func (c *cursor) time1(s *Signature) {
	if c.is(tag.UTCTime) || c.is(tag.GeneralizedTime) {
		s.Time, s.TimeInfo = c.moment("timeInfo")
		return
	}
	s.TimeInfo = c.loose("timeInfo")
	s.Time = timeInside(s.TimeInfo)
}

// timeInside finds the time in the octets of a timeInfo; zero when there is none to be understood.
func timeInside(b []byte) time.Time {
	c := read(b)
	if at, _ := c.moment("timeInfo"); c.err == nil && c.empty() {
		return at
	}
	for _, t := range []tag.Tag{tag.GeneralizedTime, tag.UTCTime} {
		if at, ok := parseTime(t, string(b)); ok {
			return at
		}
	}
	if at, err := time.Parse("2006-01-02T15:04:05Z", string(b)); err == nil {
		return at
	}
	return time.Time{}
}
