// Package audittest is the conformance test suite of audit.Storage, with a storage in memory that passes it, for tests of
// packages that use audit.
package audittest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"oncegate/audit"
)

// A Bench is a storage under test and the only way to write to it: the log's batches.
type Bench struct {
	Storage audit.Storage
	// Append commits one entry through the log, alone or together with others that are appended meanwhile, and returns
	// its index. The error is the entry's own refusal.
	Append func(ctx context.Context, e audit.Entry) (uint64, error)
}

// Test runs the suite. open returns an empty, ready bench; it cleans up by t.Cleanup.
func Test(t *testing.T, open func(t *testing.T) Bench) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, b Bench)
	}{
		{"entries", testEntries},
		{"unknown change", testUnknownChange},
		{"claims", testClaims},
		{"claims race", testClaimsRace},
		{"horizon", testHorizon},
		{"refused leaves nothing", testRefused},
		{"policy sets", testPolicySets},
		{"search", testSearch},
		{"paging", testPaging},
		{"follow and rebuild", testFollow},
		{"erase", testErase},
		{"erase before", testEraseBefore},
		{"reuse", testReuse},
		{"about", testAbout},
		{"count", testCount},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

var start = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)

// entry makes an entry whose leaf is unique by name; parts tell nothing.
func entry(name string, at time.Time, uses ...audit.IndexUse) audit.Entry {
	if uses == nil {
		uses = []audit.IndexUse{}
	}
	return audit.Entry{
		Record: fmt.Appendf(nil, `{"request_id":%q}`, name),
		Sealed: []audit.Sealed{
			{Kind: "request", Digest: digest(name, 1), Blob: []byte("sealed request of " + name)},
			{Kind: "inputs", Digest: digest(name, 2), Blob: []byte("sealed inputs of " + name)},
			{Kind: "person", Digest: digest(name, 3), Blob: []byte("sealed person of " + name)},
		},
		Index: audit.Index{Time: at, System: "window", Operation: "licenses.query", RequestID: name, Operator: "operator-1", Uses: uses},
	}
}

func digest(name string, part byte) []byte {
	d := make([]byte, 32)
	copy(d, name)
	d[31] = part
	return d
}

func mustAppend(t *testing.T, b Bench, e audit.Entry) uint64 {
	t.Helper()
	index, err := b.Append(t.Context(), e)
	if err != nil {
		t.Fatalf("append entry: %v", err)
	}
	return index
}

// follow brings the projection to the head and returns the log's size.
func follow(t *testing.T, b Bench) uint64 {
	t.Helper()
	for last := uint64(0); ; {
		covered, size, err := b.Storage.Follow(t.Context())
		if err != nil {
			t.Fatalf("follow: %v", err)
		}
		if covered == size {
			return size
		}
		if covered > size || covered <= last && last > 0 {
			t.Fatalf("projection covers %d of %d, and covered %d before", covered, size, last)
		}
		last = covered
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

func wantAbsent(t *testing.T, what string, err error) {
	t.Helper()
	wantError(t, what, err, fs.ErrNotExist)
}
