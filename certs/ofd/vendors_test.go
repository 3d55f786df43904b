package ofd_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oncegate/certs/cms"
	"oncegate/certs/ofd"
	"oncegate/certs/seal"
	"oncegate/certs/sm"
	"oncegate/check"
)

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// vendor is a package as others make them: layout, order of elements, dates and names of standards.md §4.5, without
// Seal.esl, signed by our seal.
type vendor struct {
	checkMethod string
	digest      func([]byte) []byte
	value       func(t *testing.T, b *bureau, signature []byte) []byte
	list        string // of Signatures.xml; empty for the usual one
	seal        string // in SignedInfo
	skip        string // a file that has no Reference
}

func (v vendor) make(t *testing.T, b *bureau) []byte {
	t.Helper()
	pkg := edit(t, b.write(t, document(t)), func(name string, data []byte) []byte {
		if name == "OFD.xml" {
			return bytes.Replace(data, []byte("</ofd:DocBody>"), []byte("<ofd:Signatures>Doc_0/Signs/Signatures.xml</ofd:Signatures></ofd:DocBody>"), 1)
		}
		return data
	})
	files := unpack(t, pkg)
	var refs strings.Builder
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range files {
			if !yield(name) {
				return
			}
		}
	}) {
		if name != v.skip {
			fmt.Fprintf(&refs, `<Reference FileRef="/%s"><CheckValue>%s</CheckValue></Reference>`, name, b64(v.digest(files[name])))
		}
	}
	method := ""
	if v.checkMethod != "" {
		method = ` CheckMethod="` + v.checkMethod + `"`
	}
	signature := []byte(xmlHead + `<Signature xmlns="http://www.ofdspec.org"><SignedValue>SignedValue.dat</SignedValue><SignedInfo>` + v.seal +
		`<StampAnnot Boundary="1 2.5 30.0 30" ID="01" PageRef="1"/><References` + method + `>` + refs.String() +
		`</References><SignatureDateTime>20201010065840.923Z</SignatureDateTime>` +
		`<Provider ProviderName="other_eseal" Version="2.0" Company="other"/></SignedInfo></Signature>`)
	value := v.value
	if value == nil {
		value = sealValue
	}
	list := v.list
	if list == "" {
		list = `<Signature BaseLoc="Sign_0/Signature.xml" ID="1"/><MaxSignId>1</MaxSignId>`
	}
	return edit(t, pkg, same,
		"Doc_0/Signs/Signatures.xml", "\ufeff"+xmlHead+`<Signatures xmlns="http://www.ofdspec.org/2016">`+list+`</Signatures>`,
		"Doc_0/Signs/Sign_0/Signature.xml", string(signature), "Doc_0/Signs/Sign_0/SignedValue.dat", string(value(t, b, signature)))
}

const xmlHead = `<?xml version="1.0" encoding="utf-8"?>` + "\n"

func sealValue(t *testing.T, b *bureau, signature []byte) []byte {
	t.Helper()
	s, err := seal.Sign(t.Context(), b.holder, sm.Digest(signature), "/Doc_0/Signs/Sign_0/Signature.xml")
	if err != nil {
		t.Fatal(err)
	}
	return s.Raw
}

func sum3(b []byte) []byte { s := sm.Digest(b); return s[:] }
func sum256(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}
func sum1(b []byte) []byte { s := sha1.Sum(b); return s[:] }
func sum5(b []byte) []byte { s := md5.Sum(b); return s[:] }

// TestVendors accepts what others write, and names what proves nothing.
func TestVendors(t *testing.T) {
	b := newBureau(t)
	for name, test := range map[string]struct {
		vendor vendor
		want   []string
	}{
		"SM3":                    {vendor{checkMethod: "SM3", digest: sum3}, nil},
		"OID":                    {vendor{checkMethod: "1.2.156.10197.1.401", digest: sum3}, nil},
		"lower case":             {vendor{checkMethod: "sm3", digest: sum3}, nil},
		"SHA-256":                {vendor{checkMethod: "SHA256", digest: sum256}, nil},
		"MD5":                    {vendor{checkMethod: "MD5", digest: sum5}, []string{"0:" + ofd.StepMethod}},
		"default, which is MD5":  {vendor{digest: sum5}, []string{"0:" + ofd.StepMethod}},
		"SHA1":                   {vendor{checkMethod: "SHA1", digest: sum1}, []string{"0:" + ofd.StepMethod}},
		"SM3 called SHA1":        {vendor{checkMethod: "SHA1", digest: sum3}, []string{"0:" + ofd.StepMethod, "0:" + ofd.StepReferences}},
		"unknown digest":         {vendor{checkMethod: "WHIRLPOOL", digest: sum3}, nil},
		"two of three are there": {vendor{checkMethod: "SM3", digest: sum3, list: `<Signature BaseLoc="Sign_0/Signature.xml" ID="1"/><Signature BaseLoc="Sign_1/Signature.xml" ID="2"/>`}, []string{"1:" + ofd.StepForm}},
		"a page left out":        {vendor{checkMethod: "SM3", digest: sum3, skip: "Doc_0/Pages/Page_0/Content.xml"}, []string{ofd.StepCoverage}},
		"OFD.xml left out":       {vendor{checkMethod: "SM3", digest: sum3, skip: "OFD.xml"}, nil},
		"Seal named and away":    {vendor{checkMethod: "SM3", digest: sum3, seal: `<Seal><BaseLoc>Seal.esl</BaseLoc></Seal>`}, nil},
		"type Sign": {vendor{checkMethod: "SM3", digest: sum3, list: `<Signature Type="Sign" BaseLoc="/Doc_0/Signs/Sign_0/Signature.xml" ID="1"/>`,
			value: signedValue(func(b []byte) []byte { return sum3(b) })}, nil},
		"type Sign over base64": {vendor{checkMethod: "SM3", digest: sum3, list: `<Signature Type="Sign" BaseLoc="/Doc_0/Signs/Sign_0/Signature.xml" ID="1"/>`,
			value: signedValue(func(b []byte) []byte { return []byte(b64(sum3(b))) })}, nil},
		"type Sign over the file": {vendor{checkMethod: "SM3", digest: sum3, list: `<Signature Type="Sign" BaseLoc="/Doc_0/Signs/Sign_0/Signature.xml" ID="1"/>`,
			value: signedValue(func(b []byte) []byte { return b })}, nil},
		"type Sign over another file": {vendor{checkMethod: "SM3", digest: sum3, list: `<Signature Type="Sign" BaseLoc="/Doc_0/Signs/Sign_0/Signature.xml" ID="1"/>`,
			value: signedValue(func(b []byte) []byte { return sum3(b[1:]) })}, []string{"0:" + ofd.StepContent}},
	} {
		r := b.verify(t, test.vendor.make(t, b))
		if got := failures(r); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v\n%+v", name, got, r)
		}
		switch name {
		case "unknown digest":
			if s := step(r.Signatures[0].Steps, ofd.StepReferences); s.State != check.NotCheckable {
				t.Errorf("%s: %+v", name, s)
			}
		case "OFD.xml left out":
			if s := step(r.Steps, ofd.StepCoverage); s.State != check.NotCheckable {
				t.Errorf("%s: %+v", name, s)
			}
		case "SM3":
			if s := r.Signatures[0]; s.Provider != "other other_eseal 2.0" || s.Type != "Seal" || s.SealName != sealName {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
}

// signedValue signs what content makes of the Signature.xml.
func signedValue(content func([]byte) []byte) func(*testing.T, *bureau, []byte) []byte {
	return func(t *testing.T, b *bureau, signature []byte) []byte {
		t.Helper()
		der, err := cms.Sign(t.Context(), cms.Config{Bare: true}, content(signature), b.signer)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
}

// TestSignVendorPackage adds our signature to a package of another shape: default namespace, own order, signed already.
func TestSignVendorPackage(t *testing.T) {
	b := newBureau(t)
	pkg := b.sign(t, vendor{checkMethod: "SM3", digest: sum3}.make(t, b), b.sealing())
	r := b.verify(t, pkg)
	if f := failures(r); f != nil || len(r.Signatures) != 2 || r.Signatures[1].ID != "s002" {
		t.Errorf("%v\n%+v", f, r)
	}
	plain := edit(t, b.write(t, document(t)), replace("OFD.xml", "ofd:", ""))
	plain = edit(t, plain, replace("OFD.xml", "xmlns:ofd", "xmlns"))
	if r := b.verify(t, b.sign(t, plain, b.sealing())); failures(r) != nil {
		t.Errorf("%+v", r)
	}
}

// TestAttachedData reads metadata from an XML attachment, misspelt tag and all.
func TestAttachedData(t *testing.T) {
	b := newBureau(t)
	want := []ofd.Datum{{Name: "ZZMC", Value: "营业执照"}, {Name: "CZZT", Value: "示例甲有限公司"}, {Name: "CZZT", Value: "示例乙有限公司"}}
	for name, text := range map[string]string{
		"misspelt": `<CuslomDatas><CustomData Name="ZZMC">营业执照</CustomData><CustomData Name="CZZT">示例甲有限公司</CustomData><CustomData Name="CZZT">示例乙有限公司</CustomData></CuslomDatas>`,
		"by tag":   `<ZZ><CustomDatas><ZZMC>营业执照</ZZMC><CZZT>示例甲有限公司</CZZT><CZZT>示例乙有限公司</CZZT></CustomDatas></ZZ>`,
	} {
		d := document(t)
		d.Data = []ofd.Datum{{Name: "native-producer", Value: "x"}}
		d.Attachments = []ofd.Attachment{{Name: "broken", Format: "xml", Data: []byte("<")}, {Name: "meta", Format: "xml", Data: []byte(text)}}
		if diff := cmp.Diff(want, open(t, b.write(t, d)).Data()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestFileList judges the integrity description of GM/T 0099.
func TestFileList(t *testing.T) {
	b := newBureau(t)
	pkg := b.write(t, document(t))
	entries := func(names []string, loc string) []byte {
		var list strings.Builder
		for i, n := range names {
			fmt.Fprintf(&list, `<ofd:File ID="%d" FileLoc="%s"/>`, i+2, n)
		}
		return []byte(xmlHead + `<ofd:DocEntries xmlns:ofd="http://www.ofdspec.org/2016" ID="1"><ofd:SignedValueLoc>` + loc +
			`</ofd:SignedValueLoc><ofd:FileList>` + list.String() + `</ofd:FileList></ofd:DocEntries>`)
	}
	all := open(t, pkg).Files()
	list := entries(all, "/signedvalue.dat")
	value := string(signedValue(sum3)(t, b, list))
	for name, test := range map[string]struct {
		pkg    []byte
		step   string
		reason string
	}{
		"holds":          {edit(t, pkg, same, "OFDEntries.xml", string(list), "signedvalue.dat", value), "", ""},
		"smuggled":       {edit(t, pkg, same, "OFDEntries.xml", string(list), "signedvalue.dat", value, "extra.bin", "x"), ofd.StepList, "extra.bin"},
		"missing":        {edit(t, pkg, without(".png"), "OFDEntries.xml", string(list), "signedvalue.dat", value), ofd.StepList, ".png"},
		"list changed":   {edit(t, pkg, same, "OFDEntries.xml", strings.Replace(string(list), `ID="1"`, `ID="7"`, 1), "signedvalue.dat", value), ofd.StepListSigned, "was signed"},
		"unsigned":       {edit(t, pkg, same, "OFDEntries.xml", string(list)), ofd.StepListSigned, "not in the package"},
		"no list inside": {edit(t, pkg, same, "OFDEntries.xml", "<DocEntries/>"), ofd.StepList, "no list"},
	} {
		r := b.verify(t, test.pkg)
		var want []string
		if test.step != "" {
			want = []string{test.step}
		}
		got := slices.DeleteFunc(failures(r), func(s string) bool { return s == ofd.StepSigned })
		if !slices.Equal(got, want) || !strings.Contains(step(r.Steps, test.step).Reason, test.reason) {
			t.Errorf("%s: %v\n%+v", name, got, r)
		}
	}
	if _, err := b.config.Sign(t.Context(), edit(t, pkg, same, "OFDEntries.xml", string(list), "signedvalue.dat", value), b.sealing()); err == nil {
		t.Error("a signature was added that the list does not name")
	}
}
