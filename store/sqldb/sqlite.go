package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

func sqliteDialect() dialect {
	return dialect{
		name:     SQLite,
		rebind:   orFail,
		ddl:      strings.NewReplacer("BIGINT", "INTEGER", "BYTEA", "BLOB", "\n);", "\n) STRICT;", ") WITHOUT ROWID;", ") STRICT, WITHOUT ROWID;").Replace,
		explain:  explainSQLite,
		unsynced: "PRAGMA synchronous = NORMAL",
		synced:   "PRAGMA synchronous = FULL",
		retry:    func(error) bool { return false },
		gone:     func(error) bool { return false },
		failed: func(err error) bool {
			switch code(err) {
			case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_READONLY:
				return true
			}
			return false // an I/O error may come from the sync of a commit that is on the disk all the same
		},
	}
}

// orFail lets an INSERT that cannot be done leave the rows that it added already: the transaction is rolled back then in
// any case. Otherwise SQLite copies each page that a statement changes to a journal of its own first, and that to a file.
func orFail(text string) string {
	if rest, ok := strings.CutPrefix(text, "INSERT INTO "); ok {
		return "INSERT OR FAIL INTO " + rest
	}
	return text
}

// sqliteSource names a database file with the settings every connection must have. sync is FULL, or NORMAL where a commit may
// be lost with the power. A commit that brings the write-ahead log to so many pages makes a checkpoint; 0: none does.
func sqliteSource(path, sync string, write bool, pages int) string {
	q := url.Values{"_pragma": {
		"busy_timeout(2000)",
		"journal_mode(WAL)",
		"synchronous(" + sync + ")",
		"foreign_keys(1)",
		"secure_delete(1)", // what is erased is overwritten
		"trusted_schema(0)",
	}}
	if write {
		q["_pragma"] = append(q["_pragma"], fmt.Sprintf("wal_autocheckpoint(%d)", pages), "cache_size(-4096)") // it holds the hot ends of the trees
		q.Set("_txlock", "immediate")
	} else {
		q["_pragma"] = append(q["_pragma"], "query_only(1)", "cache_size(-1024)") // there are several, and the system has a cache too
	}
	return "file:" + escaped(path) + "?" + q.Encode()
}

// escaped is a path as it may stand in a file: URI.
func escaped(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// openSQLite locks the file, opens the one writing connection and the reading ones, and checks that the durability asked for is
// there.
func (db *DB) openSQLite(ctx context.Context, c Config) (err error) {
	if db.path, err = createFile(c.Path); err != nil {
		return err
	}
	if db.lock, err = LockFile(db.path + ".lock"); err != nil {
		return err
	}
	if db.Write, err = openFile(sqliteSource(db.path, "FULL", true, 0), 1, true, c.Wrap); err != nil {
		return err
	}
	db.Upkeep = db.Write
	if err := checkSQLite(ctx, db.Write.db); err != nil {
		return err
	}
	if db.Read, err = openFile(sqliteSource(db.path, "FULL", false, 0), c.Readers, false, c.Wrap); err != nil {
		return err
	}
	db.Bulk = db.Read
	db.wal, err = newCheckpointer(db.path, db.Write)
	return err
}

// OpenUnsynced opens an SQLite file of rebuildable data, one connection that writes and so many that read. Its commits are not
// synced: a loss of power may take the last of them, and nothing else. wrap is as Config.Wrap.
func OpenUnsynced(path string, readers int, wrap Wrapper) (write, read *Pool, err error) {
	if wrap == nil {
		wrap = unwrapped
	}
	if _, err := createFile(path); err != nil {
		return nil, nil, err
	}
	if write, err = openFile(sqliteSource(path, "NORMAL", true, restartFrames), 1, true, wrap); err != nil {
		return nil, nil, err
	}
	if read, err = openFile(sqliteSource(path, "NORMAL", false, 0), readers, false, wrap); err != nil {
		return nil, nil, errors.Join(err, write.Close())
	}
	return write, read, nil
}

// Unusable reports whether an SQLite file is damaged, is no database, or has another program's schema: rebuildable data is then made
// anew.
func Unusable(err error) bool {
	return errors.Is(err, ErrNewer) || errors.Is(err, errOtherStep) || code(err) == sqlite3.SQLITE_CORRUPT || code(err) == sqlite3.SQLITE_NOTADB
}

// openFile opens so many connections to a file.
func openFile(source string, conns int, writes bool, wrap Wrapper) (*Pool, error) {
	connector, err := sqlite.NewConnector(source)
	if err != nil {
		return nil, explainSQLite(err)
	}
	db := sql.OpenDB(wrap(connector, writes))
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return newPool(db, sqliteDialect()), nil
}

// checkSQLite refuses a database whose settings did not take, such as WAL on a file system that cannot share memory.
func checkSQLite(ctx context.Context, db *sql.DB) error {
	for _, p := range []struct{ name, want string }{
		{"journal_mode", "wal"}, {"synchronous", "2"}, {"foreign_keys", "1"}, {"secure_delete", "1"},
	} {
		var got string
		if err := db.QueryRowContext(ctx, "PRAGMA "+p.name).Scan(&got); err != nil {
			return fmt.Errorf("setting %s could not be read: %w", p.name, explainSQLite(err))
		}
		if got != p.want {
			return fmt.Errorf("weak durability: %s is %s, not %s", p.name, got, p.want)
		}
	}
	return nil
}

// code is the primary result code of an SQLite error, 0 for other errors.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

func explainSQLite(err error) error {
	if err == nil {
		return nil
	}
	what, known := map[int]string{
		sqlite3.SQLITE_FULL:     "the disk is full",
		sqlite3.SQLITE_READONLY: "the database cannot be written",
		sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
		sqlite3.SQLITE_IOERR:    "the disk reports an error",
		sqlite3.SQLITE_CORRUPT:  "the database file is damaged",
		sqlite3.SQLITE_NOTADB:   "the file is no database",
		sqlite3.SQLITE_BUSY:     "the database is locked by another",
	}[code(err)]
	if !known {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}
