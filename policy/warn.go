package policy

import (
	"slices"

	"oncegate/fault"
)

// warn finds grants that can never fire.
func (s *Set) warn(data Data) fault.List {
	var f fault.List
	for _, g := range s.grants {
		if !data.Now.IsZero() && !g.until.IsZero() && !data.Now.Before(g.until) {
			f.AddAt(g.at, "grant %s has expired and never fires", g.ID)
		}
		if s.share(g.LicenseType).Attribute == Withheld {
			f.AddAt(g.at, "grant %s never fires: licenses of type %s are not shared", g.ID, g.LicenseType)
		}
		if _, stated := s.shares[g.LicenseType]; !stated {
			f.AddAt(g.at, "grant %s: license type %s has no share attribute and is treated as conditional", g.ID, g.LicenseType)
		}
		if s.useless(g, data.Known) {
			f.AddAt(g.at, "grant %s never fires for a case: none of its matters has a material of license type %s", g.ID, g.LicenseType)
		}
		if unproven(data.Known, g.Systems, g.operator) {
			f.AddAt(g.at, "grant %s never fires: no identity service may prove the operators that it asks for at any of its systems", g.ID)
		}
		if s.stopped(g) {
			f.AddAt(g.at, "grant %s never fires: every one of its systems is suspended without end", g.ID)
		}
	}
	for _, p := range s.permissions {
		if unproven(data.Known, p.Systems, p.operator) {
			f.AddAt(p.at, "permission %s never fires: no identity service may prove the operators that it asks for at any of its systems", p.ID)
		}
	}
	return f
}

// unproven says whether a rule asks for proof of the acting person that no identity service may give at any of its systems.
func unproven(known *Known, systems []string, d operatorDemands) bool {
	if known == nil || len(d.roles) == 0 && proofStrength(d.proof) < proofStrength(ProofSession) {
		return false
	}
	return !slices.ContainsFunc(systems, func(system string) bool {
		roles, served := known.Operators[system]
		return served && (len(d.roles) == 0 || slices.ContainsFunc(d.roles, func(r string) bool { return slices.Contains(roles, r) }))
	})
}

// useless says whether a grant for cases names only matters that never need its license type.
func (s *Set) useless(g *grant, known *Known) bool {
	if known == nil || len(g.Grounds) != 1 || g.Grounds[0] != ByCase {
		return false
	}
	return !slices.ContainsFunc(g.Matters, func(code string) bool {
		for material, licenseType := range known.Matters[code].Materials {
			if licenseType == g.LicenseType && (len(g.Materials) == 0 || slices.Contains(g.Materials, material)) {
				return true
			}
		}
		return false
	})
}

// stopped says whether suspensions without beginning and end stand on all systems of a grant.
func (s *Set) stopped(g *grant) bool {
	return !slices.ContainsFunc(g.Systems, func(system string) bool {
		return !slices.ContainsFunc(s.onSystem[system], func(p *suspension) bool {
			return len(p.LicenseTypes) == 0 && p.from.IsZero() && p.until.IsZero()
		})
	})
}
