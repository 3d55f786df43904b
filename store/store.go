// Package store is the persistence layer: both Merkle trees of the log, records with their sealed evidence, cases and consents,
// license versions, cached copies and policy sets. SQLite is the embedded default; PostgreSQL serves several nodes. Package
// [oncegate/store/sqldb] opens, locks, migrates and backs up the database, and runs its transactions.
//
// One [DB] hands out small views: [DB.Log], [DB.Cases], [DB.Register] and [DB.Audit]. Only the log's view writes, and only
// in batches: an entry brings its leaf, its evidence and its changes, all of them commit together or none does. DB is the
// only place that knows what the values in audit.Entry.Changes mean.
//
// # Tables
//
// A record is one wide row whose key rises with time, so that a batch touches neighbouring pages only; it is written again
// only when its evidence is erased. The replay cache of calls is a narrow table of its own, whose rows stay until they expire.
// Search reads a projection (tables hits and projection) that follows the log in small steps and can be rebuilt from
// the rows; on SQLite it is a second file, ending in -search, so that writing it delays no batch, and is not synced.
// The parties of a case and the holder of a consent are sealed by [Sealer], bound to their table, column and row; a holder is
// looked up by [Config].Digest. Evidence and cached copies arrive sealed.
//
// # Authentication of rows
//
// Each row has a tag (MAC) over its table and columns. Rows that are never deleted are also counted and summed, by table; the sums are
// sealed beside the head, bound to its checkpoint, so that a row that was removed, or replaced by an older version, shows in
// [DB.Check]. A bounded map of recently changed rows finds most of that when the row is read. What fails is [ErrAltered].
// [DB.VerifyState] replays all records and compares the tables with the result.
//
// # Restore
//
// [DB.Backup] copies a consistent state of an SQLite database while it serves; for PostgreSQL use its own tools. To
// restore: stop the node, remove the files ending in -wal and -shm beside the database, put the copy in the database's
// place, start. The search projection notices that it belongs to other records, and is rebuilt. A copy older than what
// was answered is behind the log's high-water mark: the node refuses to start on it until recovery opens a new origin,
// whose log stands beside the old one in the same database.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/register"
	"oncegate/store/sqldb"
	"oncegate/tlog"
)

// The drivers that Config.Driver names.
const (
	SQLite   = sqldb.SQLite
	Postgres = sqldb.Postgres
)

// What Open refuses: see package sqldb, and ErrForeign.
var (
	ErrInUse = sqldb.ErrInUse
	ErrNewer = sqldb.ErrNewer
	// ErrForeign says that the database holds the log of another gateway.
	ErrForeign = errors.New("the database is another gateway's")
)

// A Config says which database, which log in it, and who seals and digests persons.
type Config struct {
	Driver string // SQLite (also "") or Postgres
	Path   string // SQLite: the database file; its folder must exist
	DSN    string // PostgreSQL: connection string, URL or key=value form
	// Reread reads DSN anew where it is not let in any more, as after its password was changed; nil: it never changes.
	Reread func() (string, error)

	// Log is the origin of the log that the views belong to. A database keeps several after a recovery.
	Log string

	// Recover says that the log may follow others that the database holds, as a recovery begins it. Otherwise a database that holds logs,
	// and not this one, is refused with ErrForeign before anything is written to it.
	Recover bool

	// Name is by which Connected knows this process; "": a command, that is no node.
	Name string
	// Nodes is how many nodes share the database, 0 meaning 1. SQLite serves one.
	Nodes int
	// Standby says that the database is declared highly available: a synchronous standby is asked for.
	Standby bool

	// Sealer encrypts the columns that name persons, and authenticates rows.
	Sealer Sealer
	// UnknownKey is the error of Sealer.Open for a blob under a key that it does not have; nil: lost keys are not told from forgeries.
	UnknownKey error
	// Digest is a keyed digest (HMAC-SM3) of 32 bytes, by which persons are looked up and rows are summed. Its key
	// never changes: another one makes consents unfindable by holder, and every sum wrong.
	Digest func(data []byte) []byte
	// Alarm, if not nil, is called with each row that fails its authentication (ErrAltered), without its content.
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

// A DB is one open database. It is safe for concurrent use.
type DB struct {
	config Config
	engine *sqldb.DB
	number int64 // of the log Config.Log in this database

	// The engine's pools: batches, answers, writes outside of batches, and reads of whole tables.
	write, read, upkeep, bulk *sqldb.Pool
	search                    searching // the projection's

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
	accepted    *recent                       // which record a call left that this process accepted: claims are in no sum
	lastSums    atomic.Pointer[committedSums] // those of this process's last batch
	adoption    atomic.Pointer[committedSums] // the sums of Adopt; its record is not appended yet
	alterations atomic.Int64                  // how often a row failed its authentication
	distrusted  atomic.Pointer[error]         // why no batch is taken any more

	decoy *caseRow // opened where a case is unknown; nil where nothing can be sealed or opened

	// Caches, SQLite only: nobody else writes there while this process holds the lock.
	cases        *rowCache[string, cases.Case]
	unregistered *rowCache[string, error] // negative cache: numbers of no case, with the error that says so
	latest       *rowCache[[32]byte, register.Version]
	copies       *rowCache[[32]byte, register.Snapshot]
}

// Sizes of the caches in rows: some megabytes each.
const (
	cachedCases  = 2048
	cachedLatest = 2048
	cachedCopies = 1024
)

// Open opens the database, creates or migrates its schema, and refuses what it cannot trust: unsafe settings, a schema
// newer than the program (ErrNewer), an SQLite file that another process has (ErrInUse).
func Open(ctx context.Context, c Config) (*DB, error) {
	return open(ctx, c, nil)
}

// open lets a test put its driver between the store and the database.
func open(ctx context.Context, c Config, wrap sqldb.Wrapper) (*DB, error) {
	c, err := c.check()
	if err != nil {
		return nil, fmt.Errorf("store is not configured: %w", err)
	}
	db := &DB{config: c, recent: newRecent(recentRows), accepted: newRecent(recentRows)}
	if err := db.connect(ctx, wrap); err != nil {
		db.Close()
		return nil, fmt.Errorf("database could not be opened: %w", err)
	}
	return db, nil
}

func (db *DB) connect(ctx context.Context, wrap sqldb.Wrapper) (err error) {
	c := db.config
	e, err := sqldb.Open(ctx, sqldb.Config{Engine: c.Driver, Path: c.Path, DSN: c.DSN, Reread: c.Reread, Readers: c.Readers, Searchers: searchReaders, Standby: c.Standby, Name: c.sessionName(), Wrap: wrap})
	if err != nil {
		return err
	}
	db.use(e)
	if err := db.refuseForeign(ctx); err != nil {
		return err
	}
	if err := db.upkeep.Migrate(ctx, mainSchema(c.Now)); err != nil {
		return err
	}
	if db.number, err = db.enrol(ctx, c.Log); err != nil {
		return err
	}
	db.decoy = db.newDecoy()
	if err := db.openSearch(ctx, wrap); err != nil {
		return fmt.Errorf("search projection could not be opened: %w", err)
	}
	return nil
}

// refuseForeign refuses a database that holds logs, but not Config.Log. A schema of a gateway must not be migrated by another one.
func (db *DB) refuseForeign(ctx context.Context) error {
	begun, err := begunLogs(ctx, db.read)
	if err != nil || len(begun) == 0 || db.config.Recover {
		return err
	}
	for _, l := range begun {
		if l.Origin == db.config.Log {
			return nil
		}
	}
	last := begun[len(begun)-1]
	return fmt.Errorf("%w: it holds the log %s with %d records, and not %s; name a database of its own, or, where an old backup was restored and log.origin was changed, run oncegate recover", ErrForeign, last.Origin, last.Head.Size, db.config.Log)
}

// CheckVacant reports why a PostgreSQL database cannot be that of a new gateway: it does not let us in, may lose answered commits, does not
// let us create tables, or holds the log of a gateway (ErrForeign). It writes nothing.
func CheckVacant(ctx context.Context, dsn string) error {
	e, err := sqldb.Open(ctx, sqldb.Config{Engine: Postgres, DSN: dsn, Readers: 1, Searchers: 1})
	if err != nil {
		return err
	}
	defer e.Close()
	if err := e.CheckRights(ctx); err != nil {
		return err
	}
	begun, err := begunLogs(ctx, e.Read)
	if err == nil && len(begun) > 0 {
		last := begun[len(begun)-1]
		err = fmt.Errorf("%w: it holds the log %s with %d records; make a database of its own: CREATE DATABASE", ErrForeign, last.Origin, last.Head.Size)
	}
	return err
}

// Connected are the names (Config.Name) of the nodes of this log that are connected to the database now; none on SQLite, which serves one. A
// database may have several gateways, each in a schema of its own.
func (db *DB) Connected(ctx context.Context) (names []string, err error) {
	all, err := db.engine.Sessions(ctx)
	for _, name := range all {
		if name, ours := strings.CutPrefix(name, db.config.sessionTag()); ours {
			names = append(names, name)
		}
	}
	return names, err
}

// sessionName is by which the database knows this process: the log's tag, and its name.
func (c Config) sessionName() string {
	if c.Name == "" {
		return ""
	}
	return c.sessionTag() + c.Name
}

func (c Config) sessionTag() string { return fmt.Sprintf("%08x ", crc32.ChecksumIEEE([]byte(c.Log))) }

// use takes an open engine.
func (db *DB) use(e *sqldb.DB) {
	db.engine, db.write, db.read, db.upkeep, db.bulk = e, e.Write, e.Read, e.Upkeep, e.Bulk
	db.emptyCaches()
}

// emptyCaches begins the caches of rows anew. Rows are cached on SQLite only: nobody else writes there.
func (db *DB) emptyCaches() {
	if db.write.Engine() == SQLite {
		db.cases, db.latest = newRowCache[string, cases.Case](cachedCases), newRowCache[[32]byte, register.Version](cachedLatest)
		db.copies, db.unregistered = newRowCache[[32]byte, register.Snapshot](cachedCopies), newRowCache[string, error](cachedCases)
	}
}

//go:embed migrations/*.sql migrations/search/*.sql
var migrations embed.FS

func mainSchema(now func() time.Time) sqldb.Schema {
	return schema("migrations", sqldb.StepsTable, now)
}

// searchSchema is the projection's: PostgreSQL has both in one database.
func searchSchema(now func() time.Time) sqldb.Schema {
	return schema("migrations/search", "search_steps", now)
}

func schema(folder, table string, now func() time.Time) sqldb.Schema {
	steps, err := fs.Sub(migrations, folder)
	if err != nil {
		panic(err) // the path is a constant
	}
	return sqldb.Schema{Steps: steps, Table: table, Now: now}
}

// Backup copies an SQLite database to a new file at path, while it serves: see [sqldb.DB.Backup].
func (db *DB) Backup(ctx context.Context, path string, progress func(done, total int)) error {
	return db.engine.Backup(ctx, path, progress)
}

// Reconnect opens connections to PostgreSQL by another connection string from now on, as after a password was changed, and reports false
// where it is the one in use. It is tried first, and must lead to the log Config.Log. Nothing under way fails: see [sqldb.DB.Reconnect].
func (db *DB) Reconnect(ctx context.Context, dsn string) (changed bool, err error) {
	changed, err = db.engine.Reconnect(ctx, dsn, func(ctx context.Context, q sqldb.Querier) error {
		_, err := db.head(ctx, q, "")
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the log %s is not in the database that it leads to", db.config.Log)
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("connect with the changed connection string: %w", err)
	}
	return changed, nil
}

// Close releases the database. Nothing may be running.
func (db *DB) Close() error {
	err := db.search.close()
	if db.engine != nil {
		err = errors.Join(err, db.engine.Close())
	}
	return err
}

// Ready reports whether the database answers.
func (db *DB) Ready(ctx context.Context) error { return db.read.Ping(ctx) }

// ClockOffset is now minus what PostgreSQL says the time is; false where there is no server whose clock could differ.
func (db *DB) ClockOffset(ctx context.Context, now func() time.Time) (off time.Duration, asked bool, err error) {
	if db.write.Engine() != Postgres {
		return 0, false, nil
	}
	var theirs float64
	before := now()
	_, err = sqldb.One(ctx, db.read, []any{&theirs}, "SELECT extract(epoch FROM clock_timestamp())::float8")
	middle := before.Add(now().Sub(before) / 2)
	return middle.Sub(time.UnixMicro(int64(theirs * 1e6))), true, err
}

// Log is the log Config.Log.
func (db *DB) Log() tlog.Storage { return logView{db} }

// Cases reads cases and consents.
func (db *DB) Cases() cases.Storage { return casesView{db} }

// Register reads license versions and kept copies.
func (db *DB) Register() register.Storage { return registerView{db} }

// Audit reads the records of the log Config.Log, and carries out retention.
func (db *DB) Audit() audit.Storage { return auditView{db} }
