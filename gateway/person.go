package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/jws"
	"oncegate/certs/token"
	"oncegate/policy"
)

// A Person is who acts in a system (经办人).
type Person struct {
	ID      string   // code of the operator; it stands in records as a commitment only
	Roles   []string // that an identity service asserts of the person, at most token.MaxRoles; sorted in records
	Proof   string   // how the person is known: audit.OperatorAsserted, OperatorBySession, OperatorByCall or OperatorNone
	Service string   // identity service that vouches for the person; with OperatorBySession and OperatorByCall only
}

// proof is how the person is known, where the caller leaves it open: by the system's word.
func (p Person) proof() string {
	switch {
	case p.ID == "":
		return audit.OperatorNone
	case p.Proof == "":
		return audit.OperatorAsserted
	}
	return p.Proof
}

// check refuses a person whom no record could state.
func (p Person) check() error {
	proof := p.proof()
	vouched := proof == audit.OperatorBySession || proof == audit.OperatorByCall
	switch {
	case !vouched && proof != audit.OperatorAsserted && proof != audit.OperatorNone:
		return fmt.Errorf("the principal's proof %q is unknown", p.Proof)
	case p.ID != "" && proof == audit.OperatorNone:
		return errors.New("the principal names a person and says that nobody acts")
	case len(p.ID) > token.MaxText:
		return fmt.Errorf("the person's code is longer than %d bytes", token.MaxText)
	case vouched == (p.Service == ""):
		return errors.New("an identity service vouches for a person with proof session or call, and for no other")
	case !vouched && len(p.Roles) > 0:
		return errors.New("a role is an identity service's word, and none vouches for the person")
	case len(p.Roles) > token.MaxRoles || slices.ContainsFunc(p.Roles, func(r string) bool { return r == "" || len(r) > token.MaxText }):
		return fmt.Errorf("the person has more than %d roles, or one that is empty or longer than %d bytes", token.MaxRoles, token.MaxText)
	}
	return nil
}

// normal is the person as records and rules have it.
func (p Person) normal() Person {
	p.Proof = p.proof()
	p.Roles = slices.Compact(slices.Sorted(slices.Values(p.Roles)))
	return p
}

// identify verifies the actor token that a signed call carries, by the snapshot in force: the person is then known by an identity
// service's word (design law 12). The system has proven itself, so a token that does not hold is a recorded refusal, in a
// record that knows the person by the system's word alone. One signature is checked, once for a snapshot, and only after the system's
// limits have admitted the call (design law 11).
func (c *call) identify(g *Gateway) error {
	if c.actor == nil || c.identified == c.config {
		return nil
	}
	c.principal.Person = Person{ID: c.actor.Operator, Proof: audit.OperatorAsserted}
	actor, err := token.VerifyActor(token.ActorExpect{
		Call: c.actor, Key: c.key, Now: c.now, Services: c.config.IdentityServices, Verify: g.VerifySM2,
	})
	switch code := token.Code(err); {
	case code != "":
		return &refusal{problem: api.NewProblem(code)}
	case err != nil:
		return fmt.Errorf("verify actor token: %w", err)
	}
	c.principal.Person = Person{ID: actor.Subject, Roles: actor.Roles, Proof: actor.Proof, Service: actor.Service}
	c.identified = c.config
	return nil
}

// VouchedOf is what the identity service says whose word a recorded call carries, read from the call's sealed evidence without verifying
// anything: it was verified when the call came. nil without one.
func VouchedOf(r audit.Request) (*audit.Vouched, error) {
	parts, err := jws.Split(r.Token, token.MaxSize)
	if err != nil {
		return nil, err
	}
	var c token.Claims
	if err := json.Unmarshal(parts.Payload, &c); err != nil || c.Actor == "" {
		return nil, err
	}
	actor, err := token.ReadActor(c.Actor)
	if err != nil {
		return nil, err
	}
	return &audit.Vouched{Proof: actor.Proof, Service: actor.Service, Roles: actor.Roles}, nil
}

// withPerson is a question to the policy that knows the acting person.
func (c *call) withPerson(q policy.Question) policy.Question {
	q.OperatorProof, q.OperatorRoles = c.principal.Person.Proof, c.principal.Person.Roles
	return q
}

// personDenial is the code of a decision that lacks nothing but proof of the acting person, or a role; "" for any other. It is for callers
// who may know why they are refused.
func personDenial(reasons []policy.Reason) string {
	has := func(code string) bool {
		return slices.ContainsFunc(reasons, func(r policy.Reason) bool { return r.Code == code })
	}
	others := slices.ContainsFunc(reasons, func(r policy.Reason) bool {
		return !slices.Contains([]string{
			policy.NoGrant, policy.NoPermission, policy.OperatorProofWeak, policy.OperatorRoleMissing, policy.FieldNotGranted, policy.FieldWithheld,
		}, r.Code)
	})
	switch {
	case others:
		return ""
	case has(policy.OperatorProofWeak):
		return "operator-proof-required"
	case has(policy.OperatorRoleMissing):
		return "operator-role-required"
	}
	return ""
}

// refuseDenied refuses what the rules do not permit, to a caller who may know why.
func refuseDenied(d policy.Decision) *refusal {
	return refuse(cmp.Or(personDenial(d.Reasons), "not-permitted")).withDetail(sentences(d.Reasons)).withReasons(ofPolicy(d.Reasons))
}

// firstReason is the code of a refused decision that a check tells: what is lacking of the acting person, if nothing else is, for the
// caller can do something about that; else the first.
func firstReason(reasons []policy.Reason) string {
	if personDenial(reasons) != "" {
		reasons = slices.DeleteFunc(slices.Clone(reasons), func(r policy.Reason) bool {
			return r.Code != policy.OperatorProofWeak && r.Code != policy.OperatorRoleMissing
		})
	}
	return reasons[0].Code
}
