package cms

import (
	"crypto/sha1"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"

	"oncegate/certs/der"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// errUnbound says that a signature could be taken for one under another certificate of the same key.
var errUnbound = errors.New("the signed attributes do not name the certificate (signingCertificate, RFC 5035), and must")

// errOtherCertificate says that the signer bound its signature to another certificate.
var errOtherCertificate = errors.New("the signed attributes name another certificate")

// signingCertificateV2 is SigningCertificateV2 of RFC 5035 section 3, with one certificate and SM3.
type signingCertificateV2 struct{ Certs []essCertIDv2 }

type essCertIDv2 struct {
	HashAlgorithm pkix.AlgorithmIdentifier
	CertHash      []byte
}

func signingCertificate(c *pki.Certificate) signingCertificateV2 {
	d := sm.Digest(c.Raw)
	return signingCertificateV2{[]essCertIDv2{{pkix.AlgorithmIdentifier{Algorithm: SM3}, d[:]}}}
}

// bound checks c against the attributes signingCertificate and signingCertificateV2, where they are. Only their first
// entry matters: it is the signer's (RFC 2634 section 5.4). The SHA-1 of the older one is compared all the same: forging it
// needs a second preimage among certificates that lead to an anchor.
func (s *Signer) bound(c *pki.Certificate) (stated bool, err error) {
	if v, ok := s.attribute(oidSigningCertV2); ok {
		stated = true
		if err := bound(v, c, sha256Algorithm); err != nil {
			return true, err
		}
	}
	if v, ok := s.attribute(oidSigningCert); ok {
		stated = true
		if err := bound(v, c, nil); err != nil {
			return true, err
		}
	}
	return stated, nil
}

// ofCertificate is the reason where the attribute is malformed.
const ofCertificate = "signing certificate attribute"

// bound checks c against the first entry of the attribute value v. A nil standard means the older attribute: SHA-1, and no
// algorithm stated.
func bound(v []byte, c *pki.Certificate, standard asn1.ObjectIdentifier) error {
	in := der.Read(v, ErrMalformed)
	list := in.Sequence(ofCertificate)
	certs := list.Sequence(ofCertificate)
	id := certs.Sequence(ofCertificate)
	algorithm := standard
	if standard != nil && id.Is(der.Sequence) {
		algorithm = id.Algorithm("algorithm")
	}
	hash := id.Octets(ofCertificate)
	issuerSerial, has := id.Optional(der.Sequence, ofCertificate)
	id.End(ofCertificate)
	if err := in.Err(); err != nil {
		return err
	}
	var digest []byte
	if standard == nil {
		d := sha1.Sum(c.Raw)
		digest = d[:]
	} else {
		h, err := NewHash(algorithm)
		if err != nil {
			return err
		}
		h.Write(c.Raw)
		digest = h.Sum(nil)
	}
	if string(digest) != string(hash) || has && !isIssuerSerial(&issuerSerial, c) {
		return errOtherCertificate
	}
	return nil
}

// isIssuerSerial checks IssuerSerial of RFC 5035 section 5: the issuer as one directory name, and the serial number.
func isIssuerSerial(in *der.Cursor, c *pki.Certificate) bool {
	names := in.Sequence(ofCertificate)
	serial := in.BigInt(ofCertificate)
	in.End(ofCertificate)
	name := names.Content(der.Explicit(4), ofCertificate)
	names.End(ofCertificate)
	return in.Err() == nil && string(name) == string(c.RawIssuer) && serial.Cmp(c.SerialNumber) == 0
}
