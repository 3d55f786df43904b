package gateway

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/jws"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/policy"
)

// withStaff registers an identity service that may speak for the two approval systems, and another that may not.
func (w *world) withStaff() {
	w.t.Helper()
	key := func(name string) map[string]token.ServiceKey {
		return map[string]token.ServiceKey{name: {Public: w.certs.Signer(name).Public()}}
	}
	w.reload(func(s *Snapshot) {
		s.IdentityServices = map[string]token.IdentityService{
			"staff-id":  {Keys: key("staff-1"), Systems: []string{"food-approval", "land-approval", "audit-office"}, Roles: []string{"clerk", "reviewer"}},
			"office-id": {Keys: key("office-1"), Systems: []string{"acceptance"}, Roles: []string{"reviewer"}},
		}
	})
}

// demands reloads with rules that ask for proof: a grant for the call of a reviewer, a permission for a session.
func (w *world) demands() {
	w.t.Helper()
	files := slices.Clone(w.files)
	for i, f := range files {
		text := string(f.Data)
		text = strings.Replace(text, "scenario: 核验食品经营许可申请人的主体资格\n", "scenario: 核验食品经营许可申请人的主体资格\n    operator_proof: call\n    operator_roles: [reviewer]\n", 1)
		text = strings.Replace(text, "operations: [audit.search, audit.verify, audit.export, log.read]\n", "operations: [audit.search, audit.verify, audit.export, log.read]\n    operator_proof: session\n", 1)
		files[i].Data = []byte(text)
	}
	w.reload(func(s *Snapshot) { s.Policy = w.policy(files...) })
}

// vouch makes the actor token of a call. spoil may change its payload, or the call by which req is computed; by signs it.
type vouch struct {
	by    string // signer and kid
	head  jws.Header
	spoil func(payload map[string]any)
	of    func(c *token.Claims)
}

func (w *world) vouched(c token.Claims, v vouch) string {
	w.t.Helper()
	if v.of != nil {
		v.of(&c)
	}
	payload := map[string]any{
		"iss": "staff-id", "aud": c.Audience, "sys": c.Issuer, "sub": c.Operator, "iat": w.now().Unix(), "exp": w.now().Unix() + 300,
		"roles": []string{"reviewer", "clerk"}, "req": must(token.RequestDigest(&c))(w.t),
	}
	if v.spoil != nil {
		v.spoil(payload)
	}
	maps.DeleteFunc(payload, func(_ string, value any) bool { return value == nil })
	if v.by == "" {
		v.by = "staff-1"
	}
	if v.head.Typ == "" {
		v.head = jws.Header{Typ: token.ActorType, Kid: v.by}
	}
	return must(jws.Sign(w.t.Context(), w.certs.Signer(v.by), v.head, must(json.Marshal(payload, json.Deterministic(true)))(w.t)))(w.t)
}

// session makes a token a session's of a system's key.
func (w *world) session(system string) func(map[string]any) {
	return func(p map[string]any) {
		p["req"], p["cnf"] = nil, map[string]string{"spki#SM3": must(token.KeyDigest(w.certs.Signer(system + "-1").Public()))(w.t)}
	}
}

// callAs makes a call whose actor token is made by v; change may change the call's claims after the token was made.
func (w *world) callAs(system, path string, body any, v vouch, change func(*token.Claims)) answered {
	w.t.Helper()
	raw := w.bodyOf(body)
	compact := w.token(system, "POST", path, raw, func(c *token.Claims) {
		c.ID = must(token.NewID(w.now(), nil))(w.t)
		c.Actor = w.vouched(*c, v)
		if change != nil {
			change(c)
		}
	})
	return w.send("POST", path, raw, compact)
}

// decidedOn are the policy's questions in the sealed evidence of a record.
func (w *world) decidedOn(index uint64) (out []policy.Question) {
	w.t.Helper()
	e := must(w.gateway.Auditor.Evidence(w.t.Context(), index))(w.t)
	var inputs []input
	if err := json.Unmarshal(e.Inputs, &inputs); err != nil {
		w.t.Fatal(err)
	}
	for _, in := range inputs {
		if in.Question != nil {
			out = append(out, *in.Question)
		}
	}
	return out
}

// Law 12: the record says which person acted and how that is known, the decision knew it, and the evidence keeps the word itself.
func TestPersonIsRecorded(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	w.withStaff()
	ask := query("business-license", company, "SP-1")
	for _, c := range []struct {
		name           string
		answer         func() answered
		proof, service string
		roles          []string
	}{
		{"the system's word", func() answered { return w.call("food-approval", "POST", queryPath, ask) }, audit.OperatorAsserted, "", nil},
		{"this very call", func() answered { return w.callAs("food-approval", queryPath, ask, vouch{}, nil) }, audit.OperatorByCall, "staff-id", []string{"clerk", "reviewer"}},
		{"a session", func() answered {
			return w.callAs("food-approval", queryPath, ask, vouch{spoil: w.session("food-approval")}, nil)
		}, audit.OperatorBySession, "staff-id", []string{"clerk", "reviewer"}},
		{"without roles", func() answered {
			return w.callAs("food-approval", queryPath, ask, vouch{spoil: func(p map[string]any) { p["roles"] = nil }}, nil)
		}, audit.OperatorByCall, "staff-id", nil},
	} {
		a := c.answer()
		if a.status != http.StatusOK || a.record.OperatorProof != c.proof || a.record.OperatorService != c.service || !slices.Equal(a.record.OperatorRoles, c.roles) {
			t.Errorf("%s: %d, record %+v", c.name, a.status, a.record)
			continue
		}
		for _, q := range w.decidedOn(a.index) {
			if q.OperatorProof != c.proof || !slices.Equal(q.OperatorRoles, c.roles) {
				t.Errorf("%s: decided on %+v", c.name, q)
			}
		}
		if e := must(w.gateway.Auditor.Evidence(t.Context(), a.index))(t); e.Operator != "clerk-7" {
			t.Errorf("%s: the evidence names %q", c.name, e.Operator)
		}
	}
}

// Law 12, attacked over HTTP: whatever is wrong with an identity service's word has a code of its own and is recorded, as of a person
// whom the system alone asserts; nothing is released.
func TestPersonForged(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	w.withStaff()
	ask := query("business-license", company, "SP-1")
	set := func(name string, value any) vouch {
		return vouch{spoil: func(p map[string]any) { p[name] = value }}
	}
	now := w.now().Unix()
	stolen := "" // a colleague's token, of a call that was made
	w.callAs("food-approval", queryPath, ask, vouch{}, func(c *token.Claims) { stolen = c.Actor })
	for _, c := range []struct {
		name   string
		v      vouch
		change func(*token.Claims)
		code   string
	}{
		{"forged: signed with the calling system's own key", vouch{by: "food-approval-1", head: jws.Header{Typ: token.ActorType, Kid: "staff-1"}}, nil, "actor-token-bad-signature"},
		{"right format, wrong organisation: a service that may not speak for this system", vouch{by: "office-1", spoil: func(p map[string]any) { p["iss"], p["roles"] = "office-id", nil }}, nil, "actor-token-foreign"},
		{"a service nobody registered", set("iss", "somebody"), nil, "actor-token-unknown-service"},
		{"for another gateway", set("aud", "other-gateway"), nil, "actor-token-foreign"},
		{"for another system", set("sys", "land-approval"), nil, "actor-token-foreign"},
		{"wrong person: a colleague's sign-in", set("sub", "clerk-8"), nil, "actor-token-other-person"},
		{"wrong person: the system names another operator", vouch{}, func(c *token.Claims) { c.Operator = "clerk-8" }, "actor-token-other-person"},
		{"replayed: the word for a colleague's earlier call", vouch{}, func(c *token.Claims) { c.Actor = stolen }, "actor-token-not-bound"},
		{"swapped body: the person saw another request", vouch{of: func(c *token.Claims) { c.Body = token.BodyDigest([]byte("{}")) }}, nil, "actor-token-not-bound"},
		{"wrong purpose: the person confirmed a check, not this query", vouch{of: func(c *token.Claims) { c.URL = publicURL + "/v1/cases/SP-1/check" }}, nil, "actor-token-not-bound"},
		{"a session of another system's key", vouch{spoil: w.session("land-approval")}, nil, "actor-token-not-bound"},
		{"wrong time: expired", vouch{spoil: func(p map[string]any) { p["iat"], p["exp"] = now-400, now-100 }}, nil, "actor-token-expired"},
		{"wrong time: not yet", vouch{spoil: func(p map[string]any) { p["iat"], p["exp"] = now+200, now+300 }}, nil, "actor-token-not-yet-valid"},
		{"lives for an hour", set("exp", now+3600), nil, "actor-token-lifetime-too-long"},
		{"a role that the service may not assert", set("roles", []string{"mayor"}), nil, "actor-token-role-refused"},
		{"bound to both", vouch{spoil: func(p map[string]any) {
			req := p["req"]
			w.session("food-approval")(p)
			p["req"] = req
		}}, nil, "actor-token-binding"},
		{"bound to nothing", set("req", nil), nil, "actor-token-binding"},
		{"a call's token in its place", vouch{head: jws.Header{Typ: token.Type, Kid: "staff-1"}}, nil, "actor-token-bad-typ"},
		{"another algorithm", vouch{}, func(c *token.Claims) {
			c.Actor = sm.B64([]byte(`{"alg":"none","kid":"staff-1","typ":"oncegate-actor+jwt"}`)) + c.Actor[strings.IndexByte(c.Actor, '.'):]
		}, "actor-token-bad-alg"},
		{"a member twice", vouch{}, func(c *token.Claims) {
			c.Actor = sm.B64([]byte(`{"alg":"SM2SM3","kid":"staff-1","kid":"office-1","typ":"oncegate-actor+jwt"}`)) + c.Actor[strings.IndexByte(c.Actor, '.'):]
		}, "actor-token-duplicate-claim"},
		{"no token at all", vouch{}, func(c *token.Claims) { c.Actor = "clerk-7" }, "actor-token-malformed"},
	} {
		before := w.legacy["business-license"].asked()
		a := w.callAs("food-approval", queryPath, ask, c.v, c.change)
		w.refused(a, c.code)
		if a.status != http.StatusForbidden || a.record.OperatorProof != audit.OperatorAsserted || a.record.OperatorService != "" || a.record.OperatorRoles != nil {
			t.Errorf("%s: %d, record %+v", c.name, a.status, a.record)
		}
		if bytes.Contains(a.body, []byte("甲乙丙")) || w.legacy["business-license"].asked() != before {
			t.Errorf("%s: the source was asked, or something left", c.name)
		}
	}
}

// Law 12: a grant or permission that demands proof is not met by less. The caller who may know learns what is lacking; about a case that
// is not theirs nobody learns more than case-not-usable.
func TestPersonDemanded(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	w.withStaff()
	w.demands()
	ask := query("business-license", company, "SP-1")
	only := func(roles ...string) func(map[string]any) {
		return func(p map[string]any) { p["roles"] = roles }
	}
	both := func(a, b func(map[string]any)) func(map[string]any) {
		return func(p map[string]any) { a(p); b(p) }
	}
	for _, c := range []struct {
		name string
		a    func() answered
		code string // "": allowed
	}{
		{"the system's word", func() answered { return w.call("food-approval", "POST", queryPath, ask) }, "operator-proof-required"},
		{"a session of a reviewer", func() answered {
			return w.callAs("food-approval", queryPath, ask, vouch{spoil: w.session("food-approval")}, nil)
		}, "operator-proof-required"},
		{"the call of a clerk", func() answered { return w.callAs("food-approval", queryPath, ask, vouch{spoil: only("clerk")}, nil) }, "operator-role-required"},
		{"the call of a reviewer", func() answered { return w.callAs("food-approval", queryPath, ask, vouch{}, nil) }, ""},
		{"an auditor of whom only the system speaks", func() answered { return w.audit("search", map[string]any{}) }, "operator-proof-required"},
		{"an auditor who is signed in", func() answered {
			return w.callAs("audit-office", "/v1/audit/search", map[string]any{}, vouch{spoil: both(w.session("audit-office"), only())}, nil)
		}, ""},
		{"a case of others", func() answered {
			return w.call("land-approval", "POST", queryPath, query("business-license", company, "SP-1"))
		}, "case-not-usable"},
		{"a case of others, by a reviewer's call", func() answered {
			return w.callAs("land-approval", queryPath, query("business-license", company, "SP-1"), vouch{}, nil)
		}, "case-not-usable"},
	} {
		a := c.a()
		if c.code == "" {
			if a.status != http.StatusOK {
				t.Errorf("%s: %d %s %s", c.name, a.status, a.problem.Code, a.problem.Detail)
			}
			continue
		}
		w.refused(a, c.code)
		if told := strings.Contains(a.problem.Detail, "Operator proof '") || strings.Contains(a.problem.Detail, "operator roles"); told != strings.HasPrefix(c.code, "operator-") {
			t.Errorf("%s: told %q", c.name, a.problem.Detail)
		}
	}
	checked := w.check("food-approval", "SP-1", map[string]any{})
	if i := slices.IndexFunc(checked.Materials, func(m api.CheckedMaterial) bool { return m.LicenseType == "business-license" }); i < 0 || checked.Materials[i].Reason.Code != policy.OperatorProofWeak {
		t.Errorf("a check does not say what is lacking: %+v", checked.Materials)
	}
}

// A guard sees the person too.
func TestPersonAndGuards(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	w.withStaff()
	w.rules("proof.cedar", `@id("call-only") @reason_zh("须由复核人员当场确认。") @reason_en("A reviewer must confirm the call.")
forbid (principal, action == Action::"licenses.query", resource == LicenseType::"business-license")
unless { context.operator_proof == "call" && context.operator_roles.contains("reviewer") };`)
	ask := query("business-license", company, "SP-1")
	w.refused(w.call("food-approval", "POST", queryPath, ask), "not-permitted")
	w.refused(w.callAs("food-approval", queryPath, ask, vouch{spoil: w.session("food-approval")}, nil), "not-permitted")
	if a := w.callAs("food-approval", queryPath, ask, vouch{}, nil); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// An identity service that is taken away while a call runs vouches for nobody any more.
func TestServiceGoneMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	w.withStaff()
	w.legacy["business-license"].set(func(l *legacy) {
		l.before = func(context.Context) { w.reload(func(s *Snapshot) { s.IdentityServices = nil }) }
	})
	w.refused(w.callAs("food-approval", queryPath, query("business-license", company, "SP-1"), vouch{}, nil), "actor-token-unknown-service")
}

// Do states the person that its caller has authenticated, and refuses one whom no identity service stands behind.
func TestPersonOfDo(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	body := w.bodyOf(query("business-license", company, "SP-1"))
	reply, err := w.gateway.Do(t.Context(), Principal{"food-approval", Person{ID: "clerk-7", Proof: audit.OperatorBySession, Service: "sign-in", Roles: []string{"reviewer", "clerk", "clerk"}}}, "licenses.query", Question{Body: body})
	if err != nil || reply.Code != "ok" {
		t.Fatalf("%+v, %v", reply, err)
	}
	e := must(w.gateway.Auditor.Evidence(t.Context(), reply.Record))(t)
	if r := e.Record; r.OperatorProof != audit.OperatorBySession || r.OperatorService != "sign-in" || strings.Join(r.OperatorRoles, " ") != "clerk reviewer" {
		t.Errorf("record %+v", r)
	}
	for _, p := range []Person{
		{ID: "clerk-7", Proof: audit.OperatorByCall},
		{ID: "clerk-7", Service: "sign-in"},
		{ID: "clerk-7", Roles: []string{"clerk"}},
		{ID: "clerk-7", Proof: audit.OperatorBySession, Service: "sign-in", Roles: []string{""}},
		{Proof: audit.OperatorBySession, Service: "sign-in"},
	} {
		if reply, err := w.gateway.Do(t.Context(), Principal{"food-approval", p}, "licenses.query", Question{Body: body}); err == nil {
			t.Errorf("%+v: %+v", p, reply)
		}
	}
}
