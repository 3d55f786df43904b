package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// purgeStep is how many records Purge visits in one transaction, so that the log's batches get their turn.
const purgeStep = 1000

// Purge raises the horizon first, under the head's lock: from then on no claim at or before it is accepted, and those
// that stand can be forgotten in steps.
func (v auditView) Purge(ctx context.Context, t time.Time) error {
	if err := v.raiseHorizon(ctx, micros(t)); err != nil {
		return fmt.Errorf("purge horizon could not be raised: %w", err)
	}
	from, err := v.purged(ctx)
	for more := true; more && err == nil; {
		if err = ctx.Err(); err == nil {
			from, more, err = v.forget(ctx, from, micros(t))
		}
	}
	if err != nil {
		return fmt.Errorf("claims could not be purged: %w", err)
	}
	return nil
}

func (v auditView) raiseHorizon(ctx context.Context, horizon int64) error {
	return v.db.transact(ctx, func(ctx context.Context, t *tx) error {
		if _, err := v.db.head(ctx, t, t.pool.dialect.lock); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_, err := t.exec(ctx, "UPDATE claims SET horizon = ? WHERE one = 1 AND horizon < ?", horizon, horizon)
		return err
	})
}

// purged is the key below which no claim is left.
func (v auditView) purged(ctx context.Context) (pos int64, err error) {
	_, err = one(ctx, v.db.read, []any{&pos}, "SELECT purged FROM claims WHERE one = 1")
	return pos, err
}

// forget clears the claims of the next records that expire before t. Calls expire soon after they are recorded, so all
// that is left to do lies behind one position, which moves as far as nothing is left before it.
func (v auditView) forget(ctx context.Context, from, before int64) (next int64, more bool, err error) {
	var last sql.NullInt64
	_, err = one(ctx, v.db.read, []any{&last}, "SELECT max(pos) FROM (SELECT pos FROM records WHERE pos >= ? ORDER BY pos LIMIT ?) AS step", from, purgeStep)
	if err != nil || !last.Valid {
		return from, false, err
	}
	next = last.Int64 + 1
	err = v.db.transact(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, "UPDATE records SET system = NULL, jti = NULL, expires = NULL WHERE pos >= ? AND pos < ? AND expires < ?", from, next, before); err != nil {
			return err
		}
		_, err := t.exec(ctx, `UPDATE claims SET purged = ? WHERE one = 1 AND purged = ?
			AND NOT EXISTS (SELECT 1 FROM records WHERE pos >= ? AND pos < ? AND jti IS NOT NULL)`, next, from, from, next)
		return err
	})
	return next, err == nil, err
}

func (v auditView) Erase(ctx context.Context, index uint64) error {
	if index >= 1<<indexBits {
		return fmt.Errorf("record %d could not be erased: %w", index, fs.ErrNotExist)
	}
	pos := position(v.db.number, index)
	n, there, err := v.erase(ctx, "SELECT pos, erasable, evidence FROM records WHERE pos = ?", pos)
	if err == nil && there == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("record %d could not be erased: %w", index, err)
	}
	return v.forgetPages(ctx, n)
}

// EraseBefore remembers below which index nothing is left to erase.
func (v auditView) EraseBefore(ctx context.Context, t time.Time, limit int) (int, error) {
	n, err := v.eraseBefore(ctx, micros(t), limit)
	if err != nil {
		return 0, fmt.Errorf("records could not be erased: %w", err)
	}
	return n, v.forgetPages(ctx, n)
}

func (v auditView) eraseBefore(ctx context.Context, before int64, limit int) (int, error) {
	var from int64
	if _, err := one(ctx, v.db.read, []any{&from}, "SELECT erased FROM logs WHERE number = ?", v.db.number); err != nil {
		return 0, err
	}
	start, end := position(v.db.number, uint64(from)), position(v.db.number+1, 0)
	total := 0
	for total < limit {
		// Positions of this step only: the evidence is read again where it is changed.
		n, there, err := v.erase(ctx, "SELECT pos, erasable, evidence FROM records WHERE pos >= ? AND pos < ? AND erasable = 1 AND time < ? ORDER BY pos LIMIT ?",
			start, end, before, min(limit-total, 100))
		if err != nil {
			return total, err
		}
		total += n
		if there == 0 {
			break
		}
	}
	if total == 0 {
		return 0, nil
	}
	return total, v.db.transact(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `UPDATE logs SET erased = coalesce((SELECT min(pos) FROM records WHERE pos >= ? AND pos < ? AND erasable = 1) - ?, size)
			WHERE number = ? AND erased = ?`, start, end, position(v.db.number, 0), v.db.number, from)
		return err
	})
}

// erase rewrites the evidence of the rows that a query selects, and returns how many it changed and how many there were.
func (v auditView) erase(ctx context.Context, text string, args ...any) (changed, there int, err error) {
	type erasure struct {
		pos    int64
		column []byte
	}
	err = v.db.transact(ctx, func(ctx context.Context, t *tx) error {
		var work []erasure
		changed, there = 0, 0
		err := each(ctx, t, func(rows *sql.Rows) error {
			var e erasure
			var erasable int64
			if err := rows.Scan(&e.pos, &erasable, &e.column); err != nil {
				return err
			}
			there++
			if erasable != 0 {
				work = append(work, e)
			}
			return nil
		}, text, args...)
		if err != nil {
			return err
		}
		for _, e := range work {
			if e.column, err = withoutPersons(e.column); err != nil {
				return err
			}
			if _, err = t.exec(ctx, "UPDATE records SET evidence = ?, erasable = 0 WHERE pos = ?", e.column, e.pos); err != nil {
				return err
			}
			changed++
		}
		return nil
	})
	return changed, there, err
}

// withoutPersons returns the evidence without the blobs of its request and person parts.
func withoutPersons(column []byte) ([]byte, error) {
	parts, err := unpackEvidence(column)
	if err != nil {
		return nil, err
	}
	for i := range parts {
		if isErasable(parts[i].Kind) {
			parts[i].Blob = nil
		}
	}
	column, _, err = packEvidence(parts)
	return column, err
}

// forgetPages empties SQLite's write-ahead log, where the erased pages would stand until they are overwritten. Readers
// at work may keep part of it: then it goes with the next checkpoint.
func (v auditView) forgetPages(ctx context.Context, erased int) error {
	if erased == 0 || v.db.write.dialect.name != SQLite {
		return nil
	}
	conn, err := v.db.write.connection(ctx)
	if err != nil {
		return nil
	}
	defer conn.Close()
	conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return nil
}
