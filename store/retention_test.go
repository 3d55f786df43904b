package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/tlog"
)

// personal is a record from a moment, with evidence that retention erases.
func personal(name string, at time.Time, changes ...any) audit.Entry {
	return audit.Entry{
		Record: []byte(name), Index: audit.Index{Time: at}, Changes: changes,
		Sealed: []audit.Sealed{{Kind: "request", Digest: []byte("d"), Blob: []byte("request")}, {Kind: "inputs", Blob: []byte("inputs")}},
	}
}

// TestClaimsAdopted opens a database in which the calls stood in the records: they are taken still, forgotten when they expire,
// and old evidence is found.
func TestClaimsAdopted(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		c := e.fresh(t)
		column, _, err := packEvidence(personal("old", accepted).Sealed)
		if err != nil {
			t.Fatal(err)
		}
		blob := func(b []byte) string {
			if e.name == Postgres {
				return fmt.Sprintf(`'\x%x'`, b)
			}
			return fmt.Sprintf("x'%x'", b)
		}
		record := func(index int, claim string) string {
			return fmt.Sprintf("INSERT INTO records (pos, hashes, system, jti, expires, time, erasable, leaf, search, evidence) VALUES (%d, %s, %s, %d, 1, %s, '', %s)",
				position(1, uint64(index)), blob(make([]byte, 64)), claim, canonical.Micros(accepted), blob([]byte("old")), blob(column))
		}
		atStep(t, c, 4, fmt.Sprintf("INSERT INTO logs (number, origin, size, sm3, sha256, checkpoint, batch, asked, erased) VALUES (1, '%s', 3, %[2]s, %[2]s, 'of then', %[3]s, 0, 2)", origin, blob(nil), blob(make([]byte, 16))),
			record(0, "NULL, NULL, NULL"), record(1, fmt.Sprintf("'window', 'j-1', %d", canonical.Micros(accepted))), record(2, fmt.Sprintf("'window', 'j-2', %d", canonical.Micros(accepted.Add(time.Hour)))),
			fmt.Sprintf("UPDATE claims SET horizon = %d, purged = 5", canonical.Micros(accepted.Add(-time.Hour))))

		db := mustOpen(t, c)
		if adopted, err := db.Adopt(t.Context(), nil); err != nil || adopted["records"] != 3 || adopted["claims"] != 2 {
			t.Fatal(adopted, err)
		}
		a := db.Audit()
		for i, jti := range []string{"j-1", "j-2"} {
			if index, err := a.ByJTI(t.Context(), "window", jti); err != nil || index != uint64(i+1) {
				t.Errorf("call %s is record %d, %v", jti, index, err)
			}
		}
		if h, err := a.Horizon(t.Context()); err != nil || !h.Equal(accepted.Add(-time.Hour)) {
			t.Errorf("horizon is %v, %v", h, err)
		}
		var left int
		if err := db.read.DB().QueryRow("SELECT count(*) FROM records WHERE jti IS NOT NULL OR system IS NOT NULL OR expires IS NOT NULL").Scan(&left); err != nil || left != 0 {
			t.Errorf("%d records have their call still, %v", left, err)
		}
		s, err := db.load(t.Context(), db.read, &keySet{claims: map[claimKey]bool{{"window", "j-2"}: true}})
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, "a call of before", claim{System: "window", JTI: "j-2", Exp: accepted.Add(time.Hour)}.apply(s), audit.ErrReplayed)
		if err := a.Purge(t.Context(), accepted.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := a.ByJTI(t.Context(), "window", "j-1"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("an expired call of before: %v", err)
		}
		if n, err := a.EraseBefore(t.Context(), accepted.Add(time.Minute), 10); err != nil || n != 3 {
			t.Errorf("evidence of %d records was erased, %v, want 3: all that stands there, wherever the old position was", n, err)
		}
	})
}

// TestOldLogErased: after a recovery the old log's evidence goes when its time has come.
func TestOldLogErased(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		c := e.fresh(t)
		db, err := Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		b := benchOn(t, db)
		if _, err := b.append(t.Context(), personal("of the old log", accepted)); err != nil {
			t.Fatal(err)
		}
		b.log.Close(t.Context())
		db.Close()

		c.Log, c.Recover = "store.example/second", true
		db = mustOpen(t, c)
		old, err := c.check()
		if err != nil {
			t.Fatal(err)
		}
		cutoff := accepted.Add(time.Hour)
		if found, err := db.Audit().Erasable(t.Context(), cutoff); err != nil || !found {
			t.Errorf("erasable: %v, %v", found, err)
		}
		if n, err := db.Audit().EraseBefore(t.Context(), cutoff, 10); err != nil || n != 1 {
			t.Errorf("evidence of %d records was erased, %v", n, err)
		}
		old.Log = origin
		view := auditView{&DB{config: old, read: db.read, number: 1}}
		if _, parts, err := view.Entry(t.Context(), 0); err != nil || parts[0].Blob != nil || parts[1].Blob == nil {
			t.Errorf("evidence of the old log is %v, %v", parts, err)
		}
	})
}

// TestClockAhead: one record from a clock that was ahead by years keeps no other from being erased.
func TestClockAhead(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b := newBench(t, e)
		for i, at := range []time.Time{accepted.AddDate(10, 0, 0), accepted, accepted.Add(time.Second)} {
			if _, err := b.append(t.Context(), personal(fmt.Sprint(i), at)); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := b.db.Audit().EraseBefore(t.Context(), accepted.Add(time.Hour), 10); err != nil || n != 2 {
			t.Errorf("evidence of %d records was erased, %v", n, err)
		}
	})
}

// TestErasureOvertakesNobody commits an old record while retention comes to the end of the log: the next run finds it.
func TestErasureOvertakesNobody(t *testing.T) {
	onPostgres(t, func(t *testing.T, e engine) {
		c := e.fresh(t)
		c.Nodes = 2
		b, other := benchOn(t, mustOpen(t, c)), mustOpen(t, c)
		if _, err := b.append(t.Context(), personal("first", accepted)); err != nil {
			t.Fatal(err)
		}
		locked, release := make(chan struct{}), make(chan struct{})
		batch := tlog.Batch{ID: [16]byte{1}, Entries: []tlog.Entry{{Leaf: []byte("second"), Attached: personal("second", accepted)}},
			Integrate: func(h tlog.Head, r tlog.Reader, accepted []int) (tlog.Update, error) {
				close(locked)
				<-release
				return accept(h, r, accepted)
			}}
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := b.db.Log().Commit(t.Context(), batch); err != nil {
				t.Error(err)
			}
		})
		<-locked
		time.AfterFunc(300*time.Millisecond, func() { close(release) }) // retention must not wait for it, and may
		cutoff := accepted.Add(time.Hour)
		if n, err := other.Audit().EraseBefore(t.Context(), cutoff, 10); err != nil || n != 1 {
			t.Errorf("beside the batch %d were erased, %v", n, err)
		}
		group.Wait()
		if n, err := other.Audit().EraseBefore(t.Context(), cutoff, 10); err != nil || n != 1 {
			t.Errorf("after the batch %d were erased, %v", n, err)
		}
	})
}

// A watched driver notes what each transaction that writes has done.
type watched struct {
	mu  sync.Mutex
	txs [][]string // statements of each, in order
}

func (w *watched) wrap(c driver.Connector, writes bool) driver.Connector {
	if !writes {
		return c
	}
	return &watchedConnector{c, w}
}

type watchedConnector struct {
	driver.Connector
	of *watched
}

func (w *watchedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := w.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &watchedConn{faultyConn{c.(conn), &faulty{}}, w.of}, nil
}

type watchedConn struct {
	faultyConn
	of *watched
}

func (c *watchedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.of.mu.Lock()
	c.of.txs = append(c.of.txs, nil)
	c.of.mu.Unlock()
	return c.faultyConn.BeginTx(ctx, opts)
}

func (c *watchedConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	s, err := c.faultyConn.PrepareContext(ctx, text)
	return &watchedStmt{s, text, c.of}, err
}

type watchedStmt struct {
	driver.Stmt
	text string
	of   *watched
}

func (s *watchedStmt) note() {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if last := len(s.of.txs) - 1; last >= 0 {
		s.of.txs[last] = append(s.of.txs[last], s.text)
	}
}

func (s *watchedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.note()
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s *watchedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.note()
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

// TestRetentionSteps: no transaction of retention changes more than a step's rows, or reads what it does not change.
func TestRetentionSteps(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		w := &watched{}
		b := benchOn(t, mustOpenWith(t, e.fresh(t), w.wrap))
		const records = 2*eraseStep + 5
		var group sync.WaitGroup
		for i := range records {
			group.Go(func() {
				entry := personal(fmt.Sprint(i), accepted, audit.Claim{System: "window", JTI: fmt.Sprint("j-", i), Exp: accepted})
				if _, err := b.append(t.Context(), entry); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		w.txs = nil
		if n, err := b.db.Audit().EraseBefore(t.Context(), accepted.Add(time.Hour), 10*records); err != nil || n != records {
			t.Fatalf("erased %d, %v", n, err)
		}
		if len(w.txs) != 3 {
			t.Errorf("%d transactions for %d records", len(w.txs), records)
		}
		if e.name == SQLite {
			var synchronous int
			if err := b.db.write.DB().QueryRow("PRAGMA synchronous").Scan(&synchronous); err != nil || synchronous != 2 {
				t.Errorf("after retention synchronous is %d, %v", synchronous, err)
			}
		}
		for _, texts := range w.txs {
			if len(texts) > eraseStep {
				t.Errorf("%d statements in one transaction", len(texts))
			}
			for _, text := range texts {
				if !strings.HasPrefix(text, "UPDATE records SET evidence") {
					t.Errorf("in a transaction: %s", text)
				}
			}
		}
		w.txs = nil
		if err := b.db.Audit().Purge(t.Context(), accepted.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		for _, texts := range w.txs {
			for _, text := range texts {
				if strings.Contains(text, "records") {
					t.Errorf("purging claims touches records: %s", text)
				}
			}
		}
	})
}

// TestWALUnderReader erases while a reader needs the write-ahead log: nobody waits for it, and the log is emptied afterwards.
func TestWALUnderReader(t *testing.T) {
	c := freshSQLite(t)
	b := benchOn(t, mustOpen(t, c))
	index, err := b.append(t.Context(), personal("r", accepted))
	if err != nil {
		t.Fatal(err)
	}
	reading, err := b.db.read.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reading.QueryRow("SELECT count(*) FROM records").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if err := b.db.Audit().Erase(t.Context(), index); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(c.Path + "-wal"); err != nil || info.Size() == 0 {
		t.Errorf("the log was emptied, and a reader needs it: %v", err)
	}
	mustChange(t, b)
	var wait int
	if err := b.db.write.DB().QueryRow("PRAGMA busy_timeout").Scan(&wait); err != nil || wait != 2000 {
		t.Errorf("batches wait %d ms for another process, %v", wait, err)
	}
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}
	b.db.engine.Forget(t.Context())
	if info, err := os.Stat(c.Path + "-wal"); err != nil || info.Size() != 0 {
		t.Errorf("the log is not empty without a reader: %v", err)
	}
}
