// Package sm provides the SM2 and SM3 primitives: SM3 digests, HMAC-SM3, SM2 signatures and SM2 public keys, each in one
// encoding only.
//
// A signature is r‖s, 64 bytes, SM2 (GB/T 32918.2) with SM3 (GB/T 32905) over the message itself, user id
// "1234567812345678". A public key is the uncompressed point 04‖x‖y, 65 bytes, or SPKI PEM. Base64 is base64url
// without padding. Nothing else is accepted, so that one value has one encoding.
package sm

import (
	"crypto/hmac"
	"hash"

	"oncegate/canonical"

	"github.com/emmansun/gmsm/sm3"
)

// Algorithm is the private JOSE name of SM2 with SM3 as this package signs it. No registered name exists.
const Algorithm = "SM2SM3"

// UserID is the SM2 user id (用户标识) of every signature, GM/T 0009 clause 10.
const UserID = "1234567812345678"

// DigestSize is the length of an SM3 digest in bytes.
const DigestSize = sm3.Size

// New returns a running SM3 hash.
func New() hash.Hash { return sm3.New() }

// Digest returns SM3 over the parts, concatenated. Where part boundaries carry meaning, the caller must delimit them.
func Digest(parts ...[]byte) [DigestSize]byte {
	if len(parts) == 1 {
		return sm3.Sum(parts[0])
	}
	h := sm3.New()
	for _, p := range parts {
		h.Write(p)
	}
	var d [DigestSize]byte
	h.Sum(d[:0])
	return d
}

// HMAC returns HMAC-SM3 (GM/T 0042) under key over the parts, concatenated. Compare results with [hmac.Equal].
func HMAC(key []byte, parts ...[]byte) [DigestSize]byte {
	h := hmac.New(sm3.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	var d [DigestSize]byte
	h.Sum(d[:0])
	return d
}

// B64 returns base64url without padding (RFC 4648 section 5).
func B64(b []byte) string { return canonical.Base64(b) }

// DigestB64 is B64 of Digest: the form in which digests stand in records and tokens.
func DigestB64(parts ...[]byte) string {
	d := Digest(parts...)
	return B64(d[:])
}

// ParseB64 decodes base64url without padding, strictly: one value has exactly one text.
func ParseB64(s string) ([]byte, error) { return canonical.ParseBase64(s) }
