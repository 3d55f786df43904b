package policy

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A set loads or has faults; it never does both, never panics, and what loads decides and explains anything.
func FuzzRules(f *testing.F) {
	seeds(f, "testdata/city/*.y*ml")
	for _, s := range []string{goodGrant, "grants: &a [*a]", "a: &a [1]\nb: *a", "<<: {grants: []}", "? [a]\n: b", "grants:\n- !!binary x", "%YAML 1.2\n---\ngrants: []", "grants: [{id: g, systems: [[]]}]", "\"grants\": []", "{}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { check(t, File{Path: "a.yaml", Data: data}) })
}

func FuzzGuards(f *testing.F) {
	seeds(f, "testdata/city/*.cedar")
	for _, c := range worldConditions {
		f.Add([]byte("@id(\"x\") @reason_zh(\"z\") @reason_en(\"e\") forbid(principal, action, resource) when { " + c + " };"))
	}
	f.Add([]byte("permit(principal in System::\"\\0\", action, resource is LicenseType in LicenseType::\"x\") unless { -(-1) == ip(\"x\") };"))
	f.Fuzz(func(t *testing.T, data []byte) { check(t, File{Path: "g.cedar", Data: data}) })
}

func FuzzTable(f *testing.F) {
	seeds(f, "testdata/city/*"+TableSuffix)
	set, _ := New(Data{Files: []File{{Path: "a.yaml", Data: []byte(goodGrant)}}, NewSM3: sha256.New})
	f.Fuzz(func(t *testing.T, data []byte) {
		results, _ := RunTable(set, File{Path: "t", Data: data})
		for _, r := range results {
			set.Explain(r.Question, "zh")
		}
	})
}

func seeds(f *testing.F, glob string) {
	paths, err := filepath.Glob(glob)
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds at %s: %v", glob, err)
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

func check(t *testing.T, file File) {
	set, faults := New(Data{Files: []File{file}, NewSM3: sha256.New, Known: cityKnown(), Now: time.Unix(0, 0)})
	if (set == nil) != (len(faults) > 0) {
		t.Fatalf("set %v, faults %v", set, faults)
	}
	for _, f := range faults {
		if !strings.HasPrefix(f.Place.String(), file.Path) || f.Reason == "" || len(f.Reason) > 1500 || strings.Contains(f.Reason, "\n") {
			t.Fatalf("a fault nobody can use: %+v", f)
		}
	}
	if set == nil {
		return
	}
	for _, q := range []Question{{}, {Operation: "licenses.query", System: "kiosk", LicenseType: "business-license", Matter: "food-permit", Role: Applicant, Basis: ByCase}} {
		set.Decide(q)
		set.Explain(q, "en")
	}
}
