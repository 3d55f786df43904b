package gateway

import (
	"crypto/ecdsa"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/token"
	"oncegate/license"
	"oncegate/policy"
)

// A call is one authenticated call: who asks, what, and what the sources have answered so far.
type call struct {
	row       *operation
	config    *running
	system    System
	key       *ecdsa.PublicKey // that proved the caller
	claims    *token.Claims
	token     string
	body      []byte
	params    map[string]string // of the path
	malformed error             // what the contract has against path or headers
	start     time.Time         // when the first byte was looked at
	now       time.Time         // the one moment that every decision of this call is made at
	asked     answers

	// Of one attempt: begin starts them anew.
	inputs []*input
	needs  []*need          // that were settled
	looked []audit.DraftUse // whom an auditor looks for
	given  map[license.HolderID][]cases.Consent
	named  []license.HolderID // persons whom the caller itself names in this call
}

// answers remembers what sources said within one call, so that one license serves many uses and deciding again after a
// lost race asks nobody twice.
type answers map[license.Question]license.Finding

// begin starts an attempt by the snapshot that is in force. It fails if the caller's key does not stand in it any more.
func (c *call) begin(g *Gateway) error {
	c.inputs, c.needs, c.looked, c.given, c.named = nil, nil, nil, make(map[license.HolderID][]cases.Consent), nil
	if next := g.running.Load(); next != c.config {
		c.follow(next)
	}
	if key, err := c.config.key(c.claims.Issuer, c.claims.KeyID, c.start); err != nil || !key.Equal(c.key) {
		return refuse("not-permitted").because([]api.Reason{reason("caller-gone")})
	}
	return nil
}

// follow goes over to another snapshot. What a source said is kept only where the same source still has the type: a grant
// of one department never releases what another's source answered.
func (c *call) follow(next *running) {
	for q := range c.asked {
		if next.source(q.Type) != c.config.source(q.Type) {
			delete(c.asked, q)
		}
	}
	c.config, c.system = next, next.Systems[c.claims.Issuer]
	c.system.ID = c.claims.Issuer // also of one that is configured no more
}

// decide asks the policy and keeps question and answer for the evidence, so that every decision can be made again.
func (c *call) decide(q policy.Question) (policy.Decision, *input) {
	d := c.config.Policy.Decide(q)
	in := &input{Question: &q, Decision: &d}
	c.inputs = append(c.inputs, in)
	return d, in
}

// note keeps what an operation without a decision of its own was asked, for the evidence; without personal codes.
func (c *call) note(asked any) { c.inputs = append(c.inputs, &input{Asked: asked}) }

// names notes persons whom the caller names, so that the answer opens the record's commitments to them.
func (c *call) names(persons ...license.HolderID) { c.named = append(c.named, persons...) }

// path returns a parameter of the path; the contract has checked its form.
func (c *call) path(name string) string { return c.params[name] }

// claim is the id that the call uses up.
func (c *call) claim() claim { return claim{c.claims.Issuer, c.claims.ID} }

// expiry is until when the call's token can be accepted: what a claim must outlive.
func (c *call) expiry() time.Time { return time.Unix(c.claims.Expires, 0).Add(token.Skew) }
