package node

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/keystore"
	"oncegate/check"
	"oncegate/config"
	"oncegate/install"
	"oncegate/install/installtest"
	"oncegate/store"
	"oncegate/verdict"
)

// verified verifies the state of a stopped installation and holds the verdict against the one that must come out.
func (c *city) verified(o install.StateOptions, want api.Verdict) install.VerifiedState {
	c.T.Helper()
	got, err := install.VerifyState(c.T.Context(), c.Main, o)
	if err != nil {
		c.T.Fatal(err)
	}
	if got.Verdict() != want {
		c.T.Errorf("%s, want %s: %+v %v", got.Verdict(), want, got.Steps, got.Faults)
	}
	return got
}

func stepOf(v install.VerifiedState, name string) check.State {
	for _, s := range v.Steps {
		if s.Name == name {
			return s.State
		}
	}
	return "not taken"
}

// TestState: what an installation left is proven, through rotations of its keys, erasures, a restored backup and a recovery; and what
// somebody without keys alters is named.
func TestState(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.Edit(config.MainFile, "\ndata:", "\nretention: {evidence: 1ns}\n\ndata:")
	s := c.serve()
	s.register("SP-1")
	s.query("SP-1")
	if _, err := install.VerifyState(t.Context(), c.Main, install.StateOptions{}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("while it serves: %v", err)
	}
	if err := s.eraseOld(t.Context()); err != nil {
		t.Fatal(err)
	}
	one := s.query("SP-1")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	c.verified(install.StateOptions{}, api.VerdictProven)

	for _, p := range []keystore.Purpose{{Usage: keystore.Index, Algorithm: keystore.Symmetric}, {Usage: keystore.Envelope, Algorithm: keystore.Symmetric}, {Usage: keystore.Status, Algorithm: keystore.SM2}} {
		c.Rotate(p)
	}
	s = c.serve()
	again := s.query("SP-1")
	if again.Identifier != one.Identifier {
		t.Fatal("another license")
	}
	answer, err := s.as("food-approval").Query(t.Context(), question("SP-1"))
	if err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := install.Backup(t.Context(), c.Main, backup, nil); err != nil {
		t.Fatal(err)
	}
	s.register("SP-2") // is lost
	origin, database, trust := s.current.Load().setup.Log.Origin, s.current.Load().setup.Store.Path, s.trusted()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	filed := verdict.Artefact{Name: "answer", Data: answer.Raw}
	got := c.verified(install.StateOptions{Filed: filed, Trust: trust}, api.VerdictProven)
	if stepOf(got, "log-extends-filed") != check.OK {
		t.Errorf("the filed answer: %+v", got.Steps)
	}
	c.verified(install.StateOptions{Database: backup, Filed: filed}, api.VerdictProven)

	for _, name := range []string{"-wal", "-shm", "-search", ""} {
		if err := os.Remove(database + name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(backup)
	if err == nil {
		err = os.WriteFile(database, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	before := []string{c.CurrentID(keystore.Purpose{Usage: keystore.Log, Algorithm: keystore.SM2}), c.CurrentID(keystore.Purpose{Usage: keystore.Log, Algorithm: keystore.Ed25519})}
	for _, algorithm := range []keystore.Algorithm{keystore.SM2, keystore.Ed25519} {
		c.Rotate(keystore.Purpose{Usage: keystore.Log, Algorithm: algorithm})
	}
	c.Edit(config.MainFile, origin, origin+"-2")
	if _, err := install.Recover(t.Context(), c.Main, install.RecoverOptions{At: time.Now().Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	s = c.serve()
	s.register("SP-3")
	s.query("SP-1")
	if err := s.eraseOld(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.query("SP-1")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	got = c.verified(install.StateOptions{}, api.VerdictProven)
	if len(got.Logs) != 2 || stepOf(got, "log[0]/checkpoint-sm2-signature") != check.OK {
		t.Errorf("after the recovery: %+v %+v", got.Logs, got.Steps)
	}

	for name, alter := range map[string]struct {
		text, table, key, step string
	}{
		"a case":            {"UPDATE cases SET attestation = 'self' WHERE no = 'SP-3'", "cases", "SP-3", audit.StepReplay},
		"a license":         {"UPDATE versions SET status = 'valid', stated = 'valid', status_at = 1", "versions", "", audit.StepReplay},
		"evidence":          {"UPDATE records SET evidence = (SELECT evidence FROM records WHERE pos = (SELECT min(pos) FROM records)) WHERE pos = (SELECT max(pos) FROM records)", "records", "", audit.StepKept},
		"a call":            {"DELETE FROM claims WHERE pos = (SELECT max(pos) FROM claims)", "claims", "", audit.StepOnce},
		"the log":           {"UPDATE records SET leaf = (SELECT leaf FROM records WHERE pos = (SELECT max(pos) FROM records)) WHERE pos = (SELECT max(pos) - 1 FROM records)", "", "", "log-entries"},
		"the log of before": {"UPDATE records SET leaf = (SELECT leaf FROM records WHERE pos = (SELECT min(pos) FROM records)) WHERE pos = (SELECT min(pos) + 1 FROM records)", "", "", "log[0]/log-entries"},
	} {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.T = t
			copied := filepath.Join(t.TempDir(), "copy.db")
			if err := installtest.Exec(database, "VACUUM INTO '"+copied+"'"); err != nil {
				t.Fatal(err)
			}
			if err := installtest.Exec(copied, alter.text); err != nil {
				t.Fatal(err)
			}
			got := c.verified(install.StateOptions{Database: copied}, api.VerdictRefuted)
			if stepOf(got, alter.step) != check.Failed {
				t.Errorf("%+v", got.Steps)
			}
			if alter.table != "" && !slices.ContainsFunc(got.Faults, func(f audit.StateFault) bool {
				return f.Step == alter.step && f.Table == alter.table && strings.HasPrefix(f.Key, alter.key)
			}) {
				t.Errorf("%v", got.Faults)
			}
		})
	}

	used, aside := c.CurrentID(keystore.Purpose{Usage: keystore.Index, Algorithm: keystore.Symmetric}), t.TempDir()+"/keys"
	c.Rotate(keystore.Purpose{Usage: keystore.Index, Algorithm: keystore.Symmetric})
	c.verified(install.StateOptions{}, api.VerdictProven)
	installtest.CopyDir(t, filepath.Join(c.Dir, "keys"), aside)
	if err := os.Remove(filepath.Join(c.Dir, "keys", used+".key")); err != nil {
		t.Fatal(err)
	}
	if got = c.verified(install.StateOptions{}, api.VerdictNotProven); stepOf(got, audit.StepIndexed) != check.NotCheckable {
		t.Errorf("without an old index key: %+v", got.Steps)
	}
	installtest.CopyDir(t, aside, filepath.Join(c.Dir, "keys"))

	for _, id := range before {
		if err := os.Remove(filepath.Join(c.Dir, "keys", id+".key")); err != nil {
			t.Fatal(err)
		}
	}
	got = c.verified(install.StateOptions{}, api.VerdictNotProven)
	if stepOf(got, "log[0]/log-known") != check.NotCheckable || stepOf(got, "log[0]/log-entries") != check.OK {
		t.Errorf("without the old log's keys: %+v", got.Steps)
	}
	c.verified(install.StateOptions{Trust: trust}, api.VerdictProven)
}

// TestStateWithoutEnvelope: what was sealed under a key that is lost is not proven, and not called altered.
func TestStateWithoutEnvelope(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.inTurn()
	keys, old := filepath.Join(c.Dir, "keys"), t.TempDir()+"/keys"
	installtest.CopyDir(t, keys, old)
	c.Rotate(keystore.Purpose{Usage: keystore.Envelope, Algorithm: keystore.Symmetric})
	s := c.serve()
	s.register("SP-1")
	s.query("SP-1")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	installtest.CopyDir(t, old, keys)
	c.verified(install.StateOptions{}, api.VerdictNotProven)
	if err := install.AcceptKeys(t.Context(), c.Main, "lost", nil); err != nil {
		t.Fatal(err)
	}
	got := c.verified(install.StateOptions{}, api.VerdictNotProven)
	for name, want := range map[string]check.State{audit.StepTags: check.OK, audit.StepReplay: check.NotCheckable, audit.StepKept: check.NotCheckable} {
		if is := stepOf(got, name); is != want {
			t.Errorf("%s is %s, want %s", name, is, want)
		}
	}
}
