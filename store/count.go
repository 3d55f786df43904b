package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"oncegate/audit"
	"oncegate/canonical"
)

// Count counts uses by period, operation and decision in one reading of a complete range.
func (v auditView) Count(ctx context.Context, q audit.Query, at []time.Time) ([]audit.Period, error) {
	if len(at) < 2 {
		return nil, errors.New("a count is of one period at least")
	}
	all, err := v.count(ctx, q, at)
	if err != nil {
		return nil, fmt.Errorf("uses could not be counted: %w", v.doubt(err))
	}
	return all, nil
}

func (v auditView) count(ctx context.Context, q audit.Query, at []time.Time) ([]audit.Period, error) {
	q.From, q.To = at[0], at[len(at)-1]
	end, err := v.end(ctx, q.Covered)
	if err != nil {
		return nil, err
	}
	first, end, err := v.bounds(ctx, q, 0, end)
	if err != nil {
		return nil, err
	}
	times := make([]int64, len(at))
	for i, t := range at {
		times[i] = canonical.Micros(t)
	}
	tallies := make([]tally, len(at)-1)
	if err := v.scanComplete(ctx, first, end, func(h *hit) bool {
		if h.matches(q) {
			tallies[sort.Search(len(times), func(i int) bool { return times[i] > h.time })-1].add(h)
		}
		return true
	}); err != nil {
		return nil, err
	}
	out := make([]audit.Period, len(tallies))
	for i, t := range tallies {
		out[i] = audit.Period{Records: t.records, Counted: t.counted()}
	}
	return out, nil
}

// CountCases counts the cases that a system's calls of an operation were about, within a period that has begun lately: each once. It reads what
// search covers.
func (v auditView) CountCases(ctx context.Context, system, operation string, from, to time.Time) (int, error) {
	q := audit.Query{System: system, Operation: operation, From: from, To: to}
	end, err := v.end(ctx, 0)
	first := uint64(0)
	if err == nil {
		first, end, err = v.bounds(ctx, q, 0, end)
	}
	seen := make(map[string]struct{})
	if err == nil {
		err = v.scanComplete(ctx, first, end, func(h *hit) bool {
			if h.caseNo != "" && h.matches(q) {
				seen[h.caseNo] = struct{}{}
			}
			return true
		})
	}
	if err != nil {
		return 0, fmt.Errorf("cases could not be counted: %w", v.doubt(err))
	}
	return len(seen), nil
}

// A tally counts uses by operation and decision.
type tally struct {
	records int
	last    int64 // position of the record that was counted last, and 1
	all     map[[2]string]*counter
}

type counter struct{ uses, records, last int64 }

// add counts a row; rows of one record follow each other.
func (t *tally) add(h *hit) {
	key := [2]string{h.operation, h.decision}
	c := t.all[key]
	if c == nil {
		if t.all == nil {
			t.all = make(map[[2]string]*counter)
		}
		c = &counter{}
		t.all[key] = c
	}
	c.uses++
	if c.last != h.pos+1 {
		c.records, c.last = c.records+1, h.pos+1
	}
	if t.last != h.pos+1 {
		t.records, t.last = t.records+1, h.pos+1
	}
}

func (t tally) counted() (all []audit.Counted) {
	for key, c := range t.all {
		all = append(all, audit.Counted{Operation: key[0], Decision: key[1], Uses: int(c.uses), Records: int(c.records)})
	}
	slices.SortFunc(all, func(a, b audit.Counted) int {
		return slices.Compare([]string{a.Operation, a.Decision}, []string{b.Operation, b.Decision})
	})
	return all
}
