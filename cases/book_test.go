package cases_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/cases"
	"oncegate/license"
)

func TestBookIsSound(t *testing.T) {
	if faults := book(t).Check(catalogue(t)); len(faults) > 0 {
		t.Errorf("faults in a sound book: %v", faults)
	}
}

func TestBookFaults(t *testing.T) {
	food := func(b *cases.Book) *cases.Matter { return &b.Matters[0] }
	for _, c := range []struct {
		name  string
		spoil func(*cases.Book)
		want  []string
	}{
		{"list", func(b *cases.Book) { b.List = "" }, []string{"$.list"}},
		{"empty", func(b *cases.Book) { b.Matters = nil }, []string{"$.matters"}},
		{"code and name", func(b *cases.Book) { b.Matters[2].Code, b.Matters[2].Name = "a b", "" }, []string{"$.matters[2].code", "$.matters[2].name", "$.matters[3].chain[0]"}},
		{"duplicate matter", func(b *cases.Book) { b.Matters[1].Code = "FOOD" }, []string{"$.matters[1].code"}},
		{"no materials", func(b *cases.Book) { b.Matters[2].Materials = nil }, []string{"$.matters[2].materials"}},
		{"chain of a chain", func(b *cases.Book) { b.Matters[3].Chain = []string{"FOOD", "FOOD", "PROJECT"} }, []string{"$.matters[3].chain[1]", "$.matters[3].chain[2]"}},
		{"chain with its own", func(b *cases.Book) {
			b.Matters[3].Materials, b.Matters[3].Roles = b.Matters[2].Materials, b.Matters[0].Roles
		}, []string{"$.matters[3].materials", "$.matters[3].roles"}},
		{"duplicate role", func(b *cases.Book) { food(b).Roles = append(food(b).Roles, food(b).Roles[0]) }, []string{"$.matters[0].roles[1].name"}},
		{"role", func(b *cases.Book) { food(b).Roles[0].Name, food(b).Roles[0].Title = "Boss", "" }, []string{
			"$.matters[0].materials[1].role", "$.matters[0].roles[0].name", "$.matters[0].roles[0].title",
		}},
		{"applicant confirmed", func(b *cases.Book) { food(b).Roles[0].Name = "applicant" }, []string{
			"$.matters[0].materials[1].role", "$.matters[0].roles[0].name",
		}},
		{"confirmed by nothing", func(b *cases.Book) { food(b).Roles[0].ConfirmedBy.Material = "x" }, []string{"$.matters[0].roles[0].confirmed_by.material"}},
		{"confirmed by itself", func(b *cases.Book) {
			food(b).Roles[0].ConfirmedBy = cases.Confirmation{Material: "representative-id", Field: "holder_code"}
		}, []string{"$.matters[0].roles[0].confirmed_by.material"}},
		{"confirmed by an upload", func(b *cases.Book) { food(b).Roles[0].ConfirmedBy.Material = "form" }, []string{"$.matters[0].roles[0].confirmed_by.material"}},
		{"confirmed by another field", func(b *cases.Book) { food(b).Roles[0].ConfirmedBy.Field = "colour" }, []string{"$.matters[0].roles[0].confirmed_by.field"}},
		{"duplicate material", func(b *cases.Book) { food(b).Materials[2].Code = "representative-id" }, []string{"$.matters[0].materials[2].code"}},
		{"material", func(b *cases.Book) {
			food(b).Materials[2] = cases.Material{Code: "", Need: 4, Route: "mail", LicenseType: "resident-id", Role: "friend", Expect: []cases.Expectation{{}}}
		}, []string{
			"$.matters[0].materials[2].code", "$.matters[0].materials[2].expect", "$.matters[0].materials[2].expect[0]", "$.matters[0].materials[2].fallback.kind",
			"$.matters[0].materials[2].is_need", "$.matters[0].materials[2].license_type", "$.matters[0].materials[2].name",
			"$.matters[0].materials[2].role", "$.matters[0].materials[2].route",
		}},
		{"license type", func(b *cases.Book) { food(b).Materials[1].LicenseType = "pass" }, []string{"$.matters[0].materials[1].license_type"}},
		{"expectations", func(b *cases.Book) {
			food(b).Materials[0].Expect = []cases.Expectation{{Field: "status", Equals: "valid"}, {Field: "number", Equals: "1", Role: "applicant"}, {Field: "number", Role: "friend"}}
		}, []string{"$.matters[0].materials[0].expect[0].field", "$.matters[0].materials[0].expect[1]", "$.matters[0].materials[0].expect[2].role"}},
		{"guardians", func(b *cases.Book) {
			food(b).Guardians = []cases.Guardianship{
				{Material: "x", Field: "y"}, {Material: "form", Field: "y"}, {Material: "business-license", Of: "friend", Field: "legal_representative_code"}, {Material: "business-license", Of: "guardian", Field: "colour"},
				{Material: "business-license", Of: "legal_representative", Field: "legal_representative_code"}, {Material: "business-license", Field: "legal_representative_code"},
			}
		}, []string{"$.matters[0].guardians[0].material", "$.matters[0].guardians[1].material", "$.matters[0].guardians[2].of", "$.matters[0].guardians[2].of", "$.matters[0].guardians[3].field", "$.matters[0].guardians[4].of"}},
		{"guardian as a role", func(b *cases.Book) {
			food(b).Guardians, food(b).Roles[0].Name = []cases.Guardianship{{Material: "business-license", Field: "legal_representative_code"}}, "guardian"
		}, []string{"$.matters[0].materials[1].role", "$.matters[0].roles[0].name"}},
		{"guardians of a chain", func(b *cases.Book) { b.Matters[3].Guardians = []cases.Guardianship{{Material: "x"}} }, []string{"$.matters[3].guardians"}},
		{"results", func(b *cases.Book) { food(b).Results = []string{"business-license", "business-license", "x"} }, []string{"$.matters[0].results[1]", "$.matters[0].results[2]"}},
		{"results of a chain", func(b *cases.Book) { b.Matters[3].Results = []string{"business-license"} }, []string{"$.matters[3].results"}},
		{"upload with days", func(b *cases.Book) { food(b).Materials[0].Fallback.Days = 1 }, []string{"$.matters[0].materials[0].fallback.days"}},
		{"necessary tolerated", func(b *cases.Book) { food(b).Materials[0].Fallback = cases.Fallback{Kind: "tolerate", Days: 300} }, []string{
			"$.matters[0].materials[0].fallback.days", "$.matters[0].materials[0].fallback.kind",
		}},
		{"tolerable uploaded", func(b *cases.Book) { food(b).Materials[0].Need = cases.Tolerable }, []string{"$.matters[0].materials[0].fallback.kind"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := book(t)
			c.spoil(b)
			var paths []string
			for _, fault := range b.Check(catalogue(t)) {
				paths = append(paths, fault.Path)
			}
			slices.Sort(paths)
			if diff := cmp.Diff(c.want, paths); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMattersOf(t *testing.T) {
	b := book(t)
	codes := func(c cases.Case) (codes []string) {
		for _, m := range b.MattersOf(c) {
			codes = append(codes, m.Code)
		}
		return codes
	}
	for _, c := range []struct {
		matter string
		parts  []cases.Part
		want   []string
	}{
		{"FOOD", nil, []string{"FOOD"}},
		{"PROJECT", nil, []string{"FILING", "FOOD"}},
		{"PROJECT", []cases.Part{{Matter: "FOOD"}}, []string{"FOOD"}},
		{"NONE", nil, nil},
	} {
		if diff := cmp.Diff(c.want, codes(cases.Case{Matter: c.matter, Parts: c.parts})); diff != "" {
			t.Errorf("%s %v (-want +got):\n%s", c.matter, c.parts, diff)
		}
	}
}

func TestRolesOf(t *testing.T) {
	lower := license.HolderID{Type: "111", Code: " 11010519491231002x"}
	if roles := couple().RolesOf(lower); !slices.Equal(roles, []string{"applicant"}) {
		t.Errorf("roles %v", roles)
	}
	if roles := couple().RolesOf(bert); !slices.Equal(roles, []string{"spouse", "co_owner"}) {
		t.Errorf("roles %v", roles)
	}
}

// A look-up does not walk the book: a province has tens of thousands of matters, and a call looks one up several times.
func TestMatterInLargeBook(t *testing.T) {
	var b cases.Book
	add := func(n int) {
		for i := len(b.Matters); i < n; i++ {
			b.Matters = append(b.Matters, cases.Matter{Code: fmt.Sprint("M-", i), Name: fmt.Sprint("matter ", i)})
		}
	}
	lookup := func(code string) time.Duration {
		const times = 1000
		begun := time.Now()
		for range times {
			if m, ok := b.Matter(code); !ok || m.Code != code {
				t.Fatalf("%s: %v, %v", code, m.Code, ok)
			}
		}
		return time.Since(begun) / times
	}
	add(50_000)
	lookup("M-0") // the first one reads the book
	fastest := time.Hour
	for range 5 {
		fastest = min(fastest, lookup("M-49999"))
	}
	if fastest > 10*time.Microsecond {
		t.Errorf("the last of %d matters is found in %s", len(b.Matters), fastest)
	}
	add(50_001)
	lookup("M-50000") // what is appended is found
	if _, ok := b.Matter("M-50001"); ok {
		t.Error("found what is not there")
	}
	b.Matters[7].Name = "renamed"
	b.Matters = append(b.Matters, cases.Matter{Code: "M-7", Name: "second"})
	if m, _ := b.Matter("M-7"); m.Name != "renamed" {
		t.Errorf("of two matters with one code the first counts, not %s", m.Name)
	}
}
