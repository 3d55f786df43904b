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
	w := s.evaluate(&q)
	return w.decision()
}

// An evaluation is everything that bears on one question: the rules that fire and those that nearly do.
type evaluation struct {
	question   *Question
	fired      []*grant
	permitted  []*permission
	nearMisses []nearMiss // rules that cover the question but whose conditions do not hold
	nearest    code       // how near the grants came that do not cover the question; noGrant: there are none
	suspending []*suspension
	notShared  *Share
	guards     []*guard // that fired
	releases   bool     // the question needs a grant
}

// A nearMiss is a grant or permission whose scope covers a question and whose conditions do not all hold.
type nearMiss struct {
	grant      *grant // nil for a permission
	rule       string
	conditions uint32        // bit mask of codes
	suspending []*suspension // what suspends it
	operator   operatorDemands
}

// evaluate looks at every rule that bears on a question.
func (s *Set) evaluate(q *Question) evaluation {
	w := evaluation{question: q, nearest: noGrant}
	open := operations[q.Operation]
	if w.releases = q.LicenseType != "" && open&byGrant != 0; w.releases {
		w.evaluateGrants(s)
	}
	if q.LicenseType == "" || open&permissionCoversLicense != 0 {
		w.evaluatePermissions(s)
	}
	w.suspending = s.suspensionsOf(q)
	if share := s.share(q.LicenseType); share.Attribute == Withheld {
		w.notShared = &share
	}
	w.guards = s.firedGuards(q)
	return w
}

// evaluateGrants sorts the grants that name system, type and matter into those that fire and those that do not.
func (w *evaluation) evaluateGrants(s *Set) {
	bound, free := s.candidates(w.question)
	if len(bound)+len(free) == 0 {
		if s.byType[grantKey{w.question.System, w.question.LicenseType, ""}] {
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
			m := nearMiss{grant: g, rule: g.ID, operator: g.operator, conditions: g.unmet(w.question), suspending: s.suspending(s.onRule[g.ID], w.question)}
			if m.conditions == 0 && m.suspending == nil {
				w.fired = append(w.fired, g)
			} else {
				w.nearMisses = append(w.nearMisses, m)
			}
		}
	}
}

// evaluatePermissions does the same for permissions.
func (w *evaluation) evaluatePermissions(s *Set) {
	q := w.question
	for _, p := range s.byOperation[permissionKey{q.System, q.Operation}] {
		if !p.covers(q) {
			continue
		}
		m := nearMiss{rule: p.ID, operator: p.operator, conditions: p.unmet(q), suspending: s.suspending(s.onRule[p.ID], q)}
		if m.conditions == 0 && m.suspending == nil {
			w.permitted = append(w.permitted, p)
		} else {
			w.nearMisses = append(w.nearMisses, m)
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
	case !slices.Contains(g.Grounds, q.Basis): // a grant that rests on cases names their matters, and is found by them only
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
	if g.Trust != "" && !slices.Contains(q.Trust, g.Trust) {
		mask |= 1 << trustTooLow
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

// decision makes the Decision out of an evaluation.
func (w *evaluation) decision() Decision {
	granted, lacking := w.grantedFields()
	kept, lost := w.keep(granted)
	if len(w.fired)+len(w.permitted) == 0 || w.noFieldLeft(granted, kept) || w.refused() {
		return Decision{Rules: w.denying(granted, kept), Reasons: w.reasons(lacking, lost)}
	}
	d := Decision{Allow: true, Fields: kept, Rules: w.allowing(), Obligations: w.obligations(), Reasons: w.reasons(lacking, lost)}
	for _, g := range w.fired {
		d.MaxAge = max(d.MaxAge, g.maxAge)
	}
	return d
}

// noFieldLeft says whether nothing remains of a release of fields: some were asked for, or grants alone open the
// question. A withheld field does not close what a permission opens, for no field leaves by a permission: else a grant beside a
// permission would take away what the permission gives.
func (w *evaluation) noFieldLeft(granted, kept []string) bool {
	return len(kept) == 0 && (len(w.question.Fields) > 0 || len(granted) > 0 && len(w.permitted) == 0)
}

// refused says whether anything refuses whatever is granted.
func (w *evaluation) refused() bool {
	return len(w.suspending) > 0 || w.notShared != nil || slices.ContainsFunc(w.guards, func(g *guard) bool { return g.effect == refuse })
}

// grantedFields returns the fields asked for that grants give, sorted, and those that none gives.
func (w *evaluation) grantedFields() (granted, lacking []string) {
	if len(w.question.Fields) == 0 {
		for _, g := range w.fired {
			granted = append(granted, g.Fields...)
		}
	}
	for _, f := range w.question.Fields {
		if slices.ContainsFunc(w.fired, func(g *grant) bool { return slices.Contains(g.Fields, f) }) {
			granted = append(granted, f)
		} else {
			lacking = append(lacking, f)
		}
	}
	return unique(granted), unique(lacking)
}

// withheldFields are the fields that one guard withholds.
type withheldFields struct {
	guard  *guard
	fields []string
}

// keep takes away the fields that guards withhold; others name none.
func (w *evaluation) keep(granted []string) (kept []string, lost []withheldFields) {
	kept = granted
	for _, g := range w.guards {
		withheld := func(f string) bool { return slices.Contains(g.fields, f) }
		if slices.ContainsFunc(granted, withheld) {
			both := slices.DeleteFunc(slices.Clone(granted), func(f string) bool { return !withheld(f) })
			lost = append(lost, withheldFields{g, both})
			kept = slices.DeleteFunc(slices.Clone(kept), withheld)
		}
	}
	return kept, lost
}

// allowing lists the grants, permissions and guards behind a release.
func (w *evaluation) allowing() []string {
	ids := make([]string, 0, len(w.fired)+len(w.permitted)+len(w.guards))
	for _, g := range w.fired {
		ids = append(ids, g.ID)
	}
	for _, p := range w.permitted {
		ids = append(ids, p.ID)
	}
	for _, g := range w.guards {
		ids = append(ids, g.id)
	}
	return unique(ids)
}

// denying lists what refuses: guards, suspensions and shares, guards that withheld the last field, and the default where
// nothing asked for is granted.
func (w *evaluation) denying(granted, kept []string) []string {
	var ids []string
	for _, p := range w.suspending {
		ids = append(ids, p.ID)
	}
	if w.notShared != nil {
		ids = append(ids, sharePrefix+w.notShared.LicenseType)
	}
	for _, g := range w.guards {
		if g.effect == refuse || g.effect == withhold && len(granted) > 0 && w.noFieldLeft(granted, kept) {
			ids = append(ids, g.id)
		}
	}
	if len(w.fired)+len(w.permitted) == 0 || len(w.question.Fields) > 0 && len(granted) == 0 {
		ids = append(ids, DenyByDefault)
	}
	return unique(ids)
}

// obligations lists what guards add to a release; only those that oblige name any.
func (w *evaluation) obligations() (list []string) {
	for _, g := range w.guards {
		list = append(list, g.obligations...)
	}
	return unique(list)
}

// reasons says why not, or why fewer fields.
func (w *evaluation) reasons(lacking []string, lost []withheldFields) []Reason {
	var list []Reason
	for _, p := range w.suspending {
		list = append(list, becauseOf(suspended, p.ID, p.ReasonZh, p.ReasonEn))
	}
	if w.notShared != nil {
		list = append(list, because(notShared, sharePrefix+w.notShared.LicenseType))
	}
	for _, g := range w.guards {
		if g.effect == refuse {
			list = append(list, becauseOf(guardRefused, g.id, g.zh, g.en))
		}
	}
	none := len(w.fired)+len(w.permitted) == 0
	if none {
		list = w.uncovered(list)
	}
	for _, m := range w.nearMisses {
		if none || w.wouldAdd(m) {
			list = m.reasons(list, w.question)
		}
	}
	if len(lacking) > 0 && !none {
		r := because(fieldNotGranted, "")
		r.Fields = lacking
		list = append(list, r)
	}
	for _, l := range lost {
		r := becauseOf(fieldWithheld, l.guard.id, l.guard.zh, l.guard.en)
		r.Fields = l.fields
		list = append(list, r)
	}
	return inOrder(list)
}

// uncovered adds that nothing covers the question, and how near the nearest grant came.
func (w *evaluation) uncovered(list []Reason) []Reason {
	if !w.releases {
		return append(list, because(noPermission, ""))
	}
	list = append(list, because(noGrant, ""))
	if !slices.ContainsFunc(w.nearMisses, func(m nearMiss) bool { return m.grant != nil }) {
		list = append(list, because(w.nearest, ""))
	}
	return list
}

// wouldAdd says whether a grant that did not fire would have given a field that no other gave.
func (w *evaluation) wouldAdd(m nearMiss) bool {
	return m.grant != nil && slices.ContainsFunc(m.grant.Fields, func(f string) bool {
		asked := len(w.question.Fields) == 0 || slices.Contains(w.question.Fields, f)
		return asked && !slices.ContainsFunc(w.fired, func(g *grant) bool { return slices.Contains(g.Fields, f) })
	})
}

// reasons adds the conditions that do not hold.
func (m *nearMiss) reasons(list []Reason, q *Question) []Reason {
	for _, p := range m.suspending {
		list = append(list, becauseOf(suspended, p.ID, p.ReasonZh, p.ReasonEn))
	}
	for c := range codes {
		switch {
		case m.conditions&(1<<c) == 0:
		case c == operatorProofWeak || c == operatorRoleMissing:
			list = append(list, becauseOfOperator(c, m.operator, q, m.rule))
		default:
			list = append(list, because(c, m.rule))
		}
	}
	return list
}

// unique sorts a list and drops repetitions, in place.
func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
