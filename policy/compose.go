package policy

import (
	"slices"
)

// decision makes the Decision out of what was weighed.
func (w *weighing) decision() Decision {
	granted, lacking := w.grantedFields()
	kept, lost := w.keep(granted)
	if len(w.fired)+len(w.permitted) == 0 || w.barren(granted, kept) || w.refused() {
		return Decision{Rules: w.denying(granted, kept), Reasons: w.reasons(lacking, lost)}
	}
	d := Decision{Allow: true, Fields: kept, Rules: w.allowing(), Obligations: w.obligations()}
	for _, g := range w.fired {
		d.MaxAge = max(d.MaxAge, g.maxAge)
	}
	if len(lacking)+len(lost) > 0 || len(w.missed) > 0 {
		d.Reasons = w.reasons(lacking, lost)
	}
	return d
}

// barren says whether no field is left where fields are what is released: some were asked for, or grants alone open the
// question. What a permission opens, of which nothing of the license leaves, no withheld field closes: else a grant beside a
// permission would take away what the permission gives.
func (w *weighing) barren(granted, kept []string) bool {
	return len(kept) == 0 && (len(w.question.Fields) > 0 || len(granted) > 0 && len(w.permitted) == 0)
}

// refused says whether anything refuses whatever is granted.
func (w *weighing) refused() bool {
	return len(w.suspending) > 0 || w.notShared != nil || slices.ContainsFunc(w.guards, func(g *guard) bool { return g.effect == refuse })
}

// grantedFields returns the fields asked for that grants give, sorted, and those that none gives.
func (w *weighing) grantedFields() (granted, lacking []string) {
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

// A loss is what one guard withholds.
type loss struct {
	guard  *guard
	fields []string
}

// keep takes away the fields that guards withhold.
func (w *weighing) keep(granted []string) (kept []string, lost []loss) {
	kept = granted
	for _, g := range w.guards {
		if g.effect != withhold {
			continue
		}
		withheld := func(f string) bool { return slices.Contains(g.fields, f) }
		if slices.ContainsFunc(granted, withheld) {
			both := slices.DeleteFunc(slices.Clone(granted), func(f string) bool { return !withheld(f) })
			lost = append(lost, loss{g, both})
			kept = slices.DeleteFunc(slices.Clone(kept), withheld)
		}
	}
	return kept, lost
}

// allowing lists the grants, permissions and guards behind a release.
func (w *weighing) allowing() []string {
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
func (w *weighing) denying(granted, kept []string) []string {
	var ids []string
	for _, p := range w.suspending {
		ids = append(ids, p.ID)
	}
	if w.notShared != nil {
		ids = append(ids, sharePrefix+w.notShared.LicenseType)
	}
	for _, g := range w.guards {
		if g.effect == refuse || g.effect == withhold && len(granted) > 0 && w.barren(granted, kept) {
			ids = append(ids, g.id)
		}
	}
	if len(w.fired)+len(w.permitted) == 0 || len(w.question.Fields) > 0 && len(granted) == 0 {
		ids = append(ids, DenyByDefault)
	}
	return unique(ids)
}

// obligations lists what guards add to a release.
func (w *weighing) obligations() (list []string) {
	for _, g := range w.guards {
		if g.effect == oblige {
			list = append(list, g.obligations...)
		}
	}
	return unique(list)
}

// reasons says why not, or why fewer fields.
func (w *weighing) reasons(lacking []string, lost []loss) []Reason {
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
	for _, m := range w.missed {
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
func (w *weighing) uncovered(list []Reason) []Reason {
	if !w.releases {
		return append(list, because(noPermission, ""))
	}
	list = append(list, because(noGrant, ""))
	if w.nearest != noGrant && !slices.ContainsFunc(w.missed, func(m miss) bool { return m.grant != nil }) {
		list = append(list, because(w.nearest, ""))
	}
	return list
}

// wouldAdd says whether a grant that did not fire would have given a field that no other gave.
func (w *weighing) wouldAdd(m miss) bool {
	return m.grant != nil && slices.ContainsFunc(m.grant.Fields, func(f string) bool {
		asked := len(w.question.Fields) == 0 || slices.Contains(w.question.Fields, f)
		return asked && !slices.ContainsFunc(w.fired, func(g *grant) bool { return slices.Contains(g.Fields, f) })
	})
}

// reasons adds the conditions that do not hold.
func (m *miss) reasons(list []Reason, q *Question) []Reason {
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
