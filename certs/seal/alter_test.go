package seal_test

import (
	"bytes"
	"testing"

	"oncegate/certs/seal"
)

// leaves lists where the content of each primitive value of a DER ends, in order.
func leaves(t *testing.T, b []byte, offset int) (ends []int) {
	t.Helper()
	for i := 0; i < len(b); {
		n, head := int(b[i+1]), 2
		if n >= 0x80 {
			size := n & 0x7f
			n = 0
			for k := range size {
				n = n<<8 | int(b[i+2+k])
			}
			head += size
		}
		if b[i]&0x20 != 0 {
			ends = append(ends, leaves(t, b[i+head:i+head+n], offset+i+head)...)
		} else {
			ends = append(ends, offset+i+head+n)
		}
		i += head + n
	}
	return ends
}

// A change of any single value is named by the step that it concerns, and by those that it cannot but break.
func TestEveryValueAltered(t *testing.T) {
	const (
		form, hash, info       = seal.StepForm, seal.StepDataHash, seal.StepPropertyInfo
		sign, made, listed     = seal.StepSignature, seal.StepMade, seal.StepListed
		signer, maker, clock   = seal.StepSignerChain, seal.StepMakerChain, seal.StepTime
		last, digit, firstChar = -1, -2, -3
	)
	type value struct {
		name string
		at   int // which byte of the value is changed, from its end
		want []string
	}
	both := []string{sign, made}
	for version, values := range map[int][]value{
		4: {
			{"version", last, []string{sign}}, // 5, which is read alike
			{"header ID", last, []string{form}}, {"seal version", last, both}, {"Vid", last, both}, {"esID", last, both},
			{"type", last, both}, {"name", last, both}, {"certListType", last, []string{form}}, {"certificate on the list", last, []string{sign, made, listed}},
			{"createDate", digit, both}, {"validStart", digit, both}, {"validEnd", digit, both},
			{"picture type", firstChar, both}, {"picture", last, both}, {"width", last, both}, {"height", last, both},
			{"maker's certificate", last, []string{sign, maker}}, {"signAlgID", last, both}, {"signedValue", last, both},
			{"timeInfo", digit, []string{sign}}, {"dataHash", last, []string{sign, hash}}, {"propertyInfo", last, []string{sign, info}},
			{"signer's certificate", last, []string{listed, signer}}, {"signatureAlgID", last, []string{sign}},
			{"signature", last, []string{sign, clock, "stamp"}}, {"timeStamp", last, []string{clock, "stamp"}},
		},
		1: {
			{"version", last, []string{form}},
			{"header ID", last, []string{form}}, {"seal version", last, []string{form}}, {"Vid", last, both}, {"esID", last, both},
			{"type", last, both}, {"name", last, both}, {"certificate on the list", last, []string{sign, made, listed}},
			{"createDate", digit, both}, {"validStart", digit, both}, {"validEnd", digit, both},
			{"picture type", firstChar, both}, {"picture", last, both}, {"width", last, both}, {"height", last, both},
			{"maker's certificate", last, []string{sign, made, maker}}, {"signatureAlgorithm", last, both}, {"signData", last, both},
			{"timeInfo", digit, []string{sign}}, {"dataHash", last, []string{sign, hash}}, {"propertyInfo", last, []string{sign, info}},
			{"signer's certificate", last, []string{sign, listed, signer}}, {"signatureAlgorithm of toSign", last, []string{sign}},
			{"signature", last, []string{sign}},
		},
	} {
		c := newCity(t)
		whole := c.document(version).signed()
		if version == 4 {
			whole = c.sign().Raw
		}
		wantFailed(t, seal.Verify(t.Context(), whole, c.expect()))
		ends := leaves(t, whole, 0)
		if len(ends) != len(values) {
			t.Fatalf("version %d: %d values, want %d", version, len(ends), len(values))
		}
		for i, v := range values {
			t.Run(v.name, func(t *testing.T) {
				bad := bytes.Clone(whole)
				bad[ends[i]+v.at] ^= 1
				wantFailed(t, seal.Verify(t.Context(), bad, c.expect()), v.want...)
			})
		}
	}
}

// Cut anywhere, it is no signature and no seal; with a byte more, neither.
func TestTruncated(t *testing.T) {
	c := newCity(t)
	for _, version := range []int{1, 4, 5} {
		d := c.document(version)
		for i, whole := range [][]byte{d.signed(), d.der()} {
			parse := func(b []byte) error {
				if i == 0 {
					_, err := seal.ParseSignature(b)
					return err
				}
				_, err := seal.ParseSeal(b)
				return err
			}
			if err := parse(whole); err != nil {
				t.Fatal(err)
			}
			for n := range whole {
				wantForm(t, parse(whole[:n]))
			}
			wantForm(t, parse(append(bytes.Clone(whole), 0)))
		}
	}
}

// Whatever single byte is changed, there is a report and nobody panics; and no change passes for the original.
func TestEveryByteFlipped(t *testing.T) {
	c := newCity(t)
	c.spec.Picture.Data = dot(t, 1)
	c.holder.Seal = c.make(c.spec)
	whole := c.sign().Raw
	e := c.expect()
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 1 << (i % 8)
		if r := seal.Verify(t.Context(), bad, e); len(r.Steps) < 17 || r.Steps[0].Name != seal.StepForm || !anyFailed(r) {
			t.Fatalf("byte %d: %+v", i, r.Steps)
		}
	}
}
