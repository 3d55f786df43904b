package console_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/api"
)

// TestFoodPermitAtTheWindow is the whole way of a food permit through a running node: scan, result, papers, and the records that it leaves.
func TestFoodPermitAtTheWindow(t *testing.T) {
	c := sharedCity(t)
	shop := c.legacy.Population.Cast.FoodShop
	c.accept("SP-2026-0001", "YC-FOOD-01", party("applicant", shop.Holder()), party("legal_representative", shop.Legal.Holder()))
	zhou := c.signIn("zhou", "3")
	page := zhou.scan("SLD:SP-2026-0001")
	if got := page.Headline(); got != "2 份材料，都不用交。可以受理。" {
		t.Fatalf("headline: %s\n%s", got, page.HTML)
	}
	if rows := page.Rows(); len(rows) != 2 || rows[0][1] != "已获取，不用交" || !strings.HasPrefix(rows[0][2], "市场监督管理局 ") || rows[1][0] != "法定代表人身份证" {
		t.Errorf("rows: %q", rows)
	}
	if !page.Says(shop.Name) || !page.Says("3") || !page.Says("周晓梅") {
		t.Errorf("the page does not say whose case it is, or who works where:\n%s", page.HTML)
	}
	notice := zhou.get(page.Link("打印一次性告知单"))
	if notice.Headline() != "一次性告知单" || !notice.Says("材料已经齐全") || !notice.Says("营业执照、法定代表人身份证") || !notice.Says("云川市示例区和平路 2 号一楼大厅") {
		t.Errorf("the notice:\n%s", notice.HTML)
	}

	found := c.records("street-hall", "cases.check")
	if len(found) == 0 {
		t.Fatal("the check left no record")
	}
	evidence, err := c.as("audit-office").Evidence(t.Context(), uint64(found[0].Index), api.EvidenceRequest{Request: true, Persons: true, Why: "test"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := base64.RawURLEncoding.DecodeString(evidence.Answer.Request.Body)
	for _, word := range []string{`"notice":"2026-03"`, `SP-2026-0001`, `cases.check`} {
		if err != nil || !bytes.Contains(text, []byte(word)) {
			t.Errorf("the evidence does not say %s: %s, %v", word, text, err)
		}
	}
	if !slices.ContainsFunc(evidence.Answer.Persons, func(p api.EvidencePerson) bool { return p.Code == "zhou" }) {
		t.Errorf("the evidence does not say who acted: %+v", evidence.Answer.Persons)
	}
	c.nothingPersonal(zhou)
}

// nothingPersonal looks for the names and codes of everybody in addresses and in the log.
func (c *city) nothingPersonal(all ...*browser) {
	c.t.Helper()
	logs := c.logs.String()
	for _, p := range c.legacy.Population.People[:40] {
		for _, secret := range []string{p.Code, p.Name} {
			if len(secret) > 6 && strings.Contains(logs, secret) {
				c.t.Errorf("the log has somebody's name or code")
			}
			for _, b := range all {
				for _, u := range b.urls {
					if strings.Contains(u, secret) {
						c.t.Errorf("an address has somebody's name or code: %s", u)
					}
				}
			}
		}
	}
	for _, who := range accounts {
		if strings.Contains(logs, who.Name) {
			c.t.Errorf("the log names %s", who.ID)
		}
	}
}

// TestFlatWithTaxDown is a transfer of real estate while the tax bureau's system is down: tolerated, promised, received, and checked again.
func TestFlatWithTaxDown(t *testing.T) {
	c := sharedCity(t)
	couple := c.legacy.Population.Cast.Couple
	c.accept("BDC-2026-0002", "YC-LAND-07", party("applicant", couple[0].Holder()), party("spouse", couple[1].Holder()))
	sun := c.signIn("sun", "7")
	page := sun.scan("ＢＤＣ－２０２６－０００２")
	if got := page.Headline(); got != "5 份材料，4 份不用交，1 份暂时查不到。可以受理。" {
		t.Fatalf("headline: %s\n%s", got, page.HTML)
	}
	if !page.Says("税务局的系统暂时连不上，不是您的原因。") {
		t.Errorf("what to say:\n%s", page.HTML)
	}
	if banner := sun.get("/console/window"); !banner.Says("税务局的系统从") {
		t.Errorf("the next page does not say that the tax bureau is down:\n%s", banner.HTML)
	}
	paper := sun.get(page.Link("打印容缺承诺书"))
	if paper.Headline() != "容缺承诺书" || !paper.Says("10 个工作日") || !paper.Says(couple[0].Name) || !paper.Says("完税证明") {
		t.Errorf("the paper is not filled in:\n%s", paper.HTML)
	}
	before := len(c.records("street-land", "cases.materials"))
	form := sun.get(paper.Link("收到签好的承诺书"))
	action := page.Link("收材料")
	page = sun.post(action, with(form.Form(action), "how", "promised"))
	if got := page.Headline(); got != "5 份材料，4 份不用交，1 份已承诺。可以受理。" {
		t.Errorf("after the promise: %s\n%s", got, page.HTML)
	}
	form = sun.get(action)
	page = sun.upload(action, with(form.Form(action), "how", "uploaded"), "scanned", "完税证明.pdf", scan)
	if got := page.Headline(); got != "5 份材料，4 份不用交，1 份已收。可以受理。" {
		t.Errorf("after the upload: %s\n%s", got, page.HTML)
	}
	if n := len(c.records("street-land", "cases.materials")) - before; n != 2 {
		t.Errorf("%d records of materials", n)
	}
	form = sun.get(action)
	page = sun.post(action, with(form.Form(action), "how", "uploaded"))
	if _, fault, _ := page.Input("scanned"); fault == "" {
		t.Error("an upload without a file is not found")
	}
	c.nothingPersonal(sun)
}

// TestRegisteredByTheHall registers a case at the window: what it rules out is said before, and is so afterwards.
func TestRegisteredByTheHall(t *testing.T) {
	c := sharedCity(t)
	shop := c.legacy.Population.Cast.FoodShop
	zhou := c.signIn("zhou", "3")
	before := map[string]int{}
	for _, operation := range []string{"cases.register", "cases.check", "cases.materials"} {
		before[operation] = len(c.records("street-hall", operation))
	}
	page := zhou.post("/console/window", with(zhou.get("/console/window").Form("/console/window"), "scan", "https://dzyyzz.example/e/"+shop.Code))
	if !page.Says("办什么事？") {
		t.Fatalf("after the scan of an electronic business license:\n%s", page.HTML)
	}
	page = zhou.post("/console/window", with(page.Form("/console/window"), "matter", "YC-FOOD-01"))
	if !page.Says("法定代表人身份证不能调取，要收材料；营业执照可以调取") {
		t.Errorf("the page does not say what cannot be got:\n%s", page.HTML)
	}
	if value, _, _ := page.Input("applicant"); value != shop.Code {
		t.Errorf("the applicant's code was not brought along: %q", value)
	}
	page = zhou.post("/console/window", with(page.Form("/console/window"), "applicant", shop.Code, "role.legal_representative", shop.Legal.Code, "who", "self"))
	if got := page.Headline(); got != "2 份材料，1 份不用交，1 份要收。收齐再受理。" {
		t.Fatalf("headline: %s\n%s", got, page.HTML)
	}
	if rows := page.Rows(); rows[0][1] != "已获取，不用交" || !strings.HasPrefix(rows[1][1], "本次不能调取，请收材料") {
		t.Errorf("rows: %q", rows)
	}
	action := page.Link("收材料")
	page = zhou.upload(action, with(zhou.get(action).Form(action), "how", "uploaded"), "scanned", "身份证.pdf", scan)
	if got := page.Headline(); got != "2 份材料，1 份不用交，1 份已收。可以受理。" {
		t.Errorf("after the upload: %s", got)
	}
	for operation, n := range before {
		if n = len(c.records("street-hall", operation)) - n; n != 1 {
			t.Errorf("%s left %d records", operation, n)
		}
	}
	c.nothingPersonal(zhou)
}

// TestWhoComes records who comes before the check, and says under the field why somebody cannot.
func TestWhoComes(t *testing.T) {
	c := sharedCity(t)
	cast := c.legacy.Population.Cast
	c.accept("SP-2026-0003", "YC-FOOD-01", party("applicant", cast.FoodShop.Holder()), party("legal_representative", cast.FoodShop.Legal.Holder()))
	zhou := c.signIn("zhou", "3")
	before := len(c.records("street-hall", "cases.represent"))
	page := zhou.post("/console/window", with(zhou.get("/console/window").Form("/console/window"), "scan", "SP-2026-0003"))
	page = zhou.post("/console/window", with(page.Form("/console/window"), "who", "handler"))
	if _, fault, focus := page.Input("person"); fault != "" || !focus {
		t.Errorf("a handler comes: %q", fault)
	}
	page = zhou.upload("/console/window", with(page.Form("/console/window"), "who", "handler", "person", cast.FoodShop.Legal.Code), "scanned", "委托书.pdf", scan)
	if _, fault, _ := page.Input("person"); fault != "这个人就是当事人，请选“本人”。" {
		t.Errorf("a party as handler: %q\n%s", fault, page.HTML)
	}
	page = zhou.post("/console/window", with(page.Form("/console/window"), "who", "handler", "person", cast.Stranger.Code))
	if got := page.Headline(); got != "2 份材料，都不用交。可以受理。" {
		t.Errorf("headline: %s\n%s", got, page.HTML)
	}
	if n := len(c.records("street-hall", "cases.represent")) - before; n != 2 {
		t.Errorf("%d records of who comes", n)
	}
	c.nothingPersonal(zhou)
}

// TestOthersCases says one plain sentence of cases of others and of numbers that nobody gave, and never a code.
func TestOthersCases(t *testing.T) {
	c := sharedCity(t)
	couple := c.legacy.Population.Cast.Couple
	c.accept("BDC-2026-0004", "YC-LAND-07", party("applicant", couple[0].Holder()), party("spouse", couple[1].Holder()))
	zhou := c.signIn("zhou", "3")
	before := len(c.records("street-hall", "cases.check"))
	var pages []string
	for _, no := range []string{"BDC-2026-0004", "BDC-2026-9999"} {
		page := zhou.scan(no)
		if !page.Says("这个办件号查不到，或者不归本厅办理。") || strings.Contains(page.HTML, "case-not-usable") {
			t.Errorf("%s:\n%s", no, page.HTML)
		}
		_, fault, _ := page.Input("scan")
		pages = append(pages, fault)
	}
	if pages[0] != pages[1] || pages[0] == "" {
		t.Error("a case of others can be told from none")
	}
	if n := len(c.records("street-hall", "cases.check")) - before; n != 2 {
		t.Errorf("%d records", n)
	}
}

// TestOnlyClerks opens the window's pages as others, and with nobody signed in.
func TestOnlyClerks(t *testing.T) {
	c := sharedCity(t)
	for _, who := range []string{"", "qian", "wu"} {
		b := c.browser()
		if who != "" {
			b = c.signIn(who, "")
		}
		for _, path := range []string{"/console/window", "/console/window/AAAAAAAAAAAAAAAAAAAAAA", "/console/due/AAAAAAAAAAAAAAAAAAAAAA"} {
			page, res := b.read(b.http.Get(c.url + path))
			if who == "" && res.Request.URL.Path != "/console/sign-in" || who != "" && res.StatusCode != http.StatusForbidden {
				t.Errorf("%q opens %s: %d\n%s", who, path, res.StatusCode, page.HTML)
			}
		}
	}
}

// TestResultsAreOfOneSession gives the address of a result to another clerk, and to the same one after signing in again: it shows nothing.
func TestResultsAreOfOneSession(t *testing.T) {
	c := sharedCity(t)
	shop := c.legacy.Population.Cast.FoodShop
	c.accept("SP-2026-0005", "YC-FOOD-01", party("applicant", shop.Holder()), party("legal_representative", shop.Legal.Holder()))
	zhou := c.signIn("zhou", "3")
	page := zhou.scan("SP-2026-0005")
	address := strings.TrimSuffix(page.Link("打印一次性告知单"), "/notice")
	records := len(c.records("street-hall", "cases.check"))
	for range 3 { // reload
		if got := zhou.get(address).Headline(); got != page.Headline() {
			t.Errorf("read again: %s", got)
		}
	}
	for _, b := range []*browser{c.signIn("zhou", "4"), c.signIn("sun", "7")} {
		if page, res := b.read(b.http.Get(c.url + address)); res.StatusCode != http.StatusNotFound || page.Says(shop.Name) {
			t.Errorf("another session sees the result: %d", res.StatusCode)
		}
	}
	if n := len(c.records("street-hall", "cases.check")); n != records {
		t.Errorf("reading made %d records", n-records)
	}
}

// TestDoublePostIsOneRecord sends one form eight times at once to a whole node.
func TestDoublePostIsOneRecord(t *testing.T) {
	c := sharedCity(t)
	shop := c.legacy.Population.Cast.FoodShop
	c.accept("SP-2026-0006", "YC-FOOD-01", party("applicant", shop.Holder()), party("legal_representative", shop.Legal.Holder()))
	zhou := c.signIn("zhou", "3")
	page := zhou.post("/console/window", with(zhou.get("/console/window").Form("/console/window"), "scan", "SP-2026-0006"))
	fields := with(page.Form("/console/window"), "who", "self")
	zhou.http.Transport = http.DefaultTransport
	before := len(c.records("street-hall", "cases.check"))
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			res, err := zhou.http.PostForm(c.url+"/console/window", valuesOf(fields))
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Request.URL.Path, "/console/window/") {
				t.Errorf("%d %s", res.StatusCode, res.Request.URL.Path)
			}
		})
	}
	wait.Wait()
	if n := len(c.records("street-hall", "cases.check")) - before; n != 1 {
		t.Errorf("%d records", n)
	}
}

// TestForgedForms posts ten thousand forms that no page of the session gave: none is carried out.
func TestForgedForms(t *testing.T) {
	c := sharedCity(t)
	zhou := c.signIn("zhou", "3")
	before := len(c.records("street-hall", ""))
	hidden := zhou.get("/console/window").Form("/console/window")
	zhou.http.Transport = http.DefaultTransport
	zhou.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	forged := []func(n int, f map[string]string, h http.Header){
		func(n int, f map[string]string, _ http.Header) { f["form"] = fmt.Sprintf("%043d", n) },
		func(_ int, f map[string]string, _ http.Header) { delete(f, "form") },
		func(n int, f map[string]string, _ http.Header) {
			f["form"] = f["form"][:len(f["form"])-1] + string(rune('A'+n%26)) + "x"
		},
		func(_ int, _ map[string]string, h http.Header) { h.Set("Origin", "https://elsewhere.example") },
		func(_ int, _ map[string]string, h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
	}
	total := 10_000
	if testing.Short() {
		total = 500
	}
	for n := range total {
		fields, header := with(map[string]string{}, "at", "go", "no", "SP-2026-0001", "who", "self", "once", hidden["once"], "form", hidden["form"]), http.Header{}
		forged[n%len(forged)](n, fields, header)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/console/window", strings.NewReader(valuesOf(fields).Encode()))
		c.must(err)
		for name, values := range header {
			req.Header[name] = values
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := zhou.http.Do(req)
		c.must(err)
		res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Fatalf("forged form %d: %d", n, res.StatusCode)
		}
	}
	if n := len(c.records("street-hall", "")) - before; n != 0 {
		t.Errorf("%d records", n)
	}
}

// TestVerifyAtTheWindow verifies a license that the gateway released, one that was changed, and something else.
func TestVerifyAtTheWindow(t *testing.T) {
	c := sharedCity(t)
	shop := c.legacy.Population.Cast.FoodShop
	c.accept("SP-2026-0007", "YC-FOOD-01", party("applicant", shop.Holder()), party("legal_representative", shop.Legal.Holder()))
	a, err := c.as("food-approval").Check(t.Context(), "SP-2026-0007", api.CheckRequest{})
	c.must(err)
	text := a.Answer.Materials[0].License
	zhou := c.signIn("zhou", "3")
	verify := func(text string) string {
		return zhou.post("/console/verify", with(zhou.get("/console/verify").Form("/console/verify"), "text", text)).Headline()
	}
	if got := verify(text); got != "是真的。" {
		t.Errorf("the license: %s", got)
	}
	at := strings.Index(text, ".") + 20
	other := byte('A')
	if text[at] == other {
		other = 'B'
	}
	if got := verify(text[:at] + string(other) + text[at+1:]); got != "是假的，或者被改过。" {
		t.Errorf("a changed license: %s", got)
	}
	page := zhou.upload("/console/verify", zhou.get("/console/verify").Form("/console/verify"), "document", "photo.jpg", []byte("\xff\xd8\xff\xe0 no license"))
	if got := page.Headline(); got == "是真的。" {
		t.Errorf("a photograph: %s", got)
	}
}

// TestDue lists the hall's own cases of which something is awaited.
func TestDue(t *testing.T) {
	c := sharedCity(t)
	sun := c.signIn("sun", "7")
	due := func() ([][]string, string) {
		hidden := sun.get("/console/window").Form("/console/due")
		page := sun.post("/console/due", hidden)
		return page.Rows(), page.Headline()
	}
	has := func(rows [][]string, no string) bool {
		return slices.ContainsFunc(rows, func(row []string) bool { return strings.Contains(row[0], no) })
	}
	couple := c.legacy.Population.Cast.Couple
	for _, no := range []string{"BDC-2026-0801", "BDC-2026-0802"} {
		c.accept(no, "YC-LAND-07", party("applicant", couple[0].Holder()), party("spouse", couple[1].Holder()))
	}
	sun.scan("BDC-2026-0801")
	if rows, _ := due(); !has(rows, "BDC-2026-0801") || has(rows, "BDC-2026-0802") || !strings.Contains(strings.Join(rows[0], " "), "受理平台登记") {
		t.Errorf("a case of the platform that the window checked, and one that it did not: %q", rows)
	}
	if zhou := c.signIn("zhou", "3"); has(zhou.post("/console/due", zhou.get("/console/window").Form("/console/due")).Rows(), "BDC-") {
		t.Error("another hall sees the case")
	}
	page := sun.post("/console/window", with(sun.get("/console/window").Form("/console/window"), "matter", "YC-LAND-07"))
	page = sun.post("/console/window", with(page.Form("/console/window"), "applicant", couple[0].Code, "role.spouse", couple[1].Code, "who", "self"))
	if len(page.Rows()) != 5 {
		t.Fatalf("the case was not checked:\n%s", page.HTML)
	}
	rows, headline := due()
	if !has(rows, "SLBDC-") || headline != fmt.Sprintf("%d 件等待补齐，没有到期的。", len(rows)) {
		t.Errorf("afterwards: %q, %s", rows, headline)
	}
	for range 100 {
		if page = sun.get("/console/window"); strings.Contains(page.HTML, "今日办理") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !page.Says("今日办理 ") {
		t.Errorf("the foot does not say how many cases were handled today:\n%s", page.HTML)
	}
}

// TestPreferences keeps large type and high contrast for the session.
func TestPreferences(t *testing.T) {
	c := sharedCity(t)
	zhou := c.signIn("zhou", "3")
	normal := zhou.get("/console/window")
	page := zhou.post("/console/preferences", with(normal.Form("/console/preferences"), "large", "on", "contrast", "on"))
	if !strings.Contains(page.HTML, `class="large"`) || page.Says("大字 高对比") || strings.Contains(page.HTML, sheetOf(normal.HTML)) {
		t.Errorf("large type and high contrast:\n%s", page.HTML)
	}
}

func sheetOf(page string) string {
	_, rest, _ := strings.Cut(page, `<link rel="stylesheet" href="`)
	sheet, _, _ := strings.Cut(rest, `"`)
	return sheet
}
