package gateway

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"oncegate/adapters/results"
	"oncegate/api"
	"oncegate/cases"
	"oncegate/gateway/sources"
	"oncegate/license"
)

const resultRules = `
permissions:
  - {id: issues, systems: [samr-licenses], operations: [cases.result, licenses.manage], license_types: [food-business-license], matters: [], basis: test}
  - {id: knows, systems: [samr-licenses, land-approval], operations: [cases.close], matters: [YC-FOOD-01, YC-FOOD-09], basis: test}
  - {id: again, systems: [acceptance], operations: [cases.register], matters: [YC-FOOD-09], basis: test}
  - {id: other, systems: [land-approval], operations: [cases.result], license_types: [food-business-license], basis: test}
grants:
  - {id: results/permit, agreement: a, provider: samr, systems: [food-approval], license_type: food-business-license, operations: [cases.check, licenses.query], matters: [YC-FOOD-09], fields: [number, status, holder_name], basis: b, basis_kind: rule, scenario: s, attestation: platform, valid_until: "2030-12-31"}
`

var rival = license.HolderID{Type: "001", Code: "91379901MA9930002G"}

// withResults has cases of YC-FOOD-01 end with a food business license, which market regulation issues here, and YC-FOOD-09 need one.
func (w *world) withResults() {
	w.t.Helper()
	w.withResultsOf("YC-FOOD-01", resultRules)
}

// withResultsOf is withResults for another matter and other rules.
func (w *world) withResultsOf(matter, rules string) {
	w.t.Helper()
	w.reload(func(s *Snapshot) {
		book := cloneBook(s.Book)
		for i := range book.Matters {
			book.Matters[i].Results = nil
			if book.Matters[i].Code == matter {
				book.Matters[i].Results = []string{"food-business-license"}
			}
		}
		book.Matters = append(book.Matters, cases.Matter{Code: "YC-FOOD-09", Name: "食品经营许可变更", Department: "service", Materials: []cases.Material{
			{Code: "permit", Name: "食品经营许可证", Need: cases.Required, Route: cases.RouteLicense, LicenseType: "food-business-license", Fallback: cases.Fallback{Kind: cases.FallUpload}},
		}})
		if faults := book.Check(s.Catalogue); len(faults) > 0 {
			w.t.Fatal(faults)
		}
		s.Book, s.Serves = book, maps.Clone(s.Serves)
		s.Serves["food-business-license"], s.Results = "samr-results", map[string]bool{"samr-results": true}
		s.Sources = append(slices.Clone(s.Sources), sources.Config{ID: "samr-results", Department: "samr", Source: results.Open(results.Config{ID: "samr-results"}, w.db.Cases())})
		s.Policy = w.policy(append(slices.Clone(w.files), policyFile("results.yaml", rules))...)
	})
}

func field(name, value string) map[string]any { return map[string]any{"name": name, "value": value} }

func permit(number string, holder license.HolderID, until string) map[string]any {
	return map[string]any{
		"license_type": "food-business-license", "number": number, "issuer": map[string]any{"name": "云川市市场监督管理局", "code": samr, "level": "3"},
		"issued": "2026-11-23", "valid_from": "2026-11-23", "valid_to": until, "holders": []any{map[string]any{"type": holder.Type, "code": holder.Code, "name": cmp.Or(names[holder], "云川市某食品有限公司")}},
		"fields": []any{
			field("legal_representative", "甲乙丙"), field("address", "云川市和平路1号"), field("premises", "云川市和平路1号"), field("business_kind", "食品销售经营者"), field("business_items", "预包装食品"),
		},
	}
}

func (w *world) issue(system, no string, body map[string]any) answered {
	w.t.Helper()
	return w.call(system, "POST", "/v1/cases/"+no+"/result", body)
}

// The license with which a case ends is signed and recorded, and the next case finds it like any other: its renewal as the next version, its
// revocation as lapsed. On both databases.
func TestResult(t *testing.T) {
	onEach(t, func(t *testing.T, i *intruder) {
		w := i.world
		w.withResults()
		w.accept("SP-1")
		w.register(w.caseOf("SP-2", "YC-FOOD-09", party("applicant", company)))
		find := func() api.CheckedMaterial {
			t.Helper()
			return material(t, w.check("food-approval", "SP-2", map[string]any{}), "permit")
		}
		if m := find(); m.State != "missing" {
			t.Fatalf("before: %+v", m)
		}
		a := w.issue("samr-licenses", "SP-1", permit("JY1", company, "2031-11-22"))
		got := read[api.ResultAnswer](t, a)
		if got.Version != 1 || a.record.Changes == "" || len(a.record.Uses) != 1 || a.record.Uses[0].Decision != outcomeIssued || a.record.Uses[0].Holder == "" || a.record.Uses[0].Case != "SP-1" {
			t.Errorf("issued %+v, uses %+v", got, a.record.Uses)
		}
		if m := find(); m.State != "met" || m.Identifier != got.Identifier || m.Source != "samr-results" || m.Fields["number"] != "JY1" {
			t.Errorf("the next case finds %+v", m)
		}
		// Another department may know of the case, and cannot read what it ended with.
		w.refused(w.call("land-approval", "POST", "/v1/licenses/query", query("food-business-license", company, "SP-2")), "not-permitted")
		renewed := read[api.ResultAnswer](t, w.issue("samr-licenses", "SP-1", permit("JY1", company, "2036-11-22")))
		if m := find(); renewed.Version != 2 || m.State != "met" || m.Identifier != renewed.Identifier {
			t.Errorf("renewed as %+v, found %+v", renewed, m)
		}
		read[api.OrderAnswer](t, w.orderOf(renewed.Identifier, "revoke"))
		if m := find(); m.State != "lapsed" {
			t.Errorf("revoked: %+v", m)
		}
		again := w.issue("samr-licenses", "SP-1", permit("JY1", company, "2041-11-22"))
		if m := find(); m.State != "lapsed" { // an order is ended by an order only
			t.Errorf("issued again after it was revoked, %d %s: %+v", again.status, again.body, m)
		}
	})
}

// Nobody else issues: not for a case that does not end so, not of a type that a legacy system has, not to somebody who is no party, not under
// another's number. What is refused leaves nothing that a source would find.
func TestResultRefused(t *testing.T) {
	w := newWorld(t)
	w.withResults()
	w.accept("SP-1")
	w.accept("SP-closed")
	read[api.CloseAnswer](t, w.call("acceptance", "POST", "/v1/cases/SP-closed/close", map[string]any{}))
	w.register(w.caseOf("SP-3", "YC-FOOD-01", party("applicant", rival)))
	body := func() map[string]any { return permit("JY1", company, "2031-11-22") }
	other := body()
	other["license_type"] = "business-license"
	bad := body()
	bad["valid_to"] = "2020-01-01"
	w.refused(w.issue("samr-licenses", "SP-9", body()), "case-not-usable")
	w.refused(w.issue("samr-licenses", "SP-closed", body()), "case-closed")
	w.refused(w.issue("acceptance", "SP-1", body()), "not-permitted")
	w.refused(w.issue("land-approval", "SP-1", body()), "not-permitted") // it has a permission, and is of another department
	w.refused(w.issue("samr-licenses", "SP-1", other), "not-permitted")
	w.refused(w.issue("samr-licenses", "SP-1", permit("JY1", rival, "2031-11-22")), "result-holder")
	w.refused(w.issue("samr-licenses", "SP-1", permit("JY1", boss, "2031-11-22")), "result-holder") // a party, but not who applied
	both := body()
	both["holders"] = append(both["holders"].([]any), permit("JY1", rival, "2031-11-22")["holders"].([]any)...)
	w.refused(w.issue("samr-licenses", "SP-1", both), "result-holder")
	w.refused(w.issue("samr-licenses", "SP-1", bad), "result-invalid")
	twice := body()
	twice["fields"] = append(twice["fields"].([]any), field("address", "云川市和平路2号"))
	w.refused(w.issue("samr-licenses", "SP-1", twice), "invalid-field")
	for _, who := range []license.HolderID{company, rival} {
		if all := must(w.db.Cases().Results(t.Context(), "food-business-license", who))(t); len(all) > 0 {
			t.Errorf("what was refused is found: %v", all)
		}
	}
	read[api.ResultAnswer](t, w.issue("samr-licenses", "SP-1", body()))
	w.refused(w.issue("samr-licenses", "SP-3", permit("JY1", rival, "2031-11-22")), "result-number-taken")
	if all := must(w.db.Cases().Results(t.Context(), "food-business-license", rival))(t); len(all) > 0 {
		t.Errorf("found: %v", all)
	}
	shared := permit("JY3", company, "2031-11-22")
	shared["holders"] = append(shared["holders"].([]any), permit("JY3", boss, "2031-11-22")["holders"].([]any)...)
	read[api.ResultAnswer](t, w.issue("samr-licenses", "SP-1", shared))
	w.refused(w.issue("samr-licenses", "SP-1", permit("JY3", company, "2036-11-22")), "result-number-taken") // the other holder keeps what was issued
	w.reload(func(s *Snapshot) { s.Results = nil })
	w.refused(w.issue("samr-licenses", "SP-1", permit("JY2", company, "2031-11-22")), "not-a-result")
}

// In a chain the permission is for the part that ends with the license: one for another part, or for the chain, is none.
func TestResultOfPart(t *testing.T) {
	rules := func(matter string) string {
		return `
permissions:
  - {id: issues, systems: [samr-licenses], operations: [cases.result], license_types: [food-business-license], matters: [` + matter + `], basis: test}
  - {id: knows, systems: [samr-licenses], operations: [cases.close], matters: [YC-INVEST-CHAIN], basis: test}
`
	}
	for permitted, allowed := range map[string]bool{"YC-NDRC-01": true, "YC-LAND-02": false, "YC-INVEST-CHAIN": false} {
		w := newWorld(t)
		w.withResultsOf("YC-NDRC-01", rules(permitted))
		w.acceptChain("TZ-1")
		a := w.issue("samr-licenses", "TZ-1", permit("JY1", company, "2031-11-22"))
		if !allowed {
			w.refused(a, "not-permitted")
		} else if read[api.ResultAnswer](t, a); a.record.Uses[0].Matter != "YC-NDRC-01" {
			t.Errorf("recorded for matter %q", a.record.Uses[0].Matter)
		}
	}
}
