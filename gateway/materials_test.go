package gateway

import (
	"math/rand/v2"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/token"
	"oncegate/license"
)

// What the window received instead covers a material in the next check and lets the case go on, but is no reuse; what the
// source has later is met all the same.
func TestMaterialsReceived(t *testing.T) {
	w := newWorld(t)
	w.acceptFlat("BDC-1")
	w.legacy["marriage-certificate"].put(license.Question{Type: "marriage-certificate", Holder: wife})
	receive := func(material, how, digest string) api.MaterialAnswer {
		t.Helper()
		body := map[string]any{"material": material, "how": how}
		if digest != "" {
			body["digest"] = digest
		}
		return read[api.MaterialAnswer](t, w.call("land-approval", "POST", "/v1/cases/BDC-1/materials", body))
	}
	got := w.check("land-approval", "BDC-1", map[string]any{})
	// The spouse's role is confirmed by the marriage certificate, which is missing; the tax certificate may follow.
	for code, want := range map[string]api.MaterialState{
		"real-estate-certificate": "met", "applicant-id": "met", "spouse-id": "denied", "marriage-certificate": "missing", "tax-clearance": "missing",
	} {
		if m := material(t, got, code); m.State != want {
			t.Errorf("%s: %s, want %s (%s)", code, m.State, want, m.Reason.Code)
		}
	}
	if got.CanProceed || got.Reuse != (api.Counts{Numerator: 2, Denominator: 5}) {
		t.Errorf("can proceed %v, reuse %+v", got.CanProceed, got.Reuse)
	}

	promised := receive("marriage-certificate", "promised", "")
	receive("spouse-id", "uploaded", token.BodyDigest([]byte("scan")))
	got = w.check("land-approval", "BDC-1", map[string]any{})
	if m := material(t, got, "marriage-certificate"); m.State != "covered" || m.Fallback.Deadline != promised.Deadline || promised.Deadline == "" {
		t.Errorf("promised until %q; the check says %s until %q", promised.Deadline, m.State, m.Fallback.Deadline)
	}
	if m := material(t, got, "spouse-id"); m.State != "covered" || m.License != "" {
		t.Errorf("uploaded: %+v", m)
	}
	if !got.CanProceed || got.Reuse != (api.Counts{Numerator: 2, Denominator: 5}) {
		t.Errorf("covered: can proceed %v, reuse %+v", got.CanProceed, got.Reuse)
	}

	w.legacy["marriage-certificate"].put(license.Question{Type: "marriage-certificate", Holder: wife}, marriage())
	receive("tax-clearance", "waived", "")
	got = w.check("land-approval", "BDC-1", map[string]any{})
	for code, want := range map[string]api.MaterialState{"spouse-id": "met", "marriage-certificate": "met", "tax-clearance": "covered"} {
		if m := material(t, got, code); m.State != want {
			t.Errorf("%s: %s, want %s", code, m.State, want)
		}
	}
	if !got.CanProceed || got.Reuse != (api.Counts{Numerator: 4, Denominator: 5}) {
		t.Errorf("met later: can proceed %v, reuse %+v", got.CanProceed, got.Reuse)
	}
	rates := must(w.auditor.Reuse(t.Context(), w.now().Add(-1e10), w.now().Add(1e10), ""))(t)
	if len(rates) != 1 || rates[0].Numerator != 4 || rates[0].Denominator != 5 {
		t.Errorf("the auditor counts %+v", rates)
	}
}

// What checks answer and what the auditor counts is one rate: also of materials of several parties, whichever party lacks one.
func TestReuseIsOne(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	w.put(marriage())
	w.register(w.caseOf("BDC-1", "YC-LAND-07", party("applicant", wife), party("spouse", boss), party("spouse", husband)))
	total := func() (sum api.Counts) {
		for system, no := range map[string]string{"food-approval": "SP-1", "land-approval": "BDC-1"} {
			got := w.check(system, no, map[string]any{})
			sum.Numerator += got.Reuse.Numerator
			sum.Denominator += got.Reuse.Denominator
		}
		return sum
	}
	missing := 0
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 3))
		for _, person := range []license.HolderID{wife, husband, boss} {
			if l := identityCard(person, names[person]); r.IntN(2) == 0 {
				w.legacy["resident-id"].put(license.Question{Type: l.Type, Holder: person}, l)
			} else {
				w.legacy["resident-id"].put(license.Question{Type: l.Type, Holder: person})
			}
		}
		answered := total()
		missing += answered.Denominator - answered.Numerator
		var counted api.Counts
		for _, r := range must(w.auditor.Reuse(t.Context(), w.now().Add(-time.Hour), w.now().Add(time.Hour), ""))(t) {
			counted.Numerator += r.Numerator
			counted.Denominator += r.Denominator
		}
		if counted != answered {
			t.Errorf("seed %d: the auditor counts %+v, the checks answered %+v", seed, counted, answered)
		}
	}
	if missing == 0 {
		t.Error("nothing was ever missing: the test compares too little")
	}
}

// A check of some materials says whether the case can go on, not whether they can.
func TestPartialCheck(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	only := map[string]any{"materials": []string{"business-license"}}
	if got := w.check("food-approval", "SP-1", only); len(got.Materials) != 1 || got.CanProceed || got.Reuse.Denominator != 1 {
		t.Errorf("one of two: %+v", got)
	}
	body := map[string]any{"material": "legal-representative-id", "how": "waived"}
	read[api.MaterialAnswer](t, w.call("food-approval", "POST", "/v1/cases/SP-1/materials", body))
	if got := w.check("food-approval", "SP-1", only); !got.CanProceed {
		t.Errorf("the other one is covered: %+v", got)
	}
	if got := w.check("food-approval", "SP-1", map[string]any{}); !got.CanProceed || got.Reuse.Numerator != 2 {
		t.Errorf("both: %+v", got)
	}
}

// What cannot have been received is refused with its place.
func TestMaterialsRefused(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	for name, body := range map[string]map[string]any{
		"no such material":   {"material": "moon", "how": "waived"},
		"no digest":          {"material": "business-license", "how": "uploaded"},
		"a digest too many":  {"material": "business-license", "how": "waived", "digest": token.BodyDigest(nil)},
		"no promise":         {"material": "business-license", "how": "promised"},
		"of another matter":  {"material": "business-license", "how": "waived", "matter": "YC-LAND-07"},
		"how is not a how":   {"material": "business-license", "how": "dreamt"},
		"nothing whatsoever": {},
	} {
		a := w.call("food-approval", "POST", "/v1/cases/SP-1/materials", body)
		if a.problem.Code != "invalid-field" && a.problem.Code != "missing-field" || len(a.problem.Faults) == 0 || a.record.Operation == "" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}
