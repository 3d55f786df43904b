package seal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"oncegate/certs/der"
	"oncegate/certs/revocation"
)

// ParseSeal reads an SESeal of version 1, 4 or 5, strict DER, nothing after it. Errors are ErrForm or ErrVersion.
func ParseSeal(raw []byte) (*Seal, error) {
	if len(raw) > MaxSize {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrForm, MaxSize)
	}
	c := der.Read(raw, ErrForm)
	s := new(parser).seal(&c)
	end(&c, "seal")
	if err := c.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// ParseSignature reads an SES_Signature with the seal inside, of version 1, 4 or 5, strict DER, nothing after it. Errors
// are ErrForm or ErrVersion.
func ParseSignature(raw []byte) (*Signature, error) {
	if len(raw) > MaxSize {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrForm, MaxSize)
	}
	c, p := der.Read(raw, ErrForm), new(parser)
	s := &Signature{Raw: raw}
	in := c.Sequence("signature")
	s.Signed = in.Element(der.Sequence, "toSign")
	tbs := open(&c, s.Signed, "toSign")
	switch s.Version = p.version(&tbs); s.Version {
	case 1:
		p.signature1(&in, s, &tbs)
	case 4, 5:
		p.signature4(&in, s, &tbs)
	}
	end(&in, "signature")
	end(&c, "signature")
	if err := c.Err(); err != nil {
		return nil, err
	}
	if s.Version != s.Seal.Version {
		p.odd("a seal of version %d in a signature of version %d", s.Seal.Version, s.Version)
	}
	s.oddities = p.oddities
	return s, nil
}

// A parser notes what it reads and the standard does not know, in words without personal data.
type parser struct{ oddities []string }

func (p *parser) odd(format string, args ...any) {
	p.oddities = append(p.oddities, fmt.Sprintf(format, args...))
}

// end demands that nothing follows.
func end(c *der.Cursor, what string) { c.End("more than a " + what) }

// open opens a SEQUENCE that was read as an element before.
func open(c *der.Cursor, element []byte, what string) der.Cursor {
	whole := c.In(element)
	return whole.Sequence(what)
}

func (p *parser) version(c *der.Cursor) int {
	v := c.Int("version")
	if c.Err() == nil && v != 1 && v != 4 && v != 5 {
		c.FailWith(fmt.Errorf("%w: %d", ErrVersion, v))
	}
	return int(v)
}

// seal reads the next value, an SESeal. Its own header says of which version it is.
func (p *parser) seal(c *der.Cursor) *Seal {
	s := &Seal{Raw: c.Element(der.Sequence, "seal")}
	before := len(p.oddities)
	in := open(c, s.Raw, "seal")
	info := in.Element(der.Sequence, "eSealInfo")
	inside := open(c, info, "eSealInfo")
	p.info(&inside, s)
	if s.Version == 1 {
		signInfo1(&in, s, info)
	} else {
		s.Signed = info
		s.Certificate = in.Octets("maker's certificate")
		s.Algorithm = in.OID("signAlgID")
		s.Signature = in.Bits("signedValue")
		if s.Version == 5 {
			s.TimeStamp = token(&in)
		}
	}
	end(&in, "seal")
	s.oddities = slices.Clone(p.oddities[before:])
	return s
}

// info reads SES_SealInfo.
func (p *parser) info(c *der.Cursor, s *Seal) {
	h := c.Sequence("header")
	if id := h.ASCII(der.IA5String, "header ID"); h.Err() == nil && id != "ES" {
		h.Fail("header ID is not ES")
	}
	s.Version = p.version(&h)
	s.Vid = h.ASCII(der.IA5String, "Vid")
	end(&h, "header")
	s.ID = c.ASCII(der.IA5String, "esID")
	property := c.Sequence("property")
	p.property(&property, s)
	pic := c.Sequence("picture")
	s.Picture = p.picture(&pic)
	s.Extensions = p.extensions(c)
	end(c, "eSealInfo")
}

// property reads SES_ESPropertyInfo.
func (p *parser) property(c *der.Cursor, s *Seal) {
	if s.Type = c.Int("type"); c.Err() == nil && s.Type != Unit && s.Type != Person {
		p.odd("seal type %d", s.Type)
	}
	s.Name = c.UTF8("name")
	s.Signers.ListType = 1
	if s.Version != 1 {
		s.Signers.ListType = c.Int("certListType")
	}
	list := c.Sequence("certList")
	p.signers(&list, &s.Signers)
	s.Created, _ = readTime(c, "createDate")
	s.From, _ = readTime(c, "validStart")
	s.To, _ = readTime(c, "validEnd")
	end(c, "property")
}

func (p *parser) signers(c *der.Cursor, l *Signers) {
	if l.ListType != 1 && l.ListType != 2 && c.Err() == nil {
		c.Fail("certListType is neither 1 nor 2")
	}
	for !c.Empty() {
		if l.Len() == MaxSigners {
			c.Fail("certList is too long")
			return
		}
		if l.ListType == 1 {
			l.Certificates = append(l.Certificates, p.listed(c))
			continue
		}
		o := c.Sequence("certDigest")
		d := CertDigest{o.ASCII(der.PrintableString, "certDigest type"), o.Octets("certDigest")}
		end(&o, "certDigest")
		if c.Err() == nil && !d.sm3() {
			p.odd("certificate digest type %q", clip(d.Type))
		}
		l.Digests = append(l.Digests, d)
	}
}

// listed reads a certificate of the list. Seals are in use with a placeholder in its stead, which is not a certificate.
func (p *parser) listed(c *der.Cursor) []byte {
	if c.Is(der.OctetString) || c.Err() != nil {
		return c.Octets("certificate")
	}
	_, other := c.Any("certificate")
	if c.Err() == nil {
		p.odd("a list entry that is no certificate")
	}
	return other
}

func (p *parser) picture(c *der.Cursor) Picture {
	pic := Picture{c.ASCII(der.IA5String, "picture type"), c.Octets("picture data"), c.Int("width"), c.Int("height")}
	if c.Err() == nil && !slices.Contains([]string{"PNG", "GIF", "BMP", "JPG", "SVG"}, strings.ToUpper(pic.Type)) {
		p.odd("picture type %q", clip(pic.Type))
	}
	end(c, "picture")
	return pic
}

// extensions reads extDatas if they are there, bare or as [0] EXPLICIT: the standard tags them in one place and not in the
// other, and software in use mixes the two up.
func (p *parser) extensions(c *der.Cursor) []Extension {
	list := *c
	switch {
	case c.Is(der.Explicit(0)):
		tagged := c.Into(der.Explicit(0), "extDatas")
		list = tagged.Sequence("extDatas")
		end(&tagged, "extDatas")
	case c.Is(der.Sequence):
		list = c.Sequence("extDatas")
	default:
		return nil
	}
	var out []Extension
	for !list.Empty() {
		if len(out) == MaxExtensions {
			list.Fail("extDatas are too long")
			break
		}
		in := list.Sequence("extData")
		out = append(out, p.extension(&in))
		end(&in, "extData")
	}
	return out
}

func (p *parser) extension(c *der.Cursor) (x Extension) {
	x.ID = c.OID("extnID")
	x.Critical, _ = c.Bool("critical") // DER leaves FALSE out; encoders in use write it
	x.Value = c.Octets("extnValue")
	switch {
	case c.Err() != nil:
	case x.Critical:
		p.odd("critical extension %s", x.ID)
	case x.ID.Equal(revocation.OIDRevocationValues): // ours, and other software that stores evidence
	default:
		p.odd("extension %s", x.ID)
	}
	return x
}

// token reads timeStamp [0] EXPLICIT BIT STRING if it is there.
func token(c *der.Cursor) []byte {
	if !c.Is(der.Explicit(0)) {
		return nil
	}
	in := c.Into(der.Explicit(0), "timeStamp")
	out := in.Bits("timeStamp")
	end(&in, "timeStamp")
	return out
}

// signature4 reads TBS_Sign and what stands beside it, versions 4 and 5.
func (p *parser) signature4(c *der.Cursor, s *Signature, tbs *der.Cursor) {
	s.Seal = p.seal(tbs)
	s.Time, s.TimeInfo = readTime(tbs, "timeInfo")
	s.DataHash = tbs.Bits("dataHash")
	s.PropertyInfo = tbs.ASCII(der.IA5String, "propertyInfo")
	s.Extensions = p.extensions(tbs)
	end(tbs, "toSign")
	s.Certificate = c.Octets("signer's certificate")
	s.Algorithm = c.OID("signatureAlgID")
	s.Signature = c.Bits("signature value")
	s.TimeStamp = token(c)
}

// clip shortens a foreign text for a sentence.
func clip(s string) string { return s[:min(len(s), 16)] }

// Version 1 is GM/T 0031-2014: read only.

// signInfo1 reads SES_SignInfo. What the maker signed does not stand there in one piece: it is a SEQUENCE of info,
// certificate and algorithm.
func signInfo1(c *der.Cursor, s *Seal, info []byte) {
	in := c.Sequence("signInfo")
	both := in.Rest()
	s.Certificate = in.Octets("maker's certificate")
	s.Algorithm = in.OID("signatureAlgorithm")
	both = both[:len(both)-len(in.Rest())]
	s.Signature = in.Bits("signData")
	end(&in, "signInfo")
	var b cryptobyte.Builder
	b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
		b.AddBytes(info)
		b.AddBytes(both)
	})
	s.Signed = b.BytesOrPanic() // of one depth and bounded: it cannot fail
}

// signature1 reads TBS_Sign and what stands beside it, version 1.
func (p *parser) signature1(c *der.Cursor, s *Signature, tbs *der.Cursor) {
	s.Seal = p.seal(tbs)
	time1(tbs, s)
	s.DataHash = bitsOrOctets(tbs, "dataHash")
	s.PropertyInfo = tbs.ASCII(der.IA5String, "propertyInfo")
	s.Certificate = tbs.Octets("signer's certificate")
	s.Algorithm = tbs.OID("signatureAlgorithm")
	end(tbs, "toSign")
	s.Signature = c.Bits("signature value")
}

// bitsOrOctets reads a BIT STRING, or the OCTET STRING that some encoders write in its place.
func bitsOrOctets(c *der.Cursor, what string) []byte {
	if c.Is(der.OctetString) {
		return c.Octets(what)
	}
	return c.Bits(what)
}

// time1 reads timeInfo, a BIT STRING of a time or of a time stamp; the standard does not say how. A time in DER or as text
// is understood; of anything else the octets are kept.
func time1(c *der.Cursor, s *Signature) {
	if c.Is(der.UTCTime) || c.Is(der.GeneralizedTime) {
		s.Time, s.TimeInfo = readTime(c, "timeInfo")
		return
	}
	s.TimeInfo = bitsOrOctets(c, "timeInfo")
	s.Time = timeInside(s.TimeInfo)
}

// timeInside finds the time in the octets of a timeInfo; zero when there is none to be understood.
func timeInside(b []byte) time.Time {
	c := der.Read(b, ErrForm)
	if at, _ := readTime(&c, "timeInfo"); c.Err() == nil && c.Empty() {
		return at
	}
	for _, t := range []der.Tag{der.GeneralizedTime, der.UTCTime} {
		if at, ok := parseTime(t, string(b)); ok {
			return at
		}
	}
	if at, err := time.Parse("2006-01-02T15:04:05Z", string(b)); err == nil {
		return at
	}
	return time.Time{}
}

// readTime reads a GeneralizedTime or UTCTime; version 1 in use has either. It also returns the text.
func readTime(c *der.Cursor, what string) (time.Time, []byte) {
	t := der.GeneralizedTime
	if c.Is(der.UTCTime) {
		t = der.UTCTime
	}
	text := c.Content(t, what)
	at, ok := parseTime(t, string(text))
	if !ok {
		c.Fail(what)
	}
	return at, text
}

// parseTime reads the text of a time: whole or, in GeneralizedTime, broken seconds, and always Z.
func parseTime(t der.Tag, text string) (time.Time, bool) {
	form := "20060102150405Z"
	if t == der.UTCTime {
		form = "060102150405Z"
	}
	at, err := time.Parse(form, text)
	if err != nil {
		return time.Time{}, false
	}
	if t == der.UTCTime && at.Year() >= 2050 {
		at = at.AddDate(-100, 0, 0) // RFC 5280 section 4.1.2.5.1; the library turns the century at 69
	}
	// time.Parse lets a fraction stand after the seconds; DER has none that ends in zero.
	if dot := len(form) - 1; len(text) > len(form) && (t == der.UTCTime || text[dot] != '.' || text[len(text)-2] == '0') {
		return time.Time{}, false
	}
	return at, true
}
