package intake

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Addresses are few, whatever a flood makes up, and those of one IPv6 customer are one.
func TestFailuresAreBounded(t *testing.T) {
	s, now := newFailures(1), time.Now()
	for i := range 3 * maxFailureKeys {
		s.failed(failureKey{network: fmt.Sprint(i)}, now)
	}
	if len(s.failing) > maxFailureKeys {
		t.Errorf("%d keys", len(s.failing))
	}
	if s.allow(failureKey{network: "another"}, now) {
		t.Error("the rest share no limit")
	}
	later := now.Add(time.Hour)
	if s.failed(failureKey{network: "new"}, later); len(s.failing) != 1 || !s.allow(failureKey{network: "another"}, later) {
		t.Errorf("quiet ones are not forgotten: %d", len(s.failing))
	}
	for address, want := range map[string]string{
		"192.0.2.1:99": "192.0.2.1", "[2001:db8:1:2:3::4]:99": "2001:db8:1:2::/64", "[::ffff:192.0.2.1]:99": "192.0.2.1", "[fe80::1%eth0]:1": "fe80::/64", "pipe": "",
	} {
		if got := new(Intake).ClientNetwork(&http.Request{RemoteAddr: address}); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
		behind := &Intake{Config: Config{ClientHeader: "X-Real-Ip"}}
		said := http.Header{"X-Real-Ip": {"203.0.113.9", "203.0.113.8 , " + address}}
		if got := behind.ClientNetwork(&http.Request{RemoteAddr: "127.0.0.1:1", Header: said}); got != want {
			t.Errorf("behind a proxy, %s: %q, want %q", address, got, want)
		}
	}
}

// Claims are forgotten when their token can no longer be accepted, and not before.
func TestClaimsRunOut(t *testing.T) {
	c, now := newReplays(), time.Unix(1_800_000_000, 0)
	for i := range 1000 {
		if !c.take(callID{"s", fmt.Sprint(i)}, now.Add(time.Duration(i)*time.Second), now) {
			t.Fatal("claimed before")
		}
	}
	for _, seconds := range []int{0, 1, 99, 500, 2000} {
		at := now.Add(time.Duration(seconds) * time.Second)
		c.take(callID{"s", fmt.Sprint("at", seconds)}, at, at)
		for i := range 1000 {
			if _, held := c.ids[callID{"s", fmt.Sprint(i)}]; i >= seconds && !held || i < seconds-2*span && held {
				t.Errorf("after %d s the claim of %d s: held %v", seconds, i, held)
			}
		}
	}
	if len(c.ids) > 2 || len(c.expires) > 2 {
		t.Errorf("%d claims, %d spans are left", len(c.ids), len(c.expires))
	}
}

// A claim that was given back leaves nothing behind, as after a flood of calls over a limit, and may be taken again for its own time.
func TestClaimsGivenBack(t *testing.T) {
	c, now := newReplays(), time.Unix(1_800_000_000, 0)
	for i := range 1000 {
		k := callID{"s", fmt.Sprint(i)}
		c.take(k, now.Add(5*time.Minute), now)
		c.release(k)
		c.release(k)
	}
	if left := len(c.expires); len(c.ids) != 0 || left != 0 {
		t.Errorf("%d claims, %d spans are left", len(c.ids), left)
	}
	k := callID{"s", "again"}
	c.take(k, now.Add(time.Second), now)
	c.release(k)
	c.take(k, now.Add(5*time.Minute), now)
	if later := now.Add(time.Minute); c.take(k, later.Add(time.Minute), later) {
		t.Error("a claim taken again was forgotten with its first time")
	}
}

// A body must come at its rate, and a call that lasts longer than its body might is not cut off.
func TestBodyDeadlines(t *testing.T) {
	in := New(Config{InFlight: 8, Memory: 1 << 20, Failures: 1, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	var set []time.Time
	a := &arrival{in: in, system: "food-approval", length: 8 << 20, answer: deadlines{httptest.NewRecorder(), &set}, ReadCloser: io.NopCloser(strings.NewReader("text"))}
	got, err := io.ReadAll(a)
	if err != nil || string(got) != "text" || len(set) < 2 || time.Until(set[0]) > 27*time.Second || !set[len(set)-1].IsZero() {
		t.Errorf("%q, %v, deadlines %v", got, err, set)
	}
	if used := in.Usage().Memory; used != bodyStep {
		t.Errorf("%d bytes are held", used)
	}
}

// deadlines is an answer that notes until when its request may be read.
type deadlines struct {
	http.ResponseWriter
	set *[]time.Time
}

func (d deadlines) SetReadDeadline(t time.Time) error { *d.set = append(*d.set, t); return nil }

// A call from this process takes from the same limits as one that was sent, and gives back what it took.
func TestAdmit(t *testing.T) {
	in := New(Config{InFlight: 2, Memory: 100, Failures: 1, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	in.Use(map[string]Allowance{"a": {Rate: 1, Burst: 3, Share: 1}})
	var limited *Limited
	if _, err := in.Admit("a", 1000); !errors.As(err, &limited) || limited.Limit != byMemory || in.Usage() != (Usage{}) {
		t.Errorf("too large: %v, %+v", err, in.Usage())
	}
	leave, err := in.Admit("a", 10)
	if err != nil || in.Usage().Calls != 1 || in.Usage().Memory != 10*bodyCost {
		t.Errorf("%v, %+v", err, in.Usage())
	}
	leave()
	if _, err := in.Admit("a", 1); err != nil {
		t.Error(err)
	}
	if _, err := in.Admit("a", 1); !errors.As(err, &limited) || limited.Limit != byRate {
		t.Errorf("too fast: %v", err)
	}
}

// Lookups for public pages: few at once, one network after another, and no more waiting of one network than a queue holds.
func TestPageTurns(t *testing.T) {
	in := New(Config{InFlight: 8, Memory: 1 << 20, Failures: 1, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	var held []func()
	for range Processors() {
		leave, ok := in.Page(t.Context(), "a")
		if !ok {
			break // the last unit is for another network
		}
		held = append(held, leave)
	}
	if leave, ok := in.Page(t.Context(), "b"); ok {
		held = append(held, leave)
	}
	if len(held) == 0 {
		t.Fatal("nobody has a turn")
	}
	var waiting sync.WaitGroup
	var turns, none atomic.Int64
	for range 2 * pageQueue {
		waiting.Go(func() {
			leave, ok := in.Page(t.Context(), "a")
			if !ok {
				none.Add(1)
				return
			}
			turns.Add(1)
			leave()
		})
	}
	for in.pages.Waiting() < pageQueue || none.Load() < pageQueue {
		time.Sleep(time.Millisecond)
	}
	other := make(chan bool)
	go func() {
		leave, ok := in.Page(t.Context(), "c")
		if ok {
			leave()
		}
		other <- ok
	}()
	for in.pages.Waiting() < pageQueue+1 {
		time.Sleep(time.Millisecond)
	}
	for _, leave := range held {
		leave()
	}
	if !<-other {
		t.Error("another network has no turn behind a flood")
	}
	waiting.Wait()
	if turns.Load() != pageQueue || none.Load() != pageQueue || in.pages.Used() != 0 {
		t.Errorf("%d had a turn, %d had none, %d units are not given back", turns.Load(), none.Load(), in.pages.Used())
	}
}
