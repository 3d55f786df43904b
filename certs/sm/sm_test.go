package sm_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"pgregory.net/rapid"

	"oncegate/certs/second"
	"oncegate/certs/sm"
)

func newSigner(t testing.TB) *sm.KeySigner {
	t.Helper()
	priv, err := sm.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sm.NewSigner("k1", priv, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Both voices agree on what is signed, and on what is changed afterwards.
func TestVerifiersAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "d")
		priv, err := sm.ParsePrivateKey(d)
		if err != nil {
			return // one in 2^32 is not in [1, n-2]
		}
		s, err := sm.NewSigner("k", priv, nil)
		if err != nil {
			t.Fatal(err)
		}
		msg := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "message")
		rs, err := s.Sign(context.Background(), msg)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(sm.Verify(s.Public(), msg, rs), second.Check(s.Public(), msg, rs)); err != nil {
			t.Fatal(err)
		}
		rs[rapid.IntRange(0, 63).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if sm.Verify(s.Public(), msg, rs) == nil || second.Check(s.Public(), msg, rs) == nil {
			t.Fatal("a changed signature is accepted")
		}
	})
}

func TestDeterministicSigner(t *testing.T) {
	priv, err := sm.ParsePrivateKey(unhex(t, exampleD))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sm.NewDeterministicSigner("k", priv)
	if err != nil {
		t.Fatal(err)
	}
	a, err1 := s.Sign(t.Context(), []byte("m"))
	b, err2 := s.Sign(t.Context(), []byte("m"))
	if err := errors.Join(err1, err2, sm.Verify(s.Public(), []byte("m"), a)); err != nil || !bytes.Equal(a, b) {
		t.Errorf("%x, %x, %v", a, b, err)
	}
}

func TestSignRefuses(t *testing.T) {
	s := newSigner(t)
	if _, err := s.Sign(t.Context(), nil); !errors.Is(err, sm.ErrEmptyMessage) {
		t.Errorf("empty message: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Sign(ctx, []byte("m")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := (sm.CryptoSigner{Ctx: t.Context(), Signer: s}).Sign(nil, make([]byte, 32), nil); err == nil {
		t.Error("a bare digest is signed")
	}
}

func TestVerifyRefuses(t *testing.T) {
	s := newSigner(t)
	msg := []byte("message")
	good, err := s.Sign(t.Context(), msg)
	if err != nil {
		t.Fatal(err)
	}
	n := sm2.P256().Params().N
	with := func(r, s *big.Int) []byte {
		b := make([]byte, 64)
		r.FillBytes(b[:32])
		s.FillBytes(b[32:])
		return b
	}
	r0, s0 := new(big.Int).SetBytes(good[:32]), new(big.Int).SetBytes(good[32:])
	zero, one := big.NewInt(0), big.NewInt(1)
	other := newSigner(t).Public()
	off := &ecdsa.PublicKey{Curve: sm2.P256(), X: big.NewInt(5), Y: big.NewInt(7)}
	for name, c := range map[string]struct {
		pub *ecdsa.PublicKey
		msg []byte
		rs  []byte
		err error
	}{
		"short":            {s.Public(), msg, good[:63], sm.ErrSignatureForm},
		"long":             {s.Public(), msg, append(bytes.Clone(good), 0), sm.ErrSignatureForm},
		"nothing":          {s.Public(), msg, nil, sm.ErrSignatureForm},
		"r zero":           {s.Public(), msg, with(zero, s0), sm.ErrSignatureForm},
		"s zero":           {s.Public(), msg, with(r0, zero), sm.ErrSignatureForm},
		"r is n":           {s.Public(), msg, with(n, s0), sm.ErrSignatureForm},
		"s is n":           {s.Public(), msg, with(r0, n), sm.ErrSignatureForm},
		"s all ones":       {s.Public(), msg, append(bytes.Clone(good[:32]), bytes.Repeat([]byte{255}, 32)...), sm.ErrSignatureForm},
		"r + s is n":       {s.Public(), msg, with(r0, new(big.Int).Sub(n, r0)), sm.ErrBadSignature},
		"r one, s one":     {s.Public(), msg, with(one, one), sm.ErrBadSignature},
		"swapped":          {s.Public(), msg, append(bytes.Clone(good[32:]), good[:32]...), sm.ErrBadSignature},
		"another message":  {s.Public(), []byte("massage"), good, sm.ErrBadSignature},
		"empty message":    {s.Public(), nil, good, sm.ErrEmptyMessage},
		"another key":      {other, msg, good, sm.ErrBadSignature},
		"nil key":          {nil, msg, good, sm.ErrBadKey},
		"key without x":    {&ecdsa.PublicKey{Curve: sm2.P256()}, msg, good, sm.ErrBadKey},
		"key off curve":    {off, msg, good, sm.ErrBadKey},
		"key at infinity":  {&ecdsa.PublicKey{Curve: sm2.P256(), X: zero, Y: zero}, msg, good, sm.ErrBadKey},
		"negative x":       {&ecdsa.PublicKey{Curve: sm2.P256(), X: big.NewInt(-1), Y: one}, msg, good, sm.ErrBadKey},
		"x beyond p":       {&ecdsa.PublicKey{Curve: sm2.P256(), X: new(big.Int).Lsh(one, 300), Y: one}, msg, good, sm.ErrBadKey},
		"key on P-256":     {&ecdsa.PublicKey{Curve: elliptic.P256(), X: elliptic.P256().Params().Gx, Y: elliptic.P256().Params().Gy}, msg, good, sm.ErrBadKey},
		"key without kind": {&ecdsa.PublicKey{X: one, Y: one}, msg, good, sm.ErrBadKey},
	} {
		if err := sm.Verify(c.pub, c.msg, c.rs); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		if second.Check(c.pub, c.msg, c.rs) == nil {
			t.Errorf("%s: second verifier accepts", name)
		}
	}
	if err := sm.Verify(s.Public(), msg, good); err != nil {
		t.Fatal(err)
	}
}

// The encodings that tjfoc's own DER reader lets through, and their kin.
func TestDERRefuses(t *testing.T) {
	for name, der := range map[string]string{
		"trailing byte":     "300602010102010200",
		"third integer":     "3009020101020102020103",
		"long length":       "30810602010102010 2",
		"indefinite length": "30800201010201020000",
		"padded integer":    "300702020001020102",
		"negative integer":  "3006020181020102",
		"zero r":            "3006020100020102",
		"set":               "3106020101020102",
		"octet string":      "3006040101020102",
		"one integer":       "3003020101",
		"empty":             "",
		"truncated":         "30060201010201",
		"r is n":            "3026022100fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123020101",
	} {
		if rs, err := sm.DERToRaw(unhex(t, strings.ReplaceAll(der, " ", ""))); !errors.Is(err, sm.ErrSignatureForm) {
			t.Errorf("%s: %x, %v", name, rs, err)
		}
	}
	if _, err := sm.DERToRaw(unhex(t, "3006020101020102")); err != nil {
		t.Error(err)
	}
}

func TestPublicKeyForms(t *testing.T) {
	pub := newSigner(t).Public()
	text, err := sm.MarshalPEM(pub)
	if err != nil {
		t.Fatal(err)
	}
	back, err := sm.ParsePEM(append(text, '\n'))
	if err != nil || !back.Equal(pub) {
		t.Errorf("PEM: %v", err)
	}
	point, err := sm.ParsePoint(sm.MarshalPoint(pub))
	if err != nil || !point.Equal(pub) {
		t.Errorf("point: %v", err)
	}
	g := sm.MarshalPoint(pub)
	off := bytes.Clone(g)
	off[64] ^= 1
	compressed := append([]byte{2}, g[1:33]...)
	hybrid := bytes.Clone(g)
	hybrid[0] = 6
	for name, b := range map[string][]byte{
		"off curve": off, "compressed": compressed, "hybrid": hybrid, "infinity": {0}, "short": g[:64],
		"zeros": append([]byte{4}, make([]byte, 64)...), "long": append(bytes.Clone(g), 0), "empty": nil,
	} {
		if _, err := sm.ParsePoint(b); !errors.Is(err, sm.ErrBadKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A P-256 key in the same clothes, made with "openssl ecparam -name prime256v1 -genkey | openssl ec -pubout".
	const p256 = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5ZcTCgbiRgnByRuNeorv8KhiWGJj\n31WE4GL4rLhlJsV73d9TfxhDvBx5pleuAyiqZbVqEGPaztmB9nkJFoupZA==\n-----END PUBLIC KEY-----\n"
	for name, s := range map[string]string{
		"P-256": p256, "two keys": string(text) + string(text), "garbage after": string(text) + "x",
		"another label": strings.ReplaceAll(string(text), "PUBLIC KEY", "PRIVATE KEY"), "nothing": "",
	} {
		if _, err := sm.ParsePEM([]byte(s)); !errors.Is(err, sm.ErrBadKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPrivateKeyRange(t *testing.T) {
	n := sm2.P256().Params().N
	for _, d := range []*big.Int{big.NewInt(0), new(big.Int).Sub(n, big.NewInt(1)), n} {
		if _, err := sm.ParsePrivateKey(d.FillBytes(make([]byte, 32))); err == nil {
			t.Errorf("scalar %x is accepted", d)
		}
	}
	want := unhex(t, exampleD)
	priv, err := sm.ParsePrivateKey(want)
	if err != nil || !bytes.Equal(sm.PrivateBytes(priv), want) {
		t.Error("scalar does not survive", err)
	}
}

func TestB64Strict(t *testing.T) {
	for _, s := range []string{"QQ==", "Q Q", "QQ\n", "Q\nQ", "QR", "Q", "Q+==", "Q/8", "é"} {
		if b, err := sm.ParseB64(s); err == nil {
			t.Errorf("%q decodes to %x", s, b)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		if back, err := sm.ParseB64(sm.B64(b)); err != nil || !bytes.Equal(back, b) {
			t.Fatal(back, err)
		}
	})
}

func FuzzDERToRaw(f *testing.F) {
	f.Add([]byte{0x30, 6, 2, 1, 1, 2, 1, 2})
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, der []byte) {
		rs, err := sm.DERToRaw(der)
		if err != nil {
			return
		}
		if back, err := sm.RawToDER(rs); err != nil || !bytes.Equal(back, der) {
			t.Fatalf("%x is a second encoding of %x", der, rs)
		}
	})
}

func FuzzPublicKey(f *testing.F) {
	b, _ := hex.DecodeString("04" + exampleX + exampleY)
	f.Add(b)
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if pub, err := sm.ParsePoint(b); err == nil && !bytes.Equal(sm.MarshalPoint(pub), b) {
			t.Fatal("a second encoding of a point")
		}
		if pub, err := sm.ParsePEM(b); err == nil && sm.CheckPublicKey(pub) != nil {
			t.Fatal("a bad key from PEM")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	s, msg := newSigner(b), make([]byte, 256)
	rs, err := s.Sign(b.Context(), msg)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := sm.Verify(s.Public(), msg, rs); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	s, msg := newSigner(b), make([]byte, 256)
	for b.Loop() {
		if _, err := s.Sign(b.Context(), msg); err != nil {
			b.Fatal(err)
		}
	}
}
