package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/audit"
	"oncegate/check"
	"oncegate/license"
)

func states(steps []check.Step) map[string]check.State {
	got := map[string]check.State{}
	for _, s := range steps {
		if old, ok := got[s.Name]; !ok || old == check.OK {
			got[s.Name] = s.State
		}
		if explained := s.State != check.OK || s.Name == audit.StepWitness; (s.Reason != "") != explained {
			got[s.Name] = "reason does not fit the state"
		}
	}
	return got
}

func TestEvidence(t *testing.T) {
	b := newBench(t)
	d := draft()
	index := b.record(t, d).Index
	e, err := b.auditor.Evidence(t.Context(), index)
	if err != nil {
		t.Fatal(err)
	}
	if e.Request == nil || e.Request.Token != d.Token || !bytes.Equal(e.Request.Body, d.Body) {
		t.Errorf("request is %+v", e.Request)
	}
	if got, want := string(e.Inputs), `[{"age":151200000000000,"matter":"food"}]`; got != want {
		t.Errorf("inputs are %s, want %s", got, want)
	}
	if got, want := string(e.Reasons), `["not a party"]`; got != want {
		t.Errorf("reasons are %s, want %s", got, want)
	}
	if e.Operator != "clerk-7" || !slices.Equal(e.Holders, []license.HolderID{company, citizen, company}) {
		t.Errorf("operator %s, holders %v", e.Operator, e.Holders)
	}
	for name, state := range states(e.Steps) {
		if state != check.OK {
			t.Errorf("step %s is %s", name, state)
		}
	}
	_, err = b.auditor.Evidence(t.Context(), 99)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("beyond the head: %v", err)
	}
}

// TestOperatorIsWhoActed: a record of somebody who opened another record is about that one's operator, too, and shows who acted all the same.
func TestOperatorIsWhoActed(t *testing.T) {
	b := newBench(t)
	d := draft()
	d.Operator = "auditor-1"
	for i := range d.Uses {
		d.Uses[i].Person = license.HolderID{Type: audit.OperatorType, Code: "clerk-7"}
	}
	e, err := b.auditor.Evidence(t.Context(), b.record(t, d).Index)
	if err != nil || e.Operator != "auditor-1" || e.Holders[0].Code != "clerk-7" {
		t.Errorf("operator %s, holders %v, %v", e.Operator, e.Holders, err)
	}
	d.Operator, d.OperatorProof = "", audit.OperatorNone
	if e, err := b.auditor.Evidence(t.Context(), b.record(t, d).Index); err != nil || e.Operator != "" || e.Holders[0].Code != "clerk-7" {
		t.Errorf("by nobody: operator %s, holders %v, %v", e.Operator, e.Holders, err)
	}
}

// TestAlteredEvidence changes what is stored in every way; each is found, and nothing false is shown.
func TestAlteredEvidence(t *testing.T) {
	type entries = []audit.Entry
	part := func(e entries, i int) *audit.Sealed { return &e[0].Sealed[i] }
	for name, test := range map[string]struct {
		alter func(e entries)
		step  string
	}{
		"blob of another record": {func(e entries) { part(e, 0).Blob = e[1].Sealed[0].Blob }, audit.StepPart + "request"},
		"part of another record": {func(e entries) { e[0].Sealed[0] = e[1].Sealed[0] }, audit.StepEvidence},
		"blobs of two persons":   {func(e entries) { part(e, 3).Blob, part(e, 4).Blob = part(e, 4).Blob, part(e, 3).Blob }, audit.StepPart + "person"},
		"order of two persons":   {func(e entries) { e[0].Sealed[3], e[0].Sealed[4] = e[0].Sealed[4], e[0].Sealed[3] }, audit.StepEvidence},
		"a bit of a blob":        {func(e entries) { part(e, 1).Blob = append([]byte{part(e, 1).Blob[0] ^ 1}, part(e, 1).Blob[1:]...) }, audit.StepPart + "inputs"},
		"a digest":               {func(e entries) { part(e, 1).Digest = make([]byte, 32) }, audit.StepEvidence},
		"a kind":                 {func(e entries) { part(e, 0).Kind = "inputs" }, audit.StepPart + "inputs"},
		"a part gone":            {func(e entries) { e[0].Sealed = e[0].Sealed[:4] }, audit.StepEvidence},
		"a part more":            {func(e entries) { e[0].Sealed = append(e[0].Sealed, e[1].Sealed[1]) }, audit.StepEvidence},
		"all parts":              {func(e entries) { e[0].Sealed = e[1].Sealed }, audit.StepEvidence},
		"other content under our key": {func(e entries) { // as whoever has the evidence key can seal it
			part(e, 1).Blob, _ = newSealer(t).Seal(append(block(9), `{"inputs":null,"reasons":null}`...), append([]byte("oncegate/evidence/v1\x00inputs\x00"), part(e, 1).Digest...))
		}, audit.StepPart + "inputs"},
		"short content under our key": {func(e entries) {
			part(e, 1).Blob, _ = newSealer(t).Seal([]byte("{}"), append([]byte("oncegate/evidence/v1\x00inputs\x00"), part(e, 1).Digest...))
		}, audit.StepPart + "inputs"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.record(t, draft())
			b.record(t, draft())
			for i := range b.storage.entries {
				b.storage.entries[i].Sealed = slices.Clone(b.storage.entries[i].Sealed)
			}
			test.alter(b.storage.entries)
			e, err := b.auditor.Evidence(t.Context(), 0)
			if !errors.Is(err, audit.ErrAltered) {
				t.Errorf("error is %v", err)
			}
			if states(e.Steps)[test.step] != check.Failed {
				t.Errorf("step %s did not fail: %v", test.step, e.Steps)
			}
			if _, err := b.auditor.Replay(t.Context(), 0); !errors.Is(err, audit.ErrAltered) {
				t.Errorf("replay: %v", err)
			}
		})
	}
}

// TestOtherToken: the token that is kept must be the one that the record names, even where the record names the part that holds it.
func TestOtherToken(t *testing.T) {
	b := newBench(t)
	b.record(t, draft())
	entry := b.storage.entries[0]
	entry.Changes, entry.Bound = nil, nil
	digest := b64(sum([]byte(draft().Token)))
	entry.Record = bytes.Replace(entry.Record, []byte(digest), []byte(encodedZero), 1)
	receipt, err := b.config.Log.Append(t.Context(), entry.Record, entry)
	if err != nil {
		t.Fatal(err)
	}
	e, err := b.auditor.Evidence(t.Context(), receipt.Index)
	if !errors.Is(err, audit.ErrAltered) || states(e.Steps)[audit.StepToken] != check.Failed {
		t.Errorf("%v: %v", err, e.Steps)
	}
}

// TestNoOrder: an order is what a record of an order says, later than what it is about: no other record, whatever the index calls it.
func TestNoOrder(t *testing.T) {
	for name, forge := range map[string]func(b *bench, erase audit.Draft){
		"a record of something else": func(b *bench, erase audit.Draft) {
			erase.Operation = draft().Operation
			order := b.record(t, erase).Index
			b.storage.entries[order].Index.Operation = audit.OperationErase
		},
		"of another record": func(b *bench, erase audit.Draft) {
			other := uint64(0)
			erase.Erase = &audit.Order{Index: &other}
			b.record(t, erase)
		},
	} {
		b := newBench(t)
		b.record(t, draft())
		index := b.record(t, draft()).Index
		d := draft()
		d.Operation, d.Uses, d.Inputs, d.Erase = audit.OperationErase, nil, "objection 2026-3", &audit.Order{Index: &index}
		forge(b, d)
		if err := b.storage.Erase(t.Context(), index); err != nil {
			t.Fatal(err)
		}
		e, err := b.auditor.Evidence(t.Context(), index)
		if !errors.Is(err, audit.ErrAltered) || e.ErasedBy != nil || states(e.Steps)[audit.StepPart+"request"] != check.Failed {
			t.Errorf("%s: erased by %v, %v", name, e.ErasedBy, err)
		}
	}
}

func TestReplay(t *testing.T) {
	b := newBench(t)
	files := []audit.File{{Path: "a.yaml", Data: []byte("grants: []")}}
	activated, err := b.recorder.Activate(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	d := draft()
	d.Policy = recordOf(t, activated).Policy
	index := b.record(t, d).Index
	replay, err := b.auditor.Replay(t.Context(), index)
	if err != nil {
		t.Fatal(err)
	}
	if string(replay.Inputs) != `[{"age":151200000000000,"matter":"food"}]` || cmp.Diff(files, replay.Policy) != "" {
		t.Errorf("replay is %+v", replay)
	}
	b.storage.sets[d.Policy] = []audit.File{{Path: "a.yaml", Data: []byte("grants: [all]")}}
	if _, err := b.auditor.Replay(t.Context(), index); !errors.Is(err, audit.ErrAltered) {
		t.Errorf("altered policy set: %v", err)
	}
	unknown := b.record(t, draft()).Index
	if _, err := b.auditor.Replay(t.Context(), unknown); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unknown policy set: %v", err)
	}
}

func TestSearch(t *testing.T) {
	b := newBench(t)
	for i := range 30 {
		d := draft()
		d.RequestID = fmt.Sprint(i)
		if i%3 != 0 {
			d.Operator, d.Uses = "clerk-8", d.Uses[1:2]
		}
		b.record(t, d)
	}
	find := func(ask audit.Ask) (ids []string) {
		t.Helper()
		for first := true; first || ask.Before != 0; first = false {
			page, err := b.auditor.Search(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			if page.Covered != page.Size || page.Size != uint64(len(b.storage.entries)) {
				t.Errorf("covers %d of %d", page.Covered, page.Size)
			}
			for _, f := range page.Found {
				ids = append(ids, f.Record.RequestID)
			}
			ask.Before = page.Next
		}
		return ids
	}
	for name, test := range map[string]struct {
		ask  audit.Ask
		want int
	}{
		"all":               {audit.Ask{}, 30},
		"pages":             {audit.Ask{Limit: 7}, 30},
		"pages that divide": {audit.Ask{Limit: 10}, 30},
		"holder":            {audit.Ask{Holder: company, Limit: 3}, 10},
		"another holder":    {audit.Ask{Holder: citizen}, 30},
		"type of the code":  {audit.Ask{Holder: license.HolderID{Type: "111", Code: company.Code}}, 0},
		"operator":          {audit.Ask{Operator: "clerk-7"}, 10},
		"both":              {audit.Ask{Operator: "clerk-8", Holder: company}, 0},
		"decision":          {audit.Ask{Decision: "release"}, 10},
		"one use":           {audit.Ask{Decision: "release", Holder: citizen}, 0},
	} {
		plain := find(test.ask)
		if len(plain) != test.want {
			t.Errorf("%s: %d records, want %d: %v", name, len(plain), test.want, plain)
		}
		test.ask.Whole = true
		for _, slice := range []uint64{1, 4, 30, 1000} {
			for _, patience := range []time.Duration{0, time.Minute} {
				b.auditor.InSlices(slice, patience)
				if diff := cmp.Diff(plain, find(test.ask)); diff != "" {
					t.Errorf("%s in slices of %d, %s (-plain +whole):\n%s", name, slice, patience, diff)
				}
			}
		}
	}
	b.auditor.InSlices(1, 0) // only a page that is proven whole ends for want of time
	for whole, want := range map[bool]int{false: 10, true: 1} {
		if page, err := b.auditor.Search(t.Context(), audit.Ask{Operator: "clerk-8", Limit: 10, Whole: whole}); err != nil || len(page.Found) != want || page.Next == 0 {
			t.Errorf("whole %v: %d found, next %d, %v", whole, len(page.Found), page.Next, err)
		}
	}
	if _, err := b.auditor.Search(t.Context(), audit.Ask{Limit: audit.MaxPage}); err != nil {
		t.Error(err)
	}
	for _, limit := range []int{-1, audit.MaxPage + 1} {
		if _, err := b.auditor.Search(t.Context(), audit.Ask{Limit: limit}); err == nil {
			t.Errorf("limit %d was accepted", limit)
		}
	}
}

// TestIndexKeyChange puts a new key in front: what the old one wrote is found as before, in one order.
func TestIndexKeyChange(t *testing.T) {
	b := newBench(t)
	for range 5 {
		b.record(t, draft())
	}
	b.config.IndexKeys = [][]byte{bytes.Repeat([]byte{8}, 32), b.config.IndexKeys[0]}
	b.open(t)
	for range 5 {
		b.record(t, draft())
	}
	var got []uint64
	for ask := (audit.Ask{Holder: company, Operator: "clerk-7", Limit: 3}); len(got) == 0 || ask.Before != 0; {
		page, err := b.auditor.Search(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.Found {
			got = append(got, f.Index)
		}
		ask.Before = page.Next
	}
	if diff := cmp.Diff([]uint64{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

// A case number and a request id that are nothing but a caller's word stand nowhere openly and link no two records; they are found by an
// auditor who asks for the number, also after the index key changed, opened with the evidence, and erased with it.
func TestCallersTextsAreCommitments(t *testing.T) {
	b := newBench(t)
	said := func(no string) audit.Draft {
		d := draft()
		d.RequestID, d.CommittedRequestID = "", "rid-11010519491231002X"
		for i := range d.Uses {
			d.Uses[i].Case, d.Uses[i].CommittedCase = "", no
		}
		return d
	}
	const number = "110105-19491231-002x"
	first, second := b.record(t, said(number)), b.record(t, said(number))
	plain := draft()
	for i := range plain.Uses {
		plain.Uses[i].Case = number
	}
	b.record(t, plain)
	b.config.IndexKeys = [][]byte{bytes.Repeat([]byte{8}, 32), b.config.IndexKeys[0]}
	b.open(t)
	b.record(t, said(number))
	b.record(t, said("c-2"))
	for _, i := range []uint64{first.Index, second.Index} {
		if stored := fmt.Sprintf("%s %+v", b.storage.entries[i].Record, b.storage.entries[i]); strings.Contains(stored, "002") {
			t.Errorf("record %d holds the number: %s", i, stored)
		}
	}
	if a, b := recordOf(t, first), recordOf(t, second); a.Uses[0].CaseCommitment == b.Uses[0].CaseCommitment || a.RequestCommitment == b.RequestCommitment {
		t.Error("two records can be linked by a commitment")
	}
	if x := b.storage.entries; x[first.Index].Index.RequestID == "" || x[first.Index].Index.RequestID != x[second.Index].Index.RequestID {
		t.Error("a retry cannot be told from another call in statistics")
	}
	for _, ask := range []audit.Ask{{Case: number}, {Case: number, Limit: 2}, {Case: number, Holder: company, Limit: 3}, {Case: number, Decision: "denied", Limit: 1}} {
		var got []uint64
		for first := true; first || ask.Before != 0; first = false {
			page, err := b.auditor.Search(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range page.Found {
				got = append(got, f.Index)
			}
			ask.Before = page.Next
		}
		if diff := cmp.Diff([]uint64{3, 2, 1, 0}, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", ask, diff)
		}
	}
	e, err := b.auditor.Evidence(t.Context(), first.Index)
	if err != nil || !slices.Equal(e.Cases, []string{number, number, number}) || e.CommittedRequestID != "rid-11010519491231002X" {
		t.Errorf("opened %v %q, %v", e.Cases, e.CommittedRequestID, err)
	}
	if err := b.auditor.Erase(t.Context(), b.record(t, audit.Draft{Operation: audit.OperationErase, System: "audit-office", Erase: &audit.Order{Index: &first.Index}}).Index); err != nil {
		t.Fatal(err)
	}
	e, err = b.auditor.Evidence(t.Context(), first.Index)
	if err != nil || e.Cases[0] != "" || e.CommittedRequestID != "" || states(e.Steps)[audit.StepCommitments] != check.NotCheckable {
		t.Errorf("after erasure %v %q, %v", e.Cases, e.CommittedRequestID, err)
	}
}

// The time of a record is the draft's where it has one.
func TestRecordTime(t *testing.T) {
	b := newBench(t)
	d := draft()
	d.Time = noon.Add(-1500 * time.Microsecond)
	got := b.record(t, d)
	if is, want := recordOf(t, got).Time, "2026-11-23T04:05:06.787Z"; is != want || !b.storage.entries[got.Index].Index.Time.Equal(noon.Add(-2*time.Millisecond)) {
		t.Errorf("record of %s, index of %v, want %s", is, b.storage.entries[got.Index].Index.Time, want)
	}
}

// TestErase: what is gone names the record that ordered it; what is gone without an order, or beside it, is damage.
func TestErase(t *testing.T) {
	b := newBench(t)
	index, other := b.record(t, draft()).Index, b.record(t, draft()).Index
	step := audit.StepPart + "request"
	if err := b.storage.Erase(t.Context(), other); err != nil { // by somebody with the database
		t.Fatal(err)
	}
	e, err := b.auditor.Evidence(t.Context(), other)
	if !errors.Is(err, audit.ErrAltered) || states(e.Steps)[step] != check.Failed || e.ErasedBy != nil || len(e.Erased()) != 0 {
		t.Errorf("zeroed without an order: %v, %+v", err, e.Steps)
	}
	d := draft()
	d.Operation, d.Uses, d.Inputs, d.Erase = audit.OperationErase, nil, "objection 2026-3", &audit.Order{Index: &index}
	order := b.record(t, d).Index
	if e, err := b.auditor.Evidence(t.Context(), index); err != nil || e.Request == nil {
		t.Errorf("ordered and not carried out: %v", err)
	}
	for range 2 {
		if err := b.auditor.Erase(t.Context(), order); err != nil {
			t.Fatal(err)
		}
	}
	e, err = b.auditor.Evidence(t.Context(), index)
	if err != nil || e.ErasedBy == nil || *e.ErasedBy != order || strings.Join(e.Erased(), " ") != "request person" {
		t.Fatalf("an erased record: %v, %+v", err, e)
	}
	if e.Request != nil || e.Operator != "" || e.Holders[0] != (license.HolderID{}) || e.Inputs == nil {
		t.Errorf("after erasure the evidence is %+v", e)
	}
	got := states(e.Steps)
	for name, want := range map[string]check.State{
		audit.StepEvidence: check.OK, audit.StepPart + "inputs": check.OK, step: check.NotCheckable,
		audit.StepToken: check.NotCheckable, audit.StepCommitments: check.NotCheckable,
	} {
		if got[name] != want {
			t.Errorf("step %s is %s, want %s", name, got[name], want)
		}
	}
	if _, err := b.auditor.Evidence(t.Context(), other); !errors.Is(err, audit.ErrAltered) {
		t.Errorf("an order about another record excuses damage: %v", err)
	}
	own, err := b.auditor.Evidence(t.Context(), order)
	if err != nil || own.Order == nil || *own.Order.Index != index || string(own.Inputs) != `"objection 2026-3"` {
		t.Errorf("record of the erasure: %+v, %v", own, err)
	}
	// The order itself may lose its persons, to an order of its own, and still excuses what it ordered.
	d.Erase = &audit.Order{Index: &order}
	if err := b.auditor.Erase(t.Context(), b.record(t, d).Index); err != nil {
		t.Fatal(err)
	}
	if e, err := b.auditor.Evidence(t.Context(), index); err != nil || *e.ErasedBy != order {
		t.Errorf("after the order's own persons were erased: %v", err)
	}
	for _, none := range []uint64{index, 99} {
		if err := b.auditor.Erase(t.Context(), none); !errors.Is(err, audit.ErrNoOrder) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("record %d is no order: %v", none, err)
		}
	}
	// The inputs are erased by nothing.
	last := b.record(t, draft()).Index
	b.storage.entries[last].Sealed[1].Blob = nil
	if _, err := b.auditor.Evidence(t.Context(), last); !errors.Is(err, audit.ErrAltered) {
		t.Errorf("inputs are gone: %v", err)
	}
	// What an order of another evidence says is not trusted.
	b.storage.entries[order].Sealed = b.storage.entries[other].Sealed
	if _, err := b.auditor.Evidence(t.Context(), index); !errors.Is(err, audit.ErrAltered) {
		t.Errorf("the order was forged: %v", err)
	}
}

func TestRetain(t *testing.T) {
	b := newBench(t)
	now := noon
	b.config.Now = func() time.Time { return now }
	b.open(t)
	for range 4 {
		b.record(t, draft())
		now = now.Add(time.Hour)
	}
	done, err := b.auditor.Retain(t.Context(), noon.Add(2*time.Hour), nil)
	if err != nil || done != 2 {
		t.Fatalf("erased %d, %v, want 2", done, err)
	}
	for i := range uint64(4) {
		e, err := b.auditor.Evidence(t.Context(), i)
		if err != nil || (e.Request == nil) != (i < 2) || i < 2 && *e.ErasedBy != 4 {
			t.Errorf("record %d: request %v, by %v, %v", i, e.Request, e.ErasedBy, err)
		}
	}
	if _, err := b.auditor.Retain(t.Context(), noon.Add(3*time.Hour), nil); err != nil { // a later run covers them too
		t.Fatal(err)
	}
	for i, want := range []uint64{4, 4, 5} {
		if e, err := b.auditor.Evidence(t.Context(), uint64(i)); err != nil || *e.ErasedBy != want {
			t.Errorf("record %d was erased by %v, %v, want %d", i, e.ErasedBy, err, want)
		}
	}
	// An order as it was written before orders had a member of their own.
	if _, err := b.recorder.RecordOwn(t.Context(), audit.Own{Operation: audit.OperationErase, Inputs: map[string]any{"index": 6, "reason": "x"}}); err != nil {
		t.Fatal(err)
	}
	b.record(t, draft())
	if err := b.storage.Erase(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	if _, err := b.recorder.RecordOwn(t.Context(), audit.Own{Operation: audit.OperationErase, Inputs: map[string]any{"index": 7, "reason": "x"}}); err != nil {
		t.Fatal(err)
	}
	if e, err := b.auditor.Evidence(t.Context(), 7); err != nil || *e.ErasedBy != 8 {
		t.Errorf("by an order of the old form: %v, %v", e.ErasedBy, err)
	}
	if err := b.storage.Erase(t.Context(), 3); err != nil { // newer than any order
		t.Fatal(err)
	}
	if _, err := b.auditor.Evidence(t.Context(), 3); !errors.Is(err, audit.ErrAltered) {
		t.Errorf("zeroed and newer than what was ordered: %v", err)
	}
	if last := b.storage.entries[4].Index; last.Operation != audit.OperationRetain || last.System != "gateway" {
		t.Errorf("the run's own record: %+v", last)
	}
	size := len(b.storage.entries)
	if done, err := b.auditor.Retain(t.Context(), noon.Add(2*time.Hour), nil); err != nil || done != 0 || len(b.storage.entries) != size {
		t.Errorf("a run that finds nothing erased %d, %v, and left %d records", done, err, len(b.storage.entries)-size)
	}
	b.record(t, draft()) // there is something to erase
	b.config.Log = nil
	b.openAuditor(t)
	if _, err := b.auditor.Retain(t.Context(), now.Add(time.Hour), nil); err == nil {
		t.Error("an auditor that only reads erased")
	}
}

// openAuditor makes the auditor alone anew.
func (b *bench) openAuditor(t *testing.T) {
	t.Helper()
	var err error
	if b.auditor, err = audit.NewAuditor(b.config); err != nil {
		t.Fatal(err)
	}
}

func TestReuse(t *testing.T) {
	b := newBench(t)
	d := draft()
	d.Uses[0].Decision, d.Uses[1].Need, d.Uses[1].Decision = "met", 3, "missing"
	b.record(t, d)
	got, err := b.auditor.Reuse(t.Context(), noon, noon.Add(time.Hour), "")
	if err != nil || cmp.Diff([]audit.Reuse{{Matter: "food", Numerator: 1, Denominator: 2}}, got) != "" {
		t.Errorf("reuse is %v, %v", got, err)
	}
}
