package cms_test

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/cms"
	"oncegate/certs/pki"
)

// Cut off at any byte, a message is malformed, and nothing panics.
func TestTruncated(t *testing.T) {
	w := certstest.New(t, "cms")
	for _, c := range []cms.Config{{}, {Dialect: cms.RFC, Detached: true, SigningCertificate: true, OCSP: [][]byte{{0x30, 0}}}} {
		b := sign(t, c, identity(w, "seal-1", pki.Seal))
		for i := range b {
			if _, err := cms.Parse(b[:i]); !errors.Is(err, cms.ErrMalformed) {
				t.Fatalf("cut at %d: %v", i, err)
			}
		}
	}
}

// With any one byte changed a message is refused, or fails a step, or changed only what nobody signs.
func TestEveryByte(t *testing.T) {
	w := certstest.New(t, "cms")
	b := sign(t, cms.Config{SigningCertificate: true}, identity(w, "seal-1", pki.Seal))
	v := verifier(w)
	unsigned := 0
	for i := range b {
		for _, x := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(b)
			bad[i] ^= x
			r := v.Verify(t.Context(), bad, nil, time.Time{})
			if failed(r.Steps) != "" {
				continue
			}
			if unsigned++; !bytes.Equal(r.Content, content) || r.Signers[0].Leaf.CommonName != "seal-1" {
				t.Fatalf("byte %d changed by %#x proves something else: %+v", i, x, r.Signers[0])
			}
		}
	}
	// Nobody signs the outer version, the announced digest algorithm and the name of the outer content type.
	if unsigned > 40 {
		t.Errorf("%d changes went unseen", unsigned)
	}
}

// Lengths that lie, at any depth, are refused.
func TestLyingLengths(t *testing.T) {
	b := sign(t, cms.Config{}, identity(certstest.New(t, "cms"), "seal-1", pki.Seal))
	root, _ := read(t, b)
	heads := offsets(root, 0)
	if len(heads) < 100 {
		t.Fatalf("%d values", len(heads))
	}
	for _, i := range heads {
		for _, with := range [][]byte{{0x80}, {0x84, 0xff, 0xff, 0xff, 0xff}, {0x85, 0, 0, 0, 0, 1}, {0x82, 0, 1}, {0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {b[i] + 1}, {b[i] - 1}} {
			lying := append(append(bytes.Clone(b[:i]), with...), b[i+1:]...)
			if r := new(cms.Verifier).Verify(t.Context(), lying, nil, time.Time{}); failed(r.Steps) == "" {
				t.Fatalf("length at %d replaced by %x is accepted", i, with)
			}
		}
	}
}

// offsets returns where the lengths of a value and of those in it begin.
func offsets(n node, at int) []int {
	out := []int{at + 1}
	inner := at + len(n.raw) - len(n.body)
	for _, kid := range n.kids {
		out = append(out, offsets(kid, inner)...)
		inner += len(kid.raw)
	}
	return out
}

func TestLimits(t *testing.T) {
	w := certstest.New(t, "cms")
	id := identity(w, "seal-1", pki.Seal)
	many := make([]cms.Identity, 17)
	for i := range many {
		many[i] = id
	}
	if _, err := cms.Sign(t.Context(), cms.Config{}, content, many...); err == nil {
		t.Error("17 signers")
	}
	if _, err := cms.Parse(make([]byte, cms.MaxSize+1)); !errors.Is(err, cms.ErrMalformed) {
		t.Errorf("more than the limit: %v", err)
	}
	lists := make([][]byte, 129)
	for i := range lists {
		lists[i] = []byte{0x30, 0}
	}
	if _, err := cms.Parse(sign(t, cms.Config{CRLs: lists}, id)); !errors.Is(err, cms.ErrMalformed) {
		t.Errorf("129 lists: %v", err)
	}
	if _, err := cms.Parse(sign(t, cms.Config{CRLs: lists[:64]}, id)); err != nil {
		t.Errorf("64 lists: %v", err)
	}
}

// A large message is taken apart in place.
func TestMemory(t *testing.T) {
	w := certstest.New(t, "cms")
	b, err := cms.Sign(t.Context(), cms.Config{Now: clock}, make([]byte, cms.MaxSize-4096), identity(w, "seal-1", pki.Seal))
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := verifier(w).Verify(t.Context(), b, nil, time.Time{})
	runtime.ReadMemStats(&after)
	if failed(r.Steps) != "" {
		t.Errorf("%+v", r.Steps)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes allocated", used)
	}
}

// A million little values cost time in proportion, and little memory.
func TestManyValues(t *testing.T) {
	nulls, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: bytes.Repeat([]byte{5, 0}, cms.MaxSize/2-64)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cms.Parse(nulls); !errors.Is(err, cms.ErrMalformed) {
		t.Errorf("%v", err)
	}
}

func FuzzVerify(f *testing.F) {
	w := certstest.New(f, "cms")
	id := identity(w, "seal-1", pki.Seal)
	for _, c := range []cms.Config{{}, {Dialect: cms.RFC, SigningCertificate: true}, {Bare: true}, {Detached: true, CRLs: [][]byte{{0x30, 0}}, OCSP: [][]byte{{0x30, 0}}}} {
		f.Add(sign(f, c, id))
	}
	others, err := filepath.Glob("testdata/*/*.d*")
	if err != nil || len(others) < 4 {
		f.Fatal(others, err)
	}
	for _, name := range others {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	v := verifier(w)
	v.Foreign = true
	f.Fuzz(func(t *testing.T, b []byte) {
		r := v.Verify(t.Context(), b, nil, time.Time{})
		if len(r.Steps) == 0 {
			t.Fatal("no step")
		}
		if failed(r.Steps) == "" && (!bytes.Equal(r.Content, content) || r.Signers[0].Leaf.CommonName != "seal-1") {
			t.Fatalf("proves what nobody signed: %+v", r)
		}
	})
}
