package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/license"
)

// The caller gives the number: the same again is the same case, whatever its order; other content is refused.
func TestRegisterCase(t *testing.T) {
	w := newWorld(t)
	body := w.caseOf("SP-1", "YC-FOOD-01", party("applicant", company), party("legal_representative", boss))
	a := w.call("acceptance", "POST", "/v1/cases", body)
	if a.status != http.StatusCreated || len(a.record.Uses) != 2 || a.record.Uses[0].Case != "SP-1" {
		t.Fatalf("register: %d %s, uses %v", a.status, a.body, a.record.Uses)
	}
	body["parties"] = []any{party("legal_representative", boss), party("applicant", company)}
	again := w.call("acceptance", "POST", "/v1/cases", body)
	first, second := read[api.CaseAnswer](t, a), read[api.CaseAnswer](t, again)
	if again.status != http.StatusOK || first.Registered != second.Registered {
		t.Errorf("again: %d, registered %v and %v", again.status, first.Registered, second.Registered)
	}
	body["parties"] = []any{party("applicant", company)}
	w.refused(w.call("acceptance", "POST", "/v1/cases", body), "case-exists")
	w.refused(w.call("food-approval", "POST", "/v1/cases", body), "not-permitted")
	read[api.CloseAnswer](t, w.call("acceptance", "POST", "/v1/cases/SP-1/close", map[string]any{}))
	body["parties"] = []any{party("legal_representative", boss), party("applicant", company)}
	if a := w.call("acceptance", "POST", "/v1/cases", body); a.status != http.StatusOK {
		t.Errorf("the same again after it was closed: %d %s", a.status, a.body)
	}
	for name, parties := range map[string][]any{
		"no applicant":   {party("legal_representative", boss)},
		"two applicants": {party("applicant", company), party("applicant", wife)},
		"a strange role": {party("applicant", company), party("king", boss)},
		"a wrong code":   {party("applicant", license.HolderID{Type: "001", Code: "91379901MA9920002R"})},
	} {
		a := w.call("acceptance", "POST", "/v1/cases", w.caseOf("SP-2", "YC-FOOD-01", parties...))
		if w.refused(a, "case-invalid"); len(a.problem.Faults) == 0 || strings.Contains(string(a.body), "91379901MA9920002R") {
			t.Errorf("%s: %s", name, a.body)
		}
	}
}

// A holder's word needs the holder's assertion, and is as strong as that.
func TestCaseAttestedByTheHolder(t *testing.T) {
	w := newWorld(t)
	body := w.caseOf("SP-1", "YC-FOOD-01", party("applicant", company))
	body["attestation"] = "holder"
	w.refused(w.call("acceptance", "POST", "/v1/cases", body), "assertion-invalid")
	body["assertion"] = w.assertion(Assertion{For: "case", Reference: "SP-1", Holder: boss, System: "acceptance"})
	w.refused(w.call("acceptance", "POST", "/v1/cases", body), "assertion-invalid")
	body["assertion"] = w.assertion(Assertion{For: "case", Reference: "SP-1", Holder: company, System: "acceptance"})
	if a := w.call("acceptance", "POST", "/v1/cases", body); a.status != http.StatusCreated {
		t.Fatalf("register: %d %s", a.status, a.body)
	}
	a := w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))
	w.refused(a, "not-permitted") // the grant asks for the platform's
	if !strings.Contains(a.problem.Detail, "attested") {
		t.Errorf("detail: %s", a.problem.Detail)
	}
}

// Of two registrations of one number that meet, one wins; the other is told by what it says.
func TestRegistrationsMeet(t *testing.T) {
	w := newWorld(t)
	bodies := [][]byte{
		w.bodyOf(w.caseOf("SP-1", "YC-FOOD-01", party("applicant", company))), w.bodyOf(w.caseOf("SP-1", "YC-FOOD-01", party("applicant", wife))),
	}
	codes := make(chan int, 8)
	for i := range cap(codes) {
		go func() { codes <- w.call("acceptance", "POST", "/v1/cases", bodies[i%2]).status / 100 }()
	}
	var got []int
	for range cap(codes) {
		got = append(got, <-codes)
	}
	slices.Sort(got)
	if want := []int{2, 2, 2, 2, 4, 4, 4, 4}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
