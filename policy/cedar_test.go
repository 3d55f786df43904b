package policy

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Only the attributes of the context that some guard reads are built for a decision, and no question is put to Cedar that no guard is
// about.
func TestContextReads(t *testing.T) {
	for condition, want := range map[string]string{
		`principal.department == "x"`:                                         "",
		`context.matter == "food-permit"`:                             "matter",
		`context has matter && context.matter == "food-permit"`:       "matter",
		`context has basis`:                                           "basis",
		`context.matter == "a" || context.fields.contains("name")`:    "fields matter",
		`principal.department == context.role`:                                "role",
		`resource has provider && resource.provider == context.basis`: "basis",
		`context == context`:                                          "all",
		`context.matter == "a" && context == context`:                 "all matter",
		`[context].contains(context) && context has role`:             "all role",
	} {
		guard := "@id(\"g\")\n@reason_zh(\"由\") @reason_en(\"r\")\nforbid (principal, action, resource) when { " + condition + " };"
		set, faults := New(Data{Files: []File{{Path: "g.cedar", Data: []byte(guard)}}, NewSM3: sha256.New})
		if len(faults) > 0 {
			t.Errorf("%s: %v", condition, faults)
			continue
		}
		got := slices.Sorted(maps.Keys(set.reads.names))
		if set.reads.all {
			got = slices.Insert(got, 0, "all")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s reads %q, want %q", condition, got, want)
		}
	}
}
