package console

import (
	"bytes"
	"encoding/csv"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/chromedp/chromedp"
	"github.com/go-json-experiment/json"
	"github.com/xuri/excelize/v2"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/console/consoletest"
	"oncegate/console/session"
	"oncegate/gateway"
)

// A drawn is one state of a page.
type drawn struct {
	name, path, html string
}

// atAudit is a desk of the audit office. Every name that its gateway brings is name, or as the sample city has it.
func atAudit(t testing.TB, role, name string) *desk {
	t.Helper()
	snapshot := citySnapshot(t)
	if name != "" {
		for id := range snapshot.Departments {
			snapshot.Departments[id] = name
		}
		for id, s := range snapshot.Systems {
			s.Name = name
			snapshot.Systems[id] = s
		}
	}
	settings := session.Settings{Halls: []session.Hall{{System: "audit-office", Name: orElse(name, "云川市审计局"), Roles: []string{session.Auditor, session.Supervisor}, Phone: "0379-5550 8110"}}}
	d := atDesk(t, func(c *Config) {
		c.Snapshot = func() *gateway.Snapshot { return snapshot }
		c.Settings = func() session.Settings { return settings }
	})
	d.session.Person, d.session.Name, d.session.Hall, d.session.Department, d.session.Roles, d.session.Desk = gateway.Person{ID: "AU-0007"}, orElse(name, "示例审计甲"), "audit-office", "audit", []string{role}, ""
	d.answer = d.audits(name)
	return d
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// clerkNo is whom the made-up evidence names as acting.
const clerkNo = "CK-0311"

// audits answers as a gateway with a few records does: a released one, a refused one whose case never ended, and one that a source failed.
func (d *desk) audits(name string) func(string, gateway.Question) (*gateway.Reply, error) {
	at := func(minutes int) api.Time { return api.At(d.now.Add(-time.Duration(minutes) * time.Minute)) }
	use := func(decision string, change func(*api.AuditUse)) []api.AuditUse {
		u := api.AuditUse{LicenseType: "business-license", Matter: "YC-FOOD-01", Material: "business-license", Case: "SP-20261130-0001", Decision: decision, Basis: "case", Source: "samr-source", Rules: []string{"g-food"}, Fields: []string{}}
		if change != nil {
			change(&u)
		}
		return []api.AuditUse{u}
	}
	fields := []string{"name", "number", "holder_name", "holder_code", "legal_representative", "address"}
	records := []api.AuditRecord{
		{Index: 31, Time: at(2), System: "street-hall", Operation: "cases.check", OperatorProof: audit.OperatorBySession, OperatorService: orElse(name, "staff-identity"), OperatorRoles: []string{orElse(name, "clerk")}, RequestID: orElse(name, "5e0a"), Uses: use("release", func(u *api.AuditUse) {
			u.Fields, u.Freshness = fields, "live "+d.now.Format(time.RFC3339)
			if name != "" {
				u.Case, u.Freshness, u.Source, u.Fields, u.Basis, u.Material = name, name, name, append(slices.Clone(fields), name), name, name
			}
		})},
		{Index: 30, Time: at(9), System: "street-hall", Operation: "licenses.query", OperatorProof: audit.OperatorAsserted, Uses: use("denied", func(u *api.AuditUse) { u.Source = "" })},
		{Index: 29, Time: at(60 * 20), System: "", Operation: orElse(name, "policy.activate"), OperatorProof: audit.OperatorNone, Uses: []api.AuditUse{}},
		{Index: 28, Time: at(60 * 21), System: orElse(name, "street-hall"), Operation: "licenses.verify", Uses: use(orElse(name, "unavailable"), nil)},
	}
	receipt := api.Receipt{Index: 31, Checkpoint: "log", Record: "e30", Proofs: api.Proofs{SM3: []string{strings.Repeat("A", 43), strings.Repeat("B", 43)}}}
	return func(operation string, q gateway.Question) (*gateway.Reply, error) {
		switch operation {
		case "audit.summary":
			var ask api.SummaryRequest
			if err := json.Unmarshal(q.Body, &ask); err != nil {
				return nil, err
			}
			a := api.SummaryAnswer{Covered: 31, Size: 31}
			for i := range ask.Days {
				a.Days = append(a.Days, api.SummaryDay{From: api.At(ask.From.AddDate(0, 0, i)), Records: 40 + i*7%11, Released: 30 + i*5%9, Refused: i % 4, Unavailable: i / 9, Decisions: []api.OperationCount{{Of: orElse(name, "cases.check"), Records: 30}, {Of: "licenses.query", Records: 11}}})
			}
			if ask.Disputes {
				about := uint64(30)
				a.Disputes = []api.Dispute{{Index: 27, Time: at(30), Record: &about}, {Index: 26, Time: at(40)}}
			}
			return answered(d.t, a), nil
		case "audit.search":
			a := api.SearchAnswer{Covered: 30, Size: 31, Records: records, Next: 28}
			if strings.Contains(string(q.Body), `"no-such`) {
				a.Records, a.Next = nil, 0
			}
			return answered(d.t, a), nil
		case "audit.record":
			i := slices.IndexFunc(records, func(r api.AuditRecord) bool { return strconv.FormatUint(r.Index, 10) == q.Path["index"] })
			if i < 0 {
				return refused("log-entry-not-found"), nil
			}
			a := api.RecordAnswer{Record: records[i], Receipt: receipt, Rules: []api.RecordRule{{ID: orElse(name, "g-food"), Agreement: orElse(name, "云川共享〔2026〕001号"), ValidUntil: "2030-12-31", Basis: orElse(name, "《中华人民共和国食品安全法》第三十五条"), Scenario: orElse(name, "食品经营许可"), Provider: "samr", LicenseType: orElse(name, "business-license")}},
				Judgements: []api.Judgement{{Index: 27, Time: at(30), Disposition: api.DispositionReferred, Note: orElse(name, "请说明为何没有办结"), To: orElse(name, "service"), Due: "2026-12-14"}}}
			if i < 2 {
				a.Case = &api.RecordCase{Case: orElse(name, "SP-20261130-0001"), Matter: orElse(name, "YC-FOOD-01"), Registrar: orElse(name, "food-approval"), Attestation: "platform", Accepted: at(60 * 24 * 40), Registered: at(60 * 24 * 40)}
			}
			if i == 0 {
				a.Case.Closed = at(1)
			}
			return answered(d.t, a), nil
		case "audit.evidence":
			return answered(d.t, api.EvidenceAnswer{Record: records[1], Said: api.Reason{Code: "case-not-usable", Zh: orElse(name, "办件号不可用"), En: orElse(name, "The case cannot be used.")}, Reasons: []api.Reason{{Code: "no-grant", Zh: orElse(name, "没有共享协议"), En: orElse(name, "No agreement allows it.")}},
				Persons: []api.EvidencePerson{{Type: audit.OperatorType, Code: orElse(name, clerkNo)}, {Type: "111", Code: husband.Code}, {Type: orElse(name, "414"), Code: orElse(name, "P12345678")}}, Erased: []string{"persons"}, ErasedBy: 12}), nil
		case "audit.dispose":
			return answered(d.t, api.DisposeAnswer{}), nil
		}
		return refused("internal"), nil
	}
}

// auditorStates opens every page of an auditor in every state that it has.
func (d *desk) auditorStates(text string) (all []drawn) {
	d.t.Helper()
	keep := func(name, path, html string) { all = append(all, drawn{name, path, html}) }
	send := func(name, path string, pairs ...string) (string, string) {
		d.t.Helper()
		f := url.Values{"form": {formToken}}
		for i := 0; i < len(pairs); i += 2 {
			f.Set(pairs[i], pairs[i+1])
		}
		res, err := http.PostForm(d.server.URL+path, f)
		if err != nil {
			d.t.Fatal(err)
		}
		at := res.Request.URL.Path
		html := d.body(res, nil)
		keep(name, at, html)
		return at, html
	}
	once := func() string { return d.console.visit(nil, httpRequest()).once() }
	supervisor := d.session.Has(session.Supervisor)
	send("today", "/console/today", "once", once())
	keep("search", "/console/search", d.get("/console/search"))
	send("search-wrong", "/console/search", "once", once(), "from", text, "to", "yesterday", "case", strings.Repeat("9", 65), "operator", strings.Repeat("9", 65), "holder", "379901198503072315")
	list, _ := send("found", "/console/search", "once", once(), "from", "2026-11-24", "to", "2026-11-30", "operator", clerkNo, "operation", "cases.check")
	send("found-next", list+"/next")
	send("found-none", "/console/search", "once", once(), "matter", "no-such")
	send("course-case", "/console/search", "once", once(), "case", "SP-20261130-0001", "layout", "case")
	send("course-person", "/console/search", "once", once(), "operator", clerkNo, "layout", "person")
	send("record-wrong", "/console/records", "once", once(), "index", "x")
	send("record-gone", "/console/records", "once", once(), "index", "9999")
	from := strings.TrimPrefix(list, "/console/search/")
	send("record", "/console/records", "once", from, "index", "31")
	send("record-plain", "/console/records", "once", from, "index", "29")
	record, _ := send("record-refused", "/console/records", "once", from, "index", "30")
	send("evidence-wrong", record+"/evidence", "once", once(), "why", text, "paper", "")
	send("record-opened", record+"/evidence", "once", once(), "why", "抽查", "paper", "云审通〔2026〕17号")
	if !supervisor {
		send("record-compared", record+"/compare", "once", once())
		send("record-week", record+"/week", "once", once())
		send("judge-wrong", record+"/dispose", "once", once(), "disposition", "normal", "note", "")
		send("judge-nobody", record+"/dispose", "once", once(), "disposition", "referred", "note", text)
		send("judge-late", record+"/dispose", "once", once(), "disposition", "referred", "note", text, "to", "service", "due", "2020-01-01")
		send("judged", record+"/dispose", "once", once(), "disposition", "false-alarm", "note", text)
	}
	keep("paper", record+"/paper", d.get(record+"/paper"))
	keep("unknown", "/console/nowhere/at/all", d.get("/console/nowhere/at/all"))
	keep("gone", "/console/search/AAAAAAAAAAAAAAAAAAAAAA", d.get("/console/search/AAAAAAAAAAAAAAAAAAAAAA"))
	for _, one := range []struct {
		name  string
		shown any
	}{
		{"sign-in", &session.SignIn{Local: true, Form: "form"}}, {"sign-in-wrong", &session.SignIn{Local: true, Form: "form", Account: text, Fault: session.CodeWrong, Wait: 30 * time.Second}}, {"sign-in-none", &session.SignIn{Form: "form"}},
		{"sign-in-changing", &session.SignIn{Local: true, Changing: true, Form: "form"}}, {"place", &session.Place{Form: "form", Halls: d.console.Settings().Halls, Fault: session.CodeNoRole}},
		{"lock", &session.Lock{Form: "form", Code: session.CodeLocked, Kept: true}}, {"lock-password", &session.Lock{Form: "form", Code: session.CodeLocked, Password: true, Lost: true, Fault: session.CodeWrong}},
		{"lock-fresh", &session.Lock{Form: "form", Code: session.CodeFresh, Kept: true, Fault: session.CodeUsed}}, {"refused", &session.Refused{Code: session.CodeForm}},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/console/"+one.name, nil)
		d.console.Draw(w, r.WithContext(session.Into(r.Context(), d.session)), 200, one.shown)
		keep(one.name, "/console/"+one.name, w.Body.String())
	}
	return all
}

// TestAuditorPages opens every state of the pages of auditors, supervisors and the Gate, in Chinese and English: they are sound, small, have one
// record each, and say neither codes of persons in addresses nor, in English, anything in Chinese but what the data say.
func TestAuditorPages(t *testing.T) {
	for _, role := range []string{session.Auditor, session.Supervisor} {
		for _, language := range []string{"", "en"} {
			t.Run(role+language, func(t *testing.T) {
				name := ""
				if language == "en" {
					name = "A Name"
				}
				d := atAudit(t, role, name)
				d.session.Preferences = session.Preferences{Language: language}
				for _, one := range d.auditorStates("a note") {
					page := consoletest.Read(t, one.html)
					for _, fault := range page.Faults() {
						t.Errorf("%s: %s", one.name, fault)
					}
					if page.Says("/v1/") {
						t.Errorf("%s speaks to a program", one.name)
					}
					if len(one.html) > 25<<10 {
						t.Errorf("%s has %d bytes", one.name, len(one.html))
					}
					for _, code := range []string{husband.Code, clerkNo} {
						if strings.Contains(one.path, code) {
							t.Errorf("%s: the address %s names a person", one.name, one.path)
						}
						if strings.Contains(one.html, code) && !slices.Contains([]string{"record-opened", "record-compared", "record-week", "judge-wrong", "judge-nobody", "judge-late", "judged"}, one.name) && !strings.Contains(one.html, `value="`+code+`"`) {
							t.Errorf("%s shows the code of a person whose evidence was not opened", one.name)
						}
					}
					if language == "en" && one.name != "paper" {
						for _, left := range chineseIn(page) {
							t.Errorf("%s: Chinese is left: %s", one.name, left)
						}
					}
				}
			})
		}
	}
}

// chineseIn are the texts of a page with Chinese in them, but those that say they are Chinese.
func chineseIn(p consoletest.Page) (left []string) {
	for n := range p.Root.Descendants() {
		if n.Parent != nil && strings.HasPrefix(consoletest.Attribute(n.Parent, "lang"), "zh") && n.Parent.Data != "html" {
			continue
		}
		texts := []string{n.Data}
		for _, a := range n.Attr {
			if a.Key != "value" {
				texts = append(texts, a.Val)
			}
		}
		for _, text := range texts {
			if strings.ContainsFunc(text, func(r rune) bool {
				return unicode.Is(unicode.Han, r) || r >= '　' && r <= '】' || r >= '！' && r <= '～'
			}) {
				left = append(left, strings.TrimSpace(text))
			}
		}
	}
	return left
}

// What was compared inside the gateway did not leave it: no page says that it was given.
func TestComparedIsNotGiven(t *testing.T) {
	d := atAudit(t, session.Auditor, "")
	v := d.console.visit(nil, httptest.NewRequest(http.MethodGet, "/console/", nil))
	for decision, given := range map[string]bool{"release": true, "met": true, "confirm": false, "unconfirmed": false} {
		u := api.AuditUse{LicenseType: "business-license", Decision: decision, Fields: []string{"legal_representative"}}
		row := v.useRow(u)
		text, _ := v.sentence(api.AuditRecord{System: "street-hall", Operation: "cases.check", OperatorProof: audit.OperatorNone, Time: api.At(d.now), Uses: []api.AuditUse{u}})
		if row.Compared == given || (len(row.Withheld) > 0) != given || strings.Contains(text, "营业执照 1 项") != given {
			t.Errorf("%s: %+v, %s", decision, row, text)
		}
	}
}

// Hostile texts, in every name that a record, an agreement, a judgement or its evidence has and in every field, stay text.
func TestAuditorPagesHostile(t *testing.T) {
	for _, bad := range append(slices.Clone(hostile), "\u202e"+strings.Repeat("甲", 5000)) {
		name := strings.ToValidUTF8(bad, "?")
		d := atAudit(t, session.Auditor, name)
		for _, one := range d.auditorStates(bad) {
			for _, fault := range consoletest.Read(t, one.html).Faults() {
				t.Errorf("%.30q: %s: %s", bad, one.name, fault)
			}
		}
	}
}

// TestAuditorScreens photographs every state of the pages of auditors, supervisors and the Gate, and holds it to WCAG 2.2 AA: in Chinese and
// English, in large type, and in high contrast.
func TestAuditorScreens(t *testing.T) {
	if os.Getenv(consoletest.Screens) == "" && os.Getenv(consoletest.AxeFile) == "" {
		t.Skip("neither pictures are wanted nor is axe-core there: " + consoletest.Screens + ", " + consoletest.AxeFile)
	}
	for _, v := range []struct {
		name, role  string
		preferences session.Preferences
		sometimes   bool
	}{
		{"auditor", session.Auditor, session.Preferences{}, false}, {"auditor-en", session.Auditor, session.Preferences{Language: "en"}, true}, {"auditor-large", session.Auditor, session.Preferences{Large: true}, true},
		{"auditor-contrast", session.Auditor, session.Preferences{Contrast: true}, true}, {"supervisor", session.Supervisor, session.Preferences{}, true}, {"supervisor-en", session.Supervisor, session.Preferences{Language: "en"}, false},
	} {
		t.Run(v.name, func(t *testing.T) {
			if v.sometimes && os.Getenv(consoletest.Screens) == "" && os.Getenv("ONCEGATE_LONG") == "" {
				t.Skip("it differs from the others in its style sheet or its menu alone: ONCEGATE_LONG opens it, too")
			}
			d := atAudit(t, v.role, "")
			d.session.Preferences = v.preferences
			states := d.auditorStates("说明")
			shown := map[string]string{}
			for _, one := range states {
				shown["/state/"+one.name] = one.html
			}
			mux := http.NewServeMux()
			mux.Handle("/console/", d.console.Handler(d))
			mux.HandleFunc("/state/", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				_, _ = w.Write([]byte(shown[r.URL.Path]))
			})
			server := httptest.NewServer(mux)
			defer server.Close()
			ctx := consoletest.Browser(t)
			for _, one := range states {
				if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/state/"+one.name), chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("details").forEach(d => d.open = true)`)); err != nil {
					t.Fatal(one.name, err)
				}
				consoletest.Photograph(ctx, t, v.name+"-"+one.name, 1440, 390)
				consoletest.Accessible(ctx, t, one.name)
				if one.name != "paper" {
					continue
				}
				pdf, err := chromedp.Run(ctx, chromedp.PrintToPDF(chromedp.PDFPreferCSSPageSize()))
				if err != nil {
					t.Fatal(err)
				}
				if dir := os.Getenv(consoletest.Screens); dir != "" {
					_ = os.WriteFile(filepath.Join(dir, v.name+"-paper.pdf"), pdf, 0o600)
				}
				if pages := strings.Count(string(pdf), "/Type /Page\n") + strings.Count(string(pdf), "/Type/Page/"); pages != 1 {
					t.Errorf("the evidence sheet is printed on %d pages", pages)
				}
			}
		})
	}
}

// A report is data to a spreadsheet: texts that begin as formulas do are inert in CSV and texts in XLSX, where numbers are numbers and moments
// moments, in the time of China.
func TestReportCells(t *testing.T) {
	moment := time.Date(2026, 11, 29, 18, 30, 5, 0, time.UTC)
	texts := []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "＋1", "－1", "＠SUM", `=HYPERLINK("http://x")`, "食品", "<b>", "123456789012345678"}
	var plain, packed bytes.Buffer
	book, err := newWorkbook(&packed, "records")
	if err != nil {
		t.Fatal(err)
	}
	csvTable := newTable(&plain)
	for _, text := range texts {
		for _, w := range []rowWriter{csvTable, book} {
			if err := w.row([]any{uint64(31), moment, text}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, w := range []rowWriter{csvTable, book} {
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(plain.Bytes(), []byte("\uFEFF")))).ReadAll()
	if err != nil || len(rows) != len(texts) {
		t.Fatal(err, len(rows))
	}
	read, err := excelize.OpenReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	for i, text := range texts {
		if got := rows[i]; got[0] != "31" || got[1] != "2026-11-30 02:30:05" || strings.ContainsAny(got[2][:1], "=+-@\t\r\n") || strings.ContainsRune("＝＋－＠", []rune(got[2])[0]) {
			t.Errorf("CSV: %q", got)
		}
		n := strconv.Itoa(i + 1)
		number, _ := read.GetCellType("records", "A"+n)
		day, _ := read.GetCellValue("records", "B"+n)
		formula, _ := read.GetCellFormula("records", "C"+n)
		kind, _ := read.GetCellType("records", "C"+n)
		value, _ := read.GetCellValue("records", "C"+n)
		if number != excelize.CellTypeUnset && number != excelize.CellTypeNumber || day != "2026-11-30 02:30:05" || formula != "" || kind != excelize.CellTypeInlineString || value != text && !strings.ContainsAny(text, "\r\n\t") {
			t.Errorf("XLSX: %v %s %q %v %q of %q", number, day, formula, kind, value, text)
		}
	}
}
