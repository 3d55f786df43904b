package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// A fault goes wrong at COMMIT, in pairs: the caller sees the same, once nothing was kept and once everything was.
type fault int

const (
	none      fault = iota
	lost            // the connection breaks before the commit
	persisted       // the connection breaks after it
	left            // the commit fails and leaves the transaction open, as SQLite does on a full disk
)

var errCut = fmt.Errorf("cut by the test: %w", io.ErrUnexpectedEOF)

// A faulty driver stands between the store and the database.
type faulty struct {
	mu     sync.Mutex
	faults []fault     // of the next commits
	down   atomic.Bool // no transaction begins
}

func (f *faulty) wrap(c driver.Connector, writes bool) driver.Connector {
	if !writes {
		return c
	}
	return &faultyConnector{c, f}
}

type faultyConnector struct {
	driver.Connector
	of *faulty
}

func (f *faulty) inject(faults ...fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, faults...)
}

func (f *faulty) next() fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.faults) == 0 {
		return none
	}
	first := f.faults[0]
	f.faults = f.faults[1:]
	return first
}

func (f *faultyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := f.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &faultyConn{c.(conn), f.of}, nil
}

// conn is what both drivers' connections can do.
type conn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
}

type faultyConn struct {
	conn
	of *faulty
}

func (c *faultyConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *faultyConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.of.down.Load() {
		return nil, errCut
	}
	t, err := c.conn.BeginTx(ctx, opts)
	return &faultyTx{t, c.of}, err
}

type faultyTx struct {
	driver.Tx
	of *faulty
}

func (t *faultyTx) Commit() error {
	switch t.of.next() {
	case lost:
		t.Tx.Rollback()
		return errCut
	case persisted:
		if err := t.Tx.Commit(); err != nil {
			return err
		}
		return errCut
	case left:
		return errCut
	}
	return t.Tx.Commit()
}

func claimBatch(id byte, jti string) tlog.Batch {
	leaf := []byte("leaf " + jti)
	return tlog.Batch{ID: [16]byte{id}, Integrate: accept, Entries: []tlog.Entry{
		{Leaf: leaf, Attached: audit.Entry{Record: leaf, Changes: []any{audit.Claim{System: "window", JTI: jti, Exp: accepted}}}},
	}}
}

// TestPanicInBatch: a panic inside the transaction leaves neither the lock of the head nor the connection behind.
func TestPanicInBatch(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		db := mustOpenWith(t, e.fresh(t), nil)
		benchOn(t, db)
		bad := claimBatch(1, "j-1")
		bad.Integrate = func(tlog.Head, tlog.Reader, []int) (tlog.Update, error) { panic("signer") }
		begun := time.Now()
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was lost")
				}
			}()
			db.Log().Commit(t.Context(), bad)
		}()
		if _, err := db.Log().Commit(t.Context(), claimBatch(2, "j-1")); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the panic and the next batch took %s", took)
		}
	})
}

// TestUnknownCommit proves that a commit nobody knows about is reported so, and resolved afterwards to the truth.
func TestUnknownCommit(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, c := range []struct {
			fault fault
			want  bool
		}{{lost, false}, {persisted, true}} {
			f := &faulty{}
			db := mustOpenWith(t, e.fresh(t), f.wrap)
			benchOn(t, db)
			f.inject(c.fault)
			s := db.Log()
			_, err := s.Commit(t.Context(), claimBatch(1, "j-1"))
			wantError(t, "commit", err, tlog.ErrUnknown)

			f.down.Store(true)
			if _, err := s.Committed(t.Context(), [16]byte{1}); err == nil {
				t.Error("outcome was told although nobody could be asked")
			}
			f.down.Store(false)
			got, err := s.Committed(t.Context(), [16]byte{1})
			if err != nil || got != c.want {
				t.Errorf("fault %d: committed is %v, %v", c.fault, got, err)
			}
			head, err := s.Head(t.Context())
			if err != nil || (head.Size == 1) != c.want {
				t.Errorf("fault %d: size is %d, %v", c.fault, head.Size, err)
			}
			verdicts, err := s.Commit(t.Context(), claimBatch(2, "j-1"))
			if err != nil || errors.Is(verdicts[0], audit.ErrReplayed) != c.want {
				t.Errorf("fault %d: again: %v, %v", c.fault, verdicts, err)
			}
		}
	})
}

// TestCommitLeftOpen: a connection whose COMMIT failed is closed, not used again: its transaction may still be open, and the next
// batch's commit would keep, or lose, both.
func TestCommitLeftOpen(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		f := &faulty{}
		db := mustOpenWith(t, e.fresh(t), f.wrap)
		benchOn(t, db)
		f.inject(left)
		s := db.Log()
		_, err := s.Commit(t.Context(), claimBatch(1, "j-1"))
		wantError(t, "commit", err, tlog.ErrUnknown)
		if verdicts, err := s.Commit(t.Context(), claimBatch(2, "j-1")); err != nil || verdicts[0] != nil {
			t.Errorf("the next batch: %v, %v", verdicts, err)
		}
		if got, err := s.Committed(t.Context(), [16]byte{1}); err != nil || got {
			t.Errorf("the failed batch: committed is %v, %v", got, err)
		}
		if head, err := s.Head(t.Context()); err != nil || head.Size != 1 {
			t.Errorf("size is %d, %v", head.Size, err)
		}
	})
}

// TestDistrustedTakesNothing: after altered tables were found no batch is committed on them.
func TestDistrustedTakesNothing(t *testing.T) {
	db := mustOpen(t, freshSQLite(t))
	benchOn(t, db)
	found := db.altered("cases", "a row is gone")
	db.distrusted.Store(&found)
	_, err := db.Log().Commit(t.Context(), claimBatch(1, "j-1"))
	wantError(t, "commit", err, ErrAltered)
	if head, err := db.Log().Head(t.Context()); err != nil || head.Size != 0 {
		t.Errorf("size is %d, %v", head.Size, err)
	}
}

// TestFaultsUnderLoad breaks commits at random while many append: who was answered is in the log, exactly once, and both
// trees are whole.
func TestFaultsUnderLoad(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		f := &faulty{}
		db := mustOpenWith(t, e.fresh(t), f.wrap)
		b := benchOn(t, db)
		f.inject(slices.Repeat([]fault{none, lost, none, persisted, persisted, none, none, lost, lost}, 4)...)
		var mu sync.Mutex
		answered := map[uint64]string{}
		var writers sync.WaitGroup
		for w := range 16 {
			writers.Go(func() {
				for i := range 20 {
					jti := fmt.Sprintf("j-%d-%d", w, i)
					record := []byte("record " + jti)
					index, err := b.append(t.Context(), audit.Entry{Record: record, Changes: []any{audit.Claim{System: "window", JTI: jti, Exp: accepted}}})
					if err != nil {
						continue
					}
					mu.Lock()
					if before, twice := answered[index]; twice {
						t.Errorf("index %d was given to %s and %s", index, before, jti)
					}
					answered[index] = jti
					mu.Unlock()
				}
			})
		}
		writers.Wait()
		if len(answered) == 0 {
			t.Fatal("nobody was answered")
		}
		for index, jti := range answered {
			if got, err := db.Audit().ByJTI(t.Context(), "window", jti); err != nil || got != index {
				t.Errorf("call %s: record %d, %v; answered %d", jti, got, err, index)
			}
		}
		tlogtest.CheckLog(t, db.Log(), b.keys.Trust)
	})
}
