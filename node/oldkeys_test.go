package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oncegate/certs/keystore"
	"oncegate/config"
	"oncegate/install"
	"oncegate/install/installtest"
)

// inTurn runs a node once, so that the log has a record of its keys.
func (c *city) inTurn() {
	c.T.Helper()
	if err := c.serve().stop(); err != nil {
		c.T.Fatal(err)
	}
}

// An old keystore, or old files in the newest one, put back by somebody with access to files but without the passphrase: the node
// notices when it starts, whatever the keys are for, and names them with what to do.
func TestOldKeysPutBack(t *testing.T) {
	t.Parallel()
	for _, p := range []keystore.Purpose{
		{Usage: keystore.License, Owner: "market", Algorithm: keystore.SM2}, {Usage: keystore.Status, Algorithm: keystore.SM2},
		{Usage: keystore.Seal, Owner: "market", Algorithm: keystore.SM2}, {Usage: keystore.Envelope, Algorithm: keystore.Symmetric},
		{Usage: keystore.Index, Algorithm: keystore.Symmetric}, {Usage: keystore.Call, Owner: "example-gateway", Algorithm: keystore.SM2},
		{Usage: keystore.Log, Algorithm: keystore.SM2}, {Usage: keystore.Log, Algorithm: keystore.Ed25519},
	} {
		t.Run(p.Usage+"-"+string(p.Algorithm), func(t *testing.T) {
			t.Parallel()
			c := newCity(t)
			c.T = t
			c.inTurn()
			keys, seals := filepath.Join(c.Dir, "keys"), filepath.Join(c.Dir, "seals")
			old, now := t.TempDir(), t.TempDir()
			installtest.CopyDir(t, keys, old+"/keys")
			installtest.CopyDir(t, seals, old+"/seals")
			fresh := c.Rotate(p)
			if p.Usage == keystore.Seal { // a seal lists the certificates that may use it
				if err := os.Remove(filepath.Join(seals, "market.esl")); err != nil {
					t.Fatal(err)
				}
				if _, err := install.Prepare(t.Context(), c.Main, install.PrepareOptions{Cost: 10}); err != nil {
					t.Fatal(err)
				}
			}
			if p.Usage == keystore.Log {
				setup, _ := config.Load(c.Main, time.Now())
				c.Edit(config.MainFile, setup.Log.Origin, setup.Log.Origin+"-2")
				if _, err := install.Recover(t.Context(), c.Main, install.RecoverOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			c.inTurn()
			installtest.CopyDir(t, keys, now+"/keys")
			installtest.CopyDir(t, seals, now+"/seals")

			refused := func(how string) {
				t.Helper()
				n, err := Open(t.Context(), c.Main, Options{})
				if err == nil {
					n.Close()
				}
				if !errors.Is(err, install.ErrOldKeys) || !strings.Contains(err.Error(), "oncegate keys rotate") {
					t.Errorf("%s: %v", how, err)
				}
			}
			installtest.CopyDir(t, old+"/keys", keys)
			installtest.CopyDir(t, old+"/seals", seals)
			refused("the whole keystore")

			installtest.CopyDir(t, now+"/keys", keys) // only what is of this purpose: the new file gone, the old one as it was
			installtest.CopyDir(t, now+"/seals", seals)
			if err := os.Remove(filepath.Join(keys, fresh+".key")); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(old + "/keys")
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), p.Usage+"-") {
					data, err := os.ReadFile(filepath.Join(old, "keys", e.Name()))
					if err == nil {
						err = os.WriteFile(filepath.Join(keys, e.Name()), data, 0o600)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			if p.Usage == keystore.Seal {
				installtest.CopyDir(t, old+"/seals", seals)
			}
			refused("single files")

			installtest.CopyDir(t, now+"/keys", keys)
			installtest.CopyDir(t, now+"/seals", seals)
			c.inTurn() // the newest keystore is as good as ever
		})
	}
}

// A running node that is told to reload goes on with the keys it has.
func TestOldKeysAtReload(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.inTurn()
	keys, old, now := filepath.Join(c.Dir, "keys"), t.TempDir()+"/keys", t.TempDir()+"/keys"
	installtest.CopyDir(t, keys, old)
	for _, p := range []keystore.Purpose{{Usage: keystore.Envelope, Algorithm: keystore.Symmetric}, {Usage: keystore.License, Owner: "market", Algorithm: keystore.SM2}} {
		c.Rotate(p)
	}
	installtest.CopyDir(t, keys, now)
	s := c.serve()
	s.register("SP-1")
	first := s.query("SP-1")
	installtest.CopyDir(t, old, keys)
	if err := s.Reload(t.Context()); !errors.Is(err, install.ErrOldKeys) {
		t.Errorf("reload: %v", err)
	}
	if again := s.query("SP-1"); again.License != first.License {
		t.Error("after a refused reload another license is released")
	}
	s.register("SP-2")
	installtest.CopyDir(t, now, keys)
	if err := s.Reload(t.Context()); !errors.Is(err, ErrUnchanged) {
		t.Errorf("the newest keystore again: %v", err)
	}
}

// Who lost the newest keystore goes on from an older backup in either of two ways, each of which the log shows: with new keys, or with
// the old ones accepted. A key that left the keystore before the newest record is no less old.
func TestKeysRestored(t *testing.T) {
	t.Parallel()
	status := keystore.Purpose{Usage: keystore.Status, Algorithm: keystore.SM2}
	c := newCity(t)
	c.inTurn()
	keys, old := filepath.Join(c.Dir, "keys"), t.TempDir()+"/keys"
	installtest.CopyDir(t, keys, old)
	before := c.CurrentID(status)
	c.Rotate(status)
	c.inTurn()

	if err := os.Remove(filepath.Join(keys, before+".key")); err != nil {
		t.Fatal(err)
	}
	c.inTurn() // a retired key that is gone is no rollback
	third := c.Rotate(status)
	c.inTurn()
	installtest.CopyDir(t, old, keys)
	if _, err := Open(t.Context(), c.Main, Options{}); !errors.Is(err, install.ErrOldKeys) || !strings.Contains(err.Error(), before) {
		t.Fatalf("a key of before the newest record: %v", err)
	}
	replaced := c.Rotate(status)
	if replaced == third || replaced == before {
		t.Fatal("no new key")
	}
	c.inTurn()

	installtest.CopyDir(t, old, keys)
	if _, err := Open(t.Context(), c.Main, Options{}); !errors.Is(err, install.ErrOldKeys) {
		t.Fatalf("put back again: %v", err)
	}
	if err := install.AcceptKeys(t.Context(), c.Main, "the machine burnt", nil); err != nil {
		t.Fatal(err)
	}
	s := c.serve()
	newest, err := s.newestKeys(t.Context())
	if err != nil || newest.Record.Operation != install.OperationKeys {
		t.Fatalf("%+v, %v", newest, err)
	}
	e, err := s.auditor.Evidence(t.Context(), newest.Index-1)
	if err != nil || e.Record.Operation != install.OperationRestore || !strings.Contains(string(e.Inputs), "the machine burnt") || !strings.Contains(string(e.Inputs), before) {
		t.Errorf("%s %s, %v", e.Record.Operation, e.Inputs, err)
	}
	s.register("SP-1")
	if got := s.query("SP-1"); got.Version != 1 {
		t.Errorf("released version %d", got.Version)
	}
}

// An envelope key that is lost for ever takes the records of the keys with it that were sealed under it; what was accepted goes on, and
// later rotations do too.
func TestKeysAcceptedWithoutTheirEnvelope(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.inTurn()
	keys, old := filepath.Join(c.Dir, "keys"), t.TempDir()+"/keys"
	installtest.CopyDir(t, keys, old)
	c.Rotate(keystore.Purpose{Usage: keystore.Envelope, Algorithm: keystore.Symmetric})
	c.inTurn()
	c.Rotate(keystore.Purpose{Usage: keystore.Status, Algorithm: keystore.SM2})
	c.inTurn() // sealed under the key that will be lost
	installtest.CopyDir(t, old, keys)
	if _, err := Open(t.Context(), c.Main, Options{}); !errors.Is(err, install.ErrOldKeys) || !strings.Contains(err.Error(), "cannot be read") {
		t.Fatalf("without the envelope key: %v", err)
	}
	if err := install.AcceptKeys(t.Context(), c.Main, "lost", nil); err != nil {
		t.Fatal(err)
	}
	c.inTurn()
	c.Rotate(keystore.Purpose{Usage: keystore.Status, Algorithm: keystore.SM2})
	c.inTurn()
}
