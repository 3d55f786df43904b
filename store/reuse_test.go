package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/audit"
	"oncegate/cases"
)

// TestReuseIsTheDefinition holds the count over stored records against cases.Tally, on random cases of several parties and checks.
func TestReuseIsTheDefinition(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b, r := newBench(t, e), rand.New(rand.NewPCG(11, 1))
		begin := accepted
		at := func(check int) time.Time { return begin.Add(time.Duration(check) * time.Minute) }
		var all []cases.Judged
		for check := range 60 {
			uses := []audit.IndexUse{}
			for range r.IntN(5) {
				j := cases.Judged{
					Matter: fmt.Sprint("m-", r.IntN(2)), Case: fmt.Sprint("c-", r.IntN(3)), Material: fmt.Sprint(r.IntN(2)),
					Check: int64(check), Need: cases.Need(r.IntN(4)), State: []cases.State{cases.Met, cases.Met, cases.Met, cases.Missing}[r.IntN(4)],
				}
				all = append(all, j)
				uses = append(uses, audit.IndexUse{Matter: j.Matter, Case: j.Case, Material: j.Material, Need: int(j.Need), Decision: string(j.State)})
			}
			if _, err := b.append(t.Context(), audit.Entry{Record: fmt.Appendf(nil, "check %d", check), Index: audit.Index{Time: at(check), Uses: uses}}); err != nil {
				t.Fatal(err)
			}
		}
		for covered, size := uint64(0), uint64(1); covered < size; {
			var err error
			if covered, size, err = b.db.Audit().Follow(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, period := range [][2]int{{0, 60}, {0, 7}, {13, 29}, {50, 51}} {
			within := []cases.Judged{}
			for _, j := range all {
				if int(j.Check) >= period[0] && int(j.Check) < period[1] {
					within = append(within, j)
				}
			}
			var want []audit.Reuse
			for _, rate := range cases.TallyOf(within).Matters() {
				want = append(want, audit.Reuse(rate))
			}
			got, err := b.db.Audit().Reuse(t.Context(), at(period[0]), at(period[1]), "", 0)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("checks %v (-want +got):\n%s", period, diff)
			}
		}
	})
}
