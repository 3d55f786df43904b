package revocation_test

import (
	"bytes"
	"context"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/certstest"
	"oncegate/certs/certstest/ocsp"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/sm"
)

// ask asks a responder by POST.
func ask(t testing.TB, r http.Handler, q revocation.Request) []byte {
	t.Helper()
	der, err := q.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(der)))
	return w.Body.Bytes()
}

func about(t *testing.T, issuer *pki.Certificate, serial *big.Int, h revocation.Hash) revocation.Request {
	t.Helper()
	id, err := revocation.NewCertID(issuer, serial, h)
	if err != nil {
		t.Fatal(err)
	}
	return revocation.Request{IDs: []revocation.CertID{id}}
}

func TestResponderAnswers(t *testing.T) {
	c := newCity(t, "answers", false, false)
	at := certstest.Epoch
	leaf, sub := c.path[0], c.path[1]
	unknown := *leaf
	unknown.SerialNumber = big.NewInt(77)
	for _, h := range []revocation.Hash{revocation.SM3, revocation.SHA1, revocation.SHA256} {
		for _, test := range []struct {
			name   string
			revoke time.Time
			cert   *pki.Certificate
			asked  time.Time
			want   revocation.State
			err    error
		}{
			{"good", time.Time{}, leaf, at, revocation.Good, nil},
			{"good, a little later", time.Time{}, leaf, at.Add(59 * time.Minute), revocation.Good, nil},
			{"over", time.Time{}, leaf, at.Add(2 * hour), "", revocation.ErrStale},
			{"never given", time.Time{}, &unknown, at, revocation.Unknown, nil},
			{"revoked", at.Add(-hour), leaf, at, revocation.Revoked, nil},
			{"revoked, years ago", at.Add(-hour), leaf, at.Add(1000 * dayLong), revocation.Revoked, nil},
			{"revoked after", at.Add(-hour), leaf, at.Add(-2 * hour), revocation.Good, nil},
		} {
			t.Run(string(h)+" "+test.name, func(t *testing.T) {
				c.set(func() { c.revoked = nil })
				if !test.revoke.IsZero() {
					c.revoke(test.revoke, pki.KeyCompromise)
				}
				q := about(t, sub, test.cert.SerialNumber, h)
				q.Nonce = []byte("0123456789abcdef")
				r, err := revocation.ParseResponse(ask(t, c.responder(c.Intermediate, "ca-sub"), q))
				if err != nil {
					t.Fatal(err)
				}
				responder, err := r.Verify(sub, nil)
				if err != nil || responder == nil || !pki.NoCheck(responder) {
					t.Fatal(err, responder)
				}
				if !bytes.Equal(r.Nonce, q.Nonce) || !r.Produced.Equal(at) {
					t.Error("nonce or time")
				}
				s, err := r.Status(test.cert, sub, test.asked)
				if !errors.Is(err, test.err) || err == nil && s.State != test.want {
					t.Fatalf("%+v, %v", s, err)
				}
				if s.State == revocation.Revoked && (!s.Time.Equal(test.revoke) || s.Reason != pki.KeyCompromise) {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

func TestResponderSignsItself(t *testing.T) {
	c := newCity(t, "itself", false, false)
	own := c.responder(c.Intermediate, "ca-sub")
	own.Certificate, own.Signer = nil, c.Signer("ca-sub")
	r, err := revocation.ParseResponse(ask(t, own, about(t, c.path[1], c.path[0].SerialNumber, revocation.SM3)))
	if err != nil {
		t.Fatal(err)
	}
	if responder, err := r.Verify(c.path[1], nil); err != nil || responder != nil {
		t.Error(responder, err)
	}
	if _, err := r.Verify(c.path[2], nil); !errors.Is(err, revocation.ErrResponder) {
		t.Errorf("for another authority: %v", err)
	}
}

// A responder can answer from a list.
func TestResponderFromList(t *testing.T) {
	c := newCity(t, "from-list", false, false)
	c.revoke(certstest.Epoch.Add(-hour), pki.Superseded)
	l, err := revocation.ParseList(c.list(c.Intermediate, 1, c.revoked))
	if err != nil {
		t.Fatal(err)
	}
	responder := c.responder(c.Intermediate, "ca-sub")
	responder.Lookup = ocsp.FromList(l)
	for _, test := range []struct {
		serial *big.Int
		want   revocation.State
	}{{c.path[0].SerialNumber, revocation.Revoked}, {big.NewInt(9), revocation.Good}} {
		of := *c.path[0]
		of.SerialNumber = test.serial
		r, err := revocation.ParseResponse(ask(t, responder, about(t, c.path[1], test.serial, revocation.SM3)))
		if err != nil {
			t.Fatal(err)
		}
		if s, err := r.Status(&of, c.path[1], certstest.Epoch); err != nil || s.State != test.want {
			t.Errorf("%+v, %v", s, err)
		}
	}
}

// Who may not answer for the authority is named, whatever the signature.
func TestResponderNotAppointed(t *testing.T) {
	c, stranger := newCity(t, "appointed", false, false), newCity(t, "stranger", false, false)
	signer := c.Signer("responder")
	certify := func(ca *pki.CA, usage string) *pki.Certificate {
		chain, err := ca.Issue(t.Context(), pki.Request{Organization: "示例", USCC: uscc, Usage: usage, CommonName: "r", Public: signer.Public()})
		if err != nil {
			t.Fatal(err)
		}
		return chain[0]
	}
	changed := func(change func(*pki.Certificate)) *pki.Certificate { return variant(t, c, signer, change) }
	appoint := func(x *pki.Certificate) { x.ExtKeyUsage = []smx509.ExtKeyUsage{smx509.ExtKeyUsageOCSPSigning} }
	for _, test := range []struct {
		name string
		cert *pki.Certificate
		want error
	}{
		{"appointed", certify(c.Intermediate, pki.OCSP), nil},
		{"appointed, asked about itself", changed(appoint), nil},
		{"not for answering", certify(c.Intermediate, pki.Status), revocation.ErrResponder},
		{"for time stamps", changed(func(x *pki.Certificate) { x.ExtKeyUsage = []smx509.ExtKeyUsage{smx509.ExtKeyUsageTimeStamping} }), revocation.ErrResponder},
		{"for anything", changed(func(x *pki.Certificate) { x.ExtKeyUsage = []smx509.ExtKeyUsage{smx509.ExtKeyUsageAny} }), revocation.ErrResponder},
		{"by the authority above", certify(c.Root, pki.OCSP), revocation.ErrResponder},
		{"by a stranger of the same name", certify(stranger.Intermediate, pki.OCSP), revocation.ErrResponder},
		{"expired", changed(func(x *pki.Certificate) { appoint(x); x.NotAfter = certstest.Epoch.Add(-time.Second) }), revocation.ErrResponder},
		{"not valid yet", changed(func(x *pki.Certificate) { appoint(x); x.NotBefore = certstest.Epoch.Add(time.Second) }), revocation.ErrResponder},
		{"may not sign", changed(func(x *pki.Certificate) { appoint(x); x.KeyUsage = smx509.KeyUsageKeyEncipherment }), revocation.ErrResponder},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := c.responder(c.Intermediate, "ca-sub")
			r.Signer, r.Certificate = signer, test.cert
			answer, err := revocation.ParseResponse(ask(t, r, about(t, c.path[1], c.path[0].SerialNumber, revocation.SHA1)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := answer.Verify(c.path[1], nil); !errors.Is(err, test.want) {
				t.Error(err)
			}
		})
	}
}

// variant is a certificate by the lower authority that it would never issue.
func variant(t *testing.T, c *city, signer sm.Signer, change func(*pki.Certificate)) *pki.Certificate {
	t.Helper()
	x := &pki.Certificate{
		SerialNumber: big.NewInt(1 << 62), Subject: c.path[0].Subject,
		NotBefore: certstest.Epoch.Add(-hour), NotAfter: certstest.Epoch.Add(dayLong),
		KeyUsage: smx509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	change(x)
	der, err := smx509.CreateCertificate(c.Stream("variant"), x, c.path[1], signer.Public(), sm.CryptoSigner{Ctx: t.Context(), Signer: c.Signer("ca-sub")})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := pki.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Every byte of an answer counts.
func TestResponseAltered(t *testing.T) {
	c := newCity(t, "altered", false, false)
	c.revoke(certstest.Epoch.Add(-hour), pki.KeyCompromise)
	q := about(t, c.path[1], c.path[0].SerialNumber, revocation.SM3)
	q.Nonce = []byte("0123456789abcdef")
	der := ask(t, c.responder(c.Intermediate, "ca-sub"), q)
	for i := range der {
		bad := bytes.Clone(der)
		bad[i] ^= 1
		r, err := revocation.ParseResponse(bad)
		if err != nil {
			continue
		}
		if _, err = r.Verify(c.path[1], nil); err == nil {
			t.Errorf("byte %d changed: accepted", i)
		}
	}
	for i := range der {
		if _, err := revocation.ParseResponse(der[:i]); err == nil {
			t.Errorf("cut at %d: read", i)
		}
	}
}

// An answer about one certificate says nothing of another, nor of one with its number by another authority.
func TestResponseOfAnother(t *testing.T) {
	c, other := newCity(t, "about", false, false), newCity(t, "another", false, false)
	r, err := revocation.ParseResponse(ask(t, c.responder(c.Intermediate, "ca-sub"), about(t, c.path[1], c.path[0].SerialNumber, revocation.SM3)))
	if err != nil {
		t.Fatal(err)
	}
	same := *other.path[0]
	same.SerialNumber = c.path[0].SerialNumber
	for name, test := range map[string][2]*pki.Certificate{
		"another number":                    {c.path[1], c.path[1]},
		"the number, by another authority":  {&same, other.path[1]},
		"the number, by the root of the CA": {c.path[0], c.path[2]},
	} {
		if s, err := r.Status(test[0], test[1], certstest.Epoch); !errors.Is(err, revocation.ErrScope) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

func TestResponderHTTP(t *testing.T) {
	c := newCity(t, "http", false, false)
	responder := c.responder(c.Intermediate, "ca-sub")
	mux := http.NewServeMux()
	mux.Handle("/ocsp/", http.StripPrefix("/ocsp", responder))
	server := httptest.NewServer(mux)
	defer server.Close()
	der, err := about(t, c.path[1], c.path[0].SerialNumber, revocation.SHA1).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) *http.Request {
		q, err := http.NewRequest(http.MethodGet, server.URL+"/ocsp/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	post := func(body []byte) *http.Request {
		q, err := http.NewRequest(http.MethodPost, server.URL+"/ocsp/", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	foreign, err := about(t, c.path[2], c.path[1].SerialNumber, revocation.SHA1).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	oids := c.path[0].SerialNumber
	many := revocation.Request{}
	for range 33 {
		many.IDs = append(many.IDs, about(t, c.path[1], oids, revocation.SHA1).IDs...)
	}
	tooMany, err := many.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	long, err := revocation.Request{IDs: many.IDs[:1], Nonce: make([]byte, 129)}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	put := post(der)
	put.Method = http.MethodPut
	for _, test := range []struct {
		name  string
		q     *http.Request
		code  int
		err   error // of ParseResponse
		cache string
	}{
		{"POST", post(der), 200, nil, "no-store"},
		{"GET", get(url.PathEscape(base64.StdEncoding.EncodeToString(der))), 200, nil, "max-age=3600, public, no-transform, must-revalidate"},
		{"PUT", put, 405, nil, ""},
		{"nothing", post(nil), 200, revocation.MalformedRequest, "no-store"},
		{"no base64", get("!!!!"), 200, revocation.MalformedRequest, "no-store"},
		{"a byte more", post(append(bytes.Clone(der), 0)), 200, revocation.MalformedRequest, "no-store"},
		{"cut", post(der[:len(der)-1]), 200, revocation.MalformedRequest, "no-store"},
		{"too large", post(make([]byte, 9<<10)), 200, revocation.MalformedRequest, "no-store"},
		{"too many", post(tooMany), 200, revocation.MalformedRequest, "no-store"},
		{"nonce too long", post(long), 200, revocation.MalformedRequest, "no-store"},
		{"another authority", post(foreign), 200, revocation.Unauthorized, "no-store"},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp, err := server.Client().Do(test.q)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != test.code {
				t.Fatal(resp.StatusCode, err)
			}
			if test.code != 200 {
				return
			}
			if got := resp.Header.Get("Content-Type"); got != "application/ocsp-response" {
				t.Error(got)
			}
			if got := resp.Header.Get("Cache-Control"); got != test.cache {
				t.Error(got)
			}
			if _, err := revocation.ParseResponse(body); !errors.Is(err, test.err) {
				t.Error(err)
			}
		})
	}
	for err, want := range map[error]error{fs.ErrNotExist: nil, context.DeadlineExceeded: revocation.TryLater} {
		responder.Lookup = func(context.Context, *big.Int) (revocation.Status, error) { return revocation.Status{}, err }
		if _, got := revocation.ParseResponse(ask(t, responder, about(t, c.path[1], oids, revocation.SM3))); !errors.Is(got, want) {
			t.Errorf("%v: %v", err, got)
		}
	}
	if !errors.Is(revocation.TryLater, revocation.ErrUnavailable) {
		t.Error("a refusal is no answer")
	}
}

// The structures of an answer that no responder of ours would send.
func TestResponseForms(t *testing.T) {
	for name, der := range map[string][]byte{
		"empty": nil, "success without an answer": {0x30, 3, 0x0a, 1, 0},
		"not a sequence": {0x04, 0}, "indefinite length": {0x30, 0x80, 0x0a, 1, 0, 0, 0},
		"lying length": {0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x0a, 1, 0},
	} {
		if _, err := revocation.ParseResponse(der); !errors.Is(err, revocation.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := revocation.ParseResponse(make([]byte, 65<<10)); !errors.Is(err, revocation.ErrMalformed) {
		t.Error("too large")
	}
	for code, want := range map[int]error{1: revocation.MalformedRequest, 3: revocation.TryLater, 6: revocation.Unauthorized} {
		der, err := asn1.Marshal(struct{ Status asn1.Enumerated }{asn1.Enumerated(code)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := revocation.ParseResponse(der); !errors.Is(err, want) {
			t.Errorf("status %d: %v", code, err)
		}
	}
	if slices.Contains([]string{revocation.TryLater.Error()}, "") {
		t.Error("no text")
	}
}
