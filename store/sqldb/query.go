package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// One scans the single row of a query; found is false if there is none.
func One(ctx context.Context, q Querier, dest []any, text string, args ...any) (found bool, err error) {
	err = Each(ctx, q, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(dest...)
	}, text, args...)
	return found, err
}

// Each calls scan for every row of a query. It runs to the end, so that an error in the middle is never taken for the end.
func Each(ctx context.Context, q Querier, scan func(*sql.Rows) error, text string, args ...any) error {
	rows, err := q.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	return ScanAll(rows, scan)
}

// ScanAll is Each for rows that were asked for already.
func ScanAll(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("row could not be read: %w", err)
		}
	}
	return rows.Err()
}

// Values returns "(?,?),(?,?)" for rows of width columns.
func Values(rows, width int) string {
	row := "(" + Marks(width) + ")"
	return strings.Repeat(row+",", rows-1) + row
}

// Marks returns "?,?,?".
func Marks(n int) string {
	return strings.Repeat("?,", n-1) + "?"
}

// setSize is the greatest number of keys or rows in one statement.
const setSize = 128

// chunks cuts a list into pieces for one statement each. Their lengths are powers of two up to setSize: few texts, all
// of them prepared once.
func chunks[T any](all []T) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(all) > 0 {
			n := setSize
			for n > len(all) {
				n /= 2
			}
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// Padded cuts keys into pieces like chunks, but with the last key repeated to fill the last piece: reading a key twice
// is cheaper than another statement.
func Padded[T any](all []T) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for piece := range slices.Chunk(all, setSize) {
			n := 1
			for n < len(piece) {
				n *= 2
			}
			piece = slices.Clip(piece)
			for len(piece) < n {
				piece = append(piece, piece[len(piece)-1])
			}
			if !yield(piece) {
				return
			}
		}
	}
}

// ReadSet reads the rows of a set of keys in few statements: text(n) is the query for n keys, args are the columns of one.
func ReadSet[K comparable](ctx context.Context, q Querier, keys map[K]bool, text func(n int) string, args func(K) []any, scan func(*sql.Rows) error) error {
	if len(keys) == 0 {
		return nil
	}
	for piece := range Padded(slices.Collect(maps.Keys(keys))) {
		var all []any
		for _, k := range piece {
			all = append(all, args(k)...)
		}
		if err := Each(ctx, q, scan, text(len(piece)), all...); err != nil {
			return err
		}
	}
	return nil
}

// WriteSet is a bulk insert of rows of width columns: head, "VALUES (…),(…)", tail. args are the columns of one row.
func WriteSet[R any](ctx context.Context, q Querier, rows []R, head string, width int, tail string, args func(R) []any) error {
	for piece := range chunks(rows) {
		all := make([]any, 0, len(piece)*width)
		for _, r := range piece {
			all = append(all, args(r)...)
		}
		if _, err := q.Exec(ctx, head+" VALUES "+Values(len(piece), width)+tail, all...); err != nil {
			return err
		}
	}
	return nil
}

// In returns the text of a query for n keys: "… IN (?,?,?)".
func In(text string) func(int) string {
	return func(n int) string { return text + " IN (" + Marks(n) + ")" }
}

// Rest waits ratio times as long as it is since begun, so that work in steps leaves most of the database to others.
func Rest(ctx context.Context, begun time.Time, ratio time.Duration) error {
	timer := time.NewTimer(ratio * time.Since(begun))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
