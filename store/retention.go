package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"oncegate/canonical"
	"oncegate/store/sqldb"
)

// Retention runs in steps: each is a transaction of its own over few rows that an index finds, so that a batch never waits for
// more than one step.
const (
	claimStep = 128 // most claims that one step deletes
	eraseStep = 16  // most records whose evidence one step rewrites
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
		if err := sqldb.Rest(ctx, begun, restRatio); err != nil {
			return err
		}
	}
}

// Purge raises the horizon first, under the head's lock: from then on no claim at or before it is accepted, and those
// that stand can be forgotten in steps.
func (v auditView) Purge(ctx context.Context, t time.Time) error {
	if err := v.raiseHorizon(ctx, canonical.Micros(t)); err != nil {
		return fmt.Errorf("purge horizon could not be raised: %w", err)
	}
	if err := v.purge(ctx, canonical.Micros(t)); err != nil {
		return fmt.Errorf("claims could not be purged: %w", err)
	}
	return nil
}

// purge begins where this process has come to: no claim is left before, and the horizon lets none in. PostgreSQL's index still has
// entries of the rows that went, as long as a backup can see them, and they would be walked again at each step.
func (v auditView) purge(ctx context.Context, before int64) error {
	from := v.db.purged.Load()
	for {
		begun := time.Now()
		keys, last, err := v.expiredClaims(ctx, from, before)
		if err == nil && len(keys) > 0 {
			err = v.deleteClaims(ctx, keys, before)
		}
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			v.db.purged.Store(max(from, before))
			return nil
		}
		from = last
		if err := sqldb.Rest(ctx, begun, restRatio); err != nil {
			return err
		}
	}
}

func (v auditView) raiseHorizon(ctx context.Context, horizon int64) error {
	return v.db.write.Transact(ctx, func(ctx context.Context, t *sqldb.Tx) error {
		if _, err := v.db.head(ctx, t, t.ForUpdate()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_, err := t.Exec(ctx, "UPDATE horizon SET horizon = ?, mac = ? WHERE one = 1 AND horizon < ?", horizon, v.db.tag("horizon", horizon), horizon)
		return err
	})
}

const oldestClaims = "SELECT jti, system, expires FROM claims WHERE expires >= ? AND expires < ? ORDER BY expires LIMIT ?"

// expiredClaims reads what one step deletes, and when the last of them expired.
func (v auditView) expiredClaims(ctx context.Context, from, before int64) (keys []claimKey, last int64, err error) {
	err = sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) error {
		var k claimKey
		err := rows.Scan(&k.jti, &k.system, &last)
		keys = append(keys, k)
		return err
	}, oldestClaims, from, before, claimStep)
	return keys, last, err
}

// deletedClaims deletes n claims, unless one was claimed anew meanwhile.
func deletedClaims(n int) string {
	return "DELETE FROM claims WHERE (jti, system) IN (VALUES " + sqldb.Values(n, 2) + ") AND expires < ?"
}

func (v auditView) deleteClaims(ctx context.Context, keys []claimKey, before int64) error {
	return v.db.upkeep.TransactUnsynced(ctx, func(ctx context.Context, t *sqldb.Tx) error {
		for piece := range sqldb.Padded(keys) {
			var args []any
			for _, k := range piece {
				args = append(args, k.jti, k.system)
			}
			if _, err := t.Exec(ctx, deletedClaims(len(piece)), append(args, before)...); err != nil {
				return err
			}
		}
		return nil
	})
}

func (v auditView) Erase(ctx context.Context, index uint64) error {
	if index >= 1<<indexBits {
		return fmt.Errorf("record %d could not be erased: %w", index, fs.ErrNotExist)
	}
	found, err := v.withEvidence(ctx, "SELECT pos, erasable, time, evidence FROM records WHERE pos = ?", position(v.db.number, index))
	if err == nil && len(found) == 0 {
		err = fs.ErrNotExist
	}
	if err == nil {
		_, err = v.erase(ctx, found, v.db.write.Transact) // whoever asked is told that it is done: synced
	}
	if err != nil {
		return fmt.Errorf("record %d could not be erased: %w", index, err)
	}
	v.db.engine.Forget(ctx)
	return nil
}

// oldEvidence selects what one step erases, of all logs of the database: after a recovery the old log's evidence is still here.
// The index that it reads holds what is left to do.
const oldEvidence = "SELECT pos, erasable, time, evidence FROM records WHERE erasable = 1 AND time >= ? AND time < ? ORDER BY time LIMIT ?"

const anyOldEvidence = "SELECT 1 FROM records WHERE erasable = 1 AND time < ? ORDER BY time LIMIT 1"

// EraseBefore begins where this process has come to, for the same reason as purge, and at the end looks once more from the
// beginning: no record that another node committed meanwhile is overtaken.
func (v auditView) EraseBefore(ctx context.Context, t time.Time, limit int) (total int, err error) {
	if total, err = v.eraseBefore(ctx, canonical.Micros(t), limit); err != nil {
		return total, fmt.Errorf("records could not be erased: %w", err)
	}
	if total < limit {
		v.db.engine.Forget(ctx)
	}
	return total, nil
}

func (v auditView) eraseBefore(ctx context.Context, before int64, limit int) (total int, err error) {
	from := v.db.erased.Load()
	for total < limit {
		begun := time.Now()
		found, err := v.withEvidence(ctx, oldEvidence, from, before, min(limit-total, eraseStep))
		if err != nil {
			return total, err
		}
		if len(found) == 0 && from == 0 {
			return total, nil
		}
		if len(found) == 0 {
			from = 0
			v.db.erased.Store(0)
			continue
		}
		n, err := v.erase(ctx, found, v.db.upkeep.TransactUnsynced)
		if total += n; err != nil {
			return total, err
		}
		from = found[len(found)-1].time
		v.db.erased.Store(from)
		if err := sqldb.Rest(ctx, begun, restRatio); err != nil {
			return total, err
		}
	}
	return total, nil
}

// Erasable asks the index that EraseBefore reads.
func (v auditView) Erasable(ctx context.Context, t time.Time) (bool, error) {
	var there int64
	found, err := sqldb.One(ctx, v.db.read, []any{&there}, anyOldEvidence, canonical.Micros(t))
	if err != nil {
		return false, fmt.Errorf("old evidence could not be looked for: %w", err)
	}
	return found, nil
}

// A sealedColumn is the evidence of one record.
type sealedColumn struct {
	pos      int64
	erasable int64
	time     int64
	evidence []byte
}

// withEvidence reads records with their evidence, outside of any transaction: nothing but an erasure changes it.
func (v auditView) withEvidence(ctx context.Context, text string, args ...any) (found []sealedColumn, err error) {
	err = sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) error {
		var c sealedColumn
		err := rows.Scan(&c.pos, &c.erasable, &c.time, &c.evidence)
		found = append(found, c)
		return err
	}, text, args...)
	return found, err
}

// erase rewrites the evidence of records in one transaction, and returns how many it changed: none that was erased meanwhile.
func (v auditView) erase(ctx context.Context, columns []sealedColumn, transact func(context.Context, func(context.Context, *sqldb.Tx) error) error) (changed int, err error) {
	for i := range columns {
		if columns[i].evidence, err = withoutPersons(columns[i].evidence); err != nil {
			return 0, err
		}
	}
	err = transact(ctx, func(ctx context.Context, t *sqldb.Tx) error {
		changed = 0
		for _, c := range columns {
			if c.erasable == 0 {
				continue
			}
			n, err := t.Exec(ctx, "UPDATE records SET evidence = ?, erasable = 0 WHERE pos = ? AND erasable = 1", c.evidence, c.pos)
			if err != nil {
				return err
			}
			changed += int(n)
		}
		return nil
	})
	if changed > 0 && err == nil {
		v.db.engine.Erased()
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
