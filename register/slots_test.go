package register_test

import (
	"bytes"
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/license"
	"oncegate/register"
)

// TestSlotsTellNothing signs many licenses one after another. Their slots fall evenly on the list and do not follow the order of
// signing, nor does who follows whom tell where; and what is signed and valid cannot be told from what was never signed.
func TestSlotsTellNothing(t *testing.T) {
	b := newBench(t)
	b.config.Rand = rand.NewChaCha8([32]byte{7}) // the same on every run: the bounds below hold or do not
	b.config.ListSize = 1 << 14
	b.open(t)
	const licenses, bins = 1000, 32
	var slots []int
	var counts [bins]int
	for n := range licenses {
		v := b.release(t, company(t, n), noon).Version
		if v.List != "1" {
			t.Fatalf("license %d stands in list %s", n, v.List)
		}
		slots = append(slots, v.Slot)
		counts[v.Slot*bins/b.config.ListSize]++
	}
	chi := 0.0
	for _, c := range counts {
		const expected = float64(licenses) / bins
		chi += (float64(c) - expected) * (float64(c) - expected) / expected
	}
	if chi > 61.1 || chi < 10 { // χ² of 31 degrees: outside once in a thousand times, or too even to be random
		t.Errorf("slots fall unevenly: χ² %.1f of %v", chi, counts)
	}
	if r := rankCorrelation(slots); math.Abs(r) > 4/math.Sqrt(licenses) {
		t.Errorf("slots follow the order of signing: %.3f", r)
	}
	steps := make([]int, licenses-1)
	for i := range steps {
		steps[i] = (slots[i+1] - slots[i] + b.config.ListSize) % b.config.ListSize
	}
	if r := rankCorrelation(steps); math.Abs(r) > 4/math.Sqrt(licenses) {
		t.Errorf("the steps between slots follow the order of signing: %.3f", r)
	}
	packed, err := b.StatusList(t.Context(), "1")
	if err != nil || !bytes.Equal(packed, make([]byte, b.config.ListSize/4)) {
		t.Errorf("the list of %d valid licenses differs from one of none, %v", licenses, err)
	}
}

// rankCorrelation is Spearman's: 0 where values do not follow their places, ±1 where they do throughout.
func rankCorrelation(values []int) float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	sum, n := 0.0, float64(len(values))
	for rank, place := range order {
		d := float64(rank - place)
		sum += d * d
	}
	return 1 - 6*sum/(n*(n*n-1))
}

// TestSlotsOfOneRecord signs more than one record's worth of licenses into a tiny list before any is committed: no two get one
// slot, which the record would be refused for again and again.
func TestSlotsOfOneRecord(t *testing.T) {
	b := newBench(t)
	b.config.ListSize = 32
	b.open(t)
	var all []any
	seen := map[[2]any]bool{}
	for n := range 24 {
		s, changes, err := b.Current(t.Context(), company(t, n), noon)
		if err != nil {
			t.Fatal(err)
		}
		at := [2]any{s.Version.List, s.Version.Slot}
		if seen[at] {
			t.Errorf("slot %v twice", at)
		}
		seen[at] = true
		all = append(all, changes...)
	}
	if err := b.storage.Commit(t.Context(), all...); err != nil {
		t.Errorf("commit: %v", err)
	}
}

// TestRecovered continues a license whose log was recovered: what may have been signed in the lost part is signed under another
// name, in another list.
func TestRecovered(t *testing.T) {
	b := newBench(t)
	b.config.Origin = "gateway.example/log-2"
	b.open(t)
	first := b.release(t, company(t, 1), noon).Version
	other := b.release(t, company(t, 2), noon).Version
	b.storage.closed["1"] = true

	same := b.release(t, company(t, 2), noon.Add(time.Minute))
	if same.New || same.Version.Identifier != other.Identifier {
		t.Errorf("a license that did not change was signed anew: %+v", same.Version)
	}
	l := company(t, 1)
	l.Fields["scope"] = "tea"
	next := b.release(t, l, noon.Add(time.Minute)).Version
	if next.Number != 2 || next.Serial == first.Serial || next.List == "1" || !strings.HasSuffix(next.List, "-2") {
		t.Errorf("the next version is %d, serial %s after %s, in list %s", next.Number, next.Serial, first.Serial, next.List)
	}
	l.Fields["scope"] = "coffee"
	last := b.release(t, l, noon.Add(2*time.Minute)).Version
	if last.Number != 3 || last.Serial != next.Serial || last.List != next.List {
		t.Errorf("the one after is %d, serial %s after %s, in list %s after %s", last.Number, last.Serial, next.Serial, last.List, next.List)
	}
	packed, err := b.StatusList(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	for slot := range b.config.ListSize {
		want := license.Superseded // known to be, or lost
		if slot == other.Slot {
			want = license.Valid
		}
		if got := register.StatusOf(int(packed[slot/4]>>(slot%4*2)) & 3); got != want {
			t.Fatalf("slot %d of the closed list is %s, want %s", slot, got, want)
		}
	}
}
