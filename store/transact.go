package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"oncegate/tlog"
)

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
