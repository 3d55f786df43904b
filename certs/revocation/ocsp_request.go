package revocation

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
)

// Limits of questions. Ours ask about one certificate; a nonce has 1 to 32 octets (RFC 8954), or up to 128 (RFC 9654).
const (
	maxRequest  = 8 << 10
	maxAsked    = 32
	maxNonce    = 128
	nonceLength = 32
)

var (
	oidNonce = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidBasic = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
)

// A Request asks a responder about certificates, RFC 6960 section 4.1. Signed requests are read; their signature is not.
type Request struct {
	IDs   []CertID
	Nonce []byte // empty: none
}

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
type certID CertID

// Marshal writes a request as DER.
func (r Request) Marshal() ([]byte, error) {
	var out ocspRequest
	for _, id := range r.IDs {
		out.TBS.List = append(out.TBS.List, singleRequest{ID: certID(id)})
	}
	if len(r.Nonce) > 0 {
		e, err := nonceExtension(r.Nonce)
		if err != nil {
			return nil, err
		}
		out.TBS.Extensions = []pkix.Extension{e}
	}
	return asn1.Marshal(out)
}

func nonceExtension(nonce []byte) (pkix.Extension, error) {
	value, err := asn1.Marshal(nonce)
	return pkix.Extension{Id: oidNonce, Value: value}, err
}

// ParseRequest reads a request of at most 8 KiB and 32 certificates.
func ParseRequest(der []byte) (Request, error) {
	if len(der) > maxRequest {
		return Request{}, malformed("the request is larger than %d bytes", maxRequest)
	}
	var in ocspRequest
	if err := unmarshal(der, &in); err != nil {
		return Request{}, err
	}
	if in.TBS.Version != 0 || len(in.TBS.List) == 0 || len(in.TBS.List) > maxAsked {
		return Request{}, malformed("the request is of another version, or asks nothing, or too much")
	}
	var r Request
	for _, s := range in.TBS.List {
		if err := known(s.Extensions); err != nil {
			return Request{}, err
		}
		r.IDs = append(r.IDs, CertID(s.ID))
	}
	if err := known(in.TBS.Extensions, oidNonce); err != nil {
		return Request{}, err
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
			return malformed("a critical extension that is not known")
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

// unmarshal reads exactly one DER value.
func unmarshal(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err != nil || len(rest) > 0 {
		return malformed("it is no DER of the right form")
	}
	return nil
}

// unmarshalOnly is unmarshal for bytes that must be the only encoding: encoding/asn1 passes over further members, and over
// what an explicit tag says of its length.
func unmarshalOnly[T any](der []byte, into *T) error {
	if err := unmarshal(der, into); err != nil {
		return err
	}
	if again, err := asn1.Marshal(*into); err != nil || !bytes.Equal(again, der) {
		return malformed("it is not the only DER of its kind")
	}
	return nil
}
