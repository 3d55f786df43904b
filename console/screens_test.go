package console

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"oncegate/api"
	"oncegate/console/consoletest"
	"oncegate/console/session"
	"oncegate/gateway"
)

// TestScreens opens every state of the window's pages in Chromium, photographs it (ONCEGATE_SCREENS names the folder) and holds it to WCAG 2.2 AA.
func TestScreens(t *testing.T) {
	if os.Getenv(consoletest.Screens) == "" && os.Getenv(consoletest.AxeFile) == "" {
		t.Skip("neither pictures are wanted nor is axe-core there: " + consoletest.Screens + ", " + consoletest.AxeFile)
	}
	d := atDesk(t, func(c *Config) {
		c.Outages = func() []Outage {
			return []Outage{{Department: "tax", Since: c.Now().Add(-34 * 60e9), Until: c.Now().Add(44 * 60e9)}}
		}
	})
	ctx := consoletest.Browser(t)
	show := func(name, path string, actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		all := append([]chromedp.Action[chromedp.Void]{chromedp.Navigate(d.server.URL + path)}, actions...)
		if err := chromedp.Do(ctx, all...); err != nil {
			t.Fatal(name, err)
		}
		consoletest.Photograph(ctx, t, name, 1440, 390)
		consoletest.Accessible(ctx, t, name)
	}
	submit := func(selector, text string) chromedp.Action[chromedp.Void] {
		return consoletest.Follow(chromedp.SendKeys(selector, text+"\r"))
	}
	show("ask", "/console/window")
	show("ask-wrong", "/console/window", submit("#scan", "３７９９０１１９８５０３０７２３１５"))
	show("ask-case", "/console/window", submit("#scan", "SP-20261130-0001"))
	show("ask-typed", "/console/window", consoletest.Follow(chromedp.Click(`button[value="YC-FOOD-01"]`)), submit("#applicant", "91379901MA9920002"))
	d.answer = d.flat(taxDown)
	show("result", "/console/window", submit("#scan", "SP-20261130-0001"), consoletest.Follow(chromedp.Click("button[name=go]")))
	show("promise", "/console/window", submit("#scan", "SP-20261130-0001"), consoletest.Follow(chromedp.Click("button[name=go]")), consoletest.Follow(chromedp.Click("td a.button")))
	d.answer = d.flat(manyThings)
	show("result-many", "/console/window", submit("#scan", "SP-20261130-0001"), consoletest.Follow(chromedp.Click("button[name=go]")))
	show("notice", "/console/window", submit("#scan", "SP-20261130-0001"), consoletest.Follow(chromedp.Click("button[name=go]")), consoletest.Follow(chromedp.Click("main .actions a.primary")))
	show("receive", "/console/window", submit("#scan", "SP-20261130-0001"), consoletest.Follow(chromedp.Click("button[name=go]")), consoletest.Follow(chromedp.Click(`a[href*="receive"]`)))
	d.session.Preferences = session.Preferences{Large: true}
	show("result-large", "/console/window", submit("#scan", "SP-20261130-0001"), consoletest.Follow(chromedp.Click("button[name=go]")))
	d.session.Preferences = session.Preferences{Contrast: true}
	show("result-contrast", "/console/window", submit("#scan", "SP-20261130-0001"), consoletest.Follow(chromedp.Click("button[name=go]")))
	d.session.Preferences = session.Preferences{}
	show("verify", "/console/verify")
	for name, a := range map[string]api.VerifyAnswer{
		"verified-proven":   {Verdict: api.VerdictProven, Kind: "license", Says: api.Sentence{Zh: "证照由云川市市场监督管理局签发，内容未被改动。"}, Beside: api.Beside{InForce: &api.InForce{State: api.InForceStateInForce}}, Steps: []api.Step{{Name: "license-form", State: api.StepStateOk}, {Name: "license-signature", State: api.StepStateOk}, {Name: "chain-at-signing", State: api.StepStateOk}}},
		"verified-refuted":  {Verdict: api.VerdictRefuted, Kind: "license", Says: api.Sentence{Zh: "签名与内容不符。"}, Steps: []api.Step{{Name: "license-form", State: api.StepStateOk}, {Name: "license-signature", State: api.StepStateFailed, Reason: "the signature does not verify"}}},
		"verified-unproven": {Verdict: api.VerdictNotProven, Kind: "ofd", Says: api.Sentence{Zh: "没有查到签发者的证书是否已被吊销。"}, Lacks: []string{"key-revocation", "status"}, Steps: []api.Step{{Name: "document", State: api.StepStateOk}, {Name: "key-revocation", State: api.StepStateNotCheckable, Reason: "no revocation list covers the certificate"}}},
	} {
		d.answer = func(string, gateway.Question) (*gateway.Reply, error) { return answered(t, a), nil }
		show(name, "/console/verify", chromedp.SendKeys("#text", "eyJ"), consoletest.Follow(chromedp.Click("main button.primary")))
	}
	d.answer = func(string, gateway.Question) (*gateway.Reply, error) {
		return answered(t, api.CasesAnswer{Cases: []api.CaseSummary{
			{Case: "SLBDC-20261102-00000017", Matter: "YC-LAND-07", Due: 1, Overdue: 1, Deadline: "2026-11-16"}, {Case: "SLBDC-20261116-00000031", Matter: "YC-LAND-07", Due: 2, Deadline: "2026-11-30"}, {Case: "SLBDC-20261127-00000044", Matter: "YC-LAND-07", Due: 1, Deadline: "2026-12-11"},
		}}), nil
	}
	show("due", "/console/window", consoletest.Follow(chromedp.Click(`form[action="/console/due"] button`)))
	d.answer = func(string, gateway.Question) (*gateway.Reply, error) { return refused("case-not-usable"), nil }
	show("foreign", "/console/window", submit("#scan", "SP-20261130-0009"), consoletest.Follow(chromedp.Click("button[name=go]")))
	show("agent", "/console/window", submit("#scan", "SP-20261130-0001"), chromedp.Click("#who2"), consoletest.Follow(chromedp.Click("button[name=go]")))
	d.console.Late = 50e6
	d.answer = func(string, gateway.Question) (*gateway.Reply, error) {
		time.Sleep(5e9)
		return refused("internal"), nil
	}
	show("pending", "/console/window", submit("#scan", "SP-20261130-0009"), consoletest.Follow(chromedp.Click("button[name=go]")))
}

// TestHolderScreens photographs the pages of holders.
func TestHolderScreens(t *testing.T) {
	if os.Getenv(consoletest.Screens) == "" && os.Getenv(consoletest.AxeFile) == "" {
		t.Skip("neither pictures are wanted nor is axe-core there: " + consoletest.Screens + ", " + consoletest.AxeFile)
	}
	d := atPhone(t)
	d.answer = d.told(4)
	ctx := consoletest.Browser(t)
	show := func(name string, actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, append([]chromedp.Action[chromedp.Void]{chromedp.Navigate(d.server.URL + "/console/holder")}, actions...)...); err != nil {
			t.Fatal(name, err)
		}
		consoletest.Photograph(ctx, t, name, 1440, 390)
		consoletest.Accessible(ctx, t, name)
	}
	show("holder-home")
	show("holder-uses", consoletest.Follow(chromedp.Click(`form[action$="uses"] button`)), chromedp.Click(".uses summary"))
	show("holder-dispute", consoletest.Follow(chromedp.Click(`form[action$="uses"] button`)), consoletest.Follow(chromedp.Click(".uses a.button")))
	show("holder-disputed", consoletest.Follow(chromedp.Click(`form[action$="uses"] button`)), consoletest.Follow(chromedp.Click(".uses a.button")), consoletest.Follow(chromedp.Click("main form button.primary")))
	stands, asked := map[string]bool{}, []string{}
	d.answer = d.bringing(stands, &asked)
	chosen := chromedp.SetValue("#matter", "YC-LAND-07")
	check := consoletest.Follow(chromedp.Click(`form[action$="check"] button`))
	show("holder-check", chosen, check)
	show("holder-invited", chosen, check, consoletest.Follow(chromedp.SendKeys("#code-spouse", wife.Code+"\r")))
	for key := range d.kept {
		if code, ok := strings.CutPrefix(key, "shared/holder/invitation/"); ok {
			d.signInAs(wife, "李秀英")
			there := chromedp.Navigate(d.server.URL + "/console/holder/confirm/" + code)
			show("holder-confirm", there)
			show("holder-confirmed", there, consoletest.Follow(chromedp.Click("main form button.primary")))
		}
	}
	show("holder-consents", consoletest.Follow(chromedp.Click(`form[action$="consents"] button`)))
	show("holder-withdrawn", consoletest.Follow(chromedp.Click(`form[action$="consents"] button`)), consoletest.Follow(chromedp.Click(".uses button")))
	d.session.Preferences = session.Preferences{Large: true}
	show("holder-home-large")
	d.session.Preferences = session.Preferences{Language: "en"}
	show("holder-home-en")
	show("holder-check-en", chosen, check)
}
