package gateway

import (
	"slices"
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/cases"
)

// Law 3: comparing a field is a release. A matter that expects something of a field that nobody granted compares nothing and
// asks nobody; granted for confirming, it is compared inside, recorded, and never leaves.
func TestComparingIsARelease(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	expect := func(value string) {
		w.reload(func(s *Snapshot) {
			book := &cases.Book{List: s.Book.List, Matters: slices.Clone(s.Book.Matters)}
			food := &book.Matters[slices.IndexFunc(book.Matters, func(m cases.Matter) bool { return m.Code == "YC-FOOD-01" })]
			food.Materials = slices.Clone(food.Materials)
			food.Materials[0].Expect = []cases.Expectation{{Field: "registered_capital", Equals: value}}
			s.Book = book
		})
	}
	check := func() (api.CheckedMaterial, answered) {
		a := w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{"materials": []string{"business-license"}})
		if strings.Contains(string(a.body), "1000000.00") {
			t.Error("the compared field left")
		}
		return material(t, read[api.CheckAnswer](t, a), "business-license"), a
	}
	expect("1000000.00")
	m, a := check()
	if m.State != "denied" || w.legacy["business-license"].asked() != 0 || len(a.record.Uses[0].Fields) != 0 {
		t.Errorf("not granted: %s, asked %d times", m.State, w.legacy["business-license"].asked())
	}
	w.rules("confirm.yaml", `
grants:
  - {id: food/compare, agreement: 测试, provider: samr, systems: [food-approval], license_type: business-license, operations: [cases.check], purpose: confirm,
     matters: [YC-FOOD-01], fields: [registered_capital], basis: 测试, basis_kind: rule, scenario: 测试, attestation: platform, valid_until: "2030-12-31"}
`)
	m, a = check()
	if m.State != "met" || m.Fields["registered_capital"] != "" || !slices.Contains(m.Rules, "food/compare") || !slices.Contains(a.record.Uses[0].Fields, "registered_capital") {
		t.Errorf("granted: %+v, use %+v", m, a.record.Uses[0])
	}
	expect("2000000.00")
	m, a = check()
	if m.State != "mismatched" || m.License != "" || m.Reason.Code != "not-as-expected" || !slices.Equal(a.record.Uses[0].Fields, []string{"registered_capital"}) {
		t.Errorf("not as expected: %+v, use %+v", m, a.record.Uses[0])
	}
}
