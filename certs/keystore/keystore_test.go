package keystore_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"oncegate/certs/envelope"
	"oncegate/certs/keystore"
	"oncegate/certs/sm"
)

var passphrase = []byte("通行短语 for tests")

func open(t testing.TB, dir string) *keystore.Store {
	t.Helper()
	s, err := keystore.Config{Dir: dir, Passphrase: passphrase, Cost: 10}.Open()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func generate(t testing.TB, s *keystore.Store, usage, owner string, a keystore.Algorithm) keystore.Info {
	t.Helper()
	info, err := s.Generate(keystore.Purpose{Usage: usage, Owner: owner, Algorithm: a})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

const owner = "11330000MB0000001X"

func TestSurvivesReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	s := open(t, dir)
	signing := generate(t, s, keystore.License, owner, keystore.SM2)
	generate(t, s, keystore.Log, "", keystore.SM2)
	generate(t, s, keystore.Log, "", keystore.Ed25519)
	generate(t, s, keystore.Envelope, "", keystore.Symmetric)
	if err := s.SetChain(signing.ID, [][]byte{{0x30, 0}, {0x30, 1, 0}}); err != nil {
		t.Fatal(err)
	}

	signer, err := s.Signer(keystore.License, owner)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := signer.Sign(t.Context(), []byte("m"))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := s.Keyring(keystore.Envelope, "")
	if err != nil {
		t.Fatal(err)
	}
	blob, err := ring.Seal([]byte("data"), nil)
	if err != nil {
		t.Fatal(err)
	}

	again := open(t, dir)
	if diff := cmp.Diff(s.List(), again.List(), cmpopts.EquateEmpty(), cmp.Comparer(func(a, b keystore.Info) bool {
		return a.ID == b.ID && a.Purpose == b.Purpose && a.State == b.State && a.Created.Equal(b.Created) &&
			a.Ed25519.Equal(b.Ed25519) && cmp.Equal(a.Chain, b.Chain, cmpopts.EquateEmpty()) &&
			(a.SM2 == nil) == (b.SM2 == nil) && (a.SM2 == nil || a.SM2.Equal(b.SM2))
	})); diff != "" {
		t.Error(diff)
	}
	after, err := again.Signer(keystore.License, owner)
	if err != nil {
		t.Fatal(err)
	}
	if after.KeyID() != signing.ID || sm.Verify(after.Public(), []byte("m"), rs) != nil {
		t.Error("another key after reopening")
	}
	if byID, err := again.SignerByID(signing.ID); err != nil || byID.KeyID() != signing.ID {
		t.Error(err)
	}
	ring, err = again.Keyring(keystore.Envelope, "")
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := ring.Open(blob, nil); err != nil || string(plain) != "data" {
		t.Error(err)
	}
	before, _ := s.Ed25519(keystore.Log, "")
	if key, err := again.Ed25519(keystore.Log, ""); err != nil || !key.Equal(before) || len(key) != ed25519.PrivateKeySize {
		t.Error(err)
	}
}

func TestRotate(t *testing.T) {
	dir := t.TempDir()
	stuck := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) // a clock that does not move
	s, err := keystore.Config{Dir: dir, Passphrase: passphrase, Cost: 10, Now: func() time.Time { return stuck }}.Open()
	if err != nil {
		t.Fatal(err)
	}
	p := keystore.Purpose{Usage: keystore.Envelope, Algorithm: keystore.Symmetric}
	first, err := s.Generate(p)
	if err != nil {
		t.Fatal(err)
	}
	ring, _ := s.Keyring(keystore.Envelope, "")
	blob, _ := ring.Seal([]byte("data"), nil)
	second, err := s.Rotate(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*keystore.Store{s, open(t, dir)} {
		ring, err := s.Keyring(keystore.Envelope, "")
		if err != nil {
			t.Fatal(err)
		}
		if ring.Current() != second.ID || first.ID == second.ID {
			t.Errorf("current is %s", ring.Current())
		}
		if plain, err := ring.Open(blob, nil); err != nil || string(plain) != "data" {
			t.Error("the retired key does not open:", err)
		}
		if list := s.List(); len(list) != 2 || list[0].State != keystore.Retired || list[1].State != keystore.Current {
			t.Errorf("%+v", list)
		}
		if key, err := s.SecretByID(first.ID); err != nil || key.ID != first.ID {
			t.Error(err)
		}
	}
}

// A rotation cut short leaves two current keys on disk: the newer one counts.
func TestRotationCutShort(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	p := keystore.Purpose{Usage: keystore.Call, Algorithm: keystore.SM2}
	first, err := s.Generate(p)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, first.ID+".key")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Rotate(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if signer, err := open(t, dir).Signer(keystore.Call, ""); err != nil || signer.KeyID() != second.ID {
		t.Error(signer, err)
	}
}

func TestOpenTellsWhy(t *testing.T) {
	dir := t.TempDir()
	id := generate(t, open(t, dir), keystore.Log, "", keystore.SM2).ID
	path := filepath.Join(dir, id+".key")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	swap := func(old, new string) []byte {
		if !bytes.Contains(good, []byte(old)) {
			t.Fatalf("no %q in the file", old)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	for name, c := range map[string]struct {
		content    []byte
		passphrase string
		mode       os.FileMode
		err        error
	}{
		"right":            {good, string(passphrase), 0o600, nil},
		"wrong passphrase": {good, "wrong", 0o600, keystore.ErrPassphrase},
		"no passphrase":    {good, "", 0o600, keystore.ErrPassphrase},
		"other usage":      {swap(`"usage": "log"`, `"usage": "call"`), string(passphrase), 0o600, keystore.ErrTampered},
		"other owner":      {swap(`"owner": ""`, `"owner": "x"`), string(passphrase), 0o600, keystore.ErrTampered},
		"other state":      {swap(`"current"`, `"retired"`), string(passphrase), 0o600, keystore.ErrTampered},
		"other time":       {swap(`"created": "2`, `"created": "3`), string(passphrase), 0o600, keystore.ErrTampered},
		"unknown member":   {swap(`"v": 1,`, `"v": 1, "x": 2,`), string(passphrase), 0o600, keystore.ErrTampered},
		"member twice":     {swap(`"v": 1,`, `"v": 1, "v": 1,`), string(passphrase), 0o600, keystore.ErrTampered},
		"truncated":        {good[:len(good)/2], string(passphrase), 0o600, keystore.ErrTampered},
		"empty":            {nil, string(passphrase), 0o600, keystore.ErrTampered},
		"readable":         {good, string(passphrase), 0o644, keystore.ErrPermissions},
		"too large":        {bytes.Repeat([]byte(" "), 70<<10), string(passphrase), 0o600, keystore.ErrTampered},
	} {
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keystore.Open(dir, []byte(c.passphrase)); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	// Costs that would be free to guess, or would stall the start.
	for _, n := range []string{`"n": 2`, `"n": 1073741824`} {
		os.WriteFile(path, swap(`"n": 1024`, n), 0o600)
		os.Chmod(path, 0o600)
		if _, err := keystore.Open(dir, passphrase); err == nil {
			t.Errorf("%s is accepted", n)
		}
	}
	os.WriteFile(path, good, 0o600)
	os.Rename(path, filepath.Join(dir, "log-0000000000000000.key"))
	if _, err := keystore.Open(dir, passphrase); !errors.Is(err, keystore.ErrTampered) {
		t.Errorf("renamed: %v", err)
	}
}

func TestNoSecretOnDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	generate(t, s, keystore.Salt, "", keystore.Symmetric)
	key, err := s.Secret(keystore.Salt, "")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, entries[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{string(key.Secret[:]), sm.B64(key.Secret[:]), string(passphrase)} {
		if strings.Contains(string(b), secret) {
			t.Error("secret in the file")
		}
	}
}

func TestPurposes(t *testing.T) {
	s := open(t, t.TempDir())
	generate(t, s, keystore.Log, "", keystore.SM2)
	p := keystore.Purpose{Usage: keystore.Log, Algorithm: keystore.SM2}
	if _, err := s.Generate(p); !errors.Is(err, keystore.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	info, err := s.Ensure(p)
	if err != nil || len(s.List()) != 1 || info.ID != s.List()[0].ID {
		t.Error(info, err)
	}
	_, e1 := s.Signer(keystore.Call, "")
	_, e2 := s.Signer(keystore.Log, owner)
	_, e3 := s.Secret(keystore.Log, "")
	_, e4 := s.Ed25519(keystore.Log, "")
	_, e5 := s.Keyring(keystore.Envelope, "")
	_, e6 := s.Rotate(keystore.Purpose{Usage: keystore.Seal, Algorithm: keystore.SM2})
	_, e7 := s.SignerByID("log-nothing")
	for i, err := range []error{e1, e2, e3, e4, e5, e6, e7, s.SetChain("x", nil)} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d: %v", i+1, err)
		}
	}
	for _, p := range []keystore.Purpose{
		{Usage: "../x", Algorithm: keystore.SM2}, {Usage: "call", Owner: "a/b", Algorithm: keystore.SM2},
		{Usage: "call", Algorithm: "rsa"}, {Algorithm: keystore.SM2},
	} {
		if _, err := s.Generate(p); err == nil {
			t.Errorf("%+v is accepted", p)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	s := open(t, t.TempDir())
	p := keystore.Purpose{Usage: keystore.Envelope, Algorithm: keystore.Symmetric}
	if _, err := s.Generate(p); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				ring, err := s.Keyring(keystore.Envelope, "")
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := ring.Seal(nil, nil); err != nil {
					t.Error(err)
				}
				s.List()
			}
		})
	}
	for range 5 {
		if _, err := s.Rotate(p); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	var key envelope.Key
	key, err := s.Secret(keystore.Envelope, "")
	if err != nil || key.ID != s.List()[5].ID {
		t.Error(key.ID, err)
	}
}
