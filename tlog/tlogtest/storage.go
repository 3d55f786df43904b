package tlogtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"oncegate/tlog"
)

// TestStorage is the suite that every tlog.Storage passes. open returns the storage of a log that was
// never created; each call another one. The suite attaches nothing but what no storage knows.
func TestStorage(t *testing.T, open func(t *testing.T) tlog.Storage) {
	for _, c := range []struct {
		name string
		test func(*testing.T, tlog.Storage)
	}{
		{"never created", testNeverCreated},
		{"created once", testCreatedOnce},
		{"batches", testBatches},
		{"refused entry", testRefusedEntry},
		{"every entry refused", testEveryEntryRefused},
		{"failed integration", testFailedIntegration},
		{"beyond the end", testBeyondTheEnd},
		{"slices belong to the caller", testSlices},
		{"reader of the transaction", testTransactionReader},
		{"cosigned checkpoints", testCosigned},
		{"concurrent logs", testConcurrentLogs},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// TestClaims is the suite for what a storage does with what it knows. claim returns something to
// attach that a log takes once for each key; taken is the error that refuses it the next time.
func TestClaims(t *testing.T, open func(t *testing.T) tlog.Storage, claim func(key string) any, taken error) {
	t.Run("within a batch", func(t *testing.T) {
		s := open(t)
		create(t, s)
		b := batch(claim("a"), claim("b"), claim("a"), nil)
		verdicts, err := s.Commit(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		wantVerdicts(t, verdicts, nil, nil, taken, nil)
		wantLeaves(t, s, b, 0, 1, 3)
	})
	t.Run("between batches", func(t *testing.T) {
		s := open(t)
		create(t, s)
		mustCommit(t, s, batch(claim("a")))
		verdicts, err := s.Commit(t.Context(), batch(claim("a"), claim("b")))
		if err != nil {
			t.Fatal(err)
		}
		wantVerdicts(t, verdicts, taken, nil)
	})
	t.Run("not by a failed batch", func(t *testing.T) {
		s := open(t)
		create(t, s)
		b := batch(claim("a"))
		b.Integrate = func(tlog.Head, tlog.Reader, []int) (tlog.Update, error) { return tlog.Update{}, errInjected }
		if _, err := s.Commit(t.Context(), b); !errors.Is(err, errInjected) {
			t.Fatalf("error is %v", err)
		}
		mustCommit(t, s, batch(claim("a")))
	})
}

// unknownAttachment is known to no storage.
type unknownAttachment struct{ n int }

const testOrigin = "log.example/suite"

func create(t *testing.T, s tlog.Storage) Keys {
	t.Helper()
	keys := NewKeys(t, testOrigin)
	if err := tlog.Create(t.Context(), keys.Config(s)); err != nil {
		t.Fatal(err)
	}
	return keys
}

// batch returns a batch with one entry for each attachment. What it integrates has the right size and
// ids but no real hashes.
func batch(attached ...any) tlog.Batch {
	b := tlog.Batch{ID: nextID()}
	for i, a := range attached {
		b.Entries = append(b.Entries, tlog.Entry{Leaf: fmt.Appendf(nil, "%x/%d", b.ID, i), Attached: a})
	}
	b.Integrate = func(head tlog.Head, _ tlog.Reader, accepted []int) (tlog.Update, error) {
		u := tlog.Update{Head: head, Leaves: make([]tlog.LeafHash, len(accepted))}
		u.Head.Size += uint64(len(accepted))
		u.Head.Batch = b.ID
		for k, i := range accepted {
			u.Leaves[k].SM3[0], u.Leaves[k].SHA256[0] = byte(i)+1, byte(i)+101
		}
		return u, nil
	}
	return b
}

func nextID() (id [16]byte) {
	rand.Read(id[:])
	return id
}

func mustCommit(t *testing.T, s tlog.Storage, b tlog.Batch) {
	t.Helper()
	verdicts, err := s.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	wantVerdicts(t, verdicts, make([]error, len(b.Entries))...)
}

func wantVerdicts(t *testing.T, got []error, want ...error) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d verdicts, want %d", len(got), len(want))
	}
	for i := range want {
		if !errors.Is(got[i], want[i]) {
			t.Errorf("verdict %d is %v, want %v", i, got[i], want[i])
		}
	}
}

// wantLeaves checks that the log consists of these entries of b.
func wantLeaves(t *testing.T, s tlog.Storage, b tlog.Batch, entries ...int) {
	t.Helper()
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if head.Size != uint64(len(entries)) {
		t.Fatalf("size is %d, want %d", head.Size, len(entries))
	}
	leaves, err := s.Leaves(t.Context(), 0, head.Size)
	if err != nil {
		t.Fatal(err)
	}
	for k, i := range entries {
		if !bytes.Equal(leaves[k], b.Entries[i].Leaf) {
			t.Errorf("leaf %d is not entry %d", k, i)
		}
		sm3, err := s.LeafHashes(t.Context(), tlog.SM3, uint64(k), uint64(k)+1)
		if err != nil || len(sm3) != tlog.HashSize || sm3[0] != byte(i)+1 {
			t.Errorf("leaf hash %d is not that of entry %d: %v", k, i, err)
		}
		sha, err := s.LeafHashes(t.Context(), tlog.SHA256, uint64(k), uint64(k)+1)
		if err != nil || len(sha) != tlog.HashSize || sha[0] != byte(i)+101 {
			t.Errorf("leaf hash %d is not that of entry %d: %v", k, i, err)
		}
	}
}

func wantCommitted(t *testing.T, s tlog.Storage, b tlog.Batch, want bool) {
	t.Helper()
	got, err := s.Committed(t.Context(), b.ID)
	if err != nil || got != want {
		t.Errorf("Committed is %v, %v; want %v", got, err, want)
	}
}

func testNeverCreated(t *testing.T, s tlog.Storage) {
	if _, err := s.Head(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Head of no log: %v, want fs.ErrNotExist", err)
	}
	if _, err := s.Commit(t.Context(), batch(nil)); err == nil || errors.Is(err, tlog.ErrUnknown) {
		t.Errorf("Commit to no log: %v, want a known failure", err)
	}
	if _, err := tlog.Open(t.Context(), NewKeys(t, testOrigin).Config(s)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of no log: %v, want fs.ErrNotExist", err)
	}
}

func testCreatedOnce(t *testing.T, s tlog.Storage) {
	keys := create(t, s)
	if err := tlog.Create(t.Context(), keys.Config(s)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create: %v, want fs.ErrExist", err)
	}
	CheckLog(t, s, keys.Trust)
}

func testBatches(t *testing.T, s tlog.Storage) {
	create(t, s)
	first, second, never := batch(nil, nil), batch(nil), batch(nil)
	mustCommit(t, s, first)
	mustCommit(t, s, second)
	wantCommitted(t, s, first, true)
	wantCommitted(t, s, second, true)
	wantCommitted(t, s, never, false)
	all := tlog.Batch{Entries: append(first.Entries, second.Entries...)}
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if head.Size != 3 || head.Batch != second.ID {
		t.Errorf("head is %+v", head)
	}
	leaves, err := s.Leaves(t.Context(), 0, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range all.Entries {
		if !bytes.Equal(leaves[i], e.Leaf) {
			t.Errorf("leaf %d is %q, want %q", i, leaves[i], e.Leaf)
		}
	}
}

func testRefusedEntry(t *testing.T, s tlog.Storage) {
	create(t, s)
	b := batch(nil, unknownAttachment{}, nil)
	verdicts, err := s.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if len(verdicts) != 3 || verdicts[0] != nil || verdicts[1] == nil || verdicts[2] != nil {
		t.Fatalf("verdicts are %v", verdicts)
	}
	wantLeaves(t, s, b, 0, 2)
	wantCommitted(t, s, b, true)
}

func testEveryEntryRefused(t *testing.T, s tlog.Storage) {
	create(t, s)
	b := batch(unknownAttachment{1}, unknownAttachment{2})
	b.Integrate = func(tlog.Head, tlog.Reader, []int) (tlog.Update, error) {
		t.Error("Integrate was called")
		return tlog.Update{}, errInjected
	}
	verdicts, err := s.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if len(verdicts) != 2 || verdicts[0] == nil || verdicts[1] == nil {
		t.Errorf("verdicts are %v", verdicts)
	}
	wantLeaves(t, s, b)
	wantCommitted(t, s, b, false)
}

func testFailedIntegration(t *testing.T, s tlog.Storage) {
	create(t, s)
	b := batch(nil)
	b.Integrate = func(tlog.Head, tlog.Reader, []int) (tlog.Update, error) { return tlog.Update{}, errInjected }
	if _, err := s.Commit(t.Context(), b); !errors.Is(err, errInjected) || errors.Is(err, tlog.ErrUnknown) {
		t.Errorf("error is %v", err)
	}
	wantLeaves(t, s, b)
	wantCommitted(t, s, b, false)
	mustCommit(t, s, batch(nil))
}

func testBeyondTheEnd(t *testing.T, s tlog.Storage) {
	create(t, s)
	mustCommit(t, s, batch(nil, nil))
	for _, r := range [][2]uint64{{0, 3}, {2, 3}, {5, 6}} {
		if _, err := s.Leaves(t.Context(), r[0], r[1]); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Leaves(%d, %d): %v, want fs.ErrNotExist", r[0], r[1], err)
		}
		if _, err := s.LeafHashes(t.Context(), tlog.SM3, r[0], r[1]); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("LeafHashes(%d, %d): %v, want fs.ErrNotExist", r[0], r[1], err)
		}
	}
	if _, err := s.Tile(t.Context(), tlog.SHA256, 0, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Tile: %v, want fs.ErrNotExist", err)
	}
}

func testSlices(t *testing.T, s tlog.Storage) {
	create(t, s)
	b := batch(nil)
	mustCommit(t, s, b)
	leaves, err := s.Leaves(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	clear(leaves[0])
	hashes, err := s.LeafHashes(t.Context(), tlog.SM3, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	clear(hashes)
	wantLeaves(t, s, b, 0)
}

func testTransactionReader(t *testing.T, s tlog.Storage) {
	create(t, s)
	mustCommit(t, s, batch(nil, nil))
	b := batch(nil)
	integrate := b.Integrate
	b.Integrate = func(head tlog.Head, r tlog.Reader, accepted []int) (tlog.Update, error) {
		if head.Size != 2 {
			t.Errorf("locked head has size %d, want 2", head.Size)
		}
		if hashes, err := r.LeafHashes(context.Background(), tlog.SHA256, 0, 2); err != nil || len(hashes) != 2*tlog.HashSize {
			t.Errorf("LeafHashes: %d bytes, %v", len(hashes), err)
		}
		if leaves, err := r.Leaves(context.Background(), 0, 2); err != nil || len(leaves) != 2 {
			t.Errorf("Leaves: %d, %v", len(leaves), err)
		}
		if _, err := r.Tile(context.Background(), tlog.SM3, 0, 0); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Tile: %v, want fs.ErrNotExist", err)
		}
		return integrate(head, r, accepted)
	}
	mustCommit(t, s, b)
}

func testCosigned(t *testing.T, s tlog.Storage) {
	keys := create(t, s)
	want := func(got tlog.Cosigned, err error, want tlog.Cosigned) {
		t.Helper()
		if got != want || (want == tlog.Cosigned{}) != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	covering := func(index uint64, is tlog.Cosigned) {
		t.Helper()
		got, err := s.Cosigned(t.Context(), index)
		want(got, err, is)
	}
	last := func(is tlog.Cosigned) {
		t.Helper()
		got, err := s.LastCosigned(t.Context())
		want(got, err, is)
	}
	covering(0, tlog.Cosigned{})
	last(tlog.Cosigned{})
	three, ten, again := tlog.Cosigned{Size: 3, Note: "three\n"}, tlog.Cosigned{Size: 10, Note: "十\n"}, tlog.Cosigned{Size: 3, Note: "three, by more\n"}
	for _, c := range []tlog.Cosigned{ten, three, again} {
		if err := s.Cosign(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	covering(0, again)
	covering(2, again)
	covering(3, ten)
	covering(9, ten)
	covering(10, tlog.Cosigned{})
	last(ten)

	// A log keeps and returns only what it signed, under its size.
	l, err := tlog.Open(t.Context(), keys.Config(s))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	r, err := l.Append(t.Context(), []byte("leaf"), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(r.Checkpoint, "\n\n")
	forged := text + "\n\n" + Line(t, NewKeys(t, testOrigin).Ed25519, text+"\n")
	for name, note := range map[string]string{"none of ours": forged, "no note": "x"} {
		if err := l.Cosign(t.Context(), note); !errors.Is(err, tlog.ErrUnproven) && !errors.Is(err, tlog.ErrCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := l.Cosign(t.Context(), r.Checkpoint); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Cosigned(t.Context(), r.Index); err != nil || got.Note != r.Checkpoint {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := l.LastCosigned(t.Context()); !errors.Is(err, tlog.ErrUnproven) {
		t.Errorf("a note that is no checkpoint: %v", err)
	}
	if err := s.Cosign(t.Context(), tlog.Cosigned{Size: 2, Note: r.Checkpoint}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Cosigned(t.Context(), 1); !errors.Is(err, tlog.ErrUnproven) {
		t.Errorf("a checkpoint of another size: %v", err)
	}
}

// testConcurrentLogs has two logs append to one storage from many goroutines until tiles are full.
func testConcurrentLogs(t *testing.T, s tlog.Storage) {
	keys := create(t, s)
	var logs [2]*tlog.Log
	for i := range logs {
		var err error
		if logs[i], err = tlog.Open(t.Context(), keys.Config(s)); err != nil {
			t.Fatal(err)
		}
	}
	const writers, each = 16, 40
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				leaf := fmt.Appendf(nil, "writer %d entry %d", w, i)
				r, err := logs[w%2].Append(t.Context(), leaf, nil)
				if err == nil {
					_, err = tlog.VerifyReceipt(r, keys.Trust)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, l := range logs {
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if c := CheckLog(t, s, keys.Trust); c.Size != writers*each {
		t.Errorf("size is %d, want %d", c.Size, writers*each)
	}
}
