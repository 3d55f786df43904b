package pki_test

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// attribute is one text of a name under a type of the test's choice.
func attribute(t *testing.T, arc, tag int, text string) []byte {
	t.Helper()
	b, err := asn1.Marshal([]any{asn1.ObjectIdentifier{2, 5, 4, arc}, asn1.RawValue{Tag: tag, Bytes: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: b})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// A certificate whose names declare their texts wrongly is read when asked for, holds in its chain, and stays byte by byte
// what it was.
func TestForeignNames(t *testing.T) {
	w := certstest.New(t, "foreign")
	for name, c := range map[string]struct {
		tag  int
		text string
	}{
		"Chinese in an IA5String":      {asn1.TagIA5String, "电子邮箱"},
		"at sign in a PrintableString": {asn1.TagPrintableString, "a@example.cn"},
		"GBK in a UTF8String":          {asn1.TagUTF8String, "\xb5\xe7\xd7\xd3"},
	} {
		var subject []byte
		subject = append(subject, attribute(t, 10, asn1.TagUTF8String, "示例局")...)
		subject = append(subject, attribute(t, 11, asn1.TagUTF8String, pki.Seal)...)
		subject = append(subject, attribute(t, 97, asn1.TagUTF8String, uscc)...)
		subject = append(subject, attribute(t, 3, c.tag, c.text)...)
		raw, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: subject})
		if err != nil {
			t.Fatal(err)
		}
		template := &pki.Certificate{
			SerialNumber: big.NewInt(7), RawSubject: raw, Subject: pkix.Name{}, NotBefore: certstest.Epoch, NotAfter: certstest.Epoch.Add(time.Hour),
			KeyUsage: smx509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		}
		der, err := smx509.CreateCertificate(nil, template, w.Intermediate.Certificate(), w.Signer("x").Public(),
			sm.CryptoSigner{Ctx: context.Background(), Signer: w.Signer("ca-sub")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pki.Parse(der); !errors.Is(err, pki.ErrMalformed) {
			t.Errorf("%s: the test's certificate is in order: %v", name, err)
		}
		before := bytes.Clone(der)
		got, err := pki.ParseForeign(der)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(der, before) || !bytes.Equal(got.Raw, der) || !bytes.Equal(got.RawSubject, raw) || !bytes.Contains(der, got.RawTBSCertificate) {
			t.Errorf("%s: bytes changed", name)
		}
		if leaf, err := w.Trust().Chain(got, w.Intermediate.Chain(), certstest.Epoch, pki.Seal); err != nil || leaf.USCC != uscc {
			t.Errorf("%s: %v", name, err)
		}
		der[len(der)-1] ^= 1
		if got, err = pki.ParseForeign(der); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Trust().Chain(got, w.Intermediate.Chain(), certstest.Epoch, pki.Seal); !errors.Is(err, pki.ErrBadSignature) {
			t.Errorf("%s, changed: %v", name, err)
		}
	}
	for _, b := range [][]byte{nil, {0x30, 0}, bytes.Repeat([]byte{0x30, 0x80}, 100)} {
		if _, err := pki.ParseForeign(b); !errors.Is(err, pki.ErrMalformed) {
			t.Error(err)
		}
	}
}
