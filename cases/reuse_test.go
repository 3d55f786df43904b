package cases_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oncegate/cases"
)

func TestTally(t *testing.T) {
	j := func(check int64, no, matter, material string, need cases.Need, state cases.State) cases.Judged {
		return cases.Judged{Check: check, Case: no, Matter: matter, Material: material, Need: need, State: state}
	}
	tally := cases.TallyOf([]cases.Judged{
		j(1, "1", "A", "a", 1, cases.Met), j(1, "1", "A", "b", 3, cases.Unavailable), j(1, "1", "A", "c", 2, cases.Met), // optional: does not count
		j(2, "1", "A", "a", 1, cases.Met), j(2, "1", "A", "b", 3, cases.Met), // again: counts once, by the last check
		j(3, "2", "A", "a", 1, cases.Met), j(3, "2", "A", "a", 1, cases.Missing), j(3, "2", "B", "a", 1, cases.Met), // of two parties one
		j(4, "3", "A", "a", 1, cases.Missing), // what was handed in instead changes nothing
		j(5, "1", "A", "b", 2, cases.Missing), // is asked for as optional now: the last check that required it holds
	})
	want := []cases.Reuse{{Matter: "A", Numerator: 2, Denominator: 4}, {Matter: "B", Numerator: 1, Denominator: 1}}
	if diff := cmp.Diff(want, tally.Matters()); diff != "" {
		t.Errorf("by matter (-want +got):\n%s", diff)
	}
	if total := tally.Total(); total != (cases.Reuse{Numerator: 3, Denominator: 5}) {
		t.Errorf("total %+v", total)
	}
	if none := new(cases.Tally).Total(); none != (cases.Reuse{}) {
		t.Errorf("nothing counts %+v", none)
	}
}

// TestTallyAgainstDefinition holds the streamed count against one that is written from the sentences alone.
func TestTallyAgainstDefinition(t *testing.T) {
	states := []cases.State{cases.Met, cases.Met, cases.Missing, cases.Unavailable, cases.Denied}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 11))
		var all []cases.Judged
		for range r.IntN(60) {
			all = append(all, cases.Judged{
				Case: fmt.Sprint(r.IntN(3)), Matter: fmt.Sprint(r.IntN(2)), Material: fmt.Sprint(r.IntN(3)), Check: r.Int64N(4),
				Need: cases.Need(1 + r.IntN(3)), State: states[r.IntN(len(states))],
			})
		}
		want := cases.Reuse{}
		for no := range 3 {
			for matter := range 2 {
				for material := range 3 {
					last := int64(-1)
					of := func(j cases.Judged) bool {
						return j.Case == fmt.Sprint(no) && j.Matter == fmt.Sprint(matter) && j.Material == fmt.Sprint(material) && j.Need != cases.Optional
					}
					for _, j := range all {
						if of(j) {
							last = max(last, j.Check)
						}
					}
					if last < 0 {
						continue
					}
					want.Denominator++
					met := 1
					for _, j := range all {
						if of(j) && j.Check == last && j.State != cases.Met {
							met = 0
						}
					}
					want.Numerator += met
				}
			}
		}
		if got := cases.TallyOf(all).Total(); got != want {
			t.Fatalf("seed %d: %+v, want %+v", seed, got, want)
		}
	}
}
