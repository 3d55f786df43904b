package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/token"
	"oncegate/license"
)

// A panic, an answer that cannot be written and a record that is too large are answered and recorded like anything else;
// nothing of what failed leaves.
func TestFaultsOfOursAreRecorded(t *testing.T) {
	w := newWorld(t)
	long := make([]audit.Use, 400)
	for i := range long {
		long[i] = personUse(stranger, outcomeRelease)
		long[i].Rules = []string{strings.Repeat("r", 96)}
	}
	for name, c := range map[string]struct {
		run  step
		code string
	}{
		"panic":         {func(context.Context, *call) (*result, error) { panic(stranger.Code + names[stranger]) }, "internal"},
		"runtime panic": {func(_ context.Context, c *call) (*result, error) { return &result{answer: c.body[len(c.body)]}, nil }, "internal"},
		"error":         {func(context.Context, *call) (*result, error) { return nil, errors.New("disk on fire") }, "internal"},
		"bad text":      {func(context.Context, *call) (*result, error) { return &result{answer: "\xff"}, nil }, "internal"},
		"no integer":    {func(context.Context, *call) (*result, error) { return &result{answer: 1.5}, nil }, "internal"},
		"too large":     {func(context.Context, *call) (*result, error) { return &result{answer: "left", uses: long}, nil }, "too-many-materials"},
		"large refusal": {func(context.Context, *call) (*result, error) { return nil, refuse("case-closed").withUses(long...) }, "too-many-materials"},
		"half character": {func(context.Context, *call) (*result, error) {
			return nil, refuse("not-permitted").withDetail(clip(strings.Repeat("许可", 400), 1000))
		}, "not-permitted"},
		"deadline": {func(context.Context, *call) (*result, error) {
			return nil, fmt.Errorf("read: %w", context.DeadlineExceeded)
		}, "deadline-exceeded"},
	} {
		row := &operation{Operation: w.gateway.contract.Operation("catalog.types"), run: c.run}
		size := w.size()
		rep, err := w.gateway.answer(t.Context(), w.opened(row))
		if err != nil || rep.Code != c.code || w.size() != size+1 {
			t.Errorf("%s: %v %+v, %d records", name, err, rep, w.size()-size)
			continue
		}
		answer, receipt, err := audit.SplitAnswer(rep.Body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := audit.VerifyReceipt(audit.Proof{Receipt: receipt, Answer: answer}, w.trust); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(string(rep.Body), "fire") || strings.Contains(string(rep.Body), "left") {
			t.Errorf("%s: %s", name, rep.Body)
		}
	}
	if !strings.Contains(w.lines.String(), "operation panicked") {
		t.Error("nobody is told of the panic")
	}
}

// A caller who hangs up during a slow source is recorded all the same: who was asked about stands in the record.
func TestHangUpIsRecorded(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan struct{})
	w.legacy["business-license"].set(func(l *legacy) {
		l.before = func(ctx context.Context) {
			hangUp()
			<-ctx.Done() // the gateway tells the source
			close(gone)
		}
	})
	body := w.bodyOf(query("business-license", company, "SP-1"))
	jti := must(token.NewID(w.now(), nil))(t)
	compact := w.token("food-approval", "POST", queryPath, body, func(c *token.Claims) { c.ID = jti })
	if resp, err := http.DefaultClient.Do(w.request("POST", queryPath, body, compact).WithContext(ctx)); err == nil {
		resp.Body.Close()
		t.Fatal("the caller did not hang up")
	}
	<-gone
	w.server.Close() // waits for the call
	index := must(w.db.Audit().ByJTI(t.Context(), "food-approval", jti))(t)
	e := must(w.auditor.Evidence(t.Context(), index))(t)
	if u := e.Record.Uses; len(u) != 1 || u[0].Decision != "unavailable" || e.Holders[0] != company {
		t.Errorf("uses %+v", u)
	}
}

// The time of a call bounds its sources; the answer says what is unavailable, or that time ran out, and is recorded.
func TestDeadline(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.Call = 50e6 })
	w.accept("SP-1")
	w.legacy["business-license"].set(func(l *legacy) { l.before = func(ctx context.Context) { <-ctx.Done() } })
	a := w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))
	if a.record.Operation == "" || a.problem.Code != "source-unavailable" && a.problem.Code != "deadline-exceeded" || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s %v", a.status, a.body, a.header)
	}
}

// A claim is given back where nothing was recorded, so that the very same call may come again, and kept where something was.
func TestClaimIsGivenBack(t *testing.T) {
	w := newWorld(t)
	w.reload(func(s *Snapshot) {
		systems := map[string]System{}
		for id, system := range s.Systems {
			system.Rate, system.Burst = 1e-9, 1
			systems[id] = system
		}
		s.Systems = systems
	})
	send := func(compact string) answered { return w.send("GET", "/v1/catalog/types", nil, compact) }
	w.call("food-approval", "GET", "/v1/catalog/types", nil)
	limited := w.token("food-approval", "GET", "/v1/catalog/types", nil, nil)
	if a := send(limited); a.problem.Code != "too-many-requests" || a.problem.Receipt != nil || a.header.Get("Retry-After") == "" {
		t.Fatalf("limited: %d %s", a.status, a.body)
	}
	w.reload(func(s *Snapshot) { s.Systems = w.base.Systems })
	if a := send(limited); a.status != http.StatusOK {
		t.Errorf("the same call again: %d %s", a.status, a.body)
	}
	if a := send(limited); a.problem.Code != "token-replayed" {
		t.Errorf("and once more: %d %s", a.status, a.body)
	}
	unrecorded := w.token("food-approval", "GET", "/v1/catalog/types", nil, nil)
	if err := w.log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if a := send(unrecorded); a.problem.Code != "record-unavailable" || a.header.Get("Retry-After") == "" {
			t.Errorf("nothing was recorded: %d %s", a.status, a.body)
		}
	}
	var p api.Problem
	if err := json.Unmarshal(send(unrecorded).body, &p); err != nil || !strings.Contains(p.Advice.En, "upload") {
		t.Errorf("the fixed problem names no way on: %q", p.Advice.En)
	}
}

// What answers hold many of stays within the document, which every answer here is held against: places that are wrong, rules, reasons.
func TestManyStayWithinTheDocument(t *testing.T) {
	w := newWorld(t)
	var parties []any
	for i := range 32 {
		parties = append(parties, party("applicant", license.HolderID{Type: "111", Code: fmt.Sprintf("3799011985031230%02d", i)}))
	}
	a := w.call("acceptance", "POST", "/v1/cases", w.caseOf("SP-1", "YC-FOOD-01", parties...))
	w.refused(a, "case-invalid")
	if n := len(a.problem.Faults); n != 16 || a.problem.Faults[n-1].Pointer != "" {
		t.Errorf("%d faults, the last %+v", n, a.problem.Faults[n-1])
	}
	w.accept("SP-2")
	var rules strings.Builder
	rules.WriteString("grants:\n")
	for i := range 100 {
		fmt.Fprintf(&rules, "  - {id: many/%d, agreement: x, provider: samr, systems: [food-approval], license_type: business-license, operations: [licenses.query, cases.check], "+
			"matters: [YC-FOOD-01], fields: [name], basis: x, basis_kind: rule, scenario: x, attestation: platform, valid_until: \"2030-12-31\"}\n", i)
	}
	w.rules("many.yaml", rules.String())
	got := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-2")))
	if len(got.Decision.Rules) <= 100 {
		t.Errorf("%d rules", len(got.Decision.Rules))
	}
	if m := material(t, w.check("food-approval", "SP-2", map[string]any{}), "business-license"); len(m.Rules) <= 100 {
		t.Errorf("%d rules of a material", len(m.Rules))
	}
}
