package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
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
