package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/token"
	"oncegate/license"
)

// A call is decided by the snapshot that is in force when it is recorded; one that changes each time is given up, recorded,
// and says who was asked about.
func TestSnapshotKeepsChanging(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	row := &operation{Operation: w.gateway.contract.Operation("catalog.types"), run: func(_ context.Context, c *call) (*result, error) {
		w.gateway.Use(w.base) // somebody reloads while it is decided
		return &result{answer: map[string]string{"secret": "left"}, uses: []audit.DraftUse{aboutPerson(stranger, outcomeRelease)}}, nil
	}}
	c := w.opened(row)
	rep, err := w.gateway.answer(t.Context(), c)
	if err != nil || rep.code != "changed-meanwhile" || strings.Contains(string(rep.body), "left") {
		t.Fatalf("%v %+v", err, rep)
	}
	if len(rep.uses) != 1 || rep.uses[0].Decision != "denied" {
		t.Errorf("uses %+v", rep.uses)
	}
}

// opened is a call of the food window as open makes it.
func (w *world) opened(row *operation) *call {
	w.t.Helper()
	compact := w.token("food-approval", "GET", "/v1/catalog/types", nil, nil)
	r := w.request("GET", "/v1/catalog/types", nil, compact)
	r.RequestURI, r.RemoteAddr = "/v1/catalog/types", "192.0.2.1:1"
	c, err := w.gateway.open(row)(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return c.(*call)
}

// A race that is lost every time ends in a recorded refusal after bounded tries, whatever was first.
func TestLostRaces(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	tried := 0
	row := &operation{Operation: w.gateway.contract.Operation("catalog.types"), run: func(_ context.Context, c *call) (*result, error) {
		tried++
		return &result{answer: map[string]string{"secret": "left"}, changes: []any{cases.StillOpen{No: "SP-1", Revision: 7}}}, nil
	}}
	size := w.size()
	rep, err := w.gateway.answer(t.Context(), w.opened(row))
	if err != nil || rep.code != "changed-meanwhile" || tried != tries || w.size() != size+1 {
		t.Errorf("%v %+v, tried %d times, %d records", err, rep, tried, w.size()-size)
	}
}

// A system, or its key, that is configured no more when the call is recorded is refused: recorded, with nothing released.
func TestCallerGoneMeanwhile(t *testing.T) {
	for name, change := range map[string]func(w *world, s System) (System, bool){
		"the system": func(_ *world, s System) (System, bool) { return s, false },
		"its key":    func(_ *world, s System) (System, bool) { s.Keys = nil; return s, true },
		"another key": func(w *world, s System) (System, bool) {
			s.Keys = map[string]Key{"food-approval-1": {Public: w.certs.Signer("x").Public()}}
			return s, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.accept("SP-1")
			w.legacy["business-license"].set(func(l *legacy) {
				l.before = func(context.Context) {
					w.reload(func(s *Snapshot) {
						systems := map[string]System{}
						for id, system := range s.Systems {
							if system, stays := change(w, system); id != "food-approval" || stays {
								systems[id] = system
							}
						}
						s.Systems = systems
					})
				}
			})
			a := w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))
			w.refused(a, "not-permitted")
			if a.record.System != "food-approval" || strings.Contains(string(a.body), names[boss]) {
				t.Errorf("record of %q: %s", a.record.System, a.body)
			}
			e := must(w.auditor.Evidence(t.Context(), a.index))(t)
			if !strings.Contains(string(e.Reasons), "caller-gone") {
				t.Errorf("evidence: %s", e.Reasons)
			}
		})
	}
}

// What one department's source answered never leaves under another department's grant, when the type moves meanwhile.
func TestSourceMovesMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	other := &legacy{records: map[license.Question][]license.License{}}
	var moved atomic.Bool
	w.legacy["business-license"].set(func(l *legacy) {
		l.before = func(context.Context) {
			if moved.CompareAndSwap(false, true) {
				w.reload(func(s *Snapshot) {
					s.Sources = append(s.Sources[:len(s.Sources):len(s.Sources)], SourceConfig{ID: "samr-new", Department: "samr", Source: other})
					s.Serves = map[string]string{"business-license": "samr-new"}
				})
			}
		}
	})
	got := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1")))
	if got.Found != api.FoundNotFound || got.Source != "samr-new" || other.asked() != 1 {
		t.Errorf("got %s from %s, the new source was asked %d times", got.Found, got.Source, other.asked())
	}
}

// A license that is signed anew after its source had answered is asked for again: the older answer is neither released nor
// called faulty.
func TestLicenseChangesMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	asked, was := w.legacy["business-license"], businessLicense()
	q := license.Question{Type: "business-license", Holder: company}
	read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, query(q.Type, company, "SP-1")))
	var first atomic.Bool
	slow := findFunc(func(ctx context.Context, questions []license.Question) ([]license.Finding, error) {
		if !first.CompareAndSwap(false, true) {
			return asked.Find(ctx, questions)
		}
		answer := []license.Finding{{State: license.IsFound, Records: []license.License{was}, AsOf: time.Now()}}
		is := businessLicense()
		is.Fields["address"] = "云川市和平路9号"
		asked.put(q, is)
		read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, query(q.Type, company, "SP-1")))
		return answer, nil
	})
	w.reload(func(s *Snapshot) {
		s.Sources = append([]SourceConfig(nil), s.Sources...)
		for i := range s.Sources {
			if s.Sources[i].ID == "samr-system" {
				s.Sources[i].Source = slow
			}
		}
	})
	got := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, query(q.Type, company, "SP-1"))).Licenses[0]
	if got.Fields["address"] != "云川市和平路9号" || got.Version != 2 {
		t.Errorf("version %d: %v", got.Version, got.Fields)
	}
}

// A panic, an answer that cannot be written and a record that is too large are answered and recorded like anything else;
// nothing of what failed leaves.
func TestFaultsOfOursAreRecorded(t *testing.T) {
	w := newWorld(t)
	long := make([]audit.DraftUse, 400)
	for i := range long {
		long[i] = aboutPerson(stranger, outcomeRelease)
		long[i].Rules = []string{strings.Repeat("r", 96)}
	}
	for name, c := range map[string]struct {
		run  step
		code string
	}{
		"panic":         {func(context.Context, *call) (*result, error) { panic(stranger.Code + names[stranger]) }, "internal"},
		"runtime panic": {func(_ context.Context, c *call) (*result, error) { return &result{answer: c.body[len(c.body)]}, nil }, "internal"},
		"error":         {func(context.Context, *call) (*result, error) { return nil, errors.New("disk on fire") }, "internal"},
		"bad text":      {func(context.Context, *call) (*result, error) { return &result{answer: "\xff"}, nil }, "internal"},
		"no integer":    {func(context.Context, *call) (*result, error) { return &result{answer: 1.5}, nil }, "internal"},
		"too large":     {func(context.Context, *call) (*result, error) { return &result{answer: "left", uses: long}, nil }, "too-many-materials"},
		"large refusal": {func(context.Context, *call) (*result, error) { return nil, refuse("case-closed").with(long...) }, "too-many-materials"},
		"half character": {func(context.Context, *call) (*result, error) {
			return nil, refuse("not-permitted").saying(clip(strings.Repeat("许可", 400), 1000))
		}, "not-permitted"},
		"deadline": {func(context.Context, *call) (*result, error) {
			return nil, fmt.Errorf("read: %w", context.DeadlineExceeded)
		}, "deadline-exceeded"},
	} {
		row := &operation{Operation: w.gateway.contract.Operation("catalog.types"), run: c.run}
		size := w.size()
		rep, err := w.gateway.answer(t.Context(), w.opened(row))
		if err != nil || rep.code != c.code || w.size() != size+1 {
			t.Errorf("%s: %v %+v, %d records", name, err, rep, w.size()-size)
			continue
		}
		answer, receipt, err := audit.SplitAnswer(rep.body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := audit.VerifyReceipt(audit.Proof{Receipt: receipt, Answer: answer}, w.trust); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(string(rep.body), "fire") || strings.Contains(string(rep.body), "left") {
			t.Errorf("%s: %s", name, rep.body)
		}
	}
	if !strings.Contains(w.lines.String(), "operation panicked") {
		t.Error("nobody is told of the panic")
	}
}

// A caller who hangs up during a slow source is recorded all the same: who was asked about stands in the record.
func TestHangUpIsRecorded(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan struct{})
	w.legacy["business-license"].set(func(l *legacy) {
		l.before = func(ctx context.Context) {
			hangUp()
			<-ctx.Done() // the gateway tells the source
			close(gone)
		}
	})
	body := w.bodyOf(query("business-license", company, "SP-1"))
	jti := must(token.NewID(w.now(), nil))(t)
	compact := w.token("food-approval", "POST", queryPath, body, func(c *token.Claims) { c.ID = jti })
	if resp, err := http.DefaultClient.Do(w.request("POST", queryPath, body, compact).WithContext(ctx)); err == nil {
		resp.Body.Close()
		t.Fatal("the caller did not hang up")
	}
	<-gone
	w.server.Close() // waits for the call
	index := must(w.db.Audit().ByJTI(t.Context(), "food-approval", jti))(t)
	e := must(w.auditor.Evidence(t.Context(), index))(t)
	if u := e.Record.Uses; len(u) != 1 || u[0].Decision != "unavailable" || e.Holders[0] != company {
		t.Errorf("uses %+v", u)
	}
}

// The time of a call bounds its sources; the answer says what is unavailable, or that time ran out, and is recorded.
func TestDeadline(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.Call = 50e6 })
	w.accept("SP-1")
	w.legacy["business-license"].set(func(l *legacy) { l.before = func(ctx context.Context) { <-ctx.Done() } })
	a := w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))
	if a.record.Operation == "" || a.problem.Code != "source-unavailable" && a.problem.Code != "deadline-exceeded" || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s %v", a.status, a.body, a.header)
	}
}

// A claim is given back where nothing was recorded, so that the very same call may come again, and kept where something was.
func TestClaimIsGivenBack(t *testing.T) {
	w := newWorld(t)
	w.reload(func(s *Snapshot) {
		systems := map[string]System{}
		for id, system := range s.Systems {
			system.Rate, system.Burst = 1e-9, 1
			systems[id] = system
		}
		s.Systems = systems
	})
	send := func(compact string) answered { return w.send("GET", "/v1/catalog/types", nil, compact) }
	w.call("food-approval", "GET", "/v1/catalog/types", nil)
	limited := w.token("food-approval", "GET", "/v1/catalog/types", nil, nil)
	if a := send(limited); a.problem.Code != "too-many-requests" || a.problem.Receipt != nil || a.header.Get("Retry-After") == "" {
		t.Fatalf("limited: %d %s", a.status, a.body)
	}
	w.reload(func(s *Snapshot) { s.Systems = w.base.Systems })
	if a := send(limited); a.status != http.StatusOK {
		t.Errorf("the same call again: %d %s", a.status, a.body)
	}
	if a := send(limited); a.problem.Code != "token-replayed" {
		t.Errorf("and once more: %d %s", a.status, a.body)
	}
	unrecorded := w.token("food-approval", "GET", "/v1/catalog/types", nil, nil)
	if err := w.log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if a := send(unrecorded); a.problem.Code != "record-unavailable" || a.header.Get("Retry-After") == "" {
			t.Errorf("nothing was recorded: %d %s", a.status, a.body)
		}
	}
	var p api.Problem
	if err := json.Unmarshal(send(unrecorded).body, &p); err != nil || !strings.Contains(p.Advice.En, "upload") {
		t.Errorf("the fixed problem names no way on: %q", p.Advice.En)
	}
}
