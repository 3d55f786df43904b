package ofd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oncegate/certs/ofd"
	"oncegate/sheet"
)

// TestLicenseOfTheCity draws a real layout, with a rare character in a name, and seals it where the layout says.
func TestLicenseOfTheCity(t *testing.T) {
	b := newBureau(t)
	n := ofd.Notice{Provider: "示例市市场监督管理局", User: "示例市行政审批局", Matter: "食品经营许可", Case: "2026-000123", Expires: b.config.Now().AddDate(0, 1, 0)}
	p := cityPage(t, strings.Join(n.Lines(), "\n"))
	plain := p
	plain.Watermark = nil
	original := b.sign(t, b.write(t, ofd.Document{Pages: []*sheet.Page{&plain}}), ofd.Signing{Seal: ofd.SealWith(b.holder), Stamps: ofd.Stamps(&plain)})
	pkg, err := b.config.Annotate(t.Context(), ofd.Copy{
		Original: original, Notice: n, Document: ofd.Document{Pages: []*sheet.Page{&p}, Data: []ofd.Datum{{Name: ofd.Identifier, Value: "id"}}},
		Signing: ofd.Signing{Seal: ofd.SealWith(b.holder), Stamps: ofd.Stamps(&p)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range [][]byte{original, pkg} {
		if r := b.verify(t, pkg); failures(r) != nil {
			t.Errorf("%+v", r)
		}
		if len(pkg) > 300_000 {
			t.Errorf("%d bytes", len(pkg))
		}
	}
	content := string(unpack(t, pkg)["Doc_0/Pages/Page_0/Content.xml"])
	if !strings.Contains(content, `<ofd:CGTransform CodePosition="0" CodeCount="2" GlyphCount="1"><ofd:Glyphs>`) {
		t.Error("the glyph of the rare character is not named")
	}
}

// cityPage is a business license of the sample city.
func cityPage(tb testing.TB, watermark string) sheet.Page {
	tb.Helper()
	var files []sheet.File
	names, err := filepath.Glob("../../deploy/city/layouts/*.yaml")
	if err != nil || len(names) == 0 {
		tb.Fatalf("no layouts: %v", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		files = append(files, sheet.File{Path: filepath.Base(name), Data: data})
	}
	layouts, faults := sheet.Load(sheet.Config{Files: files})
	if layouts == nil {
		tb.Fatal(faults)
	}
	layout, found := layouts.For("business-license")
	if !found {
		tb.Fatal("no layout for a business license")
	}
	p, err := layout.Fill(sheet.Content{QR: "https://example.org/v", Watermark: watermark, Values: map[string][]string{
		"holder_name": {"云川市青禾𠮷餐饮管理有限公司"}, "holder_code": {"91379901MA9K3T7X2B"}, "number": {"37990100012026"},
		"issuer_name": {"云川市市场监督管理局"}, "issued": {"2026-11-23"}, "valid_from": {"2026-11-23"}, "valid_to": {"长期"},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}
