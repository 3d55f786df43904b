package session

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oncegate/gateway/intake"
	"oncegate/gateway/share"
)

// Current is what of the configuration in force the Gate needs. It is swapped as a whole.
type Current struct {
	Settings    Settings          // with defaults
	Departments map[string]string // of systems, by id
	Accounts    *Accounts
	Providers   map[string]*Connection // by id
}

// A Config says what a Gate works with. All fields are required.
type Config struct {
	Current  func() *Current
	Storage  Storage
	Key      []byte // 32 bytes or more, the same on all nodes: of form tokens before sign-in, device marks and the state of sign-ins under way
	Sealer   Sealer // of the state of sign-ins under way
	Pages    Pages
	Secure   bool   // browsers reach the console over https
	Origin   string // URL under which they do: its scheme, host and port count
	Record   func(ctx context.Context, e Event) error
	Client   func(*http.Request) string // the address or network that tries to sign in are counted by
	Registry prometheus.Registerer
	Logger   *slog.Logger
	Now      func() time.Time
	Zone     *time.Location // in which halls close
}

// Pages draw what the Gate shows. Each view is a pointer to one of SignIn, Lock, Place and Refused.
type Pages interface {
	Draw(w http.ResponseWriter, r *http.Request, status int, view any)
}

// A Gate is the middleware that all requests to the console pass: security headers, cookies, cross-origin and form tokens, the lock, the
// access matrix, and the routes of signing in and out. It is safe for concurrent use.
type Gate struct {
	Config
	matrix  *Matrix
	metrics *metrics
	memory  *memory
	guesses *guesses
	hashing *hasher      // of passwords
	asking  *share.Queue // of providers
	origin  *http.CrossOriginProtection
	own     *http.ServeMux // the Gate's own routes
	pages   http.Handler   // all others
	lines   intake.LineLimit
}

// Sign-ins for which providers are asked at once: of one address at most half. So many more of one address wait.
const (
	askedAtOnce  = 16
	askedWaiting = 16
)

// New makes a Gate.
func New(c Config) (*Gate, error) {
	if len(c.Key) < 32 {
		return nil, errors.New("the console's key has less than 32 bytes")
	}
	matrix, err := ReadMatrix()
	if err != nil {
		return nil, err
	}
	g := &Gate{
		Config: c, matrix: matrix, metrics: newMetrics(c.Registry), memory: newMemory(), guesses: newGuesses(c.Key, c.Now),
		hashing: newHasher(), asking: share.NewQueue(askedAtOnce, askedWaiting), origin: http.NewCrossOriginProtection(), own: http.NewServeMux(),
	}
	u, err := url.Parse(c.Origin)
	if err != nil {
		return nil, err
	}
	if err := g.origin.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
		return nil, err
	}
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /console/sign-in":             g.signInPage,
		"POST /console/sign-in":            g.signIn,
		"GET /console/sign-in/{provider}":  g.toProvider,
		"GET /console/callback/{provider}": g.callback,
		"GET /console/unlock/{provider}":   g.unlockAt,
		"POST /console/sign-out":           g.signOut,
		"POST /console/change-person":      g.changePerson,
		"GET /console/unlock":              g.unlockPage,
		"POST /console/unlock":             g.unlock,
		"GET /console/place":               g.placePage,
		"POST /console/place":              g.choosePlace,
		"POST /console/preferences":        g.choosePreferences,
	} {
		g.own.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { g.answer(w, r, serve(w, r)) })
	}
	return g, nil
}

// Security headers of every answer of the console.
const policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// SetHeaders sets the security headers of an answer of the console: nothing is loaded but the style sheet and images, nothing is framed,
// cached or sniffed, and no address is told to others.
func SetHeaders(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // of browsers that do not know frame-ancestors
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-store")
}

// Limits of a request's body.
const (
	maxForm   = 256 << 10 // bytes of a form
	maxUpload = 8 << 20   // bytes of a form with files, of somebody who is signed in
	maxSignIn = 16 << 10  // bytes of a form of somebody who is not
)

// FormField is the name of the hidden field with the session's form token.
const FormField = "form"

// Handler puts the Gate before the console's pages. It is called once.
func (g *Gate) Handler(pages http.Handler) http.Handler {
	g.pages = pages
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		SetHeaders(w.Header())
		g.answer(w, r, g.serve(w, r))
	})
}

// serve lets a request pass, or says why not.
func (g *Gate) serve(w http.ResponseWriter, r *http.Request) error {
	if err := g.origin.Check(r); err != nil {
		return &Refusal{Code: CodeOrigin, Status: 403}
	}
	row, ok := g.matrix.Of(r)
	if !ok {
		return &Refusal{Code: CodeNotFound, Status: 404}
	}
	s, err := g.find(r.Context(), g.cookie(r, sessionCookie))
	if err != nil {
		return &Refusal{Code: CodeStorage, Status: 503, Cause: err}
	}
	if s == nil && !row.Public {
		if !safe(r.Method) || g.cookie(r, sessionCookie) != "" {
			g.dropCookie(w, sessionCookie)
		}
		return g.toSignIn(w, r)
	}
	kept, err := g.takeForm(w, r, s)
	if err != nil {
		return err
	}
	if s != nil {
		r = r.WithContext(context.WithValue(Into(r.Context(), s), keptKey{}, kept))
		if done, err := g.watch(w, r, s, row, kept); done || err != nil {
			return err
		}
	}
	if !row.allows(s) {
		return &Refusal{Code: CodeNoRole, Status: 403}
	}
	g.dispatch(w, r)
	return nil
}

// dispatch serves a request that may be served.
func (g *Gate) dispatch(w http.ResponseWriter, r *http.Request) {
	if _, pattern := g.own.Handler(r); pattern != "" {
		g.own.ServeHTTP(w, r)
		return
	}
	g.pages.ServeHTTP(w, r)
}

// failed writes a line of the security log about somebody who proved nothing: the code alone, bounded in number.
func (g *Gate) failed(r *http.Request, code string) {
	ok, dropped := g.lines.Allow(g.Now())
	if dropped > 0 {
		g.Logger.WarnContext(r.Context(), "console: lines about refused sign-ins left out", "count", dropped)
	}
	if ok {
		g.Logger.WarnContext(r.Context(), "console: sign-in refused", "code", code)
	}
}

func safe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// takeForm reads the body of a POST, bounded, checks its form token, and puts the body back. It returns what would have to be kept of the
// request.
func (g *Gate) takeForm(w http.ResponseWriter, r *http.Request, s *Session) (*keptPost, error) {
	if safe(r.Method) {
		return nil, nil
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	most := int64(maxForm)
	switch {
	case s == nil:
		most = maxSignIn
	case kind == "multipart/form-data":
		most = maxUpload
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return nil, &Refusal{Code: CodeLarge, Status: 413}
	} else if err != nil {
		return nil, &Refusal{Code: CodeForm, Status: 400}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if kind == "multipart/form-data" {
		err = r.ParseMultipartForm(maxUpload) // all of it stays in memory: a file on disk would hold personal data
	} else {
		err = r.ParseForm()
	}
	if err != nil {
		return nil, &Refusal{Code: CodeForm, Status: 400}
	}
	if !g.formTokenHolds(r, s) {
		return nil, &Refusal{Code: CodeForm, Status: 403}
	}
	return &keptPost{Method: r.Method, Path: r.URL.EscapedPath(), Type: r.Header.Get("Content-Type"), Body: body}, nil
}

// formTokenHolds compares the form's token with the session's, or, where nobody is signed in, with that of the browser's visit (against
// login CSRF), in constant time. The page of the lock has a token of its own, so that whoever finds a locked browser finds none there with
// which another form could be sent, and kept for the person who unlocks it.
func (g *Gate) formTokenHolds(r *http.Request, s *Session) bool {
	given := r.PostForm[FormField]
	holds := func(want string) bool {
		return len(given) == 1 && subtle.ConstantTimeCompare([]byte(given[0]), []byte(want)) == 1
	}
	if s != nil {
		return holds(s.token) || slices.Contains(lockPaths, r.URL.Path) && holds(g.lockToken(s))
	}
	visit := g.cookie(r, visitCookie)
	return len(visit) == secretLength && holds(g.visitToken(visit))
}

// lockPaths are what a locked session may post to.
var lockPaths = []string{"/console/unlock", "/console/sign-out", "/console/change-person", "/console/preferences"}

// watch notes that a session is used, and stops a request of one that is locked or for which no hall is chosen yet. done: it was answered.
func (g *Gate) watch(w http.ResponseWriter, r *http.Request, s *Session, row Route, kept *keptPost) (done bool, err error) {
	ctx, now, set := r.Context(), g.Now(), g.Current().Settings
	idle := now.Sub(s.Seen)
	if !s.Locked && (idle >= set.Idle || idle < -clockSlack) { // a clock that went back proves no use
		if err := g.change(ctx, s, func(s *Session) { s.Locked = true }); err != nil {
			return false, g.gone(err)
		}
		g.metrics.locks.Inc()
	}
	if s.Locked {
		s.FormToken = g.lockToken(s)
		if slices.Contains(lockPaths, r.URL.Path) || row.Locked {
			return false, nil
		}
		return true, g.lock(w, r, s, kept, CodeLocked)
	}
	if idle >= touchEvery {
		if err := g.change(ctx, s, func(s *Session) { s.Seen = now }); err != nil {
			return false, g.gone(err)
		}
	}
	if row.Fresh && !g.fresh(s) {
		return true, g.lock(w, r, s, kept, CodeFresh)
	}
	if s.Hall == "" && !row.Public && r.URL.Path != "/console/place" && !slices.Contains(lockPaths, r.URL.Path) {
		http.Redirect(w, r, "/console/place", http.StatusSeeOther)
		return true, nil
	}
	return false, nil
}

// gone turns the error of a change into a refusal.
func (g *Gate) gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &Refusal{Code: CodeEnded, Status: 403}
	}
	return &Refusal{Code: CodeStorage, Status: 503, Cause: err}
}

// fresh reports whether the second factor was given lately.
func (g *Gate) fresh(s *Session) bool {
	since := g.Now().Sub(s.Proven)
	return since >= -clockSlack && since <= g.Current().Settings.Fresh
}

// Fresh reports whether the person of a request gave the second factor within console.fresh, as sensitive pages demand whose need depends on
// what is asked. Where not, call Again.
func (g *Gate) Fresh(ctx context.Context) bool {
	s := From(ctx)
	return s != nil && g.fresh(s)
}

// Again asks for the second factor and then carries the request out. The request must be as the Gate handed it on.
func (g *Gate) Again(w http.ResponseWriter, r *http.Request) {
	s := From(r.Context())
	if s == nil {
		g.answer(w, r, g.toSignIn(w, r))
		return
	}
	kept, _ := r.Context().Value(keptKey{}).(*keptPost)
	g.answer(w, r, g.lock(w, r, s, kept, CodeFresh))
}

// answer shows a refusal; nil was answered already.
func (g *Gate) answer(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil {
		return
	}
	refusal := (*Refusal)(nil)
	if !errors.As(err, &refusal) {
		refusal = &Refusal{Code: CodeStorage, Status: 503, Cause: err}
	}
	g.metrics.refused.WithLabelValues(refusal.Code).Inc()
	if refusal.Cause != nil {
		g.Logger.ErrorContext(r.Context(), "console", "code", refusal.Code, "error", refusal.Cause.Error())
	}
	g.Pages.Draw(w, r, refusal.Status, &Refused{Code: refusal.Code})
}

// toSignIn sends a browser to the sign-in page, with where it wanted to go.
func (g *Gate) toSignIn(w http.ResponseWriter, r *http.Request) error {
	to := "/console/sign-in"
	if r.Method == http.MethodGet && r.URL.Path != "/console/" {
		to += "?to=" + url.QueryEscape(r.URL.EscapedPath())
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}
