package seal

import (
	"encoding/asn1"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"oncegate/certs/der"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// version is what we write: GB/T 38540-2020.
const version = 4

// sm2WithSM3 is the algorithm of every signature that we make.
var sm2WithSM3 = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 501}

// A builder writes DER; it has the few shapes that seals are made of.
type builder struct{ *cryptobyte.Builder }

func (b builder) in(t der.Tag, write func(builder)) {
	b.AddASN1(t, func(b *cryptobyte.Builder) { write(builder{b}) })
}

func (b builder) sequence(write func(builder)) { b.in(der.Sequence, write) }

func (b builder) text(t der.Tag, s string) { b.in(t, func(b builder) { b.AddBytes([]byte(s)) }) }

// build returns what write writes.
func build(write func(builder)) ([]byte, error) {
	b := builder{new(cryptobyte.Builder)}
	write(b)
	out, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	return out, nil
}

// marshalInfo writes SES_SealInfo.
func marshalInfo(vid string, s Spec, created time.Time) ([]byte, error) {
	return build(func(b builder) {
		b.sequence(func(b builder) {
			b.sequence(func(b builder) {
				b.text(der.IA5String, "ES")
				b.AddASN1Int64(version)
				b.text(der.IA5String, vid)
			})
			b.text(der.IA5String, s.ID)
			b.sequence(func(b builder) {
				b.AddASN1Int64(s.Type)
				b.text(der.UTF8String, s.Name)
				b.signers(s.Signers, s.Digests)
				b.AddASN1GeneralizedTime(created)
				b.AddASN1GeneralizedTime(s.From.UTC())
				b.AddASN1GeneralizedTime(s.To.UTC())
			})
			b.sequence(func(b builder) {
				b.text(der.IA5String, s.Picture.Type)
				b.AddASN1OctetString(s.Picture.Data)
				b.AddASN1Int64(s.Picture.Width)
				b.AddASN1Int64(s.Picture.Height)
			})
		})
	})
}

// signers writes certListType and certList.
func (b builder) signers(certs []*pki.Certificate, digests bool) {
	if !digests {
		b.AddASN1Int64(1)
		b.sequence(func(b builder) {
			for _, c := range certs {
				b.AddASN1OctetString(c.Raw)
			}
		})
		return
	}
	b.AddASN1Int64(2)
	b.sequence(func(b builder) {
		for _, c := range certs {
			d := sm.Digest(c.Raw)
			b.sequence(func(b builder) {
				b.text(der.PrintableString, DigestType)
				b.AddASN1OctetString(d[:])
			})
		}
	})
}

// marshalSeal writes SESeal.
func marshalSeal(info, certificate, value []byte) ([]byte, error) {
	return build(func(b builder) {
		b.sequence(func(b builder) {
			b.AddBytes(info)
			b.signed(certificate, value)
		})
	})
}

// signed writes certificate, algorithm and signature value.
func (b builder) signed(certificate, value []byte) {
	b.AddASN1OctetString(certificate)
	b.AddASN1ObjectIdentifier(sm2WithSM3)
	b.AddASN1BitString(value)
}

// marshalToSign writes TBS_Sign.
func marshalToSign(seal []byte, at time.Time, dataHash []byte, propertyInfo string, extensions []Extension) ([]byte, error) {
	return build(func(b builder) {
		b.sequence(func(b builder) {
			b.AddASN1Int64(version)
			b.AddBytes(seal)
			b.AddASN1GeneralizedTime(at)
			b.AddASN1BitString(dataHash)
			b.text(der.IA5String, propertyInfo)
			if len(extensions) > 0 {
				b.in(der.Explicit(0), func(b builder) { b.extensions(extensions) })
			}
		})
	})
}

// extensions writes ExtensionDatas.
func (b builder) extensions(list []Extension) {
	b.sequence(func(b builder) {
		for _, x := range list {
			b.sequence(func(b builder) {
				b.AddASN1ObjectIdentifier(x.ID)
				if x.Critical {
					b.AddASN1Boolean(true)
				}
				b.AddASN1OctetString(x.Value)
			})
		}
	})
}

// marshalSignature writes SES_Signature.
func marshalSignature(toSign, certificate, value, token []byte) ([]byte, error) {
	return build(func(b builder) {
		b.sequence(func(b builder) {
			b.AddBytes(toSign)
			b.signed(certificate, value)
			if token != nil {
				b.in(der.Explicit(0), func(b builder) { b.AddASN1BitString(token) })
			}
		})
	})
}
