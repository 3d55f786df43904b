package policy

import (
	"strings"
	"testing"
)

func TestTableFindsDifferences(t *testing.T) {
	set := load(t, Data{Files: []File{{Path: "a.yaml", Data: []byte(goodGrant)}}})
	row := `tests:
- name: n
  question: {operation: licenses.query, system: kiosk, license_type: business-license, matter: food-permit, role: applicant, attestation: self, basis: case, now: "2026-11-23"}
  allow: `
	for _, c := range []struct{ expected, diff string }{
		{"true\n", ""},
		{"true\n  fields: [name]\n  rules: [g]\n  reasons: []\n  obligations: []\n  max_age: 0s\n", ""},
		{"false\n", "allow: got true, want false"},
		{"true\n  fields: []\n", "fields: got [name], want []"},
		{"true\n  rules: [h]\n", "rules: got [g], want [h]"},
		{"true\n  reasons: [no-grant]\n", "reasons: got [], want [no-grant]"},
		{"true\n  obligations: [watermark]\n", "obligations: got [], want [watermark]"},
		{"true\n  max_age: 1h\n", "max_age: got 0s, want 1h0m0s"},
	} {
		results, faults := RunTable(set, File{Path: "a_test.yaml", Data: []byte(row + c.expected)})
		if len(faults) > 0 || len(results) != 1 {
			t.Fatalf("%q: %v %v", c.expected, results, faults)
		}
		if got := strings.Join(results[0].Diff, "; "); got != c.diff || results[0].OK() != (c.diff == "") {
			t.Errorf("%q: diff %q, want %q", c.expected, got, c.diff)
		}
		if results[0].Place.String() != "a_test.yaml:2:3" {
			t.Errorf("the row stands at %s", results[0].Place)
		}
	}
}

func TestTableFaults(t *testing.T) {
	set := load(t, Data{})
	for _, c := range []struct{ text, at, phrase string }{
		{"", "t:1:1", "is empty"},
		{"testz: []", "t:1:1", "unknown key"},
		{"tests: {", "t:1:8", "could not find"},
		{"tests: [{name: n, allow: true, question: {now: yesterday}}]", "t:1:43", "neither a day"},
		{"tests: [{name: n, allow: true, question: {}}]", "t:1:42", "now must be given"},
		{"tests: [{name: n, question: {now: 2026-01-01}}]", "t:1:10", "allow must be given"},
		{"tests: [{allow: true, question: {now: 2026-01-01}}]", "t:1:10", "a name of its own"},
		{"tests: [{name: n, allow: true, question: {now: 2026-13-01}}]", "t:1:43", "neither a day"},
		{"tests: [{name: n, allow: true, question: {now: 2026-01-01, age: old}}]", "t:1:43", "no age"},
		{"tests: [{name: n, allow: true, question: {now: 2026-01-01, sistem: x}}]", "t:1:60", "unknown key"},
		{"tests: [{name: n, allow: true, max_age: x, question: {now: 2026-01-01}}]", "t:1:41", "no age"},
	} {
		results, faults := RunTable(set, File{Path: "t", Data: []byte(c.text)})
		if len(results) > 0 || len(faults) != 1 || faults[0].Place.String() != c.at || !strings.Contains(faults[0].Reason, c.phrase) {
			t.Errorf("%s: %v %v", c.text, results, faults)
		}
	}
}

// Rows are told apart by their names.
func TestTableNamesTwice(t *testing.T) {
	row := "{name: n, allow: false, question: {now: 2026-01-01}}"
	results, faults := RunTable(load(t, Data{}), File{Path: "t", Data: []byte("tests: [" + row + ", " + row + "]")})
	if len(results) != 1 || len(faults) != 1 || !strings.Contains(faults[0].Reason, "a name of its own") {
		t.Errorf("%v, %v", results, faults)
	}
}
