package policy

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// update writes testdata/explained.txt anew.
var update = flag.Bool("update", false, "write the golden files of this package")

// TestExplained holds every sentence of the explanations of the city's decisions, and of its grants in both languages, against what
// somebody has read and found right: testdata/explained.txt.
func TestExplained(t *testing.T) {
	files, table := city(t)
	set := load(t, Data{Files: files})
	results, _ := RunTable(set, table)
	var b strings.Builder
	explain := func(name string, q Question) {
		fmt.Fprintf(&b, "# %s\n%s\n\n", name, strings.Join(set.Explain(q, "en"), "\n"))
	}
	for _, r := range results {
		explain(r.Name, r.Question)
	}
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	explain("an operation that no grant opens, of a type that is granted", Question{Operation: "licenses.manage", System: "food-approval", LicenseType: "business-license", Now: now})
	explain("a permission that is not valid any more, beside a grant that does not fire", Question{Operation: "licenses.status", System: "kiosk", LicenseType: "business-license", Matter: "food-permit", Role: Applicant, Basis: ByCase, Age: time.Hour, Now: now})
	named := func(prefix string) func(string) string { return func(id string) string { return prefix + id } }
	grants := append(set.Grants(), Grant{
		ID: "all", Agreement: "a", Provider: "market", Systems: []string{"kiosk", "court"}, LicenseType: "business-license", Operations: []string{"licenses.query"},
		Consent: true, OperatorProof: ProofCall, OperatorRoles: []string{"clerk", "head"}, Basis: "b",
	})
	for _, g := range grants {
		names := Names{Department: named("the "), System: named(""), LicenseType: func(string) string { return "" }, Matter: named("the matter "), Field: func(licenseType, id string) string { return licenseType + "'s " + id }}
		fmt.Fprintf(&b, "# grant %s\n%s\n%s\n\n", g.ID, g.Sentence("en", names), g.Sentence("zh", Names{}))
	}
	const golden = "testdata/explained.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); diff != "" {
		t.Errorf("read the difference; go test ./policy -run TestExplained -update writes it (-want +got):\n%s", diff)
	}
}

func TestExplain(t *testing.T) {
	files, table := city(t)
	set := load(t, Data{Files: files})
	results, _ := RunTable(set, table)
	want := map[string][]string{ // name of the row → what its explanation must say, in English and in Chinese
		"the food permit reuses the business license": {"Grant g-food-business fires", "Fields that may leave: name, number", "授权 g-food-business 生效", "可提供字段：name、number"},
		"without consent the photo stays":             {"Rule g-food-id-photo applies but does not fire: A consent of the holder", "Fields kept back, photo", "规则 g-food-id-photo 适用但未生效：缺少持证主体的有效同意"},
		"another role":                                {"does not apply: The role is not among those granted", "授权不包含该角色"},
		"another matter":                              {"The matter is not among those granted", "授权不包含该事项"},
		"a guard withholds one field":                 {"Guard number-not-to-health withholds the fields number", "防护规则 number-not-to-health 不提供字段 number"},
		"a suspended type":                            {"Suspension s-tax is in force", "暂停 s-tax 有效"},
		"a type that is not shared":                   {"License type health-record is not shared", "不予共享"},
		"a kiosk and a sensitive license":             {"Guard no-kiosk-sensitive refuses", "防护规则 no-kiosk-sensitive 拒绝"},
		"two grants add up and obligations follow":    {"Obligations: notify-holder, watermark", "义务：notify-holder、watermark"},
		"a session does not do where the call must be proven": {"Operator proof session, roles proven by an identity service: reviewer", "经办人证明 session",
			"Rule g-food-address-reviewed applies but does not fire: Operator proof 'call' is required; this call has 'session'", "须有经办人证明“call”；本次请求为“session”"},
		"what the system says of its operator proves no role": {"One of the operator roles reviewer is required; this call proves: none", "须有经办人角色“reviewer”之一；本次请求证明的角色：无"},
		"the auditor searches":                                {"Permission p-audit fires", "许可 p-audit 生效"},
		"an operation nobody knows":                           {"The operation is not known", "未知的操作"},
	}
	for _, r := range results {
		both := strings.Join(set.Explain(r.Question, "en"), "\n") + "\n" + strings.Join(set.Explain(r.Question, "zh-CN"), "\n")
		for _, phrase := range want[r.Name] {
			if !strings.Contains(both, phrase) {
				t.Errorf("%s: the explanation lacks %q:\n%s", r.Name, phrase, both)
			}
		}
		delete(want, r.Name)
		outcome := map[bool]string{true: "Outcome: allowed", false: "Outcome: denied"}[r.Got.Allow]
		if !strings.Contains(both, outcome) || strings.Contains(both, "%!") || strings.Contains(both, ": .") {
			t.Errorf("%s: the explanation is not well formed:\n%s", r.Name, both)
		}
		t.Logf("%s\n%s", r.Name, both)
	}
	for name := range want {
		t.Errorf("the table has no row %q", name)
	}
}

func TestGrantsReadAsSentences(t *testing.T) {
	files, _ := city(t)
	for _, g := range load(t, Data{Files: files}).Grants() {
		for _, lang := range []string{"zh", "en"} {
			s := g.Sentence(lang, Names{LicenseType: func(id string) string { return "<" + id + ">" }})
			if strings.Contains(s, "%!") || !strings.Contains(s, "<"+g.LicenseType+">"+map[string]string{"zh": "（", "en": " ("}[lang]+g.LicenseType) || !strings.Contains(s, g.Provider) || !strings.Contains(s, g.Basis) || !strings.Contains(s, "2027-12-31") {
				t.Errorf("%s: %s", g.ID, s)
			}
		}
	}
}
