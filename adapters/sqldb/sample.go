package sqldb

import (
	"context"

	"oncegate/adapters/mapping"
	"oncegate/license"
)

// Sample returns the first n holders that the query's holders statement lists, each once, to try the source with. The error is a
// *license.SourceError, or mapping.ErrNoSample where the query has no such statement.
func (s *Source) Sample(ctx context.Context, licenseType string, n int) ([]license.HolderID, error) {
	q, ok := s.queries[licenseType]
	if !ok || q.holders == "" {
		return nil, mapping.ErrNoSample
	}
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, ended(ctx, failed(err, ""))
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(ctx, q.holders)
	if err != nil {
		return nil, ended(ctx, failed(err, q.holders))
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil || len(columns) > 2 {
		return nil, &license.SourceError{Cause: license.BadAnswer, Detail: "the holders statement must have one or two columns: code and type"}
	}
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, failed(err, q.holders)
	}
	cells, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range cells {
		into[i] = &cells[i]
	}
	var list []license.HolderID
	seen := make(map[license.HolderID]bool, n)
	for row := 1; len(list) < n && rows.Next(); row++ {
		if err := rows.Scan(into...); err != nil {
			return nil, failed(err, q.holders)
		}
		texts := make([]string, 2)
		for i := range cells {
			if texts[i], err = s.engine.text(cells[i], types, i); err != nil {
				return nil, &license.SourceError{Cause: license.BadValue, Row: row, Name: columns[i], Detail: err.Error()}
			}
		}
		h, err := q.plan.Holder(texts[0], texts[1])
		if err != nil {
			return nil, &license.SourceError{Cause: license.UnlistedCode, Row: row, Name: columns[len(columns)-1], Detail: err.Error()}
		}
		if !seen[h] {
			seen[h] = true
			list = append(list, h)
		}
	}
	if err := rows.Err(); err != nil && len(list) < n {
		return nil, ended(ctx, failed(err, q.holders))
	}
	return list, nil
}
