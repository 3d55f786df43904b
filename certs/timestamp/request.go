package timestamp

import (
	"encoding/asn1"
	"errors"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A Request is TimeStampReq, RFC 3161 section 2.4.1.
type Request struct {
	Imprint      Imprint
	Policy       asn1.ObjectIdentifier // nil: the authority's choice
	Nonce        *big.Int              // nil: none; then only clocks tell a replay
	Certificates bool                  // certReq: the token shall hold the authority's certificates
	Extended     bool                  // read only: the request has extensions, of which this package knows none
}

// errVersion says that a request is not of version 1, the only one.
var errVersion = errors.New("another version than 1")

// Marshal returns the request in DER.
func (r Request) Marshal() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		r.Imprint.add(b)
		if r.Policy != nil {
			b.AddASN1ObjectIdentifier(r.Policy)
		}
		if r.Nonce != nil {
			b.AddASN1BigInt(r.Nonce)
		}
		if r.Certificates {
			b.AddASN1Boolean(true)
		}
	})
	return b.Bytes()
}

// ParseRequest reads a request. Errors are ErrMalformed.
func ParseRequest(b []byte) (r Request, err error) {
	in, err := open(b, maxQuery)
	if err != nil {
		return r, err
	}
	var version int
	if !in.ReadASN1Integer(&version) {
		return r, errMember("version")
	}
	if version != 1 {
		return r, errors.Join(ErrMalformed, errVersion)
	}
	var ok bool
	if r.Imprint, ok = readImprint(&in); !ok {
		return r, errMember("message imprint")
	}
	if in.PeekASN1Tag(casn1.OBJECT_IDENTIFIER) && !in.ReadASN1ObjectIdentifier(&r.Policy) {
		return r, errMember("policy")
	}
	if r.Nonce, ok = readInteger(&in); !ok {
		return r, errMember("nonce")
	}
	if in.PeekASN1Tag(casn1.BOOLEAN) && (!in.ReadASN1Boolean(&r.Certificates) || !r.Certificates) { // DER writes no default
		return r, errMember("certificate request")
	}
	var extensions cryptobyte.String
	if !in.ReadOptionalASN1(&extensions, &r.Extended, casn1.Tag(0).ContextSpecific().Constructed()) || !in.Empty() {
		return r, errMember("extensions")
	}
	return r, nil
}

// readInteger takes an INTEGER if the next value is one. Nil and true: it is not.
func readInteger(in *cryptobyte.String) (*big.Int, bool) {
	if !in.PeekASN1Tag(casn1.INTEGER) {
		return nil, true
	}
	n := new(big.Int)
	ok := in.ReadASN1Integer(n) && n.BitLen() <= 8*maxInteger
	return n, ok
}
