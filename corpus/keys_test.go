package corpus

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"

	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/config"
	"oncegate/install"
)

// What key management gave out and took in when a version was made: the folder keys.
const (
	importPassword = "corpus"
	sealedText     = "what was sealed"
	sealedContext  = "oncegate/corpus"
)

// TestKeystores opens every keystore of each version with its passphrase: the gateway's, its callers', its authority's, and the
// time-stamping authority's.
func TestKeystores(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v version) {
		dir := v.unpack(t, "city", "sqlite", "postgres")
		for _, x := range []struct{ keys, phrase string }{
			{"sqlite/keys", "sqlite"}, {"sqlite/callers", "sqlite"}, {"sqlite/ca", "sqlite"}, {"city/timestamp", "sqlite"},
			{"postgres/keys", "postgres"}, {"postgres/callers", "postgres"}, {"postgres/ca", "postgres"},
		} {
			phrase := bytes.TrimSpace(read(t, filepath.Join(dir, x.phrase, "keys.passphrase")))
			store, err := keystore.Open(filepath.Join(dir, filepath.FromSlash(x.keys)), phrase)
			if err != nil {
				t.Errorf("%s: %v", x.keys, err)
				continue
			}
			if files, _ := filepath.Glob(filepath.Join(dir, x.keys, "*.key")); len(files) == 0 || len(store.List()) != len(files) {
				t.Errorf("%s: %d keys of %d files", x.keys, len(store.List()), len(files))
			}
			for _, k := range store.List() {
				if k.SM2 == nil {
					continue
				}
				signer, err := store.SignerByID(k.ID)
				if err != nil {
					t.Fatal(err)
				}
				rs, err := signer.Sign(t.Context(), []byte("corpus"))
				if err != nil || sm.Verify(k.SM2, []byte("corpus"), rs) != nil {
					t.Errorf("%s signs with another key: %v", k.ID, err)
				}
			}
		}
	})
}

// TestKeys imports the key files of each version again, and compares the public keys.
func TestKeys(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v version) {
		dir, keys := v.unpack(t, "city", "sqlite"), files(t, v.path("keys"))
		main := filepath.Join(dir, "sqlite", config.MainFile)
		ring, err := install.OpenKeystore(main, v.clock())
		if err != nil {
			t.Fatal(err)
		}
		signing := string(bytes.TrimSpace(keys["encryption.wrapped-to"]))
		for name, in := range map[string]install.KeyImport{
			"food-approval-2.p12":      {Usage: keystore.Call, Owner: food, File: keys["food-approval-2.p12"], Password: importPassword},
			"encryption.enveloped.der": {WrappedTo: signing, File: keys["encryption.enveloped.der"], Chain: keys["encryption.pem"]},
		} {
			if taken, err := ring.Import(t.Context(), in); err != nil || len(taken) != 1 {
				t.Errorf("%s: %v %v", name, taken, err)
			}
		}
		if err := ring.Install(signing, keys["signing.pem"]); err != nil {
			t.Errorf("signing.pem: %v", err)
		}
		if public, err := ring.Export(signing, false); err != nil || !bytes.Equal(public, keys["license.pub.pem"]) {
			t.Errorf("license.pub.pem: the keystore says %s %v", public, err)
		}
		requested, err := pki.ParseRequest(keys["license.csr"])
		if public, _ := sm.ParsePEM(keys["license.pub.pem"]); err != nil || !requested.Equal(public) {
			t.Errorf("license.csr: %v", err)
		}
		if _, err := ring.Certify(t.Context(), food, keys["food-approval-2.csr"]); err != nil {
			t.Errorf("food-approval-2.csr: %v", err)
		}
		caller := install.CallOptions{Config: main, System: food, Operator: "ZHCK-07", Key: v.path("keys", "food-approval-2.key.pem")}
		if _, err := caller.Caller(v.clock()); err != nil {
			t.Errorf("food-approval-2.key.pem: %v", err)
		}
		sealer, err := load(t, main, v.Made).Keys.Keyring(keystore.Envelope, "")
		if err != nil {
			t.Fatal(err)
		}
		if clear, err := sealer.Open(keys["sealed"], []byte(sealedContext)); err != nil || string(clear) != sealedText {
			t.Errorf("sealed: %q %v", clear, err)
		}
		exported := v.set(t, "sqlite", "keys")
		for _, k := range ring.List() {
			name := k.ID + ".cert.pem"
			if now, err := ring.Export(k.ID, true); k.ID != signing && exported[name] != nil && (err != nil || !bytes.Equal(now, exported[name])) {
				t.Errorf("%s: the keystore says %s %v", name, now, err)
			}
		}
		if !slices.ContainsFunc(ring.List(), func(k keystore.Info) bool { return k.State == keystore.Retired }) {
			t.Error("no key was ever replaced")
		}
	})
}
