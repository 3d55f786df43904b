package document_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/ofd"
	"oncegate/certs/seal"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/document"
	"oncegate/document/documenttest"
	"oncegate/license"
	"oncegate/register"
	"oncegate/sheet"
)

// pages writes the documents of these tests into a folder, to be looked at.
var pages = flag.String("pages", "", "folder that documents are written to, to be looked at")

const (
	city  = "../deploy/city"
	samr  = "11379901MB99103773"
	civil = "11379901MB9911855E"
)

func newBureau(tb testing.TB) *documenttest.Bureau {
	tb.Helper()
	w := certstest.At(tb, "document", time.Now().Add(-time.Hour))
	return documenttest.New(tb, w, city, map[string]string{samr: "云川市市场监督管理局", civil: "云川市民政局"})
}

// Synthetic. Every value has characters that stand nowhere else.
func businessLicense() license.License {
	return license.License{
		Type: "business-license", Number: "37990100007788", Issuer: license.Issuer{Name: "云川市市场监督管理局", Code: samr, Level: "3"},
		Issued: "2019-05-17", ValidFrom: "2016-04-15", ValidTo: "2041-08-09", Status: license.Valid,
		Holders: []license.Holder{{HolderID: license.HolderID{Type: "001", Code: "91379901MA9920002Q"}, Name: "云川市鲲鹏饕餮有限公司"}},
		Fields: map[string]string{
			"legal_representative": "蔺砚舟", "legal_representative_code": "379901198503123015", "enterprise_type": "股份责任（㐂）",
			"registered_capital": "7654321.00", "address": "𠮷祥巷66号", "business_scope": "茶叶酿醋腌渍", "founded": "2018-12-03",
		},
	}
}

func marriage() license.License {
	return license.License{
		Type: "marriage-certificate", Number: "J379901-2015-000001", Issuer: license.Issuer{Name: "云川市民政局", Code: civil, Level: "3"},
		Issued: "2015-05-20", Status: license.Valid,
		Holders: []license.Holder{
			{HolderID: license.HolderID{Type: "111", Code: "379901199003074013"}, Name: "庚辛壬"},
			{HolderID: license.HolderID{Type: "111", Code: "379901198906114038"}, Name: "薛懿鸢"},
		},
		Fields: map[string]string{"registered_on": "2015-05-20", "sex": "2\n1"},
	}
}

func version(l license.License, identifier string) register.Version {
	return register.Version{Type: l.Type, Issuer: l.Issuer.Code, Identifier: identifier, Number: 1}
}

const (
	businessID = "1.2.156.3005.2.11100000MB0143028R001.11379901MB99103773.0000000001.001.B"
	marriageID = "1.2.156.3005.2.111000000000131433001.11379901MB9911855E.0000000001.001.B"
)

func claims(tb testing.TB, b *documenttest.Bureau, l license.License) []license.Claim {
	tb.Helper()
	t, ok := b.Config.Catalogue.Type(l.Type)
	if !ok {
		tb.Fatal("no such type")
	}
	list, err := license.Claims(t, l)
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

func notice() ofd.Notice {
	return ofd.Notice{
		Provider: "云川市市场监督管理局", User: "云川市行政审批服务局", Matter: "食品经营许可", Case: "SP-2026-000123", Expires: time.Now().Add(30 * 24 * time.Hour),
	}
}

// keep writes a document where the flag says.
func keep(tb testing.TB, name string, data []byte) {
	tb.Helper()
	if *pages != "" {
		if err := os.WriteFile(filepath.Join(*pages, name), data, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

func judged(tb testing.TB, b *documenttest.Bureau, pkg []byte) ofd.Report {
	tb.Helper()
	r, err := ofd.Verify(tb.Context(), bytes.NewReader(pkg), int64(len(pkg)), b.Judges)
	if err != nil {
		tb.Fatal(err)
	}
	for _, s := range r.Steps {
		if s.State == check.Failed {
			tb.Errorf("%s: %s", s.Name, s.Reason)
		}
	}
	for _, sig := range r.Signatures {
		for _, s := range sig.Steps {
			if s.State == check.Failed {
				tb.Errorf("%s: %s: %s", sig.Type, s.Name, s.Reason)
			}
		}
	}
	return r
}

// The original is sealed, says everything, and verifies; every form shows the same page.
func TestOriginal(t *testing.T) {
	b, l := newBureau(t), businessLicense()
	v, all := version(l, businessID), claims(t, b, l)
	pkg, err := b.Original(t.Context(), v, all)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, "license.ofd", pkg)
	r := judged(t, b, pkg)
	if len(r.Signatures) != 1 || r.Signatures[0].Type != "Seal" || !strings.Contains(r.Signatures[0].SealName, "市场监督管理局") {
		t.Errorf("%+v", r.Signatures)
	}
	if n := b.Sealed.Load(); n != 1 {
		t.Errorf("%d signatures with the seal", n)
	}
	p, err := ofd.Open(t.Context(), bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"ZZBS": businessID, "ZZLXDM": "11100000MB0143028R001", "ZZMC": "营业执照", "ZZBH": l.Number, "ZZBFRQ": "20190517", "ZZYXQJZRQ": "20410809",
		"CZZT": l.Holders[0].Name, "CZZTDM": l.Holders[0].Code, "CZZTDMLX": "统一社会信用代码", "CZZTDMLXDM": "001", "KZ_FDDBR": "蔺砚舟",
	} {
		if got := p.Value(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, isCopy := p.Copy(); isCopy {
		t.Error("the original calls itself a copy")
	}
	for form, begins := range map[string]string{document.PDF: "%PDF-", document.PNG: "\x89PNG", document.SVG: "<"} {
		shown, err := b.Show(t.Context(), form, v, all, "")
		if err != nil || !bytes.HasPrefix(shown, []byte(begins)) {
			t.Errorf("%s: %v", form, err)
		}
		keep(t, "license."+form, shown)
		if got, want := documenttest.QR(t, form, shown), documenttest.CodeURL(v, "7788"); got != want {
			t.Errorf("the QR code of the %s says %q, want %q", form, got, want)
		}
	}
	if got, want := documenttest.QR(t, document.OFD, pkg), documenttest.CodeURL(v, "7788"); got != want {
		t.Errorf("the QR code of the original says %q, want %q", got, want)
	}
	if _, err := b.Show(t.Context(), "doc", v, all, ""); !errors.Is(err, document.ErrForm) {
		t.Errorf("an unknown form: %v", err)
	}
}

// A copy is signed by itself and names its use and its original; two holders stand in it as they are granted.
func TestCopy(t *testing.T) {
	b, l := newBureau(t), marriage()
	v, all := version(l, marriageID), claims(t, b, l)
	granted := slices.DeleteFunc(slices.Clone(all), func(c license.Claim) bool { return c.Holder == 0 })
	original := sm.Digest([]byte("original"))
	n := notice()
	pkg, err := b.Copy(t.Context(), document.OFD, v, granted, fieldsOf(granted), n, original)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, "annotated.ofd", pkg)
	r := judged(t, b, pkg)
	if len(r.Signatures) != 1 || r.Signatures[0].Type != "Sign" || b.Sealed.Load() != 0 {
		t.Errorf("%+v, %d seals", r.Signatures, b.Sealed.Load())
	}
	p, err := ofd.Open(t.Context(), bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		t.Fatal(err)
	}
	info, isCopy := p.Copy()
	if !isCopy || info.Maker != n.Provider || info.Reason != n.Matter || !bytes.Equal(info.Original, original[:]) || info.Expires.Unix() != n.Expires.Unix() {
		t.Errorf("%+v", info)
	}
	pdf, err := b.Copy(t.Context(), document.PDF, v, granted, fieldsOf(granted), n, original)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, "annotated.pdf", pdf)
	for form, data := range map[string][]byte{"ofd": pkg, "pdf": pdf} {
		if got, want := documenttest.QR(t, form, data), documenttest.CodeURL(v, "0001"); got != want {
			t.Errorf("the QR code of the %s says %q, want %q", form, got, want)
		}
		said := documenttest.Read(t, form, data)
		if !said.Draws("鸢") || said.Draws("庚") || said.Holds("379901199003074013") {
			t.Errorf("%s: the holder that was not granted shows, or the other does not", form)
		}
	}
	late := n
	late.Expires = time.Now().Add(-time.Second)
	if _, err := b.Copy(t.Context(), document.OFD, v, granted, nil, late, original); !errors.Is(err, ofd.ErrExpired) {
		t.Errorf("a copy that has expired: %v", err)
	}
}

func fieldsOf(list []license.Claim) (out []string) {
	for _, c := range list {
		out = append(out, c.Field)
	}
	return out
}

// Law 3: what a copy notes of a field that was not granted does not depend on whether the license states it: the pages of two
// licenses that differ in such fields alone, and in how many holders they have, are the same byte for byte.
func TestNotesTellNothing(t *testing.T) {
	b := newBureau(t)
	full, bare := businessLicense(), businessLicense()
	bare.Fields = map[string]string{"enterprise_type": full.Fields["enterprise_type"], "founded": full.Fields["founded"]}
	bare.Number, bare.ValidFrom, bare.ValidTo = "", "", ""
	couple, single := marriage(), marriage()
	single.Holders, single.Fields = single.Holders[1:], map[string]string{"registered_on": "2015-05-20", "sex": "1"}
	n := notice()
	for _, c := range []struct {
		identifier string
		granted    []string
		a, b       license.License
	}{
		{businessID, []string{license.FieldHolderName, "enterprise_type", "founded"}, full, bare},
		{businessID, []string{license.FieldHolderName}, full, bare},
		{marriageID, []string{license.FieldHolderName, "registered_on"}, couple, single},
	} {
		page := func(l license.License) []byte {
			t.Helper()
			var granted []license.Claim
			for _, claim := range claims(t, b, l) { // of the last holder alone
				if slices.Contains(c.granted, claim.Field) && (claim.Holder < 0 || claim.Holder == len(l.Holders)-1) {
					granted = append(granted, claim)
				}
			}
			data, err := b.Copy(t.Context(), document.PDF, version(l, c.identifier), granted, c.granted, n, [32]byte{})
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		if !bytes.Equal(page(c.a), page(c.b)) {
			t.Errorf("a copy of %v tells what else the license states", c.granted)
		}
	}
}

// open are the fields that a copy says without a grant: the type's name is the page's title, and the notice names the
// provider, who is the issuer.
var open = []string{license.FieldName, license.FieldIssuerName}

// Law 3: whatever is granted, nothing else stands anywhere in a copy: no text, metadata, name, attachment or glyph.
func TestCopySaysOnlyWhatIsGranted(t *testing.T) {
	b := newBureau(t)
	for _, c := range []struct {
		license    license.License
		identifier string
	}{{businessLicense(), businessID}, {marriage(), marriageID}} {
		v, all := version(c.license, c.identifier), claims(t, b, c.license)
		for seed := range uint64(12) {
			r := rand.New(rand.NewPCG(seed, 5))
			var granted, withheld []license.Claim
			for _, claim := range all {
				if slices.Contains(open, claim.Field) || seed > 0 && r.IntN(3) == 0 {
					granted = append(granted, claim)
				} else {
					withheld = append(withheld, claim)
				}
			}
			form := []string{document.OFD, document.PDF}[seed%2]
			data, err := b.Copy(t.Context(), form, v, granted, fieldsOf(granted), notice(), sm.Digest([]byte("original")))
			if err != nil {
				t.Fatal(err)
			}
			onlyGranted(t, fmt.Sprintf("%s of %s, seed %d", form, c.license.Type, seed), documenttest.Read(t, form, data), granted, withheld)
		}
	}
}

func onlyGranted(t *testing.T, where string, said documenttest.Said, granted, withheld []license.Claim) {
	t.Helper()
	drawn := textOf(granted)
	for _, c := range withheld {
		if len([]rune(c.Value)) < 3 || strings.Contains(drawn, c.Value) {
			continue // "1" stands everywhere
		}
		forms := []string{c.Value}
		if strings.Count(c.Value, "-") == 2 && len(c.Value) == 10 { // a date has more than one
			forms = append(forms, strings.ReplaceAll(c.Value, "-", ""), c.Value[:4]+"年", strings.TrimPrefix(c.Value[5:7], "0")+"月"+strings.TrimPrefix(c.Value[8:], "0")+"日")
		}
		for _, form := range forms {
			if c.Field != license.FieldHolderCodeType && c.Field != license.FieldIssuerCode && !strings.Contains(drawn, form) && said.Holds(form) {
				t.Errorf("%s: %s stands in it as %q", where, c.Path, form)
			}
		}
	}
	for _, rare := range []string{"鲲", "饕", "餮", "蔺", "砚", "㐂", "𠮷", "酿", "醋", "腌", "渍", "辛", "壬", "薛", "懿", "鸢"} {
		if !strings.Contains(drawn, rare) && said.Draws(rare) {
			t.Errorf("%s: a font can draw %s, which was not granted", where, rare)
		}
		if strings.Contains(drawn, rare) && !said.Draws(rare) && !said.Draws("\ue000") {
			t.Errorf("%s: %s was granted and is not drawn: the test sees too little", where, rare)
		}
	}
}

func textOf(list []license.Claim) string {
	var b strings.Builder
	for _, c := range list {
		b.WriteString(c.Value + "\n")
	}
	return b.String()
}

// What cannot be drawn whole is refused with its reason and without the value.
func TestUndrawable(t *testing.T) {
	b := newBureau(t)
	for name, c := range map[string]struct {
		change func(*license.License)
		want   sheet.Code
	}{
		"glyph":   {func(l *license.License) { l.Fields["legal_representative"] = "张\U00031340" }, sheet.NoGlyph},
		"control": {func(l *license.License) { l.Fields["address"] = "和平路\u202e1号" }, sheet.ForbiddenCharacter},
		"length":  {func(l *license.License) { l.Fields["enterprise_type"] = strings.Repeat("有限责任", 120) }, sheet.DoesNotFit},
	} {
		t.Run(name, func(t *testing.T) {
			l := businessLicense()
			c.change(&l)
			var fault *sheet.Error
			if _, err := b.Original(t.Context(), version(l, businessID), claims(t, b, l)); !errors.As(err, &fault) || fault.Code != c.want {
				t.Errorf("%v", err)
			}
			if _, err := b.Copy(t.Context(), "pdf", version(l, businessID), claims(t, b, l), fieldsOf(claims(t, b, l)), notice(), [32]byte{}); !errors.As(err, &fault) || fault.Code != c.want {
				t.Errorf("%v", err)
			}
		})
	}
	l := businessLicense()
	l.Issuer.Code = civil
	other := version(l, businessID)
	other.Type = "unheard-of"
	var fault *sheet.Error
	if _, err := b.Original(t.Context(), other, nil); !errors.As(err, &fault) || fault.Code != sheet.NoLayout {
		t.Errorf("a type without layout: %v", err)
	}
	other = version(l, businessID)
	other.Issuer = "11379901MB9910748R"
	if _, err := b.Original(t.Context(), other, claims(t, b, l)); !errors.Is(err, register.ErrNoSeal) {
		t.Errorf("a body without seal: %v", err)
	}
	if _, err := b.Copy(t.Context(), "ofd", other, claims(t, b, l), fieldsOf(claims(t, b, l)), notice(), [32]byte{}); !errors.Is(err, register.ErrNoSigner) {
		t.Errorf("a body without key: %v", err)
	}
}

// A time-stamping authority that is down costs the time stamp, not the original; that there is none is heard.
func TestUnstamped(t *testing.T) {
	b, l := newBureau(t), businessLicense()
	down := errors.New("down")
	var heard error
	c := b.Config
	c.Unstamped = func(err error) { heard = err }
	c.Seal = func(issuer string) (seal.Holder, error) {
		h, err := b.Config.Seal(issuer)
		h.TimeStamp = func(context.Context, []byte) ([]byte, error) { return nil, down }
		return h, err
	}
	m, err := document.New(c)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := m.Original(t.Context(), version(l, businessID), claims(t, b, l))
	if err != nil || !errors.Is(heard, down) {
		t.Fatalf("%v, heard %v", err, heard)
	}
	steps := judged(t, b, pkg).Signatures[0].Steps
	if i := slices.IndexFunc(steps, func(s check.Step) bool { return s.Name == seal.StepTime }); i < 0 || steps[i].State != check.NotCheckable {
		t.Errorf("the time is not called unproven: %+v", steps)
	}
}

// The code of a document knows the end of the license number only where the document prints it, and never of a person's number.
func TestCodeKnowsWhatIsPrinted(t *testing.T) {
	b, l := newBureau(t), businessLicense()
	v := version(l, businessID)
	of := func(l license.License, without ...string) string {
		t.Helper()
		granted := slices.DeleteFunc(claims(t, b, l), func(c license.Claim) bool { return slices.Contains(without, c.Field) })
		pkg, err := b.Copy(t.Context(), document.OFD, v, granted, fieldsOf(granted), notice(), sm.Digest([]byte("original")))
		if err != nil {
			t.Fatal(err)
		}
		said := documenttest.QR(t, document.OFD, pkg)
		for _, tail := range []string{"7788", "3015", ""} {
			if said == documenttest.CodeURL(v, tail) {
				return "[" + tail + "]"
			}
		}
		return "another code"
	}
	personal := l
	personal.Number = "379901198503123015"
	own := l
	own.Number = "HB-3015-3015"
	own.Holders = []license.Holder{{HolderID: license.HolderID{Type: "414", Code: "HB-3015-3015"}, Name: "甲"}}
	for name, c := range map[string]struct{ got, want string }{
		"number granted":                           {of(l), "[7788]"},
		"number withheld":                          {of(l, license.FieldNumber), "[]"},
		"number is a person's":                     {of(personal), "[]"},
		"number is a person's, whose is withheld":  {of(personal, license.FieldHolderCode), "[]"},
		"number is the passport of its holder":     {of(own), "[]"},
		"number of a body, its code withheld, too": {of(l, license.FieldHolderCode), "[7788]"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
}

// BenchmarkDocument measures what is made, without register and record.
func BenchmarkDocument(b *testing.B) {
	bureau, l := newBureau(b), businessLicense()
	v, all := version(l, businessID), claims(b, bureau, l)
	n, original := notice(), sm.Digest([]byte("original"))
	b.Run("original", func(b *testing.B) {
		for b.Loop() {
			if _, err := bureau.Original(b.Context(), v, all); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, form := range []string{"ofd", "pdf"} {
		b.Run("copy-"+form, func(b *testing.B) {
			for b.Loop() {
				data, err := bureau.Copy(b.Context(), form, v, all, fieldsOf(all), n, original)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(data)), "bytes")
			}
		})
	}
}
