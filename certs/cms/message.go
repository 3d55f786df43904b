package cms

import (
	"encoding/asn1"
	"math/big"
	"time"

	"oncegate/certs/pki"
)

// A Message is a SignedData taken apart. Nothing in it is verified. Its slices lie in the bytes that were parsed.
type Message struct {
	Dialect      Dialect               // by the outer content type
	Version      int                   // CMSVersion; 1 in GB/T 35275
	ContentType  asn1.ObjectIdentifier // of the content: [Dialect.Data], or what a protocol says, such as a time stamp
	Content      []byte                // nil when Detached
	Detached     bool                  //
	Certificates []*pki.Certificate    // in the order sent; whose they are, nobody has said yet
	CRLs         [][]byte              // DER CertificateLists
	OCSP         [][]byte              // DER OCSPResponses (RFC 5940)
	Signers      []Signer              //
}

// A Signer is one SignerInfo.
type Signer struct {
	Version            int
	Issuer             []byte // DER of the issuer's name; nil when KeyID is set
	Serial             *big.Int
	KeyID              []byte                // subject key identifier, instead of issuer and serial number
	DigestAlgorithm    asn1.ObjectIdentifier //
	SignatureAlgorithm asn1.ObjectIdentifier // digestEncryptionAlgorithm in GB/T 35275
	Signed             []Attribute           // empty: the signature covers the content itself
	Unsigned           []Attribute           // nobody vouches for these, such as a time stamp added later
	Signature          []byte                // SM2Signature in DER (GM/T 0009), or as the algorithm has it

	attributes []byte // content octets of the set of signed attributes, as sent
}

// attribute returns the value of the signed attribute of a type.
func (s *Signer) attribute(of asn1.ObjectIdentifier) ([]byte, bool) {
	for _, a := range s.Signed {
		if a.Type.Equal(of) {
			return a.Value, true
		}
	}
	return nil, false
}

// SigningTime is when the signer says it signed; nobody else does. False when the signed attributes do not tell.
func (s *Signer) SigningTime() (time.Time, bool) {
	v, ok := s.attribute(oidSigningTime)
	if !ok {
		return time.Time{}, false
	}
	var at time.Time
	if rest, err := asn1.Unmarshal(v, &at); err != nil || len(rest) > 0 {
		return time.Time{}, false
	}
	return at.UTC(), true
}

// TimeStamp is the token over the signature that stands beside it, nil if there is none. Nothing in it is verified.
func (s *Signer) TimeStamp() []byte {
	for _, a := range s.Unsigned {
		if a.Type.Equal(oidTimeStamp) {
			return a.Value
		}
	}
	return nil
}

// identifies tells whether the signer says that c is its certificate.
func (s *Signer) identifies(c *pki.Certificate) bool {
	if s.KeyID != nil {
		return string(s.KeyID) == string(c.SubjectKeyId)
	}
	return string(s.Issuer) == string(c.RawIssuer) && s.Serial.Cmp(c.SerialNumber) == 0
}
