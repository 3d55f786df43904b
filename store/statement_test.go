package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"sync"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/check"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// A failing driver counts what is asked of the database for a marked context, and lets one thing fail: that a transaction begins or is
// committed, a statement, or the first of its rows.
type failing struct {
	mu    sync.Mutex
	calls int
	last  int    // which call fails; 0: none
	what  string // what failed
}

// arm lets the n-th call from now on fail; 0: none.
func (f *failing) arm(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.last = 0, n
}

// disarm returns how many calls there were.
func (f *failing) disarm() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = 0
	return f.calls
}

var errStatement = errors.New("failed by the test")

// A mark is the key of contexts whose calls are counted: what runs in the background is not.
type mark struct{}

func marked(ctx context.Context) bool { return ctx.Value(mark{}) != nil }

// settings are statements that nobody needs to be told of: their connection is closed, or they are tried again.
var settings = regexp.MustCompile(`^(rows of )?PRAGMA (synchronous = FULL|wal_checkpoint|busy_timeout)`)

func (f *failing) call(marked bool, what string) error {
	if !marked || settings.MatchString(what) {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls++; f.calls == f.last {
		f.what = what
		return errStatement
	}
	return nil
}

func (f *failing) wrap(c driver.Connector, _ bool) driver.Connector {
	return &failingConnector{c, f}
}

type failingConnector struct {
	driver.Connector
	of *failing
}

func (f *failingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := f.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &failingConn{faultyConn{c.(conn), &faulty{}}, f.of}, nil
}

type failingConn struct {
	faultyConn
	of *failing
}

func (c *failingConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if err := c.of.call(marked(ctx), "begin"); err != nil {
		return nil, err
	}
	t, err := c.faultyConn.BeginTx(ctx, opts)
	return &failingTx{t, c.of, marked(ctx)}, err
}

func (c *failingConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	s, err := c.faultyConn.PrepareContext(ctx, text)
	return &failingStmt{s, text, c.of}, err
}

func (c *failingConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.of.call(marked(ctx), text); err != nil {
		return nil, err
	}
	return c.faultyConn.ExecContext(ctx, text, args)
}

func (c *failingConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.of.call(marked(ctx), text); err != nil {
		return nil, err
	}
	rows, err := c.faultyConn.QueryContext(ctx, text, args)
	return &failingRows{rows, text, c.of, marked(ctx), false}, err
}

type failingTx struct {
	driver.Tx
	of     *failing
	marked bool
}

func (t *failingTx) Commit() error {
	if err := t.of.call(t.marked, "commit"); err != nil {
		return errors.Join(err, t.Tx.Rollback())
	}
	return t.Tx.Commit()
}

type failingStmt struct {
	driver.Stmt
	text string
	of   *failing
}

func (s *failingStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.of.call(marked(ctx), s.text); err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s *failingStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.of.call(marked(ctx), s.text); err != nil {
		return nil, err
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	return &failingRows{rows, s.text, s.of, marked(ctx), false}, err
}

type failingRows struct {
	driver.Rows
	text          string
	of            *failing
	marked, begun bool
}

func (r *failingRows) Next(dest []driver.Value) error {
	if !r.begun {
		r.begun = true
		if err := r.of.call(r.marked, "rows of "+r.text); err != nil {
			return err
		}
	}
	return r.Rows.Next(dest)
}

// failEach does something again and again, each time with one more thing that goes wrong in the database, until nothing is left that
// could. hold is told what came of each.
func failEach(t *testing.T, f *failing, name string, do func(context.Context) error, hold func(what string, err error)) {
	t.Helper()
	ctx := context.WithValue(t.Context(), mark{}, true)
	for n := 1; ; n++ {
		f.arm(n)
		err := do(ctx)
		if f.disarm() < n {
			if n == 1 {
				t.Errorf("%s asks nothing of the database", name)
			}
			return
		}
		hold(fmt.Sprintf("%s, call %d, %s", name, n, f.what), err)
	}
}

// TestEveryStatement lets every statement of everything that a database is asked fail, one at a time. What is asked is then an error or the
// right answer, never another answer; what writes says so, and has written nothing; and the next time all is well.
func TestEveryStatement(t *testing.T) {
	f := &failing{}
	g := newGround(t, engine{SQLite, freshSQLite}, f.wrap)
	t.Run("reads", func(t *testing.T) {
		for name, q := range questions(t, g.batches()) {
			if name == "case before 3" { // there is none
				continue
			}
			r := g.rig(t)
			right, err := answerOf(q.ask(t.Context(), r))
			if err != nil {
				t.Fatal(name, err)
			}
			var got string
			failEach(t, f, name, func(ctx context.Context) (err error) {
				r.db.emptyCaches()
				got, err = answerOf(q.ask(ctx, r))
				return err
			}, func(what string, err error) {
				if err == nil && got != right {
					t.Errorf("%s: %.300s instead of %.300s", what, got, right)
				}
			})
			if got != right {
				t.Errorf("%s: afterwards %.300s instead of %.300s", name, got, right)
			}
			r.log.Close(t.Context())
		}
	})
	t.Run("batches", func(t *testing.T) {
		for _, d := range deeds(t, g.base) {
			r := g.rig(t)
			batch := g.batch(t, d)
			failEach(t, f, d.name, func(ctx context.Context) error {
				r.db.emptyCaches()
				_, err := r.db.Log().Commit(ctx, batch)
				return err
			}, func(what string, err error) {
				if err == nil {
					t.Errorf("%s: nobody was told", what)
				}
				g.unchanged(t, what)
			})
			r.log.Close(t.Context())
			g.restore(t)
		}
	})
	for name, do := range others {
		t.Run(name, func(t *testing.T) {
			failEach(t, f, name, func(ctx context.Context) error { return do(ctx, g.process()) }, func(what string, err error) {
				if err == nil || errors.Is(err, fs.ErrNotExist) || isAltered(err) {
					t.Errorf("%s: %v", what, err)
				}
				g.restore(t) // some write in steps
			})
			g.restore(t)
		})
	}
	t.Run("open", func(t *testing.T) {
		config := freshSQLite(t)
		failEach(t, f, "to open", func(ctx context.Context) error {
			db, err := open(ctx, config, f.wrap)
			if err == nil {
				err = db.Close()
			}
			return err
		}, func(what string, err error) {
			if err == nil {
				t.Errorf("%s: nobody was told", what)
			}
		})
	})
}

// process is a store that has just been opened, over the connections of base.
func (g *ground) process() *DB {
	b := g.base
	db := &DB{config: b.config, number: b.number, recent: newRecent(recentRows), accepted: newRecent(recentRows), decoy: b.decoy}
	db.use(b.engine)
	db.search.write, db.search.read = b.search.write, b.search.read
	return db
}

// others are what a database is asked besides.
var others = map[string]func(context.Context, *DB) error{
	"check":        func(ctx context.Context, db *DB) error { return db.Check(ctx, nil) },
	"check search": func(ctx context.Context, db *DB) error { return db.CheckSearch(ctx, nil) },
	"rows":         func(ctx context.Context, db *DB) error { return second(db.Rows(ctx)) },
	"adopted":      func(ctx context.Context, db *DB) error { return second(db.Adopted(ctx)) },
	"adopt":        func(ctx context.Context, db *DB) error { return second(db.AdoptLost(ctx, func(_, _ uint64) {})) },
	"lost keys":    func(ctx context.Context, db *DB) error { return second(db.LostKeys(ctx)) },
	"logs":         func(ctx context.Context, db *DB) error { return second(db.Logs(ctx)) },
	"leaves":       func(ctx context.Context, db *DB) error { return second(db.Log().Leaves(ctx, 0, 3)) },
	"leaf hashes":  func(ctx context.Context, db *DB) error { return second(db.Log().LeafHashes(ctx, tlog.SM3, 0, 3)) },
	"cosign": func(ctx context.Context, db *DB) error {
		return db.Log().Cosign(ctx, tlog.Cosigned{Size: 1, Note: "x"})
	},
	"states":      func(ctx context.Context, db *DB) error { return second(db.Cases().States(ctx, "C-1")) },
	"who came":    func(ctx context.Context, db *DB) error { return second(db.Cases().Representatives(ctx, "C-1")) },
	"drop copies": func(ctx context.Context, db *DB) error { return db.Register().Purge(ctx, at(200)) },
	"rebuild":     func(ctx context.Context, db *DB) error { return db.Audit().Rebuild(ctx) },
	"purge":       func(ctx context.Context, db *DB) error { return db.Audit().Purge(ctx, at(2)) },
	"erase":       func(ctx context.Context, db *DB) error { return db.Audit().Erase(ctx, 100) },
	"erasable":    func(ctx context.Context, db *DB) error { return second(db.Audit().Erasable(ctx, at(20))) },
	"erase the old": func(ctx context.Context, db *DB) error {
		return second(db.Audit().EraseBefore(ctx, at(2), eraseStep+1))
	},
	"session": func(ctx context.Context, db *DB) error {
		_, _, err := db.Console().Session(ctx, [32]byte{1})
		return err
	},
	"renew a session": func(ctx context.Context, db *DB) error {
		return db.Console().AddSession(ctx, [32]byte{9}, [32]byte{1}, nil, groundSessions)
	},
	"change a session": func(ctx context.Context, db *DB) error {
		return second(db.Console().ReplaceSession(ctx, [32]byte{1}, 1, nil, groundSessions))
	},
	"end a session": func(ctx context.Context, db *DB) error { return db.Console().EndSession(ctx, [32]byte{1}, [32]byte{1}) },
	"keep": func(ctx context.Context, db *DB) error {
		return db.Console().Keep(ctx, [32]byte{1}, [32]byte{8}, nil, groundSessions)
	},
	"kept": func(ctx context.Context, db *DB) error {
		return second(db.Console().Kept(ctx, [32]byte{1}, [32]byte{7}))
	},
	"take": func(ctx context.Context, db *DB) error {
		return second(db.Console().TakeKept(ctx, [32]byte{1}, [32]byte{7}))
	},
	"claim": func(ctx context.Context, db *DB) error {
		return second(db.Console().Claim(ctx, [32]byte{1}, [32]byte{8}, groundSessions))
	},
	"follow": func(ctx context.Context, db *DB) error {
		_, _, err := db.Audit().Follow(ctx)
		return err
	},
	"registered": func(ctx context.Context, db *DB) error {
		return second(db.Cases().Registered(ctx, cases.Filter{Registrar: "registrar-1", Limit: 9}))
	},
	"handled": func(ctx context.Context, db *DB) error {
		return second(db.Cases().Registered(ctx, cases.Filter{Registrar: "registrar-1", Handled: true, Limit: 9}))
	},
	"count cases": func(ctx context.Context, db *DB) error {
		return second(db.Audit().CountCases(ctx, "s", "cases.check", time.Unix(0, 0), time.Unix(1<<33, 0)))
	},
	"a new log": func(ctx context.Context, db *DB) (err error) {
		if db.number, err = db.enrol(ctx, "store.example/after"); err != nil {
			return err
		}
		return db.Log().Create(ctx, tlog.Head{Checkpoint: "x"})
	},
	"state": func(ctx context.Context, db *DB) error {
		s, err := db.VerifyState(ctx, StateOptions{NewSM3: tlogtest.NewHash})
		for _, c := range s.Checks {
			if step := c.Step(); step.State != check.OK {
				err = errors.New(step.Reason)
			}
		}
		return err
	},
}

func second[T any](_ T, err error) error { return err }

// batch is what the log would commit for a deed.
func (g *ground) batch(t *testing.T, d deed) tlog.Batch {
	t.Helper()
	batch := tlog.Batch{ID: [16]byte{77}, Integrate: accept}
	recorder, err := audit.NewRecorder(audit.Config{
		Self: "gateway", Sealer: g.config.Sealer, NewSM3: tlogtest.NewHash, IndexKeys: [][]byte{make([]byte, 32)}, Now: func() time.Time { return at(9) },
		Log: appends(func(leaf []byte, attached any) {
			batch.Entries = append(batch.Entries, tlog.Entry{Leaf: leaf, Attached: attached})
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := recorder.Record(t.Context(), audit.Draft{Operation: "probe", System: "system-0", Policy: groundPolicy, Claim: d.claim, Changes: d.changes}); err != nil {
		t.Fatal(d.name, err)
	}
	return batch
}

// appends is a log that hands on what it is given.
type appends func(leaf []byte, attached any)

func (a appends) Append(_ context.Context, leaf []byte, attached any) (tlog.Receipt, error) {
	a(leaf, attached)
	return tlog.Receipt{}, nil
}

// unchanged compares every table with how it was left.
func (g *ground) unchanged(t *testing.T, what string) {
	t.Helper()
	for _, s := range g.tables {
		for _, text := range []string{"SELECT * FROM " + s.name + " EXCEPT SELECT * FROM " + s.copy, "SELECT * FROM " + s.copy + " EXCEPT SELECT * FROM " + s.name} {
			if n := len(g.query(t, text)); n > 0 {
				t.Errorf("%s: %d rows of %s are others", what, n, s.name)
			}
		}
	}
}
