package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/sm"
	"oncegate/gateway/sources"
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

// A source that answers with somebody else's license, or states one in two ways, is trusted in nothing.
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
	} else if !strings.Contains(string(e.Inputs), `samr-system: down"`) {
		t.Errorf("why the source did not answer is not in the evidence: %s", e.Inputs)
	}

	// A guard that looks at the age is asked about it.
	files := append(w.files[:len(w.files):len(w.files)], policyFile("aged.cedar", `@id("guard/aged") @reason_zh("旧") @reason_en("Old copies name no address.") @fields("address")
forbid (principal, action, resource == LicenseType::"business-license") when { context.age > 0 };`))
	w.reload(func(s *Snapshot) { s.Policy = w.policy(files...) })
	if got := read[api.QueryAnswer](t, ask()).Licenses[0]; got.Fields["address"] != "" || got.Fields["business_scope"] == "" {
		t.Errorf("aged: %v", got.Fields)
	}
	// One that forbids every aged copy leaves nothing of it, though the same question was allowed of the source.
	forbidden := append(w.files[:len(w.files):len(w.files)], policyFile("aged.cedar", `@id("guard/aged") @reason_zh("旧") @reason_en("No old copies.")
forbid (principal, action, resource == LicenseType::"business-license") when { context.age > 0 };`))
	w.reload(func(s *Snapshot) { s.Policy = w.policy(forbidden...) })
	w.refused(ask(), "source-unavailable")
	w.reload(func(s *Snapshot) { s.Policy = w.policy(files...) })
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
	for w.gateway.running.Load().sources[source].Open() {
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

// A copy of what is signed anew since is worth nothing: the call is refused for what kept the source from answering, which the evidence
// says too, and if that was our own want of a slot the source is not blamed.
func TestCopyOfAChangedLicense(t *testing.T) {
	w := newWorld(t)
	w.rules("copies.yaml", `
grants:
  - {id: land/copies, agreement: 测试, provider: land, systems: [land-approval], license_type: real-estate-certificate, operations: [licenses.query, licenses.status, cases.check],
     matters: [YC-LAND-07], fields: [name], max_age: 24h, basis: 测试, basis_kind: rule, scenario: 测试, attestation: platform, valid_until: "2030-12-31"}
`)
	w.acceptFlat("BDC-1")
	w.register(w.caseOf("BDC-2", "YC-LAND-07", party("applicant", husband), party("spouse", wife)))
	read[api.QueryAnswer](t, w.call("land-approval", "POST", queryPath, flatQuery(""))) // keeps the wife's copy
	changed := flat("不动产权第0001号", wife, husband)
	changed.Fields["area"] = "90.00"
	w.legacy["real-estate-certificate"].put(license.Question{Type: "real-estate-certificate", Holder: husband}, changed)
	if m := material(t, w.check("land-approval", "BDC-2", map[string]any{}), "real-estate-certificate"); m.State != "met" {
		t.Fatalf("live, by the husband: %s %s", m.State, m.Reason.Code)
	}
	refused := func(code, why string) {
		t.Helper()
		a := w.call("land-approval", "POST", queryPath, flatQuery(""))
		w.refused(a, code)
		if e := must(w.auditor.Evidence(t.Context(), a.index))(t); !strings.Contains(string(e.Inputs), why) || !strings.Contains(string(e.Reasons), `"copy-outdated"`) {
			t.Errorf("the evidence of %s does not say %q, and that the copy is outdated: %s %s", code, why, e.Inputs, e.Reasons)
		}
	}
	checked := func(code string) {
		t.Helper()
		if m := material(t, w.check("land-approval", "BDC-1", map[string]any{}), "real-estate-certificate"); m.State != "unavailable" || m.Reason.Code != code {
			t.Errorf("checked: %s %s, want %s", m.State, m.Reason.Code, code)
		}
	}
	w.legacy["real-estate-certificate"].set(func(l *legacy) { l.err = errors.New("out of order") })
	refused("source-unavailable", "out of order")
	checked("source-unavailable")

	w.reload(func(s *Snapshot) {
		s.Sources = slices.Clone(s.Sources)
		for i := range s.Sources {
			s.Sources[i].Concurrent, s.Sources[i].Deadline = 1, 100*time.Millisecond
		}
	})
	release := make(chan struct{})
	defer close(release)
	w.legacy["real-estate-certificate"].set(func(l *legacy) { l.before = func(context.Context) { <-release } })
	refused("source-unavailable", context.DeadlineExceeded.Error()) // it keeps its slot
	refused("source-busy", sources.ErrNoSlot.Error())
	checked("source-busy")
}

// An answer opens the record's commitments to the operator and to those whom the caller knows: because its call names them, or because a
// released license tells their code. Of nobody else any randomness leaves.
func TestAnswersOpenTheirPersons(t *testing.T) {
	w := newWorld(t)
	clerk := license.HolderID{Type: audit.OperatorType, Code: "clerk-7"}
	opens := func(name string, a answered, want ...license.HolderID) {
		t.Helper()
		var got struct {
			Commitments api.Commitments `json:"commitments"`
		}
		if err := unmarshal(a.answer, &got); err != nil {
			t.Fatal(name, err)
		}
		commitment := func(r string, who license.HolderID) string {
			key := must(base64.RawURLEncoding.DecodeString(r))(t)
			return must(audit.Commitment(sm.New, key, who))(t)
		}
		if len(a.record.Uses) == 0 {
			if got.Commitments.Operator != "" || got.Commitments.Holders != nil {
				t.Errorf("%s: %+v opens what no use has", name, got.Commitments)
			}
			return
		}
		if got.Commitments.Operator == "" || commitment(got.Commitments.Operator, clerk) != a.record.Uses[0].Operator {
			t.Errorf("%s: the operator is not opened: %s", name, a.answer)
		}
		var people []license.HolderID
		for _, h := range got.Commitments.Holders {
			for _, use := range h.Uses {
				for _, who := range want {
					if commitment(h.R, who) == a.record.Uses[use].Holder && !slices.Contains(people, who) {
						people = append(people, who)
					}
				}
			}
		}
		if len(people) != len(want) || len(got.Commitments.Holders) != len(want) {
			t.Errorf("%s: opens %d, of these %v, want %v", name, len(got.Commitments.Holders), people, want)
		}
	}
	a := w.call("acceptance", "POST", "/v1/cases", w.caseOf("SP-1", "YC-FOOD-01", party("applicant", company), party("legal_representative", boss)))
	opens("register", a, company, boss)
	opens("query", w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1")), company)
	confirmed := w.call("food-approval", "POST", queryPath, query("resident-id", boss, "SP-1"))
	opens("query of a confirmed role", confirmed, boss)
	if uses := confirmed.record.Uses; len(uses) != 2 || uses[0].Decision != outcomeConfirm || uses[0].Holder == "" {
		t.Errorf("the confirming use: %+v", uses)
	}
	opens("check", w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{}), company, boss)
	opens("types", w.call("food-approval", "GET", "/v1/catalog/types", nil))
	opens("close", w.call("acceptance", "POST", "/v1/cases/SP-1/close", map[string]any{}))
	opens("consent", w.call("citizen-portal", "POST", "/v1/consents", w.consentOf("c-1", "citizen-portal", company)), company)
	opens("precheck", w.call("citizen-portal", "POST", "/v1/precheck", map[string]any{"matter": "YC-FOOD-01", "holder": company, "consent": "c-1"}), company)
	opens("withdrawal", w.call("citizen-portal", "POST", "/v1/consents/c-1/withdraw", map[string]any{}))
	opens("issue", w.call("samr-licenses", "POST", issuePath, map[string]any{"license_type": "business-license", "holders": []any{company}}), company)
	opens("search", w.call("audit-office", "POST", "/v1/audit/search", map[string]any{"holder": boss, "operator": "clerk-9"}), boss, license.HolderID{Type: audit.OperatorType, Code: "clerk-9"})
	evidence := fmt.Sprintf("/v1/audit/records/%d", a.index)
	opens("evidence", w.call("audit-office", "POST", evidence, map[string]any{"why": "x", "persons": true}), company, boss, clerk)
	opens("evidence without persons", w.call("audit-office", "POST", evidence, map[string]any{"why": "x", "request": true}))

	refused := w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))
	w.refused(refused, "case-closed")
	opens("a refusal with its cause", refused, company)
	for _, hidden := range []answered{
		w.call("food-approval", "POST", queryPath, query("resident-id", stranger, "SP-1")), w.call("land-approval", "POST", queryPath, query("resident-id", boss, "SP-1")),
		w.call("food-approval", "POST", "/v1/cases/SP-none/check", map[string]any{}),
	} {
		w.refused(hidden, "case-not-usable")
		if strings.Contains(string(hidden.body), "commitments") {
			t.Errorf("a refusal that says no cause: %s", hidden.body)
		}
	}

	// Where a code is not granted, who checks a case is not told it by the randomness either.
	w.register(w.caseOf("SP-2", "YC-FOOD-01", party("applicant", company), party("legal_representative", boss)))
	files := slices.Clone(w.files)
	files[0].Data = []byte(strings.ReplaceAll(string(files[0].Data), " holder_code,", ""))
	w.reload(func(s *Snapshot) { s.Policy = w.policy(files...) })
	quiet := w.call("food-approval", "POST", "/v1/cases/SP-2/check", map[string]any{})
	if m := read[api.CheckAnswer](t, quiet).Materials; len(m) == 0 || m[0].State != api.MaterialStateMet || m[0].Fields["holder_code.0"] != "" {
		t.Fatalf("checked: %s", quiet.answer)
	}
	opens("check without codes", quiet)
}
