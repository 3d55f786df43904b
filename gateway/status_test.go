package gateway

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oncegate/api"
	"oncegate/license"
)

func (w *world) status(system, identifier, no string) answered {
	w.t.Helper()
	return w.call(system, "POST", statusPath, map[string]any{"identifier": identifier, "purpose": map[string]any{"case": no}})
}

// identifier of the company's license, signed by a query.
func (w *world) signedLicense(no string) string {
	w.t.Helper()
	return read[api.QueryAnswer](w.t, w.call("food-approval", "POST", queryPath, query("business-license", company, no))).Licenses[0].Identifier
}

// A status is asked from the source: valid, suspended, revoked, and superseded once its content has changed.
func TestStatus(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	identifier := w.signedLicense("SP-1")
	expect := func(want api.Status) {
		t.Helper()
		a := w.status("food-approval", identifier, "SP-1")
		got := read[api.StatusAnswer](t, a)
		if got.Status != want || got.Identifier != identifier || got.Freshness != api.FreshnessLive || len(a.record.Uses) != 1 || a.record.Uses[0].Decision != "status" {
			t.Errorf("want %s, got %+v, uses %+v", want, got, a.record.Uses)
		}
	}
	say := func(change func(*license.License)) {
		l := businessLicense()
		change(&l)
		w.legacy["business-license"].put(license.Question{Type: "business-license", Holder: company}, l)
	}
	expect(api.StatusValid)
	say(func(l *license.License) { l.Status = license.Suspended })
	expect(api.StatusSuspended)
	say(func(l *license.License) { l.Status = license.Revoked })
	expect(api.StatusRevoked)
	say(func(l *license.License) { l.Fields["address"] = "云川市和平路9号" })
	expect(api.StatusSuperseded)
	again := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))).Licenses[0]
	if again.Version != 2 || again.Identifier == identifier {
		t.Errorf("the next version is %d %s", again.Version, again.Identifier)
	}
	expect(api.StatusSuperseded)
	w.legacy["business-license"].set(func(l *legacy) { l.err = errors.New("down") })
	if got := read[api.StatusAnswer](t, w.status("food-approval", identifier, "SP-1")); got.Freshness != api.FreshnessStale {
		t.Errorf("from a kept copy: %+v", got)
	}
}

// An identifier that was never signed here, one of somebody else's license and one of a license that the source has no
// more cannot be told apart: the sources are asked, and the uses recorded, for each alike.
func TestStatusOfNobodysLicense(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	known := w.signedLicense("SP-1")
	parsed := must(license.ParseIdentifier(known))(t)
	unknown := must(license.NewIdentifier(parsed.TypeCode(), parsed.Issuer(), strings.Repeat("7", len(parsed.Serial())), 1))(t)

	other := license.HolderID{Type: "001", Code: must(license.MakeUSCC("91379901MA9930001"))(t)}
	theirs := businessLicense()
	theirs.Number, theirs.Holders = other.Code, []license.Holder{{HolderID: other, Name: "云川市秋雨食品有限公司"}}
	w.put(theirs)
	w.register(w.caseOf("SP-2", "YC-FOOD-01", party("applicant", other)))
	foreign := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, query("business-license", other, "SP-2"))).Licenses[0].Identifier

	asked := w.legacy["business-license"].asked()
	var first string
	for name, identifier := range map[string]string{"unknown": unknown.String(), "another's": foreign} {
		a := w.status("food-approval", identifier, "SP-1")
		w.refused(a, "case-not-usable")
		if len(a.record.Uses) != 1 || a.record.Uses[0].Source != "samr-system" {
			t.Errorf("%s: uses %+v", name, a.record.Uses)
		}
		a.record.Uses[0].Freshness = ""
		if shape := a.shape(t); first == "" {
			first = shape
		} else if diff := cmp.Diff(first, shape); diff != "" {
			t.Errorf("%s can be told:\n%s", name, diff)
		}
	}
	if got := w.legacy["business-license"].asked() - asked; got != 2 {
		t.Errorf("the source was asked %d times, want once for each", got)
	}
	if got := read[api.StatusAnswer](t, w.status("food-approval", known, "SP-1")); got.Status != api.StatusValid {
		t.Errorf("known: %+v", got)
	}
}

// What is wrong with the question itself, and who may not ask.
func TestStatusRefused(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	identifier := w.signedLicense("SP-1")
	w.refused(w.status("food-approval", identifier[:len(identifier)-1]+"?", "SP-1"), "invalid-field")
	last := identifier[len(identifier)-1]
	wrong := identifier[:len(identifier)-1] + string('A'+(last-'A'+1)%26)
	w.refused(w.status("food-approval", wrong, "SP-1"), "identifier-invalid")
	w.refused(w.status("land-approval", identifier, "SP-1"), "case-not-usable")
	w.refused(w.status("food-approval", identifier, "SP-9"), "case-not-usable")
	basis := map[string]any{"identifier": identifier, "purpose": map[string]any{"basis": "court-enforcement", "reference": "(2026)执1号"}}
	w.refused(w.call("court-enforcement-system", "POST", statusPath, basis), "purpose-invalid")
	read[api.CloseAnswer](t, w.call("food-approval", "POST", "/v1/cases/SP-1/close", map[string]any{}))
	w.refused(w.status("food-approval", identifier, "SP-1"), "case-closed")
}

// A consent that the caller cites for a status counts, and a wrong one is refused, not ignored.
func TestStatusWithConsent(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	identifier := w.signedLicense("SP-1")
	w.rules("consent.yaml", byConsent)
	ask := func(id string) answered {
		return w.call("food-approval", "POST", statusPath, map[string]any{"identifier": identifier, "purpose": map[string]any{"case": "SP-1"}, "consent": id})
	}
	w.refused(ask("c-none"), "consent-not-usable")
	w.consent("c-1", "food-approval", company, false)
	read[api.StatusAnswer](t, ask("c-1"))
}
