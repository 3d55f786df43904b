package registertest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/register"
)

func original(v register.Version, text string, made time.Time) register.Original {
	o := register.Original{Identifier: v.Identifier, Sealed: []byte(text), Made: made, Expires: made.Add(time.Hour)}
	copy(o.Digest[:], text)
	return o
}

func wantOriginal(t *testing.T, b Bench, want register.Original, now time.Time) {
	t.Helper()
	got, err := b.Storage.Original(t.Context(), want.Identifier, now)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("original: %v (-want +got):\n%s", err, diff)
	}
}

// testOriginals proves that a version has one original until it expires, and that the first one stays.
func testOriginals(t *testing.T, b Bench) {
	v, other := version(1, 1, 10), version(2, 1, 11)
	first, second := original(v, "first", signed), original(v, "second", signed.Add(time.Minute))
	wantTaken(t, "original of an unknown version", b.Commit(t.Context(), register.KeepOriginal{Original: first}))
	_, err := b.Storage.Original(t.Context(), v.Identifier, signed)
	wantAbsent(t, "refused original", err)

	mustCommit(t, b, issue(v), register.KeepOriginal{Original: first}) // with the version itself
	wantOriginal(t, b, first, signed)
	wantTaken(t, "second original", b.Commit(t.Context(), issue(other), register.KeepOriginal{Original: second}))
	_, err = b.Storage.ByIdentifier(t.Context(), other.Identifier)
	wantAbsent(t, "version beside a refused original", err)
	mustCommit(t, b, register.KeepOriginal{Original: first}) // the same again
	wantOriginal(t, b, first, signed)

	_, err = b.Storage.Original(t.Context(), v.Identifier, first.Expires)
	wantAbsent(t, "expired original", err)
	later := original(v, "later", first.Expires)
	mustCommit(t, b, register.KeepOriginal{Original: later})
	wantOriginal(t, b, later, first.Expires)
	if err := b.Storage.Purge(t.Context(), later.Expires); err != nil {
		t.Fatalf("purge: %v", err)
	}
	_, err = b.Storage.Original(t.Context(), v.Identifier, signed) // gone even for a clock that stands before its end
	wantAbsent(t, "purged original", err)
}

// testOriginalRace proves that of originals made at once one stands, and that the others are told.
func testOriginalRace(t *testing.T, b Bench) {
	v := version(1, 1, 10)
	mustCommit(t, b, issue(v))
	const makers = 8
	errs := make([]error, makers)
	var all sync.WaitGroup
	for i := range makers {
		all.Go(func() {
			errs[i] = b.Commit(t.Context(), register.KeepOriginal{Original: original(v, fmt.Sprint("by ", i), signed)})
		})
	}
	all.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won < 0:
			won = i
		case err == nil || !errors.Is(err, register.ErrTaken):
			t.Errorf("maker %d: %v, after %d had won", i, err, won)
		}
	}
	if won < 0 {
		t.Fatal("nobody won")
	}
	wantOriginal(t, b, original(v, fmt.Sprint("by ", won), signed), signed)
}
