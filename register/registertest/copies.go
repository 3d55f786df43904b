package registertest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/register"
)

func snapshot(of uint64, text string, asOf time.Time, life time.Duration) register.Snapshot {
	return register.Snapshot{Key: subject(of), Sealed: []byte(text), AsOf: asOf, Expires: asOf.Add(life)}
}

func wantCopy(t *testing.T, b Bench, want register.Snapshot, now time.Time) {
	t.Helper()
	got, err := b.Storage.Snapshot(t.Context(), want.Key, now)
	if err != nil {
		t.Errorf("kept copy: %v", err)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kept copy (-want +got):\n%s", diff)
	}
}

func testCopies(t *testing.T, b Bench) {
	first := snapshot(1, "first", signed, time.Hour)
	second := snapshot(1, "second", signed.Add(time.Minute), time.Hour)
	other := snapshot(2, "other", signed, time.Hour)
	mustCommit(t, b, register.Keep{Snapshot: first}, register.Keep{Snapshot: other})
	wantCopy(t, b, first, signed)
	mustCommit(t, b, register.Keep{Snapshot: second})
	wantCopy(t, b, second, signed)
	mustCommit(t, b, register.Keep{Snapshot: first}) // older: no refusal, no change
	wantCopy(t, b, second, signed)
	wantCopy(t, b, other, signed)

	wantCopy(t, b, second, second.Expires.Add(-time.Millisecond))
	_, err := b.Storage.Snapshot(t.Context(), second.Key, second.Expires)
	wantAbsent(t, "expired copy", err)
}

func testPurge(t *testing.T, b Bench) {
	short, long := snapshot(1, "short", signed, time.Hour), snapshot(2, "long", signed, 2*time.Hour)
	mustCommit(t, b, register.Keep{Snapshot: short}, register.Keep{Snapshot: long})
	if err := b.Storage.Purge(t.Context(), short.Expires); err != nil {
		t.Fatalf("purge: %v", err)
	}
	_, err := b.Storage.Snapshot(t.Context(), short.Key, signed) // gone even for a clock that stands before its end
	wantAbsent(t, "purged copy", err)
	wantCopy(t, b, long, signed)
}
