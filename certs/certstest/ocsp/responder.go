// Package ocsp is an OCSP responder (RFC 6960) for tests. Package revocation is the client: it asks responders and verifies their
// answers.
package ocsp

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/sm"
)

// A Responder is an OCSP responder: it answers questions about the certificates of one authority over HTTP (RFC 6960 appendix A: GET and POST).
// Issuer, Signer and Lookup are required. It is safe for concurrent use once its fields stand.
type Responder struct {
	// Issuer is the authority whose certificates are asked about.
	Issuer *pki.Certificate
	// Signer signs the answers: the authority's key, or that of Certificate.
	Signer sm.Signer
	// Certificate appoints the signer: issued by Issuer for [pki.OCSP]. nil when the authority signs itself.
	Certificate *pki.Certificate
	// Lookup says what is known of a serial number: its State, and Time and Reason if it is revoked. fs.ErrNotExist for a
	// number that was never given; the answer is then "unknown".
	Lookup func(ctx context.Context, serial *big.Int) (revocation.Status, error)
	// Valid is how long an answer counts; zero means one hour.
	Valid time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// VerifyBoth checks every signature before it leaves; nil means [sm.Verify]. Give it [second.VerifyBoth].
	VerifyBoth sm.VerifyFunc
}

// FromList is a Lookup from a list, for an authority that keeps no other record: a certificate that is not in it is good.
func FromList(l *revocation.List) func(context.Context, *big.Int) (revocation.Status, error) {
	return func(_ context.Context, serial *big.Int) (revocation.Status, error) {
		if e, found := l.Lookup(serial); found {
			return revocation.Status{State: revocation.Revoked, Time: e.Time, Reason: e.Reason}, nil
		}
		return revocation.Status{State: revocation.Good}, nil
	}
}

// ServeHTTP answers one question. Mount it with http.StripPrefix where GET is wanted: the path is the question.
func (r *Responder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	der, err := question(w, q)
	if err != nil {
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "an OCSP request by GET or POST", http.StatusMethodNotAllowed)
		return
	}
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	at := now().UTC().Truncate(time.Second)
	answer, request, err := r.answer(q.Context(), der, at)
	if err != nil {
		refusal := revocation.InternalError
		errors.As(err, &refusal)
		answer, _ = asn1.Marshal(ocspResponse{Status: asn1.Enumerated(refusal)})
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	if err == nil && q.Method == http.MethodGet && len(request.Nonce) == 0 { // RFC 5019 section 6.2
		w.Header().Set("Cache-Control", fmt.Sprintf("max-age=%d, public, no-transform, must-revalidate", int(r.valid().Seconds())))
		w.Header().Set("Last-Modified", at.Format(http.TimeFormat))
		w.Header().Set("Expires", at.Add(r.valid()).Format(http.TimeFormat))
	} else {
		w.Header().Set("Cache-Control", "no-store")
	}
	_, _ = w.Write(answer) // who hung up needs no answer
}

// question takes the request out of a POST's body or a GET's path. Only a wrong method is an error; what cannot be decoded
// is an empty question, which is malformed.
func question(w http.ResponseWriter, q *http.Request) ([]byte, error) {
	switch q.Method {
	case http.MethodPost:
		body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxRequest))
		if err != nil {
			return nil, nil
		}
		return body, nil
	case http.MethodGet:
		path, err := url.PathUnescape(strings.TrimPrefix(q.URL.EscapedPath(), "/"))
		if err != nil || len(path) > 2*maxRequest {
			return nil, nil
		}
		der, _ := base64.StdEncoding.DecodeString(strings.ReplaceAll(path, " ", "+"))
		return der, nil
	}
	return nil, http.ErrNotSupported
}

func (r *Responder) valid() time.Duration {
	if r.Valid == 0 {
		return time.Hour
	}
	return r.Valid
}

// answer makes an OCSPResponse; its error is an ErrorStatus, or internal.
func (r *Responder) answer(ctx context.Context, der []byte, at time.Time) ([]byte, revocation.Request, error) {
	request, err := parseRequest(der)
	if err != nil {
		return nil, request, revocation.MalformedRequest
	}
	data := responseData{Produced: at}
	for _, id := range request.IDs {
		if !names(id, r.Issuer) {
			return nil, request, revocation.Unauthorized // RFC 5019 section 2.2.3: not ours to answer
		}
		s, err := r.Lookup(ctx, id.Serial)
		if errors.Is(err, fs.ErrNotExist) {
			s, err = revocation.Status{State: revocation.Unknown}, nil
		}
		if err != nil {
			return nil, request, revocation.TryLater
		}
		data.Answers = append(data.Answers, r.single(id, s, at))
	}
	if len(request.Nonce) > 0 {
		e, err := nonceExtension(request.Nonce)
		if err != nil {
			return nil, request, err
		}
		data.Extensions = []pkix.Extension{e}
	}
	out, err := r.sign(ctx, data)
	return out, request, err
}

func (r *Responder) single(id revocation.CertID, s revocation.Status, at time.Time) singleResponse {
	a := singleResponse{ID: certID(id), This: at, Next: at.Add(r.valid())}
	switch s.State {
	case revocation.Good:
		a.Good = true
	case revocation.Revoked:
		a.Revoked = revokedInfo{s.Time.UTC().Truncate(time.Second), asn1.Enumerated(s.Reason)}
	default:
		a.Unknown = true
	}
	return a
}

func (r *Responder) sign(ctx context.Context, data responseData) ([]byte, error) {
	signer := r.Issuer
	if r.Certificate != nil {
		signer = r.Certificate
	}
	id, err := revocation.NewCertID(signer, signer.SerialNumber, revocation.SHA1)
	if err != nil {
		return nil, err
	}
	hash, err := asn1.Marshal(id.KeyHash)
	if err != nil {
		return nil, err
	}
	data.Responder = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, IsCompound: true, Bytes: hash}
	if data.Raw, err = asn1.Marshal(data); err != nil {
		return nil, err
	}
	rs, err := r.Signer.Sign(ctx, data.Raw)
	if err != nil {
		return nil, err
	}
	confirm := r.VerifyBoth
	if confirm == nil {
		confirm = sm.Verify
	}
	pub, err := pki.PublicKey(signer)
	if err != nil {
		return nil, err
	}
	if err := confirm(pub, data.Raw, rs); err != nil {
		return nil, fmt.Errorf("%w: %w", revocation.ErrBadSignature, err)
	}
	signature, err := sm.RawToDER(rs)
	if err != nil {
		return nil, err
	}
	out := basicResponse{
		TBS: data, Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidSM2SM3},
		Signature: asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	}
	if r.Certificate != nil {
		out.Certs = []asn1.RawValue{{FullBytes: r.Certificate.Raw}}
	}
	basic, err := asn1.Marshal(out)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(ocspResponse{Bytes: responseBytes{oidBasic, basic}})
}

// names reports whether an id is of a certificate that issuer gave.
func names(id revocation.CertID, issuer *pki.Certificate) bool {
	for _, h := range []revocation.Hash{revocation.SM3, revocation.SHA1, revocation.SHA256} {
		want, err := revocation.NewCertID(issuer, id.Serial, h)
		if err == nil && id.Algorithm.Algorithm.Equal(want.Algorithm.Algorithm) {
			return bytes.Equal(id.NameHash, want.NameHash) && bytes.Equal(id.KeyHash, want.KeyHash)
		}
	}
	return false
}
