package gateway

import (
	"errors"
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/license"
)

func (w *world) precheck(matter string, holder license.HolderID, with map[string]any) answered {
	w.t.Helper()
	body := map[string]any{"matter": matter, "holder": holder}
	for k, v := range with {
		body[k] = v
	}
	return w.call("citizen-portal", "POST", "/v1/precheck", body)
}

func prestates(t testing.TB, a answered) map[string]api.PrecheckState {
	t.Helper()
	states := map[string]api.PrecheckState{}
	for _, m := range read[api.PrecheckAnswer](t, a).Materials {
		states[m.Material] = m.State
	}
	return states
}

// A pre-check says only "met" or "bring it", whatever the cause, and is recorded like any release.
func TestPrecheck(t *testing.T) {
	w := newWorld(t)
	consent := map[string]any{"consent": w.consent("c-1", "citizen-portal", company, false)}
	asserted := map[string]any{"assertion": w.assertion(Assertion{For: "precheck", Reference: "YC-FOOD-01", Holder: company, System: "citizen-portal", Types: []string{"business-license"}})}
	for name, with := range map[string]map[string]any{"consent": consent, "assertion": asserted} {
		a := w.precheck("YC-FOOD-01", company, with)
		states := prestates(t, a)
		if states["business-license"] != api.PrecheckStateMet || states["legal-representative-id"] != api.PrecheckStateBringIt {
			t.Errorf("%s: %v", name, states)
		}
		if u := a.record.Uses; len(u) != 1 || u[0].Decision != "met" || u[0].Basis != "consent" || len(u[0].Fields) != 0 || u[0].Source != "samr-system" {
			t.Errorf("%s: uses %+v", name, u)
		}
		for _, word := range []string{"甲乙丙", "云川市", company.Code, "license\":"} {
			if strings.Contains(string(a.answer), word) {
				t.Errorf("%s: the answer says %q", name, word)
			}
		}
	}
	change := func(f func(*license.License)) func() {
		return func() {
			l := businessLicense()
			f(&l)
			w.legacy["business-license"].put(license.Question{Type: "business-license", Holder: company}, l)
		}
	}
	for name, spoil := range map[string]func(){
		"revoked":   change(func(l *license.License) { l.Status = license.Revoked }),
		"expired":   change(func(l *license.License) { l.ValidTo = "2025-01-01" }),
		"not found": func() { w.legacy["business-license"].put(license.Question{Type: "business-license", Holder: company}) },
		"another's": change(func(l *license.License) { l.Holders[0].Code = "91379901MA9930001X" }),
		"down":      func() { w.legacy["business-license"].set(func(l *legacy) { l.err = errors.New("down") }) },
	} {
		w.legacy["business-license"].set(func(l *legacy) { l.err = nil })
		spoil()
		a := w.precheck("YC-FOOD-01", company, consent)
		if s := prestates(t, a); s["business-license"] != api.PrecheckStateBringIt {
			t.Errorf("%s: %v", name, s)
		}
		if strings.Contains(string(a.answer), "revoked") || strings.Contains(string(a.answer), "unavailable") {
			t.Errorf("%s: the cause stands in the answer", name)
		}
	}
}

// The assertion is bound to holder, matter, system and time, the consent to its types.
func TestPrecheckNeedsConsent(t *testing.T) {
	w := newWorld(t)
	signed := func(change func(*Assertion)) map[string]any {
		a := Assertion{For: "precheck", Reference: "YC-FOOD-01", Holder: company, System: "citizen-portal", Types: []string{"business-license"}}
		change(&a)
		return map[string]any{"assertion": w.assertion(a)}
	}
	for _, with := range []map[string]any{
		signed(func(a *Assertion) { a.Reference = "YC-LAND-07" }), signed(func(a *Assertion) { a.Holder = boss }), signed(func(a *Assertion) { a.System = "food-approval" }),
		signed(func(a *Assertion) { a.For = "consent" }), signed(func(a *Assertion) { a.Expires = w.now().Unix() - 1 }),
	} {
		w.refused(w.precheck("YC-FOOD-01", company, with), "assertion-invalid")
	}
	w.refused(w.precheck("YC-FOOD-01", company, nil), "holder-not-proven")
	w.refused(w.precheck("YC-MOON", company, signed(func(*Assertion) {})), "unknown-matter")
	a := w.precheck("YC-FOOD-01", company, signed(func(a *Assertion) { a.Types = []string{"resident-id"} }))
	if s := prestates(t, a); s["business-license"] != api.PrecheckStateBringIt || w.legacy["business-license"].asked() != 0 {
		t.Errorf("a consent to another type: %v, asked %d times", s, w.legacy["business-license"].asked())
	}
	if u := a.record.Uses; len(u) != 1 || u[0].Holder == "" {
		t.Errorf("nothing says about whom was asked: %v", u)
	}
}
