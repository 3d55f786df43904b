package ofd_test

import (
	"bytes"
	"context"
	"testing"

	"oncegate/certs/ofd"
	"oncegate/certs/seal"
	"oncegate/license"
)

// benchmarkPackage is a sealed license with a font of 60 kB, as a cut one has, and its bureau.
func benchmarkPackage(b *testing.B) (*bureau, []byte) {
	bu := newBureau(b)
	d := document(b)
	d.Pages[0].Fonts["song"] = []byte(noise(60_000))
	return bu, bu.sign(b, bu.write(b, d), bu.sealing())
}

// BenchmarkVerify is a sealed license whole, with every SM2 operation.
func BenchmarkVerify(b *testing.B) {
	bu, pkg := benchmarkPackage(b)
	b.SetBytes(int64(len(pkg)))
	b.ReportAllocs()
	for b.Loop() {
		if r := bu.verify(b, pkg); len(failures(r)) > 0 {
			b.Fatal(r)
		}
	}
}

// BenchmarkVerifyWithoutSM2 is the same without its SM2 operations: the seal is read, and its signatures are believed.
// The goal is 2 ms.
func BenchmarkVerifyWithoutSM2(b *testing.B) {
	_, pkg := benchmarkPackage(b)
	j := ofd.Judges{Seal: func(_ context.Context, value, digest []byte, path string) ofd.Proof {
		s, err := seal.ParseSignature(value)
		if err != nil || !bytes.Equal(s.DataHash, digest) || s.PropertyInfo != path {
			return ofd.Proof{Steps: []license.Step{{Name: "seal", State: license.Failed, Reason: "unlike"}}}
		}
		return ofd.Proof{Seal: s.Seal.Raw, Steps: []license.Step{{Name: "seal", State: license.OK}}}
	}}
	b.SetBytes(int64(len(pkg)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := ofd.Verify(b.Context(), bytes.NewReader(pkg), int64(len(pkg)), j)
		if err != nil || len(failures(r)) > 0 {
			b.Fatal(err, r)
		}
	}
}

// BenchmarkWrite draws a license.
func BenchmarkWrite(b *testing.B) {
	bu, d := newBureau(b), document(b)
	b.ReportAllocs()
	for b.Loop() {
		bu.write(b, d)
	}
}

// BenchmarkSeal seals a license that is drawn.
func BenchmarkSeal(b *testing.B) {
	bu := newBureau(b)
	pkg := bu.write(b, document(b))
	b.ReportAllocs()
	for b.Loop() {
		bu.sign(b, pkg, bu.sealing())
	}
}
