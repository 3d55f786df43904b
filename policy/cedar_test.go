package policy

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// Only the attributes of the context that some guard reads are built for a decision, and no question is put to Cedar that no guard is
// about.
func TestContextReads(t *testing.T) {
	for condition, want := range map[string]string{
		`principal.department == "x"`:                                 "",
		`context.matter == "food-permit"`:                             "matter",
		`context has matter && context.matter == "food-permit"`:       "matter",
		`context has basis`:                                           "basis",
		`context.matter == "a" || context.fields.contains("name")`:    "fields matter",
		`principal.department == context.role`:                        "role",
		`resource has provider && resource.provider == context.basis`: "basis",
		`context == context`:                                          "all",
		`context.matter == "a" && context == context`:                 "all matter",
		`context == context && principal == resource`:                 "all",
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
		built := len(set.reads.names)
		if set.reads.all {
			built = len(attributes)
		}
		if n := set.reads.context(&Question{}).Len(); n != built {
			t.Errorf("%s: the context has %d attributes, want %d", condition, n, built)
		}
	}
}

// A guard that compares with another system, or another license type, reads nothing of the one that is asked with.
func TestGuardsReadTheQuestionOnly(t *testing.T) {
	const data = `systems:
- {id: kiosk, tags: [window]}
- {id: hall, tags: [self-service]}
shares:
- {license_type: business-license, share: 1, provider: market}
permissions:
- {id: p, systems: [kiosk, hall], operations: [licenses.verify]}
`
	for condition, fires := range map[string]bool{
		`principal.tags.contains("window")`:                  true,
		`principal.tags.contains("self-service")`:            false,
		`System::"kiosk".tags.contains("window")`:            true,
		`System::"hall".tags.contains("window")`:             true, // it has no attributes here: the guard errs, which counts as fired
		`System::"hall".tags.contains("nothing")`:            true,
		`LicenseType::"resident-id".share == 7`:              true,
		`LicenseType::"business-license".share == 7`:         false,
		`LicenseType::"kiosk".share == 7`:                    true,
		`System::"business-license".tags.contains("x")`:      true,
		`LicenseType::"kiosk".suspended`:                     true, // a license type that is named as the system
		`System::"business-license".suspended`:               true, // and the other way round
		`resource.provider == "market"`:                      true,
		`resource.provider == "tax"`:                         false,
		`LicenseType::"business-license".sensitive`:          false,
		`principal.tags.contains("x") || resource.suspended`: false,
	} {
		set := load(t, Data{Files: []File{{Path: "a.yaml", Data: []byte(data)}, {Path: "g.cedar", Data: []byte("@id(\"g\")\n@reason_zh(\"由\") @reason_en(\"r\")\nforbid (principal, action, resource) when { " + condition + " };")}}})
		d := set.Decide(Question{Operation: "licenses.verify", System: "kiosk", LicenseType: "business-license", Now: time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)})
		if d.Allow == fires {
			t.Errorf("%s: fires %v, want %v: %+v", condition, !d.Allow, fires, d)
		}
	}
}
