package pkcs11_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"oncegate/certs/pkcs11"
)

// softHSM names the library of SoftHSM 2. The test command sets it where SoftHSM is there or can be installed; set, it must work.
const softHSM = "ONCEGATE_TEST_SOFTHSM"

const (
	pinOfToken = "8431-made-up"
	labelOfHSM = "oncegate test"
)

// hsm makes a token of SoftHSM in a folder of its own, with a key of each kind in it.
func hsm(t testing.TB) (*pkcs11.Module, map[string]crypto.PublicKey) {
	t.Helper()
	library := os.Getenv(softHSM)
	if library == "" {
		t.Skip(softHSM + " is not set: NOT TESTED against SoftHSM")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "softhsm2.conf")
	write(t, conf, "directories.tokendir = "+filepath.Join(dir, "tokens")+"\nobjectstore.backend = file\nlog.level = ERROR\n")
	t.Setenv("SOFTHSM2_CONF", conf)
	util := func(args ...string) {
		if out, err := exec.Command("softhsm2-util", append([]string{"--module", library}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("softhsm2-util %s: %v\n%s", args[0], err, out)
		}
	}
	util("--init-token", "--free", "--label", labelOfHSM, "--so-pin", "so-"+pinOfToken, "--pin", pinOfToken)
	public := make(map[string]crypto.PublicKey)
	for i, label := range []string{"ec", "rsa"} {
		text, pub := newPrivate(t, label)
		public[label] = pub
		name := filepath.Join(dir, label+".pem")
		write(t, name, text)
		util("--import", name, "--token", labelOfHSM, "--label", label, "--id", fmt.Sprintf("0%d", i+1), "--pin", pinOfToken)
	}
	m, err := pkcs11.Load(library)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, public
}

// newPrivate makes a key of a kind, as PKCS#8 PEM.
func newPrivate(t testing.TB, kind string) (string, crypto.PublicKey) {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "ec":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), key.Public()
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// pinFile writes a PIN as an editor does.
func pinFile(t testing.TB, pin string) string {
	name := filepath.Join(t.TempDir(), "pin")
	write(t, name, pin+"\n")
	return name
}

func TestSoftHSM(t *testing.T) {
	m, public := hsm(t)
	token, err := m.Open(t.Context(), pkcs11.Config{Label: labelOfHSM, PINFile: pinFile(t, pinOfToken)})
	if err != nil {
		t.Fatal(err)
	}
	defer token.Close()
	t.Run("keys", func(t *testing.T) { softKeys(t, token, public) })
	t.Run("many at once", func(t *testing.T) { softMany(t, token) })
	t.Run("sm2 that is none", func(t *testing.T) { softSM2(t, token) })
	t.Run("what is not there", func(t *testing.T) {
		if _, err := token.Key(t.Context(), pkcs11.Object{Label: "nothing"}); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if _, err := token.Key(t.Context(), pkcs11.Object{Label: "ec", ID: []byte{2}}); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		_, err := m.Open(t.Context(), pkcs11.Config{Label: "another", PINFile: pinFile(t, pinOfToken)})
		if !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
	if err := token.Close(); err != nil {
		t.Error(err)
	}
	if _, err := token.Key(t.Context(), pkcs11.Object{Label: "ec"}); !errors.Is(err, pkcs11.ErrClosed) {
		t.Error(err)
	}
	t.Run("pin", func(t *testing.T) {
		_, err := m.Open(t.Context(), pkcs11.Config{Label: labelOfHSM, PINFile: pinFile(t, "wrong")})
		if !errors.Is(err, pkcs11.ErrPIN) || strings.Contains(err.Error(), "wrong") {
			t.Error(err)
		}
		t.Setenv("ONCEGATE_TEST_PIN", pinOfToken)
		token, err := m.Open(t.Context(), pkcs11.Config{Label: labelOfHSM, PINEnv: "ONCEGATE_TEST_PIN"})
		if err != nil {
			t.Fatal(err)
		}
		if err := token.Close(); err != nil {
			t.Error(err)
		}
	})
}

// softKeys signs with every key by every mechanism that SoftHSM has for it, and verifies with the standard library.
func softKeys(t *testing.T, token *pkcs11.Token, public map[string]crypto.PublicKey) {
	d256, d384, d512 := sha256.Sum256([]byte("m")), sha512.Sum384([]byte("m")), sha512.Sum512([]byte("m"))
	for i, label := range []string{"ec", "rsa"} {
		for _, o := range []pkcs11.Object{{Label: label}, {ID: []byte{byte(i + 1)}}, {Label: label, ID: []byte{byte(i + 1)}}} {
			k, err := token.Key(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if pub, ok := public[label].(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(k.Public()) {
				t.Errorf("%s: another public key", label)
			}
			for hash, digest := range map[crypto.Hash][]byte{crypto.SHA256: d256[:], crypto.SHA384: d384[:], crypto.SHA512: d512[:]} {
				sig, err := k.Sign(nil, digest, hash)
				if err != nil {
					t.Errorf("%s %s: %v", label, hash, err)
					continue
				}
				switch pub := k.Public().(type) {
				case *ecdsa.PublicKey:
					if !ecdsa.VerifyASN1(pub, digest, sig) {
						t.Errorf("%s: does not verify", hash)
					}
				case *rsa.PublicKey:
					pss, err := k.Sign(nil, digest, &rsa.PSSOptions{Hash: hash, SaltLength: rsa.PSSSaltLengthEqualsHash})
					if err := errors.Join(err, rsa.VerifyPKCS1v15(pub, hash, digest, sig), rsa.VerifyPSS(pub, hash, digest, pss, nil)); err != nil {
						t.Errorf("%s: %v", hash, err)
					}
				}
			}
			for _, opts := range []crypto.SignerOpts{nil, crypto.Hash(0), crypto.SHA384} {
				if _, err := k.Sign(nil, d256[:], opts); err == nil {
					t.Errorf("%s: signs 32 bytes as %v", label, opts)
				}
			}
		}
	}
}

// softMany signs from many goroutines over few sessions.
func softMany(t *testing.T, token *pkcs11.Token) {
	k, err := token.Key(t.Context(), pkcs11.Object{Label: "ec"})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			for j := range 25 {
				digest := sha256.Sum256(fmt.Append(nil, i, j))
				if sig, err := k.Sign(nil, digest[:], crypto.SHA256); err != nil || !ecdsa.VerifyASN1(k.Public().(*ecdsa.PublicKey), digest[:], sig) {
					t.Errorf("%v", err)
					return
				}
			}
		})
	}
	wait.Wait()
}

// softSM2: SoftHSM knows no SM2. A profile that takes another key for one is found out.
func softSM2(t *testing.T, token *pkcs11.Token) {
	ecdsaAsSM2 := pkcs11.SM2Profile{KeyType: 3, Mechanism: 0x1041, Input: "digest", Signature: "raw", Point: "octet-string"}
	if _, err := token.SM2(t.Context(), "k", pkcs11.Object{Label: "ec"}, ecdsaAsSM2); !errors.Is(err, pkcs11.ErrUnusable) {
		t.Errorf("a key of P-256: %v", err)
	}
	ecdsaAsSM2.KeyType = 0x80000002
	if _, err := token.SM2(t.Context(), "k", pkcs11.Object{Label: "ec"}, ecdsaAsSM2); !errors.Is(err, pkcs11.ErrUnusable) {
		t.Errorf("another key type: %v", err)
	}
}

func BenchmarkSoftHSM(b *testing.B) {
	m, _ := hsm(b)
	token, err := m.Open(b.Context(), pkcs11.Config{Label: labelOfHSM, PINFile: pinFile(b, pinOfToken)})
	if err != nil {
		b.Fatal(err)
	}
	defer token.Close()
	k, err := token.Key(b.Context(), pkcs11.Object{Label: "ec"})
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("m"))
	for b.Loop() {
		if _, err := k.Sign(nil, digest[:], crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}
