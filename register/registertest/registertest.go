// Package registertest is the conformance test suite of register.Storage.
package registertest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"oncegate/license"
	"oncegate/register"
)

// A Bench is a storage under test and the only way to write to it: changes that commit with a record.
type Bench struct {
	Storage register.Storage
	// Commit commits one record with these changes, all or none, alone or together with others that are committed
	// meanwhile. The error is the record's own refusal.
	Commit func(ctx context.Context, changes ...any) error
}

// Test runs the suite. open returns an empty, ready bench; it cleans up by t.Cleanup.
func Test(t *testing.T, open func(t *testing.T) Bench) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, b Bench)
	}{
		{"nothing there", testNothing},
		{"versions", testVersions},
		{"taken", testTaken},
		{"refused leaves nothing", testRefused},
		{"unknown change", testUnknownChange},
		{"first version race", testFirstRace},
		{"next version race", testNextRace},
		{"status", testStatus},
		{"status race", testStatusRace},
		{"orders", testOrders},
		{"list changes", testListChanges},
		{"filter", testFilter},
		{"lists", testLists},
		{"kept copies", testCopies},
		{"purge copies", testPurge},
		{"originals", testOriginals},
		{"original race", testOriginalRace},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

var signed = time.Date(2026, 11, 23, 1, 2, 3, 4e6, time.UTC)

// version makes a version of the license with this number; slot tells versions of one list apart.
func version(of uint64, number, slot int) register.Version {
	v := register.Version{
		Type:       "business-license",
		Issuer:     "11100000MB0143028R",
		Serial:     fmt.Sprintf("%020d", of),
		Number:     number,
		Identifier: fmt.Sprintf("1.2.156.3005.2.11100000MB0143028R001.11100000MB0143028R.%020d.%03d.X", of, number),
		JWT:        fmt.Sprintf("header.payload-%d-%d.signature", of, number),
		KeyID:      "key-1",
		Signed:     signed.Add(time.Duration(number) * time.Hour),
		Status:     license.Valid,
		Stated:     license.Valid,
		StatusAt:   signed.Add(time.Duration(number) * time.Hour),
		List:       "1",
		Slot:       slot,
	}
	v.Subject = subject(of)
	binary.BigEndian.PutUint64(v.Content[:], of*1000+uint64(number))
	return v
}

// issue is the change that adds a version made by version, after the one before it.
func issue(v register.Version) register.Issue {
	change := register.Issue{Version: v}
	if v.Number > 1 {
		change.Supersedes = version(binary.BigEndian.Uint64(v.Subject[24:]), v.Number-1, 0).Identifier
	}
	return change
}

func subject(of uint64) (s [32]byte) {
	binary.BigEndian.PutUint64(s[24:], of)
	s[0] = 0xff
	return s
}

func mustCommit(t *testing.T, b Bench, changes ...any) {
	t.Helper()
	if err := b.Commit(t.Context(), changes...); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func wantTaken(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, register.ErrTaken) {
		t.Errorf("%s: error %v, want ErrTaken", what, err)
	}
}

func wantAbsent(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: error %v, want fs.ErrNotExist", what, err)
	}
}
