package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
	"oncegate/gateway"
)

// SignIn is the view of the sign-in page. Its form posts to /console/sign-in: FormField, account, password, code, to and, if chosen here,
// hall and desk. A provider is a link to /console/sign-in/{its id}?to=….
type SignIn struct {
	Form      string // value of FormField
	Local     bool   // there are local accounts
	Providers []ProviderChoice
	Account   string // as it was typed
	To        string // path to go on to
	Fault     string // code of what was wrong; Sentence has its text
	Wait      time.Duration
	Changing  bool // 换人: another person signs in at this desk
}

// A ProviderChoice is a way to sign in.
type ProviderChoice struct {
	ID, Name string
}

// Place is the view of the page on which a person chooses the hall and the window. Its form posts to /console/place: FormField, hall, desk, to.
type Place struct {
	Form  string
	Halls []Hall // in which the person has a role
	Hall  string // chosen here last
	Desk  string
	To    string
	Fault string
}

// Lock is the view of the page that asks for the second factor. Its form posts to /console/unlock: FormField, code, or password where Password
// is set. Where Provider is set it is a link to /console/unlock/{Provider.ID} instead.
type Lock struct {
	Form     string
	Name     string
	Code     string // CodeLocked or CodeFresh
	Password bool   // an account on loopback that has no second factor gives its password again
	Provider *ProviderChoice
	Kept     bool // a form that was sent is kept and carried out
	Lost     bool // a form that was sent is too large to be kept
	Fault    string
	Wait     time.Duration
}

// Refused is the view of a refusal.
type Refused struct {
	Code string
}

// An Event is what the Gate has recorded: somebody who proved who they are signed in or out, or changed a session.
type Event struct {
	Kind   string // "console.sign-in", "console.sign-out", "console.unlock"
	Hall   string // system for which the session acts; empty before one is chosen
	Person gateway.Person
	Means  string // "local", or the provider's id
	How    string // of an end: sign-out, change-person, sign-in
	Roles  []string
}

// Kinds of events.
const (
	EventSignIn  = "console.sign-in"
	EventSignOut = "console.sign-out"
	EventUnlock  = "console.unlock"
)

type keptKey struct{}

// A keptPost is a request that met the lock, or a demand for the second factor.
type keptPost struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Query  string `json:"query,omitempty"`
	Type   string `json:"type,omitempty"`
	Body   []byte `json:"body,omitempty"`
}

const (
	keyPost  = "locked post"
	keyPage  = "locked page"
	keyFresh = "request that wants the second factor"
)

// target returns where to go on to, if it is a path of the console.
func (g *Gate) target(to string) string {
	if strings.HasPrefix(to, "/console/") && !strings.ContainsAny(to, "?#\\%") && !strings.Contains(to, "//") && len(to) <= 512 {
		if r, err := http.NewRequest(http.MethodGet, to, nil); err == nil {
			if row, ok := g.matrix.Of(r); ok && !row.Public {
				return to
			}
		}
	}
	return "/console/"
}

func (g *Gate) signInView(w http.ResponseWriter, r *http.Request) *SignIn {
	current := g.Current()
	v := &SignIn{Local: len(current.Accounts.List()) > 0, To: g.target(r.FormValue("to")), Changing: r.URL.Query().Has("change")}
	if s := From(r.Context()); s != nil {
		v.Form = s.FormToken
	} else {
		v.Form = g.visit(w, r)
	}
	for _, p := range current.Settings.Providers {
		v.Providers = append(v.Providers, ProviderChoice{p.ID, p.Name})
	}
	return v
}

func (g *Gate) signInPage(w http.ResponseWriter, r *http.Request) error {
	g.Pages.Draw(w, r, http.StatusOK, g.signInView(w, r))
	return nil
}

// signIn signs in with a local account.
func (g *Gate) signIn(w http.ResponseWriter, r *http.Request) error {
	id := strings.ToLower(strings.TrimSpace(narrow(r.PostFormValue("account"))))
	again := func(status int, code string, wait time.Duration) error {
		v := g.signInView(w, r)
		v.Fault, v.Wait, v.Account = code, wait, clip(id, 64)
		if wait > 0 {
			retryAfter(w, wait)
		}
		g.Pages.Draw(w, r, status, v)
		return nil
	}
	device := g.cookie(r, deviceCookie)
	wait, known, giveBack := g.guesses.try(g.address(r), clip(id, 64), g.guesses.device(device, id))
	if wait > 0 {
		g.metrics.signIns.WithLabelValues("local", CodeSlow).Inc()
		return again(http.StatusTooManyRequests, CodeSlow, wait)
	}
	account, err := g.verifyLocal(r.Context(), g.address(r), known, id, r.PostFormValue("password"), digits(r.PostFormValue("code")))
	if err == nil {
		err = g.admit(account.Assignments)
	}
	g.metrics.signIns.WithLabelValues("local", outcome(err)).Inc()
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		g.failed(r, refusal.Code)
		return again(refusal.Status, refusal.Code, 0)
	} else if err != nil {
		return &Refusal{Code: CodeStorage, Status: http.StatusServiceUnavailable, Cause: err}
	}
	giveBack()
	g.setCookie(w, deviceCookie, g.guesses.remember(device, id), deviceLifetime)
	return g.open(w, r, &Session{
		Person: gateway.Person{ID: account.ID, Proof: audit.OperatorAsserted}, Name: account.Name, Account: account.ID, Assignments: account.Assignments, Proven: g.Now(), password: account.password(),
	}, r.PostFormValue("to"))
}

// admit refuses a person without any role, or with such as nobody may have at once.
func (g *Gate) admit(all []Assignment) error {
	if _, _, found := ConflictOf(all, func(hall string) string { return g.Current().Departments[hall] }); found {
		return &Refusal{Code: CodeConflict, Status: http.StatusForbidden}
	}
	if len(g.halls(all)) == 0 {
		return &Refusal{Code: CodeNoPlace, Status: http.StatusForbidden}
	}
	return nil
}

// halls are those in which a person has a role.
func (g *Gate) halls(all []Assignment) (halls []Hall) {
	for _, h := range g.Current().Settings.Halls {
		if len(h.rolesOf(all)) > 0 {
			halls = append(halls, h)
		}
	}
	return halls
}

// rolesOf are the roles that assignments give in a hall.
func (h Hall) rolesOf(all []Assignment) (roles []string) {
	for _, a := range all {
		if a.Hall == h.System && slices.Contains(h.Roles, a.Role) && !slices.Contains(roles, a.Role) {
			roles = append(roles, a.Role)
		}
	}
	return roles
}

// open opens a session for a person who has proven who it is, under a new id, and sends the browser on. A session that the browser had
// before ends; if it was the same person's it goes on, with what it kept.
func (g *Gate) open(w http.ResponseWriter, r *http.Request, s *Session, to string) error {
	ctx, now, set := r.Context(), g.Now(), g.Current().Settings
	before := From(ctx)
	if before != nil && before.same(s) {
		return g.reopen(w, r, before, s.Proven)
	}
	if before != nil {
		if err := g.leave(ctx, before, "sign-in"); err != nil {
			return err
		}
	}
	s.Opened, s.Seen, s.Ends = now, now, now.Add(set.Longest)
	s.Preferences = g.PreferencesOf(r)
	s.family = digest("family", secret())
	halls, hall, desk := g.halls(s.Assignments), r.PostFormValue("hall"), narrow(strings.TrimSpace(r.PostFormValue("desk")))
	if hall == "" {
		hall, desk = placeOf(g.cookie(r, placeCookie))
	}
	if len(halls) == 1 && (len(halls[0].Desks) == 0 || hall != halls[0].System) {
		hall = halls[0].System
	}
	if i := slices.IndexFunc(halls, func(h Hall) bool { return h.System == hall }); i >= 0 && halls[i].has(desk) {
		g.place(s, halls[i], desk)
	}
	if err := g.Record(ctx, s.event(EventSignIn, "")); err != nil {
		return &Refusal{Code: CodeStorage, Status: http.StatusServiceUnavailable, Cause: err}
	}
	cookie, err := g.renew(ctx, s)
	if err != nil {
		return &Refusal{Code: CodeStorage, Status: http.StatusServiceUnavailable, Cause: err}
	}
	g.setCookie(w, sessionCookie, cookie, 0)
	g.dropCookie(w, visitCookie)
	if s.Hall == "" {
		http.Redirect(w, r, "/console/place", http.StatusSeeOther)
		return nil
	}
	http.Redirect(w, r, g.target(to), http.StatusSeeOther)
	return nil
}

// has reports whether a hall has a window, or has none at all.
func (h Hall) has(desk string) bool {
	if len(h.Desks) == 0 {
		return desk == ""
	}
	return slices.Contains(h.Desks, desk)
}

// place lets a session act for a hall from now on.
func (g *Gate) place(s *Session, h Hall, desk string) {
	set := g.Current().Settings
	s.Hall, s.Desk, s.Department, s.Roles = h.System, desk, g.Current().Departments[h.System], h.rolesOf(s.Assignments)
	if end := h.end(g.Now(), set.Longest, g.Zone); end.Before(s.Ends) {
		s.Ends = end
	}
}

// same reports whether two sessions are of one person, known in the same way.
func (s *Session) same(other *Session) bool {
	return s.Account == other.Account && s.Provider == other.Provider && s.Person.ID == other.Person.ID && s.Person.Service == other.Person.Service
}

func (s *Session) means() string {
	if s.Provider != "" {
		return s.Provider
	}
	return "local"
}

func (s *Session) event(kind, how string) Event {
	return Event{Kind: kind, Hall: s.Hall, Person: s.Person, Means: s.means(), How: how, Roles: s.Roles}
}

// leave ends a session and records it. It ends in any case.
func (g *Gate) leave(ctx context.Context, s *Session, how string) error {
	g.metrics.ended.WithLabelValues(how).Inc()
	err := errors.Join(g.end(ctx, s), g.Record(ctx, s.event(EventSignOut, how)))
	if err != nil {
		return &Refusal{Code: CodeStorage, Status: http.StatusServiceUnavailable, Cause: err}
	}
	return nil
}

func (g *Gate) signOut(w http.ResponseWriter, r *http.Request) error {
	return g.leaveFor(w, r, "sign-out", "/console/sign-in")
}

// changePerson ends a session and asks the next person to sign in, at the same window.
func (g *Gate) changePerson(w http.ResponseWriter, r *http.Request) error {
	return g.leaveFor(w, r, "change-person", "/console/sign-in?change")
}

func (g *Gate) leaveFor(w http.ResponseWriter, r *http.Request, how, to string) error {
	g.dropCookie(w, sessionCookie)
	w.Header().Set("Clear-Site-Data", `"cache"`)
	if err := g.leave(r.Context(), From(r.Context()), how); err != nil {
		return err
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// lock asks for the second factor, and keeps the request: it is carried out, or opened, once the same person has given it. Of the posts that
// meet a lock the first is kept. Where a page wants the second factor again, the last request is kept, for a while. Nothing of the Gate's own
// is: carrying out a sign-in would make one person of another.
func (g *Gate) lock(w http.ResponseWriter, r *http.Request, s *Session, kept *keptPost, code string) error {
	ctx, v := r.Context(), g.lockView(s, code)
	if _, own := g.own.Handler(r); own != "" {
		kept = nil
	} else if kept == nil && r.Method == http.MethodGet && len(r.URL.RawQuery) <= 4096 {
		kept = &keptPost{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery}
	}
	key, until := keyPage, s.Ends
	switch {
	case code == CodeFresh:
		key, until = keyFresh, g.Now().Add(flowLife)
	case kept != nil && kept.Method != http.MethodGet:
		key = keyPost
	}
	var before *keptPost
	if code == CodeLocked {
		var err error
		if before, err = g.keptRequest(ctx, s, keyPost); err != nil {
			return err
		}
	}
	v.Kept = before != nil
	switch {
	case kept == nil:
	case key == keyPost && before != nil:
		v.Lost = !bytes.Equal(before.Body, kept.Body) || before.Path != kept.Path // the same form may be sent twice
	case len(kept.Body) > maxKept/2:
		v.Lost = true
	default:
		content, err := json.Marshal(kept)
		if err == nil {
			err = g.Storage.Keep(ctx, s.family, digest("kept", key), content, until)
		}
		if err != nil {
			return &Refusal{Code: CodeStorage, Status: http.StatusServiceUnavailable, Cause: err}
		}
		v.Kept = v.Kept || kept.Method != http.MethodGet
	}
	g.Pages.Draw(w, r, http.StatusForbidden, v)
	return nil
}

func (g *Gate) lockView(s *Session, code string) *Lock {
	current := g.Current()
	v := &Lock{Form: g.lockToken(s), Name: s.Name, Code: code}
	if s.Provider != "" {
		v.Provider = &ProviderChoice{ID: s.Provider}
		for _, p := range current.Settings.Providers {
			if p.ID == s.Provider {
				v.Provider.Name = p.Name
			}
		}
		return v
	}
	account, _ := current.Accounts.Find(s.Account)
	v.Password = account.Secret == ""
	return v
}

func (g *Gate) unlockPage(w http.ResponseWriter, r *http.Request) error {
	s := From(r.Context())
	code := CodeFresh
	if s.Locked {
		code = CodeLocked
	}
	v := g.lockView(s, code)
	kept, err := g.keptRequest(r.Context(), s, map[bool]string{true: keyPost, false: keyFresh}[s.Locked])
	if err != nil {
		return err
	}
	v.Kept = kept != nil && kept.Method != http.MethodGet
	g.Pages.Draw(w, r, http.StatusOK, v)
	return nil
}

// unlock opens a locked session with the second factor of its local account.
func (g *Gate) unlock(w http.ResponseWriter, r *http.Request) error {
	s := From(r.Context())
	again := func(status int, code string, wait time.Duration) error {
		v := g.lockView(s, map[bool]string{true: CodeLocked, false: CodeFresh}[s.Locked])
		v.Fault, v.Wait = code, wait
		if kept, err := g.keptRequest(r.Context(), s, keyPost); err == nil && kept != nil {
			v.Kept = true
		}
		if wait > 0 {
			retryAfter(w, wait)
		}
		g.Pages.Draw(w, r, status, v)
		return nil
	}
	account, known := g.Current().Accounts.Find(s.Account)
	if s.Account == "" || !known || account.Disabled {
		return &Refusal{Code: CodeEnded, Status: http.StatusForbidden}
	}
	wait, _, giveBack := g.guesses.try(g.address(r), s.Account, "session\x00"+string(s.family[:]))
	if wait > 0 {
		g.metrics.unlocks.WithLabelValues(CodeSlow).Inc()
		return again(http.StatusTooManyRequests, CodeSlow, wait)
	}
	var err error
	if account.Secret == "" {
		_, err = g.verifyLocal(r.Context(), g.address(r), true, account.ID, r.PostFormValue("password"), "")
	} else {
		err = g.verifyCode(r.Context(), account, digits(r.PostFormValue("code")))
	}
	g.metrics.unlocks.WithLabelValues(outcome(err)).Inc()
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		g.failed(r, refusal.Code)
		return again(refusal.Status, refusal.Code, 0)
	} else if err != nil {
		return &Refusal{Code: CodeStorage, Status: http.StatusServiceUnavailable, Cause: err}
	}
	giveBack()
	return g.reopen(w, r, s, g.Now())
}

// reopen lets a session go on whose person gave the second factor: under a new id, and with the request that met the lock.
func (g *Gate) reopen(w http.ResponseWriter, r *http.Request, s *Session, proven time.Time) error {
	ctx, locked := r.Context(), s.Locked
	s.Locked, s.Seen, s.Proven = false, g.Now(), proven
	if err := g.Record(ctx, s.event(EventUnlock, "")); err != nil {
		return &Refusal{Code: CodeStorage, Status: http.StatusServiceUnavailable, Cause: err}
	}
	cookie, err := g.renew(ctx, s)
	if err != nil {
		return g.gone(err)
	}
	g.setCookie(w, sessionCookie, cookie, 0)
	var request *keptPost // the post, else the page, that met the lock; or what wanted the second factor
	for _, key := range map[bool][]string{true: {keyPage, keyPost}, false: {keyFresh}}[locked] {
		one, err := g.takeRequest(ctx, s, key)
		if err != nil {
			return err
		}
		if one != nil {
			request = one
		}
	}
	switch {
	case request == nil:
		http.Redirect(w, r, "/console/", http.StatusSeeOther)
		return nil
	case request.Method != http.MethodGet:
		return g.carryOut(w, r, s, request)
	}
	to := request.Path
	if request.Query != "" {
		to += "?" + request.Query
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// keptRequest reads a request that is kept; nil without one. One that was altered is none.
func (g *Gate) keptRequest(ctx context.Context, s *Session, key string) (*keptPost, error) {
	return readRequest(g.Kept(ctx, s, key))
}

// takeRequest is keptRequest for whoever carries it out: once.
func (g *Gate) takeRequest(ctx context.Context, s *Session, key string) (*keptPost, error) {
	return readRequest(g.Storage.TakeKept(ctx, s.family, digest("kept", key)))
}

func readRequest(content []byte, err error) (*keptPost, error) {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, audit.ErrTables) {
		return nil, nil
	} else if err != nil {
		return nil, &Refusal{Code: CodeStorage, Status: http.StatusServiceUnavailable, Cause: err}
	}
	p := &keptPost{}
	if err := json.Unmarshal(content, p); err != nil {
		return nil, nil
	}
	return p, nil
}

// carryOut serves the request that was kept. Its form token was checked when it came.
func (g *Gate) carryOut(w http.ResponseWriter, r *http.Request, s *Session, p *keptPost) error {
	kept, err := http.NewRequestWithContext(context.WithValue(Into(r.Context(), s), keptKey{}, p), p.Method, p.Path, bytes.NewReader(p.Body))
	if err != nil {
		return &Refusal{Code: CodeForm, Status: http.StatusBadRequest}
	}
	kept.Host, kept.RemoteAddr, kept.RequestURI, kept.TLS = r.Host, r.RemoteAddr, p.Path, r.TLS
	kept.Header.Set("Content-Type", p.Type)
	for _, h := range []string{"Accept", "Accept-Language", "User-Agent", "Accept-Encoding"} {
		kept.Header[h] = r.Header[h]
	}
	if strings.HasPrefix(p.Type, "multipart/form-data") {
		err = kept.ParseMultipartForm(maxUpload)
	} else {
		err = kept.ParseForm()
	}
	kept.Body = io.NopCloser(bytes.NewReader(p.Body))
	row, ok := g.matrix.Of(kept)
	switch {
	case err != nil || !ok:
		return &Refusal{Code: CodeForm, Status: http.StatusBadRequest}
	case !row.allows(s):
		return &Refusal{Code: CodeNoRole, Status: http.StatusForbidden}
	}
	g.dispatch(w, kept)
	return nil
}

func (g *Gate) placePage(w http.ResponseWriter, r *http.Request) error {
	g.Pages.Draw(w, r, http.StatusOK, g.placeView(r))
	return nil
}

func (g *Gate) placeView(r *http.Request) *Place {
	s := From(r.Context())
	v := &Place{Form: s.FormToken, Halls: g.halls(s.Assignments), To: g.target(r.FormValue("to")), Hall: s.Hall, Desk: s.Desk}
	if v.Hall == "" {
		v.Hall, v.Desk, _ = strings.Cut(g.cookie(r, placeCookie), "/")
	}
	return v
}

// choosePlace lets the session act for a hall in which the person has a role.
func (g *Gate) choosePlace(w http.ResponseWriter, r *http.Request) error {
	s, system, desk := From(r.Context()), r.PostFormValue("hall"), strings.TrimSpace(narrow(r.PostFormValue("desk")))
	halls := g.halls(s.Assignments)
	i := slices.IndexFunc(halls, func(h Hall) bool { return h.System == system })
	if i < 0 || !halls[i].has(desk) {
		v := g.placeView(r)
		v.Fault, v.Hall, v.Desk = CodeNoPlace, system, clip(desk, maxName)
		g.Pages.Draw(w, r, http.StatusForbidden, v)
		return nil
	}
	if err := g.change(r.Context(), s, func(s *Session) { g.place(s, halls[i], desk) }); err != nil {
		return g.gone(err)
	}
	if err := g.Record(r.Context(), s.event(EventSignIn, "place")); err != nil {
		return &Refusal{Code: CodeStorage, Status: http.StatusServiceUnavailable, Cause: err}
	}
	g.setCookie(w, placeCookie, placeText(system, desk), deviceLifetime)
	http.Redirect(w, r, g.target(r.PostFormValue("to")), http.StatusSeeOther)
	return nil
}

// choosePreferences sets how pages look, for the session or for a visitor: fields large, contrast (on or off) and language.
func (g *Gate) choosePreferences(w http.ResponseWriter, r *http.Request) error {
	p := g.PreferencesOf(r)
	for field, at := range map[string]*bool{"large": &p.Large, "contrast": &p.Contrast} {
		if v := r.PostFormValue(field); v != "" {
			*at = v == "on"
		}
	}
	if l := r.PostFormValue("language"); l == "zh" || l == "en" {
		p.Language = l
	}
	g.setCookie(w, viewCookie, p.String(), deviceLifetime)
	to := "/console/sign-in"
	if s := From(r.Context()); s != nil {
		if err := g.change(r.Context(), s, func(s *Session) { s.Preferences = p }); err != nil {
			return g.gone(err)
		}
		to = g.target(r.PostFormValue("to"))
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}
