// Package pki is a small SM2 certificate authority, and a verifier of SM2 certificate chains (RFC 5280, GM/T 0015).
//
// Certificates follow GM/T 0015: signature 1.2.156.10197.1.501 (SM2 with SM3), SPKI id-ecPublicKey with parameter
// 1.2.156.10197.1.301, key usage, subject and authority key identifiers. The subject names who and what for:
// O the organisation's Chinese name, organizationIdentifier (2.5.4.97) its USCC (统一社会信用代码), OU the one usage of
// the key.
package pki

import (
	"crypto/ecdsa"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/der"
	"oncegate/certs/sm"
)

// Certificate is a parsed certificate; others read its Raw, NotBefore and NotAfter.
type Certificate = smx509.Certificate

// Usages that stand in subject OU. A key has one.
const (
	Call    = "call"
	License = "license"
	Log     = "log"
	Seal    = "seal"
	Status  = "status"
	Attest  = "attest"
	// TimeStamp is for a time-stamping authority (时间戳服务). Its certificate also carries the critical extended key usage of
	// RFC 3161 section 2.3, and its key signs nothing but tokens.
	TimeStamp = "timestamp"
	// SealMaker is for who makes electronic seals (制章者), GB/T 38540. Whoever holds such a key decides who may use which seal.
	SealMaker = "seal-maker"
	// OCSP is for a delegated responder (RFC 6960 section 4.2.2.2): its certificate carries the extended key usage
	// id-kp-OCSPSigning and id-pkix-ocsp-nocheck, and its key signs nothing but answers on revocation.
	OCSP = "ocsp"
	// Encryption is for the second certificate of a pair (双证书中的加密证书): keyEncipherment, dataEncipherment and
	// keyAgreement instead of the bits that sign. The authority keeps a copy of such keys, so they never sign.
	Encryption = "encryption"
)

// organizationIdentifier is the subject attribute that carries the USCC, X.520 clause 6.4.4.
var organizationIdentifier = asn1.ObjectIdentifier{2, 5, 4, 97}

// Why a chain does not hold. Each failure of [Verifier.Chain] is exactly one of these, or one that is [verdict.Undecided].
var (
	ErrMalformed     = errors.New("certificate cannot be read")
	ErrExpired       = errors.New("certificate has expired")
	ErrNotYetValid   = errors.New("certificate is not valid yet")
	ErrUnknownAnchor = errors.New("certificate does not lead to a trusted anchor")
	ErrBadSignature  = errors.New("certificate signature does not verify")
	ErrConstraints   = errors.New("certificate authority constraints are broken")
	ErrWrongUsage    = errors.New("certificate is for another usage")
	ErrNoUSCC        = errors.New("certificate names no organisation code")
	ErrBadAnchor     = errors.New("not a trust anchor")
	ErrRevoked       = errors.New("certificate was revoked")
)

// Leaf is what a verified chain says about its end-entity certificate.
type Leaf struct {
	USCC         string // subject organizationIdentifier
	Usage        string // subject OU, or as the anchor's [UsageRule] says
	Organization string // subject O
	CommonName   string
	Public       *ecdsa.PublicKey
	NotBefore    time.Time // of the leaf alone
	NotAfter     time.Time
	Fingerprint  string // [Fingerprint] of the leaf
	Anchor       string // [Fingerprint] of the anchor it leads to
}

// maxCertificate bounds a certificate in bytes.
const maxCertificate = 16 << 10

// Parse reads one DER certificate with an SM2 key.
func Parse(der []byte) (*Certificate, error) {
	if len(der) > maxCertificate {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, maxCertificate)
	}
	c, err := smx509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return c, nil
}

// ParsePEM reads every CERTIFICATE block of text, in order; at least one.
func ParsePEM(text []byte) ([]*Certificate, error) {
	blocks, err := der.Blocks(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	var certs []*Certificate
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%w: a PEM block is %s", ErrMalformed, block.Type)
		}
		c, err := Parse(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%w: no PEM certificate", ErrMalformed)
	}
	return certs, nil
}

// MarshalPEM writes certificates as PEM, in order.
func MarshalPEM(certs ...*Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// DER returns the certificates' bytes, in order: the form of x5c and of keystore chains.
func DER(certs ...*Certificate) [][]byte {
	out := make([][]byte, len(certs))
	for i, c := range certs {
		out[i] = c.Raw
	}
	return out
}

// ParseChain reads DER certificates, leaf first; at least one, at most maxChain.
func ParseChain(chain [][]byte) ([]*Certificate, error) {
	if len(chain) == 0 || len(chain) > maxChain {
		return nil, fmt.Errorf("%w: chain of %d", ErrMalformed, len(chain))
	}
	certs := make([]*Certificate, len(chain))
	for i, der := range chain {
		c, err := Parse(der)
		if err != nil {
			return nil, err
		}
		certs[i] = c
	}
	return certs, nil
}

// Fingerprint is the SM3 of the DER in lower-case hex, as "openssl x509 -fingerprint -sm3" prints it without colons.
func Fingerprint(c *Certificate) string {
	d := sm.Digest(c.Raw)
	return hex.EncodeToString(d[:])
}

// publicKey returns the certificate's SM2 key.
func publicKey(c *Certificate) (*ecdsa.PublicKey, error) {
	pub, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: key is not SM2", ErrMalformed)
	}
	if err := sm.CheckPublicKey(pub); err != nil {
		return nil, fmt.Errorf("%w: key is not SM2", ErrMalformed)
	}
	return pub, nil
}
