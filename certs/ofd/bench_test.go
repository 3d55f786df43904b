package ofd_test

import (
	"bytes"
	"context"
	"testing"

	"oncegate/certs/ofd"
	"oncegate/certs/seal"
	"oncegate/check"
	"oncegate/sheet"
)

// benchmarkPackage is a sealed business license of the sample city, and its bureau.
func benchmarkPackage(b *testing.B) (*bureau, []byte) {
	bu, p := newBureau(b), cityPage(b, "")
	return bu, bu.sign(b, bu.write(b, ofd.Document{Pages: []*sheet.Page{&p}}), ofd.Signing{Seal: ofd.SealWith(bu.holder), Stamps: ofd.Stamps(&p)})
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

// BenchmarkVerifyWithoutSM2 is the same without its SM2 operations: the seal is read, and its signatures are trusted.
// The goal is 2 ms.
func BenchmarkVerifyWithoutSM2(b *testing.B) {
	_, pkg := benchmarkPackage(b)
	j := ofd.Judges{Seal: func(_ context.Context, value, digest []byte, path string) ofd.Proof {
		s, err := seal.ParseSignature(value)
		if err != nil || !bytes.Equal(s.DataHash, digest) || s.PropertyInfo != path {
			return ofd.Proof{Steps: []check.Step{{Name: "seal", State: check.Failed, Reason: "unlike"}}}
		}
		return ofd.Proof{Seal: s.Seal.Raw, Steps: []check.Step{{Name: "seal", State: check.OK}}}
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
	bu, p := newBureau(b), cityPage(b, "")
	d := ofd.Document{Pages: []*sheet.Page{&p}}
	b.ReportAllocs()
	for b.Loop() {
		bu.write(b, d)
	}
}

// BenchmarkSeal seals a license that is drawn.
func BenchmarkSeal(b *testing.B) {
	bu, p := newBureau(b), cityPage(b, "")
	pkg := bu.write(b, ofd.Document{Pages: []*sheet.Page{&p}})
	b.ReportAllocs()
	for b.Loop() {
		bu.sign(b, pkg, bu.sealing())
	}
}
