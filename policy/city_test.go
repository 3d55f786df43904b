package policy

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
		Filings: map[string][]string{"lease": {"file", "level", "status"}},
		Trust:   []string{"A", "B"},
		Matters: map[string]KnownMatter{
			"food-permit": {
				Roles:     names("legal_representative"),
				Materials: map[string]string{"m-business": "business-license", "m-id": "resident-id", "m-health": "health-record"},
			},
			"park":          {Materials: map[string]string{"m-lease": ""}, Filings: map[string]string{"m-lease": "lease"}},
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
	if b, ok := set.Basis("court-order"); !ok || b.Title != "人民法院协助执行" {
		t.Errorf("the basis court-order is %+v", b)
	}
	if b, ok := set.Basis("case"); ok {
		t.Errorf("a case needs no entry among the bases, and is %+v", b)
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
	want := map[string]int{"has expired": 10, "are not shared": 1, "no identity service may prove": 0}
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

// Each grant that can never fire, and no other, is warned of; where the rest of the configuration is not known, nothing is said about it.
func TestWarningsOfOneGrant(t *testing.T) {
	const suspended = "suspensions:\n- {id: s, systems: [kiosk], reason_zh: z, reason_en: e}\n"
	change := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(goodGrant) }
	day := func(s string) time.Time { d, _ := parseDayOrTime(s, false); return d }
	stated := "shares:\n- {license_type: business-license, share: 1}\n- {license_type: resident-id, share: 1}\n"
	for name, c := range map[string]struct {
		text  string
		now   time.Time
		known *Known
		want  string // "" for none
	}{
		"good":                           {text: goodGrant, known: cityKnown()},
		"its last moment":                {text: goodGrant, now: day("2027-01-02").Add(-time.Millisecond)},
		"the moment after":               {text: goodGrant, now: day("2027-01-02"), want: "has expired"},
		"no time is given":               {text: goodGrant},
		"a type without a material":      {text: change("business-license", "tax-certificate", "[name]", "[number]"), known: cityKnown(), want: "none of its matters has a material"},
		"nothing is known of matters":    {text: change("business-license", "tax-certificate", "[name]", "[number]")},
		"a material of the type":         {text: change("  basis: b", "  materials: [m-business]\n  basis: b"), known: cityKnown()},
		"a material of another type":     {text: change("  basis: b", "  materials: [m-id]\n  basis: b"), known: cityKnown(), want: "none of its matters has a material"},
		"for consents too":               {text: change("business-license", "tax-certificate", "[name]", "[number]", "  basis: b", "  grounds: [case, consent]\n  basis: b"), known: cityKnown()},
		"for consents":                   {text: change("business-license", "tax-certificate", "[name]", "[number]", "  basis: b", "  grounds: [consent]\n  basis: b"), known: cityKnown()},
		"all systems suspended":          {text: goodGrant + suspended, want: "suspended without end"},
		"one of two suspended":           {text: change("[kiosk]", "[kiosk, court]") + suspended},
		"suspended from a day":           {text: goodGrant + strings.Replace(suspended, "}", ", from: 2026-01-01}", 1)},
		"suspended until a day":          {text: goodGrant + strings.Replace(suspended, "}", ", until: 2026-01-01}", 1)},
		"suspended for a type":           {text: goodGrant + strings.Replace(suspended, "systems", "license_types: [resident-id], systems", 1)},
		"proof where nobody may give it": {text: goodGrant + "  operator_proof: session\n", known: cityKnown(), want: "no identity service"},
		"an asserted operator":           {text: goodGrant + "  operator_proof: asserted\n", known: cityKnown()},
		"proof that may be given":        {text: change("[kiosk]", "[kiosk, acceptance]") + "  operator_proof: session\n", known: cityKnown()},
		"a role that may be asserted":    {text: change("[kiosk]", "[acceptance]") + "  operator_roles: [clerk, investigator]\n", known: cityKnown()},
		"a role of another system":       {text: change("[kiosk]", "[acceptance]") + "  operator_roles: [investigator]\n", known: cityKnown(), want: "no identity service"},
		"proof where nothing is known":   {text: goodGrant + "  operator_proof: session\n"},
	} {
		if strings.Contains(c.text, "tax-certificate") {
			c.text += "shares: [{license_type: tax-certificate, share: 1}]\n"
		} else {
			c.text += stated
		}
		set := load(t, Data{Files: []File{{Path: "a.yaml", Data: []byte(c.text)}}, Known: c.known, Now: c.now})
		switch w := set.Warnings(); {
		case c.want == "" && len(w) > 0, c.want != "" && (len(w) != 1 || !strings.Contains(w[0].Reason, c.want)):
			t.Errorf("%s: want %q, got %v", name, c.want, w)
		}
	}
	if w := load(t, Data{Files: []File{{Path: "a.yaml", Data: []byte(goodGrant)}}}).Warnings(); countReasons(w, "has no share attribute") != 1 {
		t.Errorf("a type without a share attribute: %v", w)
	}
}

// LongestAge is of grants that stand, of types that are shared.
func TestLongestAge(t *testing.T) {
	day := func(s string) time.Time { d, _ := parseDayOrTime(s, false); return d }
	grant := goodGrant + "  max_age: 2d\n  valid_from: 2026-01-01\n"
	shorter := strings.Replace(strings.TrimPrefix(grant, "grants:\n"), "id: g", "id: h", 1)
	grant += strings.Replace(shorter, "2d", "1d", 1)
	for name, c := range map[string]struct {
		more, day string
		want      time.Duration
	}{
		"valid":               {"", "2026-06-01", 48 * time.Hour},
		"on its first day":    {"", "2026-01-01", 48 * time.Hour},
		"too early":           {"", "2025-12-31", 0},
		"too late":            {"", "2027-01-02", 0},
		"not shared":          {"shares: [{license_type: business-license, share: 3, reason: r, basis: b}]", "2026-06-01", 0},
		"the grant suspended": {"suspensions: [{id: s, rules: [g], reason_zh: z, reason_en: e}]", "2026-06-01", 24 * time.Hour},
		"the type suspended":  {"suspensions: [{id: s, license_types: [business-license], reason_zh: z, reason_en: e}]", "2026-06-01", 0},
		"a system suspended":  {"suspensions: [{id: s, systems: [kiosk], license_types: [business-license], reason_zh: z, reason_en: e}]", "2026-06-01", 48 * time.Hour},
		"suspended later":     {"suspensions: [{id: s, rules: [g], from: 2026-07-01, reason_zh: z, reason_en: e}]", "2026-06-01", 48 * time.Hour},
	} {
		set := load(t, Data{Files: []File{{Path: "a.yaml", Data: []byte(grant + c.more)}}})
		if got := set.LongestAge("business-license", day(c.day)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
