// Package sqldb is the adapter for SQL databases: it finds licenses in a department's database, through any database/sql driver.
//
// Query texts come from configuration; their parameters are bound. All questions of one call are asked in one
// read-only transaction that is always rolled back, so that a case check sees one state of the database. Only a question
// alone of a SQLite file that is opened with mode=ro goes without: one statement sees one state by itself, and nothing
// can write through such a connection. Everywhere else the transaction is what keeps a statement from writing.
//
// A SQLite file is locked while the department commits to it. That is waited for, as long as the call may take (Config.DSN).
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"oncegate/adapters/mapping"
	"oncegate/license"
)

const (
	defaultRows        = 1000
	defaultConnections = 8
	idleTime           = 5 * time.Minute
)

// Deps are what a source needs from its house. The zero value is usable.
type Deps struct {
	Now func() time.Time // clock; nil: time.Now
}

// A Source answers questions from a database. Any number of goroutines may use it.
type Source struct {
	id      string
	db      *sql.DB
	engine  engine
	own     bool // whether Close closes db
	options *sql.TxOptions
	alone   bool // whether a question alone is asked without a transaction
	maxRows int
	queries map[string]*query // by license type
	now     func() time.Time
	closed  atomic.Bool
}

type query struct {
	statement statement
	plan      *mapping.Plan
	named     []string                 // columns that the mapping reads
	holders   string                   // lists holders; "" where the configuration has none
	required  []string                 // columns that an answer must have
	prepared  atomic.Pointer[sql.Stmt] // nil until it was asked once, and after it failed
	worked    atomic.Bool              // whether the database has answered it
}

// Open checks the configuration and prepares a connection pool. It does not connect: a database that is down at start
// is unavailable, not an error.
func Open(cfg Config, cat *license.Catalogue, deps Deps) (*Source, error) {
	if f := cfg.Check(cat).Fatal(); len(f) > 0 {
		return nil, fmt.Errorf("cannot open source %s: %s: %s", cfg.ID, f[0].Path, f[0].Reason)
	}
	dsn, err := cfg.dsn()
	if err != nil {
		return nil, fmt.Errorf("cannot open source %s: %w", cfg.ID, err)
	}
	connector, err := cfg.connect(dsn)
	if err != nil {
		return nil, fmt.Errorf("cannot open source %s: %w", cfg.ID, err)
	}
	db := sql.OpenDB(newLogin(cfg, dsn, connector))
	n := cfg.MaxConnections
	if n == 0 {
		n = defaultConnections
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	db.SetConnMaxIdleTime(idleTime)
	s, err := New(cfg, cat, db, deps)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.own, s.alone = true, cfg.isSQLite() && opensReadOnly(dsn)
	return s, nil
}

// New is Open over a database that the caller opened and closes. cfg's dsn and max_connections are not used, but must
// pass Check.
func New(cfg Config, cat *license.Catalogue, db *sql.DB, deps Deps) (*Source, error) {
	if f := cfg.Check(cat).Fatal(); len(f) > 0 {
		return nil, fmt.Errorf("cannot open source %s: %s: %s", cfg.ID, f[0].Path, f[0].Reason)
	}
	s := &Source{
		id: cfg.ID, db: db, maxRows: cfg.MaxRows, now: deps.Now, queries: map[string]*query{}, engine: cfg.engine(),
		options: &sql.TxOptions{ReadOnly: cfg.Transaction != plain},
	}
	if s.options.ReadOnly {
		s.options.Isolation = s.engine.isolation
	}
	if s.maxRows == 0 {
		s.maxRows = defaultRows
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, q := range cfg.Queries {
		st, err := rewrite(q.SQL, s.engine.form)
		if err != nil {
			return nil, fmt.Errorf("cannot open source %s: %w", cfg.ID, err)
		}
		holders := statement{}
		if q.Holders != "" {
			holders, _ = rewrite(q.Holders, s.engine.form) // Check has seen its fault
		}
		plan, err := q.Record.Bind(cat)
		if err != nil {
			return nil, fmt.Errorf("cannot open source %s: %w", cfg.ID, err)
		}
		s.queries[q.Record.Type] = &query{statement: st, plan: plan, named: q.Record.Columns(), required: q.Record.Required(), holders: holders.text}
	}
	return s, nil
}

// begin begins the transaction of a call, which is always rolled back.
func (s *Source) begin(ctx context.Context) (*sql.Tx, error) {
	if s.options.ReadOnly && s.engine.begin != nil {
		return s.engine.begin(ctx, s.db)
	}
	return s.db.BeginTx(ctx, s.options)
}

// Check says whether the source can answer now: it connects and runs every query with empty parameters, which name nobody. It reads
// no row. The error is a *license.SourceError or ctx's own.
func (s *Source) Check(ctx context.Context) error {
	if s.closed.Load() {
		return mapping.ErrClosed
	}
	for _, id := range slices.Sorted(maps.Keys(s.queries)) {
		if err := s.try(ctx, s.queries[id]); err != nil {
			return ended(ctx, err)
		}
	}
	return nil
}

// try runs a query for nobody, and looks at the columns of the answer.
func (s *Source) try(ctx context.Context, q *query) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return failed(err, "")
	}
	defer tx.Rollback()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := tx.QueryContext(ctx, q.statement.text, q.statement.bind(func(string) any { return s.engine.argument("") })...)
	if err != nil {
		return q.failed(err)
	}
	defer rows.Close()
	defer cancel() // first: an answer is not read to its end
	_, err = q.columns(rows)
	return err
}

// Close releases the connections that Open made. Later calls of Find fail with mapping.ErrClosed.
func (s *Source) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	var all []error
	for _, q := range s.queries {
		if st := q.prepared.Load(); st != nil {
			all = append(all, st.Close())
		}
	}
	if s.own {
		all = append(all, s.db.Close())
	}
	return errors.Join(all...)
}

// Retire ends connections that nobody uses, and each other one when its call is over. Calls go on being answered until Close, over
// connections of their own.
func (s *Source) Retire() { s.db.SetMaxIdleConns(-1) }
