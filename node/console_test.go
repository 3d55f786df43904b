package node

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"oncegate/audit"
	"oncegate/config"
	"oncegate/console/session"
	"oncegate/install"
)

// Signing in at the console of a whole node leaves records under the hall's system that an auditor finds by the person, an account that is added
// while the node runs is taken, and nobody is named in the log.
func TestConsoleSignIn(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.Edit(config.MainFile, "\ndata:\n", "\nconsole:\n  accounts: keys/console.accounts\n  halls:\n    - {system: food-approval, name: 示例街道, roles: [clerk]}\n\ndata:\n")
	s := c.serve()
	accounts, err := install.OpenAccounts(c.Main, nil)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := session.HashPassword("a long password of a test")
	if err != nil {
		t.Fatal(err)
	}
	if err := accounts.Put(session.Account{ID: "clerk-0042", Name: "示例甲", Password: hash, Assignments: []session.Assignment{{Role: session.Clerk, Hall: "food-approval"}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(t.Context()); err != nil && err != ErrUnchanged {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	ask := func(path string, form url.Values) string {
		t.Helper()
		var res *http.Response
		var err error
		if form == nil {
			res, err = browser.Get(s.PublicURL() + path)
		} else {
			res, err = browser.PostForm(s.PublicURL()+path, form)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%s: %d %v %s", path, res.StatusCode, err, text)
		}
		return string(text)
	}
	token := regexp.MustCompile(`name="form" value="([^"]+)"`)
	formOf := func(page string) string {
		t.Helper()
		m := token.FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("no form: %s", page)
		}
		return m[1]
	}
	page := ask("/console/", nil)
	page = ask("/console/sign-in", url.Values{"form": {formOf(page)}, "account": {"clerk-0042"}, "password": {"a long password of a test"}})
	if !strings.Contains(page, "示例甲") {
		t.Fatalf("not signed in: %s", page)
	}
	if _, metrics := s.get("/metrics"); !strings.Contains(metrics, "oncegate_console_sessions 1") || !strings.Contains(metrics, `oncegate_console_sign_ins_total{means="local",outcome="ok"} 1`) {
		t.Error("the metrics do not count the session")
	}
	ask("/console/sign-out", url.Values{"form": {formOf(page)}})
	if _, _, err := s.db.Audit().Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, err := s.auditor.Search(t.Context(), audit.Ask{Operator: "clerk-0042", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var operations []string
	for _, f := range found.Found {
		operations = append(operations, f.Record.Operation)
		if f.Record.System != "food-approval" || f.Record.OperatorProof != audit.OperatorAsserted {
			t.Errorf("record %d: %+v", f.Index, f.Record)
		}
	}
	if got := strings.Join(operations, " "); got != "console.sign-out console.sign-in" {
		t.Errorf("the auditor finds %q", got)
	}
	if logs := s.logs.String(); strings.Contains(logs, "clerk-0042") || strings.Contains(logs, "示例甲") {
		t.Errorf("the log names the person: %s", logs)
	}
}
