package session_test

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/certs/sm"
	"oncegate/console/session"
	"oncegate/fault"
	"oncegate/strictyaml"
)

// A province is an identity provider that speaks no OpenID Connect. It keeps codes once, and checks all that a client sends.
type province struct {
	*httptest.Server
	mu     sync.Mutex // protects all below
	codes  map[string]url.Values
	tokens map[string]bool
	asked  url.Values
	level  string
	wrong  []string // what of a request was not as it must be
}

func newProvince(t *testing.T, level string) *province {
	p := &province{codes: map[string]url.Values{}, tokens: map[string]bool{}, level: level}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sso/usp.do", p.back("ticket", "goto", "sp"))
	mux.HandleFunc("GET /sso/servlet/simpleauth", p.simpleAuth)
	mux.HandleFunc("GET /tif/sso/connect/page/oauth2/authorize", p.back("code", "redirect_uri", "state"))
	mux.HandleFunc("POST /tif/sso/connect/oauth2/access_token", p.accessToken)
	mux.HandleFunc("POST /tif/sso/connect/get_user_info", p.userInfo)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		mux.ServeHTTP(w, q)
	}))
	t.Cleanup(p.Close)
	return p
}

// back sends a browser back with a code.
func (p *province) back(code, to, state string) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		v := q.URL.Query()
		one := rand.Text()
		p.asked, p.codes[one] = v, v
		http.Redirect(w, q, v.Get(to)+"?"+url.Values{code: {one}, state: {v.Get(state)}}.Encode(), http.StatusFound)
	}
}

func (p *province) expect(ok bool, what string) bool {
	if !ok {
		p.wrong = append(p.wrong, what)
	}
	return ok
}

func (p *province) simpleAuth(w http.ResponseWriter, q *http.Request) {
	v := q.URL.Query()
	sum := md5.Sum([]byte(v.Get("servicecode") + clientSecret + v.Get("time")))
	ok := p.expect(v.Get("servicecode") == clientID && v.Get("sign") == hex.EncodeToString(sum[:]) && v.Get("time") == "20261130091600", "signature") // China's time
	answer := map[string]any{"result": "2102", "errmsg": "票据无效"}
	switch v.Get("method") {
	case "ticketValidation":
		if _, known := p.codes[v.Get("st")]; ok && known {
			delete(p.codes, v.Get("st"))
			token := rand.Text()
			p.tokens[token] = true
			answer = map[string]any{"result": "0", "token": token}
		}
	case "getUserInfo":
		if ok && p.tokens[v.Get("token")] {
			answer = map[string]any{"result": "0", "userid": "330000042", "username": "示例己", "authlevel": p.level, "duties": "ck; fzr", "orgcoding": "379901001"}
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (p *province) accessToken(w http.ResponseWriter, q *http.Request) {
	var in map[string]string
	err := json.NewDecoder(q.Body).Decode(&in)
	begun, known := p.codes[in["code"]]
	ok := p.expect(err == nil && in["client_id"] == clientID && in["client_secret"] == clientSecret && in["grant_type"] == "authorization_code" && q.Header.Get("Content-Type") == "application/json", "token request")
	ok = p.expect(!known || begun.Get("code_challenge") == challengeOf(in["code_verifier"]), "verifier") && ok
	if !ok || !known {
		_ = json.NewEncoder(w).Encode(map[string]any{"head": map[string]any{"success": false, "message": "授权码无效"}})
		return
	}
	delete(p.codes, in["code"])
	token := rand.Text()
	p.tokens[token] = true
	_ = json.NewEncoder(w).Encode(map[string]any{"head": map[string]any{"success": true}, "body": map[string]any{"access_token": token}})
}

func (p *province) userInfo(w http.ResponseWriter, q *http.Request) {
	token := strings.TrimPrefix(q.Header.Get("Authorization"), "Bearer ")
	mac := sm.HMAC([]byte(clientSecret), []byte(token+"."+clientID))
	ok := p.expect(q.Header.Get("X-Signature") == hex.EncodeToString(mac[:]) && q.PostFormValue("timestamp") == "1796001360000" && len(q.PostFormValue("nonce")) == 43, "user request")
	if !ok || !p.tokens[token] {
		w.WriteHeader(401)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"head": map[string]any{"success": true}, "body": map[string]any{
		"uid": 440000042, "cn": "示例庚", "creditable_level_of_account": p.level,
		"posts": []any{map[string]any{"code": "window_clerk", "org": "11"}, map[string]any{"code": "visitor", "org": "12"}},
	}})
}

func challengeOf(verifier string) string { return session.Challenge(verifier) }

// profile reads a profile of the test data, at the address of a province.
func profile(t *testing.T, name, address string) session.Provider {
	data := must(os.ReadFile(filepath.Join("testdata", name+".yaml")))(t)
	var p session.Provider
	var faults fault.List
	strictyaml.Decode(name, []byte(strings.ReplaceAll(string(data), "http://127.0.0.1/", address+"/")), strictyaml.Limits{Bytes: 1 << 20, Depth: 16, Values: 1 << 12}, &p, &faults)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return p
}

// Providers that speak no OpenID Connect are described in data.
func TestExchange(t *testing.T) {
	for _, c := range []struct {
		profile, level, low, person, name, again string
		roles                                    []string
		hall                                     string
	}{
		{"ticket", "3", "2", "330000042", "示例己", "forceLogin", []string{session.Clerk, session.Head}, otherHall},
		{"code", "L4", "L1", "440000042", "示例庚", "prompt", []string{session.Clerk}, ""}, // in two halls: one is chosen
	} {
		t.Run(c.profile, func(t *testing.T) {
			r := newRig(t, sqliteConfig(t))
			p := newProvince(t, c.level)
			settings := profile(t, c.profile, p.URL)
			r.use(settings)
			known := session.Known{Departments: r.current.Departments, Services: map[string][]string{"staff-identity": {hall, otherHall, auditOffice}}}
			if faults := r.current.Settings.Check(known); len(faults) > 0 {
				t.Fatal(faults)
			}
			b := r.browser("192.0.2.1")
			callback := b.visit("/console/sign-in/" + settings.ID)
			if p.asked.Get(c.again) == "" {
				t.Errorf("the provider is not told to ask: %v", p.asked)
			}
			a := b.get(callback)
			if a.status != 303 || len(p.wrong) > 0 {
				t.Fatalf("%d %s; the provider says that it was not asked well: %v", a.status, a.text, p.wrong)
			}
			if c.hall == "" {
				b.do("POST", "/console/place", url.Values{"form": {b.get("/console/place").View.Form}, "hall": {hall}, "desk": {"2"}})
				c.hall = hall
			}
			home := b.get("/console/")
			if v := home.View; v.Person.ID != c.person || v.Person.Proof != "session" || v.Name != c.name || !slices.Equal(v.Roles, c.roles) || v.SessionHall != c.hall {
				t.Errorf("signed in as %s", home.text)
			}
			other := r.browser("192.0.2.2")
			u := must(url.Parse(callback))(t)
			own := must(url.Parse(other.visit("/console/sign-in/" + settings.ID)))(t)
			q := own.Query()
			for name, value := range u.Query() { // the used code in a sign-in of one's own
				if name != "state" && name != "sp" {
					q[name] = value
				}
			}
			if a := other.get(own.Path + "?" + q.Encode()); a.View.Code != session.CodeProviderCode {
				t.Errorf("a used code: %d %s", a.status, a.text)
			}
			p.mu.Lock()
			p.level = c.low
			p.mu.Unlock()
			if a := other.get(other.visit("/console/sign-in/" + settings.ID)); a.View.Code != session.CodeProviderLevel {
				t.Errorf("a weak means: %d %s", a.status, a.text)
			}
			if len(p.wrong) > 0 {
				t.Error(p.wrong)
			}
		})
	}
}

// A locked session goes on when its own person comes back from the provider, with the post that met the lock; another person's does not open it.
func TestUnlockThroughProvider(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		p := newOpenIDProvider(t, r)
		r.use(p.settings())
		b := r.browser("192.0.2.1")
		b.get(b.visit("/console/sign-in/staff"))
		home := b.get("/console/")
		r.pass(21 * time.Minute)
		if a := b.do("POST", session.TestRoute, url.Values{"form": {home.View.FormOf}, "no": {"SP-1"}}); a.Page != "Lock" || !a.View.Kept {
			t.Fatalf("%d %s", a.status, a.text)
		}
		for _, path := range []string{"/console/", "/console/place", "/console/sign-in/staff"} {
			if a := b.get(path); a.Page != "Lock" {
				t.Errorf("%s is open: %d %s", path, a.status, a.text)
			}
		}
		p.user["sub"] = "staff-0043"
		if a := b.get(b.visit("/console/unlock/staff")); a.View.Code != session.CodeOther {
			t.Errorf("another person: %d %s", a.status, a.text)
		}
		if a := b.get("/console/"); a.Page != "Lock" {
			t.Errorf("open after another person tried: %s", a.text)
		}
		p.user["sub"] = "staff-0042"
		b.get(b.visit("/console/unlock/staff"))
		if a := b.get("/console/"); a.Page != "Session" || a.View.Person.ID != "staff-0042" || len(r.posts) != 1 || r.who[0] != "staff-0042" {
			t.Errorf("the post was not carried out: %s", a.text)
		}
	})
}

func TestProviderFaults(t *testing.T) {
	known := session.Known{Departments: map[string]string{hall: "service", otherHall: "samr", auditOffice: "samr"}, Services: map[string][]string{"staff-identity": {hall, otherHall}}}
	settings := session.Settings{Accounts: "a", Halls: []session.Hall{{System: otherHall, Name: "示例", Roles: []string{session.Head, session.Clerk}}, {System: auditOffice, Name: "审计", Roles: []string{session.Auditor}}}}
	for _, c := range []struct {
		name, want string
		change     func(p *session.Provider)
	}{
		{"no way to ask", "say either issuer (OpenID Connect) or exchange", func(p *session.Provider) { p.Exchange = nil }},
		{"both ways", "say either issuer (OpenID Connect) or exchange", func(p *session.Provider) { p.Issuer = "https://id.example" }},
		{"plain http", "an https address is expected; http is for loopback only", func(p *session.Provider) { p.Exchange.Token.URL = "http://id.example/token" }},
		{"no state", "no parameter sends $state, so that a sign-in could be put into another browser", func(p *session.Provider) { delete(p.Exchange.Authorize.Query, "sp") }},
		{"an unknown variable", "there is no $password here; known are $", func(p *session.Provider) { p.Exchange.Token.Query["p"] = "$password" }},
		{"a token before it is there", "there is no $token here; known are $", func(p *session.Provider) { p.Exchange.Token.Query["p"] = "$token" }},
		{"no path", `"userid[" is no JSONPath (RFC 9535), such as $.data.user.id`, func(p *session.Provider) { p.Person.ID = "userid[" }},
		{"a signature that is not made", "$signature is used, and sign does not say how it is made", func(p *session.Provider) { p.Exchange.Token.Sign = session.Signature{} }},
		{"a digest that nobody has", "a signature has an algorithm", func(p *session.Provider) { p.Exchange.Token.Sign.Algorithm = "crc32" }},
		{"an identity service that is not there", `there is no identity service "other"`, func(p *session.Provider) { p.Service = "other" }},
		{"a system that it may not speak for", "identity service staff-identity may not speak for system audit-office", func(p *session.Provider) {
			p.Roles = append(p.Roles, session.RoleRule{Is: "sj", Role: session.Auditor, Hall: auditOffice})
		}},
		{"a hall that is not there", `there is no hall "nowhere"`, func(p *session.Provider) { p.Roles[0].Hall = "nowhere" }},
		{"a role that the hall does not have", "hall market-hall has no role", func(p *session.Provider) { p.Roles[0].Role = session.Operator }},
		{"one word for two roles that exclude each other", "nobody may be head (market-hall) and auditor (audit-office) at once", func(p *session.Provider) {
			p.Roles = append(p.Roles, session.RoleRule{Is: "fzr", Role: session.Auditor, Hall: auditOffice})
		}},
		{"nobody is asked again", "the provider is not told to ask the person again", func(p *session.Provider) { p.Exchange.Again = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := profile(t, "ticket", "https://id.example")
			c.change(&p)
			s := settings
			s.Providers = []session.Provider{p}
			faults := s.Check(known)
			if !slices.ContainsFunc(faults, func(f fault.Fault) bool {
				return strings.Contains(f.Reason, c.want) && strings.HasPrefix(f.Path, "$.providers[0]")
			}) {
				t.Errorf("not found among %v", faults)
			}
		})
	}
}
