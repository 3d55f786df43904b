// Package office makes sealed documents for tests of verifiers: a department with a seal, a license key and a time-stamping
// authority, all throw-away, and forged variants of its documents.
package office

import (
	"archive/zip"
	"bytes"
	"encoding/asn1"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/certstest/tsa"
	"oncegate/certs/cms"
	"oncegate/certs/ofd"
	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/license"
	"oncegate/sheet"
)

// The department, a body beside it, and the license that the department issued.
const (
	USCC     = "11379901MB99103773"
	Other    = "11379901MB9910748R"
	SealName = "示例市市场监督管理局电子证照专用章"
	Name     = "示例市市场监督管理局"
	typeCode = "11100000MB0143028R001" // of business licenses (营业执照)
)

// An Office is the department. Its certificates are a week old at Now, and it signed a day before.
type Office struct {
	*certstest.World
	tb       testing.TB
	Now      time.Time // of whoever verifies
	Signed   time.Time // when documents are signed, stamped a minute later
	Holder   seal.Holder
	Identity cms.Identity // license key
	Stamps   *tsa.Authority
	maker    seal.Maker
}

// Identifier is that of the first license that a body issued.
func (o *Office) Identifier(issuer string) string {
	o.tb.Helper()
	id, err := license.NewIdentifier(typeCode, issuer, "1", 1)
	o.must(err)
	return id.String()
}

// New makes an office whose documents are verified now.
func New(tb testing.TB, seed string, now time.Time) *Office {
	tb.Helper()
	now = now.UTC().Truncate(time.Second)
	o := &Office{World: certstest.At(tb, seed, now.AddDate(0, 0, -7)), tb: tb, Now: now, Signed: now.AddDate(0, 0, -1)}
	makerKey, makerChain := o.Issue("maker", pki.SealMaker, Other, "示例市印章中心")
	key, chain := o.Issue("seal-1", pki.Seal, USCC, Name)
	o.maker = seal.Maker{Signer: makerKey, Certificate: makerChain[0], Now: o.at(now.AddDate(0, 0, -6))}
	licenseKey, licenseChain := o.Issue("license-1", pki.License, USCC, Name)
	o.Identity = cms.Identity{Signer: licenseKey, Chain: licenseChain}
	o.Holder = seal.Holder{Signer: key, Certificate: chain[0], Now: o.at(o.Signed)}
	o.Holder.Seal = o.Seal(now.AddDate(0, 0, -6), now.AddDate(1, 0, 0), chain[0])
	o.Stamps = o.Authority(o.Signed.Add(time.Minute))
	o.Holder.TimeStamp = o.Stamps.Stamp
	return o
}

func (o *Office) at(t time.Time) func() time.Time { return func() time.Time { return t } }

func (o *Office) must(err error) {
	o.tb.Helper()
	if err != nil {
		o.tb.Fatal(err)
	}
}

// Authority is a time-stamping authority whose clock stands.
func (o *Office) Authority(at time.Time) *tsa.Authority {
	o.tb.Helper()
	key, chain := o.Issue("tsa-1", pki.TimeStamp, Other, "示例市时间戳中心")
	a, err := tsa.New(tsa.Config{
		Signer: key, Chain: chain, Policy: asn1.ObjectIdentifier{1, 2, 156, 99999, 1}, Dialect: cms.RFC, Now: o.at(at), Rand: o.Stream("tsa"),
	})
	o.must(err)
	return a
}

// Seal makes a seal.
func (o *Office) Seal(from, to time.Time, signers ...*pki.Certificate) *seal.Seal {
	o.tb.Helper()
	m := o.maker
	m.Now = o.at(from.Add(time.Minute))
	made, err := seal.Make(o.tb.Context(), m, seal.Spec{
		ID: "ES0001", Name: SealName, From: from, To: to, Signers: signers, Picture: seal.Picture{Data: disc(o.tb), Width: 40, Height: 40},
	})
	o.must(err)
	return made
}

// disc is a small red disc.
func disc(tb testing.TB) []byte {
	tb.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 32, 32))
	for x := range 32 {
		for y := range 32 {
			if (x-16)*(x-16)+(y-16)*(y-16) < 200 {
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

// Document is a license by its identifier, with more metadata: name, value, ….
func Document(identifier string, more ...string) ofd.Document {
	d := ofd.Document{
		Data: []ofd.Datum{{Name: "ZZMC", Value: "营业执照"}, {Name: ofd.Identifier, Value: identifier}, {Name: "CZZT", Value: "示例甲有限公司"}},
		Pages: []*sheet.Page{{
			Title: "营业执照", Width: 297, Height: 210, Seal: &sheet.Box{X: 220, Y: 150, W: 40, H: 40},
			Items: []sheet.Item{&sheet.Path{Alpha: 1, Line: 0.5, Stroke: &sheet.Color{R: 200}, Segments: []sheet.Segment{
				{Op: 'M', Points: [3][2]float64{{10, 10}}}, {Op: 'L', Points: [3][2]float64{{287, 10}}}, {Op: 'Z'},
			}}},
		}},
	}
	for i := 0; i+1 < len(more); i += 2 {
		d.Data = append(d.Data, ofd.Datum{Name: more[i], Value: more[i+1]})
	}
	return d
}

// Write draws a document without signing it.
func (o *Office) Write(d ofd.Document) []byte {
	o.tb.Helper()
	pkg, err := ofd.Config{Now: o.at(o.Signed)}.Write(d)
	o.must(err)
	return pkg
}

// SealBy seals a package as a holder does.
func (o *Office) SealBy(pkg []byte, h seal.Holder, stamps ...ofd.Stamp) []byte {
	o.tb.Helper()
	if len(stamps) == 0 {
		stamps = []ofd.Stamp{{Box: sheet.Box{X: 220, Y: 150, W: 40, H: 40}}}
	}
	return o.sign(pkg, ofd.Signing{Seal: ofd.SealWith(h), Stamps: stamps})
}

// SignBy adds a digital signature (Type=Sign).
func (o *Office) SignBy(pkg []byte, by cms.Identity, c cms.Config) []byte {
	o.tb.Helper()
	if c.Now == nil {
		c.Now = o.at(o.Signed)
	}
	return o.sign(pkg, ofd.Signing{Sign: ofd.SignWith(c, by)})
}

func (o *Office) sign(pkg []byte, s ofd.Signing) []byte {
	o.tb.Helper()
	signed, err := ofd.Config{Now: o.at(o.Signed)}.Sign(o.tb.Context(), pkg, s)
	o.must(err)
	return signed
}

// License is the license as its department seals it.
func (o *Office) License() []byte {
	return o.SealBy(o.Write(Document(o.Identifier(USCC), "ZZBFJGDM", USCC, "ZZYXQQSRQ", "20200101", "ZZYXQJZRQ", "长期")), o.Holder)
}

// Copy is an annotated copy of an original, for use until expires, made a day before that or when documents are signed.
func (o *Office) Copy(original []byte, expires time.Time) []byte {
	o.tb.Helper()
	made := o.Signed
	if !expires.After(made) {
		made = expires.AddDate(0, 0, -1)
	}
	n := ofd.Notice{Provider: Name, User: "示例市不动产登记中心", Matter: "不动产转移登记", Case: "SP-1", Expires: expires}
	d := Document(o.Identifier(USCC))
	p := d.Pages[0]
	p.Fonts = sheet.Fonts{"song": []byte("not a font, which is none of the writer's business")}
	for i, line := range n.Lines() {
		p.Watermark = append(p.Watermark, &sheet.Text{
			X: 50, Y: 100 + 8*float64(i), Size: 6, Font: "song", Alpha: 0.25, Text: line, Advances: make([]float64, len([]rune(line))-1),
		})
	}
	copied, err := ofd.Config{Now: o.at(made)}.Annotate(o.tb.Context(), ofd.Copy{
		Original: original, Document: d, Notice: n, Signing: ofd.Signing{Sign: ofd.SignWith(cms.Config{Bare: true}, o.Identity)},
	})
	o.must(err)
	return copied
}

// Revoked is the revocation list of the lower authority, PEM, made when it is verified, with one certificate revoked.
func (o *Office) Revoked(c *pki.Certificate, at time.Time) []byte {
	o.tb.Helper()
	var revoked []pki.Revoked
	if c != nil {
		revoked = append(revoked, pki.Revoked{Serial: c.SerialNumber, Time: at, Reason: pki.KeyCompromise})
	}
	lower, _ := o.Lists(o.Now.Add(-time.Hour), revoked...)
	return lower
}

// RootList is the root's revocation list, with nothing on it.
func (o *Office) RootList() []byte {
	_, root := o.Lists(o.Now.Add(-time.Hour))
	return root
}

// WriteTrust writes a trust folder that trusts the office's root, knows the authority below it and the revocation lists of both,
// which list nothing, and that the department issues business licenses. Members are added to trust.json as they are; files are written beside it, nil ones are left out.
func (o *Office) WriteTrust(dir string, members map[string]any, files map[string][]byte) {
	o.tb.Helper()
	trust := map[string]any{"logs": []any{}, "anchors": []string{"ca.pem"}, "authorities": []string{"sub.pem"},
		"issues": []any{map[string]any{"type": "business-license", "type_code": typeCode, "issuers": []string{USCC}}}}
	for name, value := range members {
		trust[name] = value
	}
	text, err := json.Marshal(trust)
	o.must(err)
	all := map[string][]byte{"evidence/sub.crl": o.Revoked(nil, time.Time{}), "evidence/root.crl": o.RootList(), "trust.json": text, "ca.pem": pki.MarshalPEM(o.Root.Certificate()), "sub.pem": pki.MarshalPEM(o.Intermediate.Chain()...)}
	for name, data := range files {
		all[name] = data
	}
	for name, data := range all {
		if data == nil {
			continue
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		o.must(os.MkdirAll(filepath.Dir(path), 0o755))
		o.must(os.WriteFile(path, data, 0o600))
	}
}

// Edit packs a package anew, in its order, with change applied to every file: nil leaves a file out. Files of more, name and
// content by turns, are added; a name may stand twice.
func Edit(tb testing.TB, pkg []byte, change func(name string, data []byte) []byte, more ...string) []byte {
	tb.Helper()
	z, err := zip.NewReader(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		tb.Fatal(err)
	}
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
		r, err := f.Open()
		if err != nil {
			tb.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			tb.Fatal(err)
		}
		if data = change(f.Name, data); data != nil {
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

// Same is the change that changes nothing.
func Same(_ string, data []byte) []byte { return data }
