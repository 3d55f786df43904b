package console_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"oncegate/console/consoletest"
)

// A walk is a person at a browser.
type walk struct {
	t   *testing.T
	ctx context.Context
}

func (w walk) do(steps ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	if err := chromedp.Do(w.ctx, steps...); err != nil {
		w.t.Fatal(err)
	}
}

// keys types as a scanner or a person does, into whatever has the focus: nothing is clicked first.
func (w walk) keys(text string) {
	w.t.Helper()
	was := w.page()
	w.do(chromedp.KeyEvent(text))
	if strings.HasSuffix(text, "\r") {
		w.moved(was)
	}
}

// press clicks a button or link, and waits for the next page.
func (w walk) press(selector string) {
	w.t.Helper()
	was := w.page()
	w.do(chromedp.Click(selector))
	w.moved(was)
}

// page names the document that is shown.
func (w walk) page() float64 {
	w.t.Helper()
	at, err := chromedp.Run(w.ctx, chromedp.Evaluate[float64]("performance.timeOrigin"))
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

func (w walk) moved(was float64) {
	w.t.Helper()
	for range 200 {
		at, err := chromedp.Run(w.ctx, chromedp.Evaluate[float64](`document.readyState === "complete" ? performance.timeOrigin : 0`))
		if err == nil && at != 0 && at != was {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Fatal("no other page came")
}

func (w walk) says(texts ...string) {
	w.t.Helper()
	shown, err := chromedp.Run(w.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			w.t.Errorf("the page does not say %q:\n%s", text, shown)
		}
	}
}

// focused is the name of the field, or the text of the button, that has the focus.
func (w walk) focused() string {
	w.t.Helper()
	name, err := chromedp.Run(w.ctx, chromedp.Evaluate[string]("document.activeElement.name + ' ' + document.activeElement.innerText"))
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(name)
}

// picture photographs the page where pictures are wanted, and holds it to WCAG 2.2 AA.
func (w walk) picture(name string) {
	consoletest.Photograph(w.ctx, w.t, name, 1440, 390)
	consoletest.Accessible(w.ctx, w.t, name)
}

// TestWalkFoodPermit walks a food permit in a real browser from the scan to the printed notice, while public security's system is down: by
// keyboard and scanner alone up to the result, without a script.
func TestWalkFoodPermit(t *testing.T) {
	w := walk{t, consoletest.Browser(t)}
	c := newCity(t)
	defer c.stop()
	shop := c.legacy.Population.Cast.FoodShop
	c.accept("SP-2026-0101", "YC-FOOD-01", party("applicant", shop.Holder()), party("legal_representative", shop.Legal.Holder()))
	couple := c.legacy.Population.Cast.Couple
	c.accept("BDC-2026-0102", "YC-LAND-07", party("applicant", couple[0].Holder()), party("spouse", couple[1].Holder()))

	w.do(chromedp.Navigate(c.url + "/console/"))
	w.picture("sign-in")
	w.says("登录", "账号", "密码")
	w.do(chromedp.KeyEvent("zhou\t" + password))
	w.keys("\r")
	w.says("今天在哪里办公？")
	w.picture("place")
	w.do(chromedp.Evaluate[chromedp.Void](`document.querySelector('#desk').value = '3'`))
	w.press("main button.primary")
	w.says("扫一下", "食品经营许可", "周晓梅", "3 号窗")
	if got := w.focused(); got != "scan" {
		t.Fatalf("the cursor is in %q", got)
	}
	w.picture("ask")

	w.keys("SLD:SP-2026-0101\r") // as a scanner types
	w.says("SP-2026-0101", "来办的人", "已当面告知当事人")
	if got := w.focused(); !strings.Contains(got, "开始查") {
		t.Errorf("the focus is on %q", got)
	}
	w.picture("ask-case")
	if err := c.legacy.Police.Close(); err != nil {
		t.Fatal(err)
	}
	w.keys("\r")
	w.says("2 份材料，1 份不用交，1 份暂时查不到。", "公安局的系统暂时连不上，不是您的原因。", "请您交法定代表人身份证")
	w.picture("result")

	w.press(`a[href*="/receive/"]`)
	w.says("收到原件或复印件，扫描上传")
	w.picture("receive")
	w.do(chromedp.NavigateBack())
	w.says("2 份材料，1 份不用交，1 份暂时查不到。")
	w.press(`a[href$="/notice"]`)
	w.says("一次性告知单", "请您交", "法定代表人身份证", "交原件，当场扫描后还给您")
	w.picture("notice")
	if n := len(c.records("street-hall", "cases.check")); n != 1 {
		t.Errorf("%d records: Back and the notice make none", n)
	}
	pdf, err := chromedp.Run(w.ctx, chromedp.PrintToPDF(chromedp.PDFPreferCSSPageSize()))
	if err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv(consoletest.Screens); dir != "" {
		_ = os.WriteFile(filepath.Join(dir, "notice.pdf"), pdf, 0o600)
	}
	if pages := strings.Count(string(pdf), "/Type /Page\n") + strings.Count(string(pdf), "/Type/Page/"); pages > 1 {
		t.Errorf("the notice is printed on %d pages", pages)
	}
	w.do(chromedp.Navigate(c.url + "/console/window"))
	w.says("公安局的系统从")

	w.press(`form[action="/console/due"] button`)
	w.says("没有要补的材料。")
	w.picture("due-empty")
	w.do(chromedp.Navigate(c.url + "/console/window"))
	w.press(`button[name=large]`)
	w.picture("ask-large")
	w.press(`button[name=contrast]`)
	w.picture("ask-large-contrast")
	w.press(`form[action="/console/change-person"] button`)
	w.says("换人登录")
	w.picture("change-person")
}
