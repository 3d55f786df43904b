package policy

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

func TestDigestFollowsTheDesign(t *testing.T) {
	files := []File{{Path: "b.yaml", Data: []byte(goodGrant)}, {Path: "条例.yaml", Data: nil}, {Path: "a.cedar", Data: nil}}
	set := load(t, Data{Files: files})
	sha := func(b []byte) string { d := sha256.Sum256(b); return base64.RawURLEncoding.EncodeToString(d[:]) }
	// Written out by hand: paths in byte order, no white space, Chinese characters not escaped.
	text := `[["a.cedar","` + sha(nil) + `"],["b.yaml","` + sha([]byte(goodGrant)) + `"],["条例.yaml","` + sha(nil) + `"]]`
	if got, want := set.Digest(), sha([]byte(text)); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	again := load(t, Data{Files: []File{files[2], files[0], files[1]}})
	if again.Digest() != set.Digest() {
		t.Error("the order in which files are given changes the digest")
	}
	files[1].Data = []byte("# a remark")
	if load(t, Data{Files: files}).Digest() == set.Digest() {
		t.Error("a changed file leaves the digest as it was")
	}
}

// A stored set must decide as the one that was stored, without the rest of the configuration.
func TestStoredSetDecidesTheSame(t *testing.T) {
	files, table := city(t)
	set := load(t, Data{Files: files, Known: cityKnown()})
	stored := load(t, Data{Files: set.Files()})
	if stored.Digest() != set.Digest() {
		t.Fatal("another digest")
	}
	results, _ := RunTable(set, table)
	for _, r := range results {
		if diff := cmp.Diff(r.Got, stored.Decide(r.Question)); diff != "" {
			t.Errorf("%s: %s", r.Name, diff)
		}
	}
}

// The canonical JSON of a question is what evidence keeps; a decision must come back from it.
func TestQuestionSurvivesCanonicalJSON(t *testing.T) {
	files, table := city(t)
	set := load(t, Data{Files: files})
	results, _ := RunTable(set, table)
	for _, r := range results {
		text, err := json.Marshal(r.Question)
		if err != nil {
			t.Fatal(err)
		}
		value := jsontext.Value(text)
		if err := value.Canonicalize(); err != nil {
			t.Fatal(err)
		}
		var q Question
		if err := json.Unmarshal(value, &q, json.RejectUnknownMembers(true)); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		if diff := cmp.Diff(r.Got, set.Decide(q)); diff != "" {
			t.Errorf("%s: %s", r.Name, diff)
		}
	}
	text, err := json.Marshal(Decision{Allow: true, Rules: []string{"g"}, MaxAge: 36 * time.Hour})
	if want := `{"allow":true,"rules":["g"],"max_age":129600000000000}`; err != nil || string(text) != want {
		t.Errorf("got %s %v, want %s", text, err, want)
	}
	var d Decision
	if err := json.Unmarshal(text, &d); err != nil || d.MaxAge != 36*time.Hour {
		t.Errorf("read back as %+v: %v", d, err)
	}
}

func TestSchemaKnowsEveryOperation(t *testing.T) {
	_, after, _ := regexpSplit(Schema, `(?m)^action$`)
	before, _, _ := regexpSplit(after, `(?m)^appliesTo`)
	var actions []string
	for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(before, -1) {
		actions = append(actions, m[1])
	}
	slices.Sort(actions)
	if diff := cmp.Diff(Operations(), actions); diff != "" {
		t.Errorf("the operations and the schema's actions differ: %s", diff)
	}
}

func regexpSplit(s, pattern string) (before, after string, ok bool) {
	at := regexp.MustCompile(pattern).FindStringIndex(s)
	if at == nil {
		return s, "", false
	}
	return s[:at[0]], s[at[1]:], true
}

func TestSchemaKnowsEveryAttribute(t *testing.T) {
	for _, a := range attributes {
		guard := "@id(\"x\") @reason_zh(\"z\") @reason_en(\"e\") forbid(principal, action, resource) when { context." + a.name + " == context." + a.name + " };"
		set := load(t, Data{Files: []File{{Path: "g.cedar", Data: []byte(guard)}}})
		d := set.Decide(Question{Operation: "audit.search"})
		if !slices.Contains(d.Rules, "x") {
			t.Errorf("the guard that reads %s did not fire", a.name)
		}
		if !set.reads.names[a.name] {
			t.Errorf("the set does not know that %s is read", a.name)
		}
	}
}

// A guard whose evaluation errs must refuse, not vanish.
func TestErringGuardFires(t *testing.T) {
	guard := "@id(\"x\") @reason_zh(\"z\") @reason_en(\"e\") forbid(principal, action, resource) when { context.age * 9223372036854775807 > 0 };"
	p := "permissions: [{id: p, systems: [s], operations: [audit.search]}]"
	set := load(t, Data{Files: []File{{Path: "g.cedar", Data: []byte(guard)}, {Path: "p.yaml", Data: []byte(p)}}})
	q := Question{Operation: "audit.search", System: "s"}
	if !set.Decide(q).Allow {
		t.Error("refused although the guard does not hold")
	}
	q.Age = 2 * time.Second
	if set.Decide(q).Allow {
		t.Error("allowed although the guard could not be evaluated")
	}
}

func TestEmptySetDeniesEverything(t *testing.T) {
	set := load(t, Data{})
	for _, op := range append(Operations(), "", "fly") {
		for _, licenseType := range []string{"", "business-license"} {
			d := set.Decide(Question{Operation: op, LicenseType: licenseType})
			if d.Allow || !slices.Equal(d.Rules, []string{DenyByDefault}) || len(d.Reasons) == 0 {
				t.Errorf("%s %s: %+v", op, licenseType, d)
			}
		}
	}
}

// Guards must read what the question says, not something near it.
func TestGuardsReadTheQuestion(t *testing.T) {
	q := Question{
		Operation: "licenses.query", System: "s", Department: "d", LicenseType: "t", Provider: "p", Matter: "m", Material: "a", Role: "spouse",
		Attestation: "holder", Basis: "consent", Consent: true, Fields: []string{"f2", "f1"}, Age: 1500 * time.Millisecond, Purpose: Confirm,
		Now: time.Date(2026, 11, 23, 1, 2, 3, 4e6, time.UTC),
	}
	rules := `shares: [{license_type: t, share: 2, provider: other, sensitive: true, scope: s}]
systems: [{id: s, tags: [window]}]
suspensions: [{id: x, systems: [s], reason_zh: z, reason_en: e, until: 2026-11-23}]`
	for _, condition := range []string{
		`context.matter == "m"`, `context.material == "a"`, `context.role == "spouse"`, `context.attestation == "holder"`, `context.basis == "consent"`,
		`context.consent`, `context.fields == ["f1", "f2"]`, `context.age == 2`, `context.purpose == "confirm"`, `context.now == datetime("2026-11-23T01:02:03.004Z")`,
		`principal.department == "d"`, `principal.tags == ["window"]`, `principal.suspended`, `resource.share == 2`, `resource.sensitive`,
		`resource.provider == "p"`, `resource.suspended == false`, `principal == System::"s" && resource == LicenseType::"t"`,
	} {
		guard := `@id("c") @reason_zh("z") @reason_en("e") forbid(principal, action == Action::"licenses.query", resource) unless { ` + condition + ` };`
		set := load(t, Data{Files: []File{{Path: "g.cedar", Data: []byte(guard)}, {Path: "r.yaml", Data: []byte(rules)}}})
		if d := set.Decide(q); slices.Contains(d.Rules, "c") {
			t.Errorf("%s does not hold", condition)
		}
		if d := set.Decide(Question{Operation: "licenses.query"}); !slices.Contains(d.Rules, "c") && condition != "resource.suspended == false" {
			t.Errorf("%s holds for an empty question too", condition)
		}
	}
}

func TestNames(t *testing.T) {
	files, _ := city(t)
	set := load(t, Data{Files: files})
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		system, matter string
		at             time.Time
		want           bool
	}{
		{"food-approval", "food-permit", at, true},
		{"acceptance", "flat-transfer", at, true},
		{"food-approval", "flat-transfer", at, false},
		{"court", "food-permit", at, false}, // its grant is bound to no matter
		{"court", "", at, false},
		{"food-approval", "food-permit", at.AddDate(2, 0, 0), false},
		{"kiosk", "food-permit", at, false}, // its grant is for pre-checks
	} {
		if got := set.Names(c.system, c.matter, c.at); got != c.want {
			t.Errorf("Names(%s, %s, %v) = %v", c.system, c.matter, c.at, got)
		}
	}
}

// What cannot be said in JSON is an error, and never a question or a decision that says less.
func TestJSONErrors(t *testing.T) {
	for _, v := range []any{Question{System: "\xff"}, Decision{Rules: []string{"\xff"}}} {
		if text, err := json.Marshal(v); err == nil {
			t.Errorf("%T is written as %s", v, text)
		}
	}
	if err := json.Unmarshal([]byte(`{"system":5}`), new(Question)); err == nil {
		t.Error("a number is read as a system")
	}
	if err := json.Unmarshal([]byte(`{"allow":5}`), new(Decision)); err == nil {
		t.Error("a number is read as yes or no")
	}
}

func TestDigestFunctionIsNeeded(t *testing.T) {
	if set, faults := New(Data{}); set != nil || countReasons(faults, "no digest function") != 1 {
		t.Errorf("a set without digests: %v", faults)
	}
}

// A grant that rests on a consent says nothing about cases, though it names matters: its system learns of none.
func TestConsentNamesNoCase(t *testing.T) {
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for grounds, want := range map[string]bool{"case": true, "consent": false} {
		text := strings.Replace(goodGrant, "  basis: b", "  grounds: ["+grounds+"]\n  basis: b", 1)
		if got := load(t, Data{Files: []File{{Path: "a.yaml", Data: []byte(text)}}}).Names("kiosk", "food-permit", at); got != want {
			t.Errorf("by %s: %v, want %v", grounds, got, want)
		}
	}
	if load(t, Data{Files: []File{{Path: "a.yaml", Data: []byte(strings.Replace(goodGrant, "licenses.query", "precheck", 1))}}}).Names("kiosk", "food-permit", at) {
		t.Error("a grant for pre-checks names a case")
	}
	for operations, want := range map[string]bool{"[cases.register]": true, "[cases.read]": false, "[audit.search]": false} {
		text := "permissions: [{id: p, systems: [kiosk], operations: " + operations + ", matters: [food-permit]}]"
		if got := load(t, Data{Files: []File{{Path: "a.yaml", Data: []byte(text)}}}).Names("kiosk", "food-permit", at); got != want {
			t.Errorf("a permission of %s: %v, want %v", operations, got, want)
		}
	}
}

// A license type without a share attribute is conditional, to guards too.
func TestUnstatedShareIsConditional(t *testing.T) {
	for share, fires := range map[string]bool{"1": false, "2": true, "3": false} {
		guard := "@id(\"g\") @reason_zh(\"z\") @reason_en(\"e\") forbid (principal, action, resource) when { resource.share == " + share + " };"
		set := load(t, Data{Files: []File{{Path: "g.cedar", Data: []byte(guard)}, {Path: "p.yaml", Data: []byte("permissions: [{id: p, systems: [kiosk], operations: [licenses.status]}]")}}})
		if got := !set.Decide(Question{Operation: "licenses.status", System: "kiosk", LicenseType: "business-license"}).Allow; got != fires {
			t.Errorf("a guard on share %s fires: %v", share, got)
		}
	}
}
