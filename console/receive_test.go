package console_test

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"
)

// scan is a document as a scanner makes one.
var scan = []byte("%PDF-1.7\n1 0 obj\nendobj\n%%EOF\n")

// TestReceivedIsFiled receives a proof of premises, verified at the window: it is filed, once however often the form is sent, and the same applicant's
// next case has it. What may not be received is said under its field, and makes no call.
func TestReceivedIsFiled(t *testing.T) {
	c := sharedCity(t)
	shop := c.legacy.Population.Cast.FoodShop
	zhou := c.signIn("zhou", "3")
	begin := func() string {
		page := zhou.post("/console/window", with(zhou.get("/console/window").Form("/console/window"), "matter", "YC-FOOD-02", "applicant", shop.Holder().Code))
		page = zhou.post("/console/window", with(page.Form("/console/window"), "matter", "YC-FOOD-02", "applicant", shop.Holder().Code, "who", "self"))
		for _, row := range page.Rows() {
			if row[0] == "经营场所使用证明" {
				t.Logf("%q", row)
			}
		}
		return page.HTML
	}
	html := begin()
	at := strings.Index(html, "/premises-proof\"")
	if at < 0 {
		t.Fatalf("the proof of premises cannot be received:\n%s", html)
	}
	action := html[strings.LastIndex(html[:at], "/console/window/") : at+len("/premises-proof")]
	before := len(c.records("street-hall", "cases.materials")) + len(c.records("street-hall", "cases.file"))

	var bomb bytes.Buffer
	z := zip.NewWriter(&bomb)
	for _, name := range []string{"OFD.xml", "Doc_0/Res/bomb.png"} {
		w, err := z.Create(name)
		c.must(err)
		_, err = w.Write(make([]byte, 70<<20))
		c.must(err)
	}
	c.must(z.Close())
	for name, bad := range map[string][]byte{
		"合同.pdf": []byte("<!doctype html><script>alert(1)</script>"), "合同.exe": []byte("MZ\x90\x00\x03\x00"), "合同.ofd": bomb.Bytes(), "合同\u202egpj.exe\r\n\u200b": append(bytes.Clone(scan), bomb.Bytes()...),
		"大.pdf": append(bytes.Clone(scan), make([]byte, 1<<20)...),
	} {
		page := zhou.upload(action, with(zhou.get(action).Form(action), "how", "uploaded", "verified", "original-seen"), "scanned", name, bad)
		if _, fault, focus := page.Input("scanned"); fault == "" || !focus || !strings.Contains(page.HTML, `value="original-seen" checked`) {
			t.Errorf("%q: %q\n%s", name, fault, page.HTML)
		}
	}
	page := zhou.upload(action, with(zhou.get(action).Form(action), "how", "uploaded"), "scanned", "合同.pdf", scan)
	if _, fault, _ := page.Input("scanned"); !page.Says("请选是怎么核验的。") || fault != "请把文件再选一次。" {
		t.Errorf("it is not asked how it was verified:\n%s", page.HTML)
	}
	page = zhou.upload(action, with(zhou.get(action).Form(action), "how", "uploaded", "verified", "original-seen", "until", "2020-01-01"), "scanned", "合同.pdf", scan)
	if _, fault, _ := page.Input("until"); fault == "" {
		t.Error("an expired one is received")
	}
	if n := len(c.records("street-hall", "cases.materials")) + len(c.records("street-hall", "cases.file")) - before; n != 0 {
		t.Errorf("%d calls were made for uploads that may not be received", n)
	}

	form := with(zhou.get(action).Form(action), "how", "uploaded", "verified", "original-seen")
	for range 3 {
		page = zhou.upload(action, form, "scanned", "合同\u202e.pdf", scan)
	}
	if !page.Says("已存档") || page.Headline() == "" {
		t.Errorf("after it was received:\n%s", page.HTML)
	}
	if n := len(c.records("street-hall", "cases.file")); n != 1 {
		t.Errorf("%d records of a form that was sent three times", n)
	}
	if html := begin(); !strings.Contains(html, "已存档，不用交") || !strings.Contains(html, "当场核验原件") {
		t.Errorf("the next case:\n%s", html)
	}
	c.nothingPersonal(zhou)
}
