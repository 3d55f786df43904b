package gateway

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/sm"
	"oncegate/certs/token"
)

// One request is one record, whatever its framing says: what net/http refuses leaves none, what it lets pass leaves one.
func TestOneRequestIsOneRecord(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	body := string(w.bodyOf(query("business-license", company, "SP-1")))
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	inner := "POST /v1/receipts HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
	for name, c := range map[string]struct {
		headers, body string
		records       uint64
		status        int
	}{
		"content length":        {fmt.Sprintf("Content-Length: %d\r\n", len(body)), body, 1, 200},
		"chunked":               {"Transfer-Encoding: chunked\r\n", chunked, 1, 200},
		"both":                  {fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", len(chunked)), chunked, 1, 200},
		"both, a request after": {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", chunked + inner, 1, 200},
		"two lengths":           {fmt.Sprintf("Content-Length: %d\r\nContent-Length: %d\r\n", len(body), len(body)+1), body, 0, 400},
		"unknown encoding":      {"Transfer-Encoding: xchunked\r\n", chunked, 0, 501},
		"space before colon":    {fmt.Sprintf("Content-Length : %d\r\n", len(body)), body, 0, 400},
		"a length too long":     {"Content-Length: 99999999999999999999\r\n", body, 0, 400},
	} {
		size := w.size()
		compact := w.token("food-approval", "POST", queryPath, []byte(body), nil)
		conn := must(net.Dial("tcp", strings.TrimPrefix(w.server.URL, "http://")))(t)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n%s\r\n%s", queryPath, compact, c.headers, c.body)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != c.status {
			t.Errorf("%s: %v %v", name, resp, err)
		}
		conn.Close()
		if got := w.size() - size; got != c.records {
			t.Errorf("%s: %d records, want %d", name, got, c.records)
		}
	}
}

// Methods, addresses, media types and queries that the contract does not know are refused with their own code; where the
// caller is known, the refusal is a record.
func TestMethodsAndMedia(t *testing.T) {
	w := newWorld(t)
	size := w.size()
	for _, c := range []struct{ method, path, code, allow string }{
		{"OPTIONS", queryPath, "method-not-allowed", "POST"},
		{"DELETE", queryPath, "method-not-allowed", "POST"},
		{"POST", "/v1/catalog/types", "method-not-allowed", "GET, HEAD"},
		{"GET", "/v1/moon", "not-found", ""},
		{"GET", "/" + strings.Repeat("x", 64<<10), "not-found", ""},
		{"GET", "//v1/catalog/types", "not-found", ""},
		{"GET", "/v1/catalog/types/", "not-found", ""},
		{"GET", "/status-lists/..%2f..", "invalid-field", ""},
	} {
		a := w.send(c.method, c.path, nil, "")
		if a.problem.Code != c.code || a.header.Get("Allow") != c.allow || len(a.body) > 2000 {
			t.Errorf("%s %.40s: %d %s, allow %q", c.method, c.path, a.status, a.problem.Code, a.header.Get("Allow"))
		}
	}
	if w.size() != size {
		t.Errorf("nobody left %d records", w.size()-size)
	}
	body := w.bodyOf(query("business-license", company, "SP-1"))
	send := func(path, header, value string) answered {
		r := w.request("POST", path, body, w.token("food-approval", "POST", path, body, nil))
		if header != "" {
			r.Header.Set(header, value)
		}
		return w.do(r, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}
	w.refused(send(queryPath, "Content-Type", "text/plain"), "unsupported-media-type")
	w.refused(send(queryPath, "Content-Type", "application/json; charset=gb18030"), "unsupported-media-type")
	w.refused(send(queryPath, "Content-Encoding", "gzip"), "content-encoding-refused")
	w.refused(send(queryPath+"?holder=x", "", ""), "query-refused")
	w.refused(send("/v1/cases/"+strings.Repeat("9", 65)+"/check", "", ""), "invalid-field")
	w.refused(send("/v1/cases/a%20b/check", "", ""), "invalid-field")
	w.refused(w.call("food-approval", "GET", "/v1/catalog/types", []byte("{}")), "body-refused")

	compact := w.token("food-approval", "HEAD", "/v1/catalog/types", nil, nil)
	size = w.size()
	if a := w.send("HEAD", "/v1/catalog/types", nil, compact); a.status != http.StatusOK || len(a.body) != 0 || w.size() != size+1 {
		t.Errorf("HEAD: %d, %d bytes, %d records", a.status, len(a.body), w.size()-size)
	}
	lower := w.token("food-approval", "GET", "/v1/catalog/types", nil, nil)
	r := w.request("GET", "/v1/catalog/types", nil, "")
	r.Header.Set("Authorization", "bearer "+lower)
	if a := w.do(r, lower); a.status != http.StatusOK || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("bearer in lower case: %d %v", a.status, a.header)
	}
}

// Bodies that are too large are refused before they are read, and prove nobody.
func TestLargeBodies(t *testing.T) {
	w := newWorld(t)
	size := w.size()
	body := []byte(`{"x":"` + strings.Repeat("a", api.MaxBody) + `"}`)
	if a := w.send("POST", queryPath, body, w.token("food-approval", "POST", queryPath, body, nil)); a.problem.Code != "too-large" {
		t.Errorf("%d %s", a.status, a.problem.Code)
	}
	long := strings.Repeat("a", token.MaxSize+1)
	if a := w.send("POST", queryPath, []byte("{}"), long); a.problem.Code != "token-too-large" {
		t.Errorf("%d %s", a.status, a.problem.Code)
	}
	if w.size() != size {
		t.Error("callers who proved nothing left records")
	}
	deep := []byte(strings.Repeat("[", 20) + strings.Repeat("]", 20))
	w.refused(w.call("food-approval", "POST", queryPath, deep), "too-deep")
	w.refused(w.call("food-approval", "POST", queryPath, []byte(`{"license_type":1.5}`)), "number-not-integer")
	w.refused(w.call("food-approval", "POST", queryPath, []byte("{\"license_type\":\"\xff\"}")), "invalid-utf8")
}

// A flood of calls that prove nobody costs no signature beyond its limit, leaves no record and few log lines; an honest
// caller from elsewhere does not notice, and one from the same place only while the flood lasts.
func TestFlood(t *testing.T) {
	var verified atomic.Int64
	var clock atomic.Int64
	start := time.Now()
	w := newWorld(t, func(c *Config) {
		c.Limits.Unproven = 10
		c.VerifySM2 = func(pub *ecdsa.PublicKey, message, rs []byte) error {
			verified.Add(1)
			return sm.Verify(pub, message, rs)
		}
		c.Now = func() time.Time { return start.Add(time.Duration(clock.Load())) }
		c.Remote = func(r *http.Request) string { return r.Header.Get("X-Test-Address") }
	})
	from := func(address, compact string) answered {
		r := w.request("GET", "/v1/catalog/types", nil, compact)
		r.Header.Set("X-Test-Address", address)
		return w.do(r, compact)
	}
	bad := w.token("food-approval", "GET", "/v1/catalog/types", nil, nil)
	bad = bad[:len(bad)-6] + "AAAAAA"
	size, limited := w.size(), 0
	for range 200 {
		if a := from("192.0.2.1", bad); a.problem.Code == "too-many-requests" && a.header.Get("Retry-After") != "" {
			limited++
		} else if a.problem.Code != "token-bad-signature" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if got := verified.Load(); got != 20 || limited != 180 || w.size() != size {
		t.Errorf("%d signatures looked at, %d limited, %d records", got, limited, w.size()-size)
	}
	if lines := strings.Count(w.lines.String(), "unproven caller refused"); lines > linesPerSecond {
		t.Errorf("%d lines", lines)
	}
	honest := func() string { return w.token("food-approval", "GET", "/v1/catalog/types", nil, nil) }
	if a := from("192.0.2.2", honest()); a.status != http.StatusOK {
		t.Errorf("from elsewhere: %d %s", a.status, a.problem.Code)
	}
	if a := from("192.0.2.1", honest()); a.problem.Code != "too-many-requests" {
		t.Errorf("from the same place: %d %s", a.status, a.problem.Code)
	}
	clock.Add(int64(time.Second))
	if a := from("192.0.2.1", honest()); a.status != http.StatusOK {
		t.Errorf("from the same place, later: %d %s", a.status, a.problem.Code)
	}
	if !strings.Contains(w.exposition(), `oncegate_unauthenticated_total{code="too-many-requests"} 181`) {
		t.Error("the flood is not counted")
	}
	// Replays prove nobody either.
	replayed := honest()
	from("192.0.2.3", replayed)
	before := verified.Load()
	for range 100 {
		from("192.0.2.3", replayed)
	}
	if got := verified.Load() - before; got > 20 {
		t.Errorf("replays: %d signatures looked at", got)
	}
}

// Addresses are few, whatever a flood makes up, and those of one IPv6 customer are one.
func TestSuspectsAreBounded(t *testing.T) {
	s, now := newSuspects(1), time.Now()
	for i := range 3 * maxSuspects {
		s.failed(fmt.Sprint(i), now)
	}
	if len(s.byAddress) > maxSuspects {
		t.Errorf("%d addresses", len(s.byAddress))
	}
	if s.allow("another", now) {
		t.Error("the rest share no limit")
	}
	later := now.Add(time.Hour)
	if s.failed("new", later); len(s.byAddress) != 1 || !s.allow("another", later) {
		t.Errorf("quiet ones are not forgotten: %d", len(s.byAddress))
	}
	for address, want := range map[string]string{
		"192.0.2.1:99": "192.0.2.1", "[2001:db8:1:2:3::4]:99": "2001:db8:1:2::/64", "[::ffff:192.0.2.1]:99": "192.0.2.1", "[fe80::1%eth0]:1": "fe80::/64", "pipe": "",
	} {
		if got := remote(&http.Request{RemoteAddr: address}); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

// Claims are forgotten when their token can no longer be accepted, and not before.
func TestClaimsRunOut(t *testing.T) {
	c, now := newClaims(), time.Unix(1_800_000_000, 0)
	for i := range 1000 {
		if !c.take(claim{"s", fmt.Sprint(i)}, now.Add(time.Duration(i)*time.Second), now) {
			t.Fatal("claimed before")
		}
	}
	for _, seconds := range []int{0, 1, 99, 500, 2000} {
		at := now.Add(time.Duration(seconds) * time.Second)
		c.take(claim{"s", fmt.Sprint("at", seconds)}, at, at)
		for i := range 1000 {
			if held := c.held[claim{"s", fmt.Sprint(i)}]; i >= seconds && !held || i < seconds-2*span && held {
				t.Errorf("after %d s the claim of %d s: held %v", seconds, i, held)
			}
		}
	}
	if len(c.held) > 2 || len(c.expires) > 2 {
		t.Errorf("%d claims, %d spans are left", len(c.held), len(c.expires))
	}
}

// What is under way at once is bounded; the answer is the fixed one, counted like that of a system's own limit.
func TestInFlight(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.InFlight = 1 })
	w.accept("SP-1")
	arrived, release := make(chan struct{}), make(chan struct{})
	w.legacy["business-license"].before = func(context.Context) { close(arrived); <-release }
	first := make(chan answered, 1)
	go func() {
		first <- w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))
	}()
	<-arrived
	if a := w.call("land-approval", "GET", "/v1/catalog/types", nil); a.problem.Code != "too-many-requests" || a.problem.Receipt != nil {
		t.Errorf("%d %s", a.status, a.body)
	}
	close(release)
	if a := <-first; a.status != http.StatusOK {
		t.Errorf("first: %d %s", a.status, a.body)
	}
	size := w.size()
	w.gateway.recordLimits(t.Context())
	if w.size() != size+1 {
		t.Error("no summary")
	}
	e := must(w.auditor.Evidence(t.Context(), size))(t)
	if e.Record.Operation != "limits.refused" || e.Record.System != "land-approval" || string(e.Inputs) != `{"calls":1}` {
		t.Errorf("summary: %+v %s", e.Record, e.Inputs)
	}
	// What could not be recorded is counted again.
	w.gateway.limits.count("land-approval", 3)
	if err := w.log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.gateway.recordLimits(t.Context())
	if got := w.gateway.limits.take()["land-approval"]; got != 3 {
		t.Errorf("%d calls are still counted", got)
	}
}
