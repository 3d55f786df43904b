package node

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"oncegate/api"
	"oncegate/client"
	"oncegate/install"
	"oncegate/install/installtest"
	"oncegate/verdict"
)

// A city is an installation whose node can be run.
type city struct{ installtest.City }

func newCity(t testing.TB) *city {
	t.Helper()
	return &city{*installtest.New(t)}
}

func (c *city) copyOf(t testing.TB) *city {
	t.Helper()
	return &city{*c.CopyOf(t)}
}

func TestMain(m *testing.M) { installtest.Main(m) }

// A served is a running node.
type served struct {
	*Node
	t    testing.TB
	stop func() error // shuts down and waits
	logs *lockedBuffer
}

// serve opens and runs the node until the test ends, or stop.
func (c *city) serve() *served {
	c.T.Helper()
	return c.serveAs(func(*Node) {})
}

// serveAs is serve of a node that is changed before it runs.
func (c *city) serveAs(change func(*Node)) *served {
	c.T.Helper()
	logs := &lockedBuffer{}
	n, err := Open(c.T.Context(), c.Main, Options{Logger: slog.New(slog.NewTextHandler(logs, nil))})
	if err != nil {
		c.T.Fatal(err)
	}
	change(n)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	var once sync.Once
	var stopped error
	s := &served{Node: n, t: c.T, logs: logs, stop: func() error {
		once.Do(func() { cancel(); stopped = <-done })
		return stopped
	}}
	c.T.Cleanup(func() {
		if err := s.stop(); err != nil {
			c.T.Errorf("stop: %v", err)
		}
		if c.T.Failed() {
			c.T.Log(logs.String())
		}
	})
	return s
}

// trusted is what a verifier of this node trusts.
func (s *served) trusted() *verdict.Trust {
	s.t.Helper()
	dir := s.t.TempDir()
	if err := s.WriteTrust(dir); err != nil {
		s.t.Fatal(err)
	}
	trust, err := verdict.LoadTrust(filepath.Join(dir, install.TrustFile))
	if err != nil {
		s.t.Fatal(err)
	}
	return trust
}

// as returns a client that calls as a system and verifies every answer.
func (s *served) as(system string) *client.Client {
	s.t.Helper()
	setup := s.current.Load().setup
	keys, err := install.OpenCallers(setup, "")
	if err != nil {
		s.t.Fatal(err)
	}
	signer, err := install.CallerSigner(setup, keys, system)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := client.New(client.Config{
		BaseURL: s.PublicURL(), Gateway: "example-gateway", System: system, Signer: signer, Operator: "window-3", Trust: s.trusted(), Tries: 1,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// register makes a case known.
func (s *served) register(no string) {
	s.t.Helper()
	_, err := s.as("acceptance").RegisterCase(s.t.Context(), api.CaseRequest{
		No: no, Matter: "FOOD-01", Attestation: "platform", Accepted: api.At(time.Now().Add(-time.Minute)),
		Parties: []api.Party{{Role: "applicant", Holder: api.HolderID{Type: "001", Code: installtest.Company}}},
	})
	if err != nil {
		s.t.Fatalf("register case: %v", err)
	}
}

func question(no string) api.QueryRequest {
	return api.QueryRequest{Purpose: api.Purpose{Case: no, Material: "business-license"}, LicenseType: "business-license",
		Holder: api.HolderID{Type: "001", Code: installtest.Company}, Fields: []string{"name", "legal_representative"}}
}

// get asks the admin listener.
func (s *served) get(path string) (int, string) {
	s.t.Helper()
	res, err := http.Get("http://" + s.AdminAddr() + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// lockedBuffer is what a logger writes to.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
