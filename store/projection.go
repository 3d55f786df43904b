package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
)

// A hit is one row of the projection.
type hit struct {
	pos int64
	n   int
	audit.Index
	audit.IndexUse
}

// emptying, as the position of a projection, says that Rebuild has begun and old rows may be left: nothing is covered.
const emptying = -1

// emptyStep is about how many rows of the projection are deleted in one transaction.
const emptyStep = 2000

// Follow covers up to Config.Follow more records. It reads outside the transaction, records never change, and writes
// only if nobody else was faster.
func (v auditView) Follow(ctx context.Context) (covered, size uint64, err error) {
	v.db.follow.Lock()
	defer v.db.follow.Unlock()
	if covered, size, err = v.follow(ctx); err != nil {
		return 0, 0, fmt.Errorf("projection could not follow the log: %w", err)
	}
	return covered, size, nil
}

func (v auditView) follow(ctx context.Context) (covered, size uint64, err error) {
	db := v.db
	head, err := db.head(ctx, db.read, "")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	if err := v.empty(ctx); err != nil { // a Rebuild that was broken off
		return 0, 0, err
	}
	if covered, err = v.covered(ctx); err != nil || covered >= head.Size {
		return covered, max(head.Size, covered), err
	}
	end := min(head.Size, covered+uint64(db.config.Follow))
	hits, last, err := v.hits(ctx, covered, end)
	if err != nil {
		return 0, 0, err
	}
	if err := v.cover(ctx, covered, end, last, hits); err != nil {
		return 0, 0, err
	}
	covered, err = v.covered(ctx)
	return covered, max(head.Size, covered), err
}

// cover moves the position to behind the record with the hashes last and adds the rows, unless another node moved it meanwhile.
func (v auditView) cover(ctx context.Context, start, end uint64, last []byte, hits []hit) error {
	return v.db.transactIn(ctx, v.db.search.write, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "UPDATE projection SET covered = ?, hashes = ? WHERE log = ? AND covered = ?", int64(end), last, v.db.number, int64(start))
		if err == nil && n == 0 && start == 0 {
			n, err = t.exec(ctx, "INSERT INTO projection (log, covered, hashes) VALUES (?, ?, ?) ON CONFLICT (log) DO NOTHING", v.db.number, int64(end), last)
		}
		if err != nil || n == 0 {
			return err
		}
		return writeHits(ctx, t, hits)
	})
}

// covered is how many records search sees, 0 while the projection is being emptied.
func (v auditView) covered(ctx context.Context) (uint64, error) {
	var n int64
	_, err := one(ctx, v.db.search.read, []any{&n}, "SELECT covered FROM projection WHERE log = ?", v.db.number)
	return uint64(max(n, 0)), err
}

// hits reads what the records from start to end may be found by, and the hashes of the last.
func (v auditView) hits(ctx context.Context, start, end uint64) (hits []hit, last []byte, err error) {
	n := uint64(0)
	err = each(ctx, v.db.read, func(rows *sql.Rows) error {
		n++
		var h hit
		var hashes, index sql.RawBytes
		if err := rows.Scan(&h.pos, &hashes, &index); err != nil {
			return err
		}
		last = append(last[:0], hashes...)
		if len(index) == 0 {
			return nil
		}
		if err := json.Unmarshal(index, &h.Index); err != nil {
			return fmt.Errorf("index of record %d: %w", indexOf(h.pos), err)
		}
		if len(h.Uses) == 0 {
			hits = append(hits, h)
		}
		for i, use := range h.Uses {
			h.n, h.IndexUse = i, use
			hits = append(hits, h)
		}
		return nil
	}, "SELECT pos, hashes, search FROM records WHERE pos >= ? AND pos < ? ORDER BY pos", position(v.db.number, start), position(v.db.number, end))
	if err == nil && n != end-start {
		err = fmt.Errorf("%d of %d records: %w", n, end-start, fs.ErrNotExist)
	}
	return hits, last, err
}

func writeHits(ctx context.Context, q querier, hits []hit) error {
	return writeSet(ctx, q, hits,
		"INSERT INTO hits (pos, n, time, system, operation, operator, matter, case_no, material, need, license_type, decision, holder)", 13, "", func(h hit) []any {
			return []any{h.pos, h.n, micros(h.Time), h.System, h.Operation, h.Operator, h.Matter, h.Case, h.Material, h.Need, h.LicenseType, h.Decision, h.Holder}
		})
}

// Rebuild hides the projection at once and then deletes its rows in steps, so that the log's batches get their turn.
func (v auditView) Rebuild(ctx context.Context) error {
	v.db.follow.Lock()
	defer v.db.follow.Unlock()
	err := v.hide(ctx)
	if err == nil {
		err = v.empty(ctx)
	}
	if err != nil {
		return fmt.Errorf("projection could not be emptied: %w", err)
	}
	return nil
}

// hide makes nothing covered until the projection is empty.
func (v auditView) hide(ctx context.Context) error {
	return v.db.transactIn(ctx, v.db.search.write, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, "INSERT INTO projection (log, covered, hashes) VALUES (?, ?, ?) ON CONFLICT (log) DO UPDATE SET covered = excluded.covered",
			v.db.number, emptying, []byte{})
		return err
	})
}

// empty deletes what is left of a projection that is being emptied. Every step holds the position's row, so that no node
// deletes what another has begun to fill again.
func (v auditView) empty(ctx context.Context) error {
	var at int64
	if _, err := one(ctx, v.db.search.read, []any{&at}, "SELECT covered FROM projection WHERE log = ?", v.db.number); err != nil || at != emptying {
		return err
	}
	start, end := position(v.db.number, 0), position(v.db.number+1, 0)
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := v.db.transactIn(ctx, v.db.search.write, func(ctx context.Context, t *tx) error {
			more = false
			n, err := t.exec(ctx, "UPDATE projection SET covered = ? WHERE log = ? AND covered = ?", emptying, v.db.number, emptying)
			if err != nil || n == 0 {
				return err
			}
			upTo := end
			if more, err = one(ctx, t, []any{&upTo}, "SELECT pos FROM hits WHERE pos >= ? AND pos < ? ORDER BY pos LIMIT 1 OFFSET ?", start, end, emptyStep); err != nil {
				return err
			}
			if _, err = t.exec(ctx, "DELETE FROM hits WHERE pos >= ? AND pos < ?", start, upTo); err != nil || more {
				return err
			}
			_, err = t.exec(ctx, "UPDATE projection SET covered = 0 WHERE log = ?", v.db.number)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
