package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestWithheldFieldsLeavePermissionsAlone: where a permission opens a question of which no field leaves, a grant whose fields are
// all withheld takes nothing away. It did: with the grant the status was refused, without it told.
func TestWithheldFieldsLeavePermissionsAlone(t *testing.T) {
	const (
		guard = `@id("no-name")
@reason_zh("z")
@reason_en("e")
@fields("name")
forbid (principal, action, resource);`
		permission = "permissions:\n- {id: p, systems: [kiosk], operations: [licenses.status]}\n"
	)
	grant := strings.Replace(goodGrant, "[licenses.query]", "[licenses.query, licenses.status]", 1)
	asked := Question{
		Operation: "licenses.status", System: "kiosk", LicenseType: "business-license", Matter: "food-permit", Role: "applicant", Attestation: "self",
		Basis: ByCase, Now: time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC),
	}
	named := asked
	named.Fields = []string{"name"}
	for name, c := range map[string]struct {
		files    []File
		question Question
		allow    bool
		rules    []string
	}{
		"permission alone":           {[]File{{Path: "p.yaml", Data: []byte(permission)}, {Path: "g.cedar", Data: []byte(guard)}}, asked, true, []string{"no-name", "p"}},
		"permission and grant":       {[]File{{Path: "p.yaml", Data: []byte(permission)}, {Path: "a.yaml", Data: []byte(grant)}, {Path: "g.cedar", Data: []byte(guard)}}, asked, true, []string{"g", "no-name", "p"}},
		"grant alone":                {[]File{{Path: "a.yaml", Data: []byte(grant)}, {Path: "g.cedar", Data: []byte(guard)}}, asked, false, []string{"no-name"}},
		"the field itself asked for": {[]File{{Path: "p.yaml", Data: []byte(permission)}, {Path: "a.yaml", Data: []byte(grant)}, {Path: "g.cedar", Data: []byte(guard)}}, named, false, []string{"no-name"}},
	} {
		got := load(t, Data{Files: c.files}).Decide(c.question)
		if got.Allow != c.allow || len(got.Fields) > 0 {
			t.Errorf("%s: allowed %v, fields %v", name, got.Allow, got.Fields)
		}
		if diff := cmp.Diff(c.rules, got.Rules); diff != "" {
			t.Errorf("%s: rules (-want +got):\n%s", name, diff)
		}
	}
}
