package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
)

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

// padded cuts keys into pieces like chunks, but with the last key repeated to fill the last piece: reading a key twice
// is cheaper than another statement.
func padded[T any](all []T) func(yield func([]T) bool) {
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

// readSet runs text(n) for the keys, n at a time, and scans every row.
func readSet[K comparable](ctx context.Context, q querier, keys map[K]bool, text func(n int) string, args func(K) []any, scan func(*sql.Rows) error) error {
	if len(keys) == 0 {
		return nil
	}
	for piece := range padded(slices.Collect(maps.Keys(keys))) {
		var all []any
		for _, k := range piece {
			all = append(all, args(k)...)
		}
		if err := each(ctx, q, scan, text(len(piece)), all...); err != nil {
			return err
		}
	}
	return nil
}

// writeSet inserts rows of width columns, many in one statement: head, "VALUES (…),(…)", tail.
func writeSet[R any](ctx context.Context, q querier, rows []R, head string, width int, tail string, args func(R) []any) error {
	for piece := range chunks(rows) {
		all := make([]any, 0, len(piece)*width)
		for _, r := range piece {
			all = append(all, args(r)...)
		}
		if _, err := q.exec(ctx, head+" VALUES "+values(len(piece), width)+tail, all...); err != nil {
			return err
		}
	}
	return nil
}

func text1(k string) []any    { return []any{k} }
func bytes1(k [32]byte) []any { return []any{k[:]} }
func in(text string) func(int) string {
	return func(n int) string { return text + " IN (" + marks(n) + ")" }
}
