package tlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

var errStorage = errors.New("failed by the test")

// A faltering storage counts what is asked of it, and lets one call fail.
type faltering struct {
	tlog.Storage
	calls, last atomic.Int64 // which call fails; 0: none
}

func (f *faltering) fails() bool { return f.calls.Add(1) == f.last.Load() }

func (f *faltering) Create(ctx context.Context, h tlog.Head) error {
	if f.fails() {
		return errStorage
	}
	return f.Storage.Create(ctx, h)
}

func (f *faltering) Head(ctx context.Context) (tlog.Head, error) {
	if f.fails() {
		return tlog.Head{}, errStorage
	}
	return f.Storage.Head(ctx)
}

func (f *faltering) Tile(ctx context.Context, tree tlog.Tree, level int, index uint64) ([]byte, error) {
	if f.fails() {
		return nil, errStorage
	}
	return f.Storage.Tile(ctx, tree, level, index)
}

func (f *faltering) LeafHashes(ctx context.Context, tree tlog.Tree, start, end uint64) ([]byte, error) {
	if f.fails() {
		return nil, errStorage
	}
	return f.Storage.LeafHashes(ctx, tree, start, end)
}

func (f *faltering) Leaves(ctx context.Context, start, end uint64) ([][]byte, error) {
	if f.fails() {
		return nil, errStorage
	}
	return f.Storage.Leaves(ctx, start, end)
}

// Commit fails before the transaction, or lets one of Integrate's reads fail.
func (f *faltering) Commit(ctx context.Context, b tlog.Batch) ([]error, error) {
	if f.fails() {
		return nil, errStorage
	}
	integrate := b.Integrate
	b.Integrate = func(head tlog.Head, r tlog.Reader, accepted []int) (tlog.Update, error) {
		return integrate(head, &falteringReader{r, f}, accepted)
	}
	return f.Storage.Commit(ctx, b)
}

func (f *faltering) Cosign(ctx context.Context, c tlog.Cosigned) error {
	if f.fails() {
		return errStorage
	}
	return f.Storage.Cosign(ctx, c)
}

func (f *faltering) Cosigned(ctx context.Context, index uint64) (tlog.Cosigned, error) {
	if f.fails() {
		return tlog.Cosigned{}, errStorage
	}
	return f.Storage.Cosigned(ctx, index)
}

func (f *faltering) LastCosigned(ctx context.Context) (tlog.Cosigned, error) {
	if f.fails() {
		return tlog.Cosigned{}, errStorage
	}
	return f.Storage.LastCosigned(ctx)
}

// A falteringReader is what a batch reads.
type falteringReader struct {
	tlog.Reader
	of *faltering
}

func (r *falteringReader) Tile(ctx context.Context, tree tlog.Tree, level int, index uint64) ([]byte, error) {
	if r.of.fails() {
		return nil, errStorage
	}
	return r.Reader.Tile(ctx, tree, level, index)
}

func (r *falteringReader) LeafHashes(ctx context.Context, tree tlog.Tree, start, end uint64) ([]byte, error) {
	if r.of.fails() {
		return nil, errStorage
	}
	return r.Reader.LeafHashes(ctx, tree, start, end)
}

// TestEveryCall lets every call of a storage fail, one at a time, in everything that can be asked of a log. What is asked is then an error
// that says so, and neither "not there" nor "altered"; and the next time all is well.
func TestEveryCall(t *testing.T) {
	const size = 700 // a tile of level 1, two full ones of level 0, and a part of another
	f := &faltering{}
	b := newBench(t, func(c *tlog.Config) { f.Storage, c.Storage, c.Poll = c.Storage, f, 1<<40 })
	b.add(t, size)
	if err := b.Cosign(t.Context(), b.Known()); err != nil {
		t.Fatal(err)
	}
	c, _, err := tlog.VerifyCheckpoint(b.Known(), b.keys.Trust)
	if err != nil {
		t.Fatal(err)
	}
	first, err := tlog.ParseCheckpoint(func() string { // of an earlier size
		m := newBench(t)
		m.add(t, 1)
		return m.Known()
	}())
	if err != nil {
		t.Fatal(err)
	}
	served := func(path string) error {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", path, nil)
		if path == "/tile/entries/001" {
			b.EntriesHandler().ServeHTTP(w, r)
		} else {
			b.Handler().ServeHTTP(w, r)
		}
		switch w.Code {
		case 200:
			return nil
		case 503:
			return errStorage // its text says nothing
		}
		return fmt.Errorf("%s answers %d", path, w.Code)
	}
	fresh := func(use func(l *tlog.Log) error) func() error { // by a process that remembers no tile
		return func() error {
			l, err := tlog.Open(t.Context(), b.config)
			if err != nil {
				return err
			}
			return errors.Join(use(l), l.Close(t.Context()))
		}
	}
	marked := b.config
	marked.Mark = filepath.Join(t.TempDir(), "mark")
	for name, do := range map[string]func() error{
		"open": fresh(func(l *tlog.Log) error { return nil }),
		"open with a mark": func() error {
			l, err := tlog.Open(t.Context(), marked)
			if err != nil {
				return err
			}
			return l.Close(t.Context())
		},
		"checkpoint":   fresh(func(l *tlog.Log) error { return second(l.Checkpoint(t.Context())) }),
		"receipt":      fresh(func(l *tlog.Log) error { return second(l.Receipt(t.Context(), 3)) }),
		"last receipt": fresh(func(l *tlog.Log) error { return second(l.Receipt(t.Context(), size-1)) }),
		"consistency":  fresh(func(l *tlog.Log) error { return second(l.ProveConsistency(t.Context(), 300, 600)) }),
		"prove": fresh(func(l *tlog.Log) error {
			return second(l.Prove(t.Context(), []tlog.Leaf{{Index: 5, Data: []byte("leaf 5")}, {Index: 699, Data: []byte("leaf 699")}}))
		}),
		"prove nothing": fresh(func(l *tlog.Log) error { return second(l.Prove(t.Context(), nil)) }),
		"bundle":        fresh(func(l *tlog.Log) error { return second(l.Bundle(t.Context(), "tile/entries/002.p/188")) }),
		"holds": fresh(func(l *tlog.Log) error {
			return l.Holds(t.Context(), origin, tlog.Cosigned{Size: size, Note: b.Known()})
		}),
		"cosign":           func() error { return b.Cosign(t.Context(), b.Known()) },
		"cosigned":         func() error { return second(b.Cosigned(t.Context(), 7)) },
		"last cosigned":    func() error { return second(b.LastCosigned(t.Context())) },
		"serve checkpoint": func() error { return served("/checkpoint") },
		"serve tile":       func() error { return served("/tile/0/001") },
		"serve a part":     func() error { return served("/sm3/tile/0/002.p/100") },
		"serve above":      func() error { return served("/tile/1/000.p/2") },
		"serve entries":    func() error { return served("/tile/entries/001") },
		"verify":           func() error { return tlog.VerifyLog(t.Context(), f, c, tlogtest.NewHash, nil) },
		"verify growth":    func() error { return tlog.VerifyExtends(t.Context(), f, tlogtest.NewHash, first, c) },
	} {
		right := do()
		if right != nil {
			t.Errorf("%s: %v", name, right)
			continue
		}
		for n := int64(1); ; n++ {
			f.calls.Store(0)
			f.last.Store(n)
			err := do()
			f.last.Store(0)
			if f.calls.Load() < n {
				if n == 1 {
					t.Errorf("%s asks nothing of the storage", name)
				}
				break
			}
			if !errors.Is(err, errStorage) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, tlog.ErrUnproven) || errors.Is(err, tlog.ErrForged) {
				t.Errorf("%s, call %d: %v", name, n, err)
			}
		}
		if err := do(); err != nil {
			t.Errorf("%s, afterwards: %v", name, err)
		}
	}
	tlogtest.CheckLog(t, b.memory, b.keys.Trust)
}

func second[T any](_ T, err error) error { return err }

// TestEveryCallOfABatch: a batch of which a call fails is not in the log, its caller is told so once, and the next one is.
func TestEveryCallOfABatch(t *testing.T) {
	f := &faltering{}
	b := newBench(t, func(c *tlog.Config) { f.Storage, c.Storage, c.Poll = c.Storage, f, 1<<40 })
	b.add(t, 3*tlog.TileWidth-1) // the next entry makes a tile full
	for n := int64(1); ; n++ {
		l, err := tlog.Open(t.Context(), b.config) // that remembers no tile
		if err != nil {
			t.Fatal(err)
		}
		f.calls.Store(0)
		f.last.Store(n)
		r, err := l.Append(t.Context(), []byte("next"), nil)
		f.last.Store(0)
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f.calls.Load() < n {
			if err != nil || r.Index != 3*tlog.TileWidth-1 {
				t.Errorf("entry %d, %v", r.Index, err)
			}
			break
		}
		if !errors.Is(err, errStorage) || !errors.Is(err, tlog.ErrUnavailable) || bytes.Count([]byte(err.Error()), []byte(tlog.ErrUnavailable.Error())) != 1 {
			t.Errorf("call %d: %v", n, err)
		}
	}
	tlogtest.CheckLog(t, b.memory, b.keys.Trust)
}

// TestCreateAndRecoverFail: each call of a storage that fails breaks the making of a log off, and it can be made afterwards.
func TestCreateAndRecoverFail(t *testing.T) {
	old := newBench(t)
	old.add(t, 2)
	for n := int64(1); ; n++ {
		keys := tlogtest.NewKeys(t, "log.example/after")
		f := &faltering{Storage: new(tlogtest.Memory)}
		config := keys.Config(f)
		config.Mark, config.Poll = filepath.Join(t.TempDir(), "mark"), 1<<40
		f.last.Store(n)
		err := tlog.Recover(t.Context(), config, old.Known())
		calls := f.calls.Load()
		f.last.Store(0)
		if calls < n {
			if err != nil {
				t.Error(err)
			}
			return
		}
		if !errors.Is(err, errStorage) {
			t.Errorf("call %d: %v", n, err)
		}
		if err := tlog.Recover(t.Context(), config, old.Known()); err != nil {
			t.Errorf("call %d, once more: %v", n, err)
		}
	}
}

// TestWaitingBehindDoubt: entries that came while a commit is unknown wait for its outcome as long as its callers do, and no longer.
func TestWaitingBehindDoubt(t *testing.T) {
	for name, c := range map[string]struct {
		silent time.Duration
		err    error
	}{"told in time": {3 * time.Second, nil}, "told too late": {time.Hour, tlog.ErrUnavailable}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.memory.Inject(tlogtest.UnknownPersisted)
			b.memory.Silence(1 << 30)
			begun := time.Now()
			var callers sync.WaitGroup
			for i := range 3 {
				callers.Go(func() {
					_, err := b.Append(t.Context(), fmt.Appendf(nil, "leaf %d", i), nil)
					if took := time.Since(begun); !errors.Is(err, c.err) || took > 7*time.Second || err != nil && took < 5*time.Second {
						t.Errorf("%s: entry %d after %v: %v", name, i, took, err)
					}
				})
				synctest.Wait()
			}
			time.Sleep(c.silent)
			b.memory.Silence(0)
			callers.Wait()
			time.Sleep(2 * time.Second)
			if r := b.mustAppend(t, "after"); c.err == nil && r.Index != 3 || c.err != nil && r.Index != 1 {
				t.Errorf("%s: the next entry is %d", name, r.Index)
			}
			tlogtest.CheckLog(t, b.memory, b.keys.Trust)
			b.Close(t.Context())
		})
	}
}
