package policy

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"oncegate/fault"
)

func countReasons(faults fault.List, phrase string) (n int) {
	for _, f := range faults {
		if strings.Contains(f.Reason, phrase) {
			n++
		}
	}
	return n
}

const goodGrant = `grants:
- id: g
  agreement: a
  provider: market
  systems: [kiosk]
  license_type: business-license
  operations: [licenses.query]
  matters: [food-permit]
  fields: [name]
  basis: b
  basis_kind: law
  scenario: s
  attestation: self
  valid_until: 2027-01-01
`

func TestFaults(t *testing.T) {
	change := func(old, with string) string {
		if !strings.Contains(goodGrant, old) {
			t.Fatalf("%q is not in the grant", old)
		}
		return strings.Replace(goodGrant, old, with, 1)
	}
	filed := func(old, with string) string {
		text := strings.NewReplacer("license_type: business-license", "filing_type: lease\n  trust: A", "licenses.query", "cases.check", "food-permit", "park", "[name]", "[level]").Replace(goodGrant)
		return strings.Replace(text, old, with, 1)
	}
	rule := func(head, body string) string { return head + "\n@reason_zh(\"z\")\n@reason_en(\"e\")\n" + body }
	for _, c := range []struct {
		name, file, text, at, phrase string
	}{
		{"unknown key", "a.yaml", change("  basis: b", "  bases: b"), "a.yaml:10:3", `unknown key "bases"`},
		{"unknown list", "a.yaml", "grantz: []", "a.yaml:1:1", `unknown key "grantz"`},
		{"wrong kind", "a.yaml", change("[kiosk]", "{a: b}"), "a.yaml:5:", ""},
		{"no list", "a.yaml", "grants: 5", "a.yaml:1:9", "a list is expected"},
		{"nothing in a list", "a.yaml", "grants: [~]", "a.yaml:1:10", "a mapping is expected"},
		{"no mapping", "a.yaml", "grants: [5]", "a.yaml:1:10", "a mapping is expected"},
		{"no root", "a.yaml", "- a", "a.yaml:1:", "a mapping is expected"},
		{"two documents", "a.yaml", "grants: []\n---\ngrants: []", "a.yaml:3:1", "one YAML document"},
		{"duplicate key", "a.yaml", "grants: []\ngrants: []", "a.yaml:2:1", "already defined"},
		{"broken yaml", "a.yaml", "grants: [", "a.yaml:1:", ""},
		{"not utf-8", "a.yaml", "grants: [\xff]", "a.yaml:1:1", "not UTF-8"},
		{"deep", "a.yaml", strings.Repeat("[", 100000), "a.yaml:1:1", "nested deeper"},
		{"deep without brackets", "a.yaml", strings.Repeat("- ", 100000), "a.yaml:1:1", "nested deeper"},
		{"bad id", "a.yaml", change("id: g", "id: 'g g'"), "a.yaml:2:7", "no usable id"},
		{"reserved id", "a.yaml", change("id: g", "id: deny-by-default"), "a.yaml:2:7", "no usable id"},
		{"id of a share attribute", "a.yaml", change("id: g", "id: share/business-license"), "a.yaml:2:7", "no usable id"},
		{"id too long", "a.yaml", change("id: g", "id: "+strings.Repeat("g", 97)), "a.yaml:2:7", "no usable id"},
		{"id not UTF-8", "g.cedar", rule("@id(\"x\xff\")", "forbid(principal, action, resource);"), "g.cedar:1:1", "not UTF-8"},
		{"duplicate id", "a.yaml", goodGrant + strings.TrimPrefix(goodGrant, "grants:\n"), "a.yaml:15:7", "first given at a.yaml:2:7"},
		{"unknown department", "a.yaml", change("provider: market", "provider: moon"), "a.yaml:4:13", `"moon" is no known department`},
		{"unknown system", "a.yaml", change("[kiosk]", "[kiosk, moon]"), "a.yaml:5:20", `"moon" is no known system`},
		{"no system", "a.yaml", change("[kiosk]", "[]"), "a.yaml:5:12", "systems must not be empty"},
		{"repeated system", "a.yaml", change("[kiosk]", "[kiosk, kiosk]"), "a.yaml:5:20", "repeats"},
		{"unknown type", "a.yaml", change("business-license", "moon-license"), "a.yaml:6:17", `"moon-license" is no known license type`},
		{"unknown operation", "a.yaml", change("licenses.query", "licenses.fly"), "a.yaml:7:16", "operation that a grant opens"},
		{"permission's operation", "a.yaml", change("licenses.query", "audit.search"), "a.yaml:7:16", "operation that a grant opens"},
		{"unknown matter", "a.yaml", change("food-permit", "moon"), "a.yaml:8:13", `"moon" is no known matter`},
		{"case without matter", "a.yaml", change("  matters: [food-permit]\n", ""), "a.yaml:2:3", "matters must not be empty"},
		{"unknown field", "a.yaml", change("[name]", "[naem]"), "a.yaml:9:12", `"naem" is no known field of business-license`},
		{"unknown role", "a.yaml", change("  basis: b", "  roles: [spouse]\n  basis: b"), "a.yaml:10:11", `"spouse" is no known role`},
		{"unknown material", "a.yaml", change("  basis: b", "  materials: [x]\n  basis: b"), "a.yaml:10:15", `"x" is no known material`},
		{"unknown ground", "a.yaml", change("  basis: b", "  grounds: [case, x]\n  basis: b"), "a.yaml:10:19", `"x" is no known ground`},
		{"no citation", "a.yaml", change("basis: b", "basis: ''"), "a.yaml:10:10", "basis must be given"},
		{"no provider", "a.yaml", change("market", "''"), "a.yaml:4:13", `"" is no known department`},
		{"no type", "a.yaml", change("business-license", "''"), "a.yaml:6:17", `"" is no known license type`},
		{"no agreement", "a.yaml", change("  agreement: a\n", ""), "a.yaml:2:3", "agreement must be given"},
		{"no scenario", "a.yaml", change("scenario: s", "scenario: ' '"), "a.yaml:12:13", "scenario must be given"},
		{"long agreement", "a.yaml", change("agreement: a", "agreement: "+strings.Repeat("a", 4001)), "a.yaml:3:14", "longer than 4000"},
		{"attestation where no case is", "a.yaml", change("attestation: self", "grounds: [consent]\n  attestation: mayor"), "a.yaml:14:16", "attestation is"},
		{"basis kind", "a.yaml", change("law", "hearsay"), "a.yaml:11:15", `basis_kind is "hearsay"`},
		{"attestation", "a.yaml", change("attestation: self", "attestation: mayor"), "a.yaml:13:16", "attestation is"},
		{"no attestation", "a.yaml", change("  attestation: self\n", ""), "a.yaml:2:3", "attestation is"},
		{"impossible day", "a.yaml", change("2027-01-01", "2027-02-30"), "a.yaml:14:16", "neither a day"},
		{"impossible first day", "a.yaml", goodGrant + "  valid_from: 2026-02-30\n", "a.yaml:15:15", "neither a day"},
		{"no end", "a.yaml", change("  valid_until: 2027-01-01\n", ""), "a.yaml:2:3", "valid_until must be given"},
		{"ends before it begins", "a.yaml", goodGrant + "  valid_from: 2028-01-01\n", "a.yaml:14:16", "lies before"},
		{"operator proof", "a.yaml", goodGrant + "  operator_proof: sworn\n", "a.yaml:15:19", `operator_proof is "sworn"`},
		{"operator role nobody may assert", "a.yaml", goodGrant + "  operator_roles: [clerk, emperor]\n", "a.yaml:15:27", `"emperor" is no known role that an identity service may assert`},
		{"operator role without proof", "a.yaml", goodGrant + "  operator_roles: [clerk]\n  operator_proof: asserted\n", "a.yaml:16:19", "a role is an identity service's word"},
		{"purpose", "a.yaml", goodGrant + "  purpose: sell\n", "a.yaml:15:12", "purpose is"},
		{"license and filing type", "a.yaml", goodGrant + "  filing_type: lease\n  trust: A\n", "a.yaml:6:17", "not on both"},
		{"trust without a filing type", "a.yaml", goodGrant + "  trust: A\n", "a.yaml:15:10", "trust is for grants"},
		{"filing type as a license type", "a.yaml", change("business-license", "lease"), "a.yaml:6:17", `"lease" is no known license type`},
		{"license type as a filing type", "a.yaml", filed("lease", "resident-id"), "a.yaml:6:16", `"resident-id" is no known type of filed materials`},
		{"filing without trust", "a.yaml", filed("  trust: A\n", ""), "a.yaml:2:3", "trust must be given"},
		{"trust that is not reusable", "a.yaml", filed("trust: A", "trust: C"), "a.yaml:7:10", `"C" is no trust level`},
		{"filing that confirms a role", "a.yaml", filed("", "") + "  purpose: confirm\n", "a.yaml:16:12", "confirm no role"},
		{"filing with an age", "a.yaml", filed("", "") + "  max_age: 1h\n", "a.yaml:16:12", "max_age is for copies"},
		{"filing by query", "a.yaml", filed("cases.check", "licenses.query"), "a.yaml:8:16", "operation that a grant opens"},
		{"filing with a field of licenses", "a.yaml", filed("[level]", "[name]"), "a.yaml:10:12", `"name" is no known field of lease`},
		{"age", "a.yaml", goodGrant + "  max_age: 3 weeks\n", "a.yaml:15:12", "no age"},
		{"age of half a second", "a.yaml", goodGrant + "  max_age: 1500ms\n", "a.yaml:15:12", "whole seconds"},
		{"age above ten years", "a.yaml", goodGrant + "  max_age: 3661d\n", "a.yaml:15:12", "at most ten years"},
		{"role of no matter", "a.yaml", goodGrant + "  grounds: [consent]\n  roles: [emperor]\n", "a.yaml:16:11", `"emperor" is no known role`},
		{"role of another matter", "a.yaml", goodGrant + "  roles: [spouse]\n", "a.yaml:15:11", `"spouse" is no known role`},
		{"role of any matter", "a.yaml", change("  matters: [food-permit]\n", "  grounds: [consent]\n  roles: [spouse, emperor]\n"), "a.yaml:9:19", `"emperor" is no known role`},
		{"material of any matter", "a.yaml", change("  matters: [food-permit]\n", "  grounds: [consent]\n  materials: [m-tax, m-moon]\n"), "a.yaml:9:22", `"m-moon" is no known material`},
		{"negative age", "a.yaml", goodGrant + "  max_age: -3h\n", "a.yaml:15:12", "no age"},
		{"registering any matter", "a.yaml", "permissions:\n- {id: p, systems: [kiosk], operations: [cases.register]}", "a.yaml:2:4", "matters must not be empty"},
		{"query by permission", "a.yaml", "permissions:\n- {id: p, systems: [kiosk], operations: [licenses.query]}", "a.yaml:2:42", "operation that a permission opens"},
		{"permission without usable id", "a.yaml", "permissions: [{id: 'p p', systems: [kiosk], operations: [cases.close]}]", "a.yaml:1:20", "permission has no usable id"},
		{"permission of a stranger", "a.yaml", "permissions: [{id: p, systems: [moon], operations: [cases.close]}]", "a.yaml:1:33", `"moon" is no known system`},
		{"permission of nobody", "a.yaml", "permissions: [{id: p, operations: [cases.close]}]", "a.yaml:1:16", "systems must not be empty"},
		{"permission for an unknown type", "a.yaml", "permissions: [{id: p, systems: [kiosk], operations: [licenses.verify], license_types: [moon]}]", "a.yaml:1:88", `"moon" is no known license type`},
		{"permission with a long basis", "a.yaml", "permissions: [{id: p, systems: [kiosk], operations: [cases.close], basis: " + strings.Repeat("b", 4001) + "}]", "a.yaml:1:75", "longer than 4000"},
		{"share out of range", "a.yaml", "shares: [{license_type: resident-id, share: 4}]", "a.yaml:1:45", "share is 4"},
		{"conditional without scope", "a.yaml", "shares: [{license_type: resident-id, share: 2}]", "a.yaml:1:11", "scope must be given"},
		{"withheld without reason", "a.yaml", "shares: [{license_type: resident-id, share: 3, basis: b}]", "a.yaml:1:11", "reason must be given"},
		{"share of an unknown type", "a.yaml", "shares: [{license_type: moon, share: 1}]", "a.yaml:1:25", `"moon" is no known license type`},
		{"share of no type", "a.yaml", "shares: [{share: 1}]", "a.yaml:1:11", `"" is no known license type`},
		{"share below the range", "a.yaml", "shares: [{license_type: resident-id, share: 0}]", "a.yaml:1:45", "share is 0"},
		{"share of an unknown provider", "a.yaml", "shares: [{license_type: resident-id, share: 1, provider: moon}]", "a.yaml:1:58", `"moon" is no known department`},
		{"withheld without basis", "a.yaml", "shares: [{license_type: resident-id, share: 3, reason: r}]", "a.yaml:1:11", "basis must be given"},
		{"share twice", "a.yaml", "shares: [{license_type: resident-id, share: 1}, {license_type: resident-id, share: 1}]", "a.yaml:1:64", "given twice"},
		{"suspension of nothing", "a.yaml", "suspensions: [{id: s, reason_zh: z, reason_en: e}]", "a.yaml:1:16", "names either"},
		{"suspension of all", "a.yaml", "suspensions: [{id: s, systems: [kiosk], rules: [x], reason_zh: z, reason_en: e}]", "a.yaml:1:16", "names either"},
		{"suspension without id", "a.yaml", "suspensions: [{systems: [kiosk], reason_zh: z, reason_en: e}]", "a.yaml:1:16", "suspension has no usable id"},
		{"suspension of an unknown system", "a.yaml", "suspensions: [{id: s, systems: [moon], reason_zh: z, reason_en: e}]", "a.yaml:1:33", `"moon" is no known system`},
		{"suspension of an unknown type", "a.yaml", "suspensions: [{id: s, license_types: [moon], reason_zh: z, reason_en: e}]", "a.yaml:1:39", `"moon" is no known license type`},
		{"suspension without reason in Chinese", "a.yaml", "suspensions: [{id: s, systems: [kiosk], reason_en: e}]", "a.yaml:1:16", "reason_zh must be given"},
		{"suspension of a stranger", "a.yaml", "suspensions: [{id: s, rules: [x], reason_zh: z, reason_en: e}]", "a.yaml:1:31", `"x" is no known grant`},
		{"suspension without reason", "a.yaml", "suspensions: [{id: s, systems: [kiosk], reason_zh: z}]", "a.yaml:1:16", "reason_en must be given"},
		{"basis that needs no entry", "a.yaml", "bases: [{id: case, citation: c}]", "a.yaml:1:14", "needs no entry"},
		{"basis without citation", "a.yaml", "bases: [{id: court-order}]", "a.yaml:1:10", "citation must be given"},
		{"consent needs no entry", "a.yaml", "bases: [{id: consent, citation: c}]", "a.yaml:1:14", "needs no entry"},
		{"unknown system described", "a.yaml", "systems: [{id: moon}]", "a.yaml:1:16", `"moon" is no known system`},
		{"system without id", "a.yaml", "systems: [{tags: [a]}]", "a.yaml:1:12", `"" is no known system`},
		{"empty tag", "a.yaml", "systems: [{id: kiosk, tags: ['']}]", "a.yaml:1:30", "tags holds an empty or overlong entry"},
		{"long tag", "a.yaml", "systems: [{id: kiosk, tags: [" + strings.Repeat("a", 201) + "]}]", "a.yaml:1:30", "tags holds an empty or overlong entry"},
		{"system twice", "a.yaml", "systems: [{id: kiosk}, {id: kiosk}]", "a.yaml:1:29", "described twice"},
		{"file's name", "../a.yaml", "", "../a.yaml", "no plain relative path"},
		{"file at the root", "/a.yaml", "", "/a.yaml", "no plain relative path"},
		{"file's name with odd signs", "a?.yaml", "", "a?.yaml", "no plain relative path"},
		{"file's kind", "a.toml", "", "a.toml", "ends in"},
		{"table in the set", "a_test.yaml", "", "a_test.yaml", "no part of a set"},

		{"broken cedar", "g.cedar", "permit(principal,\n action;", "g.cedar:2:9", "cannot be read"},
		{"deep cedar", "g.cedar", strings.Repeat("(", 100000), "g.cedar:1:1", "nested deeper"},
		{"deep cedar, closed in texts", "g.cedar", "permit(principal, action, resource) when { " + strings.Repeat("(\")\" == ", 10000) + " // )", "g.cedar:1:1", "nested deeper"},
		{"deep, closed in texts", "a.yaml", strings.Repeat("[']',", 100000), "a.yaml:1:1", "nested deeper"},
		{"deep cedar without brackets", "g.cedar", "permit(principal, action, resource) when { " + strings.Repeat("!\n", 100000) + "true };", "g.cedar:1:1", "nested deeper"},
		{"misspelt attribute", "g.cedar", rule("\n@id(\"x\")", "forbid(principal, action, resource) when { context.mater == \"\" };"), "g.cedar:2:1", "attribute `mater` in context"},
		{"misspelt principal", "g.cedar", rule(`@id("x")`, "forbid(principal, action, resource) when { principal.dept == \"\" };"), "g.cedar:1:1", "attribute `dept`"},
		{"type error", "g.cedar", rule(`@id("x")`, "forbid(principal, action, resource) when { context.age > \"1\" };"), "g.cedar:1:1", "unexpected type"},
		{"unknown action", "g.cedar", rule(`@id("x")`, "forbid(principal, action == Action::\"fly\", resource);"), "g.cedar:1:1", "unrecognized action"},
		{"unknown type in scope", "g.cedar", rule(`@id("x")`, "forbid(principal, action, resource == LicenseType::\"moon\");"), "g.cedar:1:1", `"moon" is no known license type`},
		{"unknown type in condition", "g.cedar", rule(`@id("x")`, "forbid(principal, action, resource) when { resource == LicenseType::\"moon\" };"), "g.cedar:1:1", `"moon" is no known license type`},
		{"unknown type above the resource", "g.cedar", rule(`@id("x")`, "forbid(principal, action, resource in LicenseType::\"moon\");"), "g.cedar:1:1", `"moon" is no known license type`},
		{"unknown type above a license type", "g.cedar", rule(`@id("x")`, "forbid(principal, action, resource is LicenseType in LicenseType::\"moon\");"), "g.cedar:1:1", `"moon" is no known license type`},
		{"unknown system in scope", "g.cedar", rule(`@id("x")`, "forbid(principal == System::\"moon\", action, resource);"), "g.cedar:1:1", `"moon" is no known system`},
		{"unknown system above the principal", "g.cedar", rule(`@id("x")`, "forbid(principal in System::\"moon\", action, resource);"), "g.cedar:1:1", `"moon" is no known system`},
		{"unknown system above a system", "g.cedar", rule(`@id("x")`, "forbid(principal is System in System::\"moon\", action, resource);"), "g.cedar:1:1", `"moon" is no known system`},
		{"cedar too large", "g.cedar", "//" + strings.Repeat(" ", maxGuards-1), "g.cedar:1:1", "larger than"},
		{"cedar nested by brackets", "g.cedar", rule(`@id("x")`, "forbid(principal, action, resource) when { "+strings.Repeat("(", maxDepth)+"true"+strings.Repeat(")", maxDepth)+" };"), "g.cedar:1:1", "nested deeper"},
		{"cedar nested by operators", "g.cedar", rule(`@id("x")`, "forbid(principal, action, resource) when { "+strings.Repeat("!", 8*maxDepth+1)+"true };"), "g.cedar:1:1", "nested deeper"},
		{"unknown system in a set", "g.cedar", rule(`@id("x")`, "forbid(principal, action, resource) when { [System::\"moon\"].contains(principal) };"), "g.cedar:1:1", `"moon" is no known system`},
		{"no id", "g.cedar", rule("", "forbid(principal, action, resource);"), "g.cedar:2:1", "no usable id"},
		{"unknown annotation", "g.cedar", rule("@id(\"x\") @feilds(\"name\")", "forbid(principal, action, resource);"), "g.cedar:1:1", "unknown annotation @feilds"},
		{"unknown field", "g.cedar", rule("@id(\"x\") @fields(\"name,naem\")", "forbid(principal, action, resource);"), "g.cedar:1:1", `@fields holds "naem"`},
		{"empty fields", "g.cedar", rule("@id(\"x\") @fields(\"\")", "forbid(principal, action, resource);"), "g.cedar:1:1", `@fields holds ""`},
		{"no reason", "g.cedar", `@id("x") forbid(principal, action, resource);`, "g.cedar:1:1", "@reason_zh and @reason_en"},
		{"reason too long", "g.cedar", "@id(\"x\") @reason_zh(\"z\") @reason_en(\"" + strings.Repeat("e", 1001) + "\") forbid(principal, action, resource);", "g.cedar:1:1", "at most 1000 bytes"},
		{"permit without obligation", "g.cedar", `@id("x") permit(principal, action, resource);`, "g.cedar:1:1", "only adds @obligation"},
		{"permit with fields", "g.cedar", `@id("x") @obligation("w") @fields("name") permit(principal, action, resource);`, "g.cedar:1:1", "only adds @obligation"},
		{"forbid with obligation", "g.cedar", rule("@id(\"x\") @obligation(\"w\")", "forbid(principal, action, resource);"), "g.cedar:1:1", "adds no @obligation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, faults := New(Data{Files: []File{{Path: c.file, Data: []byte(c.text)}}, NewSM3: sha256.New, Known: cityKnown()})
			if set != nil || len(faults) == 0 {
				t.Fatal("no fault was found")
			}
			for _, f := range faults {
				if strings.HasPrefix(f.Place.String(), c.at) && strings.Contains(f.Reason, c.phrase) {
					return
				}
			}
			t.Errorf("want %q at %s, got %v", c.phrase, c.at, faults)
		})
	}
}

func TestGoodGrantHasNoFault(t *testing.T) {
	load(t, Data{Files: []File{{Path: "a.yaml", Data: []byte(goodGrant)}}, Known: cityKnown()})
	load(t, Data{Files: []File{{Path: "a.yaml", Data: []byte("systems: [{id: kiosk, tags: [" + strings.Repeat("a", 200) + "]}]\nshares: [{license_type: resident-id, share: 1}]")}}, Known: cityKnown()})
	for _, c := range [][2]string{
		{"id: g", "id: " + strings.Repeat("g", 96)},
		{"agreement: a", "agreement: " + strings.Repeat("a", 4000)},
		{"basis: b", "basis: b\n  max_age: 3660d"},
		{"  matters: [food-permit]\n", "  grounds: [consent]\n  roles: [spouse]\n  materials: [m-tax]\n"}, // of a matter, where any will do
	} {
		load(t, Data{Files: []File{{Path: "a.yaml", Data: []byte(strings.Replace(goodGrant, c[0], c[1], 1))}}, Known: cityKnown()})
	}
}

// What stands at the edge of what a guard may be and name is no fault.
func TestGoodGuards(t *testing.T) {
	for _, text := range []string{
		"//" + strings.Repeat(" ", maxGuards-2),
		"@id(\"x\") @reason_zh(\"z\") @reason_en(\"" + strings.Repeat("e", 1000) + "\") forbid(principal, action, resource);",
		"forbid(principal, action, resource) when { " + strings.Repeat("!", 8*maxDepth) + "true };",
		"forbid(principal, action, resource) when { " + strings.Repeat("!true || ", 9*maxDepth) + "true };",
		"forbid(principal, action, resource) when { " + strings.Repeat("(", maxDepth-1) + "true" + strings.Repeat(")", maxDepth-1) + " };",
		`forbid(principal == System::"kiosk", action == Action::"licenses.query", resource == LicenseType::"business-license");`,
		`forbid(principal, action, resource == LicenseType::"");`, // of operations that release no license
		`forbid(principal, action, resource) when { [System::"kiosk", System::"court"].contains(principal) };`,
	} {
		if strings.HasPrefix(text, "forbid") {
			text = "@id(\"x\") @reason_zh(\"z\") @reason_en(\"e\")\n" + text
		}
		load(t, Data{Files: []File{{Path: "g.cedar", Data: []byte(text)}}, Known: cityKnown()})
	}
}

// The Cedar parser names the place of a fault in its text; it is told as other faults' places are.
func TestCedarSyntax(t *testing.T) {
	for text, want := range map[string]string{
		"parser error: <input>:2:9 what: expected )":                 "g.cedar:2:9: the Cedar text cannot be read: what: expected )",
		"parser error: parse error at <input>:3:4 \"x\": expected ;": `g.cedar:3:4: the Cedar text cannot be read: "x": expected ;`,
		"parser error: odd": "g.cedar:1:1: the Cedar text cannot be read: odd",
	} {
		r := &guardReader{checker: &checker{}}
		r.addSyntax("g.cedar", errors.New(text))
		if len(r.List) != 1 || r.List[0].String() != want {
			t.Errorf("%v, want %s", r.List, want)
		}
	}
	_, faults := New(Data{Files: []File{{Path: "g.cedar", Data: []byte("permit(principal,\n action;")}}, NewSM3: sha256.New})
	if len(faults) != 1 || strings.Contains(faults[0].Reason, "<input>") {
		t.Errorf("the parser's own words: %v", faults)
	}
}

// The faults of one guard stand in one order.
func TestGuardFaultsInOrder(t *testing.T) {
	const guard = `@id("x") @reason_zh("z") @reason_en("e") forbid(principal, action, resource) when { context.a == "" || context.b == "" || context.c == "" || principal.d == "" || resource.e == "" };`
	first := ""
	for range 30 {
		_, faults := New(Data{Files: []File{{Path: "g.cedar", Data: []byte(guard)}}, NewSM3: sha256.New})
		var b strings.Builder
		for _, f := range faults {
			b.WriteString(f.String() + "\n")
		}
		if first == "" {
			first = b.String()
		}
		if b.String() != first {
			t.Fatalf("in one order\n%sand in another\n%s", first, b.String())
		}
	}
}

// A guard that withholds names fields, whether or not the known ones are given.
func TestWithheldFieldsAreNamed(t *testing.T) {
	text := "@id(\"x\") @reason_zh(\"z\") @reason_en(\"e\") @fields(\"name,\")\nforbid(principal, action, resource);"
	if _, faults := New(Data{Files: []File{{Path: "g.cedar", Data: []byte(text)}}, NewSM3: sha256.New}); countReasons(faults, `@fields holds ""`) != 1 {
		t.Errorf("an empty field: %v", faults)
	}
}

// One mistake is one fault: what refers to a faulty name is not reported too.
func TestOneMistakeOneFault(t *testing.T) {
	const (
		reasons    = "reason_zh: z, reason_en: e"
		permission = "permissions: [{id: 'p p', systems: [kiosk], operations: [cases.close]}]\n"
	)
	for _, text := range []string{
		strings.Replace(goodGrant, "business-license", "moon-license", 1),
		strings.Replace(goodGrant, "id: g", "id: g g", 1) + "suspensions: [{id: s, rules: [g g], " + reasons + "}]\n",
		permission + "suspensions: [{id: s, rules: [p p], " + reasons + "}]\n",
		"bases: [{id: g, citation: c}]\n" + goodGrant + "suspensions: [{id: s, rules: [g], " + reasons + "}]\n",
		"bases: [{id: 'b b', citation: c}]\n" + strings.Replace(goodGrant, "attestation: self", "attestation: self\n  grounds: [case, b b]", 1),
	} {
		if _, faults := New(Data{Files: []File{{Path: "a.yaml", Data: []byte(text)}}, NewSM3: sha256.New, Known: cityKnown()}); len(faults) != 1 {
			t.Errorf("%d faults, want 1: %v\n%s", len(faults), faults, text)
		}
	}
}

// Where no names are known outside, as in a stored set, a grant still names its provider and its type.
func TestNamesAreGiven(t *testing.T) {
	if _, faults := New(Data{Files: []File{{Path: "a.yaml", Data: []byte("shares: [{share: 1}]\nsystems: [{tags: [a]}]")}}, NewSM3: sha256.New}); countReasons(faults, `"" is no known`) != 2 {
		t.Errorf("a share of no type and a system without id: %v", faults)
	}
	for _, name := range []string{"market", "business-license"} {
		set, faults := New(Data{Files: []File{{Path: "a.yaml", Data: []byte(strings.Replace(goodGrant, name, "''", 1))}}, NewSM3: sha256.New})
		if set != nil || countReasons(faults, `"" is no known`) != 1 {
			t.Errorf("a grant without %s: %v", name, faults)
		}
	}
}

// The kinds of a legal basis are a contract with the configurations of cities: each is accepted as it is spelled here.
func TestBasisKinds(t *testing.T) {
	for _, kind := range []string{"law", "regulation", "decision", "rule", "duty", "agreement"} {
		load(t, Data{Files: []File{{Path: "a.yaml", Data: []byte(strings.Replace(goodGrant, "basis_kind: law", "basis_kind: "+kind, 1))}}, Known: cityKnown()})
	}
}

// A suspension may name a permission as well as a grant.
func TestSuspensionOfPermission(t *testing.T) {
	set := load(t, Data{Known: cityKnown(), Files: []File{{Path: "a.yaml", Data: []byte(`permissions: [{id: p, systems: [kiosk], operations: [audit.search]}]
suspensions: [{id: s, rules: [p], reason_zh: z, reason_en: e}]`)}}})
	q := Question{Operation: "audit.search", System: "kiosk", Now: time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)}
	if d := set.Decide(q); d.Allow {
		t.Errorf("the suspended permission allows: %+v", d)
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	broken := strings.Replace(goodGrant, "kiosk", "moon", 1)
	broken = strings.Replace(broken, "basis_kind: law", "basis_kind: hearsay", 1)
	_, faults := New(Data{NewSM3: sha256.New, Known: cityKnown(), Files: []File{
		{Path: "b.yaml", Data: []byte(broken)},
		{Path: "a.yaml", Data: []byte(goodGrant + "- {id: g, colour: red}\n- 5\n")},
		{Path: "g.cedar", Data: []byte("@id(\"g\")\nforbid(principal, action, resource) when { context.mater == \"\" };")},
		{Path: "a.yaml", Data: nil},
	}})
	for _, phrase := range []string{`"moon"`, "hearsay", "colour", "a mapping is expected", "`mater`", "@reason_zh", "given twice"} {
		if countReasons(faults, phrase) != 1 {
			t.Errorf("want one fault about %s in %v", phrase, faults)
		}
	}
	if n := countReasons(faults, `duplicate id "g"`); n != 2 { // the id stands in both files and on the guard
		t.Errorf("%d faults about the id, want 2: %v", n, faults)
	}
}

func TestFaultsStayShort(t *testing.T) {
	long := strings.Repeat("长", 100000)
	_, faults := New(Data{NewSM3: sha256.New, Known: cityKnown(), Files: []File{
		{Path: "a.yaml", Data: []byte(strings.Replace(goodGrant, "kiosk", long, 1) + "  " + long + ": 1\n")},
		{Path: "g.cedar", Data: []byte(`@id("x") forbid(principal, action, resource) when { context.` + strings.Repeat("a", 100000) + ` == "" };`)},
	}})
	for _, f := range faults {
		if len(f.Reason) > 1000 {
			t.Errorf("a fault of %d bytes", len(f.Reason))
		}
	}
}

// Brackets in texts and comments are no nesting, in either language of a set: half a pair is often full-width.
func TestBracketsInTexts(t *testing.T) {
	half := strings.Repeat("(有限合伙）", 1000)
	for _, text := range []string{"// " + half + "\n", `@reason_zh("` + half + `")`, `"a\" ` + half + `"`} {
		if reason := unreadable([]byte(text)); reason != "" {
			t.Errorf("%.20s: %s", text, reason)
		}
	}
	if _, faults := New(Data{Files: []File{{Path: "a.yaml", Data: []byte("# " + half + "\n")}}, NewSM3: sha256.New, Known: cityKnown()}); len(faults) > 0 {
		t.Error(faults)
	}
}
