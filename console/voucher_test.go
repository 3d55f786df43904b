package console_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/certs/jws"
	"oncegate/gateway"
	"oncegate/install"
	"oncegate/license"
)

// TestScannedHolderVouches scans a personal code that an identity service resolves with its signed word: the case is attested by the holder, and more
// can be got than of one that the clerk typed; the page says before which materials stay out. A form that says so alone, another person, or a word for
// another case makes nobody vouch.
func TestScannedHolderVouches(t *testing.T) {
	var mu sync.Mutex
	var holder license.HolderID
	var answer func(system, number string) string // the assertion
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Code, System, Case string }
		text, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(text, &asked, json.MatchCaseInsensitiveNames(true))
		mu.Lock()
		defer mu.Unlock()
		_ = json.MarshalWrite(w, map[string]string{"type": holder.Type, "code": holder.Code, "assertion": answer(asked.System, asked.Case)})
	}))
	defer service.Close()
	c := newCity(t, func(c *city) {
		c.edit("oncegate.yaml", "  codes: # what is scanned at a window; these are made up\n", "  codes:\n    - {pattern: 'SFM[0-9A-Za-z]{8}', means: holder, url: '"+service.URL+"'}\n")
	})
	t.Cleanup(func() { c.stop() })
	couple := c.legacy.Population.Cast.Couple
	holder = couple[0].Holder()
	signer, err := install.AsserterSigner(c.setup, c.keys, "identity-service")
	c.must(err)
	sign := func(change func(*gateway.Assertion)) func(system, number string) string {
		return func(system, number string) string {
			a := gateway.Assertion{
				Issuer: "identity-service", Audience: c.setup.Gateway.ID, For: "case", Reference: number, Holder: holder, System: system,
				IssuedAt: time.Now().Unix(), Expires: time.Now().Add(5 * time.Minute).Unix(),
			}
			change(&a)
			text, _ := json.Marshal(a)
			compact, err := jws.Sign(t.Context(), signer, jws.Header{Typ: gateway.AssertionType, Kid: "identity-service"}, text)
			c.must(err)
			return compact
		}
	}
	set := func(change func(*gateway.Assertion)) {
		mu.Lock()
		defer mu.Unlock()
		answer = sign(change)
	}
	sun := c.signIn("sun", "7")
	scanned := func() map[string]string {
		page := sun.post("/console/window", with(sun.get("/console/window").Form("/console/window"), "scan", "SFM12345678"))
		if strings.Contains(page.HTML, "eyJ") {
			t.Error("the page has the signed word")
		}
		page = sun.post("/console/window", with(page.Form("/console/window"), "matter", "YC-LAND-07"))
		if !page.Says("本人的码") || !page.Says("不能调取，要收材料；不动产权证书可以调取") {
			t.Errorf("before more is typed:\n%s", page.HTML)
		}
		return with(page.Form("/console/window"), "role.spouse", couple[1].Code, "who", "self")
	}
	states := func(fields map[string]string) map[string]string {
		out := map[string]string{}
		page := sun.post("/console/window", fields)
		for _, row := range page.Rows() {
			out[row[0]] = row[1]
		}
		if len(out) == 0 {
			out["page"] = page.HTML
		}
		return out
	}
	set(func(*gateway.Assertion) {})
	form := scanned()
	got := states(form)
	if !strings.HasPrefix(got["不动产权证书"], "已获取") || strings.HasPrefix(got["配偶身份证"], "已获取") {
		t.Fatalf("a case that the holder vouches for: %q", got)
	}

	// The same word again, for another form: it was used.
	again := sun.get("/console/window").Form("/console/window")
	for name, value := range form {
		if name != "once" {
			again[name] = value
		}
	}
	again["role.spouse"] = "" // another case under the number
	if got := states(again); got["page"] == "" {
		t.Errorf("a word was used twice: %q", got)
	}

	// Another applicant under the same number, and a number that nobody scanned: the clerk's word.
	fields := scanned()
	fields["applicant"], fields["role.spouse"] = couple[1].Code, couple[0].Code
	if got := states(fields); strings.HasPrefix(got["不动产权证书"], "已获取") {
		t.Errorf("the code of one vouches for another: %q", got)
	}
	typed := with(sun.get("/console/window").Form("/console/window"), "matter", "YC-LAND-07", "applicant", couple[0].Code, "role.spouse", couple[1].Code, "who", "self", "at", "go", "registers", "SLBDC-20261201-00000001")
	if got := states(typed); strings.HasPrefix(got["不动产权证书"], "已获取") {
		t.Errorf("a form that says so makes the holder vouch: %q", got)
	}
	for name, change := range map[string]func(*gateway.Assertion){
		"another case":   func(a *gateway.Assertion) { a.Reference = "SLBDC-1" },
		"another hall":   func(a *gateway.Assertion) { a.System = "street-hall" },
		"another person": func(a *gateway.Assertion) { a.Holder = couple[1].Holder() },
		"expired":        func(a *gateway.Assertion) { a.Expires = time.Now().Add(-2 * time.Minute).Unix() },
	} {
		set(change)
		if got := states(scanned()); got["page"] == "" || !strings.Contains(got["page"], "申请人的码已经失效或者用过了。") {
			t.Errorf("%s: %q", name, got)
		}
	}
	c.nothingPersonal(sun)
}
