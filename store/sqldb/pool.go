package sqldb

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Querier runs statements: a Pool each on its own, a Tx all in one transaction. Statements have ? as placeholder.
type Querier interface {
	// Query returns the rows of a statement.
	Query(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	// Exec returns how many rows a statement changed.
	Exec(ctx context.Context, text string, args ...any) (int64, error)
}

var (
	_ Querier = (*Pool)(nil)
	_ Querier = (*Tx)(nil)
)

// A Pool is a connection pool with a cache of prepared statements. The statements come from a bounded set of texts, so
// none is ever dropped.
type Pool struct {
	db       *sql.DB
	dialect  dialect
	commits  atomic.Int64 // so far
	warnings atomic.Int64 // of the server, PostgreSQL only

	mu    sync.RWMutex
	stmts map[string]*sql.Stmt // by the text with ?
}

func newPool(db *sql.DB, d dialect) *Pool {
	return &Pool{db: db, dialect: d, stmts: map[string]*sql.Stmt{}}
}

// Engine is SQLite or Postgres.
func (p *Pool) Engine() string { return p.dialect.name }

// Rebind returns a text with the database's own placeholders.
func (p *Pool) Rebind(text string) string { return p.dialect.rebind(text) }

// DB is the pool as database/sql has it.
func (p *Pool) DB() *sql.DB { return p.db }

// Ping reports whether the database answers.
func (p *Pool) Ping(ctx context.Context) error { return p.dialect.explain(p.db.PingContext(ctx)) }

// Close closes all connections. A nil Pool has none.
func (p *Pool) Close() error {
	if p == nil {
		return nil
	}
	return p.db.Close()
}

// stmt returns the prepared statement for a text, from the cache if it is there.
func (p *Pool) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	p.mu.RLock()
	s := p.stmts[text]
	p.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	s, err := p.db.PrepareContext(ctx, p.dialect.rebind(text))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.stmts[text]; first != nil {
		s.Close()
		return first, nil
	}
	p.stmts[text] = s
	return s, nil
}

// Query retries where a connection turns out to be cut: after a failover of the server, each that was idle is cut once.
func (p *Pool) Query(ctx context.Context, text string, args ...any) (rows *sql.Rows, err error) {
	for retries := 0; ; retries++ {
		var s *sql.Stmt
		if s, err = p.stmt(ctx, text); err == nil {
			if rows, err = s.QueryContext(ctx, args...); err == nil {
				return rows, nil
			}
		}
		if ctx.Err() != nil || !p.dialect.gone(err) || retries == p.db.Stats().MaxOpenConnections {
			return nil, p.dialect.explain(err)
		}
	}
}

// Exec is for statements on their own; it does not retry.
func (p *Pool) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	s, err := p.stmt(ctx, text)
	if err != nil {
		return 0, p.dialect.explain(err)
	}
	n, err := affected(s.ExecContext(ctx, args...))
	return n, p.dialect.explain(err)
}

// QueryOnce is Query for texts of which there are too many to keep them prepared.
func (p *Pool) QueryOnce(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	rows, err := p.db.QueryContext(ctx, p.dialect.rebind(text), args...)
	return rows, p.dialect.explain(err)
}

// A Tx is a running transaction.
type Tx struct {
	pool *Pool
	tx   *sql.Tx
	new  []string // texts that the pool shall prepare once the transaction is over
}

// ForUpdate is appended to a SELECT to lock its rows until the transaction ends. SQLite has one writer and needs none.
func (t *Tx) ForUpdate() string { return t.pool.dialect.lock }

// stmt prepares an unknown text on the transaction's own connection: a pool of one connection has no other to give.
func (t *Tx) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	t.pool.mu.RLock()
	s := t.pool.stmts[text]
	t.pool.mu.RUnlock()
	if s != nil {
		return t.tx.StmtContext(ctx, s), nil
	}
	t.new = append(t.new, text)
	s, err := t.tx.PrepareContext(ctx, t.pool.dialect.rebind(text))
	return s, t.pool.dialect.explain(err)
}

// Query is Querier's, in the transaction.
func (t *Tx) Query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := t.stmt(ctx, text)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, args...)
	return rows, t.pool.dialect.explain(err)
}

// Exec is Querier's, in the transaction.
func (t *Tx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	s, err := t.stmt(ctx, text)
	if err != nil {
		return 0, err
	}
	n, err := affected(s.ExecContext(ctx, args...))
	return n, t.pool.dialect.explain(err)
}

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// A dialect is what the two databases do not have in common: SQL, limits and error classes. All other SQL is the same text for both.
type dialect struct {
	name      string              // SQLite or Postgres
	rebind    func(string) string // from ? to the database's placeholders
	ddl       func(string) string // from the words of migrations to the database's
	lock      string              // appended to a SELECT that locks its rows
	isolate   sql.IsolationLevel  // of transactions that write
	snapshot  sql.TxOptions       // of transactions that read one state of several tables
	unlimited string              // lifts the time limits of statements and locks for the transaction
	unsynced  string              // lets a connection commit without a sync; "": it cannot
	synced    string              // ends that
	patience  time.Duration       // timeout of a transaction, after which its connection is cut; 0: none

	explain func(error) error // wraps an error with what happened, in words for operators; nil stays nil
	retry   func(error) bool  // the transaction did not happen, and may be retried at once
	gone    func(error) bool  // the connection was cut, as in a failover: another one may answer
	failed  func(error) bool  // an error of COMMIT after which certainly nothing was committed
}

// numbered replaces each ? by $1, $2, …; our texts hold no ? otherwise.
func numbered(text string) string {
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(text, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}
