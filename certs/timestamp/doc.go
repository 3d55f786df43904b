// Package timestamp is the client and verifier of time stamps (时间戳): RFC 3161 and GB/T 20520, with SM3 imprints and tokens
// signed with SM2.
//
// A stamp proves that a digest existed at a time; over the value of a signature it proves when, at the latest, was signed,
// so that the signature outlives its certificate. [Client] asks an authority over HTTP; [Verifier] verifies a token by itself, years
// later and without network.
package timestamp

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"oncegate/certs/cms"
	"oncegate/certs/der"
)

// ErrMalformed says that bytes are no request, response or token in strict DER.
var ErrMalformed = errors.New("time stamp cannot be read")

const (
	// maxReply bounds a response in bytes: a token with a chain has about 4 KiB, with revocation lists inside many more.
	maxReply = 1 << 20
	// maxNonce bounds serial numbers and nonces in bytes; RFC 3161 section 2.4.2 asks for 160 bits.
	maxInteger = 64
)

// SM3 is the imprint algorithm of GB/T 20520 with GM/T 0006.
var SM3 = cms.SM3

// SHA256 is the imprint algorithm that authorities abroad know.
var SHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}

// An Imprint is what is stamped: a digest and how it was made.
type Imprint struct {
	Algorithm asn1.ObjectIdentifier
	Digest    []byte
}

// ImprintOf digests data: with SM3, SHA-256, SHA-384 or SHA-512.
func ImprintOf(algorithm asn1.ObjectIdentifier, data []byte) (Imprint, error) {
	h, err := cms.NewHash(algorithm)
	if err != nil {
		return Imprint{}, err
	}
	h.Write(data)
	return Imprint{algorithm, h.Sum(nil)}, nil
}

// Equal tells whether two imprints are the same.
func (i Imprint) Equal(other Imprint) bool {
	return i.Algorithm.Equal(other.Algorithm) && bytes.Equal(i.Digest, other.Digest)
}

func (i Imprint) add(b *cryptobyte.Builder) {
	b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
		b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(i.Algorithm) })
		b.AddASN1OctetString(i.Digest)
	})
}

func readImprint(in *der.Cursor) (i Imprint) {
	body := in.Sequence("message imprint")
	i.Algorithm = body.Algorithm("message imprint")
	if i.Digest = body.Octets("message imprint"); len(i.Digest) > 64 {
		body.Fail("message imprint")
	}
	body.End("message imprint")
	return i
}

// open checks that b is one SEQUENCE in strict DER of at most limit bytes and returns its content.
func open(b []byte, limit int) (der.Cursor, error) {
	if len(b) > limit {
		return der.Cursor{}, fmt.Errorf("%w: more than %d bytes", ErrMalformed, limit)
	}
	if err := der.Check(b); err != nil {
		return der.Cursor{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	in := der.Read(b, ErrMalformed)
	body := in.Sequence("outermost sequence")
	return body, in.Err()
}

func errMember(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }
