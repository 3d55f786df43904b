package keystore_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"io/fs"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/google/go-cmp/cmp"

	"oncegate/certs/certstest"
	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// pair is a pair of keys with certificates (双证书), as an authority gives them: the signing key is the holder's own, the
// encryption key the authority's making.
type pair struct {
	signing, encryption         *sm.PrivateKey
	signingChain, encryptionOne []*pki.Certificate
}

func newPair(t testing.TB, w *certstest.World) pair {
	t.Helper()
	p := pair{signing: newKey(t), encryption: newKey(t)}
	issue := func(usage string, pub *ecdsa.PublicKey) []*pki.Certificate {
		chain, err := w.Intermediate.Issue(t.Context(), pki.Request{
			Organization: "示例市市场监督管理局", USCC: owner, Usage: usage, CommonName: "pair", Public: pub,
		})
		if err != nil {
			t.Fatal(err)
		}
		return chain
	}
	p.signingChain = issue(pki.License, &p.signing.PublicKey)
	p.encryptionOne = issue(pki.Encryption, &p.encryption.PublicKey)
	return p
}

func newKey(t testing.TB) *sm.PrivateKey {
	t.Helper()
	k, err := sm.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (p pair) licenseKey() keystore.Delivery {
	return keystore.Delivery{Purpose: licensing, Key: p.signing, Chain: p.signingChain}
}

var (
	licensing  = keystore.Purpose{Usage: keystore.License, Owner: owner, Algorithm: keystore.SM2}
	encrypting = keystore.Purpose{Usage: keystore.Encryption, Owner: owner, Algorithm: keystore.SM2}
)

// A pair is taken in, each key does its own work and refuses the other's, also after reopening.
func TestPair(t *testing.T) {
	w := certstest.New(t, "pair")
	p := newPair(t, w)
	dir := t.TempDir()
	s := open(t, dir)
	signing, err := s.Import(p.licenseKey())
	if err != nil {
		t.Fatal(err)
	}
	enveloped, err := keystore.SealEnveloped(nil, &p.signing.PublicKey, p.encryption)
	if err != nil {
		t.Fatal(err)
	}
	encryption, err := s.ImportEnveloped(signing.ID, enveloped, p.encryptionOne, false)
	if err != nil {
		t.Fatal(err)
	}
	if encryption.Purpose != encrypting || signing.Purpose != licensing {
		t.Fatal(signing, encryption)
	}
	for _, s := range []*keystore.Store{s, open(t, dir)} {
		signer, err := s.Signer(keystore.License, owner)
		if err != nil {
			t.Fatal(err)
		}
		rs, err := signer.Sign(t.Context(), []byte("m"))
		if err != nil || sm.Verify(&p.signing.PublicKey, []byte("m"), rs) != nil {
			t.Error("the signing key does not sign", err)
		}
		secret := []byte("0123456789abcdef")
		for _, c := range []struct {
			name string
			id   string
			to   *ecdsa.PublicKey
			want error
		}{
			{"encryption key", encryption.ID, &p.encryption.PublicKey, nil},
			{"signing key", signing.ID, &p.signing.PublicKey, keystore.ErrKeyUse},
			{"no key", "encryption-0", &p.encryption.PublicKey, fs.ErrNotExist},
		} {
			sealed, err := sm2.EncryptASN1(rand.Reader, c.to, secret)
			if err != nil {
				t.Fatal(err)
			}
			clear, err := s.Decrypt(c.id, sealed)
			if !errors.Is(err, c.want) || err == nil && !bytes.Equal(clear, secret) {
				t.Errorf("decrypt with the %s: %v", c.name, err)
			}
		}
		for _, bad := range [][]byte{nil, {0x30, 0}, make([]byte, 8<<10)} {
			if _, err := s.Decrypt(encryption.ID, bad); err == nil {
				t.Error("decrypts nothing")
			}
		}
		if _, err := s.Signer(keystore.Encryption, owner); !errors.Is(err, keystore.ErrKeyUse) {
			t.Errorf("the encryption key signs: %v", err)
		}
		if _, err := s.SignerByID(encryption.ID); !errors.Is(err, keystore.ErrKeyUse) {
			t.Errorf("the encryption key signs: %v", err)
		}
		if diff := cmp.Diff(pki.DER(p.encryptionOne...), s.List()[1].Chain); diff != "" {
			t.Error(diff)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	w := certstest.New(t, "refuses")
	p, other := newPair(t, w), newPair(t, w)
	for _, c := range []struct {
		name string
		d    keystore.Delivery
		want error
	}{
		{"signing", p.licenseKey(), nil},
		{"encryption", keystore.Delivery{Purpose: encrypting, Key: p.encryption, Chain: p.encryptionOne}, nil},
		{"no certificate", keystore.Delivery{Purpose: licensing, Key: p.signing}, nil},
		{"another's certificate", keystore.Delivery{Purpose: licensing, Key: p.signing, Chain: other.signingChain}, keystore.ErrMismatch},
		{"a signing certificate to encrypt", keystore.Delivery{Purpose: encrypting, Key: p.signing, Chain: p.signingChain}, keystore.ErrMismatch},
		{"an encryption certificate to sign", keystore.Delivery{Purpose: licensing, Key: p.encryption, Chain: p.encryptionOne}, keystore.ErrMismatch},
		{"no key", keystore.Delivery{Purpose: licensing, Chain: p.signingChain}, errAny},
		{"no sm2 key", keystore.Delivery{Purpose: keystore.Purpose{Usage: keystore.License, Owner: owner, Algorithm: keystore.Ed25519}, Key: p.signing}, errAny},
		{"a bad owner", keystore.Delivery{Purpose: keystore.Purpose{Usage: keystore.License, Owner: "../x", Algorithm: keystore.SM2}, Key: p.signing}, errAny},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			_, err := s.Import(c.d)
			if c.want == errAny {
				if err == nil || len(s.List()) != 0 {
					t.Error("taken")
				}
			} else if !errors.Is(err, c.want) {
				t.Error(err)
			}
		})
	}
}

var errAny = errors.New("any")

// A second key of a purpose comes only by replacing the first, which then is retired; one key has one use.
func TestImportReplaces(t *testing.T) {
	w := certstest.New(t, "replaces")
	p, next := newPair(t, w), newPair(t, w)
	s := open(t, t.TempDir())
	first, err := s.Import(p.licenseKey())
	if err != nil {
		t.Fatal(err)
	}
	d := next.licenseKey()
	if _, err := s.Import(d); !errors.Is(err, keystore.ErrExists) {
		t.Fatal(err)
	}
	d.Replace = true
	second, err := s.Import(d)
	if err != nil {
		t.Fatal(err)
	}
	state := make(map[string]keystore.State)
	for _, k := range s.List() {
		state[k.ID] = k.State
	}
	if diff := cmp.Diff(map[string]keystore.State{first.ID: keystore.Retired, second.ID: keystore.Current}, state); diff != "" {
		t.Error(diff)
	}
	if again, err := s.Import(keystore.Delivery{Purpose: licensing, Key: next.signing, Chain: next.signingChain[:1]}); err != nil || len(again.Chain) != 1 || again.ID != second.ID {
		t.Error("the same key again, with other certificates", err)
	}
	if _, err := s.Import(p.licenseKey()); !errors.Is(err, keystore.ErrExists) {
		t.Errorf("a retired key comes back: %v", err)
	}
	for _, use := range []string{keystore.Encryption, keystore.Seal} {
		twice := keystore.Delivery{Purpose: keystore.Purpose{Usage: use, Owner: owner, Algorithm: keystore.SM2}, Key: next.signing}
		if _, err := s.Import(twice); !errors.Is(err, keystore.ErrKeyUse) {
			t.Errorf("one key for %s too: %v", use, err)
		}
	}
}

// An enveloped key opens with the key it was wrapped to, unchanged, and with nothing else.
func TestOpenEnveloped(t *testing.T) {
	w := certstest.New(t, "enveloped")
	p := newPair(t, w)
	enveloped, err := keystore.SealEnveloped(nil, &p.signing.PublicKey, p.encryption)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := keystore.OpenEnveloped(p.signing, enveloped); err != nil || !key.Equal(p.encryption) {
		t.Fatal(err)
	}
	for i := range enveloped {
		for _, flip := range []byte{1, 0x80} {
			bad := bytes.Clone(enveloped)
			bad[i] ^= flip
			if _, err := keystore.OpenEnveloped(p.signing, bad); !errors.Is(err, keystore.ErrEnveloped) {
				t.Errorf("byte %d changed: %v", i, err)
			}
		}
		if _, err := keystore.OpenEnveloped(p.signing, enveloped[:i]); !errors.Is(err, keystore.ErrEnveloped) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	itself, err := keystore.SealEnveloped(nil, &p.signing.PublicKey, p.signing)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"a byte more": append(bytes.Clone(enveloped), 0), "too large": make([]byte, 2<<10), "the signing key itself": itself,
	} {
		if _, err := keystore.OpenEnveloped(p.signing, bad); !errors.Is(err, keystore.ErrEnveloped) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := keystore.OpenEnveloped(p.encryption, enveloped); !errors.Is(err, keystore.ErrEnveloped) {
		t.Errorf("another key: %v", err)
	}
	s := open(t, t.TempDir())
	if _, err := s.ImportEnveloped("license-0", enveloped, nil, false); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if info, err := s.Import(keystore.Delivery{Purpose: encrypting, Key: p.encryption}); err != nil {
		t.Fatal(err)
	} else if _, err := s.ImportEnveloped(info.ID, enveloped, nil, false); !errors.Is(err, keystore.ErrKeyUse) {
		t.Errorf("wrapped to an encryption key: %v", err)
	}
}

func FuzzOpenEnveloped(f *testing.F) {
	signing, encryption := newKey(f), newKey(f)
	enveloped, err := keystore.SealEnveloped(nil, &signing.PublicKey, encryption)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(enveloped)
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := keystore.OpenEnveloped(signing, data)
		if err == nil && !key.Equal(encryption) {
			t.Fatal("it opens to something else")
		}
	})
}
