package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/register"
	"oncegate/tlog"
)

// ErrInUse says that another process holds the SQLite database.
var ErrInUse = errors.New("the database is in use by another process")

// A DB is one open database. It is safe for concurrent use.
type DB struct {
	config   Config
	write    *pool        // batches; SQLite: one connection
	read     *pool        // what answers need
	upkeep   *pool        // writes outside of batches: retention, migrations; SQLite: the same as write
	search   searching    // what search has
	number   int64        // of the log Config.Log in this database
	warnings atomic.Int64 // of the server, PostgreSQL only
	lock     *os.File     // held while open, SQLite only

	checkpoint *checkpointer // SQLite only

	follow  sync.Mutex    // one Follow at a time; protects longest
	longest uint64        // how long the log ever was for Follow
	batches atomic.Uint64 // written by this process, for sweepEvery

	// How far retention has come in this process: nothing to do is left before, but for what another node commits late.
	purged atomic.Int64 // the expiry of claims
	erased atomic.Int64 // the time of records

	learning sync.Mutex // protects what Learn has come to
	learns   bool       // learned is set
	learned  uint64     // index behind the last record of other nodes that was noted

	recent      *recent                   // which record last changed a row
	taken       *recent                   // which record a call left that this process took: claims are in no sum
	lastSums    atomic.Pointer[knownSums] // those of this process's last batch
	adoption    atomic.Pointer[knownSums] // what Adopt has added up; its record is not appended yet
	alterations atomic.Int64              // how often something was met that is not ours
	distrusted  atomic.Pointer[error]     // why no batch is taken any more

	decoy *caseRow // opened where a case is unknown; nil where nothing can be sealed or opened

	// What was read before, SQLite only: nobody else writes there while this process holds the lock.
	cases        *known[string, cases.Case]
	unregistered *known[string, error] // numbers of no case, with the error that says so
	latest       *known[[32]byte, register.Version]
	copies       *known[[32]byte, register.Snapshot]
}

// How many rows are remembered: some megabytes of each.
const (
	knownCases  = 2048
	knownLatest = 2048
	knownCopies = 1024
)

// Open opens the database, creates or migrates its schema, and refuses what it cannot trust: unsafe settings, a schema
// newer than the program (ErrNewer), an SQLite file that another process has (ErrInUse).
func Open(ctx context.Context, c Config) (*DB, error) {
	return open(ctx, c, asItIs)
}

// open lets a test put its driver between the store and the database.
func open(ctx context.Context, c Config, wrap func(driver.Connector) driver.Connector) (*DB, error) {
	c, err := c.check()
	if err != nil {
		return nil, fmt.Errorf("store is not configured: %w", err)
	}
	db := &DB{config: c, recent: newRecent(recentRows), taken: newRecent(recentRows)}
	if err := db.connect(ctx, wrap); err != nil {
		db.Close()
		return nil, fmt.Errorf("database could not be opened: %w", err)
	}
	return db, nil
}

func (db *DB) connect(ctx context.Context, wrap func(driver.Connector) driver.Connector) (err error) {
	if db.config.Driver == Postgres {
		if err := db.openPostgres(ctx, wrap); err != nil {
			return err
		}
	} else {
		if db.config.Path, err = ownFile(db.config.Path); err != nil {
			return err
		}
		if db.lock, err = lockFile(db.config.Path + ".lock"); err != nil {
			return err
		}
		if db.write, db.read, err = openSQLite(ctx, db.config, wrap); err != nil {
			return err
		}
		db.upkeep = db.write
		db.cases, db.latest = newKnown[string, cases.Case](knownCases), newKnown[[32]byte, register.Version](knownLatest)
		db.copies, db.unregistered = newKnown[[32]byte, register.Snapshot](knownCopies), newKnown[string, error](knownCases)
	}
	if err := db.migrate(ctx, db.upkeep, mainSchema); err != nil {
		return err
	}
	if db.number, err = db.enrol(ctx, db.config.Log); err != nil {
		return err
	}
	db.decoy = db.newDecoy()
	if err := db.openSearch(ctx); err != nil {
		return fmt.Errorf("what search needs: %w", err)
	}
	if db.config.Driver == SQLite {
		db.checkpoint, err = newCheckpointer(db.config, db.write)
	}
	return err
}

// ownFile makes the database file, if it is not there, readable by its owner only; SQLite gives the files beside it the same
// mode. It returns the file's one true path, so that a link leads to the same lock. A file that is there is not opened:
// closing it again would drop the locks of an SQLite connection in this process.
func ownFile(path string) (string, error) {
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
		return "", fmt.Errorf("database file cannot be made: %w", err)
	}
	return filepath.EvalSymlinks(path)
}

// Close releases the database. Nothing may be running.
func (db *DB) Close() error {
	errs := []error{db.checkpoint.close(), db.search.close()}
	for _, p := range []*pool{db.read, db.upkeep, db.write} { // closing a pool twice does nothing
		if p != nil {
			errs = append(errs, p.db.Close())
		}
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(errs...)
}

// Ready reports whether the database answers.
func (db *DB) Ready(ctx context.Context) error {
	return db.read.dialect.explain(db.read.db.PingContext(ctx))
}

// Log is the log Config.Log.
func (db *DB) Log() tlog.Storage { return logView{db} }

// Cases reads cases and consents.
func (db *DB) Cases() cases.Storage { return casesView{db} }

// Register reads license versions and kept copies.
func (db *DB) Register() register.Storage { return registerView{db} }

// Audit reads the records of the log Config.Log, and carries out retention.
func (db *DB) Audit() audit.Storage { return auditView{db} }
