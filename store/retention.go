package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Retention runs in steps: each is a transaction of its own over few rows that an index finds, so that a batch never waits for
// more than one step.
const (
	claimStep = 256 // most claims that one step deletes
	eraseStep = 32  // most records whose evidence one step rewrites
	restRatio = 3   // how much longer than it worked a step rests
)

// inSteps calls step until it has changed nothing, and rests in between: retention takes a quarter of the time at most.
func inSteps(ctx context.Context, step func(context.Context) (changed int64, err error)) error {
	for {
		begun := time.Now()
		n, err := step(ctx)
		if err != nil || n == 0 {
			return err
		}
		if err := rest(ctx, begun); err != nil {
			return err
		}
	}
}

func rest(ctx context.Context, begun time.Time) error {
	timer := time.NewTimer(restRatio * time.Since(begun))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Purge raises the horizon first, under the head's lock: from then on no claim at or before it is accepted, and those
// that stand can be forgotten in steps.
func (v auditView) Purge(ctx context.Context, t time.Time) error {
	if err := v.raiseHorizon(ctx, micros(t)); err != nil {
		return fmt.Errorf("purge horizon could not be raised: %w", err)
	}
	err := inSteps(ctx, func(ctx context.Context) (int64, error) { return v.deleteClaims(ctx, micros(t)) })
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
		_, err := t.exec(ctx, "UPDATE claim_horizon SET horizon = ? WHERE one = 1 AND horizon < ?", horizon, horizon)
		return err
	})
}

// expiredClaims is what one step deletes.
const expiredClaims = "DELETE FROM claims WHERE (jti, system) IN (SELECT jti, system FROM claims WHERE expires < ? ORDER BY expires LIMIT ?)"

func (v auditView) deleteClaims(ctx context.Context, before int64) (n int64, err error) {
	err = v.db.transactIn(ctx, v.db.upkeep, func(ctx context.Context, t *tx) (err error) {
		n, err = t.exec(ctx, expiredClaims, before, claimStep)
		return err
	})
	return n, err
}

func (v auditView) Erase(ctx context.Context, index uint64) error {
	if index >= 1<<indexBits {
		return fmt.Errorf("record %d could not be erased: %w", index, fs.ErrNotExist)
	}
	found, err := v.withEvidence(ctx, "SELECT pos, erasable, evidence FROM records WHERE pos = ?", position(v.db.number, index))
	if err == nil && len(found) == 0 {
		err = fs.ErrNotExist
	}
	if err == nil {
		_, err = v.erase(ctx, found)
	}
	if err != nil {
		return fmt.Errorf("record %d could not be erased: %w", index, err)
	}
	v.db.checkpoint.forget(ctx)
	return nil
}

// oldEvidence selects what one step erases, of all logs of the database: after a recovery the old log's evidence is still here.
// The index that it reads holds what is left to do, so that there is no position to keep, and none to be ahead of a record that
// another node commits meanwhile.
const oldEvidence = "SELECT pos, erasable, evidence FROM records WHERE erasable = 1 AND time < ? ORDER BY time LIMIT ?"

const anyOldEvidence = "SELECT 1 FROM records WHERE erasable = 1 AND time < ? ORDER BY time LIMIT 1"

func (v auditView) EraseBefore(ctx context.Context, t time.Time, limit int) (total int, err error) {
	for total < limit {
		begun := time.Now()
		found, err := v.withEvidence(ctx, oldEvidence, micros(t), min(limit-total, eraseStep))
		n := 0
		if err == nil && len(found) > 0 {
			n, err = v.erase(ctx, found)
			total += n
		}
		if err == nil && len(found) > 0 {
			err = rest(ctx, begun)
		}
		if err != nil {
			return total, fmt.Errorf("records could not be erased: %w", err)
		}
		if len(found) == 0 {
			v.db.checkpoint.forget(ctx)
			break
		}
	}
	return total, nil
}

// Erasable asks the index that EraseBefore reads.
func (v auditView) Erasable(ctx context.Context, t time.Time) (bool, error) {
	var there int64
	found, err := one(ctx, v.db.read, []any{&there}, anyOldEvidence, micros(t))
	if err != nil {
		return false, fmt.Errorf("old evidence could not be looked for: %w", err)
	}
	return found, nil
}

// A sealedColumn is the evidence of one record.
type sealedColumn struct {
	pos      int64
	erasable int64
	evidence []byte
}

// withEvidence reads records with their evidence, outside of any transaction: nothing but an erasure changes it.
func (v auditView) withEvidence(ctx context.Context, text string, args ...any) (found []sealedColumn, err error) {
	err = each(ctx, v.db.read, func(rows *sql.Rows) error {
		var c sealedColumn
		err := rows.Scan(&c.pos, &c.erasable, &c.evidence)
		found = append(found, c)
		return err
	}, text, args...)
	return found, err
}

// erase rewrites the evidence of records in one transaction, and returns how many it changed: none that was erased meanwhile.
func (v auditView) erase(ctx context.Context, columns []sealedColumn) (changed int, err error) {
	for i := range columns {
		if columns[i].evidence, err = withoutPersons(columns[i].evidence); err != nil {
			return 0, err
		}
	}
	err = v.db.transactIn(ctx, v.db.upkeep, func(ctx context.Context, t *tx) error {
		changed = 0
		for _, c := range columns {
			if c.erasable == 0 {
				continue
			}
			n, err := t.exec(ctx, "UPDATE records SET evidence = ?, erasable = 0 WHERE pos = ? AND erasable = 1", c.evidence, c.pos)
			if err != nil {
				return err
			}
			changed += int(n)
		}
		return nil
	})
	if changed > 0 && err == nil {
		v.db.checkpoint.erased()
	}
	return changed, err
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
