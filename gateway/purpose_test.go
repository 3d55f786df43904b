package gateway

import (
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/license"
)

// Another legal basis than a case needs a grant that names it, releases what that grant gives and no more, and is recorded
// with it; the reference stays in the call, which an auditor may open.
func TestOtherBases(t *testing.T) {
	w := newWorld(t)
	ask := func(system string, purpose map[string]any, more ...string) answered {
		q := map[string]any{"license_type": "real-estate-certificate", "holder": wife, "purpose": purpose}
		if more != nil {
			q["fields"] = more
		}
		return w.call(system, "POST", queryPath, q)
	}
	court := map[string]any{"basis": "court-enforcement", "reference": "(2026)云执7号"}
	a := ask("court-enforcement-system", court)
	got := read[api.QueryAnswer](t, a).Licenses[0]
	if got.Fields["location"] == "" || got.Fields["area"] != "" || got.Fields["holder_name.1"] != "" {
		t.Errorf("fields %v", got.Fields)
	}
	if u := a.record.Uses[0]; u.Basis != "court-enforcement" || u.Case != "" || u.Decision != "release" || strings.Contains(string(must(marshal(a.record))(t)), "云执7号") {
		t.Errorf("use %+v", u)
	}
	w.refused(ask("court-enforcement-system", court, "area"), "fields-not-granted")
	w.refused(ask("court-enforcement-system", map[string]any{"basis": "curiosity", "reference": "1"}), "basis-unknown")
	w.refused(ask("food-approval", court), "not-permitted")
	w.refused(ask("court-enforcement-system", court, "moon"), "unknown-license-field")
	for _, purpose := range []map[string]any{
		{}, {"basis": "court-enforcement"}, {"reference": "1"}, {"case": "SP-1", "basis": "court-enforcement", "reference": "1"},
		{"basis": "case", "reference": "1"}, {"basis": "consent", "reference": "1"}, {"basis": "court-enforcement", "reference": "1", "matter": "YC-FOOD-01"},
	} {
		w.refused(ask("court-enforcement-system", purpose), "purpose-invalid")
	}
	other := w.call("court-enforcement-system", "POST", queryPath, map[string]any{
		"license_type": "real-estate-certificate", "holder": license.HolderID{Type: "111", Code: stranger.Code}, "purpose": court,
	})
	if none := read[api.QueryAnswer](t, other); none.Found != api.FoundNotFound || other.record.Uses[0].Decision != "missing" {
		t.Errorf("nobody's: %+v", none)
	}
}
