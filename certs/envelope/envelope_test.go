package envelope

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	gmcipher "github.com/emmansun/gmsm/cipher"
	"github.com/emmansun/gmsm/sm4"
	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// GB/T 32907-2016 appendix A.1.
func TestSM4Vector(t *testing.T) {
	key := unhex(t, "0123456789abcdeffedcba9876543210")
	block, err := sm4.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 16)
	block.Encrypt(out, key)
	if hex.EncodeToString(out) != "681edf34d206965e86b3e94f536e4246" {
		t.Errorf("%x", out)
	}
	back := make([]byte, 16)
	if block.Decrypt(back, out); !bytes.Equal(back, key) {
		t.Errorf("decrypted %x", back)
	}
	// Appendix A.2: a million times.
	for range 1_000_000 - 1 {
		block.Encrypt(out, out)
	}
	if hex.EncodeToString(out) != "595298c7c6fd271f0402f804c33d3f66" {
		t.Errorf("after a million rounds %x", out)
	}
}

// RFC 8998 A.2: SM4-CCM, which TLS 1.3 has and the house does not use.
func TestCCMVector(t *testing.T) {
	block, err := sm4.NewCipher(unhex(t, "0123456789abcdeffedcba9876543210"))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := gmcipher.NewCCM(block)
	if err != nil {
		t.Fatal(err)
	}
	var plain []byte
	for _, b := range []byte{0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0xee, 0xaa} {
		plain = append(plain, bytes.Repeat([]byte{b}, 8)...)
	}
	nonce, aad := unhex(t, "00001234567800000000abcd"), unhex(t, "feedfacedeadbeeffeedfacedeadbeefabaddad2")
	const want = "48af93501fa62adbcd414cce6034d895dda1bf8f132f042098661572e7483094fd12e518ce062c98acee28d95df4416bed31a2f04476c18bb40c84a74b97dc5b" +
		"16842d4fa186f56ab33256971fa110f4"
	sealed := aead.Seal(nil, nonce, plain, aad)
	if hex.EncodeToString(sealed) != want {
		t.Errorf("%x", sealed)
	}
	if got, err := aead.Open(nil, nonce, sealed, aad); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%x, %v", got, err)
	}
}

// RFC 8998 A.1 (first case) and Wycheproof.
func TestGCMVectors(t *testing.T) {
	var v struct {
		Tests []struct {
			ID                         int
			Key, IV, AAD, Msg, CT, Tag string
			Valid                      bool
		}
	}
	b, err := os.ReadFile("testdata/sm4_gcm.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Tests) < 60 || !strings.EqualFold(v.Tests[0].Tag, "83DE3541E4C2B58177E065A9BF7B62EC") {
		t.Fatalf("%d cases, first tag %s", len(v.Tests), v.Tests[0].Tag)
	}
	for _, c := range v.Tests {
		aead, err := newGCM(unhex(t, c.Key))
		if err != nil {
			t.Fatal(err)
		}
		sealed := unhex(t, c.CT+c.Tag)
		got, err := aead.Open(nil, unhex(t, c.IV), sealed, unhex(t, c.AAD))
		if (err == nil) != c.Valid || c.Valid && !bytes.Equal(got, unhex(t, c.Msg)) {
			t.Errorf("case %d: open %x, %v", c.ID, got, err)
		}
		if made := aead.Seal(nil, unhex(t, c.IV), unhex(t, c.Msg), unhex(t, c.AAD)); bytes.Equal(made, sealed) != c.Valid {
			t.Errorf("case %d: seal %x", c.ID, made)
		}
	}
}

func key(id string) Key {
	k := Key{ID: id}
	copy(k.Secret[:], id+strings.Repeat("x", 32))
	return k
}

func ring(t testing.TB, current Key, older ...Key) *Keyring {
	t.Helper()
	k, err := NewKeyring(nil, current, older...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealOpen(t *testing.T) {
	k := ring(t, key("k1"))
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		aad := rapid.SliceOf(rapid.Byte()).Draw(t, "aad")
		blob, err := k.Seal(plain, aad)
		if err != nil {
			t.Fatal(err)
		}
		back, err := k.Open(blob, aad)
		if err != nil || !bytes.Equal(back, plain) {
			t.Fatal(back, err)
		}
		if len(plain) > 8 && bytes.Contains(blob, plain) {
			t.Fatal("plaintext in the blob")
		}
		// One bit changed, anywhere: never the plaintext again.
		i := rapid.IntRange(0, len(blob)-1).Draw(t, "byte")
		blob[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := k.Open(blob, aad); !errors.Is(err, ErrTampered) && !errors.Is(err, ErrForm) && !errors.Is(err, ErrUnknownKey) {
			t.Fatal("opened a changed blob:", err)
		}
	})
}

func TestOpenTellsWhy(t *testing.T) {
	k := ring(t, key("k1"))
	blob, err := k.Seal([]byte("data"), []byte("row 1"))
	if err != nil {
		t.Fatal(err)
	}
	impostor := key("k1")
	impostor.Secret[31] ^= 1
	for name, c := range map[string]struct {
		ring *Keyring
		blob []byte
		aad  string
		err  error
	}{
		"right":            {k, blob, "row 1", nil},
		"moved":            {k, blob, "row 2", ErrTampered},
		"without context":  {k, blob, "", ErrTampered},
		"last byte":        {k, append(bytes.Clone(blob[:len(blob)-1]), blob[len(blob)-1]^1), "row 1", ErrTampered},
		"longer":           {k, append(bytes.Clone(blob), 0), "row 1", ErrTampered},
		"unknown key":      {ring(t, key("k2")), blob, "row 1", ErrUnknownKey},
		"same id, not key": {ring(t, impostor), blob, "row 1", ErrTampered},
		"empty":            {k, nil, "row 1", ErrForm},
		"another version":  {k, append([]byte{2}, blob[1:]...), "row 1", ErrForm},
		"no key id":        {k, append([]byte{1, 0}, blob[4:]...), "row 1", ErrForm},
		"cut":              {k, blob[:len(blob)-5], "row 1", ErrForm},
	} {
		if _, err := c.ring.Open(c.blob, []byte(c.aad)); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}

func TestRotation(t *testing.T) {
	old := ring(t, key("k1"))
	blob, err := old.Seal([]byte("data"), []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	now := ring(t, key("k2"), key("k1"))
	again, changed, err := now.Reseal(blob, []byte("a"))
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	if id, err := KeyID(again); err != nil || id != "k2" || now.Current() != "k2" {
		t.Error(id, err)
	}
	if same, changed, err := now.Reseal(again, []byte("a")); err != nil || changed || !bytes.Equal(same, again) {
		t.Error("sealed again under the same key", changed, err)
	}
	if _, _, err := now.Reseal(blob, []byte("b")); !errors.Is(err, ErrTampered) {
		t.Error(err)
	}
	if plain, err := ring(t, key("k2")).Open(again, []byte("a")); err != nil || string(plain) != "data" {
		t.Error("needs the old key:", err)
	}
}

func TestKeyringRefuses(t *testing.T) {
	if _, err := NewKeyring(nil, key("")); err == nil {
		t.Error("empty id")
	}
	if _, err := NewKeyring(nil, Key{ID: strings.Repeat("k", 256)}); err == nil {
		t.Error("long id")
	}
	if _, err := NewKeyring(nil, key("k1"), key("k1")); err == nil {
		t.Error("same id twice")
	}
	k, err := NewKeyring(strings.NewReader("short"), key("k1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Seal(nil, nil); err == nil {
		t.Error("sealed without randomness")
	}
}

func FuzzOpen(f *testing.F) {
	// A fixed nonce: fuzzing runs in several processes, and all must seal the same blob.
	k, err := NewKeyring(strings.NewReader(strings.Repeat("n", nonceSize)), key("k1"))
	if err != nil {
		f.Fatal(err)
	}
	blob, err := k.Seal([]byte("data"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(blob)
	f.Add([]byte{1, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := k.Open(b, nil); err == nil && !bytes.Equal(b, blob) {
			t.Fatal("opened what was never sealed")
		}
	})
}

func BenchmarkSeal1K(b *testing.B) {
	k, plain := ring(b, key("k1")), make([]byte, 1024)
	b.SetBytes(1024)
	for b.Loop() {
		if _, err := k.Seal(plain, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// Blobs of one epoch share a key and no nonce; after an epoch comes another key.
func TestEpochs(t *testing.T) {
	k := ring(t, key("k1"))
	nonces, starts := map[string]bool{}, map[string]int{}
	for n := range epochLength + 10 {
		blob, err := k.Seal([]byte("x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		nonce := string(blob[4 : 4+nonceSize])
		nonces[nonce] = true
		starts[nonce[:nonceSize/2]]++
		if n%4096 == 0 || n >= epochLength {
			if text, err := k.Open(blob, nil); err != nil || string(text) != "x" {
				t.Fatal(string(text), err)
			}
		}
	}
	if len(nonces) != epochLength+10 {
		t.Errorf("%d nonces are repeated", epochLength+10-len(nonces))
	}
	if len(starts) != 2 {
		t.Fatalf("%d keys for one blob more than one epoch", len(starts))
	}
	for _, n := range starts {
		if n > epochLength {
			t.Errorf("%d blobs share a key", n)
		}
	}
}
