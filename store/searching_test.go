package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"oncegate/audit"
	"oncegate/store/sqldb"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// A house opens and closes one SQLite database again and again, with one set of keys.
type house struct {
	Config
	keys tlogtest.Keys
	n    int // entries so far, over all histories
}

func newHouse(t *testing.T) *house {
	h := &house{Config: freshSQLite(t), keys: tlogtest.NewKeys(t, origin)}
	h.during(t, func(db *DB) {
		if err := tlog.Create(t.Context(), h.keys.Config(db.Log())); err != nil {
			t.Fatal(err)
		}
	})
	return h
}

// during runs do while the database is open.
func (h *house) during(t *testing.T, do func(*DB)) {
	t.Helper()
	db, err := Open(t.Context(), h.Config)
	if err != nil {
		t.Fatal(err)
	}
	do(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// grow appends entries of three holders, each entry unlike any before.
func (h *house) grow(t *testing.T, db *DB, entries int) {
	t.Helper()
	log, err := tlog.Open(t.Context(), h.keys.Config(db.Log()))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close(context.Background())
	for range entries {
		h.n++
		holder := fmt.Sprint("holder-", h.n*h.n%3)
		e := audit.Entry{
			Record: fmt.Appendf(nil, `{"n":%d,"holder":%q}`, h.n, holder),
			Index:  audit.Index{Time: time.Now().UTC(), System: "window", Uses: []audit.IndexUse{{Case: "C-1", Decision: "release", Holder: holder}}},
		}
		if _, err := log.Append(t.Context(), e.Record, e); err != nil {
			t.Fatal(err)
		}
	}
}

// check compares what search finds of each holder with all that the database has.
func (h *house) check(t *testing.T, db *DB) {
	t.Helper()
	want := map[string][]uint64{}
	head, err := db.Log().Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range head.Size {
		leaf, _, err := db.Audit().Entry(t.Context(), head.Size-1-i)
		if err != nil {
			t.Fatal(err)
		}
		var record struct{ Holder string }
		if err := json.Unmarshal(leaf, &record, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatal(err)
		}
		want[record.Holder] = append(want[record.Holder], head.Size-1-i)
	}
	follow(t, db)
	for _, holder := range []string{"holder-0", "holder-1", "holder-2"} {
		rows, err := db.Audit().Search(t.Context(), audit.Query{Holder: holder, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		var found []uint64
		for _, row := range rows {
			found = append(found, row.Index)
		}
		if diff := cmp.Diff(want[holder], found); diff != "" {
			t.Errorf("records of %s (-there +found):\n%s", holder, diff)
		}
	}
}

// TestSearchOfOtherRecords puts an older database beside the newer file of its search, with and without other records in the
// places of those that were lost.
func TestSearchOfOtherRecords(t *testing.T) {
	for _, again := range []int{0, 5, 20, 40} {
		t.Run(fmt.Sprint(again), func(t *testing.T) {
			h := newHouse(t)
			copied := h.Path + ".copy"
			h.during(t, func(db *DB) {
				h.grow(t, db, 30)
				h.check(t, db)
				if err := db.Backup(t.Context(), copied, nil); err != nil {
					t.Fatal(err)
				}
				h.grow(t, db, 20)
				h.check(t, db)
			})
			search, err := os.ReadFile(h.Path + "-search")
			if err != nil {
				t.Fatal(err)
			}
			for _, end := range []string{"", "-wal", "-shm", "-search", "-search-wal", "-search-shm"} {
				if err := os.Remove(h.Path + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
			}
			if err := os.Rename(copied, h.Path); err != nil {
				t.Fatal(err)
			}
			h.during(t, func(db *DB) { h.grow(t, db, again) })
			if err := errors.Join(sqldb.RemoveFile(h.Path+"-search"), os.WriteFile(h.Path+"-search", search, 0o600)); err != nil {
				t.Fatal(err)
			}
			h.during(t, func(db *DB) {
				h.check(t, db)
				h.grow(t, db, 10)
				h.check(t, db)
			})
		})
	}
}

// TestSearchFileMadeAnew: a file of search that is gone, damaged or of a later program stops nothing and is made again.
func TestSearchFileMadeAnew(t *testing.T) {
	h := newHouse(t)
	h.during(t, func(db *DB) { h.grow(t, db, 12); h.check(t, db) })
	file := h.Path + "-search"
	for name, harm := range map[string]func() error{
		"gone": func() error { return sqldb.RemoveFile(file) },
		"no database": func() error {
			return errors.Join(sqldb.RemoveFile(file), os.WriteFile(file, []byte("this is no database, and longer than the head of one: "+string(make([]byte, 200))), 0o600))
		},
		"cut": func() error { return os.Truncate(file, 8192) },
		"of a later program": func() (err error) {
			h.during(t, func(db *DB) {
				_, err = db.search.write.DB().Exec("INSERT INTO search_steps VALUES (99, 'later', 'x', 0)")
			})
			return err
		},
		"of another program": func() (err error) {
			h.during(t, func(db *DB) { _, err = db.search.write.DB().Exec("UPDATE search_steps SET sha256 = 'x'") })
			return err
		},
	} {
		if err := harm(); err != nil {
			t.Fatal(name, err)
		}
		h.during(t, func(db *DB) {
			h.grow(t, db, 1)
			h.check(t, db)
		})
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file is %v, %v", info.Mode(), err)
	}
}

// TestSearchHoldsNobodyUp: records are committed while the projection is being written.
func TestSearchHoldsNobodyUp(t *testing.T) {
	h := newHouse(t)
	h.during(t, func(db *DB) {
		writing, err := db.search.write.DB().BeginTx(t.Context(), nil) // takes the file's lock at once
		if err != nil {
			t.Fatal(err)
		}
		h.grow(t, db, 5)
		if err := writing.Rollback(); err != nil {
			t.Fatal(err)
		}
		h.check(t, db)
	})
}

// TestOldProjectionGoes opens a database in which the projection stood beside the records.
func TestOldProjectionGoes(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		c := e.fresh(t)
		atStep(t, c, 3, "INSERT INTO projection VALUES (1, 1)")
		db := mustOpen(t, c)
		mustChange(t, benchOn(t, db))
		follow(t, db)
		if rows, err := db.Audit().Search(t.Context(), audit.Query{Limit: 10}); err != nil || len(rows) != 1 {
			t.Errorf("found %v, %v", rows, err)
		}
		var left int
		if err := db.write.DB().QueryRow("SELECT count(*) FROM hits").Scan(&left); (err == nil) != (e.name == Postgres) {
			t.Errorf("the old table: %v", err)
		}
	})
}

// TestBatchIDsGo: ids of batches that nobody will ask for any more are deleted.
func TestBatchIDsGo(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		c := e.fresh(t)
		now := time.Now()
		c.Now = func() time.Time { return now }
		b := benchOn(t, mustOpen(t, c))
		count := func() (n int) {
			if err := b.db.read.DB().QueryRow("SELECT count(*) FROM batches").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		for range 3 {
			mustChange(t, b)
		}
		old := count()
		now = now.Add((keptHours - 1) * time.Hour)
		for range sweepEvery {
			mustChange(t, b)
		}
		if n := count(); n != old+sweepEvery {
			t.Errorf("%d batches are kept, want %d: a younger one is gone", n, old+sweepEvery)
		}
		now = now.Add(2 * time.Hour)
		for range sweepEvery {
			mustChange(t, b)
		}
		if n := count(); n != 2*sweepEvery {
			t.Errorf("%d batches are kept, want %d", n, 2*sweepEvery)
		}
	})
}
