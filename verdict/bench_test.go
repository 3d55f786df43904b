package verdict

import (
	"crypto/ecdsa"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"oncegate/certs/certstest"
	"oncegate/certs/certstest/office"
	"oncegate/certs/jws"
	"oncegate/certs/pki"
	"oncegate/certs/sdjwt"
	"oncegate/certs/second"
	"oncegate/certs/sm"
	"oncegate/license"
)

// A raw is one SM2 verification of a message of so many bytes, to compare with: it is done between what is measured, so that
// both see the same machine.
type raw struct {
	signer  sm.Signer
	message []byte
	rs      []byte
}

func newRaw(b *testing.B, n int) raw {
	b.Helper()
	r := raw{signer: certstest.New(b, "raw").Signer("raw"), message: make([]byte, n)}
	var err error
	if r.rs, err = r.signer.Sign(b.Context(), r.message); err != nil {
		b.Fatal(err)
	}
	return r
}

// compare runs what is measured and reports its median as a multiple of the median of the raw verification by some SM2 implementations.
func (r raw) compare(b *testing.B, run func(), implementations ...sm.VerifyFunc) {
	var own, other []time.Duration
	for b.Loop() {
		start := time.Now()
		run()
		own = append(own, time.Since(start))
		start = time.Now()
		for _, verify := range implementations {
			if err := verify(r.signer.Public(), r.message, r.rs); err != nil {
				b.Fatal(err)
			}
		}
		other = append(other, time.Since(start))
	}
	median := func(list []time.Duration) float64 {
		slices.Sort(list)
		return float64(list[len(list)/2])
	}
	b.ReportMetric(median(own)/1e3, "µs")
	b.ReportMetric(median(other)/1e3, "raw-µs")
	b.ReportMetric(median(own)/median(other), "×raw")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkVerifyLicense verifies a license with ten disclosures, its chain known, and says how much longer that takes than
// the raw SM2 verification of the same run. The goal is 2, by one implementation; offline verification asks both.
func BenchmarkVerifyLicense(b *testing.B) {
	w := certstest.At(b, "bench", time.Now().Add(-time.Hour))
	signer, chain := w.Issue("license-1", pki.License, office.USCC, office.Name)
	id, err := license.NewIdentifier("11100000MB0143028R001", office.USCC, "1", 1)
	if err != nil {
		b.Fatal(err)
	}
	issuance := sdjwt.Issuance{
		Typ: LicenseType, Chain: pki.DER(chain...), Digests: 24, Salt: func(path string) []byte { return []byte(path + "0123456789abcdef0123456789abcdef")[:32] },
		Always: jsontext.Value(fmt.Sprintf(`{"iss":%q,"id":%q,"ver":1,"type":"business-license","status":{"status_list":{"idx":1,"uri":"https://example.cn/1"}}}`, office.USCC, id)),
	}
	for i := range 10 {
		issuance.Claims = append(issuance.Claims, sdjwt.Claim{Name: fmt.Sprintf("field_%d", i), Value: jsontext.Value(`"某个字段的内容"`)})
	}
	compact, all, err := sdjwt.Issue(b.Context(), signer, issuance)
	if err != nil {
		b.Fatal(err)
	}
	presentation := sdjwt.Present(compact, all)
	r := newRaw(b, len(compact))
	b.Run("one implementation", func(b *testing.B) {
		chains, err := pki.NewVerifier(pki.Trust{Anchors: []*pki.Certificate{w.Root.Certificate()}})
		if err != nil {
			b.Fatal(err)
		}
		r.compare(b, func() {
			result, err := sdjwt.Verify(presentation, sdjwt.Expect{Typ: LicenseType, Check: func(p *jws.Parts) error {
				leaf, err := chains.ChainDER(p.Header.X5C, time.Now(), pki.License)
				if err != nil {
					return err
				}
				return p.Verify(leaf.Public, sm.Verify)
			}})
			if err != nil || len(result.Disclosed) != len(all) {
				b.Fatal(err)
			}
		}, sm.Verify)
	})
	b.Run("both SM2 implementations, every step", func(b *testing.B) {
		trust, err := NewTrust(TrustConfig{Anchors: []*pki.Certificate{w.Root.Certificate()}})
		if err != nil {
			b.Fatal(err)
		}
		r.compare(b, func() {
			if v := trust.Verify(Artefact{"license", []byte(presentation)})[0]; stepNamed(v.Steps, "license-signature").State != "ok" || stepNamed(v.Steps, "chain-now").State != "ok" {
				b.Fatal(v)
			}
		}, sm.Verify, second.Check)
	})
}

// BenchmarkVerifyDocument verifies a sealed and stamped OFD and says what it takes beyond its SM2 operations. The goal is 2 ms.
func BenchmarkVerifyDocument(b *testing.B) {
	o := office.New(b, "bench", time.Now())
	trust := trustOf(b, o, nil, nil)
	var spent time.Duration
	operations := 0
	trust.verifySM2 = func(pub *ecdsa.PublicKey, message, rs []byte) error {
		start := time.Now()
		defer func() { spent += time.Since(start) }()
		operations++
		return second.VerifyBoth(pub, message, rs)
	}
	doc := Artefact{"license.ofd", o.License()}
	trust.Verify(doc) // chains are known
	spent, operations = 0, 0
	n := 0
	for b.Loop() {
		n++
		if v := trust.Verify(doc)[0]; v.Err() != nil {
			b.Fatal(v.Err())
		}
	}
	b.ReportMetric(float64(b.Elapsed()-spent)/float64(n)/1e6, "ms-beyond-SM2")
	b.ReportMetric(float64(operations)/float64(n), "SM2-operations")
}
