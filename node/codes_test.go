package node

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/keystore"
	"oncegate/config"
	"oncegate/document/documenttest"
	"oncegate/install/installtest"
)

// A codePage is the page of a code as it came.
type codePage struct {
	status int
	header http.Header
	body   string
}

// page gets an address as a phone does.
func (s *served) page(method, address string) (p codePage) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, address, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return codePage{res.StatusCode, res.Header, string(body)}
}

var (
	headline = regexp.MustCompile(`(?s)<h1>([^<]*)<span.*</h1>\n(?:<p>[^<]*</p>)?(?:<p class="since">([^<]*)<)?`)
	cell     = regexp.MustCompile(`<td[^>]*>([^<]*)</td>`)
	moment   = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
)

// says is the headline of a page, since when it is so, and its table but for the time.
func (p codePage) says() string {
	m := headline.FindStringSubmatch(p.body)
	if m == nil {
		return fmt.Sprintf("%d without a headline", p.status)
	}
	parts := []string{m[1], m[2]}
	for _, c := range cell.FindAllStringSubmatch(p.body, 3) {
		parts = append(parts, c[1])
	}
	return strings.Join(parts, "|")
}

// codeOf draws the license of the company for a case, as a copy in a form, and returns what its QR code says.
func (s *served) codeOf(no string, form api.DocumentForm, fields ...string) string {
	s.t.Helper()
	q := question(no)
	q.Form, q.Fields = form, fields
	answer, err := s.as("food-approval").Query(s.t.Context(), q)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.qr(string(form), answer.Answer.Licenses[0].Document.Content)
}

func (s *served) qr(form, content string) string {
	s.t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(content)
	if err != nil {
		s.t.Fatal(err)
	}
	return documenttest.QR(s.t, form, data)
}

const nothingToShow = "没有可显示的信息||—|—|—"

// TestCodePages: what the QR code of every document of a running node opens says how the license stands, through all that may happen to it, on
// both databases; and says nothing of what is no code of it.
func TestCodePages(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); codePages(t, newCity(t)) })
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		d := installtest.NewDatabase(t)
		if d == nil {
			t.Skip("no PostgreSQL")
		}
		c := newCity(t)
		c.OnPostgres(d.URL.String())
		codePages(t, c)
	})
}

func codePages(t *testing.T, c *city) {
	source := func(statement string) {
		t.Helper()
		if err := installtest.Exec(filepath.Join(c.Dir, "sources/market.db"), statement); err != nil {
			t.Fatal(err)
		}
	}
	source(`update licenses set no = '37990100007788'`)
	s := c.serve()
	s.register("SP-1")
	code := s.codeOf("SP-1", api.DocumentFormOfd, "name", "number")
	if !strings.HasPrefix(code, strings.ToUpper(s.PublicURL())+"/V/") {
		t.Fatalf("the QR code says %s", code)
	}
	const of = "|营业执照|示例市市场监督管理局|7788"
	today := "自 " + time.Now().In(shanghai).Format("2006年1月2日") + " 起"
	want := func(name, address, says string) codePage {
		t.Helper()
		p := s.page("GET", address)
		if p.status != http.StatusOK || p.says() != says {
			t.Errorf("%s: %d %s, want %s", name, p.status, p.says(), says)
		}
		return p
	}
	valid := want("valid", code, "有效|"+of)
	want("lower case", strings.ToLower(code), "有效|"+of)

	// Every form says it; one that does not print the number opens a page without it.
	if pdf := s.codeOf("SP-1", api.DocumentFormPdf, "name", "number"); pdf != code {
		t.Errorf("the PDF says %s, the OFD %s", pdf, code)
	}
	short := s.codeOf("SP-1", api.DocumentFormOfd, "name")
	want("without the number", short, "有效||营业执照|示例市市场监督管理局|—")
	if short[:len(short)-25] == code[:len(code)-25] && short[len(short)-26:len(short)-20] == code[len(code)-26:len(code)-20] {
		t.Errorf("two documents of one license have codes that begin alike: %s, %s", short, code)
	}
	for _, form := range []api.RenderRequestForm{"ofd", "pdf", "png", "svg"} {
		answer, err := s.as("market-licenses").Render(t.Context(), api.RenderRequest{
			LicenseType: "business-license", Holder: api.HolderID{Type: "001", Code: installtest.Company}, Form: form,
		})
		if err != nil {
			t.Fatal(err)
		}
		if said := s.qr(string(form), answer.Answer.Document.Content); said != code {
			t.Errorf("the %s of the whole license says %s", form, said)
		}
	}

	// What happens to the license.
	l := s.query("SP-1")
	s.order(l.Identifier, api.LicenseCommandSuspend)
	want("suspended", code, "已暂停|"+today+of)
	s.order(l.Identifier, api.LicenseCommandReinstate)
	want("reinstated", code, "有效|"+of)
	source(`update licenses set status = '2'`)
	s.query("SP-1")
	want("revoked at the source", code, "已失效|"+today+of)
	source(`update licenses set status = '1'`)
	s.query("SP-1")
	want("valid again at the source", code, "有效|"+of)
	source(`update licenses set until = '2025-03-31'`)
	over := s.query("SP-1")
	want("superseded", code, "已换发|"+today+of)
	answer, err := s.as("market-licenses").Render(t.Context(), api.RenderRequest{LicenseType: "business-license", Holder: api.HolderID{Type: "001", Code: installtest.Company}, Form: "svg"})
	if err != nil {
		t.Fatal(err)
	}
	second := s.qr("svg", answer.Answer.Document.Content)
	want("expired", second, "已过期|自 2025年4月1日 起"+of)
	s.order(over.Identifier, api.LicenseCommandRevoke)
	want("revoked by order", second, "已失效|"+today+of)

	// Keys are rotated and the node restarts: paper stays.
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []keystore.Purpose{{Usage: keystore.Envelope, Algorithm: keystore.Symmetric}, {Usage: keystore.Index, Algorithm: keystore.Symmetric}, {Usage: keystore.Status, Algorithm: keystore.SM2}} {
		c.Rotate(p)
	}
	s = c.serve()
	want("after a rotation of keys", code, "已换发|"+today+of)

	// What is no code of this gateway.
	stranger := newCity(t)
	other := stranger.serve()
	other.register("SP-1")
	foreign := other.codeOf("SP-1", api.DocumentFormOfd, "name")
	base := s.PublicURL() + "/v/"
	unknown := map[string]string{
		"random": base + strings.Repeat("7K", 13), "another gateway's": base + foreign[len(foreign)-26:], "short": base + "X", "long": base + strings.Repeat("9", 4000),
		"path": base + "a/b", "escaped": base + "%00%ff", "identifier": base + l.Identifier, "no text": base + "%20",
	}
	for name, address := range unknown {
		p := want(name, address, nothingToShow)
		if got, like := moment.ReplaceAllString(p.body, ""), moment.ReplaceAllString(want(name, unknown["random"], nothingToShow).body, ""); got != like {
			t.Errorf("%s is not the page of a random code", name)
		}
		if len(p.body) != len(valid.body) {
			t.Errorf("%s has %d bytes, a valid one %d", name, len(p.body), len(valid.body))
		}
	}

	// The answer itself.
	if len(valid.body) > 15<<10 {
		t.Errorf("a page has %d bytes", len(valid.body))
	}
	if h := valid.header; h.Get("Cache-Control") != "no-store" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") ||
		h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Set-Cookie") != "" {
		t.Errorf("%v", h)
	}
	for _, personal := range []string{installtest.Company, "云川小面馆", "甲乙", "37990100007788", l.Identifier} {
		if strings.Contains(valid.body, personal) {
			t.Errorf("the page says %s", personal)
		}
	}
	if p := s.page("HEAD", code); p.status != http.StatusOK || p.body != "" {
		t.Errorf("HEAD: %d with %d bytes", p.status, len(p.body))
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		if p := s.page(method, code); p.status != http.StatusMethodNotAllowed || p.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, allowed is %s", method, p.status, p.header.Get("Allow"))
		}
	}
	if _, metrics := s.get("/metrics"); strings.Contains(metrics, code[len(code)-26:]) || strings.Contains(s.logs.String(), code[len(code)-26:]) {
		t.Error("a code stands in logs or metrics")
	}
}

var shanghai = time.FixedZone("", 8*3600)

// TestCodeOfAlteredRow: what somebody without keys wrote shows nothing, and raises the alarm; nor does a row that was taken away.
func TestCodeOfAlteredRow(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	s := c.serve()
	s.register("SP-1")
	code := s.codeOf("SP-1", api.DocumentFormOfd, "name")
	l := s.query("SP-1")
	s.order(l.Identifier, api.LicenseCommandRevoke)
	if got := s.page("GET", code).says(); !strings.HasPrefix(got, "已失效") {
		t.Fatal(got)
	}
	const alarm = `msg="the database was altered" table=versions`
	db := filepath.Join(c.Dir, "data/oncegate.db")
	for _, statement := range []string{
		`update versions set status = 'valid', ordered = ''`,
		`update versions set slot = slot + 1`,
		`delete from versions`,
	} {
		if err := installtest.Exec(db, statement); err != nil {
			t.Fatal(err)
		}
		if p := s.page("GET", code); p.says() != nothingToShow {
			t.Errorf("%s: %s", statement, p.says())
		}
	}
	if !strings.Contains(s.logs.String(), alarm) {
		t.Error("no alarm was raised")
	}
}

// TestCodeFlood: however many strangers ask for pages, registered callers are answered.
func TestCodeFlood(t *testing.T) {
	t.Parallel()
	s := newCity(t).serve()
	s.register("SP-1")
	code := s.codeOf("SP-1", api.DocumentFormOfd, "name")
	var stop atomic.Bool
	var all sync.WaitGroup
	var answered, refused atomic.Int64
	for i := range 96 {
		all.Go(func() {
			for !stop.Load() {
				address := code
				if i%2 == 0 {
					address = s.PublicURL() + "/v/" + strings.Repeat("7K", 13)
				}
				switch s.page("GET", address).status {
				case http.StatusOK:
					answered.Add(1)
				case http.StatusServiceUnavailable:
					refused.Add(1)
				}
			}
		})
	}
	caller := s.as("food-approval")
	for range 20 {
		if _, err := caller.Query(t.Context(), question("SP-1")); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	all.Wait()
	if answered.Load() == 0 {
		t.Error("nobody was answered")
	}
	if got := s.page("GET", code).says(); !strings.HasPrefix(got, "有效") {
		t.Error("after the flood:", got)
	}
	t.Logf("%d answered, %d refused", answered.Load(), refused.Load())
}

// TestCodesElsewhere: codes open where the configuration says that citizens know the gateway, from the next reload on; what was made before
// stays as it is.
func TestCodesElsewhere(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.Edit(config.MainFile, "gateway:\n", "gateway:\n  documents_url: https://zz.example\n")
	s := c.serve()
	s.register("SP-1")
	code := s.codeOf("SP-1", api.DocumentFormOfd, "name")
	if !strings.HasPrefix(code, "HTTPS://ZZ.EXAMPLE/V/") {
		t.Fatal(code)
	}
	if got := s.page("GET", s.PublicURL()+"/v/"+code[len(code)-26:]).says(); !strings.HasPrefix(got, "有效") {
		t.Error(got)
	}
}
