package gateway

import (
	"maps"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
)

const precheckPath, consentsPath, consentsListPath = "/v1/precheck", "/v1/consents", "/v1/consents/list"

// inPerson makes a call at the portal for a person who is signed in as a holder.
func (w *world) inPerson(person license.HolderID, path string, body map[string]any) answered {
	w.t.Helper()
	return w.asHolder("citizen-id", "citizen-1", person, path, body)
}

// consents registers a consent that a person gives in person.
func (w *world) consents(person license.HolderID, id string, more map[string]any) answered {
	w.t.Helper()
	body := map[string]any{"id": id, "holder": person, "types": []string{"resident-id"}, "matters": []string{"YC-LAND-07"}, "expires": api.At(w.now().Add(24 * time.Hour))}
	maps.Copy(body, more)
	return w.inPerson(person, consentsPath, body)
}

func withParty(role string, holder license.HolderID, consent string) map[string]any {
	party := map[string]any{"role": role, "holder": holder}
	if consent != "" {
		party["consent"] = consent
	}
	return map[string]any{"parties": []any{party}}
}

// A holder whom an identity service proves consents by asking, for their own licenses; the record says so and nothing is spent.
func TestPrecheckInPerson(t *testing.T) {
	onEach(t, func(t *testing.T, i *intruder) {
		w := i.world
		w.withHolders()
		a := w.inPerson(wife, precheckPath, map[string]any{"matter": "YC-LAND-07", "holder": wife})
		states := prestates(t, a)
		want := map[string]api.PrecheckState{"real-estate-certificate": "met", "applicant-id": "met", "marriage-certificate": "met", "spouse-id": "bring-it", "tax-clearance": "bring-it"}
		if !maps.Equal(states, want) {
			t.Errorf("%v", states)
		}
		for _, u := range a.record.Uses {
			if u.Basis != "consent" || u.Holder == "" {
				t.Errorf("%+v", u)
			}
		}
		if e := must(w.auditor.Evidence(t.Context(), a.index))(t); !strings.Contains(string(e.Inputs), `"evidence":"session"`) {
			t.Errorf("inputs %s", e.Inputs)
		}
		// A company's representative, whom its license names.
		a = w.inPerson(boss, precheckPath, map[string]any{"matter": "YC-FOOD-01", "holder": company, "as": "legal_representative", "parties": []any{map[string]any{"role": "legal_representative", "holder": boss}}})
		if states := prestates(t, a); states["business-license"] != api.PrecheckStateMet || states["legal-representative-id"] != api.PrecheckStateMet || a.record.Uses[0].Decision != "confirm" {
			t.Errorf("%v %+v", states, a.record.Uses)
		}
	})
}

// Nobody asks in person for somebody else, or without a proof, and in-person asking widens no other consent.
func TestPrecheckInPersonRefused(t *testing.T) {
	w := newWorld(t)
	w.withHolders()
	ask := func(h license.HolderID, more map[string]any) map[string]any {
		body := map[string]any{"matter": "YC-LAND-07", "holder": h}
		maps.Copy(body, more)
		return body
	}
	w.refused(w.call("citizen-portal", "POST", precheckPath, ask(wife, nil)), "holder-not-proven")
	w.refused(w.asHolder("staff-id", "staff-1", wife, precheckPath, ask(wife, nil)), "holder-not-proven")
	w.refused(w.inPerson(stranger, precheckPath, ask(wife, nil)), "holder-not-represented")
	w.refused(w.inPerson(husband, precheckPath, ask(wife, nil)), "holder-not-represented")
	food := map[string]any{"matter": "YC-FOOD-01"}
	w.refused(w.inPerson(boss, precheckPath, ask(company, food)), "holder-not-represented")
	as := map[string]any{"matter": "YC-FOOD-01", "as": "legal_representative"}
	w.refused(w.inPerson(stranger, precheckPath, ask(company, as)), "holder-not-represented")
	w.refused(w.call("citizen-portal", "POST", precheckPath, ask(company, as)), "holder-not-proven")
	w.refused(w.inPerson(boss, precheckPath, ask(company, map[string]any{"matter": "YC-FOOD-01", "as": "emperor"})), "holder-not-represented")
	w.refused(w.inPerson(boss, precheckPath, ask(company, map[string]any{"as": "legal_representative", "matter": "YC-FOOD-01", "consent": "c-1"})), "invalid-field")
	w.refused(w.inPerson(wife, precheckPath, ask(wife, map[string]any{"consent": "c-1", "assertion": "a.b.c"})), "invalid-field")
	w.refused(w.inPerson(wife, precheckPath, ask(wife, map[string]any{"consent": "c-unknown"})), "consent-not-usable")
}

// Each of a couple consents on their own: the other's materials are asked only by a consent of the other's, to this system, for this matter,
// that stands, and only if the marriage certificate names them.
func TestPrecheckOfACouple(t *testing.T) {
	w := newWorld(t)
	w.withHolders()
	until := api.At(w.now().Add(24 * time.Hour))
	if a := w.consents(husband, "couple-husband-1", map[string]any{"expires": until}); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	spouse := func(person, other license.HolderID, role, consent string) (map[string]api.PrecheckState, answered) {
		t.Helper()
		body := withParty(role, other, consent)
		body["matter"], body["holder"] = "YC-LAND-07", person
		a := w.inPerson(person, precheckPath, body)
		return prestates(t, a), a
	}
	states, a := spouse(wife, husband, "spouse", "couple-husband-1")
	if states["spouse-id"] != api.PrecheckStateMet || states["applicant-id"] != api.PrecheckStateMet {
		t.Errorf("%v", states)
	}
	if !strings.Contains(strings.Join(decisionsOf(a), " "), "confirm") {
		t.Errorf("nothing confirmed the marriage: %v", decisionsOf(a))
	}
	w.consents(stranger, "of-a-stranger-1", nil)
	w.consents(husband, "other-matter-1", map[string]any{"matters": []string{"YC-FOOD-01"}})
	w.consents(husband, "other-type-1", map[string]any{"types": []string{"business-license"}})
	for name, x := range map[string]struct {
		person, other license.HolderID
		role, consent string
	}{
		"no such consent":       {wife, husband, "spouse", "couple-husband-9"},
		"a stranger's":          {wife, husband, "spouse", "of-a-stranger-1"},
		"another matter":        {wife, husband, "spouse", "other-matter-1"},
		"another license type":  {wife, husband, "spouse", "other-type-1"},
		"no spouse at all":      {wife, stranger, "spouse", "of-a-stranger-1"},
		"not of this applicant": {stranger, husband, "spouse", "couple-husband-1"},
		"without a consent":     {wife, husband, "spouse", ""},
		"another role":          {wife, husband, "co_owner", "couple-husband-1"},
	} {
		if states, _ := spouse(x.person, x.other, x.role, x.consent); states["spouse-id"] != api.PrecheckStateBringIt {
			t.Errorf("%s: %v", name, states)
		}
	}
	w.refused(w.inPerson(wife, precheckPath, map[string]any{"matter": "YC-LAND-07", "holder": wife, "parties": []any{
		map[string]any{"role": "spouse", "holder": husband, "consent": "couple-husband-1"}, map[string]any{"role": "spouse", "holder": stranger, "consent": "of-a-stranger-1"},
	}}), "invalid-field")
	w.refused(w.inPerson(wife, precheckPath, map[string]any{"matter": "YC-LAND-07", "holder": wife, "parties": []any{map[string]any{"role": cases.Applicant, "holder": husband, "consent": "couple-husband-1"}}}), "invalid-field")

	// Withdrawn: the next pre-check knows. Nobody but the husband withdraws it.
	withdraw := func(person license.HolderID, id string) answered {
		return w.inPerson(person, consentsPath+"/"+id+"/withdraw", map[string]any{})
	}
	w.refused(withdraw(wife, "couple-husband-1"), "consent-not-usable")
	w.refused(withdraw(stranger, "couple-husband-1"), "consent-not-usable")
	if states, _ := spouse(wife, husband, "spouse", "couple-husband-1"); states["spouse-id"] != api.PrecheckStateMet {
		t.Errorf("a refused withdrawal ended the consent: %v", states)
	}
	if a := withdraw(husband, "couple-husband-1"); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if states, _ := spouse(wife, husband, "spouse", "couple-husband-1"); states["spouse-id"] != api.PrecheckStateBringIt {
		t.Errorf("after the withdrawal: %v", states)
	}
	w.refused(w.consents(husband, "couple-husband-1", map[string]any{"expires": until}), "consent-withdrawn")
}

func decisionsOf(a answered) (all []string) {
	for _, u := range a.record.Uses {
		all = append(all, u.Decision)
	}
	return all
}

// A consent is given in person by the very holder only, and the holder finds and withdraws all consents, whichever system they were given to.
func TestConsentsInPerson(t *testing.T) {
	onEach(t, func(t *testing.T, i *intruder) {
		w := i.world
		w.withHolders()
		body := map[string]any{"id": "forged-consent-1", "holder": wife, "types": []string{"resident-id"}, "expires": api.At(w.now().Add(time.Hour))}
		w.refused(w.call("citizen-portal", "POST", consentsPath, body), "holder-not-proven")
		w.refused(w.inPerson(husband, consentsPath, body), "holder-not-represented")
		w.refused(w.asHolder("staff-id", "staff-1", wife, consentsPath, body), "holder-not-proven")
		w.consents(wife, "of-the-wife-1", nil)
		if again := w.consents(wife, "of-the-wife-1", map[string]any{"expires": api.At(w.now().Add(48 * time.Hour))}); again.status != 409 {
			t.Errorf("%d %s", again.status, again.body)
		}
		list := func(person, holder license.HolderID) answered {
			return w.inPerson(person, consentsListPath, map[string]any{"holder": holder})
		}
		w.refused(list(husband, wife), "holder-not-represented")
		w.refused(w.call("citizen-portal", "POST", consentsListPath, map[string]any{"holder": wife}), "operator-proof-required")
		got := read[api.ConsentsAnswer](t, list(wife, wife)).Consents
		if len(got) != 1 || got[0].ID != "of-the-wife-1" || got[0].System != "citizen-portal" || !got[0].Withdrawn.IsZero() {
			t.Errorf("%+v", got)
		}
		if none := read[api.ConsentsAnswer](t, list(husband, husband)).Consents; len(none) != 0 {
			t.Errorf("%+v", none)
		}
		w.inPerson(wife, consentsPath+"/of-the-wife-1/withdraw", map[string]any{})
		if got := read[api.ConsentsAnswer](t, list(wife, wife)).Consents; len(got) != 1 || got[0].Withdrawn.IsZero() {
			t.Errorf("%+v", got)
		}
	})
}

// A company's consent is withdrawn by whom its license names, each time anew; others are told what is said of a consent that there is not.
func TestConsentWithdrawnForACompany(t *testing.T) {
	onEach(t, func(t *testing.T, i *intruder) {
		w := i.world
		w.withHolders()
		w.consent("of-the-company-1", "citizen-portal", company, false)
		w.consent("of-the-company-2", "citizen-portal", company, false)
		withdraw := func(person license.HolderID, id string, more map[string]any) answered {
			body := map[string]any{"as": "legal_representative"}
			maps.Copy(body, more)
			return w.inPerson(person, consentsPath+"/"+id+"/withdraw", body)
		}
		stands := func(id string) bool {
			given := must(w.gateway.Cases.Consent(t.Context(), id))(t)
			return given.Withdrawn.IsZero()
		}
		problem := func(a answered) api.Problem {
			var p api.Problem
			w.refused(a, "consent-not-usable")
			if err := unmarshal(a.body, &p); err != nil {
				t.Fatal(err)
			}
			return p
		}
		other, unknown := problem(withdraw(husband, "of-the-company-1", nil)), problem(withdraw(husband, "of-nobody-1", nil))
		if other.Code != unknown.Code || other.Detail != unknown.Detail || other.Zh != unknown.Zh {
			t.Errorf("a consent of another: %+v; none: %+v", other, unknown)
		}
		w.refused(withdraw(boss, "of-the-company-1", map[string]any{"as": "guardian_of_all"}), "consent-not-usable")
		w.refused(withdraw(boss, "of-the-company-1", map[string]any{"assertion": w.assertion(Assertion{For: "withdrawal", Reference: "of-the-company-1", Holder: company, System: "citizen-portal"})}), "invalid-field")
		w.refused(w.asHolder("staff-id", "staff-1", boss, consentsPath+"/of-the-company-1/withdraw", asRepresentative), "holder-not-proven")
		w.refused(w.call("citizen-portal", "POST", consentsPath+"/of-the-company-1/withdraw", asRepresentative), "holder-not-proven")
		w.refused(w.inPerson(boss, consentsPath+"/of-the-company-1/withdraw", map[string]any{}), "consent-not-usable")
		if !stands("of-the-company-1") {
			t.Fatal("somebody else withdrew it")
		}
		a := withdraw(boss, "of-the-company-1", nil)
		if a.status != 200 || stands("of-the-company-1") || !stands("of-the-company-2") || a.record.Uses[0].Decision != outcomeConfirm {
			t.Errorf("%d %s %+v", a.status, a.body, a.record.Uses)
		}
	})
}
