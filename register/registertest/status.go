package registertest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/license"
	"oncegate/register"
)

// statuses reads a list as slot → status.
func statuses(t *testing.T, b Bench, list string) map[int]license.Status {
	t.Helper()
	got := map[int]license.Status{}
	err := b.Storage.Statuses(t.Context(), list, func(slot int, status license.Status) {
		if _, twice := got[slot]; twice {
			t.Errorf("slot %d twice", slot)
		}
		got[slot] = status
	})
	if err != nil {
		t.Fatalf("statuses: %v", err)
	}
	return got
}

func testStatus(t *testing.T, b Bench) {
	v := version(1, 1, 10)
	mustCommit(t, b, issue(v))
	mustCommit(t, b, issue(version(2, 1, 11)))
	if got := statuses(t, b, "1"); len(got) != 0 {
		t.Errorf("valid versions stand in the list: %v", got)
	}
	at := signed.Add(24 * time.Hour)
	for _, move := range []struct{ from, to license.Status }{
		{license.Valid, license.Suspended}, {license.Suspended, license.Valid}, {license.Valid, license.Revoked}, {license.Revoked, license.Expired},
	} {
		at = at.Add(time.Second)
		mustCommit(t, b, register.SetStatus{Identifier: v.Identifier, From: move.from, To: move.to, At: at})
		v.Status, v.Stated, v.StatusAt = move.to, move.to, at
		wantVersion(t, b, v, true)

		want := map[int]license.Status{}
		if move.to != license.Valid {
			want[10] = move.to
		}
		if diff := cmp.Diff(want, statuses(t, b, "1")); diff != "" {
			t.Errorf("list (-want +got):\n%s", diff)
		}
	}
	wantTaken(t, "status moved meanwhile", b.Commit(t.Context(),
		register.SetStatus{Identifier: v.Identifier, From: license.Valid, To: license.Revoked, At: at}))
	wantTaken(t, "unknown version", b.Commit(t.Context(),
		register.SetStatus{Identifier: "1.2.3", From: license.Valid, To: license.Revoked, At: at}))
	wantVersion(t, b, v, true)

	next := version(1, 2, 12)
	mustCommit(t, b, issue(next))
	want := map[int]license.Status{10: license.Superseded}
	if diff := cmp.Diff(want, statuses(t, b, "1")); diff != "" {
		t.Errorf("list after a new version (-want +got):\n%s", diff)
	}
}

func testStatusRace(t *testing.T, b Bench) {
	v := version(1, 1, 10)
	mustCommit(t, b, issue(v))
	const callers = 16
	errs := make([]error, callers)
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			errs[i] = b.Commit(t.Context(), register.SetStatus{Identifier: v.Identifier, From: license.Valid, To: license.Revoked, At: signed})
		})
	}
	group.Wait()
	moved := 0
	for _, err := range errs {
		if err == nil {
			moved++
		} else if !errors.Is(err, register.ErrTaken) {
			t.Errorf("loser's error: %v", err)
		}
	}
	if moved != 1 {
		t.Errorf("%d callers moved the status from valid", moved)
	}
}

func testLists(t *testing.T, b Bench) {
	for i, list := range []string{"b", "a", "b", "c"} {
		v := version(uint64(i+1), 1, 0)
		v.List, v.Slot = list, 1<<20-1-i
		v.Signed = v.Signed.Add(time.Duration(i) * time.Minute)
		mustCommit(t, b, issue(v))
	}
	lists, err := b.Storage.Lists(t.Context())
	if err != nil {
		t.Fatalf("lists: %v", err)
	}
	var ids []string
	for _, l := range lists {
		ids = append(ids, l.ID)
		if l.Closed {
			t.Errorf("list %s is closed", l.ID)
		}
		slots := 0
		if err := b.Storage.Occupied(t.Context(), l.ID, func(slot int) { slots++ }); err != nil || slots != map[string]int{"b": 2, "a": 1, "c": 1}[l.ID] {
			t.Errorf("list %s has %d slots, %v", l.ID, slots, err)
		}
	}
	if diff := cmp.Diff([]string{"b", "a", "c"}, ids); diff != "" {
		t.Errorf("lists (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		list string
		slot int
		want bool
	}{{"b", 1<<20 - 1, true}, {"b", 1<<20 - 2, false}, {"a", 1<<20 - 2, true}, {"a", 0, false}, {"z", 0, false}} {
		t.Run(fmt.Sprint(test.list, test.slot), func(t *testing.T) {
			if got, err := b.Storage.Taken(t.Context(), test.list, test.slot); err != nil || got != test.want {
				t.Errorf("taken is %v, %v, want %v", got, err, test.want)
			}
		})
	}
}
