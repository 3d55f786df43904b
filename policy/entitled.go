package policy

import (
	"slices"
	"strings"
	"time"
)

// Names reports whether any grant that rests on a case, or permission to do something with cases, that stands at a moment
// names a system together with a matter: whether the system has to do with the matter's cases at all. Others learn nothing
// of them, not even that they exist; a grant for pre-checks says nothing about cases. A suspension does not change it: a
// suspended system is told that it is suspended.
func (s *Set) Names(system, matter string, at time.Time) bool {
	for _, st := range s.named[scope{system: system, matter: matter}] {
		if within(at, st.from, st.until) {
			return true
		}
	}
	return false
}

// A standing is from when until when a rule stands.
type standing struct{ from, until time.Time }

// indexNames files grants and permissions by the systems and matters they name.
func (s *Set) indexNames() {
	s.named = make(map[scope][]standing)
	add := func(systems, matters []string, during standing) {
		for _, system := range systems {
			for _, matter := range matters {
				key := scope{system: system, matter: matter}
				s.named[key] = append(s.named[key], during)
			}
		}
	}
	for _, g := range s.grants {
		if slices.Contains(g.Grounds, ByCase) && slices.ContainsFunc(g.Operations, ofCases) {
			add(g.Systems, g.Matters, standing{g.from, g.until})
		}
	}
	for _, p := range s.permissions {
		if slices.ContainsFunc(p.Operations, ofCases) {
			add(p.Systems, p.Matters, standing{p.from, p.until})
		}
	}
}

// ofCases reports whether an operation cites a case.
func ofCases(operation string) bool {
	return strings.HasPrefix(operation, "cases.") || strings.HasPrefix(operation, "licenses.")
}

// Basis returns one of the set's legal bases other than a case or a consent.
func (s *Set) Basis(id string) (Basis, bool) {
	b, ok := s.bases[id]
	return b, ok
}
