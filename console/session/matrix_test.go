package session_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"oncegate/console/session"
	"oncegate/fault"
)

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// TestMatrix opens every route in every role, and as nobody, and holds what happens to the matrix, and every answer to the headers that keep a
// page from being framed, scripted, kept or told to another site. No address that it leads to names the account.
func TestMatrix(t *testing.T) {
	r := newRig(t, sqliteConfig(t))
	matrix := must(session.ReadMatrix())(t)
	hash := must(hashed())(t)
	r.current.Settings.Halls, r.current.Departments = nil, map[string]string{}
	for _, role := range session.Roles {
		h := "hall-of-" + role
		r.current.Settings.Halls = append(r.current.Settings.Halls, session.Hall{System: h, Name: h, Roles: []string{role}})
		r.current.Departments[h] = "samr"
		r.current.Accounts = r.current.Accounts.With(session.Account{ID: "is-" + role, Name: role, Password: hash, Secret: secretOf("is-" + role), Assignments: []session.Assignment{{Role: role, Hall: h}}})
	}
	var reached *http.Request
	r.gate.Handler(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { reached = q }))
	routes := matrix.Routes()
	slices.SortFunc(routes, func(a, b session.Route) int { return strings.Compare(a.Route, b.Route) })
	walked := 0
	for _, role := range append([]string{""}, session.Roles...) {
		var s *session.Session
		cookie := ""
		if role != "" {
			b := r.browser("192.0.2.1")
			b.signIn("is-" + role)
			cookie, s = b.cookies()["oncegate-session"], r.sessionOf(b)
		}
		for _, row := range routes {
			method, path, _ := strings.Cut(row.Route, " ")
			if slices.Contains([]string{"/console/sign-out", "/console/change-person", "/console/unlock", "/console/sign-in"}, path) || session.IsOfTests(path) {
				continue // they end or change the session; other tests have them
			}
			form := url.Values{}
			if s != nil {
				form.Set("form", s.FormToken)
			}
			q := httptest.NewRequest(method, parameter.ReplaceAllString(path, "x1"), strings.NewReader(form.Encode()))
			q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if cookie != "" {
				q.AddCookie(&http.Cookie{Name: "oncegate-session", Value: cookie})
			}
			reached = nil
			w := httptest.NewRecorder()
			r.handler.ServeHTTP(w, q)
			allowed := matrix.Allow(role, row.Route)
			refused := contains(w.Body.String(), session.CodeNoRole)
			toSignIn := w.Code == 303 && strings.HasPrefix(w.Header().Get("Location"), "/console/sign-in")
			switch {
			case role == "" && !row.Public && !toSignIn:
				t.Errorf("nobody opens %s: %d", row.Route, w.Code)
			case role != "" && !allowed && (!refused || reached != nil):
				t.Errorf("%s opens %s: %d %s", role, row.Route, w.Code, w.Body)
			case allowed && (refused || row.Public && toSignIn && method == "GET"):
				t.Errorf("%s does not open %s: %d %s", role, row.Route, w.Code, w.Body)
			}
			if reached != nil && role != "" && session.From(reached.Context()).Hall != "hall-of-"+role {
				t.Errorf("%s on %s acts for another hall", role, row.Route)
			}
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
				"Referrer-Policy":         "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s on %s: %s is %q", role, row.Route, name, got)
				}
			}
			if role != "" && strings.Contains(w.Header().Get("Location"), "is-"+role) {
				t.Errorf("%s on %s: the address %s names the account", role, row.Route, w.Header().Get("Location"))
			}
			walked++
		}
	}
	t.Logf("%d routes, %d pairs", len(routes), walked)
	for _, row := range routes { // the three powers share no page but those of everybody
		powers := 0
		for _, role := range []string{session.Operator, session.SecurityOfficer, session.Auditor} {
			if slices.Contains(row.Roles, role) {
				powers++
			}
		}
		if powers > 1 {
			t.Errorf("%s is of several of operator, security officer and auditor", row.Route)
		}
		if slices.Contains(row.Roles, session.Holder) && len(row.Roles) > 1 {
			t.Errorf("%s is of holders and of officials", row.Route)
		}
	}
}

// Who may not be what else: separation of duties.
func TestConflicts(t *testing.T) {
	department := func(hall string) string { return strings.SplitN(hall, "/", 2)[0] }
	exclude := map[string]bool{} // pair → anywhere
	for _, pair := range []string{"operator security-officer", "operator auditor", "security-officer auditor", "approver requester"} {
		exclude[pair] = true
	}
	for _, pair := range []string{"head auditor", "steward auditor"} {
		exclude[pair] = false
	}
	for _, one := range session.Roles {
		for _, other := range session.Roles {
			anywhere, found := exclude[one+" "+other]
			if !found {
				anywhere, found = exclude[other+" "+one]
			}
			for _, hall := range []string{"samr/2", "audit/1"} {
				_, _, conflict := session.ConflictOf([]session.Assignment{{Role: session.Clerk, Hall: "service/1"}, {Role: one, Hall: "samr/1"}, {Role: other, Hall: hall}}, department)
				if want := found && (anywhere || hall == "samr/2"); conflict != want {
					t.Errorf("%s in samr/1 and %s in %s: %t", one, other, hall, conflict)
				}
			}
		}
	}
}

// Every fault of settings and accounts is reported at once, where it stands, and names nobody.
func TestSettings(t *testing.T) {
	known := session.Known{Departments: map[string]string{hall: "service", auditOffice: "audit"}, Matters: map[string]bool{"M-1": true}}
	eleven := make([]string, 11)
	for i := range eleven {
		eleven[i] = "M-1"
	}
	faults := session.Settings{Idle: 1, Longest: 1 << 60, Fresh: 1, Halls: []session.Hall{
		{System: "nowhere", Name: "示例", Roles: []string{"king"}, Matters: eleven, Opens: "25:00", Closes: "8 pm"},
		{System: hall}, {System: hall, Name: "示例", Roles: []string{session.Clerk, session.Clerk}, Desks: []string{"1", "1"}},
	}}.Check(known)
	for _, path := range []string{"$.idle", "$.longest", "$.fresh", "$", "$.halls[0].system", "$.halls[0].roles[0]", "$.halls[0].matters", "$.halls[0].opens", "$.halls[0].closes", "$.halls[1].name", "$.halls[1].roles", "$.halls[2].system", "$.halls[2].roles[1]", "$.halls[2].desks[1]"} {
		if !slices.ContainsFunc(faults, func(f fault.Fault) bool { return f.Path == path }) {
			t.Errorf("nothing at %s among %v", path, faults)
		}
	}
	settings := session.Settings{Accounts: "a", Halls: []session.Hall{{System: hall, Name: "示例", Roles: []string{session.Clerk, session.Operator}}, {System: auditOffice, Name: "示例", Roles: []string{session.Auditor}}}}
	hash := must(hashed())(t)
	accounts := session.NewAccounts(
		session.Account{ID: "a-good", Name: "示例甲", Password: hash, Secret: "A", Assignments: []session.Assignment{{Role: session.Clerk, Hall: hall}}},
		session.Account{ID: "b-two", Name: "示例乙", Password: hash, Secret: "A", Assignments: []session.Assignment{{Role: session.Operator, Hall: hall}, {Role: session.Auditor, Hall: auditOffice}}},
		session.Account{ID: "c-weak", Name: "示例丙", Password: "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
		session.Account{ID: "d-lost", Name: "示例丁", Password: hash, Secret: "A", Assignments: []session.Assignment{{Role: session.Head, Hall: hall}, {Role: session.Clerk, Hall: "nowhere"}}},
	)
	found := fmt.Sprint(accounts.Check("$", settings, known))
	for _, want := range []string{"account 2: nobody may be operator", "account 3 has no second factor", "account 3: its password is no argon2id hash", "account 4: hall street-hall has no role", `account 4: there is no hall "nowhere"`} {
		if !contains(found, want) {
			t.Errorf("%q is not among %s", want, found)
		}
	}
	if contains(found, "account 1") || contains(found, "示例") || contains(found, "-weak") {
		t.Errorf("%s", found)
	}
	if known.Loopback = true; contains(fmt.Sprint(accounts.Check("$", settings, known)), "second factor") {
		t.Error("on loopback a second factor may be missing")
	}
	r := newRig(t, sqliteConfig(t))
	sealed := must(accounts.Sealed(r.keyring))(t)
	if contains(string(sealed), "a-good") || contains(string(sealed), "argon2id") {
		t.Error("the file shows an account")
	}
	if back := must(session.ParseAccounts(sealed, r.keyring))(t); len(back.List()) != 4 {
		t.Errorf("%d accounts", len(back.List()))
	}
	for name, broken := range map[string]string{"cut off": string(sealed[:len(sealed)-9]), "no header": string(sealed[1:]), "edited": strings.Replace(string(sealed), "A", "B", 1), "empty": ""} {
		if _, err := session.ParseAccounts([]byte(broken), r.keyring); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
