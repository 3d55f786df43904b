package console

import (
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/console/consoletest"
	"oncegate/gateway"
	"oncegate/license"
)

// checked has a case checked from an empty form and returns the page with its result.
func (d *desk) checked(no string) consoletest.Page {
	d.t.Helper()
	form := consoletest.Read(d.t, d.post("/console/window", "once", consoletest.Read(d.t, d.get("/console/window")).Form("/console/window")["once"], "at", "scan", "scan", no))
	return consoletest.Read(d.t, d.post("/console/window", "once", form.Form("/console/window")["once"], "at", "go", "no", no, "who", "self"))
}

// TestResultSpeaksAsACounterDoes holds the words of the result page for every state: the sentence first, what to say, and a line for each material.
func TestResultSpeaksAsACounterDoes(t *testing.T) {
	d := atDesk(t)
	d.answer = d.flat(taxDown)
	page := d.checked("SP-20261130-0001")
	if got := page.Headline(); got != "5 份材料，4 份不用交，1 份暂时查不到。可以受理。" {
		t.Errorf("headline: %s", got)
	}
	want := [][]string{
		{"不动产权证书", "已获取，不用交", "自然资源局 09:16", "入卷"}, {"申请人身份证", "已获取，不用交", "公安局 09:16", "入卷"}, {"配偶身份证", "已获取，不用交", "公安局 09:16", "入卷"},
		{"结婚证", "已获取，不用交", "民政局 09:16", "入卷"}, {"完税证明", "暂时查不到对方系统没有应答，不是群众的原因", "税务局", "打印容缺承诺书收材料"},
	}
	if got := page.Rows(); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("rows: %q", got)
	}
	for _, words := range []string{"税务局的系统暂时连不上，不是您的原因。", "您签一份容缺承诺书就先受理", "12月14日（10 个工作日）", "记录 28", "王**"} {
		if !strings.Contains(page.HTML, words) {
			t.Errorf("the page does not say %q", words)
		}
	}

	for _, expected := range []struct {
		back  time.Duration
		words string
	}{{44 * time.Minute, "税务局 预计 10:00 恢复"}, {24 * time.Hour, "税务局 预计 12月1日 09:16 恢复"}, {-time.Minute, "税务局"}} {
		d.answer = d.flat(func(m map[string]*api.CheckedMaterial) {
			taxDown(m)
			m["tax-clearance"].Expected = api.At(d.now.Add(expected.back))
		})
		if got := d.checked("SP-20261130-0001").Rows()[4][2]; got != expected.words {
			t.Errorf("a source that is expected back in %v: %q", expected.back, got)
		}
	}

	d.answer = d.flat(manyThings)
	page = d.checked("SP-20261130-0002")
	if got := page.Headline(); got != "5 份材料，1 份不用交，1 份暂时查不到，1 份不能用，2 份要收。收齐再受理。" {
		t.Errorf("headline: %s", got)
	}
	for i, word := range []string{"已吊销，不能用", "已获取，不用交", "本次不能调取，请收材料", "未查到", "暂时查不到"} {
		if row := page.Rows()[i]; !strings.HasPrefix(row[1], word) {
			t.Errorf("row %d: %q", i, row)
		}
	}
	if rows := page.Rows(); rows[3][3] != "打印告知承诺书收材料" || rows[2][3] != "收材料" {
		t.Errorf("the next step is not what the list of the matter allows: %q", rows)
	}
	d.answer = d.flat(nil)
	if got := d.checked("SP-20261130-0003").Headline(); got != "5 份材料，都不用交。可以受理。" {
		t.Errorf("headline: %s", got)
	}
}

// codes are words for programs, which do not stand in a sentence.
var codesInText = regexp.MustCompile(`\b(source|case|role|license|operator|attestation|not|no|policy|question|record)-[a-z]+(-[a-z]+)*\b`)

// TestEveryReasonHasWords gives the result page every state and reason that a check can tell: it always has words, and never a code.
func TestEveryReasonHasWords(t *testing.T) {
	d := atDesk(t)
	reasons := map[api.MaterialState][]string{
		api.MaterialStateUnavailable: {"source-unavailable", "source-faulty", "source-busy", "role-source-unavailable", "role-source-busy", "role-source-faulty", "license-presented", "licenses-too-many", "another"},
		api.MaterialStateLapsed:      {"expired", "revoked", "suspended", "superseded", "not-yet-valid"},
		api.MaterialStateMismatched:  {"not-as-expected", "record-of-other-holder", "record-of-other-type", "record-unreadable"},
		api.MaterialStateMissing:     {"not-found", "question-unanswerable", "no-party-in-role", "material-has-no-source"},
		api.MaterialStateDenied:      {"no-grant", "attestation-too-weak", "operator-proof-weak", "operator-role-missing", "consent-missing", "role-not-in-record", "role-record-not-found", "role-not-granted", "policy", "suspended"},
		api.MaterialStateCovered:     {""},
	}
	for state, all := range reasons {
		for _, reason := range all {
			for _, fall := range []api.Fallback{{Kind: api.FallbackKindUpload}, {Kind: api.FallbackKindTolerate, Deadline: "2026-12-14"}, {Kind: api.FallbackKindPromise, Deadline: "2026-12-14"}, {Kind: api.FallbackKindTolerate}} {
				d.answer = d.flat(func(m map[string]*api.CheckedMaterial) {
					one := m["marriage-certificate"]
					one.State, one.Reason, one.Fallback = state, api.Reason{Code: reason, Zh: "…"}, fall
				})
				page := d.checked("SP-1")
				row := page.Rows()[3]
				if row[1] == "" || strings.HasPrefix(row[1], "，") || len(row[1]) < 6 {
					t.Errorf("%s, %s: no words: %q", state, reason, row)
				}
				visible := consoletest.Text(page.Root)
				if code := codesInText.FindString(visible); code != "" {
					t.Errorf("%s, %s: the page says the code %s", state, reason, code)
				}
				if state != api.MaterialStateCovered && row[3] == "" {
					t.Errorf("%s, %s: no next step, a dead end: %q", state, reason, row)
				}
			}
		}
	}
}

// TestFormKeepsWhatIsThere holds the form: full-width characters are read, wrong check characters are found before any call, errors stand under
// their fields, and the focus is in the next empty field.
func TestFormKeepsWhatIsThere(t *testing.T) {
	d := atDesk(t)
	d.answer = func(string, gateway.Question) (*gateway.Reply, error) {
		t.Error("a call was made")
		return refused("internal"), nil
	}
	page := consoletest.Read(d.t, d.get("/console/window"))
	if _, _, focus := page.Input("scan"); !focus {
		t.Error("the cursor is not in the field to scan into")
	}
	page = consoletest.Read(d.t, d.post("/console/window", "once", page.Form("/console/window")["once"], "at", "scan", "scan", ""))
	if _, fault, focus := page.Input("scan"); fault == "" || !focus {
		t.Errorf("an empty scan: %q", fault)
	}
	page = consoletest.Read(d.t, d.post("/console/window", "once", page.Form("/console/window")["once"], "at", "scan", "scan", "　３７９９０１１９８５０３０７２３１５ "))
	if value, fault, _ := page.Input("scan"); fault == "" || value != "379901198503072315" {
		t.Errorf("a wrong check character: %q, %q", value, fault)
	}
	page = consoletest.Read(d.t, d.post("/console/window", "once", page.Form("/console/window")["once"], "at", "scan", "scan", "ＳＰ－２０２６１１３０－０００１　"))
	if value, _, _ := page.Input("no"); value != "SP-20261130-0001" {
		t.Errorf("a case number in full-width characters became %q", value)
	}
	page = consoletest.Read(d.t, d.post("/console/window", "once", page.Form("/console/window")["once"], "at", "scan", "matter", "YC-FOOD-01"))
	if _, fault, focus := page.Input("applicant"); fault != "" || !focus {
		t.Errorf("a matter was chosen: %q", fault)
	}
	page = consoletest.Read(d.t, d.post("/console/window", "once", page.Form("/console/window")["once"], "at", "applicant", "matter", "YC-FOOD-01", "applicant", "91379901MA9920002"))
	if value, fault, focus := page.Input("applicant"); fault != "应为 18 位，现在是 17 位，请再核对。" || !focus || value != "91379901MA9920002" {
		t.Errorf("a code of 17 characters: %q, %q", value, fault)
	}
	code, err := license.MakeUSCC("91379901MA9920002")
	if err != nil {
		t.Fatal(err)
	}
	page = consoletest.Read(d.t, d.post("/console/window", "once", page.Form("/console/window")["once"], "at", "applicant", "matter", "YC-FOOD-01", "applicant", strings.ToLower(code)))
	if _, fault, _ := page.Input("applicant"); fault != "" {
		t.Errorf("a right code: %q", fault)
	}
	if _, _, focus := page.Input("role.legal_representative"); !focus {
		t.Error("the cursor is not in the next empty field")
	}
	page = consoletest.Read(d.t, d.post("/console/window", "once", page.Form("/console/window")["once"], "at", "role.legal_representative", "no", "SP-1", "who", "agent"))
	if _, fault, focus := page.Input("person"); fault != "" || !focus {
		t.Errorf("an agent comes: %q", fault)
	}
	page = consoletest.Read(d.t, d.post("/console/window", "once", page.Form("/console/window")["once"], "at", "person", "no", "SP-1", "who", "agent", "person", ""))
	if _, fault, _ := page.Input("person"); fault == "" {
		t.Error("nobody is named, and the form does not say so")
	}
	if n := d.called(); n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

// TestSentTwiceIsOneRecord sends one form many times at once, and reads the result again: one call.
func TestSentTwiceIsOneRecord(t *testing.T) {
	d := atDesk(t)
	slow := d.flat(taxDown)
	d.answer = func(operation string, q gateway.Question) (*gateway.Reply, error) {
		time.Sleep(50 * time.Millisecond)
		return slow(operation, q)
	}
	once := consoletest.Read(d.t, d.get("/console/window")).Form("/console/window")["once"]
	pages := make(chan string, 8)
	for range cap(pages) {
		go func() { pages <- d.post("/console/window", "once", once, "at", "go", "no", "SP-1", "who", "self") }()
	}
	for range cap(pages) {
		if got := consoletest.Read(d.t, <-pages).Headline(); !strings.HasPrefix(got, "5 份材料") {
			t.Errorf("headline: %s", got)
		}
	}
	d.post("/console/window", "once", once, "at", "go", "no", "SP-1", "who", "self")
	for range 3 {
		d.get("/console/window/" + once)
		d.get("/console/window/" + once + "/notice")
	}
	if n := d.called(); n != 1 {
		t.Errorf("%d calls for one form", n)
	}
}

// TestLateSources holds that a page does not wait: it says that the call is under way, and shows its result when it is there.
func TestLateSources(t *testing.T) {
	d := atDesk(t, func(c *Config) { c.Late = 30 * time.Millisecond })
	go_ := make(chan struct{})
	slow := d.flat(taxDown)
	d.answer = func(operation string, q gateway.Question) (*gateway.Reply, error) {
		<-go_
		return slow(operation, q)
	}
	once := consoletest.Read(d.t, d.get("/console/window")).Form("/console/window")["once"]
	page := consoletest.Read(d.t, d.post("/console/window", "once", once, "at", "go", "no", "SP-1", "who", "self"))
	if page.Headline() != "正在查……" || !strings.Contains(page.HTML, "看结果") || strings.Contains(page.HTML, "http-equiv=\"refresh\"") {
		t.Errorf("while the source is late:\n%s", page.HTML)
	}
	close(go_)
	for range 100 {
		if page = consoletest.Read(d.t, d.get("/console/window/"+once)); page.Headline() != "正在查……" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := page.Headline(); !strings.HasPrefix(got, "5 份材料") {
		t.Errorf("afterwards: %s", got)
	}
	if n := d.called(); n != 1 {
		t.Errorf("%d calls", n)
	}

	d.now = d.now.Add(time.Second)
	d.answer = func(string, gateway.Question) (*gateway.Reply, error) { select {} }
	once = consoletest.Read(d.t, d.get("/console/window")).Form("/console/window")["once"]
	d.post("/console/window", "once", once, "at", "go", "no", "SP-2", "who", "self")
	d.now = d.now.Add(time.Minute)
	if got := consoletest.Read(d.t, d.get("/console/window/"+once)).Headline(); got != "这次没有查成。" {
		t.Errorf("of a call that never ended: %s", got)
	}
}

// TestUnderWayElsewhere posts a form whose call another node has taken: its page says that it is under way, and shows what the other node keeps.
func TestUnderWayElsewhere(t *testing.T) {
	d := atDesk(t)
	d.answer = func(string, gateway.Question) (*gateway.Reply, error) { return nil, api.NewProblem("token-replayed") }
	once := consoletest.Read(d.t, d.get("/console/window")).Form("/console/window")["once"]
	page := consoletest.Read(d.t, d.post("/console/window", "once", once, "at", "go", "no", "SP-1", "who", "self"))
	if got := page.Headline(); got != "正在查……" {
		t.Errorf("headline: %s", got)
	}
	d.answer = d.flat(nil)
	other := consoletest.Read(d.t, d.get("/console/window")).Form("/console/window")["once"]
	d.post("/console/window", "once", other, "at", "go", "no", "SP-1", "who", "self")
	d.kept[once] = d.kept[other]
	d.answer = func(string, gateway.Question) (*gateway.Reply, error) { return nil, api.NewProblem("token-replayed") }
	page = consoletest.Read(d.t, d.post("/console/window", "once", once, "at", "go", "no", "SP-1", "who", "self"))
	if got := page.Headline(); !strings.HasPrefix(got, "5 份材料") {
		t.Errorf("what the other node keeps is gone: %s", got)
	}
}

// BenchmarkResult measures the page of a result: our own time, without the call.
func BenchmarkResult(b *testing.B) {
	d := atDesk(b)
	d.answer = d.flat(manyThings)
	page := d.checked("SP-1")
	address := strings.TrimSuffix(page.Link("打印一次性告知单"), "/notice")
	for b.Loop() {
		d.get(address)
	}
}

// TestForeignCase says the same plain sentence for a case of others and for one that does not exist, under the number that was typed.
func TestForeignCase(t *testing.T) {
	d := atDesk(t)
	d.answer = func(string, gateway.Question) (*gateway.Reply, error) { return refused("case-not-usable"), nil }
	page := d.checked("SP-9")
	if !strings.Contains(page.HTML, "这个办件号查不到，或者不归本厅办理。") || !strings.Contains(page.HTML, "记录 29") || strings.Contains(page.HTML, "case-not-usable") {
		t.Errorf("the page says:\n%s", page.HTML)
	}
	if value, fault, focus := page.Input("scan"); value != "SP-9" || fault == "" || !focus {
		t.Errorf("the number that was typed is gone, or not said to be wrong: %q, %q", value, fault)
	}
	for code, words := range map[string]string{"too-many-requests": "", "record-unavailable": "", "tables-altered": ""} {
		p := api.NewProblem(code)
		d.answer = func(string, gateway.Question) (*gateway.Reply, error) { return nil, p }
		if page := d.checked("SP-9"); !strings.Contains(page.HTML, p.Zh) || strings.Contains(page.HTML, code) {
			t.Errorf("%s: %s\n%s", code, words, page.HTML)
		}
	}
}

// TestSaidOfWhatWasReceived: whoever handed something in, or promised it, is not told that nothing was wanted.
func TestSaidOfWhatWasReceived(t *testing.T) {
	met := cases.Judgement{State: cases.Met, Need: cases.Required}
	for how, want := range map[string]string{"": "什么都不用交", cases.HowUploaded: "材料齐了", cases.HowPromised: "在期限前补齐", cases.HowWaived: "材料齐了"} {
		all := []cases.Judgement{met, {State: cases.Missing, Need: cases.Required, Covered: how}}
		if how == "" {
			all[1] = met
		}
		said := strings.Join((&visit{}).say(make([]materialRow, len(all)), all, true), "")
		if !strings.Contains(said, want) || want != "什么都不用交" && strings.Contains(said, "不用交") {
			t.Errorf("%q: %s", how, said)
		}
	}
}

// hostile are texts that people, sources and scanners may bring.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onfocus='alert(1)`, `{{.Session}}`, "\u202e\u2066a\x00b", `javascript:alert(1)`, `</title><script>`, strings.Repeat("长", 3000), "\xff\xfe",
}

// TestHostileTexts puts hostile texts into every field and every name that a source can bring.
func TestHostileTexts(t *testing.T) {
	d := atDesk(t)
	safe := func(where string, page consoletest.Page) {
		t.Helper()
		for _, fault := range page.Faults() {
			t.Errorf("%s: %s", where, fault)
		}
	}
	for _, bad := range hostile {
		text := strings.ToValidUTF8(bad, "?")
		d.answer = d.flat(func(m map[string]*api.CheckedMaterial) {
			manyThings(m)
			for _, one := range m {
				one.Name = strings.ToValidUTF8(bad, "?")
			}
			m["applicant-id"].Fields = api.Fields{"holder_name": text, "holder_code": text, "name": text, "address": text}
		})
		page := d.checked("SP-1")
		safe("result", page)
		if strings.ContainsAny(page.HTML, "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") {
			t.Error("a name turns round what stands behind it")
		}
		once := strings.TrimPrefix(regexp.MustCompile(`/console/window/[A-Za-z0-9_-]{22}`).FindString(page.HTML), "/console/window/")
		for _, path := range []string{"/notice", "/promise/YC-LAND-07/tax-clearance", "/promise/YC-LAND-07/marriage-certificate", "/receive/YC-LAND-07/tax-clearance"} {
			safe(path, consoletest.Read(d.t, d.get("/console/window/"+once+path)))
		}
		for _, name := range []string{"scan", "no", "matter", "applicant", "type", "who", "person", "mandate", "filename", "until", "at", "once", "role.legal_representative"} {
			pairs := []string{"once", d.console.visit(nil, httpRequest()).once(), "at", "applicant", "matter", "YC-FOOD-01", "who", "agent", name, bad}
			safe(name, consoletest.Read(d.t, d.post("/console/window", pairs...)))
		}
	}
}

func httpRequest() *http.Request { r, _ := http.NewRequest(http.MethodGet, "/console/", nil); return r }

// TestSizes holds what crosses a slow line: the first page with its style, and each other page.
func TestSizes(t *testing.T) {
	d := atDesk(t)
	sheet := regexp.MustCompile(`/console/style-[a-z0-9]+\.css`).FindString(d.get("/console/window"))
	style := d.get(sheet)
	if len(style) > 14<<10 {
		t.Errorf("the style sheet has %d bytes", len(style))
	}
	if n := len(style) + len(d.get("/console/window")); n > 60<<10 {
		t.Errorf("the first page has %d bytes", n)
	}
	d.answer = d.flat(manyThings)
	page := d.checked("SP-1")
	if len(page.HTML) > 25<<10 {
		t.Errorf("the result has %d bytes", len(page.HTML))
	}
	t.Logf("style %d bytes, first page %d, result %d", len(style), len(d.get("/console/window")), len(page.HTML))
}

// TestHeaders holds the headers of pages and of the style sheet.
func TestHeaders(t *testing.T) {
	d := atDesk(t)
	for path, cache := range map[string]string{"/console/window": "no-store", d.console.sheets.path(false): "public, max-age=31536000, immutable", "/console/nothing": "no-store", "/console/style-x.css": "no-store"} {
		res, err := http.Get(d.server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Cache-Control"); got != cache {
			t.Errorf("%s: Cache-Control %q", path, got)
		}
		if !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'self'") {
			t.Errorf("%s: %q", path, res.Header.Get("Content-Security-Policy"))
		}
	}
}

// TestOutlook says before more is typed what a case of the hall's own registration cannot get, by the rules alone.
func TestOutlook(t *testing.T) {
	d := atDesk(t)
	page := consoletest.Read(d.t, d.post("/console/window", "once", consoletest.Read(d.t, d.get("/console/window")).Form("/console/window")["once"], "at", "scan", "matter", "YC-FOOD-01"))
	if !strings.Contains(consoletest.Text(page.Root), "窗口手工登记的办件，营业执照、法定代表人身份证不能调取，要收材料") {
		t.Errorf("the page says:\n%s", page.HTML)
	}
	if d.called() != 0 {
		t.Error("a call was made")
	}
}

// TestStyleForOldBrowsers holds the style sheet to what Internet Explorer 11 and its like understand.
func TestStyleForOldBrowsers(t *testing.T) {
	for name, values := range map[string]scheme{"light": light, "contrast": contrast} {
		css, err := values.fill(styleSource)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"var(", "--", "grid", "gap:", ":is(", ":where(", ":has(", ":focus-visible", ":focus-within", "clamp(", "min(", "max(", "inset", "aspect-ratio", "@supports", "@layer", "@container", "place-", "object-fit", "url(", "@import", "expression", "$"} {
			if strings.Contains(css, word) {
				t.Errorf("%s: the style sheet has %q", name, word)
			}
		}
		if strings.Count(css, "{") != strings.Count(css, "}") {
			t.Errorf("%s: braces do not match", name)
		}
	}
	if len(light) != len(contrast) {
		t.Error("the schemes have different names")
	}
	for name := range light {
		if _, ok := contrast[name]; !ok {
			t.Errorf("the contrast scheme has no %s", name)
		}
		if !strings.Contains(styleSource, "$"+name) {
			t.Errorf("%s is not used", name)
		}
	}
}

// TestContrast holds the colours of text on what they stand on to WCAG 2.2 AA (1.4.3: 4.5 to 1; 1.4.11: 3 to 1 for edges).
func TestContrast(t *testing.T) {
	pairs := []struct {
		over, under string
		least       float64
	}{
		{"ink", "paper", 4.5}, {"ink", "ground", 4.5}, {"ink", "tint", 4.5}, {"soft", "paper", 4.5}, {"soft", "ground", 4.5}, {"soft", "tint", 4.5}, {"accent", "paper", 4.5}, {"accent", "ground", 4.5}, {"accentdark", "tint", 4.5},
		{"onaccent", "accent", 4.5}, {"onaccent", "accentdark", 4.5}, {"seal", "paper", 4.5}, {"seal", "sealtint", 4.5}, {"amber", "ambertint", 4.5}, {"amber", "paper", 4.5}, {"green", "paper", 4.5}, {"ink", "ambertint", 4.5}, {"ink", "sealtint", 4.5},
		{"edge", "paper", 3}, {"focus", "paper", 3},
	}
	for name, values := range map[string]scheme{"light": light, "contrast": contrast} {
		for _, p := range pairs {
			if got := contrastOf(t, values[p.over], values[p.under]); got < p.least {
				t.Errorf("%s: %s on %s is %.2f to 1", name, p.over, p.under, got)
			}
		}
	}
	for _, name := range []string{"ink", "soft", "accent", "seal", "amber", "green"} {
		if got := contrastOf(t, contrast[name], contrast["paper"]); got < 7 {
			t.Errorf("contrast: %s is %.2f to 1", name, got)
		}
	}
}

// contrastOf is the contrast ratio of WCAG 2.2.
func contrastOf(t *testing.T, a, b string) float64 {
	t.Helper()
	one, other := luminance(t, a), luminance(t, b)
	return (max(one, other) + 0.05) / (min(one, other) + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	if len(colour) == 4 {
		colour = "#" + strings.Repeat(colour[1:2], 2) + strings.Repeat(colour[2:3], 2) + strings.Repeat(colour[3:4], 2)
	}
	var r, g, b int
	if _, err := fmt.Sscanf(colour, "#%02x%02x%02x", &r, &g, &b); err != nil {
		t.Fatal(colour, err)
	}
	return 0.2126*linear(r) + 0.7152*linear(g) + 0.0722*linear(b)
}

func linear(channel int) float64 {
	c := float64(channel) / 255
	if c <= 0.04045 {
		return c / 12.92
	}
	return math.Pow((c+0.055)/1.055, 2.4)
}
