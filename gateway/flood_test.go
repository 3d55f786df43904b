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

// A flood of calls that prove nobody leaves no record and few log lines, and keeps few signature checks busy. Nobody is locked out by
// it: honest callers from elsewhere, or with another key, do not notice, and those of the same key from the same address get their turn.
func TestFlood(t *testing.T) {
	var verified, forging, most, clock, added atomic.Int64
	gate := make(chan struct{})
	var closed atomic.Bool
	start := time.Now()
	w := newWorld(t, func(c *Config) {
		c.Limits.Unproven = 10
		c.VerifySM2 = func(pub *ecdsa.PublicKey, message, rs []byte) error {
			verified.Add(1)
			err := sm.Verify(pub, message, rs)
			if err != nil && closed.Load() {
				most.Store(max(most.Load(), forging.Add(1)))
				<-gate
				forging.Add(-1)
			}
			return err
		}
		c.Now = func() time.Time { return start.Add(time.Duration(clock.Load())) }
		c.ClientHeader = "X-Forwarded-For"
	})
	from := func(address, compact string) answered {
		r := w.request("GET", "/v1/catalog/types", nil, compact)
		r.Header.Set("X-Forwarded-For", "198.51.100."+strconv.Itoa(int(added.Add(1))%250)+", "+address) // what a caller adds counts for nothing
		return w.do(r, compact)
	}
	honest := func(system string) string { return w.token(system, "GET", "/v1/catalog/types", nil, nil) }
	bad := honest("food-approval")
	bad = bad[:len(bad)-6] + "AAAAAA"
	size := w.size()
	for range 50 {
		if a := from("192.0.2.1", bad); a.problem.Code != "token-bad-signature" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if a := from("192.0.2.1", honest("food-approval")); a.status != http.StatusOK {
		t.Errorf("from the same place, the same key, between two of the flood: %d %s", a.status, a.problem.Code)
	}
	const flood = 150
	closed.Store(true)
	codes := make(chan string, flood)
	for range flood {
		go func() { codes <- from("192.0.2.1", bad).problem.Code }()
	}
	refused := flood - processors() - waitingEach
	settle(t, "a flood", func() bool { return int(forging.Load()) == processors() && len(codes) == refused })
	for name, c := range map[string]struct{ address, system string }{
		"from elsewhere":                   {"192.0.2.2", "food-approval"},
		"from the same place, another key": {"192.0.2.1", "land-approval"},
	} {
		if a := from(c.address, honest(c.system)); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, a.status, a.problem.Code)
		}
	}
	for range 10 { // makes room at the end of the line
		gate <- struct{}{}
	}
	settle(t, "some of the flood", func() bool { return len(codes) == refused+10 && int(forging.Load()) == processors() })
	waiting := make(chan answered, 1)
	go func() { waiting <- from("192.0.2.1", honest("food-approval")) }()
	close(gate)
	if a := <-waiting; a.status != http.StatusOK {
		t.Errorf("from the same place, the same key, in the flood: %d %s", a.status, a.problem.Code)
	}
	counted := map[string]int{}
	for range flood {
		counted[<-codes]++
	}
	if counted["too-many-requests"] != refused || counted["token-bad-signature"] != flood-refused || int(most.Load()) != processors() || w.size() != size+4 {
		t.Errorf("%v, %d forged ones at once, %d records", counted, most.Load(), w.size()-size)
	}
	if lines := strings.Count(w.lines.String(), "unproven caller refused"); lines > linesPerSecond {
		t.Errorf("%d lines", lines)
	}
	if !strings.Contains(w.exposition(), fmt.Sprintf(`oncegate_unauthenticated_total{code="too-many-requests"} %d`, refused)) {
		t.Error("the flood is not counted")
	}
	// Replays prove nobody either, and cost no signature.
	clock.Add(int64(time.Second))
	replayed := honest("food-approval")
	from("192.0.2.3", replayed)
	before := verified.Load()
	for range 100 {
		if a := from("192.0.2.3", replayed); a.problem.Code != "token-replayed" {
			t.Fatalf("replay: %d %s", a.status, a.problem.Code)
		}
	}
	if got := verified.Load() - before; got > 0 {
		t.Errorf("replays: %d signatures looked at", got)
	}
}

// Addresses are few, whatever a flood makes up, and those of one IPv6 customer are one.
func TestSuspectsAreBounded(t *testing.T) {
	s, now := newSuspects(1), time.Now()
	for i := range 3 * maxSuspects {
		s.failed(suspect{network: fmt.Sprint(i)}, now)
	}
	if len(s.failing) > maxSuspects {
		t.Errorf("%d suspects", len(s.failing))
	}
	if s.allow(suspect{network: "another"}, now) {
		t.Error("the rest share no limit")
	}
	later := now.Add(time.Hour)
	if s.failed(suspect{network: "new"}, later); len(s.failing) != 1 || !s.allow(suspect{network: "another"}, later) {
		t.Errorf("quiet ones are not forgotten: %d", len(s.failing))
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
	w.gateway.summarize(t.Context())
	if w.size() != size+1 {
		t.Error("no summary")
	}
	e := must(w.auditor.Evidence(t.Context(), size))(t)
	if e.Record.Operation != "limits.refused" || e.Record.System != "land-approval" || string(e.Inputs) != `{"calls":1}` {
		t.Errorf("summary: %+v %s", e.Record, e.Inputs)
	}
	// What could not be recorded is counted again.
	w.gateway.refused.add("land-approval", 3)
	if err := w.log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.gateway.summarize(t.Context())
	if got := w.gateway.refused.take()["land-approval"]; got != 3 {
		t.Errorf("%d calls are still counted", got)
	}
}
