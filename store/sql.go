package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"oncegate/tlog"
)

// A querier runs statements: a pool on its own, or a transaction. Statements are written with ? as placeholder.
type querier interface {
	query(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	exec(ctx context.Context, text string, args ...any) (int64, error)
}

// A pool is a set of connections with their prepared statements. The statements come from a bounded set of texts, so
// none is ever dropped.
type pool struct {
	db      *sql.DB
	dialect dialect
	commits atomic.Int64 // so far

	mu    sync.RWMutex
	stmts map[string]*sql.Stmt // by the text with ?
}

func newPool(db *sql.DB, d dialect) *pool {
	return &pool{db: db, dialect: d, stmts: map[string]*sql.Stmt{}}
}

// stmt returns the prepared statement for a text.
func (p *pool) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
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

// query asks again where a connection turns out to be cut: after the server has moved, each that was idle does so once.
func (p *pool) query(ctx context.Context, text string, args ...any) (rows *sql.Rows, err error) {
	for range p.db.Stats().MaxOpenConnections + 1 {
		var s *sql.Stmt
		if s, err = p.stmt(ctx, text); err == nil {
			rows, err = s.QueryContext(ctx, args...)
		}
		if err == nil || ctx.Err() != nil || !p.dialect.gone(err) {
			break
		}
	}
	return rows, p.dialect.explain(err)
}

func (p *pool) exec(ctx context.Context, text string, args ...any) (int64, error) {
	s, err := p.stmt(ctx, text)
	if err != nil {
		return 0, p.dialect.explain(err)
	}
	n, err := affected(s.ExecContext(ctx, args...))
	return n, p.dialect.explain(err)
}

// A tx is a running transaction.
type tx struct {
	pool *pool
	tx   *sql.Tx
	new  []string // texts that the pool shall prepare once the transaction is over
}

// stmt prepares an unknown text on the transaction's own connection: a pool of one connection has no other to give.
func (t *tx) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
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

func (t *tx) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := t.stmt(ctx, text)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, args...)
	return rows, t.pool.dialect.explain(err)
}

func (t *tx) exec(ctx context.Context, text string, args ...any) (int64, error) {
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

// one scans the single row of a query; found is false if there is none.
func one(ctx context.Context, q querier, dest []any, text string, args ...any) (found bool, err error) {
	err = each(ctx, q, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(dest...)
	}, text, args...)
	return found, err
}

// each calls scan for every row of a query. It runs to the end, so that an error in the middle is never taken for the end.
func each(ctx context.Context, q querier, scan func(*sql.Rows) error, text string, args ...any) error {
	rows, err := q.query(ctx, text, args...)
	if err != nil {
		return err
	}
	return scanAll(rows, scan)
}

func scanAll(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("row could not be read: %w", err)
		}
	}
	return rows.Err()
}

// A dialect is what the two databases do not have in common. All other SQL is the same text for both.
type dialect struct {
	name      string
	rebind    func(string) string // from ? to the database's placeholders
	ddl       func(string) string // from the words of migrations to the database's
	lock      string              // appended to the SELECT that locks the head
	isolate   sql.IsolationLevel  // of transactions that write
	snapshot  sql.TxOptions       // of transactions that read several tables as they are at one moment
	unhurried string              // lifts the limits of statements and locks for the transaction
	unsynced  string              // lets a connection commit without a sync, and synced no more; "": it cannot
	synced    string              //
	patience  time.Duration       // how long a transaction may take before its connection is cut; 0: the database bounds it

	explain func(error) error // says in a phrase what happened; nil stays nil
	retry   func(error) bool  // the transaction did not happen, and may be tried again at once
	gone    func(error) bool  // the connection was cut, as when the server moves: another one may answer
	failed  func(error) bool  // an error of COMMIT that says for certain that nothing was committed
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

// values returns "(?,?),(?,?)" for rows of width columns.
func values(rows, width int) string {
	row := "(" + marks(width) + ")"
	return strings.Repeat(row+",", rows-1) + row
}

// marks returns "?,?,?".
func marks(n int) string {
	return strings.Repeat("?,", n-1) + "?"
}

// connectionWait bounds how long a transaction waits for its connection, and with SQLite for its turn to write.
const connectionWait = 2 * time.Second

// attempts is how often a transaction is begun that is known not to have happened.
const attempts = 8

// transact runs fn in a transaction that writes, and starts over while the database says that it did not happen and may
// be tried again. nil: committed, durably. tlog.ErrUnknown: the commit was sent and nobody knows. Any other error: not
// committed. Once begun it is not cancelled.
func (db *DB) transact(ctx context.Context, fn func(context.Context, *tx) error) error {
	return db.transactIn(ctx, db.write, fn)
}

// transactIn is transact in one of the databases.
func (db *DB) transactIn(ctx context.Context, p *pool, fn func(context.Context, *tx) error) error {
	return db.try(p, func() error { return db.attempt(ctx, p, true, fn) })
}

// transactUnsynced is transact for retention, which can be done again: on SQLite its commit is not synced by itself, so that
// batches do not wait for that. The next batch's sync, or a checkpoint's, has it too.
func (db *DB) transactUnsynced(ctx context.Context, fn func(context.Context, *tx) error) error {
	return db.try(db.upkeep, func() error { return db.attempt(ctx, db.upkeep, false, fn) })
}

func (db *DB) try(p *pool, attempt func() error) error {
	for try := 1; ; try++ {
		err := attempt()
		if err == nil || try == attempts || errors.Is(err, tlog.ErrUnknown) || !p.dialect.retry(err) {
			return err
		}
	}
}

func (db *DB) attempt(ctx context.Context, p *pool, synced bool, fn func(context.Context, *tx) error) error {
	d := p.dialect
	ctx = context.WithoutCancel(ctx)
	if d.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.patience)
		defer cancel()
	}
	conn, err := p.connection(ctx)
	if err != nil {
		return d.explain(err)
	}
	t := &tx{pool: p}
	defer t.prepare(ctx)
	defer conn.Close()
	if !synced && d.unsynced != "" {
		defer func() {
			if _, err := conn.ExecContext(ctx, d.synced); err != nil {
				discard(conn)
			}
		}()
		if _, err := conn.ExecContext(ctx, d.unsynced); err != nil {
			return d.explain(err)
		}
	}
	if t.tx, err = conn.BeginTx(ctx, &sql.TxOptions{Isolation: d.isolate}); err != nil {
		return d.explain(err)
	}
	ended := false
	defer func() {
		if !ended { // fn panicked: without a rollback conn.Close would wait for the transaction
			t.tx.Rollback()
			discard(conn)
		}
	}()
	err = fn(ctx, t)
	ended = true
	if err != nil {
		if t.tx.Rollback() != nil {
			discard(conn)
		}
		return err
	}
	warned := db.warnings.Load()
	err = t.tx.Commit()
	if err == nil && db.warnings.Load() != warned {
		err = errors.New("the server warned during the commit")
	}
	if err == nil {
		p.commits.Add(1)
		return nil
	}
	discard(conn) // whatever state it is in, nothing of it stays
	if d.failed(err) {
		return d.explain(err)
	}
	return fmt.Errorf("%w: %w", tlog.ErrUnknown, d.explain(err))
}

// atOnce runs fn on the database as it is at one moment, for reading.
func (db *DB) atOnce(ctx context.Context, fn func(context.Context, querier) error) error {
	return atOnce(ctx, db.read, fn)
}

func atOnce(ctx context.Context, p *pool, fn func(context.Context, querier) error) error {
	began, err := p.db.BeginTx(ctx, &p.dialect.snapshot)
	if err != nil {
		return p.dialect.explain(err)
	}
	t := &tx{pool: p, tx: began}
	defer t.prepare(context.WithoutCancel(ctx))
	defer began.Rollback()
	return fn(ctx, t)
}

// upkeepReader reads what nobody waits for. SQLite's own connection for upkeep is the one that writes.
func (db *DB) upkeepReader() *pool {
	if db.write.dialect.name == SQLite {
		return db.read
	}
	return db.upkeep
}

// atLength is atOnce for reading whole tables, however long that takes.
func (db *DB) atLength(ctx context.Context, fn func(context.Context, querier) error) error {
	p := db.upkeepReader()
	return atOnce(ctx, p, func(ctx context.Context, q querier) error {
		if lift := p.dialect.unhurried; lift != "" {
			if _, err := q.(*tx).tx.ExecContext(ctx, lift); err != nil {
				return p.dialect.explain(err)
			}
		}
		return fn(ctx, q)
	})
}

func (p *pool) connection(ctx context.Context) (*sql.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectionWait)
	defer cancel()
	return p.db.Conn(ctx)
}

// discard closes a connection instead of giving it back.
func discard(conn *sql.Conn) {
	conn.Raw(func(any) error { return driver.ErrBadConn })
}

// prepare gives the pool the texts that were new, for the next transaction.
func (t *tx) prepare(ctx context.Context) {
	for _, text := range t.new {
		t.pool.stmt(ctx, text)
	}
}

// setSize is the greatest number of keys or rows in one statement.
const setSize = 128

// chunks cuts a list into pieces for one statement each. Their lengths are powers of two up to setSize: few texts, all
// of them prepared once.
func chunks[T any](all []T) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(all) > 0 {
			n := setSize
			for n > len(all) {
				n /= 2
			}
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// padded cuts keys into pieces like chunks, but with the last key repeated to fill the last piece: reading a key twice
// is cheaper than another statement.
func padded[T any](all []T) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for piece := range slices.Chunk(all, setSize) {
			n := 1
			for n < len(piece) {
				n *= 2
			}
			piece = slices.Clip(piece)
			for len(piece) < n {
				piece = append(piece, piece[len(piece)-1])
			}
			if !yield(piece) {
				return
			}
		}
	}
}

// readSet runs text(n) for the keys, n at a time, and scans every row.
func readSet[K comparable](ctx context.Context, q querier, keys map[K]bool, text func(n int) string, args func(K) []any, scan func(*sql.Rows) error) error {
	if len(keys) == 0 {
		return nil
	}
	for piece := range padded(slices.Collect(maps.Keys(keys))) {
		var all []any
		for _, k := range piece {
			all = append(all, args(k)...)
		}
		if err := each(ctx, q, scan, text(len(piece)), all...); err != nil {
			return err
		}
	}
	return nil
}

// writeSet inserts rows of width columns, many in one statement: head, "VALUES (…),(…)", tail.
func writeSet[R any](ctx context.Context, q querier, rows []R, head string, width int, tail string, args func(R) []any) error {
	for piece := range chunks(rows) {
		all := make([]any, 0, len(piece)*width)
		for _, r := range piece {
			all = append(all, args(r)...)
		}
		if _, err := q.exec(ctx, head+" VALUES "+values(len(piece), width)+tail, all...); err != nil {
			return err
		}
	}
	return nil
}

func text1(k string) []any    { return []any{k} }
func bytes1(k [32]byte) []any { return []any{k[:]} }
func in(text string) func(int) string {
	return func(n int) string { return text + " IN (" + marks(n) + ")" }
}
