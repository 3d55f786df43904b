package ocsp

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	"oncegate/certs/revocation"
)

// Limits of questions: as package revocation reads answers.
const (
	maxRequest    = 8 << 10
	maxAsked      = 32
	maxNonce      = 128
	maxExtensions = 32
)

var (
	oidNonce  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidBasic  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidSM2SM3 = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 501}
)

type ocspRequest struct {
	TBS       tbsRequest
	Signature asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

type tbsRequest struct {
	Version    int           `asn1:"explicit,tag:0,default:0,optional"`
	Requestor  asn1.RawValue `asn1:"explicit,tag:1,optional"`
	List       []singleRequest
	Extensions []pkix.Extension `asn1:"explicit,tag:2,optional"`
}

type singleRequest struct {
	ID         certID
	Extensions []pkix.Extension `asn1:"explicit,tag:0,optional"`
}

// certID is CertID in the order of the wire.
type certID revocation.CertID

type ocspResponse struct {
	Status asn1.Enumerated
	Bytes  responseBytes `asn1:"explicit,tag:0,optional"`
}

type responseBytes struct {
	Type     asn1.ObjectIdentifier
	Response []byte
}

type basicResponse struct {
	TBS       responseData
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
	Certs     []asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

type responseData struct {
	Raw        asn1.RawContent
	Version    int           `asn1:"explicit,tag:0,default:0,optional"`
	Responder  asn1.RawValue // [1] name or [2] key
	Produced   time.Time     `asn1:"generalized"`
	Answers    []singleResponse
	Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

type singleResponse struct {
	ID         certID
	Good       asn1.Flag        `asn1:"tag:0,optional"`
	Revoked    revokedInfo      `asn1:"tag:1,optional"`
	Unknown    asn1.Flag        `asn1:"tag:2,optional"`
	This       time.Time        `asn1:"generalized"`
	Next       time.Time        `asn1:"generalized,explicit,tag:0,optional"`
	Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

type revokedInfo struct {
	Time   time.Time       `asn1:"generalized"`
	Reason asn1.Enumerated `asn1:"explicit,tag:0,optional"`
}

// parseRequest reads a request of at most 8 KiB and 32 certificates.
func parseRequest(der []byte) (revocation.Request, error) {
	if len(der) > maxRequest {
		return revocation.Request{}, malformed("the request is larger than %d bytes", maxRequest)
	}
	var in ocspRequest
	if err := unmarshal(der, &in); err != nil {
		return revocation.Request{}, err
	}
	if in.TBS.Version != 0 || len(in.TBS.List) == 0 || len(in.TBS.List) > maxAsked {
		return revocation.Request{}, malformed("the request is of another version, or asks nothing, or too much")
	}
	var r revocation.Request
	for _, s := range in.TBS.List {
		if err := known(s.Extensions); err != nil {
			return revocation.Request{}, err
		}
		r.IDs = append(r.IDs, revocation.CertID(s.ID))
	}
	if err := known(in.TBS.Extensions, oidNonce); err != nil {
		return revocation.Request{}, err
	}
	var err error
	r.Nonce, err = nonceOf(in.TBS.Extensions)
	return r, err
}

// known refuses critical extensions other than those given, and too many.
func known(list []pkix.Extension, ids ...asn1.ObjectIdentifier) error {
	if len(list) > maxExtensions {
		return malformed("too many extensions")
	}
	for _, e := range list {
		if e.Critical && !slices.ContainsFunc(ids, e.Id.Equal) {
			return malformed("unknown critical extension")
		}
	}
	return nil
}

// nonceOf finds the nonce: an OCTET STRING inside the extension's own. Old clients leave the inner one out.
func nonceOf(list []pkix.Extension) (nonce []byte, err error) {
	for _, e := range list {
		if !e.Id.Equal(oidNonce) {
			continue
		}
		if nonce != nil {
			return nil, malformed("two nonces")
		}
		if unmarshal(e.Value, &nonce) != nil {
			nonce = e.Value
		}
		if len(nonce) == 0 || len(nonce) > maxNonce {
			return nil, malformed("a nonce of %d bytes", len(nonce))
		}
	}
	return nonce, nil
}

func nonceExtension(nonce []byte) (pkix.Extension, error) {
	value, err := asn1.Marshal(nonce)
	return pkix.Extension{Id: oidNonce, Value: value}, err
}

// unmarshal reads exactly one DER value.
func unmarshal(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err != nil || len(rest) > 0 {
		return malformed("it is no DER of the right form")
	}
	return nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", revocation.ErrMalformed, fmt.Sprintf(format, args...))
}
