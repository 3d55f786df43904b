package seal

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	"oncegate/certs/revocation"
)

// ParseSeal reads an SESeal of version 1, 4 or 5, strict DER, nothing after it. Errors are ErrForm or ErrVersion.
func ParseSeal(der []byte) (*Seal, error) {
	if len(der) > MaxSize {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrForm, MaxSize)
	}
	c := read(der)
	s := c.seal()
	c.end("seal")
	if c.err != nil {
		return nil, c.err
	}
	return s, nil
}

// ParseSignature reads an SES_Signature with the seal inside, of version 1, 4 or 5, strict DER, nothing after it. Errors
// are ErrForm or ErrVersion.
func ParseSignature(der []byte) (*Signature, error) {
	if len(der) > MaxSize {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrForm, MaxSize)
	}
	c := read(der)
	s := &Signature{Raw: der}
	in := c.sequence("signature")
	s.Signed = in.element(tag.SEQUENCE, "toSign")
	tbs := c.open(s.Signed, "toSign")
	switch s.Version = tbs.version(); s.Version {
	case 1:
		in.signature1(s, tbs)
	case 4, 5:
		in.signature4(s, tbs)
	}
	in.end("signature")
	c.end("signature")
	if c.err != nil {
		return nil, c.err
	}
	if s.Version != s.Seal.Version {
		c.odd("a seal of version %d in a signature of version %d", s.Seal.Version, s.Version)
	}
	s.oddities = c.oddities
	return s, nil
}

func (c *cursor) version() int {
	v := c.integer("version")
	if c.err == nil && v != 1 && v != 4 && v != 5 {
		c.err = fmt.Errorf("%w: %d", ErrVersion, v)
	}
	return int(v)
}

// seal reads the next value, an SESeal. Its own header says of which version it is.
func (c *cursor) seal() *Seal {
	s := &Seal{Raw: c.element(tag.SEQUENCE, "seal")}
	before := len(c.oddities)
	in := c.open(s.Raw, "seal")
	info := in.element(tag.SEQUENCE, "eSealInfo")
	inside := c.open(info, "eSealInfo")
	inside.info(s)
	if s.Version == 1 {
		in.signInfo1(s, info)
	} else {
		s.Signed = info
		s.Certificate = in.octets("maker's certificate")
		s.Algorithm = in.oid("signAlgID")
		s.Signature = in.bits("signedValue")
		if s.Version == 5 {
			s.TimeStamp = in.token()
		}
	}
	in.end("seal")
	s.oddities = slices.Clone(c.oddities[before:])
	return s
}

// info reads SES_SealInfo.
func (c *cursor) info(s *Seal) {
	h := c.sequence("header")
	if id := h.ascii(tag.IA5String, "header ID"); h.err == nil && id != "ES" {
		h.fail("header ID is not ES")
	}
	s.Version = h.version()
	s.Vid = h.ascii(tag.IA5String, "Vid")
	h.end("header")
	s.ID = c.ascii(tag.IA5String, "esID")
	p := c.sequence("property")
	p.property(s)
	pic := c.sequence("picture")
	s.Picture = pic.picture()
	s.Extensions = c.extensions()
	c.end("eSealInfo")
}

// property reads SES_ESPropertyInfo.
func (c *cursor) property(s *Seal) {
	if s.Type = c.integer("type"); c.err == nil && s.Type != Unit && s.Type != Person {
		c.odd("seal type %d", s.Type)
	}
	s.Name = c.utf8("name")
	s.Signers.ListType = 1
	if s.Version != 1 {
		s.Signers.ListType = c.integer("certListType")
	}
	list := c.sequence("certList")
	list.signers(&s.Signers)
	s.Created, _ = c.moment("createDate")
	s.From, _ = c.moment("validStart")
	s.To, _ = c.moment("validEnd")
	c.end("property")
}

func (c *cursor) signers(l *Signers) {
	if l.ListType != 1 && l.ListType != 2 && c.err == nil {
		c.fail("certListType is neither 1 nor 2")
	}
	for !c.empty() {
		if l.Len() == MaxSigners {
			c.fail("certList is too long")
			return
		}
		if l.ListType == 1 {
			l.Certificates = append(l.Certificates, c.listed())
			continue
		}
		o := c.sequence("certDigest")
		d := CertDigest{o.ascii(tag.PrintableString, "certDigest type"), o.octets("certDigest")}
		o.end("certDigest")
		if c.err == nil && !d.sm3() {
			c.odd("certificate digest type %q", clip(d.Type))
		}
		l.Digests = append(l.Digests, d)
	}
}

// listed reads a certificate of the list. Seals are in use with a placeholder in its stead, which is nobody's certificate.
func (c *cursor) listed() []byte {
	if c.is(tag.OCTET_STRING) || c.err != nil {
		return c.octets("certificate")
	}
	var other cryptobyte.String
	var t tag.Tag
	if !c.rest.ReadAnyASN1(&other, &t) {
		c.fail("certificate")
		return nil
	}
	c.odd("a list entry that is no certificate")
	return other
}

func (c *cursor) picture() Picture {
	p := Picture{c.ascii(tag.IA5String, "picture type"), c.octets("picture data"), c.integer("width"), c.integer("height")}
	if c.err == nil && !slices.Contains([]string{"PNG", "GIF", "BMP", "JPG", "SVG"}, strings.ToUpper(p.Type)) {
		c.odd("picture type %q", clip(p.Type))
	}
	c.end("picture")
	return p
}

// extensions reads extDatas if they are there, bare or as [0] EXPLICIT: the standard tags them in one place and not in the
// other, and software in use mixes the two up.
func (c *cursor) extensions() []Extension {
	list := *c
	switch {
	case c.is(explicit0):
		tagged := c.into(explicit0, "extDatas")
		list = tagged.sequence("extDatas")
		tagged.end("extDatas")
	case c.is(tag.SEQUENCE):
		list = c.sequence("extDatas")
	default:
		return nil
	}
	var out []Extension
	for !list.empty() {
		if len(out) == MaxExtensions {
			list.fail("extDatas are too long")
			break
		}
		in := list.sequence("extData")
		out = append(out, in.extension())
		in.end("extData")
	}
	return out
}

func (c *cursor) extension() (x Extension) {
	x.ID = c.oid("extnID")
	// DER leaves FALSE out; encoders in use write it.
	if c.is(tag.BOOLEAN) && !c.rest.ReadASN1Boolean(&x.Critical) {
		c.fail("critical")
	}
	x.Value = c.octets("extnValue")
	switch {
	case c.err != nil:
	case x.Critical:
		c.odd("critical extension %s", x.ID)
	case x.ID.Equal(revocation.OIDRevocationValues): // ours, and whoever else keeps evidence
	default:
		c.odd("extension %s", x.ID)
	}
	return x
}

// token reads timeStamp [0] EXPLICIT BIT STRING if it is there.
func (c *cursor) token() []byte {
	if !c.is(explicit0) {
		return nil
	}
	in := c.into(explicit0, "timeStamp")
	out := in.bits("timeStamp")
	in.end("timeStamp")
	return out
}

// signature4 reads TBS_Sign and what stands beside it, versions 4 and 5.
func (c *cursor) signature4(s *Signature, tbs cursor) {
	s.Seal = tbs.seal()
	s.Time, s.TimeInfo = tbs.moment("timeInfo")
	s.DataHash = tbs.bits("dataHash")
	s.PropertyInfo = tbs.ascii(tag.IA5String, "propertyInfo")
	s.Extensions = tbs.extensions()
	tbs.end("toSign")
	s.Certificate = c.octets("signer's certificate")
	s.Algorithm = c.oid("signatureAlgID")
	s.Signature = c.bits("signature value")
	s.TimeStamp = c.token()
}

// clip shortens a foreign text for a sentence.
func clip(s string) string { return s[:min(len(s), 16)] }
