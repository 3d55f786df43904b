package corpus

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/jws"
	"oncegate/certs/keystore"
	"oncegate/certs/token"
	"oncegate/client"
	"oncegate/config"
	"oncegate/gateway"
	"oncegate/install"
	"oncegate/license"
	"oncegate/node"
	"oncegate/store"
	"oncegate/verdict"
)

// A site is a running gateway and those who call it.
type site struct {
	t       *testing.T
	main    string // configuration
	addr    string // where it listens, whatever it publishes
	now     func() time.Time
	setup   *config.Setup
	callers *keystore.Store
	trust   *verdict.Trust
	wire    *wire
}

// serve runs the gateway of a configuration, on ports of its own, until the test ends or stop is called.
func serve(t *testing.T, main string, now func() time.Time) (s *site, stop func()) {
	t.Helper()
	logs := &bytes.Buffer{}
	options := node.Options{Now: now, Logger: slog.New(slog.NewTextHandler(logs, nil))}
	n, err := node.Open(t.Context(), main, options)
	if errors.Is(err, store.ErrNotAdopted) { // by a version of before rows were authenticated
		if _, err := install.Adopt(t.Context(), main, install.AdoptOptions{Now: now}); err != nil {
			t.Fatal(err)
		}
		n, err = node.Open(t.Context(), main, options)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Log(logs.String())
		}
	})
	t.Cleanup(stop)
	return visit(t, main, n.Addr(), now), stop
}

// visit is a site that runs already.
func visit(t *testing.T, main, addr string, now func() time.Time) *site {
	t.Helper()
	s := &site{t: t, main: main, addr: addr, now: now, wire: &wire{}}
	s.setup = load(t, main, now())
	var err error
	if s.callers, err = install.OpenCallers(s.setup, ""); err != nil {
		t.Fatal(err)
	}
	if s.trust, err = install.TrustOf(main, now); err != nil {
		t.Fatal(err)
	}
	s.wire.to = http.DefaultTransport.(*http.Transport).Clone()
	s.wire.to.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	t.Cleanup(s.wire.to.CloseIdleConnections)
	return s
}

// load reads a configuration that must be sound.
func load(t *testing.T, main string, now time.Time) *config.Setup {
	t.Helper()
	setup, faults := config.Load(main, now)
	if fatal := faults.Fatal(); len(fatal) > 0 {
		t.Fatal(fatal)
	}
	if setup.Keys == nil {
		t.Fatal(setup.KeysErr)
	}
	return setup
}

// as returns a client that calls as a system and verifies every receipt.
func (s *site) as(system string) *client.Client {
	s.t.Helper()
	signer, err := install.CallerSigner(s.setup, s.callers, system)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := client.New(client.Config{
		BaseURL: s.setup.Gateway.PublicURL, Gateway: s.setup.Gateway.ID, System: system, Signer: signer, Operator: "ZHCK-07", Trust: s.trust,
		HTTP: &http.Client{Transport: s.wire, Timeout: 30 * time.Second}, Tries: 1, Now: s.now,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// staff is the identity service of the sample city that vouches for operators.
const staff = "staff-identity"

// vouched is a client for whose operator the identity service vouches: with proof audit.OperatorByCall for each call, else for the
// session at the calling system.
func (s *site) vouched(c *client.Client, proof string) *client.Client {
	s.t.Helper()
	signer, err := install.IdentitySigner(s.setup, s.callers, staff)
	s.must(err)
	return c.Vouched(func(ctx context.Context, b client.ActorBinding) (string, error) {
		claims := token.ActorClaims{Issuer: staff, Audience: b.Gateway, System: b.System, Subject: b.Operator, Roles: []string{"clerk"}}
		if proof == audit.OperatorByCall {
			claims.Request = b.Request
		} else {
			claims.Confirmation = &token.Confirmation{Key: b.Key}
		}
		return token.SignActor(ctx, signer, claims, s.now())
	})
}

// agreed is the identity service's assertion that a holder agrees.
func (s *site) agreed(a gateway.Assertion) string {
	s.t.Helper()
	a.Issuer, a.Audience = "identity-service", s.setup.Gateway.ID
	a.IssuedAt, a.Expires = s.now().Unix(), s.now().Add(time.Hour).Unix()
	payload, err := json.Marshal(a)
	s.must(err)
	signer, err := install.AsserterSigner(s.setup, s.callers, a.Issuer)
	s.must(err)
	compact, err := jws.Sign(s.t.Context(), signer, jws.Header{Typ: gateway.AssertionType, Kid: a.Issuer}, payload)
	s.must(err)
	return compact
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// path is a path beside the configuration.
func (s *site) path(parts ...string) string {
	return filepath.Join(append([]string{filepath.Dir(s.main)}, parts...)...)
}

// A wire keeps the last exchange that passed over it.
type wire struct {
	to *http.Transport

	mu     sync.Mutex
	token  string
	body   []byte
	answer []byte
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	res, err := w.to.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(answer))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.token, w.body, w.answer = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), body, answer
	return res, nil
}

// last are the files of the last exchange.
func (w *wire) last() map[string][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string][]byte{"request.jwt": []byte(w.token), "answer.json": w.answer}
	if len(w.body) > 0 {
		all["request.body"] = w.body
	}
	return all
}

func holder(h license.HolderID) api.HolderID { return api.HolderID{Type: h.Type, Code: h.Code} }

func party(role string, h license.HolderID) api.Party {
	return api.Party{Role: role, Holder: holder(h)}
}
