package register_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"oncegate/license"
	"oncegate/register"
)

func TestStatusList(t *testing.T) {
	b := newBench(t)
	if _, err := b.StatusList(t.Context(), "1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list without a slot: %v", err)
	}
	want := map[int]license.Status{}
	for i, status := range license.Statuses() {
		l := company(t, i)
		l.Status = status
		want[b.release(t, l, noon).Version.Slot] = status
	}
	packed, err := b.StatusList(t.Context(), "1")
	if err != nil || len(packed) != 4096/4 {
		t.Fatalf("list of %d bytes, %v", len(packed), err)
	}
	for slot := range 4096 {
		got := register.StatusOf(int(packed[slot/4]>>(slot%4*2)) & 3)
		expected, taken := want[slot]
		switch {
		case !taken:
			expected = license.Valid
		case expected == license.Expired:
			expected = license.Revoked
		}
		if got != expected {
			t.Errorf("slot %d is %s, want %s", slot, got, expected)
		}
	}
	if b.ListURI("1") != "https://gateway.example/status-lists/1" {
		t.Errorf("the list's URI is %s", b.ListURI("1"))
	}
}

// TestListsGrow fills lists of eight slots: every license finds a slot of its own, and the next list opens before long.
func TestListsGrow(t *testing.T) {
	b := newBench(t)
	b.config.ListSize = 8
	b.open(t)
	seen, perList := map[string]bool{}, map[string]int{}
	for n := range 60 {
		v := b.release(t, company(t, n), noon).Version
		slot := fmt.Sprint(v.List, "/", v.Slot)
		if seen[slot] || v.Slot < 0 || v.Slot >= 8 {
			t.Errorf("slot %s is taken or out of range", slot)
		}
		seen[slot] = true
		perList[v.List]++
	}
	if len(perList) < 8 || len(perList) > 30 {
		t.Errorf("60 licenses in lists %v", perList)
	}
	lists, _ := b.storage.Lists(t.Context())
	for i, list := range lists {
		if list.ID != fmt.Sprint(i+1) {
			t.Errorf("lists are %v", lists)
		}
	}
}

// TestOldListWasLarger keeps slots beyond the configured size.
func TestOldListWasLarger(t *testing.T) {
	b := newBench(t)
	v := b.release(t, company(t, 1), noon).Version
	for v.Slot < 8 { // draw until it lies beyond
		b = newBench(t)
		v = b.release(t, company(t, 1), noon).Version
	}
	if err := b.storage.Commit(t.Context(), register.SetStatus{Identifier: v.Identifier, From: license.Valid, To: license.Revoked, At: noon}); err != nil {
		t.Fatal(err)
	}
	b.config.ListSize = 8
	b.open(t)
	packed, err := b.StatusList(t.Context(), "1")
	if err != nil || len(packed) <= v.Slot/4 || packed[v.Slot/4] != 1<<(v.Slot%4*2) {
		t.Errorf("slot %d in a list of %d bytes, %v", v.Slot, len(packed), err)
	}
}
