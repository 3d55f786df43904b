package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"oncegate/api"
)

// Story step 1: nothing is uploaded; the role is confirmed by the source; every license comes with its proof.
func TestCaseReusesMaterials(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-2026-000001")
	a := w.call("food-approval", "POST", "/v1/cases/SP-2026-000001/check", map[string]any{})
	got := read[api.CheckAnswer](t, a)
	if !got.CanProceed || len(got.Materials) != 2 || got.Reuse != (api.Counts{Numerator: 2, Denominator: 2}) {
		t.Fatalf("check: %s", a.answer)
	}
	for _, m := range got.Materials {
		if m.State != api.MaterialStateMet || m.License == "" || m.Source == "" {
			t.Errorf("%s: %s %q", m.Material, m.State, m.Source)
		}
	}
	var decisions []string
	for _, u := range a.record.Uses {
		decisions = append(decisions, u.Decision)
	}
	if want := []string{"confirm", "met", "met"}; !slices.Equal(decisions, want) {
		t.Errorf("uses: got %v, want %v", decisions, want)
	}
	if calls := w.legacy["business-license"].asked(); calls != 1 {
		t.Errorf("the business license was fetched %d times in one call", calls)
	}
	if strings.Contains(string(a.body), boss.Code) && !strings.Contains(got.Materials[1].Fields["holder_code.0"], boss.Code) {
		t.Error("the id number of the legal representative left with the business license")
	}
	again := read[api.CheckAnswer](t, w.call("food-approval", "POST", "/v1/cases/SP-2026-000001/check", map[string]any{}))
	for i, m := range again.Materials {
		if m.Identifier != got.Materials[i].Identifier || m.License != got.Materials[i].License {
			t.Errorf("%s was signed again", m.Material)
		}
	}
}

func TestQuery(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-2026-000002")
	a := w.call("food-approval", "POST", "/v1/licenses/query", query("business-license", company, "SP-2026-000002"))
	got := read[api.QueryAnswer](t, a)
	if got.Found != api.FoundFound || len(got.Licenses) != 1 {
		t.Fatalf("query: %s", a.answer)
	}
	if _, leaked := got.Licenses[0].Fields["legal_representative_code"]; leaked {
		t.Error("a field that only a confirming grant gives left")
	}
	if _, leaked := got.Licenses[0].Fields["registered_capital"]; leaked {
		t.Error("an ungranted field left")
	}
	if got.Licenses[0].Fields["legal_representative"] != "甲乙丙" {
		t.Errorf("fields: %v", got.Licenses[0].Fields)
	}
}

// Story step 4: who is no party gets one code whatever the cause, and the auditor sees the real reason.
func TestStrangerIsNotUsable(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-2026-000003")
	causes := map[string]answered{
		"no party":          w.call("food-approval", "POST", "/v1/licenses/query", query("resident-id", stranger, "SP-2026-000003")),
		"no such case":      w.call("food-approval", "POST", "/v1/licenses/query", query("resident-id", boss, "SP-2026-999999")),
		"not entitled":      w.call("land-approval", "POST", "/v1/licenses/query", query("resident-id", boss, "SP-2026-000003")),
		"wrong role":        w.call("food-approval", "POST", "/v1/licenses/query", query("resident-id", company, "SP-2026-000003")),
		"check, no case":    w.call("food-approval", "POST", "/v1/cases/SP-2026-999999/check", map[string]any{}),
		"check, not theirs": w.call("land-approval", "POST", "/v1/cases/SP-2026-000003/check", map[string]any{}),
	}
	var text string
	for cause, a := range causes {
		if a.status != http.StatusForbidden || a.problem.Code != "case-not-usable" {
			t.Errorf("%s: %d %s", cause, a.status, a.problem.Code)
			continue
		}
		if a.record.AnswerDigest == "" {
			t.Errorf("%s: not recorded", cause)
		}
		p := a.problem
		p.Nonce, p.Receipt, p.Time, p.Operation = "", nil, api.Time{}, ""
		if body := string(p.Bytes()); text == "" {
			text = body
		} else if text != body {
			t.Errorf("%s can be told apart: %s", cause, body)
		}
	}
	e := must(w.auditor.Evidence(t.Context(), causes["no party"].index))(t)
	if !strings.Contains(string(e.Reasons), "holder-not-a-party") {
		t.Errorf("evidence: %s", e.Reasons)
	}
}
