package pki

import (
	"crypto/x509/pkix"
	"encoding/asn1"

	"github.com/emmansun/gmsm/smx509"
)

// The bits of keyUsage (RFC 5280 section 4.2.1.3) that the two certificates of a pair (双证书) carry.
const (
	signs    = smx509.KeyUsageDigitalSignature
	encrypts = smx509.KeyUsageKeyEncipherment | smx509.KeyUsageDataEncipherment | smx509.KeyUsageKeyAgreement
)

// noCheck is id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1): a responder's certificate that is not itself asked about.
var noCheck = pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: asn1.NullBytes}

// keyUsage is what our authority lets a key of a usage do.
func keyUsage(usage string) smx509.KeyUsage {
	switch usage {
	case Call:
		return signs
	case Encryption:
		return encrypts
	}
	// Licenses, seals, lists, checkpoints and attestations bind their signer (抗抵赖).
	return signs | smx509.KeyUsageContentCommitment
}

// allows tells whether a certificate lets its key be used so: the bits that encrypt for [Encryption], those that sign for
// everything else.
func allows(c *Certificate, usage string) bool {
	if usage == Encryption {
		return c.KeyUsage&encrypts != 0
	}
	return c.KeyUsage&signs != 0
}

// IsSigning tells whether a certificate is the signing one of a pair: it may sign.
func IsSigning(c *Certificate) bool { return allows(c, "") }

// IsEncryption tells whether a certificate is the encryption one of a pair: others may encrypt to it.
func IsEncryption(c *Certificate) bool { return allows(c, Encryption) }

// NoCheck tells whether a responder's certificate says that it is not itself asked about.
func NoCheck(c *Certificate) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(noCheck.Id) {
			return true
		}
	}
	return false
}
