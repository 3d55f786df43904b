package gateway

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"oncegate/policy"
)

// A sharing is a random policy together with the plain reading of it that the test trusts in: what may leave at most.
type sharing struct {
	grants   []policy.Grant
	permits  []policy.Permission
	withheld map[string][]string // license type → fields that a guard keeps back
	closed   map[string]bool     // "system type" that a guard, a suspension or a share attribute refuses
	files    []policy.File
}

var (
	leakSystems = []string{"food-approval", "land-approval", "invest-platform", "citizen-portal"}
	leakMatters = []string{"YC-FOOD-01", "YC-LAND-07", "YC-NDRC-01", "YC-FIRE-07"}
	leakFields  = map[string][]string{
		"business-license":        {"name", "number", "holder_name", "holder_code", "legal_representative", "legal_representative_code", "registered_capital", "address", "business_scope"},
		"resident-id":             {"name", "number", "holder_name", "holder_code", "sex", "ethnic_group", "address"},
		"real-estate-certificate": {"number", "holder_name", "holder_code", "location", "share", "area", "unit_number"},
		"tax-clearance":           {"number", "holder_name", "tax_kind", "amount", "object"},
		"marriage-certificate":    {"number", "holder_name", "holder_code", "registered_on", "sex"},
	}
	leakProviders = map[string]string{
		"business-license": "samr", "resident-id": "police", "real-estate-certificate": "land", "tax-clearance": "tax", "marriage-certificate": "civil",
	}
	leakTypes = []string{"business-license", "resident-id", "real-estate-certificate", "tax-clearance", "marriage-certificate"}
)

func some[T any](r *rand.Rand, from []T, least int) []T {
	n := least + r.IntN(len(from)-least+1)
	out := slices.Clone(from)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:n]
}

func one[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomSharing makes a policy out of a seed.
func randomSharing(r *rand.Rand) *sharing {
	s := &sharing{withheld: map[string][]string{}, closed: map[string]bool{}}
	for i := range 12 + r.IntN(20) {
		s.grants = append(s.grants, randomGrant(r, i))
	}
	for i := range r.IntN(4) {
		s.permits = append(s.permits, policy.Permission{
			ID: fmt.Sprint("p/", i), Systems: some(r, leakSystems, 1), Operations: []string{one(r, "cases.check", "cases.close", "consents.register", "precheck")},
			Matters: some(r, leakMatters, 1),
		})
	}
	var guards strings.Builder
	const why = `@reason_zh("理由") @reason_en("Because.")`
	for i := range r.IntN(4) {
		t := one(r, leakTypes...)
		switch r.IntN(3) {
		case 0:
			fields := some(r, leakFields[t], 1)
			s.withheld[t] = append(s.withheld[t], fields...)
			fmt.Fprintf(&guards, "@id(\"g/%d\") %s @fields(\"%s\") forbid (principal, action, resource == LicenseType::%q);\n", i, why, strings.Join(fields, ","), t)
		case 1:
			system := one(r, leakSystems...)
			s.closed[system+" "+t] = true
			fmt.Fprintf(&guards, "@id(\"g/%d\") %s forbid (principal == System::%q, action, resource == LicenseType::%q);\n", i, why, system, t)
		default:
			fmt.Fprintf(&guards, "@id(\"g/%d\") @obligation(\"watermark\") permit (principal, action, resource == LicenseType::%q);\n", i, t)
		}
	}
	s.files = []policy.File{{Path: "random.yaml", Data: []byte(s.yaml(r))}, {Path: "random.cedar", Data: []byte(guards.String())}}
	return s
}

func randomGrant(r *rand.Rand, i int) policy.Grant {
	t := one(r, leakTypes...)
	return policy.Grant{
		ID: fmt.Sprint("r/", i), Provider: leakProviders[t], Systems: some(r, leakSystems, 2), LicenseType: t,
		Operations: some(r, []string{"licenses.query", "cases.check", "licenses.status", "precheck"}, 2), Grounds: one(r, []string{"case"}, []string{"case"}, []string{"case"}, []string{"consent"}),
		Matters: some(r, leakMatters, 1), Fields: some(r, leakFields[t], 0), Purpose: one(r, "answer", "answer", "answer", "confirm"),
		Attestation: one(r, "self", "platform"), Consent: r.IntN(4) == 0, MaxAge: one(r, "", "", "24h"), ValidUntil: one(r, "2030-12-31", "2030-12-31", "2030-12-31", "2020-01-01"),
	}
}

// yaml writes the grants and permissions, and suspends or withholds something now and then.
func (s *sharing) yaml(r *rand.Rand) string {
	var b strings.Builder
	list := func(l []string) string { return "[" + strings.Join(l, ", ") + "]" }
	b.WriteString("grants:\n")
	for i := range s.grants {
		g := &s.grants[i]
		if slices.Contains(g.Matters, "YC-FOOD-01") && r.IntN(2) == 0 {
			g.Matters, g.Roles = []string{"YC-FOOD-01"}, []string{"applicant", "legal_representative"}
		} else if slices.Contains(g.Matters, "YC-LAND-07") && r.IntN(2) == 0 {
			g.Matters, g.Roles = []string{"YC-LAND-07"}, []string{"applicant", "spouse"}
		}
		fmt.Fprintf(&b, "  - {id: %s, agreement: a, provider: %s, systems: %s, license_type: %s, operations: %s, grounds: %s, matters: %s, fields: %s, purpose: %s, basis: b, basis_kind: rule, scenario: s, attestation: %s, consent: %v, max_age: %q, valid_until: %q, roles: %s}\n",
			g.ID, g.Provider, list(g.Systems), g.LicenseType, list(g.Operations), list(g.Grounds), list(g.Matters), list(g.Fields), g.Purpose, g.Attestation, g.Consent, g.MaxAge, g.ValidUntil, list(g.Roles))
	}
	b.WriteString("permissions:\n  - {id: p/registrar, systems: [acceptance], operations: [cases.register, cases.close], matters: [YC-FOOD-01, YC-LAND-07, YC-INVEST-CHAIN]}\n")
	for _, p := range s.permits {
		fmt.Fprintf(&b, "  - {id: %s, systems: %s, operations: %s, matters: %s}\n", p.ID, list(p.Systems), list(p.Operations), list(p.Matters))
	}
	if r.IntN(3) == 0 {
		system, t := one(r, leakSystems...), one(r, leakTypes...)
		s.closed[system+" "+t] = true
		fmt.Fprintf(&b, "suspensions:\n  - {id: s/1, systems: [%s], license_types: [%s], reason_zh: 暂停, reason_en: Suspended.}\n", system, t)
	}
	if r.IntN(5) == 0 {
		t := one(r, leakTypes...)
		for _, system := range leakSystems {
			s.closed[system+" "+t] = true
		}
		fmt.Fprintf(&b, "shares:\n  - {license_type: %s, share: 3, reason: r, basis: b}\n", t)
	}
	return b.String()
}

// knows is the plain reading of who has to do with a matter's cases.
func (s *sharing) knows(system string, matters ...string) bool {
	for _, m := range matters {
		for _, g := range s.grants {
			if g.ValidUntil > "2026" && slices.Contains(g.Systems, system) && slices.Contains(g.Matters, m) && slices.Contains(g.Grounds, "case") &&
				slices.ContainsFunc(g.Operations, func(op string) bool { return op != "precheck" }) {
				return true
			}
		}
		for _, p := range s.permits {
			if slices.Contains(p.Systems, system) && slices.Contains(p.Matters, m) && strings.HasPrefix(p.Operations[0], "cases.") {
				return true
			}
		}
	}
	return false
}

// most are the fields that may leave at most.
func (s *sharing) most(system, operation, licenseType, matter, role string, platform, consent, stale bool) (fields []string) {
	if s.closed[system+" "+licenseType] {
		return nil
	}
	for _, g := range s.grants {
		roles := g.Roles
		if len(roles) == 0 {
			roles = []string{"applicant"}
		}
		if slices.Contains(g.Systems, system) && g.LicenseType == licenseType && slices.Contains(g.Operations, operation) && slices.Contains(g.Matters, matter) &&
			slices.Contains(g.Grounds, "case") && g.Purpose == "answer" && slices.Contains(roles, role) && g.ValidUntil > "2026" &&
			(platform || g.Attestation == "self") && (consent || !g.Consent) && (!stale || g.MaxAge != "") {
			fields = append(fields, g.Fields...)
		}
	}
	return slices.DeleteFunc(fields, func(f string) bool { return slices.Contains(s.withheld[licenseType], f) })
}
