package policy

import (
	"slices"
	"time"
)

// Decide answers a question. It is pure and denies by default: whatever no grant or permission gives is refused, and any
// suspension, share attribute or guard that fires refuses whatever the grants say. Everything that bears on the question
// is evaluated, so that rules and reasons are complete.
func (s *Set) Decide(q Question) Decision {
	if operations[q.Operation] == 0 {
		return Decision{Rules: []string{DenyByDefault}, Reasons: []Reason{because(unknownOperation, "")}}
	}
	w := s.weigh(&q)
	return w.decision()
}

// A weighing is everything that bears on one question.
type weighing struct {
	question   *Question
	fired      []*grant
	permitted  []*permission
	missed     []miss // rules that cover the question but whose conditions do not hold
	nearest    code   // how near the grants came that do not cover the question; noGrant: there are none
	suspending []*suspension
	notShared  *Share
	guards     []*guard // that fired
	releases   bool     // the question needs a grant
}

// A miss is a grant or permission that covers a question without firing.
type miss struct {
	grant      *grant // nil for a permission
	rule       string
	conditions uint32        // bit mask of codes
	suspending []*suspension // what suspends it
	operator   operatorDemands
}

// weigh evaluates everything.
func (s *Set) weigh(q *Question) weighing {
	w := weighing{question: q, nearest: noGrant}
	open := operations[q.Operation]
	if w.releases = q.LicenseType != "" && open&byGrant != 0; w.releases {
		w.weighGrants(s)
	}
	if open&byPermission != 0 && (q.LicenseType == "" || open&alsoTyped != 0) {
		w.weighPermissions(s)
	}
	w.suspending = s.suspendingAll(q)
	if share := s.share(q.LicenseType); share.Attribute == Withheld {
		w.notShared = &share
	}
	w.guards = s.guarded(q)
	return w
}

// weighGrants sorts the grants that name system, type and matter into those that fire and those that do not.
func (w *weighing) weighGrants(s *Set) {
	bound, free := s.candidates(w.question)
	if len(bound)+len(free) == 0 {
		if s.byType[scope{w.question.System, w.question.LicenseType, ""}] {
			w.nearest = matterNotGranted
		}
		return
	}
	for _, part := range [...][]*grant{bound, free} {
		for _, g := range part {
			if c := g.covers(w.question); c != covered {
				w.nearest = max(w.nearest, c)
				continue
			}
			m := miss{grant: g, rule: g.ID, operator: g.operator, conditions: g.unmet(w.question), suspending: s.suspending(s.onRule[g.ID], w.question)}
			if m.conditions == 0 && m.suspending == nil {
				w.fired = append(w.fired, g)
			} else {
				w.missed = append(w.missed, m)
			}
		}
	}
}

// weighPermissions does the same for permissions.
func (w *weighing) weighPermissions(s *Set) {
	q := w.question
	for _, p := range s.byOperation[duty{q.System, q.Operation}] {
		if !p.covers(q) {
			continue
		}
		m := miss{rule: p.ID, operator: p.operator, conditions: p.unmet(q), suspending: s.suspending(s.onRule[p.ID], q)}
		if m.conditions == 0 && m.suspending == nil {
			w.permitted = append(w.permitted, p)
		} else {
			w.missed = append(w.missed, m)
		}
	}
}

// covers says whether the grant's scope covers a question whose system, license type and matter it names; if not, the
// code of what it lacks. Later codes are nearer misses.
func (g *grant) covers(q *Question) code {
	switch {
	case g.Purpose != Answer && purpose(q) != g.Purpose, purpose(q) != Answer && purpose(q) != Confirm:
		return purposeNotGranted
	case !slices.Contains(g.Operations, q.Operation):
		return operationNotGranted
	case q.Provider != "" && q.Provider != g.Provider:
		return providerNotGranted
	case !slices.Contains(g.Grounds, q.Basis) || q.Basis == ByCase && q.Matter == "":
		return basisNotGranted
	case len(g.Materials) > 0 && !slices.Contains(g.Materials, q.Material):
		return materialNotGranted
	case (q.Role != "" || q.Basis == ByCase) && !slices.Contains(g.Roles, q.Role):
		return roleNotGranted
	}
	return covered
}

// unmet returns the conditions of a covering grant that do not hold.
func (g *grant) unmet(q *Question) uint32 {
	mask := validity(q.Now, g.from, g.until)
	if q.Basis == ByCase && strength(q.Attestation) < g.strength {
		mask |= 1 << attestationTooWeak
	}
	if (g.Consent || q.Basis == ByConsent) && !q.Consent {
		mask |= 1 << consentMissing
	}
	if q.Age > g.maxAge {
		mask |= 1 << tooStale
	}
	return mask | g.operator.unmet(q)
}

func (g *grant) asksConsent() bool { return g.Consent || slices.Contains(g.Grounds, ByConsent) }

// unmet returns the conditions of a covering permission that do not hold. No permission lets a kept copy speak for a
// license.
func (p *permission) unmet(q *Question) uint32 {
	mask := validity(q.Now, p.from, p.until)
	if q.LicenseType != "" && q.Age > 0 {
		mask |= 1 << tooStale
	}
	return mask | p.operator.unmet(q)
}

// validity returns what is wrong with the time.
func validity(now, from, until time.Time) uint32 {
	switch {
	case now.Before(from):
		return 1 << grantNotYetValid
	case !within(now, from, until):
		return 1 << grantExpired
	}
	return 0
}

// covers says whether a permission of the question's system and operation names its matter and license type.
func (p *permission) covers(q *Question) bool {
	return (len(p.Matters) == 0 || slices.Contains(p.Matters, q.Matter)) &&
		(len(p.LicenseTypes) == 0 || slices.Contains(p.LicenseTypes, q.LicenseType))
}
