package matrix_test

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"

	"oncegate/certs/certstest/tsa"
	"oncegate/certs/cms"
	"oncegate/certs/pki"
	"oncegate/certs/timestamp"
)

func (c *city) messages() []row {
	var rows []row
	for _, dialect := range []cms.Dialect{cms.GM, cms.RFC} {
		for _, detached := range []bool{false, true} {
			for _, bare := range []bool{false, true} {
				rows = append(rows, c.message(cms.Config{Dialect: dialect, Detached: detached, Bare: bare, Now: now}))
			}
		}
	}
	return append(rows, c.stamp(cms.RFC), c.stamp(cms.GM))
}

// message: a work is a SignedData of content, and the root.
func (c *city) message(f cms.Config) row {
	word := func(is bool, yes, no string) string {
		if is {
			return yes
		}
		return no
	}
	form := word(f.Detached, "detached", "attached")
	name := fmt.Sprintf("SignedData, %s, %s, %s", word(f.Dialect == cms.GM, "GB/T 35275", "RFC 5652"), form, word(f.Bare, "no attributes", "signed attributes"))
	return row{
		name: name,
		ours: side{
			maker{with: code("cms.Sign"), run: func(t *testing.T) work {
				signer, chain := c.Issue("sealer", pki.Seal, uscc, organization)
				b, err := cms.Sign(t.Context(), f, content, cms.Identity{Signer: signer, Chain: chain})
				must(t, err)
				return work{b, c.Root.Certificate().Raw}
			}},
			checker{with: code("cms.Verifier"), run: func(t *testing.T, w work) error {
				v, err := trust(w[1])
				must(t, err)
				r := (&cms.Verifier{Chain: v.Chain, Usage: pki.Seal}).Verify(t.Context(), w[0], content, at)
				return demandSteps(r.Steps, "cms-digest", "cms-signature", "cms-chain", "cms-usage")
			}},
		},
		theirs: map[string]side{
			openSSL: {
				maker{why: "`openssl cms -sign` 3.0 ends with an error for SM2 keys."},
				checker{
					by: "certs/cms/independent_test.go TestIndependent", with: code("openssl dgst -verify", "openssl cms -cmsout -print"),
					partly: "the structure and the signature value apart, because `cms -verify` has no user id",
				},
			},
			bouncyCastle: {
				c.made(code("CMSSignedDataGenerator"), func(t *testing.T) work {
					x := c.theirs(t, pki.Seal)
					b := c.bc.demand(t, "cms.make", word(f.Dialect == cms.GM, "gm", "rfc"), form, word(f.Bare, "bare", "attributes"), content, x.leafKey, x.leaf, x.sub)
					return work{b[0], x.root}
				}),
				c.checked(code("CMSSignedData", "SignerInformation"), func(t *testing.T, w work) error {
					_, err := c.bc.ask("cms.verify", w[0], content, at.Unix(), w[1])
					return err
				}),
			},
			logTools: noSM2,
		},
	}
}

// stamp: a work is a TimeStampResp about content, the request, the root.
func (c *city) stamp(dialect cms.Dialect) row {
	var theirs side
	name := "Time stamp (RFC 3161)"
	theirs = side{
		c.made(code("TimeStampRequest", "TimeStampResponseGenerator"), func(t *testing.T) work {
			x := c.theirs(t, pki.TimeStamp)
			imprint, err := timestamp.ImprintOf(timestamp.SM3, content)
			must(t, err)
			question, err := timestamp.Request{Imprint: imprint, Nonce: big.NewInt(4711), Certificates: true}.Marshal()
			must(t, err)
			return work{c.bc.demand(t, "tsp.answer", question, at.Unix(), x.leafKey, x.leaf, x.sub)[0], question, x.root}
		}),
		c.checked(code("TimeStampRequestGenerator", "TimeStampToken"), func(t *testing.T, w work) error {
			said, err := c.bc.ask("tsp.verify", w[0], w[1], w[2])
			if err != nil {
				return err
			}
			return differ(said[0], fmt.Append(nil, at.Unix()))
		}),
	}
	ssl := side{
		maker{
			by: "certs/timestamp/openssl_test.go TestOpenSSLAuthority", with: code("openssl ts -reply"),
			partly: "SM3 imprints with RSA and ECDSA signatures, because it refuses to sign with SM2",
		},
		checker{
			by: "certs/timestamp/openssl_test.go TestOpenSSLReads", with: code("openssl ts -query", "openssl ts -reply -text", "openssl ts -verify"),
			partly: "all but the signature value, which it computes without a user id",
		},
	}
	if dialect == cms.GM {
		name += ", object identifiers of GB/T 35275"
		theirs.make = maker{why: "It writes those of RFC 5652 only."}
		ssl = side{maker{why: "It writes those of RFC 5652 only."}, checker{why: "It reads those of RFC 5652 only."}}
	}
	return row{
		name: name,
		ours: side{
			maker{with: code("tsa.Authority"), run: func(t *testing.T) work {
				c.needCastle(t)
				signer, chain := c.Issue("tsa", pki.TimeStamp, uscc, organization)
				a, err := tsa.New(tsa.Config{Signer: signer, Chain: chain, Policy: asn1.ObjectIdentifier{1, 2, 3, 4}, Dialect: dialect, Now: now})
				must(t, err)
				question := c.bc.demand(t, "tsp.ask", content)[0]
				answer, err := a.Respond(t.Context(), question)
				must(t, err)
				return work{answer, question, c.Root.Certificate().Raw}
			}},
			checker{with: code("timestamp.Verifier"), run: func(t *testing.T, w work) error {
				r, err := timestamp.ParseResponse(w[0])
				if err != nil {
					return err
				}
				v, err := trust(w[2])
				must(t, err)
				got := (&timestamp.Verifier{Chain: v.Chain, Now: now}).Verify(t.Context(), r.Token, content, big.NewInt(4711))
				if err := demandSteps(got.Steps, "timestamp-imprint", "timestamp-nonce", "timestamp-signature", "timestamp-chain", "timestamp-usage"); err != nil {
					return err
				}
				if !got.Time.Equal(at) {
					return fmt.Errorf("time %v", got.Time)
				}
				return nil
			}},
		},
		theirs: map[string]side{openSSL: ssl, bouncyCastle: theirs, logTools: noSM2},
	}
}

// Bouncy Castle writes messages as other software in use does: the content type of PKCS#7 in a message of GB/T 35275, and r‖s in
// place of DER. They hold; altered ones do not.
func TestOtherSpellings(t *testing.T) {
	c := newCity(t)
	c.needCastle(t)
	for _, form := range []string{"attached", "detached"} {
		for _, attributes := range []string{"attributes", "bare"} {
			x := c.theirs(t, pki.Seal)
			b := c.bc.demand(t, "cms.other", form, attributes, content, x.leafKey, x.leaf, x.sub)[0]
			v, err := trust(x.root)
			must(t, err)
			verify := func(b, content []byte) error {
				r := (&cms.Verifier{Chain: v.Chain, Usage: pki.Seal}).Verify(t.Context(), b, content, at)
				return demandSteps(r.Steps, "cms-digest", "cms-signature", "cms-chain", "cms-usage")
			}
			if err := verify(b, content); err != nil {
				t.Errorf("%s, %s: %v", form, attributes, err)
			}
			if err := verify(b, []byte("other")); err == nil {
				t.Errorf("%s, %s: another content holds", form, attributes)
			}
			for _, i := range []int{1, 32, 33, 64} { // of s, then of r
				bad := bytes.Clone(b)
				bad[len(bad)-i] ^= 1
				if err := verify(bad, content); err == nil {
					t.Errorf("%s, %s: an altered signature holds", form, attributes)
				}
			}
		}
	}
}
