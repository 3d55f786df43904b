package demo

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"oncegate/console/consoletest"
	"oncegate/demo/legacy"
)

// A phone is a holder at a browser with a profile of its own, as wide as a phone.
type phone struct {
	t    testing.TB
	o    *office
	ctx  context.Context
	name string // of its pictures
}

func (o *office) phone(name string) phone {
	o.t.Helper()
	p := phone{o.t, o, consoletest.Browser(o.t), name}
	must(o.t, chromedp.Do(p.ctx, chromedp.EmulateViewport(390, 844))) // which starts the browser, for as long as this context lasts
	return p
}

func (p phone) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second) // an element that is not there, or cannot be seen
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%v; the page says:\n%s", err, p.text())
	}
}

// page names the document that is shown.
func (p phone) page() float64 {
	p.t.Helper()
	at, err := chromedp.Run(p.ctx, chromedp.Evaluate[float64]("performance.timeOrigin"))
	must(p.t, err)
	return at
}

// moves does something and waits for the next page.
func (p phone) moves(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	was := p.page()
	p.do(actions...)
	for range 400 {
		at, err := chromedp.Run(p.ctx, chromedp.Evaluate[float64](`document.readyState === "complete" ? performance.timeOrigin : 0`))
		if err == nil && at != 0 && at != was {
			p.addressIsClean()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.t.Fatalf("no other page came; this one says:\n%s", p.text())
}

func (p phone) press(selector string) { p.t.Helper(); p.moves(chromedp.Click(selector)) }

func (p phone) addressIsClean() {
	p.t.Helper()
	at, err := chromedp.Run(p.ctx, chromedp.Location())
	must(p.t, err)
	if personalCode.MatchString(at) {
		p.t.Errorf("a personal code stands in an address: %s", at)
	}
}

func (p phone) text() string {
	p.t.Helper()
	shown, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	must(p.t, err)
	return shown
}

// says holds what stands on the page, and what must not.
func (p phone) says(texts ...string) {
	p.t.Helper()
	shown := p.text()
	for _, text := range texts {
		text, not := strings.CutPrefix(text, "!")
		if strings.Contains(shown, text) == not {
			p.t.Errorf("%q: %t on the page:\n%s", text, !not, shown)
		}
	}
}

// picture photographs the page where pictures are wanted, and holds it to WCAG 2.2 AA and to the width of the phone.
func (p phone) picture(name string) {
	p.t.Helper()
	consoletest.Photograph(p.ctx, p.t, p.name+"-"+name, 1440, 390)
	consoletest.Accessible(p.ctx, p.t, p.name+"-"+name)
	p.do(chromedp.EmulateViewport(390, 844))
	wide, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("document.documentElement.scrollWidth > window.innerWidth"))
	must(p.t, err)
	if wide {
		p.t.Errorf("%s is wider than the phone", name)
	}
}

// signsIn opens an address and signs in at the provider as one of its people.
func (p phone) signsIn(address string, who legacy.Person) {
	p.t.Helper()
	p.do(chromedp.Navigate(address))
	p.says("云川市政务服务网实名登录")
	p.press(`a[href^="/console/sign-in/citizen"]`)
	p.says("代替省里的统一身份认证平台", "不用密码")
	p.picture("provider")
	p.moves(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("button")].find(b => b.querySelector("b")?.innerText === "` + who.Name + `").click()`))
}

// TestHolderInABrowser walks a couple through the doors of holders on the whole gateway, in two browsers: they sign in through the identity
// provider; he sees and disputes a use, which the auditor finds, and checks before applying; she consents on her own phone, which he sees, and
// withdraws, which the next check sees.
func TestHolderInABrowser(t *testing.T) {
	o := openOffice(t)
	couple := o.st.city.Population.Cast.Couple
	base := o.st.node.PublicURL()
	his, her := o.phone("husband"), o.phone("wife")

	his.signsIn(base+"/console/holder", couple[0])
	his.says("我的证照", "办事先查", "谁用了我的证照")
	his.picture("home")
	his.press(`form[action="/console/holder/uses"] button`)
	his.says("近 12 个月，您的证照被使用", "办理不动产转移登记", "依法履职，无须您同意", "依法不予告知的使用")
	his.do(chromedp.Click(".uses summary"))
	his.picture("uses")
	his.press(`.uses a[href*="/dispute/"]`)
	his.picture("dispute")
	his.do(chromedp.SendKeys("#why", "这天我没有办过事"))
	his.press("main form button.primary")
	his.says("已转审计机关核查")
	his.picture("disputed")

	auditor := o.signIn("auditor-1")
	found := auditor.search("operation", "holders.dispute")
	if n := len(found.indexes()); n != 1 {
		t.Fatalf("the auditor finds %d disputes:\n%s", n, found.text())
	}
	record := auditor.open(found, found.indexes()[0])
	if !strings.Contains(record.text(), "已证明未被改动") {
		t.Errorf("the auditor reads:\n%s", record.text())
	}

	his.do(chromedp.Navigate(base+"/console/holder"), chromedp.SetValue("#matter", "YC-LAND-07"))
	his.press(`form[action="/console/holder/check"] button`)
	his.says("5 份里 4 份不用带", "请带配偶身份证", "发给配偶确认")
	his.picture("check")
	his.moves(chromedp.SendKeys("#code-spouse", couple[1].Code+"\r"))
	his.says("只有对方本人打得开")
	his.picture("invited")
	address, err := chromedp.Run(his.ctx, chromedp.Evaluate[string](`document.querySelector(".address a").href`))
	must(t, err)

	her.signsIn(address, couple[1])
	her.says("请您确认", "不动产转移登记", "居民身份证", "!"+couple[0].Name, "!"+couple[0].Code)
	her.picture("confirm")
	her.press("main form button.primary")
	her.says("您已经同意。")
	her.picture("confirmed")

	again := `form[action$="/again"] button`
	his.press(again)
	his.says("5 份材料都不用带", "可以网上办，不用来", "配偶已经同意")
	his.picture("agreed")

	her.do(chromedp.Navigate(base + "/console/holder"))
	her.press(`form[action="/console/holder/uses"] button`)
	her.says("办事先查 不动产转移登记", "您本人同意")
	her.picture("uses")
	her.do(chromedp.Navigate(base + "/console/holder"))
	her.press(`form[action="/console/holder/consents"] button`)
	her.says("有效的 1 项", "云川政务服务网")
	her.picture("consents")
	her.press(".uses form button")
	her.says("撤回")
	her.picture("withdrawn")

	his.press(again)
	his.says("5 份里 4 份不用带", "请带配偶身份证", "!配偶已经同意")
	his.picture("withdrawn")
}
