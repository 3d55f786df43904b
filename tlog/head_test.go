package tlog_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// headStorage answers with another head than the one that was committed, as a database does whose head row somebody edited who has
// no key of the log.
type headStorage struct {
	*tlogtest.Memory
	edit  atomic.Pointer[func(tlog.Head) tlog.Head]
	reads atomic.Uint64 // leaf hashes that were read within commits
}

// as is the head as the edited row says it.
func (s *headStorage) as(head tlog.Head) tlog.Head {
	if edit := s.edit.Load(); edit != nil {
		return (*edit)(head)
	}
	return head
}

func (s *headStorage) Head(ctx context.Context) (tlog.Head, error) {
	head, err := s.Memory.Head(ctx)
	if err != nil {
		return head, err
	}
	return s.as(head), nil
}

func (s *headStorage) Commit(ctx context.Context, b tlog.Batch) ([]error, error) {
	integrate := b.Integrate
	b.Integrate = func(head tlog.Head, r tlog.Reader, accepted []int) (tlog.Update, error) {
		return integrate(s.as(head), countedReader{r, &s.reads}, accepted)
	}
	return s.Memory.Commit(ctx, b)
}

// A countedReader counts the leaf hashes that are read.
type countedReader struct {
	tlog.Reader
	reads *atomic.Uint64
}

func (r countedReader) LeafHashes(ctx context.Context, tree tlog.Tree, start, end uint64) ([]byte, error) {
	r.reads.Add(end - start)
	return r.Reader.LeafHashes(ctx, tree, start, end)
}

// Edits of the head row by somebody without a key. Each was built upon once, or made the node sign its own fork.
func headEdits(t *testing.T, b bench) map[string]func(tlog.Head) tlog.Head {
	t.Helper()
	stranger, larger := newBench(t), newBench(t)
	grow(t, stranger, numbered(0, 20, "forged")...)
	grow(t, larger, numbered(0, 21, "forged")...)
	foreign, err := stranger.memory.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	grown, err := larger.memory.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ours := newFork(t, b, 21)
	grownByUs, err := ours.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unsigned := func(checkpoint string) string { // the text with a signature of zeros
		text, sigs, _ := strings.Cut(checkpoint, "\n\n")
		name, _, _ := strings.Cut(sigs, "\n")
		return text + "\n\n" + name[:strings.LastIndexByte(name, ' ')+1] + "AAAAAAAA\n"
	}
	flip := func(frontier []byte) []byte { f := bytes.Clone(frontier); f[3] ^= 1; return f }
	return map[string]func(tlog.Head) tlog.Head{
		"frontier, same size": func(h tlog.Head) tlog.Head { h.SM3 = flip(h.SM3); return h },
		"the other frontier":  func(h tlog.Head) tlog.Head { h.SHA256 = flip(h.SHA256); return h },
		"same size, other root": func(h tlog.Head) tlog.Head {
			foreign.Batch = h.Batch
			return foreign
		},
		"a larger head, signed AAAAAAAA": func(h tlog.Head) tlog.Head {
			forged := grown
			forged.Checkpoint = unsigned(grown.Checkpoint)
			return forged
		},
		"a larger head of strange keys": func(tlog.Head) tlog.Head { return grown },
		"checkpoint":                    func(h tlog.Head) tlog.Head { h.Checkpoint = unsigned(h.Checkpoint); return h },
		"size":                          func(h tlog.Head) tlog.Head { h.Size++; return h },
		"size with as many frontiers":   func(h tlog.Head) tlog.Head { h.Size = 24; return h }, // 16+8, as 20 is 16+4
		"our key, another origin": func(h tlog.Head) tlog.Head {
			c, err := tlog.ParseCheckpoint(grownByUs.Checkpoint)
			if err != nil {
				t.Error(err)
			}
			c.Origin = "log.example/other"
			forged := grownByUs
			forged.Checkpoint = c.Text() + "\n" + tlogtest.Line(t, b.keys.Ed25519, c.Text()) + tlogtest.Line(t, b.keys.SM2, c.Text())
			return forged
		},
		"batch": func(h tlog.Head) tlog.Head { h.Batch[0] ^= 1; return h },
	}
}

// A head that no key of the log signed, or that does not extend what was committed, is refused at once by the next batch, within
// the poll while nothing is appended, and by the next start; nothing is signed over it. Once it is gone the log goes on.
func TestForgedHead(t *testing.T) {
	storage := &headStorage{Memory: new(tlogtest.Memory)}
	b := newBench(t, func(c *tlog.Config) { c.Storage, c.Poll = storage, time.Hour })
	grow(t, b, numbered(0, 20, "r")...)
	for name, edit := range headEdits(t, b) {
		t.Run(name, func(t *testing.T) {
			storage.edit.Store(&edit)
			defer storage.edit.Store(nil)
			before, _ := storage.Memory.Head(t.Context())
			if _, err := b.Append(t.Context(), []byte("x"), nil); !errors.Is(err, tlog.ErrForged) {
				t.Errorf("append: %v", err)
			}
			if after, _ := storage.Memory.Head(t.Context()); after.Size != before.Size {
				t.Errorf("the log grew from %d to %d entries", before.Size, after.Size)
			}
			if name != "batch" { // which a start does not know
				if l, err := tlog.Open(t.Context(), b.config); err == nil {
					l.Close(context.Background())
					t.Error("the log was opened")
				}
			}
		})
	}
	b.add(t, 1)
	tlogtest.CheckLog(t, storage.Memory, b.keys.Trust)
}

// newFork is a log of b's keys with n entries of its own, as a restored backup is that another node went on with.
func newFork(t *testing.T, b bench, n int) *tlogtest.Memory {
	t.Helper()
	memory := new(tlogtest.Memory)
	config := b.keys.Config(memory)
	config.Logger = slog.New(slog.DiscardHandler)
	if err := tlog.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	appendTo(t, openLog(t, config), n)
	return memory
}

// Our own keys signed a fork, and the whole of it is stored: it does not extend what is known, near or far, and nothing is signed over
// it. A head of our keys whose entries are not stored is no better.
func TestForkOfOurKeys(t *testing.T) {
	storage := &headStorage{Memory: new(tlogtest.Memory)}
	b := newBench(t, func(c *tlog.Config) { c.Storage, c.Poll = storage, time.Hour })
	grow(t, b, numbered(0, 20, "r")...)
	honest := storage.Memory
	for _, n := range []int{300, 17 * tlog.TileWidth} {
		fork := newFork(t, b, n)
		storage.Memory = fork
		if _, err := b.Append(t.Context(), []byte("x"), nil); !errors.Is(err, tlog.ErrForged) {
			t.Errorf("a fork of %d entries: %v", n, err)
		}
		before, err := fork.Head(t.Context())
		if err != nil || before.Size != uint64(n) {
			t.Errorf("the fork of %d entries has %d: %v", n, before.Size, err)
		}
		storage.Memory = honest
		edit := func(tlog.Head) tlog.Head { return before }
		storage.edit.Store(&edit)
		if _, err := b.Append(t.Context(), []byte("x"), nil); !errors.Is(err, tlog.ErrUnavailable) {
			t.Errorf("the head of a fork of %d entries without them: %v", n, err)
		}
		storage.edit.Store(nil)
		b.add(t, 1)
	}
	tlogtest.CheckLog(t, honest, b.keys.Trust)
}

// While nothing is appended the poll notices, refuses entries, and takes it back when the head is right again.
func TestForgedHeadIsNoticed(t *testing.T) {
	storage := &headStorage{Memory: new(tlogtest.Memory)}
	b := newBench(t, func(c *tlog.Config) { c.Storage, c.Poll = storage, 2*time.Millisecond })
	grow(t, b, numbered(0, 20, "r")...)
	edit := headEdits(t, b)["same size, other root"]
	storage.edit.Store(&edit)
	wait(t, func() bool { return errors.Is(b.Distrusted(), tlog.ErrForged) })
	if _, err := b.Append(t.Context(), []byte("x"), nil); !errors.Is(err, tlog.ErrUnavailable) || !errors.Is(err, tlog.ErrForged) {
		t.Errorf("append: %v", err)
	}
	storage.edit.Store(nil)
	wait(t, func() bool { return b.Distrusted() == nil })
	b.add(t, 1)
}

// The poll notices a head that was rolled back, too. A head of which the entries cannot be read is neither: it says nothing about the log.
func TestRolledBackHeadIsNoticed(t *testing.T) {
	storage := &headStorage{Memory: new(tlogtest.Memory)}
	b := newBench(t, func(c *tlog.Config) { c.Storage, c.Poll = storage, 2*time.Millisecond })
	old, err := storage.Memory.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	grow(t, b, numbered(0, 20, "r")...)
	rollBack := func(tlog.Head) tlog.Head { return old }
	storage.edit.Store(&rollBack)
	wait(t, func() bool { return errors.Is(b.Distrusted(), tlog.ErrRolledBack) })
	storage.edit.Store(nil)
	wait(t, func() bool { return b.Distrusted() == nil })

	unread, err := newFork(t, b, 300).Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var looks atomic.Int64
	ahead := func(tlog.Head) tlog.Head { looks.Add(1); return unread }
	storage.edit.Store(&ahead)
	wait(t, func() bool { return looks.Load() > 5 })
	if err := b.Distrusted(); err != nil {
		t.Errorf("a head that cannot be proven yet: %v", err)
	}
	storage.edit.Store(nil)
	b.add(t, 1)
}

// Heads of another node of the same log are verified, a few entries ahead or many: of many a consistency proof is read, which costs the
// storage's lock less than their leaves.
func TestHeadOfAnotherNode(t *testing.T) {
	storage := &headStorage{Memory: new(tlogtest.Memory)}
	b := newBench(t, func(c *tlog.Config) { c.Storage, c.Poll = storage, time.Hour })
	other := openLog(t, b.config)
	for _, n := range []int{1, 300, 17 * tlog.TileWidth} {
		appendTo(t, other, n)
		storage.reads.Store(0)
		if _, err := b.Append(t.Context(), []byte("mine"), nil); err != nil {
			t.Fatalf("after %d entries of another node: %v", n, err)
		}
		if reads := storage.reads.Load(); reads > 4*tlog.TileWidth {
			t.Errorf("%d leaf hashes were read to extend by %d entries", reads, n)
		}
	}
	tlogtest.CheckLog(t, storage.Memory, b.keys.Trust)
}

// What is proven under a head of another node makes that head the one last known, with and without SM2 keys of our own to verify it by.
func TestProvenHeadOfAnotherNode(t *testing.T) {
	for name, change := range map[string]func(*tlog.Config){
		"with SM2 keys":    func(*tlog.Config) {},
		"without SM2 keys": func(c *tlog.Config) { c.OwnSM2 = nil },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(c *tlog.Config) { c.Poll = time.Hour }, change)
			other := openLog(t, b.config)
			appendTo(t, other, 30)
			if r, err := b.Receipt(t.Context(), 29); err != nil {
				t.Error(err)
			} else if _, err := tlog.VerifyReceipt(r, b.keys.Trust); err != nil {
				t.Error(err)
			}
			if b.Known() != other.Known() {
				t.Error("the head that the receipt stands under is not the one last known")
			}
		})
	}
}

// appendTo appends entries as fast as batches take them.
func appendTo(t *testing.T, l *tlog.Log, n int) {
	t.Helper()
	errs := make(chan error, n)
	for range n {
		go func() {
			_, err := l.Append(t.Context(), []byte("theirs"), nil)
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// A notedStorage says of every batch that it was committed, as one does in which somebody noted the ids of batches that were lost.
type notedStorage struct {
	*tlogtest.Memory
	honest atomic.Bool
}

func (s *notedStorage) Committed(ctx context.Context, id [16]byte) (bool, error) {
	if s.honest.Load() {
		return s.Memory.Committed(ctx, id)
	}
	return true, nil
}

// TestNotedBatch: a batch whose commit was lost is not answered because its id is noted: the stored head does not have it.
func TestNotedBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage, keys := &notedStorage{Memory: new(tlogtest.Memory)}, tlogtest.NewKeys(t, origin)
		config := keys.Config(storage)
		config.Logger = slog.New(slog.DiscardHandler)
		if err := tlog.Create(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		l, err := tlog.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close(t.Context())
		storage.Inject(tlogtest.UnknownLost)
		if _, err := l.Append(t.Context(), []byte("lost"), nil); !errors.Is(err, tlog.ErrUnavailable) {
			t.Errorf("a lost entry was answered: %v", err)
		}
		if size := l.Stats().Size; size != 0 {
			t.Errorf("size %d is verified", size)
		}
		storage.Inject(tlogtest.UnknownPersisted)
		storage.honest.Store(true)
		time.Sleep(2 * time.Second)
		if _, err := l.Append(t.Context(), []byte("kept"), nil); err != nil {
			t.Error(err)
		}
		tlogtest.CheckLog(t, storage.Memory, keys.Trust)
	})
}
