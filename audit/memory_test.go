package audit_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/audit/audittest"
	"oncegate/cases"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// memory keeps a log and what is attached to its entries. The log's own part is tlogtest's; mu is its lock.
type memory struct {
	*tlogtest.Memory
	origin string

	mu    sync.Mutex
	state // replaced as a whole when a batch commits
}

type state struct {
	entries []audit.Entry
	claims  map[string]claim // by system and jti
	sets    map[string][]audit.File
	horizon time.Time
	covered int
}

type claim struct {
	index uint64
	exp   time.Time
}

func (s state) clone() state {
	s.entries, s.claims, s.sets = slices.Clone(s.entries), maps.Clone(s.claims), maps.Clone(s.sets)
	return s
}

var (
	_ audit.Storage = (*memory)(nil)
	_ tlog.Storage  = (*memory)(nil)
)

func newMemory(origin string) *memory {
	return &memory{Memory: new(tlogtest.Memory), origin: origin, state: state{claims: map[string]claim{}, sets: map[string][]audit.File{}}}
}

// Commit judges the entries and lets the log's part commit those that stay.
func (m *memory) Commit(ctx context.Context, b tlog.Batch) ([]error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.state.clone()
	verdicts, inner, positions := make([]error, len(b.Entries)), tlog.Batch{ID: b.ID}, []int{}
	for i, e := range b.Entries {
		entry, ok := e.Attached.(audit.Entry)
		if !ok && e.Attached != nil {
			verdicts[i] = errors.New("unknown attachment")
			continue
		}
		trial := next.clone()
		if verdicts[i] = trial.apply(entry); verdicts[i] != nil {
			continue
		}
		entry.Record = e.Leaf
		trial.entries = append(trial.entries, entry)
		next = trial
		inner.Entries, positions = append(inner.Entries, tlog.Entry{Leaf: e.Leaf}), append(positions, i)
	}
	if len(positions) == 0 {
		return verdicts, nil
	}
	inner.Integrate = func(head tlog.Head, r tlog.Reader, _ []int) (tlog.Update, error) {
		return b.Integrate(head, r, positions)
	}
	if _, err := m.Memory.Commit(ctx, inner); err != nil {
		return nil, err
	}
	m.state = next
	return verdicts, nil
}

func (s *state) apply(e audit.Entry) error {
	for _, change := range e.Changes {
		switch c := change.(type) {
		case audit.Claim:
			key := c.System + "\x00" + c.JTI
			if _, used := s.claims[key]; used || !c.Exp.After(s.horizon) {
				return fmt.Errorf("claim: %w", audit.ErrReplayed)
			}
			s.claims[key] = claim{uint64(len(s.entries)), c.Exp}
		case audit.PolicySet:
			s.sets[c.Digest] = c.Files
		default:
			return fmt.Errorf("unknown change %T", change)
		}
	}
	return nil
}

func (m *memory) Entry(_ context.Context, index uint64) ([]byte, []audit.Sealed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if index >= uint64(len(m.entries)) {
		return nil, nil, fs.ErrNotExist
	}
	return slices.Clone(m.entries[index].Record), slices.Clone(m.entries[index].Sealed), nil
}

func (m *memory) Search(_ context.Context, q audit.Query) (rows []audit.Row, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if uint64(m.covered) < q.Covered || q.Whole && uint64(m.covered) < q.Before {
		return nil, audit.ErrBehind
	}
	for i, e := range slices.Backward(m.entries[:m.covered]) {
		if len(rows) < q.Limit && (q.Before == 0 || uint64(i) < q.Before) && uint64(i) >= q.After && fits(q, e.Index) {
			rows = append(rows, audit.Row{Log: m.origin, Index: uint64(i), Leaf: e.Record})
		}
	}
	return rows, nil
}

func fits(q audit.Query, x audit.Index) bool {
	same := func(want, got string) bool { return want == "" || want == got }
	if !q.About.Has(x.Operation) {
		return false
	}
	if x.Time.Before(q.From) || !q.To.IsZero() && !x.Time.Before(q.To) ||
		!same(q.System, x.System) || !same(q.Operation, x.Operation) || !same(q.Operator, x.Operator) {
		return false
	}
	return q.Matter+q.Case+q.LicenseType+q.Holder+q.Decision == "" || slices.ContainsFunc(x.Uses, func(u audit.IndexUse) bool {
		return same(q.Matter, u.Matter) && same(q.Case, u.Case) && same(q.LicenseType, u.LicenseType) && same(q.Holder, u.Holder) && same(q.Decision, u.Decision)
	})
}

// Follow covers a few more records, so that callers must ask again.
func (m *memory) Follow(context.Context) (covered, size uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.covered = min(m.covered+7, len(m.entries))
	return uint64(m.covered), uint64(len(m.entries)), nil
}

func (m *memory) Rebuild(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.covered = 0
	return nil
}

func (m *memory) ByJTI(_ context.Context, system, jti string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.claims[system+"\x00"+jti]
	if !ok {
		return 0, fs.ErrNotExist
	}
	return c.index, nil
}

func (m *memory) PolicySet(_ context.Context, digest string) ([]audit.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	files, ok := m.sets[digest]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return files, nil
}

func (m *memory) Reuse(_ context.Context, from, to time.Time, matter string, covered uint64) (rates []audit.Reuse, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if uint64(m.covered) < covered {
		return nil, audit.ErrBehind
	}
	var all []cases.Judged
	for i, e := range m.entries[:m.covered] {
		for _, u := range e.Index.Uses {
			if fits(audit.Query{From: from, To: to}, e.Index) && (matter == "" || matter == u.Matter) {
				all = append(all, cases.Judged{Matter: u.Matter, Case: u.Case, Material: u.Material, Check: int64(i), Need: cases.Need(u.Need), State: cases.State(u.Decision)})
			}
		}
	}
	for _, r := range cases.TallyOf(all).Matters() {
		rates = append(rates, audit.Reuse(r))
	}
	return rates, nil
}

// CountCases is what Storage says.
func (m *memory) CountCases(_ context.Context, system, operation string, from, to time.Time) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := map[string]bool{}
	for _, e := range m.entries[:m.covered] {
		for _, u := range e.Index.Uses {
			if u.Case != "" && fits(audit.Query{System: system, Operation: operation, From: from, To: to}, e.Index) {
				seen[u.Case] = true
			}
		}
	}
	return len(seen), nil
}

// Count is what Storage says, put as plainly as can be.
func (m *memory) Count(_ context.Context, q audit.Query, at []time.Time) (periods []audit.Period, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if uint64(m.covered) < q.Covered {
		return nil, audit.ErrBehind
	}
	for i := range len(at) - 1 {
		q.From, q.To = at[i], at[i+1]
		var p audit.Period
		byKind := map[audit.Counted]*audit.Counted{}
		for _, e := range m.entries[:m.covered] {
			uses := e.Index.Uses
			if len(uses) == 0 {
				uses = []audit.IndexUse{{}}
			}
			fit, seen := false, map[audit.Counted]bool{}
			for _, u := range uses {
				one := e.Index
				one.Uses = []audit.IndexUse{u}
				if !fits(q, one) {
					continue
				}
				kind := audit.Counted{Operation: one.Operation, Decision: u.Decision}
				if byKind[kind] == nil {
					k := kind
					byKind[kind] = &k
				}
				byKind[kind].Uses++
				if !seen[kind] {
					byKind[kind].Records++
				}
				fit, seen[kind] = true, true
			}
			if fit {
				p.Records++
			}
		}
		for _, c := range byKind {
			p.Counted = append(p.Counted, *c)
		}
		slices.SortFunc(p.Counted, func(a, b audit.Counted) int {
			return strings.Compare(a.Operation+"\x00"+a.Decision, b.Operation+"\x00"+b.Decision)
		})
		periods = append(periods, p)
	}
	return periods, nil
}

func (m *memory) Erase(_ context.Context, index uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if index >= uint64(len(m.entries)) {
		return fs.ErrNotExist
	}
	m.erase(index)
	return nil
}

// erase reports whether there was something to erase.
func (m *memory) erase(index uint64) (done bool) {
	parts := slices.Clone(m.entries[index].Sealed)
	for i := range parts {
		if parts[i].Kind != audit.KindInputs && parts[i].Blob != nil {
			parts[i].Blob, done = nil, true
		}
	}
	m.entries[index].Sealed = parts
	return done
}

func (m *memory) EraseBefore(_ context.Context, t time.Time, limit int) (n int, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, e := range m.entries {
		if n < limit && e.Index.Time.Before(t) && m.erase(uint64(i)) {
			n++
		}
	}
	return n, nil
}

func (m *memory) Erasable(_ context.Context, t time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.entries {
		for _, part := range e.Sealed {
			if part.Kind != audit.KindInputs && part.Blob != nil && e.Index.Time.Before(t) {
				return true, nil
			}
		}
	}
	return false, nil
}

func (m *memory) Purge(_ context.Context, t time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t.After(m.horizon) {
		m.horizon = t
	}
	maps.DeleteFunc(m.claims, func(_ string, c claim) bool { return c.exp.Before(t) })
	return nil
}

func (m *memory) Horizon(context.Context) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.horizon, nil
}

// TestMemory proves the suite on a storage that is known to be right, and the storage on the suite.
func TestMemory(t *testing.T) {
	audittest.Test(t, func(t *testing.T) audittest.Bench {
		b := newBench(t)
		return audittest.Bench{Storage: b.storage, Append: func(ctx context.Context, e audit.Entry) (uint64, error) {
			receipt, err := b.log.Append(ctx, e.Record, e)
			return receipt.Index, err
		}}
	})
}
