package revocation

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// A Hash names certificates in questions to responders. It protects nothing; both sides must know it.
type Hash string

// Hashes. Responders outside China mostly know SHA-1 only (RFC 5019 section 2.1.1), those of licensed authorities SM3.
const (
	SM3    Hash = "sm3"
	SHA1   Hash = "sha1"
	SHA256 Hash = "sha256"
)

var hashes = map[Hash]struct {
	oid asn1.ObjectIdentifier
	sum func([]byte) []byte
}{
	SM3:    {asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 401}, func(b []byte) []byte { d := sm.Digest(b); return d[:] }},
	SHA1:   {asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, func(b []byte) []byte { d := sha1.Sum(b); return d[:] }},
	SHA256: {asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, func(b []byte) []byte { d := sha256.Sum256(b); return d[:] }},
}

// CertID names a certificate by its issuer and serial number, RFC 6960 section 4.1.1.
type CertID struct {
	Algorithm pkix.AlgorithmIdentifier
	NameHash  []byte // of the issuer's name, DER
	KeyHash   []byte // of the issuer's key, the BIT STRING's content
	Serial    *big.Int
}

// NewCertID names the certificate of a serial number that issuer gave.
func NewCertID(issuer *pki.Certificate, serial *big.Int, h Hash) (CertID, error) {
	hash, ok := hashes[h]
	key := keyBits(issuer)
	if !ok || key == nil || serial == nil {
		return CertID{}, malformed("hash %q, or the issuer's key", h)
	}
	return CertID{
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: hash.oid, Parameters: asn1.NullRawValue},
		NameHash:  hash.sum(issuer.RawSubject), KeyHash: hash.sum(key), Serial: serial,
	}, nil
}

// allHashes are those that are known.
var allHashes = [...]Hash{SM3, SHA1, SHA256}

// hash is the hash of the id; empty if it is not known.
func (id CertID) hash() Hash {
	for _, name := range allHashes {
		if id.Algorithm.Algorithm.Equal(hashes[name].oid) {
			return name
		}
	}
	return ""
}

// equal tells whether two ids, made with the same hash, name one certificate.
func (id CertID) equal(other CertID) bool {
	return id.Serial != nil && other.Serial != nil && id.Serial.Cmp(other.Serial) == 0 &&
		bytes.Equal(id.NameHash, other.NameHash) && bytes.Equal(id.KeyHash, other.KeyHash)
}

// of tells whether the id is of the certificate with a serial number by issuer.
func (id CertID) of(issuer *pki.Certificate, serial *big.Int) bool {
	want, err := NewCertID(issuer, serial, id.hash())
	return err == nil && id.equal(want)
}

// keyBits is the content of subjectPublicKey; nil if it cannot be read.
func keyBits(c *pki.Certificate) []byte {
	spki := cryptobyte.String(c.RawSubjectPublicKeyInfo)
	var body, algorithm cryptobyte.String
	var bits []byte
	if !spki.ReadASN1(&body, tag.SEQUENCE) || !body.ReadASN1(&algorithm, tag.SEQUENCE) || !body.ReadASN1BitStringAsBytes(&bits) {
		return nil
	}
	return bits
}
