package sqldb

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

// maxAttempts is how often a transaction is begun that is known not to have happened.
const maxAttempts = 8

// Transact runs fn in a transaction that writes, and retries while the database says that it did not happen and may be tried
// again: fn may run several times. nil: committed, durably. tlog.ErrUnknown: the commit was sent, and its outcome is not known. Any
// other error: not committed. Once begun it is not cancelled.
func (p *Pool) Transact(ctx context.Context, fn func(context.Context, *Tx) error) error {
	return p.retry(ctx, true, fn)
}

// TransactUnsynced is Transact for what can be done again: on SQLite its commit is not synced by itself, so that others do not wait
// for that. The next synced commit, or a checkpoint, syncs it too.
func (p *Pool) TransactUnsynced(ctx context.Context, fn func(context.Context, *Tx) error) error {
	return p.retry(ctx, false, fn)
}

func (p *Pool) retry(ctx context.Context, synced bool, fn func(context.Context, *Tx) error) error {
	for n := 1; ; n++ {
		err := p.attempt(ctx, synced, fn)
		if err == nil || n == maxAttempts || errors.Is(err, tlog.ErrUnknown) || !p.dialect.retry(err) {
			return err
		}
	}
}

// attempt runs one transaction on a connection of its own, which is discarded whenever its state is in doubt.
func (p *Pool) attempt(ctx context.Context, synced bool, fn func(context.Context, *Tx) error) error {
	d := &p.dialect
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
	t := &Tx{pool: p}
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
	return p.commit(conn, t.tx)
}

// commit commits, and tells a failed commit from one whose outcome is not known.
func (p *Pool) commit(conn *sql.Conn, t *sql.Tx) error {
	warned := p.warnings.Load()
	err := t.Commit()
	if err == nil && p.warnings.Load() != warned {
		err = errors.New("the server warned during the commit")
	}
	if err == nil {
		p.commits.Add(1)
		return nil
	}
	discard(conn) // whatever state it is in, nothing of it stays
	if p.dialect.failed(err) {
		return p.dialect.explain(err)
	}
	return fmt.Errorf("%w: %w", tlog.ErrUnknown, p.dialect.explain(err))
}

// Snapshot runs fn in a transaction that only reads: all of its statements see one state of the database.
func (p *Pool) Snapshot(ctx context.Context, fn func(context.Context, Querier) error) error {
	return p.snapshot(ctx, func(ctx context.Context, t *Tx) error { return fn(ctx, t) })
}

// LongSnapshot is Snapshot for reading whole tables: no limit of statements or locks applies.
func (p *Pool) LongSnapshot(ctx context.Context, fn func(context.Context, Querier) error) error {
	return p.snapshot(ctx, func(ctx context.Context, t *Tx) error {
		if p.dialect.unlimited != "" {
			if _, err := t.tx.ExecContext(ctx, p.dialect.unlimited); err != nil {
				return p.dialect.explain(err)
			}
		}
		return fn(ctx, t)
	})
}

func (p *Pool) snapshot(ctx context.Context, fn func(context.Context, *Tx) error) error {
	began, err := p.db.BeginTx(ctx, &p.dialect.snapshot)
	if err != nil {
		return p.dialect.explain(err)
	}
	t := &Tx{pool: p, tx: began}
	defer t.prepare(context.WithoutCancel(ctx))
	defer began.Rollback()
	return fn(ctx, t)
}

func (p *Pool) connection(ctx context.Context) (*sql.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectionWait)
	defer cancel()
	return p.db.Conn(ctx)
}

// discard closes a connection instead of giving it back.
func discard(conn *sql.Conn) {
	conn.Raw(func(any) error { return driver.ErrBadConn })
}

// prepare adds the texts that were new to the pool's statement cache, for the next transaction.
func (t *Tx) prepare(ctx context.Context) {
	for _, text := range t.new {
		t.pool.stmt(ctx, text)
	}
}
