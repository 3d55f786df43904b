package gateway

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/license"
)

func (w *world) flats(n int) {
	w.legacy["real-estate-certificate"].put(license.Question{Type: "real-estate-certificate", Holder: wife})
	for i := range n {
		w.put(flat(fmt.Sprintf("不动产权第%04d号", i+1), wife))
	}
}

func flatQuery(number string) map[string]any {
	q := query("real-estate-certificate", wife, "BDC-1")
	if number != "" {
		q["number"] = number
	}
	return q
}

// One holder may have many licenses of a type: a query has all of them, each with its own version, or the one asked for;
// more than an answer holds is said, not cut. A check takes one that is met.
func TestManyLicensesOfOneHolder(t *testing.T) {
	w := newWorld(t)
	w.acceptFlat("BDC-1")
	w.flats(3)
	got := read[api.QueryAnswer](t, w.call("land-approval", "POST", queryPath, flatQuery("")))
	seen := map[string]bool{}
	for _, l := range got.Licenses {
		seen[l.Identifier+l.Fields["number"]] = true
	}
	if len(got.Licenses) != 3 || len(seen) != 3 {
		t.Errorf("%d licenses, %d versions", len(got.Licenses), len(seen))
	}
	one := read[api.QueryAnswer](t, w.call("land-approval", "POST", queryPath, flatQuery("不动产权第0002号")))
	if len(one.Licenses) != 1 || one.Licenses[0].Fields["number"] != "不动产权第0002号" {
		t.Errorf("by number: %+v", one.Licenses)
	}
	if none := read[api.QueryAnswer](t, w.call("land-approval", "POST", queryPath, flatQuery("不动产权第9999号"))); none.Found != api.FoundNotFound {
		t.Errorf("a number that is not there: %s", none.Found)
	}
	records := w.legacy["real-estate-certificate"].get(license.Question{Type: "real-estate-certificate", Holder: wife})
	records[0].Status = license.Revoked
	w.legacy["real-estate-certificate"].put(license.Question{Type: "real-estate-certificate", Holder: wife}, records...)
	if m := material(t, w.check("land-approval", "BDC-1", map[string]any{}), "real-estate-certificate"); m.State != "met" || m.Fields["number"] != "不动产权第0002号" {
		t.Errorf("check: %s %s", m.State, m.Fields["number"])
	}
	w.flats(maxLicenses + 1)
	a := w.call("land-approval", "POST", queryPath, flatQuery(""))
	w.refused(a, "invalid-field")
	if u := a.record.Uses; len(u) != 1 || u[0].Decision != "release" {
		t.Errorf("that there are so many is a release: %+v", u)
	}
}

// What a source says of a holder leaves only for who is asked about and for parties whose role is certain; that somebody is
// claimed to be a party makes nobody's name leave.
func TestOtherHoldersStayInside(t *testing.T) {
	w := newWorld(t)
	w.register(w.caseOf("BDC-1", "YC-LAND-07", party("applicant", wife), party("spouse", stranger)))
	w.legacy["real-estate-certificate"].put(license.Question{Type: "real-estate-certificate", Holder: wife}, flat("不动产权第0001号", wife, stranger))
	faulty := license.Flag{Field: "holder_code.1", Reason: "check-character"}
	own := license.Flag{Field: "holder_code.0", Reason: "inner-check-character"}
	ungranted := license.Flag{Field: "right_type", Reason: "length"}
	l := flat("不动产权第0001号", wife, stranger)
	l.Flags = []license.Flag{faulty, own, ungranted}
	w.legacy["real-estate-certificate"].put(license.Question{Type: "real-estate-certificate", Holder: wife}, l)
	queried := read[api.QueryAnswer](t, w.call("land-approval", "POST", queryPath, flatQuery(""))).Licenses[0]
	checked := material(t, w.check("land-approval", "BDC-1", map[string]any{}), "real-estate-certificate")
	for name, l := range map[string]api.License{
		"query": queried, "check": {License: checked.License, Fields: checked.Fields, Flags: checked.Flags},
	} {
		claims := disclosed(t, l.License)
		for _, said := range []map[string]string{claims, l.Fields} {
			if said["holder_name.0"] != names[wife] || said["holder_name.1"] != "" || said["holder_code.1"] != "" || said["share.1"] != "" {
				t.Errorf("%s: %v", name, said)
			}
		}
		if len(l.Flags) != 1 || l.Flags[0].Field != own.Field {
			t.Errorf("%s: flags %v", name, l.Flags)
		}
	}
	if m := material(t, w.check("land-approval", "BDC-1", map[string]any{}), "spouse-id"); m.State != "denied" || m.License != "" {
		t.Errorf("the claimed spouse: %s", m.State)
	}
	// The true spouse is confirmed by the marriage certificate, and stands in the couple's licenses then.
	w.register(w.caseOf("BDC-2", "YC-LAND-07", party("applicant", wife), party("spouse", husband)))
	w.legacy["real-estate-certificate"].put(license.Question{Type: "real-estate-certificate", Holder: wife}, flat("不动产权第0002号", wife, husband))
	got := w.check("land-approval", "BDC-2", map[string]any{})
	if m := material(t, got, "real-estate-certificate"); m.Fields["holder_name.1"] != names[husband] {
		t.Errorf("the spouse is missing: %v", m.Fields)
	}
}

// A source that answers with somebody else's license, or states one in two ways, is believed in nothing.
func TestWrongRecords(t *testing.T) {
	w := newWorld(t)
	w.acceptFlat("BDC-1")
	q := license.Question{Type: "real-estate-certificate", Holder: wife}
	twofold := flat("不动产权第0001号", wife)
	twofold.Fields["location"] = "云川市另一处"
	faulty := flat("不动产权第0003号", wife)
	faulty.Issued = ""
	for name, c := range map[string]struct {
		records []license.License
		query   string
		check   api.MaterialState
		reason  string
	}{
		"another's":   {[]license.License{flat("不动产权第0009号", stranger)}, "source-faulty", "mismatched", "record-of-other-holder"},
		"one of two":  {[]license.License{flat("不动产权第0001号", wife), flat("不动产权第0009号", stranger)}, "source-faulty", "met", ""},
		"in two ways": {[]license.License{flat("不动产权第0001号", wife), twofold}, "source-faulty", "met", ""},
		"twice":       {[]license.License{flat("不动产权第0001号", wife), flat("不动产权第0001号", wife)}, "", "met", ""},
		"faulty":      {[]license.License{faulty}, "source-faulty", "unavailable", "source-faulty"},
	} {
		w.legacy[q.Type].put(q, c.records...)
		a := w.call("land-approval", "POST", queryPath, flatQuery(""))
		if a.problem.Code != c.query || strings.Contains(string(a.body), names[stranger]) {
			t.Errorf("%s: query %d %s", name, a.status, a.problem.Code)
		}
		got := w.check("land-approval", "BDC-1", map[string]any{})
		m := material(t, got, q.Type)
		if m.State != c.check || m.Reason.Code != c.reason || len(got.Materials) != 5 || material(t, got, "applicant-id").State != "met" {
			t.Errorf("%s: check %s %s", name, m.State, m.Reason.Code)
		}
		if c.reason == "record-of-other-holder" && m.Status != "" {
			t.Errorf("%s: the status of somebody else's license left: %s", name, m.Status)
		}
	}
}

// Law 6: a kept copy leaves only where the grant allows its age, with the age decided again and said; that a source had
// nothing is kept too, so that an older copy does not come back.
func TestKeptCopies(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	q := license.Question{Type: "business-license", Holder: company}
	down := func(err error) { w.legacy["business-license"].set(func(l *legacy) { l.err = err }) }
	ask := func() answered {
		return w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))
	}
	live := read[api.QueryAnswer](t, ask()).Licenses[0]
	down(errors.New("down"))
	a := ask()
	stale := read[api.QueryAnswer](t, a).Licenses[0]
	if stale.Freshness != api.FreshnessStale || stale.AsOf != live.AsOf || stale.License != live.License {
		t.Errorf("stale: %s as of %v, live as of %v", stale.Freshness, stale.AsOf, live.AsOf)
	}
	if !strings.HasPrefix(a.record.Uses[0].Freshness, "stale ") {
		t.Errorf("the record says %q", a.record.Uses[0].Freshness)
	}
	if e := must(w.auditor.Evidence(t.Context(), a.index))(t); strings.Count(string(e.Inputs), `"decision":{`) != 2 {
		t.Errorf("the decision about the copy's age is not in the evidence: %s", e.Inputs)
	}

	// A guard that looks at the age is asked about it.
	files := append(w.files[:len(w.files):len(w.files)], policyFile("aged.cedar", `@id("guard/aged") @reason_zh("旧") @reason_en("Old copies name no address.") @fields("address")
forbid (principal, action, resource == LicenseType::"business-license") when { context.age > 0 };`))
	w.reload(func(s *Snapshot) { s.Policy = w.policy(files...) })
	if got := read[api.QueryAnswer](t, ask()).Licenses[0]; got.Fields["address"] != "" || got.Fields["business_scope"] == "" {
		t.Errorf("aged: %v", got.Fields)
	}
	down(nil)
	w.legacy["business-license"].put(q)
	waitClosed(w, "samr-system")
	if got := read[api.QueryAnswer](t, ask()); got.Found != api.FoundNotFound || got.Freshness != api.FreshnessLive {
		t.Fatalf("deleted at the source: %+v", got)
	}
	down(errors.New("down"))
	if got := read[api.QueryAnswer](t, ask()); got.Found != api.FoundNotFound || got.Freshness != api.FreshnessStale {
		t.Errorf("the older copy came back: %+v", got)
	}
	// No grant of the id card allows a copy to the food window.
	w.call("food-approval", "POST", queryPath, query("resident-id", boss, "SP-1"))
	w.legacy["resident-id"].set(func(l *legacy) { l.err = errors.New("down") })
	down(nil)
	w.legacy["business-license"].put(q, businessLicense())
	w.refused(w.call("food-approval", "POST", queryPath, query("resident-id", boss, "SP-1")), "source-unavailable")
}

// waitClosed waits until a source's breaker takes calls again.
func waitClosed(w *world, source string) {
	w.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for w.gateway.running.Load().sources[source].breaker.State().String() == "open" {
		if time.Now().After(deadline) {
			w.t.Fatal("the breaker stays open")
		}
		time.Sleep(time.Millisecond)
	}
}

// A copy that is older than what the register has heard since does not make a revoked license valid.
func TestCopyOfARevokedLicense(t *testing.T) {
	w := newWorld(t)
	w.rules("copies.yaml", `
grants:
  - {id: land/copies, agreement: 测试, provider: land, systems: [land-approval], license_type: real-estate-certificate, operations: [licenses.query, licenses.status, cases.check],
     matters: [YC-LAND-07], fields: [name], max_age: 24h, basis: 测试, basis_kind: rule, scenario: 测试, attestation: platform, valid_until: "2030-12-31"}
`)
	w.acceptFlat("BDC-1")
	w.register(w.caseOf("BDC-2", "YC-LAND-07", party("applicant", husband), party("spouse", wife)))
	read[api.QueryAnswer](t, w.call("land-approval", "POST", queryPath, flatQuery(""))) // keeps the wife's copy
	revoked := flat("不动产权第0001号", wife, husband)
	revoked.Status = license.Revoked
	w.legacy["real-estate-certificate"].put(license.Question{Type: "real-estate-certificate", Holder: husband}, revoked)
	if m := material(t, w.check("land-approval", "BDC-2", map[string]any{}), "real-estate-certificate"); m.State != "lapsed" {
		t.Fatalf("live, by the husband: %s", m.State)
	}
	w.legacy["real-estate-certificate"].set(func(l *legacy) { l.err = errors.New("down") })
	if m := material(t, w.check("land-approval", "BDC-1", map[string]any{}), "real-estate-certificate"); m.State != "lapsed" || m.License != "" {
		t.Errorf("check of the copy: %s", m.State)
	}
	if got := read[api.QueryAnswer](t, w.call("land-approval", "POST", queryPath, flatQuery(""))).Licenses[0]; got.Status != api.StatusRevoked {
		t.Errorf("query of the copy: %s", got.Status)
	}
}
