package gateway

import (
	"slices"
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
)

// Law 3: comparing a field is a release. A matter that expects something of a field that nobody granted compares nothing and
// asks nobody; granted for confirming, it is compared inside, recorded, and never leaves.
func TestComparingIsARelease(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	expect := func(value string) {
		w.reload(func(s *Snapshot) {
			book := cloneBook(s.Book)
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

// Law 3: naming a number compares it, and whoever tries one after the other reads what it says, such as the year of a marriage. It needs
// the number granted, for confirming at least; else nobody is asked. The record says that it was compared, also where nothing was found.
func TestNamingANumberComparesIt(t *testing.T) {
	w := newWorld(t)
	w.acceptFlat("BDC-1")
	rules := func(fields, purpose string) {
		text := strings.NewReplacer("FIELDS", fields, "PURPOSE", purpose).Replace(`
grants:
  - {id: land/location, agreement: 测试, provider: civil, systems: [food-approval], license_type: marriage-certificate, operations: [licenses.query],
     matters: [YC-LAND-07], fields: [registered_on], basis: 测试, basis_kind: rule, scenario: 测试, attestation: platform, valid_until: "2030-12-31"}
  - {id: land/number, agreement: 测试, provider: civil, systems: [food-approval], license_type: marriage-certificate, operations: [licenses.query], purpose: PURPOSE,
     matters: [YC-LAND-07], fields: [FIELDS], basis: 测试, basis_kind: rule, scenario: 测试, attestation: platform, valid_until: "2030-12-31"}
`)
		w.rules("number.yaml", text)
	}
	source := w.legacy["marriage-certificate"]
	held := source.get(license.Question{Type: "marriage-certificate", Holder: wife})[0]
	ask := func(number string, fields ...string) answered {
		q := query("marriage-certificate", wife, "BDC-1")
		q["purpose"] = map[string]any{"case": "BDC-1", "material": "marriage-certificate"}
		if q["number"] = number; fields != nil {
			q["fields"] = fields
		}
		return w.call("food-approval", "POST", queryPath, q)
	}
	rules("sex", "answer")
	before := source.asked()
	for _, number := range []string{held.Number, "none"} {
		a := ask(number)
		if w.refused(a, "fields-not-granted"); source.asked() != before || strings.Contains(strings.Join(a.record.Uses[0].Fields, " "), "number") {
			t.Errorf("%s: the source was asked, %+v", number, a.record.Uses[0])
		}
	}
	for _, purpose := range []string{"confirm", "answer"} {
		rules("number", purpose)
		found, none := ask(held.Number, "registered_on"), ask("none", "registered_on")
		if got := read[api.QueryAnswer](t, found); len(got.Licenses) != 1 || got.Licenses[0].Fields["number"] != "" || got.Licenses[0].Fields["registered_on"] == "" {
			t.Errorf("%s: %s", purpose, found.answer)
		}
		if got := read[api.QueryAnswer](t, none); got.Found != api.FoundNotFound {
			t.Errorf("%s: %s", purpose, none.answer)
		}
		if f := found.record.Uses[0]; !slices.Equal(f.Fields, []string{"number", "registered_on"}) || !slices.Contains(f.Rules, "land/number") {
			t.Errorf("%s: the record of what was found: %+v", purpose, f)
		}
		if f := none.record.Uses[0]; !slices.Equal(f.Fields, []string{"number"}) || f.Decision != "missing" {
			t.Errorf("%s: the record of what was not: %+v", purpose, f)
		}
	}
}
