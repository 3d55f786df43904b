package node

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"oncegate/api"
	"oncegate/client"
	"oncegate/verdict"
)

const company = "91379901MA9920002Q" // made up

// A city is an installation in a folder of its own, with a legacy system that answers by SQL.
type city struct {
	t    testing.TB
	dir  string
	main string
	port int
}

// newCity is an installation whose service has a port of its own.
func newCity(t testing.TB) *city {
	t.Helper()
	base, err := firstCity()
	if err != nil {
		t.Fatal(err)
	}
	c := (&city{t: t, dir: base}).copyOf(t)
	c.port = freePort(t)
	c.edit(MainFile, "127.0.0.1:8420", fmt.Sprintf("127.0.0.1:%d", c.port), "127.0.0.1:8421", "127.0.0.1:0")
	return c
}

// firstCity makes an installation once; tests copy it.
var firstCity = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "oncegate-node-")
	if err != nil {
		return "", err
	}
	write := func(dir string) error {
		if err := WriteTemplate(dir); err != nil {
			return err
		}
		if err := market(filepath.Join(dir, "sources/market.db")); err != nil {
			return err
		}
		return os.Rename(filepath.Join(dir, "sources/market.yaml.example"), filepath.Join(dir, "sources/market.yaml"))
	}
	_, err = Init(context.Background(), dir, write, PrepareOptions{Cost: 10})
	return dir, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := firstCity(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// freePort finds a port that no other test of this run has.
func freePort(t testing.TB) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if _, taken := ports.LoadOrStore(port, true); !taken {
			return port
		}
	}
}

var ports sync.Map

// edit replaces texts in a file; each must be there.
func (c *city) edit(name string, pairs ...string) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		c.t.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			c.t.Fatalf("%s has no %q", name, pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// market makes the legacy system's database.
func market(path string) error {
	return exec(path, `create table licenses (no text, uscc text, name text, legal text, addr text, issued text, until text, status text)`,
		`insert into licenses values ('L-1', '`+company+`', '云川小面馆有限公司', '甲乙', '示例路 1 号', '2024-03-01', '', '1')`)
}

// exec changes a legacy system's database. It waits for readers: a node rolls a broken-off question back when it is answered already.
func exec(path string, statements ...string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer db.Close()
	for _, text := range statements {
		if _, err := db.Exec(text); err != nil {
			return err
		}
	}
	return nil
}

// A served is a running node.
type served struct {
	*Node
	t    testing.TB
	stop func() error // shuts down and waits
	logs *lockedBuffer
}

// serve opens and runs the node until the test ends, or stop.
func (c *city) serve() *served {
	c.t.Helper()
	return c.serveAs(func(*Node) {})
}

// serveAs is serve of a node that is changed before it runs.
func (c *city) serveAs(change func(*Node)) *served {
	c.t.Helper()
	logs := &lockedBuffer{}
	n, err := Open(c.t.Context(), c.main, Options{Logger: slog.New(slog.NewTextHandler(logs, nil))})
	if err != nil {
		c.t.Fatal(err)
	}
	change(n)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	var once sync.Once
	var stopped error
	s := &served{Node: n, t: c.t, logs: logs, stop: func() error {
		once.Do(func() { cancel(); stopped = <-done })
		return stopped
	}}
	c.t.Cleanup(func() {
		if err := s.stop(); err != nil {
			c.t.Errorf("stop: %v", err)
		}
		if c.t.Failed() {
			c.t.Log(logs.String())
		}
	})
	return s
}

// trusted is what a verifier of this node believes.
func (s *served) trusted() *verdict.Trust {
	s.t.Helper()
	dir := s.t.TempDir()
	if err := s.WriteTrust(dir); err != nil {
		s.t.Fatal(err)
	}
	trust, err := verdict.LoadTrust(filepath.Join(dir, TrustFile))
	if err != nil {
		s.t.Fatal(err)
	}
	return trust
}

// as returns a client that calls as a system and verifies every answer.
func (s *served) as(system string) *client.Client {
	s.t.Helper()
	setup := s.current.Load().setup
	keys, err := setup.OpenCallers("")
	if err != nil {
		s.t.Fatal(err)
	}
	signer, err := setup.CallerSigner(keys, system)
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
		Parties: []api.Party{{Role: "applicant", Holder: api.HolderID{Type: "001", Code: company}}},
	})
	if err != nil {
		s.t.Fatalf("register case: %v", err)
	}
}

func question(no string) api.QueryRequest {
	return api.QueryRequest{Purpose: api.Purpose{Case: no, Material: "business-license"}, LicenseType: "business-license",
		Holder: api.HolderID{Type: "001", Code: company}, Fields: []string{"name", "legal_representative"}}
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
