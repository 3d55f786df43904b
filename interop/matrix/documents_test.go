package matrix_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"oncegate/certs/jws"
	"oncegate/certs/ofd"
	"oncegate/certs/pki"
	"oncegate/certs/sdjwt"
	"oncegate/certs/seal"
	"oncegate/certs/sm"
	"oncegate/sheet"
)

const sealTest = "certs/seal/openssl_test.go TestOpenSSL"

func (c *city) documents() []row {
	return []row{c.eseal(), c.sealed(), c.pkg(), c.license("signature"), c.license("disclosure")}
}

// A holder has a seal that a maker made.
func (c *city) holder(t *testing.T) seal.Holder {
	t.Helper()
	maker, makerChain := c.Issue("maker", pki.SealMaker, uscc, organization)
	signer, chain := c.Issue("sealer", pki.Seal, uscc, organization)
	made, err := seal.Make(t.Context(), seal.Maker{Signer: maker, Certificate: makerChain[0], Now: now}, seal.Spec{
		ID: "ES0001", Name: organization + "证照专用章", From: at.AddDate(0, 0, -1).Truncate(1e9), To: at.AddDate(0, 6, 0),
		Signers: chain[:1], Picture: seal.Picture{Data: disc(t), Width: 40, Height: 40},
	})
	must(t, err)
	return seal.Holder{Seal: made, Signer: signer, Certificate: chain[0], Now: now}
}

// disc is the picture of a seal: a red disc.
func disc(t *testing.T) []byte {
	m := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	for x := range 64 {
		for y := range 64 {
			if (x-32)*(x-32)+(y-32)*(y-32) < 900 {
				m.Set(x, y, color.NRGBA{200, 0, 0, 255})
			}
		}
	}
	var b bytes.Buffer
	must(t, png.Encode(&b, m))
	return b.Bytes()
}

// guild is the seal maker and the department of Bouncy Castle's.
type guild struct {
	theirs
	maker, makerKey, seal []byte
}

func (c *city) guild(t *testing.T) guild {
	t.Helper()
	x := c.theirs(t, pki.Seal)
	m := c.bc.demand(t, "issue", at.Unix(), pki.SealMaker, x.sub, x.subKey)
	return guild{x, m[0], m[1], c.bc.demand(t, "seal.make", at.Unix(), m[1], m[0], x.leaf, disc(t))[0]}
}

// expect judges by a root and an authority below it.
func expect(root, sub []byte) (seal.Expect, error) {
	v, err := trust(root)
	if err != nil {
		return seal.Expect{}, err
	}
	above, err := pki.Parse(sub)
	return seal.Expect{Trust: v, Intermediates: []*pki.Certificate{above}, Now: at}, err
}

func (c *city) above() work { return work{c.Root.Certificate().Raw, c.Intermediate.Certificate().Raw} }

const byHand = " and ASN.1 by hand"

// eseal: a work is an SESeal, root, intermediate.
func (c *city) eseal() row {
	return row{
		name: "Electronic seal (SESeal, GB/T 38540)",
		ours: side{
			maker{with: code("seal.Make"), run: func(t *testing.T) work { return append(work{c.holder(t).Seal.Raw}, c.above()...) }},
			checker{with: code("seal.Seal.Verify"), run: func(t *testing.T, w work) error {
				s, err := seal.ParseSeal(w[0])
				if err != nil {
					return err
				}
				e, err := expect(w[1], w[2])
				must(t, err)
				return demandSteps(s.Verify(t.Context(), e).Steps, seal.StepMade, seal.StepMakerChain, seal.StepMakerUsage, seal.StepPeriod)
			}},
		},
		theirs: map[string]side{
			openSSL: {maker{why: "It writes no such structure by itself."}, checker{by: sealTest, with: code("openssl asn1parse", "openssl dgst -verify")}},
			bouncyCastle: {
				c.made(code("SM2Signer")+byHand, func(t *testing.T) work {
					g := c.guild(t)
					return work{g.seal, g.root, g.sub}
				}),
				c.checked(code("SM2Signer")+byHand, func(t *testing.T, w work) error { _, err := c.bc.ask("seal.verify", w[0]); return err }),
			},
			logTools: noSM2,
		},
	}
}

// sealed: a work is an SES_Signature, root, intermediate.
func (c *city) sealed() row {
	const path = "/Doc_0/Signs/Sign_0/Signature.xml"
	return row{
		name: "Seal's signature (SES_Signature, GB/T 38540)",
		ours: side{
			maker{with: code("seal.Sign"), run: func(t *testing.T) work {
				s, err := seal.Sign(t.Context(), c.holder(t), sm.Digest(content), path)
				must(t, err)
				return append(work{s.Raw}, c.above()...)
			}},
			checker{with: code("seal.Verify"), run: func(t *testing.T, w work) error {
				e, err := expect(w[1], w[2])
				must(t, err)
				d := sm.Digest(content)
				e.DataHash, e.PropertyInfo = d[:], path
				return demandSteps(seal.Verify(t.Context(), w[0], e).Steps, seal.StepDataHash, seal.StepPropertyInfo, seal.StepSignature, seal.StepMade,
					seal.StepListed, seal.StepSignerChain, seal.StepSignerUsage, seal.StepMakerChain, seal.StepMakerUsage, seal.StepPeriod)
			}},
		},
		theirs: map[string]side{
			openSSL: {maker{why: "It writes no such structure by itself."}, checker{by: sealTest, with: code("openssl asn1parse", "openssl dgst -verify")}},
			bouncyCastle: {
				c.made(code("SM2Signer")+byHand, func(t *testing.T) work {
					g := c.guild(t)
					return work{c.bc.demand(t, "sealed.make", at.Unix(), g.leafKey, g.leaf, g.seal, content, path)[0], g.root, g.sub}
				}),
				c.checked(code("SM2Signer")+byHand, func(t *testing.T, w work) error {
					_, err := c.bc.ask("sealed.verify", w[0], content, path)
					return err
				}),
			},
			logTools: noSM2,
		},
	}
}

// pkg: a work is a sealed OFD package, root, intermediate. A byte of its page is changed.
func (c *city) pkg() row {
	write := func(t *testing.T) (ofd.Config, []byte) {
		config := ofd.Config{Now: now}
		b, err := config.Write(ofd.Document{
			Data: []ofd.Datum{{Name: "ZZMC", Value: "营业执照"}, {Name: "ZZBS", Value: "1.2.156.3005.2.11100000000013127D001.11110000MB1111111J.1.001.1"}},
			Pages: []*sheet.Page{{Title: "营业执照", Width: 297, Height: 210, Items: []sheet.Item{&sheet.Path{
				Alpha: 1, Line: 0.5, Stroke: &sheet.Color{R: 200},
				Segments: []sheet.Segment{{Op: 'M', Points: [3][2]float64{{10, 10}}}, {Op: 'L', Points: [3][2]float64{{287, 10}}}},
			}}}},
		})
		must(t, err)
		return config, b
	}
	return row{
		name: "Sealed OFD package: References, digests, seal",
		spoil: func(t *testing.T, b []byte) []byte {
			return repack(t, b, func(name string, b []byte) []byte {
				if strings.HasSuffix(name, "Content.xml") {
					b[bytes.LastIndexAny(b, "0123456789")] ^= 1 // another digit
				}
				return b
			})
		},
		ours: side{
			maker{with: code("ofd.Config.Sign"), run: func(t *testing.T) work {
				config, b := write(t)
				b, err := config.Sign(t.Context(), b, ofd.Signing{Seal: ofd.SealWith(c.holder(t)), Stamps: []ofd.Stamp{{Box: sheet.Box{X: 20, Y: 20, W: 40, H: 40}}}})
				must(t, err)
				return append(work{b}, c.above()...)
			}},
			checker{with: code("ofd.Verify"), run: func(t *testing.T, w work) error {
				e, err := expect(w[1], w[2])
				must(t, err)
				r, err := ofd.Verify(t.Context(), bytes.NewReader(w[0]), int64(len(w[0])), ofd.Judges{Now: at, Seal: ofd.JudgeSeal(e)})
				if err != nil {
					return err
				}
				if err := demandSteps(r.Steps); err != nil {
					return err
				}
				if len(r.Signatures) != 1 {
					return fmt.Errorf("%d signatures", len(r.Signatures))
				}
				return demandSteps(r.Signatures[0].Steps, seal.StepSignature, seal.StepDataHash, seal.StepSignerChain)
			}},
		},
		theirs: map[string]side{
			openSSL: {maker{why: "It knows no packages."}, checker{why: "It knows no packages; the seal inside is the row above."}},
			bouncyCastle: {
				c.made("ZIP and XML of Java, "+code("SM3Digest", "SM2Signer"), func(t *testing.T) work {
					g := c.guild(t)
					_, b := write(t)
					return work{c.bc.demand(t, "ofd.seal", b, at.Unix(), g.leafKey, g.leaf, g.seal, "1")[0], g.root, g.sub}
				}),
				c.checked("ZIP and XML of Java, "+code("SM3Digest", "SM2Signer"), func(t *testing.T, w work) error { _, err := c.bc.ask("ofd.verify", w[0]); return err }),
			},
			logTools: noSM2,
		},
	}
}

// repack writes a ZIP file again with other contents.
func repack(t *testing.T, file []byte, change func(name string, b []byte) []byte) []byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	must(t, err)
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range r.File {
		in, err := f.Open()
		must(t, err)
		b, err := io.ReadAll(in)
		must(t, err)
		entry, err := w.Create(f.Name)
		must(t, err)
		_, err = entry.Write(change(f.Name, b))
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

// license: a work is an SD-JWT with two disclosures, of which one is presented, root and intermediate.
func (c *city) license(part string) row {
	const typ = "license+sd-jwt"
	always, name := `{"iss":"11330000MB0000001X"}`, `"示例餐饮有限公司"`
	names := map[string]string{"signature": "License (SD-JWT): the signature", "disclosure": "License (SD-JWT): a disclosure"}
	commands := map[string]string{"signature": "verify_license", "disclosure": "verify_disclosures"}
	return row{
		name: names[part],
		spoil: func(t *testing.T, b []byte) []byte {
			out := bytes.Clone(b)
			i := bytes.IndexByte(b, '~')
			if part == "signature" {
				i -= 10
			} else {
				i += 10
			}
			if out[i]++; !strings.Contains("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", string(out[i])) {
				out[i] = 'A'
			}
			return out
		},
		ours: side{
			maker{with: code("sdjwt.Issue"), run: func(t *testing.T) work {
				signer, chain := c.Issue("issuer", pki.License, uscc, organization)
				jwt, all, err := sdjwt.Issue(t.Context(), signer, sdjwt.Issuance{
					Typ: typ, Chain: pki.DER(chain...), Always: jsontext.Value(always), Digests: 6,
					Claims: []sdjwt.Claim{{Name: "name", Value: jsontext.Value(name)}, {Name: "scope", Value: jsontext.Value(`"餐饮"`)}},
					Salt:   func(path string) []byte { d := sm.Digest([]byte(path)); return d[:] },
				})
				must(t, err)
				return append(work{[]byte(sdjwt.Present(jwt, sdjwt.Select(all, "name")))}, c.above()...)
			}},
			checker{with: code("sdjwt.Verify"), run: func(t *testing.T, w work) error {
				v, err := trust(w[1])
				must(t, err)
				r, err := sdjwt.Verify(string(w[0]), sdjwt.Expect{Typ: typ, Check: func(p *jws.Parts) error {
					leaf, err := v.ChainDER(append(p.Header.X5C[:1:1], w[2]), at, pki.License)
					if err != nil {
						return err
					}
					return p.Verify(leaf.Public, nil)
				}})
				if err != nil {
					return err
				}
				return differ(r.Claims["name"], []byte(name))
			}},
		},
		theirs: map[string]side{
			openSSL: {
				maker{why: "It makes no JWS by itself."},
				checker{by: "certs/certstest/openssl_test.go TestOpenSSL", with: code(commands[part]) + " of [verify.md](verify.md)"},
			},
			bouncyCastle: {
				c.made(code("SM2Signer", "SM3Digest")+" and JSON by hand", func(t *testing.T) work {
					x := c.theirs(t, pki.License)
					b := c.bc.demand(t, "sdjwt.make", x.leafKey, x.leaf, `"iss":"`+uscc+`"`, `["`+base64.RawURLEncoding.EncodeToString(content[:16])+`","name",`+name+`]`)
					return work{b[0], x.root, x.sub}
				}),
				c.checked(code("SM2Signer", "SM3Digest")+" and JSON by hand", func(t *testing.T, w work) error {
					said, err := c.bc.ask("sdjwt.verify", w[0])
					if err == nil && !strings.Contains(string(said[0]), name) {
						err = fmt.Errorf("disclosed is %q", said[0])
					}
					return err
				}),
			},
			logTools: noSM2,
		},
	}
}
