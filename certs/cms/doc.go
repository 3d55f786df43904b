// Package cms makes, reads and verifies signed messages (签名数据, SignedData) with SM2 and SM3: GB/T 35275 (GM/T 0010)
// and, in the same structure with other object identifiers, RFC 5652.
//
// A message is attached (its content inside) or detached, and its signature covers either the content octets themselves or
// a set of signed attributes that hold the content's digest. Signatures are SM2 with SM3, user id 1234567812345678, in
// both cases over the message and not over a digest of it: over the value of the content's OCTET STRING, or over the DER
// SET of attributes (GB/T 35275 clause 8, RFC 5652 section 5.4).
//
// [Sign] writes strict DER. [Parse] reads nothing else, within bounds. [Verifier] reports each step apart.
package cms

import (
	"encoding/asn1"
	"errors"
	"math/big"
	"time"

	"oncegate/certs/pki"
)

const (
	// MaxSize bounds a message in bytes: an office document fits, and parsing copies nothing of it.
	MaxSize = 16 << 20
	// maxSigners bounds the signatures of one message; each costs a verification.
	maxSigners = 16
	// maxCertificates bounds the certificates inside: a chain for every signer.
	maxCertificates = 64
	// maxEvidence bounds the revocation lists and OCSP answers inside, each kind.
	maxEvidence = 64
	// maxAttributes bounds the attributes of a signer, signed and unsigned each.
	maxAttributes = 64
)

// ErrMalformed says that bytes are no SignedData in strict DER, or exceed a limit.
var ErrMalformed = errors.New("signed message cannot be read")

// Dialect is the family of object identifiers that names content types.
type Dialect int

const (
	// GM is GB/T 35275 (GM/T 0010): 1.2.156.10197.6.1.4.2.1 data, .2 signedData.
	GM Dialect = iota
	// RFC is RFC 5652: 1.2.840.113549.1.7.1 data, .2 signedData.
	RFC
)

func (d Dialect) String() string {
	if d == RFC {
		return "RFC 5652"
	}
	return "GB/T 35275"
}

// Data is the content type of plain octets in d.
func (d Dialect) Data() asn1.ObjectIdentifier {
	if d == RFC {
		return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	}
	return asn1.ObjectIdentifier{1, 2, 156, 10197, 6, 1, 4, 2, 1}
}

func (d Dialect) signedData() asn1.ObjectIdentifier {
	if d == RFC {
		return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	}
	return asn1.ObjectIdentifier{1, 2, 156, 10197, 6, 1, 4, 2, 2}
}

// Object identifiers GM/T 0006, RFC 5652 section 11, RFC 5035, RFC 5816, RFC 5126, RFC 5940.
var (
	// SM3 is the digest algorithm, GM/T 0006.
	SM3 = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 401}

	oidSM2Sign    = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301, 1} // written in GB/T 35275
	oidSM2WithSM3 = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 501}    // written in RFC 5652; others write it in both

	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidSigningCert   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidTimeStamp     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14} // signatureTimeStampToken, RFC 5126 section 6.1.1
	oidOCSPResponse  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 16, 2}         // id-ri-ocsp-response
)

// An Attribute is one attribute of a signer, signed or not.
type Attribute struct {
	Type  asn1.ObjectIdentifier
	Value []byte // DER of its only value
}

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
