package verdict

import (
	"slices"
	"testing"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/certstest"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/check"
)

// vouchedRun makes a run whose calls carry the word of an identity service, and whose records say so. The trust names the service.
func vouchedRun(t *testing.T, change func(*token.ActorClaims), record func(*audit.Draft)) *run {
	r := newRun(t)
	staff := r.city.world.Signer("staff-1")
	r.city.vouch = func(c token.Claims) string {
		req, err := token.RequestDigest(&c)
		r.city.must(err)
		claims := token.ActorClaims{Issuer: "staff-id", Audience: audience, System: system, Subject: c.Operator, Roles: []string{"clerk"}, Request: req}
		if change != nil {
			change(&claims)
		}
		compact, err := token.SignActor(t.Context(), staff, claims, certstest.Epoch)
		r.city.must(err)
		return compact
	}
	r.city.about = func(d *audit.Draft) {
		d.OperatorProof, d.OperatorService, d.OperatorRoles = audit.OperatorByCall, "staff-id", []string{"clerk"}
		if record != nil {
			record(d)
		}
	}
	r.city.trust.IdentityServices = []IdentityService{{"staff-id", "staff-1", staff.Public(), []string{system}, []string{"clerk"}}}
	r.trust = r.newTrust()
	return r.again()
}

// Law 12: an answer says how the person is known who acted, and an identity service's word is held against what the record says.
func TestOperatorProof(t *testing.T) {
	key := func(r *run) string { d, _ := token.KeyDigest(r.city.caller.Public()); return d }
	for _, c := range []struct {
		name         string
		change       func(*token.ActorClaims)
		record       func(*audit.Draft)
		after        func(*run) // before verification
		answer, call check.State
		reason       string // of the answer's step
	}{
		{"this very call", nil, nil, nil, check.OK, check.OK, `identity service "staff-id" vouches that the person stood behind this very call; in the roles "clerk"`},
		{"a trust that names no service", nil, nil, func(r *run) { r.city.trust.IdentityServices = nil; r.trust = r.newTrust() }, check.NotCheckable, check.NotCheckable,
			`the gateway recorded: identity service "staff-id" vouches that the person stood behind this very call; in the roles "clerk"; the trust does not name it`},
		{"another key of the service", nil, nil, func(r *run) {
			r.city.trust.IdentityServices[0].Key = r.city.world.Signer("other").Public()
			r.trust = r.newTrust()
		}, check.Failed, check.Failed, token.ErrActorSignature.Error()},
		{"a role that the service may not assert", nil, nil, func(r *run) { r.city.trust.IdentityServices[0].Roles = nil; r.trust = r.newTrust() }, check.Failed, check.Failed, token.ErrActorRole.Error()},
		{"another person", func(c *token.ActorClaims) { c.Subject = "clerk-8" }, nil, nil, check.Failed, check.Failed, token.ErrActorPerson.Error()},
		{"another request", func(c *token.ActorClaims) { c.Request = sm.DigestB64([]byte("x")) }, nil, nil, check.Failed, check.Failed, token.ErrActorNotBound.Error()},
		{"a record that says more than the service", nil, func(d *audit.Draft) { d.OperatorRoles = []string{"clerk", "head"} }, nil, check.Failed, check.OK,
			"the record says of the operator something else than the identity service"},
		{"a record that says call of a session", func(c *token.ActorClaims) { c.Request, c.Confirmation = "", &token.Confirmation{Key: key(newRun(t))} }, nil, nil, check.Failed, check.OK,
			"the record says of the operator something else than the identity service"},
		{"a session", func(c *token.ActorClaims) { c.Request, c.Confirmation = "", &token.Confirmation{Key: key(newRun(t))} },
			func(d *audit.Draft) { d.OperatorProof = audit.OperatorBySession }, nil, check.OK, check.OK,
			`identity service "staff-id" vouches that the person was signed in at the calling system; in the roles "clerk"`},
		{"a call whose service the record does not trust", nil, func(d *audit.Draft) { d.OperatorProof, d.OperatorService, d.OperatorRoles = "", "", nil }, nil, check.NotCheckable, check.OK,
			"the calling system asserts who acted; no identity service vouches for it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := vouchedRun(t, c.change, c.record)
			if c.after != nil {
				c.after(r)
			}
			for _, v := range r.trust.Verify(r.artefacts()...) {
				name, want := stepOperatorProof, c.answer
				switch v.Kind {
				case Answer:
				case Call:
					name, want = stepActor, c.call
				default:
					continue
				}
				step := check.Find(v.Steps, name)
				if step.State != want || v.Kind == Answer && step.Reason != c.reason {
					t.Errorf("%s: %+v, want %s", v.Name, step, want)
				}
				if refuted := v.Verdict == api.VerdictRefuted; refuted != (want == check.Failed) {
					t.Errorf("%s is %q", v.Name, v.Verdict)
				}
				if zh := InChinese(step); step.Reason != "" && (zh.Reason == step.Reason || zh.Name == step.Name) {
					t.Errorf("no Chinese of %+v: %+v", step, zh)
				}
			}
			alone := r.trust.Verify(r.artefacts()[slices.IndexFunc(r.artefacts(), func(a Artefact) bool { return a.Name == "answer.json" })])[0]
			if step := check.Find(alone.Steps, stepOperatorProof); step.State != check.NotCheckable {
				t.Errorf("without the call: %+v", step)
			}
		})
	}
}
