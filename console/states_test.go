package console

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/certs/sm"
	"oncegate/console/barcode"
	"oncegate/console/consoletest"
	"oncegate/console/session"
	"oncegate/gateway"
	"oncegate/license"
)

// oneCode stands for one person, with the word of an identity service.
type oneCode struct{ holder license.HolderID }

func (o oneCode) Resolve(context.Context, string, string, string) (barcode.Meaning, error) {
	return barcode.Meaning{Holder: o.holder.Code, Type: o.holder.Type, Assertion: "a.b.c"}, nil
}

// hostileNames gives matters, materials and departments names of somebody who wants to break pages.
func (d *desk) hostileNames() {
	s := d.console.Snapshot()
	const bad = `"><script>alert(1)</script><img src=x onerror=alert(1)>` + "\u202e" + `{{.}}`
	for i := range s.Book.Matters {
		s.Book.Matters[i].Name += bad
		for j := range s.Book.Matters[i].Materials {
			s.Book.Matters[i].Materials[j].Name += bad
		}
	}
	for id := range s.Departments {
		s.Departments[id] += bad
	}
}

// atHall is a desk of the hall of the sample city, whose permissions it has.
func atHall(t testing.TB, change ...func(*Config)) *desk {
	t.Helper()
	settings := sampleSettings(t)
	settings.Halls[0].System = "street-hall"
	d := atDesk(t, append(change, func(c *Config) {
		c.Settings = func() session.Settings { return settings }
		c.Codes = func() Resolver { return oneCode{license.HolderID{Type: typeResident, Code: wife.Code}} }
		c.Handled = func(string) (int, bool) { return 31, true }
	})...)
	d.session.Hall = "street-hall"
	return d
}

// premises is the check of a change of a food permit: the permit is there, the proof of premises is on file or must be brought.
func (d *desk) premises(file cases.State) func(string, gateway.Question) (*gateway.Reply, error) {
	return func(operation string, q gateway.Question) (*gateway.Reply, error) {
		switch operation {
		case "cases.materials":
			return answered(d.t, api.MaterialAnswer{How: api.HowUploaded}), nil
		case "cases.file":
			return answered(d.t, api.FileAnswer{Level: "B", ValidUntil: "2027-11-30"}), nil
		case "cases.handover":
			return answered(d.t, api.HandOverAnswer{Case: q.Path["no"], HandedOver: api.At(d.now)}), nil
		}
		a := api.CheckAnswer{Case: q.Path["no"], Matter: "YC-FOOD-02", CanProceed: file != cases.Missing, Time: api.At(d.now)}
		matter, _ := d.console.Snapshot().Book.Matter("YC-FOOD-02")
		for _, m := range matter.Materials {
			one := api.CheckedMaterial{Matter: matter.Code, Material: m.Code, Name: m.Name, Need: api.Need(m.Need), LicenseType: m.LicenseType, State: api.MaterialStateMet, Source: d.console.Snapshot().Serves[m.LicenseType], Freshness: api.FreshnessLive, AsOf: api.At(d.now)}
			if m.LicenseType != "" && bytes.Contains(q.Body, []byte("documents")) {
				one.Document = api.LicenseDocument{Form: "ofd", MediaType: cases.MediaOFD, Content: base64.RawURLEncoding.EncodeToString([]byte("PK\x03\x04 a copy"))}
			}
			if m.Filing != "" {
				one.LicenseType, one.Source, one.Freshness, one.AsOf, one.State = "", "", "", api.Time{}, api.MaterialState(file)
				if file == cases.OnFile {
					one.Filed = api.FiledMaterial{Level: "B", Verification: "original-seen", Department: "service", FiledOn: "2026-03-02", ValidUntil: "2027-03-02"}
					if bytes.Contains(q.Body, []byte("files")) {
						content := []byte("%PDF-1.7 lease")
						one.Filed.File = api.FiledFile{MediaType: cases.MediaPDF, Content: base64.RawURLEncoding.EncodeToString(content), SM3: sm.DigestB64(content)}
					}
				} else {
					one.Reason, one.Fallback = api.Reason{Code: "material-has-no-source"}, api.Fallback{Kind: api.FallbackKindUpload}
				}
			}
			a.Materials = append(a.Materials, one)
		}
		return answered(d.t, a), nil
	}
}

// late is a check of which two sources answer later, or, where hang is given, not before it is closed.
func (d *desk) late(hang chan struct{}) func(string, gateway.Question) (*gateway.Reply, error) {
	whole := d.flat(taxDown)
	first := d.flat(func(m map[string]*api.CheckedMaterial) {
		taxDown(m)
		for code, reason := range map[string]string{"marriage-certificate": "source-late", "spouse-id": "role-source-late"} {
			m[code].State, m[code].Reason, m[code].AsOf, m[code].Freshness, m[code].Fallback = api.MaterialStateUnavailable, api.Reason{Code: reason}, api.Time{}, "", api.Fallback{Kind: api.FallbackKindUpload}
		}
	})
	return func(operation string, q gateway.Question) (*gateway.Reply, error) {
		if bytes.Contains(q.Body, []byte(`"materials"`)) {
			<-hang
			return whole(operation, q)
		}
		return first(operation, q)
	}
}

var dueCases = []api.CaseSummary{
	{Case: "BDC-2026-0117", Matter: "YC-LAND-07", Due: 1, Overdue: 1, Deadline: "2026-11-16"}, {Case: "SLBDC-20261116-00000031", Matter: "YC-LAND-07", Own: true, Due: 2, Deadline: "2026-11-30"},
	{Case: "SP-2026-0208", Matter: "YC-FOOD-01", Waiting: 1}, {Case: "SLBDC-20261127-00000044", Matter: "YC-LAND-07", Own: true, Due: 1, Waiting: 1, Deadline: "2026-12-11"},
}

// A pageState is a page of the window as somebody can find it: how to get there, what it says, and whether it is to print.
type pageState struct {
	name   string
	answer func(d *desk) func(string, gateway.Question) (*gateway.Reply, error)
	steps  []chromedp.Action[chromedp.Void]
	says   []string
	prints bool
}

func typing(selector, text string) chromedp.Action[chromedp.Void] {
	return consoletest.Follow(chromedp.SendKeys(selector, text+"\r"))
}

func pressing(selector string) chromedp.Action[chromedp.Void] {
	return consoletest.Follow(chromedp.Click(selector))
}

// TestStates opens the states of the window's pages that TestScreens does not, photographs and prints them, and holds each to WCAG 2.2 AA; with plain
// names, and with names that mean harm.
func TestStates(t *testing.T) {
	if os.Getenv(consoletest.Screens) == "" && os.Getenv(consoletest.AxeFile) == "" {
		t.Skip("neither pictures are wanted nor is axe-core there: " + consoletest.Screens + ", " + consoletest.AxeFile)
	}
	file := filepath.Join(t.TempDir(), "租赁合同.pdf")
	if err := os.WriteFile(file, []byte("%PDF-1.7\n1 0 obj\n%%EOF\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	due := func(all []api.CaseSummary, next string) func(d *desk) func(string, gateway.Question) (*gateway.Reply, error) {
		return func(d *desk) func(string, gateway.Question) (*gateway.Reply, error) {
			return func(string, gateway.Question) (*gateway.Reply, error) {
				return answered(t, api.CasesAnswer{Cases: all, Next: next}), nil
			}
		}
	}
	missing := func(d *desk) func(string, gateway.Question) (*gateway.Reply, error) { return d.premises(cases.Missing) }
	onFile := func(d *desk) func(string, gateway.Question) (*gateway.Reply, error) { return d.premises(cases.OnFile) }
	check := []chromedp.Action[chromedp.Void]{pressing(`button[value="YC-FOOD-02"]`), typing("#applicant", "91379901MA9920002Q")}
	receive := append(check[:len(check):len(check)], pressing(`a[href*="receive"]`))
	packed := append(check[:len(check):len(check)], pressing(`form[action$="/file"] button`))
	scan := []chromedp.Action[chromedp.Void]{typing("#scan", "SFM12345678")}
	states := []pageState{
		{"ask", onFile, nil, []string{"扫一下", "今日办理 31 件"}, false},
		{"scanned-holder", onFile, scan, []string{"本人的码", "办什么事？"}, false},
		{"scanned-outlook", onFile, append(scan[:1:1], pressing(`button[value="YC-LAND-07"]`)), []string{"先说清", "扫申请人的码登记的办件"}, false},
		{"result-late", func(d *desk) func(string, gateway.Question) (*gateway.Reply, error) { return d.late(hang) }, []chromedp.Action[chromedp.Void]{pressing(`button[value="YC-LAND-07"]`), typing("#applicant", wife.Code), pressing("button[name=go]")}, []string{"2 份正在查", "民政局答得慢", "看结果"}, false},
		{"result-maintained", func(d *desk) func(string, gateway.Question) (*gateway.Reply, error) {
			return d.flat(func(m map[string]*api.CheckedMaterial) {
				taxDown(m)
				m["tax-clearance"].Expected = api.At(d.now.Add(44 * time.Minute))
			})
		}, []chromedp.Action[chromedp.Void]{pressing(`button[value="YC-LAND-07"]`), typing("#applicant", wife.Code), pressing("button[name=go]")}, []string{"预计 10:00 恢复"}, false},
		{"result-on-file", onFile, check, []string{"都不用交", "已存档，不用交", "2026年3月2日由行政审批服务局当场核验原件"}, false},
		{"receive-filed", missing, receive, []string{"怎么核验的", "当场核验原件"}, false},
		{"receive-unverified", missing, append(receive[:len(receive):len(receive)], chromedp.SetUploadFiles("#scanned", []string{file}), pressing("main button.primary")), []string{"请选是怎么核验的。", "请把文件再选一次。"}, false},
		{"received", missing, append(receive[:len(receive):len(receive)], chromedp.SetUploadFiles("#scanned", []string{file}), chromedp.Click("#verified1"), pressing("main button.primary")), []string{"已收", "材料齐了，现在就受理。", "2027年11月30日前办事不用再交"}, false},
		{"casefile", onFile, packed, []string{"归档包做好了", "登记移交"}, false},
		{"casefile-index", onFile, append(packed[:len(packed):len(packed)], pressing(`a[href$="/index"]`)), []string{"卷内目录", "GB/T 42727-2023"}, true},
		{"casefile-nobody", onFile, append(packed[:len(packed):len(packed)], pressing(`form[action$="/handover"] button`)), []string{"请填写接收的档案馆"}, false},
		{"casefile-over", onFile, append(packed[:len(packed):len(packed)], typing("#archive", "云川市示例区档案馆")), []string{"已登记移交"}, false},
		{"notice-paper", missing, append(check[:len(check):len(check)], pressing(`a[href$="/notice"]`)), []string{"一次性告知单"}, true},
		{"due", due(dueCases, "next"), []chromedp.Action[chromedp.Void]{pressing(`form[action="/console/due"] button`)}, []string{"1 件已超期", "等数据源恢复", "下一页"}, false},
		{"due-empty", due(nil, ""), []chromedp.Action[chromedp.Void]{pressing(`form[action="/console/due"] button`)}, []string{"没有要补的材料。", "就列在这里"}, false},
	}
	for _, names := range []string{"", "hostile-"} {
		d := atHall(t)
		if names != "" {
			d.hostileNames()
		}
		ctx := consoletest.Browser(t)
		for _, s := range states {
			d.now = d.now.Add(time.Second)
			d.answer = s.answer(d)
			if err := chromedp.Do(ctx, append([]chromedp.Action[chromedp.Void]{chromedp.Navigate(d.server.URL + "/console/window")}, s.steps...)...); err != nil {
				t.Fatal(s.name, err)
			}
			text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
			if err != nil {
				t.Fatal(s.name, err)
			}
			html, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.documentElement.outerHTML"))
			if err != nil || strings.Contains(html, "<script") || strings.Contains(html, "<img") {
				t.Errorf("%s%s: a name became markup, %v", names, s.name, err)
			}
			if len(html) > 25<<10 {
				t.Errorf("%s%s: %d bytes", names, s.name, len(html))
			}
			for _, word := range s.says {
				if names == "" && !strings.Contains(text, word) {
					t.Errorf("%s does not say %s:\n%s", s.name, word, text)
				}
			}
			consoletest.Photograph(ctx, t, names+s.name, 1440, 390)
			consoletest.Accessible(ctx, t, names+s.name)
			if s.prints {
				consoletest.Print(ctx, t, names+s.name)
			}
		}
	}
}
