package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"oncegate/audit"
	"oncegate/cases"
)

// Search asks the projection for positions, newest first, and reads the leaves. All conditions stand on one row of the
// projection, so they hold for one and the same use.
func (v auditView) Search(ctx context.Context, q audit.Query) ([]audit.Row, error) {
	if q.Limit < 1 || q.Limit > 1000 {
		return nil, errors.New("limit of a search is from 1 to 1000")
	}
	positions, err := v.positions(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("search failed: %w", err)
	}
	found, err := v.leaves(ctx, positions)
	if err != nil {
		return nil, fmt.Errorf("search failed: %w", err)
	}
	return found, nil
}

// positions are where the records found stand, newest first.
func (v auditView) positions(ctx context.Context, q audit.Query) (all []int64, err error) {
	covered, err := v.covered(ctx)
	if err != nil {
		return nil, err
	}
	p := v.db.search.read
	text, args := v.statement(q, covered)
	rows, err := p.db.QueryContext(ctx, p.dialect.rebind(text), args...) // too many texts to keep prepared
	if err != nil {
		return nil, p.dialect.explain(err)
	}
	err = scanAll(rows, func(rows *sql.Rows) error {
		var pos int64
		err := rows.Scan(&pos)
		all = append(all, pos)
		return err
	})
	return all, err
}

// leaves reads the records at positions, in their order.
func (v auditView) leaves(ctx context.Context, positions []int64) ([]audit.Row, error) {
	wanted, leaves := make(map[int64]bool, len(positions)), make(map[int64][]byte, len(positions))
	for _, pos := range positions {
		wanted[pos] = true
	}
	err := readSet(ctx, v.db.read, wanted, in("SELECT pos, leaf FROM records WHERE pos"), func(pos int64) []any { return []any{pos} }, func(rows *sql.Rows) error {
		var pos int64
		var leaf []byte
		err := rows.Scan(&pos, &leaf)
		leaves[pos] = leaf
		return err
	})
	if err != nil {
		return nil, err
	}
	var found []audit.Row
	for _, pos := range positions {
		leaf, ok := leaves[pos]
		if !ok {
			return nil, fmt.Errorf("record %d: %w", indexOf(pos), fs.ErrNotExist)
		}
		found = append(found, audit.Row{Log: v.db.config.Log, Index: indexOf(pos), Leaf: leaf})
	}
	return found, nil
}

// statement returns the query as SQL with its arguments; only column names stand in the text.
func (v auditView) statement(q audit.Query, covered uint64) (string, []any) {
	end := position(v.db.number, covered)
	if q.Before != 0 && q.Before < covered {
		end = position(v.db.number, q.Before)
	}
	where, args := []string{"pos >= ?", "pos < ?"}, []any{position(v.db.number, 0), end}
	if !q.From.IsZero() {
		where, args = append(where, "time >= ?"), append(args, micros(q.From))
	}
	if !q.To.IsZero() {
		where, args = append(where, "time < ?"), append(args, micros(q.To))
	}
	for _, c := range []struct{ column, value string }{
		{"system", q.System}, {"operator", q.Operator}, {"operation", q.Operation}, {"matter", q.Matter}, {"case_no", q.Case},
		{"license_type", q.LicenseType}, {"holder", q.Holder}, {"decision", q.Decision},
	} {
		if c.value != "" {
			where, args = append(where, c.column+" = ?"), append(args, c.value)
		}
	}
	return "SELECT DISTINCT pos FROM hits WHERE " + strings.Join(where, " AND ") + " ORDER BY pos DESC LIMIT ?", append(args, q.Limit)
}

// Reuse streams the uses of the period, material by material, through the definition of the rate.
func (v auditView) Reuse(ctx context.Context, from, to time.Time, matter string) (all []audit.Reuse, err error) {
	covered, err := v.covered(ctx)
	if err != nil {
		return nil, fmt.Errorf("reuse could not be counted: %w", err)
	}
	var tally cases.Tally
	err = each(ctx, v.db.search.read, func(rows *sql.Rows) error {
		var j cases.Judged
		err := rows.Scan(&j.Matter, &j.Case, &j.Material, &j.Check, &j.Need, &j.State)
		tally.Add(j)
		return err
	}, `SELECT matter, case_no, material, pos, need, decision FROM hits
		WHERE pos >= ? AND pos < ? AND time >= ? AND time < ? AND need IN (1, 3) AND (matter = ? OR ? = '') ORDER BY matter, case_no, material`,
		position(v.db.number, 0), position(v.db.number, covered), micros(from), micros(to), matter, matter)
	if err != nil {
		return nil, fmt.Errorf("reuse could not be counted: %w", err)
	}
	for _, r := range tally.Matters() {
		all = append(all, audit.Reuse(r))
	}
	return all, nil
}
