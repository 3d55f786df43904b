// Package console is the web interface (政务窗口网页) of a gateway for people: window clerks, auditors, holders, operators. It is a caller like
// any other: each page that shows something of a case, a license or a record is one operation through the gateway and leaves one record, for
// the hall as the calling system and for the signed-in person. Pages are rendered on the server from templates of the standard library
// (html/template: contextual escaping, no generator) and need no JavaScript. It is the only room that knows HTML.
//
// routes.go is the table of pages: method, path, roles, operation. A family of pages is one Go file, its templates under pages/ and its rows
// there. A POST carries a one-time form id that becomes the id of the call (idempotency key); the reply is kept sealed for the session and
// the browser is redirected to a page that shows it, so that reload and Back make no call.
package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"time"

	"oncegate/api"
	"oncegate/console/barcode"
	"oncegate/console/session"
	"oncegate/gateway"
	"oncegate/verdict"
)

// A Caller makes calls for people who have signed in: gateway.Gateway is one.
type Caller interface {
	// Do makes a call. A Reply with a Problem is a recorded refusal; an error that is an *api.Problem is one of the fixed answers without a
	// record, of which token-replayed says that the question's id was used before.
	Do(ctx context.Context, p gateway.Principal, operation string, q gateway.Question) (*gateway.Reply, error)
}

// A Gate lets requests pass to the pages, with the session of who is signed in (session.From), and keeps replies: session.Gate is one.
type Gate interface {
	Handler(pages http.Handler) http.Handler
	// Keep keeps a value sealed until the session ends, in the place of what was kept under the key.
	Keep(ctx context.Context, s *session.Session, key string, value []byte) error
	// Kept returns what the session keeps under a key; fs.ErrNotExist: nothing.
	Kept(ctx context.Context, s *session.Session, key string) ([]byte, error)
	// Fresh reports whether the person of a request gave the second factor lately; where a page needs that and it is not so, Again asks for it
	// and then carries the request out.
	Fresh(ctx context.Context) bool
	Again(w http.ResponseWriter, r *http.Request)
	// Share keeps a value sealed under an unguessable key until a time, for all sessions, in the place of what was kept under it.
	Share(ctx context.Context, key string, value []byte, until time.Time) error
	// Shared returns what Share kept; fs.ErrNotExist: nothing.
	Shared(ctx context.Context, key string) ([]byte, error)
	// PreferencesOf returns how whoever made a request wants pages, signed in or not.
	PreferencesOf(r *http.Request) session.Preferences
}

// Config is the configuration and the dependencies of a console. Fields without a default are required.
type Config struct {
	Caller   Caller
	Snapshot func() *gateway.Snapshot // the one in force: names of matters, materials and departments, and the rules
	Settings func() session.Settings  // halls, with their usual matters
	Outages  func() []Outage          // what the gateway knows of sources that do not answer; default: nothing
	NewSM3   func() hash.Hash         // digests of uploaded files
	// Handled counts the cases for which a hall checked materials today, for the foot of its pages; default, or false: nothing is said.
	Handled func(hall string) (cases int, ok bool)
	// Prove verifies a receipt as anybody can offline, with the trust of the configuration in force.
	Prove func(ctx context.Context, receipt []byte) verdict.Verified
	Codes func() Resolver // what scanned codes stand for; default: case numbers and personal numbers only

	MaxDocument int              // bytes of a document to verify; default 5 MiB
	Late        time.Duration    // how long a page waits for its call before it says that it is under way; default 2.5 s
	Call        time.Duration    // longest time of a call that goes on behind a page; default 15 s
	Background  int              // most calls that go on behind pages at once; default 128
	Now         func() time.Time // default time.Now
	Rand        io.Reader        // default crypto/rand
	Logger      *slog.Logger     // default: discard
}

// An Outage is a source that does not answer at present, or planned maintenance that is to begin.
type Outage struct {
	Department string       // id of the department whose system it is
	Since      time.Time    // zero: not known
	Until      time.Time    // when it is expected back; zero: not known
	Planned    bool         // it has not begun
	Why        api.Sentence // of the maintenance that is planned now or then
}

// A Resolver says what a scanned code stands for: barcode.Reader is one. It is asked only about codes that are not personal numbers; number is that of the case which the hall would register. It must be
// safe for concurrent use. fs.ErrNotExist: the code stands for nothing.
type Resolver interface {
	Resolve(ctx context.Context, code, system, number string) (barcode.Meaning, error)
}

// A Console draws the pages. It is safe for concurrent use.
type Console struct {
	Config
	gate    Gate
	pages   map[string]page
	sheets  sheets
	errands errands
	routes  []route
}

// New makes a console, which draws the pages of a Gate (session.Pages). Handler then puts it behind the Gate. Every template is parsed and
// every route is checked here.
func New(c Config) (*Console, error) {
	if c.Caller == nil || c.Snapshot == nil || c.Settings == nil || c.Prove == nil || c.NewSM3 == nil {
		return nil, errors.New("make console: caller, snapshot, settings, verification and SM3 are required")
	}
	con := &Console{Config: c.withDefaults()}
	var err error
	if con.sheets, err = newSheets(); err != nil {
		return nil, fmt.Errorf("make console: %w", err)
	}
	if con.pages, err = parsePages(); err != nil {
		return nil, fmt.Errorf("make console: %w", err)
	}
	con.errands = newErrands(con.Background)
	con.routes = con.table()
	if err := checkRoutes(con.routes, con.pages); err != nil {
		return nil, fmt.Errorf("make console: %w", err)
	}
	return con, nil
}

// Handler serves the pages behind a gate. It is called once, before the first request.
func (c *Console) Handler(g Gate) http.Handler {
	c.gate = g
	return g.Handler(c.inside())
}

func (c Config) withDefaults() Config {
	if c.Outages == nil {
		c.Outages = func() []Outage { return nil }
	}
	if c.Handled == nil {
		c.Handled = func(string) (int, bool) { return 0, false }
	}
	if c.Codes == nil {
		c.Codes = func() Resolver { return &barcode.Reader{} }
	}
	if c.MaxDocument == 0 {
		c.MaxDocument = 5 << 20
	}
	if c.Late == 0 {
		c.Late = 2500 * time.Millisecond
	}
	if c.Call == 0 {
		c.Call = 15 * time.Second
	}
	if c.Background == 0 {
		c.Background = 128
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
