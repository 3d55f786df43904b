package gateway

import (
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/token"
	"oncegate/license"
)

// A call is one authenticated call: who asks, what, and what the sources have answered so far.
type call struct {
	row     *operation
	config  *running
	system  System
	claims  *token.Claims
	token   string
	body    []byte
	params  map[string]string // of the path
	headers error             // what the contract has against the headers
	start   time.Time
	now     time.Time // the one moment that every decision of this call is made at
	asked   answers
}

// answers remembers what sources said within one call, so that one license serves many uses and deciding again after a
// lost race asks nobody twice.
type answers map[license.Question]license.Finding

// A result is what an operation wants to answer, and what must be recorded with it.
type result struct {
	status       int    // HTTP status; 0: 200
	answer       any    // one of api's answers; or
	raw          []byte // bytes of another media type
	media, cache string // with raw: Content-Type and Cache-Control
	uses         []audit.DraftUse
	inputs       any   // of the decisions; without personal codes
	changes      []any // commit with the record
}

// A refusal is a result that is a problem. It is an error so that any step of an operation may end it.
type refusal struct {
	problem *api.Problem // what the caller is told
	uses    []audit.DraftUse
	inputs  any
	reasons []api.Reason // the real ones, for the evidence
}

func (r *refusal) Error() string { return "refused: " + r.problem.Code }

// refuse ends an operation with a problem of api's table.
func refuse(code string) *refusal { return &refusal{problem: api.NewProblem(code)} }

// because keeps the real reason for the evidence.
func (r *refusal) because(reasons []api.Reason) *refusal { r.reasons = reasons; return r }

// saying tells the caller more about this occurrence; it must not repeat what the caller sent.
func (r *refusal) saying(detail string) *refusal { r.problem.Detail = detail; return r }

// at names the place of the body that is wrong.
func (r *refusal) at(pointer, reason string) *refusal { r.problem.At(pointer, reason); return r }

// with records what was asked about.
func (r *refusal) with(uses []audit.DraftUse, inputs any) *refusal {
	r.uses, r.inputs = uses, inputs
	return r
}

// path returns a parameter of the path; the contract has checked its form.
func (c *call) path(name string) string { return c.params[name] }
