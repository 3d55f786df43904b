// Package store keeps everything that must survive: both trees of the log, records with their sealed evidence, cases and
// consents, license versions, kept copies and policy sets. SQLite is the embedded default; PostgreSQL serves several nodes.
//
// One [DB] hands out small views: [DB.Log], [DB.Cases], [DB.Register] and [DB.Audit]. Only the log's view writes, and only
// in batches: an entry brings its leaf, its evidence and its changes, all of them commit together or none does. DB is the
// only place that knows what the values in audit.Entry.Changes mean.
//
// # What stands where
//
// A record is one wide row whose key rises with time, so that a batch touches neighbouring pages only; it is written again
// only when its evidence is erased. The calls that were taken stand in a narrow table of their own until they have expired.
// What search needs is a projection (tables hits and projection) that follows the log in small steps and can be rebuilt from
// the rows; on SQLite it stands in a second file, ending in -search, so that writing it holds no batch up, and is not synced.
// The parties of a case and the holder of a consent are sealed by [Sealer], bound to their table, column and row; a holder is
// looked up by [Config].Digest. Evidence and kept copies arrive sealed.
//
// # Durability
//
// SQLite runs in WAL mode with synchronous=FULL: an answered commit has been synced. One process owns the file, held by a
// lock file beside it. The write-ahead log is moved into the file outside of commits. On PostgreSQL the head's row is locked
// for a batch; lock, statement and idle timeouts of batches and answers are at most two seconds, while searches, retention and
// migrations have limits of their own; settings that could lose an answered commit are refused at start. A commit whose
// outcome is not known is reported as tlog.ErrUnknown, never guessed.
//
// # Backup and restore
//
// [DB.Backup] copies a consistent state of an SQLite database while it serves; for PostgreSQL use its own tools. To
// restore: stop the node, remove the files ending in -wal and -shm beside the database, put the copy in the database's
// place, start. What search has finds out by itself that it is of other records, and is made again. A copy older than what
// was answered stays behind the log's high-water dirty: the node refuses to start on it until recovery opens a new origin,
// whose log stands beside the old one in the same database.
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
	"time"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/register"
	"oncegate/tlog"
)

// The drivers that Config.Driver names.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// A Config says which database, which log in it, and who seals and digests persons.
type Config struct {
	Driver string // SQLite (also "") or Postgres
	Path   string // SQLite: the database file; its folder must exist
	DSN    string // PostgreSQL: connection string, URL or key=value form

	// Log is the origin of the log that the views belong to. A database keeps several after a recovery.
	Log string

	// Nodes is how many nodes share the database, 0 meaning 1. SQLite serves one.
	Nodes int
	// Standby says that the database is declared highly available: a synchronous standby is asked for.
	Standby bool

	// Sealer seals the columns that name persons, and authenticates rows.
	Sealer Sealer
	// UnknownKey is the error of Sealer.Open for a blob under a key that it does not have; nil: it says nothing of keys.
	UnknownKey error
	// Digest is a keyed digest (HMAC-SM3) of 32 bytes, under which persons are looked up and rows are weighed in sums. Its key
	// never changes: another one makes consents unfindable by holder, and every sum wrong.
	Digest func(data []byte) []byte
	// Alarm is told what was met in the database that is not ours (ErrAltered), nil for nobody. It says nothing of the row's content.
	// It must not call the DB.
	Alarm func(table, what string)

	Now     func() time.Time // nil: time.Now
	Readers int              // connections that read; 0: 8
	Follow  int              // most records that one Follow takes; 0: 1024
}

// A Sealer encrypts and authenticates one value. The associated data name its place and are not stored: a value
// moved to another row, column or table does not open. Implementations are safe for concurrent use.
type Sealer interface {
	Seal(plaintext, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
	// Tag authenticates data under the current key; CheckTag proves that any of the keys did. A tag has at most 64 bytes, and is the
	// same for the same data and key.
	Tag(data []byte) []byte
	CheckTag(tag, data []byte) error
}

// check returns the configuration with its defaults, or every fault in it.
func (c Config) check() (Config, error) {
	var faults []error
	if c.Driver == "" {
		c.Driver = SQLite
	}
	switch c.Driver {
	case SQLite:
		if c.Path == "" {
			faults = append(faults, errors.New("no database file is named"))
		}
		if c.Nodes > 1 {
			faults = append(faults, errors.New("sqlite serves one node; several need postgres"))
		}
	case Postgres:
		if c.DSN == "" {
			faults = append(faults, errors.New("no connection string for postgres"))
		}
	default:
		faults = append(faults, fmt.Errorf("driver %q is neither sqlite nor postgres", c.Driver))
	}
	if c.Log == "" {
		faults = append(faults, errors.New("no log origin is named"))
	}
	if c.Sealer == nil || c.Digest == nil {
		faults = append(faults, errors.New("no sealer or no keyed digest for personal columns"))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Readers <= 0 {
		c.Readers = 8
	}
	if c.Follow <= 0 {
		c.Follow = 1024
	}
	return c, errors.Join(faults...)
}

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

	recent      *recent                       // which record last changed a row
	taken       *recent                       // which record a call left that this process took: claims are in no sum
	lastSums    atomic.Pointer[committedSums] // those of this process's last batch
	adoption    atomic.Pointer[committedSums] // what Adopt has added up; its record is not appended yet
	alterations atomic.Int64                  // how often something was met that is not ours
	distrusted  atomic.Pointer[error]         // why no batch is taken any more

	decoy *caseRow // opened where a case is unknown; nil where nothing can be sealed or opened

	// What was read before, SQLite only: nobody else writes there while this process holds the lock.
	cases        *rowCache[string, cases.Case]
	unregistered *rowCache[string, error] // numbers of no case, with the error that says so
	latest       *rowCache[[32]byte, register.Version]
	copies       *rowCache[[32]byte, register.Snapshot]
}

// How many rows are remembered: some megabytes of each.
const (
	cachedCases  = 2048
	cachedLatest = 2048
	cachedCopies = 1024
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
		db.cases, db.latest = newRowCache[string, cases.Case](cachedCases), newRowCache[[32]byte, register.Version](cachedLatest)
		db.copies, db.unregistered = newRowCache[[32]byte, register.Snapshot](cachedCopies), newRowCache[string, error](cachedCases)
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
