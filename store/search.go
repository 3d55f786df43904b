package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"oncegate/audit"
)

// Search asks the projection for positions, newest first, and joins the leaves. All conditions stand on one row of the
// projection, so they hold for one and the same use.
func (v auditView) Search(ctx context.Context, q audit.Query) ([]audit.Row, error) {
	if q.Limit < 1 || q.Limit > 1000 {
		return nil, errors.New("limit of a search is from 1 to 1000")
	}
	covered, err := v.covered(ctx)
	if err != nil {
		return nil, fmt.Errorf("search failed: %w", err)
	}
	where, args := v.conditions(q, covered)
	text := "SELECT pos, leaf FROM records WHERE pos IN (SELECT DISTINCT pos FROM hits WHERE " + where + " ORDER BY pos DESC LIMIT ?) ORDER BY pos DESC"
	rows, err := v.db.read.db.QueryContext(ctx, v.db.read.dialect.rebind(text), append(args, q.Limit)...) // too many texts to keep prepared
	if err != nil {
		return nil, fmt.Errorf("search failed: %w", v.db.read.dialect.explain(err))
	}
	var found []audit.Row
	err = scanAll(rows, func(rows *sql.Rows) error {
		row := audit.Row{Log: v.db.config.Log}
		var pos int64
		err := rows.Scan(&pos, &row.Leaf)
		row.Index = indexOf(pos)
		found = append(found, row)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("search failed: %w", err)
	}
	return found, nil
}

// conditions returns the query as SQL with its arguments; only column names stand in the text.
func (v auditView) conditions(q audit.Query, covered uint64) (string, []any) {
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
	return strings.Join(where, " AND "), args
}

// Reuse counts the last use of every material of every case in the period.
func (v auditView) Reuse(ctx context.Context, from, to time.Time, matter string) (all []audit.Reuse, err error) {
	covered, err := v.covered(ctx)
	if err != nil {
		return nil, fmt.Errorf("reuse could not be counted: %w", err)
	}
	err = each(ctx, v.db.read, func(rows *sql.Rows) error {
		var r audit.Reuse
		err := rows.Scan(&r.Matter, &r.Numerator, &r.Denominator)
		all = append(all, r)
		return err
	}, `SELECT matter, sum(CASE WHEN decision = 'met' THEN 1 ELSE 0 END), count(*) FROM (
			SELECT matter, decision, row_number() OVER (PARTITION BY case_no, matter, material ORDER BY pos DESC, n DESC) AS nth
			FROM hits WHERE pos >= ? AND pos < ? AND time >= ? AND time < ? AND need IN (1, 3) AND (matter = ? OR ? = '')
		) AS last WHERE nth = 1 GROUP BY matter ORDER BY matter`,
		position(v.db.number, 0), position(v.db.number, covered), micros(from), micros(to), matter, matter)
	if err != nil {
		return nil, fmt.Errorf("reuse could not be counted: %w", err)
	}
	return all, nil
}
