package console

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/goccy/go-yaml"
	"golang.org/x/net/html/atom"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/console/consoletest"
	"oncegate/console/session"
	"oncegate/deploy"
	"oncegate/gateway"
	"oncegate/license"
)

// Made-up holders.
var (
	husband = license.HolderID{Type: "111", Code: "379901198503123015"}
	shop    = license.HolderID{Type: "001", Code: "91379901MA9920002Q"}
)

// atPhone makes a desk at which a holder is signed in by the sample city's service of real names.
func atPhone(t testing.TB) *desk {
	t.Helper()
	d := atDesk(t, func(c *Config) {
		snapshot := c.Snapshot()
		snapshot.Subjects = map[string]string{"citizen-identity": "111"}
		snapshot.Holders = &cases.HolderRules{}
		data, err := fs.ReadFile(deploy.City(), "holders.yaml")
		if err == nil {
			err = yaml.Unmarshal(data, snapshot.Holders)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	d.session.Person = gateway.Person{ID: husband.Code, Proof: "session", Service: "citizen-identity"}
	d.session.Name, d.session.Hall, d.session.Department, d.session.Roles, d.session.Desk = "王建国", "citizen-portal", "service", []string{session.Holder}, ""
	d.answer = func(string, gateway.Question) (*gateway.Reply, error) { return refused("internal"), nil }
	return d
}

// told answers as a gateway that tells of uses, n of them in all, newest first.
func (d *desk) told(n int) func(string, gateway.Question) (*gateway.Reply, error) {
	return func(operation string, q gateway.Question) (*gateway.Reply, error) {
		if operation != "holders.accesses" {
			return answered(d.t, api.DisputeAnswer{Record: 7}), nil
		}
		var ask api.AccessesRequest
		if err := json.Unmarshal(q.Body, &ask); err != nil {
			d.t.Fatal(err)
		}
		a := api.AccessesAnswer{From: api.At(d.now.AddDate(-1, 0, 0)), To: api.At(d.now), Time: api.At(d.now), Says: api.Sentence{Zh: "依法不予告知的使用不在此列。", En: "Uses that the law forbids to tell are not listed."}, Accesses: []api.Access{}}
		for i := n; i > 0; i-- {
			if ask.Before > 0 && uint64(i) >= uint64(ask.Before) {
				continue
			}
			if len(a.Accesses) == ask.Limit {
				a.Next = a.Accesses[len(a.Accesses)-1].Record
				break
			}
			one := api.Access{Record: api.Index(i), Time: api.At(d.now.Add(-time.Duration(n-i) * time.Hour)), ByOperation: "cases.check", System: "food-approval", Department: "service", DepartmentName: "云川市行政审批服务局"}
			one.Uses = []api.AccessUse{
				{LicenseType: "business-license", Matter: "YC-FOOD-01", Material: "business-license", Basis: "case", Outcome: "confirm", Fields: []string{"legal_representative_code"}},
				{LicenseType: "business-license", Matter: "YC-FOOD-01", Material: "business-license", Basis: "case", Outcome: "met", Fields: []string{"name", "address", "legal_representative"}, Spared: true},
			}
			a.Accesses = append(a.Accesses, one)
		}
		return answered(d.t, a), nil
	}
}

// seesUses presses the button of the first page and returns the page with the uses.
func (d *desk) seesUses(pairs ...string) consoletest.Page {
	d.t.Helper()
	once := consoletest.Read(d.t, d.get("/console/holder")).Form("/console/holder/uses")["once"]
	return consoletest.Read(d.t, d.post("/console/holder/uses", append([]string{"once", once}, pairs...)...))
}

// TestUsesInPlainSentences holds the words by which a holder reads who used their licenses.
func TestUsesInPlainSentences(t *testing.T) {
	d := atPhone(t)
	d.answer = d.told(2)
	page := d.seesUses()
	if got := page.Headline(); got != "近 12 个月，您的证照被使用 2 次。" {
		t.Errorf("headline: %s", got)
	}
	for _, words := range []string{
		"11月30日 云川市行政审批服务局办理食品经营许可，使用营业执照 3 项，少交 1 份材料", "依据：依法履职，无须您同意", "营业执照：只核对，没有给出内容法定代表人公民身份号码", "不是我办的", "依法不予告知的使用不在此列。",
	} {
		if !strings.Contains(consoletest.Text(page.Root), words) {
			t.Errorf("the page does not say %q:\n%s", words, consoletest.Text(page.Root))
		}
	}
	d.session.Preferences.Language = "en"
	if page := d.seesUses(); !strings.Contains(consoletest.Text(page.Root), "In the last 12 months your licenses were used 2 times.") || regexp.MustCompile(`\p{Han}{5}`).MatchString(strings.ReplaceAll(consoletest.Text(page.All(atom.Main)[0]), "云川市行政审批服务局", "")) {
		t.Errorf("the English page says:\n%s", consoletest.Text(page.Root))
	}
	d.session.Preferences.Language = ""
	d.answer = d.told(0)
	if got := d.seesUses().Headline(); got != "近 12 个月，没有机关用过您的证照。" {
		t.Errorf("headline: %s", got)
	}
}

// Every outcome and basis of the contract has words, and never a code.
func TestEveryUseHasWords(t *testing.T) {
	d := atPhone(t)
	for _, outcome := range []string{"release", "status", "confirm", "unconfirmed", "met", "lapsed", "mismatched", "missing", "unmatched"} {
		for _, basis := range []string{"case", "consent", "own-accesses", "court-enforcement"} {
			for _, operation := range []string{"cases.check", "precheck", "holders.accesses", "licenses.query"} {
				d.answer = func(string, gateway.Question) (*gateway.Reply, error) {
					return answered(t, api.AccessesAnswer{Accesses: []api.Access{{Record: 1, Time: api.At(d.now), ByOperation: operation, System: "x-system", Uses: []api.AccessUse{{LicenseType: "resident-id", Basis: basis, Outcome: outcome, Fields: []string{}}}}}}), nil
				}
				if words := consoletest.Text(d.seesUses().All(atom.Main)[0]); strings.Contains(words, outcome) || strings.Contains(words, basis) || strings.Contains(words, "x-system") || !strings.Contains(words, "依据：") {
					t.Errorf("%s %s %s: %s", outcome, basis, operation, words)
				}
			}
		}
	}
}

// Pages, reload and Back make no call; one form is one call; a page goes on where the last one ended.
func TestUsesPages(t *testing.T) {
	d := atPhone(t)
	d.answer = d.told(23)
	page := d.seesUses()
	if n := d.called(); n != 1 {
		t.Fatalf("%d calls", n)
	}
	if len(page.HTML) > 30<<10 {
		t.Errorf("the page has %d bytes", len(page.HTML))
	}
	t.Logf("first page %d bytes, uses %d", len(d.get("/console/holder")), len(page.HTML))
	where := regexp.MustCompile(`/console/holder/uses/[A-Za-z0-9_-]{22}`).FindString(page.HTML)
	for range 3 {
		if again := consoletest.Read(d.t, d.get(where)); again.Headline() != "近 12 个月用过您证照的，最近 10 次。" || d.called() != 1 {
			t.Errorf("%s, %d calls", again.Headline(), d.called())
		}
	}
	before, _, _ := page.Input("before")
	for _, want := range []string{"更早的 10 次。", "更早的 3 次。"} {
		page = consoletest.Read(d.t, d.post("/console/holder/uses", "once", page.Form("/console/holder/uses")["once"], "before", before))
		if page.Headline() != want {
			t.Errorf("%s", page.Headline())
		}
		if want != "更早的 3 次。" {
			before, _, _ = page.Input("before")
		}
	}
	if strings.Contains(page.HTML, `name="before"`) {
		t.Error("the last page offers an earlier one")
	}
	n := d.called()
	once := consoletest.Read(d.t, d.get("/console/holder")).Form("/console/holder/uses")["once"]
	for range 3 {
		d.post("/console/holder/uses", "once", once)
	}
	if d.called() != n+1 {
		t.Errorf("a form that was sent three times made %d calls", d.called()-n)
	}
	for _, bad := range []string{"-1", "x", "99999999999999999999", "１"} {
		if got := consoletest.Read(d.t, d.post("/console/holder/uses", "once", d.console.visit(nil, httpRequest()).once(), "before", bad)).Headline(); got != "表单没有传完整。" {
			t.Errorf("before %q: %s", bad, got)
		}
	}
}

// 不是我办的 is one call for one use that stands on the page, and the page says so from then on.
func TestDisputeOfUse(t *testing.T) {
	d := atPhone(t)
	d.answer = d.told(2)
	page := d.seesUses()
	where := regexp.MustCompile(`/console/holder/uses/[A-Za-z0-9_-]{22}`).FindString(page.HTML)
	form := consoletest.Read(d.t, d.get(where+"/dispute/2"))
	once := form.Form(where + "/dispute/2")["once"]
	for range 2 {
		page = consoletest.Read(d.t, d.post(where+"/dispute/2", "once", once, "why", "本单位没有申请"))
	}
	if d.called() != 2 || d.calls[1] != "holders.dispute" {
		t.Errorf("calls %v", d.calls)
	}
	if !strings.Contains(consoletest.Text(page.Root), "您说这次不是您办的，已转审计机关核查。记录 28") || strings.Count(page.HTML, "/dispute/") != 1 {
		t.Errorf("the page says:\n%s", consoletest.Text(page.Root))
	}
	d.post(where+"/dispute/2", "once", form.Form(where + "/dispute/2")["once"], "why", "again")
	if d.called() != 2 {
		t.Error("a use that is disputed was disputed again")
	}
	for _, path := range []string{where + "/dispute/3", where + "/dispute/x", "/console/holder/uses/AAAAAAAAAAAAAAAAAAAAAA/dispute/1", "/console/holder/uses/AAAAAAAAAAAAAAAAAAAAAA"} {
		if got := consoletest.Read(d.t, d.get(path)).Headline(); got != "这一页已经不在了。" {
			t.Errorf("%s: %s", path, got)
		}
	}
	d.answer = func(string, gateway.Question) (*gateway.Reply, error) { return refused("access-unknown"), nil }
	if page := consoletest.Read(d.t, d.post(where+"/dispute/1", "once", d.console.visit(nil, httpRequest()).once(), "why", "w")); !strings.Contains(page.HTML, api.NewProblem("access-unknown").Zh) || !strings.Contains(page.HTML, ">w<") {
		t.Errorf("a refused dispute: %s", consoletest.Text(page.Root))
	}
}

// A holder asks for a company by a form; the code stands in no address, and who is not named there learns nothing and stays oneself.
func TestForACompany(t *testing.T) {
	d := atPhone(t)
	var asked []api.AccessesRequest
	deny := ""
	d.answer = func(operation string, q gateway.Question) (*gateway.Reply, error) {
		var a api.AccessesRequest
		if err := json.Unmarshal(q.Body, &a); err != nil {
			t.Fatal(err)
		}
		asked = append(asked, a)
		if deny != "" {
			return refused(deny), nil
		}
		return d.told(1)(operation, q)
	}
	form := consoletest.Read(d.t, d.get("/console/holder"))
	page := consoletest.Read(d.t, d.post("/console/holder/uses", "once", form.Form("/console/holder/uses")["once"], "for", "legal_representative", "code-legal_representative", "91379901MA9920002X"))
	if _, fault, focus := page.Input("code-legal_representative"); fault != "第 18 位不对，请再核对。" || !focus || len(asked) != 0 {
		t.Errorf("a wrong code: %s, asked %v", fault, asked)
	}
	for code, says := range map[string]string{"holder-not-represented": "登记的法定代表人不是您", "standing-unavailable": "登记机关的系统暂时没有应答"} {
		deny = code
		page = consoletest.Read(d.t, d.post("/console/holder/uses", "once", consoletest.Read(d.t, d.get("/console/holder")).Form("/console/holder/uses")["once"], "for", "legal_representative", "code-legal_representative", shop.Code))
		if _, fault, _ := page.Input("code-legal_representative"); !strings.Contains(fault, says) || !strings.Contains(consoletest.Text(page.Root), "查的是：本人 王**") {
			t.Errorf("%s: %s", code, consoletest.Text(page.Root))
		}
	}
	deny = ""
	page = d.seesUses("for", "legal_representative", "code-legal_representative", shop.Code)
	if got := asked[len(asked)-1]; got.As != "legal_representative" || got.Holder.Code != shop.Code || got.Holder.Type != shop.Type {
		t.Errorf("asked %+v", got)
	}
	if !strings.Contains(consoletest.Text(page.Root), "查的是：单位 9137**") {
		t.Errorf("the page says: %s", consoletest.Text(page.Root))
	}
	d.seesUses() // goes on for the company, and asks its register anew
	if got := asked[len(asked)-1]; got.As != "legal_representative" || got.Holder.Code != shop.Code {
		t.Errorf("asked %+v", got)
	}
	d.seesUses("for", "self")
	if got := asked[len(asked)-1]; got.As != "" || got.Holder.Code != husband.Code {
		t.Errorf("asked %+v", got)
	}
	d.seesUses("for", "emperor")
	d.seesUses("holder", shop.Code, "as", "legal_representative", "type", "001") // no such fields
	for _, got := range asked[len(asked)-1:] {
		if got.Holder.Code != husband.Code {
			t.Errorf("asked %+v", got)
		}
	}
	for path := range d.kept {
		if strings.Contains(path, shop.Code) || strings.Contains(path, husband.Code) {
			t.Errorf("a key names a person: %s", path)
		}
	}
}

// Whoever is known by a local account, or by a service whose subjects are staff, is no holder: nothing is called.
func TestAssertedIsNoHolder(t *testing.T) {
	for _, person := range []gateway.Person{{ID: husband.Code}, {ID: husband.Code, Proof: "session", Service: "staff-identity"}, {ID: "holder-1", Proof: "session", Service: "citizen-identity"}, {ID: husband.Code, Service: ""}} {
		d := atPhone(t)
		d.session.Person = person
		once := d.console.visit(nil, httpRequest()).once()
		for _, body := range []string{d.get("/console/holder"), d.post("/console/holder/uses", "once", once), d.post("/console/holder/uses", "once", once, "for", "legal_representative", "code-legal_representative", shop.Code)} {
			if got := consoletest.Read(d.t, body).Headline(); got != "这里要用实名登录。" {
				t.Errorf("%+v: %s", person, got)
			}
		}
		if d.called() != 0 {
			t.Errorf("%+v: %v", person, d.calls)
		}
	}
}

// Hostile texts stay text on every page of a holder; no page, address or header has a personal code.
func TestHolderPagesHostile(t *testing.T) {
	d := atPhone(t)
	for _, bad := range hostile {
		name := strings.ToValidUTF8(bad, "?")
		d.session.Name = name
		d.answer = func(operation string, q gateway.Question) (*gateway.Reply, error) {
			if operation == "holders.dispute" {
				return refused("access-unknown"), nil
			}
			return answered(t, api.AccessesAnswer{Says: api.Sentence{Zh: name, En: name}, Next: 1, Accesses: []api.Access{{Record: 1, Time: api.At(d.now), ByOperation: name, System: name, SystemName: name, DepartmentName: name, Uses: []api.AccessUse{{LicenseType: name, Matter: name, Basis: name, Outcome: name, Fields: []string{name}}}}}}), nil
		}
		page := d.seesUses()
		where := regexp.MustCompile(`/console/holder/uses/[A-Za-z0-9_-]{22}`).FindString(page.HTML)
		for _, body := range []string{page.HTML, d.get("/console/holder"), d.get(where + "/dispute/1"), d.post(where+"/dispute/1", "once", d.console.visit(nil, httpRequest()).once(), "why", bad), d.seesUses("for", bad).HTML, d.seesUses("for", "legal_representative", "code-legal_representative", bad).HTML} {
			root := consoletest.Read(d.t, body).Root
			for n := range root.Descendants() {
				if n.DataAtom == atom.Script || n.DataAtom == atom.Img || n.DataAtom == atom.Iframe {
					t.Errorf("%q: the page has an element %s", bad, n.Data)
				}
				for _, a := range n.Attr {
					if strings.HasPrefix(a.Key, "on") || a.Key == "style" || strings.HasPrefix(a.Val, "javascript:") && a.Key != "value" {
						t.Errorf("%q: the page has an attribute %s=%q", bad, a.Key, a.Val)
					}
				}
			}
		}
	}
	d.session.Name = "王建国"
	d.answer = d.told(3)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.PostForm(d.server.URL+"/console/holder/uses", url.Values{"form": {formToken}, "once": {d.console.visit(nil, httpRequest()).once()}, "for": {"legal_representative"}, "code-legal_representative": {shop.Code}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if head := fmt.Sprint(res.Header); res.StatusCode != http.StatusSeeOther || strings.Contains(head, shop.Code) || strings.Contains(head, husband.Code) {
		t.Errorf("%d %s", res.StatusCode, head)
	}
	for _, body := range []string{d.get(res.Header.Get("Location")), d.get("/console/holder")} {
		if strings.Contains(body, shop.Code) || strings.Contains(body, husband.Code) || strings.Contains(body, "王建国") && strings.Count(body, "王建国") > 1 {
			t.Error("the page shows a whole code, or the name more often than the frame does")
		}
	}
}

// signInAs signs another holder in at the desk: everything kept by the session before is another session's.
func (d *desk) signInAs(holder license.HolderID, name string) {
	d.session.Person.ID, d.session.Name = holder.Code, name
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.kept {
		if !strings.HasPrefix(key, "shared/") {
			delete(d.kept, key)
		}
	}
}

var wife = license.HolderID{Type: "111", Code: "379901198806244025"}

// bringing answers pre-checks of a transfer of real estate: the spouse's material is met where a consent stands.
func (d *desk) bringing(stands map[string]bool, asked *[]string) func(string, gateway.Question) (*gateway.Reply, error) {
	return func(operation string, q gateway.Question) (*gateway.Reply, error) {
		*asked = append(*asked, operation+" "+string(q.Body))
		switch operation {
		case "consents.give":
			var c api.ConsentRequest
			if err := json.Unmarshal(q.Body, &c); err != nil {
				d.t.Fatal(err)
			}
			stands[c.ID] = true
			return answered(d.t, api.ConsentAnswer{ID: c.ID, Types: c.Types, Expires: c.Expires}), nil
		case "consents.list":
			a := api.ConsentsAnswer{Consents: []api.GivenConsent{}}
			for id, standing := range stands {
				one := api.GivenConsent{ID: id, System: "citizen-portal", SystemName: "云川政务服务网", Types: []string{"resident-id"}, Matters: []string{"YC-LAND-07"}, Given: api.At(d.now), Expires: api.At(d.now.AddDate(0, 0, 30))}
				if !standing {
					one.Withdrawn = api.At(d.now)
				}
				a.Consents = append(a.Consents, one)
			}
			return answered(d.t, a), nil
		case "consents.withdraw":
			stands[q.Path["id"]] = false
			return answered(d.t, api.ConsentAnswer{ID: q.Path["id"], Withdrawn: api.At(d.now)}), nil
		}
		var ask api.PrecheckRequest
		if err := json.Unmarshal(q.Body, &ask); err != nil {
			d.t.Fatal(err)
		}
		a := api.PrecheckAnswer{Matter: ask.Matter}
		m, _ := d.console.Snapshot().Book.Matter(ask.Matter)
		for _, one := range m.Materials {
			state := api.PrecheckStateMet
			if one.HolderRole() != cases.Applicant && !(len(ask.Parties) == 1 && stands[ask.Parties[0].Consent]) || one.Code == "tax-clearance" {
				state = api.PrecheckStateBringIt
			}
			a.Materials = append(a.Materials, api.PrecheckedMaterial{Matter: ask.Matter, Material: one.Code, Name: one.Name, NameEn: one.NameEN, Need: api.Need(one.Need), State: state})
		}
		return answered(d.t, a), nil
	}
}

// The couple: one asks what to bring, the other consents on their own phone, and the next check knows; withdrawn, the next check knows, too.
func TestCoupleConsentsOnTwoPhones(t *testing.T) {
	d := atPhone(t)
	stands, asked := map[string]bool{}, []string{}
	d.answer = d.bringing(stands, &asked)
	home := consoletest.Read(d.t, d.get("/console/holder"))
	if page := consoletest.Read(d.t, d.post("/console/holder/check", "once", home.Form("/console/holder/check")["once"], "matter", "")); len(asked) != 0 || !strings.Contains(page.HTML, "请先选要办的事项。") {
		t.Errorf("no matter was chosen: %v", asked)
	}
	page := consoletest.Read(d.t, d.post("/console/holder/check", "once", home.Form("/console/holder/check")["once"], "matter", "YC-LAND-07"))
	if got := page.Headline(); got != "5 份里 3 份不用带。" {
		t.Errorf("headline: %s", got)
	}
	if !strings.Contains(consoletest.Text(page.Root), "请带配偶身份证。完税证明可以后补。") || len(page.HTML) > 30<<10 {
		t.Errorf("the page says:\n%s", consoletest.Text(page.Root))
	}
	where := regexp.MustCompile(`/console/holder/check/[A-Za-z0-9_-]{22}`).FindString(page.HTML)
	invite := func(code string) consoletest.Page {
		return consoletest.Read(d.t, d.post(where+"/invite", "once", consoletest.Read(d.t, d.get(where)).Form(where + "/invite")["once"], "role", "spouse", "code-spouse", code))
	}
	for code, says := range map[string]string{wife.Code[:17] + "1": "第 18 位不对", husband.Code: "这是您自己的号码", shop.Code: "请填对方的身份证号", "": "应为 18 位"} {
		if _, fault, _ := invite(code).Input("code-spouse"); !strings.Contains(fault, says) {
			t.Errorf("%q: %q", code, fault)
		}
	}
	page = invite(wife.Code)
	link := regexp.MustCompile(`/console/holder/confirm/[A-Za-z0-9_-]{22}`).FindString(page.HTML)
	if link == "" || len(asked) != 1 {
		t.Fatalf("calls %v, the page says:\n%s", asked, consoletest.Text(page.Root))
	}
	if got := consoletest.Read(d.t, d.get(link)).Headline(); got != "这个地址打不开了。" {
		t.Errorf("who asks opens the other's page: %s", got)
	}
	d.signInAs(license.HolderID{Type: "111", Code: "379901195801010015"}, "外人")
	for _, path := range []string{link, "/console/holder/confirm/AAAAAAAAAAAAAAAAAAAAAA"} {
		if a, b := d.get(path), d.post(path, "once", d.console.visit(nil, httpRequest()).once()); consoletest.Read(d.t, a).Headline() != "这个地址打不开了。" || consoletest.Read(d.t, b).Headline() != "这个地址打不开了。" || len(asked) != 1 {
			t.Errorf("a stranger at %s: %v", path, asked)
		}
	}

	d.signInAs(wife, "李秀英")
	page = consoletest.Read(d.t, d.get(link))
	if words := consoletest.Text(page.Root); !strings.Contains(words, "王** 要办不动产转移登记") || !strings.Contains(words, "居民身份证") || strings.Contains(page.HTML, husband.Code) || strings.Contains(words, "王建国") {
		t.Errorf("the page says:\n%s", words)
	}
	once := page.Form(link)["once"]
	for range 2 {
		page = consoletest.Read(d.t, d.post(link, "once", once))
	}
	if len(asked) != 2 || !strings.HasPrefix(asked[1], "consents.give ") || !strings.Contains(asked[1], wife.Code) || strings.Contains(asked[1], husband.Code) || !strings.Contains(page.HTML, "您已经同意。") {
		t.Errorf("calls %v; %s", asked, consoletest.Text(page.Root))
	}
	d.get(link)
	d.post(link, "once", d.console.visit(nil, httpRequest()).once())
	if len(asked) != 2 {
		t.Errorf("the page was read again: %v", asked)
	}

	d.signInAs(husband, "王建国")
	check := func() string {
		t.Helper()
		id := strings.TrimPrefix(where, "/console/holder/check/")
		d.kept[id] = keptOf(t, id, link)
		page := consoletest.Read(d.t, d.get(where))
		return consoletest.Read(d.t, d.post(where+"/again", "once", page.Form(where + "/again")["once"])).Headline()
	}
	if got := check(); got != "5 份里 4 份不用带。" {
		t.Errorf("after the consent: %s", got)
	}

	d.signInAs(wife, "李秀英")
	page = consoletest.Read(d.t, d.post("/console/holder/consents", "once", consoletest.Read(d.t, d.get("/console/holder")).Form("/console/holder/consents")["once"]))
	list := regexp.MustCompile(`/console/holder/consents/[A-Za-z0-9_-]{22}`).FindString(page.HTML)
	if page.Headline() != "您给出的同意，有效的 1 项。" || !strings.Contains(consoletest.Text(page.Root), "为不动产转移登记核验居民身份证") {
		t.Errorf("%s", consoletest.Text(page.Root))
	}
	if got := consoletest.Read(d.t, d.post(list+"/withdraw", "once", d.console.visit(nil, httpRequest()).once(), "consent", "another-consent-1")).Headline(); got != "这一页已经不在了。" {
		t.Errorf("another's consent: %s", got)
	}
	id, _, _ := page.Input("consent")
	page = consoletest.Read(d.t, d.post(list+"/withdraw", "once", page.Form(list + "/withdraw")["once"], "consent", id))
	if page.Headline() != "您现在没有有效的同意。" || !strings.Contains(page.HTML, "已于 11月30日撤回") {
		t.Errorf("%s", consoletest.Text(page.Root))
	}
	d.signInAs(husband, "王建国")
	if got := check(); got != "5 份里 3 份不用带。" {
		t.Errorf("after the withdrawal: %s", got)
	}
	d.now = d.now.Add(73 * time.Hour)
	d.signInAs(wife, "李秀英")
	if got := consoletest.Read(d.t, d.get(link)).Headline(); got != "这个地址打不开了。" {
		t.Errorf("after three days: %s", got)
	}
}

// keptOf is a pre-check as the session of who asked keeps it, with the invitation of a link.
func keptOf(t testing.TB, id, link string) []byte {
	t.Helper()
	k := keptCheck{counterCase: counterCase{ID: id}, For: actingFor{Holder: husband}, Matter: "YC-LAND-07", Checked: &api.PrecheckAnswer{}, Invited: []invited{{"spouse", link[len("/console/holder/confirm/"):], ""}}}
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
