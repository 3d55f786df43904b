package revocation_test

import (
	"context"
	"crypto/ecdsa"
	"io/fs"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/certstest"
	"oncegate/certs/certstest/ocsp"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/sm"
)

const uscc = "11330000MB0000001X"

// city is an outside authority of two levels with a server for its lists and responders, and a certificate of its own.
type city struct {
	*certstest.World
	t      *testing.T
	server *httptest.Server
	path   []*pki.Certificate // leaf, sub, root
	signer sm.Signer          // of the leaf
	asked  atomic.Int32

	mu      sync.Mutex // protects all below
	now     time.Time
	broken  bool
	number  int64
	revoked []pki.Revoked // by the lower authority
	body    []byte        // served instead, if not nil
}

func newCity(t *testing.T, seed string, lists, responders bool) *city {
	t.Helper()
	c := &city{World: certstest.New(t, seed), t: t, now: certstest.Epoch}
	mux := http.NewServeMux()
	mux.HandleFunc("/sub.crl", c.serve(func() []byte { return c.list(c.Intermediate, c.number, c.revoked) }))
	mux.HandleFunc("/root.crl", c.serve(func() []byte { return c.list(c.Root, 1, nil) }))
	mux.Handle("/sub/ocsp/", http.StripPrefix("/sub/ocsp", c.responder(c.Intermediate, "ca-sub")))
	mux.Handle("/root/ocsp/", http.StripPrefix("/root/ocsp", c.responder(c.Root, "ca-root")))
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		c.asked.Add(1)
		c.mu.Lock()
		broken := c.broken
		c.mu.Unlock()
		if broken {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, q)
	}))
	t.Cleanup(c.server.Close)
	if lists {
		c.Root.CRL, c.Intermediate.CRL = []string{c.server.URL + "/root.crl"}, []string{c.server.URL + "/sub.crl"}
	}
	if responders {
		c.Root.OCSP, c.Intermediate.OCSP = []string{c.server.URL + "/root/ocsp/"}, []string{c.server.URL + "/sub/ocsp/"}
	}
	// The lower authority again, now with the root's addresses in its certificate.
	sub, err := c.Root.NewIntermediate(t.Context(), "示例市政务服务局", "示例市签发 CA", c.Signer("ca-sub"))
	if err != nil {
		t.Fatal(err)
	}
	sub.CRL, sub.OCSP = c.Intermediate.CRL, c.Intermediate.OCSP
	c.Intermediate = sub
	var chain []*pki.Certificate
	c.signer, chain = c.Issue("dept-1", pki.License, uscc, "示例市市场监督管理局")
	c.path = append(chain, c.Root.Certificate())
	return c
}

func (c *city) serve(make func() []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		body := c.body
		c.mu.Unlock()
		if body == nil {
			body = make()
		}
		_, _ = w.Write(body)
	}
}

// clock is the time of everybody in the city.
func (c *city) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *city) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// list is an authority's list, good for a day.
func (c *city) list(ca *pki.CA, number int64, revoked []pki.Revoked) []byte {
	c.t.Helper()
	of := *ca
	of.Now = c.clock
	der, err := of.RevocationList(context.Background(), big.NewInt(number), 24*time.Hour, revoked)
	if err != nil {
		c.t.Error(err)
	}
	return der
}

// responder answers for an authority by an appointed key.
func (c *city) responder(ca *pki.CA, key string) *ocsp.Responder {
	signer := c.Signer("ocsp-" + key)
	chain, err := ca.Issue(context.Background(), pki.Request{
		Organization: "示例市政务服务局", USCC: uscc, Usage: pki.OCSP, CommonName: "responder", Public: signer.Public(),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return &ocsp.Responder{
		Issuer: ca.Certificate(), Signer: signer, Certificate: chain[0], Now: c.clock, Lookup: c.lookup,
	}
}

func (c *city) lookup(_ context.Context, serial *big.Int) (revocation.Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.revoked {
		if r.Serial.Cmp(serial) == 0 {
			return revocation.Status{State: revocation.Revoked, Time: r.Time, Reason: r.Reason}, nil
		}
	}
	if serial.BitLen() < 64 {
		return revocation.Status{}, fs.ErrNotExist
	}
	return revocation.Status{State: revocation.Good}, nil
}

// revoke revokes the leaf.
func (c *city) revoke(at time.Time, why pki.Reason) {
	c.set(func() {
		c.number++
		c.revoked = append(c.revoked, pki.Revoked{Serial: c.path[0].SerialNumber, Time: at, Reason: why})
	})
}

func (c *city) client(change func(*revocation.Config)) *revocation.Client {
	config := revocation.Config{Now: c.clock}
	if change != nil {
		change(&config)
	}
	return revocation.New(config)
}

func appointed(x *pki.Certificate) {
	x.ExtKeyUsage = []smx509.ExtKeyUsage{smx509.ExtKeyUsageOCSPSigning}
}

// refuse is a voice that trusts nothing.
func refuse(*ecdsa.PublicKey, []byte, []byte) error { return sm.ErrBadSignature }
