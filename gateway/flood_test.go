package gateway

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/certs/sm"
)

// A flood of calls that prove nobody costs no signature beyond its limit, leaves no record and few log lines; an honest
// caller from elsewhere does not notice, and one from the same place only while the flood lasts.
func TestFlood(t *testing.T) {
	var verified atomic.Int64
	var clock, forged atomic.Int64
	start := time.Now()
	w := newWorld(t, func(c *Config) {
		c.Limits.Unproven = 10
		c.VerifySM2 = func(pub *ecdsa.PublicKey, message, rs []byte) error {
			verified.Add(1)
			return sm.Verify(pub, message, rs)
		}
		c.Now = func() time.Time { return start.Add(time.Duration(clock.Load())) }
		c.ClientHeader = "X-Forwarded-For"
	})
	from := func(address, compact string) answered {
		r := w.request("GET", "/v1/catalog/types", nil, compact)
		r.Header.Set("X-Forwarded-For", "198.51.100."+strconv.Itoa(int(forged.Add(1))%250)+", "+address) // what a caller adds counts for nothing
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
		if got := new(Gateway).client(&http.Request{RemoteAddr: address}); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
		behind := &Gateway{Config: Config{ClientHeader: "X-Real-Ip"}}
		said := http.Header{"X-Real-Ip": {"203.0.113.9", "203.0.113.8 , " + address}}
		if got := behind.client(&http.Request{RemoteAddr: "127.0.0.1:1", Header: said}); got != want {
			t.Errorf("behind a proxy, %s: %q, want %q", address, got, want)
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
			if _, held := c.held[claim{"s", fmt.Sprint(i)}]; i >= seconds && !held || i < seconds-2*span && held {
				t.Errorf("after %d s the claim of %d s: held %v", seconds, i, held)
			}
		}
	}
	if len(c.held) > 2 || len(c.expires) > 2 {
		t.Errorf("%d claims, %d spans are left", len(c.held), len(c.expires))
	}
}

// A claim that was given back leaves nothing behind, as after a flood of calls over a limit, and may be taken again for its own time.
func TestClaimsGivenBack(t *testing.T) {
	c, now := newClaims(), time.Unix(1_800_000_000, 0)
	for i := range 1000 {
		k := claim{"s", fmt.Sprint(i)}
		c.take(k, now.Add(5*time.Minute), now)
		c.release(k)
		c.release(k)
	}
	if left := len(c.expires); len(c.held) != 0 || left != 0 {
		t.Errorf("%d claims, %d spans are left", len(c.held), left)
	}
	k := claim{"s", "again"}
	c.take(k, now.Add(time.Second), now)
	c.release(k)
	c.take(k, now.Add(5*time.Minute), now)
	if later := now.Add(time.Minute); c.take(k, later.Add(time.Minute), later) {
		t.Error("a claim taken again was forgotten with its first time")
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
