package revocation_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/check"
)

func (c *city) status(cl *revocation.Client) (revocation.Status, error) {
	return cl.Status(context.Background(), c.path[0], c.path[1], c.clock())
}

func TestClientAsksAndKeeps(t *testing.T) {
	for _, kind := range []string{revocation.CRL, revocation.OCSP} {
		t.Run(kind, func(t *testing.T) {
			c := newCity(t, "keeps", kind == revocation.CRL, kind == revocation.OCSP)
			cl := c.client(nil)
			s, err := c.status(cl)
			if err != nil || s.State != revocation.Good || s.By != kind || s.Stale {
				t.Fatalf("%+v, %v", s, err)
			}
			c.revoke(c.clock().Add(-time.Minute), pki.KeyCompromise)
			if s, err := c.status(cl); err != nil || s.State != revocation.Good || c.asked.Load() != 1 {
				t.Errorf("kept: %+v, %v, asked %d times", s, err, c.asked.Load())
			}
			c.set(func() { c.now = s.Next }) // the next is due
			if s, err := c.status(cl); err != nil || s.State != revocation.Revoked || s.Reason != pki.KeyCompromise || c.asked.Load() != 2 {
				t.Errorf("due: %+v, %v, asked %d times", s, err, c.asked.Load())
			}
		})
	}
}

// A source that is down is an answer: what it said last, labelled.
func TestClientStale(t *testing.T) {
	c := newCity(t, "stale", true, false)
	cl := c.client(nil)
	if _, err := c.status(cl); err != nil {
		t.Fatal(err)
	}
	c.set(func() { c.broken = true; c.now = c.now.Add(25 * hour) })
	s, err := c.status(cl)
	if err != nil || s.State != revocation.Good || !s.Stale {
		t.Fatalf("%+v, %v", s, err)
	}
	for range 5 {
		if s, err := c.status(cl); err != nil || !s.Stale {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	if c.asked.Load() != 2 {
		t.Errorf("asked %d times: a source that failed is left in peace", c.asked.Load())
	}
	steps := revocation.Check(t.Context(), c.path[:2], c.clock(), cl)
	if steps[0].State != check.NotCheckable || !strings.Contains(steps[0].Reason, "out of reach") {
		t.Errorf("%+v", steps)
	}
	c.set(func() { c.broken = false; c.now = c.now.Add(2 * time.Minute) })
	if s, err := c.status(cl); err != nil || s.Stale {
		t.Errorf("back again: %+v, %v", s, err)
	}
}

func TestClientUnavailable(t *testing.T) {
	c := newCity(t, "down", true, true)
	c.set(func() { c.broken = true })
	cl := c.client(nil)
	if s, err := c.status(cl); !errors.Is(err, revocation.ErrUnavailable) {
		t.Errorf("%+v, %v", s, err)
	}
	steps := revocation.Check(t.Context(), c.path, c.clock(), cl)
	for _, s := range steps {
		if s.State != check.NotCheckable {
			t.Errorf("%+v", s)
		}
	}
	none := newCity(t, "none", false, false)
	if _, err := none.status(none.client(nil)); !errors.Is(err, revocation.ErrNoSource) {
		t.Error(err)
	}
}

// A responder that is down, or has never heard of a certificate, is made up for by the list.
func TestClientFallsBack(t *testing.T) {
	c := newCity(t, "back", true, true)
	leaf := *c.path[0]
	leaf.OCSPServer = []string{"http://127.0.0.1:1/", c.server.URL + "/root/ocsp/"} // nobody, and another authority's
	s, err := c.client(nil).Status(t.Context(), &leaf, c.path[1], c.clock())
	if err != nil || s.State != revocation.Good || s.By != revocation.CRL {
		t.Errorf("%+v, %v", s, err)
	}
}

// What is older than what came before it is a replay.
func TestClientRefusesReplay(t *testing.T) {
	for _, kind := range []string{revocation.CRL, revocation.OCSP} {
		t.Run(kind, func(t *testing.T) {
			c := newCity(t, "replay", kind == revocation.CRL, kind == revocation.OCSP)
			answers := make(chan []byte, 8)
			replay := false
			c.server.Config.Handler = recording(c.server.Config.Handler, answers, func() []byte {
				if replay {
					return <-answers
				}
				return nil
			})
			cl := c.client(nil)
			if _, err := c.status(cl); err != nil {
				t.Fatal(err)
			}
			c.revoke(c.clock(), pki.KeyCompromise)
			replay = true
			fresh := c.client(nil)
			s, err := c.status(fresh)
			switch kind {
			case revocation.CRL: // nobody can tell before the next is due
				if err != nil || s.State != revocation.Good {
					t.Errorf("%+v, %v", s, err)
				}
			case revocation.OCSP: // it answers another nonce
				if !errors.Is(err, revocation.ErrReplayed) {
					t.Errorf("%+v, %v", s, err)
				}
			}
		})
	}
}

// recording keeps every answer, and gives another one where it is told to.
func recording(h http.Handler, answers chan<- []byte, instead func() []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if body := instead(); body != nil {
			_, _ = w.Write(body)
			return
		}
		r := httptest.NewRecorder()
		h.ServeHTTP(r, q)
		answers <- r.Body.Bytes()
		_, _ = w.Write(r.Body.Bytes())
	})
}

func TestClientRefusesOlderList(t *testing.T) {
	c := newCity(t, "older", true, false)
	old := c.list(c.Intermediate, 5, nil)
	c.set(func() { c.now = c.now.Add(hour); c.number = 6 })
	c.revoke(c.clock(), pki.KeyCompromise)
	cl := c.client(nil)
	if s, err := c.status(cl); err != nil || s.State != revocation.Revoked {
		t.Fatalf("%+v, %v", s, err)
	}
	c.set(func() { c.body = old; c.now = c.now.Add(25 * hour) })
	if s, err := c.status(cl); err != nil || s.State != revocation.Revoked || !s.Stale {
		t.Errorf("the older list took the place of the newer: %+v, %v", s, err)
	}
	if s, err := c.status(c.client(nil)); err != nil || !s.Stale {
		t.Errorf("an old list, for a client that knows no other: %+v, %v", s, err)
	}
}

func TestClientRefuses(t *testing.T) {
	c, stranger := newCity(t, "refuses", true, false), newCity(t, "elsewhere", false, false)
	good := c.list(c.Intermediate, 1, nil)
	ahead := func() []byte {
		c.set(func() { c.now = c.now.Add(hour) })
		defer c.set(func() { c.now = c.now.Add(-hour) })
		return c.list(c.Intermediate, 1, nil)
	}
	for _, test := range []struct {
		name   string
		body   []byte
		change func(*revocation.Config)
		want   error
	}{
		{"good", good, nil, nil},
		{"PEM", pki.MarshalCRL(good), nil, nil},
		{"cut", good[:len(good)-1], nil, revocation.ErrMalformed},
		{"a web page", []byte("<html>not found</html>"), nil, revocation.ErrMalformed},
		{"another authority's", stranger.list(stranger.Intermediate, 1, nil), nil, revocation.ErrWrongIssuer},
		{"from the future", ahead(), nil, revocation.ErrNotYet},
		{"too large", bytes.Repeat([]byte{0x30}, revocation.MaxList+1), nil, revocation.ErrMalformed},
		{"not allowed", good, func(c *revocation.Config) { c.Allow = func(*url.URL) error { return errors.New("no") } }, revocation.ErrUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.set(func() { c.body = test.body })
			if s, err := c.status(c.client(test.change)); !errors.Is(err, test.want) {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
	for _, address := range []string{"ftp://example.cn/a.crl", "file:///etc/passwd", "ldap://example.cn/", "http://", "://", "http://" + strings.Repeat("a", 3000)} {
		leaf := *c.path[0]
		leaf.CRLDistributionPoints = []string{address}
		if _, err := c.client(nil).Status(t.Context(), &leaf, c.path[1], c.clock()); !errors.Is(err, revocation.ErrUnavailable) {
			t.Errorf("%.20s: %v", address, err)
		}
	}
}

func TestClientRequiresNonce(t *testing.T) {
	c := newCity(t, "nonce", false, true)
	inner := c.responder(c.Intermediate, "ca-sub")
	c.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // signed in advance
		_, _ = w.Write(ask(t, inner, about(t, c.path[1], c.path[0].SerialNumber, revocation.SHA1)))
	})
	if s, err := c.status(c.client(nil)); err != nil || s.State != revocation.Good {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := c.status(c.client(func(c *revocation.Config) { c.NonceRequired = true })); !errors.Is(err, revocation.ErrReplayed) {
		t.Error(err)
	}
}

// A responder whose certificate does not say that it need not be asked about is looked up in the list.
func TestClientChecksResponder(t *testing.T) {
	c := newCity(t, "checked", true, true)
	signer := c.Signer("plain-responder")
	make := func(lists ...string) *pki.Certificate {
		return variant(t, c, signer, func(x *pki.Certificate) { appointed(x); x.CRLDistributionPoints = lists })
	}
	serve := func(cert *pki.Certificate) {
		r := c.responder(c.Intermediate, "ca-sub")
		r.Signer, r.Certificate = signer, cert
		mux := http.NewServeMux()
		mux.Handle("/sub/ocsp/", r)
		mux.HandleFunc("/sub.crl", c.serve(func() []byte { return c.list(c.Intermediate, c.number, c.revoked) }))
		c.server.Config.Handler = mux
	}
	leaf := *c.path[0]
	leaf.CRLDistributionPoints = nil
	status := func() (revocation.Status, error) {
		return c.client(nil).Status(t.Context(), &leaf, c.path[1], c.clock())
	}
	serve(make(c.server.URL + "/sub.crl"))
	if s, err := status(); err != nil || s.State != revocation.Good {
		t.Errorf("in the list: %+v, %v", s, err)
	}
	serve(make())
	if _, err := status(); !errors.Is(err, revocation.ErrResponder) {
		t.Errorf("nobody to ask: %v", err)
	}
	revoked := make(c.server.URL + "/sub.crl")
	c.set(func() {
		c.revoked = []pki.Revoked{{Serial: revoked.SerialNumber, Time: certstest.Epoch, Reason: pki.KeyCompromise}}
	})
	serve(revoked)
	if _, err := status(); !errors.Is(err, revocation.ErrResponder) {
		t.Errorf("revoked: %v", err)
	}
}

// Many who want the same at the same time cost one fetch; who has no time left goes without it.
func TestClientFliesOnce(t *testing.T) {
	c := newCity(t, "once", true, false)
	gate, entered := make(chan struct{}), make(chan struct{}, 1)
	inner := c.server.Config.Handler
	c.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		entered <- struct{}{}
		<-gate
		inner.ServeHTTP(w, q)
	})
	cl := c.client(nil)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := cl.Status(ctx, c.path[0], c.path[1], c.clock())
		left <- err
	}()
	<-entered
	cancel()
	if err := <-left; !errors.Is(err, revocation.ErrUnavailable) {
		t.Error(err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if s, err := c.status(cl); err != nil || s.State != revocation.Good {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
	close(gate)
	all.Wait()
	if c.asked.Load() != 1 {
		t.Errorf("%d fetches", c.asked.Load())
	}
}

// What is kept is bounded.
func TestClientForgets(t *testing.T) {
	c := newCity(t, "bound", true, false)
	cl := c.client(func(c *revocation.Config) { c.Keep = 8 << 10 })
	leaf := *c.path[0]
	for i := range 50 {
		leaf.CRLDistributionPoints = []string{c.server.URL + "/sub.crl?" + strings.Repeat("x", i)}
		if s, err := cl.Status(t.Context(), &leaf, c.path[1], c.clock()); err != nil || s.State != revocation.Good {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	before := c.asked.Load()
	if _, err := cl.Status(t.Context(), &leaf, c.path[1], c.clock()); err != nil || c.asked.Load() != before {
		t.Error("the last one was forgotten", err)
	}
	leaf.CRLDistributionPoints = []string{c.server.URL + "/sub.crl?"}
	if _, err := cl.Status(t.Context(), &leaf, c.path[1], c.clock()); err != nil || c.asked.Load() != before+1 {
		t.Error("the first one was kept", err)
	}
}
