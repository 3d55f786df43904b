package policy

import (
	"time"

	"github.com/cedar-policy/cedar-go"
)

// index files every rule where Decide looks for it.
func (s *Set) index(r *guardReader) {
	s.indexGrants()
	s.byOperation = make(map[duty][]*permission)
	for _, p := range s.permissions {
		for _, system := range p.Systems {
			for _, operation := range p.Operations {
				key := duty{system, operation}
				s.byOperation[key] = append(s.byOperation[key], p)
			}
		}
	}
	s.indexNames()
	s.indexSuspensions()
	s.guards, s.reads = indexGuards(r.guards), r.reads
	s.guardByID = make(map[cedar.PolicyID]*guard, len(r.guards))
	for _, g := range r.guards {
		s.guardByID[cedar.PolicyID(g.id)] = g
	}
}

func (s *Set) indexGrants() {
	s.byScope, s.byType = make(map[scope][]*grant), make(map[scope]bool)
	s.longestAgeOf = make(map[string][]*grant)
	for _, g := range s.grants {
		matters := g.Matters
		if len(matters) == 0 {
			matters = []string{""}
		}
		for _, system := range g.Systems {
			s.byType[scope{system, g.LicenseType, ""}] = true
			for _, matter := range matters {
				key := scope{system, g.LicenseType, matter}
				s.byScope[key] = append(s.byScope[key], g)
			}
		}
		if g.maxAge > 0 {
			s.longestAgeOf[g.LicenseType] = append(s.longestAgeOf[g.LicenseType], g)
		}
	}
}

func (s *Set) indexSuspensions() {
	s.onSystem, s.onType, s.onRule = map[string][]*suspension{}, map[string][]*suspension{}, map[string][]*suspension{}
	for _, p := range s.suspensions {
		for _, system := range p.Systems {
			s.onSystem[system] = append(s.onSystem[system], p)
		}
		if len(p.Systems) == 0 {
			for _, licenseType := range p.LicenseTypes {
				s.onType[licenseType] = append(s.onType[licenseType], p)
			}
		}
		for _, rule := range p.Rules {
			s.onRule[rule] = append(s.onRule[rule], p)
		}
	}
}

// candidates returns the grants that name the question's system, license type and matter, and those that name no matter.
func (s *Set) candidates(q *Question) (bound, free []*grant) {
	free = s.byScope[scope{q.System, q.LicenseType, ""}]
	if q.Matter != "" {
		bound = s.byScope[scope{q.System, q.LicenseType, q.Matter}]
	}
	return bound, free
}

// LongestAge returns the greatest age of a copy that any grant on a license type allows at a moment; 0: none may be kept.
// Grants that are not valid then or suspended, and types that are not shared, allow none. The register keeps no copy
// longer.
func (s *Set) LongestAge(licenseType string, at time.Time) time.Duration {
	q := &Question{LicenseType: licenseType, Now: at}
	if s.share(licenseType).Attribute == Withheld || s.suspendedType(q) {
		return 0
	}
	var longest time.Duration
	for _, g := range s.longestAgeOf[licenseType] {
		if within(at, g.from, g.until) && s.suspending(s.onRule[g.ID], q) == nil {
			longest = max(longest, g.maxAge)
		}
	}
	return longest
}

// AsksConsent says whether any grant that a system has on a license type for a matter asks for the holder's consent, so
// that a caller knows whether to look for one.
func (s *Set) AsksConsent(system, licenseType, matter string) bool {
	bound, free := s.candidates(&Question{System: system, LicenseType: licenseType, Matter: matter})
	for _, part := range [...][]*grant{bound, free} {
		for _, g := range part {
			if g.asksConsent() {
				return true
			}
		}
	}
	return false
}
