package policy

import (
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// long says whether the long run was asked for (ONCEGATE_LONG=1): 100,000 questions against small sets and against a
// large one.
func long() bool { return os.Getenv("ONCEGATE_LONG") != "" }

// questions asks n questions about a document. They come from a seed that rapid draws: drawing each value by rapid
// would cost more than deciding.
func questions(t *rapid.T, d Document, n int, each func(Question)) {
	ask := asker{rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), d}
	for range n {
		each(ask.question())
	}
}

func same(a, b Decision) string { return cmp.Diff(a, b, cmpopts.EquateEmpty()) }

func TestIndexEqualsNaiveScan(t *testing.T) {
	perSet := 220 // rapid draws 100 sets
	if long() {
		perSet = 1000
	}
	asked, allowed, narrowed := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		d := randomDocument(t)
		set := loadRandom(t, d, randomGuards(t))
		questions(t, d, perSet, func(q Question) {
			got, want := set.Decide(q), naive{set}.decide(q)
			if diff := same(want, got); diff != "" {
				t.Fatalf("question %+v\nexplained: %v\n-naive +indexed\n%s", q, set.Explain(q, "en"), diff)
			}
			asked++
			if got.Allow {
				allowed++
			}
			if got.Allow && len(got.Reasons) > 0 {
				narrowed++
			}
		})
	})
	t.Logf("%d questions, %d allowed, %d of them narrowed", asked, allowed, narrowed)
	if !t.Failed() && (asked < 100*perSet || allowed < asked/20 || narrowed < asked/100) {
		t.Errorf("the questions prove too little: %d asked, %d allowed, %d narrowed", asked, allowed, narrowed)
	}
}

func loadRandom(t *rapid.T, d Document, guards []string) *Set {
	set, faults := New(Data{Files: worldFiles(d, guards), NewSM3: sha256.New})
	if len(faults) > 0 {
		t.Fatalf("the random set is faulty: %v", faults)
	}
	return set
}

// subset says whether every element of a stands in b.
func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

func TestReleaseStaysWithinAskedAndGranted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := randomDocument(t)
		set := loadRandom(t, d, randomGuards(t))
		questions(t, d, 50, func(q Question) {
			got := set.Decide(q)
			var granted []string
			for _, g := range d.Grants {
				if slices.Contains(got.Rules, g.ID) {
					granted = append(granted, g.Fields...)
				}
			}
			switch {
			case len(got.Rules) == 0:
				t.Fatalf("no rule named: %+v", q)
			case !got.Allow && (len(got.Fields)+len(got.Obligations) > 0 || got.MaxAge != 0 || len(got.Reasons) == 0):
				t.Fatalf("a refusal releases something or says no reason: %+v", got)
			case !subset(got.Fields, granted), len(q.Fields) > 0 && !subset(got.Fields, q.Fields):
				t.Fatalf("fields %v leave; asked %v, granted %v", got.Fields, q.Fields, granted)
			case got.Allow && q.LicenseType != "" && q.Age > got.MaxAge:
				t.Fatalf("a copy of age %v leaves where %v is allowed", q.Age, got.MaxAge)
			}
		})
	})
}

func TestRemovingAGrantNeverAdds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, guards := randomDocument(t), randomGuards(t)
		d.Suspensions = nil // a suspension may name the grant
		if len(d.Grants) == 0 {
			return
		}
		before := loadRandom(t, d, guards)
		i := rapid.IntRange(0, len(d.Grants)-1).Draw(t, "removed")
		d.Grants = slices.Delete(slices.Clone(d.Grants), i, i+1)
		neverAdds(t, d, before, loadRandom(t, d, guards))
	})
}

func TestAForbidGuardNeverAdds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, guards := randomDocument(t), randomGuards(t)
		extra := randomGuard(t, "extra")
		before := loadRandom(t, d, guards)
		neverAdds(t, d, before, loadRandom(t, d, append(guards, extra)))
	})
}

// neverAdds compares what two sets release.
func neverAdds(t *rapid.T, d Document, before, after *Set) {
	questions(t, d, 50, func(q Question) {
		a, b := before.Decide(q), after.Decide(q)
		if b.Allow && !a.Allow || !subset(b.Fields, a.Fields) {
			t.Fatalf("more leaves than before: %+v\nbefore %+v\nafter %+v", q, a, b)
		}
	})
}

func TestDecisionsAreTheSameAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, guards := randomDocument(t), randomGuards(t)
		set, again := loadRandom(t, d, guards), loadRandom(t, d, guards)
		if set.Digest() != again.Digest() {
			t.Fatal("the same files have two digests")
		}
		questions(t, d, 20, func(q Question) {
			copied := q
			copied.Fields = slices.Clone(q.Fields)
			first := set.Decide(q)
			if diff := cmp.Diff(q, copied, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("deciding changed the question: %s", diff)
			}
			if diff := cmp.Diff(first, again.Decide(q)); diff != "" {
				t.Fatalf("the same question has two answers: %s", diff)
			}
		})
	})
}
