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
	"oncegate/gateway/intake"
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
	refused := flood - intake.Processors() - 64
	settle(t, "a flood", func() bool { return int(forging.Load()) == intake.Processors() && len(codes) == refused })
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
	settle(t, "some of the flood", func() bool { return len(codes) == refused+10 && int(forging.Load()) == intake.Processors() })
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
	if counted["too-many-requests"] != refused || counted["token-bad-signature"] != flood-refused || int(most.Load()) != intake.Processors() || w.size() != size+4 {
		t.Errorf("%v, %d forged ones at once, %d records", counted, most.Load(), w.size()-size)
	}
	if lines := strings.Count(w.lines.String(), "unauthenticated caller refused"); lines > intake.LinesPerSecond {
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
	w.gateway.limited.add("land-approval", 3)
	if err := w.log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.gateway.summarize(t.Context())
	if got := w.gateway.limited.take()["land-approval"]; got != 3 {
		t.Errorf("%d calls are still counted", got)
	}
}
