package office

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/asn1"
	"fmt"
	"path"
	"strings"
	"time"

	"oncegate/certs/cms"
	"oncegate/certs/ofd"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/sheet"
)

// Vendors are documents as other software makes them, all right.
func (o *Office) Vendors() []Case {
	o.tb.Helper()
	plain := o.Write(Document(o.Identifier(USCC)))
	good := o.SealBy(plain, o.Holder)
	box, half := sheet.Box{X: 277, Y: 50, W: 40, H: 40}, sheet.Box{W: 20, H: 40}
	one := func(name string, pkg []byte) Case {
		return Case{Name: name, Files: map[string][]byte{First: pkg}}
	}
	return []Case{
		one("version 1", o.sign(plain, ofd.Signing{Seal: o.byHand(1), Stamps: []ofd.Stamp{{Box: box}}})),
		one("version 5", o.sign(plain, ofd.Signing{Seal: o.byHand(5), Stamps: []ofd.Stamp{{Box: box}}})),
		{Name: "without Seal.esl", Files: map[string][]byte{First: Edit(o.tb, good, without("Seal.esl"))}, Step: "signature[0]/signature-seal-file", State: check.NotCheckable},
		one("a riding seal", o.SealBy(plain, o.Holder, ofd.Stamp{Box: box, Clip: &half}, ofd.Stamp{Box: box, Clip: &half})),
		one("Type=Sign", o.SignBy(plain, o.Identity, cms.Config{Bare: true})),
		one("Type=Sign with attributes", o.SignBy(plain, o.Identity, cms.Config{})),
		one("several signatures", o.SignBy(good, o.Identity, cms.Config{})),
		{Name: "a list of entries", Files: map[string][]byte{First: o.listed()}, Step: "issuer-authority", State: check.NotCheckable}, // two signatures, neither over every file
	}
}

// without leaves out the files of a name.
func without(base string) func(string, []byte) []byte {
	return func(name string, data []byte) []byte {
		if path.Base(name) == base {
			return nil
		}
		return data
	}
}

// listed is a sealed package with the integrity description of GM/T 0099: a signed list of every file.
func (o *Office) listed() []byte {
	pkg := o.License()
	z, err := zip.NewReader(bytes.NewReader(pkg), int64(len(pkg)))
	o.must(err)
	var list strings.Builder
	for i, f := range z.File {
		fmt.Fprintf(&list, `<ofd:File ID="%d" FileLoc="/%s"/>`, i+2, f.Name)
	}
	entries := `<?xml version="1.0" encoding="UTF-8"?><ofd:DocEntries xmlns:ofd="http://www.ofdspec.org/2016" ID="1">` +
		`<ofd:SignedValueLoc>/signedvalue.dat</ofd:SignedValueLoc><ofd:FileList>` + list.String() + `</ofd:FileList></ofd:DocEntries>`
	digest := sm.Digest([]byte(entries))
	value, err := cms.Sign(o.tb.Context(), cms.Config{Bare: true}, digest[:], o.Identity)
	o.must(err)
	return Edit(o.tb, pkg, Same, "OFDEntries.xml", entries, "signedvalue.dat", string(value))
}

// byHand seals in the way of another version, written by another DER library.
func (o *Office) byHand(version int) ofd.SealFunc {
	return func(_ context.Context, digest [32]byte, path string) (value, esl []byte, err error) {
		esl = o.sealByHand(version)
		value = o.signedByHand(version, esl, digest, path)
		return value, esl, nil
	}
}

var sm2WithSM3 = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 501}

func (o *Office) der(v any) []byte {
	o.tb.Helper()
	b, err := asn1.Marshal(v)
	o.must(err)
	return b
}

func raw(b []byte) asn1.RawValue { return asn1.RawValue{FullBytes: b} }

func bits(b []byte) asn1.BitString { return asn1.BitString{Bytes: b, BitLength: 8 * len(b)} }

// value is a signature in DER.
func (o *Office) value(key sm.Signer, message []byte) asn1.BitString {
	o.tb.Helper()
	rs, err := key.Sign(o.tb.Context(), message)
	o.must(err)
	b, err := sm.RawToDER(rs)
	o.must(err)
	return bits(b)
}

type signInfo struct {
	Certificate []byte
	Algorithm   asn1.ObjectIdentifier
	Value       asn1.BitString
}

// sealByHand is a seal of version 1 or 5, GM/T 0031-2014 and -2025.
func (o *Office) sealByHand(version int) []byte {
	list := raw(o.der([][]byte{o.Holder.Certificate.Raw}))
	from, to := o.Now.AddDate(0, 0, -6), o.Now.AddDate(1, 0, 0)
	var property any = struct {
		Type              int
		Name              string `asn1:"utf8"`
		List              asn1.RawValue
		Created, From, To time.Time `asn1:"utc"`
	}{1, SealName, list, from, from, to}
	if version > 1 {
		property = struct {
			Type     int
			Name     string `asn1:"utf8"`
			ListType int
			List     asn1.RawValue
			Created  time.Time `asn1:"generalized"`
			From     time.Time `asn1:"generalized"`
			To       time.Time `asn1:"generalized"`
		}{1, SealName, 1, list, from, from, to}
	}
	type header struct {
		ID      string `asn1:"ia5"`
		Version int
		Vid     string `asn1:"ia5"`
	}
	type picture struct {
		Type          string `asn1:"ia5"`
		Data          []byte
		Width, Height int
	}
	info := raw(o.der(struct {
		Header   header
		ID       string `asn1:"ia5"`
		Property asn1.RawValue
		Picture  picture
	}{header{"ES", version, "elsewhere"}, "E-1", raw(o.der(property)), picture{"png", disc(o.tb), 40, 40}}))
	by := signInfo{Certificate: o.maker.Certificate.Raw, Algorithm: sm2WithSM3}
	if version == 1 {
		by.Value = o.value(o.maker.Signer, o.der(struct {
			Info        asn1.RawValue
			Certificate []byte
			Algorithm   asn1.ObjectIdentifier
		}{info, by.Certificate, by.Algorithm}))
		return o.der(struct {
			Info asn1.RawValue
			By   signInfo
		}{info, by})
	}
	by.Value = o.value(o.maker.Signer, info.FullBytes)
	token, err := o.Authority(from.Add(time.Hour)).Stamp(o.tb.Context(), by.Value.Bytes)
	o.must(err)
	return o.der(struct {
		Info        asn1.RawValue
		Certificate []byte
		Algorithm   asn1.ObjectIdentifier
		Value       asn1.BitString
		TimeStamp   asn1.BitString `asn1:"optional,explicit,tag:0"`
	}{info, by.Certificate, by.Algorithm, by.Value, bits(token)})
}

// signedByHand is a signature with such a seal.
func (o *Office) signedByHand(version int, esl []byte, digest [32]byte, path string) []byte {
	if version == 1 {
		toSign := o.der(struct {
			Version      int
			Seal         asn1.RawValue
			Time         asn1.BitString
			DataHash     asn1.BitString
			PropertyInfo string `asn1:"ia5"`
			Certificate  []byte
			Algorithm    asn1.ObjectIdentifier
		}{1, raw(esl), bits([]byte(o.Signed.Format("20060102150405Z"))), bits(digest[:]), path, o.Holder.Certificate.Raw, sm2WithSM3})
		return o.der(struct {
			ToSign asn1.RawValue
			Value  asn1.BitString
		}{raw(toSign), o.value(o.Holder.Signer, toSign)})
	}
	toSign := o.der(struct {
		Version      int
		Seal         asn1.RawValue
		Time         time.Time `asn1:"generalized"`
		DataHash     asn1.BitString
		PropertyInfo string `asn1:"ia5"`
	}{version, raw(esl), o.Signed, bits(digest[:]), path})
	return o.der(struct {
		ToSign      asn1.RawValue
		Certificate []byte
		Algorithm   asn1.ObjectIdentifier
		Value       asn1.BitString
	}{raw(toSign), o.Holder.Certificate.Raw, sm2WithSM3, o.value(o.Holder.Signer, toSign)})
}
