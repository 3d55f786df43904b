package audit_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/license"
	"oncegate/tlog"
)

// A scripted storage and view answer what they are told to, and count.
type scripted struct {
	audit.Storage
	covered  []uint64 // what Follow covers, one after the other; the last again and again
	followed int
	fails    int    // which Follow fails; 0: none
	failing  uint64 // what that says it covers all the same
	sizes    []uint64
	proven   int // calls without leaves
	unproven int // which of them fails; 0: none
	leaves   error
	rows     []audit.Row
	queries  []audit.Query
	reuse    error
}

var errScript = errors.New("failed by the test")

func (s *scripted) Follow(context.Context) (covered, size uint64, err error) {
	s.followed++
	if s.followed == s.fails {
		return s.failing, s.failing, errScript
	}
	return s.covered[min(s.followed, len(s.covered))-1], 0, nil
}

func (s *scripted) Prove(_ context.Context, leaves []tlog.Leaf) (tlog.Checkpoint, error) {
	if leaves != nil {
		return tlog.Checkpoint{Origin: origin}, s.leaves
	}
	s.proven++
	if s.proven == s.unproven {
		return tlog.Checkpoint{}, errScript
	}
	return tlog.Checkpoint{Origin: origin, Size: s.sizes[min(s.proven, len(s.sizes))-1]}, nil
}

func (s *scripted) Search(_ context.Context, q audit.Query) ([]audit.Row, error) {
	s.queries = append(s.queries, q)
	return slices.Clone(s.rows), nil
}

func (s *scripted) Reuse(context.Context, time.Time, time.Time, string, uint64) ([]audit.Reuse, error) {
	return []audit.Reuse{{Matter: "food"}}, s.reuse
}

func (s *scripted) auditor(t *testing.T, keys ...[]byte) *audit.Auditor {
	t.Helper()
	config := newBench(t).config
	config.Storage, config.View = s, s
	config.IndexKeys = append(config.IndexKeys, keys...)
	a, err := audit.NewAuditor(config)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestCatchUp: a search waits until the projection covers what the log had when it began, and no longer; what was appended meanwhile is no
// lie of the projection, and more than the log has is one.
func TestCatchUp(t *testing.T) {
	for name, c := range map[string]struct {
		script           scripted
		covered, size    uint64
		followed, proven int
		err              error
		behind           bool // the reuse rate has not all
	}{
		"covers all":                    {script: scripted{covered: []uint64{5}, sizes: []uint64{5}}, covered: 5, size: 5, followed: 1, proven: 1},
		"comes to cover all":            {script: scripted{covered: []uint64{2, 4, 5}, sizes: []uint64{5}}, covered: 5, size: 5, followed: 3, proven: 1},
		"never does":                    {script: scripted{covered: []uint64{4}, sizes: []uint64{5}}, covered: 4, size: 5, followed: 64, proven: 1, behind: true},
		"the log grows":                 {script: scripted{covered: []uint64{7}, sizes: []uint64{5, 7}}, covered: 7, size: 7, followed: 1, proven: 2},
		"the log grows on":              {script: scripted{covered: []uint64{7}, sizes: []uint64{5, 9}}, covered: 7, size: 7, followed: 1, proven: 2},
		"covers more than there is":     {script: scripted{covered: []uint64{7}, sizes: []uint64{5, 6}}, followed: 1, proven: 2, err: tlog.ErrUnproven},
		"cannot follow":                 {script: scripted{covered: []uint64{7}, sizes: []uint64{5}, fails: 1}, followed: 1, proven: 1, err: errScript},
		"cannot follow, and lies":       {script: scripted{covered: []uint64{7}, sizes: []uint64{5}, fails: 1, failing: 99}, followed: 1, proven: 1, err: errScript},
		"cannot follow on":              {script: scripted{covered: []uint64{2, 7}, sizes: []uint64{5}, fails: 2}, followed: 2, proven: 1, err: errScript},
		"the head cannot be read":       {script: scripted{covered: []uint64{5}, sizes: []uint64{5}, unproven: 1}, proven: 1, err: errScript},
		"the head cannot be read again": {script: scripted{covered: []uint64{7}, sizes: []uint64{5}, unproven: 2}, followed: 1, proven: 2, err: errScript},
	} {
		s := c.script
		page, err := s.auditor(t).Search(t.Context(), audit.Ask{})
		if !errors.Is(err, c.err) || c.err == errScript && errors.Is(err, tlog.ErrUnproven) {
			t.Errorf("%s: %v", name, err)
		}
		if page.Covered != c.covered || page.Size != c.size || s.followed != c.followed || s.proven != c.proven {
			t.Errorf("%s: %d of %d, asked to follow %d times and to prove %d times", name, page.Covered, page.Size, s.followed, s.proven)
		}
		s = c.script
		rates, err := s.auditor(t).Reuse(t.Context(), noon, noon, "")
		switch {
		case c.err != nil && (!errors.Is(err, c.err) || errors.Is(err, audit.ErrBehind)), c.behind && !errors.Is(err, audit.ErrBehind), (c.err == nil && !c.behind) != (len(rates) == 1 && err == nil):
			t.Errorf("%s: rates %v, %v", name, rates, err)
		}
	}
	s := scripted{covered: []uint64{5}, sizes: []uint64{5}, reuse: errScript}
	if _, err := s.auditor(t).Reuse(t.Context(), noon, noon, ""); !errors.Is(err, errScript) {
		t.Errorf("rates that cannot be counted: %v", err)
	}
}

// TestQueries: one for each key where persons are asked for, one for each key and one more where a case is, else one.
func TestQueries(t *testing.T) {
	for name, c := range map[string]struct {
		ask  audit.Ask
		want int
	}{
		"all":      {audit.Ask{}, 1},
		"a matter": {audit.Ask{Matter: "food"}, 1},
		"holder":   {audit.Ask{Holder: company}, 2},
		"operator": {audit.Ask{Operator: "clerk-7"}, 2},
		"case":     {audit.Ask{Case: "c-1"}, 3},
		"both":     {audit.Ask{Case: "c-1", Holder: company}, 4},
	} {
		s := scripted{covered: []uint64{5}, sizes: []uint64{5}}
		if _, err := s.auditor(t, block(9)).Search(t.Context(), c.ask); err != nil || len(s.queries) != c.want {
			t.Errorf("%s: %d queries, want %d, %v", name, len(s.queries), c.want, err)
		}
		for i, q := range s.queries {
			if slices.Contains(s.queries[:i], q) {
				t.Errorf("%s: query %+v twice", name, q)
			}
		}
	}
	for name, ask := range map[string]audit.Ask{"holder": {Holder: license.HolderID{Type: "111", Code: "\xff"}}, "operator": {Operator: "\xff"}, "case": {Case: "\xff"}} {
		s := scripted{covered: []uint64{5}, sizes: []uint64{5}}
		if page, err := s.auditor(t).Search(t.Context(), ask); err == nil || len(s.queries) > 0 {
			t.Errorf("%s that is no text: %+v, %v", name, page, err)
		}
	}
}

// TestRowsOfTwoQueries: a record that two queries find is found once, in its place; one of another log is not taken for it.
func TestRowsOfTwoQueries(t *testing.T) {
	s := scripted{covered: []uint64{5}, sizes: []uint64{5}, rows: []audit.Row{{Log: origin, Index: 4}, {Log: origin, Index: 2}}}
	page, err := s.auditor(t, block(9)).Search(t.Context(), audit.Ask{Holder: company})
	if err != nil || len(page.Found) != 2 || page.Found[0].Index != 4 || page.Found[1].Index != 2 {
		t.Errorf("%+v, %v", page.Found, err)
	}
	s.rows = []audit.Row{{Log: origin, Index: 4}, {Log: "other.example/log", Index: 4}}
	if page, err := s.auditor(t).Search(t.Context(), audit.Ask{}); !errors.Is(err, tlog.ErrUnproven) {
		t.Errorf("another log's: %+v, %v", page.Found, err)
	}
	s.leaves = errScript
	if page, err := s.auditor(t).Search(t.Context(), audit.Ask{}); !errors.Is(err, errScript) || errors.Is(err, tlog.ErrUnproven) {
		t.Errorf("leaves that cannot be proven now: %+v, %v", page.Found, err)
	}
}

// TestWholePagesEnd: a page that is proven whole takes a slice at least, however long that takes.
func TestWholePagesEnd(t *testing.T) {
	s := scripted{covered: []uint64{50}, sizes: []uint64{50}}
	a := s.auditor(t)
	a.InSlices(10, 0)
	page, err := a.Search(t.Context(), audit.Ask{Whole: true})
	if err != nil || page.Next != 40 || len(s.queries) != 1 || s.queries[0].Before != 50 || s.queries[0].After != 40 {
		t.Errorf("next %d, asked for %+v, %v", page.Next, s.queries, err)
	}
	a.InSlices(10, time.Hour)
	s.queries = nil
	if page, err := a.Search(t.Context(), audit.Ask{Whole: true}); err != nil || page.Next != 0 || len(s.queries) != 5 {
		t.Errorf("with time for all: next %d, %d slices, %v", page.Next, len(s.queries), err)
	}
	a.InSlices(10, 0)
	s.rows = []audit.Row{{Log: origin, Index: 35}}
	if page, err := a.Search(t.Context(), audit.Ask{Whole: true, Before: 40}); err != nil || page.Next != 30 || len(page.Found) != 1 {
		t.Errorf("next %d, found %+v, %v", page.Next, page.Found, err)
	}
}

// A record without a policy set is replayed without one.
func TestReplayWithoutPolicy(t *testing.T) {
	b := newBench(t)
	own, err := b.recorder.RecordOwn(t.Context(), audit.Own{Operation: "limit.exceeded", Inputs: 5})
	if err != nil {
		t.Fatal(err)
	}
	replay, err := b.auditor.Replay(t.Context(), own.Index)
	if err != nil || replay.Policy != nil || string(replay.Inputs) != "5" {
		t.Errorf("%+v, %v", replay, err)
	}
	if _, err := b.auditor.Replay(t.Context(), own.Index+1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such record: %v", err)
	}
}
