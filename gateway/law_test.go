package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// Law 1: what cannot be recorded is not answered, and says so with the one fixed problem.
func TestUnrecordedIsUnanswered(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	if err := w.log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))
	if a.status != http.StatusServiceUnavailable || a.problem.Code != "record-unavailable" || a.problem.Receipt != nil {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if strings.Contains(string(a.body), "甲乙丙") {
		t.Error("the answer left all the same")
	}
	for range 20 {
		w.call("food-approval", "GET", "/v1/catalog/types", nil)
	}
	w.gateway.summarize(t.Context())
	text := w.lines.String()
	if calls, causes := strings.Count(text, "code=record-unavailable"), strings.Count(text, "call not answered: its record failed"); calls != 1 || causes != 1 {
		t.Errorf("%d lines of calls, %d of causes", calls, causes)
	}
	if strings.Count(text, `msg="calls not answered: their records failed" system=food-approval calls=21`) != 1 {
		t.Errorf("no summary in\n%s", text)
	}
}

// Law 1: a refusal of a caller who is known is a record too, whatever is wrong with the call.
func TestRefusalsAreRecorded(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	for code, body := range map[string]any{
		"malformed-json":       []byte(`{"license_type":`),
		"duplicate-key":        []byte(`{"license_type":"a","license_type":"b"}`),
		"unknown-field":        map[string]any{"license_type": "business-license", "holder": company, "purpose": map[string]any{"case": "SP-1"}, "why": "x"},
		"unknown-license-type": query("moon-license", company, "SP-1"),
		"holder-code-invalid":  query("business-license", license.HolderID{Type: "001", Code: "91379901MA9920002R"}, "SP-1"),
		"holder-type-unknown":  query("business-license", license.HolderID{Type: "777", Code: "91379901MA9920002R"}, "SP-1"),
		"purpose-invalid":      map[string]any{"license_type": "business-license", "holder": company, "purpose": map[string]any{}},
		"empty-body":           []byte{},
	} {
		a := w.call("food-approval", "POST", queryPath, body)
		if a.problem.Code != code || a.record.Operation != "licenses.query" {
			t.Errorf("want %s, recorded: got %d %s, record %q", code, a.status, a.problem.Code, a.record.Operation)
		}
		if strings.Contains(string(a.body), "91379901MA9920002R") {
			t.Errorf("%s repeats the value", code)
		}
	}
}

// Law 4: a case that the asker attests itself does not carry a platform's word.
func TestForgedCase(t *testing.T) {
	w := newWorld(t)
	files := append(slices.Clone(w.files), policy.File{Path: "policy/forged.yaml", Data: []byte(
		"permissions:\n  - {id: forged, systems: [food-approval], operations: [cases.register], matters: [YC-FOOD-01], basis: test}\n")})
	w.reload(func(s *Snapshot) { s.Policy = w.policy(files...) })
	a := w.call("food-approval", "POST", "/v1/cases", map[string]any{
		"no": "SP-F", "matter": "YC-FOOD-01", "accepted": api.At(w.now().Add(-time.Minute)), "attestation": "platform",
		"parties": []any{map[string]any{"role": "applicant", "holder": company}},
	})
	if a.status != http.StatusCreated {
		t.Fatalf("register: %d %s", a.status, a.body)
	}
	a = w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-F"))
	if a.problem.Code != "not-permitted" || strings.Contains(string(a.body), "甲乙丙") {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// Law 4: a role is confirmed by the source, never by the caller who claims it.
func TestClaimedRole(t *testing.T) {
	w := newWorld(t)
	a := w.call("acceptance", "POST", "/v1/cases", map[string]any{
		"no": "SP-R", "matter": "YC-FOOD-01", "accepted": api.At(w.now().Add(-time.Minute)), "parties": []any{
			map[string]any{"role": "applicant", "holder": company},
			map[string]any{"role": "legal_representative", "holder": stranger},
		},
	})
	if a.status != http.StatusCreated {
		t.Fatalf("register: %d %s", a.status, a.body)
	}
	a = w.call("food-approval", "POST", queryPath, query("resident-id", stranger, "SP-R"))
	if a.problem.Code != "case-not-usable" || w.legacy["resident-id"].asked() != 0 {
		t.Errorf("query: %d %s, police asked %d times", a.status, a.problem.Code, w.legacy["resident-id"].asked())
	}
	got := read[api.CheckAnswer](t, w.call("food-approval", "POST", "/v1/cases/SP-R/check", map[string]any{}))
	for _, m := range got.Materials {
		if m.Material == "legal-representative-id" && (m.State == api.MaterialStateMet || m.License != "") {
			t.Errorf("check: %s", m.State)
		}
	}
	if w.legacy["resident-id"].asked() != 0 {
		t.Error("the police were asked about a person whose role nobody confirmed")
	}
}

// What a decision rests on may change while a slow source is asked: the record's transaction notices.
func TestChangesDuringASlowSource(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		code   string
	}{
		"case closed": {func(w *world) {
			if a := w.call("acceptance", "POST", "/v1/cases/SP-1/close", map[string]any{}); a.status != http.StatusOK {
				w.t.Errorf("close: %d %s", a.status, a.body)
			}
		}, "case-closed"},
		"system suspended": {func(w *world) {
			files := append(slices.Clone(w.files), policy.File{Path: "policy/suspended.yaml", Data: []byte(
				"suspensions:\n  - {id: s1, systems: [food-approval], reason_zh: 暂停, reason_en: Suspended.}\n")})
			w.reload(func(s *Snapshot) { s.Policy = w.policy(files...) })
		}, "not-permitted"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.accept("SP-1")
			var once sync.Once
			w.legacy["business-license"].before = func(context.Context) { once.Do(func() { c.change(w) }) }
			a := w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))
			if a.problem.Code != c.code || strings.Contains(string(a.body), "甲乙丙") {
				t.Errorf("got %d %s", a.status, a.body)
			}
			if calls := w.legacy["business-license"].asked(); calls != 1 {
				t.Errorf("deciding again asked the source %d times", calls)
			}
		})
	}
}

// Law 6: a source that is down is an answer; the case goes on, and a kept copy leaves only where the grant allows its age.
func TestSourceDown(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	w.legacy["resident-id"].err = errors.New("connection refused")
	got := read[api.CheckAnswer](t, w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{}))
	states := map[string]api.MaterialState{}
	for _, m := range got.Materials {
		states[m.Material] = m.State
	}
	if states["legal-representative-id"] != api.MaterialStateUnavailable || states["business-license"] != api.MaterialStateMet {
		t.Errorf("states: %v", states)
	}
	w.legacy["business-license"].err = errors.New("connection refused")
	stale := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1")))
	if len(stale.Licenses) != 1 || stale.Licenses[0].Freshness != api.FreshnessStale {
		t.Fatalf("stale: %+v", stale)
	}
	a := w.call("invest-platform", "POST", queryPath, query("business-license", company, "SP-1"))
	if a.problem.Code != "case-not-usable" {
		t.Errorf("a stranger to the case: %s", a.problem.Code)
	}
}

// Story step 5: what the source revokes is lapsed at the next check, and the signed version's status moves.
func TestRevoked(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	read[api.CheckAnswer](t, w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{}))
	revoked := businessLicense()
	revoked.Status = license.Revoked
	w.legacy["business-license"].put(license.Question{Type: "business-license", Holder: company}, revoked)
	got := read[api.CheckAnswer](t, w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{}))
	for _, m := range got.Materials {
		if m.Material == "business-license" && (m.State != api.MaterialStateLapsed || m.Reason.Code != string(cases.IsRevoked) || m.License != "") {
			t.Errorf("got %s %s", m.State, m.Reason.Code)
		}
	}
	if got.CanProceed {
		t.Error("the case goes on without its required material")
	}
	var off int
	lists := must(w.db.Register().Lists(t.Context()))(t)
	for _, list := range lists {
		if err := w.db.Register().Statuses(t.Context(), list.ID, func(int, license.Status) { off++ }); err != nil {
			t.Fatal(err)
		}
	}
	if off != 1 {
		t.Errorf("%d slots are not valid, want 1", off)
	}
}

// Many callers at once over one new license: it is signed once, and every answer is proven.
func TestOneVersionForMany(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	var all sync.WaitGroup
	ids := make([]string, 24)
	for i := range ids {
		all.Go(func() {
			a := w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))
			var got api.QueryAnswer
			if a.status == http.StatusOK && unmarshal(a.answer, &got) == nil && len(got.Licenses) == 1 {
				ids[i] = got.Licenses[0].Identifier
				return
			}
			t.Errorf("call %d: %d %s", i, a.status, a.problem.Code)
		})
	}
	all.Wait()
	if slices.Sort(ids); len(slices.Compact(ids)) != 1 {
		t.Errorf("versions forked: %v", ids)
	}
}
