package gateway

import (
	"errors"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/license"
)

// A result is what an operation wants to answer, and what must be recorded with it.
type result struct {
	status       int    // HTTP status; 0: 200
	answer       any    // one of api's answers; or
	raw          []byte // bytes of another media type
	media, cache string // with raw: Content-Type and Cache-Control
	uses         []audit.DraftUse
	changes      []any              // commit with the record
	erase        *audit.Order       // what the record orders to be erased, carried out before the answer leaves
	tells        []license.HolderID // persons whose codes the answer discloses, besides those whom the caller names
}

// A refusal is a result that is a problem. It is an error so that any step of an operation may end it.
type refusal struct {
	problem *api.Problem // what the caller is told
	uses    []audit.DraftUse
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
func (r *refusal) with(uses ...audit.DraftUse) *refusal { r.uses = uses; return r }

// refused returns the refusal in err's chain, or nil.
func refused(err error) *refusal {
	var r *refusal
	errors.As(err, &r)
	return r
}

// denied are uses that nothing left for in the end: they say who was asked about.
func denied(uses []audit.DraftUse) []audit.DraftUse {
	out := make([]audit.DraftUse, len(uses))
	for i, u := range uses {
		u.Decision, u.Fields, u.Need = outcomeDenied, []string{}, 0
		out[i] = u
	}
	return out
}
