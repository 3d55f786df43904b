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

// Follow covers up to Config.Follow more records. It reads outside the transaction, records never change, and writes
// only if nobody else was faster.
func (v auditView) Follow(ctx context.Context) (covered, size uint64, err error) {
	v.db.follow.Lock()
	defer v.db.follow.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
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
	if covered, err = v.covered(ctx, db.read); err != nil || covered >= head.Size {
		return covered, head.Size, err
	}
	end := min(head.Size, covered+uint64(db.config.Follow))
	hits, err := v.hits(ctx, covered, end)
	if err != nil {
		return 0, 0, err
	}
	err = db.transact(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "UPDATE projection SET covered = ? WHERE log = ? AND covered = ?", int64(end), db.number, int64(covered))
		if err == nil && n == 0 && covered == 0 {
			n, err = t.exec(ctx, "INSERT INTO projection (log, covered) VALUES (?, ?) ON CONFLICT (log) DO NOTHING", db.number, int64(end))
		}
		if err != nil || n == 0 { // 0: another node moved it meanwhile
			return err
		}
		return writeHits(ctx, t, hits)
	})
	if err == nil {
		covered, err = v.covered(ctx, db.read)
	}
	// One call may see the head before and the position after another's work.
	return covered, max(head.Size, covered), err
}

func (v auditView) covered(ctx context.Context, q querier) (uint64, error) {
	var n int64
	_, err := one(ctx, q, []any{&n}, "SELECT covered FROM projection WHERE log = ?", v.db.number)
	return uint64(n), err
}

// hits reads what the records from start to end may be found by.
func (v auditView) hits(ctx context.Context, start, end uint64) (hits []hit, err error) {
	n := uint64(0)
	err = each(ctx, v.db.read, func(rows *sql.Rows) error {
		n++
		var h hit
		var index sql.RawBytes
		if err := rows.Scan(&h.pos, &index); err != nil || len(index) == 0 {
			return err
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
	}, "SELECT pos, search FROM records WHERE pos >= ? AND pos < ? ORDER BY pos", position(v.db.number, start), position(v.db.number, end))
	if err == nil && n != end-start {
		err = fmt.Errorf("%d of %d records: %w", n, end-start, fs.ErrNotExist)
	}
	return hits, err
}

func writeHits(ctx context.Context, q querier, hits []hit) error {
	return writeSet(ctx, q, hits,
		"INSERT INTO hits (pos, n, time, system, operation, operator, matter, case_no, material, need, license_type, decision, holder)", 13, "", func(h hit) []any {
			return []any{h.pos, h.n, micros(h.Time), h.System, h.Operation, h.Operator, h.Matter, h.Case, h.Material, h.Need, h.LicenseType, h.Decision, h.Holder}
		})
}

// Rebuild empties the projection in steps, position first: what is left of old rows is never taken for covered, and
// Follow starts only once all are gone.
func (v auditView) Rebuild(ctx context.Context) error {
	v.db.follow.Lock()
	defer v.db.follow.Unlock()
	err := v.db.transact(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, "DELETE FROM projection WHERE log = ?", v.db.number); err != nil {
			return err
		}
		_, err := t.exec(ctx, "DELETE FROM hits WHERE pos >= ? AND pos < ?", position(v.db.number, 0), position(v.db.number+1, 0))
		return err
	})
	if err != nil {
		return fmt.Errorf("projection could not be emptied: %w", err)
	}
	return nil
}
