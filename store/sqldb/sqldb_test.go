package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"modernc.org/sqlite"
)

// open opens an SQLite database with one table, t.
func open(t *testing.T) *DB {
	t.Helper()
	db, err := Open(t.Context(), Config{Engine: SQLite, Path: filepath.Join(t.TempDir(), "x.db"), Readers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := db.Write.DB().Exec("CREATE TABLE t (blob BLOB NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	return db
}

func (db *DB) insert(t *testing.T, blob []byte) {
	t.Helper()
	err := db.Write.Transact(t.Context(), func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO t (blob) VALUES (?)", blob)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (db *DB) walSize(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(db.Path() + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestRetry starts a transaction over only while it is known that it did not happen.
func TestRetry(t *testing.T) {
	db := open(t)
	again := errors.New("serialization failure")
	db.Write.dialect.retry = func(err error) bool { return errors.Is(err, again) }
	for _, c := range []struct {
		results []error
		tries   int
		want    error
	}{
		{[]error{nil}, 1, nil},
		{[]error{again, again, nil}, 3, nil},
		{[]error{io.EOF}, 1, io.EOF},
		{slices.Repeat([]error{again}, maxAttempts+1), maxAttempts, again},
	} {
		tries := 0
		err := db.Write.Transact(t.Context(), func(context.Context, *Tx) error {
			tries++
			return c.results[tries-1]
		})
		if !errors.Is(err, c.want) || tries != c.tries {
			t.Errorf("%v: %d tries, %v", c.results, tries, err)
		}
	}
}

// TestWeakSQLite refuses a connection whose settings are not those asked for.
func TestWeakSQLite(t *testing.T) {
	for pragma, want := range map[string]string{
		"synchronous = NORMAL":  "synchronous",
		"journal_mode = DELETE": "journal_mode",
		"foreign_keys = 0":      "foreign_keys",
		"secure_delete = 0":     "secure_delete",
	} {
		connector, err := sqlite.NewConnector(sqliteSource(filepath.Join(t.TempDir(), "x.db"), "FULL", true, 0))
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(connector)
		db.SetMaxOpenConns(1)
		if err := checkSQLite(t.Context(), db); err != nil {
			t.Errorf("the settings asked for: %v", err)
		}
		if _, err := db.Exec("PRAGMA " + pragma); err != nil {
			t.Fatal(err)
		}
		if err := checkSQLite(t.Context(), db); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", pragma, err)
		}
		db.Close()
	}
}

// TestUnsyncedSettings: a connection that committed unsynced syncs the next commit again.
func TestUnsyncedSettings(t *testing.T) {
	db := open(t)
	synced := func(ctx context.Context, tx *Tx) (mode int64) {
		if _, err := One(ctx, tx, []any{&mode}, "PRAGMA synchronous"); err != nil {
			t.Error(err)
		}
		return mode
	}
	for _, c := range []struct {
		transact func(context.Context, func(context.Context, *Tx) error) error
		want     int64
	}{{db.Upkeep.TransactUnsynced, 1}, {db.Write.Transact, 2}} {
		if err := c.transact(t.Context(), func(ctx context.Context, tx *Tx) error {
			if got := synced(ctx, tx); got != c.want {
				t.Errorf("synchronous is %d, not %d", got, c.want)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	if err := checkSQLite(t.Context(), db.Write.db); err != nil {
		t.Error(err)
	}
}

// TestWALBegunAnew: with no checkpoint in any commit the write-ahead log stays short.
func TestWALBegunAnew(t *testing.T) {
	db := open(t)
	var pages int
	if err := db.Write.db.QueryRow("PRAGMA wal_autocheckpoint").Scan(&pages); err != nil || pages != 0 {
		t.Errorf("a commit makes a checkpoint after %d pages, %v", pages, err)
	}
	for range 20 {
		db.insert(t, make([]byte, 4<<20))
		db.wal.checkpoint(t.Context())
	}
	if size := db.walSize(t); size > 3*restartFrames*4096 {
		t.Errorf("the log has %d bytes", size)
	}
}

// TestForgetUnderReader: while a reader needs the write-ahead log nobody waits for it, and the log is emptied afterwards.
func TestForgetUnderReader(t *testing.T) {
	db := open(t)
	db.insert(t, []byte("erased"))
	reading, err := db.Read.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reading.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	db.insert(t, []byte("after it began"))
	db.Erased()
	db.Forget(t.Context())
	if !db.wal.pending.Load() {
		t.Error("the log is taken to be empty, and a reader needs it")
	}
	db.insert(t, []byte("while it is needed"))
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}
	db.Forget(t.Context())
	if size := db.walSize(t); size != 0 || db.wal.pending.Load() {
		t.Errorf("the log has %d bytes without a reader", size)
	}
}

// A server that may lose answered commits is refused, and the refusal says what to set.
func TestWeakness(t *testing.T) {
	t.Parallel()
	with := func(pairs ...string) map[string]string {
		m := map[string]string{"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "server_encoding": "UTF8", "synchronous_standby_names": ""}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	for _, test := range []struct {
		setting map[string]string
		standby bool
		want    string
	}{
		{with(), false, ""},
		{with("fsync", "off"), false, "ALTER SYSTEM SET fsync = on"},
		{with("full_page_writes", "off"), false, "ALTER SYSTEM SET full_page_writes = on"},
		{with("synchronous_commit", "off"), false, "ALTER SYSTEM SET synchronous_commit = on"},
		{with("server_encoding", "SQL_ASCII"), false, "ENCODING 'UTF8'"},
		{with(), true, "synchronous_standby_names"},
		{with("synchronous_standby_names", "*"), true, ""},
		{with("synchronous_standby_names", "*", "synchronous_commit", "local"), true, "standby"},
	} {
		err := weakness(test.setting, test.standby)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, standby %v: %v, want %q", test.setting, test.standby, err, test.want)
		}
	}
}
