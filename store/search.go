package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/store/sqldb"
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

// positions are those of the records found, newest first. A page that must be complete is taken from a complete range; so is any that
// ends within a short one. Of others each row is trusted, and whether one is missing is for CheckSearch to find.
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
	if all, err = v.searchIndexes(ctx, q, to); err != nil {
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
	err = v.scanComplete(ctx, from, to, func(h *hit) bool {
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

// searchIndexes asks the database's indexes. A record of which several uses match has several rows there: more are asked for until the page is
// full.
func (v auditView) searchIndexes(ctx context.Context, q audit.Query, to uint64) (all []int64, err error) {
	p := v.db.search.read
	for end := position(v.db.number, to); ; {
		text, args := v.statement(q, end)
		rows, err := p.QueryOnce(ctx, text, args...)
		if err != nil {
			return nil, err
		}
		var h hit
		n, last := 0, end
		err = sqldb.ScanAll(rows, func(rows *sql.Rows) error {
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
	err := sqldb.ReadSet(ctx, v.db.read, wanted, sqldb.In("SELECT pos, leaf FROM records WHERE pos"), func(pos int64) []any { return []any{pos} }, func(rows *sql.Rows) error {
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
	if q.About != audit.AnyRecord {
		not := ""
		if q.About == audit.NoInquiry {
			not = "NOT "
		}
		all := audit.Inquiries()
		where = append(where, "operation "+not+"IN (?"+strings.Repeat(", ?", len(all)-1)+")")
		for _, operation := range all {
			args = append(args, operation)
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
	if err := v.scanComplete(ctx, first, end, func(h *hit) bool {
		if h.reckoned(within, matter) {
			is.add(v.reckoning(h))
		}
		return true
	}); err != nil {
		return err
	}
	if err := sqldb.Each(ctx, v.db.search.read, func(rows *sql.Rows) error {
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

// A hit is one row of the projection: what search may find a record by, for one of its uses.
type hit struct {
	pos, n, uses, time          int64
	system, operation, operator string
	matter, caseNo, material    string
	need                        int64
	licenseType, decision       string
	holder                      string
	mac                         []byte
}

const (
	hitColumns = "pos, n, uses, time, system, operation, operator, matter, case_no, material, need, license_type, decision, holder, mac"
	hitWidth   = 15
)

// columns are what the tag is over, in the order of the table.
func (h *hit) columns() []any {
	return []any{h.pos, h.n, h.uses, h.time, h.system, h.operation, h.operator, h.matter, h.caseNo, h.material, h.need, h.licenseType, h.decision, h.holder}
}

// scan reads a row of hitColumns.
func (h *hit) scan(rows *sql.Rows) error {
	return rows.Scan(&h.pos, &h.n, &h.uses, &h.time, &h.system, &h.operation, &h.operator, &h.matter, &h.caseNo, &h.material, &h.need,
		&h.licenseType, &h.decision, &h.holder, &h.mac)
}

// scanHit reads a row and trusts it.
func (db *DB) scanHit(rows *sql.Rows, h *hit) error {
	if err := h.scan(rows); err != nil {
		return err
	}
	return db.authenticate(h.mac, "hits", h.columns()...)
}

// rows is how many rows the record has. A leaf of the log's own has no use and one row, so that positions have no gap.
func (h *hit) rows() int64 { return max(h.uses, 1) }

// matches says in Go what statement says in SQL: of a page that is proven complete no row may be left to the database to choose.
func (h *hit) matches(q audit.Query) bool {
	same := func(want, got string) bool { return want == "" || want == got }
	return h.uses > 0 && periodOf(q.From, q.To).has(h.time) && q.About.Has(h.operation) &&
		same(q.System, h.system) && same(q.Operator, h.operator) && same(q.Operation, h.operation) &&
		same(q.Matter, h.matter) && same(q.Case, h.caseNo) && same(q.LicenseType, h.licenseType) && same(q.Holder, h.holder) && same(q.Decision, h.decision)
}

// reckoned reports whether the row counts for the reuse rate of a matter, "" for all.
func (h *hit) reckoned(p period, matter string) bool {
	return (h.need == 1 || h.need == 3) && p.has(h.time) && (matter == "" || h.matter == matter)
}

// A period is from inclusive, to exclusive, in microseconds.
type period struct{ from, to int64 }

// periodOf is a period between two times, of which the zero time is no bound.
func periodOf(from, to time.Time) period {
	p := period{math.MinInt64, math.MaxInt64}
	if !from.IsZero() {
		p.from = canonical.Micros(from)
	}
	if !to.IsZero() {
		p.to = canonical.Micros(to)
	}
	return p
}

func (p period) has(time int64) bool { return p.from <= time && time < p.to }

// hitsOf makes the rows of a record, of its index as it is stored.
func hitsOf(pos, at int64, search []byte) ([]hit, error) {
	if len(search) == 0 {
		return []hit{{pos: pos, time: at}}, nil
	}
	var x audit.Index
	if err := json.Unmarshal(search, &x); err != nil {
		return nil, fmt.Errorf("index of record %d: %w", indexOf(pos), err)
	}
	record := hit{pos: pos, uses: int64(max(len(x.Uses), 1)), time: at, system: x.System, operation: x.Operation, operator: x.Operator}
	if len(x.Uses) == 0 {
		return []hit{record}, nil
	}
	all := make([]hit, len(x.Uses))
	for i, u := range x.Uses {
		h := record
		h.n, h.matter, h.caseNo, h.material, h.need = int64(i), u.Matter, u.Case, u.Material, int64(u.Need)
		h.licenseType, h.decision, h.holder = u.LicenseType, u.Decision, u.Holder
		all[i] = h
	}
	return all, nil
}

// A complete range of records is one in which every row of every record is there and authentic. Rows follow each other without a gap, so
// that reading all of them shows it. Only then is "nothing else was found" more than the word of the database: a row that
// is gone, an index that leaves it out and a view that hides it look alike to a query by its words.

// A range is read in steps, each a transaction of its own: rows do not change, and a long transaction would keep SQLite's write-ahead
// log from being begun anew. The first step is small, since a page is often found in it.
const (
	firstStep = 1 << 10 // records
	maxStep   = 1 << 16
)

// errStop ends a scan early.
var errStop = errors.New("no more rows are wanted")

// scanComplete reads all rows of the records from from up to to, newest first, and proves that the range is complete as far as it was read: visit,
// which may be nil, ends it by returning false. It may not keep the row. It takes the same memory for any range.
func (v auditView) scanComplete(ctx context.Context, from, to uint64, visit func(h *hit) (more bool)) error {
	for step := uint64(firstStep); from < to; step = min(2*step, maxStep) {
		start := max(from, to-min(step, to))
		if more, err := v.scanStep(ctx, start, to, visit); err != nil || !more {
			return err
		}
		to = start
	}
	return nil
}

func (v auditView) scanStep(ctx context.Context, from, to uint64, visit func(h *hit) (more bool)) (more bool, err error) {
	err = v.db.search.read.Snapshot(ctx, func(ctx context.Context, q sqldb.Querier) error {
		if err := v.covers(ctx, q, to); err != nil { // rows that are gone because another node began anew are no gap
			return err
		}
		var h hit
		next := gapless{pos: position(v.db.number, to) - 1}
		if err := sqldb.Each(ctx, q, func(rows *sql.Rows) error {
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
func (v auditView) covers(ctx context.Context, q sqldb.Querier, size uint64) error {
	if v.db.search.stale.Load() {
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
	err = sqldb.Each(ctx, v.db.search.read, func(rows *sql.Rows) error {
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

// CheckSearch reads the whole search projection, in steps with rests, and proves that it is complete. Where it is not, the error is ErrAltered: then
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
		begun, start := time.Now(), to-min(maxStep, to)
		if _, err := v.scanStep(ctx, start, to, nil); err != nil {
			return err
		}
		if to = start; progress != nil {
			progress(p.size() - to)
		}
		if to > 0 {
			if err := sqldb.Rest(ctx, begun, checkRest); err != nil {
				return err
			}
		}
	}
	return nil
}

// doubt makes sure that what was found altered is searched no more, until it is made anew.
func (v auditView) doubt(err error) error {
	if isAltered(err) {
		v.db.search.stale.Store(true)
	}
	return err
}
