package console_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/keystore"
	"oncegate/client"
	"oncegate/config"
	"oncegate/console/consoletest"
	"oncegate/console/session"
	"oncegate/demo/legacy"
	"oncegate/deploy"
	"oncegate/install"
	"oncegate/license"
	"oncegate/node"
	"oncegate/verdict"
)

// A city is a whole node of the sample city with its legacy systems, accounts for the console, and systems that make signed calls.
type city struct {
	t      testing.TB
	dir    string
	url    string
	legacy *legacy.City
	setup  *config.Setup
	keys   *keystore.Store
	node   *node.Node
	trust  *verdict.Trust
	logs   *journal
	stop   func()
}

// theCity is shared by the tests: making one takes many keys.
var theCity struct {
	sync.Once
	*city
}

// sharedCity is the city, seen by one test.
func sharedCity(t testing.TB) *city {
	t.Helper()
	theCity.Do(func() { theCity.city = newCity(t) })
	if theCity.city == nil {
		t.Fatal("the city could not be made")
	}
	one := *theCity.city
	one.t = t
	return &one
}

func TestMain(m *testing.M) {
	code := m.Run()
	if theCity.city != nil {
		theCity.stop()
	}
	os.Exit(code)
}

// journal is a log that is read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

const password = "示例口令 of a test 1"

// accounts are those of the tests: one for each role at the window and behind it.
var accounts = []session.Account{
	{ID: "zhou", Name: "周晓梅", Assignments: []session.Assignment{{Role: session.Clerk, Hall: "street-hall"}}},
	{ID: "sun", Name: "孙立", Assignments: []session.Assignment{{Role: session.Clerk, Hall: "street-land"}}},
	{ID: "qian", Name: "钱审", Assignments: []session.Assignment{{Role: session.Auditor, Hall: "audit-office"}}},
	{ID: "wu", Name: "吴维", Assignments: []session.Assignment{{Role: session.Operator, Hall: "operations"}}},
}

// newCity starts everything. change may edit files of the installation before the node starts.
func newCity(t testing.TB, change ...func(c *city)) *city {
	t.Helper()
	dir, err := os.MkdirTemp("", "oncegate-console-")
	c := &city{t: t, dir: dir, logs: &journal{}}
	c.must(err)
	c.legacy, err = legacy.Start(legacy.Config{Dir: c.path("city"), Police: "127.0.0.1:0", PoliceToken: "police-secret", Civil: "127.0.0.1:0", CivilCode: "civil-secret"})
	c.must(err)
	c.must(c.legacy.Tax.Export(time.Now().Add(-72 * time.Hour))) // too old to be used: the tax bureau is down
	l, err := net.Listen("tcp", "127.0.0.1:0")
	c.must(err)
	address := l.Addr().String()
	l.Close()
	c.url = "http://" + address
	c.must(deploy.WriteCity(c.path("gateway")))
	c.must(os.MkdirAll(c.path("gateway", "secrets"), 0o700))
	c.must(os.WriteFile(c.path("gateway", "secrets", "police.token"), []byte("police-secret\n"), 0o600))
	c.must(os.WriteFile(c.path("gateway", "secrets", "civil.appcode"), []byte("civil-secret\n"), 0o600))
	c.edit("sources/police.yaml", "127.0.0.1:8431", c.legacy.Police.Addr())
	c.edit("sources/civil.yaml", "127.0.0.1:8432", c.legacy.Civil.Addr())
	c.edit(config.MainFile, "  public_url: http://127.0.0.1:8420", "  public_url: "+c.url, "  listen: 127.0.0.1:8420", "  listen: "+address, "  admin: 127.0.0.1:8421", "  admin: 127.0.0.1:0",
		`      opens: "08:30"`+"\n", "", `      closes: "20:00"`+"\n", "") // the tests run at night, too
	for _, f := range change {
		f(c)
	}
	prepared, err := install.Prepare(context.Background(), c.path("gateway", config.MainFile), install.PrepareOptions{Cost: 10})
	c.must(err)
	c.setup = prepared.Setup
	c.addAccounts()
	c.keys, err = install.OpenCallers(c.setup, "")
	c.must(err)
	c.serve()
	return c
}

func (c *city) path(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}

func (c *city) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *city) edit(name string, pairs ...string) {
	c.t.Helper()
	name = c.path("gateway", filepath.FromSlash(name))
	data, err := os.ReadFile(name)
	c.must(err)
	text := string(data)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			c.t.Fatalf("%s has no %q", name, pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	c.must(os.WriteFile(name, []byte(text), 0o600))
}

var hashed = sync.OnceValues(func() (string, error) { return session.HashPassword(password) })

func (c *city) addAccounts() {
	c.t.Helper()
	hash, err := hashed()
	c.must(err)
	all := session.NewAccounts()
	for _, a := range accounts {
		a.Password = hash
		all = all.With(a)
	}
	ring, err := c.setup.Keys.Keyring(keystore.Envelope, "")
	c.must(err)
	sealed, err := all.Sealed(ring)
	c.must(err)
	c.must(os.WriteFile(c.setup.Console.Accounts, sealed, 0o600))
}

func (c *city) serve() {
	c.t.Helper()
	var err error
	c.node, err = node.Open(context.Background(), c.path("gateway", config.MainFile), node.Options{Logger: slog.New(slog.NewJSONHandler(c.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	c.must(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.node.Run(ctx) }()
	c.stop = func() {
		stop()
		if err := <-done; err != nil {
			fmt.Fprintln(os.Stderr, "stop:", err)
		}
		_ = c.legacy.Close()
		_ = os.RemoveAll(c.dir)
	}
	c.must(c.node.WriteTrust(c.path("trust")))
	c.trust, err = verdict.LoadTrust(c.path("trust", install.TrustFile))
	c.must(err)
}

// as is a system that makes signed calls.
func (c *city) as(system string) *client.Client {
	c.t.Helper()
	signer, err := install.CallerSigner(c.setup, c.keys, system)
	c.must(err)
	one, err := client.New(client.Config{BaseURL: c.url, Gateway: c.setup.Gateway.ID, System: system, Operator: "TEST-1", Signer: signer, Trust: c.trust})
	c.must(err)
	return one
}

// accept has the acceptance platform register a case.
func (c *city) accept(no, matter string, parties ...api.Party) {
	c.t.Helper()
	_, err := c.as("acceptance").RegisterCase(c.t.Context(), api.CaseRequest{No: no, Matter: matter, Accepted: api.At(time.Now()), Parties: parties})
	c.must(err)
}

func party(role string, h license.HolderID) api.Party {
	return api.Party{Role: role, Holder: api.HolderID{Type: h.Type, Code: h.Code}}
}

// records are the records of an operation of a system, newest first.
func (c *city) records(system, operation string) []api.AuditRecord {
	c.t.Helper()
	var found []api.AuditRecord
	for range 100 { // the projection that searches read follows the log
		a, err := c.as("audit-office").Search(c.t.Context(), api.SearchRequest{System: system, Operation: operation, Limit: 100})
		c.must(err)
		found = a.Answer.Records
		if uint64(a.Answer.Covered)+1 >= uint64(a.Answer.Size) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return found
}

// A browser is one person's, with its cookies.
type browser struct {
	c    *city
	http *http.Client
	urls []string // asked for
}

func (c *city) browser() *browser {
	jar, _ := cookiejar.New(nil)
	b := &browser{c: c}
	b.http = &http.Client{Jar: jar, Transport: b}
	return b
}

// RoundTrip notes every address that is asked for.
func (b *browser) RoundTrip(r *http.Request) (*http.Response, error) {
	b.urls = append(b.urls, r.URL.String())
	return http.DefaultTransport.RoundTrip(r)
}

// signIn signs somebody in at a window of their hall.
func (c *city) signIn(account, desk string) *browser {
	c.t.Helper()
	b := c.browser()
	page := b.get("/console/")
	fields := page.Form("/console/sign-in")
	fields["account"], fields["password"], fields["desk"] = account, password, desk
	page = b.post("/console/sign-in", fields)
	if desk != "" && strings.Contains(page.HTML, `action="/console/place"`) {
		fields = page.Form("/console/place")
		fields["hall"], fields["desk"] = hallOf(account), desk
		page = b.post("/console/place", fields)
	}
	if strings.Contains(page.HTML, `action="/console/sign-in"`) {
		c.t.Fatalf("%s was not signed in:\n%s", account, page.HTML)
	}
	return b
}

func hallOf(account string) string {
	for _, a := range accounts {
		if a.ID == account {
			return a.Assignments[0].Hall
		}
	}
	return ""
}

func (b *browser) get(path string) consoletest.Page {
	b.c.t.Helper()
	page, _ := b.read(b.http.Get(b.c.url + path))
	return page
}

func (b *browser) post(path string, fields map[string]string) consoletest.Page {
	b.c.t.Helper()
	page, _ := b.read(b.http.PostForm(b.c.url+path, valuesOf(fields)))
	return page
}

func valuesOf(fields map[string]string) url.Values {
	f := url.Values{}
	for name, value := range fields {
		f.Set(name, value)
	}
	return f
}

// upload posts a form with a file.
func (b *browser) upload(path string, fields map[string]string, field, name string, content []byte) consoletest.Page {
	b.c.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for key, value := range fields {
		b.c.must(w.WriteField(key, value))
	}
	part, err := w.CreateFormFile(field, name)
	b.c.must(err)
	_, err = part.Write(content)
	b.c.must(errors.Join(err, w.Close()))
	page, _ := b.read(b.http.Post(b.c.url+path, w.FormDataContentType(), &body))
	return page
}

func (b *browser) read(res *http.Response, err error) (consoletest.Page, *http.Response) {
	b.c.t.Helper()
	b.c.must(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	b.c.must(err)
	page := consoletest.Read(b.c.t, string(text))
	for _, fault := range page.Faults() {
		b.c.t.Errorf("%s: %s", res.Request.URL.Path, fault)
	}
	return page, res
}

// with adds fields to a form's hidden ones.
func with(hidden map[string]string, pairs ...string) map[string]string {
	for i := 0; i < len(pairs); i += 2 {
		hidden[pairs[i]] = pairs[i+1]
	}
	return hidden
}

// scan scans a code and starts the check of what it stands for.
func (b *browser) scan(code string) consoletest.Page {
	b.c.t.Helper()
	page := b.post("/console/window", with(b.get("/console/window").Form("/console/window"), "scan", code))
	return b.post("/console/window", with(page.Form("/console/window"), "who", "self"))
}
