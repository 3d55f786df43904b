package cases

import (
	"cmp"
	"maps"
	"slices"
)

// Reuse is the reuse rate of a matter (免提交率): materials obtained without the applicant out of materials required. There is no national
// formula; this is our own, so both numbers are always shown.
type Reuse struct {
	Matter      string // code; empty for all matters together
	Numerator   int    // materials that their source met, or that were on file
	OnFile      int    // of those: for some party what stood in was filed by a window
	Denominator int    // materials required (is_need 1 and 3)
}

// A Judged is one material of one party in one check, as the reuse rate sees it.
type Judged struct {
	Matter, Case, Material string

	// Check orders the checks of a case: of two, the later one has the greater number.
	Check int64
	Need  Need
	State State
}

// A Tally counts the reuse rate. It is the one definition of it:
//
//   - The denominator counts each material of a matter of a case once, however often the case was checked and however many parties it
//     is asked of, if a check asked for it as required (is_need 1 or 3).
//   - The numerator counts those of them that the last such check found met from the source or on file, for every party it was asked of.
//     What the applicant handed in for this case, promised or was spared is neither; an upload counts from the next case on that finds it
//     on file, because it is not asked for again.
//
// What counts is what is added: a period is one of checks, not of cases. Judgements of one material of one case must be added one after
// another; among themselves they may come in any order. So a tally takes memory for its matters only. The zero Tally is empty. It is
// not safe for concurrent use.
type Tally struct {
	matters map[string]*Reuse
	at      Judged // of the material that is being counted: its last check so far
	met     bool   // for every party of that check
	onFile  bool   // for some party of that check
	begun   bool
}

// Add counts one judgement.
func (t *Tally) Add(j Judged) {
	if !j.Need.Counts() {
		return
	}
	same := t.begun && j.Matter == t.at.Matter && j.Case == t.at.Case && j.Material == t.at.Material
	met, onFile := j.State.Obtained(), j.State == OnFile
	switch {
	case !same:
		t.end()
		t.at, t.met, t.onFile, t.begun = j, met, onFile, true
	case j.Check > t.at.Check:
		t.at, t.met, t.onFile = j, met, onFile
	case j.Check == t.at.Check:
		t.met, t.onFile = t.met && met, t.onFile || onFile
	}
}

// end counts the material that was being counted.
func (t *Tally) end() {
	if !t.begun {
		return
	}
	if t.matters == nil {
		t.matters = map[string]*Reuse{}
	}
	r := t.matters[t.at.Matter]
	if r == nil {
		r = &Reuse{Matter: t.at.Matter}
		t.matters[t.at.Matter] = r
	}
	r.Denominator++
	if t.met {
		r.Numerator++
		if t.onFile {
			r.OnFile++
		}
	}
	t.begun = false
}

// Matters returns the reuse rate of each matter, in the order of their codes.
func (t *Tally) Matters() (rates []Reuse) {
	t.end()
	for _, matter := range slices.Sorted(maps.Keys(t.matters)) {
		rates = append(rates, *t.matters[matter])
	}
	return rates
}

// Total returns the reuse rate of all matters together.
func (t *Tally) Total() (total Reuse) {
	for _, r := range t.Matters() {
		total.Numerator += r.Numerator
		total.OnFile += r.OnFile
		total.Denominator += r.Denominator
	}
	return total
}

// ReuseOf returns the reuse rate of one check of a case, given in any order.
func ReuseOf(no string, judgements []Judgement) Reuse {
	all := make([]Judged, len(judgements))
	for i, j := range judgements {
		all[i] = Judged{Case: no, Matter: j.Matter, Material: j.Material, Need: j.Need, State: j.State}
	}
	return TallyOf(all).Total()
}

// TallyOf counts judgements given in any order, which it sorts.
func TallyOf(all []Judged) *Tally {
	slices.SortStableFunc(all, func(a, b Judged) int {
		return cmp.Or(cmp.Compare(a.Matter, b.Matter), cmp.Compare(a.Case, b.Case), cmp.Compare(a.Material, b.Material))
	})
	t := new(Tally)
	for _, j := range all {
		t.Add(j)
	}
	return t
}
