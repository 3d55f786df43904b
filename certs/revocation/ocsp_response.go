package revocation

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"iter"
	"slices"
	"time"

	"oncegate/certs/pki"
)

// maxResponse bounds an answer: one certificate's takes about 1 KB, with the responder's own certificate.
const (
	maxResponse   = 64 << 10
	maxAnswers    = 64
	maxResponders = 8 // certificates in an answer
)

// A Response is what a responder signed, RFC 6960 section 4.2; [Response.Verify] says whether to believe it.
type Response struct {
	Raw      []byte // BasicOCSPResponse, DER
	Produced time.Time
	Nonce    []byte // empty: none
	tbs      responseData
	sm2      bool // is signed with SM2 and SM3
	sign     []byte
	certs    []*pki.Certificate
}

// ErrorStatus is a responder's refusal (OCSPResponseStatus), RFC 6960 section 4.2.1.
type ErrorStatus int

// Refusals.
const (
	MalformedRequest ErrorStatus = 1
	InternalError    ErrorStatus = 2
	TryLater         ErrorStatus = 3
	SigRequired      ErrorStatus = 5
	Unauthorized     ErrorStatus = 6
)

func (s ErrorStatus) Error() string {
	name, ok := map[ErrorStatus]string{
		MalformedRequest: "malformedRequest", InternalError: "internalError", TryLater: "tryLater",
		SigRequired: "sigRequired", Unauthorized: "unauthorized",
	}[s]
	if !ok {
		name = fmt.Sprintf("status %d", int(s))
	}
	return "the responder refused: " + name
}

// Unwrap makes every refusal an ErrUnavailable.
func (s ErrorStatus) Unwrap() error { return ErrUnavailable }

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

// ParseResponse reads an OCSPResponse as it comes over HTTP. A refusal is an [ErrorStatus].
func ParseResponse(der []byte) (*Response, error) {
	if len(der) > maxResponse {
		return nil, malformed("the answer is larger than %d bytes", maxResponse)
	}
	var in ocspResponse
	if err := unmarshalOnly(der, &in); err != nil {
		return nil, err
	}
	if in.Status != 0 {
		return nil, ErrorStatus(in.Status)
	}
	if !in.Bytes.Type.Equal(oidBasic) {
		return nil, malformed("the answer is of a type that is not known")
	}
	return ParseBasic(in.Bytes.Response)
}

// ParseBasic reads a BasicOCSPResponse, as it is kept in [Evidence].
func ParseBasic(der []byte) (*Response, error) {
	if len(der) > maxResponse {
		return nil, malformed("the answer is larger than %d bytes", maxResponse)
	}
	var in basicResponse
	if err := unmarshalOnly(der, &in); err != nil {
		return nil, err
	}
	if in.TBS.Version != 0 || len(in.TBS.Answers) == 0 || len(in.TBS.Answers) > maxAnswers || len(in.Certs) > maxResponders {
		return nil, malformed("the answer is of another version, or says nothing, or too much")
	}
	if err := known(in.TBS.Extensions, oidNonce); err != nil {
		return nil, err
	}
	r := &Response{Raw: der, Produced: in.TBS.Produced, tbs: in.TBS, sign: in.Signature.Bytes}
	r.sm2 = in.Algorithm.Algorithm.Equal(oidSM2SM3) && in.Signature.BitLength == 8*len(r.sign)
	for _, a := range in.TBS.Answers {
		if err := a.check(); err != nil {
			return nil, err
		}
	}
	for _, raw := range in.Certs {
		c, err := pki.Parse(raw.FullBytes)
		if err != nil {
			return nil, malformed("a certificate in the answer")
		}
		r.certs = append(r.certs, c)
	}
	var err error
	r.Nonce, err = nonceOf(in.TBS.Extensions)
	return r, err
}

func (a singleResponse) check() error {
	said := 0
	for _, is := range []bool{bool(a.Good), bool(a.Unknown), !a.Revoked.Time.IsZero()} {
		if is {
			said++
		}
	}
	if said != 1 || a.ID.Serial == nil || !a.Next.IsZero() && a.Next.Before(a.This) {
		return malformed("an answer says nothing, or two things, or ends before it begins")
	}
	return known(a.Extensions)
}

// Status says what the answer says of a certificate at a moment. The caller has verified the answer under c's issuer.
func (r *Response) Status(c, issuer *pki.Certificate, at time.Time) (Status, error) {
	err := fmt.Errorf("%w: it answers for another one", ErrScope)
	for a := range r.about(c, issuer) {
		s := a.status(at)
		if s.State == Revoked && s.Reason != pki.OnHold {
			return s, nil // a revocation does not wear off
		}
		if err = speaksOf(c, a.This, a.Next, at); err == nil {
			return s, nil
		}
	}
	return Status{}, err
}

// about gives the answers about a certificate. The issuer is hashed once for each algorithm, however many answers name it.
func (r *Response) about(c, issuer *pki.Certificate) iter.Seq[singleResponse] {
	return func(yield func(singleResponse) bool) {
		var known [len(allHashes)]CertID
		for _, a := range r.tbs.Answers {
			id := CertID(a.ID)
			i := slices.Index(allHashes[:], id.hash())
			if i < 0 || id.Serial.Cmp(c.SerialNumber) != 0 {
				continue
			}
			if known[i].Serial == nil {
				known[i], _ = NewCertID(issuer, c.SerialNumber, allHashes[i]) // without a readable key it equals none
			}
			if id.equal(known[i]) && !yield(a) {
				return
			}
		}
	}
}

func (a singleResponse) status(at time.Time) Status {
	s := Status{State: Good, By: OCSP, This: a.This, Next: a.Next}
	switch {
	case bool(a.Unknown):
		s.State = Unknown
	case !bool(a.Good):
		s = s.settle(a.Revoked.Time, at, pki.Reason(a.Revoked.Reason))
	}
	return s
}
