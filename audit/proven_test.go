package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"oncegate/audit"
	"oncegate/tlog"
)

// A lying storage answers as a database does that somebody without a key wrote to.
type lying struct {
	*memory
	entry  func(index uint64) ([]byte, []audit.Sealed, error) // nil: as it is
	search func([]audit.Row) ([]audit.Row, error)
	covers uint64
}

func (l *lying) Entry(ctx context.Context, index uint64) ([]byte, []audit.Sealed, error) {
	if l.entry != nil {
		return l.entry(index)
	}
	return l.memory.Entry(ctx, index)
}

func (l *lying) Search(ctx context.Context, q audit.Query) ([]audit.Row, error) {
	rows, err := l.memory.Search(ctx, q)
	if err == nil && l.search != nil {
		return l.search(rows)
	}
	return rows, err
}

func (l *lying) Follow(ctx context.Context) (covered, size uint64, err error) {
	covered, size, err = l.memory.Follow(ctx)
	return max(covered, l.covers), size, err
}

// A leaf that is not proven to be in the log is read as no record, by nobody: what was found, opened or replayed beside it is dropped, and
// the error says that it is not proven, never that there is no such record.
func TestUnprovenIsNotRead(t *testing.T) {
	none := func(uint64) ([]byte, []audit.Sealed, error) { return nil, nil, fs.ErrNotExist }
	for name, test := range map[string]struct {
		do       func(l *lying)
		search   bool // fails too
		evidence bool
	}{
		"a record of other words": {func(l *lying) {
			l.entries[3].Record = bytes.Replace(l.entries[3].Record, []byte(`"window"`), []byte(`"mirror"`), 1)
		}, true, true},
		"no record":        {func(l *lying) { l.entries[3].Record = []byte("{}") }, true, true},
		"nothing":          {func(l *lying) { l.entries[3].Record = nil }, true, true},
		"another's record": {func(l *lying) { l.entries[3] = l.entries[4] }, true, true},
		"removed":          {func(l *lying) { l.entry = none }, false, true},
		"removed, and search knows it": {func(l *lying) {
			l.search = func([]audit.Row) ([]audit.Row, error) { return nil, fmt.Errorf("record 3: %w", fs.ErrNotExist) }
		}, true, false},
		"found at another place": {func(l *lying) {
			l.search = func(rows []audit.Row) ([]audit.Row, error) { rows[0].Index = 4; return rows, nil }
		}, true, false},
		"found beyond the log": {func(l *lying) {
			l.search = func(rows []audit.Row) ([]audit.Row, error) { rows[0].Index = 1000; return rows, nil }
		}, true, false},
		"found in another log": {func(l *lying) {
			l.search = func(rows []audit.Row) ([]audit.Row, error) { rows[0].Log = "other.example/log"; return rows, nil }
		}, true, false},
		"search says that it covers more than there is": {func(l *lying) { l.covers = 1000 }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			storage := &lying{memory: b.storage}
			b.config.Storage = storage
			b.openAuditor(t)
			for range 10 {
				b.record(t, draft())
			}
			before, err := b.auditor.Search(t.Context(), audit.Ask{})
			if err != nil || len(before.Found) != 10 || before.Size != 10 {
				t.Fatalf("before: %+v, %v", before, err)
			}
			found := before.Found[6] // of record 3
			if e, err := b.auditor.EvidenceOf(t.Context(), found); err != nil || e.Index != 3 || e.Request == nil {
				t.Fatalf("evidence of what was found before: %+v, %v", e, err)
			}
			test.do(storage)
			page, err := b.auditor.Search(t.Context(), audit.Ask{})
			if test.search && (!errors.Is(err, tlog.ErrUnproven) || errors.Is(err, fs.ErrNotExist) || len(page.Found) > 0) {
				t.Errorf("search: %+v, %v", page, err)
			}
			e, err := b.auditor.Evidence(t.Context(), 3)
			replay, replayErr := b.auditor.Replay(t.Context(), 3)
			if !test.evidence {
				return
			}
			late, lateErr := b.auditor.EvidenceOf(t.Context(), found)
			for _, err := range []error{err, replayErr, lateErr} {
				if !errors.Is(err, tlog.ErrUnproven) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, audit.ErrAltered) {
					t.Errorf("evidence: %v", err)
				}
			}
			if e.Record.Operation != "" || e.Request != nil || e.Inputs != nil || len(e.Steps) > 0 || replay.Inputs != nil || late.Record.Operation != "" || late.Request != nil || len(late.Steps) > 0 {
				t.Errorf("shown all the same: %+v, %+v", e, late)
			}
		})
	}
}

// A row that was put where the log has none is no record either.
func TestEntryBeyondTheLog(t *testing.T) {
	b := newBench(t)
	b.record(t, draft())
	leaf, sealed, err := b.storage.Entry(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	b.config.Storage = &lying{memory: b.storage, entry: func(uint64) ([]byte, []audit.Sealed, error) { return leaf, sealed, nil }}
	b.openAuditor(t)
	if _, err := b.auditor.Evidence(t.Context(), 1); !errors.Is(err, tlog.ErrUnproven) {
		t.Errorf("error is %v", err)
	}
	if err := b.auditor.Erase(t.Context(), 1); !errors.Is(err, tlog.ErrUnproven) {
		t.Errorf("erase: %v", err)
	}
}

// An order that was altered excuses nothing, and that a part is gone is not put down to damage of the evidence either.
func TestOrderIsProven(t *testing.T) {
	b := newBench(t)
	index := b.record(t, draft()).Index
	order := b.record(t, audit.Draft{Operation: audit.OperationErase, System: "audit-office", Erase: &audit.Order{Index: &index}}).Index
	b.record(t, draft())
	if err := b.auditor.Erase(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	if e, err := b.auditor.Evidence(t.Context(), index); err != nil || *e.ErasedBy != order {
		t.Fatal(err)
	}
	truth := b.storage.entries[order].Record
	for name, lie := range map[string][]byte{
		"system":       bytes.Replace(slices.Clone(truth), []byte(`"audit-office"`), []byte(`"audit-nobody"`), 1),
		"no order now": b.storage.entries[index].Record,
	} {
		b.storage.entries[order].Record = lie
		e, err := b.auditor.Evidence(t.Context(), index)
		if !errors.Is(err, tlog.ErrUnproven) || errors.Is(err, audit.ErrAltered) || e.ErasedBy != nil || e.Record.Operation != "" {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
		if err := b.auditor.Erase(t.Context(), order); !errors.Is(err, tlog.ErrUnproven) {
			t.Errorf("%s was carried out: %v", name, err)
		}
	}
	b.storage.entries[order].Record = truth
	if e, err := b.auditor.Evidence(t.Context(), index); err != nil || *e.ErasedBy != order {
		t.Error(err)
	}
}

// A leaf that is in the log and is no record, such as one of a newer version, is found as that.
func TestSearchFindsWhatIsNoRecord(t *testing.T) {
	b := newBench(t)
	if _, err := b.log.Append(t.Context(), []byte(`{"v":99}`), audit.Entry{Index: audit.Index{Time: noon, Operation: "new"}}); err != nil {
		t.Fatal(err)
	}
	page, err := b.auditor.Search(t.Context(), audit.Ask{})
	if err != nil || len(page.Found) != 1 || page.Found[0].Fault == "" || page.Found[0].Record.System != "" {
		t.Errorf("page is %+v, %v", page, err)
	}
}
