package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/api"
)

// TestLateSourceIsNamed has the civil affairs bureau answer over HTTP after four seconds: the first page comes within three, with what the other sources
// answered, and names the late materials; their results come in a second record; reading the page calls nothing.
func TestLateSourceIsNamed(t *testing.T) {
	var slow atomic.Bool
	var asked atomic.Int32
	c := newCity(t, func(c *city) {
		target := &url.URL{Scheme: "http", Host: c.legacy.Civil.Addr()}
		proxy := httputil.NewSingleHostReverseProxy(target)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			if slow.Load() {
				select {
				case <-time.After(4 * time.Second):
				case <-r.Context().Done():
				}
			}
			proxy.ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		c.edit("sources/civil.yaml", c.legacy.Civil.Addr(), strings.TrimPrefix(server.URL, "http://"), "deadline: 2s", "deadline: 8s")
	})
	t.Cleanup(func() { c.stop() })
	couple := c.legacy.Population.Cast.Couple
	c.accept("BDC-2026-0301", "YC-LAND-07", party("applicant", couple[0].Holder()), party("spouse", couple[1].Holder()))
	sun := c.signIn("sun", "7")
	slow.Store(true)
	form := sun.post("/console/window", with(sun.get("/console/window").Form("/console/window"), "scan", "BDC-2026-0301"))
	start := time.Now()
	page := sun.post("/console/window", with(form.Form("/console/window"), "who", "self"))
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("the first page came after %s", took)
	}
	if got := page.Headline(); got != "5 份材料，2 份不用交，2 份正在查，1 份暂时查不到。" {
		t.Fatalf("headline: %s\n%s", got, page.HTML)
	}
	if !page.Says("民政局答得慢，请您稍等") || strings.Contains(page.HTML, "打印一次性告知单") || strings.Contains(page.HTML, "http-equiv=\"refresh\"") {
		t.Errorf("the page:\n%s", page.HTML)
	}
	late := func() (n int) {
		for _, row := range page.Rows() {
			if strings.HasPrefix(row[1], "正在查") && row[3] == "看结果" {
				n++
			}
		}
		return n
	}
	if n := late(); n != 2 {
		t.Errorf("%d materials are said to be late: %q", n, page.Rows())
	}
	before := len(c.records("street-land", "cases.check"))
	for range 200 {
		if page = sun.get(page.Link("看结果")); late() == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if got := page.Headline(); got != "5 份材料，4 份不用交，1 份暂时查不到。可以受理。" {
		t.Errorf("afterwards: %s\n%s", got, page.HTML)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the bureau was asked %d times", n)
	}
	address := page.Link("打印一次性告知单")
	for range 3 {
		sun.get(strings.TrimSuffix(address, "/notice"))
		sun.get(address)
	}
	found := c.records("street-land", "cases.check")
	if n := len(found); n != 2 || before > 2 {
		t.Errorf("%d records of one form", n)
	}
	// What was late is released by the second record alone.
	if released(found[1].Uses, "marriage-certificate") || !released(found[0].Uses, "marriage-certificate") {
		t.Errorf("the records: %+v", found)
	}
	if !slices.ContainsFunc(strings.Split(page.HTML, "\n"), func(line string) bool { return strings.Contains(line, "、") && strings.Contains(line, "记录") }) {
		t.Errorf("the foot does not name both records:\n%s", page.HTML)
	}
}

// released reports whether a record's uses released fields of a material.
func released(uses []api.AuditUse, material string) bool {
	return slices.ContainsFunc(uses, func(u api.AuditUse) bool { return u.Material == material && u.Decision == "met" && len(u.Fields) > 0 })
}
