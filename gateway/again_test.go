package gateway

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/gateway/sources"
	"oncegate/license"
)

// A call is decided by the snapshot that is in force when it is recorded; one that changes each time is given up, recorded,
// and says who was asked about.
func TestSnapshotKeepsChanging(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	row := &operation{Operation: w.gateway.contract.Operation("catalog.types"), run: func(_ context.Context, c *call) (*result, error) {
		w.gateway.Use(w.base) // somebody reloads while it is decided
		return &result{answer: map[string]string{"secret": "left"}, uses: []audit.Use{personUse(stranger, outcomeRelease)}}, nil
	}}
	c := w.opened(row)
	rep, err := w.gateway.answer(t.Context(), c)
	if err != nil || rep.Code != "changed-meanwhile" || strings.Contains(string(rep.Body), "left") {
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
	r.Body = http.NoBody
	r, leave := w.gateway.intake.Arrive(discard{}, r, row.Most)
	w.t.Cleanup(leave)
	c, err := w.gateway.open(row)(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return c.(*call)
}

// A race that is lost every time ends in a recorded refusal after bounded maxTries, whatever was first.
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
	if err != nil || rep.Code != "changed-meanwhile" || tried != maxTries || w.size() != size+1 {
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
					s.Sources = append(s.Sources[:len(s.Sources):len(s.Sources)], sources.Config{ID: "samr-new", Department: "samr", Source: other})
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
	slow := findFunc(func(ctx context.Context, r license.Request) ([]license.Finding, error) {
		if !first.CompareAndSwap(false, true) {
			return asked.Find(ctx, r)
		}
		answer := []license.Finding{{State: license.IsFound, Records: []license.License{was}, AsOf: time.Now().Add(-10 * time.Millisecond)}}
		is := businessLicense()
		is.Fields["address"] = "云川市和平路9号"
		asked.put(q, is)
		read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, query(q.Type, company, "SP-1")))
		return answer, nil
	})
	w.reload(func(s *Snapshot) {
		s.Sources = append([]sources.Config(nil), s.Sources...)
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
