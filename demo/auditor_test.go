package demo

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"oncegate/certs/keystore"
	"oncegate/console/consoletest"
	"oncegate/console/session"
	"oncegate/verdict"
)

const accountPassword = "correct horse 电池"

// An office is the sample city after the story, with made-up people who may sign in at the console.
type office struct {
	t  testing.TB
	st *stage
}

var hashedPassword = sync.OnceValues(func() (string, error) { return session.HashPassword(accountPassword) })

// openOffice tells the story and lets it stand.
func openOffice(t testing.TB) *office {
	t.Helper()
	st := &stage{dir: t.TempDir(), began: time.Now(), failed: make(chan error, 1)}
	for _, part := range []string{"city", "gateway", "trust", "artefacts"} {
		must(t, os.MkdirAll(st.path(part), 0o700))
	}
	o := &office{t, st}
	t.Cleanup(func() { must(t, st.close()) })
	for _, step := range []func(context.Context) error{st.openCity, st.configureWitnesses, st.prepareGateway, o.addAccounts, st.openStamping, st.openIdentity, st.openWitnesses, st.openGateway} {
		must(t, step(t.Context()))
	}
	var told bytes.Buffer
	if result := newStory(st, newPrinter(Options{Out: &told})).tell(t.Context()); !result.OK {
		t.Fatalf("the story failed:\n%s", told.String())
	}
	return o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// addAccounts writes an account for each role that this test needs. They have no second factor but the password: on loopback only.
func (o *office) addAccounts(context.Context) error {
	hash, err := hashedPassword()
	if err != nil {
		return err
	}
	account := func(id, name, role, hall string) session.Account {
		return session.Account{ID: id, Name: name, Password: hash, Assignments: []session.Assignment{{Role: role, Hall: hall}}}
	}
	list := session.NewAccounts(
		account("auditor-1", "示例审计甲", session.Auditor, "audit-office"), account("supervisor-1", "示例监督乙", session.Supervisor, "audit-supervision"),
		account("clerk-1", "示例窗口丙", session.Clerk, "street-hall"), account("steward-1", "示例管理丁", session.Steward, "samr-licenses"),
	)
	ring, err := o.st.setup.Keys.Keyring(keystore.Envelope, "")
	if err != nil {
		return err
	}
	text, err := list.Sealed(ring)
	if err != nil {
		return err
	}
	return os.WriteFile(o.st.path("gateway", "keys", "console.accounts"), text, 0o600)
}

// A browserless is somebody at the console, without a browser.
type browserless struct {
	o      *office
	client *http.Client
	form   string // token of the session
}

// signIn signs somebody in.
func (o *office) signIn(account string) *browserless {
	o.t.Helper()
	jar, err := cookiejar.New(nil)
	must(o.t, err)
	b := &browserless{o: o, client: &http.Client{Jar: jar}}
	p := b.get("/console/sign-in")
	p = b.send("/console/sign-in", url.Values{"form": {p.hidden("form")}, "account": {account}, "password": {accountPassword}})
	if strings.HasPrefix(p.path, "/console/sign-in") {
		o.t.Fatalf("%s did not get in:\n%s", account, p.text())
	}
	b.form = p.hidden("form")
	if p.path == "/console/place" { // where there are several windows
		if p = b.send("/console/place", url.Values{"hall": {"street-hall"}, "desk": {"3"}}); p.path == "/console/place" {
			o.t.Fatalf("%s found no place:\n%s", account, p.text())
		}
	}
	return b
}

// A shown is a page as somebody reads it.
type shown struct {
	t      testing.TB
	status int
	path   string // where redirects led
	body   []byte
	header http.Header
	root   *html.Node
}

func (b *browserless) get(path string) shown {
	b.o.t.Helper()
	return b.read(b.client.Get(b.o.st.node.PublicURL() + path))
}

func (b *browserless) send(path string, form url.Values) shown {
	b.o.t.Helper()
	if b.form != "" {
		form.Set("form", b.form)
	}
	return b.read(b.client.PostForm(b.o.st.node.PublicURL()+path, form))
}

func (b *browserless) read(res *http.Response, err error) shown {
	t := b.o.t
	t.Helper()
	must(t, err)
	defer res.Body.Close()
	p := shown{t: t, status: res.StatusCode, path: res.Request.URL.Path, header: res.Header}
	p.body, err = io.ReadAll(res.Body)
	must(t, err)
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		p.root, err = html.Parse(bytes.NewReader(p.body))
		must(t, err)
		if p.status == 200 && len(p.body) > 25<<10 {
			t.Errorf("%s has %d bytes", p.path, len(p.body))
		}
	}
	for _, u := range []string{res.Request.URL.String(), res.Header.Get("Location")} {
		if personalCode.MatchString(u) {
			t.Errorf("a personal code stands in an address: %s", u)
		}
	}
	return p
}

var personalCode = regexp.MustCompile(`[0-9]{17}[0-9X]|9137[0-9A-Z]{14}|window-`)

func (p shown) hidden(name string) string {
	p.t.Helper()
	for n := range p.root.Descendants() {
		if n.DataAtom == atom.Input && value(n, "name") == name {
			return value(n, "value")
		}
	}
	p.t.Fatalf("%s: there is no field %s:\n%s", p.path, name, p.text())
	return ""
}

func value(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func (p shown) text() string {
	var b strings.Builder
	for n := range p.root.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func (p shown) headline() string {
	for n := range p.root.Descendants() {
		if n.DataAtom == atom.H1 {
			var b strings.Builder
			for c := range n.Descendants() {
				if c.Type == html.TextNode {
					b.WriteString(c.Data)
				}
			}
			return strings.TrimSpace(b.String())
		}
	}
	return ""
}

// indexes are the records that a list opens.
func (p shown) indexes() (list []string) {
	for n := range p.root.Descendants() {
		if n.DataAtom == atom.Button && value(n, "name") == "index" {
			list = append(list, value(n, "value"))
		}
	}
	return list
}

// onceOf is the one-time id of the form that posts to a path.
func (p shown) onceOf(action string) string {
	p.t.Helper()
	for n := range p.root.Descendants() {
		if n.DataAtom != atom.Form || value(n, "action") != action {
			continue
		}
		for c := range n.Descendants() {
			if c.DataAtom == atom.Input && value(c, "name") == "once" {
				return value(c, "value")
			}
		}
	}
	p.t.Fatalf("%s: no form posts to %s:\n%s", p.path, action, p.text())
	return ""
}

// search looks for records.
func (b *browserless) search(pairs ...string) shown {
	b.o.t.Helper()
	f := url.Values{"once": {b.get("/console/search").onceOf("/console/search")}}
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return b.send("/console/search", f)
}

// open opens a record of a list.
func (b *browserless) open(list shown, index string) shown {
	b.o.t.Helper()
	return b.send("/console/records", url.Values{"once": {list.onceOf("/console/records")}, "index": {index}})
}

// size is how many records there are.
func (o *office) size() int {
	o.t.Helper()
	res, err := http.Get(o.st.node.PublicURL() + "/log/checkpoint")
	must(o.t, err)
	defer res.Body.Close()
	var origin string
	var n int
	_, err = fmt.Fscan(res.Body, &origin, &n)
	must(o.t, err)
	return n
}

// TestAuditorAtTheConsole walks an auditor's day on the whole gateway after the story: counts, searches, a record, its evidence, a judgement,
// reports, and a bundle that oncegate verify proves offline.
func TestAuditorAtTheConsole(t *testing.T) {
	o := openOffice(t)
	b := o.signIn("auditor-1")

	// today
	before := o.size()
	first := b.send("/console/today", url.Values{"once": {b.get("/console/search").onceOf("/console/today")}})
	if !strings.HasPrefix(first.headline(), "今天提供证照") {
		t.Errorf("today: %s", first.headline())
	}
	if got := o.size() - before; got != 1 {
		t.Errorf("the page of today left %d records", got)
	}
	b.get(first.path)
	if got := o.size() - before; got != 1 {
		t.Errorf("reading it again left %d records", got)
	}

	// a search, and its pages
	found := b.search("operation", "cases.check")
	if len(found.indexes()) == 0 || !strings.HasPrefix(found.headline(), "共 ") {
		t.Fatalf("found: %s\n%s", found.headline(), found.text())
	}
	clerk := o.signIn("clerk-1")
	for range 20 { // so that there is more than one page
		clerk.send("/console/due", url.Values{"once": {clerk.get("/console/window").onceOf("/console/due")}})
	}
	all := b.search()
	if len(all.indexes()) != 25 {
		t.Errorf("%d records on a page", len(all.indexes()))
	}
	before = o.size()
	next := b.send(all.path+"/next", url.Values{})
	again := b.send(all.path+"/next", url.Values{})
	if next.path != again.path || o.size()-before != 1 {
		t.Errorf("going on twice: %s, %s, %d records", next.path, again.path, o.size()-before)
	}
	if slices.ContainsFunc(next.indexes(), func(i string) bool { return slices.Contains(all.indexes(), i) }) || len(next.indexes()) == 0 {
		t.Error("the second page repeats the first, or is empty")
	}
	if back := b.get(all.path); !slices.Equal(back.indexes(), all.indexes()) || o.size()-before != 1 {
		t.Error("going back made a call")
	}

	// a refused query: its record, and after a reason and the second factor, its real reason
	refused := b.search("operation", "licenses.query", "decision", "denied")
	index := refused.indexes()[0]
	before = o.size()
	record := b.open(refused, index)
	if b.open(refused, index).path != record.path || o.size()-before != 1 {
		t.Error("opening a record twice from one list left another record")
	}
	for _, words := range []string{"已证明未被改动", "见证：云川市审计局、云川市档案馆（两棵树）", "未提供", "填写事由和文号", "本次查看已留痕"} {
		if !strings.Contains(record.text(), words) {
			t.Errorf("the record does not say %q:\n%s", words, record.text())
		}
	}
	evidence := url.Values{"once": {record.onceOf(record.path + "/evidence")}, "why": {"抽查拒绝的调用"}, "paper": {"云审通〔2026〕17号"}}
	opened := b.send(record.path+"/evidence", evidence)
	for _, words := range []string{"对外说法：", "真实理由：", "窗口工作人员编号"} {
		if !strings.Contains(opened.text(), words) {
			t.Errorf("the evidence does not say %q:\n%s", words, opened.text())
		}
	}
	before = o.size()
	if b.send(record.path+"/evidence", evidence); o.size() != before {
		t.Error("the form sent twice opened the evidence twice")
	}
	compared := b.send(record.path+"/compare", url.Values{"once": {opened.onceOf(record.path + "/compare")}})
	if !strings.Contains(compared.text(), "此人当日") {
		t.Errorf("compared:\n%s", compared.text())
	}
	before = o.size()
	weekly := url.Values{"once": {opened.onceOf(record.path + "/week")}}
	week := b.send(record.path+"/week", weekly)
	if b.send(record.path+"/week", weekly); o.size()-before != 1 || !regexp.MustCompile(`此持证人 7 日内被 [1-9]\d* 家系统查询，共 [1-9]\d* 条记录`).MatchString(week.text()) {
		t.Errorf("the holder's week, %d records:\n%s", o.size()-before, week.text())
	}
	person := b.send("/console/search", url.Values{"once": {opened.onceOf("/console/search")}, "record": {strings.TrimPrefix(record.path, "/console/records/")}, "who": {"operator"}})
	if len(person.indexes()) == 0 || !strings.Contains(person.text(), "人员") {
		t.Errorf("the person over time:\n%s", person.text())
	}

	// a judgement
	judge := url.Values{"once": {compared.onceOf(record.path + "/dispose")}, "disposition": {"referred"}, "note": {"<script>alert(1)</script> 查后无办结"}, "to": {"service"}, "due": {"2099-12-14"}}
	before = o.size()
	judged := b.send(record.path+"/dispose", judge)
	b.send(record.path+"/dispose", judge)
	if o.size()-before != 1 || !strings.Contains(judged.text(), "转办") || strings.Contains(string(judged.body), "<script>") {
		t.Errorf("judged, %d records:\n%s", o.size()-before, judged.text())
	}
	fresh := b.open(b.search("operation", "licenses.query", "decision", "denied"), index)
	if !strings.Contains(fresh.text(), "查后无办结") {
		t.Error("who opens the record later does not see the judgement")
	}
	if bad := b.send(record.path+"/dispose", url.Values{"once": {judged.onceOf(record.path + "/dispose")}, "disposition": {"referred"}, "note": {"…"}}); !strings.Contains(bad.text(), "承办单位") {
		t.Errorf("a referral to nobody:\n%s", bad.text())
	}

	// paper and bundle
	paper := b.get(record.path + "/paper")
	for _, words := range []string{"审计取证单", "取证人（签名）", "被取证单位（盖章）", "真实理由"} {
		if !strings.Contains(paper.text(), words) {
			t.Errorf("the paper does not say %q", words)
		}
	}
	bundle := b.get(record.path + "/bundle")
	o.verifiesOffline(bundle.body)

	// reports
	rows := b.send(found.path+"/report", url.Values{"once": {found.onceOf(found.path + "/report")}, "rows": {"10000"}, "format": {"csv"}})
	table, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(rows.body, []byte("\uFEFF")))).ReadAll()
	if err != nil || len(table) < 2 || table[0][0] != "记录号" || !slices.ContainsFunc(table[1:], func(r []string) bool { return slices.Contains(found.indexes(), r[0]) }) {
		t.Errorf("CSV: %v, %q", err, table)
	}
	found = b.search("operation", "cases.check")
	xlsx := b.send(found.path+"/report", url.Values{"once": {found.onceOf(found.path + "/report")}, "rows": {"all"}, "format": {"xlsx"}})
	if !bytes.HasPrefix(xlsx.body, []byte("PK\x03\x04")) {
		t.Errorf("XLSX: %d %.200s", xlsx.status, xlsx.body)
	}
}

// verifiesOffline has the real command prove a bundle with nothing but the trust folder, and refute it once a byte of the record is another.
func (o *office) verifiesOffline(bundle []byte) {
	t := o.t
	t.Helper()
	program := filepath.Join(t.TempDir(), "oncegate")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, "oncegate/cmd/oncegate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	name := filepath.Join(t.TempDir(), "bundle.zip")
	must(t, os.WriteFile(name, bundle, 0o600))
	out, err := exec.Command(program, "verify", "--trust", o.st.path("trust"), name).CombinedOutput()
	if err != nil {
		t.Errorf("oncegate verify: %v\n%s", err, out)
	}
	parts, is, err := verdict.Unpack(verdict.Artefact{Name: "b", Data: bundle})
	if err != nil || !is || len(parts) < 4 {
		t.Fatalf("the bundle: %v, %d parts", err, len(parts))
	}
	for _, p := range parts {
		if !strings.HasSuffix(p.Name, ".json") {
			continue
		}
		altered := bytes.Replace(p.Data, []byte(`"record":"ey`), []byte(`"record":"ez`), 1)
		if bytes.Equal(altered, p.Data) {
			t.Errorf("%s has no record", p.Name)
		}
		for _, v := range o.st.trust.Verify(verdict.Artefact{Name: p.Name, Data: altered}) {
			if v.Err() == nil {
				t.Errorf("%s is proven with another record", p.Name)
			}
		}
	}
}

// TestOthersSeeNoRecords tries every page of auditors as others: wrong role, wrong hall; and a supervisor, who sees inquiries alone.
func TestOthersSeeNoRecords(t *testing.T) {
	o := openOffice(t)
	auditor := o.signIn("auditor-1")
	list := auditor.search("operation", "licenses.query")
	record := auditor.open(list, list.indexes()[0])
	for _, account := range []string{"clerk-1", "steward-1"} {
		b := o.signIn(account)
		before := o.size()
		for _, path := range []string{"/console/search", list.path, record.path, record.path + "/paper", record.path + "/bundle"} {
			if p := b.get(path); p.status != 403 {
				t.Errorf("%s reads %s: %d", account, path, p.status)
			}
		}
		for _, path := range []string{"/console/today", "/console/search", "/console/records", list.path + "/next", list.path + "/report", record.path + "/evidence", record.path + "/dispose", record.path + "/compare", record.path + "/week"} {
			if p := b.send(path, url.Values{"once": {"AAAAAAAAAAAAAAAAAAAAAA"}, "index": {"3"}}); p.status != 403 {
				t.Errorf("%s posts %s: %d", account, path, p.status)
			}
		}
		if n := o.size() - before; n != 0 {
			t.Errorf("%s left %d records", account, n)
		}
	}
	s := o.signIn("supervisor-1")
	inquiries := s.search()
	if len(inquiries.indexes()) == 0 || strings.Contains(inquiries.text(), "核对办件材料 ") {
		t.Errorf("the supervisor sees:\n%s", inquiries.text())
	}
	if p := s.get(record.path); p.status != 404 {
		t.Errorf("the supervisor reads what the auditor keeps: %d", p.status)
	}
	if p := s.open(inquiries, list.indexes()[0]); !strings.Contains(p.text(), "没有") && p.status != 404 {
		t.Errorf("the supervisor opens a query: %d\n%s", p.status, p.text())
	}
	if p := auditor.open(list, inquiries.indexes()[0]); p.status == 200 && strings.Contains(p.text(), "已证明") {
		t.Errorf("the auditor opens an inquiry:\n%s", p.text())
	}
	if p := s.send(list.path+"/report", url.Values{"once": {"AAAAAAAAAAAAAAAAAAAAAA"}}); p.status != 403 {
		t.Errorf("the supervisor takes a report: %d", p.status)
	}
}

// TestAuditorInABrowser walks in a real browser from a search to a bundle that is verified offline.
func TestAuditorInABrowser(t *testing.T) {
	o := openOffice(t)
	ctx := consoletest.Browser(t)
	do := func(what string, actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		last := len(actions) - 1 // what leads to the page
		if err := chromedp.Do(ctx, append(slices.Clone(actions[:last]), consoletest.Follow(actions[last]))...); err != nil {
			t.Fatal(what, err)
		}
	}
	picture := func(name string) {
		t.Helper()
		consoletest.Photograph(ctx, t, "auditor-"+name, 1440, 390)
		must(t, chromedp.Do(ctx, chromedp.EmulateViewport(1440, 900)))
	}
	base := o.st.node.PublicURL()
	do("sign in", chromedp.Navigate(base+"/console/sign-in"), chromedp.SendKeys("#account", "auditor-1"), chromedp.SendKeys("#password", accountPassword+"\r"))
	picture("search-empty")
	do("today", chromedp.Click(`form[action="/console/today"] button`))
	picture("today")
	do("search", chromedp.Navigate(base+"/console/search"), chromedp.Click(`.asking button.primary`))
	picture("found")
	do("checks", chromedp.Navigate(base+"/console/search"), chromedp.SetValue(`select[name=operation]`, "cases.check"), chromedp.Click(`.asking button.primary`))
	do("record", chromedp.Click(`tbody tr:last-child button[name=index]`))
	picture("record")
	do("course", chromedp.Click(`button[name=who][value=case]`))
	picture("course")
	do("refused", chromedp.Navigate(base+"/console/search"), chromedp.SetValue(`select[name=decision]`, "denied"), chromedp.Click(`.asking button.primary`))
	do("record", chromedp.Click(`tbody tr button[name=index]`))
	do("evidence", chromedp.Click(`#evidence ~ details summary`), chromedp.SendKeys("#why", "抽查拒绝的调用"), chromedp.SendKeys("#paper", "云审通〔2026〕17号\r"))
	do("compare", chromedp.Click(`form[action$="/compare"] button`))
	do("judge", chromedp.Click(`#judged ~ details summary`), chromedp.Click("#d2"), chromedp.SendKeys("#note", "查后无办结，请说明"), chromedp.SetValue("#to", "service"), chromedp.SendKeys("#due", "2099-12-14"), chromedp.Click(`form[action$="/dispose"] button.primary`))
	picture("record-opened")
	address, err := chromedp.Run(ctx, chromedp.Location())
	must(t, err)
	address, _, _ = strings.Cut(address, "#")
	do("paper", chromedp.Navigate(address+"/paper"))
	picture("paper")
	cookies, err := chromedp.Run(ctx, func(ctx context.Context, page *chromedp.Target) (network.GetCookiesResult, error) {
		return cdp.Call(ctx, page, network.GetCookies, network.GetCookiesParams{})
	})
	must(t, err)
	req, err := http.NewRequestWithContext(ctx, "GET", address+"/bundle", nil)
	must(t, err)
	for _, c := range cookies.Cookies {
		req.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	bundle, err := io.ReadAll(res.Body)
	must(t, err)
	o.verifiesOffline(bundle)
}
