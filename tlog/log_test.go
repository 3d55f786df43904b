package tlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

const origin = "log.example/oncegate"

// bench is a log over a storage in memory.
type bench struct {
	*tlog.Log
	memory *tlogtest.Memory
	keys   tlogtest.Keys
	config tlog.Config
}

func newBench(t testing.TB, change ...func(*tlog.Config)) bench {
	t.Helper()
	memory, keys := new(tlogtest.Memory), tlogtest.NewKeys(t, origin)
	config := keys.Config(memory)
	config.Logger = slog.New(slog.DiscardHandler)
	for _, c := range change {
		c(&config)
	}
	if err := tlog.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	return bench{openLog(t, config), memory, keys, config}
}

// openLog opens a log and closes it at the end of the test.
func openLog(t testing.TB, config tlog.Config) *tlog.Log {
	t.Helper()
	l, err := tlog.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return l
}

// add appends n leaves one after another.
func (b bench) add(t testing.TB, n int) (last tlog.Receipt) {
	t.Helper()
	for range n {
		last = b.mustAppend(t, fmt.Sprintf("leaf %d", b.Stats().Size))
	}
	return last
}

func (b bench) mustAppend(t testing.TB, leaf string) tlog.Receipt {
	t.Helper()
	r, err := b.Append(t.Context(), []byte(leaf), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// hold has the next commits wait, until release or the end of the test.
func (b bench) hold(t testing.TB) (release func()) {
	release = b.memory.Hold()
	t.Cleanup(release)
	return release
}

// line starts n goroutines, one after another: the first has the committer wait at the held storage,
// the others wait in the queue.
func (b bench) line(t testing.TB, wg *sync.WaitGroup, n int, run func(i int)) {
	t.Helper()
	for i := range n {
		wg.Go(func() { run(i) })
		wait(t, func() bool { return b.memory.Waiting() == 1 && b.Stats().Waiting == i })
	}
}

// together appends entries so that they share one batch, and returns their errors.
func (b bench) together(t testing.TB, attached ...any) []error {
	t.Helper()
	release := b.hold(t)
	errs := make([]error, len(attached)+1)
	var wg sync.WaitGroup
	b.line(t, &wg, len(errs), func(i int) {
		var a any
		if i > 0 { // entry 0 occupies the committer
			a = attached[i-1]
		}
		r, err := b.Append(t.Context(), fmt.Appendf(nil, "together %d", i), a)
		if err == nil {
			_, err = tlog.VerifyReceipt(r, b.keys.Trust)
		}
		errs[i] = err
	})
	release()
	wg.Wait()
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
	return errs[1:]
}

// wait yields until something that other goroutines bring about has come.
func wait(t testing.TB, until func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !until(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

func TestAppend(t *testing.T) {
	b := newBench(t)
	for i := range 600 {
		leaf := fmt.Sprintf("leaf %d", i)
		r := b.mustAppend(t, leaf)
		if r.Index != uint64(i) || string(r.Record) != leaf {
			t.Fatalf("receipt of entry %d is of %q at %d", i, r.Record, r.Index)
		}
		if _, err := tlog.VerifyReceipt(r, b.keys.Trust); err != nil {
			t.Fatal(err)
		}
		if r.Checkpoint != b.Known() {
			t.Fatal("receipt is not under the newest checkpoint")
		}
		if i < 20 || i > 250 && i < 260 || i > 508 && i < 516 {
			tlogtest.CheckLog(t, b.memory, b.keys.Trust)
		}
	}
	tlogtest.CheckLog(t, b.memory, b.keys.Trust)
	if s := b.Stats(); s.Entries != 600 || s.Size != 600 || s.Refused+s.Failed+s.Unknown != 0 {
		t.Errorf("stats are %+v", s)
	}
}

func TestAppendConcurrently(t *testing.T) {
	var said bytes.Buffer
	b := newBench(t, func(c *tlog.Config) { c.Logger = slog.New(slog.NewTextHandler(&said, nil)) })
	defer func() {
		if said.Len() > 0 {
			t.Errorf("it said: %s", &said)
		}
	}()
	const writers, each = 64, 32
	seen := make([][]uint64, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				r, err := b.Append(t.Context(), fmt.Appendf(nil, "%d/%d", w, i), tlogtest.Claim(fmt.Sprint(w, i)))
				if err == nil {
					_, err = tlog.VerifyReceipt(r, b.keys.Trust)
				}
				if err != nil {
					t.Error(err)
					return
				}
				seen[w] = append(seen[w], r.Index)
			}
		})
	}
	wg.Wait()
	if c := tlogtest.CheckLog(t, b.memory, b.keys.Trust); c.Size != writers*each {
		t.Errorf("size is %d, want %d", c.Size, writers*each)
	}
	taken := make(map[uint64]bool)
	for _, list := range seen {
		for i, index := range list {
			if taken[index] || i > 0 && list[i-1] >= index {
				t.Fatalf("index %d was given twice, or out of order", index)
			}
			taken[index] = true
		}
	}
	if b.memory.Commits() >= writers*each {
		t.Errorf("%d commits for %d entries: nothing was grouped", b.memory.Commits(), writers*each)
	}
}

// A preparingStorage puts something of its own in the place of what is attached.
type preparingStorage struct{ *tlogtest.Memory }

func (preparingStorage) Prepare(e tlog.Entry) any {
	return tlogtest.Claim("prepared " + string(e.Leaf))
}

// What a storage prepared of an entry is what is attached to it.
func TestPrepared(t *testing.T) {
	b := newBench(t, func(c *tlog.Config) { c.Storage = preparingStorage{new(tlogtest.Memory)} })
	for _, refused := range []error{nil, tlogtest.ErrClaimed} {
		if _, err := b.Append(t.Context(), []byte("once"), nil); !errors.Is(err, refused) {
			t.Errorf("error is %v, want %v", err, refused)
		}
	}
}

// What Stats counts: batches, not entries; what was refused beside it; and what the mark lacks.
func TestStats(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "of the mark")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(c *tlog.Config) { c.Mark, c.MarkEvery = filepath.Join(dir, "mark"), time.Millisecond })
	for range 2 {
		if _, err := b.Append(t.Context(), []byte("x"), tlogtest.Claim("once")); err != nil && !errors.Is(err, tlogtest.ErrClaimed) {
			t.Fatal(err)
		}
	}
	b.together(t, nil, nil)
	if s := b.Stats(); s.Batches != 3 || s.Entries != 4 || s.Refused != 1 || s.Size != 4 {
		t.Errorf("%+v", s)
	}
	wait(t, func() bool { return b.Stats().MarkAge == 0 })
	if err := os.Rename(dir, dir+" away"); err != nil {
		t.Fatal(err)
	}
	b.add(t, 1)
	wait(t, func() bool { return b.Stats().MarkFail > 0 })
	if b.Stats().MarkAge == 0 {
		t.Error("a mark that lacks an entry has no age")
	}
	if err := os.Rename(dir+" away", dir); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return b.Stats().MarkAge == 0 })
}

func TestAppendLeafSize(t *testing.T) {
	b := newBench(t)
	for size, want := range map[int]error{0: tlog.ErrLeafSize, 1: nil, tlog.MaxLeaf: nil, tlog.MaxLeaf + 1: tlog.ErrLeafSize} {
		if _, err := b.Append(t.Context(), make([]byte, size), nil); !errors.Is(err, want) {
			t.Errorf("leaf of %d bytes: %v, want %v", size, err, want)
		}
	}
	tlogtest.CheckLog(t, b.memory, b.keys.Trust)
}

func TestRefusedEntryFailsAlone(t *testing.T) {
	b := newBench(t)
	errs := b.together(t, tlogtest.Claim("a"), tlogtest.Claim("a"), "unknown", nil)
	for i, want := range []error{nil, tlogtest.ErrClaimed, tlogtest.ErrAttached, nil} {
		if !errors.Is(errs[i], want) || errors.Is(errs[i], tlog.ErrUnavailable) {
			t.Errorf("entry %d: %v, want %v", i, errs[i], want)
		}
	}
	if b.memory.Commits() != 2 {
		t.Errorf("%d commits, want 2", b.memory.Commits())
	}
	if c := tlogtest.CheckLog(t, b.memory, b.keys.Trust); c.Size != 3 {
		t.Errorf("size is %d, want 3", c.Size)
	}
	if s := b.Stats(); s.Refused != 2 || s.Entries != 3 {
		t.Errorf("stats are %+v", s)
	}
}

func TestOnlyRefusedEntries(t *testing.T) {
	b := newBench(t)
	before := b.Known()
	if _, err := b.Append(t.Context(), []byte("x"), "unknown"); !errors.Is(err, tlogtest.ErrAttached) {
		t.Errorf("error is %v", err)
	}
	if b.Known() != before {
		t.Error("a refused entry made a checkpoint")
	}
	b.add(t, 1)
	tlogtest.CheckLog(t, b.memory, b.keys.Trust)
}

func TestPoisonedEntryFailsAlone(t *testing.T) {
	b := newBench(t)
	errs := b.together(t, nil, tlogtest.Poison{}, nil)
	for i, want := range []error{nil, tlog.ErrUnavailable, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("entry %d: %v, want %v", i, errs[i], want)
		}
	}
	if c := tlogtest.CheckLog(t, b.memory, b.keys.Trust); c.Size != 3 {
		t.Errorf("size is %d, want 3", c.Size)
	}
}

// TestFailedCommits takes each failure, alone and together with others. Whatever happened, the log
// is whole, what was answered is in it, and the next entry is appended.
func TestFailedCommits(t *testing.T) {
	const lost, unknownLost, unknownPersisted = tlogtest.Lost, tlogtest.UnknownLost, tlogtest.UnknownPersisted
	for _, c := range []struct {
		name     string
		failures []tlogtest.Failure
		silent   int
		err      error
		size     uint64
	}{
		{"lost", []tlogtest.Failure{lost}, 0, tlog.ErrUnavailable, 2},
		{"unknown, lost", []tlogtest.Failure{unknownLost}, 0, tlog.ErrUnavailable, 2},
		{"unknown, persisted", []tlogtest.Failure{unknownPersisted}, 0, nil, 3},
		{"unknown, lost, storage silent for a while", []tlogtest.Failure{unknownLost}, 3, tlog.ErrUnavailable, 2},
		{"unknown, persisted, storage silent for a while", []tlogtest.Failure{unknownPersisted}, 3, nil, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.add(t, 1)
			b.memory.Silence(c.silent)
			b.memory.Inject(c.failures...)
			r, err := b.Append(t.Context(), []byte("in trouble"), tlogtest.Claim("a"))
			if !errors.Is(err, c.err) {
				t.Fatalf("error is %v, want %v", err, c.err)
			}
			if err == nil {
				if _, err := tlog.VerifyReceipt(r, b.keys.Trust); err != nil {
					t.Error(err)
				}
			}
			tlogtest.CheckLog(t, b.memory, b.keys.Trust)
			last := b.mustAppend(t, "after")
			if last.Index != c.size-1 {
				t.Errorf("next entry is %d, want %d", last.Index, c.size-1)
			}
			tlogtest.CheckLog(t, b.memory, b.keys.Trust)
		})
	}
}

// TestFailedBatches does the same to a batch of three, which is tried entry by entry after a failure.
func TestFailedBatches(t *testing.T) {
	for _, c := range []struct {
		name     string
		failures []tlogtest.Failure
		ok       int
	}{
		{"lost, then fine", []tlogtest.Failure{tlogtest.Lost}, 3},
		{"unknown and lost, then fine", []tlogtest.Failure{tlogtest.UnknownLost}, 3},
		{"unknown and persisted", []tlogtest.Failure{tlogtest.UnknownPersisted}, 3},
		{"lost, then unknown both ways", []tlogtest.Failure{tlogtest.Lost, tlogtest.UnknownPersisted, tlogtest.UnknownLost}, 2},
		{"lost all along", []tlogtest.Failure{tlogtest.Lost, tlogtest.Lost, tlogtest.Lost, tlogtest.Lost}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.memory.InjectAfter(1, c.failures...)
			ok := 0
			for _, err := range b.together(t, tlogtest.Claim("a"), tlogtest.Claim("b"), tlogtest.Claim("c")) {
				if err == nil {
					ok++
				} else if !errors.Is(err, tlog.ErrUnavailable) {
					t.Errorf("error is %v", err)
				}
			}
			if ok != c.ok {
				t.Errorf("%d entries were appended, want %d", ok, c.ok)
			}
			if got := tlogtest.CheckLog(t, b.memory, b.keys.Trust); got.Size != uint64(1+c.ok) {
				t.Errorf("size is %d, want %d", got.Size, 1+c.ok)
			}
		})
	}
}

// TestNoRandomness: without an id no batch is begun, and its callers are told.
func TestNoRandomness(t *testing.T) {
	memory, keys := new(tlogtest.Memory), tlogtest.NewKeys(t, origin)
	config := keys.Config(memory)
	if err := tlog.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	config.Rand = strings.NewReader("short")
	l := openLog(t, config)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := l.Append(ctx, []byte("leaf"), nil); !errors.Is(err, tlog.ErrUnavailable) || memory.Commits() != 0 {
		t.Errorf("%v after %d commits", err, memory.Commits())
	}
}

// slow is a storage whose commits take their time and then fail.
type slow struct {
	*tlogtest.Memory
	takes   time.Duration
	commits int
}

func (s *slow) Commit(ctx context.Context, b tlog.Batch) ([]error, error) {
	s.commits++
	time.Sleep(s.takes)
	return nil, errors.New("disk is slow and full")
}

// lying is a storage whose verdicts on a batch of two are not those that it had integrated.
type lying struct {
	*tlogtest.Memory
	accepted []int
	verdicts []error
}

func (s *lying) Commit(ctx context.Context, b tlog.Batch) ([]error, error) {
	time.Sleep(time.Second) // the next batch gathers
	if len(b.Entries) != 2 {
		return s.Memory.Commit(ctx, b)
	}
	head, err := s.Head(ctx)
	if err == nil {
		_, err = b.Integrate(head, s.Memory, s.accepted)
	}
	return s.verdicts, err
}

// TestVerdictsOfOthers: nothing is released under a checkpoint that was not signed for it, whatever the storage says.
func TestVerdictsOfOthers(t *testing.T) {
	refused := tlogtest.ErrClaimed
	for name, c := range map[string]lying{
		"more than were integrated":  {accepted: []int{0}, verdicts: []error{nil, nil}},
		"none were integrated":       {accepted: []int{}, verdicts: []error{nil, refused}},
		"fewer than were integrated": {accepted: []int{0, 1}, verdicts: []error{nil, refused}},
		"another than integrated":    {accepted: []int{0}, verdicts: []error{refused, nil}},
		"no verdicts":                {accepted: []int{0}},
		"more verdicts than entries": {accepted: []int{0}, verdicts: []error{nil, refused, refused}},
	} {
		synctest.Test(t, func(t *testing.T) {
			memory, keys := new(tlogtest.Memory), tlogtest.NewKeys(t, origin)
			c.Memory = memory
			config := keys.Config(&c)
			if err := tlog.Create(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			l := openLog(t, config)
			var callers sync.WaitGroup
			for i := range 3 { // the first has the others wait, and share the next batch
				callers.Go(func() {
					if _, err := l.Append(t.Context(), fmt.Appendf(nil, "leaf %d", i), nil); i > 0 && !errors.Is(err, tlog.ErrUnavailable) {
						t.Errorf("%s: entry %d: %v", name, i, err)
					}
				})
				synctest.Wait()
			}
			callers.Wait()
			if size := l.Stats().Size; size != 1 {
				t.Errorf("%s: size %d is taken for committed", name, size)
			}
			l.Close(t.Context())
		})
	}
}

// TestRetryHasAnEnd: after Patience the entries of a failed batch are given up, not tried on one by one while their callers wait.
func TestRetryHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, keys := new(tlogtest.Memory), tlogtest.NewKeys(t, origin)
		storage := &slow{Memory: memory, takes: 2 * time.Second}
		config := keys.Config(storage)
		config.Patience = 5 * time.Second
		if err := tlog.Create(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		l := openLog(t, config)
		var callers sync.WaitGroup
		append := func(i int) {
			callers.Go(func() {
				if _, err := l.Append(t.Context(), fmt.Appendf(nil, "leaf %d", i), nil); !errors.Is(err, tlog.ErrUnavailable) {
					t.Errorf("entry %d: %v", i, err)
				}
			})
			synctest.Wait()
		}
		begun := time.Now()
		for i := range 11 { // the first has the others wait, and share the next batch
			append(i)
		}
		callers.Wait()
		// 2 s for the first, then 2 s for the batch and 2 s for each of two of its entries: 6 s are more than Patience.
		if took := time.Since(begun); took != 8*time.Second || storage.commits != 4 {
			t.Errorf("given up after %v and %d commits", took, storage.commits)
		}
		l.Close(t.Context())
	})
}

// TestStaysUnknown: after Patience callers get ErrUnavailable, entries are refused until the storage
// tells, and then the log goes on from what really happened.
func TestStaysUnknown(t *testing.T) {
	for failure, size := range map[tlogtest.Failure]uint64{tlogtest.UnknownLost: 1, tlogtest.UnknownPersisted: 2} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.memory.Inject(failure)
			b.memory.Silence(1 << 30)
			start := time.Now()
			_, err := b.Append(t.Context(), []byte("in doubt"), nil)
			if !errors.Is(err, tlog.ErrUnavailable) {
				t.Fatalf("error is %v", err)
			}
			if waited := time.Since(start); waited < 5*time.Second || waited > 7*time.Second {
				t.Errorf("caller waited %v", waited)
			}
			start = time.Now()
			if _, err := b.Append(t.Context(), []byte("refused"), nil); !errors.Is(err, tlog.ErrUnavailable) {
				t.Fatalf("error is %v", err)
			}
			if waited := time.Since(start); waited > 0 {
				t.Errorf("the next caller waited %v", waited)
			}
			if !b.Stats().InDoubt {
				t.Error("stats show no doubt")
			}
			b.memory.Silence(0)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if s := b.Stats(); s.Size != size-1 || s.InDoubt {
				t.Errorf("after the answer stats are %+v", s)
			}
			r := b.mustAppend(t, "after")
			if r.Index != size-1 {
				t.Errorf("next entry is %d, want %d", r.Index, size-1)
			}
			tlogtest.CheckLog(t, b.memory, b.keys.Trust)
			b.Close(t.Context())
		})
	}
}

// TestCloseInDoubt: Close does not wait longer than it is told for a storage that stays silent, and
// the next Open goes on from what is stored.
func TestCloseInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, keys := new(tlogtest.Memory), tlogtest.NewKeys(t, origin)
		config := keys.Config(memory)
		config.Logger = slog.New(slog.DiscardHandler)
		if err := tlog.Create(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		l, err := tlog.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		memory.Inject(tlogtest.UnknownPersisted)
		memory.Silence(1 << 30)
		failed := make(chan error, 2)
		for _, leaf := range []string{"in doubt", "waits behind it"} {
			go func() {
				_, err := l.Append(t.Context(), []byte(leaf), nil)
				failed <- err
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		for range 2 {
			if err := <-failed; !errors.Is(err, tlog.ErrUnavailable) {
				t.Errorf("Append: %v", err)
			}
		}
		l = openLog(t, config)
		if l.Stats().Size != 1 {
			t.Errorf("size is %d, want 1", l.Stats().Size)
		}
		tlogtest.CheckLog(t, memory, keys.Trust)
		l.Close(t.Context())
	})
}

// The entries of a batch that failed are tried one by one. When Close gives up on one that is in doubt, those behind it, whose callers were
// told so, are not tried any more.
func TestCloseInDoubtOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Inject(tlogtest.Lost, tlogtest.UnknownLost)
		release := b.memory.Hold()
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				if _, err := b.Append(t.Context(), []byte("x"), nil); !errors.Is(err, tlog.ErrUnavailable) {
					t.Errorf("error is %v", err)
				}
			})
			synctest.Wait()
		}
		b.memory.Silence(1 << 30)
		release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v", err)
		}
		callers.Wait()
		b.memory.Silence(0)
		if c := tlogtest.CheckLog(t, b.memory, b.keys.Trust); c.Size != 0 {
			t.Errorf("%d entries were appended whose callers were told that they were not", c.Size)
		}
	})
}

func TestCallerGivesUp(t *testing.T) {
	b := newBench(t)
	release := b.hold(t)
	ctx, cancel := context.WithCancel(t.Context())
	leaf := []byte("given up")
	done := make(chan error, 1)
	go func() {
		_, err := b.Append(ctx, leaf, nil)
		done <- err
	}()
	wait(t, func() bool { return b.memory.Waiting() == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	clear(leaf) // it is the caller's again
	release()
	if r := b.mustAppend(t, "next"); r.Index != 1 {
		t.Errorf("next entry is %d: the abandoned one was not appended", r.Index)
	}
	leaves, err := b.memory.Leaves(t.Context(), 0, 1)
	if err != nil || !bytes.Equal(leaves[0], []byte("given up")) {
		t.Errorf("entry 0 is %q, %v", leaves, err)
	}
	tlogtest.CheckLog(t, b.memory, b.keys.Trust)
}

func TestQueueIsBounded(t *testing.T) {
	b := newBench(t, func(c *tlog.Config) { c.Queue = 1 })
	release := b.hold(t)
	var wg sync.WaitGroup
	b.line(t, &wg, 2, func(int) { b.Append(t.Context(), []byte("x"), nil) })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := b.Append(ctx, []byte("x"), nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "place in the log's queue") {
		t.Errorf("error is %v", err)
	}
	release()
	wg.Wait()
	if c := tlogtest.CheckLog(t, b.memory, b.keys.Trust); c.Size != 2 {
		t.Errorf("size is %d, want 2", c.Size)
	}
}

func TestMaxBatch(t *testing.T) {
	b := newBench(t, func(c *tlog.Config) { c.MaxBatch = 2 })
	for _, err := range b.together(t, nil, nil, nil, nil, nil) {
		if err != nil {
			t.Error(err)
		}
	}
	if b.memory.Commits() != 1+3 {
		t.Errorf("%d commits, want 4", b.memory.Commits())
	}
}

// TestBatchOverTiles completes several tiles with one batch that begins within one.
func TestBatchOverTiles(t *testing.T) {
	b := newBench(t, func(c *tlog.Config) { c.MaxBatch = 1000 })
	b.add(t, 100)
	for _, err := range b.together(t, make([]any, 700)...) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if b.memory.Commits() != 102 {
		t.Errorf("%d commits, want 102", b.memory.Commits())
	}
	tlogtest.CheckLog(t, b.memory, b.keys.Trust)
}

func TestCloseFinishesWhatWasAccepted(t *testing.T) {
	b := newBench(t)
	release := b.hold(t)
	var wg sync.WaitGroup
	b.line(t, &wg, 5, func(int) {
		if _, err := b.Append(t.Context(), []byte("x"), nil); err != nil {
			t.Error(err)
		}
	})
	closed := make(chan error, 1)
	go func() { closed <- b.Close(context.Background()) }()
	release()
	wg.Wait()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := b.Append(t.Context(), []byte("x"), nil); !errors.Is(err, tlog.ErrClosed) {
		t.Errorf("Append after Close: %v", err)
	}
	if c := tlogtest.CheckLog(t, b.memory, b.keys.Trust); c.Size != 5 {
		t.Errorf("size is %d, want 5", c.Size)
	}
}

// TestSignerFails: nothing is committed without both signatures, and a signer that fails or panics has every caller answered at once.
func TestSignerFails(t *testing.T) {
	for name, fail := range map[string]func() ([]byte, error){
		"error": func() ([]byte, error) { return nil, errors.New("token is not there") },
		"panic": func() ([]byte, error) { panic("token is not there") },
	} {
		t.Run(name, func(t *testing.T) {
			signer := &brokenSigner{}
			b := newBench(t, func(c *tlog.Config) { signer.Signer, c.Ed25519 = c.Ed25519, signer })
			signer.fail = fail
			var callers sync.WaitGroup
			for range 5 {
				callers.Go(func() {
					if _, err := b.Append(t.Context(), []byte("x"), nil); !errors.Is(err, tlog.ErrUnavailable) || strings.Count(err.Error(), tlog.ErrUnavailable.Error()) != 1 {
						t.Errorf("error is %v", err)
					}
				})
			}
			callers.Wait()
			signer.fail = nil
			if r := b.mustAppend(t, "y"); r.Index != 0 {
				t.Errorf("next entry is %d, want 0", r.Index)
			}
			tlogtest.CheckLog(t, b.memory, b.keys.Trust)
		})
	}
}

type brokenSigner struct {
	tlog.Signer
	fail func() ([]byte, error)
}

func (s *brokenSigner) Sign(ctx context.Context, msg []byte) ([]byte, error) {
	if s.fail != nil {
		return s.fail()
	}
	return s.Signer.Sign(ctx, msg)
}

// TestStoragePanics: what the storage did before is not known, and is found out.
func TestStoragePanics(t *testing.T) {
	for name, committed := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			storage := &panicking{after: committed}
			b := newBench(t, func(c *tlog.Config) { storage.Storage, c.Storage = c.Storage, storage })
			storage.once.Store(true)
			if _, err := b.Append(t.Context(), []byte("x"), nil); !errors.Is(err, tlog.ErrUnavailable) {
				t.Errorf("error is %v", err)
			}
			want := uint64(0)
			if committed {
				want = 1
			}
			if r := b.mustAppend(t, "y"); r.Index != want {
				t.Errorf("next entry is %d, want %d", r.Index, want)
			}
			tlogtest.CheckLog(t, b.memory, b.keys.Trust)
		})
	}
}

// panicking is a storage whose next commit panics.
type panicking struct {
	tlog.Storage
	once  atomic.Bool
	after bool // it has committed by then
}

func (p *panicking) Commit(ctx context.Context, b tlog.Batch) ([]error, error) {
	if !p.once.Swap(false) {
		return p.Storage.Commit(ctx, b)
	}
	if p.after {
		if _, err := p.Storage.Commit(ctx, b); err != nil {
			return nil, err
		}
	}
	panic("the driver is broken")
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(*tlogtest.Memory, *tlog.Config)
		want   error
	}{
		"never created":  {func(_ *tlogtest.Memory, c *tlog.Config) { c.Storage = new(tlogtest.Memory) }, fs.ErrNotExist},
		"other origin":   {func(_ *tlogtest.Memory, c *tlog.Config) { c.Origin = "log.example/typo" }, nil},
		"no SM3":         {func(_ *tlogtest.Memory, c *tlog.Config) { c.NewSM3 = nil }, nil},
		"one key twice":  {func(_ *tlogtest.Memory, c *tlog.Config) { c.Ed25519 = c.SM2 }, nil},
		"negative limit": {func(_ *tlogtest.Memory, c *tlog.Config) { c.Queue = -1 }, nil},
		"damaged frontier": {func(m *tlogtest.Memory, _ *tlog.Config) {
			m.AlterHead(func(h *tlog.Head) { h.SM3 = bytes.Repeat([]byte{1}, len(h.SM3)) })
		}, nil},
		"cut frontier":      {func(m *tlogtest.Memory, _ *tlog.Config) { m.AlterHead(func(h *tlog.Head) { h.SHA256 = nil }) }, nil},
		"size without tree": {func(m *tlogtest.Memory, _ *tlog.Config) { m.AlterHead(func(h *tlog.Head) { h.Size++ }) }, nil},
		"no checkpoint":     {func(m *tlogtest.Memory, _ *tlog.Config) { m.AlterHead(func(h *tlog.Head) { h.Checkpoint = "" }) }, tlog.ErrCheckpoint},
		"damaged tile":      {func(m *tlogtest.Memory, _ *tlog.Config) { m.AlterTile(tlog.SHA256, 0, 0, 77) }, tlog.ErrUnproven},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.add(t, 300)
			c.damage(b.memory, &b.config)
			if l, err := tlog.Open(t.Context(), b.config); err == nil {
				l.Close(t.Context())
				t.Error("log was opened")
			} else if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error is %v, want %v", err, c.want)
			}
		})
	}
}

// A lossy storage has lost the leaf hashes at its edge.
type lossy struct{ *tlogtest.Memory }

func (lossy) LeafHashes(context.Context, tlog.Tree, uint64, uint64) ([]byte, error) {
	return nil, fs.ErrNotExist
}

// TestOpenLostLeaves: a log that lost entries must not be taken for one that was never created, which somebody might then create.
func TestOpenLostLeaves(t *testing.T) {
	b := newBench(t)
	b.add(t, 300)
	b.config.Storage = lossy{b.memory}
	l, err := tlog.Open(t.Context(), b.config)
	if err == nil {
		l.Close(t.Context())
	}
	if !errors.Is(err, tlog.ErrUnproven) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v, want ErrUnproven and not fs.ErrNotExist", err)
	}
}

// TestRolledBackWhileRunning: a log whose database is replaced under it appends nothing more.
func TestRolledBackWhileRunning(t *testing.T) {
	b := newBench(t)
	b.add(t, 3)
	old, err := b.memory.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.add(t, 2)
	b.memory.AlterHead(func(h *tlog.Head) { *h = old })
	for range 2 {
		if _, err := b.Append(t.Context(), []byte("x"), nil); !errors.Is(err, tlog.ErrRolledBack) {
			t.Errorf("error is %v, want ErrRolledBack", err)
		}
	}
}
