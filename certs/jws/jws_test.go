package jws_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"

	"oncegate/certs/certstest"
	"oncegate/certs/jws"
	"oncegate/certs/sm"
)

// Wycheproof: ES256 verdicts as published; every negative case of the other algorithms is refused as SM2SM3 too.
func TestWycheproof(t *testing.T) {
	var v struct {
		Tests []struct {
			ID        int
			Comment   string
			JWS, X, Y string
			Valid     bool
		}
	}
	b, err := os.ReadFile("testdata/jws.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Tests) < 140 {
		t.Fatalf("only %d cases", len(v.Tests))
	}
	signer := certstest.New(t, "wycheproof").Signer("k")
	valid := 0
	for _, c := range v.Tests {
		parts, err := jws.Split(c.JWS, 8<<10)
		if c.X != "" {
			ok := err == nil && parts.VerifyES256(p256(t, c.X, c.Y)) == nil
			if ok != c.Valid {
				t.Errorf("case %d %s: accepted %v, %v", c.ID, c.Comment, ok, err)
			}
			if ok {
				valid++
			}
		}
		if err == nil && parts.Verify(signer.Public(), nil) == nil {
			t.Errorf("case %d %s: accepted as SM2SM3", c.ID, c.Comment)
		}
	}
	if valid != 2 {
		t.Errorf("%d cases accepted", valid)
	}
}

func p256(t testing.TB, x, y string) *ecdsa.PublicKey {
	t.Helper()
	parse := func(s string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return new(big.Int).SetBytes(b)
	}
	return &ecdsa.PublicKey{Curve: elliptic.P256(), X: parse(x), Y: parse(y)}
}

func TestRoundTrip(t *testing.T) {
	w := certstest.New(t, "jws")
	signer, chain := w.Issue("dept-1", "license", "11330000MB0000001X", "示例")
	h := jws.Header{Typ: "x+jwt", Kid: signer.KeyID(), X5C: [][]byte{chain[0].Raw, chain[1].Raw}}
	compact, err := jws.Sign(t.Context(), signer, h, []byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	parts, err := jws.Split(compact, 8<<10)
	if err != nil {
		t.Fatal(err)
	}
	if parts.Header.Alg != sm.Algorithm || parts.Header.Typ != h.Typ || parts.Header.Kid != "dept-1" ||
		len(parts.Header.X5C) != 2 || string(parts.Header.X5C[1]) != string(chain[1].Raw) || string(parts.Payload) != `{"a":1}` {
		t.Errorf("%+v", parts)
	}
	if err := parts.Verify(signer.Public(), nil); err != nil {
		t.Error(err)
	}
	// What OpenSSL is given: the first two segments, and 64 bytes.
	if err := sm.Verify(signer.Public(), []byte(parts.SigningInput), parts.Signature); err != nil {
		t.Error(err)
	}
	if err := parts.Verify(w.Signer("other").Public(), nil); !errors.Is(err, jws.ErrSignature) {
		t.Error(err)
	}
	if err := parts.VerifyES256(signer.Public()); !errors.Is(err, jws.ErrAlgorithm) {
		t.Error(err)
	}
	if _, err := jws.Sign(t.Context(), broken{signer}, h, []byte("{}")); !errors.Is(err, errHardware) {
		t.Errorf("a failing signer: %v", err)
	}
}

var errHardware = errors.New("card removed")

type broken struct{ sm.Signer }

func (broken) Sign(context.Context, []byte) ([]byte, error) { return nil, errHardware }

func TestSplitRefuses(t *testing.T) {
	head := func(s string) string { return sm.B64([]byte(s)) + ".e30.AAAA" }
	for name, c := range map[string]struct {
		compact string
		err     error
	}{
		"empty":            {"", jws.ErrForm},
		"two segments":     {"e30.e30", jws.ErrForm},
		"four segments":    {head(`{"alg":"SM2SM3"}`) + ".AAAA", jws.ErrForm},
		"no signature":     {sm.B64([]byte(`{"alg":"SM2SM3"}`)) + ".e30.", jws.ErrForm},
		"padding":          {sm.B64([]byte(`{"alg":"SM2SM3"}`)) + ".e30=.AAAA", jws.ErrForm},
		"standard base64":  {sm.B64([]byte(`{"alg":"SM2SM3"}`)) + ".e30.+/8A", jws.ErrForm},
		"line break":       {sm.B64([]byte(`{"alg":"SM2SM3"}`)) + ".e3\n0.AAAA", jws.ErrForm},
		"trailing bits":    {sm.B64([]byte(`{"alg":"SM2SM3"}`)) + ".e31.AAAA", jws.ErrForm},
		"header null":      {head(`null`), jws.ErrForm},
		"header array":     {head(`["alg"]`), jws.ErrForm},
		"header text":      {head(`alg`), jws.ErrForm},
		"two headers":      {head(`{"alg":"SM2SM3"}{}`), jws.ErrForm},
		"alg twice":        {head(`{"alg":"none","alg":"SM2SM3"}`), jws.ErrDuplicate},
		"alg a number":     {head(`{"alg":1}`), jws.ErrForm},
		"unknown member":   {head(`{"alg":"SM2SM3","jwk":{}}`), jws.ErrForm},
		"b64":              {head(`{"alg":"SM2SM3","b64":false}`), jws.ErrForm},
		"crit":             {head(`{"alg":"SM2SM3","crit":["exp"]}`), jws.ErrCrit},
		"crit null":        {head(`{"alg":"SM2SM3","crit":null}`), jws.ErrCrit},
		"invalid UTF-8":    {head("{\"alg\":\"\xff\"}"), jws.ErrForm},
		"x5c not base64":   {head(`{"alg":"SM2SM3","x5c":["_-"]}`), jws.ErrForm},
		"x5c too long":     {head(`{"alg":"SM2SM3","x5c":["","","","","","",""]}`), jws.ErrForm},
		"larger than told": {head(`{"alg":"` + strings.Repeat("x", 200) + `"}`), jws.ErrForm},
	} {
		if _, err := jws.Split(c.compact, 128); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}

// jwx keeps algorithms in tables of its own; first use from many sides at once must be safe.
func TestConcurrentFirstUse(t *testing.T) {
	signer := certstest.New(t, "concurrent").Signer("k")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			compact, err := jws.Sign(t.Context(), signer, jws.Header{}, []byte("{}"))
			if err != nil {
				t.Error(err)
				return
			}
			parts, err := jws.Split(compact, 1024)
			if err != nil || parts.Verify(signer.Public(), nil) != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func FuzzSplit(f *testing.F) {
	f.Add("eyJhbGciOiJTTTJTTTMifQ.e30.AAAA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, s string) {
		parts, err := jws.Split(s, 1024)
		if err != nil {
			return
		}
		if parts.SigningInput+"."+sm.B64(parts.Signature) != s {
			t.Fatal("a second text for one jws")
		}
	})
}
