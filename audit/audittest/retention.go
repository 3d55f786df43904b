package audittest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/audit"
)

// wantErased checks which of an entry's blobs are left; digests and leaf stay in any case.
func wantErased(t *testing.T, b Bench, index uint64, e audit.Entry, erased bool) {
	t.Helper()
	leaf, sealed, err := b.Storage.Entry(t.Context(), index)
	if err != nil {
		t.Fatalf("entry %d: %v", index, err)
	}
	if string(leaf) != string(e.Record) {
		t.Errorf("leaf %d is %s, want %s", index, leaf, e.Record)
	}
	want := make([]audit.Sealed, len(e.Sealed))
	for i, part := range e.Sealed {
		want[i] = part
		if erased && (part.Kind == "request" || part.Kind == "person") {
			want[i].Blob = nil
		}
	}
	if diff := cmp.Diff(want, sealed); diff != "" {
		t.Errorf("sealed parts of %d (-want +got):\n%s", index, diff)
	}
}

func testErase(t *testing.T, b Bench) {
	e, other := entry("a", start, use("food", "c-1", "id-card", "met", "h-1")), entry("b", start)
	index, otherIndex := mustAppend(t, b, e), mustAppend(t, b, other)
	follow(t, b)
	for range 2 { // the second changes nothing
		if err := b.Storage.Erase(t.Context(), index); err != nil {
			t.Fatalf("erase: %v", err)
		}
		wantErased(t, b, index, e, true)
		wantErased(t, b, otherIndex, other, false)
	}
	wantAbsent(t, "erase beyond the head", b.Storage.Erase(t.Context(), 1<<40))
	if size := follow(t, b); size != 2 {
		t.Errorf("log has %d entries, want 2", size)
	}
	if got := names(t, b, audit.Query{Case: "c-1", Limit: 10}); got != "a" {
		t.Errorf("search finds %q after erasure, want the record", got)
	}
}

func testEraseBefore(t *testing.T, b Bench) {
	entries := make([]audit.Entry, 5)
	indexes := make([]uint64, 5)
	for i := range entries {
		entries[i] = entry(fmt.Sprint(i), start.Add(time.Duration(i)*time.Hour))
		indexes[i] = mustAppend(t, b, entries[i])
	}
	if err := b.Storage.Erase(t.Context(), indexes[0]); err != nil {
		t.Fatalf("erase: %v", err)
	}
	cutoff := start.Add(4 * time.Hour) // the record of that very moment stays
	for _, step := range []struct{ want, upTo int }{{2, 3}, {1, 4}, {0, 4}} {
		got, err := b.Storage.EraseBefore(t.Context(), cutoff, 2)
		if err != nil || got != step.want {
			t.Fatalf("erased %d, %v, want %d", got, err, step.want)
		}
		for i := range entries {
			wantErased(t, b, indexes[i], entries[i], i < step.upTo)
		}
		if left, err := b.Storage.Erasable(t.Context(), cutoff); err != nil || left != (step.upTo < 4) {
			t.Errorf("after %d records: erasable is %v, %v", step.upTo, left, err)
		}
	}
}

func testReuse(t *testing.T, b Bench) {
	need := func(matter, kase, material string, need int, decision string) audit.IndexUse {
		return audit.IndexUse{Matter: matter, Case: kase, Material: material, Need: need, Decision: decision}
	}
	at := func(hour int) time.Time { return start.Add(time.Duration(hour) * time.Hour) }
	for i, e := range []audit.Entry{
		entry("0", at(0), need("food", "c-1", "m1", 1, "met"), need("food", "c-1", "m2", 3, "unavailable"), need("food", "c-1", "m3", 2, "met")),
		entry("1", at(1), need("food", "c-1", "m2", 3, "met")), // a later check completes it
		entry("2", at(2), need("food", "c-2", "m1", 1, "met")), // another case counts on its own
		entry("3", at(3), need("food", "c-2", "m1", 1, "missing")),
		entry("4", at(4), need("flat", "c-3", "m1", 1, "met"), need("food", "c-3", "m1", 1, "missing")),   // a chain
		entry("5", at(5), need("flat", "c-4", "m1", 0, "met")),                                            // asked, not needed
		entry("6", at(6), need("house", "c-5", "m1", 1, "met"), need("house", "c-5", "m1", 1, "missing")), // of two parties, the first
		entry("7", at(7), need("house", "c-6", "m1", 1, "missing"), need("house", "c-6", "m1", 1, "met")), // the second
		entry("8", at(8), need("house", "c-7", "m1", 3, "met"), need("house", "c-7", "m1", 3, "met")),     // both
	} {
		if got := mustAppend(t, b, e); i > 0 && got == 0 {
			t.Fatal("index does not rise")
		}
	}
	follow(t, b)
	for _, test := range []struct {
		name     string
		from, to time.Time
		matter   string
		want     []audit.Reuse
	}{
		{"all", at(0), at(10), "", []audit.Reuse{{Matter: "flat", Numerator: 1, Denominator: 1}, {Matter: "food", Numerator: 2, Denominator: 4}, {Matter: "house", Numerator: 1, Denominator: 3}}},
		{"matter", at(0), at(10), "food", []audit.Reuse{{Matter: "food", Numerator: 2, Denominator: 4}}},
		{"before the second check", at(0), at(1), "", []audit.Reuse{{Matter: "food", Numerator: 1, Denominator: 2}}},
		{"to is exclusive", at(0), at(3), "food", []audit.Reuse{{Matter: "food", Numerator: 3, Denominator: 3}}},
		{"nothing", at(20), at(30), "", nil},
	} {
		got, err := b.Storage.Reuse(t.Context(), test.from, test.to, test.matter, 0)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if len(got) == 0 {
			got = nil
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}
