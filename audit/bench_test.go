package audit_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/license"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

const origin = "gateway.example/log"

var noon = time.Date(2026, 11, 23, 4, 5, 6, 789e6, time.UTC)

// Made-up people.
var (
	company = license.HolderID{Type: "001", Code: "91110000MA0TEST00X"}
	citizen = license.HolderID{Type: "111", Code: "110101199001019991"}
)

// bench is a real log over memory with a Recorder and an Auditor.
type bench struct {
	storage  *memory
	log      *tlog.Log
	keys     tlogtest.Keys
	config   audit.Config
	recorder *audit.Recorder
	auditor  *audit.Auditor
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{storage: newMemory(origin), keys: tlogtest.NewKeys(t, origin)}
	b.keys.Trust.NewSM3 = newSM3
	config := b.keys.Config(b.storage)
	config.NewSM3, config.Logger = newSM3, slog.New(slog.DiscardHandler)
	if err := tlog.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	log, err := tlog.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close(context.Background()) })
	b.log = log
	b.config = audit.Config{
		Self: "gateway", Log: log, View: log, Storage: b.storage,
		Sealer: newSealer(t), NewSM3: newSM3,
		IndexKeys: [][]byte{bytes.Repeat([]byte{7}, 32)},
		Now:       func() time.Time { return noon },
	}
	b.open(t)
	return b
}

// open makes recorder and auditor anew from config.
func (b *bench) open(t testing.TB) {
	t.Helper()
	var err error
	if b.recorder, err = audit.NewRecorder(b.config); err != nil {
		t.Fatal(err)
	}
	if b.auditor, err = audit.NewAuditor(b.config); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) record(t testing.TB, d audit.Draft) tlog.Receipt {
	t.Helper()
	receipt, err := b.recorder.Record(t.Context(), d)
	if err != nil {
		t.Fatalf("record: %v", err)
	}
	return receipt
}

// recordOf reads the record of a receipt.
func recordOf(t testing.TB, r tlog.Receipt) audit.Record {
	t.Helper()
	record, err := audit.ParseRecord(r.Record)
	if err != nil {
		t.Fatalf("parse record: %v", err)
	}
	return record
}

// draft is a query for a company's license and its representative's.
func draft() audit.Draft {
	use := audit.Use{
		Material: "m1", Matter: "food", Case: "c-1", Basis: "case", LicenseType: "business-license", Decision: "release",
		Rules: []string{"grant-1"}, Fields: []string{"name", "number"}, Source: "market-db", Freshness: "live",
	}
	use.Person = company
	first, second := use, use
	first.Need = 1
	second.Material, second.LicenseType, second.Decision, second.Person = "m2", "id-card", "denied", citizen
	return audit.Draft{
		Operation: "licenses.query", System: "window", Operator: "clerk-7", RequestID: "r-1",
		Token: "header.payload.signature", Body: []byte(`{"holder":"91110000MA0TEST00X"}`), Answer: []byte(`{"nonce":"n","ok":true}`),
		Policy:  "A" + encodedZero[1:],
		Uses:    []audit.Use{first, second, use},
		Inputs:  []any{map[string]any{"matter": "food", "age": 42 * time.Hour}},
		Reasons: []string{"not a party"},
	}
}

const encodedZero = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// sealer is AES-GCM of the standard library in the place of SM4.
type sealer struct{ cipher.AEAD }

func newSealer(t testing.TB) sealer {
	t.Helper()
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return sealer{aead}
}

func (s sealer) Seal(plain, aad []byte) ([]byte, error) {
	nonce := make([]byte, s.NonceSize())
	rand.Read(nonce)
	return s.AEAD.Seal(nonce, nonce, plain, aad), nil
}

func (s sealer) Open(blob, aad []byte) ([]byte, error) {
	return s.AEAD.Open(nil, blob[:s.NonceSize()], blob[s.NonceSize():], aad)
}
