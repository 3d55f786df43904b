package cases

import (
	"maps"
	"slices"

	"oncegate/license"
)

// Reuse is the reuse rate of a matter in a period: materials met from the source ÷ materials required (is_need 1 and 3).
// There is no national formula; this is our own, so both numbers are always shown.
type Reuse struct {
	Matter      string       `json:"matter"` // code; empty for all matters together
	From        license.Date `json:"from"`   // first day
	To          license.Date `json:"to"`     // last day
	Numerator   int          `json:"numerator"`
	Denominator int          `json:"denominator"`
}

// A Tally counts reuse over a period. Each material of a case counts once, however often the case was checked: the last
// check in the period holds. A material of several parties is met when it is met for each. It is not safe for
// concurrent use.
type Tally struct {
	From, To license.Date // the period; both days belong to it
	counted  map[counted]bool
}

// counted names a material of a case.
type counted struct{ no, matter, material string }

// Add counts the judgements of one check. Checks must be added in the order in which they were made.
func (t *Tally) Add(no string, day license.Date, judgements []Judgement) {
	if day.Before(t.From) || day.After(t.To) {
		return
	}
	check := map[counted]bool{}
	for _, j := range judgements {
		if !j.Need.Counts() {
			continue
		}
		key := counted{no, j.Matter, j.Material}
		before, twice := check[key]
		check[key] = j.State == Met && (before || !twice)
	}
	if t.counted == nil {
		t.counted = map[counted]bool{}
	}
	maps.Copy(t.counted, check)
}

// Matters returns the reuse of each matter, ordered by code.
func (t *Tally) Matters() []Reuse {
	byMatter := map[string]*Reuse{}
	for key, met := range t.counted {
		if byMatter[key.matter] == nil {
			byMatter[key.matter] = &Reuse{Matter: key.matter, From: t.From, To: t.To}
		}
		byMatter[key.matter].count(met)
	}
	var rates []Reuse
	for _, matter := range slices.Sorted(maps.Keys(byMatter)) {
		rates = append(rates, *byMatter[matter])
	}
	return rates
}

// Total returns the reuse of all matters together.
func (t *Tally) Total() Reuse {
	total := Reuse{From: t.From, To: t.To}
	for _, met := range t.counted {
		total.count(met)
	}
	return total
}

func (r *Reuse) count(met bool) {
	r.Denominator++
	if met {
		r.Numerator++
	}
}
