package node

import (
	"context"
	"errors"
	"testing"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/token"
	"oncegate/check"
	"oncegate/client"
	"oncegate/config"
	"oncegate/install"
	"oncegate/verdict"
)

// vouchedBy returns a client for whose operator an identity service of the installation vouches, for each call or for the session.
func (s *served) vouchedBy(service string, c *client.Client, session bool) *client.Client {
	s.t.Helper()
	setup := s.current.Load().setup
	keys, err := install.OpenCallers(setup, "")
	if err != nil {
		s.t.Fatal(err)
	}
	signer, err := install.IdentitySigner(setup, keys, service)
	if err != nil {
		s.t.Fatal(err)
	}
	return c.Vouched(func(ctx context.Context, b client.ActorBinding) (string, error) {
		claims := token.ActorClaims{Issuer: service, Audience: b.Gateway, System: b.System, Subject: b.Operator, Roles: []string{"clerk"}, Request: b.Request}
		if session {
			claims.Request, claims.Confirmation = "", &token.Confirmation{Key: b.Key}
		}
		return token.SignActor(ctx, signer, claims, s.Now())
	})
}

// Law 12 on a whole node: an identity service comes and goes by configuration alone, calls say by what proof their person is known, verify
// holds its word against the record, and the state of the tables proves.
func TestIdentityServiceOfAWholeNode(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.Edit(config.MainFile, "\ndata:\n", "\nidentity_services:\n  - {id: staff-id, name: 工作人员统一身份认证, certificates: [certificates/staff-id-1.pem], systems: [food-approval, acceptance], roles: [clerk]}\n\ndata:\n")
	if _, err := install.Prepare(t.Context(), c.Main, install.PrepareOptions{Cost: 10}); err != nil {
		t.Fatal(err)
	}
	s := c.serve()
	s.register("SP-1")
	trust := s.trusted()
	for proof, session := range map[string]bool{audit.OperatorByCall: false, audit.OperatorBySession: true} {
		answer, err := s.vouchedBy("staff-id", s.as("food-approval"), session).Query(t.Context(), question("SP-1"))
		if err != nil {
			t.Fatalf("%s: %v", proof, err)
		}
		record, err := audit.ParseRecord(answer.Receipt.Record)
		if err != nil || record.OperatorProof != proof || record.OperatorService != "staff-id" || len(record.OperatorRoles) != 1 {
			t.Errorf("%s: record %+v, %v", proof, record, err)
		}
		v := trust.Verify(verdict.Artefact{Name: "answer.json", Data: answer.Raw})[0]
		if step := check.Find(v.Steps, "record-operator-proof"); step.State != check.NotCheckable || v.Verdict == api.VerdictRefuted {
			t.Errorf("%s: %+v, %s", proof, step, v.Verdict)
		}
	}

	pinned := "systems: [food-approval, acceptance]"
	caller := s.vouchedBy("staff-id", s.as("food-approval"), false)
	for _, r := range []struct{ old, new, code string }{
		{pinned, "systems: [acceptance]", "actor-token-foreign"},
		{"roles: [clerk]", "roles: [head]", ""},
		{"systems: [acceptance]", pinned, "actor-token-role-refused"},
		{"id: staff-id,", "id: other-id,", "actor-token-unknown-service"},
		{"id: other-id,", "id: staff-id,", "actor-token-role-refused"},
		{"roles: [head]", "roles: [clerk]", "ok"},
	} {
		c.Edit(config.MainFile, r.old, r.new)
		if err := s.Reload(t.Context()); err != nil && !errors.Is(err, ErrUnchanged) {
			t.Fatal(err)
		}
		_, err := caller.Query(t.Context(), question("SP-1"))
		switch {
		case r.code == "":
		case r.code == "ok" && err != nil, r.code != "ok" && !errors.Is(err, api.NewProblem(r.code)):
			t.Errorf("after %q: %v, want %s", r.new, err, r.code)
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	c.verified(install.StateOptions{}, api.VerdictProven)
}
