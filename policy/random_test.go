package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"pgregory.net/rapid"
)

// The small world that random sets and questions are drawn from: small, so that they often meet.
var (
	worldSystems    = []string{"s1", "s2", "s3"}
	worldTypes      = []string{"t1", "t2", "t3"}
	worldMatters    = []string{"m1", "m2"}
	worldMaterials  = []string{"a", "b"}
	worldRoles      = []string{"applicant", "spouse"}
	worldFields     = []string{"f1", "f2", "f3", "f4"}
	worldOperators  = []string{"clerk", "head"}
	worldProviders  = []string{"d1", "d2"}
	worldGrounds    = []string{"case", "consent", "court"}
	worldDays       = []string{"2026-01-01", "2026-06-01", "2026-07-01", "2027-01-01"}
	worldAges       = []string{"", "1h", "1d"}
	worldOperations = []string{"licenses.query", "cases.check", "precheck", "licenses.status"}
)

func some(t *rapid.T, label string, from []string, least int) []string {
	n := rapid.IntRange(least, min(least+2, len(from))).Draw(t, label+" count")
	return rapid.Permutation(from).Draw(t, label)[:n]
}

func one(t *rapid.T, label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(t, label)
}

// span draws two days in order.
func randomSpan(t *rapid.T) (from, until string) {
	i := rapid.IntRange(-1, len(worldDays)-2).Draw(t, "from")
	j := rapid.IntRange(i+1, len(worldDays)-1).Draw(t, "until")
	if i < 0 {
		return "", worldDays[j]
	}
	return worldDays[i], worldDays[j]
}

func randomGrant(t *rapid.T, i int) Grant {
	g := Grant{
		ID: fmt.Sprintf("g%d", i), Agreement: "a", Basis: "b", BasisKind: "law", Scenario: "s",
		Provider: one(t, "provider", "d1", "d1", "d2"), Systems: some(t, "systems", worldSystems, 1), LicenseType: one(t, "type", worldTypes...),
		Operations: some(t, "operations", worldOperations, 2), Grounds: some(t, "grounds", worldGrounds, 1), Matters: some(t, "matters", worldMatters, 1),
		Roles: some(t, "roles", worldRoles, 1), Fields: some(t, "fields", worldFields, 1), Purpose: one(t, "purpose", "", "", "", Confirm),
		Attestation: one(t, "attestation", attestations...), Consent: rapid.Bool().Draw(t, "consent"), MaxAge: one(t, "max age", worldAges...),
	}
	if rapid.IntRange(0, 3).Draw(t, "materials") == 0 {
		g.Materials = some(t, "materials", worldMaterials, 1)
	}
	if rapid.IntRange(0, 3).Draw(t, "no matter") == 0 {
		g.Matters, g.Grounds = nil, []string{one(t, "ground", "consent", "court")}
	}
	if rapid.IntRange(0, 4).Draw(t, "filing") == 0 {
		g.LicenseType, g.FilingType, g.Trust, g.Purpose, g.MaxAge, g.Operations = "", g.LicenseType, one(t, "trust", "A", "B"), "", "", []string{"cases.check"}
	}
	g.OperatorProof, g.OperatorRoles = randomDemands(t)
	g.ValidFrom, g.ValidUntil = randomSpan(t)
	return g
}

// randomDemands draws what a rule asks of the acting person: mostly nothing.
func randomDemands(t *rapid.T) (proof string, roles []string) {
	switch rapid.IntRange(0, 5).Draw(t, "demands") {
	case 0:
		return one(t, "proof", proofs...), nil
	case 1:
		return one(t, "proof", "", ProofSession, ProofCall), some(t, "operator roles", worldOperators, 1)
	}
	return "", nil
}

func randomDocument(t *rapid.T) Document {
	d := Document{Bases: []Basis{{ID: "court", Title: "t", Citation: "c"}}}
	grants := rapid.IntRange(0, 25).Draw(t, "grants")
	for i := range grants {
		d.Grants = append(d.Grants, randomGrant(t, i))
	}
	permissions := rapid.IntRange(0, 4).Draw(t, "permissions")
	for i := range permissions {
		p := Permission{
			ID: fmt.Sprintf("p%d", i), Systems: some(t, "systems", worldSystems, 1), Matters: some(t, "matters", worldMatters, 1),
			Operations: some(t, "operations", []string{"cases.register", "audit.search", "licenses.status", "precheck"}, 1), LicenseTypes: some(t, "types", worldTypes, 0),
		}
		p.OperatorProof, p.OperatorRoles = randomDemands(t)
		p.ValidFrom, p.ValidUntil = randomSpan(t)
		d.Permissions = append(d.Permissions, p)
	}
	for _, licenseType := range worldTypes {
		if rapid.Bool().Draw(t, "has share") {
			d.Shares = append(d.Shares, Share{LicenseType: licenseType, Attribute: rapid.SampledFrom([]int{1, 1, 2, 2, 2, 3}).Draw(t, "share"),
				Provider: one(t, "provider", worldProviders...), Sensitive: rapid.Bool().Draw(t, "sensitive"), Scope: "s", Reason: "r", Basis: "b"})
		}
	}
	suspensions := rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "suspensions")
	for i := range suspensions {
		p := Suspension{ID: fmt.Sprintf("x%d", i), ReasonZh: "z", ReasonEn: "e"}
		switch {
		case grants > 0 && rapid.Bool().Draw(t, "of a grant"):
			p.Rules = []string{fmt.Sprintf("g%d", rapid.IntRange(0, grants-1).Draw(t, "grant"))}
		case rapid.Bool().Draw(t, "of a system"):
			p.Systems, p.LicenseTypes = some(t, "systems", worldSystems, 1)[:1], some(t, "types", worldTypes, 0)
		default:
			p.LicenseTypes = some(t, "types", worldTypes, 1)[:1]
		}
		p.From, p.Until = randomSpan(t)
		d.Suspensions = append(d.Suspensions, p)
	}
	d.Systems = []System{{ID: "s1", Tags: some(t, "tags", []string{"window", "kiosk"}, 0)}}
	return d
}

// Conditions that random guards are made of; two of them can err.
var worldConditions = []string{
	`context.matter == "m1"`, `context.consent`, `resource.sensitive`, `principal.tags.contains("kiosk")`, `context.role != "applicant"`,
	`context.age > 3600`, `context.fields.contains("f1")`, `context.attestation == "self"`, `resource.provider == "d2"`, `principal == System::"s2"`,
	`context.now < datetime("2026-06-15")`, `principal.suspended || resource.suspended`, `resource.share == 1`, `context.basis == "court"`,
	`principal.department == "d1"`, `context.age * 9223372036854775807 > 3`, `context.purpose == "confirm"`, `resource == LicenseType::"t2"`,
	`context.operator_proof == "asserted"`, `!context.operator_roles.contains("clerk")`,
	`context == context && context.material == "a"`,
}

func randomGuard(t *rapid.T, id string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "@id(%q) @reason_zh(\"z\") @reason_en(\"e\")\n", id)
	effect := "forbid"
	switch rapid.IntRange(0, 3).Draw(t, "effect") {
	case 0:
		effect = "permit"
		fmt.Fprintf(&b, "@obligation(%q)\n", strings.Join(some(t, "obligations", []string{"watermark", "notify"}, 1), ","))
	case 1, 2:
		fmt.Fprintf(&b, "@fields(%q)\n", strings.Join(some(t, "fields", worldFields, 1), ","))
	}
	action := one(t, "action", "action", "action", `action == Action::"licenses.query"`, `action in [Action::"cases.check", Action::"audit.search"]`)
	resource := one(t, "resource", "resource", "resource is LicenseType", `resource == LicenseType::"t1"`, `resource == LicenseType::"t2"`, `resource in LicenseType::"t3"`, `resource == LicenseType::""`)
	principal := one(t, "principal", "principal", "principal", `principal == System::"s1"`)
	fmt.Fprintf(&b, "%s (%s, %s, %s)\n%s { %s && %s };\n", effect, principal, action, resource, one(t, "when", "when", "when", "unless"),
		one(t, "condition", worldConditions...), one(t, "condition", worldConditions...))
	return b.String()
}

func randomGuards(t *rapid.T) (list []string) {
	for i := range rapid.SampledFrom([]int{0, 1, 3, 8}).Draw(t, "guards") {
		list = append(list, randomGuard(t, fmt.Sprintf("c%d", i)))
	}
	return list
}

// files writes a set as its files.
func worldFiles(d Document, guards []string) []File {
	text, err := yaml.Marshal(d)
	if err != nil {
		panic(err)
	}
	return []File{{Path: "rules.yaml", Data: text}, {Path: "guards.cedar", Data: []byte(strings.Join(guards, "\n"))}}
}

// asker draws questions: most aim at a rule of the document and miss it in a thing or two, some are drawn blindly.
type asker struct {
	*rand.Rand
	document Document
}

func (a asker) one(from ...string) string { return from[a.IntN(len(from))] }

func (a asker) question() Question {
	q := Question{
		Operation: a.one(append(worldOperations, "cases.register", "audit.search", "fly")...), System: a.one(append(worldSystems, "s9")...),
		Department: a.one("", "d1", "d2"), LicenseType: a.one(append(worldTypes, "")...), Provider: a.one("", "d1", "d2"),
		Matter: a.one(append(worldMatters, "")...), Material: a.one(worldMaterials...), Role: a.one("applicant", "applicant", "spouse", ""),
		Attestation: a.one("platform", "platform", "holder", "self", ""), Basis: a.one("case", "case", "consent", "court", ""), Consent: a.IntN(3) > 0,
		Fields: [][]string{nil, {"f1"}, {"f2", "f1", "f1"}, {"f4", "f3"}, {"f9"}, {"f1", "f2", "f3", "f4"}}[a.IntN(6)],
		Trust:  [][]string{nil, {"A", "B"}, {"B"}, {"C"}}[a.IntN(4)],
		Age:    []time.Duration{0, 0, 0, time.Hour, 2 * time.Hour}[a.IntN(5)], Purpose: a.one("", "", Answer, Confirm, Confirm, "sell"),
		OperatorProof: a.one("", ProofNone, ProofAsserted, ProofSession, ProofCall, ProofCall, "sworn"), OperatorRoles: [][]string{nil, {"clerk"}, {"clerk", "head"}, {"guest"}}[a.IntN(4)],
	}
	day, _ := parseDayOrTime(a.one(append(worldDays, "2026-06-10", "2026-06-20", "2026-06-25")...), false)
	q.Now = day.Add(time.Duration(a.IntN(3)-1) * time.Millisecond)
	if a.IntN(8) > 0 {
		a.aim(&q)
	}
	return q
}

// aim copies most of a rule's scope into the question.
func (a asker) aim(q *Question) {
	grants, permissions := a.document.Grants, a.document.Permissions
	if len(permissions) > 0 && a.IntN(6) == 0 {
		p := permissions[a.IntN(len(permissions))]
		q.System, q.Operation, q.LicenseType = a.one(p.Systems...), a.one(p.Operations...), a.one(append(p.LicenseTypes, "", "")...)
		q.Matter = a.one(p.Matters...)
		return
	}
	if len(grants) == 0 {
		return
	}
	g := grants[a.IntN(len(grants))]
	values := []struct {
		into *string
		from []string
	}{
		{&q.System, g.Systems}, {&q.LicenseType, []string{g.LicenseType}}, {&q.Operation, g.Operations}, {&q.Matter, g.Matters}, {&q.Role, g.Roles},
		{&q.Provider, []string{g.Provider}}, {&q.Basis, g.Grounds}, {&q.Material, g.Materials}, {&q.Purpose, []string{g.Purpose}},
	}
	for _, v := range values {
		if len(v.from) > 0 && a.IntN(25) > 0 {
			*v.into = a.one(v.from...)
		}
	}
}
