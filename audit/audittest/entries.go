package audittest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/audit"
)

func testEntries(t *testing.T, b Bench) {
	for i, name := range []string{"a", "b", "c"} {
		e := entry(name, start)
		index := mustAppend(t, b, e)
		leaf, sealed, err := b.Storage.Entry(t.Context(), index)
		if err != nil {
			t.Fatalf("entry %d: %v", index, err)
		}
		if string(leaf) != string(e.Record) {
			t.Errorf("leaf is %s, want %s", leaf, e.Record)
		}
		if diff := cmp.Diff(e.Sealed, sealed); diff != "" {
			t.Errorf("sealed parts (-want +got):\n%s", diff)
		}
		if i > 0 && index == 0 {
			t.Error("index does not rise")
		}
	}
	_, _, err := b.Storage.Entry(t.Context(), 1<<40)
	wantAbsent(t, "entry beyond the head", err)
}

func testUnknownChange(t *testing.T, b Bench) {
	type stranger struct{ Value int }
	claim := audit.Claim{System: "window", JTI: "j-1", Exp: start.Add(time.Hour)}
	e := entry("a", start)
	e.Changes = []any{claim, stranger{1}}
	if _, err := b.Append(t.Context(), e); err == nil {
		t.Fatal("an entry with an unknown change was accepted")
	}
	if size := follow(t, b); size != 0 {
		t.Errorf("the refused entry is in the log: size %d", size)
	}
	_, err := b.Storage.ByJTI(t.Context(), "window", "j-1")
	wantAbsent(t, "jti of a refused entry", err)
}

func testClaims(t *testing.T, b Bench) {
	claim := func(system, jti string) []any {
		return []any{audit.Claim{System: system, JTI: jti, Exp: start.Add(time.Hour)}}
	}
	first := entry("a", start)
	first.Changes = claim("window", "j-1")
	index := mustAppend(t, b, first)

	again := entry("b", start)
	again.Changes = claim("window", "j-1")
	_, err := b.Append(t.Context(), again)
	wantError(t, "the same jti again", err, audit.ErrReplayed)

	other := entry("c", start)
	other.Changes = claim("bureau", "j-1")
	otherIndex := mustAppend(t, b, other)

	for system, want := range map[string]uint64{"window": index, "bureau": otherIndex} {
		if got, err := b.Storage.ByJTI(t.Context(), system, "j-1"); err != nil || got != want {
			t.Errorf("ByJTI(%s) = %d, %v, want %d", system, got, err, want)
		}
	}
	_, err = b.Storage.ByJTI(t.Context(), "window", "j-2")
	wantAbsent(t, "unknown jti", err)
}

// testClaimsRace has many callers claim the same jti at the same time: one wins.
func testClaimsRace(t *testing.T, b Bench) {
	const callers = 16
	errs := make([]error, callers)
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			e := entry(string(rune('a'+i)), start)
			e.Changes = []any{audit.Claim{System: "window", JTI: "j-1", Exp: start.Add(time.Hour)}}
			_, errs[i] = b.Append(t.Context(), e)
		})
	}
	group.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, audit.ErrReplayed) {
			t.Errorf("loser's error: %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d callers claimed the same jti", won)
	}
	if size := follow(t, b); size != 1 {
		t.Errorf("log has %d entries, want 1", size)
	}
}

func testHorizon(t *testing.T, b Bench) {
	if h, err := b.Storage.Horizon(t.Context()); err != nil || !h.IsZero() {
		t.Fatalf("first horizon is %v, %v", h, err)
	}
	claim := func(name string, exp time.Time) error {
		e := entry(name, start)
		e.Changes = []any{audit.Claim{System: "window", JTI: name, Exp: exp}}
		_, err := b.Append(t.Context(), e)
		return err
	}
	for name, after := range map[string]time.Duration{"old": time.Minute, "at": 2 * time.Minute, "late": 3 * time.Minute} {
		if err := claim(name, start.Add(after)); err != nil {
			t.Fatalf("claim %s: %v", name, err)
		}
	}
	horizon := start.Add(2 * time.Minute)
	for _, purge := range []time.Time{horizon, start} { // the second must not let it fall
		if err := b.Storage.Purge(t.Context(), purge); err != nil {
			t.Fatalf("purge: %v", err)
		}
		if h, err := b.Storage.Horizon(t.Context()); err != nil || !h.Equal(horizon) {
			t.Fatalf("horizon is %v, %v, want %v", h, err, horizon)
		}
	}
	_, err := b.Storage.ByJTI(t.Context(), "window", "old")
	wantAbsent(t, "a purged claim", err)
	if _, err := b.Storage.ByJTI(t.Context(), "window", "late"); err != nil {
		t.Errorf("a claim that has not expired is gone: %v", err)
	}
	for name, exp := range map[string]time.Time{"old": start.Add(time.Minute), "at-horizon": horizon, "ancient": start.Add(-time.Hour)} {
		wantError(t, "claim "+name+" at or before the horizon", claim(name, exp), audit.ErrReplayed)
	}
	wantError(t, "a claim kept by the purge", claim("late", start.Add(3*time.Minute)), audit.ErrReplayed)
	if err := claim("new", horizon.Add(time.Second)); err != nil {
		t.Errorf("claim after the horizon: %v", err)
	}
}

// testRefused proves that a refusal takes with it everything the entry would have changed, in any order of changes.
func testRefused(t *testing.T, b Bench) {
	used := audit.Claim{System: "window", JTI: "used", Exp: start.Add(time.Hour)}
	first := entry("first", start)
	first.Changes = []any{used}
	mustAppend(t, b, first)

	set := audit.PolicySet{Digest: "digest-1", Files: []audit.File{{Path: "a.yaml", Data: []byte("a")}}}
	fresh := audit.Claim{System: "window", JTI: "fresh", Exp: start.Add(time.Hour)}
	for name, changes := range map[string][]any{"last": {set, fresh, used}, "first": {used, set, fresh}} {
		e := entry(name, start)
		e.Changes = changes
		_, err := b.Append(t.Context(), e)
		wantError(t, "refused "+name, err, audit.ErrReplayed)
	}
	_, err := b.Storage.PolicySet(t.Context(), "digest-1")
	wantAbsent(t, "policy set of a refused entry", err)
	_, err = b.Storage.ByJTI(t.Context(), "window", "fresh")
	wantAbsent(t, "jti of a refused entry", err)
	if size := follow(t, b); size != 1 {
		t.Errorf("log has %d entries, want 1", size)
	}
	rows, err := b.Storage.Search(t.Context(), audit.Query{Limit: 10})
	if err != nil || len(rows) != 1 {
		t.Errorf("search finds %d rows, %v, want 1", len(rows), err)
	}
}

func testPolicySets(t *testing.T, b Bench) {
	_, err := b.Storage.PolicySet(t.Context(), "digest-1")
	wantAbsent(t, "unknown policy set", err)

	set := audit.PolicySet{Digest: "digest-1", Files: []audit.File{
		{Path: "grants/a.yaml", Data: []byte("grants: []\n")},
		{Path: "guards/b.cedar", Data: []byte{}},
	}}
	for _, name := range []string{"first", "again"} {
		e := entry(name, start)
		e.Changes = []any{set}
		mustAppend(t, b, e)
		files, err := b.Storage.PolicySet(t.Context(), "digest-1")
		if err != nil {
			t.Fatalf("policy set: %v", err)
		}
		if diff := cmp.Diff(set.Files, files, cmp.Comparer(sameFile)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	}
}

func sameFile(a, b audit.File) bool { return a.Path == b.Path && string(a.Data) == string(b.Data) }
