// Package timestamp asks for, makes and verifies time stamps (时间戳): RFC 3161 and GB/T 20520, with SM3 imprints and tokens
// signed with SM2.
//
// A stamp proves that a digest existed at a time; over the value of a signature it proves when, at the latest, was signed,
// so that the signature outlives its certificate. [Client] asks an authority over HTTP, [Authority] is a small one for tests
// and closed networks, [Verifier] judges a token by itself, years later and without network.
package timestamp

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oncegate/certs/cms"
	"oncegate/certs/der"
)

// ErrMalformed says that bytes are no request, response or token in strict DER.
var ErrMalformed = errors.New("time stamp cannot be read")

const (
	// maxQuery bounds a request in bytes; it holds one digest.
	maxQuery = 4 << 10
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
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(i.Algorithm) })
		b.AddASN1OctetString(i.Digest)
	})
}

func readImprint(in *cryptobyte.String) (i Imprint, ok bool) {
	var body, algorithm, null, digest cryptobyte.String
	var present bool
	ok = in.ReadASN1(&body, casn1.SEQUENCE) && body.ReadASN1(&algorithm, casn1.SEQUENCE) &&
		algorithm.ReadASN1ObjectIdentifier(&i.Algorithm) && algorithm.ReadOptionalASN1(&null, &present, casn1.NULL) && algorithm.Empty() &&
		body.ReadASN1(&digest, casn1.OCTET_STRING) && body.Empty() && len(digest) <= 64
	i.Digest = digest
	return i, ok
}

// open checks that b is one SEQUENCE in strict DER of at most limit bytes and returns its content.
func open(b []byte, limit int) (cryptobyte.String, error) {
	if len(b) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, limit)
	}
	if err := der.Check(b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	in, body := cryptobyte.String(b), cryptobyte.String(nil)
	if !in.ReadASN1(&body, casn1.SEQUENCE) {
		return nil, errMember("outermost sequence")
	}
	return body, nil
}

func errMember(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }
