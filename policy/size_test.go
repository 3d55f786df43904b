package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// A province is a policy at size: 10,000 grants of 200 systems on 60 license types for 500 matters, and 200 guards, 50 of
// them unscoped. One system, the acceptance window, has a tenth of the grants, all on one type.
type province struct {
	document Document
	guards   []string
}

func newProvince(grants, guards, unscoped int) province {
	r := rand.New(rand.NewPCG(1, 2))
	fields := func() (list []string) {
		for _, i := range r.Perm(20)[:4+r.IntN(8)] {
			list = append(list, fmt.Sprintf("field_%02d", i))
		}
		return list
	}
	var p province
	for i := range grants {
		system, licenseType := fmt.Sprintf("system-%d", r.IntN(200)), fmt.Sprintf("type-%d", r.IntN(60))
		if i%10 == 0 {
			system, licenseType = "window", "type-0"
		}
		var matters []string
		for _, m := range r.Perm(500)[:1+r.IntN(5)] {
			matters = append(matters, fmt.Sprintf("matter-%d", m))
		}
		p.document.Grants = append(p.document.Grants, Grant{
			ID: fmt.Sprintf("g-%d", i), Agreement: "agreement", Provider: "provider", Systems: []string{system}, LicenseType: licenseType,
			Operations: []string{"licenses.query", "cases.check"}, Matters: matters, Roles: []string{"applicant", "spouse"}, Fields: fields(),
			Basis: "law", BasisKind: "law", Scenario: "scenario", Attestation: "platform", MaxAge: "36h", ValidUntil: "2030-01-01",
		})
	}
	conditions := []string{
		`context.age > 86400 && resource.sensitive`, `principal.tags.contains("kiosk")`, `context.attestation == "self"`,
		`context.basis != "case" && !context.consent`, `context.now < datetime("2020-01-01")`, `context.role == "stranger"`,
		`context.matter == "matter-9999"`, `principal.suspended && resource.share == 3`,
	}
	for i := range guards {
		resource := "resource"
		if i >= unscoped {
			resource = fmt.Sprintf(`resource == LicenseType::"type-%d"`, i%60)
		}
		head := [...]string{"", "@fields(\"field_01,field_02\")\n"}[i%2]
		p.guards = append(p.guards, fmt.Sprintf("@id(\"c-%d\") @reason_zh(\"z\") @reason_en(\"e\")\n%sforbid (principal, action, %s) when { %s };\n",
			i, head, resource, conditions[i%len(conditions)]))
	}
	return p
}

// files writes the set; the YAML library would take as long to write it as to read it.
func (p province) files() []File {
	var b strings.Builder
	b.WriteString("grants:\n")
	for _, g := range p.document.Grants {
		fmt.Fprintf(&b, "- {id: %s, agreement: agreement, provider: provider, systems: [%s], license_type: %s, operations: [%s], matters: [%s], roles: [%s],\n",
			g.ID, g.Systems[0], g.LicenseType, strings.Join(g.Operations, ", "), strings.Join(g.Matters, ", "), strings.Join(g.Roles, ", "))
		fmt.Fprintf(&b, "   fields: [%s], basis: law, basis_kind: law, scenario: scenario, attestation: %s, max_age: %s, valid_until: %s}\n",
			strings.Join(g.Fields, ", "), g.Attestation, g.MaxAge, g.ValidUntil)
	}
	return []File{{Path: "grants.yaml", Data: []byte(b.String())}, {Path: "guards.cedar", Data: []byte(strings.Join(p.guards, ""))}}
}

func (p province) load(t testing.TB) *Set {
	return load(t, Data{Files: p.files()})
}

// question asks about a random grant: its scope nine times out of ten, else one thing wrong; every fourth from the window.
func (p province) question(r *rand.Rand) Question {
	g := p.document.Grants[r.IntN(len(p.document.Grants))]
	if r.IntN(4) == 0 {
		g = p.document.Grants[r.IntN(len(p.document.Grants)/10)*10]
	}
	q := Question{
		Operation: "licenses.query", System: g.Systems[0], Department: "d", LicenseType: g.LicenseType, Provider: "provider",
		Matter: g.Matters[r.IntN(len(g.Matters))], Material: "m", Role: "applicant", Attestation: "platform", Basis: "case",
		Fields: g.Fields[:1+r.IntN(len(g.Fields))], Now: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
	}
	switch r.IntN(30) {
	case 0:
		q.Matter = "matter-9999"
	case 1:
		q.Attestation = "self"
	case 2:
		q.Age = 48 * time.Hour
	}
	return q
}

func TestIndexEqualsNaiveScanAtSize(t *testing.T) {
	p := newProvince(10000, 200, 50)
	files := p.files()
	started := time.Now()
	set := load(t, Data{Files: files})
	t.Logf("10,000 grants and 200 guards loaded in %v", time.Since(started).Round(time.Millisecond))
	r := rand.New(rand.NewPCG(3, 4))
	n := 200
	if long() {
		n = 100000
	}
	allowed := 0
	for range n {
		q := p.question(r)
		got := set.Decide(q)
		if diff := same(naive{set}.decide(q), got); diff != "" {
			t.Fatalf("question %+v\n-naive +indexed\n%s", q, diff)
		}
		if got.Allow {
			allowed++
		}
	}
	if allowed < n/2 || allowed == n {
		t.Errorf("%d of %d allowed: the questions prove too little", allowed, n)
	}
}

func BenchmarkDecideAtSize(b *testing.B) {
	p := newProvince(10000, 200, 50)
	set := p.load(b)
	r := rand.New(rand.NewPCG(5, 6))
	list := make([]Question, 4096)
	for i := range list {
		list[i] = p.question(r)
	}
	times := make([]time.Duration, 0, 1<<20)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		started := time.Now()
		set.Decide(list[i%len(list)])
		times = append(times, time.Since(started))
		i++
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "ns-median")
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds()), "ns-p99")
}

func BenchmarkDecideCity(b *testing.B) {
	files, _ := city(b)
	set := load(b, Data{Files: files})
	q := Question{
		Operation: "licenses.query", System: "food-approval", Department: "food", LicenseType: "business-license", Provider: "market",
		Matter: "food-permit", Material: "m-business", Role: "applicant", Attestation: "platform", Basis: "case",
		Fields: []string{"name", "number"}, Now: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
	}
	b.ReportAllocs()
	for b.Loop() {
		if !set.Decide(q).Allow {
			b.Fatal("denied")
		}
	}
}
