package license_test

import (
	"os"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"oncegate/license"
)

func loadCatalogue(t testing.TB) *license.Catalogue {
	t.Helper()
	text, err := os.ReadFile("testdata/catalogue.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cat license.Catalogue
	if err := yaml.UnmarshalWithOptions(text, &cat, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return &cat
}

func TestCatalogueIsSound(t *testing.T) {
	if faults := loadCatalogue(t).Check(); len(faults) > 0 {
		t.Errorf("faults in a sound catalogue: %v", faults)
	}
}

func TestCatalogueFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*license.Catalogue)
		want  []string // paths
	}{
		{"list", func(c *license.Catalogue) { c.List = "" }, []string{"$.list"}},
		{"no types", func(c *license.Catalogue) { c.Types = nil }, []string{"$.types"}},
		{"duplicate type", func(c *license.Catalogue) { c.Types[1].ID = c.Types[0].ID }, []string{"$.types[1].id"}},
		{"duplicate code", func(c *license.Catalogue) {
			c.Types[1].Code, c.Types[1].CodeConfidence = c.Types[0].Code, "local"
		}, []string{"$.types[1].code"}},
		{"id form", func(c *license.Catalogue) { c.Types[0].ID = "Business License" }, []string{"$.types[0].id"}},
		{"no name", func(c *license.Catalogue) { c.Types[0].Name = "" }, []string{"$.types[0].name"}},
		{"credit code in type code", func(c *license.Catalogue) { c.Types[0].Code = "11100000MB0143028T001" }, []string{"$.types[0].code"}},
		{"confidence", func(c *license.Catalogue) { c.Types[0].CodeConfidence = "sure" }, []string{"$.types[0].code_confidence"}},
		{"confidence without code", func(c *license.Catalogue) { c.Types[1].CodeConfidence = "published" }, []string{"$.types[1].code_confidence"}},
		{"defined by another", func(c *license.Catalogue) { c.Types[0].DefinedBy.Code = publicBodies[1] }, []string{"$.types[0].defined_by.code"}},
		{"defining body's code", func(c *license.Catalogue) { c.Types[1].DefinedBy.Code = "1" }, []string{"$.types[1].defined_by.code"}},
		{"level", func(c *license.Catalogue) { c.Types[0].DefinedBy.Level = "6" }, []string{"$.types[0].defined_by.level"}},
		{"category", func(c *license.Catalogue) { c.Types[0].HolderCategory = "5" }, []string{"$.types[0].holder_category"}},
		{"validity range", func(c *license.Catalogue) { c.Types[0].ValidityRange = "1年^" }, []string{"$.types[0].validity_range"}},
		{"issuers", func(c *license.Catalogue) {
			c.Types[0].Issuers = []string{publicBodies[0], publicBodies[0], "2"}
		}, []string{"$.types[0].issuers[1]", "$.types[0].issuers[2]"}},
		{"open claim", func(c *license.Catalogue) { c.Types[0].Fields[1].Name = "iss" }, []string{"$.types[0].fields[1].name"}},
		{"field", func(c *license.Catalogue) {
			c.Types[0].Fields[1] = license.Field{Name: "legal_representative", Short: "KZ_FDDBR", Kind: "blob", MaxLength: -1}
		}, []string{
			"$.types[0].fields[1].name", "$.types[0].fields[1].short", "$.types[0].fields[1].title",
			"$.types[0].fields[1].kind", "$.types[0].fields[1].max_length",
		}},
		{"field takes a common name", func(c *license.Catalogue) { c.Types[0].Fields[0].Name = "holder_name" }, []string{"$.types[0].fields[0].name"}},
		{"field takes a common short name", func(c *license.Catalogue) { c.Types[0].Fields[0].Short = "ZZBH" }, []string{"$.types[0].fields[0].short"}},
		{"field name form", func(c *license.Catalogue) { c.Types[0].Fields[0].Name = "Legal.Rep" }, []string{"$.types[0].fields[0].name"}},
		{"holder codes", func(c *license.Catalogue) {
			c.HolderCodes = append(c.HolderCodes, license.CodeType{Code: "001", Check: "luhn"}, license.CodeType{Code: "1", Name: "x"})
		}, []string{"$.holder_codes[3].code", "$.holder_codes[3].name", "$.holder_codes[3].check", "$.holder_codes[4].code"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cat := loadCatalogue(t)
			c.spoil(cat)
			var paths []string
			for _, fault := range cat.Check() {
				paths = append(paths, fault.Path)
				if fault.Reason == "" {
					t.Error("a fault without a reason")
				}
			}
			slices.Sort(paths)
			slices.Sort(c.want)
			if diff := cmp.Diff(c.want, paths); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLookups(t *testing.T) {
	cat := loadCatalogue(t)
	business, ok := cat.Type("business-license")
	if !ok || business.Name != "营业执照" {
		t.Fatal("the business license is missing")
	}
	if byCode, ok := cat.TypeByCode(typeCode); !ok || byCode.ID != business.ID {
		t.Error("not found by code")
	}
	if _, ok := cat.TypeByCode(""); ok {
		t.Error("a type without a code is found by none")
	}
	if _, ok := cat.Type("driving-license"); ok {
		t.Error("found a type that is not there")
	}
	for name, want := range map[string]bool{"capital": true, "holder_name": true, "status": true, "ZZMC": false, "": false} {
		if _, ok := business.Field(name); ok != want {
			t.Errorf("field %q: %v", name, ok)
		}
	}
	names := business.Grantable()
	if slices.Contains(names, "identifier") || !slices.Contains(names, "status") || names[len(names)-1] != "food_number" {
		t.Errorf("grantable: %v", names)
	}
}

func TestCheckHolder(t *testing.T) {
	cat := loadCatalogue(t)
	for _, c := range []struct {
		holder license.HolderID
		want   license.Reason
	}{
		{license.HolderID{Type: "001", Code: publicBodies[0]}, ""},
		{license.HolderID{Type: "414", Code: "E12345678"}, ""},
		{license.HolderID{Type: "001", Code: "11010519491231002X"}, license.WrongCheck},
		{license.HolderID{Type: "10", Code: "11010519491231002X"}, license.UnknownCode},
	} {
		if err := cat.CheckHolder(c.holder); license.ReasonOf(err) != c.want {
			t.Errorf("%v: %v, want %q", c.holder, err, c.want)
		}
	}
	if _, ok := (&license.Catalogue{}).CodeType("516"); !ok {
		t.Error("a catalogue that lists no holder codes has none of the national list")
	}
}

func TestMetadata(t *testing.T) {
	for short, name := range map[string]string{"ZZMC": "name", "ZZBH": "number", "CZZTDM": "holder_code", "ZZYXQJZRQ": "valid_to"} {
		if m, ok := license.FindMetadatum(short); !ok || m.Name != name {
			t.Errorf("%s is %q", short, m.Name)
		}
	}
	if _, ok := license.FindMetadatum(""); ok {
		t.Error("the empty name finds something")
	}
	seen := map[string]bool{}
	for _, m := range license.Metadata() {
		if seen[m.Name] || seen[m.Short] || m.Title == "" || m.TitleEN == "" {
			t.Errorf("%s stands twice or has no title", m.Name)
		}
		seen[m.Name], seen[m.Short] = true, m.Short != ""
	}
}

// Who can hold what follows from the type's holder category; of codes that nobody knows nothing is certain.
func TestCanHold(t *testing.T) {
	c := license.Catalogue{Types: []license.Type{{ID: "personal", HolderCategory: "1"}, {ID: "legal", HolderCategory: "2"}, {ID: "mixed", HolderCategory: "3"}}}
	for _, kind := range license.HolderCodes() {
		organisation := kind.Code[0] == '0'
		if c.CanHold("personal", kind.Code) == organisation || c.CanHold("legal", kind.Code) != organisation || !c.CanHold("mixed", kind.Code) {
			t.Errorf("code type %s", kind.Code)
		}
	}
	if !c.CanHold("legal", "777") || !c.CanHold("personal", "777") || !c.CanHold("no-such", "111") {
		t.Error("something is certain of what nobody knows")
	}
}
