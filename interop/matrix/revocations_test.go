package matrix_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"oncegate/certs/certstest/ocsp"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
)

func (c *city) revocations() []row { return []row{c.list(), c.answer()} }

// list: a work is a CRL, its issuer, and the serial number that was revoked because its key was lost.
func (c *city) list() row {
	serial := big.NewInt(4711)
	return row{
		name: "Revocation list (CRL)",
		ours: side{
			maker{with: code("pki.CA.RevocationList"), run: func(t *testing.T) work {
				list, err := c.Intermediate.RevocationList(t.Context(), big.NewInt(17), time.Hour, []pki.Revoked{{Serial: serial, Time: at.Add(-time.Hour), Reason: pki.KeyCompromise}})
				must(t, err)
				return work{list, c.Intermediate.Certificate().Raw}
			}},
			checker{with: code("revocation.List"), run: func(t *testing.T, w work) error {
				issuer, err := pki.Parse(w[1])
				if err != nil {
					return err
				}
				list, err := revocation.ParseList(w[0])
				if err != nil {
					return err
				}
				if err := list.Verify(issuer, nil); err != nil {
					return err
				}
				if e, ok := list.Lookup(serial); !ok || e.Reason != pki.KeyCompromise {
					return fmt.Errorf("%+v, %v", e, ok)
				}
				return nil
			}},
		},
		theirs: map[string]side{
			openSSL: {
				maker{by: "certs/revocation/openssl_test.go TestOpenSSLMakesTheirs", with: code("openssl ca -gencrl")},
				checker{by: "certs/revocation/openssl_test.go TestOpenSSLReadsOurs", with: code("openssl crl", "openssl dgst -verify") + " (`crl -CAfile` has no user id)"},
			},
			bouncyCastle: {
				c.made(code("X509v2CRLBuilder"), func(t *testing.T) work {
					x := c.theirs(t, pki.License)
					return work{c.bc.demand(t, "crl.make", at.Unix(), x.sub, x.subKey, serial)[0], x.sub}
				}),
				c.checked(code("X509CRLHolder"), func(t *testing.T, w work) error {
					said, err := c.bc.ask("crl.verify", w[0], w[1], serial)
					if err != nil {
						return err
					}
					return differ(said[0], []byte("revoked 1"))
				}),
			},
			logTools: noSM2,
		},
	}
}

// answer: a work is an OCSPResponse, the issuer, and the request; the certificate is revoked.
func (c *city) answer() row {
	nonce := []byte("a nonce of sixteen and more")
	return row{
		name: "OCSP request and response",
		spoil: func(t *testing.T, b []byte) []byte { // among what is signed
			out := bytes.Clone(b)
			i := bytes.Index(out, nonce)
			if i < 0 {
				t.Fatal("the nonce is not in the answer")
			}
			out[i] ^= 1
			return out
		},
		ours: side{
			maker{with: code("ocsp.Responder"), run: func(t *testing.T) work {
				c.needCastle(t)
				_, leaf := c.Issue("revoked", pki.License, uscc, organization)
				question := c.bc.demand(t, "ocsp.ask", leaf[1].Raw, leaf[0].SerialNumber, nonce)[0]
				return work{c.respond(t, question), leaf[1].Raw, question}
			}},
			checker{with: code("revocation.Request", "revocation.Response"), run: func(t *testing.T, w work) error {
				issuer, err := pki.Parse(w[1])
				must(t, err)
				r, err := revocation.ParseResponse(w[0])
				if err != nil {
					return err
				}
				if _, err := r.Verify(issuer, nil); err != nil {
					return err
				}
				leaf, err := pki.Parse(w[2])
				must(t, err)
				s, err := r.Status(leaf, issuer, at.Add(time.Minute))
				if err == nil && (s.State != revocation.Revoked || s.Reason != pki.KeyCompromise || !bytes.Equal(r.Nonce, nonce)) {
					err = fmt.Errorf("%+v", s)
				}
				return err
			}},
		},
		theirs: map[string]side{
			openSSL: {
				maker{by: "certs/revocation/openssl_test.go TestOpenSSLMakesTheirs", with: code("openssl ocsp -rsigner")},
				checker{by: "certs/revocation/openssl_test.go TestOpenSSLReadsOurs", with: code("openssl ocsp -noverify", "openssl dgst -verify") + " (`ocsp` has no user id)"},
			},
			bouncyCastle: {
				c.made(code("OCSPReq", "BasicOCSPRespBuilder"), func(t *testing.T) work {
					x := c.theirs(t, pki.License)
					responder := c.bc.demand(t, "issue", at.Unix(), pki.OCSP, x.sub, x.subKey)
					leaf, err := pki.Parse(x.leaf)
					must(t, err)
					issuer, err := pki.Parse(x.sub)
					must(t, err)
					id, err := revocation.NewCertID(issuer, leaf.SerialNumber, revocation.SHA1)
					must(t, err)
					question, err := revocation.Request{IDs: []revocation.CertID{id}, Nonce: nonce}.Marshal()
					must(t, err)
					return work{c.bc.demand(t, "ocsp.answer", at.Unix(), question, responder[0], responder[1], x.sub)[0], x.sub, x.leaf}
				}),
				c.checked(code("OCSPReqBuilder", "BasicOCSPResp"), func(t *testing.T, w work) error {
					said, err := c.bc.ask("ocsp.read", w[0], w[1], w[2])
					if err != nil {
						return err
					}
					return differ(said[0], []byte("revoked 1"))
				}),
			},
			logTools: noSM2,
		},
	}
}

// respond has our responder, to whom every certificate is revoked, answer over HTTP.
func (c *city) respond(t *testing.T, question []byte) []byte {
	t.Helper()
	signer, chain := c.Issue("responder", pki.OCSP, uscc, organization)
	server := httptest.NewServer(&ocsp.Responder{
		Issuer: c.Intermediate.Certificate(), Signer: signer, Certificate: chain[0], Now: now,
		Lookup: func(context.Context, *big.Int) (revocation.Status, error) {
			return revocation.Status{State: revocation.Revoked, Time: at.Add(-time.Hour), Reason: pki.KeyCompromise}, nil
		},
	})
	defer server.Close()
	res, err := http.Post(server.URL, "application/ocsp-request", bytes.NewReader(question))
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	return body
}
