package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"oncegate/api"
	"oncegate/gateway/sources"
	"oncegate/license"
)

// Many callers, reloads, a flapping source and changing licenses at once: every answer is proven, one call is one record,
// and nothing is answered that is not true of some moment.
func TestEverythingAtOnce(t *testing.T) {
	w := newWorld(t)
	w.acceptFlat("BDC-1")
	w.acceptChain("TZ-1")
	for i := range 4 {
		w.accept(fmt.Sprint("SP-", i))
	}
	var stop atomic.Bool
	var busy sync.WaitGroup
	busy.Go(func() { // reloads, each another snapshot with the same rules
		for !stop.Load() {
			again := *w.base
			w.gateway.Use(&again)
		}
	})
	busy.Go(func() { // a license changes
		for i := 0; !stop.Load(); i++ {
			l := businessLicense()
			l.Fields["address"] = fmt.Sprintf("云川市和平路%d号", i)
			w.legacy["business-license"].put(license.Question{Type: l.Type, Holder: company}, l)
		}
	})
	busy.Go(func() { // a source flaps
		for i := 0; !stop.Load(); i++ {
			w.legacy["marriage-certificate"].set(func(l *legacy) { l.err = map[bool]error{true: errors.New("flap")}[i%2 == 0] })
		}
	})
	busy.Go(func() { // limits are summed up
		for !stop.Load() {
			w.gateway.limited.add("food-approval", 1)
			w.gateway.limited.take()
		}
	})
	size := w.size()
	var calls, all sync.WaitGroup
	var answeredOnes atomic.Int64
	for i := range 12 {
		calls.Go(func() {
			for n := range 6 {
				var a answered
				switch (i + n) % 4 {
				case 0:
					a = w.call("food-approval", "POST", queryPath, query("business-license", company, fmt.Sprint("SP-", i%4)))
				case 1:
					a = w.call("land-approval", "POST", "/v1/cases/BDC-1/check", map[string]any{})
				case 2:
					a = w.call("invest-platform", "POST", "/v1/cases/TZ-1/check", map[string]any{})
				default:
					a = w.call("food-approval", "POST", queryPath, query("resident-id", stranger, "SP-0"))
				}
				if a.record.Operation == "" {
					t.Errorf("no record: %d %s", a.status, a.body)
				}
				if a.status != http.StatusOK && a.problem.Code != "case-not-usable" && a.problem.Code != "changed-meanwhile" {
					t.Errorf("%d %s", a.status, a.problem.Code)
				}
				answeredOnes.Add(1)
			}
		})
	}
	calls.Wait()
	stop.Store(true)
	busy.Wait()
	all.Wait()
	if got := int64(w.size() - size); got != answeredOnes.Load() {
		t.Errorf("%d records of %d calls", got, answeredOnes.Load())
	}
	w.gateway.Use(w.base)
	got := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-0")))
	if got.Licenses[0].Fields["address"] != w.legacy["business-license"].get(license.Question{Type: "business-license", Holder: company})[0].Fields["address"] {
		t.Error("the newest version is not the newest license")
	}
}

// Run ends with its context, and leaves a last summary.
func TestRun(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.gateway.Run(ctx) }()
	w.gateway.limited.add("food-approval", 5)
	size := w.size()
	stop()
	<-done
	if w.size() != size+1 {
		t.Errorf("%d summaries", w.size()-size)
	}
}

// A gateway that lacks something says so before it takes a call.
func TestNewRefuses(t *testing.T) {
	w := newWorld(t)
	whole := w.gateway.Config
	for name, change := range map[string]func(*Config){
		"audience": func(c *Config) { c.Audience = "" }, "cases": func(c *Config) { c.Cases = nil }, "status lists": func(c *Config) { c.StatusList = nil },
	} {
		c := whole
		if change(&c); c.check(w.base) == nil {
			t.Errorf("%s is not missed", name)
		}
	}
	for name, s := range map[string]*Snapshot{"no snapshot": nil, "an empty one": {}} {
		if _, err := New(whole, s); err == nil {
			t.Errorf("%s is not missed", name)
		}
	}
}

// A reload keeps the guard of a source that did not change, with its breaker and its calls under way, and takes another for
// one that did; a source that cannot be compared is another one.
func TestReloadKeepsSources(t *testing.T) {
	w := newWorld(t)
	guard := func() *sources.Resilient { return w.gateway.running.Load().sources["samr-system"] }
	was := guard()
	w.reload(func(*Snapshot) {})
	if guard() != was {
		t.Error("an unchanged source lost its guard")
	}
	change := func(f func(*sources.Config)) {
		w.reload(func(s *Snapshot) {
			sources := append([]sources.Config(nil), s.Sources...)
			for i := range sources {
				if sources[i].ID == "samr-system" {
					f(&sources[i])
				}
			}
			s.Sources = sources
		})
	}
	change(func(c *sources.Config) { c.Concurrent = 7 })
	if guard() == was || guard().Concurrent != 7 {
		t.Error("a changed bound is not taken over")
	}
	for range 2 {
		change(func(c *sources.Config) { c.Source = findFunc(nil) })
	}
}
