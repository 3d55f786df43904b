package consoletest

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// AxeFile names the file of axe-core (axe.min.js), with which pages are checked against WCAG 2.2 AA.
const AxeFile = "ONCEGATE_TEST_AXE"

// Accessible checks the page that the browser shows with axe-core, by the rules of WCAG 2.2 at levels A and AA, where AxeFile names it. The page
// itself runs no script: the browser's debugger does.
func Accessible(ctx context.Context, t testing.TB, name string) {
	t.Helper()
	file := os.Getenv(AxeFile)
	if file == "" {
		return
	}
	axe, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](string(axe)+"; true")); err != nil {
		t.Fatalf("%s: load axe-core: %v", name, err)
	}
	const check = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], resultTypes: ["violations"]})
		.then(r => r.violations.map(v => v.id + ": " + v.help + " at " + v.nodes.slice(0, 3).map(n => n.target.join(" ")).join(" and ")).join("\n"))`
	found, err := chromedp.Run(ctx, chromedp.Evaluate[string](check, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: run axe-core: %v", name, err)
	}
	for line := range strings.Lines(found) {
		t.Errorf("%s: %s", name, strings.TrimSpace(line))
	}
}
