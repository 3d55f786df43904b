package store

import (
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
	"oncegate/canonical"
)

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

// scanHit reads a row and believes it.
func (db *DB) scanHit(rows *sql.Rows, h *hit) error {
	if err := h.scan(rows); err != nil {
		return err
	}
	return db.believe(h.mac, "hits", h.columns()...)
}

// rows is how many rows the record has. A leaf of the log's own has no use and one row, so that positions have no gap.
func (h *hit) rows() int64 { return max(h.uses, 1) }

// matches says in Go what statement says in SQL: of a page that is proven whole no row may be left to the database to choose.
func (h *hit) matches(q audit.Query) bool {
	same := func(want, got string) bool { return want == "" || want == got }
	return h.uses > 0 && periodOf(q.From, q.To).has(h.time) &&
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
