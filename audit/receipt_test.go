package audit_test

import (
	"context"
	"crypto/rand"
	"errors"
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

func TestVerifyReceipt(t *testing.T) {
	b := newBench(t)
	b.config.Rand = new(counting)
	b.open(t)
	b.record(t, audit.Draft{Operation: "first"})
	d := draft()
	got := b.record(t, d)

	skey, vkey, err := note.GenerateKey(rand.Reader, "witness.example")
	if err != nil {
		t.Fatal(err)
	}
	signer, _ := note.NewSigner(skey)
	witness, _ := note.NewVerifier(vkey)
	cosigned := got
	text := strings.SplitAfter(got.Checkpoint, "\n\n")[0]
	cosigned.Checkpoint += tlogtest.Line(t, contextSigner{signer}, strings.TrimSuffix(text, "\n"))
	forged := got
	forged.Checkpoint += tlogtest.Line(t, contextSigner{signer}, "another text\n")
	moved := got
	moved.Index = 0
	noRecord := got
	noRecord.Record = []byte("{}")
	otherOrigin := b.keys.Trust
	otherOrigin.Origin = "elsewhere"

	r := openedR(t, b, got.Index, company)
	good := audit.Proof{Receipt: got, Answer: d.Answer, Token: d.Token}
	trust := audit.Trust{Trust: b.keys.Trust}
	witnessed := audit.Trust{Trust: b.keys.Trust, Witnesses: []note.Verifier{witness}}
	with := func(change func(*audit.Proof)) audit.Proof { p := good; change(&p); return p }
	for _, test := range []struct {
		name  string
		proof audit.Proof
		trust audit.Trust
		step  string
		want  check.State
	}{
		{"record", good, trust, audit.StepRecord, check.OK},
		{"answer", good, trust, audit.StepAnswer, check.OK},
		{"token", good, trust, audit.StepToken, check.OK},
		{"sm3", good, trust, tlog.StepSM3Tree, check.OK},
		{"sha256", good, trust, tlog.StepSHA256Tree, check.OK},
		{"sm2 line", good, trust, tlog.StepSM2, check.OK},
		{"ed25519 line", good, trust, tlog.StepEd25519, check.OK},
		{"no witness known", good, trust, audit.StepWitness, check.NotCheckable},
		{"unwitnessed", good, witnessed, audit.StepWitness, check.NotCheckable},
		{"witnessed", with(func(p *audit.Proof) { p.Receipt = cosigned }), witnessed, audit.StepWitness, check.OK},
		{"forged witness", with(func(p *audit.Proof) { p.Receipt = forged }), witnessed, audit.StepWitness, check.Failed},
		{"answer in another form", with(func(p *audit.Proof) { p.Answer = []byte("{\n \"ok\" : true, \"nonce\":\"\\u006e\"}") }), trust, audit.StepAnswer, check.OK},
		{"another answer", with(func(p *audit.Proof) { p.Answer = []byte(`{"nonce":"n","ok":false}`) }), trust, audit.StepAnswer, check.Failed},
		{"answer with a duplicate", with(func(p *audit.Proof) { p.Answer = []byte(`{"nonce":"n","ok":true,"ok":true}`) }), trust, audit.StepAnswer, check.Failed},
		{"answer is no JSON", with(func(p *audit.Proof) { p.Answer = []byte(`{`) }), trust, audit.StepAnswer, check.Failed},
		{"no answer", with(func(p *audit.Proof) { p.Answer = nil }), trust, audit.StepAnswer, check.NotCheckable},
		{"another call", with(func(p *audit.Proof) { p.Token += "x" }), trust, audit.StepToken, check.Failed},
		{"no call", with(func(p *audit.Proof) { p.Token = "" }), trust, audit.StepToken, check.NotCheckable},
		{"moved", with(func(p *audit.Proof) { p.Receipt = moved }), trust, tlog.StepSM3Tree, check.Failed},
		{"no record", with(func(p *audit.Proof) { p.Receipt = noRecord }), trust, audit.StepRecord, check.Failed},
		{"no record, trees", with(func(p *audit.Proof) { p.Receipt = noRecord }), trust, tlog.StepSHA256Tree, check.Failed},
		{"another log", good, audit.Trust{Trust: otherOrigin}, tlog.StepOrigin, check.Failed},
		{"holder", with(func(p *audit.Proof) { p.Opened = []audit.Opening{{Use: 2, Holder: company, R: r}} }), trust, audit.StepHolder, check.OK},
		{"another holder", with(func(p *audit.Proof) { p.Opened = []audit.Opening{{Use: 2, Holder: citizen, R: r}} }), trust, audit.StepHolder, check.Failed},
		{"another use", with(func(p *audit.Proof) { p.Opened = []audit.Opening{{Use: 1, Holder: company, R: r}} }), trust, audit.StepHolder, check.Failed},
		{"no such use", with(func(p *audit.Proof) { p.Opened = []audit.Opening{{Use: 3, Holder: company, R: r}} }), trust, audit.StepHolder, check.Failed},
		{"negative use", with(func(p *audit.Proof) { p.Opened = []audit.Opening{{Use: -1, Holder: company, R: r}} }), trust, audit.StepHolder, check.Failed},
	} {
		t.Run(test.name, func(t *testing.T) {
			record, steps, err := audit.VerifyReceipt(test.proof, test.trust)
			if got := states(steps)[test.step]; got != test.want {
				t.Errorf("step %s is %q, want %s: %v", test.step, got, test.want, steps)
			}
			failed := false
			for _, s := range steps {
				failed = failed || s.State == check.Failed
			}
			if failed != (err != nil) || err != nil && !errors.Is(err, tlog.ErrUnproven) {
				t.Errorf("error %v with steps %v", err, steps)
			}
			if test.step != audit.StepRecord && test.name != "no record, trees" && record.RequestID != "r-1" {
				t.Errorf("record is %+v", record)
			}
		})
	}
	if _, steps, err := audit.VerifyReceipt(good, audit.Trust{}); err == nil || steps != nil {
		t.Errorf("without trust: %v, %v", steps, err)
	}
}

// stampedKey is a verifier whose lines carry a time, as a witness's do.
type stampedKey struct {
	note.Verifier
	at time.Time
}

func (k stampedKey) SignedAt(note.Signature) time.Time { return k.at }

// Cosignatures are told one by one: who, when, and how many of how many.
func TestCosignatures(t *testing.T) {
	b := newBench(t)
	b.open(t)
	checkpoint := b.record(t, draft()).Checkpoint
	text := strings.SplitAfter(checkpoint, "\n\n")[0]
	var all []note.Verifier
	at := time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC)
	for i, name := range []string{"one.example", "two.example", "three.example", "two.example"} {
		skey, vkey, err := note.GenerateKey(rand.Reader, name)
		if err != nil {
			t.Fatal(err)
		}
		signer, _ := note.NewSigner(skey)
		key, _ := note.NewVerifier(vkey)
		all = append(all, stampedKey{key, at.Add(time.Duration(i) * time.Hour)})
		if name != "one.example" {
			checkpoint += tlogtest.Line(t, contextSigner{signer}, strings.TrimSuffix(text, "\n"))
		}
	}
	want := []audit.Cosignature{
		{Witness: "one.example", State: check.NotCheckable},
		{Witness: "two.example", State: check.OK, Time: at.Add(3 * time.Hour)}, // the later line of its two keys
		{Witness: "three.example", State: check.OK, Time: at.Add(2 * time.Hour)},
	}
	if got := audit.Cosignatures(checkpoint, all); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	step := audit.WitnessStep(checkpoint, all)
	for _, part := range []string{"2 of 3", "two.example at 2026-11-25T07:00:00Z", "three.example at 2026-11-25T06:00:00Z"} {
		if step.State != check.OK || !strings.Contains(step.Reason, part) || strings.Contains(step.Reason, "one.example") {
			t.Errorf("%+v does not say %q", step, part)
		}
	}
	_, other, err := note.GenerateKey(rand.Reader, "four.example")
	if err != nil {
		t.Fatal(err)
	}
	key, _ := note.NewVerifier(other)
	if step := audit.WitnessStep(checkpoint, []note.Verifier{key}); step.State != check.NotCheckable {
		t.Errorf("%+v", step)
	}
	// One valid line does not excuse an invalid one.
	skey, vkey, err := note.GenerateKey(rand.Reader, "four.example")
	if err != nil {
		t.Fatal(err)
	}
	signer, _ := note.NewSigner(skey)
	key, _ = note.NewVerifier(vkey)
	checkpoint += tlogtest.Line(t, contextSigner{signer}, "another text\n")
	if step := audit.WitnessStep(checkpoint, append(all, key)); step.State != check.Failed || !strings.Contains(step.Reason, "four.example") {
		t.Errorf("%+v", step)
	}
}

// openedR reads the r of a person's commitment as an auditor could disclose it.
func openedR(t *testing.T, b *bench, index uint64, who license.HolderID) []byte {
	t.Helper()
	record, err := b.auditor.Evidence(t.Context(), index)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n < 100; n++ {
		if got, _ := audit.Commitment(newSM3, block(n), who); got == record.Record.Uses[0].Holder {
			return block(n)
		}
	}
	t.Fatal("no r of that person")
	return nil
}

type contextSigner struct{ note.Signer }

func (s contextSigner) Sign(_ context.Context, msg []byte) ([]byte, error) { return s.Signer.Sign(msg) }

func TestSplitAnswer(t *testing.T) {
	b := newBench(t)
	receipt, err := json.Marshal(b.record(t, draft()))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ document, want string }{
		"answer":        {`{"receipt":` + string(receipt) + `, "answer": {"b":1,"a":2}}`, `{"a":2,"b":1}`},
		"problem":       {`{"type":"x", "code":"denied", "receipt":` + string(receipt) + `}`, `{"code":"denied","type":"x"}`},
		"odd problem":   {`{"answer":1, "code":"denied", "receipt":` + string(receipt) + `}`, `{"answer":1,"code":"denied"}`},
		"no receipt":    {`{"answer":{}}`, ""},
		"no object":     {`[1]`, ""},
		"two receipts":  {`{"answer":{},"receipt":` + string(receipt) + `,"receipt":` + string(receipt) + `}`, ""},
		"float":         {`{"answer":{"a":1.5},"receipt":` + string(receipt) + `}`, ""},
		"wrong receipt": {`{"answer":{},"receipt":{}}`, ""},
		"deep":          {`{"answer":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `,"receipt":` + string(receipt) + `}`, ""},
		"trailing":      {`{"answer":{},"receipt":` + string(receipt) + `} x`, ""},
		"empty":         {"", ""},
	} {
		answer, got, err := audit.SplitAnswer([]byte(test.document))
		if test.want == "" {
			if !errors.Is(err, canonical.ErrForm) {
				t.Errorf("%s: %s, %v", name, answer, err)
			}
			continue
		}
		if err != nil || string(answer) != test.want || len(got.Record) == 0 {
			t.Errorf("%s: %s, %v, want %s", name, answer, err, test.want)
		}
	}
}

func FuzzSplitAnswer(f *testing.F) {
	receipt, err := json.Marshal(newBench(f).record(f, draft()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"answer":{"a":2},"receipt":` + string(receipt) + `}`))
	f.Add([]byte(`{"code":"denied","receipt":` + string(receipt) + `}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		answer, _, err := audit.SplitAnswer(document)
		if err != nil {
			return
		}
		var value any
		if json.Unmarshal(answer, &value) != nil {
			t.Errorf("answer %q is no JSON", answer)
		}
	})
}
