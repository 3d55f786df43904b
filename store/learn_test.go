package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/envelope"
	"oncegate/license"
	"oncegate/register"
	"oncegate/tlog"
)

// recorderOn writes whole records, so that they bind what they change.
func recorderOn(t testing.TB, log *tlog.Log) *audit.Recorder {
	t.Helper()
	ring, err := envelope.NewKeyring(nil, envelope.Key{ID: "evidence", Secret: [32]byte{2}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.NewRecorder(audit.Config{Self: "gateway", Log: log, Sealer: ring, NewSM3: func() hash.Hash { return sha256.New() }, IndexKeys: [][]byte{make([]byte, 32)}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestOtherNodesRowsPutBack: what another node has closed, withdrawn and revoked stays so, although somebody puts the rows back as they
// were: within a second, for a node that has never read the newer ones.
func TestOtherNodesRowsPutBack(t *testing.T) {
	onPostgres(t, func(t *testing.T, e engine) {
		c := e.fresh(t)
		c.Nodes = 2
		a, b := mustOpen(t, c), mustOpen(t, c)
		here := benchOn(t, a)
		records := recorderOn(t, here.log)
		change := func(changes ...any) {
			t.Helper()
			if _, err := records.RecordOwn(t.Context(), audit.Own{Operation: "test", Changes: changes}); err != nil {
				t.Fatal(err)
			}
		}
		v := register.Version{
			Subject: [32]byte{1}, Number: 1, Type: "t", Identifier: "id-1", JWT: "jwt", Status: license.Valid, Stated: license.Valid, Signed: accepted, List: "list", Slot: 7,
		}
		change(cases.Register{Case: cases.Case{No: "case-1", Matter: "m", Registrar: "window", Revision: 1}, R: [32]byte{1}},
			cases.Give{Consent: aConsent("consent-1", "X", "window"), R: [32]byte{1}}, register.Issue{Version: v})
		if err := b.Learn(t.Context()); err != nil { // as it does each 250 ms
			t.Fatal(err)
		}
		exec := func(text string) {
			t.Helper()
			if _, err := a.write.DB().Exec(text); err != nil {
				t.Fatal(err)
			}
		}
		tables := []string{"cases", "consents", "versions", "status_lists"}
		for _, table := range tables {
			exec("CREATE TABLE old_" + table + " AS SELECT * FROM " + table)
		}
		change(cases.Close{No: "case-1", Revision: 1, At: time.Now()}, cases.Withdraw{ID: "consent-1", At: time.Now()},
			register.SetStatus{Identifier: "id-1", From: license.Valid, To: license.Revoked, At: time.Now()})
		if err := b.Learn(t.Context()); err != nil {
			t.Fatal(err)
		}
		exec("DELETE FROM case_received")
		for _, table := range tables {
			exec("DELETE FROM " + table)
			exec("INSERT INTO " + table + " SELECT * FROM old_" + table)
		}
		for name, read := range map[string]func(context.Context) error{
			"case":    func(ctx context.Context) error { _, err := b.Cases().Case(ctx, "case-1"); return err },
			"consent": func(ctx context.Context) error { _, err := b.Cases().Consent(ctx, "consent-1"); return err },
			"version": func(ctx context.Context) error { _, err := b.Register().ByIdentifier(ctx, "id-1"); return err },
			"latest":  func(ctx context.Context) error { _, err := b.Register().Latest(ctx, v.Subject); return err },
			"lists":   func(ctx context.Context) error { _, err := b.Register().Lists(ctx); return err },
			"statuses": func(ctx context.Context) error {
				return b.Register().Statuses(ctx, "list", func(int, license.Status) {})
			},
			"still open": func(context.Context) error {
				return here.change(t.Context(), cases.StillOpen{No: "case-1", Revision: 1})
			},
			"still given": func(context.Context) error {
				return here.change(t.Context(), cases.StillGiven{ID: "consent-1", At: accepted})
			},
		} {
			if err := read(t.Context()); !errors.Is(err, ErrAltered) {
				t.Errorf("%s: %v", name, err)
			}
		}
		exec("DELETE FROM consents")
		if _, err := b.Cases().Consent(t.Context(), "consent-1"); !errors.Is(err, ErrAltered) {
			t.Errorf("a consent that is gone: %v", err)
		}
		if b.Altered() == 0 {
			t.Error("nobody is told")
		}
	})
}
