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
	"oncegate/store"
	"oncegate/verdict"
)

// verified verifies the state of a stopped installation and holds the verdict against the one that must come out.
func (c *city) verified(o StateOptions, want api.Verdict) VerifiedState {
	c.t.Helper()
	got, err := VerifyState(c.t.Context(), c.main, o)
	if err != nil {
		c.t.Fatal(err)
	}
	if got.Verdict() != want {
		c.t.Errorf("%s, want %s: %+v %v", got.Verdict(), want, got.Steps, got.Faults)
	}
	return got
}

func stepOf(v VerifiedState, name string) check.State {
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
	c.edit(MainFile, "\ndata:", "\nretention: {evidence: 1ns}\n\ndata:")
	s := c.serve()
	s.register("SP-1")
	s.query("SP-1")
	if _, err := VerifyState(t.Context(), c.main, StateOptions{}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("while it serves: %v", err)
	}
	if err := s.eraseOld(t.Context()); err != nil {
		t.Fatal(err)
	}
	one := s.query("SP-1")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	c.verified(StateOptions{}, api.VerdictProven)

	for _, p := range []keystore.Purpose{{Usage: keystore.Index, Algorithm: keystore.Symmetric}, {Usage: keystore.Envelope, Algorithm: keystore.Symmetric}, {Usage: keystore.Status, Algorithm: keystore.SM2}} {
		c.rotate(p)
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
	if err := Backup(t.Context(), c.main, backup, nil); err != nil {
		t.Fatal(err)
	}
	s.register("SP-2") // is lost
	origin, database, trust := s.current.Load().setup.Log.Origin, s.current.Load().setup.Store.Path, s.trusted()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	filed := verdict.Artefact{Name: "answer", Data: answer.Raw}
	got := c.verified(StateOptions{Filed: filed, Trust: trust}, api.VerdictProven)
	if stepOf(got, "log-extends-filed") != check.OK {
		t.Errorf("the filed answer: %+v", got.Steps)
	}
	c.verified(StateOptions{Database: backup, Filed: filed}, api.VerdictProven)

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
	before := []string{c.currentID(keystore.Purpose{Usage: keystore.Log, Algorithm: keystore.SM2}), c.currentID(keystore.Purpose{Usage: keystore.Log, Algorithm: keystore.Ed25519})}
	for _, algorithm := range []keystore.Algorithm{keystore.SM2, keystore.Ed25519} {
		c.rotate(keystore.Purpose{Usage: keystore.Log, Algorithm: algorithm})
	}
	c.edit(MainFile, origin, origin+"-2")
	if _, err := Recover(t.Context(), c.main, RecoverOptions{At: time.Now().Add(-time.Hour)}); err != nil {
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
	got = c.verified(StateOptions{}, api.VerdictProven)
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
			c.t = t
			copied := filepath.Join(t.TempDir(), "copy.db")
			if err := exec(database, "VACUUM INTO '"+copied+"'"); err != nil {
				t.Fatal(err)
			}
			if err := exec(copied, alter.text); err != nil {
				t.Fatal(err)
			}
			got := c.verified(StateOptions{Database: copied}, api.VerdictRefuted)
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

	used, aside := c.currentID(keystore.Purpose{Usage: keystore.Index, Algorithm: keystore.Symmetric}), t.TempDir()+"/keys"
	c.rotate(keystore.Purpose{Usage: keystore.Index, Algorithm: keystore.Symmetric})
	c.verified(StateOptions{}, api.VerdictProven)
	copyDir(t, filepath.Join(c.dir, "keys"), aside)
	if err := os.Remove(filepath.Join(c.dir, "keys", used+".key")); err != nil {
		t.Fatal(err)
	}
	if got = c.verified(StateOptions{}, api.VerdictNotProven); stepOf(got, audit.StepIndexed) != check.NotCheckable {
		t.Errorf("without an old index key: %+v", got.Steps)
	}
	copyDir(t, aside, filepath.Join(c.dir, "keys"))

	for _, id := range before {
		if err := os.Remove(filepath.Join(c.dir, "keys", id+".key")); err != nil {
			t.Fatal(err)
		}
	}
	got = c.verified(StateOptions{}, api.VerdictNotProven)
	if stepOf(got, "log[0]/log-known") != check.NotCheckable || stepOf(got, "log[0]/log-entries") != check.OK {
		t.Errorf("without the old log's keys: %+v", got.Steps)
	}
	c.verified(StateOptions{Trust: trust}, api.VerdictProven)
}

// TestStateWithoutEnvelope: what was sealed under a key that is lost is not proven, and not called altered.
func TestStateWithoutEnvelope(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.inTurn()
	keys, old := filepath.Join(c.dir, "keys"), t.TempDir()+"/keys"
	copyDir(t, keys, old)
	c.rotate(keystore.Purpose{Usage: keystore.Envelope, Algorithm: keystore.Symmetric})
	s := c.serve()
	s.register("SP-1")
	s.query("SP-1")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	copyDir(t, old, keys)
	c.verified(StateOptions{}, api.VerdictNotProven)
	if err := AcceptKeys(t.Context(), c.main, "lost", nil); err != nil {
		t.Fatal(err)
	}
	got := c.verified(StateOptions{}, api.VerdictNotProven)
	for name, want := range map[string]check.State{audit.StepTags: check.OK, audit.StepReplay: check.NotCheckable, audit.StepKept: check.NotCheckable} {
		if is := stepOf(got, name); is != want {
			t.Errorf("%s is %s, want %s", name, is, want)
		}
	}
}
