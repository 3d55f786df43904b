package audit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/audit"
	"oncegate/check"
)

// A kept database is what VerifyStored reads, to be altered.
type kept struct {
	records []audit.StoredRecord // newest first
	claims  []audit.StoredClaim
	horizon time.Time
	fails   string // what cannot be read
}

func (k *kept) Records(_ context.Context, yield func(audit.StoredRecord) error) error {
	if k.fails == "records" {
		return errBroken
	}
	for _, r := range k.records {
		if err := yield(r); err != nil {
			return err
		}
	}
	return nil
}

func (k *kept) Claims(_ context.Context, yield func(audit.StoredClaim) error) error {
	if k.fails == "claims" {
		return errBroken
	}
	for _, c := range k.claims {
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}

func (k *kept) Horizon(context.Context) (int64, error) {
	if k.fails == "horizon" {
		return 0, errBroken
	}
	return k.horizon.UnixMicro(), nil
}

// at returns the record with an index.
func (k *kept) at(index uint64) *audit.StoredRecord {
	for i := range k.records {
		if k.records[i].Index == index {
			return &k.records[i]
		}
	}
	panic(index)
}

// keptOf reads a bench as a database: the newest record first.
func keptOf(t *testing.T, b *bench) *kept {
	t.Helper()
	k := &kept{horizon: noon}
	for i, e := range slices.Backward(b.storage.entries) {
		r := audit.StoredRecord{Log: origin, Index: uint64(i), Leaf: e.Record, Parts: slices.Clone(e.Sealed)}
		if len(e.Sealed) > 0 {
			r.Time = e.Index.Time.UnixMicro()
			var err error
			if r.Search, err = json.Marshal(e.Index); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range e.Sealed {
			if p.Kind != audit.KindInputs && p.Blob != nil {
				r.Erasable = 1
			}
		}
		k.records = append(k.records, r)
	}
	for key, c := range b.storage.claims {
		system, jti, _ := strings.Cut(key, "\x00")
		k.claims = append(k.claims, audit.StoredClaim{Log: origin, Index: c.index, System: system, JTI: jti, Expires: c.exp.UnixMicro()})
	}
	return k
}

// The records of the database that is altered.
const (
	theCheckpoint = uint64(iota)
	theActivation
	theCall      // signed, claimed
	theSession   // of an operator whom an identity service vouches for
	theInner     // of a caller in the same process: not signed, claimed
	theCommitted // whose case number and request id are commitments
	theNobody    // without operator and uses
	theErased    // by one order
	theErasure
	theOld       // by the last retention
	theRetention // of what is older than that
	theOldForm   // by an order as it was written before orders had a member of their own
	theOldOrder
	theUnanswered // call: its record is of no answer
	theNote       // of the gateway's own, whose inputs look like an order
	theUnattended // call: without operator
	theGone       // without operator and uses, erased
	theGoneOrder
	theEdge // of the moment up to which evidence is retained
	theLastRetention
	theOtherInner
	theByCall
)

var errLost = errors.New("no such key")

// storedBench makes the database, and options that read claims and words off tokens and bodies.
func storedBench(t *testing.T) (*bench, *kept, audit.StoredOptions) {
	t.Helper()
	b := newBench(t)
	call := func(n int, change func(*audit.Draft)) {
		t.Helper()
		d := draft()
		d.Token, d.Time = fmt.Sprint("token-", n), noon.Add(time.Duration(n)*time.Minute)
		d.Claim = &audit.Claim{System: d.System, JTI: d.Token, Exp: noon.Add(time.Hour)}
		if change != nil {
			change(&d)
		}
		b.record(t, d)
	}
	if _, err := b.log.Append(t.Context(), []byte(newBench(t).checkpointOf(t, "old.example/log")), audit.Entry{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.recorder.Activate(t.Context(), []audit.File{{Path: "a", Data: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	call(2, nil)
	vouched := func(d *audit.Draft, proof string) {
		d.OperatorProof, d.OperatorService, d.OperatorRoles = proof, "staff-id", []string{"clerk"}
	}
	call(3, func(d *audit.Draft) { vouched(d, audit.OperatorBySession) })
	call(4, func(d *audit.Draft) {
		d.Token, d.Body = "", []byte("token-4")
		vouched(d, audit.OperatorBySession) // as the caller knows
	})
	call(5, func(d *audit.Draft) {
		d.RequestID, d.CommittedRequestID = "", "odd request"
		d.Uses[0].Case, d.Uses[0].CommittedCase = "", "odd case"
	})
	call(6, func(d *audit.Draft) { d.Operator, d.Uses = "", nil })
	call(7, nil)
	erase := func(o audit.Order, inputs any) {
		t.Helper()
		operation := audit.OperationErase
		if o.Before != "" {
			operation = audit.OperationRetain
		}
		own := audit.Own{Operation: operation, Erase: &o}
		if inputs != nil {
			own.Inputs, own.Erase = inputs, nil
		}
		if _, err := b.recorder.RecordOwn(t.Context(), own); err != nil {
			t.Fatal(err)
		}
	}
	erased, old := theErased, noon.Add(-time.Hour)
	erase(audit.Order{Index: &erased}, nil)
	call(9, func(d *audit.Draft) {
		d.Time = old
		vouched(d, audit.OperatorByCall)
	})
	erase(audit.Order{Before: "2026-11-23T03:00:00.000Z"}, nil)
	call(11, nil)
	erase(audit.Order{}, map[string]any{"index": theOldForm})
	call(13, func(d *audit.Draft) { d.Answer = nil })
	if _, err := b.recorder.RecordOwn(t.Context(), audit.Own{Operation: "note", Inputs: map[string]any{"index": theCall}}); err != nil {
		t.Fatal(err)
	}
	call(15, func(d *audit.Draft) { d.Operator = "" })
	call(16, func(d *audit.Draft) { // but not without a person part
		d.Operator, d.Uses = "", nil
		d.RequestID, d.CommittedRequestID = "", "odd request"
	})
	gone := theGone
	erase(audit.Order{Index: &gone}, nil)
	call(18, func(d *audit.Draft) { d.Time = noon.Truncate(time.Hour) })
	erase(audit.Order{Before: "2026-11-23T04:00:00.000Z"}, nil)
	call(20, func(d *audit.Draft) { d.Token, d.Body = "", []byte("token-20") })
	call(21, func(d *audit.Draft) { vouched(d, audit.OperatorByCall) })
	for _, i := range []uint64{theErased, theOld, theOldForm, theGone} {
		if err := b.storage.Erase(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	o := audit.StoredOptions{
		UnknownKey: errLost,
		Claimed: func(r audit.Request) (audit.Claim, error) {
			jti := r.Token
			if jti == "" {
				jti = string(r.Body)
			}
			return audit.Claim{System: "window", JTI: jti, Exp: noon.Add(time.Hour)}, nil
		},
		Vouched: func(r audit.Request) (*audit.Vouched, error) {
			proof := map[string]string{"token-3": audit.OperatorBySession, "token-21": audit.OperatorByCall}[r.Token]
			return &audit.Vouched{Proof: proof, Service: "staff-id", Roles: []string{"clerk"}}, nil
		},
	}
	return b, keptOf(t, b), o
}

func verifyKept(t *testing.T, b *bench, k *kept, o audit.StoredOptions) map[string]audit.StateCheck {
	t.Helper()
	checks, err := audit.VerifyStored(t.Context(), b.config, k, o)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]audit.StateCheck{}
	for _, c := range checks {
		by[c.Name] = c
	}
	return by
}

// TestVerifyStored alters what stands beside records in every way; each is found at the record that it is about, and nothing else is.
func TestVerifyStored(t *testing.T) {
	b, whole, options := storedBench(t)
	for name, c := range verifyKept(t, b, whole, options) {
		if len(c.Faults) > 0 || c.Step().State != check.OK || c.Checked != uint64(len(whole.records)) {
			t.Fatalf("%s, nothing altered: %d checked, %+v, %+v", name, c.Checked, c.Step(), c.Faults)
		}
	}
	index := func(change func(*audit.Index)) func(*audit.StoredRecord) {
		return func(r *audit.StoredRecord) {
			var x audit.Index
			if err := json.Unmarshal(r.Search, &x); err != nil {
				t.Fatal(err)
			}
			change(&x)
			var err error
			if r.Search, err = json.Marshal(x); err != nil {
				t.Fatal(err)
			}
		}
	}
	use := func(change func(*audit.IndexUse)) func(*audit.StoredRecord) {
		return index(func(x *audit.Index) { change(&x.Uses[0]) })
	}
	flip := func(part int) func(*audit.StoredRecord) {
		return func(r *audit.StoredRecord) {
			r.Parts[part].Blob = append([]byte{r.Parts[part].Blob[0] ^ 1}, r.Parts[part].Blob[1:]...)
		}
	}
	both := func(a, b func(*audit.StoredRecord)) func(*audit.StoredRecord) {
		return func(r *audit.StoredRecord) { a(r); b(r) }
	}
	another := b64(sum([]byte("another")))
	const (
		search    = "by something else"
		shape     = "has not one part of inputs"
		beside    = "beside a checkpoint"
		retention = "retention does not see"
	)
	for name, a := range map[string]struct {
		record uint64
		alter  func(*audit.StoredRecord)
		step   string
		what   string
	}{
		"parts beside a checkpoint":     {theCheckpoint, func(r *audit.StoredRecord) { r.Parts = []audit.Sealed{{}} }, audit.StepKept, beside},
		"none to be read beside it":     {theCheckpoint, func(r *audit.StoredRecord) { r.PartsErr = errBroken }, audit.StepKept, beside},
		"an index beside a checkpoint":  {theCheckpoint, func(r *audit.StoredRecord) { r.Search = []byte("{}") }, audit.StepKept, beside},
		"retention beside a checkpoint": {theCheckpoint, func(r *audit.StoredRecord) { r.Erasable = 1 }, audit.StepKept, beside},
		"no record":                     {theCall, func(r *audit.StoredRecord) { r.Leaf = []byte("{}") }, audit.StepKept, "is no record"},
		"evidence that cannot be read":  {theCall, func(r *audit.StoredRecord) { r.PartsErr = errBroken }, audit.StepKept, "cannot be read"},
		"a part of no kind":             {theCall, func(r *audit.StoredRecord) { r.Parts[0].Kind = "odd" }, audit.StepKept, "not known"},
		"two requests":                  {theCall, func(r *audit.StoredRecord) { r.Parts = slices.Insert(r.Parts, 0, r.Parts[0]) }, audit.StepKept, shape},
		"no inputs":                     {theCall, func(r *audit.StoredRecord) { r.Parts = slices.Delete(r.Parts, 1, 2) }, audit.StepKept, shape},
		"two inputs":                    {theCall, func(r *audit.StoredRecord) { r.Parts = slices.Insert(r.Parts, 1, r.Parts[1]) }, audit.StepKept, shape},
		"persons before inputs":         {theCall, func(r *audit.StoredRecord) { r.Parts[1], r.Parts[2] = r.Parts[2], r.Parts[1] }, audit.StepKept, shape},
		"no request of a call":          {theCall, func(r *audit.StoredRecord) { r.Parts = r.Parts[1:] }, audit.StepKept, "has no request"},
		"no request of an inner call":   {theInner, func(r *audit.StoredRecord) { r.Parts = r.Parts[1:] }, audit.StepKept, "has no request"},
		"no request, and no answer":     {theUnanswered, func(r *audit.StoredRecord) { r.Parts = r.Parts[1:] }, audit.StepKept, "has no request"},
		"a checkpoint at another place": {theCall, func(r *audit.StoredRecord) { r.Leaf = whole.at(theCheckpoint).Leaf }, audit.StepKept, "is no record"},
		"no record at the beginning":    {theCheckpoint, func(r *audit.StoredRecord) { r.Leaf = []byte("{}") }, audit.StepKept, "is no record"},
		"two requests without operator": {theUnattended, func(r *audit.StoredRecord) { r.Parts = slices.Insert(r.Parts, 0, r.Parts[0]) }, audit.StepKept, shape},
		"whose digests nobody knows":    {theUnattended, func(r *audit.StoredRecord) { r.Parts = slices.Insert(r.Parts, 0, r.Parts[0]) }, audit.StepIndexed, search},
		"erased at the very moment":     {theEdge, func(r *audit.StoredRecord) { r.Parts[0].Blob = nil }, audit.StepKept, "no record ordered its erasure"},
		"another system, committed":     {theCommitted, index(func(x *audit.Index) { x.System = "x" }), audit.StepIndexed, search},
		"no operator, version 2":        {theCall, both(version2, index(func(x *audit.Index) { x.Operator = "" })), audit.StepIndexed, search},
		"and the request is gone":       {theCall, both(version2, both(func(r *audit.StoredRecord) { r.Parts[0].Blob = nil }, index(func(x *audit.Index) { x.Operator = "" }))), audit.StepIndexed, search},
		"no digest, version 2, erased":  {theErased, both(version2, index(func(x *audit.Index) { x.Operator = "clerk-7" })), audit.StepIndexed, search},
		"retention sees nothing":        {theCall, func(r *audit.StoredRecord) { r.Erasable = 0 }, audit.StepKept, retention},
		"retention sees what is gone":   {theErased, func(r *audit.StoredRecord) { r.Erasable = 1 }, audit.StepKept, retention},
		"retention sees inputs":         {theActivation, func(r *audit.StoredRecord) { r.Erasable = 1 }, audit.StepKept, retention},
		"a bit of a request":            {theCall, flip(0), audit.StepKept, audit.StepPart + "request"},
		"a bit of inputs":               {theCall, flip(1), audit.StepKept, audit.StepPart + "inputs"},
		"erased without an order":       {theCall, func(r *audit.StoredRecord) { r.Parts[0].Blob = nil }, audit.StepKept, "no record ordered its erasure"},
		"inputs erased by an order":     {theErased, func(r *audit.StoredRecord) { r.Parts[1].Blob = nil }, audit.StepKept, "no order erases parts of this kind"},
		"no index":                      {theCall, func(r *audit.StoredRecord) { r.Search = nil }, audit.StepIndexed, "cannot be read"},
		"an index with more":            {theCall, func(r *audit.StoredRecord) { r.Search = append([]byte(`{"x":1,`), r.Search[1:]...) }, audit.StepIndexed, "cannot be read"},
		"found at another time":         {theCall, index(func(x *audit.Index) { x.Time = x.Time.Add(time.Second) }), audit.StepIndexed, "another time"},
		"retained from another time":    {theCall, func(r *audit.StoredRecord) { r.Time++ }, audit.StepIndexed, "another time"},
		"another system":                {theCall, index(func(x *audit.Index) { x.System = "x" }), audit.StepIndexed, search},
		"another operation":             {theCall, index(func(x *audit.Index) { x.Operation = "x" }), audit.StepIndexed, search},
		"another request":               {theCall, index(func(x *audit.Index) { x.RequestID = "x" }), audit.StepIndexed, search},
		"a use less":                    {theCall, index(func(x *audit.Index) { x.Uses = x.Uses[1:] }), audit.StepIndexed, search},
		"a use more":                    {theCall, index(func(x *audit.Index) { x.Uses = append(x.Uses, x.Uses[0]) }), audit.StepIndexed, search},
		"another operator":              {theCall, index(func(x *audit.Index) { x.Operator = another }), audit.StepIndexed, search},
		"no operator":                   {theCall, index(func(x *audit.Index) { x.Operator = "" }), audit.StepIndexed, search},
		"an operator of nobody":         {theNobody, index(func(x *audit.Index) { x.Operator = another }), audit.StepIndexed, search},
		"an operator that is no digest": {theCall, index(func(x *audit.Index) { x.Operator = "clerk-7" }), audit.StepIndexed, search},
		"another matter":                {theCall, use(func(u *audit.IndexUse) { u.Matter = "x" }), audit.StepIndexed, search},
		"another material":              {theCall, use(func(u *audit.IndexUse) { u.Material = "x" }), audit.StepIndexed, search},
		"another type":                  {theCall, use(func(u *audit.IndexUse) { u.LicenseType = "x" }), audit.StepIndexed, search},
		"another decision":              {theCall, use(func(u *audit.IndexUse) { u.Decision = "x" }), audit.StepIndexed, search},
		"another need":                  {theCall, use(func(u *audit.IndexUse) { u.Need = 2 }), audit.StepIndexed, search},
		"another case":                  {theCall, use(func(u *audit.IndexUse) { u.Case = "x" }), audit.StepIndexed, search},
		"another holder":                {theCall, use(func(u *audit.IndexUse) { u.Holder = another }), audit.StepIndexed, search},
		"no holder":                     {theCall, use(func(u *audit.IndexUse) { u.Holder = "" }), audit.StepIndexed, search},
		"the last use's holder":         {theCall, index(func(x *audit.Index) { x.Uses[2].Holder = another }), audit.StepIndexed, search},
		"another committed case":        {theCommitted, use(func(u *audit.IndexUse) { u.Case = another }), audit.StepIndexed, search},
		"a committed case in plain":     {theCommitted, use(func(u *audit.IndexUse) { u.Case = "odd case" }), audit.StepIndexed, search},
		"another committed request":     {theCommitted, index(func(x *audit.Index) { x.RequestID = another }), audit.StepIndexed, search},
		"no digest after erasure":       {theErased, use(func(u *audit.IndexUse) { u.Holder = "x" }), audit.StepIndexed, search},
		"no operator after erasure":     {theErased, index(func(x *audit.Index) { x.Operator = "" }), audit.StepIndexed, search},
		"no holder after erasure":       {theErased, use(func(u *audit.IndexUse) { u.Holder = "" }), audit.StepIndexed, search},
	} {
		b, k, o := b, keptOf(t, b), options
		r := k.at(a.record)
		r.Parts = slices.Clone(r.Parts)
		a.alter(r)
		found := false
		for step, c := range verifyKept(t, b, k, o) {
			for _, f := range c.Faults {
				found = found || step == a.step && *f.Record == a.record && f.Log == origin && f.Table == "records" && strings.Contains(f.What, a.what)
				if *f.Record != a.record {
					t.Errorf("%s: %s: %s", name, step, f)
				}
			}
			if step != a.step && step == audit.StepOnce && len(c.Faults) > 0 && a.what != "is no record" {
				t.Errorf("%s: %+v", name, c.Faults)
			}
		}
		if !found {
			t.Errorf("%s is not found", name)
		}
	}
	for name, quiet := range map[string]struct {
		record uint64
		alter  func(*audit.StoredRecord)
	}{ // nobody can tell whose digest stands beside erased evidence
		"another holder after erasure":   {theErased, use(func(u *audit.IndexUse) { u.Holder = another })},
		"another operator after erasure": {theErased, index(func(x *audit.Index) { x.Operator = another })},
		"version 2":                      {theCall, version2},
		"version 2, erased":              {theErased, version2},
		"version 2 of nobody, erased":    {theGone, version2},
	} {
		k := keptOf(t, b)
		quiet.alter(k.at(quiet.record))
		for step, c := range verifyKept(t, b, k, options) {
			if len(c.Faults) > 0 {
				t.Errorf("%s: %s: %v", name, step, c.Faults)
			}
		}
	}
}

// version2 writes a record as version 2 did: what its uses count for stood in the index only, and how the operator is known nowhere.
func version2(r *audit.StoredRecord) {
	leaf := string(r.Leaf)
	for _, member := range []string{`"operator_proof":"asserted",`, `"operator_proof":"none",`, `"need":1,`} {
		leaf = strings.ReplaceAll(leaf, member, "")
	}
	r.Leaf = []byte(strings.Replace(leaf, `"v":3}`, `"v":2}`, 1))
	if _, err := audit.ParseRecord(r.Leaf); err != nil {
		panic(err)
	}
}

// TestStoredCalls: a call is marked as taken once, by the record that it left, as long as it could be made again.
func TestStoredCalls(t *testing.T) {
	b, _, options := storedBench(t)
	claim := func(k *kept, index uint64) *audit.StoredClaim {
		return &k.claims[slices.IndexFunc(k.claims, func(c audit.StoredClaim) bool { return c.Index == index })]
	}
	drop := func(k *kept, index uint64) {
		k.claims = slices.DeleteFunc(k.claims, func(c audit.StoredClaim) bool { return c.Index == index })
	}
	for name, a := range map[string]struct {
		alter func(*kept, *audit.StoredOptions)
		what  string // "" where all is well
		at    uint64
	}{
		"another system":       {func(k *kept, _ *audit.StoredOptions) { claim(k, theCall).System = "x" }, "another system", theCall},
		"another call":         {func(k *kept, _ *audit.StoredOptions) { claim(k, theCall).JTI = "x" }, "not the one that the record keeps", theCall},
		"another end":          {func(k *kept, _ *audit.StoredOptions) { claim(k, theCall).Expires++ }, "not the one that the record keeps", theCall},
		"another inner call":   {func(k *kept, _ *audit.StoredOptions) { claim(k, theInner).JTI = "x" }, "not the one that the record keeps", theInner},
		"not marked":           {func(k *kept, _ *audit.StoredOptions) { drop(k, theCall) }, "could be made again", theCall},
		"not marked, and over": {func(k *kept, _ *audit.StoredOptions) { drop(k, theCall); k.horizon = noon.Add(time.Hour) }, "", 0},
		"not marked, and just not": {func(k *kept, _ *audit.StoredOptions) {
			drop(k, theCall)
			k.horizon = noon.Add(time.Hour - time.Microsecond)
		}, "could be made again", theCall},
		"of a record without a call": {func(k *kept, _ *audit.StoredOptions) { claim(k, theCall).Index = theActivation }, "that took none", theActivation},
		"of no record":               {func(k *kept, _ *audit.StoredOptions) { claim(k, theCall).Index = 99 }, "a record that there is not", 99},
		"of another log":             {func(k *kept, _ *audit.StoredOptions) { claim(k, theCall).Log = "x" }, "a record that there is not", theCall},
		"two by one record":          {func(k *kept, _ *audit.StoredOptions) { k.claims = append(k.claims, *claim(k, theCall)) }, "two calls", theCall},
		"a call without a claim": {func(_ *kept, o *audit.StoredOptions) {
			claimed := o.Claimed
			o.Claimed = func(r audit.Request) (audit.Claim, error) {
				if r.Token == "token-2" {
					return audit.Claim{}, errBroken
				}
				return claimed(r)
			}
		}, "makes no claim", theCall},
		"nobody reads claims": {func(k *kept, o *audit.StoredOptions) { o.Claimed = nil; drop(k, theCall) }, "", 0},
		"a call that claims nothing": {func(k *kept, o *audit.StoredOptions) {
			o.Claimed = func(audit.Request) (audit.Claim, error) { return audit.Claim{Exp: noon.Add(time.Hour)}, nil }
			k.claims = nil
		}, "", 0},
		"made by another system": {func(k *kept, o *audit.StoredOptions) {
			claimed := o.Claimed
			o.Claimed = func(r audit.Request) (audit.Claim, error) {
				c, err := claimed(r)
				if r.Token == "token-2" || r.Token == "" { // an inner call names no system
					c.System = "x"
				}
				return c, err
			}
		}, "not the one that the record keeps", theCall},
	} {
		k, o := keptOf(t, b), options
		a.alter(k, &o)
		c := verifyKept(t, b, k, o)[audit.StepOnce]
		switch {
		case a.what == "" && len(c.Faults) == 0:
		case a.what == "" || name == "made by another system" && len(c.Faults) != 1 || !slices.ContainsFunc(c.Faults, func(f audit.StateFault) bool { return strings.Contains(f.What, a.what) && *f.Record == a.at }):
			t.Errorf("%s: %v", name, c.Faults)
		}
	}
	b.record(t, func() audit.Draft { // the same call again
		d := draft()
		d.Token, d.Time = "token-2", noon.Add(2*time.Minute)
		return d
	}())
	k := keptOf(t, b)
	c := verifyKept(t, b, k, options)[audit.StepOnce]
	if len(c.Faults) != 2 || !strings.Contains(c.Faults[0].What, "could be made again") || !strings.Contains(c.Faults[1].What, "taken twice") {
		t.Errorf("a call that was made twice: %v", c.Faults)
	}
	options.Claimed = nil
	if c := verifyKept(t, b, k, options)[audit.StepOnce]; len(c.Faults) != 1 || !strings.Contains(c.Faults[0].What, "taken twice") {
		t.Errorf("a call that was made twice: %v", c.Faults)
	}
}

// TestStoredWords: what a record says of its operator is what an identity service said in the call.
func TestStoredWords(t *testing.T) {
	b, k, options := storedBench(t)
	for name, c := range map[string]struct {
		word  *audit.Vouched
		err   error
		fault bool
	}{
		"the word":        {&audit.Vouched{Proof: audit.OperatorBySession, Service: "staff-id", Roles: []string{"clerk"}}, nil, false},
		"another proof":   {&audit.Vouched{Proof: audit.OperatorByCall, Service: "staff-id", Roles: []string{"clerk"}}, nil, true},
		"another service": {&audit.Vouched{Proof: audit.OperatorBySession, Service: "x", Roles: []string{"clerk"}}, nil, true},
		"other roles":     {&audit.Vouched{Proof: audit.OperatorBySession, Service: "staff-id"}, nil, true},
		"none":            {nil, nil, true},
		"unreadable":      {&audit.Vouched{Proof: audit.OperatorBySession, Service: "staff-id", Roles: []string{"clerk"}}, errBroken, true},
	} {
		o := options
		asked := 0
		o.Vouched = func(r audit.Request) (*audit.Vouched, error) {
			if r.Token != "token-3" {
				return options.Vouched(r)
			}
			asked++
			return c.word, c.err
		}
		got := verifyKept(t, b, k, o)[audit.StepKept]
		if (len(got.Faults) == 1) != c.fault || c.fault && *got.Faults[0].Record != theSession || asked != 1 {
			t.Errorf("%s: asked %d times, %v", name, asked, got.Faults)
		}
	}
	said := options.Vouched
	options.Vouched = func(r audit.Request) (*audit.Vouched, error) {
		if r.Token == "token-21" {
			return nil, nil
		}
		return said(r)
	}
	if got := verifyKept(t, b, k, options)[audit.StepKept]; len(got.Faults) != 1 || *got.Faults[0].Record != theByCall {
		t.Errorf("no word in a call that its operator is proven by: %v", got.Faults)
	}
	options.Vouched = nil
	if got := verifyKept(t, b, k, options)[audit.StepKept]; len(got.Faults) > 0 {
		t.Errorf("nobody reads words: %v", got.Faults)
	}
}

// losing is a sealer that lacks the keys of some blobs.
type losing struct {
	audit.Sealer
	lost func(aad []byte) bool
}

func (l losing) Open(blob, aad []byte) ([]byte, error) {
	if l.lost(aad) {
		return nil, fmt.Errorf("open: %w", errLost)
	}
	return l.Sealer.Open(blob, aad)
}

// TestStoredWithoutKeys: what is sealed, or digested, under keys that are lost is not judged, and said to be so.
func TestStoredWithoutKeys(t *testing.T) {
	b, k, options := storedBench(t)
	lacks := func(kind string) func([]byte) bool {
		return func(aad []byte) bool { return strings.HasPrefix(string(aad), "oncegate/evidence/v1\x00"+kind) }
	}
	sealer := b.config.Sealer
	b.config.Sealer = losing{sealer, lacks("person")}
	checks := verifyKept(t, b, k, options)
	if c := checks[audit.StepKept]; len(c.Faults) > 0 || c.Step().State != check.NotCheckable || !strings.Contains(c.Step().Reason, "parts of evidence are sealed under a key") {
		t.Errorf("persons under a lost key: %+v, %v", c.Step(), c.Faults)
	}
	if c := checks[audit.StepIndexed]; len(c.Faults) > 0 {
		t.Errorf("persons under a lost key: %v", c.Faults)
	}
	b.config.Sealer = losing{sealer, lacks("inputs")} // of the orders, too
	if c := verifyKept(t, b, k, options)[audit.StepKept]; len(c.Faults) > 0 || !strings.Contains(c.Step().Reason, "an order of erasure cannot be opened") {
		t.Errorf("orders under a lost key: %+v, %v", c.Step(), c.Faults)
	}
	for step, c := range verifyKept(t, b, k, options) {
		if len(c.Faults) > 0 {
			t.Errorf("%s: %v", step, c.Faults)
		}
	}
	one := string(k.at(theRetention).Parts[0].Digest) // which nothing that is gone needs
	b.config.Sealer = losing{sealer, func(aad []byte) bool { return strings.HasSuffix(string(aad), one) }}
	if c := verifyKept(t, b, k, options)[audit.StepKept]; c.Step().Reason != "1 parts of evidence are sealed under a key that the keystore lacks" {
		t.Errorf("one order under a lost key: %+v, %v", c.Step(), c.Faults)
	}
	b.config.Sealer = losing{sealer, lacks("inputs")}
	options.UnknownKey = nil
	b.config.Sealer = sealer
	if c := verifyKept(t, b, k, options)[audit.StepKept]; c.Step().State != check.OK {
		t.Errorf("a keystore that says nothing of keys, and opens all: %+v", c.Step())
	}
	b.config.Sealer = losing{sealer, lacks("inputs")}
	if c := verifyKept(t, b, k, options)[audit.StepKept]; len(c.Faults) == 0 {
		t.Error("a blob that does not open is taken for one under a lost key")
	}
	options.UnknownKey = errLost
	b.config.Sealer, b.config.IndexKeys = sealer, [][]byte{block(9)}
	for lost, state := range map[bool]check.State{false: check.Failed, true: check.NotCheckable} {
		options.IndexKeyLost = func() bool { return lost }
		if c := verifyKept(t, b, k, options)[audit.StepIndexed]; c.Step().State != state || lost != (len(c.Faults) == 0) {
			t.Errorf("index key lost %v: %+v", lost, c.Step())
		}
	}
	b.config.IndexKeys = [][]byte{block(9)}
	options.IndexKeyLost = func() bool { return true }
	spoiled := keptOf(t, b)
	r := spoiled.at(theCommitted)
	var x audit.Index
	if err := json.Unmarshal(r.Search, &x); err != nil {
		t.Fatal(err)
	}
	x.Uses[0].Case = "odd case"
	var err error
	if r.Search, err = json.Marshal(x); err != nil {
		t.Fatal(err)
	}
	if c := verifyKept(t, b, spoiled, options)[audit.StepIndexed]; c.Step().State != check.Failed {
		t.Errorf("what is no digest under any key: %+v", c.Step())
	}
	options.IndexKeyLost = nil
	if c := verifyKept(t, b, k, options)[audit.StepIndexed]; c.Step().State != check.Failed {
		t.Errorf("nobody asked for the index key: %+v", c.Step())
	}
}

// TestStoredIsRead: what cannot be read is an error; the gateway's own inputs are told, and how far it has come.
func TestStoredIsRead(t *testing.T) {
	b, k, options := storedBench(t)
	var told []string
	options.Inputs = func(operation string, inputs jsontext.Value) { told = append(told, operation+" "+string(inputs)) }
	verifyKept(t, b, k, options)
	want := []string{"audit.retain null", "audit.erase null", `note {"index":2}`, `audit.erase {"index":11}`, "audit.retain null", "audit.erase null", "policy.activate null"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	for name, alter := range map[string]func(*audit.StoredRecord){
		"erased": func(r *audit.StoredRecord) { r.Parts[0].Blob = nil }, "cannot be read": func(r *audit.StoredRecord) { r.PartsErr = errBroken },
	} {
		told = nil
		altered := keptOf(t, b)
		alter(altered.at(theActivation))
		if verifyKept(t, b, altered, options); !slices.Equal(told, want[:6]) {
			t.Errorf("inputs that %s: told %q, want %q", name, told, want[:6])
		}
	}
	options.IndexKeyLost = func() bool { return true } // of which nothing is there
	if c := verifyKept(t, b, k, options)[audit.StepIndexed]; c.Step().State != check.OK {
		t.Errorf("an index key that nothing needs is lost: %+v", c.Step())
	}
	for _, what := range []string{"records", "claims", "horizon"} {
		k.fails = what
		if _, err := audit.VerifyStored(t.Context(), b.config, k, options); !errors.Is(err, errBroken) {
			t.Errorf("%s cannot be read: %v", what, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k.fails = ""
	if _, err := audit.VerifyStored(ctx, b.config, k, options); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	bad := b.config
	bad.Self = ""
	if _, err := audit.VerifyStored(t.Context(), bad, k, options); err == nil {
		t.Error("without an id")
	}
	many := &kept{}
	for range 600 {
		many.records = append(many.records, *k.at(theCheckpoint))
	}
	var steps []uint64
	if _, err := audit.VerifyStored(t.Context(), b.config, many, audit.StoredOptions{Progress: func(done uint64) { steps = append(steps, done) }}); err != nil || !slices.Equal(steps, []uint64{256, 512}) {
		t.Errorf("progress %v, %v", steps, err)
	}
	if _, err := audit.VerifyStored(t.Context(), b.config, many, audit.StoredOptions{}); err != nil {
		t.Errorf("nobody asks for progress: %v", err)
	}
}
