package demo

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"

	"oncegate/api"
	"oncegate/document/documenttest"
)

var update = flag.Bool("update", false, "take the pictures of docs/screens from the demo")

// The pictures of the documents: how many, how wide in pixels, and how large in bytes.
const (
	screensFolder = "../docs/screens"
	maxScreens    = 8
	maxScreen     = 150_000
	wideScreen    = 1440
	phoneScreen   = 390
)

// TestScreens holds the pictures of the console in the documents to their number, width and size, and each to a document that shows it. With
// -update it takes them anew from the demo.
func TestScreens(t *testing.T) {
	if *update {
		takeScreens(t)
	}
	names, err := filepath.Glob(filepath.Join(screensFolder, "*"))
	must(t, err)
	if len(names) == 0 || len(names) > maxScreens {
		t.Errorf("%d pictures; at most %d", len(names), maxScreens)
	}
	shows := func(document string, names ...string) {
		t.Helper()
		text, err := os.ReadFile(document)
		must(t, err)
		for _, name := range names {
			if !bytes.Contains(text, []byte("screens/"+name+")")) {
				t.Errorf("%s does not show %s", document, name)
			}
		}
	}
	opening := []string{"window-result.png", "auditor-record.png"}
	shows("../README.md", opening...)
	shows("../README.zh-CN.md", opening...)
	for _, name := range names {
		data, err := os.ReadFile(name)
		must(t, err)
		size, err := png.DecodeConfig(bytes.NewReader(data))
		if err != nil || size.Width != wideScreen && size.Width != phoneScreen || len(data) > maxScreen {
			t.Errorf("%s: %d bytes, %d pixels wide, %v", name, len(data), size.Width, err)
		}
		if base := filepath.Base(name); !slices.Contains(opening, base) {
			shows("../docs/console.md", base)
		}
	}
}

// takeScreens runs the demo as oncegate demo does, walks as its people through the console, and photographs what they see: the clerk before the
// story, when the export of the tax bureau has not run for three days, and the others after it, in a city of their own, because the story counts
// every check.
func takeScreens(t *testing.T) {
	t.Setenv("TMPDIR", "/tmp") // one page names a file of the demo
	old, err := filepath.Glob(filepath.Join(screensFolder, "*.png"))
	must(t, err)
	for _, name := range old {
		must(t, os.Remove(name))
	}
	t.Run("clerk", func(t *testing.T) {
		o, story := openDemo(t)
		couple := o.st.city.Population.Cast.Couple
		must(t, story.accept(t.Context(), story.caseNo(2), "YC-LAND-07", party("applicant", couple[0].Holder()), party("spouse", couple[1].Holder())))
		clerk := o.atWork("clerk")
		clerk.do(chromedp.Evaluate[chromedp.Void](`document.querySelector('[value="street-land"]').checked = true`), chromedp.SetValue("#desk", "7"))
		clerk.press("main button.primary")
		clerk.moves(chromedp.SendKeys("#scan", story.caseNo(2)+"\r"))
		clerk.press("button[name=go]")
		clerk.screen("window-result", wideScreen, 1100)
		clerk.press(`a[href$="/notice"]`)
		clerk.screen("window-notice", wideScreen, 1500)
	})
	t.Run("others", func(t *testing.T) {
		o, story := openDemo(t)
		if result := story.tell(t.Context()); !result.OK {
			t.Fatalf("the story failed: %v", result)
		}
		base := o.st.node.PublicURL()

		auditor := o.atWork("auditor")
		auditor.do(chromedp.Navigate(base + "/console/search"))
		auditor.press(`form[action="/console/today"] button`)
		auditor.screen("auditor-today", wideScreen, 1400)
		auditor.do(chromedp.Navigate(base+"/console/search"), chromedp.SetValue("select[name=operation]", "cases.check"), chromedp.SendKeys("#case", story.caseNo(1)))
		auditor.press(".asking button.primary")
		auditor.press("tbody tr:last-child button[name=index]")
		auditor.screen("auditor-record", wideScreen, 1185)

		operator := o.atWork("operator")
		operator.do(chromedp.Navigate(base + "/console/node"))
		operator.press("main button.primary")
		operator.screen("operator", wideScreen, 1300)

		husband := o.phone("husband")
		husband.signsIn(base+"/console/holder", o.st.city.Population.Cast.Couple[0])
		husband.press(`form[action="/console/holder/uses"] button`)
		husband.do(chromedp.Click(".uses summary"))
		husband.screen("holder-uses", phoneScreen, 1400)
		husband.do(chromedp.Navigate(base+"/console/holder"), chromedp.SetValue("#matter", "YC-LAND-07"))
		husband.press(`form[action="/console/holder/check"] button`)
		husband.screen("holder-check", phoneScreen, 1400)

		drawn, _, err := story.rendered(t.Context(), api.RenderRequestFormPng)
		must(t, err)
		passer := o.phone("passer-by")
		passer.do(chromedp.Navigate(documenttest.QR(t, "png", drawn)))
		passer.screen("code", phoneScreen, 1400)
	})
}

// openDemo is the demo before its story.
func openDemo(t *testing.T) (*office, *story) {
	t.Helper()
	st, err := open(t.Context(), "", "")
	must(t, err)
	t.Cleanup(func() { must(t, st.close()) })
	return &office{t, st}, newStory(st, newPrinter(Options{Out: io.Discard}))
}

// atWork is somebody with an account of the demo, signed in at a wide screen.
func (o *office) atWork(account string) phone {
	o.t.Helper()
	p := o.phone(account)
	p.do(chromedp.EmulateViewport(wideScreen, 900), chromedp.Navigate(o.st.node.PublicURL()+"/console/sign-in"), chromedp.SendKeys("#account", account))
	p.moves(chromedp.SendKeys("#password", o.st.password+"\r"))
	return p
}

// screen photographs the page at a width, its top where it is higher than asked.
func (p phone) screen(name string, width, height int64) {
	t := p.t
	t.Helper()
	p.do(chromedp.EmulateViewport(width, 600))
	shot, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	must(t, err)
	whole, err := png.Decode(bytes.NewReader(shot))
	must(t, err)
	small := fewColours(whole, whole.Bounds().Intersect(image.Rect(0, 0, int(width), int(height))))
	var b bytes.Buffer
	must(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, small))
	must(t, os.WriteFile(filepath.Join(screensFolder, name+".png"), b.Bytes(), 0o644))
}

// fewColours draws a part of a picture in its 256 most frequent colours: of pages that is nearly all of them.
func fewColours(whole image.Image, part image.Rectangle) *image.Paletted {
	count := map[color.Color]int{}
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			count[whole.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return cmp.Compare(count[b], count[a]) })
	few := image.NewPaletted(part, colours[:min(len(colours), 256)])
	draw.Draw(few, part, whole, part.Min, draw.Src)
	return few
}
