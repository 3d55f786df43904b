package seal_test

import (
	"crypto/ecdsa"
	"encoding/asn1"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/second"
	"oncegate/certs/sm"
)

// The structures once more, as the standards print them and for another DER library: what it writes must be read, and what
// is made must be what it would write.

type derHeader struct {
	ID      string `asn1:"ia5"`
	Version int
	Vid     string `asn1:"ia5"`
}

type derPicture struct {
	Type          string `asn1:"ia5"`
	Data          []byte
	Width, Height int
}

type derInfo struct {
	Header   derHeader
	ID       string `asn1:"ia5"`
	Property asn1.RawValue
	Picture  derPicture
	Ext      asn1.RawValue `asn1:"optional"`
}

type derProperty4 struct {
	Type     int
	Name     string `asn1:"utf8"`
	ListType int
	List     asn1.RawValue
	Created  time.Time `asn1:"generalized"`
	From     time.Time `asn1:"generalized"`
	To       time.Time `asn1:"generalized"`
}

type derProperty1 struct {
	Type    int
	Name    string `asn1:"utf8"`
	List    asn1.RawValue
	Created time.Time `asn1:"utc"`
	From    time.Time `asn1:"utc"`
	To      time.Time `asn1:"utc"`
}

type derSeal4 struct {
	Info        asn1.RawValue
	Certificate []byte
	Algorithm   asn1.ObjectIdentifier
	Value       asn1.BitString
	TimeStamp   asn1.BitString `asn1:"optional,explicit,tag:0"`
}

type derSeal1 struct {
	Info     asn1.RawValue
	SignInfo struct {
		Certificate []byte
		Algorithm   asn1.ObjectIdentifier
		Value       asn1.BitString
	}
}

type derToSign4 struct {
	Version      int
	Seal         asn1.RawValue
	Time         time.Time `asn1:"generalized"`
	DataHash     asn1.BitString
	PropertyInfo string        `asn1:"ia5"`
	Ext          asn1.RawValue `asn1:"optional"`
}

type derSignature4 struct {
	ToSign      asn1.RawValue
	Certificate []byte
	Algorithm   asn1.ObjectIdentifier
	Value       asn1.BitString
	TimeStamp   asn1.BitString `asn1:"optional,explicit,tag:0"`
}

type derToSign1 struct {
	Version      int
	Seal         asn1.RawValue
	Time         asn1.RawValue
	DataHash     asn1.BitString
	PropertyInfo string `asn1:"ia5"`
	Certificate  []byte
	Algorithm    asn1.ObjectIdentifier
}

type derSignature1 struct {
	ToSign asn1.RawValue
	Value  asn1.BitString
}

type derExt struct {
	ID       asn1.ObjectIdentifier
	Critical bool `asn1:"optional"`
	Value    []byte
}

var sm2WithSM3 = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 501}

func der(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func raw(b []byte) asn1.RawValue { return asn1.RawValue{FullBytes: b} }

func bits(b []byte) asn1.BitString { return asn1.BitString{Bytes: b, BitLength: 8 * len(b)} }

func explicit(b []byte) []byte {
	out, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Tag: 0, Bytes: b})
	if err != nil {
		panic(err)
	}
	return out
}

// A party signs by hand.
type party struct {
	key  sm.Signer
	cert *pki.Certificate
}

func (c *city) value(key sm.Signer, message []byte) asn1.BitString {
	c.tb.Helper()
	rs, err := key.Sign(c.tb.Context(), message)
	if err != nil {
		c.tb.Fatal(err)
	}
	b, err := sm.RawToDER(rs)
	if err != nil {
		c.tb.Fatal(err)
	}
	return bits(b)
}

// A document is a seal signature made by hand. Each field is what it says; the signatures over it are right.
type document struct {
	c                *city
	version          int // of the seal and, unless 0, of toSign
	maker, signer    party
	typ              int
	picture          string
	listed           []*pki.Certificate
	list             any // nil: certificates of listed
	created          time.Time
	from, to, time   time.Time
	timeInfo         []byte // version 1: the whole element; nil: BIT STRING of a UTCTime
	sealExt, signExt []byte
	algorithm        asn1.ObjectIdentifier
	sealToken        []byte
	bare             bool // the signature value is r‖s
	placeholder      bool // version 1: the list has a text in place of a certificate
	token            bool
}

func (c *city) document(version int) document {
	return document{
		c: c, version: version, maker: party{c.maker.Signer, c.maker.Certificate}, signer: party{c.holder.Signer, c.holder.Certificate},
		typ: 1, picture: "png", listed: c.spec.Signers, created: certstest.Epoch, from: c.spec.From, to: c.spec.To,
		time: certstest.Epoch.Add(time.Minute), algorithm: sm2WithSM3, token: version != 1,
	}
}

func (c *city) seal1() document { return c.document(1) }

// der writes the seal.
func (d document) der() []byte {
	tb := d.c.tb
	tb.Helper()
	certs := [][]byte{}
	for _, c := range d.listed {
		certs = append(certs, c.Raw)
	}
	var property []byte
	if d.version == 1 {
		list := der(tb, certs)
		if d.placeholder {
			list = []byte{0x30, 3, 0x16, 1, '1'}
		}
		property = der(tb, derProperty1{d.typ, d.c.spec.Name, raw(list), d.created, d.from, d.to})
	} else {
		p := derProperty4{d.typ, d.c.spec.Name, 1, raw(der(tb, certs)), d.created, d.from, d.to}
		if d.list != nil {
			p.ListType, p.List = 2, raw(der(tb, d.list))
		}
		property = der(tb, p)
	}
	i := derInfo{
		Header: derHeader{"ES", d.version, "elsewhere"}, ID: "E-1", Property: raw(property),
		Picture: derPicture{d.picture, d.c.spec.Picture.Data, 40, 40}, Ext: raw(d.sealExt),
	}
	info := der(tb, i)
	if d.version == 1 {
		var s derSeal1
		s.Info = raw(info)
		s.SignInfo.Certificate, s.SignInfo.Algorithm = d.maker.cert.Raw, d.algorithm
		s.SignInfo.Value = d.c.value(d.maker.key, der(tb, struct {
			Info        asn1.RawValue
			Certificate []byte
			Algorithm   asn1.ObjectIdentifier
		}{raw(info), d.maker.cert.Raw, d.algorithm}))
		return der(tb, s)
	}
	s := derSeal4{Info: raw(info), Certificate: d.maker.cert.Raw, Algorithm: d.algorithm, Value: d.c.value(d.maker.key, info)}
	if d.sealToken != nil {
		s.TimeStamp = bits(d.sealToken)
	}
	return der(tb, s)
}

// signed writes the signature around the seal.
func (d document) signed() []byte {
	tb := d.c.tb
	tb.Helper()
	hash := sm.Digest(xml)
	if d.version == 1 {
		when := d.timeInfo
		if when == nil {
			when = der(tb, bits(der(tb, struct{ T time.Time }{d.time})[2:]))
		}
		toSign := der(tb, derToSign1{1, raw(d.der()), raw(when), bits(hash[:]), path, d.signer.cert.Raw, d.algorithm})
		return der(tb, derSignature1{raw(toSign), d.c.value(d.signer.key, toSign)})
	}
	toSign := der(tb, derToSign4{d.version, raw(d.der()), d.time, bits(hash[:]), path, raw(d.signExt)})
	s := derSignature4{ToSign: raw(toSign), Certificate: d.signer.cert.Raw, Algorithm: d.algorithm, Value: d.c.value(d.signer.key, toSign)}
	if d.bare {
		rs, err := sm.DERToRaw(s.Value.Bytes)
		if err != nil {
			tb.Fatal(err)
		}
		s.Value = bits(rs)
	}
	if d.token {
		token, err := stamp(tb.Context(), s.Value.Bytes)
		if err != nil {
			tb.Fatal(err)
		}
		s.TimeStamp = bits(token)
	}
	return der(tb, s)
}

func disagree(*ecdsa.PublicKey, []byte, []byte) error { return second.ErrDisagree }

// The other library reads what was made and writes the same bytes again.
func TestOtherLibraryAgrees(t *testing.T) {
	c := newCity(t)
	for _, digests := range []bool{false, true} {
		c.spec.Digests = digests
		c.holder.Seal = c.make(c.spec)
		s := c.sign()
		var outer derSignature4
		var toSign derToSign4
		var inner derSeal4
		var info derInfo
		var property derProperty4
		for _, x := range []struct {
			der  func() []byte
			into any
		}{
			{func() []byte { return s.Raw }, &outer},
			{func() []byte { return outer.ToSign.FullBytes }, &toSign},
			{func() []byte { return toSign.Seal.FullBytes }, &inner},
			{func() []byte { return inner.Info.FullBytes }, &info},
			{func() []byte { return info.Property.FullBytes }, &property},
		} {
			if rest, err := asn1.Unmarshal(x.der(), x.into); err != nil || len(rest) > 0 {
				t.Fatalf("%T: %v", x.into, err)
			}
		}
		for _, x := range []struct{ want, got []byte }{
			{s.Raw, der(t, outer)}, {s.Signed, der(t, toSign)}, {s.Seal.Raw, der(t, inner)}, {s.Seal.Signed, der(t, info)},
		} {
			if string(x.want) != string(x.got) {
				t.Errorf("written again:\n%x\n%x", x.want, x.got)
			}
		}
		if property.ListType != int(s.Seal.Signers.ListType) || property.Name != c.spec.Name {
			t.Errorf("%+v", property)
		}
	}
}
