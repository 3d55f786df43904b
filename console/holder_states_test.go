package console

import (
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/console/consoletest"
	"oncegate/console/session"
	"oncegate/gateway"
)

// A holderState is a page of holders in one of its states: what the session keeps, and what is opened or sent.
type holderState struct {
	name   string
	path   string
	keep   map[string]any
	form   []string // of a POST
	answer func(operation string, q gateway.Question) (*gateway.Reply, error)
}

// heldID is the address of what a state keeps.
const heldID, heldCode = "AAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBA"

// holderStates are all states of all pages of holders, with a name in every place where a source, an office or a person brings one.
func holderStates(d *desk, name string) []holderState {
	self, company := actingFor{Holder: husband}, actingFor{As: "legal_representative", Holder: shop}
	say := api.Sentence{Zh: name, En: name}
	counter := counterCase{ID: heldID, Began: d.now, Record: 28}
	pending, lost, no := counter, counter, counter
	pending.Pending, lost.Pending, lost.Began = true, true, d.now.Add(-time.Hour)
	no.Refused = &refusedCall{Code: "source-unavailable", Zh: name, En: name, Advice: name}
	access := func(record int, operation, basis, outcome string) api.Access {
		return api.Access{Record: api.Index(record), Time: api.At(d.now), ByOperation: operation, System: name, SystemName: name, DepartmentName: name, Uses: []api.AccessUse{
			{LicenseType: "resident-id", Matter: "YC-LAND-07", Basis: basis, Outcome: outcome, Fields: []string{"holder_name", "born", name}, Spared: true}, {LicenseType: name, Matter: name, Basis: name, Outcome: name, Fields: []string{name}},
		}}
	}
	told := &api.AccessesAnswer{Says: say, Accesses: []api.Access{access(9, "cases.check", "case", "met"), access(8, "precheck", "consent", "met"), access(7, "licenses.query", "court-enforcement", "release"), access(6, "holders.accesses", "own-accesses", "confirm"), access(5, name, name, name)}}
	many := &api.AccessesAnswer{Says: say, Next: 1}
	for i := range usesOnPage {
		many.Accesses = append(many.Accesses, access(30-i, "cases.check", "case", "met"))
	}
	checked := &api.PrecheckAnswer{Materials: []api.PrecheckedMaterial{
		{Name: name, NameEn: name, Need: 1, State: api.PrecheckStateMet}, {Name: name, NameEn: name, Need: 1, State: api.PrecheckStateBringIt}, {Name: name, NameEn: name, Need: 2, State: api.PrecheckStateBringIt}, {Name: name, NameEn: name, Need: 3, State: api.PrecheckStateBringIt},
	}}
	all := &api.PrecheckAnswer{Materials: checked.Materials[:1]}
	consents := &api.ConsentsAnswer{Consents: []api.GivenConsent{
		{ID: "phone-1", System: name, SystemName: name, DepartmentName: name, Types: []string{"resident-id", name}, Matters: []string{"YC-LAND-07", name}, Given: api.At(d.now), Expires: api.At(d.now.AddDate(0, 1, 0))},
		{ID: "phone-2", System: name, SystemName: name, Types: []string{"resident-id"}, Given: api.At(d.now.AddDate(0, -1, 0)), Expires: api.At(d.now.AddDate(0, 0, -1))},
		{ID: "phone-3", System: name, SystemName: name, Types: []string{"resident-id"}, Given: api.At(d.now.AddDate(0, -1, 0)), Expires: api.At(d.now.AddDate(0, 1, 0)), Withdrawn: api.At(d.now)},
	}}
	invitationTo := func(who string, consent string) invitation {
		i := invitation{Matter: "YC-LAND-07", Role: "spouse", From: wife, Name: name, To: husband, Until: d.now.Add(time.Hour), Consent: consent, Record: 29}
		if who == "wife" {
			i.From, i.To = husband, wife
		}
		return i
	}
	uses := func(name string, k keptUses) holderState {
		return holderState{name: "uses-" + name, path: "/console/holder/uses/" + heldID, keep: map[string]any{heldID: k}}
	}
	check := func(name string, k keptCheck, more map[string]any) holderState {
		k.Matter = "YC-LAND-07"
		keep := map[string]any{heldID: k}
		for key, value := range more {
			keep[key] = value
		}
		return holderState{name: "check-" + name, path: "/console/holder/check/" + heldID, keep: keep}
	}
	listed := func(name string, k keptConsents) holderState {
		return holderState{name: "consents-" + name, path: "/console/holder/consents/" + heldID, keep: map[string]any{heldID: k}}
	}
	refuse := func(string, gateway.Question) (*gateway.Reply, error) { return refused("source-unavailable"), nil }
	once := func(pairs ...string) []string {
		return append([]string{"once", d.console.visit(nil, httpRequest()).once()}, pairs...)
	}
	invited := []invited{{"spouse", heldCode, heldCode}}
	shared := "shared/" + shareKey(heldCode)
	return []holderState{
		{name: "home", path: "/console/holder"},
		{name: "home-company", path: "/console/holder", keep: map[string]any{keyActingFor: company}},
		{name: "home-no-matter", path: "/console/holder/check", form: once("matter", name)},
		{name: "home-wrong-code", path: "/console/holder/uses", form: once("for", "legal_representative", "code-legal_representative", name)},
		{name: "home-not-represented", path: "/console/holder/uses", form: once("for", "legal_representative", "code-legal_representative", shop.Code), answer: refuse},
		uses("none", keptUses{counterCase: counter, For: self, First: true, Told: &api.AccessesAnswer{Says: say}}),
		uses("some", keptUses{counterCase: counter, For: self, First: true, Told: told, Disputed: map[string]disputing{"8": {29}}}),
		uses("many", keptUses{counterCase: counter, For: self, First: true, Told: many}),
		uses("company", keptUses{counterCase: counter, For: company, First: true, Told: told}),
		uses("refused", keptUses{counterCase: no, For: self}), uses("company-refused", keptUses{counterCase: no, For: company}),
		uses("pending", keptUses{counterCase: pending, For: self}), uses("lost", keptUses{counterCase: lost, For: self}),
		{name: "dispute", path: "/console/holder/uses/" + heldID + "/dispute/9", keep: map[string]any{heldID: keptUses{counterCase: counter, For: self, Told: told}}},
		{name: "dispute-long", path: "/console/holder/uses/" + heldID + "/dispute/9", keep: map[string]any{heldID: keptUses{counterCase: counter, For: self, Told: told}}, form: once("why", strings.Repeat(name, 200)), answer: refuse},
		{name: "dispute-refused", path: "/console/holder/uses/" + heldID + "/dispute/9", keep: map[string]any{heldID: keptUses{counterCase: counter, For: self, Told: told}}, form: once("why", name), answer: refuse},
		check("asks", keptCheck{counterCase: counter, For: self, Checked: checked}, nil),
		check("all", keptCheck{counterCase: counter, For: self, Checked: all}, nil),
		check("invited", keptCheck{counterCase: counter, For: self, Checked: checked, Invited: invited}, map[string]any{shared: invitationTo("wife", "")}),
		check("agreed", keptCheck{counterCase: counter, For: self, Checked: checked, Invited: invited}, map[string]any{shared: invitationTo("wife", "phone-1")}),
		check("withdrew", keptCheck{counterCase: counter, For: self, Checked: checked, Invited: invited}, map[string]any{shared: invitationTo("wife", "phone-1"), "shared/" + withdrawnKey("phone-1"): "withdrawn"}),
		check("refused", keptCheck{counterCase: no, For: self}, nil), check("company-refused", keptCheck{counterCase: no, For: company}, nil),
		check("pending", keptCheck{counterCase: pending, For: self}, nil), check("lost", keptCheck{counterCase: lost, For: self}, nil),
		{name: "check-invite-wrong", path: "/console/holder/check/" + heldID + "/invite", keep: map[string]any{heldID: keptCheck{counterCase: counter, For: self, Matter: "YC-LAND-07", Checked: checked}}, form: once("role", "spouse", "code-spouse", name)},
		{name: "confirm", path: "/console/holder/confirm/" + heldCode, keep: map[string]any{shared: invitationTo("husband", "")}},
		{name: "confirm-refused", path: "/console/holder/confirm/" + heldCode, keep: map[string]any{shared: invitationTo("husband", "")}, form: once(), answer: refuse},
		{name: "confirm-given", path: "/console/holder/confirm/" + heldCode, keep: map[string]any{shared: invitationTo("husband", "phone-1")}},
		{name: "confirm-of-another", path: "/console/holder/confirm/" + heldCode, keep: map[string]any{shared: invitationTo("wife", "")}},
		listed("none", keptConsents{counterCase: counter, For: self, Listed: &api.ConsentsAnswer{}}), listed("some", keptConsents{counterCase: counter, For: self, Listed: consents}),
		listed("company", keptConsents{counterCase: counter, For: company, Listed: consents}), listed("refused", keptConsents{counterCase: no, For: self}), listed("pending", keptConsents{counterCase: pending, For: self}),
		{name: "consents-not-withdrawn", path: "/console/holder/consents/" + heldID + "/withdraw", keep: map[string]any{heldID: keptConsents{counterCase: counter, For: self, Listed: consents}}, form: once("consent", "phone-1"), answer: refuse},
	}
}

// set puts a desk into a state.
func (d *desk) set(s holderState) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.kept)
	for key, value := range s.keep {
		text, err := json.Marshal(value)
		if err != nil {
			d.t.Fatal(err)
		}
		d.kept[key] = text
	}
	d.answer = s.answer
	if s.answer == nil {
		d.answer = func(operation string, _ gateway.Question) (*gateway.Reply, error) {
			d.t.Errorf("%s: calls %s", s.name, operation)
			return refused("internal"), nil
		}
	}
}

func (d *desk) open(s holderState) string {
	d.t.Helper()
	d.set(s)
	if s.form != nil {
		return d.post(s.path, s.form...)
	}
	return d.get(s.path)
}

var wholeCode = regexp.MustCompile(`3799[0-9]{13}[0-9X]|9137[0-9A-Z]{14}`)

// Every page of holders in every state: sound for assistive technology, within its bound, in the reader's language, without a code of a person
// but in the field into which it was typed; and hostile texts stay text wherever somebody brings one.
func TestHolderStates(t *testing.T) {
	d := atPhone(t)
	for _, p := range []session.Preferences{{}, {Large: true, Contrast: true}, {Language: "en"}} {
		d.session.Preferences = p
		for _, s := range holderStates(d, "某单位") {
			body := d.open(s)
			page := consoletest.Read(t, body)
			for _, fault := range page.Faults() {
				t.Errorf("%s: %s", s.name, fault)
			}
			if len(body) > 25<<10 {
				t.Errorf("%s has %d bytes", s.name, len(body))
			}
			if found := wholeCode.FindAllString(body, -1); len(found) > 0 && !slices.Contains(s.form, found[0]) {
				t.Errorf("%s: whole codes stand on the page", s.name)
			}
			if p.Language == "en" {
				words := strings.ReplaceAll(consoletest.Text(page.Root), "某单位", "")
				if han := regexp.MustCompile(`\p{Han}{6,}`).FindString(strings.ReplaceAll(words, d.session.Hall, "")); han != "" {
					t.Errorf("%s says in English: %s", s.name, han)
				}
			}
		}
	}
	d.session.Preferences = session.Preferences{}
	for _, bad := range hostile {
		name := strings.ToValidUTF8(bad, "?")
		d.session.Name = name
		for _, s := range holderStates(d, name) {
			for _, fault := range consoletest.Read(t, d.open(s)).Faults() {
				t.Errorf("%s with %.40q: %s", s.name, name, fault)
			}
		}
	}
}

// A representative withdraws a consent of the company as such, and is told why where it is refused.
func TestCompanyWithdraws(t *testing.T) {
	d := atPhone(t)
	states := holderStates(d, "某单位")
	s := states[slices.IndexFunc(states, func(s holderState) bool { return s.name == "consents-company" })]
	var asked []string
	s.answer = func(operation string, q gateway.Question) (*gateway.Reply, error) {
		asked = append(asked, operation+" "+q.Path["id"]+" "+string(q.Body))
		return refused("consent-not-usable"), nil
	}
	page := consoletest.Read(t, d.open(s))
	form := page.Form(s.path + "/withdraw")
	for _, id := range []string{"phone-1", "another"} {
		page = consoletest.Read(t, d.post(s.path+"/withdraw", "once", form["once"], "consent", id))
		if id == "phone-1" && !strings.Contains(page.HTML, api.NewProblem("consent-not-usable").Zh) {
			t.Errorf("the page says:\n%s", consoletest.Text(page.Root))
		}
	}
	if len(asked) != 1 || asked[0] != `consents.withdraw phone-1 {"as":"legal_representative"}` {
		t.Errorf("asked %q", asked)
	}
}

// A session makes so many invitations, and no more.
func TestInvitationsAreBounded(t *testing.T) {
	d := atPhone(t)
	states := holderStates(d, "某单位")
	s := states[slices.IndexFunc(states, func(s holderState) bool { return s.name == "check-asks" })]
	d.set(s)
	made := func() (n int) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for key := range d.kept {
			if strings.HasPrefix(key, "shared/") {
				n++
			}
		}
		return n
	}
	var last string
	fresh := d.kept[heldID]
	for range maxInvitations + 5 {
		d.kept[heldID] = fresh // the page before the first of them, which a browser may still show
		last = d.post(s.path+"/invite", "once", d.console.visit(nil, httpRequest()).once(), "role", "spouse", "code-spouse", wife.Code)
	}
	if made() != maxInvitations || !strings.Contains(last, "太多了") {
		t.Errorf("%d invitations; the page says:\n%s", made(), consoletest.Text(consoletest.Read(t, last).Root))
	}
}

// TestHolderStatesScreens opens every state on a phone, holds it to WCAG 2.2 AA and to the width of the phone, and photographs it.
func TestHolderStatesScreens(t *testing.T) {
	if os.Getenv(consoletest.Screens) == "" && os.Getenv(consoletest.AxeFile) == "" {
		t.Skip("neither pictures are wanted nor is axe-core there: " + consoletest.Screens + ", " + consoletest.AxeFile)
	}
	d := atPhone(t)
	ctx := consoletest.Browser(t)
	do := func(name string, actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, actions...); err != nil {
			t.Fatal(name, err)
		}
	}
	for suffix, p := range map[string]session.Preferences{"": {}, "-large": {Large: true}, "-contrast": {Contrast: true}} {
		d.session.Preferences = p
		for _, s := range holderStates(d, "云川市某某局") {
			if suffix != "" && !strings.HasSuffix(s.name, "some") && !strings.HasSuffix(s.name, "asks") && s.name != "home" && s.name != "confirm" && s.name != "dispute" {
				continue
			}
			d.set(s)
			if s.form == nil {
				do(s.name, chromedp.Navigate(d.server.URL+s.path))
			} else { // a page sends the form, as a browser does
				form := url.Values{"form": {formToken}}
				for i := 0; i < len(s.form); i += 2 {
					form.Set(s.form[i], s.form[i+1])
				}
				do(s.name, chromedp.Navigate(d.server.URL+"/console/holder"))
				text, err := json.Marshal(map[string]any{"to": s.path, "fields": form})
				if err != nil {
					t.Fatal(err)
				}
				do(s.name, consoletest.Follow(chromedp.Evaluate[chromedp.Void](`((s) => { const f = document.createElement("form"); f.method = "post"; f.action = s.to; for (const k in s.fields) { const i = document.createElement("input"); i.type = "hidden"; i.name = k; i.value = s.fields[k][0]; f.append(i) } document.body.append(f); f.submit() })(`+string(text)+`)`)))
			}
			state := "state-" + s.name + suffix
			consoletest.Photograph(ctx, t, state, 1440, 390)
			consoletest.Accessible(ctx, t, state)
			do(s.name, chromedp.EmulateViewport(390, 844))
			if wide, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("document.documentElement.scrollWidth > window.innerWidth")); err != nil || wide {
				t.Errorf("%s is wider than the phone, %v", state, err)
			}
		}
	}
}
