package session_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/console/session"
)

func formOf(a *reply) url.Values { return url.Values{"form": {a.View.FormOf}} }

// with adds to a form.
func with(form url.Values, more ...string) url.Values {
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

// Session fixation: the id of a session is made at sign-in and again at each proof of the second factor, whatever the browser brought.
func TestFixation(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		b := r.browser("192.0.2.1")
		planted := strings.Repeat("A", 43)
		b.plant("oncegate-session", planted)
		b.plant("oncegate-visit", planted)
		b.signIn("head-1")
		first := b.cookies()["oncegate-session"]
		if first == planted || len(first) != 43 {
			t.Fatalf("the session has the planted id")
		}
		if b.cookies()["oncegate-visit"] != "" {
			t.Error("the visit of before the sign-in goes on")
		}
		r.pass(31 * time.Second)
		b.do("POST", "/console/unlock", with(formOf(b.get("/console/")), "code", r.code("head-1")))
		second := b.cookies()["oncegate-session"]
		if second == first {
			t.Error("the id was not renewed with the second factor")
		}
		thief := r.browser("198.51.100.1")
		thief.plant("oncegate-session", first)
		if a := thief.get("/console/"); a.status != 303 {
			t.Errorf("the id of before opens: %s", a.text)
		}
	})
}

// The cookie's value is nowhere in the database, and neither is anything of the session that could be read.
func TestRowsAreSealed(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		b := r.browser("192.0.2.1")
		home := b.signIn("head-1")
		r.pass(21 * time.Minute)
		b.do("POST", session.TestRoute, with(formOf(home), "note", "110101199003070011"))
		var rows [][]byte
		for _, text := range []string{"SELECT id, sealed FROM console_sessions", "SELECT key, sealed FROM console_kept"} {
			found := must(r.raw.Query(text))(t)
			for found.Next() {
				var id, sealed []byte
				if err := found.Scan(&id, &sealed); err != nil {
					t.Fatal(err)
				}
				rows = append(rows, id, sealed)
			}
			found.Close()
		}
		if len(rows) < 4 {
			t.Fatalf("%d columns", len(rows))
		}
		for _, row := range rows {
			for _, text := range []string{b.cookies()["oncegate-session"], home.View.FormOf, "head-1", "示例丙", "110101199003070011"} {
				if bytes.Contains(row, []byte(text)) {
					t.Errorf("a row shows %q", text)
				}
			}
		}
	})
}

// Rows that were altered, moved to another session, or put back open nothing.
func TestAlteredRows(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		row := func(b *browser) (id, sealed []byte, revision, expires int64) {
			d := session.CookieID(b.cookies()["oncegate-session"])
			q := "SELECT id, sealed, revision, expires FROM console_sessions WHERE id = ?"
			if r.store.Driver == "postgres" {
				q = strings.ReplaceAll(q, "?", "$1")
			}
			if err := r.raw.QueryRow(q, d[:]).Scan(&id, &sealed, &revision, &expires); err != nil {
				t.Fatal(err)
			}
			return id, sealed, revision, expires
		}
		clerk, head := r.browser("192.0.2.1"), r.browser("192.0.2.2")
		home := clerk.signIn("clerk-1", "desk", "1", "hall", hall)
		head.signIn("head-1")
		id, sealed, revision, expires := row(clerk)
		_, foreign, _, _ := row(head)
		restore := func() {
			r.alter("UPDATE console_sessions SET sealed = ?, revision = ?, expires = ? WHERE id = ?", sealed, revision, expires, id)
		}
		for name, alter := range map[string]func(){
			"another session's content": func() { r.alter("UPDATE console_sessions SET sealed = ? WHERE id = ?", foreign, id) },
			"a later end":               func() { r.alter("UPDATE console_sessions SET expires = expires + 3600000000 WHERE id = ?", id) },
			"another revision":          func() { r.alter("UPDATE console_sessions SET revision = revision + 1 WHERE id = ?", id) },
			"a flipped bit": func() {
				broken := slices.Clone(sealed)
				broken[len(broken)-1] ^= 1
				r.alter("UPDATE console_sessions SET sealed = ? WHERE id = ?", broken, id)
			},
		} {
			alter()
			if a := clerk.get("/console/"); a.status != 303 {
				t.Errorf("%s: opens as %s", name, a.text)
			}
			clerk.plant("oncegate-session", home.cookie) // the answer dropped it, as a browser would
			restore()
		}
		if a := clerk.get("/console/"); a.Page != "Session" {
			t.Fatalf("the row as it was: %s", a.text)
		}
		r.pass(2 * time.Minute)
		clerk.get("/console/") // written again
		restore()
		if a := clerk.get("/console/"); a.status != 303 {
			t.Errorf("an older revision opens: %s", a.text)
		}
		clerk.plant("oncegate-session", home.cookie)

		_, again, rev, exp := row(head)
		was := head.cookies()["oncegate-session"]
		head.do("POST", "/console/sign-out", formOf(head.get("/console/")))
		d := session.CookieID(was)
		r.alter("INSERT INTO console_sessions (id, sealed, revision, expires) VALUES (?,?,?,?)", d[:], again, rev, exp)
		head.plant("oncegate-session", was)
		if a := head.get("/console/"); a.status != 303 {
			t.Errorf("a session that was signed out and put back opens: %s", a.text)
		}
		// A process that did not see the end opens it, until it locks: docs/threat-model.md says so.
		_, other := r.process(false)
		ask := func() *httptest.ResponseRecorder {
			q := httptest.NewRequest("GET", "/console/", nil)
			q.AddCookie(&http.Cookie{Name: "oncegate-session", Value: was})
			w := httptest.NewRecorder()
			other.ServeHTTP(w, q)
			return w
		}
		if w := ask(); w.Code != 200 {
			t.Errorf("the threat model says that another process cannot know: %d", w.Code)
		}
		r.pass(21 * time.Minute)
		if w := ask(); !contains(w.Body.String(), `"page":"Lock"`) {
			t.Errorf("and it does not lock: %s", w.Body)
		}
		r.pass(13 * time.Hour)
		if w := ask(); w.Code != 303 {
			t.Errorf("and does not end: %s", w.Body)
		}
	})
}

// A cookie opens what its session may and nothing else: the hall and the roles are the session's, not the request's.
func TestCookieOfAnotherHall(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		clerk, thief := r.browser("192.0.2.1"), r.browser("198.51.100.1")
		home := clerk.signIn("clerk-2", "hall", hall, "desk", "2")
		thief.signIn("head-1")
		form := formOf(thief.get("/console/"))
		thief.plant("oncegate-session", clerk.cookies()["oncegate-session"])
		if a := thief.do("POST", "/console/place", with(form, "hall", otherHall)); a.View.Code != session.CodeForm {
			t.Errorf("with a form of the thief's own: %d %s", a.status, a.text)
		}
		if a := clerk.do("POST", "/console/place", with(formOf(home), "hall", auditOffice)); a.View.Fault != session.CodeNoPlace {
			t.Errorf("a hall without a role: %d %s", a.status, a.text)
		}
		if a := clerk.do("POST", "/console/place", with(formOf(home), "hall", hall, "desk", "99")); a.View.Fault != session.CodeNoPlace {
			t.Errorf("a window that is not there: %d %s", a.status, a.text)
		}
		if a := clerk.do("POST", "/console/place", with(formOf(home), "hall", otherHall)); a.status != 303 {
			t.Errorf("a hall with a role: %d %s", a.status, a.text)
		}
		if v := clerk.get("/console/").View; v.SessionHall != otherHall || v.SessionDesk != "" || !slices.Equal(v.Roles, []string{session.Clerk}) {
			t.Errorf("in the other hall: %+v", v)
		}
	})
}

// Forms need the token of the session, and of no other; and 10,000 forged ones do not change anything.
func TestForgedForms(t *testing.T) {
	r := newRig(t, sqliteConfig(t))
	b, other := r.browser("192.0.2.1"), r.browser("192.0.2.2")
	home := b.signIn("head-1")
	foreign := other.signIn("clerk-2", "hall", otherHall)
	cookie := b.cookies()["oncegate-session"]
	send := func(form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
		q := httptest.NewRequest("POST", "/console/preferences", strings.NewReader(form.Encode()))
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		q.AddCookie(&http.Cookie{Name: "oncegate-session", Value: cookie})
		for _, c := range change {
			c(q)
		}
		w := httptest.NewRecorder()
		r.handler.ServeHTTP(w, q)
		return w
	}
	token := home.View.FormOf
	forged := []func(n int) url.Values{
		func(int) url.Values { return url.Values{} },
		func(int) url.Values { return url.Values{"form": {""}} },
		func(n int) url.Values { return url.Values{"form": {fmt.Sprintf("%043d", n)}} },
		func(int) url.Values { return url.Values{"form": {foreign.View.FormOf}} },
		func(n int) url.Values { return url.Values{"form": {token[:len(token)-1-n%40]}} },
		func(n int) url.Values { // one character is another
			bytes := []byte(token)
			bytes[n%len(bytes)] ^= 1
			return url.Values{"form": {string(bytes)}}
		},
		func(n int) url.Values { return url.Values{"form": {"x", token}} },
		func(n int) url.Values { return url.Values{"form": {token, token}} },
		func(n int) url.Values { return url.Values{"Form": {token}} },
	}
	for n := range 10_000 {
		if w := send(with(forged[n%len(forged)](n), "large", "on")); w.Code != 403 || !contains(w.Body.String(), session.CodeForm) {
			t.Fatalf("forged form %d: %d %s", n, w.Code, w.Body)
		}
	}
	for name, change := range map[string]func(*http.Request){
		"cross-site":         func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") },
		"same-site":          func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "same-site") },
		"of another origin":  func(q *http.Request) { q.Header.Set("Origin", "https://other.example") },
		"of the null origin": func(q *http.Request) { q.Header.Set("Origin", "null") },
	} {
		if w := send(url.Values{"form": {token}, "large": {"on"}}, change); w.Code != 403 || !contains(w.Body.String(), session.CodeOrigin) {
			t.Errorf("%s, with the right token: %d %s", name, w.Code, w.Body)
		}
	}
	if w := send(url.Values{"form": {token}, "large": {"on"}}, func(q *http.Request) { q.URL.RawQuery, q.Body = "form="+token, http.NoBody }); w.Code != 403 {
		t.Errorf("the token in the address: %d %s", w.Code, w.Body)
	}
	if a := b.get("/console/"); contains(a.text, `"large":true`) {
		t.Error("a forged form was carried out")
	}
	if w := send(url.Values{"form": {token}, "large": {"on"}}); w.Code != 303 {
		t.Errorf("the right form: %d %s", w.Code, w.Body)
	}
}

// Login CSRF: the sign-in page's form belongs to the browser that opened it.
func TestSignInForms(t *testing.T) {
	r := newRig(t, sqliteConfig(t))
	b, other := r.browser("192.0.2.1"), r.browser("192.0.2.2")
	page, foreign := b.get("/console/sign-in"), other.get("/console/sign-in")
	post := func(b *browser, form string) *reply {
		return b.do("POST", "/console/sign-in", url.Values{"form": {form}, "account": {"head-1"}, "password": {password}, "code": {r.code("head-1")}})
	}
	for name, a := range map[string]*reply{
		"none":               post(b, ""),
		"another browser's":  post(b, foreign.View.Form),
		"without any cookie": post(r.browser("192.0.2.3"), page.View.Form),
	} {
		if a.View.Code != session.CodeForm {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	if a := b.do("POST", "/console/sign-in", url.Values{"form": {page.View.Form}, "account": {strings.Repeat("a", 20<<10)}}); a.View.Code != session.CodeLarge {
		t.Errorf("a large form of nobody: %d %s", a.status, a.text)
	}
	if a := post(b, page.View.Form); a.status != 303 {
		t.Errorf("the right one: %d %s", a.status, a.text)
	}
}

// A code of the second factor is used once, on all nodes, and holds for one step before and after.
func TestReplayedCode(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		code := r.code("head-1")
		if a := r.browser("192.0.2.1").try("head-1", password, code); a.status != 303 {
			t.Fatalf("%d %s", a.status, a.text)
		}
		if a := r.browser("192.0.2.1").try("head-1", password, code); a.View.Fault != session.CodeUsed {
			t.Errorf("used twice: %d %s", a.status, a.text)
		}
		r.start(false) // another process
		if a := r.browser("192.0.2.1").try("head-1", password, code); a.View.Fault != session.CodeUsed {
			t.Errorf("used twice, at another process: %d %s", a.status, a.text)
		}
		if a := r.browser("192.0.2.1").try("auditor-1", password, code); a.View.Fault != session.CodeWrong {
			t.Errorf("another account's: %d %s", a.status, a.text)
		}
		old := must(session.CodeAt(secretOf("auditor-1"), r.clock().Add(-30*time.Second)))(t)
		older := must(session.CodeAt(secretOf("auditor-1"), r.clock().Add(-61*time.Second)))(t)
		if a := r.browser("192.0.2.1").try("auditor-1", password, older); a.View.Fault != session.CodeWrong {
			t.Errorf("two steps old: %d %s", a.status, a.text)
		}
		if a := r.browser("192.0.2.1").try("auditor-1", password, " "+old[:3]+" "+strings.ReplaceAll(old[3:], "0", "０")); a.status != 303 {
			t.Errorf("one step old, in groups, full-width: %d %s", a.status, a.text)
		}
		var wins, used int
		var mu sync.Mutex
		var all sync.WaitGroup
		r.pass(time.Minute)
		code = r.code("clerk-2")
		browsers, forms := make([]*browser, 8), make([]url.Values, 8)
		for i := range browsers {
			browsers[i] = r.browser("192.0.2.1")
			forms[i] = url.Values{"form": {browsers[i].get("/console/sign-in").View.Form}, "account": {"clerk-2"}, "password": {password}, "code": {code}}
		}
		for i := range browsers {
			all.Go(func() {
				a := browsers[i].do("POST", "/console/sign-in", forms[i])
				mu.Lock()
				defer mu.Unlock()
				if a.status == 303 {
					wins++
				} else if a.View.Fault == session.CodeUsed {
					used++
				}
			})
		}
		all.Wait()
		if wins != 1 || used != 7 {
			t.Errorf("eight at once: %d signed in, %d were told that the code was used", wins, used)
		}
	})
}

// The post that met the lock is the locked person's: nobody else carries it out, and it is carried out once.
func TestLockedPost(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		b := r.browser("192.0.2.1")
		home := b.signIn("clerk-2", "hall", hall, "desk", "1")
		r.pass(25 * time.Minute)
		locked := b.do("POST", session.TestRoute, with(formOf(home), "no", "SP-1"))
		if !locked.View.Kept || len(r.posts) != 0 {
			t.Fatalf("%d %s", locked.status, locked.text)
		}
		if a := b.try("head-1", password, r.code("head-1")); a.View.Code != session.CodeForm {
			t.Errorf("the sign-in page of a locked session: %d %s", a.status, a.text)
		}
		if a := b.do("POST", "/console/preferences", url.Values{"form": {locked.View.Form}, "large": {"on"}}); a.status != 303 || len(r.posts) != 0 {
			t.Errorf("large type on the page of the lock: %d %s", a.status, a.text)
		}
		// Whoever sits there has the cookie, and sees the page of the lock: its token sends nothing but its own forms.
		if a := b.do("POST", session.TestRoute, url.Values{"form": {locked.View.Form}, "no": {"SP-3"}}); a.View.Code != session.CodeForm {
			t.Errorf("a form with the token of the lock: %d %s", a.status, a.text)
		}
		if a := b.do("POST", session.TestRoute, with(formOf(home), "no", "SP-4")); !a.View.Kept || !a.View.Lost {
			t.Errorf("a second form: %d %s", a.status, a.text)
		}
		if a := b.do("POST", "/console/sign-in", with(formOf(home), "account", "head-1", "password", password, "code", r.code("head-1"))); a.Page != "Lock" {
			t.Errorf("signing in at a locked session: %d %s", a.status, a.text)
		}
		if a := b.do("POST", "/console/unlock", with(formOf(home), "code", r.code("head-1"))); a.View.Fault != session.CodeWrong {
			t.Errorf("another person's code: %d %s", a.status, a.text)
		}
		if len(r.posts) != 0 {
			t.Fatal("carried out before it was unlocked")
		}
		r.pass(31 * time.Second)
		if a := b.do("POST", "/console/unlock", with(formOf(home), "code", r.code("clerk-2"))); a.Page != "Session" {
			t.Fatalf("unlock: %d %s", a.status, a.text)
		}
		if len(r.posts) != 1 || r.posts[0].Get("no") != "SP-1" || r.who[0] != "clerk-2" {
			t.Fatalf("carried out: %v by %v", r.posts, r.who)
		}
		r.pass(31 * time.Second)
		if a := b.do("POST", "/console/unlock", with(formOf(b.get("/console/")), "code", r.code("clerk-2"))); a.status != 303 || len(r.posts) != 1 {
			t.Errorf("carried out again: %d %s", a.status, a.text)
		}

		// 换人: what the person before left is gone.
		r.pass(25 * time.Minute)
		b.do("POST", session.TestRoute, with(url.Values{"form": {r.sessionOf(b).FormToken}}, "no", "SP-2")) // sent from the page of before
		if n := must(countKept(r))(t); n == 0 {
			t.Error("nothing is kept")
		}
		form := url.Values{"form": {b.get("/console/unlock").View.Form}}
		if a := b.do("POST", "/console/change-person", form); a.status != 303 || a.location != "/console/sign-in?change" {
			t.Fatalf("change person: %d %s", a.status, a.text)
		}
		b.signIn("clerk-1", "hall", hall, "desk", "1")
		if len(r.posts) != 1 {
			t.Errorf("the next person carried out %v", r.posts[1:])
		}
		if n := must(countKept(r))(t); n != 0 {
			t.Errorf("%d values of the person before are kept", n)
		}
	})
}

// A forged post that meets the lock is not kept.
func TestForgedPostAtTheLock(t *testing.T) {
	r := newRig(t, sqliteConfig(t))
	b := r.browser("192.0.2.1")
	home := b.signIn("clerk-2", "hall", hall, "desk", "1")
	r.pass(25 * time.Minute)
	if a := b.do("POST", session.TestRoute, url.Values{"form": {"x"}, "no": {"SP-1"}}); a.View.Code != session.CodeForm {
		t.Errorf("%d %s", a.status, a.text)
	}
	b.do("POST", "/console/unlock", with(formOf(home), "code", r.code("clerk-2")))
	if len(r.posts) != 0 {
		t.Errorf("a forged post was carried out: %v", r.posts)
	}
}

// A form with files that met the lock is carried out too; one that is too large says so.
func TestLockedUpload(t *testing.T) {
	r := newRig(t, sqliteConfig(t))
	b := r.browser("192.0.2.1")
	home := b.signIn("clerk-2", "hall", hall, "desk", "1")
	r.pass(25 * time.Minute)
	upload := func(size int) *reply {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		w.WriteField("form", home.View.FormOf)
		w.WriteField("no", fmt.Sprint(size))
		f, _ := w.CreateFormFile("scan", "scan.pdf")
		f.Write(bytes.Repeat([]byte{1}, size))
		w.Close()
		q := must(http.NewRequestWithContext(t.Context(), "POST", r.server.URL+session.TestRoute, &body))(t)
		q.Header.Set("Content-Type", w.FormDataContentType())
		return b.send(q)
	}
	if a := upload(600 << 10); !a.View.Lost || a.View.Kept {
		t.Errorf("too large to keep: %d %s", a.status, a.text)
	}
	if a := upload(9 << 20); a.View.Code != session.CodeLarge {
		t.Errorf("too large at all: %d %s", a.status, a.text)
	}
	if a := upload(100 << 10); !a.View.Kept {
		t.Errorf("%d %s", a.status, a.text)
	}
	b.do("POST", "/console/unlock", with(formOf(home), "code", r.code("clerk-2")))
	if len(r.posts) != 1 || r.posts[0].Get("no") != fmt.Sprint(100<<10) {
		t.Errorf("carried out: %v", r.posts)
	}
}

// Time: sessions lock, end, and are not kept open by a clock that goes back.
func TestTime(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		b := r.browser("192.0.2.1")
		b.signIn("head-1")
		for range 10 { // used again and again: no lock
			r.pass(19 * time.Minute)
			if a := b.get("/console/"); a.Page != "Session" {
				t.Fatalf("locked while used: %s", a.text)
			}
		}
		r.pass(-30 * time.Minute)
		if a := b.get("/console/"); a.Page != "Lock" {
			t.Errorf("the clock went back: %d %s", a.status, a.text)
		}
		r.pass(30 * time.Minute)
		if a := b.get("/console/"); a.Page != "Lock" {
			t.Errorf("a lock opened by itself: %s", a.text)
		}
		for range 20 {
			r.pass(31 * time.Minute)
			if a := b.get("/console/unlock"); a.status == 200 {
				b.do("POST", "/console/unlock", url.Values{"form": {a.View.Form}, "code": {r.code("head-1")}})
			}
		}
		if a := b.get("/console/"); a.status != 303 {
			t.Errorf("open after 12 hours, however often it was unlocked: %s", a.text)
		}
		b.signIn("head-1")
		r.pass(-3 * time.Hour)
		if a := b.get("/console/"); a.status != 303 {
			t.Errorf("open before it began: %s", a.text)
		}
	})
}

// Guessing is slowed, and locks nobody out: neither where the account is used, nor other accounts.
func TestGuessing(t *testing.T) {
	r := newRig(t, sqliteConfig(t))
	known := r.browser("192.0.2.1")
	known.signIn("head-1")
	known.do("POST", "/console/sign-out", formOf(known.get("/console/")))
	slow, tried := 0, 0
	for n := range 200 { // from everywhere
		a := r.browser(fmt.Sprintf("198.51.100.%d", n)).try("head-1", "wrong password "+fmt.Sprint(n), "123456")
		switch a.View.Fault {
		case session.CodeWrong:
			tried++
		case session.CodeSlow:
			slow++
			if a.status != 429 || a.header.Get("Retry-After") == "" {
				t.Fatalf("%d %s", a.status, a.text)
			}
		default:
			t.Fatalf("%d %s", a.status, a.text)
		}
	}
	if tried != 10 || slow != 190 {
		t.Errorf("%d tries were made, %d slowed", tried, slow)
	}
	known.signIn("head-1")                  // a browser that the account knows
	r.browser("192.0.2.1").signIn("head-1") // another browser of the hall
	r.browser("203.0.113.1").signIn("clerk-2", "hall", otherHall)
	for n := range 100 { // at all accounts, from one address
		r.browser("198.51.100.77").try(fmt.Sprintf("clerk-%d", n), "wrong", "")
	}
	if a := r.browser("198.51.100.77").try("auditor-1", password, r.code("auditor-1")); a.View.Fault != session.CodeSlow {
		t.Errorf("one address tries on: %d %s", a.status, a.text)
	}
	r.browser("192.0.2.7").signIn("auditor-1")
	r.pass(time.Minute)
	if a := r.browser("198.51.100.78").try("head-1", password, r.code("head-1")); a.status != 303 {
		t.Errorf("a new browser after a minute: %d %s", a.status, a.text)
	}
	mark := known.cookies()["oncegate-device"]
	thief := r.browser("198.51.100.9")
	thief.plant("oncegate-device", strings.Split(mark, ".")[0]+"."+strings.Repeat("A", 22))
	if session.DeviceOf(r.gate, strings.Split(mark, ".")[0]+"."+strings.Repeat("A", 22), "head-1") != "" || session.DeviceOf(r.gate, mark, "clerk-1") != "" || session.DeviceOf(r.gate, mark, "head-1") == "" {
		t.Error("a made-up mark is taken, or the right one is not")
	}
}

// What anybody can ask for says the same of accounts that are there and that are not.
func TestUnknownAccount(t *testing.T) {
	r := newRig(t, sqliteConfig(t))
	one, other := r.browser("192.0.2.1").try("head-1", "wrong password", "000000"), r.browser("192.0.2.2").try("nobody", "wrong password", "000000")
	strip := func(a *reply, account string) string {
		return strings.ReplaceAll(strings.ReplaceAll(a.text, a.View.Form, ""), account, "")
	}
	if one.status != other.status || strip(one, "head-1") != strip(other, "nobody") {
		t.Errorf("%s\n%s", one.text, other.text)
	}
}

// Every answer has the headers, and cookies are as they must be under https and on loopback.
func TestHeaders(t *testing.T) {
	r := newRig(t, sqliteConfig(t))
	for _, secure := range []bool{false, true} {
		r.start(secure)
		b := r.browser("192.0.2.1")
		answers := []*reply{b.get("/console/"), b.get("/console/sign-in"), b.get("/console/nowhere/at/all"), b.try("head-1", "wrong password", "1"), b.do("POST", "/console/sign-in", url.Values{}), b.do("DELETE", "/console/", nil)}
		r.pass(31 * time.Second)
		in := b.try("head-1", password, r.code("head-1"))
		answers = append(answers, in, b.get("/console/"), b.do("POST", "/console/sign-out", formOf(b.get("/console/"))))
		for i, a := range answers {
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
				"Referrer-Policy":         "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			} {
				if a.header.Get(name) != want {
					t.Errorf("answer %d has %s: %q", i, name, a.header.Get(name))
				}
			}
			for _, c := range (&http.Response{Header: a.header}).Cookies() {
				if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Secure != secure || strings.HasPrefix(c.Name, "__Host-") != secure {
					t.Errorf("cookie %s", c)
				}
			}
			if strings.Contains(a.location, "head-1") {
				t.Errorf("an address names the person: %s", a.location)
			}
		}
	}
	if strings.Contains(r.log.String(), "head-1") {
		t.Errorf("the log names the person: %s", r.log)
	}
}

// An account that is removed, or gets another password, has no session any more; a role that is taken away is gone at once.
func TestChangedAccount(t *testing.T) {
	r := newRig(t, sqliteConfig(t))
	b, other := r.browser("192.0.2.1"), r.browser("192.0.2.2")
	b.signIn("head-1")
	home := other.signIn("clerk-2", "hall", otherHall)
	accounts := r.current.Accounts
	head, _ := accounts.Find("head-1")
	for name, change := range map[string]*session.Accounts{
		"removed":  accounts.Without("head-1"),
		"disabled": accounts.With(session.Account{ID: "head-1", Password: head.Password, Secret: head.Secret, Assignments: head.Assignments, Disabled: true}),
		"password": accounts.With(session.Account{ID: "head-1", Password: "another", Secret: head.Secret, Assignments: head.Assignments}),
		"factor":   accounts.With(session.Account{ID: "head-1", Password: head.Password, Secret: "another", Assignments: head.Assignments}),
	} {
		cookie := b.cookies()["oncegate-session"]
		r.current.Accounts = change
		if a := b.get("/console/"); a.status != 303 {
			t.Errorf("%s: %s", name, a.text)
		}
		b.plant("oncegate-session", cookie)
	}
	clerk, _ := accounts.Find("clerk-2")
	clerk.Assignments = clerk.Assignments[:1] // of hall alone
	r.current.Accounts = accounts.With(clerk)
	if a := other.do("POST", session.TestRoute, formOf(home)); a.Page == "Session" || len(r.posts) != 0 {
		t.Errorf("a role that was taken away: %d %s", a.status, a.text)
	}
	if a := other.get("/console/"); a.status != 303 || a.location != "/console/place" {
		t.Errorf("a hall that was taken away: %d %s", a.status, a.text)
	}
	r.current.Accounts = accounts
	if a := b.get("/console/"); a.Page != "Session" {
		t.Errorf("as it was: %s", a.text)
	}
}

// Where the record of a sign-in cannot be written nobody is signed in; a sign-out ends the session all the same.
func TestUnrecorded(t *testing.T) {
	r := newRig(t, sqliteConfig(t))
	r.failed = fmt.Errorf("the log is away")
	b := r.browser("192.0.2.1")
	if a := b.try("head-1", password, r.code("head-1")); a.status != 503 || b.cookies()["oncegate-session"] != "" {
		t.Errorf("%d %s", a.status, a.text)
	}
	r.failed = nil
	home := b.signIn("head-1")
	cookie := b.cookies()["oncegate-session"]
	r.failed = fmt.Errorf("the log is away")
	if a := b.do("POST", "/console/sign-out", formOf(home)); a.status != 503 {
		t.Errorf("%d %s", a.status, a.text)
	}
	b.plant("oncegate-session", cookie)
	if a := b.get("/console/"); a.status != 303 {
		t.Errorf("signed in after signing out: %s", a.text)
	}
}

// Sensitive routes want the second factor anew, and open after it.
func TestFresh(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		b := r.browser("192.0.2.1")
		b.signIn("head-1")
		if a := b.get(session.FreshRoute + "?from=1"); a.Page != "Session" {
			t.Fatalf("right after signing in: %s", a.text)
		}
		r.pass(6 * time.Minute)
		a := b.get(session.FreshRoute + "?from=1")
		if a.Page != "Lock" || a.View.Code != session.CodeFresh {
			t.Fatalf("six minutes later: %s", a.text)
		}
		if again := b.get("/console/"); again.Page != "Session" {
			t.Errorf("other pages are closed: %s", again.text)
		}
		if a := b.do("POST", "/console/unlock", url.Values{"form": {a.View.Form}, "code": {r.code("head-1")}}); a.status != 303 || a.location != session.FreshRoute+"?from=1" {
			t.Errorf("%d %s %s", a.status, a.location, a.text)
		}
		if a := b.get(session.FreshRoute); a.Page != "Session" {
			t.Errorf("%s", a.text)
		}
	})
}

// What a session keeps is found by it alone, and is gone with it.
func TestKept(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		one, other := r.browser("192.0.2.1"), r.browser("192.0.2.2")
		one.signIn("head-1")
		other.signIn("clerk-2", "hall", otherHall)
		s, foreign := r.sessionOf(one), r.sessionOf(other)
		if err := r.gate.Keep(t.Context(), s, "result 1", []byte("a result")); err != nil {
			t.Fatal(err)
		}
		if got, err := r.gate.Kept(t.Context(), s, "result 1"); err != nil || string(got) != "a result" {
			t.Errorf("%s %v", got, err)
		}
		if got, err := r.gate.Kept(t.Context(), foreign, "result 1"); err == nil {
			t.Errorf("another session finds %s", got)
		}
		if err := r.gate.Keep(t.Context(), foreign, "result 1", []byte("another result")); err != nil {
			t.Fatal(err)
		}
		var rows [][]byte
		found := must(r.raw.Query("SELECT sealed FROM console_kept WHERE expires > 0 ORDER BY owner"))(t)
		for found.Next() {
			var sealed []byte
			if err := found.Scan(&sealed); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, sealed)
		}
		found.Close()
		for _, row := range rows {
			r.alter("UPDATE console_kept SET sealed = ?", row)
			a, errA := r.gate.Kept(t.Context(), s, "result 1")
			b, errB := r.gate.Kept(t.Context(), foreign, "result 1")
			if errA == nil && string(a) != "a result" || errB == nil && string(b) != "another result" {
				t.Errorf("a row that was swapped in is shown: %s, %s", a, b)
			}
		}
		if err := r.gate.Keep(t.Context(), s, "too large", make([]byte, 2<<20)); err != session.ErrTooLarge {
			t.Errorf("two megabytes: %v", err)
		}
		r.pass(31 * time.Second)
		one.do("POST", "/console/unlock", with(formOf(one.get("/console/")), "code", r.code("head-1")))
		if err := r.gate.Keep(t.Context(), r.sessionOf(one), "result 2", []byte("b")); err != nil {
			t.Fatal(err)
		}
		if got, err := r.gate.Kept(t.Context(), s, "result 2"); err != nil || string(got) != "b" {
			t.Errorf("kept values do not outlive a renewed id: %s %v", got, err)
		}
		one.do("POST", "/console/sign-out", formOf(one.get("/console/")))
		if got, err := r.gate.Kept(t.Context(), s, "result 2"); err == nil {
			t.Errorf("after signing out: %s", got)
		}
		r.pass(13 * time.Hour)
		if err := r.db.Console().PurgeConsole(t.Context(), r.clock()); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"console_sessions", "console_kept"} {
			var n int
			if err := r.raw.QueryRow("SELECT COUNT(*) FROM " + table).Scan(&n); err != nil || n != 0 {
				t.Errorf("%s has %d rows after the end of all sessions, %v", table, n, err)
			}
		}
	})
}

// countKept counts what sessions keep: all but used codes.
func countKept(r *rig) (n int, err error) {
	rows, err := r.raw.Query("SELECT owner FROM console_kept")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var owner []byte
		if err := rows.Scan(&owner); err != nil {
			return 0, err
		}
		code := func(a session.Account) bool { d := session.CodeOwner(a.ID); return bytes.Equal(owner, d[:]) }
		if !slices.ContainsFunc(r.current.Accounts.List(), code) {
			n++
		}
	}
	return n, rows.Err()
}

// TestPlaceCookie keeps names of windows in Chinese, and takes nothing from a cookie that cannot be read.
func TestPlaceCookie(t *testing.T) {
	for _, desk := range []string{"3", "综合窗口 二", "a;b,c\"d", ""} {
		if hall, got := session.PlaceOf(session.PlaceText("street-hall", desk)); hall != "street-hall" || got != desk {
			t.Errorf("%q became %q, %q", desk, hall, got)
		}
	}
	for _, bad := range []string{"", "street-hall", "street-hall/***", "street-hall/_____w"} {
		if _, desk := session.PlaceOf(bad); desk != "" {
			t.Errorf("%q is window %q", bad, desk)
		}
	}
}
