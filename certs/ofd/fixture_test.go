package ofd_test

import (
	"archive/zip"
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"io"
	"strings"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/cms"
	"oncegate/certs/ofd"
	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/check"
	"oncegate/sheet"
)

// bureau is a department with a seal, a signing key and a verifier that trusts it.
type bureau struct {
	world  *certstest.World
	holder seal.Holder
	signer cms.Identity
	judges ofd.Judges
	config ofd.Config
}

const sealName = "示例市市场监督管理局电子证照专用章"

func newBureau(tb testing.TB) *bureau {
	tb.Helper()
	w := certstest.New(tb, "ofd")
	now := func() time.Time { return certstest.Epoch.Add(time.Hour) }
	makerKey, makerChain := w.Issue("maker", pki.SealMaker, "11110000MB0000000K", "示例市印章中心")
	key, chain := w.Issue("sealer", pki.Seal, "11110000MB1111111J", "示例市市场监督管理局")
	made, err := seal.Make(tb.Context(), seal.Maker{Signer: makerKey, Certificate: makerChain[0], Now: now}, seal.Spec{
		ID: "ES0001", Name: sealName, From: certstest.Epoch, To: certstest.Epoch.AddDate(0, 6, 0),
		Signers: chain[:1], Picture: seal.Picture{Data: picture(tb), Width: 40, Height: 40},
	})
	if err != nil {
		tb.Fatal(err)
	}
	b := &bureau{world: w, config: ofd.Config{Now: now}}
	b.holder = seal.Holder{Seal: made, Signer: key, Certificate: chain[0], Now: now}
	b.signer = cms.Identity{Signer: key, Chain: chain}
	trust := w.Trust()
	b.judges = ofd.Judges{
		Now:  now(),
		Seal: ofd.JudgeSeal(seal.Expect{Trust: trust, Intermediates: append(chain[1:], makerChain[1:]...), Now: now()}),
		CMS:  ofd.JudgeCMS(&cms.Verifier{Chain: trust.Chain, Usage: pki.Seal, Now: now}),
	}
	return b
}

// picture is a small red disc.
func picture(tb testing.TB) []byte {
	tb.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	for x := range 64 {
		for y := range 64 {
			if (x-32)*(x-32)+(y-32)*(y-32) < 900 {
				m.Set(x, y, color.NRGBA{200, 0, 0, 255})
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// page is a license with every kind of item.
func page(tb testing.TB, lines ...string) *sheet.Page {
	tb.Helper()
	p := &sheet.Page{
		Title: "营业执照", Width: 297, Height: 210, Seal: &sheet.Box{X: 220, Y: 150, W: 40, H: 40},
		Fonts: sheet.Fonts{"song": []byte("not a font, which is none of the writer's business")},
		Items: []sheet.Item{
			&sheet.Path{Alpha: 1, Line: 0.5, Stroke: &sheet.Color{R: 200}, Segments: []sheet.Segment{
				{Op: 'M', Points: [3][2]float64{{10, 10}}}, {Op: 'L', Points: [3][2]float64{{287, 10}}},
				{Op: 'C', Points: [3][2]float64{{287, 80}, {290, 90}, {287, 200}}}, {Op: 'Z'},
			}},
			&sheet.Text{X: 100, Y: 40, Size: 12, Font: "song", Alpha: 1, Text: "营业执照", Advances: []float64{12, 12, 12}},
			&sheet.Text{X: 30, Y: 80, Size: 5, Font: "song", Alpha: 1, Text: "张𠮷三", Advances: []float64{5, 5}},
			&sheet.Image{Box: sheet.Box{X: 20, Y: 150, W: 30, H: 30}, PNG: picture(tb), Alpha: 1},
		},
	}
	for i, line := range lines {
		n := len([]rune(line))
		p.Watermark = append(p.Watermark, &sheet.Text{
			X: 50, Y: 100 + 8*float64(i), Size: 6, Font: "song", Rotate: -30, Alpha: 0.25, Text: line, Advances: make([]float64, n-1),
		})
	}
	return p
}

func document(tb testing.TB) ofd.Document {
	return ofd.Document{
		Data: []ofd.Datum{
			{Name: "ZZMC", Value: "营业执照"}, {Name: "ZZBS", Value: "1.2.156.3005.2.11100000000013127D001.11110000MB1111111J.1.001.1"},
			{Name: "CZZT", Value: "示例甲有限公司"}, {Name: "CZZT", Value: "A & B <test>"}, {Name: "ZZYXQJZRQ", Value: ""},
		},
		Pages: []*sheet.Page{page(tb)},
	}
}

func (b *bureau) write(tb testing.TB, d ofd.Document) []byte {
	tb.Helper()
	pkg, err := b.config.Write(d)
	if err != nil {
		tb.Fatal(err)
	}
	return pkg
}

// sealing is how the bureau seals: on the page's place.
func (b *bureau) sealing() ofd.Signing {
	return ofd.Signing{Seal: ofd.SealWith(b.holder), Stamps: []ofd.Stamp{{Box: sheet.Box{X: 220, Y: 150, W: 40, H: 40}}}}
}

func (b *bureau) sign(tb testing.TB, pkg []byte, s ofd.Signing) []byte {
	tb.Helper()
	signed, err := b.config.Sign(tb.Context(), pkg, s)
	if err != nil {
		tb.Fatal(err)
	}
	return signed
}

// sealed is a sealed license.
func (b *bureau) sealed(tb testing.TB) []byte {
	return b.sign(tb, b.write(tb, document(tb)), b.sealing())
}

func (b *bureau) verify(tb testing.TB, pkg []byte) ofd.Report {
	tb.Helper()
	r, err := ofd.Verify(context.Background(), bytes.NewReader(pkg), int64(len(pkg)), b.judges)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// failures are the names of failed steps, those of signature n with "n:" before.
func failures(r ofd.Report) []string {
	var out []string
	for _, s := range r.Steps {
		if s.State == check.Failed {
			out = append(out, s.Name)
		}
	}
	for i, sig := range r.Signatures {
		for _, s := range sig.Steps {
			if s.State == check.Failed {
				out = append(out, string(rune('0'+i))+":"+s.Name)
			}
		}
	}
	return out
}

// step finds a step by name; the zero Step when there is none.
func step(steps []check.Step, name string) check.Step {
	for _, s := range steps {
		if s.Name == name {
			return s
		}
	}
	return check.Step{}
}

// unpack reads the files of a zip.
func unpack(tb testing.TB, pkg []byte) map[string][]byte {
	tb.Helper()
	z, err := zip.NewReader(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		tb.Fatal(err)
	}
	out := make(map[string][]byte)
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			tb.Fatal(err)
		}
		if out[f.Name], err = io.ReadAll(r); err != nil {
			tb.Fatal(err)
		}
	}
	return out
}

// edit packs pkg anew, in its order, with change applied to every file: nil leaves a file out. Files of more are added.
func edit(tb testing.TB, pkg []byte, change func(name string, data []byte) []byte, more ...string) []byte {
	tb.Helper()
	z, err := zip.NewReader(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		tb.Fatal(err)
	}
	files := unpack(tb, pkg)
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	put := func(name string, data []byte) {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write(data)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	for _, f := range z.File {
		if data := change(f.Name, files[f.Name]); data != nil {
			put(f.Name, data)
		}
	}
	for i := 0; i+1 < len(more); i += 2 {
		put(more[i], []byte(more[i+1]))
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// same is the edit that changes nothing.
func same(_ string, data []byte) []byte { return data }

// replace is the edit that replaces text in the files whose name ends in suffix.
func replace(suffix, from, to string) func(string, []byte) []byte {
	return func(name string, data []byte) []byte {
		if strings.HasSuffix(name, suffix) {
			return []byte(strings.ReplaceAll(string(data), from, to))
		}
		return data
	}
}

// without is the edit that leaves out the files whose name ends in suffix.
func without(suffix string) func(string, []byte) []byte {
	return func(name string, data []byte) []byte {
		if strings.HasSuffix(name, suffix) {
			return nil
		}
		return data
	}
}
