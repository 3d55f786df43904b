package session_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"encoding/json"
	"github.com/prometheus/client_golang/prometheus"

	"oncegate/certs/envelope"
	"oncegate/certs/sm"
	"oncegate/console/session"
	"oncegate/license"
	"oncegate/store"
)

// A rig is a Gate over a real database, with pages that say as JSON what they were given, behind a real HTTP server.
type rig struct {
	t       *testing.T
	store   store.Config
	db      *store.DB
	raw     *sql.DB // what somebody has who writes the database and holds no key
	keyring *envelope.Keyring
	gate    *session.Gate
	server  *httptest.Server
	current session.Current
	log     *strings.Builder
	handler http.Handler // of the process that serves

	mu     sync.Mutex // protects all below
	now    time.Time
	events []session.Event
	failed error        // of Record
	posts  []url.Values // that reached a page
	who    []string     // persons in whose session they did
}

const (
	hall, otherHall, auditOffice = "street-hall", "market-hall", "audit-office"
	password                     = "correct horse 电池"
)

var hashed = sync.OnceValues(func() (string, error) { return session.HashPassword(password) })

// shownPages answers views as JSON with their type's name.
type shownPages struct{}

func (shownPages) Draw(w http.ResponseWriter, r *http.Request, status int, view any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	kind := fmt.Sprintf("%T", view)
	kind = kind[strings.LastIndex(kind, ".")+1:]
	_ = json.NewEncoder(w).Encode(map[string]any{"page": kind, "view": view})
}

// onEach runs a test on SQLite and, if ONCEGATE_TEST_POSTGRES holds a connection URL, on PostgreSQL in a schema of its own.
func onEach(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newRig(t, sqliteConfig(t))) })
	dsn := os.Getenv("ONCEGATE_TEST_POSTGRES")
	if dsn == "" {
		t.Log("ONCEGATE_TEST_POSTGRES is not set: nothing is tried on PostgreSQL")
		return
	}
	t.Run("postgres", func(t *testing.T) {
		u := must(url.Parse(dsn))(t)
		var random [6]byte
		rand.Read(random[:])
		schema := "console_" + hex.EncodeToString(random[:])
		admin := must(sql.Open("pgx", dsn))(t)
		must(admin.Exec("CREATE SCHEMA " + schema))(t)
		t.Cleanup(func() { admin.Exec("DROP SCHEMA " + schema + " CASCADE"); admin.Close() })
		q := u.Query()
		q.Set("search_path", schema)
		u.RawQuery = q.Encode()
		test(t, newRig(t, store.Config{Driver: store.Postgres, DSN: u.String()}))
	})
}

func sqliteConfig(t *testing.T) store.Config {
	return store.Config{Path: filepath.Join(t.TempDir(), "oncegate.db")}
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newRig(t *testing.T, c store.Config) *rig {
	r := &rig{t: t, now: time.Date(2026, 11, 30, 1, 16, 0, 0, time.UTC), log: &strings.Builder{}} // 09:16 in China
	r.keyring = must(envelope.NewKeyring(nil, envelope.Key{ID: "test-1", Secret: [32]byte{1}}))(t)
	c.Log, c.Sealer, c.Now = "console.example/log", r.keyring, r.clock
	c.Digest = func(data []byte) []byte { d := sm.HMAC([]byte("test key"), data); return d[:] }
	r.store = c
	r.db = must(store.Open(t.Context(), c))(t)
	t.Cleanup(func() { r.db.Close() })
	driver, dsn := "sqlite", "file:"+c.Path+"?_pragma=busy_timeout(5000)"
	if c.Driver == store.Postgres {
		driver, dsn = "pgx", c.DSN
	}
	r.raw = must(sql.Open(driver, dsn))(t)
	t.Cleanup(func() { r.raw.Close() })
	hash := must(hashed())(t)
	account := func(id, name string, all ...session.Assignment) session.Account {
		return session.Account{ID: id, Name: name, Password: hash, Secret: secretOf(id), Assignments: all}
	}
	r.current = session.Current{
		Settings: session.Settings{Accounts: "accounts", Halls: []session.Hall{
			{System: hall, Name: "示例街道", Roles: []string{session.Clerk}, Desks: []string{"1", "2", "3"}, Closes: "18:00"},
			{System: otherHall, Name: "示例市场", Roles: []string{session.Clerk, session.Head}},
			{System: auditOffice, Name: "审计局", Roles: []string{session.Auditor}},
		}}.WithDefaults(),
		Departments: map[string]string{hall: "service", otherHall: "samr", auditOffice: "audit"},
		Accounts: session.NewAccounts(
			account("clerk-1", "示例甲", session.Assignment{Role: session.Clerk, Hall: hall}),
			account("clerk-2", "示例乙", session.Assignment{Role: session.Clerk, Hall: hall}, session.Assignment{Role: session.Clerk, Hall: otherHall}),
			account("head-1", "示例丙", session.Assignment{Role: session.Head, Hall: otherHall}),
			account("auditor-1", "示例丁", session.Assignment{Role: session.Auditor, Hall: auditOffice}),
		),
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	r.start(false)
	return r
}

// secretOf is the second factor of a test's account.
func secretOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:20])
}

// start puts a Gate of a new process behind the server.
func (r *rig) start(secure bool) {
	if r.server != nil {
		r.server.Close()
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { r.handler.ServeHTTP(w, q) })
	if secure {
		r.server = httptest.NewTLSServer(handler)
	} else {
		r.server = httptest.NewServer(handler)
	}
	r.t.Cleanup(r.server.Close)
	r.gate, r.handler = r.process(secure)
}

// process makes the Gate of one more process on the same database.
func (r *rig) process(secure bool) (*session.Gate, http.Handler) {
	gate := must(session.New(session.Config{
		Current: func() *session.Current { return &r.current }, Storage: r.db.Console(), Key: bytes.Repeat([]byte{7}, 32), Sealer: r.keyring,
		Pages: shownPages{}, Secure: secure, Origin: r.server.URL, Record: r.record, Client: func(q *http.Request) string { return q.Header.Get("X-Test-Address") },
		Registry: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(r.log, nil)), Now: r.clock, Zone: license.Shanghai(),
	}))(r.t)
	return gate, gate.Handler(http.HandlerFunc(r.page))
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func (r *rig) record(_ context.Context, e session.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.events = append(r.events, e)
	}
	return r.failed
}

// page is a page of the console: a POST is noted, and everything says for whom it was opened.
func (r *rig) page(w http.ResponseWriter, q *http.Request) {
	s := session.From(q.Context())
	if s == nil {
		w.Write([]byte(`{"page":"public"}`))
		return
	}
	if q.Method == http.MethodPost {
		r.mu.Lock()
		r.posts, r.who = append(r.posts, q.PostForm), append(r.who, s.Person.ID)
		r.mu.Unlock()
	}
	shownPages{}.Draw(w, q, 200, &Session{s, s.FormToken})
}

// A Session is a session with its form token, as pages have it.
type Session struct {
	*session.Session
	FormOf string `json:"form"`
}

// A browser keeps cookies as a browser does.
type browser struct {
	r       *rig
	client  *http.Client
	address string
}

func (r *rig) browser(address string) *browser {
	client := *r.server.Client()
	client.Jar = must(cookiejar.New(nil))(r.t)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{r, &client, address}
}

// A reply is what a page said.
type reply struct {
	status   int
	header   http.Header
	location string
	Page     string `json:"page"`
	View     struct {
		Form, FormToken, Fault, Code, Name, Hall, Desk string
		Kept, Lost, Password                           bool
		Person                                         struct{ ID, Proof, Service string } `json:"person"`
		FormOf                                         string                              `json:"form"`
		SessionHall                                    string                              `json:"hall"`
		SessionDesk                                    string                              `json:"desk"`
		Roles                                          []string                            `json:"roles"`
		Ends                                           time.Time                           `json:"ends"`
	} `json:"view"`
	text   string
	cookie string // the session's, after signIn
}

func (b *browser) do(method, path string, form url.Values, change ...func(*http.Request)) *reply {
	b.r.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	q := must(http.NewRequestWithContext(b.r.t.Context(), method, b.r.server.URL+path, body))(b.r.t)
	if form != nil {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	q.Header.Set("X-Test-Address", b.address)
	for _, c := range change {
		c(q)
	}
	return b.send(q)
}

func (b *browser) send(q *http.Request) *reply {
	b.r.t.Helper()
	res := must(b.client.Do(q))(b.r.t)
	defer res.Body.Close()
	text := must(io.ReadAll(res.Body))(b.r.t)
	a := &reply{status: res.StatusCode, header: res.Header, location: res.Header.Get("Location"), text: string(text)}
	if len(text) > 0 && text[0] == '{' {
		if err := json.Unmarshal(text, a); err != nil {
			b.r.t.Fatalf("%s %s: %v: %s", q.Method, q.URL, err, text)
		}
	}
	return a
}

func (b *browser) get(path string) *reply { b.r.t.Helper(); return b.do("GET", path, nil) }

// code is the present code of an account's second factor.
func (r *rig) code(account string) string {
	return must(session.CodeAt(secretOf(account), r.clock()))(r.t)
}

// try fills in the sign-in page and sends it.
func (b *browser) try(account, password, code string, more ...string) *reply {
	b.r.t.Helper()
	page := b.get("/console/sign-in")
	form := url.Values{"form": {page.View.Form}, "account": {account}, "password": {password}, "code": {code}}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return b.do("POST", "/console/sign-in", form)
}

// signIn signs in, and returns the home page.
func (b *browser) signIn(account string, more ...string) *reply {
	b.r.t.Helper()
	b.r.pass(31 * time.Second) // a code of its own
	a := b.try(account, password, b.r.code(account), more...)
	if a.status != 303 {
		b.r.t.Fatalf("sign in as %s: %d %s", account, a.status, a.text)
	}
	home := b.get(a.location)
	home.cookie = b.cookies()["oncegate-session"]
	return home
}

// sessionOf is the session that a browser's cookie opens.
func (r *rig) sessionOf(b *browser) *session.Session {
	r.t.Helper()
	s := must(r.gate.Find(r.t.Context(), b.cookies()["oncegate-session"]))(r.t)
	if s == nil {
		r.t.Fatal("the browser has no session")
	}
	return s
}

// cookies are those that the browser sends.
func (b *browser) cookies() map[string]string {
	u := must(url.Parse(b.r.server.URL))(b.r.t)
	all := map[string]string{}
	for _, c := range b.client.Jar.Cookies(u) {
		all[c.Name] = c.Value
	}
	return all
}

// plant sets a cookie, as somebody does who can.
func (b *browser) plant(name, value string) {
	u := must(url.Parse(b.r.server.URL))(b.r.t)
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

// do runs a statement on the database, which must change something.
func (r *rig) alter(statement string, args ...any) {
	r.t.Helper()
	if r.store.Driver == store.Postgres {
		for n := 1; strings.Contains(statement, "?"); n++ {
			statement = strings.Replace(statement, "?", fmt.Sprintf("$%d", n), 1)
		}
	}
	if n := must(must(r.raw.Exec(statement, args...))(r.t).RowsAffected())(r.t); n == 0 {
		r.t.Fatalf("%s: nothing was changed", statement)
	}
}

func contains(text, part string) bool { return strings.Contains(text, part) }
