package gateway

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/token"
	"oncegate/gateway/intake"
	"oncegate/license"
	"oncegate/policy"
	"oncegate/register"
)

// A call is one authenticated call: who asks, what, and what the sources have answered so far.
type call struct {
	row       *operation
	config    *running
	principal Principal
	system    System
	key       *ecdsa.PublicKey // that authenticated the system; nil for a call through Do
	keyID     string           // of key
	token     string           // compact JWS; empty for a call through Do
	claim     *audit.Claim     // the call id that the call uses up; nil where it has none
	actor     *token.Claims    // of a signed call that carries an actor token; nil without one
	requestID string
	body      []byte
	sealed    []byte            // what the sealed evidence keeps of the question, beside the token
	params    map[string]string // of the path
	malformed error             // what the contract has against path or headers
	start     time.Time         // when the first byte was looked at
	now       time.Time         // the one time at which every decision of this call is made
	findings  findings
	waitUntil time.Time // when the call stops waiting for sources; zero: no bound of its own

	identified *running // the snapshot by which actor was verified

	// Of one attempt: begin starts them anew.
	inputs       []*input
	uses         []*licenseUse // that were resolved
	searched     []audit.Use   // whom an auditor looks for
	about        audit.About   // which records the caller may see
	consents     map[license.HolderID][]cases.Consent
	namedPersons []license.HolderID // persons whom the caller itself names in this call
}

// findings is a cache of what sources answered within one call, so that one license serves many uses and deciding again after
// a lost race asks no source twice.
type findings map[license.Question]license.Finding

// newCall returns the call of a principal at a time.
func newCall(row *operation, config *running, p Principal, start, now time.Time) *call {
	c := &call{row: row, config: config, principal: p, start: start, now: now.UTC().Truncate(time.Millisecond), findings: findings{}}
	c.system = config.Systems[p.System]
	c.system.ID = p.System // also of one that is not configured
	return c
}

// begin starts an attempt by the snapshot that is in force. It fails if the caller, or the key that authenticated it, does
// not stand in it.
func (c *call) begin(g *Gateway) error {
	c.inputs, c.uses, c.searched, c.consents, c.namedPersons = nil, nil, nil, make(map[license.HolderID][]cases.Consent), nil
	if next := g.running.Load(); next != c.config {
		c.follow(next)
	}
	if !c.configured() {
		return refuse("not-permitted").withReasons([]api.Reason{reason("caller-gone")})
	}
	return c.identify(g)
}

// configured reports whether the caller is configured with the key that authenticated it.
func (c *call) configured() bool {
	if c.key == nil {
		_, ok := c.config.Systems[c.system.ID]
		return ok
	}
	key, err := c.config.key(c.system.ID, c.keyID, c.start)
	return err == nil && key.Equal(c.key)
}

// follow goes over to another snapshot. What a source answered is kept only where the same source still has the type: a grant
// of one department never releases what another's source answered.
func (c *call) follow(next *running) {
	for q := range c.findings {
		if next.source(q.Type) != c.config.source(q.Type) {
			delete(c.findings, q)
		}
	}
	id := c.system.ID
	c.config, c.system = next, next.Systems[id]
	c.system.ID = id
}

// decide asks the policy and keeps question and answer for the evidence, so that every decision can be made again.
func (c *call) decide(q policy.Question) (policy.Decision, *input) {
	q = c.withPerson(q)
	d := c.config.Policy.Decide(q)
	in := &input{Question: &q, Decision: &d}
	c.inputs = append(c.inputs, in)
	return d, in
}

// may asks the policy whether the system may do something that releases no license, about a matter.
func (c *call) may(operation, matter string) policy.Decision {
	d, _ := c.decide(policy.Question{
		Operation: operation, System: c.system.ID, Department: c.system.Department, Matter: matter, Basis: policy.ByCase, Now: c.now,
	})
	return d
}

// note keeps what an operation without a decision of its own was asked, for the evidence; without personal codes.
func (c *call) note(asked any) { c.inputs = append(c.inputs, &input{Asked: asked}) }

// nameParties notes persons whom the caller names, so that the answer opens the record's commitments to them.
func (c *call) nameParties(persons ...license.HolderID) {
	c.namedPersons = append(c.namedPersons, persons...)
}

// path returns a parameter of the path; the contract has checked its form.
func (c *call) path(name string) string { return c.params[name] }

// maxTries bounds how often one call is decided because something changed before its record.
const maxTries = 4

// answer decides, records, and only then hands out the answer. It is an optimistic transaction: what a decision was made on
// may change until the record is durable (the configuration, the case, the consent, the license's version). The record's own
// transaction detects the conflict, and the call is decided again on what is true then; the sources are not asked again, but
// for a license that changed.
func (g *Gateway) answer(ctx context.Context, c *call) (reply *Reply, err error) {
	defer func() {
		if p := recover(); p != nil { // while recording: nothing may leave
			reply, err = nil, g.recovered(ctx, c, p)
		}
	}()
	var last *result
	for range maxTries {
		res, failed := g.runOnce(ctx, c)
		last = res
		if !c.outdated(g, failed) {
			reply, err := g.record(ctx, c, res, failed)
			switch {
			case err == nil:
				return reply, nil
			case errors.Is(err, audit.ErrReplayed):
				return nil, &intake.Unauthenticated{Code: "token-replayed"}
			case !isConflict(err):
				return nil, err
			}
		}
		g.metrics.again.Inc()
	}
	uses := c.usesOf(c.uses...)
	if last != nil {
		uses = last.uses
	}
	return g.record(ctx, c, nil, refuse("changed-meanwhile").withUses(deniedUses(uses)...))
}

// An outdatedFinding error says that a license was signed anew after its source had answered this call: the source must be
// asked again.
type outdatedFinding struct{ question license.Question }

func (o *outdatedFinding) Error() string { return "the license changed after its source had answered" }

// outdated reports whether what an attempt was made on is not true any more, before anything is recorded: the snapshot, or a
// source's answer.
func (c *call) outdated(g *Gateway, failed error) bool {
	if o := (*outdatedFinding)(nil); errors.As(failed, &o) {
		delete(c.findings, o.question)
		return true
	}
	return g.running.Load() != c.config
}

// runOnce runs the operation once. A panic in it is an internal error like any other: it is answered and recorded.
func (g *Gateway) runOnce(ctx context.Context, c *call) (res *result, err error) {
	defer func() {
		if p := recover(); p != nil {
			res, err = nil, g.recovered(ctx, c, p)
		}
	}()
	if err := c.begin(g); err != nil {
		return nil, err
	}
	return c.row.run(ctx, c)
}

// recovered logs a panic. Only the runtime's own sentences are repeated: others may hold anything.
func (g *Gateway) recovered(ctx context.Context, c *call, p any) error {
	err := fmt.Errorf("panic of type %T", p)
	if own, ok := p.(runtime.Error); ok {
		err = fmt.Errorf("panic: %w", own)
	}
	g.logger.ErrorContext(ctx, "operation panicked", "operation", c.row.ID, "system", c.system.ID, "stack", string(debug.Stack()))
	return err
}

// isConflict reports whether the record was refused because another call committed first.
func isConflict(err error) bool {
	return errors.Is(err, register.ErrTaken) || errors.Is(err, cases.ErrChanged) || errors.Is(err, cases.ErrRegistered)
}
