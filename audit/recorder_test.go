package audit_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/license"
	"oncegate/tlog"
)

// counting yields 32-byte blocks that say how many came before.
type counting struct{ n uint64 }

func (c *counting) Read(p []byte) (int, error) {
	clear(p)
	for end := 32; end <= len(p); end += 32 {
		c.n++
		binary.BigEndian.PutUint64(p[end-8:], c.n)
	}
	return len(p), nil
}

func block(n uint64) []byte {
	b := make([]byte, 32)
	(&counting{n - 1}).Read(b)
	return b
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func sum(parts ...[]byte) []byte {
	h := newSM3()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func mac(key []byte, text string) string {
	h := hmac.New(newSM3, key)
	h.Write([]byte(text))
	return b64(h.Sum(nil))
}

// TestRecordBytes makes a record by hand from design 5.6 and compares every byte.
func TestRecordBytes(t *testing.T) {
	b := newBench(t)
	b.config.Rand = new(counting)
	b.open(t)
	d := draft()
	got := b.record(t, d)

	// r is drawn for operator, company and citizen, in this order; then each part draws its noise.
	operator := mac(block(1), `["operator","clerk-7"]`)
	first := mac(block(2), `["001","91110000MA0TEST00X"]`)
	second := mac(block(3), `["111","110101199001019991"]`)
	parts := [][]byte{
		append(block(4), `{"body":"`+b64(d.Body)+`","token":"header.payload.signature"}`...),
		append(block(5), `{"inputs":[{"age":151200000000000,"matter":"food"}],"reasons":["not a party"]}`...),
		append(block(6), `{"code":"clerk-7","r":"`+b64(block(1))+`","type":"operator"}`...),
		append(block(7), `{"code":"91110000MA0TEST00X","r":"`+b64(block(2))+`","type":"001"}`...),
		append(block(8), `{"code":"110101199001019991","r":"`+b64(block(3))+`","type":"111"}`...),
	}
	var list []string
	for _, part := range parts {
		list = append(list, `"`+b64(sum(part))+`"`)
	}
	evidence := b64(sum([]byte("[" + strings.Join(list, ",") + "]")))
	use := func(material, typ, decision, holder, need string) string {
		return `{"basis":"case","case":"c-1","decision":"` + decision + `","fields":["name","number"],"freshness":"live","holder":"` + holder +
			`","license_type":"` + typ + `","material":"` + material + `","matter":"food",` + need + `"operator":"` + operator + `","rules":["grant-1"],"source":"market-db"}`
	}
	want := `{"answer_digest":"` + b64(sum(d.Answer)) + `","evidence":"` + evidence + `","operation":"licenses.query","operator_proof":"asserted","policy":"` + d.Policy +
		`","request_id":"r-1","system":"window","time":"2026-11-23T04:05:06.789Z","token_digest":"` + b64(sum([]byte(d.Token))) + `","uses":[` +
		use("m1", "business-license", "release", first, `"need":1,`) + "," + use("m2", "id-card", "denied", second, "") + "," + use("m1", "business-license", "release", first, "") +
		`],"v":3}`
	if diff := cmp.Diff(want, string(got.Record)); diff != "" {
		t.Errorf("leaf (-want +got):\n%s", diff)
	}

	_, sealed, err := b.storage.Entry(t.Context(), got.Index)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range sealed {
		if !bytes.Equal(part.Digest, sum(parts[i])) {
			t.Errorf("part %d (%s) has another digest", i, part.Kind)
		}
	}
	key := b.config.IndexKeys[0]
	wantIndex := audit.Index{
		Time: noon, System: "window", Operation: "licenses.query", RequestID: "r-1", Operator: mac(key, `["operator","clerk-7"]`),
		Uses: []audit.IndexUse{
			{Matter: "food", Case: "c-1", Material: "m1", Need: 1, LicenseType: "business-license", Decision: "release", Holder: mac(key, `["001","91110000MA0TEST00X"]`)},
			{Matter: "food", Case: "c-1", Material: "m2", LicenseType: "id-card", Decision: "denied", Holder: mac(key, `["111","110101199001019991"]`)},
			{Matter: "food", Case: "c-1", Material: "m1", LicenseType: "business-license", Decision: "release", Holder: mac(key, `["001","91110000MA0TEST00X"]`)},
		},
	}
	if diff := cmp.Diff(wantIndex, b.storage.entries[got.Index].Index); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
}

// TestNothingPersonal looks for the persons' codes in everything that is stored.
func TestNothingPersonal(t *testing.T) {
	b := newBench(t)
	got := b.record(t, draft())
	stored := fmt.Sprintf("%s %+v", got.Record, b.storage.entries[got.Index])
	for _, secret := range []string{company.Code, citizen.Code, "clerk-7", "header.payload", "not a party"} {
		if strings.Contains(stored, secret) {
			t.Errorf("%q is stored in plain form", secret)
		}
	}
}

// TestUnlinkable proves that two records of the same persons have no commitment in common.
func TestUnlinkable(t *testing.T) {
	b := newBench(t)
	first, second := recordOf(t, b.record(t, draft())), recordOf(t, b.record(t, draft()))
	if first.Uses[0].Holder != first.Uses[2].Holder || first.Uses[0].Operator != first.Uses[1].Operator {
		t.Error("one person has two commitments in one record")
	}
	for i := range first.Uses {
		if first.Uses[i].Holder == second.Uses[i].Holder || first.Uses[i].Operator == second.Uses[i].Operator {
			t.Errorf("use %d: the commitments of two records are the same", i)
		}
	}
	if first.Evidence == second.Evidence {
		t.Error("the evidence digests of two records of one content are the same")
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	claimed := draft()
	claimed.Claim = &audit.Claim{System: "window", JTI: "j-1", Exp: noon.Add(time.Minute)}
	b.record(t, claimed)
	large := draft()
	for range 200 {
		large.Uses = append(large.Uses, large.Uses[0])
	}
	unknown, badText, badInputs := draft(), draft(), draft()
	unknown.Changes = []any{struct{}{}}
	badText.RequestID = "\xff" + citizen.Code
	badInputs.Inputs = map[string]any{"x": func() {}}
	for name, test := range map[string]struct {
		draft audit.Draft
		want  error
	}{
		"replayed":    {claimed, audit.ErrReplayed},
		"too large":   {large, audit.ErrTooLarge},
		"unknown":     {unknown, nil},
		"not UTF-8":   {badText, canonical.ErrForm},
		"no JSON":     {badInputs, canonical.ErrForm},
		"no material": {audit.Draft{Operation: "x", Claim: claimed.Claim}, audit.ErrReplayed},
	} {
		_, err := b.recorder.Record(t.Context(), test.draft)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), citizen.Code) {
			t.Errorf("%s: the error names a person: %v", name, err)
		}
	}
	if n := len(b.storage.entries); n != 1 {
		t.Errorf("%d entries are stored, want 1", n)
	}
}

// TestFits proves that a record which Fits is recorded, with the longest that sources can answer.
// TestRecordLength: a record of MaxRecord bytes is written and read, one byte more is refused by its own name.
func TestRecordLength(t *testing.T) {
	b := newBench(t)
	d := draft()
	leaf := b.record(t, d).Record
	d.Uses[0].Rules = []string{d.Uses[0].Rules[0] + strings.Repeat("r", audit.MaxRecord-len(leaf))}
	got := b.record(t, d).Record
	if len(got) != audit.MaxRecord {
		t.Fatalf("the record has %d bytes", len(got))
	}
	if _, err := audit.ParseRecord(got); err != nil {
		t.Error(err)
	}
	d.Uses[0].Rules[0] += "r"
	if _, err := b.recorder.Record(t.Context(), d); !errors.Is(err, audit.ErrTooLarge) {
		t.Errorf("one byte more: %v", err)
	}
}

func TestFits(t *testing.T) {
	b := newBench(t)
	d := draft()
	d.Uses = nil
	long := draft().Uses[0]
	d.RequestID, d.CommittedRequestID = "", "r-1"
	long.Case, long.CommittedCase = "", "c-1"
	long.Material, long.Rules = strings.Repeat("文", 20), []string{strings.Repeat("\x01", 9)}
	for Fits := true; Fits; {
		long.Person.Code = fmt.Sprint("person-", len(d.Uses))
		long.Source, long.Freshness, long.Decision = "", "", ""
		d.Uses = append(d.Uses, long)
		Fits = audit.Fits(d)
	}
	if len(d.Uses) < 40 {
		t.Errorf("only %d uses fit", len(d.Uses)-1)
	}
	d.Uses = d.Uses[:len(d.Uses)-1]
	for i := range d.Uses {
		d.Uses[i].Source, d.Uses[i].Freshness = strings.Repeat("s", 64), "stale 2026-11-23T01:00:00.000Z"
		d.Uses[i].Decision = strings.Repeat("d", 32)
	}
	b.record(t, d)
	d.Uses = append(d.Uses, d.Uses...)
	if audit.Fits(d) {
		t.Error("twice as many fit too")
	}
}

func TestOwnRecords(t *testing.T) {
	b := newBench(t)
	files := []audit.File{{Path: "guards/b.cedar", Data: []byte("permit;")}, {Path: "grants/a.yaml", Data: []byte("grants: []")}}
	got, err := b.recorder.Activate(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	want := b64(sum([]byte(`[["grants/a.yaml","` + b64(sum(files[1].Data)) + `"],["guards/b.cedar","` + b64(sum(files[0].Data)) + `"]]`)))
	r := recordOf(t, got)
	if r.Policy != want || r.System != "gateway" || r.Operation != "policy.activate" || r.TokenDigest != "" || r.AnswerDigest != "" || len(r.Uses) != 0 {
		t.Errorf("record is %+v, want policy %s", r, want)
	}
	if _, err := b.recorder.Activate(t.Context(), append(files, files[0])); err == nil {
		t.Error("a path that stands twice was accepted")
	}
	limited, err := b.recorder.RecordOwn(t.Context(), audit.Own{Operation: "limit.exceeded", System: "window", Inputs: map[string]int{"calls": 12}})
	if err != nil || recordOf(t, limited).System != "window" {
		t.Errorf("record of a limit: %s, %v", limited.Record, err)
	}
}

// TestConcurrentRecords has many callers at once; one of them may use a jti, and every receipt is its own.
func TestConcurrentRecords(t *testing.T) {
	b := newBench(t)
	const callers = 64
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[uint64]bool{}
	for i := range callers {
		group.Go(func() {
			d := draft()
			d.RequestID = fmt.Sprint(i)
			d.Claim = &audit.Claim{System: "window", JTI: fmt.Sprint(i / 2), Exp: noon.Add(time.Minute)}
			got, err := b.recorder.Record(t.Context(), d)
			if errors.Is(err, audit.ErrReplayed) {
				return
			}
			if record, fault := audit.ParseRecord(got.Record); err != nil || fault != nil || record.RequestID != d.RequestID {
				t.Errorf("record %d: %s, %v", i, got.Record, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if seen[got.Index] {
				t.Errorf("index %d twice", got.Index)
			}
			seen[got.Index] = true
		})
	}
	group.Wait()
	if len(seen) != callers/2 {
		t.Errorf("%d calls were recorded, want %d", len(seen), callers/2)
	}
}

func TestConfig(t *testing.T) {
	b := newBench(t)
	for name, change := range map[string]func(*audit.Config){
		"no id":        func(c *audit.Config) { c.Self = "" },
		"no sealer":    func(c *audit.Config) { c.Sealer = nil },
		"no SM3":       func(c *audit.Config) { c.NewSM3 = nil },
		"no index key": func(c *audit.Config) { c.IndexKeys = nil },
		"short key":    func(c *audit.Config) { c.IndexKeys = [][]byte{{1}} },
		"no log":       func(c *audit.Config) { c.Log = nil },
	} {
		c := b.config
		change(&c)
		if _, err := audit.NewRecorder(c); err == nil {
			t.Errorf("recorder, %s: no error", name)
		}
	}
	for name, change := range map[string]func(*audit.Config){
		"no id":      func(c *audit.Config) { c.Self = "" },
		"no storage": func(c *audit.Config) { c.Storage = nil },
		"no view":    func(c *audit.Config) { c.View = nil },
	} {
		c := b.config
		change(&c)
		if _, err := audit.NewAuditor(c); err == nil {
			t.Errorf("auditor, %s: no error", name)
		}
	}
}

func TestCommitmentIsOfTheWholePerson(t *testing.T) {
	r := block(1)
	base, err := audit.Commitment(newSM3, r, license.HolderID{Type: "001", Code: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []license.HolderID{{Type: "111", Code: "x"}, {Type: "001", Code: "y"}, {Type: "001x"}, {Code: "001x"}} {
		if got, _ := audit.Commitment(newSM3, r, other); got == base {
			t.Errorf("%v has the commitment of another", other)
		}
	}
}

// instant is a log that takes no time, so that BenchmarkRecord measures what a record itself costs. SHA-256 stands in for
// SM3, AES for SM4.
type instant struct{}

func (instant) Append(_ context.Context, leaf []byte, _ any) (tlog.Receipt, error) {
	return tlog.Receipt{Record: leaf}, nil
}

func BenchmarkRecord(b *testing.B) {
	bench := newBench(b)
	bench.config.Log, bench.config.NewSM3 = instant{}, sha256.New
	bench.open(b)
	b.ReportAllocs()
	for b.Loop() {
		bench.record(b, draft())
	}
}

func BenchmarkParseRecord(b *testing.B) {
	leaf := []byte(goodLeaf(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := audit.ParseRecord(leaf); err != nil {
			b.Fatal(err)
		}
	}
}
