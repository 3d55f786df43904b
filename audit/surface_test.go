package audit_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/note"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/check"
	"oncegate/license"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// TestHide: the randomness that Hide returns opens the commitments of the record that follows, for the persons it was drawn for, once.
func TestHide(t *testing.T) {
	b := newBench(t)
	d := draft()
	drawn, err := b.recorder.Hide(&d)
	if err != nil || len(drawn) != 3 || drawn[0].Person != (license.HolderID{Type: audit.OperatorType, Code: "clerk-7"}) || drawn[1].Person != company || drawn[2].Person != citizen {
		t.Fatalf("%+v, %v", drawn, err)
	}
	r := recordOf(t, b.record(t, d))
	for i, want := range []string{r.Uses[0].Operator, r.Uses[0].Holder, r.Uses[1].Holder} {
		if got, err := audit.Commitment(newSM3, drawn[i].R, drawn[i].Person); err != nil || got != want {
			t.Errorf("%v: commitment %s, want %s, %v", drawn[i].Person, got, want, err)
		}
	}
	if got, err := b.recorder.Record(t.Context(), d); err == nil || !strings.Contains(err.Error(), "recorded before") {
		t.Errorf("recorded twice with the same randomness: %s", got.Record)
	}
	for name, change := range map[string]func(*audit.Draft){
		"another operator": func(d *audit.Draft) { d.Operator = "clerk-8" },
		"another holder":   func(d *audit.Draft) { d.Uses[1].Person.Code += "x" },
		"another type":     func(d *audit.Draft) { d.Uses[1].Person.Type = "001" },
		"one less":         func(d *audit.Draft) { d.Uses = d.Uses[:1] },
		"one more":         func(d *audit.Draft) { d.RequestID, d.CommittedRequestID = "", "r" },
	} {
		d := draft()
		if _, err := b.recorder.Hide(&d); err != nil {
			t.Fatal(err)
		}
		change(&d)
		if got, err := b.recorder.Record(t.Context(), d); err == nil || !strings.Contains(err.Error(), "changed after Hide") {
			t.Errorf("%s after Hide: %s, %v", name, got.Record, err)
		}
	}
	odd := draft()
	odd.Operator = "\xff"
	if _, err := b.recorder.Hide(&odd); !errors.Is(err, canonical.ErrForm) {
		t.Errorf("an operator that is no text: %v", err)
	}
	if _, err := b.recorder.Record(t.Context(), odd); !errors.Is(err, canonical.ErrForm) {
		t.Errorf("an operator that is no text: %v", err)
	}
	if c, err := audit.Commitment(newSM3, block(1), license.HolderID{Type: "111", Code: "\xff"}); err == nil {
		t.Errorf("a person that is no text: %s", c)
	}
}

var errBroken = errors.New("broken by the test")

// limited is randomness that ends after so many bytes.
type limited struct{ left int }

func (l *limited) Read(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

type brokenSealer struct{ audit.Sealer }

func (brokenSealer) Seal([]byte, []byte) ([]byte, error) { return nil, errBroken }

// A record is not made without randomness and sealed evidence.
func TestBrokenMeans(t *testing.T) {
	for name, change := range map[string]func(*audit.Config){
		"no randomness":          func(c *audit.Config) { c.Rand = &limited{} },
		"none for what is bound": func(c *audit.Config) { c.Rand = &limited{2 * 32} },
		"no seal":                func(c *audit.Config) { c.Sealer = brokenSealer{c.Sealer} },
	} {
		b := newBench(t)
		change(&b.config)
		b.open(t)
		own := audit.Own{Operation: "policy.activate", Changes: []any{audit.PolicySet{Digest: encodedZero}}}
		if got, err := b.recorder.RecordOwn(t.Context(), own); !errors.Is(err, errBroken) {
			t.Errorf("%s: %s, %v", name, got.Record, err)
		}
	}
	b := newBench(t)
	b.config.Rand, b.config.Now = nil, nil
	b.open(t)
	d := draft()
	begun := time.Now().Add(-time.Second)
	if at, err := canonical.ParseTime(recordOf(t, b.record(t, d)).Time); err != nil || at.Before(begun) || at.After(time.Now()) {
		t.Errorf("the record is of %v, %v", at, err)
	}
	d.OperatorProof, d.OperatorService, d.OperatorRoles = audit.OperatorByCall, "staff-id", []string{}
	if r := recordOf(t, b.record(t, d)); r.OperatorRoles != nil {
		t.Errorf("no roles are %q", r.OperatorRoles)
	}
}

// TestFitsIsTight: what a record may still need is set aside once, whatever its members: not more and not less.
func TestFitsIsTight(t *testing.T) {
	if audit.Fits(audit.Draft{System: "\xff"}) {
		t.Error("what cannot be written fits")
	}
	for _, request := range []bool{false, true} {
		for _, committed := range []bool{false, true} {
			for _, need := range []int{0, 2} {
				b := newBench(t)
				d := draft()
				d.Uses = d.Uses[:2]
				if request {
					d.RequestID, d.CommittedRequestID = "", d.RequestID
				}
				for i := range d.Uses {
					use := &d.Uses[i]
					use.Need, use.Decision, use.Source, use.Freshness = need, "", "", ""
					if committed {
						use.Case, use.CommittedCase = "", use.Case
					}
				}
				rule := func(n int) { d.Uses[0].Rules = []string{strings.Repeat("r", n)} }
				low, high := 1, audit.MaxRecord
				for low+1 < high {
					if rule((low + high) / 2); audit.Fits(d) {
						low = (low + high) / 2
					} else {
						high = (low + high) / 2
					}
				}
				rule(low)
				for i := range d.Uses {
					use := &d.Uses[i]
					use.Decision, use.Source, use.Freshness = strings.Repeat("d", 32), strings.Repeat("s", 64), strings.Repeat("f", 48)
					use.Need = max(need, 1)
				}
				d.Changes = []any{audit.PolicySet{Digest: encodedZero}}
				leaf := b.record(t, d).Record
				want := canonical.DigestLen // the longest members are not all there at once
				if committed {
					want += len(d.Uses) * (len("request_commitment") - len("case_commitment"))
				}
				if slack := audit.MaxRecord - len(leaf); slack != want {
					t.Errorf("request committed %v, case committed %v, need %d: %d bytes are left", request, committed, need, slack)
				}
				if !audit.Fits(d) { // its uses have commitments now
					t.Error("a record that was written does not fit when it is written again")
				}
			}
		}
	}
}

// crafted appends a record like the draft's whose evidence is these parts, sealed and named by it as only the gateway's keys can.
func (b *bench) crafted(t *testing.T, change func(plain map[string][]byte), kinds ...string) uint64 {
	t.Helper()
	d := draft()
	d.Changes, d.Claim = nil, nil
	entry := b.storage.entries[b.record(t, d).Index]
	plain := map[string][]byte{
		audit.KindRequest: []byte(`{"body":"` + b64(d.Body) + `","token":"` + d.Token + `"}`),
		audit.KindInputs:  []byte(`{"inputs":null,"reasons":null}`),
	}
	change(plain)
	var list []string
	parts := []audit.Sealed{}
	for _, kind := range kinds {
		content := plain[kind]
		if len(content) > 0 && content[0] != '!' { // a salt stands before it
			content = append(block(9), content...)
		}
		content = bytes.TrimPrefix(content, []byte("!"))
		digest := sum(content)
		blob, err := b.config.Sealer.Seal(content, append([]byte("oncegate/evidence/v1\x00"+kind+"\x00"), digest...))
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, audit.Sealed{Kind: kind, Digest: digest, Blob: blob})
		list = append(list, `"`+b64(digest)+`"`)
	}
	was, err := audit.ParseRecord(entry.Record)
	if err != nil {
		t.Fatal(err)
	}
	leaf := bytes.Replace(entry.Record, []byte(was.Evidence), []byte(b64(sum([]byte("["+strings.Join(list, ",")+"]")))), 1)
	receipt, err := b.log.Append(t.Context(), leaf, audit.Entry{Record: leaf, Sealed: parts, Index: entry.Index})
	if err != nil {
		t.Fatal(err)
	}
	return receipt.Index
}

// TestOddParts: what the gateway's own keys sealed and is not a part of evidence fails by itself, with its reason.
func TestOddParts(t *testing.T) {
	request, inputs, person := audit.KindRequest, audit.KindInputs, audit.KindPerson
	for name, c := range map[string]struct {
		kinds  []string
		kind   string // is set to content
		text   string
		reason string // of the kind's step; "" where it holds
	}{
		"all well":                    {[]string{request, inputs}, inputs, `{"inputs":1,"reasons":null}`, ""},
		"shorter than a salt":         {[]string{request, inputs}, inputs, "!" + strings.Repeat("x", 31), "not what its digest says"},
		"a salt alone":                {[]string{request, inputs}, inputs, "!" + strings.Repeat("x", 32), "not of this kind"},
		"request is no JSON":          {[]string{request, inputs}, request, `x`, "not of this kind"},
		"request's body is no base64": {[]string{request, inputs}, request, `{"body":"*","token":""}`, "not of this kind"},
		"inputs are no object":        {[]string{request, inputs}, inputs, `5`, "not of this kind"},
		"a person is no JSON":         {[]string{request, inputs, person}, person, `x`, "not of this kind"},
		"a person without r":          {[]string{request, inputs, person}, person, `{"code":"x","r":"*","type":"111"}`, "not of this kind"},
		"a kind that is not known":    {[]string{request, inputs, "odd"}, "odd", `{}`, "no such kind"},
	} {
		b := newBench(t)
		e, err := b.auditor.Evidence(t.Context(), b.crafted(t, func(plain map[string][]byte) { plain[c.kind] = []byte(c.text) }, c.kinds...))
		if !errors.Is(err, audit.ErrAltered) { // none of the commitments is anybody's
			t.Errorf("%s: %v", name, err)
		}
		for _, step := range e.Steps {
			if step.Name == audit.StepPart+c.kind && (!strings.Contains(step.Reason, c.reason) || (step.State == check.OK) != (c.reason == "")) {
				t.Errorf("%s: %+v", name, step)
			}
		}
		if got := states(e.Steps); got[audit.StepPart+c.kind] == "" || got[audit.StepCommitments] != check.Failed {
			t.Errorf("%s: %v", name, e.Steps)
		}
	}
}

// The steps of evidence are these, in their order, whatever the record.
func TestStepsOfEvidence(t *testing.T) {
	b := newBench(t)
	names := func(index uint64) string {
		t.Helper()
		e, err := b.auditor.Evidence(t.Context(), index)
		if err != nil {
			t.Errorf("record %d: %v", index, err)
		}
		var list []string
		for _, s := range e.Steps {
			if s.State != check.OK {
				t.Errorf("record %d: %+v", index, s)
			}
			list = append(list, strings.TrimPrefix(s.Name, audit.StepPart))
		}
		return strings.Join(list, " ")
	}
	untokened, alone := draft(), draft()
	untokened.Token = ""
	alone.Body = nil
	own, err := b.recorder.RecordOwn(t.Context(), audit.Own{Operation: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		index uint64
		want  string
	}{
		{b.record(t, draft()).Index, "record-parsed evidence-digest request inputs person person person token-digest person-commitments"},
		{b.record(t, untokened).Index, "record-parsed evidence-digest request inputs person person person person-commitments"},
		{b.record(t, alone).Index, "record-parsed evidence-digest request inputs person person person token-digest person-commitments"},
		{own.Index, "record-parsed evidence-digest inputs person-commitments"},
	} {
		if got := names(c.index); got != c.want {
			t.Errorf("record %d: %s, want %s", c.index, got, c.want)
		}
	}
	r, err := b.log.Append(t.Context(), []byte(`{"v":99}`), audit.Entry{Index: audit.Index{Time: noon}})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := b.auditor.Evidence(t.Context(), r.Index); !errors.Is(err, audit.ErrAltered) || len(e.Steps) != 1 || e.Steps[0].Name != audit.StepRecord || e.Steps[0].State != check.Failed {
		t.Errorf("a leaf that is no record: %+v, %v", e.Steps, err)
	}
	if _, err := b.auditor.Evidence(t.Context(), r.Index+1); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, tlog.ErrUnproven) {
		t.Errorf("the entry behind the last: %v", err)
	}
}

// Who acted stands in the evidence also where the record has no uses, and nobody does where nobody acted.
func TestOperatorWithoutUses(t *testing.T) {
	b := newBench(t)
	for operator, want := range map[string]string{"clerk-7": "clerk-7", "": ""} {
		d := draft()
		d.Uses, d.Operator, d.RequestID, d.CommittedRequestID = nil, operator, "", "r-1"
		if e, err := b.auditor.Evidence(t.Context(), b.record(t, d).Index); err != nil || e.Operator != want || e.CommittedRequestID != "r-1" {
			t.Errorf("operator %q, request %q, %v, want %q", e.Operator, e.CommittedRequestID, err, want)
		}
	}
}

// A person who does not open is no excuse for a commitment that is nobody's, and neither is a request that was erased.
func TestCommitmentOfNobody(t *testing.T) {
	b := newBench(t)
	index := b.record(t, draft()).Index
	spoil := func(i int) {
		parts := slices.Clone(b.storage.entries[index].Sealed)
		parts[i].Blob = append([]byte{parts[i].Blob[0] ^ 1}, parts[i].Blob[1:]...)
		b.storage.entries[index].Sealed = parts
	}
	spoil(3)
	if e, _ := b.auditor.Evidence(t.Context(), index); states(e.Steps)[audit.StepCommitments] != check.Failed {
		t.Errorf("%v", e.Steps)
	}
	b.storage.entries[index].Sealed[0].Blob = nil
	if e, _ := b.auditor.Evidence(t.Context(), index); states(e.Steps)[audit.StepCommitments] != check.Failed {
		t.Errorf("the request erased: %v", e.Steps)
	}
}

// orders makes an order of erasure.
func (b *bench) orders(t *testing.T, o audit.Order) uint64 {
	t.Helper()
	operation := audit.OperationErase
	if o.Index == nil {
		operation = audit.OperationRetain
	}
	own, err := b.recorder.RecordOwn(t.Context(), audit.Own{Operation: operation, Erase: &o})
	if err != nil {
		t.Fatal(err)
	}
	return own.Index
}

// TestFirstOrder: the order that is named is the first that covers a record, whatever others stand around it.
func TestFirstOrder(t *testing.T) {
	before := func(d time.Duration) audit.Order {
		return audit.Order{Before: noon.Add(d).Format(canonical.TimeLayout)}
	}
	zero, one := uint64(0), uint64(1)
	of, other := audit.Order{Index: &zero}, audit.Order{Index: &one}
	for name, c := range map[string]struct {
		orders []audit.Order
		want   uint64
	}{
		"one":                            {[]audit.Order{of}, 2},
		"two":                            {[]audit.Order{of, of}, 2},
		"another's between":              {[]audit.Order{of, other, of}, 2},
		"a retention before":             {[]audit.Order{before(time.Hour), of}, 2},
		"a retention after":              {[]audit.Order{other, of, before(time.Hour)}, 3},
		"a retention of less after":      {[]audit.Order{before(time.Hour), before(-time.Hour)}, 2},
		"two retentions":                 {[]audit.Order{before(-time.Hour), before(time.Hour), before(2 * time.Hour)}, 3},
		"a retention up to that moment":  {[]audit.Order{before(0), before(time.Millisecond)}, 3},
		"a retention of less in between": {[]audit.Order{before(-time.Hour), of}, 3},
	} {
		b := newBench(t)
		b.record(t, draft())
		b.record(t, draft())
		for _, o := range c.orders {
			b.orders(t, o)
		}
		if err := b.storage.Erase(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if e, err := b.auditor.Evidence(t.Context(), 0); err != nil || e.ErasedBy == nil || *e.ErasedBy != c.want {
			t.Errorf("%s: by %v, %v, want %d", name, e.ErasedBy, err, c.want)
		}
	}
}

// TestManyOrders: orders are sought on all pages of them, and no further back than one may stand.
func TestManyOrders(t *testing.T) {
	b := newBench(t)
	b.record(t, draft())
	zero, one := uint64(0), uint64(1)
	b.record(t, draft())
	b.orders(t, audit.Order{Index: &zero})
	for range audit.MaxPage {
		b.orders(t, audit.Order{Index: &one})
	}
	if err := b.storage.Erase(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	b.storage.covered = len(b.storage.entries)
	if e, err := b.auditor.Evidence(t.Context(), 0); err != nil || *e.ErasedBy != 2 {
		t.Errorf("by %v, %v", e.ErasedBy, err)
	}
	// Runs of retention cover less the older they are: those behind the first that covers are not opened.
	b = newBench(t)
	reads := 0
	b.config.Storage = &lying{memory: b.storage, entry: func(index uint64) ([]byte, []audit.Sealed, error) {
		reads++
		return b.storage.Entry(context.Background(), index)
	}}
	b.openAuditor(t)
	b.record(t, draft())
	for i := range 20 {
		b.orders(t, audit.Order{Before: noon.Add(time.Duration(i-17) * time.Hour).Format(canonical.TimeLayout)})
	}
	if err := b.storage.Erase(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if e, err := b.auditor.Evidence(t.Context(), 0); err != nil || *e.ErasedBy != 19 || reads != 1+3 {
		t.Errorf("by %v after %d reads, %v", e.ErasedBy, reads, err)
	}
}

// What is no order excuses nothing: one older than the record, one about itself, one beyond the log, one whose evidence is damaged.
func TestNoExcuse(t *testing.T) {
	for name, do := range map[string]func(b *bench, l *lying) (erased uint64){
		"older than the record": func(b *bench, _ *lying) uint64 {
			next := uint64(1)
			b.orders(t, audit.Order{Index: &next})
			return b.record(t, draft()).Index
		},
		"about itself": func(b *bench, _ *lying) uint64 {
			next := uint64(0)
			d := draft()
			d.Operation, d.Erase = audit.OperationErase, &audit.Order{Index: &next}
			return b.record(t, d).Index
		},
		"beyond the log": func(b *bench, l *lying) uint64 {
			l.search = func([]audit.Row) ([]audit.Row, error) { return []audit.Row{{Log: origin, Index: 1000}}, nil }
			return b.record(t, draft()).Index
		},
		"of damaged evidence": func(b *bench, _ *lying) uint64 {
			index := b.record(t, draft()).Index
			d := draft()
			d.Operation, d.Uses, d.Erase = audit.OperationErase, nil, &audit.Order{Index: &index}
			order := b.record(t, d).Index
			request := &b.storage.entries[order].Sealed[0]
			request.Blob = append([]byte{request.Blob[0] ^ 1}, request.Blob[1:]...)
			return index
		},
		"of inputs": func(b *bench, _ *lying) uint64 {
			index := b.record(t, draft()).Index
			b.orders(t, audit.Order{Index: &index})
			b.storage.entries[index].Sealed[1].Blob = nil
			return index
		},
	} {
		b := newBench(t)
		l := &lying{memory: b.storage}
		b.config.Storage = l
		b.openAuditor(t)
		index := do(b, l)
		if err := b.storage.Erase(t.Context(), index); err != nil {
			t.Fatal(err)
		}
		if e, err := b.auditor.Evidence(t.Context(), index); !errors.Is(err, audit.ErrAltered) {
			t.Errorf("%s: by %v, %v", name, e.ErasedBy, err)
		}
	}
}

// stuck is a projection that does not follow.
type stuck struct{ *memory }

func (s stuck) Follow(context.Context) (uint64, uint64, error) { return 0, 0, nil }

// Where search is behind, it is not known whether an order erased a part; where orders cannot be read, nothing is said at all.
func TestOrdersNotAtHand(t *testing.T) {
	b := newBench(t)
	index := b.record(t, draft()).Index
	b.orders(t, audit.Order{Index: &index})
	if err := b.storage.Erase(t.Context(), index); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		storage audit.Storage
		behind  bool
	}{
		"behind":              {stuck{b.storage}, true},
		"search falls behind": {&lying{memory: b.storage, search: func([]audit.Row) ([]audit.Row, error) { return nil, audit.ErrBehind }}, true},
		"search fails":        {&lying{memory: b.storage, search: func([]audit.Row) ([]audit.Row, error) { return nil, errBroken }}, false},
	} {
		b.config.Storage, b.storage.covered = c.storage, 0
		b.openAuditor(t)
		e, err := b.auditor.Evidence(t.Context(), index)
		if c.behind && (err != nil || states(e.Steps)[audit.StepPart+"request"] != check.NotCheckable || e.ErasedBy != nil) || !c.behind && (!errors.Is(err, errBroken) || len(e.Steps) > 0) {
			t.Errorf("%s: %v, %v", name, e.Steps, err)
		}
	}
}

// breaking is a storage whose retention fails.
type breaking struct {
	*memory
	erasable, erase, purge error
}

func (b *breaking) Erasable(ctx context.Context, at time.Time) (bool, error) {
	if b.erasable != nil {
		return false, b.erasable
	}
	return b.memory.Erasable(ctx, at)
}

func (b *breaking) EraseBefore(ctx context.Context, at time.Time, limit int) (int, error) {
	if b.erase != nil {
		return 0, b.erase
	}
	return b.memory.EraseBefore(ctx, at, min(limit, 2))
}

func (b *breaking) Purge(context.Context, time.Time) error { return b.purge }

func TestRetentionFails(t *testing.T) {
	b := newBench(t)
	storage := &breaking{memory: b.storage}
	b.config.Storage = storage
	b.openAuditor(t)
	for range 5 {
		b.record(t, draft())
	}
	later := noon.Add(time.Hour)
	storage.erasable, storage.purge = errBroken, errBroken
	if done, err := b.auditor.Retain(t.Context(), later, nil); !errors.Is(err, errBroken) || done != 0 {
		t.Errorf("erased %d, %v", done, err)
	}
	if err := b.auditor.Purge(t.Context(), later); !errors.Is(err, errBroken) {
		t.Errorf("purge: %v", err)
	}
	storage.erasable, storage.erase = nil, errBroken
	if done, err := b.auditor.Retain(t.Context(), later, nil); !errors.Is(err, errBroken) || done != 0 {
		t.Errorf("erased %d, %v", done, err)
	}
	storage.erase = nil
	var steps []int
	done, err := b.auditor.Retain(t.Context(), later, func(done int) { steps = append(steps, done) })
	if want := []int{2, 4, 5}; err != nil || done != 5 || !slices.Equal(steps, want) {
		t.Errorf("erased %d in steps %v, %v, want %v", done, steps, err, want)
	}
	last := b.orders(t, audit.Order{Before: later.Format(canonical.TimeLayout)})
	if err := b.auditor.Erase(t.Context(), last); !errors.Is(err, audit.ErrNoOrder) {
		t.Errorf("a retention carried out as an erasure: %v", err)
	}
}

// Erasable are the parts that are there and that an order erases.
func TestErasableParts(t *testing.T) {
	b := newBench(t)
	nobody := draft()
	nobody.Uses, nobody.Operator = nil, ""
	own, err := b.recorder.RecordOwn(t.Context(), audit.Own{Operation: "x"})
	if err != nil {
		t.Fatal(err)
	}
	erased := b.record(t, draft()).Index
	b.orders(t, audit.Order{Index: &erased})
	if err := b.storage.Erase(t.Context(), erased); err != nil {
		t.Fatal(err)
	}
	for index, want := range map[uint64]string{b.record(t, draft()).Index: "request person", b.record(t, nobody).Index: "request", own.Index: "", erased: ""} {
		if e, err := b.auditor.Evidence(t.Context(), index); err != nil || strings.Join(e.Erasable(), " ") != want {
			t.Errorf("record %d: %q, want %q, %v", index, e.Erasable(), want, err)
		}
	}
}

// TestStateCheck: a step of holding tables against the log keeps its first faults, and is what the worst of them says.
func TestStateCheck(t *testing.T) {
	var c, other audit.StateCheck
	c.Name, other.Name = "one", "other"
	if s := c.Step(); s != (check.Step{Name: "one", State: check.OK}) {
		t.Errorf("%+v", s)
	}
	c.Unknown("no key")
	c.Unknown("another")
	if s := c.Step(); s != (check.Step{Name: "one", State: check.NotCheckable, Reason: "no key"}) {
		t.Errorf("%+v", s)
	}
	for i := range audit.MaxStateFaults - 1 {
		c.Fault(audit.StateFault{Table: "cases", Key: fmt.Sprint(i), What: "w"})
	}
	other.Checked, c.Checked = 3, 4
	c.Join(other)
	if c.Checked != 7 || c.Count != 99 {
		t.Errorf("%d checked, %d faults", c.Checked, c.Count)
	}
	for range 3 {
		other.Fault(audit.StateFault{Table: "hits"})
	}
	other.Unknown("damaged")
	c.Join(other)
	if s := c.Step(); s.State != check.Failed || s.Reason != "102 faults were found" || len(c.Faults) != 100 || c.Faults[98].Step != "one" || c.Faults[99].Table != "hits" || c.Count != 102 {
		t.Errorf("%+v, %d kept", s, len(c.Faults))
	}
	c.Fault(audit.StateFault{})
	if len(c.Faults) != 100 || c.Count != 103 {
		t.Errorf("%d kept of %d", len(c.Faults), c.Count)
	}
	unknown := audit.StateCheck{Name: "n"}
	unknown.Join(other)
	unknown.Count = 0
	if s := unknown.Step(); s.Reason != "damaged" || s.State != check.NotCheckable {
		t.Errorf("%+v", s)
	}
	record := uint64(7)
	for want, f := range map[string]audit.StateFault{
		"table cases: w":                      {Table: "cases", What: "w"},
		"table cases, C-1: w":                 {Table: "cases", Key: "C-1", What: "w"},
		"table records, record 7 of a.log: w": {Table: "records", Log: "a.log", Record: &record, What: "w"},
	} {
		if got := f.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestBoundLimits: what can be bound can be read, up to the limits of both, and not beyond.
func TestBoundLimits(t *testing.T) {
	text := func(n int) []any { return []any{liar{map[string]string{"change": "a", "x": strings.Repeat("x", n)}}} }
	_, entry := bind(t, text(1000)...)
	most := 16<<20 - (len(entry.Bound) - 1000)
	many := make([]any, 1<<16)
	for i := range many {
		many[i] = liar{map[string]string{"change": "a"}}
	}
	b, log := newBench(t), &captured{}
	b.config.Log = log
	b.open(t)
	for name, changes := range map[string][]any{"bytes": text(most), "changes": many} {
		d := draft()
		d.Changes = changes
		b.record(t, d)
		if list, err := audit.ParseBoundList(log.entry.Bound); err != nil || len(list) != len(changes) {
			t.Errorf("as many %s as there may be: %d changes of %d bytes, %v", name, len(list), len(log.entry.Bound), err)
		}
	}
	for name, changes := range map[string][]any{"bytes": text(most + 1), "changes": append(many, many[0])} {
		d := draft()
		d.Changes = changes
		if _, err := b.recorder.Record(t.Context(), d); !errors.Is(err, audit.ErrTooLarge) {
			t.Errorf("more %s: %v", name, err)
		}
	}
	if list, err := audit.ParseBoundList([]byte(`[{"change":"audit.salt","r":"` + encodedZero + `","x":1},{"change":"a"}]`)); !errors.Is(err, audit.ErrBound) {
		t.Errorf("a salt with something more: %v, %v", list, err)
	}
}

// The first entry that is no record is named, also where it is the log's first.
func TestFirstThatIsNoRecord(t *testing.T) {
	for name, c := range map[string]struct {
		leaves []string
		entry  uint64
	}{
		"the first two": {[]string{"x", "y"}, 0},
		"two later":     {[]string{"", "x", "y"}, 1},
	} {
		b := newBench(t)
		for _, leaf := range c.leaves {
			if leaf == "" {
				b.record(t, draft())
			} else if _, err := b.log.Append(t.Context(), []byte(leaf), nil); err != nil {
				t.Fatal(err)
			}
		}
		var corrupt *tlog.CorruptError
		if err := audit.VerifyLog(t.Context(), b.storage, b.checkpoint(t), newSM3, nil); !errors.As(err, &corrupt) || corrupt.Entry != c.entry {
			t.Errorf("%s: %v, want entry %d", name, err, c.entry)
		}
	}
	b := newBench(t)
	if _, err := b.log.Append(t.Context(), []byte(b.log.Known()), nil); err != nil { // its own checkpoint: it recovered from nothing
		t.Fatal(err)
	}
	var corrupt *tlog.CorruptError
	if err := audit.VerifyLog(t.Context(), b.storage, b.checkpoint(t), newSM3, nil); !errors.As(err, &corrupt) || corrupt.Entry != 0 {
		t.Errorf("a checkpoint of the log itself: %v", err)
	}
}

// reasons are the reasons of steps by name.
func reasons(steps []check.Step) map[string]string {
	all := map[string]string{}
	for _, s := range steps {
		all[s.Name] = s.Reason
	}
	return all
}

// TestReceiptEdges: what stands at the edge of a proof is judged by its own name.
func TestReceiptEdges(t *testing.T) {
	b := newBench(t)
	b.config.Rand = new(counting)
	b.open(t)
	d := draft()
	d.Uses[1].Person = license.HolderID{}
	good := audit.Proof{Receipt: b.record(t, d), Answer: d.Answer, Split: true, Token: d.Token}
	r := openedR(t, b, good.Receipt.Index, company)
	trust := audit.Trust{Trust: b.keys.Trust}
	opening := func(use int, r []byte) []audit.Opening { return []audit.Opening{{Use: use, Holder: company, R: r}} }
	for name, c := range map[string]struct {
		change func(*audit.Proof)
		step   string
		want   check.State
		reason string
	}{
		"the answer as it is":               {func(*audit.Proof) {}, audit.StepAnswer, check.OK, ""},
		"an answer that only looks split":   {func(p *audit.Proof) { p.Answer = append([]byte(" "), p.Answer...) }, audit.StepAnswer, check.Failed, "another answer"},
		"an answer that is no JSON":         {func(p *audit.Proof) { p.Answer, p.Split = []byte("{"), false }, audit.StepAnswer, check.Failed, "malformed"},
		"the first use":                     {func(p *audit.Proof) { p.Opened = opening(0, r) }, audit.StepHolder, check.OK, ""},
		"a use of nobody":                   {func(p *audit.Proof) { p.Opened = opening(1, r) }, audit.StepHolder, check.Failed, "no commitment there"},
		"r with a zero more, the same HMAC": {func(p *audit.Proof) { p.Opened = opening(0, append(slices.Clone(r), 0)) }, audit.StepHolder, check.Failed, "somebody else"},
		"a holder that is no text":          {func(p *audit.Proof) { p.Opened = []audit.Opening{{Holder: license.HolderID{Code: "\xff"}, R: r}} }, audit.StepHolder, check.Failed, "somebody else"},
	} {
		p := good
		c.change(&p)
		_, steps, err := audit.VerifyReceipt(p, trust)
		if got := states(steps)[c.step]; got != c.want || !strings.Contains(reasons(steps)[c.step], c.reason) || (err == nil) != (c.want == check.OK) {
			t.Errorf("%s: %v, %v", name, steps, err)
		}
	}
	lines := strings.SplitAfter(good.Receipt.Checkpoint, "\n")
	short := good
	short.Receipt.Checkpoint = strings.Join(slices.Delete(slices.Clone(lines), len(lines)-2, len(lines)-1), "") // without the Ed25519 line
	if record, steps, err := audit.VerifyReceipt(short, trust); !errors.Is(err, tlog.ErrUnproven) || states(steps)[tlog.StepEd25519] != check.NotCheckable || record.RequestID != "r-1" {
		t.Errorf("without a line whose key is known: %v, %v", steps, err)
	}
	short.Receipt.Record = []byte("{}")
	if _, steps, _ := audit.VerifyReceipt(short, trust); states(steps)[audit.StepAnswer] != "" || states(steps)[audit.StepToken] != "" {
		t.Errorf("a leaf that is no record is of an answer: %v", steps)
	}
}

// TestCosignaturesOfOneName: of the lines of one witness a forged one counts before every valid one, a valid one before none, and of two
// valid ones the later.
func TestCosignaturesOfOneName(t *testing.T) {
	b := newBench(t)
	good := b.record(t, draft()).Checkpoint
	text := strings.TrimSuffix(strings.SplitAfter(good, "\n\n")[0], "\n")
	const absent, valid, forged = check.NotCheckable, check.OK, check.Failed
	for _, c := range []struct {
		first, second check.State
		late          bool // the first line is the later one
		want          check.State
	}{
		{absent, absent, false, absent}, {absent, valid, false, valid}, {valid, absent, false, valid}, {valid, valid, false, valid}, {valid, valid, true, valid},
		{forged, valid, false, forged}, {valid, forged, false, forged}, {absent, forged, false, forged}, {forged, absent, false, forged},
	} {
		checkpoint := good
		var witnesses []note.Verifier
		for i, state := range []check.State{c.first, c.second} {
			skey, vkey, err := note.GenerateKey(rand.Reader, "witness.example")
			if err != nil {
				t.Fatal(err)
			}
			signer, _ := note.NewSigner(skey)
			key, _ := note.NewVerifier(vkey)
			hours := i
			if c.late {
				hours = 1 - i
			}
			witnesses = append(witnesses, stampedKey{key, noon.Add(time.Duration(hours) * time.Hour)})
			switch state {
			case valid:
				checkpoint += tlogtest.Line(t, contextSigner{signer}, text)
			case forged:
				checkpoint += tlogtest.Line(t, contextSigner{signer}, "another text\n")
			}
		}
		var at time.Time
		switch {
		case c.want != valid:
		case c.first == valid && (c.second == absent || c.late):
			at = noon.Add(time.Duration(map[bool]int{true: 1}[c.late]) * time.Hour)
		default:
			at = noon.Add(time.Hour)
		}
		want := []audit.Cosignature{{Witness: "witness.example", State: c.want, Time: at}}
		if got := audit.Cosignatures(checkpoint, witnesses); !slices.Equal(got, want) {
			t.Errorf("%s and %s: %+v, want %+v", c.first, c.second, got, want)
		}
	}
}

// What a witness step says where nobody co-signed, or nobody says when.
func TestWitnessStepWords(t *testing.T) {
	b := newBench(t)
	checkpoint := b.record(t, draft()).Checkpoint
	skey, vkey, err := note.GenerateKey(rand.Reader, "witness.example")
	if err != nil {
		t.Fatal(err)
	}
	signer, _ := note.NewSigner(skey)
	key, _ := note.NewVerifier(vkey)
	text := strings.TrimSuffix(strings.SplitAfter(checkpoint, "\n\n")[0], "\n")
	signed := checkpoint + tlogtest.Line(t, contextSigner{signer}, text)
	for want, step := range map[string]check.Step{
		"no witness is known here: unwitnessed":                                                audit.WitnessStep(signed, nil),
		"none of 1 known witnesses has co-signed: unwitnessed":                                 audit.WitnessStep(checkpoint, []note.Verifier{key}),
		"co-signed by 1 of 1 known witnesses: witness.example at a time it does not state":     audit.WitnessStep(signed, []note.Verifier{key}),
		"co-signed by 1 of 1 known witnesses: witness.example at " + noon.Format(time.RFC3339): audit.WitnessStep(signed, []note.Verifier{stampedKey{key, noon}}),
	} {
		if step.Reason != want {
			t.Errorf("%+v, want %q", step, want)
		}
	}
}

// A document that is a receipt alone answers nothing; one without says so by its own name.
func TestSplitAnswerEdges(t *testing.T) {
	b := newBench(t)
	receipt, err := json.Marshal(b.record(t, draft()))
	if err != nil {
		t.Fatal(err)
	}
	if answer, _, err := audit.SplitAnswer([]byte(`{"receipt":` + string(receipt) + `}`)); err != nil || string(answer) != "{}" {
		t.Errorf("%s, %v", answer, err)
	}
	for document, none := range map[string]bool{`{"answer":{}}`: true, `{"answer":{},"receipt":{}}`: false} {
		if _, _, err := audit.SplitAnswer([]byte(document)); errors.Is(err, audit.ErrNoReceipt) != none {
			t.Errorf("%s: %v", document, err)
		}
	}
}
