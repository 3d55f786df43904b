package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
)

const (
	client, secret = "yunchuan-console", "a client's secret"
	callback       = "http://127.0.0.1:9/console/callback/citizen"
	verifier       = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
)

// open serves a provider with two people on loopback.
func open(t *testing.T) (*Provider, *httptest.Server) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	p, err := New(Config{
		Issuer: "http://" + server.Listener.Addr().String(), Client: client, Secret: secret, Callback: func() string { return callback },
		People: []Person{{Code: "379901198503123015", Name: "甲子子", Zh: "丈夫", En: "husband"}, {Code: "379901196502060041", Name: "乙子子<b>", Zh: "妻子", En: "wife"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = p
	server.Start()
	t.Cleanup(server.Close)
	return p, server
}

// asked is a sound authorization request, changed.
func asked(pairs ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	v := url.Values{
		"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

var direct = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func read(t *testing.T, res *http.Response, err error) (status int, location *url.URL, body string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	location, _ = url.Parse(res.Header.Get("Location"))
	return res.StatusCode, location, string(text)
}

var ticketField = regexp.MustCompile(`name="ticket" value="([A-Z2-7]+)"`)

// begin opens the page and returns the ticket of its form.
func begin(t *testing.T, s *httptest.Server) string {
	t.Helper()
	res, err := direct.Get(s.URL + "/authorize?" + asked().Encode())
	status, _, body := read(t, res, err)
	found := ticketField.FindStringSubmatch(body)
	if status != 200 || found == nil {
		t.Fatalf("%d %s", status, body)
	}
	if strings.Contains(body, "379901198503123015") || strings.Contains(body, "子<b>") || strings.Contains(body, "<script") {
		t.Errorf("the page says:\n%s", body)
	}
	return found[1]
}

func choose(t *testing.T, s *httptest.Server, ticket, person string) (int, url.Values) {
	t.Helper()
	res, err := direct.PostForm(s.URL+"/authorize", url.Values{"ticket": {ticket}, "person": {person}})
	status, location, _ := read(t, res, err)
	return status, location.Query()
}

func redeem(t *testing.T, s *httptest.Server, code string, pairs ...string) (int, map[string]any) {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	id, word := client, secret
	for i := 0; i < len(pairs); i += 2 {
		switch pairs[i] {
		case "client":
			id = pairs[i+1]
		case "secret":
			word = pairs[i+1]
		default:
			form.Set(pairs[i], pairs[i+1])
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(id, url.QueryEscape(word))
	res, err := direct.Do(req)
	status, _, body := read(t, res, err)
	var said map[string]any
	if err := json.Unmarshal([]byte(body), &said); err != nil {
		t.Fatal(err, body)
	}
	return status, said
}

// A code buys one token, which says who was chosen, for whom, and when, under the key that the provider publishes.
func TestSignIn(t *testing.T) {
	_, s := open(t)
	status, back := choose(t, s, begin(t, s), "1")
	if status != http.StatusSeeOther || back.Get("state") != "s" || back.Get("code") == "" {
		t.Fatalf("%d %v", status, back)
	}
	status, said := redeem(t, s, back.Get("code"))
	if status != 200 {
		t.Fatalf("%d %v", status, said)
	}
	res, err := direct.Get(s.URL + "/keys")
	_, _, body := read(t, res, err)
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(body), &keys); err != nil || len(keys.Keys) != 1 || !keys.Keys[0].IsPublic() {
		t.Fatalf("keys %s: %v", body, err)
	}
	signed, err := jose.ParseSignedCompact(said["id_token"].(string), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := signed.Verify(keys.Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil || claims["sub"] != "379901196502060041" || claims["aud"] != client || claims["nonce"] != "n" || claims["iss"] != s.URL {
		t.Errorf("claims %s", payload)
	}
	if status, said := redeem(t, s, back.Get("code")); status != 400 || said["error"] != "invalid_grant" {
		t.Errorf("the code bought a second token: %d %v", status, said)
	}
}

// What a client, a browser or a thief must not do.
func TestAttacks(t *testing.T) {
	p, s := open(t)
	for name, v := range map[string]url.Values{
		"another client": asked("client_id", "other"), "no client": asked("client_id", ""), "another redirect URI": asked("redirect_uri", "http://127.0.0.1:9/other"),
		"a longer redirect URI": asked("redirect_uri", callback+"/x"), "a redirect URI elsewhere": asked("redirect_uri", "https://evil.example/console/callback/citizen"),
	} {
		res, err := direct.Get(s.URL + "/authorize?" + v.Encode())
		if status, location, body := read(t, res, err); status != 400 || location.String() != "" || ticketField.MatchString(body) {
			t.Errorf("%s: %d %s", name, status, location)
		}
	}
	for name, v := range map[string]url.Values{
		"no PKCE": asked("code_challenge", ""), "plain PKCE": asked("code_challenge_method", "plain"), "implicit": asked("response_type", "token"), "no openid": asked("scope", "profile"),
		"no state": asked("state", ""), "no nonce": asked("nonce", ""), "a long state": asked("state", strings.Repeat("s", 513)), "a long nonce": asked("nonce", strings.Repeat("n", 513)),
	} {
		res, err := direct.Get(s.URL + "/authorize?" + v.Encode())
		if status, location, _ := read(t, res, err); status != http.StatusSeeOther || location.Query().Get("error") != "invalid_request" || len(location.String()) > 1024 {
			t.Errorf("%s: %d %s", name, status, location)
		}
	}
	for _, person := range []string{"", "-1", "2", "0x0", "379901196502060041"} {
		if status, back := choose(t, s, begin(t, s), person); status != http.StatusSeeOther || back.Get("error") != "access_denied" || back.Get("code") != "" {
			t.Errorf("person %q: %d %v", person, status, back)
		}
	}
	ticket := begin(t, s)
	choose(t, s, ticket, "0")
	for _, bad := range []string{ticket, "", "AAAA"} {
		if status, back := choose(t, s, bad, "0"); status != 400 || len(back) != 0 {
			t.Errorf("ticket %q: %d %v", bad, status, back)
		}
	}
	for _, wrong := range [][]string{
		{"code_verifier", "another"}, {"code_verifier", ""}, {"redirect_uri", callback + "/x"}, {"grant_type", "password"}, {"client", "other"}, {"secret", "guess"}, {"secret", ""},
	} {
		_, back := choose(t, s, begin(t, s), "0")
		if status, said := redeem(t, s, back.Get("code"), wrong...); status < 400 || said["id_token"] != nil {
			t.Errorf("%q: %d %v", wrong, status, said)
		}
	}
	// A thief's page under another name that leads here, and another machine.
	for name, change := range map[string]func(*http.Request){"another name": func(r *http.Request) { r.Host = "evil.example" }, "another machine": func(r *http.Request) { r.RemoteAddr = "192.0.2.1:4711" }} {
		r := httptest.NewRequest("GET", s.URL+"/authorize?"+asked().Encode(), nil)
		r.RemoteAddr = "127.0.0.1:4711"
		change(r)
		w := httptest.NewRecorder()
		if p.ServeHTTP(w, r); w.Code != http.StatusForbidden || w.Body.Len() != 0 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	res, err := direct.Post(s.URL+"/authorize", "application/x-www-form-urlencoded", strings.NewReader("ticket="+strings.Repeat("A", 1<<20)))
	if status, _, _ := read(t, res, err); status != 400 {
		t.Errorf("a form of a megabyte: %d", status)
	}
	for range maxTickets + 10 {
		begin(t, s)
	}
	if len(p.begun.all) != maxTickets {
		t.Errorf("%d sign-ins are kept", len(p.begun.all))
	}
	p.begun.all[0].until = time.Now()
	if status, _ := choose(t, s, p.begun.all[0].name, "0"); status != 400 {
		t.Errorf("a ticket that has expired: %d", status)
	}
}
