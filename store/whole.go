package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"oncegate/audit"
	"oncegate/canonical"
)

// A whole range of records is one in which every row of every record is there and is believed. Rows follow each other without a gap, so
// that reading all of them shows it. Only then is "nothing else was found" more than the word of the database: a row that
// is gone, an index that leaves it out and a view that hides it look alike to a query by its words.

// A range is read in steps, each a transaction of its own: rows do not change, and a long transaction would keep SQLite's write-ahead
// log from being begun anew. The first step is small, since a page is often found in it.
const (
	firstStep = 1 << 10 // records
	wholeStep = 1 << 16
)

// errStop ends a scan early.
var errStop = errors.New("no more rows are wanted")

// whole reads all rows of the records from from up to to, newest first, and proves that the range is whole as far as it was read: visit,
// which may be nil, ends it by returning false. It may not keep the row. It takes the same memory for any range.
func (v auditView) whole(ctx context.Context, from, to uint64, visit func(h *hit) (more bool)) error {
	for step := uint64(firstStep); from < to; step = min(2*step, wholeStep) {
		start := max(from, to-min(step, to))
		if more, err := v.wholeStep(ctx, start, to, visit); err != nil || !more {
			return err
		}
		to = start
	}
	return nil
}

func (v auditView) wholeStep(ctx context.Context, from, to uint64, visit func(h *hit) (more bool)) (more bool, err error) {
	err = atOnce(ctx, v.db.search.read, func(ctx context.Context, q querier) error {
		if err := v.covers(ctx, q, to); err != nil { // rows that are gone because another node began anew are no gap
			return err
		}
		var h hit
		next := gapless{pos: position(v.db.number, to) - 1}
		if err := each(ctx, q, func(rows *sql.Rows) error {
			if err := v.db.scanHit(rows, &h); err != nil {
				return err
			}
			if !next.is(&h) {
				return v.db.altered("hits", "a row is missing")
			}
			if visit != nil && !visit(&h) {
				return errStop
			}
			return nil
		}, "SELECT "+hitColumns+" FROM hits WHERE pos >= ? AND pos < ? ORDER BY pos DESC, n DESC", position(v.db.number, from), position(v.db.number, to)); err != nil {
			return err
		}
		if next != (gapless{pos: position(v.db.number, from) - 1}) {
			return v.db.altered("hits", "a row is missing")
		}
		return nil
	})
	if errors.Is(err, errStop) {
		return false, nil
	}
	return err == nil, err
}

// covers proves that the projection covers so many records, or returns audit.ErrBehind: it has been begun anew.
func (v auditView) covers(ctx context.Context, q querier, size uint64) error {
	if v.db.search.doubted.Load() {
		return audit.ErrBehind
	}
	p, err := v.projection(ctx, q)
	if err == nil && p.size() < size {
		err = audit.ErrBehind
	}
	return err
}

// A gapless is which row comes next, where rows are read newest first: any of position pos that is its record's last, or, within a
// record of so many rows, the one before row n.
type gapless struct{ pos, n, rows int64 }

func (g *gapless) is(h *hit) bool {
	if g.rows == 0 { // the first of a record
		g.n, g.rows = h.rows(), h.rows()
	}
	if h.pos != g.pos || h.rows() != g.rows || h.n != g.n-1 {
		return false
	}
	if g.n--; g.n == 0 {
		*g = gapless{pos: g.pos - 1}
	}
	return true
}

// A record's time is taken when its call comes, and it is committed within the call's time, so that times follow the order of the log to within
// minutes. A clock that jumps back further, and nodes whose clocks are that far apart, break it: the threat model says so.
const timeSlack = time.Hour

// bounds narrows a range to the records that may be of a period: those before one whose time is more than timeSlack before the period,
// and those from one on whose time is more than timeSlack after it, are not. The rows that say so are found by binary search, and each
// proves its bound by itself, however it was found: what the database does with the search can make the range too long only.
func (v auditView) bounds(ctx context.Context, period audit.Query, from, to uint64) (uint64, uint64, error) {
	if !period.From.IsZero() {
		early := canonical.Micros(period.From.Add(-timeSlack))
		for end := to; from < end; {
			middle := from + (end-from)/2
			h, err := v.timed(ctx, middle, to)
			switch {
			case err != nil:
				return 0, 0, err
			case h == nil || h.time >= early:
				end = middle
			default:
				from = indexOf(h.pos) + 1
			}
		}
	}
	if !period.To.IsZero() {
		late := canonical.Micros(period.To.Add(timeSlack))
		for start, end := from, to; start < end; {
			middle := start + (end-start)/2
			h, err := v.timed(ctx, middle, to)
			switch {
			case err != nil:
				return 0, 0, err
			case h == nil: // nothing behind says its time
				end = middle
			case h.time > late:
				to, end = indexOf(h.pos), middle
			default:
				start = indexOf(h.pos) + 1
			}
		}
	}
	return from, max(from, to), nil
}

// timed returns a row of the first record from at on that says its time, nil if there is none before to.
func (v auditView) timed(ctx context.Context, at, to uint64) (found *hit, err error) {
	err = each(ctx, v.db.search.read, func(rows *sql.Rows) error {
		found = &hit{}
		return v.db.scanHit(rows, found)
	}, "SELECT "+hitColumns+" FROM hits WHERE pos >= ? AND pos < ? AND time <> 0 ORDER BY pos, n LIMIT 1", position(v.db.number, at), position(v.db.number, to))
	if err == nil && found != nil && (indexOf(found.pos) < at || indexOf(found.pos) >= to) {
		err = v.db.altered("hits", "a row was moved")
	}
	return found, err
}

// checkRest is how much longer than it worked a check of search rests between two steps.
const checkRest = 1

// CheckSearch reads all that search has, in steps with rests, and proves that it is whole. Where it is not, the error is ErrAltered: then
// nothing of it is searched any more, and the next Follow begins it anew. It runs beside everything else. progress may be nil.
func (db *DB) CheckSearch(ctx context.Context, progress func(records uint64)) error {
	v := auditView{db}
	err := v.check(ctx, progress)
	if errors.Is(err, audit.ErrBehind) { // it is being made anew
		return nil
	}
	if err != nil {
		return fmt.Errorf("search could not be checked: %w", v.doubt(err))
	}
	return nil
}

func (v auditView) check(ctx context.Context, progress func(records uint64)) error {
	p, err := v.projection(ctx, v.db.search.read)
	if err != nil {
		return err
	}
	for to := p.size(); to > 0; {
		begun, start := time.Now(), to-min(wholeStep, to)
		if _, err := v.wholeStep(ctx, start, to, nil); err != nil {
			return err
		}
		if to = start; progress != nil {
			progress(p.size() - to)
		}
		if to > 0 {
			if err := rest(ctx, begun, checkRest); err != nil {
				return err
			}
		}
	}
	return nil
}

// doubt makes sure that what was found altered is searched no more, until it is made anew.
func (v auditView) doubt(err error) error {
	if isAltered(err) {
		v.db.search.doubted.Store(true)
	}
	return err
}
