// Package identity is the demo's stand-in for a province's unified identity authentication (统一身份认证): an OpenID provider (authorization
// code flow with PKCE) at which the made-up people of the sample city sign in by choosing themselves. It asks for no password and proves
// nothing, so it serves the machine it runs on and nobody else.
package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"oncegate/license"
)

// A Person is somebody made up who can sign in.
type Person struct {
	Code   string // 公民身份号码: the subject of the ID token
	Name   string
	Zh, En string // what this person can try
}

// Config is the configuration of a Provider. All fields are required.
type Config struct {
	Issuer   string        // its own address, http on loopback
	Client   string        // the one client that it knows
	Secret   string        // of the client
	Callback func() string // the one redirect URI of the client
	People   []Person
}

// A Provider is the OpenID provider. It keeps sign-ins under way in memory only, so many at most, and forgets the oldest first. It is safe for
// concurrent use.
type Provider struct {
	config Config
	signer jose.Signer
	keys   []byte // JWKS
	mux    *http.ServeMux

	mu      sync.Mutex // protects all below
	begun   tickets[request]
	granted tickets[grant]
}

// Bounds of what a client or browser can make the provider keep.
const (
	maxTickets = 256
	maxText    = 512 // of a parameter, in bytes
	maxForm    = 8 << 10
	choosing   = 10 * time.Minute // from the page to the choice
	redeeming  = time.Minute      // from the choice to the token (OAuth 2.1 section 4.1.2: short)
	tokenLife  = 5 * time.Minute
)

// A request is an authorization request under way (OpenID Connect Core 1.0 section 3.1.2.1).
type request struct{ callback, state, nonce, challenge string }

// A grant is who was chosen for a request.
type grant struct {
	request
	person Person
	at     time.Time
}

// New makes a provider with a key of its own.
func New(c Config) (*Provider, error) {
	if c.Issuer == "" || c.Client == "" || c.Secret == "" || c.Callback == nil || len(c.People) == 0 {
		return nil, errors.New("make identity provider: issuer, client, secret, callback and people are required")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make identity provider: %w", err)
	}
	public := jose.JSONWebKey{Key: key.Public(), KeyID: "1", Algorithm: string(jose.ES256), Use: "sig"}
	p := &Provider{config: c, mux: http.NewServeMux(), begun: tickets[request]{life: choosing}, granted: tickets[grant]{life: redeeming}}
	if p.keys, err = json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}); err != nil {
		return nil, fmt.Errorf("make identity provider: %w", err)
	}
	p.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
	if err != nil {
		return nil, fmt.Errorf("make identity provider: %w", err)
	}
	p.mux.HandleFunc("GET /.well-known/openid-configuration", p.describe)
	p.mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, p.keys) })
	p.mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(style)
	})
	p.mux.HandleFunc("GET /authorize", p.authorize)
	p.mux.HandleFunc("POST /authorize", p.choose)
	p.mux.HandleFunc("POST /token", p.token)
	return p, nil
}

// ServeHTTP implements http.Handler. It answers this machine alone: by the address of the caller, and by the name under which it is called, so
// that no page elsewhere reaches it through a name of its own (DNS rebinding).
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	own, err := url.Parse(p.config.Issuer)
	if from, _, splitErr := net.SplitHostPort(r.RemoteAddr); err != nil || splitErr != nil || r.Host != own.Host || !net.ParseIP(from).IsLoopback() {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	p.mux.ServeHTTP(w, r)
}

// describe answers the provider's description (OpenID Connect Discovery 1.0 section 3).
func (p *Provider) describe(w http.ResponseWriter, _ *http.Request) {
	at := p.config.Issuer
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer": at, "authorization_endpoint": at + "/authorize", "token_endpoint": at + "/token", "jwks_uri": at + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		"code_challenge_methods_supported": []string{"S256"}, "token_endpoint_auth_methods_supported": []string{"client_secret_basic"},
	})
}

//go:embed page.html
var pageSource string

//go:embed style.css
var style []byte

var page = template.Must(template.New("page").Funcs(template.FuncMap{"mask": license.MaskCode}).Parse(pageSource))

// authorize shows the people to choose from. A client or redirect URI that is unknown is told so, and sent nowhere (OAuth 2.1 section 4.1.2.1).
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	a := request{callback: q.Get("redirect_uri"), state: q.Get("state"), nonce: q.Get("nonce"), challenge: q.Get("code_challenge")}
	if q.Get("client_id") != p.config.Client || a.callback != p.config.Callback() {
		p.show(w, http.StatusBadRequest, "")
		return
	}
	sound := slices.Contains(strings.Fields(q.Get("scope")), "openid") && q.Get("response_type") == "code" && q.Get("code_challenge_method") == "S256" && len(a.challenge) == 43
	for _, text := range []string{a.state, a.nonce} {
		sound = sound && text != "" && len(text) <= maxText
	}
	if !sound {
		p.back(w, r, request{callback: a.callback, state: a.state[:min(len(a.state), maxText)]}, "error", "invalid_request")
		return
	}
	p.mu.Lock()
	ticket := p.begun.put(a, time.Now())
	p.mu.Unlock()
	p.show(w, http.StatusOK, ticket)
}

func (p *Provider) show(w http.ResponseWriter, status int, ticket string) {
	client := "'self'"
	if u, err := url.Parse(p.config.Callback()); err == nil {
		client += " " + u.Scheme + "://" + u.Host // the choice is answered by a redirect there
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; form-action "+client+"; frame-ancestors 'none'; base-uri 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = page.Execute(w, map[string]any{"Ticket": ticket, "People": p.config.People})
}

// choose sends the browser back with a code for whoever was chosen.
func (p *Provider) choose(w http.ResponseWriter, r *http.Request) {
	ticket, who := r.PostFormValue("ticket"), r.PostFormValue("person")
	p.mu.Lock()
	a, ok := p.begun.take(ticket, time.Now())
	p.mu.Unlock()
	if !ok {
		p.show(w, http.StatusBadRequest, "")
		return
	}
	n, err := strconv.Atoi(who)
	if err != nil || n < 0 || n >= len(p.config.People) {
		p.back(w, r, a, "error", "access_denied")
		return
	}
	p.mu.Lock()
	code := p.granted.put(grant{a, p.config.People[n], time.Now()}, time.Now())
	p.mu.Unlock()
	p.back(w, r, a, "code", code)
}

func (p *Provider) back(w http.ResponseWriter, r *http.Request, a request, name, value string) {
	http.Redirect(w, r, a.callback+"?"+url.Values{name: {value}, "state": {a.state}}.Encode(), http.StatusSeeOther)
}

// token exchanges a code for an ID token, once (OpenID Connect Core 1.0 section 3.1.3).
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	client, secret, _ := r.BasicAuth()
	if unescaped, err := url.QueryUnescape(secret); err == nil { // RFC 6749 section 2.3.1
		secret = unescaped
	}
	if client != p.config.Client || subtle.ConstantTimeCompare([]byte(secret), []byte(p.config.Secret)) != 1 {
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	p.mu.Lock()
	g, ok := p.granted.take(r.PostFormValue("code"), time.Now())
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || r.PostFormValue("grant_type") != "authorization_code" || r.PostFormValue("redirect_uri") != g.callback || base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		return
	}
	id, err := p.idToken(g, time.Now())
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, map[string]any{"error": "server_error"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": int(tokenLife.Seconds()), "id_token": id})
}

func (p *Provider) idToken(g grant, now time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{
		"iss": p.config.Issuer, "aud": p.config.Client, "sub": g.person.Code, "name": g.person.Name, "nonce": g.nonce,
		"iat": now.Unix(), "exp": now.Add(tokenLife).Unix(), "auth_time": g.at.Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := p.signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	answer(w, status, text)
}

func answer(w http.ResponseWriter, status int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// tickets are values under random names that are good once, for a while. The oldest goes where there are too many.
type tickets[T any] struct {
	life time.Duration
	all  []ticket[T]
}

type ticket[T any] struct {
	name  string
	until time.Time
	value T
}

func (t *tickets[T]) put(value T, now time.Time) (name string) {
	if len(t.all) == maxTickets {
		t.all = t.all[1:]
	}
	name = rand.Text()
	t.all = append(t.all, ticket[T]{name, now.Add(t.life), value})
	return name
}

func (t *tickets[T]) take(name string, now time.Time) (value T, ok bool) {
	i := slices.IndexFunc(t.all, func(one ticket[T]) bool { return one.name == name })
	if i < 0 {
		return value, false
	}
	one := t.all[i]
	t.all = slices.Delete(t.all, i, i+1)
	return one.value, now.Before(one.until)
}
