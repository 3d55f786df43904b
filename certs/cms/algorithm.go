package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

var (
	sha256Algorithm = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	sha384Algorithm = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	sha512Algorithm = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}

	oidRSA   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1} // .1 rsaEncryption, .11 to .13 with SHA-2
	oidECDSA = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3}  // .2 to .4 with SHA-2
)

// Why a signature is not accepted.
var (
	errAlgorithm    = errors.New("the algorithm is not accepted")
	errSignature    = errors.New("the signature does not belong to the content and the certificate's key")
	errForeign      = fmt.Errorf("%w: only SM2 with SM3 is", errAlgorithm)
	errShortModulus = fmt.Errorf("%w: an RSA key shorter than 2048 bits", errAlgorithm)
)

// NewHash returns the hash of a digest algorithm: SM3, SHA-256, SHA-384 or SHA-512.
func NewHash(of asn1.ObjectIdentifier) (hash.Hash, error) {
	switch {
	case of.Equal(SM3):
		return sm.New(), nil
	case of.Equal(sha256Algorithm):
		return sha256.New(), nil
	case of.Equal(sha384Algorithm):
		return sha512.New384(), nil
	case of.Equal(sha512Algorithm):
		return sha512.New(), nil
	}
	return nil, fmt.Errorf("%w: digest %v", errAlgorithm, of)
}

// check verifies the signature over message. The key's kind decides, never the message's word alone: both must agree. note is
// what is unusual about a signature that holds.
func (s *Signer) check(c *pki.Certificate, message []byte, verify sm.VerifyFunc, foreign bool) (note string, err error) {
	if pub, ok := c.PublicKey.(*ecdsa.PublicKey); ok && sm.CheckPublicKey(pub) == nil {
		return s.checkSM2(pub, message, verify)
	}
	if !foreign {
		return "", errForeign
	}
	return "", s.checkForeign(c, message)
}

func (s *Signer) checkSM2(pub *ecdsa.PublicKey, message []byte, verify sm.VerifyFunc) (note string, err error) {
	if !s.DigestAlgorithm.Equal(SM3) || !s.SignatureAlgorithm.Equal(oidSM2Sign) && !s.SignatureAlgorithm.Equal(oidSM2WithSM3) {
		return "", errForeign
	}
	rs, bare, err := sm.ReadSignature(s.Signature)
	if err != nil {
		return "", err
	}
	switch err := verify(pub, message, rs); {
	case check.Undecided(err):
		return "", err
	case err != nil:
		return "", fmt.Errorf("%w: %w", errSignature, err)
	case bare:
		return "the signature value is bare r‖s, not DER", nil
	}
	return "", nil
}

// checkForeign verifies RSA (PKCS #1 v1.5) and ECDSA with SHA-2, as authorities abroad sign.
func (s *Signer) checkForeign(c *pki.Certificate, message []byte) error {
	h, err := NewHash(s.DigestAlgorithm)
	if err != nil {
		return err
	}
	kind, arc, ok := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[h.Size()], 0, !s.DigestAlgorithm.Equal(SM3)
	if n := len(s.SignatureAlgorithm) - 1; n > 0 {
		arc = s.SignatureAlgorithm[n]
	}
	h.Write(message)
	digest := h.Sum(nil)
	switch pub := c.PublicKey.(type) {
	case *rsa.PublicKey:
		want := map[crypto.Hash]int{crypto.SHA256: 11, crypto.SHA384: 12, crypto.SHA512: 13}[kind]
		if !ok || !under(oidRSA, s.SignatureAlgorithm) || arc != 1 && arc != want {
			return errAlgorithm
		}
		if pub.N.BitLen() < 2048 {
			return errShortModulus
		}
		if rsa.VerifyPKCS1v15(pub, kind, digest, s.Signature) != nil {
			return errSignature
		}
		return nil
	case *ecdsa.PublicKey:
		want := map[crypto.Hash]int{crypto.SHA256: 2, crypto.SHA384: 3, crypto.SHA512: 4}[kind]
		if !ok || !under(oidECDSA, s.SignatureAlgorithm) || arc != want {
			return errAlgorithm
		}
		if !ecdsa.VerifyASN1(pub, digest, s.Signature) {
			return errSignature
		}
		return nil
	}
	return errAlgorithm
}

// under tells whether id is one arc below prefix.
func under(prefix, id asn1.ObjectIdentifier) bool {
	return len(id) == len(prefix)+1 && id[:len(prefix)].Equal(prefix)
}
