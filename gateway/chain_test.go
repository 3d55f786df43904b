package gateway

import (
	"net/http"
	"slices"
	"testing"

	"oncegate/api"
)

func (w *world) acceptChain(no string) {
	w.t.Helper()
	w.register(w.caseOf(no, "YC-INVEST-CHAIN", party("applicant", company)))
}

// Story step 3: eight matters in one call; the license is fetched and signed once and used eight times, each use decided and
// recorded for its own purpose, with its own fields.
func TestChain(t *testing.T) {
	w := newWorld(t)
	w.acceptChain("TZ-1")
	a := w.call("invest-platform", "POST", "/v1/cases/TZ-1/check", map[string]any{})
	got := read[api.CheckAnswer](t, a)
	if !got.CanProceed || len(got.Materials) != 8 || len(got.Parts) != 8 || got.Reuse != (api.Counts{Numerator: 8, Denominator: 8}) {
		t.Fatalf("check: %s", a.answer)
	}
	if calls := w.legacy["business-license"].asked(); calls != 1 {
		t.Errorf("the license was fetched %d times", calls)
	}
	rules, fields, signatures := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, m := range got.Materials {
		u := a.record.Uses[i]
		if m.State != api.MaterialStateMet || u.Decision != "met" || u.Matter != m.Matter || u.Case != "TZ-1" || !slices.Equal(u.Rules, m.Rules) || len(u.Rules) != 1 {
			t.Errorf("%s: %s, use %+v", m.Matter, m.State, u)
		}
		rules[u.Rules[0]] = true
		signatures[m.Identifier] = true
		claims := disclosed(t, m.License)
		if len(claims) != len(m.Fields) {
			t.Errorf("%s: %d disclosures for %d fields", m.Matter, len(claims), len(m.Fields))
		}
		for path := range claims {
			fields[m.Matter+" "+path] = true
		}
	}
	if len(rules) != 8 || len(signatures) != 1 {
		t.Errorf("%d rules, %d signed versions", len(rules), len(signatures))
	}
	for matter, want := range map[string]map[string]bool{
		"YC-NDRC-01": {"legal_representative": true, "business_scope": true, "address": false},
		"YC-LAND-02": {"legal_representative": false, "business_scope": false, "address": true},
		"YC-WATR-05": {"legal_representative": false, "business_scope": false, "address": false},
	} {
		for field, granted := range want {
			if fields[matter+" "+field] != granted {
				t.Errorf("%s: %s left: %v", matter, field, !granted)
			}
		}
	}
	// The commitments of one person are different from use to use of different records, never the person's code.
	again := w.call("invest-platform", "POST", "/v1/cases/TZ-1/check", map[string]any{})
	if a.record.Uses[0].Holder == again.record.Uses[0].Holder {
		t.Error("two records share a commitment")
	}
}

// A part that is asked for alone does not make the whole go on; what is left out is not guessed.
func TestPartOfAChain(t *testing.T) {
	w := newWorld(t)
	w.acceptChain("TZ-1")
	got := w.check("invest-platform", "TZ-1", map[string]any{"matters": []string{"YC-FIRE-07"}})
	if len(got.Materials) != 1 || got.CanProceed || len(got.Parts) != 1 || !got.Parts[0].CanProceed {
		t.Errorf("one part: %+v", got)
	}
	w.refused(w.call("invest-platform", "POST", "/v1/cases/TZ-1/check", map[string]any{"matters": []string{"YC-FOOD-01"}}), "unknown-material")

	// Who has to do with one part sees that part only.
	w.rules("part.yaml", `
grants:
  - {id: fire-office, agreement: 测试, provider: samr, systems: [land-approval], license_type: business-license, operations: [licenses.query, cases.check], matters: [YC-FIRE-07],
     fields: [name], basis: 测试, basis_kind: rule, scenario: 测试, attestation: platform, valid_until: "2030-12-31"}
`)
	part := w.check("land-approval", "TZ-1", map[string]any{})
	if len(part.Materials) != 1 || part.Materials[0].Matter != "YC-FIRE-07" || part.Materials[0].State != api.MaterialStateMet {
		t.Errorf("the fire office sees %+v", part.Materials)
	}
	q := query("business-license", company, "TZ-1")
	q["purpose"].(map[string]any)["matter"] = "YC-NDRC-01"
	w.refused(w.call("land-approval", "POST", queryPath, q), "case-not-usable")
	q["purpose"].(map[string]any)["matter"] = "YC-FIRE-07"
	if a := w.call("land-approval", "POST", queryPath, q); a.status != http.StatusOK {
		t.Errorf("its own part: %d %s", a.status, a.body)
	}
}
