package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/license"
)

// Who finds no slot is told so, with a record, in an answer of its own.
func TestSourceBusy(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	w.reload(func(s *Snapshot) {
		s.Sources = slices.Clone(s.Sources)
		for i := range s.Sources {
			s.Sources[i].Concurrent, s.Sources[i].Deadline = 1, 100*time.Millisecond
		}
	})
	release := make(chan struct{})
	w.legacy["business-license"].set(func(l *legacy) { l.before = func(context.Context) { <-release } })
	ask := func() answered {
		return w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))
	}
	w.refused(ask(), "source-unavailable") // it keeps its slot
	a := ask()
	w.refused(a, "source-busy")
	if a.status != http.StatusServiceUnavailable || a.problem.Party != api.Gateway || !a.problem.Retry || a.header.Get("Retry-After") == "" || a.problem.Receipt == nil {
		t.Errorf("%d %+v", a.status, a.problem)
	}
	m := material(t, w.check("food-approval", "SP-1", map[string]any{"materials": []string{"business-license"}}), "business-license")
	if m.State != api.MaterialStateUnavailable || m.Reason.Code != "source-busy" {
		t.Errorf("checked: %+v", m)
	}
	if m := material(t, w.check("food-approval", "SP-1", map[string]any{}), "legal-representative-id"); m.State != api.MaterialStateUnavailable || m.Reason.Code != "role-source-busy" {
		t.Errorf("checked, for a role: %+v", m)
	}
	close(release)
	settle(t, "the slot", func() bool { return w.gateway.running.Load().sources["samr-system"].Busy() == 0 })
	if a := ask(); a.status != http.StatusOK {
		t.Errorf("then: %d %s", a.status, a.problem.Code)
	}
}

// Law 6: while one source hangs, another answers the same check, and other calls are answered; the case goes on.
func TestOneSourceHangs(t *testing.T) {
	w := newWorld(t)
	w.acceptFlat("BDC-1")
	w.accept("SP-1")
	hanging, release := make(chan struct{}, 8), make(chan struct{})
	w.legacy["tax-clearance"].set(func(l *legacy) {
		l.before = func(ctx context.Context) {
			hanging <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
	})
	police, civil := make(chan struct{}, 8), make(chan struct{}, 8)
	w.legacy["resident-id"].set(func(l *legacy) { l.before = func(context.Context) { police <- struct{}{} } })
	w.legacy["marriage-certificate"].set(func(l *legacy) { l.before = func(context.Context) { civil <- struct{}{} } })
	checked := make(chan answered, 1)
	go func() { checked <- w.call("land-approval", "POST", "/v1/cases/BDC-1/check", map[string]any{}) }()
	<-hanging // the tax source is asked and does not answer; the others are asked meanwhile
	<-civil
	<-police
	other := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1")))
	if other.Found != api.FoundFound {
		t.Errorf("another call: %s", other.Found)
	}
	select {
	case <-checked:
		t.Fatal("the check was answered before its source")
	default:
	}
	w.legacy["tax-clearance"].set(func(l *legacy) { l.err = errors.New("reset by peer") })
	close(release)
	got := read[api.CheckAnswer](t, <-checked)
	if m := material(t, got, "tax-clearance"); m.State != "unavailable" || m.Fallback.Kind != "tolerate" || m.Source != "tax-system" || m.Freshness != "" {
		t.Errorf("the hanging one: %+v", m)
	}
	if !got.CanProceed || got.Reuse.Numerator != 4 {
		t.Errorf("the case: %v, %+v", got.CanProceed, got.Reuse)
	}
}

// A flapping source opens its breaker, which the metrics show, and is answered from again when it is well.
func TestFlappingSource(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	tax := w.legacy["business-license"]
	ask := func() string {
		return w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{"materials": []string{"business-license"}}).problem.Code
	}
	state := func() string {
		for _, line := range strings.Split(w.exposition(), "\n") {
			if value, ok := strings.CutPrefix(line, `oncegate_source_breaker_state{source="samr-system"} `); ok {
				return value
			}
		}
		return "?"
	}
	if state() != "0" {
		t.Errorf("at first: %s", state())
	}
	tax.set(func(l *legacy) { l.err = errors.New("flap") })
	for range 6 {
		ask()
	}
	if calls := tax.asked(); state() != "2" || calls != 5 {
		t.Errorf("after six failures: state %s, asked %d times", state(), calls)
	}
	tax.set(func(l *legacy) { l.err = nil })
	waitClosed(w, "samr-system")
	ask()
	if calls := tax.asked(); state() != "0" || calls != 6 {
		t.Errorf("when it is well: state %s, asked %d times", state(), calls)
	}
	if !strings.Contains(w.lines.String(), `msg="source breaker" source=samr-system from=closed to=open`) {
		t.Error("the log does not say so")
	}
}

// selective is a source that cannot be asked by passport.
type selective struct{ *legacy }

func (s selective) CanAsk(q license.Question) error {
	if q.Holder.Type == "414" {
		return fmt.Errorf("%w: no passports here", license.ErrCannotAsk)
	}
	return nil
}

// A question that can never be answered is its caller's fault, and no source is asked for it; but first it is decided whether the caller
// may put it at all.
func TestQuestionsWithoutAnAnswer(t *testing.T) {
	w := newWorld(t)
	passport := license.HolderID{Type: "414", Code: "E12345678"}
	w.register(w.caseOf("SP-9", "YC-FOOD-01", party("applicant", wife)))
	w.register(w.caseOf("SP-8", "YC-FOOD-01", party("applicant", company), party("legal_representative", boss)))
	w.register(w.caseOf("BDC-9", "YC-LAND-07", party("applicant", passport), party("spouse", husband)))
	asked := func() (n int) {
		for _, l := range w.legacy {
			n += l.asked()
		}
		return n
	}
	w.reload(func(s *Snapshot) {
		s.Sources = slices.Clone(s.Sources)
		for i, c := range s.Sources {
			if c.Department == "police" {
				s.Sources[i].Source = selective{w.legacy["resident-id"]}
			}
		}
		s.Serves = maps.Clone(s.Serves)
		delete(s.Serves, "marriage-certificate")
	})
	down := errors.New("down")
	for _, l := range w.legacy {
		l.set(func(l *legacy) { l.err = down })
	}
	issue := func(holder license.HolderID) map[string]any {
		return map[string]any{"license_type": "business-license", "holders": []any{company, holder}}
	}
	render := map[string]any{"license_type": "business-license", "holder": wife, "form": "ofd"}
	for name, c := range map[string]struct {
		system, path string
		body         any
		code, at     string
	}{
		"a natural person's business license":  {"food-approval", queryPath, query("business-license", wife, "SP-9"), "holder-type-impossible", "/holder/type"},
		"the same, not entitled":               {"land-approval", queryPath, query("business-license", wife, "SP-9"), "case-not-usable", ""},
		"the same, of no party":                {"food-approval", queryPath, query("business-license", husband, "SP-9"), "case-not-usable", ""},
		"issued ahead":                         {"samr-licenses", issuePath, issue(wife), "holder-type-impossible", "/holders/1/type"},
		"issued ahead by another department":   {"food-approval", issuePath, issue(wife), "not-permitted", ""},
		"rendered":                             {"samr-licenses", renderPath, render, "holder-type-impossible", "/holder/type"},
		"rendered for another department":      {"food-approval", renderPath, render, "not-permitted", ""},
		"a source that takes no passports":     {"land-approval", queryPath, query("resident-id", passport, "BDC-9"), "question-unanswerable", ""},
		"no source":                            {"land-approval", queryPath, query("marriage-certificate", passport, "BDC-9"), "license-type-not-served", ""},
		"a source that is down is not a fault": {"food-approval", queryPath, query("business-license", company, "SP-8"), "source-unavailable", ""},
	} {
		before := asked()
		a := w.call(c.system, "POST", c.path, c.body)
		w.refused(a, c.code)
		p := a.problem
		if c.code == "source-unavailable" {
			if !p.Retry || p.Party != api.Source || asked() == before {
				t.Errorf("%s: %+v, %d asked", name, p, asked()-before)
			}
			continue
		}
		if p.Retry || p.Party == api.Source || p.Party != api.Policy && p.Party != api.Caller || asked() != before {
			t.Errorf("%s: retry %t, party %s, %d asked", name, p.Retry, p.Party, asked()-before)
		}
		if c.at != "" && (len(p.Faults) != 1 || p.Faults[0].Pointer != c.at) {
			t.Errorf("%s: %+v", name, p.Faults)
		}
		if p.Party == api.Caller && (len(a.record.Uses) == 0 || a.record.Uses[len(a.record.Uses)-1].Decision != outcomeDenied || a.record.Uses[0].Holder == "") {
			t.Errorf("%s: recorded %+v", name, a.record.Uses)
		}
	}
	m := material(t, w.check("food-approval", "SP-9", map[string]any{}), "business-license")
	if m.State != api.MaterialStateMissing || m.Reason.Code != "question-unanswerable" || m.Fallback.Kind == "" {
		t.Errorf("checked: %+v", m)
	}
	for _, l := range w.legacy {
		l.set(func(l *legacy) { l.err = nil })
	}
	w.reload(func(s *Snapshot) {
		s.Sources = slices.Clone(s.Sources)
		for i, c := range s.Sources {
			if c.Department == "samr" {
				s.Sources[i].Source = unreadable{}
			}
		}
	})
	w.refused(w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-8")), "source-faulty")
}

// unreadable is a source whose record about everybody breaks its mapping.
type unreadable struct{}

func (unreadable) Find(_ context.Context, r license.Request) ([]license.Finding, error) {
	out := make([]license.Finding, len(r.Questions))
	for i := range out {
		out[i] = license.Finding{State: license.IsUnavailable, Err: fmt.Errorf("%w: a date in another layout", license.ErrUnanswerable)}
	}
	return out, nil
}

// A fault of a source's data is no outage: it is said as the source's fault, not to be retried, no kept copy stands in, and the evidence says row and column.
func TestFaultySource(t *testing.T) {
	w := newWorld(t)
	w.rules("copies.yaml", `
grants:
  - {id: samr/copies, agreement: 测试, provider: samr, systems: [food-approval], license_type: business-license, operations: [licenses.query, cases.check],
     matters: [YC-FOOD-01], fields: [name], max_age: 24h, basis: 测试, basis_kind: rule, scenario: 测试, attestation: platform, valid_until: "2030-12-31"}
`)
	w.accept("SP-1")
	ask := func() answered {
		return w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))
	}
	read[api.QueryAnswer](t, ask()) // keeps a copy
	fail := func(err error) {
		for i := range 7 { // more than open a breaker
			w.legacy["business-license"].set(func(l *legacy) { l.err = err })
			if i > 0 {
				ask()
			}
		}
	}
	fail(&license.SourceError{Cause: license.NotADay, Row: 2, Name: "clrq", Detail: "not a day in any of the layouts"})
	a := ask()
	w.refused(a, "source-faulty")
	if a.problem.Retry || a.problem.Party != api.Source {
		t.Errorf("retry %t, party %s", a.problem.Retry, a.problem.Party)
	}
	if e := must(w.auditor.Evidence(t.Context(), a.index))(t); !strings.Contains(string(e.Inputs), "row 2, column clrq cannot be mapped: not a day in any of the layouts") {
		t.Errorf("the evidence: %s", e.Inputs)
	}
	m := material(t, w.check("food-approval", "SP-1", map[string]any{}), "business-license")
	if m.State != api.MaterialStateUnavailable || m.Reason.Code != "source-faulty" {
		t.Errorf("checked: %+v", m)
	}
	w.legacy["business-license"].set(func(l *legacy) { l.err = nil })
	if got := read[api.QueryAnswer](t, ask()); got.Licenses[0].Freshness != api.FreshnessLive { // at once: no breaker is open
		t.Errorf("mended: %s", got.Licenses[0].Freshness)
	}
	fail(&license.SourceError{Cause: license.ConnectionRefused})
	if got := read[api.QueryAnswer](t, ask()); got.Licenses[0].Freshness != api.FreshnessStale {
		t.Errorf("an outage: %s", got.Licenses[0].Freshness)
	}
}

// presents is a source that passes on what another gateway has signed, beside a record of its own.
type presents struct{ *legacy }

func (p presents) Find(ctx context.Context, r license.Request) ([]license.Finding, error) {
	out, err := p.legacy.Find(ctx, r)
	for i := range out {
		out[i].State = license.IsFound
		out[i].Presented = []license.Presented{{MediaType: license.MediaSDJWT, Data: []byte("signed~elsewhere~")}}
	}
	return out, err
}

// A license that was signed elsewhere is not released: neither it, nor what its source says beside it, nor a copy of before. Each
// operation refuses it, says why, and records it.
func TestPresentedLicenses(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	ask := query("business-license", company, "SP-1")
	identifier := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, ask)).Licenses[0].Identifier
	w.reload(func(s *Snapshot) {
		s.Sources = slices.Clone(s.Sources)
		for i, c := range s.Sources {
			if c.Department == "samr" {
				s.Sources[i].Source = presents{w.legacy["business-license"]}
			}
		}
	})
	holders := map[string]any{"license_type": "business-license", "holders": []any{company}}
	for name, a := range map[string]answered{
		"queried":              w.call("food-approval", "POST", queryPath, ask),
		"its status":           w.status("food-approval", identifier, "SP-1"),
		"that confirms a role": w.call("food-approval", "POST", queryPath, query("resident-id", boss, "SP-1")),
		"rendered":             w.call("samr-licenses", "POST", renderPath, renderOf("ofd")),
	} {
		w.refused(a, "license-presented")
		e := must(w.auditor.Evidence(t.Context(), a.index))(t)
		if strings.Contains(string(a.body), "elsewhere~") || len(a.record.Uses) == 0 || !strings.Contains(string(e.Reasons), "license-presented") {
			t.Errorf("%s: %s, recorded %+v %s", name, a.body, a.record.Uses, e.Reasons)
		}
	}
	issued := w.call("samr-licenses", "POST", issuePath, holders)
	if got := read[api.IssueAnswer](t, issued).Holders[0]; got.State != api.IssuedHolderStateFaulty || got.Reason.Code != "license-presented" || len(got.Identifiers) > 0 || strings.Contains(string(issued.body), "elsewhere~") {
		t.Errorf("issued ahead: %+v", got)
	}
	m := material(t, w.check("food-approval", "SP-1", map[string]any{}), "business-license")
	if m.State != api.MaterialStateUnavailable || m.Reason.Code != "license-presented" || m.Fallback.Kind == "" || m.License != "" || len(m.Fields) > 0 {
		t.Errorf("checked: %+v", m)
	}
}
