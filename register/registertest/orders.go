package registertest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/license"
	"oncegate/register"
)

// testOrders proves that an order stands beside what the source states, and that the next version begins with it.
func testOrders(t *testing.T, b Bench) {
	v := version(1, 1, 10)
	mustCommit(t, b, issue(v))
	at := signed.Add(24 * time.Hour)
	order := func(from, to license.Status) register.Order {
		return register.Order{Identifier: v.Identifier, From: from, To: to, At: at}
	}
	mustCommit(t, b, order("", license.Suspended))
	v.Ordered, v.OrderedAt, v.Status = license.Suspended, at, license.Suspended
	wantVersion(t, b, v, true)
	wantTaken(t, "ordered meanwhile", b.Commit(t.Context(), order("", license.Revoked)))
	wantTaken(t, "unknown version", b.Commit(t.Context(), register.Order{Identifier: "1.2.3", To: license.Revoked, At: at}))

	for _, move := range []struct{ from, to, holds license.Status }{
		{license.Valid, license.Revoked, license.Revoked}, {license.Revoked, license.Valid, license.Suspended},
	} {
		mustCommit(t, b, register.SetStatus{Identifier: v.Identifier, From: move.from, To: move.to, At: at})
		v.Stated, v.StatusAt, v.Status = move.to, at, move.holds
		wantVersion(t, b, v, true)
	}
	next := version(1, 2, 20)
	wantTaken(t, "next version without the order", b.Commit(t.Context(), issue(next)))
	wantVersion(t, b, v, true)
	next.Ordered, next.OrderedAt, next.Status = license.Suspended, at, license.Suspended
	mustCommit(t, b, issue(next))
	wantVersion(t, b, next, true)
	wantTaken(t, "order on an old version", b.Commit(t.Context(), order(license.Suspended, "")))
	if diff := cmp.Diff(map[int]license.Status{10: license.Superseded, 20: license.Suspended}, statuses(t, b, "1")); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	fresh := version(2, 1, 30)
	fresh.Ordered, fresh.OrderedAt = license.Suspended, at
	wantTaken(t, "first version with an order", b.Commit(t.Context(), issue(fresh)))
}

// testListChanges proves that a list's count moves with what the list says.
func testListChanges(t *testing.T, b Bench) {
	last := int64(-1)
	moved := func(what string, changes ...any) {
		t.Helper()
		mustCommit(t, b, changes...)
		lists, err := b.Storage.Lists(t.Context())
		if err != nil || len(lists) != 1 {
			t.Fatalf("lists %v, %v", lists, err)
		}
		if lists[0].Changes == last {
			t.Errorf("%s: the count is still %d", what, last)
		}
		last = lists[0].Changes
	}
	v, at := version(1, 1, 10), signed.Add(time.Hour)
	moved("first", issue(v))
	moved("status", register.SetStatus{Identifier: v.Identifier, From: license.Valid, To: license.Suspended, At: at})
	moved("status back", register.SetStatus{Identifier: v.Identifier, From: license.Suspended, To: license.Valid, At: at})
	moved("order", register.Order{Identifier: v.Identifier, To: license.Revoked, At: at})
	moved("order back", register.Order{Identifier: v.Identifier, From: license.Revoked, At: at})
	moved("next version", issue(version(1, 2, 20)))
	expired := version(2, 1, 30)
	expired.Status, expired.Stated = license.Expired, license.Expired
	moved("born expired", issue(expired))
}

func testFilter(t *testing.T, b Bench) {
	for of := range uint64(5) {
		v := version(of+1, 1, int(of))
		if of == 3 {
			v.Type = "resident-id"
		}
		mustCommit(t, b, issue(v))
	}
	mustCommit(t, b, issue(version(2, 2, 9)))
	ids := func(f register.Filter) (ids []string) {
		list, err := b.Storage.Versions(t.Context(), f)
		if err != nil {
			t.Fatalf("versions: %v", err)
		}
		for _, v := range list {
			ids = append(ids, v.Identifier)
		}
		return ids
	}
	id := func(of uint64, number int) string { return version(of, number, 0).Identifier }
	for name, c := range map[string]struct {
		filter register.Filter
		want   []string
	}{
		"type":    {register.Filter{Type: "business-license", Limit: 9}, []string{id(1, 1), id(2, 1), id(2, 2), id(3, 1), id(5, 1)}},
		"limit":   {register.Filter{Type: "business-license", Limit: 2}, []string{id(1, 1), id(2, 1)}},
		"after":   {register.Filter{Type: "business-license", After: id(2, 1), Limit: 2}, []string{id(2, 2), id(3, 1)}},
		"status":  {register.Filter{Type: "business-license", Status: license.Superseded, Limit: 9}, []string{id(2, 1)}},
		"issuer":  {register.Filter{Type: "business-license", Issuer: "11100000MB03271699", Limit: 9}, nil},
		"another": {register.Filter{Type: "resident-id", Issuer: "11100000MB0143028R", Limit: 9}, []string{id(4, 1)}},
	} {
		if diff := cmp.Diff(c.want, ids(c.filter)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
