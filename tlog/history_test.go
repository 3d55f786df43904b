package tlog_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// grow appends records to a log and returns a receipt for each, with its checkpoint.
func grow(t *testing.T, b bench, records ...string) (list []tlog.Receipt) {
	t.Helper()
	for _, r := range records {
		list = append(list, b.mustAppend(t, r))
	}
	return list
}

func parsed(t *testing.T, r tlog.Receipt) tlog.Checkpoint {
	t.Helper()
	c, err := tlog.ParseCheckpoint(r.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func numbered(from, to int, prefix string) (list []string) {
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprint(prefix, i))
	}
	return list
}

// Receipts of one history agree, whatever their sizes and order.
func TestHistoryAgrees(t *testing.T) {
	b := newBench(t)
	list := grow(t, b, numbered(0, 40, "r")...)
	for i := range list { // paths of other entries too: each under the last checkpoint
		for _, at := range []uint64{uint64(i), uint64(i) / 2, 0} {
			r, err := b.Receipt(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, r)
		}
	}
	for _, order := range []int{1, 7, 11} {
		h := tlog.NewHistory(tlogtest.NewHash)
		for i := range list {
			r := list[i*order%len(list)]
			if err := h.AddReceipt(fmt.Sprint(i), parsed(t, r), r); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// ranges are the subtrees whose hashes a receipt shows, by the definition of the tree (RFC 9162, 2.1.1): the leaves [from, to) of
// the root, of the record, and of every node beside the way between them.
func ranges(index, from, to uint64) [][2]uint64 {
	list := [][2]uint64{{from, to}}
	if to-from == 1 {
		return list
	}
	split := uint64(1)
	for split*2 < to-from {
		split *= 2
	}
	if middle := from + split; index < middle {
		return append(append(list, [2]uint64{middle, to}), ranges(index, from, middle)...)
	} else {
		return append(append(list, [2]uint64{from, middle}), ranges(index, middle, to)...)
	}
}

// subtrees are the subtrees whose hashes follow from a receipt: its ranges, and the trees that end where one of these begins or ends, which
// are made of ranges.
func subtrees(index, size uint64) [][2]uint64 {
	list := ranges(index, 0, size)
	for _, r := range list {
		list = append(list, [2]uint64{0, r[0]}, [2]uint64{0, r[1]})
	}
	return list
}

// Two histories of one log that differ in one entry are told apart by every two receipts that both show a subtree with that entry,
// by a receipt and a checkpoint that do, and by every two checkpoints of one size. Sizes up to 20 have every shape of a right edge.
func TestHistoryNamesAFork(t *testing.T) {
	const size = 20
	for at := range uint64(size) {
		records := numbered(0, size, "r")
		one, other := newBench(t), newBench(t)
		honest := grow(t, one, records...)
		records[at] = "forged"
		forged := grow(t, other, records...)
		for _, a := range honest {
			for _, b := range forged {
				h := tlog.NewHistory(tlogtest.NewHash)
				if err := h.AddReceipt("a", parsed(t, a), a); err != nil {
					t.Fatal(err)
				}
				err := h.AddReceipt("b", parsed(t, b), b)
				shared := false
				for _, x := range subtrees(a.Index, parsed(t, a).Size) {
					shared = shared || x[0] <= at && at < x[1] && slices.Contains(subtrees(b.Index, parsed(t, b).Size), x)
				}
				fork, is := errors.AsType[*tlog.ForkError](err)
				if is != shared || (err != nil) != shared || is && (!errors.Is(err, tlog.ErrFork) || fork.A != "a" || fork.B != "b" || fork.Roots != (a.Index == b.Index)) {
					t.Fatalf("forged at %d, entries %d and %d: %v, want a fork: %v", at, a.Index, b.Index, err, shared)
				}
				size := parsed(t, a).Size
				h = tlog.NewHistory(tlogtest.NewHash)
				err = errors.Join(h.Add("a", parsed(t, a)), h.AddReceipt("b", parsed(t, b), b))
				if want := at < size && slices.Contains(subtrees(b.Index, parsed(t, b).Size), [2]uint64{0, size}); errors.Is(err, tlog.ErrFork) != want || want && h.Proven(parsed(t, b).Origin) {
					t.Fatalf("forged at %d, checkpoint of %d, entry %d: %v, want a fork: %v", at, size, b.Index, err, want)
				}
			}
			h := tlog.NewHistory(tlogtest.NewHash)
			if err := errors.Join(h.Add("a", parsed(t, a)), h.Add("b", parsed(t, forged[a.Index]))); errors.Is(err, tlog.ErrFork) != (a.Index >= at) {
				t.Fatalf("checkpoints of size %d, forged at %d: %v", a.Index+1, at, err)
			}
		}
	}
}

// One history is proven where checkpoints are of one size, or a receipt shows that the larger tree begins with the smaller, at once or
// by way of others. That nothing contradicts is no proof.
func TestHistoryProven(t *testing.T) {
	b := newBench(t)
	list := grow(t, b, numbered(0, 40, "r")...)
	origin := parsed(t, list[0]).Origin
	for n := range list {
		last := list[n] // of entry n under size n+1
		for m := range n {
			h := tlog.NewHistory(tlogtest.NewHash)
			if err := errors.Join(h.Add("a", parsed(t, list[m])), h.Add("b", parsed(t, last))); err != nil || h.Proven(origin) {
				t.Fatalf("checkpoints of %d and %d: proven, or %v", m+1, n+1, err)
			}
			err := h.AddReceipt("c", parsed(t, last), last)
			if want := slices.Contains(subtrees(last.Index, uint64(n+1)), [2]uint64{0, uint64(m + 1)}); err != nil || h.Proven(origin) != want {
				t.Fatalf("checkpoint of %d and entry %d: %v, %v", m+1, n, h.Proven(origin), err)
			}
		}
	}
	h := tlog.NewHistory(tlogtest.NewHash)
	for i, r := range list { // each extends the one before
		if err := h.AddReceipt(fmt.Sprint(i), parsed(t, r), r); err != nil || !h.Proven(origin) {
			t.Fatalf("the first %d receipts: %v", i+1, err)
		}
	}
}

// Logs of other origins are none of each other's business.
func TestHistoryOfTwoLogs(t *testing.T) {
	b := newBench(t)
	one := parsed(t, grow(t, b, "x")[0])
	other := one
	other.Origin, other.SM3[0] = "log.example/other", one.SM3[0]^1
	h := tlog.NewHistory(tlogtest.NewHash)
	if err := errors.Join(h.Add("a", one), h.Add("b", other)); err != nil {
		t.Error(err)
	}
}

// A log extends every checkpoint of its own past, and none of another past or of a longer one.
func TestExtends(t *testing.T) {
	const size, at = 300, 259 // past a full tile
	records := numbered(0, size, "r")
	one, other := newBench(t), newBench(t)
	honest := grow(t, one, records...)
	records[at] = "forged"
	forged := grow(t, other, records...)
	last := parsed(t, honest[size-1])
	for _, i := range []int{0, 1, 6, 255, 256, at - 1, at, at + 1, size - 1} {
		if err := tlog.VerifyExtends(t.Context(), one.memory, tlogtest.NewHash, parsed(t, honest[i]), last); err != nil {
			t.Errorf("size %d: %v", i+1, err)
		}
		err := tlog.VerifyExtends(t.Context(), one.memory, tlogtest.NewHash, parsed(t, forged[i]), last)
		if errors.Is(err, tlog.ErrFork) != (i >= at) || i < at && err != nil {
			t.Errorf("forged size %d: %v", i+1, err)
		}
		if i > 0 {
			if err := tlog.VerifyExtends(t.Context(), one.memory, tlogtest.NewHash, parsed(t, honest[i]), parsed(t, honest[i-1])); !errors.Is(err, tlog.ErrFork) {
				t.Errorf("shortened to %d: %v", i, err)
			}
		}
	}
	// Tiles that are not those of the checkpoint say nothing about a fork.
	if err := tlog.VerifyExtends(t.Context(), other.memory, tlogtest.NewHash, parsed(t, honest[2]), last); !errors.Is(err, tlog.ErrUnproven) || errors.Is(err, tlog.ErrFork) {
		t.Errorf("tiles of another log: %v", err)
	}
}
