package console_test

import (
	"archive/zip"
	"bytes"
	"encoding/hex"
	"io"
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/certs/sm"
	"oncegate/verdict"
)

// fetch reads a file.
func (b *browser) fetch(path string) []byte {
	b.c.t.Helper()
	res, err := b.http.Get(b.c.url + path)
	b.c.must(err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	b.c.must(err)
	return data
}

// TestCaseFile makes the package of a case, verifies it as anybody can offline, prints its index, and records that it was handed over: one record
// however often a form is sent, the same bytes however often it is fetched.
func TestCaseFile(t *testing.T) {
	c := sharedCity(t)
	shop := c.legacy.Population.Cast.FoodShop
	c.accept("SP-2026-0900", "YC-FOOD-01", party("applicant", shop.Holder()), party("legal_representative", shop.Legal.Holder()))
	zhou := c.signIn("zhou", "3")
	page := zhou.scan("SP-2026-0900")
	action := ""
	for _, line := range strings.Split(page.HTML, "action=\"")[1:] {
		if path, _, _ := strings.Cut(line, "\""); strings.HasSuffix(path, "/file") {
			action = path
		}
	}
	before := len(c.records("street-hall", "cases.check"))
	form := page.Form(action)
	for range 3 {
		page = zhou.post(action, form)
	}
	if n := len(c.records("street-hall", "cases.check")) - before; n != 1 {
		t.Errorf("%d records of a form that was sent three times", n)
	}
	if got := page.Headline(); got != "归档包做好了：2 份材料，2 份入卷。" {
		t.Fatalf("headline: %s\n%s", got, page.HTML)
	}
	data := zhou.fetch(page.Link("下载归档包"))
	if !bytes.Equal(data, zhou.fetch(page.Link("下载归档包"))) {
		t.Error("the package is not the same when it is fetched again")
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	c.must(err)
	files := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		c.must(err)
		files[f.Name], err = io.ReadAll(r)
		c.must(err)
	}
	for _, name := range []string{"01-business-license.ofd", "02-legal-representative-id.ofd", "04-check.json", "05-receipt.json", "index.json", "SM3SUMS"} {
		if len(files[name]) == 0 {
			t.Errorf("the package has no %s: %d files", name, len(files))
		}
	}
	const why = "由云川市市场监督管理局颁发并归档，不在包内：核验只调取申请材料"
	if index := string(files["index.json"]); !strings.Contains(index, `"kind": "result"`) || !strings.Contains(index, why) || !page.Says(why) {
		t.Errorf("it is not said why the decision is not there: %s", index)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(files["SM3SUMS"])), "\n") {
		sum, name, _ := strings.Cut(line, "  ")
		if digest := sm.Digest(files[name]); hex.EncodeToString(digest[:]) != sum {
			t.Errorf("SM3SUMS: %s", line)
		}
	}
	parts, is, err := verdict.Unpack(verdict.Artefact{Name: "package", Data: data})
	if err != nil || !is {
		t.Fatalf("the package is no bundle: %v", err)
	}
	for i, v := range c.trust.VerifyContext(t.Context(), parts...) {
		if v.Verdict != api.VerdictProven {
			t.Errorf("%s: %s %+v", parts[i].Name, v.Verdict, v.Err())
		}
	}
	paper := zhou.get(page.Link("打印卷内目录"))
	if paper.Headline() != "卷内目录" || !paper.Says("01-business-license.ofd") || !paper.Says("GB/T 42727-2023") {
		t.Errorf("the index:\n%s", paper.HTML)
	}

	over := strings.TrimSuffix(page.Link("打印卷内目录"), "/index") + "/handover"
	if bad := zhou.post(over, page.Form(over)); !bad.Says("请填写接收的档案馆") {
		t.Errorf("nobody takes it over:\n%s", bad.HTML)
	}
	form = with(page.Form(over), "archive", "云川市示例区档案馆")
	for range 3 {
		page = zhou.post(over, form)
	}
	if !page.Says("已登记移交：云川市示例区档案馆") {
		t.Errorf("after the hand-over:\n%s", page.HTML)
	}
	if n := len(c.records("street-hall", "cases.handover")); n != 1 {
		t.Errorf("%d records of one hand-over", n)
	}

	_, err = c.as("acceptance").CloseCase(t.Context(), "SP-2026-0900")
	c.must(err)
	page = zhou.post(action, with(zhou.get(strings.TrimSuffix(action, "/file")).Form(action)))
	if !page.Says("归档包要在办结前做") {
		t.Errorf("of a closed case:\n%s", page.HTML)
	}
	c.nothingPersonal(zhou)
}
