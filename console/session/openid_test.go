package session_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"oncegate/console/session"
	"oncegate/license"
)

const clientID, clientSecret = "yunchuan-console", "a client's secret"

var providerKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// An openIDProvider is an OpenID provider with authorization code flow and PKCE: the library's discovery and keys, and endpoints that check what a
// client sends.
type openIDProvider struct {
	*httptest.Server
	r    *rig
	user map[string]any // claims of who signs in next

	mu    sync.Mutex // protects all below
	codes map[string]url.Values
	asked url.Values                  // of the last visit of a browser
	lie   func(claims map[string]any) // changes the next ID token
	token func(idToken string) string // replaces the next ID token
	down  bool
	seen  int // requests for tokens
}

func newOpenIDProvider(t *testing.T, r *rig) *openIDProvider {
	p := &openIDProvider{r: r, codes: map[string]url.Values{}, user: map[string]any{"sub": "staff-0042", "name": "示例戊", "roles": []string{"window"}}}
	keys := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: providerKey().Public(), KeyID: "k1", Algorithm: "RS256"}}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /auth", p.authorize)
	mux.HandleFunc("POST /token", p.exchange)
	mux.Handle("/", keys)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		p.mu.Lock()
		down := p.down
		p.mu.Unlock()
		if down {
			w.WriteHeader(503)
			return
		}
		mux.ServeHTTP(w, q)
	}))
	t.Cleanup(p.Close)
	keys.SetIssuer(p.URL)
	return p
}

// settings are the provider as a configuration names it.
func (p *openIDProvider) settings() session.Provider {
	return session.Provider{
		ID: "staff", Name: "统一身份认证平台", Service: "staff-identity", Client: clientID, Issuer: p.URL,
		Person: session.Claims{ID: "$.sub", Name: "$.name", Roles: "$.roles", Organisation: "$.organisation", Level: "$.acr"},
		Roles:  []session.RoleRule{{Is: "window", Role: session.Clerk, Hall: otherHall}, {Is: "head", Role: session.Head, Hall: otherHall}, {Is: "auditor", Role: session.Auditor, Hall: auditOffice}},
	}
}

// use lets people sign in through providers only.
func (r *rig) use(all ...session.Provider) {
	r.current.Settings.Providers = all
	r.current.Providers = map[string]*session.Connection{}
	for _, p := range all {
		r.current.Providers[p.ID] = session.Connect(session.ConnectionConfig{Provider: p, Secret: clientSecret, PublicURL: r.server.URL, Roles: []string{"window", "head"}, Zone: license.Shanghai()})
	}
}

func (p *openIDProvider) authorize(w http.ResponseWriter, q *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := q.URL.Query()
	code := rand.Text()
	p.asked, p.codes[code] = v, v
	http.Redirect(w, q, v.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {v.Get("state")}}.Encode(), http.StatusFound)
}

func (p *openIDProvider) exchange(w http.ResponseWriter, q *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen++
	id, secret, _ := q.BasicAuth()
	begun, known := p.codes[q.PostFormValue("code")]
	sum := sha256.Sum256([]byte(q.PostFormValue("code_verifier")))
	if !known || id != clientID || secret != url.QueryEscape(clientSecret) || q.PostFormValue("redirect_uri") != begun.Get("redirect_uri") ||
		begun.Get("code_challenge_method") != "S256" || base64.RawURLEncoding.EncodeToString(sum[:]) != begun.Get("code_challenge") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(400)
		w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	delete(p.codes, q.PostFormValue("code")) // a code is used once
	now := p.r.clock()
	claims := map[string]any{"iss": p.URL, "aud": clientID, "nonce": begun.Get("nonce"), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": now.Unix()}
	maps.Copy(claims, p.user)
	if p.lie != nil {
		p.lie(claims)
	}
	text, _ := json.Marshal(claims)
	token := oidctest.SignIDToken(providerKey(), "k1", "RS256", string(text))
	if p.token != nil {
		token = p.token(token)
	}
	p.lie, p.token = nil, nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "token", "token_type": "Bearer", "id_token": token})
}

// visit follows a browser to a provider and returns the callback that it is sent back with.
func (b *browser) visit(path string) (callback string) {
	b.r.t.Helper()
	a := b.get(path)
	if a.status != 303 {
		b.r.t.Fatalf("%s: %d %s", path, a.status, a.text)
	}
	res := must(b.client.Get(a.location))(b.r.t)
	res.Body.Close()
	back, ok := strings.CutPrefix(res.Header.Get("Location"), b.r.server.URL)
	if !ok {
		b.r.t.Fatalf("the provider sent the browser to %q", res.Header.Get("Location"))
	}
	return back
}

func TestOpenID(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		p := newOpenIDProvider(t, r)
		r.use(p.settings())
		b := r.browser("192.0.2.1")
		callback := b.visit("/console/sign-in/staff?to=/console/")
		if p.asked.Get("prompt") != "login" || p.asked.Get("max_age") != "0" || p.asked.Get("response_type") != "code" || p.asked.Get("scope") != "openid" {
			t.Errorf("the provider was asked %v", p.asked)
		}
		before := b.cookies()
		a := b.get(callback)
		if a.status != 303 || a.location != "/console/" {
			t.Fatalf("callback: %d %s %s", a.status, a.location, a.text)
		}
		home := b.get("/console/")
		if v := home.View; v.Person.ID != "staff-0042" || v.Person.Proof != "session" || v.Person.Service != "staff-identity" || v.SessionHall != otherHall || len(v.Roles) != 1 || v.Roles[0] != session.Clerk || v.Name != "示例戊" {
			t.Errorf("signed in as %s", home.text)
		}
		if e := r.events[0]; e.Kind != session.EventSignIn || e.Means != "staff" || e.Person.Service != "staff-identity" || len(e.Person.Roles) != 1 {
			t.Errorf("recorded: %+v", e)
		}
		if b.cookies()["oncegate-session"] == before["oncegate-session"] || b.cookies()["oncegate-flow"] != "" {
			t.Error("the cookies are those of before the sign-in")
		}

		t.Run("a callback used again", func(t *testing.T) {
			b := r.browser("192.0.2.2")
			callback := b.visit("/console/sign-in/staff")
			flow := b.cookies()["oncegate-flow"]
			b.get(callback)
			seen := p.seen
			b.plant("oncegate-flow", flow) // which the answer dropped
			if a := b.get(callback); a.View.Code != session.CodeProviderReplayed || p.seen != seen {
				t.Errorf("%d %s, asked %d times", a.status, a.text, p.seen-seen)
			}
		})
		t.Run("a code used again", func(t *testing.T) {
			b, thief := r.browser("192.0.2.2"), r.browser("192.0.2.3")
			used, own := must(url.Parse(b.visit("/console/sign-in/staff")))(t), must(url.Parse(thief.visit("/console/sign-in/staff")))(t)
			b.get(used.RequestURI())
			q := own.Query()
			q.Set("code", used.Query().Get("code"))
			if a := thief.get(own.Path + "?" + q.Encode()); a.View.Code != session.CodeProviderCode {
				t.Errorf("%d %s", a.status, a.text)
			}
		})
		t.Run("a stolen code that was not used", func(t *testing.T) { // PKCE and nonce
			b, thief := r.browser("192.0.2.2"), r.browser("192.0.2.3")
			stolen, own := must(url.Parse(b.visit("/console/sign-in/staff")))(t), must(url.Parse(thief.visit("/console/sign-in/staff")))(t)
			q := own.Query()
			q.Set("code", stolen.Query().Get("code"))
			if a := thief.get(own.Path + "?" + q.Encode()); a.View.Code != session.CodeProviderCode {
				t.Errorf("%d %s", a.status, a.text)
			}
		})
		t.Run("in another browser", func(t *testing.T) { // login CSRF
			callback := r.browser("192.0.2.2").visit("/console/sign-in/staff")
			if a := r.browser("192.0.2.3").get(callback); a.View.Code != session.CodeProviderState {
				t.Errorf("%d %s", a.status, a.text)
			}
			other := r.browser("192.0.2.4")
			other.visit("/console/sign-in/staff")
			if a := other.get(callback); a.View.Code != session.CodeProviderState {
				t.Errorf("with a sign-in of its own under way: %d %s", a.status, a.text)
			}
		})
		t.Run("too late", func(t *testing.T) {
			b := r.browser("192.0.2.2")
			callback := b.visit("/console/sign-in/staff")
			r.pass(11 * time.Minute)
			if a := b.get(callback); a.View.Code != session.CodeProviderState {
				t.Errorf("%d %s", a.status, a.text)
			}
		})
		t.Run("cancelled", func(t *testing.T) {
			b := r.browser("192.0.2.2")
			u := must(url.Parse(b.visit("/console/sign-in/staff")))(t)
			if a := b.get(u.Path + "?error=access_denied&state=" + u.Query().Get("state")); a.View.Code != session.CodeCancelled {
				t.Errorf("%d %s", a.status, a.text)
			}
		})
	})
}

func TestOpenIDLies(t *testing.T) {
	r := newRig(t, sqliteConfig(t))
	p := newOpenIDProvider(t, r)
	r.use(p.settings())
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	foreign := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	part := func(token string, n int) string { return strings.Split(token, ".")[n] }
	for _, c := range []struct {
		name, code string
		lie        func(map[string]any)
		token      func(string) string
	}{
		{"another issuer", session.CodeProviderIssuer, set("iss", "https://other.example"), nil},
		{"another audience", session.CodeProviderAudience, set("aud", "other"), nil},
		{"several audiences, and nobody says for whom", session.CodeProviderAudience, set("aud", []string{"other", clientID}), nil},
		{"authorized for another", session.CodeProviderAudience, set("azp", "other"), nil},
		{"another nonce", session.CodeProviderNonce, set("nonce", "made up"), nil},
		{"no nonce", session.CodeProviderNonce, func(c map[string]any) { delete(c, "nonce") }, nil},
		{"expired", session.CodeProviderExpired, set("exp", r.now.Add(-2*time.Minute).Unix()), nil},
		{"made before the sign-in began", session.CodeProviderExpired, set("iat", r.now.Add(-time.Hour).Unix()), nil},
		{"made in the future", session.CodeProviderExpired, set("iat", r.now.Add(time.Hour).Unix()), nil},
		{"not valid yet", session.CodeProviderExpired, set("nbf", r.now.Add(time.Hour).Unix()), nil},
		{"signed in yesterday", session.CodeProviderStale, set("auth_time", r.now.Add(-24*time.Hour).Unix()), nil},
		{"nobody says when", session.CodeProviderStale, func(c map[string]any) { delete(c, "auth_time") }, nil},
		{"nobody", session.CodeProviderPerson, func(c map[string]any) { delete(c, "sub") }, nil},
		{"no role", session.CodeNoPlace, set("roles", []string{"visitor"}), nil},
		{"roles that nobody may have at once", session.CodeConflict, set("roles", []string{"head", "auditor"}), nil},
		{"alg none", session.CodeProviderSignature, nil, func(token string) string {
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + part(token, 1) + "."
		}},
		{"HMAC with the public key", session.CodeProviderSignature, nil, func(token string) string {
			return oidctest.SignIDToken(clientKeyBytes(), "k1", "HS256", payload(token))
		}},
		{"another key", session.CodeProviderSignature, nil, func(token string) string { return oidctest.SignIDToken(foreign, "k1", "RS256", payload(token)) }},
		{"another payload", session.CodeProviderSignature, nil, func(token string) string {
			return part(token, 0) + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(payload(token), "staff-0042", "staff-0001", 1))) + "." + part(token, 2)
		}},
		{"another hash of the access token", session.CodeProviderSignature, set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), nil},
		{"no token", session.CodeProviderSignature, nil, func(string) string { return "" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.code == session.CodeConflict { // both in one department
				r.current.Departments[auditOffice] = "samr"
				defer func() { r.current.Departments[auditOffice] = "audit" }()
			}
			b := r.browser("192.0.2.9")
			callback := b.visit("/console/sign-in/staff")
			p.lie, p.token = c.lie, c.token
			if a := b.get(callback); a.View.Code != c.code || b.cookies()["oncegate-session"] != "" {
				t.Errorf("%d %s", a.status, a.text)
			}
			if a := b.get("/console/"); a.status != 303 {
				t.Errorf("signed in all the same: %s", a.text)
			}
			r.pass(2 * time.Second)
		})
	}
	if strings.Contains(r.log.String(), "staff-0042") || strings.Contains(r.log.String(), "token") {
		t.Errorf("the log says who it was: %s", r.log)
	}
}

func payload(token string) string {
	text, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	return string(text)
}

// clientKeyBytes is what everybody knows of the provider's key.
func clientKeyBytes() []byte { return providerKey().N.Bytes() }

// A provider that is down keeps nobody else from signing in, and needs no restart when it is back.
func TestProviderDown(t *testing.T) {
	r := newRig(t, sqliteConfig(t))
	p := newOpenIDProvider(t, r)
	r.use(p.settings())
	p.down = true
	b := r.browser("192.0.2.1")
	if a := b.get("/console/sign-in/staff"); a.View.Code != session.CodeProviderDown || a.status != 503 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	b.signIn("head-1")
	p.down = false
	c := r.browser("192.0.2.2")
	callback := c.visit("/console/sign-in/staff")
	p.down = true
	if a := c.get(callback); a.View.Code != session.CodeProviderDown {
		t.Errorf("down for the token: %d %s", a.status, a.text)
	}
	p.down = false
	c.get(c.visit("/console/sign-in/staff"))
	if a := c.get("/console/"); a.View.Person.ID != "staff-0042" {
		t.Errorf("back again: %s", a.text)
	}
}
