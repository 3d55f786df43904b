// Package sqldb is a transactional SQL database on SQLite, embedded, or PostgreSQL: connection pools, prepared statements,
// transactions whose outcome is known or reported as unknown, schema migrations, the upkeep of SQLite's write-ahead log, and online
// backup. It knows no table of its callers.
//
// # Statements
//
// SQL is one text for both databases, with ? as placeholder. Each pool keeps its texts prepared and never drops one: callers take
// them from a bounded set, and sets of keys or rows come in powers of two ([ReadSet], [WriteSet]). [Pool.QueryOnce] is for others.
//
// # Transactions
//
// [Pool.Transact] retries while the database says that nothing happened and that it may be tried again (serialization failure,
// deadlock, connection cut before the commit). A nil error means durably committed. tlog.ErrUnknown means that COMMIT was sent and
// its outcome cannot be known: the caller has to look. Any other error means not committed. [Pool.Snapshot] reads one state of
// several tables.
//
// # Durability
//
// SQLite runs in WAL mode with synchronous=FULL: an answered commit has been synced. One process owns the file, held by a lock file
// beside it; the write-ahead log is checkpointed outside of commits. On PostgreSQL, lock, statement and idle timeouts of writes and
// answers are at most two seconds, while searches, upkeep and migrations have limits of their own. Settings that could lose an
// answered commit are refused at start, and a commit during which the server warned counts as unknown.
package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
)

// The engines that Config.Engine names.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// A Config says which database to open.
type Config struct {
	Engine  string // SQLite or Postgres
	Path    string // SQLite: the database file; its folder must exist
	DSN     string // PostgreSQL: connection string, URL or key=value form
	Readers int    // connections of DB.Read
	// Searchers are the connections of DB.Search, PostgreSQL only.
	Searchers int
	// Name is by which Sessions knows this process, PostgreSQL only; "": it is none of those that Sessions lists.
	Name string
	// Standby refuses a PostgreSQL server on which no synchronous standby confirms a commit.
	Standby bool
	// Reread reads the connection string anew where one of before is not let in any more, PostgreSQL only; nil: it never changes.
	Reread func() (string, error)
	// Wrap, if not nil, puts a driver between the pools and the database, for fault injection.
	Wrap Wrapper
}

// A Wrapper puts a driver before that of a pool; writes says whether it is one that writes.
type Wrapper func(c driver.Connector, writes bool) driver.Connector

// ErrInUse says that another process holds the SQLite database.
var ErrInUse = errors.New("the database is in use by another process")

// A DB is an open database: its connection pools, one for each kind of work, so that slow work takes no connection from fast. It is
// safe for concurrent use.
type DB struct {
	Write  *Pool // what callers wait for; SQLite: the one connection that writes
	Read   *Pool // reads that callers wait for
	Upkeep *Pool // writes that nobody waits for, such as retention and migrations; SQLite: the same as Write
	Bulk   *Pool // reads of whole tables; SQLite: the same as Read
	Search *Pool // PostgreSQL: searches, whose statements may take longer; SQLite: nil

	path string        // SQLite: the file's one true path
	lock *os.File      // SQLite: held while open
	wal  *checkpointer // SQLite

	login   atomic.Pointer[login] // PostgreSQL: by which connections are opened
	standby bool                  // PostgreSQL: Config.Standby
	reread  func() (string, error)
	opened  atomic.Bool // the login has led in, and Config.Reread says how it changes
	name    string      // PostgreSQL: Config.Name
}

// Open opens a database. It refuses settings that are not durable, and an SQLite file that another process has (ErrInUse).
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.Wrap == nil {
		c.Wrap = unwrapped
	}
	db := &DB{}
	open := db.openSQLite
	if c.Engine == Postgres {
		open = db.openPostgres
	}
	if err := open(ctx, c); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func unwrapped(c driver.Connector, _ bool) driver.Connector { return c }

// Path is the path of an SQLite database with all links resolved, "" on PostgreSQL.
func (db *DB) Path() string { return db.path }

// Close closes all pools and releases the file. Nothing may be running.
func (db *DB) Close() error {
	errs := []error{db.wal.close()}
	for _, p := range []*Pool{db.Bulk, db.Search, db.Read, db.Upkeep, db.Write} { // closing a pool twice does nothing
		errs = append(errs, p.Close())
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(errs...)
}

// Erased takes note that what was deleted or overwritten must not stay readable in SQLite's write-ahead log.
func (db *DB) Erased() { db.wal.erased() }

// Forget truncates SQLite's write-ahead log if something was Erased. Where a reader prevents it, it is tried again later.
func (db *DB) Forget(ctx context.Context) { db.wal.forget(ctx) }

// createFile creates an SQLite file, if it is not there, readable by its owner only; SQLite gives the files beside it the same
// mode. It returns the file's one true path, so that a link leads to the same lock. A file that is there is not opened:
// closing it again would drop the locks of an SQLite connection in this process.
func createFile(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		err = f.Close()
	case errors.Is(err, fs.ErrExist):
		err = nil
	}
	if err != nil {
		return "", fmt.Errorf("database file cannot be created: %w", err)
	}
	return filepath.EvalSymlinks(path)
}

// RemoveFile removes an SQLite file with the files beside it.
func RemoveFile(file string) (err error) {
	for _, end := range []string{"-wal", "-shm", ""} {
		if e := os.Remove(file + end); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
