package consoletest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Screens names a folder in which tests of pages leave photographs.
const Screens = "ONCEGATE_SCREENS"

// Browser starts a Chromium without a profile of its own, or skips the test where there is none.
func Browser(t testing.TB) context.Context {
	t.Helper()
	program := os.Getenv("ONCEGATE_TEST_CHROMIUM")
	if program == "" {
		program = "/usr/bin/chromium"
		if _, err := os.Stat(program); err != nil {
			t.Skip("there is no Chromium: name it in ONCEGATE_TEST_CHROMIUM")
		}
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-back-forward-cache", true), chromedp.Flag("lang", "zh-CN"),
	)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 4*time.Minute) // a page that hangs
	t.Cleanup(cancel)
	return ctx
}

// Follow does what leads to another page, such as sending a form, and waits until that page stands. A machine under load may take long to
// begin with it: until then the old page looks whole.
func Follow(do ...chromedp.Action[chromedp.Void]) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		if err := chromedp.Do(ctx, append([]chromedp.Action[chromedp.Void]{chromedp.Evaluate[chromedp.Void]("window.leaving = true")}, do...)...); err != nil {
			return err
		}
		deadline := time.Now().Add(time.Minute)
		for time.Now().Before(deadline) {
			state, err := chromedp.Run(ctx, chromedp.Evaluate[string](`window.leaving ? "leaving" : document.readyState`)) // fails while one page takes the place of another
			if err == nil && state == "complete" {
				return nil
			}
			if err := chromedp.Do(ctx, chromedp.Sleep(20*time.Millisecond)); err != nil {
				return err
			}
		}
		return errors.New("no other page came")
	})
}

// Photograph leaves a picture of the page as it stands, at a width, where the tester wants pictures.
func Photograph(ctx context.Context, t testing.TB, name string, widths ...int64) {
	t.Helper()
	dir := os.Getenv(Screens)
	if dir == "" {
		return
	}
	for _, width := range widths {
		err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900))
		if err != nil {
			t.Fatal(err)
		}
		png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d.png", name, width)), png, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Print prints the page as it stands on A4, where the tester wants pictures, and fails where it takes more than one sheet.
func Print(ctx context.Context, t testing.TB, name string) {
	t.Helper()
	pdf, err := chromedp.Run(ctx, chromedp.PrintToPDF(chromedp.PDFPreferCSSPageSize()))
	if err != nil {
		t.Fatal(err)
	}
	if sheets := bytes.Count(pdf, []byte("/Type /Page\n")) + bytes.Count(pdf, []byte("/Type/Page/")); sheets > 1 {
		t.Errorf("%s is printed on %d sheets", name, sheets)
	}
	if dir := os.Getenv(Screens); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".pdf"), pdf, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
