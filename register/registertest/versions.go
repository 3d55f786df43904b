package registertest

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oncegate/license"
	"oncegate/register"
)

// wantVersion reads a version every way it can be read and compares it.
func wantVersion(t *testing.T, b Bench, want register.Version, latest bool) {
	t.Helper()
	got, err := b.Storage.ByIdentifier(t.Context(), want.Identifier)
	if err != nil {
		t.Fatalf("version by identifier: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("version by identifier (-want +got):\n%s", diff)
	}
	if got, err = b.Storage.At(t.Context(), want.List, want.Slot); err != nil {
		t.Fatalf("version by slot: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("version by slot (-want +got):\n%s", diff)
	}
	if !latest {
		return
	}
	if got, err = b.Storage.Latest(t.Context(), want.Subject); err != nil {
		t.Fatalf("latest version: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("latest version (-want +got):\n%s", diff)
	}
}

func testNothing(t *testing.T, b Bench) {
	_, err := b.Storage.Latest(t.Context(), subject(1))
	wantAbsent(t, "latest", err)
	_, err = b.Storage.ByIdentifier(t.Context(), "1.2.3")
	wantAbsent(t, "by identifier", err)
	_, err = b.Storage.At(t.Context(), "1", 1)
	wantAbsent(t, "by slot", err)
	_, err = b.Storage.Snapshot(t.Context(), subject(1), signed)
	wantAbsent(t, "kept copy", err)
	if lists, err := b.Storage.Lists(t.Context()); err != nil || len(lists) != 0 {
		t.Errorf("lists %v, %v, want none", lists, err)
	}
	err = b.Storage.Statuses(t.Context(), "1", func(slot int, _ license.Status) { t.Errorf("slot %d of nothing", slot) })
	if err != nil {
		t.Errorf("statuses of an unknown list: %v", err)
	}
}

func testVersions(t *testing.T, b Bench) {
	first, second, other := version(1, 1, 10), version(1, 2, 20), version(2, 1, 30)
	mustCommit(t, b, issue(first))
	wantVersion(t, b, first, true)
	mustCommit(t, b, issue(second), issue(other))
	wantVersion(t, b, second, true)
	wantVersion(t, b, other, true)

	first.Status, first.Stated, first.StatusAt = license.Superseded, license.Superseded, second.Signed
	wantVersion(t, b, first, false)
}

func testTaken(t *testing.T, b Bench) {
	mustCommit(t, b, issue(version(1, 1, 10)))
	mustCommit(t, b, issue(version(1, 2, 20)))

	identifier := version(2, 1, 30)
	identifier.Identifier = version(1, 1, 0).Identifier
	for name, v := range map[string]register.Version{
		"number again":       version(1, 2, 30),
		"number below":       version(1, 1, 30),
		"number skipped":     version(1, 4, 30),
		"does not begin":     version(2, 2, 30),
		"number zero":        version(2, 0, 30),
		"identifier taken":   identifier,
		"slot taken":         version(2, 1, 10),
		"slot taken by next": version(1, 3, 10),
	} {
		wantTaken(t, name, b.Commit(t.Context(), issue(v)))
	}
	for name, supersedes := range map[string]string{"after nothing": "", "after an older one": version(1, 1, 0).Identifier, "after a stranger": "1.2.3"} {
		wantTaken(t, name, b.Commit(t.Context(), register.Issue{Version: version(1, 3, 30), Supersedes: supersedes}))
	}
	wantTaken(t, "first after another", b.Commit(t.Context(), register.Issue{Version: version(2, 1, 30), Supersedes: version(1, 2, 0).Identifier}))
	sameSlot := version(2, 1, 10)
	sameSlot.List = "2"
	mustCommit(t, b, issue(sameSlot))
	mustCommit(t, b, issue(version(1, 3, 30)))
	wantVersion(t, b, version(1, 3, 30), true)
}

// testRefused proves that no change stays if one of them is refused, in any order.
func testRefused(t *testing.T, b Bench) {
	first := version(1, 1, 10)
	mustCommit(t, b, issue(first))

	next := issue(version(1, 2, 20))
	keep := register.Keep{Snapshot: register.Snapshot{Key: subject(7), Sealed: []byte("copy"), AsOf: signed, Expires: signed.AddDate(0, 0, 1)}}
	wrong := register.SetStatus{Identifier: first.Identifier, From: license.Suspended, To: license.Valid, At: signed}
	taken := issue(version(2, 1, 10))
	for name, changes := range map[string][]any{
		"status last": {next, keep, wrong}, "status first": {wrong, keep, next},
		"slot last": {next, keep, taken}, "slot first": {taken, next, keep},
	} {
		wantTaken(t, name, b.Commit(t.Context(), changes...))
		wantVersion(t, b, first, true)
		_, err := b.Storage.Snapshot(t.Context(), subject(7), signed)
		wantAbsent(t, name+": kept copy", err)
	}
}

func testUnknownChange(t *testing.T, b Bench) {
	type stranger struct{ Value int }
	if err := b.Commit(t.Context(), issue(version(1, 1, 10)), stranger{1}); err == nil {
		t.Error("an unknown change was accepted")
	}
	_, err := b.Storage.Latest(t.Context(), subject(1))
	wantAbsent(t, "version of a refused record", err)
}

func testFirstRace(t *testing.T, b Bench) { race(t, b, 1) }

func testNextRace(t *testing.T, b Bench) {
	mustCommit(t, b, issue(version(1, 1, 1)))
	race(t, b, 2)
}

// race has many issuers add a version of one number, each with content of its own: one wins, versions never fork.
func race(t *testing.T, b Bench, number int) {
	const issuers = 24
	errs := make([]error, issuers)
	var group sync.WaitGroup
	for i := range issuers {
		group.Go(func() {
			v := version(1, number, 100+i)
			v.JWT, v.Content[31] = v.JWT+string(rune('a'+i)), byte(i)
			v.Identifier += string(rune('A' + i)) // as though the serial differed
			errs[i] = b.Commit(t.Context(), issue(v))
		})
	}
	group.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Errorf("issuers %d and %d both added version %d", winner, i, number)
		case err == nil:
			winner = i
		case !errors.Is(err, register.ErrTaken):
			t.Errorf("loser's error: %v", err)
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	got, err := b.Storage.Latest(t.Context(), subject(1))
	if err != nil || got.Number != number || int(got.Content[31]) != winner {
		t.Errorf("latest is version %d of issuer %d, %v; want version %d of %d", got.Number, got.Content[31], err, number, winner)
	}
	next := issue(version(1, number+1, 99))
	wantTaken(t, "version after a loser's", b.Commit(t.Context(), next))
	next.Supersedes = got.Identifier
	mustCommit(t, b, next)
}
