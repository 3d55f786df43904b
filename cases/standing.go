package cases

import (
	"slices"

	"oncegate/license"
)

// A Standing says how a material stands between checks: by what the last one found, what the window received, and today.
type Standing struct {
	Judgement
	Last     *LastState // what the last check found; nil: nothing that may be known
	Received *Received  // what the window received last; nil: nothing
	Due      *Due       // nil: nothing is awaited
}

// A Due is what the applicant still owes: a material that was tolerated as missing (容缺受理), or a promise that is to be verified (告知承诺).
type Due struct {
	Kind     string       // FallTolerate or FallPromise
	Deadline license.Date // last day; empty where Reason says why it is not known
	Overdue  bool         // the deadline has passed
	Days     int          // working days (工作日) from today to the deadline; 0 if it is today, has passed or is not known
	Reason   Reason       // CalendarEnds: the calendar must be extended before the deadline can be told
}

// Stand says how a material stands without asking its source: Evidence.Finding and Evidence.Confirmed are not looked at. states are those
// of the case, oldest first. Where Evidence does not allow the material to be asked, what a check found is not told either. It is pure.
func Stand(e Evidence, states []LastState, calendar *Calendar) Standing {
	j := Judgement{
		Matter: e.Facts.Matter.Code, Material: e.Facts.Material.Code, Need: e.Facts.Material.Need,
		Role: e.Facts.Material.HolderRole(), Record: -1, Next: NextNothing,
	}
	var s Standing
	last, checked := LastOf(states, j.Matter, j.Material)
	if onFile := checked && last.State == OnFile; onFile && e.Filed {
		j.State, s.Last = OnFile, &last
	} else if j.State, j.Reason = e.unasked(); j.State == "" {
		j.State = Unchecked
		if checked && !onFile {
			j.State, s.Last = last.State, &last
		}
	}
	s.Judgement = e.cover(j, calendar)
	if last, ok := e.received(); ok {
		s.Received = &last
	}
	s.Due = s.due(e, calendar)
	return s
}

// LastOf returns how the last check found a material to stand.
func LastOf(states []LastState, matter, material string) (LastState, bool) {
	for _, s := range slices.Backward(states) {
		if s.Matter == matter && s.Material == material {
			return s, true
		}
	}
	return LastState{}, false
}

// due is what is awaited of a material. A material that may follow is awaited from acceptance on (容缺); one that needs a promise, from the
// promise on: before it, the case does not go on at all.
func (s Standing) due(e Evidence, calendar *Calendar) *Due {
	kind := e.Facts.Material.Fallback.Kind
	promised := s.Received != nil && s.Received.How == HowPromised
	if s.Done() || kind != FallTolerate && !(kind == FallPromise && promised) {
		return nil
	}
	d := &Due{Kind: kind, Deadline: s.Fallback.Deadline, Overdue: s.Fallback.Overdue, Reason: s.Fallback.Reason}
	if promised {
		d.Kind = FallPromise
	}
	if !d.Overdue && d.Deadline != "" {
		d.Days, _ = calendar.Between(e.Day, d.Deadline) // the deadline is within the calendar, so every day before it is
	}
	return d
}

// A Summary is what is due in a case as a whole.
type Summary struct {
	Due      int          // materials that are awaited, overdue ones too
	Overdue  int          //
	Waiting  int          // materials whose source did not answer the last check
	Deadline license.Date // the first of the deadlines, also one that has passed; empty if none
}

// Sum sums up what is due of the materials of a case.
func Sum(all []Standing) (s Summary) {
	for _, one := range all {
		if one.Last != nil && one.State == Unavailable && !one.Done() {
			s.Waiting++
		}
		if one.Due == nil {
			continue
		}
		s.Due++
		if one.Due.Overdue {
			s.Overdue++
		}
		if day := one.Due.Deadline; day != "" && (s.Deadline == "" || day.Before(s.Deadline)) {
			s.Deadline = day
		}
	}
	return s
}

// StatesOf returns what a check found that is worth keeping: of each material the worst of its parties' states, where it differs from what
// is known. Of a material of which a party's state could not be told (Denied) nothing is kept.
func StatesOf(known []LastState, check LastState, judged []Judgement) (news []SetState) {
	type material struct{ matter, code string }
	var order []material
	worst := map[material]State{}
	for _, j := range judged {
		m := material{j.Matter, j.Material}
		if _, seen := worst[m]; !seen {
			order, worst[m] = append(order, m), j.State
			continue
		}
		if severity(j.State) > severity(worst[m]) {
			worst[m] = j.State
		}
	}
	for _, m := range order {
		state := worst[m]
		last, ok := LastOf(known, m.matter, m.code)
		if !state.IsFound() || ok && last.State == state {
			continue
		}
		check.Matter, check.Material, check.State = m.matter, m.code, state
		news = append(news, SetState{check})
	}
	return news
}

// severity ranks states: of several parties' the one that counts is the highest. Denied is not known, and hides the others.
func severity(s State) int {
	return slices.Index([]State{Met, OnFile, Unavailable, Mismatched, Lapsed, Missing, Denied}, s)
}
