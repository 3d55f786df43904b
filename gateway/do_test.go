package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/license"
)

var clerk = Principal{System: "food-approval", Person: Person{ID: "clerk-7"}}

// done makes a call through Do and checks its receipt.
func (w *world) done(p Principal, operation string, q Question) answered {
	w.t.Helper()
	reply, err := w.gateway.Do(w.t.Context(), p, operation, q)
	if err != nil {
		w.t.Fatalf("%s: %v", operation, err)
	}
	a := answered{status: reply.Status, body: reply.Body, index: reply.Record}
	answer, receipt, err := audit.SplitAnswer(reply.Body)
	if err == nil {
		a.answer = answer
		_, _, err = audit.VerifyReceipt(audit.Proof{Receipt: receipt, Answer: answer}, w.trust)
	}
	if err == nil {
		a.record, err = audit.ParseRecord(receipt.Record)
	}
	if err == nil && reply.Problem != nil {
		err = unmarshal(answer, &a.problem)
	}
	if err != nil {
		w.t.Errorf("%s: %v", operation, err)
	}
	w.mu.Lock()
	w.seen[a.index] = true
	w.mu.Unlock()
	return a
}

// A call from this process is decided, answered and recorded as one that came signed over HTTP: only what a token and fresh
// randomness make differs.
func TestDoIsAsSigned(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	check := func(kind string, sent, done answered) {
		t.Helper()
		if done.record.TokenDigest != "" || sent.record.TokenDigest == "" || done.status != sent.status || done.problem.Code != sent.problem.Code {
			t.Errorf("%s: %d %s and %d %s, token %q", kind, sent.status, sent.problem.Code, done.status, done.problem.Code, done.record.TokenDigest)
		}
		alike := []cmp.Option{
			cmpopts.IgnoreFields(audit.Record{}, "TokenDigest", "AnswerDigest", "Evidence", "Time", "RequestID", "RequestCommitment", "Changes"),
			cmpopts.IgnoreFields(audit.Use{}, "Holder", "Operator", "CaseCommitment", "Freshness"),
		}
		if diff := cmp.Diff(sent.record, done.record, alike...); diff != "" {
			t.Errorf("%s: the records differ (-sent, +done):\n%s", kind, diff)
		}
		for i, u := range sent.record.Uses {
			if mine := done.record.Uses[i]; (u.Holder == "") != (mine.Holder == "") || (u.Operator == "") != (mine.Operator == "") || (u.CaseCommitment == "") != (mine.CaseCommitment == "") {
				t.Errorf("%s: use %d commits to %+v and %+v", kind, i, u, mine)
			}
		}
		before, after := must(w.auditor.Evidence(t.Context(), sent.index))(t), must(w.auditor.Evidence(t.Context(), done.index))(t)
		if string(before.Reasons) != string(after.Reasons) || (before.Operator == "") != (after.Operator == "") {
			t.Errorf("%s: evidence %s and %s", kind, before.Reasons, after.Reasons)
		}
	}
	path := map[string]string{"no": "SP-1"}
	check("a check", w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{}), w.done(clerk, "cases.check", Question{Body: []byte("{}"), Path: path}))
	q := query("business-license", company, "SP-1")
	check("a query", w.call("food-approval", "POST", queryPath, q), w.done(clerk, "licenses.query", Question{Body: w.bodyOf(q)}))
	q = query("resident-id", stranger, "SP-1")
	start := time.Now()
	check("a refusal", w.call("food-approval", "POST", queryPath, q), w.done(clerk, "licenses.query", Question{Body: w.bodyOf(q)}))
	if took := time.Since(start); took < 2*refusalInterval {
		t.Errorf("two refusals that hide their cause left after %s", took)
	}
	bad := map[string]string{"no": strings.Repeat("9", 65)}
	check("a malformed path", w.call("food-approval", "POST", "/v1/cases/"+bad["no"]+"/check", map[string]any{}), w.done(clerk, "cases.check", Question{Body: []byte("{}"), Path: bad}))
	check("a malformed body", w.call("food-approval", "POST", queryPath, []byte("{")), w.done(clerk, "licenses.query", Question{Body: []byte("{")}))
	check("not permitted", w.call("land-approval", "POST", "/v1/audit/search", map[string]any{}), w.done(Principal{System: "land-approval", Person: clerk.Person}, "audit.search", Question{Body: []byte("{}")}))
}

// The sealed evidence keeps what was asked, and who opens it leaves a use for everybody it names.
func TestDoKeepsItsQuestion(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	body := w.bodyOf(query("business-license", company, "SP-1"))
	a := w.done(clerk, "licenses.query", Question{Body: body, ID: "form-1", RequestID: "r-1"})
	e := must(w.auditor.Evidence(t.Context(), a.index))(t)
	var kept KeptQuestion
	if err := unmarshal(e.Request.Body, &kept); err != nil || e.Request.Token != "" {
		t.Fatalf("%v %+v", err, e.Request)
	}
	if kept.Operation != "licenses.query" || string(kept.Body) != string(body) || kept.ID != "form-1" || kept.RequestID != "r-1" {
		t.Errorf("kept %+v", kept)
	}
	claim, err := ClaimOf(*e.Request)
	if until := time.Until(claim.Exp); err != nil || claim.JTI != "form-1" || until < CallIDLife-time.Minute || until > CallIDLife {
		t.Errorf("claim %+v, %v", claim, err)
	}
	opened := w.audit("records/"+strconv.FormatUint(a.index, 10), map[string]any{"why": "x", "request": true})
	if len(opened.record.Uses) == 0 || opened.record.Uses[0].Decision != outcomeOpened {
		t.Errorf("opening the question is recorded as %+v", opened.record.Uses)
	}
	text := w.done(clerk, "licenses.query", Question{Body: []byte("no JSON \xff")})
	e = must(w.auditor.Evidence(t.Context(), text.index))(t)
	if err := unmarshal(e.Request.Body, &kept); err != nil || !strings.Contains(string(kept.Body), "no JSON") {
		t.Errorf("kept %s, %v", e.Request.Body, err)
	}
}

// A call id is used once within its life, also by another process; the record that it left can be proved.
func TestDoOnce(t *testing.T) {
	w := newWorld(t)
	q := Question{ID: "form-1"}
	first := w.done(clerk, "catalog.types", q)
	size := w.size()
	for _, memory := range []string{"kept", "lost, as after a restart"} {
		if memory != "kept" {
			w.gateway.intake = w.gateway.newIntake()
		}
		if _, err := w.gateway.Do(t.Context(), clerk, "catalog.types", q); !errors.Is(err, api.NewProblem("token-replayed")) {
			t.Errorf("memory %s: %v", memory, err)
		}
	}
	if w.size() != size {
		t.Errorf("%d records of calls that were made before", w.size()-size)
	}
	lost := read[api.ReceiptAnswer](t, w.done(clerk, "receipts", Question{Body: []byte(`{"jti":"form-1"}`)}))
	if lost.Index != first.index {
		t.Errorf("the receipt of record %d, not of %d", lost.Index, first.index)
	}
	other := Principal{System: "land-approval", Person: clerk.Person}
	if a := w.done(other, "catalog.types", q); a.status != http.StatusOK {
		t.Errorf("another system's call of the same id: %d", a.status)
	}
}

// A call that is not recorded gives its id back.
func TestDoAgainAfterAFailure(t *testing.T) {
	w := newWorld(t)
	w.skipWhole = true
	if err := w.log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := w.gateway.Do(t.Context(), clerk, "catalog.types", Question{ID: "form-1"}); !errors.Is(err, api.NewProblem("record-unavailable")) {
			t.Errorf("%v", err)
		}
	}
}

// A system's limits hold for its calls however they come.
func TestDoIsLimited(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.InFlight = 1 })
	w.accept("SP-1")
	arrived, release := make(chan struct{}), make(chan struct{})
	w.legacy["business-license"].before = func(context.Context) { close(arrived); <-release }
	first := make(chan answered, 1)
	go func() {
		first <- w.done(clerk, "licenses.query", Question{Body: w.bodyOf(query("business-license", company, "SP-1"))})
	}()
	<-arrived
	other := Principal{System: "land-approval"}
	for range 2 { // and gives its id back
		if _, err := w.gateway.Do(t.Context(), other, "catalog.types", Question{ID: "a"}); !errors.Is(err, api.NewProblem("too-many-requests")) {
			t.Errorf("%v", err)
		}
	}
	if a := w.call("land-approval", "GET", "/v1/catalog/types", nil); a.problem.Code != "too-many-requests" {
		t.Errorf("over HTTP: %d %s", a.status, a.problem.Code)
	}
	close(release)
	<-first
	if got := w.gateway.limited.take()["land-approval"]; got != 3 {
		t.Errorf("%d refused calls are counted", got)
	}
	if used := w.gateway.intake.Usage(); used.Calls != 0 || used.Memory != 0 {
		t.Errorf("%+v is not given back", used)
	}
	if a := w.done(other, "catalog.types", Question{ID: "a"}); a.status != http.StatusOK || a.record.OperatorProof != audit.OperatorNone {
		t.Errorf("%d, operator %s", a.status, a.record.OperatorProof)
	}
}

// Who is not configured is refused with a record; what cannot be a call is none.
func TestDoRefuses(t *testing.T) {
	w := newWorld(t)
	for name, system := range map[string]string{"a system that never was": "moon", "one that is configured no more": "land-approval"} {
		w.reload(func(s *Snapshot) {
			systems := make(map[string]System)
			for id, one := range s.Systems {
				if id != system {
					systems[id] = one
				}
			}
			s.Systems = systems
		})
		a := w.done(Principal{System: system, Person: clerk.Person}, "catalog.types", Question{})
		w.refused(a, "not-permitted")
		e := must(w.auditor.Evidence(t.Context(), a.index))(t)
		if a.record.System != system || !strings.Contains(string(e.Reasons), "caller-gone") {
			t.Errorf("%s: %+v %s", name, a.record, e.Reasons)
		}
	}
	size := w.size()
	if _, err := w.gateway.Do(t.Context(), clerk, "licenses.steal", Question{}); !errors.Is(err, api.NewProblem("not-found")) {
		t.Errorf("an operation that is none: %v", err)
	}
	if _, err := w.gateway.Do(t.Context(), clerk, "log.checkpoint", Question{}); !errors.Is(err, api.NewProblem("not-found")) {
		t.Errorf("an operation that takes no caller: %v", err)
	}
	for name, p := range map[string]Principal{
		"nobody":                 {},
		"an unknown proof":       {System: "food-approval", Person: Person{ID: "c", Proof: "sworn"}},
		"somebody who is no one": {System: "food-approval", Person: Person{ID: "c", Proof: audit.OperatorNone}},
		"a long name":            {System: "food-approval", Person: Person{ID: strings.Repeat("c", 65)}},
	} {
		if _, err := w.gateway.Do(t.Context(), p, "catalog.types", Question{}); err == nil {
			t.Errorf("%s makes a call", name)
		}
	}
	if _, err := w.gateway.Do(t.Context(), clerk, "catalog.types", Question{ID: strings.Repeat("1", 65)}); err == nil {
		t.Error("a long id is taken")
	}
	if w.size() != size {
		t.Errorf("%d records of what was no call", w.size()-size)
	}
}

// A source learns who asks and why: every use that waits for its answer, and nothing of one that the rules refuse.
func TestSourcesLearnThePurpose(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{})
	asked := w.legacy["business-license"].requests
	if len(asked) != 1 || len(asked[0].Questions) != 1 || len(asked[0].Purposes) != 1 {
		t.Fatalf("asked %+v", asked)
	}
	want := []license.Purpose{
		{Operation: "cases.check", Basis: "case", Case: "SP-1", Matter: "YC-FOOD-01", Material: "business-license", Role: "applicant", Attestation: "platform"},
	}
	var applicants []license.Purpose
	for _, p := range asked[0].Purposes[0] {
		if p.Material == "business-license" {
			applicants = append(applicants, p)
		}
	}
	if diff := cmp.Diff(want, applicants); diff != "" || asked[0].Operator == "" {
		t.Errorf("purposes, of operator %q (-want +got):\n%s", asked[0].Operator, diff)
	}
	size := w.legacy["business-license"].asked()
	w.call("food-approval", "POST", queryPath, query("business-license", stranger, "SP-1"))
	if w.legacy["business-license"].asked() != size {
		t.Error("a source was asked for a question that is refused")
	}
}

// storedClaims is a database whose claims somebody has changed.
type storedClaims struct {
	audit.Stored
	change func(audit.StoredClaim) (audit.StoredClaim, bool)
}

func (s storedClaims) Claims(ctx context.Context, yield func(audit.StoredClaim) error) error {
	return s.Stored.Claims(ctx, func(c audit.StoredClaim) error {
		if c, ok := s.change(c); ok {
			return yield(c)
		}
		return nil
	})
}

// What marks a call of this process as made is held against the question that its record keeps, as that of a signed call is
// against its token.
func TestDoClaimsAreVerified(t *testing.T) {
	w := newWorld(t)
	w.done(clerk, "catalog.types", Question{ID: "form-1"})
	w.done(clerk, "catalog.types", Question{})
	w.call("food-approval", "GET", "/v1/catalog/types", nil)
	for name, c := range map[string]struct {
		change func(audit.StoredClaim) (audit.StoredClaim, bool)
		faults int
	}{
		"as they are": {func(c audit.StoredClaim) (audit.StoredClaim, bool) { return c, true }, 0},
		"forgotten":   {func(c audit.StoredClaim) (audit.StoredClaim, bool) { return c, c.JTI != "form-1" }, 1},
		"another id": {func(c audit.StoredClaim) (audit.StoredClaim, bool) {
			c.JTI = strings.Replace(c.JTI, "form-1", "form-2", 1)
			return c, true
		}, 1},
		"another system": {func(c audit.StoredClaim) (audit.StoredClaim, bool) {
			if c.JTI == "form-1" {
				c.System = "moon"
			}
			return c, true
		}, 1},
	} {
		checks := must(audit.VerifyStored(t.Context(), w.auditing, storedClaims{w.db.Stored(), c.change}, audit.StoredOptions{Claimed: ClaimOf}))(t)
		faults := 0
		for _, step := range checks {
			if step.Name == audit.StepOnce {
				faults += len(step.Faults)
			}
		}
		if faults != c.faults {
			t.Errorf("%s: %+v", name, checks)
		}
	}
}
