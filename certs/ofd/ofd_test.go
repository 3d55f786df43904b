package ofd_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/certs/certstest"
	"oncegate/certs/cms"
	"oncegate/certs/ofd"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/sheet"
)

func open(t *testing.T, pkg []byte) *ofd.Package {
	t.Helper()
	p, err := ofd.Open(t.Context(), bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRoundTrip(t *testing.T) {
	b := newBureau(t)
	d := document(t)
	d.Attachments = []ofd.Attachment{{Name: "license.json", Format: "json", Data: []byte(`{}`)}}
	pkg := b.write(t, d)
	p := open(t, pkg)
	if diff := cmp.Diff(d.Data, p.Data()); diff != "" {
		t.Error(diff)
	}
	if p.Title != "营业执照" || len(p.ID) != 32 || p.Pages() != 1 || p.Version != "1.0" {
		t.Errorf("title %q, id %q, %d pages, version %q", p.Title, p.ID, p.Pages(), p.Version)
	}
	want := []string{
		"/Doc_0/Attachs/Attach_0.json", "/Doc_0/Attachs/Attachments.xml", "/Doc_0/Document.xml", "/Doc_0/DocumentRes.xml",
		"/Doc_0/Pages/Page_0/Content.xml", "/Doc_0/PublicRes.xml", "/Doc_0/Res/font_3.ttf", "/Doc_0/Res/image_7.png", "/OFD.xml",
	}
	got := p.Files()
	for i := range got { // resource numbers are not the point
		if strings.HasPrefix(got[i], "/Doc_0/Res/font_") {
			got[i] = want[6]
		}
		if strings.HasPrefix(got[i], "/Doc_0/Res/image_") {
			got[i] = want[7]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestDrawing compares a page with what the clauses of the standard ask for.
func TestDrawing(t *testing.T) {
	b := newBureau(t)
	content := string(unpack(t, b.write(t, document(t)))["Doc_0/Pages/Page_0/Content.xml"])
	for _, want := range []string{
		`<ofd:PhysicalBox>0 0 297 210</ofd:PhysicalBox>`,
		`<ofd:TextCode X="6" Y="15" DeltaX="12 12 12">营业执照</ofd:TextCode>`,
		`Boundary="27.5 73.75 10 8.75"`, `<ofd:TextCode X="2.5" Y="6.25">张</ofd:TextCode>`,
		`Boundary="32.5 73.75 10 8.75"`, `<ofd:TextCode X="2.5" Y="6.25">𠮷</ofd:TextCode>`,
		`<ofd:AbbreviatedData>M 1.1 1.1 L 278.1 1.1 B 278.1 71.1 281.1 81.1 278.1 191.1 C</ofd:AbbreviatedData>`,
		`Stroke="true" Fill="false"><ofd:StrokeColor Value="200 0 0"/>`,
		`Boundary="20 150 30 30" CTM="30 0 0 30 0 0"`,
	} {
		if !strings.Contains(content, want) {
			t.Errorf("no %s in\n%s", want, content)
		}
	}
}

func TestEveryFileIsWellFormed(t *testing.T) {
	b := newBureau(t)
	notice, c := b.copy(t)
	_ = notice
	pkg, err := b.config.Annotate(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for name, data := range unpack(t, pkg) {
		if !strings.HasSuffix(name, ".xml") {
			continue
		}
		count++
		d := xml.NewDecoder(bytes.NewReader(data))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Space != ofd.Namespace {
				t.Errorf("%s: element %s in namespace %q", name, e.Name.Local, e.Name.Space)
			}
		}
	}
	if count != 9 {
		t.Errorf("%d XML files", count)
	}
}

func TestSameInputSameBytes(t *testing.T) {
	b := newBureau(t)
	if !bytes.Equal(b.write(t, document(t)), b.write(t, document(t))) {
		t.Error("two writings differ")
	}
	if !bytes.Equal(b.sealed(t), b.sealed(t)) {
		t.Error("two sealings with a deterministic key differ")
	}
}

func TestWriteRefuses(t *testing.T) {
	b := newBureau(t)
	for name, change := range map[string]func(*ofd.Document){
		"no page":              func(d *ofd.Document) { d.Pages = nil },
		"no area":              func(d *ofd.Document) { d.Pages[0].Width = 0 },
		"unknown font":         func(d *ofd.Document) { d.Pages[0].Fonts = nil },
		"advances do not fit":  func(d *ofd.Document) { d.Pages[0].Items[1].(*sheet.Text).Advances = nil },
		"not a number":         func(d *ofd.Document) { z := 0.0; d.Pages[0].Items[1].(*sheet.Text).X = z / z },
		"control character":    func(d *ofd.Document) { d.Data[0].Value = "a\x00b" },
		"not UTF-8":            func(d *ofd.Document) { d.Data[0].Value = "a\xff" },
		"datum without name":   func(d *ofd.Document) { d.Data[0].Name = "" },
		"path without colour":  func(d *ofd.Document) { d.Pages[0].Items[0].(*sheet.Path).Stroke = nil },
		"attachment's format":  func(d *ofd.Document) { d.Attachments = []ofd.Attachment{{Name: "a", Format: "../x"}} },
		"attachment's name":    func(d *ofd.Document) { d.Attachments = []ofd.Attachment{{Format: "xml"}} },
		"path of unknown step": func(d *ofd.Document) { d.Pages[0].Items[0].(*sheet.Path).Segments[1].Op = 'Q' },
	} {
		d := document(t)
		change(&d)
		if _, err := b.config.Write(d); !errors.Is(err, ofd.ErrDocument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSealed(t *testing.T) {
	b := newBureau(t)
	pkg := b.sealed(t)
	r := b.verify(t, pkg)
	if f := failures(r); f != nil {
		t.Fatalf("%v\n%+v", f, r)
	}
	var names []string
	for _, s := range r.Steps {
		names = append(names, s.Name)
	}
	want := []string{ofd.StepPackage, ofd.StepUnique, ofd.StepXML, ofd.StepDocument, ofd.StepSigned, ofd.StepCoverage, ofd.StepMetadata}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	s := r.Signatures[0]
	if s.Type != "Seal" || s.SealName != sealName || s.Signer != "示例市市场监督管理局" || s.Provider != "Oncegate 1.0" ||
		!s.Time.Equal(b.judges.Now) || s.ID != "s001" {
		t.Errorf("%+v", s)
	}
	for _, name := range []string{
		ofd.StepForm, ofd.StepMethod, ofd.StepMissing, ofd.StepReferences, "seal-data-hash", "seal-property-info",
		"seal-signature", "seal-made", "seal-signer-listed", "seal-signer-chain", "seal-maker-chain", "seal-period",
		ofd.StepSealFile, ofd.StepStamp, ofd.StepStampArea, ofd.StepExtent,
	} {
		if got := step(s.Steps, name); got.State != check.OK {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := open(t, pkg).Data(); len(got) != 5 {
		t.Errorf("metadata after sealing: %v", got)
	}
}

func TestSigned(t *testing.T) {
	b := newBureau(t)
	for name, c := range map[string]cms.Config{"bare": {Bare: true}, "attributes": {Now: b.config.Now}, "detached": {Detached: true, Now: b.config.Now}} {
		pkg := b.sign(t, b.write(t, document(t)), ofd.Signing{Sign: ofd.SignWith(c, b.signer)})
		r := b.verify(t, pkg)
		if f := failures(r); f != nil {
			t.Errorf("%s: %v\n%+v", name, f, r)
		}
		if s := r.Signatures[0]; s.Type != "Sign" || s.Signer != "示例市市场监督管理局" || step(s.Steps, ofd.StepContent).State != check.OK {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestSeveralSignatures adds signatures of both types; those before stay valid and are covered by those after.
func TestSeveralSignatures(t *testing.T) {
	b := newBureau(t)
	d := document(t)
	d.Pages = append(d.Pages, page(t), page(t))
	riding := b.sealing()
	riding.Stamps = nil
	for i := range 3 {
		riding.Stamps = append(riding.Stamps, ofd.Stamp{
			Page: i, Box: sheet.Box{X: 277, Y: 80, W: 40, H: 40}, Clip: &sheet.Box{X: 40 * float64(i) / 3, W: 40.0 / 3, H: 40},
		})
	}
	pkg := b.write(t, d)
	for _, s := range []ofd.Signing{b.sealing(), {Sign: ofd.SignWith(cms.Config{Bare: true}, b.signer)}, riding} {
		pkg = b.sign(t, pkg, s)
	}
	r := b.verify(t, pkg)
	if f := failures(r); f != nil || len(r.Signatures) != 3 {
		t.Fatalf("%v\n%+v", f, r)
	}
	if got := step(r.Signatures[2].Steps, ofd.StepStamp); got.Reason != "The seal shows in 3 places." {
		t.Errorf("%+v", got)
	}
	for i, s := range r.Signatures {
		if got := step(s.Steps, ofd.StepExtent); got.State != check.OK {
			t.Errorf("signature %d: %+v", i, got)
		}
	}
	// The second signature covers the first one's value.
	broken := b.verify(t, edit(t, pkg, replace("Sign_0/SignedValue.dat", "ES", "EX")))
	if got := step(broken.Signatures[1].Steps, ofd.StepReferences); got.State != check.Failed {
		t.Errorf("%+v", got)
	}
}

func TestSignRefuses(t *testing.T) {
	b := newBureau(t)
	pkg := b.write(t, document(t))
	sign := ofd.SignWith(cms.Config{}, b.signer)
	place := []ofd.Stamp{{Box: sheet.Box{W: 1, H: 1}}}
	for name, s := range map[string]ofd.Signing{
		"neither":      {},
		"both":         {Seal: ofd.SealWith(b.holder), Sign: sign, Stamps: place},
		"no place":     {Seal: ofd.SealWith(b.holder)},
		"no such page": {Seal: ofd.SealWith(b.holder), Stamps: []ofd.Stamp{{Page: 1, Box: sheet.Box{W: 1, H: 1}}}},
		"no area":      {Seal: ofd.SealWith(b.holder), Stamps: []ofd.Stamp{{}}},
	} {
		if _, err := b.config.Sign(t.Context(), pkg, s); !errors.Is(err, ofd.ErrSigning) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var refusal *ofd.Refusal
	if _, err := b.config.Sign(t.Context(), pkg[:50], b.sealing()); !errors.As(err, &refusal) {
		t.Errorf("cut off: %v", err)
	}
	boom := errors.New("the machine is away")
	broken := ofd.Signing{Sign: func(context.Context, []byte) ([]byte, error) { return nil, boom }}
	if _, err := b.config.Sign(t.Context(), pkg, broken); !errors.Is(err, boom) {
		t.Errorf("signer fails: %v", err)
	}
}

// copy is an annotated copy to be made of a sealed license.
func (b *bureau) copy(tb testing.TB) (ofd.Notice, ofd.Copy) {
	n := ofd.Notice{
		Provider: "示例市市场监督管理局", User: "示例市行政审批局", Matter: "食品经营许可", Case: "2026-000123",
		Expires: certstest.Epoch.AddDate(0, 1, 0),
	}
	d := ofd.Document{Pages: []*sheet.Page{page(tb, n.Lines()...)}, Data: []ofd.Datum{{Name: ofd.Identifier, Value: "id"}, {Name: "JZJZZZ", Value: "somebody else"}}}
	return n, ofd.Copy{Original: b.sealed(tb), Document: d, Notice: n, Signing: b.sealing()}
}

func TestAnnotate(t *testing.T) {
	b := newBureau(t)
	n, c := b.copy(t)
	before := slices.Clone(c.Original)
	pkg, err := b.config.Annotate(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, c.Original) {
		t.Error("the original was changed")
	}
	if r := b.verify(t, pkg); failures(r) != nil {
		t.Errorf("%+v", r)
	}
	digest := sm.Digest(c.Original)
	want := []ofd.Datum{
		{Name: "ZZBS", Value: "id"}, {Name: "JZJZZZ", Value: n.Provider}, {Name: "JZJZZSJ", Value: "20261123130000"},
		{Name: "JZJZZSY", Value: n.Matter}, {Name: "JZJYXQJZSJ", Value: "20261223120000"},
		{Name: "OriginalSM3", Value: hex.EncodeToString(digest[:])},
	}
	if diff := cmp.Diff(want, open(t, pkg).Data()); diff != "" {
		t.Error(diff)
	}
	info, isCopy := open(t, pkg).Copy()
	if !isCopy || !info.Expires.Equal(n.Expires) || !bytes.Equal(info.Original, digest[:]) || info.Maker != n.Provider {
		t.Errorf("%+v", info)
	}
	files := unpack(t, pkg)
	annot := string(files["Doc_0/Annotations/Annot_0.xml"])
	for _, want := range append([]string{`Type="Watermark"`, `ReadOnly="true"`, `CTM="0.866 -0.5 0.5 0.866 `}, n.Lines()...) {
		if !strings.Contains(annot, want) {
			t.Errorf("no %s in\n%s", want, annot)
		}
	}
	for name, data := range files { // nothing of the original but its digest
		if bytes.Contains(data, []byte("示例甲有限公司")) {
			t.Errorf("%s has a field that was not granted", name)
		}
	}

	late := b.judges
	late.Now = n.Expires.Add(time.Second)
	r, err := ofd.Verify(t.Context(), bytes.NewReader(pkg), int64(len(pkg)), late)
	if err != nil || step(r.Steps, ofd.StepExpires).State != check.Failed {
		t.Errorf("after its end: %v %+v", err, r.Steps)
	}
}

func TestAnnotateRefuses(t *testing.T) {
	b := newBureau(t)
	_, good := b.copy(t)
	for name, test := range map[string]struct {
		change func(*ofd.Copy)
		want   error
	}{
		"expired":               {func(c *ofd.Copy) { c.Notice.Expires = b.config.Now() }, ofd.ErrExpired},
		"no expiry":             {func(c *ofd.Copy) { c.Notice.Expires = time.Time{} }, ofd.ErrExpired},
		"no case":               {func(c *ofd.Copy) { c.Notice.Case = "" }, ofd.ErrDocument},
		"another watermark":     {func(c *ofd.Copy) { c.Notice.Case = "2026-000124" }, ofd.ErrDocument},
		"a page without":        {func(c *ofd.Copy) { c.Document.Pages = append(c.Document.Pages, page(t)) }, ofd.ErrDocument},
		"no identifier":         {func(c *ofd.Copy) { c.Document.Data = nil }, ofd.ErrDocument},
		"original no OFD":       {func(c *ofd.Copy) { c.Original = []byte("x") }, nil},
		"nothing to sign it by": {func(c *ofd.Copy) { c.Signing = ofd.Signing{} }, ofd.ErrSigning},
	} {
		c := good
		c.Document.Pages = slices.Clone(c.Document.Pages)
		test.change(&c)
		if _, err := b.config.Annotate(t.Context(), c); err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
