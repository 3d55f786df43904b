package store

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/tlog"
)

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error is %v, want %v", what, err, want)
	}
}

func mustChange(t *testing.T, b *bench, changes ...any) {
	t.Helper()
	if err := b.change(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
}

func aConsent(id, holder, system string) cases.Consent {
	return cases.Consent{
		ID: id, Holder: license.HolderID{Type: "111", Code: holder}, System: system, Types: []string{"id-card"}, Matters: []string{"flat"},
		Expires: accepted.Add(time.Hour), Evidence: "holder", Digest: "d-" + id, Given: accepted,
	}
}

func TestCases(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b := newBench(t, e)
		s := b.db.Cases()
		_, err := s.Case(t.Context(), "C-1")
		wantError(t, "unknown case", err, fs.ErrNotExist)

		want := aCase("C-1")
		want.Parts = []cases.Part{{Matter: "a"}, {Matter: "b"}}
		want.Parties = append(want.Parties, cases.Party{Role: "spouse", Holder: license.HolderID{Type: "111", Code: "made up"}})
		mustChange(t, b, cases.Register{Case: want})
		got, err := s.Case(t.Context(), "C-1")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("case (-want +got):\n%s", diff)
		}

		again := want // as though the first answer was lost
		again.Registered = again.Registered.Add(time.Minute)
		wantError(t, "the same again", b.change(t.Context(), cases.Register{Case: again}), cases.ErrRegistered)
		for name, alter := range map[string]func(*cases.Case){
			"matter":      func(c *cases.Case) { c.Matter = "flat" },
			"registrar":   func(c *cases.Case) { c.Registrar = "other" },
			"attestation": func(c *cases.Case) { c.Attestation = cases.Self },
			"parts":       func(c *cases.Case) { c.Parts = c.Parts[:1] },
			"parties":     func(c *cases.Case) { c.Parties = c.Parties[:1] },
			"accepted":    func(c *cases.Case) { c.Accepted = c.Accepted.Add(time.Hour) },
		} {
			other := want
			alter(&other)
			wantError(t, "the number with another "+name, b.change(t.Context(), cases.Register{Case: other}), cases.ErrRegistered)
		}
		if got, err := s.Case(t.Context(), "C-1"); err != nil || !cmp.Equal(want, got) {
			t.Errorf("case changed by what was refused: %v, %v", got, err)
		}
	})
}

// A countingSealer counts what is opened.
type countingSealer struct {
	Sealer
	opened atomic.Int64
}

func (s *countingSealer) Open(blob, aad []byte) ([]byte, error) {
	s.opened.Add(1)
	return s.Sealer.Open(blob, aad)
}

// A number of no case costs what one of a case costs, at first and again: the same is read, opened and remembered. So it is with consents.
func TestUnknownCaseCostsTheSame(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		config := e.fresh(t)
		sealer := &countingSealer{Sealer: config.Sealer}
		config.Sealer = sealer
		b := benchOn(t, mustOpen(t, config))
		mustChange(t, b, cases.Register{Case: aCase("C-1")})
		cost := func(no string) (opened int64) {
			before := sealer.opened.Load()
			if _, err := b.db.Cases().Case(t.Context(), no); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			return sealer.opened.Load() - before
		}
		mustChange(t, b, cases.Give{Consent: aConsent("k-1", "anna", "window")})
		consent := func(id string) (opened int64) {
			before := sealer.opened.Load()
			if _, err := b.db.Cases().Consent(t.Context(), id); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			return sealer.opened.Load() - before
		}
		if known, unknown := consent("k-1"), consent("k-2"); known != 1 || unknown != 1 {
			t.Errorf("%d rows are opened of a consent, %d of none", known, unknown)
		}
		for range 3 {
			if known, unknown := cost("C-1"), cost("C-2"); known != unknown {
				t.Errorf("%d rows are opened of a case, %d of none", known, unknown)
			}
		}
		if again := cost("C-2"); e.name == SQLite && again != 0 {
			t.Error("that there is no such case is not remembered")
		}
		mustChange(t, b, cases.Register{Case: aCase("C-2")})
		if got, err := b.db.Cases().Case(t.Context(), "C-2"); err != nil || got.No != "C-2" {
			t.Errorf("a case that was unknown before: %v, %v", got, err)
		}
	})
}

// A case is seen by who asks after its record, however often it was unknown meanwhile.
func TestUnknownCaseIsNotRememberedTooLong(t *testing.T) {
	b := newBench(t, engine{SQLite, freshSQLite})
	for i := range 50 {
		no := fmt.Sprint("C-", i)
		var done atomic.Bool
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for !done.Load() {
					_, _ = b.db.Cases().Case(t.Context(), no)
				}
			})
		}
		mustChange(t, b, cases.Register{Case: aCase(no)})
		if _, err := b.db.Cases().Case(t.Context(), no); err != nil {
			t.Errorf("%s: %v", no, err)
		}
		done.Store(true)
		readers.Wait()
	}
}

func TestClose(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b := newBench(t, e)
		mustChange(t, b, cases.Register{Case: aCase("C-1")})
		mustChange(t, b, cases.StillOpen{No: "C-1", Revision: 1})
		wantError(t, "open at another revision", b.change(t.Context(), cases.StillOpen{No: "C-1", Revision: 2}), cases.ErrChanged)
		wantError(t, "open but unknown", b.change(t.Context(), cases.StillOpen{No: "C-2", Revision: 1}), cases.ErrChanged)
		at := accepted.Add(time.Hour)
		wantError(t, "close at another revision", b.change(t.Context(), cases.Close{No: "C-1", Revision: 2, At: at}), cases.ErrChanged)
		mustChange(t, b, cases.Close{No: "C-1", Revision: 1, At: at})
		got, err := b.db.Cases().Case(t.Context(), "C-1")
		if err != nil || !got.Closed.Equal(at) || got.Revision != 2 {
			t.Errorf("closed %v at revision %d, %v", got.Closed, got.Revision, err)
		}
		for name, change := range map[string]any{
			"close again": cases.Close{No: "C-1", Revision: 2, At: at},
			"still open":  cases.StillOpen{No: "C-1", Revision: 2},
			"receive":     cases.Receive{Received: cases.Received{Case: "C-1"}},
		} {
			wantError(t, name, b.change(t.Context(), change), cases.ErrChanged)
		}
	})
}

func TestReceived(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b := newBench(t, e)
		mustChange(t, b, cases.Register{Case: aCase("C-1")})
		if all, err := b.db.Cases().Received(t.Context(), "C-1"); err != nil || len(all) != 0 {
			t.Fatalf("received %v, %v", all, err)
		}
		var want []cases.Received
		for i := range 3 {
			pair := []cases.Received{
				{Case: "C-1", Matter: "flat", Material: fmt.Sprint("z", i), How: "uploaded", Digest: "d", By: "window", At: accepted.Add(time.Duration(-i) * time.Minute)},
				{Case: "C-1", Material: fmt.Sprint("a", i), How: "promised", By: "window", At: accepted},
			}
			mustChange(t, b, cases.Receive{Received: pair[0]}, cases.Receive{Received: pair[1]})
			want = append(want, pair...)
		}
		got, err := b.db.Cases().Received(t.Context(), "C-1")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
		mustChange(t, b, cases.StillOpen{No: "C-1", Revision: 1}) // decisions do not rest on it
	})
}

// TestStates: what checks found stands beside what the window received, in the order of the log, and neither is taken for the other.
func TestStates(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b := newBench(t, e)
		mustChange(t, b, cases.Register{Case: aCase("C-1")})
		var want []cases.LastState
		for i, state := range []cases.State{cases.Missing, cases.Unavailable, cases.Met, cases.Lapsed, cases.Mismatched} {
			one := cases.LastState{Case: "C-1", Matter: "flat", Material: "tax", State: state, By: "bureau", At: accepted.Add(time.Duration(i) * time.Minute)}
			mustChange(t, b, cases.SetState{LastState: one}, cases.Receive{Received: cases.Received{Case: "C-1", Material: "tax", How: "waived", At: accepted}})
			want = append(want, one)
		}
		got, err := b.db.Cases().States(t.Context(), "C-1")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("states: %v (-want +got):\n%s", err, diff)
		}
		if received, err := b.db.Cases().Received(t.Context(), "C-1"); err != nil || len(received) != len(want) {
			t.Errorf("received %v, %v", received, err)
		}
		for name, change := range map[string]any{
			"a state that no check finds":  cases.SetState{LastState: cases.LastState{Case: "C-1", State: cases.Denied}},
			"a receipt that says a state":  cases.Receive{Received: cases.Received{Case: "C-1", How: "met"}},
			"a state that is how received": cases.SetState{LastState: cases.LastState{Case: "C-1", State: "waived"}},
		} {
			if err := b.change(t.Context(), change); err == nil {
				t.Errorf("%s is accepted", name)
			}
		}
		mustChange(t, b, cases.Close{No: "C-1", Revision: 1, At: accepted})
		wantError(t, "a state of a closed case", b.change(t.Context(), cases.SetState{LastState: cases.LastState{Case: "C-1", State: cases.Met}}), cases.ErrChanged)
	})
}

// TestRepresentatives: who came is read back, is neither received nor found, and stands sealed in the table.
func TestRepresentatives(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b := newBench(t, e)
		mustChange(t, b, cases.Register{Case: aCase("C-1")})
		var want []cases.Representative
		for i, kind := range []string{cases.Handler, cases.Agent, cases.Guardian} {
			one := cases.Representative{Case: "C-1", Kind: kind, Person: license.HolderID{Type: "111", Code: fmt.Sprint("made up ", i)}, By: "window", At: accepted.Add(time.Duration(i) * time.Minute)}
			if kind != cases.Guardian {
				one.Mandate, one.Until = "d", "2026-12-31"
			}
			mustChange(t, b, cases.Represent{Representative: one, R: [32]byte{7}})
			want = append(want, one)
		}
		got, err := b.db.Cases().Representatives(t.Context(), "C-1")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("representatives: %v (-want +got):\n%s", err, diff)
		}
		received, err := b.db.Cases().Received(t.Context(), "C-1")
		states, err2 := b.db.Cases().States(t.Context(), "C-1")
		if len(received)+len(states) > 0 || err != nil || err2 != nil {
			t.Errorf("received %v, found %v, %v %v", received, states, err, err2)
		}
		for name, change := range map[string]any{
			"a kind that there is not":           cases.Represent{Representative: cases.Representative{Case: "C-1", Kind: "uploaded"}},
			"a receipt that says who came":       cases.Receive{Received: cases.Received{Case: "C-1", How: "agent"}},
			"a state that says who came":         cases.SetState{LastState: cases.LastState{Case: "C-1", State: "guardian"}},
			"a person in a case that nobody has": cases.Represent{Representative: cases.Representative{Case: "C-9", Kind: cases.Agent}},
		} {
			if err := b.change(t.Context(), change); err == nil {
				t.Errorf("%s is accepted", name)
			}
		}
		mustChange(t, b, cases.Close{No: "C-1", Revision: 1, At: accepted})
		wantError(t, "of a closed case", b.change(t.Context(), cases.Represent{Representative: want[0]}), cases.ErrChanged)
	})
}

func aResult(no, holder, number string) cases.Result {
	who := license.HolderID{Type: "111", Code: holder}
	return cases.Result{Case: no, Holder: who, By: "bureau", At: accepted, License: license.License{
		Type: "permit", Number: number, Issued: "2026-11-23", Status: license.Valid, Holders: []license.Holder{{HolderID: who, Name: "made up"}}, Fields: map[string]string{"a": "b"},
	}}
}

// TestResults: a license with which a case ended is found by type and holder and by nothing else, and is no receipt.
func TestResults(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b := newBench(t, e)
		mustChange(t, b, cases.Register{Case: aCase("C-1")}, cases.Register{Case: aCase("C-2")})
		first, second, other := aResult("C-1", "anna", "1"), aResult("C-2", "anna", "2"), aResult("C-2", "ben", "3")
		mustChange(t, b, cases.Issue{Result: first, R: [32]byte{1}})
		mustChange(t, b, cases.Issue{Result: second, R: [32]byte{1}}, cases.Issue{Result: other, R: [32]byte{1}})
		for holder, want := range map[string][]license.License{"anna": {first.License, second.License}, "ben": {other.License}, "carl": nil} {
			got, err := b.db.Cases().Results(t.Context(), "permit", license.HolderID{Type: "111", Code: holder})
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", holder, err, diff)
			}
		}
		if got, err := b.db.Cases().Results(t.Context(), "other", first.Holder); len(got) > 0 || err != nil {
			t.Errorf("of another type: %v, %v", got, err)
		}
		if got, err := b.db.Cases().Received(t.Context(), "C-2"); len(got) > 0 || err != nil {
			t.Errorf("received: %v, %v", got, err)
		}
		if err := b.change(t.Context(), cases.Receive{Received: cases.Received{Case: "C-1", How: "result"}}); err == nil {
			t.Error("a receipt that says a result is accepted")
		}
		mustChange(t, b, cases.Close{No: "C-1", Revision: 1, At: accepted})
		wantError(t, "of a closed case", b.change(t.Context(), cases.Issue{Result: first}), cases.ErrChanged)
	})
}

// TestRegistered: a list has a registrar's own cases only, each once, in an order that neither checks nor closing change.
func TestRegistered(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b := newBench(t, e)
		var want []string
		for i := range 9 {
			k := aCase(fmt.Sprint("C-", 9-i))
			k.Registered = accepted.Add(time.Duration(i/3) * time.Millisecond) // three of each moment
			if i%2 == 1 {
				k.Registrar = "other"
			}
			if i == 4 {
				k.Matter = "flat"
			}
			mustChange(t, b, cases.Register{Case: k})
		}
		mine := aCase("C-1").Registrar
		for _, no := range []string{"C-2", "C-4", "C-5"} { // the second is closed below, the third is of the registrar anyway
			mustChange(t, b, cases.Receive{Received: cases.Received{Case: no, Matter: "flat", Material: "id", How: cases.HowWaived, By: mine, At: accepted}})
		}
		mustChange(t, b, cases.Receive{Received: cases.Received{Case: "C-6", Matter: "flat", Material: "id", How: cases.HowWaived, By: "other", At: accepted}})
		mustChange(t, b, cases.Close{No: "C-9", Revision: 1, At: accepted})
		mustChange(t, b, cases.Close{No: "C-4", Revision: 1, At: accepted})
		list := func(f cases.Filter) (nos []string) {
			f.Registrar = orElse(f.Registrar, mine)
			if f.Limit == 0 {
				f.Limit = 100
			}
			all, err := b.db.Cases().Registered(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range all {
				if same, err := b.db.Cases().Case(t.Context(), k.No); err != nil || !cmp.Equal(same, k) {
					t.Errorf("%s is listed as %v, read as %v", k.No, k, same)
				}
				nos = append(nos, k.No)
			}
			return nos
		}
		want = []string{"C-7", "C-9", "C-5", "C-1", "C-3"}
		for name, c := range map[string]struct {
			f    cases.Filter
			want []string
		}{
			"all":                          {cases.Filter{}, want},
			"open":                         {cases.Filter{Open: true}, []string{"C-7", "C-5", "C-1", "C-3"}},
			"closed":                       {cases.Filter{Closed: true}, []string{"C-9"}},
			"handled":                      {cases.Filter{Handled: true}, []string{"C-7", "C-9", "C-5", "C-1", "C-2", "C-3"}},
			"handled, open, behind":        {cases.Filter{Handled: true, Open: true, After: cases.Place{Registered: accepted.Add(time.Millisecond), No: "C-6"}}, []string{"C-1", "C-2", "C-3"}},
			"of another":                   {cases.Filter{Registrar: "other"}, []string{"C-8", "C-4", "C-6", "C-2"}},
			"of nobody":                    {cases.Filter{Registrar: "nobody"}, nil},
			"of matter":                    {cases.Filter{Matter: "flat"}, []string{"C-5"}},
			"behind":                       {cases.Filter{After: cases.Place{Registered: accepted, No: "C-7"}, Limit: 2}, []string{"C-9", "C-5"}},
			"behind one that is not there": {cases.Filter{After: cases.Place{Registered: accepted, No: "C-8"}}, want[1:]},
		} {
			if got := list(c.f); !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
	})
}

func orElse(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func TestConsents(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b := newBench(t, e)
		s := b.db.Cases()
		first, second, other := aConsent("k-1", "anna", "window"), aConsent("k-2", "anna", "window"), aConsent("k-3", "anna", "bureau")
		second.Given = accepted.Add(time.Minute)
		mustChange(t, b, cases.Give{Consent: first}, cases.Give{Consent: second})
		mustChange(t, b, cases.Give{Consent: other})
		wantError(t, "id taken", b.change(t.Context(), cases.Give{Consent: aConsent("k-1", "ben", "bureau")}), cases.ErrRegistered)

		_, err := s.Consent(t.Context(), "k-9")
		wantError(t, "unknown consent", err, fs.ErrNotExist)
		all, err := s.Consents(t.Context(), first.Holder, "window")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]cases.Consent{second, first}, all); diff != "" {
			t.Errorf("consents (-want +got):\n%s", diff)
		}
		if all, err := s.Consents(t.Context(), license.HolderID{Type: "001", Code: "anna"}, "window"); err != nil || len(all) != 0 {
			t.Errorf("another holder has %v, %v", all, err)
		}

		still := cases.StillGiven{ID: "k-1", At: first.Expires.Add(-time.Millisecond)}
		mustChange(t, b, still)
		wantError(t, "expired", b.change(t.Context(), cases.StillGiven{ID: "k-1", At: first.Expires}), cases.ErrChanged)
		wantError(t, "never given", b.change(t.Context(), cases.StillGiven{ID: "k-9", At: accepted}), cases.ErrChanged)
		first.Withdrawn = accepted.Add(time.Minute)
		mustChange(t, b, cases.Withdraw{ID: "k-1", At: first.Withdrawn})
		wantError(t, "withdrawn again", b.change(t.Context(), cases.Withdraw{ID: "k-1", At: accepted}), cases.ErrChanged)
		wantError(t, "withdrawn meanwhile", b.change(t.Context(), still), cases.ErrChanged)
		got, err := s.Consent(t.Context(), "k-1")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, got); diff != "" {
			t.Errorf("consent (-want +got):\n%s", diff)
		}
	})
}

// TestOneBatch proves that entries of one batch see each other: each is judged as though the ones before were committed.
func TestOneBatch(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b := newBench(t, e)
		taken := aCase("C-1")
		taken.Matter = "flat"
		closed := cases.Close{No: "C-1", Revision: 1, At: accepted}
		claim := func(jti string) audit.Claim { return audit.Claim{System: "window", JTI: jti, Exp: accepted} }
		changes := [][]any{
			{cases.StillOpen{No: "C-1", Revision: 1}},
			{claim("j-1"), cases.Register{Case: aCase("C-1")}},
			{cases.StillOpen{No: "C-1", Revision: 1}},
			{cases.Register{Case: taken}},
			{cases.Register{Case: aCase("C-1")}},
			{cases.Receive{Received: cases.Received{Case: "C-1", How: "waived"}}, closed, claim("j-1")}, // all of it is taken back
			{cases.StillOpen{No: "C-1", Revision: 1}, closed, claim("j-2")},
			{cases.Receive{Received: cases.Received{Case: "C-1"}}},
			{cases.Close{No: "C-1", Revision: 2, At: accepted}},
			{cases.Give{Consent: aConsent("k-1", "anna", "window")}, cases.Withdraw{ID: "k-1", At: accepted}},
			{cases.StillGiven{ID: "k-1", At: accepted}},
			{"nothing known"},
		}
		want := []error{cases.ErrChanged, nil, nil, cases.ErrRegistered, cases.ErrRegistered, audit.ErrReplayed, nil, cases.ErrChanged, cases.ErrChanged, nil, cases.ErrChanged, errAny}
		batch := tlog.Batch{ID: [16]byte{1}, Integrate: accept}
		for i, c := range changes {
			leaf := fmt.Appendf(nil, "leaf %d", i)
			batch.Entries = append(batch.Entries, tlog.Entry{Leaf: leaf, Attached: audit.Entry{Record: leaf, Changes: c}})
		}
		verdicts, err := b.db.Log().Commit(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range verdicts {
			if want[i] == errAny && v != nil {
				continue
			}
			if !errors.Is(v, want[i]) {
				t.Errorf("entry %d: %v, want %v", i, v, want[i])
			}
		}
		if all, err := b.db.Cases().Received(t.Context(), "C-1"); err != nil || len(all) != 0 {
			t.Errorf("what was taken back is there: %v, %v", all, err)
		}
		got, err := b.db.Cases().Case(t.Context(), "C-1")
		if err != nil || got.Revision != 2 || got.Closed.IsZero() {
			t.Errorf("case is at revision %d, closed %v, %v", got.Revision, got.Closed, err)
		}
		if k, err := b.db.Cases().Consent(t.Context(), "k-1"); err != nil || k.Withdrawn.IsZero() {
			t.Errorf("consent is %v, %v", k, err)
		}
	})
}

var errAny = errors.New("any error")

// accept integrates without hashing.
func accept(h tlog.Head, _ tlog.Reader, accepted []int) (tlog.Update, error) {
	h.Size += uint64(len(accepted))
	return tlog.Update{Head: h, Leaves: make([]tlog.LeafHash, len(accepted))}, nil
}

// TestRegistrars has many systems register one number, the same content too: one of them has registered it.
func TestRegistrars(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b := newBench(t, e)
		errs := make([]error, 24)
		var group sync.WaitGroup
		for i := range errs {
			group.Go(func() {
				c := aCase("C-1")
				c.Registrar = fmt.Sprint("system-", i%3)
				errs[i] = b.change(t.Context(), cases.Register{Case: c})
			})
		}
		group.Wait()
		got, err := b.db.Cases().Case(t.Context(), "C-1")
		if err != nil {
			t.Fatal(err)
		}
		first := -1
		for i, err := range errs {
			switch {
			case err == nil && (first >= 0 || got.Registrar != fmt.Sprint("system-", i%3)):
				t.Errorf("caller %d and caller %d both registered the case of %s", first, i, got.Registrar)
			case err == nil:
				first = i
			case !errors.Is(err, cases.ErrRegistered):
				t.Errorf("caller %d: %v", i, err)
			}
		}
		if first < 0 {
			t.Error("nobody registered it")
		}
	})
}

// TestTexts refuses what one of the databases could not store, so that no entry fails its batch.
func TestTexts(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b := newBench(t, e)
		for _, bad := range []string{"nul\x00", "\xff"} {
			c := aCase(bad)
			for name, change := range map[string]any{
				"claim":   audit.Claim{System: "window", JTI: bad},
				"case":    cases.Register{Case: c},
				"open":    cases.StillOpen{No: bad},
				"consent": cases.Give{Consent: aConsent(bad, "anna", "window")},
				"policy":  audit.PolicySet{Digest: "d", Files: []audit.File{{Path: bad}}},
			} {
				if err := b.change(t.Context(), change); err == nil || errors.Is(err, tlog.ErrUnavailable) {
					t.Errorf("%s with %q: %v", name, bad, err)
				}
			}
			entry := audit.Entry{Record: []byte("leaf"), Index: audit.Index{System: bad}}
			if _, err := b.append(t.Context(), entry); err == nil || errors.Is(err, tlog.ErrUnavailable) {
				t.Errorf("index with %q: %v", bad, err)
			}
		}
		if head, err := b.db.Log().Head(t.Context()); err != nil || head.Size != 0 {
			t.Errorf("log has %d entries, %v", head.Size, err)
		}
	})
}
