package verdict

import (
	"crypto/ecdsa"
	"fmt"
	"slices"
	"strings"
	"time"

	"oncegate/audit"
	"oncegate/certs/token"
	"oncegate/check"
)

// The steps that say how the person is known who acts: by the record of an answer, and by the actor token of a call.
const (
	stepOperatorProof = "record-operator-proof"
	stepActor         = "call-actor"
)

// actor verifies the actor token that a call carries, as of the call's own time of issue; nil without one.
func (s *batch) actor(c token.Claims) (*token.Actor, error) {
	key, err := s.callerKey(c.Issuer, c.KeyID)
	if err != nil {
		return nil, err
	}
	var undecided error // as in batch.call
	found, err := token.VerifyActor(token.ActorExpect{
		Call: &c, Key: key, Now: time.Unix(c.IssuedAt, 0), Services: s.services,
		Verify: func(pub *ecdsa.PublicKey, message, rs []byte) error {
			err := s.verifySM2(pub, message, rs)
			if check.Undecided(err) {
				undecided = err
			}
			return err
		},
	})
	if undecided != nil {
		return nil, undecided
	}
	return found, err
}

// callActor is the step of a call's actor token; the call itself has been verified. A call without one has no such step.
func (s *batch) callActor(done *check.Steps, c token.Claims, sound bool) {
	switch {
	case c.Actor == "":
	case !sound:
		done.CannotCheck(stepActor, "a step before it failed")
	case len(s.services) == 0:
		done.CannotCheck(stepActor, "the trust names no identity service")
	default:
		found, err := s.actor(c)
		if err != nil {
			done.Result(stepActor, err)
			return
		}
		done.Pass(stepActor, vouched(found.Service, found.Proof, found.Roles))
	}
}

// vouched says in words what an identity service vouches for.
func vouched(service, proof string, roles []string) string {
	text := fmt.Sprintf("identity service %q vouches that the person stood behind this very call", service)
	if proof == audit.OperatorBySession {
		text = fmt.Sprintf("identity service %q vouches that the person was signed in at the calling system", service)
	}
	if len(roles) > 0 {
		text += fmt.Sprintf("; in the roles %q", strings.Join(roles, " "))
	}
	return text
}

// operatorProof says how the record knows the person who acted. What the record says of an identity service is the gateway's word; the
// step is ok only where the service's own word is at hand and holds. A record from before version 3 does not say, and has no such
// step.
func (s *batch) operatorProof(done *check.Steps, d answered) {
	r := d.record
	switch r.OperatorProof {
	case audit.OperatorNone:
		done.Pass(stepOperatorProof, "nobody acted: automatic work")
	case audit.OperatorAsserted:
		done.CannotCheck(stepOperatorProof, "the calling system asserts who acted; no identity service vouches for it")
	case audit.OperatorBySession, audit.OperatorByCall:
		s.operatorVouched(done, d)
	}
}

func (s *batch) operatorVouched(done *check.Steps, d answered) {
	r, by := d.record, vouched(d.record.OperatorService, d.record.OperatorProof, d.record.OperatorRoles)
	compact := s.tokenOf(d.receipt)
	switch {
	case compact == "":
		done.CannotCheck(stepOperatorProof, "the gateway recorded: "+by+"; the call with its word is not at hand")
		return
	case s.services[r.OperatorService].Keys == nil:
		done.CannotCheck(stepOperatorProof, "the gateway recorded: "+by+"; the trust does not name it")
		return
	}
	c, err := readClaims(compact)
	if err != nil {
		done.Fail(stepOperatorProof, "the call cannot be read")
		return
	}
	found, err := s.actor(c)
	switch {
	case err != nil:
		done.Result(stepOperatorProof, err)
	case found.Service != r.OperatorService || found.Proof != r.OperatorProof || !slices.Equal(found.Roles, r.OperatorRoles):
		done.Fail(stepOperatorProof, "the record says of the operator something else than the identity service")
	default:
		done.Pass(stepOperatorProof, by)
	}
}
