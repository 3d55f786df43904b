package policy

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// sum stands in for SM3, which policy does not import.
// cityKnown are the names the rest of the city's configuration would define.
func cityKnown() *Known {
	names := func(list ...string) map[string]bool {
		m := map[string]bool{}
		for _, n := range list {
			m[n] = true
		}
		return m
	}
	return &Known{
		Departments: names("market", "police", "tax", "health", "food", "audit"),
		Systems:     names("food-approval", "acceptance", "kiosk", "court", "auditor", "misuser"),
		Types: map[string][]string{
			"business-license": {"name", "number", "legal_representative", "legal_representative_code", "address"},
			"resident-id":      {"name", "number", "photo"},
			"tax-certificate":  {"number", "amount"},
			"health-record":    {"name"},
		},
		Matters: map[string]KnownMatter{
			"food-permit": {
				Roles:     names("legal_representative"),
				Materials: map[string]string{"m-business": "business-license", "m-id": "resident-id", "m-health": "health-record"},
			},
			"flat-transfer": {Roles: names("spouse"), Materials: map[string]string{"m-tax": "tax-certificate"}},
		},
		Operators: map[string][]string{"acceptance": {"clerk", "reviewer"}, "auditor": {"investigator"}},
	}
}

// city reads the files of the sample policy.
func city(t testing.TB) (files []File, table File) {
	t.Helper()
	paths, err := filepath.Glob("testdata/city/*")
	if err != nil || len(paths) < 4 {
		t.Fatalf("the sample city is incomplete: %v %v", paths, err)
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		f := File{Path: filepath.Base(p), Data: data}
		if filepath.Base(p) == "city"+TableSuffix {
			table = f
		} else {
			files = append(files, f)
		}
	}
	return files, table
}

// load makes a set that must have no fault.
func load(t testing.TB, data Data) *Set {
	t.Helper()
	if data.NewSM3 == nil {
		data.NewSM3 = sha256.New
	}
	set, faults := New(data)
	for _, f := range faults {
		t.Errorf("%s", f)
	}
	if len(faults) > 0 {
		t.FailNow()
	}
	return set
}

func TestCityTable(t *testing.T) {
	files, table := city(t)
	set := load(t, Data{Files: files, Known: cityKnown()})
	results, faults := RunTable(set, table)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	seen := map[string]bool{}
	for _, r := range results {
		for _, d := range r.Diff {
			t.Errorf("%s: %s: %s", r.Place, r.Name, d)
		}
		for _, reason := range r.Got.Reasons {
			seen[reason.Code] = true
			if reason.Zh == "" || reason.En == "" {
				t.Errorf("%s: reason %s has no sentence", r.Name, reason.Code)
			}
		}
		if len(r.Got.Rules) == 0 {
			t.Errorf("%s: no rule named", r.Name)
		}
	}
	for _, code := range Codes() {
		if !seen[code] {
			t.Errorf("no row of the table shows the reason %s", code)
		}
	}
	if len(results) < 50 {
		t.Errorf("only %d rows ran", len(results))
	}
}

func TestReasonsStandInFixedOrder(t *testing.T) {
	files, table := city(t)
	set := load(t, Data{Files: files})
	results, _ := RunTable(set, table)
	for _, r := range results {
		places := make([]int, len(r.Got.Reasons))
		for i, reason := range r.Got.Reasons {
			places[i] = slices.Index(Codes(), reason.Code)
		}
		if !slices.IsSorted(places) {
			t.Errorf("%s: reasons out of order: %v", r.Name, r.Got.Reasons)
		}
	}
}

func TestLookups(t *testing.T) {
	files, _ := city(t)
	set := load(t, Data{Files: files})
	day := func(s string) time.Time { d, _ := parseDayOrTime(s, false); return d }
	for _, c := range []struct {
		licenseType, day string
		want             time.Duration
	}{
		{"business-license", "2026-11-23", 7 * 24 * time.Hour},
		{"business-license", "2028-01-01", 0}, // every grant has expired
		{"resident-id", "2026-11-23", 0},
		{"unheard-of", "2026-11-23", 0},
	} {
		if got := set.LongestAge(c.licenseType, day(c.day)); got != c.want {
			t.Errorf("LongestAge(%s, %s) = %v, want %v", c.licenseType, c.day, got, c.want)
		}
	}
	if !set.AsksConsent("food-approval", "resident-id", "food-permit") || !set.AsksConsent("kiosk", "business-license", "food-permit") {
		t.Error("a grant that asks for consent was not found")
	}
	if set.AsksConsent("food-approval", "business-license", "food-permit") {
		t.Error("no grant on the business license asks the food permit for consent")
	}
}

func TestWarnings(t *testing.T) {
	files, _ := city(t)
	set := load(t, Data{Files: files, Known: cityKnown(), Now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)})
	want := map[string]int{"has expired": 9, "are not shared": 1, "no identity service may prove": 0}
	for phrase, n := range want {
		if got := countReasons(set.Warnings(), phrase); got != n {
			t.Errorf("%d warnings say %q, want %d: %v", got, phrase, n, set.Warnings())
		}
	}
	known := cityKnown()
	known.Operators = map[string][]string{"kiosk": {"reviewer"}} // at a system of no rule that asks for proof
	set = load(t, Data{Files: files, Known: known})
	if got := countReasons(set.Warnings(), "no identity service may prove"); got != 2 { // a grant and a permission
		t.Errorf("%d warnings of proof that nobody may give: %v", got, set.Warnings())
	}
}
