package console_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestOperatorLooksAtTheNode opens the page of a whole node: one record for a look, none for reading it again, and nothing of cases.
func TestOperatorLooksAtTheNode(t *testing.T) {
	c := sharedCity(t)
	shop := c.legacy.Population.Cast.FoodShop
	c.accept("SP-2026-0071", "YC-FOOD-01", party("applicant", shop.Holder()), party("legal_representative", shop.Legal.Holder()))
	c.signIn("zhou", "3").scan("SP-2026-0071")
	wu := c.signIn("wu", "")
	before := len(c.records("operations", "node.status"))
	page := wu.get("/console/")
	if page.Headline() != "看网关现在好不好" {
		t.Fatalf("the first page of an operator:\n%s", page.HTML)
	}
	page = wu.post("/console/node", page.Form("/console/node"))
	if got := page.Headline(); !strings.HasPrefix(got, "网关") && !strings.HasPrefix(got, "一切正常") {
		t.Errorf("headline: %s\n%s", got, page.HTML)
	}
	for _, words := range []string{"没有已知的备份", "高水位标记", "云川市市场监督管理局 · 签发证照", "启动：已采用"} {
		if !page.Says(words) {
			t.Errorf("the page does not say %q", words)
		}
	}
	for _, secret := range []string{"SP-2026-0071", shop.Name, shop.Code, "周晓梅"} {
		if page.Says(secret) {
			t.Errorf("the page says %s", secret)
		}
	}
	if len(page.HTML) > 25<<10 {
		t.Errorf("%d bytes", len(page.HTML))
	}
	wu.get("/console/node")
	if n := len(c.records("operations", "node.status")) - before; n != 1 {
		t.Errorf("a look left %d records", n)
	}
	for _, who := range []string{"zhou", "qian"} {
		desk := map[string]string{"zhou": "3"}[who]
		b := c.signIn(who, desk)
		if _, res := b.read(b.http.Get(c.url + "/console/node")); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s opens the operator's page: %d", who, res.StatusCode)
		}
	}
	c.nothingPersonal(wu)
}
