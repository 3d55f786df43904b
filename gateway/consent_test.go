package gateway

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/sm"
	"oncegate/license"
)

// byConsent lets the food window see the capital too, if the holder agrees.
const byConsent = `
grants:
  - {id: food/capital-by-consent, agreement: 测试, provider: samr, systems: [food-approval], license_type: business-license, operations: [licenses.query, cases.check],
     matters: [YC-FOOD-01], fields: [registered_capital], consent: true, basis: 测试, basis_kind: rule, scenario: 测试, attestation: platform, valid_until: "2030-12-31"}
permissions:
  - {id: food/consents, systems: [food-approval], operations: [consents.register, consents.withdraw], basis: 测试}
`

func capital(t testing.TB, a answered) string {
	t.Helper()
	l := read[api.QueryAnswer](t, a).Licenses[0]
	if shown := disclosed(t, l.License)["registered_capital"]; shown != l.Fields["registered_capital"] {
		t.Errorf("the disclosures say %q, the fields %q", shown, l.Fields["registered_capital"])
	}
	return l.Fields["registered_capital"]
}

// Law 3: what needs a consent leaves only within its scope and only while it stands.
func TestConsentLimits(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	w.rules("consent.yaml", byConsent)
	ask := func(consent string, fields ...string) answered {
		q := query("business-license", company, "SP-1")
		if consent != "" {
			q["consent"] = consent
		}
		if fields != nil {
			q["fields"] = fields
		}
		return w.call("food-approval", "POST", queryPath, q)
	}
	if got := capital(t, ask("")); got != "" {
		t.Errorf("without consent: %q", got)
	}
	w.refused(ask("", "registered_capital"), "consent-missing")

	narrow := func(id string, change func(map[string]any, *Assertion)) {
		t.Helper()
		a := Assertion{For: "consent", Reference: id, Holder: company, System: "food-approval", Types: []string{"business-license"}}
		body := map[string]any{"id": id, "holder": company, "types": a.Types, "expires": api.At(w.now().Add(30 * time.Minute))}
		change(body, &a)
		body["assertion"] = w.assertion(a)
		if got := w.call("food-approval", "POST", "/v1/consents", body); got.status != http.StatusCreated {
			t.Fatalf("%s: %d %s", id, got.status, got.body)
		}
	}
	narrow("of-other-type", func(b map[string]any, a *Assertion) { a.Types = []string{"resident-id"}; b["types"] = a.Types })
	narrow("of-other-matter", func(b map[string]any, a *Assertion) { a.Matters = []string{"YC-LAND-07"}; b["matters"] = a.Matters })
	narrow("of-other-holder", func(b map[string]any, a *Assertion) { a.Holder = boss; b["holder"] = boss })
	if got := capital(t, ask("")); got != "" {
		t.Errorf("consents to something else let %q out", got)
	}
	for _, id := range []string{"of-other-type", "of-other-matter", "of-other-holder", "unknown"} {
		w.refused(ask(id), "consent-not-usable")
	}

	w.consent("c-1", "food-approval", company, false)
	if got := capital(t, ask("")); got != "1000000.00" {
		t.Errorf("a standing consent is not found: %q", got)
	}
	a := ask("c-1", "registered_capital")
	if got := capital(t, a); got != "1000000.00" {
		t.Errorf("a cited consent: %q", got)
	}
	if e := must(w.auditor.Evidence(t.Context(), a.index))(t); !strings.Contains(string(e.Inputs), `"consent":"c-1"`) {
		t.Errorf("the evidence does not name the consent: %s", e.Inputs)
	}
	read[api.ConsentAnswer](t, w.call("food-approval", "POST", "/v1/consents/c-1/withdraw", map[string]any{}))
	if got := capital(t, ask("")); got != "" {
		t.Errorf("after withdrawal: %q", got)
	}
	w.refused(ask("c-1"), "consent-not-usable")
}

// A consent that is withdrawn while a slow source is asked covers nothing any more; the source is not asked again.
func TestConsentWithdrawnDuringASlowSource(t *testing.T) {
	for name, cited := range map[string]string{"found": "", "cited": "c-1"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.accept("SP-1")
			w.rules("consent.yaml", byConsent)
			w.consent("c-1", "food-approval", company, false)
			var once sync.Once
			w.legacy["business-license"].set(func(l *legacy) {
				l.before = func(context.Context) {
					once.Do(func() {
						if a := w.call("food-approval", "POST", "/v1/consents/c-1/withdraw", map[string]any{}); a.status != http.StatusOK {
							t.Errorf("withdraw: %d %s", a.status, a.body)
						}
					})
				}
			})
			q := query("business-license", company, "SP-1")
			q["fields"], q["consent"] = []string{"registered_capital"}, cited
			if cited == "" {
				delete(q, "consent")
			}
			a := w.call("food-approval", "POST", queryPath, q)
			w.refused(a, map[string]string{"found": "consent-missing", "cited": "consent-not-usable"}[name])
			if strings.Contains(string(a.body), "1000000") || w.legacy["business-license"].asked() != 1 {
				t.Errorf("asked %d times: %s", w.legacy["business-license"].asked(), a.body)
			}
		})
	}
}

// The same consent again is the same consent; another under its id is refused; what nobody asserted is none.
func TestGiveConsent(t *testing.T) {
	w := newWorld(t)
	body := w.consentOf("c-1", "citizen-portal", company)
	give := func(body map[string]any) answered { return w.call("citizen-portal", "POST", "/v1/consents", body) }
	if a := give(body); a.status != http.StatusCreated {
		t.Fatalf("first: %d %s", a.status, a.body)
	} else if u := a.record.Uses; len(u) != 1 || u[0].Holder == "" {
		t.Errorf("whoever looks for the holder does not find that a consent was given: %v", u)
	}
	if a := give(body); a.status != http.StatusOK {
		t.Errorf("again: %d %s", a.status, a.body)
	}
	again := w.consentOf("c-1", "citizen-portal", company)
	again["expires"] = body["expires"]
	if a := give(again); a.status != http.StatusOK {
		t.Errorf("again under a new assertion: %d %s", a.status, a.body)
	}
	w.refused(give(w.consentOf("c-1", "citizen-portal", wife)), "consent-exists")

	signed := func(change func(*Assertion)) string {
		a := Assertion{For: "consent", Reference: "c-2", Holder: company, System: "citizen-portal", Types: []string{"business-license", "resident-id"}, Expires: w.now().Add(2 * time.Hour).Unix()}
		change(&a)
		return w.assertion(a)
	}
	for name, assertion := range map[string]string{
		"for something else":  signed(func(a *Assertion) { a.For = "precheck" }),
		"for another id":      signed(func(a *Assertion) { a.Reference = "c-3" }),
		"another holder's":    signed(func(a *Assertion) { a.Holder = boss }),
		"to another system":   signed(func(a *Assertion) { a.System = "food-approval" }),
		"of fewer types":      signed(func(a *Assertion) { a.Types = a.Types[:1] }),
		"of other matters":    signed(func(a *Assertion) { a.Matters = []string{"YC-FOOD-01"} }),
		"for a shorter time":  signed(func(a *Assertion) { a.Expires = w.now().Add(time.Minute).Unix() }),
		"to another gateway":  signed(func(a *Assertion) { a.Audience = "other" }),
		"of the future":       signed(func(a *Assertion) { a.IssuedAt = w.now().Add(time.Hour).Unix() }),
		"expired":             signed(func(a *Assertion) { a.Expires = w.now().Unix() - 1 }),
		"with another's sign": signed(func(*Assertion) {})[:40] + signed(func(a *Assertion) { a.Reference = "c-9" })[40:],
	} {
		body := w.consentOf("c-2", "citizen-portal", company)
		body["assertion"] = assertion
		a := give(body)
		if w.refused(a, "assertion-invalid"); t.Failed() {
			t.Fatalf("%s", name)
		}
	}
	w.refused(w.call("food-approval", "POST", "/v1/consents", w.consentOf("c-4", "food-approval", company)), "not-permitted")
	past := w.consentOf("c-5", "citizen-portal", company)
	past["expires"] = api.At(w.now().Add(-time.Hour))
	w.refused(give(past), "invalid-field")
}

// A withdrawal is recorded once, answered again, and an assertion that comes along must hold.
func TestWithdrawConsent(t *testing.T) {
	w := newWorld(t)
	w.consent("c-1", "citizen-portal", company, false)
	withdraw := func(body any) answered { return w.call("citizen-portal", "POST", "/v1/consents/c-1/withdraw", body) }
	w.refused(withdraw(map[string]any{"assertion": w.assertion(Assertion{For: "consent", Reference: "c-1", Holder: company, System: "citizen-portal"})}), "assertion-invalid")
	first := read[api.ConsentAnswer](t, withdraw(map[string]any{"assertion": w.assertion(Assertion{For: "withdrawal", Reference: "c-1", Holder: company, System: "citizen-portal"})}))
	again := read[api.ConsentAnswer](t, withdraw(map[string]any{}))
	if first.Withdrawn.IsZero() || first.Withdrawn != again.Withdrawn {
		t.Errorf("withdrawn %v, again %v", first.Withdrawn, again.Withdrawn)
	}
	w.refused(w.call("citizen-portal", "POST", "/v1/consents", w.consentOf("c-1", "citizen-portal", company)), "consent-exists")
	page := must(w.auditor.Search(t.Context(), auditAsk(company)))(t)
	if len(page.Found) != 5 {
		t.Errorf("%d records are about the holder, want that of every call", len(page.Found))
	}
}

func auditAsk(holder license.HolderID) audit.Ask { return audit.Ask{Holder: holder, Limit: 100} }

// An assertion is good for a bounded time after it was signed, whatever it says itself.
func TestAssertionsAreShortLived(t *testing.T) {
	w := newWorld(t)
	w.consent("c-standing", "citizen-portal", company, false)
	life := defaultAssertionLife
	n := 0
	use := func(age time.Duration) map[string]answered {
		n++
		id := "old-" + strconv.Itoa(n)
		types := []string{"business-license"}
		expires := w.now().Add(48 * time.Hour).Unix()
		signed := func(a Assertion) string {
			a.IssuedAt, a.Expires, a.Holder, a.System = w.now().Add(-age).Unix(), expires, company, cmp.Or(a.System, "citizen-portal")
			return w.assertion(a)
		}
		registration := w.caseOf(id, "YC-FOOD-01", party("applicant", company))
		registration["attestation"], registration["assertion"] = "holder", signed(Assertion{For: "case", Reference: id, System: "acceptance"})
		return map[string]answered{
			"case":      w.call("acceptance", "POST", "/v1/cases", registration),
			"pre-check": w.precheck("YC-FOOD-01", company, map[string]any{"assertion": signed(Assertion{For: "precheck", Reference: "YC-FOOD-01", Types: types})}),
			"consent": w.call("citizen-portal", "POST", "/v1/consents", map[string]any{
				"id": id, "holder": company, "types": types, "expires": api.At(w.now().Add(time.Hour)), "assertion": signed(Assertion{For: "consent", Reference: id, Types: types}),
			}),
			"withdrawal": w.call("citizen-portal", "POST", "/v1/consents/c-standing/withdraw", map[string]any{"assertion": signed(Assertion{For: "withdrawal", Reference: "c-standing"})}),
		}
	}
	for name, a := range use(life + time.Second) {
		if w.refused(a, "assertion-invalid"); name == "case" && a.record.Uses[0].Case != "" {
			t.Error("the number of a case that is none stands in the record")
		}
	}
	for name, a := range use(life - time.Minute) {
		if a.status >= 400 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	w.reload(func(s *Snapshot) { s.AssertionLife = 10 * time.Minute })
	for _, a := range use(life - time.Minute) {
		w.refused(a, "assertion-invalid")
	}
}

// A consent stands for a bounded time after it was given, also one that was given while the bound was farther.
func TestConsentsEnd(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	w.rules("consent.yaml", byConsent)
	far := w.consentOf("c-far", "food-approval", company)
	expires := w.now().Add(defaultConsentLife + time.Hour)
	far["expires"] = api.At(expires)
	far["assertion"] = w.assertion(Assertion{For: "consent", Reference: "c-far", Holder: company, System: "food-approval", Types: []string{"business-license", "resident-id"}, Expires: expires.Unix() + 1})
	a := w.call("food-approval", "POST", "/v1/consents", far)
	if w.refused(a, "invalid-field"); len(a.problem.Faults) != 1 || a.problem.Faults[0].Reason != "consent-too-long" {
		t.Errorf("faults %+v", a.problem.Faults)
	}
	w.consent("c-1", "food-approval", company, false)
	w.consent("c-2", "citizen-portal", company, false)
	ask := func(consent string) answered {
		q := query("business-license", company, "SP-1")
		if q["fields"] = []string{"registered_capital"}; consent != "" {
			q["consent"] = consent
		}
		return w.call("food-approval", "POST", queryPath, q)
	}
	if capital(t, ask("")) == "" || capital(t, ask("c-1")) == "" {
		t.Fatal("a consent that stands lets nothing out")
	}
	w.reload(func(s *Snapshot) { s.ConsentLife = time.Nanosecond })
	w.refused(ask(""), "consent-missing")
	w.refused(ask("c-1"), "consent-not-usable")
	w.refused(w.precheck("YC-FOOD-01", company, map[string]any{"consent": "c-2"}), "consent-not-usable")
}

// An assertion is used once: of many pre-checks with one, at once too, one is answered.
func TestPrecheckUsesItsAssertionUp(t *testing.T) {
	w := newWorld(t)
	with := map[string]any{"assertion": w.assertion(Assertion{For: "precheck", Reference: "YC-FOOD-01", Holder: company, System: "citizen-portal", Types: []string{"business-license"}})}
	var all sync.WaitGroup
	answers := make([]answered, 8)
	for i := range answers {
		all.Go(func() { answers[i] = w.precheck("YC-FOOD-01", company, with) })
	}
	all.Wait()
	good := 0
	for _, a := range append(answers, w.precheck("YC-FOOD-01", company, with)) {
		if a.status == http.StatusOK {
			good++
			continue
		}
		if w.refused(a, "assertion-spent"); a.record.Uses[0].Holder == "" {
			t.Error("the record does not say of whom")
		}
	}
	if good != 1 {
		t.Errorf("%d pre-checks were answered", good)
	}
}

// An assertion that was not used yet is withdrawn by the system for which it was made; it is good for nothing then, and withdrawing it again
// changes nothing. Nobody can register a consent under its id.
func TestAssertionsAreWithdrawn(t *testing.T) {
	w := newWorld(t)
	w.rules("acceptance.yaml", "permissions:\n  - {id: withdraw, systems: [acceptance, food-approval], operations: [consents.withdraw], basis: test}\n")
	withdraw := func(system, assertion, body string) answered {
		path := "/v1/consents/" + cases.SpentID(sm.DigestB64([]byte(assertion))) + "/withdraw"
		return w.call(system, "POST", path, map[string]any{"assertion": body})
	}
	consent := w.consentOf("c-1", "citizen-portal", company)
	given := consent["assertion"].(string)
	prechecked := w.assertion(Assertion{For: "precheck", Reference: "YC-FOOD-01", Holder: company, System: "citizen-portal", Types: []string{"business-license"}})
	registration := w.caseOf("SP-9", "YC-FOOD-01", party("applicant", company))
	registration["attestation"], registration["assertion"] = "holder", w.assertion(Assertion{For: "case", Reference: "SP-9", Holder: company, System: "acceptance"})
	registered := registration["assertion"].(string)

	w.refused(withdraw("food-approval", given, given), "assertion-invalid")
	w.refused(withdraw("citizen-portal", given, prechecked), "consent-not-usable")
	for _, x := range []struct{ system, assertion string }{{"citizen-portal", given}, {"citizen-portal", prechecked}, {"acceptance", registered}} {
		first := withdraw(x.system, x.assertion, x.assertion)
		if got := read[api.ConsentAnswer](t, first); got.Withdrawn.IsZero() || first.record.Uses[0].Holder == "" {
			t.Errorf("withdrawn: %s", first.answer)
		}
		if again := read[api.ConsentAnswer](t, withdraw(x.system, x.assertion, x.assertion)); again.Withdrawn != read[api.ConsentAnswer](t, first).Withdrawn {
			t.Error("withdrawn twice")
		}
	}
	w.refused(w.call("citizen-portal", "POST", "/v1/consents", consent), "assertion-spent")
	w.refused(w.precheck("YC-FOOD-01", company, map[string]any{"assertion": prechecked}), "assertion-spent")
	w.refused(w.call("acceptance", "POST", "/v1/cases", registration), "assertion-spent")
	squatting := w.consentOf(cases.SpentID(sm.DigestB64([]byte("any"))), "citizen-portal", company)
	w.refused(w.call("citizen-portal", "POST", "/v1/consents", squatting), "invalid-field")
}
