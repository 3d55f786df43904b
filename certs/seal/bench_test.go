package seal_test

import (
	"testing"

	"oncegate/certs/seal"
	"oncegate/certs/sm"
)

// BenchmarkSeal sets making, signing and verifying beside one SM2 operation of the same run, with a picture of usual size.
// A verification has two SM2 operations when the chains are cached.
func BenchmarkSeal(b *testing.B) {
	c := newCity(b)
	c.spec.Picture = drawn(b)
	c.holder.Seal = c.make(c.spec)
	c.holder.TimeStamp = nil
	s := c.sign()
	e := c.expect()
	message := []byte("as much as a digest needs, no more")
	rs, err := c.holder.Signer.Sign(b.Context(), message)
	if err != nil {
		b.Fatal(err)
	}
	holder, maker := c.holder, c.maker
	holder.VerifyBoth, maker.VerifyBoth = nil, nil
	for _, x := range []struct {
		name string
		do   func() error
	}{
		{"raw sign", func() error { _, err := c.holder.Signer.Sign(b.Context(), message); return err }},
		{"raw verify", func() error { return sm.Verify(c.holder.Signer.Public(), message, rs) }},
		{"make", func() error { _, err := seal.Make(b.Context(), maker, c.spec); return err }},
		{"sign", func() error { _, err := seal.Sign(b.Context(), holder, sm.Digest(xml), path); return err }},
		{"sign, both verifiers", func() error { _, err := seal.Sign(b.Context(), c.holder, sm.Digest(xml), path); return err }},
		{"parse", func() error { _, err := seal.ParseSignature(s.Raw); return err }},
		{"verify", func() error {
			if r := seal.Verify(b.Context(), s.Raw, e); anyFailed(r) {
				b.Fatalf("%+v", r.Steps)
			}
			return nil
		}},
	} {
		b.Run(x.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := x.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
