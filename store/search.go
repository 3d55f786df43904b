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
	"oncegate/canonical"
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
		return nil, fmt.Errorf("search failed: %w", v.doubt(err))
	}
	found, err := v.leaves(ctx, positions)
	if err != nil {
		return nil, fmt.Errorf("search failed: %w", err)
	}
	return found, nil
}

// shortRange is how many records are read whole for any page of a search: some 20 ms.
const shortRange = 4096

// positions are where the records found stand, newest first. A page that must be whole is taken from a whole range; so is any that
// ends within a short one. Of others each row is believed, and whether one is missing is for CheckSearch to find.
func (v auditView) positions(ctx context.Context, q audit.Query) (all []int64, err error) {
	covered, err := v.end(ctx, q.Covered)
	if err != nil {
		return nil, err
	}
	from, to := q.After, covered
	if q.Before != 0 {
		to = min(q.Before, covered)
	}
	if q.Whole {
		if q.Before > covered { // the page before was of a projection that covered more
			return nil, audit.ErrBehind
		}
		if from, to, err = v.bounds(ctx, q, from, to); err != nil {
			return nil, err
		}
		return v.ofWhole(ctx, q, from, to)
	}
	if all, err = v.sought(ctx, q, to); err != nil {
		return nil, err
	}
	if len(all) == q.Limit {
		from = indexOf(all[len(all)-1])
	}
	if to-min(from, to) <= shortRange {
		return v.ofWhole(ctx, q, from, to)
	}
	return all, nil
}

// end is how many records a search looks at: those that its caller knows to be covered, or all that are.
func (v auditView) end(ctx context.Context, known uint64) (uint64, error) {
	if err := v.covers(ctx, v.db.search.read, known); err != nil || known > 0 {
		return known, err
	}
	p, err := v.projection(ctx, v.db.search.read)
	return p.size(), err
}

// ofWhole finds records by reading all rows of a range, as far back as the page goes.
func (v auditView) ofWhole(ctx context.Context, q audit.Query, from, to uint64) (all []int64, err error) {
	err = v.whole(ctx, from, to, func(h *hit) bool {
		last := int64(-1)
		if len(all) > 0 {
			last = all[len(all)-1]
		}
		if len(all) == q.Limit && h.pos != last { // the page's last record has all its rows
			return false
		}
		if h.pos != last && h.matches(q) {
			all = append(all, h.pos)
		}
		return true
	})
	return all, err
}

// sought asks the database's indexes. A record of which several uses match has several rows there: more are asked for until the page is
// full.
func (v auditView) sought(ctx context.Context, q audit.Query, to uint64) (all []int64, err error) {
	p := v.db.search.read
	for end := position(v.db.number, to); ; {
		text, args := v.statement(q, end)
		rows, err := p.db.QueryContext(ctx, p.dialect.rebind(text), args...) // too many texts to keep prepared
		if err != nil {
			return nil, p.dialect.explain(err)
		}
		var h hit
		n, last := 0, end
		err = scanAll(rows, func(rows *sql.Rows) error {
			if err := v.db.scanHit(rows, &h); err != nil {
				return err
			}
			if h.pos > last || h.pos < position(v.db.number, q.After) || h.uses > 0 && !h.matches(q) {
				return v.db.altered("hits", "an index is not of its table")
			}
			if n++; h.uses > 0 && h.pos != last {
				all = append(all, h.pos)
			}
			last = h.pos
			return nil
		})
		if err != nil {
			return nil, err
		}
		if n < q.Limit || len(all) >= q.Limit {
			return all[:min(len(all), q.Limit)], nil
		}
		end = last
	}
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
func (v auditView) statement(q audit.Query, end int64) (string, []any) {
	where, args := []string{"pos >= ?", "pos < ?"}, []any{position(v.db.number, q.After), end}
	if !q.From.IsZero() {
		where, args = append(where, "time >= ?"), append(args, canonical.Micros(q.From))
	}
	if !q.To.IsZero() {
		where, args = append(where, "time < ?"), append(args, canonical.Micros(q.To))
	}
	for _, c := range []struct{ column, value string }{
		{"system", q.System}, {"operator", q.Operator}, {"operation", q.Operation}, {"matter", q.Matter}, {"case_no", q.Case},
		{"license_type", q.LicenseType}, {"holder", q.Holder}, {"decision", q.Decision},
	} {
		if c.value != "" {
			where, args = append(where, c.column+" = ?"), append(args, c.value)
		}
	}
	return "SELECT " + hitColumns + " FROM hits WHERE " + strings.Join(where, " AND ") + " ORDER BY pos DESC LIMIT ?", append(args, q.Limit)
}

// Reuse streams the uses of the period, material by material, through the definition of the rate. The database puts them in that order; that
// they are those of a whole range, each once, shows in a sum that both readings have.
func (v auditView) Reuse(ctx context.Context, from, to time.Time, matter string, covered uint64) (all []audit.Reuse, err error) {
	var tally cases.Tally
	if err := v.reuse(ctx, from, to, matter, covered, &tally); err != nil {
		return nil, fmt.Errorf("reuse could not be counted: %w", v.doubt(err))
	}
	for _, r := range tally.Matters() {
		all = append(all, audit.Reuse(r))
	}
	return all, nil
}

func (v auditView) reuse(ctx context.Context, from, to time.Time, matter string, covered uint64, tally *cases.Tally) error {
	end, err := v.end(ctx, covered)
	if err != nil {
		return err
	}
	first, end, err := v.bounds(ctx, audit.Query{From: from, To: to}, 0, end)
	if err != nil {
		return err
	}
	var is, read sum
	within := periodOf(from, to)
	if err := v.whole(ctx, first, end, func(h *hit) bool {
		if h.reckoned(within, matter) {
			is.add(v.reckoning(h))
		}
		return true
	}); err != nil {
		return err
	}
	if err := each(ctx, v.db.search.read, func(rows *sql.Rows) error {
		var h hit
		if err := rows.Scan(&h.matter, &h.caseNo, &h.material, &h.pos, &h.n, &h.need, &h.decision); err != nil {
			return err
		}
		read.add(v.reckoning(&h))
		tally.Add(cases.Judged{Matter: h.matter, Case: h.caseNo, Material: h.material, Check: h.pos, Need: cases.Need(h.need), State: cases.State(h.decision)})
		return nil
	}, `SELECT matter, case_no, material, pos, n, need, decision FROM hits
		WHERE pos >= ? AND pos < ? AND time >= ? AND time < ? AND need IN (1, 3) AND (matter = ? OR ? = '') ORDER BY matter, case_no, material`,
		position(v.db.number, first), position(v.db.number, end), within.from, within.to, matter, matter); err != nil {
		return err
	}
	if is != read {
		if err := v.covers(ctx, v.db.search.read, end); err != nil { // it was begun anew meanwhile
			return err
		}
		return v.db.altered("hits", "rows were read that are not those of the table")
	}
	return nil
}

// reckoning is the weight of what the rate is made of.
func (v auditView) reckoning(h *hit) (w [32]byte) {
	withText("reuse", []any{h.matter, h.caseNo, h.material, h.pos, h.n, h.need, h.decision}, func(text []byte) { copy(w[:], v.db.config.Digest(text)) })
	return w
}
