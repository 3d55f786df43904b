package demo

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html/atom"

	"oncegate/api"
	"oncegate/demo/legacy"
)

// holder signs one of the provider's people in, without a browser.
func (o *office) holder(who legacy.Person) *browserless {
	o.t.Helper()
	jar, err := cookiejar.New(nil)
	must(o.t, err)
	b := &browserless{o: o, client: &http.Client{Jar: jar}}
	p := b.get("/console/sign-in/citizen?to=/console/holder")
	for i, one := range o.st.people() {
		if one.Code == who.Code {
			p = b.read(b.client.PostForm("http://"+o.st.identity+"/authorize", url.Values{"ticket": {p.hidden("ticket")}, "person": {fmt.Sprint(i)}}))
			b.form = p.hidden("form")
			return b
		}
	}
	o.t.Fatal("the provider does not know this person")
	return nil
}

// changing is what differs between two readings of one page: one-time ids, tokens, codes, the number of the reader's own call, and the clock.
var changing = regexp.MustCompile(`value="[A-Za-z0-9_-]{22,}"|/[A-Za-z0-9_-]{22}|/dispute/[0-9]+|记录 [0-9]+</span>|[0-9]{2}:[0-9]{2}`)

// seen is all that a holder is answered by a page, but for what changes anyhow.
func seen(p shown) string {
	var b strings.Builder
	fmt.Fprintln(&b, p.status)
	for _, name := range []string{"Content-Type", "Content-Security-Policy", "Cache-Control", "Set-Cookie", "Location", "Etag", "Link", "Retry-After"} {
		fmt.Fprintln(&b, name, p.header.Values(name))
	}
	b.Write(changing.ReplaceAll(p.body, []byte("…")))
	return b.String()
}

// doors opens every page of a holder, and returns what was answered by name.
func (b *browserless) doors() map[string]string {
	once := func(action string) string { return b.get("/console/holder").onceOf(action) }
	all := map[string]string{"home": seen(b.get("/console/holder"))}
	uses := b.send("/console/holder/uses", url.Values{"once": {once("/console/holder/uses")}})
	all["uses"] = seen(uses)
	for n := range uses.root.Descendants() {
		if n.DataAtom == atom.A && strings.Contains(value(n, "href"), "/dispute/") {
			all["dispute "+fmt.Sprint(len(all))] = seen(b.get(value(n, "href")))
		}
	}
	all["consents"] = seen(b.send("/console/holder/consents", url.Values{"once": {once("/console/holder/consents")}}))
	all["check"] = seen(b.send("/console/holder/check", url.Values{"once": {once("/console/holder/check")}, "matter": {"YC-LAND-07"}}))
	all["nothing"] = seen(b.get("/console/holder/uses/AAAAAAAAAAAAAAAAAAAAAA"))
	return all
}

// What the law forbids to tell leaves no trace on any page of a holder: the same bytes, headers and cookies with and without it. A use that is
// kept back cannot be disputed, and opens like one that there is not. And nothing of all this names a person in logs or metrics.
func TestRestrictedLeavesNoTrace(t *testing.T) {
	o := openOffice(t)
	couple := o.st.city.Population.Cast.Couple
	b := o.holder(couple[0])
	b.doors() // the pre-check stands among the uses from now on
	before := b.doors()
	if !strings.Contains(before["uses"], "不动产转移登记") || !strings.Contains(before["check"], "不用带") || len(before) < 6 {
		t.Fatalf("the pages say:\n%s", before["uses"])
	}

	callers, err := o.st.callersOf(map[string]string{"court-enforcement-system": "ZX-01"})
	must(t, err)
	var hidden uint64
	for n := range 12 { // more than a page has
		a, err := callers["court-enforcement-system"].Query(t.Context(), api.QueryRequest{
			LicenseType: "real-estate-certificate", Holder: api.HolderID{Type: "111", Code: couple[0].Code}, Purpose: api.Purpose{Basis: "court-enforcement", Reference: fmt.Sprintf("(2026)云0101执%d号", n)},
		})
		must(t, err)
		hidden = a.Receipt.Index
	}

	// The reader's own pre-check of before is one more use that is told: it is counted out by comparing with a third reading.
	after := b.doors()
	fresh := o.holder(couple[0]).doors()
	for name, page := range before {
		if name == "uses" || strings.HasPrefix(name, "dispute") {
			continue
		}
		if after[name] != page {
			t.Errorf("%s differs:\n%s\n%s", name, page, after[name])
		}
	}
	for name, page := range after {
		for _, word := range []string{"法院", "执行", "court"} {
			if strings.Contains(page, word) || strings.Contains(fresh[name], word) {
				t.Errorf("%s says %s", name, word)
			}
		}
	}
	items := func(page string) []string { return strings.Split(page, `<p class="use">`)[1:] } // the last with all that follows
	for _, two := range [][2]string{{before["uses"], after["uses"]}, {after["uses"], fresh["uses"]}} {
		if was, is := items(two[0]), items(two[1]); len(is) != len(was)+1 || !slices.Equal(is[1:], was) {
			t.Errorf("one pre-check was made between, and the uses were\n%q\nand are\n%q", was, is)
		}
	}
	uses := b.send("/console/holder/uses", url.Values{"once": {b.get("/console/holder").onceOf("/console/holder/uses")}})
	if a, c := b.get(fmt.Sprintf("%s/dispute/%d", uses.path, hidden)), b.get(uses.path+"/dispute/999999"); seen(a) != seen(c) || a.status != http.StatusNotFound {
		t.Errorf("a use that is kept back answers %d, one that there is not %d", a.status, c.status)
	}

	res, err := http.Get("http://" + o.st.node.AdminAddr() + "/metrics")
	must(t, err)
	metrics, err := io.ReadAll(res.Body)
	must(t, err)
	must(t, res.Body.Close())
	names := namesOf(t, o.st)
	discreet(t, "metrics", metrics, names)
	log, err := os.ReadFile(o.st.path("gateway", "gateway.log"))
	must(t, err)
	discreet(t, "log", log, names)
}
