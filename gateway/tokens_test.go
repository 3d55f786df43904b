package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"oncegate/certs/token"
)

// Law 1: a call is recorded once; the same token again is refused, by this process and by the database alone.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	body := []byte(`{"license_type":"business-license","holder":{"type":"001","code":"` + company.Code + `"},"purpose":{"case":"SP-1"}}`)
	compact := w.token("food-approval", "POST", queryPath, body, nil)
	if a := w.send("POST", queryPath, body, compact); a.status != http.StatusOK {
		t.Fatalf("first: %d %s", a.status, a.body)
	}
	size := w.size()
	for _, memory := range []string{"kept", "lost, as after a restart"} {
		if memory != "kept" {
			w.gateway.intake = w.gateway.newIntake()
		}
		a := w.send("POST", queryPath, body, compact)
		if a.problem.Code != "token-replayed" || a.problem.Receipt != nil {
			t.Errorf("memory %s: %d %s", memory, a.status, a.problem.Code)
		}
	}
	if got := w.size(); got != size {
		t.Errorf("replays left %d records", got-size)
	}
}

// Law 2 and the edge: every way a token can be wrong has its own code, and none of them leaves a record.
func TestTokensThatProveNothing(t *testing.T) {
	w := newWorld(t)
	size := w.size()
	body := []byte(`{}`)
	path := "/v1/receipts"
	sign := func(change func(*token.Claims)) string { return w.token("food-approval", "POST", path, body, change) }
	other := must(token.Sign(t.Context(), w.certs.Signer("audit-office-1"), token.Claims{
		Issuer: "food-approval", Audience: gatewayID, Method: "POST", URL: publicURL + path, Body: token.BodyDigest(body), Operator: "o", Request: "r",
	}, time.Now()))(t)
	for want, compact := range map[string]string{
		"token-missing":           "",
		"token-malformed":         "a.b.c",
		"token-wrong-audience":    sign(func(c *token.Claims) { c.Audience = "other-gateway" }),
		"token-method-mismatch":   sign(func(c *token.Claims) { c.Method = "GET" }),
		"token-url-mismatch":      sign(func(c *token.Claims) { c.URL = publicURL + "/v1/cases" }),
		"token-body-mismatch":     sign(func(c *token.Claims) { c.Body = token.BodyDigest([]byte("x")) }),
		"token-expired":           sign(func(c *token.Claims) { c.IssuedAt, c.Expires = time.Now().Unix()-600, time.Now().Unix()-400 }),
		"token-not-yet-valid":     sign(func(c *token.Claims) { c.IssuedAt = time.Now().Unix() + 600 }),
		"token-lifetime-too-long": sign(func(c *token.Claims) { c.IssuedAt, c.Expires = time.Now().Unix(), time.Now().Unix()+301 }),
		"token-unknown-key":       other, // the key of another system
		"token-bad-signature":     sign(nil)[:len(sign(nil))-6] + "AAAAAA",
	} {
		a := w.send("POST", path, body, compact)
		if a.problem.Code != want || a.status != http.StatusUnauthorized || a.problem.Receipt != nil {
			t.Errorf("want %s: got %d %s", want, a.status, a.problem.Code)
		}
	}
	if got := w.size(); got != size {
		t.Errorf("callers who proved nothing left %d records", got-size)
	}
}

// The URL in the token is compared with the configured public URL; the Host header has no part in it.
func TestHostHeaderIsIgnored(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	body := must(marshal(query("business-license", company, "SP-1")))(t)
	r := must(http.NewRequest("POST", w.server.URL+queryPath, strings.NewReader(string(body))))(t)
	r.Host = "evil.example"
	r.Header.Set("Content-Type", "application/json")
	evil := w.token("food-approval", "POST", queryPath, body, func(c *token.Claims) { c.URL = "https://evil.example" + queryPath })
	r.Header.Set("Authorization", "Bearer "+evil)
	if a := w.do(r, evil); a.problem.Code != "token-url-mismatch" {
		t.Errorf("got %d %s", a.status, a.problem.Code)
	}
}

// The fixed 429 is unrecorded, and one record says how many there were.
func TestTooManyRequests(t *testing.T) {
	w := newWorld(t)
	w.reload(func(s *Snapshot) {
		systems := map[string]System{}
		for id, system := range s.Systems {
			system.Rate, system.Burst = 0.001, 2
			systems[id] = system
		}
		s.Systems = systems
	})
	size := w.size()
	refused := 0
	for range 6 {
		if a := w.call("food-approval", "GET", "/v1/catalog/types", nil); a.problem.Code == "too-many-requests" {
			refused++
		}
	}
	if refused != 4 || w.size() != size+2 {
		t.Fatalf("refused %d, %d records", refused, w.size()-size)
	}
	w.gateway.summarize(t.Context())
	if got := w.size(); got != size+3 {
		t.Errorf("%d records, want one summary", got-size-2)
	}
	text := w.lines.String()
	if lines := strings.Count(text, "too-many-requests"); lines > 0 || strings.Count(text, `msg="calls refused: the system had reached a limit" system=food-approval calls=4`) != 1 {
		t.Errorf("%d lines of single calls in\n%s", lines, text)
	}
	if !strings.Contains(w.exposition(), `oncegate_limited_total{share="rate",system="food-approval"} 4`) || !strings.Contains(w.exposition(), `oncegate_calls_total{code="too-many-requests",operation="catalog.types"} 4`) {
		t.Error("the refused calls are not counted")
	}
}
