package timestamp_test

import (
	"bytes"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/certstest/tsa"
	"oncegate/certs/pki"
	"oncegate/certs/timestamp"
)

// Cut off at any byte a token is none; with any byte changed it is none, fails a step, or says the same.
func TestEveryByte(t *testing.T) {
	w := certstest.New(t, "tsa")
	token, err := authority(t, config(w)).Stamp(t.Context(), signature)
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(w)
	for i := range token {
		if at, steps := v.Check(token[:i], signature); !at.IsZero() || failed(steps) != "parse" || len(steps) != 1 {
			t.Fatalf("cut at %d: %+v", i, steps)
		}
		for _, x := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(token)
			bad[i] ^= x
			if at, _ := v.Check(bad, signature); !at.IsZero() && !at.Equal(clock()) {
				t.Fatalf("byte %d changed by %#x proves %v", i, x, at)
			}
		}
	}
}

// Bouncy Castle's request is answered, its response holds, its rejection is understood.
func TestBouncyCastle(t *testing.T) {
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata/bouncycastle", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	root, err := pki.Parse(file("root.der"))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := pki.NewVerifier(pki.Trust{Anchors: []*pki.Certificate{root}})
	if err != nil {
		t.Fatal(err)
	}
	v := &timestamp.Verifier{Chain: trust.Chain, Now: clock}
	r, err := timestamp.ParseResponse(file("response.tsr"))
	if err != nil {
		t.Fatal(err)
	}
	got := v.Verify(t.Context(), r.Token, []byte("content\n"), big.NewInt(4711))
	if got.Failure() != nil || !got.Time.Equal(time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)) || got.Info.Serial.Int64() != 77 || got.Info.Name == nil {
		t.Errorf("%+v", got)
	}
	if got := v.Verify(t.Context(), r.Token, []byte("other\n"), big.NewInt(4712)); failed(got.Steps) != "imprint nonce" {
		t.Errorf("%+v", got.Steps)
	}
	if r, err := timestamp.ParseResponse(file("rejection.tsr")); err != nil || r.Refusal == nil || r.Refusal.Failure != timestamp.UnacceptedPolicy || r.Refusal.Text != "request contains unknown policy" {
		t.Errorf("%+v, %v", r.Refusal, err)
	}
	w := certstest.New(t, "tsa")
	if r := respond(t, authority(t, config(w)), file("request.tsq")); r.Refusal != nil {
		t.Errorf("%+v", r.Refusal)
	} else if got := verifier(w).Verify(t.Context(), r.Token, []byte("content\n"), big.NewInt(4711)); got.Failure() != nil {
		t.Error(got.Failure())
	}
}

func FuzzCheck(f *testing.F) {
	w := certstest.New(f, "tsa")
	token, err := authority(f, config(w)).Stamp(f.Context(), signature)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	v := verifier(w)
	f.Fuzz(func(t *testing.T, b []byte) {
		at, steps := v.Check(b, signature)
		if len(steps) == 0 || at.IsZero() != (failed(steps) != "") {
			t.Fatalf("%v %+v", at, steps)
		}
		if !at.IsZero() && !at.Equal(clock()) {
			t.Fatalf("a time that nobody gave: %v", at)
		}
	})
}

func FuzzRespond(f *testing.F) {
	w := certstest.New(f, "tsa")
	f.Add(marshal(f, timestamp.Request{Imprint: imprint(f, timestamp.SM3), Policy: policy, Nonce: big.NewInt(1), Certificates: true}))
	f.Add(marshal(f, timestamp.Request{Imprint: imprint(f, timestamp.SHA256)}))
	a := authority(f, config(w))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := respond(t, a, b)
		if request, err := tsa.ParseRequest(b); err != nil && r.Refusal == nil || err == nil && r.Refusal == nil && len(r.Token) == 0 {
			t.Fatalf("%+v answered with %+v", request, r)
		} else if err == nil && !bytes.Equal(marshal(t, request.Request), b) && r.Refusal == nil && !bytes.Contains(b, []byte{5, 0}) {
			t.Fatalf("%x is read as %x", b, marshal(t, request.Request))
		}
	})
}

func FuzzParseResponse(f *testing.F) {
	for _, r := range []timestamp.Response{
		{Token: []byte{0x30, 0}},
		{Refusal: &timestamp.Refusal{Status: 2, Failure: timestamp.BadAlgorithm, Text: "x"}},
	} {
		b, err := tsa.MarshalResponse(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := timestamp.ParseResponse(b)
		if err == nil && (r.Token == nil) == (r.Refusal == nil) {
			t.Fatalf("both or neither: %+v", r)
		}
	})
}
