package cms

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"oncegate/certs/der"
)

const (
	tag0 = der.Tag(0xa0) // [0], constructed
	tag1 = der.Tag(0xa1)
)

// marshal writes the message. Sets are sorted, as DER wants.
func (m *Message) marshal() ([]byte, error) {
	algorithms, certs, evidence, signers := [][]byte{}, [][]byte{}, [][]byte{}, [][]byte{}
	for _, s := range m.Signers {
		a, err := asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: s.DigestAlgorithm}) // no parameters, not even NULL
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(algorithms, func(b []byte) bool { return bytes.Equal(a, b) }) {
			algorithms = append(algorithms, a)
		}
		info, err := s.marshal()
		if err != nil {
			return nil, err
		}
		signers = append(signers, info)
	}
	for _, c := range m.Certificates {
		certs = append(certs, c.Raw)
	}
	for _, b := range m.CRLs {
		if err := der.Check(b); err != nil {
			return nil, fmt.Errorf("revocation list: %w", err)
		}
		evidence = append(evidence, b)
	}
	for _, b := range m.OCSP {
		if err := der.Check(b); err != nil {
			return nil, fmt.Errorf("ocsp answer: %w", err)
		}
		other, err := asn1.Marshal(oidOCSPResponse)
		if err != nil {
			return nil, err
		}
		evidence = append(evidence, tlv(tag1, append(other, b...)))
	}

	var b cryptobyte.Builder
	b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(m.Dialect.signedData())
		b.AddASN1(tag0, func(b *cryptobyte.Builder) {
			b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(m.version())
				addSet(b, der.Set, algorithms)
				b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(m.ContentType)
					if !m.Detached {
						b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(m.Content) })
					}
				})
				if len(certs) > 0 {
					addSet(b, tag0, certs)
				}
				if len(evidence) > 0 {
					addSet(b, tag1, evidence)
				}
				addSet(b, der.Set, signers)
			})
		})
	})
	return b.Bytes()
}

// version is 1 in GB/T 35275 and as RFC 5652 section 5.1 computes it there.
func (m *Message) version() int64 {
	switch {
	case m.Dialect == GM:
		return 1
	case len(m.OCSP) > 0:
		return 5
	case !m.ContentType.Equal(m.Dialect.Data()):
		return 3
	}
	return 1
}

func (s *Signer) marshal() ([]byte, error) {
	unsigned, err := marshalAttributes(s.Unsigned)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(int64(s.Version))
		if s.KeyID != nil {
			b.AddASN1(der.Context(0), func(b *cryptobyte.Builder) { b.AddBytes(s.KeyID) })
		} else {
			b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
				b.AddBytes(s.Issuer)
				b.AddASN1BigInt(s.Serial)
			})
		}
		addAlgorithm(b, s.DigestAlgorithm)
		if len(s.Signed) > 0 {
			b.AddBytes(tlv(tag0, s.attributes))
		}
		addAlgorithm(b, s.SignatureAlgorithm)
		b.AddASN1OctetString(s.Signature)
		if len(unsigned) > 0 {
			b.AddBytes(tlv(tag1, unsigned))
		}
	})
	return b.Bytes()
}

func addAlgorithm(b *cryptobyte.Builder, of asn1.ObjectIdentifier) {
	b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(of) })
}

// addSet adds elements as a SET OF, or one under an implicit tag.
func addSet(b *cryptobyte.Builder, tag der.Tag, elements [][]byte) {
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(sorted(elements)) })
}

// sorted concatenates elements in the order of X.690 clause 11.6.
func sorted(elements [][]byte) []byte {
	return bytes.Join(slices.SortedFunc(slices.Values(elements), bytes.Compare), nil)
}

// marshalAttributes returns the content octets of the SET OF attributes.
func marshalAttributes(attributes []Attribute) ([]byte, error) {
	elements := make([][]byte, len(attributes))
	for i, a := range attributes {
		if err := der.Check(a.Value); err != nil {
			return nil, fmt.Errorf("attribute %v: %w", a.Type, err)
		}
		var b cryptobyte.Builder
		b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(a.Type)
			b.AddASN1(der.Set, func(b *cryptobyte.Builder) { b.AddBytes(a.Value) })
		})
		var err error
		if elements[i], err = b.Bytes(); err != nil {
			return nil, err
		}
	}
	return sorted(elements), nil
}

// tlv puts a tag and a length before content.
func tlv(tag der.Tag, content []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	return b.BytesOrPanic() // fails only beyond 2^32 bytes
}
