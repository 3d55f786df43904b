package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"oncegate/audit"
	"oncegate/console/consoletest"
	"oncegate/document"
)

var codeNow = time.Date(2026, 12, 1, 1, 16, 0, 0, time.UTC)

// A shelf finds standings, or errors, by code.
type shelf map[string]any

func (s shelf) Find(_ context.Context, code string, _ time.Time) (document.Standing, error) {
	switch found := s[code].(type) {
	case document.Standing:
		return found, nil
	case error:
		return document.Standing{}, found
	}
	return document.Standing{}, fs.ErrNotExist
}

const (
	goodCode = "7ZK3M9Q2T8WX4C6V1B5N0GHJDR"
	longBody = "云川市示例新区自然资源和规划与不动产登记事务综合服务中心"
)

func allStates() shelf {
	since := time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)
	s := shelf{goodCode: document.Standing{Type: "营业执照", Issuer: "云川市市场监督管理局", Tail: "7788", State: document.StateValid}}
	for state := range states {
		if state != document.StateValid {
			s[state] = document.Standing{Type: "不动产权证书", Issuer: longBody, Tail: "0001", State: state, Since: since}
		}
	}
	s["untold"] = document.Standing{Type: "居民身份证", Issuer: "云川市公安局", State: document.StateValid}
	s["altered"], s["down"] = fmt.Errorf("read: %w", audit.ErrTables), errors.New("the database does not answer")
	return s
}

func codeServer(t *testing.T, s Finder, turn func(*http.Request) (func(), bool)) (*httptest.Server, *bytes.Buffer) {
	t.Helper()
	logs := &bytes.Buffer{}
	if turn == nil {
		turn = func(*http.Request) (func(), bool) { return func() {}, true }
	}
	pages, err := NewCodePages(CodeConfig{
		Find: func() Finder { return s }, Operator: func() string { return "云川市政务服务和数据管理局" }, Turn: turn, Now: func() time.Time { return codeNow },
		Logger: slog.New(slog.NewTextHandler(logs, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(pages)
	t.Cleanup(server.Close)
	return server, logs
}

func get(t *testing.T, address string) (*http.Response, string) {
	t.Helper()
	res, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// Every state has its word, its sign and one length; what is no code, was altered or is gone has one page.
func TestCodePage(t *testing.T) {
	server, logs := codeServer(t, allStates(), nil)
	none, nothing := get(t, server.URL+"/v/none")
	for code, found := range allStates() {
		res, body := get(t, server.URL+"/v/"+code)
		if len(body) != len(nothing) || len(body) > 15<<10 || res.ContentLength != int64(len(body)) {
			t.Errorf("%s: %d bytes, nothing has %d", code, len(body), len(nothing))
		}
		switch found := found.(type) {
		case document.Standing:
			st := states[found.State]
			if res.StatusCode != http.StatusOK || !strings.Contains(body, "<h1>"+st.Word+`<span lang="en">`+st.WordEn) || !strings.Contains(body, st.Sign) || !strings.Contains(body, found.Issuer) {
				t.Errorf("%s: %d %s", code, res.StatusCode, body)
			}
			if found.State != document.StateValid && !strings.Contains(body, "自 2026年11月30日 起") {
				t.Errorf("%s does not say since when", code)
			}
		case error:
			if code == "down" && (res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || !strings.Contains(body, busyState.Word)) {
				t.Errorf("%s: %d %s", code, res.StatusCode, body)
			}
			if code == "altered" && (res.StatusCode != none.StatusCode || body != nothing) {
				t.Error("an altered row has another page than nothing")
			}
		}
	}
	if none.StatusCode != http.StatusOK || !strings.Contains(nothing, noState.Word) || !strings.Contains(nothing, "2026-12-01 09:16:00") {
		t.Errorf("%d %s", none.StatusCode, nothing)
	}
	for code := range allStates() {
		if strings.Contains(logs.String(), code) && code != "down" {
			t.Errorf("the log says %s: %s", code, logs)
		}
	}
	if _, body := get(t, server.URL+"/V/"+goodCode); !strings.Contains(body, states[document.StateValid].Word) {
		t.Error("the path in upper case is another one")
	}
	if _, body := get(t, server.URL+"/v/"+url.PathEscape(`<script>"`)); strings.Contains(body, "script") {
		t.Error("the page repeats what was asked")
	}
}

// A page leaves on a grid of time, whatever it cost, and its turn is given back before it waits; without a turn it says so.
func TestCodePageTurns(t *testing.T) {
	under, refuse := 0, false
	slow := slowFinder(7 * time.Millisecond)
	server, _ := codeServer(t, slow, func(*http.Request) (func(), bool) {
		under++
		return func() { under-- }, !refuse
	})
	for range 5 {
		begun := time.Now()
		if res, _ := get(t, server.URL+"/v/"+goodCode); res.StatusCode != http.StatusOK || time.Since(begun) < codeInterval {
			t.Errorf("%d after %s", res.StatusCode, time.Since(begun))
		}
	}
	if under != 0 {
		t.Errorf("%d turns were not given back", under)
	}
	refuse = true
	if res, body := get(t, server.URL+"/v/"+goodCode); res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, busyState.Word) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

type slowFinder time.Duration

func (s slowFinder) Find(context.Context, string, time.Time) (document.Standing, error) {
	time.Sleep(time.Duration(s))
	return document.Standing{}, fs.ErrNotExist
}

// What is typed leads to a code's page where it is one, however it was typed; anything else stays out of addresses.
func TestCodeForm(t *testing.T) {
	server, logs := codeServer(t, allStates(), nil)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	post := func(typed string) *http.Response {
		res, err := client.PostForm(server.URL+"/v/", url.Values{"code": {typed}})
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res
	}
	full := strings.Map(func(r rune) rune { return r - '!' + '！' }, goodCode)
	for _, typed := range []string{
		goodCode, strings.ToLower(goodCode), full, " " + goodCode[:13] + " " + goodCode[13:] + "\n", goodCode[:8] + "-" + goodCode[8:], "HTTPS://GATEWAY.EXAMPLE/V/" + goodCode, "https：／／gateway.example／v／" + full,
	} {
		if res := post(typed); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != goodCode {
			t.Errorf("%q: %d %s", typed, res.StatusCode, res.Header.Get("Location"))
		}
	}
	for _, typed := range []string{"", "379901198503123015", "11010519491231002X", "甲乙丙", "//evil.example/" + goodCode[:25] + "%", strings.Repeat("9", 5000), "https://evil.example/?" + goodCode} {
		res := post(typed)
		if res.StatusCode != http.StatusOK || res.Header.Get("Location") != "" {
			t.Errorf("%.30q: %d %s", typed, res.StatusCode, res.Header.Get("Location"))
		}
	}
	if strings.Contains(logs.String(), "379901198503123015") {
		t.Error("what was typed stands in the log")
	}
	res, body := get(t, server.URL+"/v/")
	if res.StatusCode != http.StatusOK || !strings.Contains(body, `method="post"`) || strings.Contains(body, "<script") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// The style sheet stands beside the pages, is small, and has nothing that browsers of old machines do not read.
func TestCodeStyle(t *testing.T) {
	server, _ := codeServer(t, allStates(), nil)
	_, body := get(t, server.URL+"/v/"+goodCode)
	_, after, _ := strings.Cut(body, `<link rel="stylesheet" href="`)
	name, _, _ := strings.Cut(after, `"`)
	res, style := get(t, server.URL+"/v/"+name)
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/css") || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") || len(style)+len(body) > 15<<10 {
		t.Errorf("%d %v, %d bytes and %d", res.StatusCode, res.Header, len(style), len(body))
	}
	for _, modern := range []string{"var(", "--", "grid", "gap:", "url(", "@import", ":has(", "inset"} {
		if strings.Contains(style, modern) {
			t.Errorf("the style sheet has %s", modern)
		}
	}
	if strings.Contains(body, "style=") {
		t.Error("the page has style of its own, which its policy refuses")
	}
}

// TestCodeScreens photographs every state on a phone and on a desk, and holds it to WCAG 2.2 AA.
func TestCodeScreens(t *testing.T) {
	if os.Getenv(consoletest.Screens) == "" && os.Getenv(consoletest.AxeFile) == "" {
		t.Skip("neither pictures are wanted nor is axe-core there: " + consoletest.Screens + ", " + consoletest.AxeFile)
	}
	server, _ := codeServer(t, allStates(), nil)
	ctx := consoletest.Browser(t)
	show := func(name, path string) {
		t.Helper()
		if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+path)); err != nil {
			t.Fatal(name, err)
		}
		consoletest.Photograph(ctx, t, name, 1440, 390)
		consoletest.Accessible(ctx, t, name)
	}
	for code, found := range allStates() {
		if s, ok := found.(document.Standing); ok {
			show("code-"+s.State, "/v/"+code)
		}
	}
	show("code-nothing", "/v/none")
	show("code-busy", "/v/down")
	show("code-form", "/v/")
}
