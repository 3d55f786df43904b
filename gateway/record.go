package gateway

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/license"
	"oncegate/tlog"
)

// hidesCause reports whether the reply is a refusal that must not reveal its cause: neither by content, nor by its record, nor by timing.
func (r *Reply) hidesCause() bool {
	return r.Code == "case-not-usable" || r.Code == "consent-not-usable" || r.Code == "filing-not-usable"
}

// record makes a result or an error durable and returns the reply, which may leave only then (design law 1).
func (g *Gateway) record(ctx context.Context, c *call, res *result, failed error) (*Reply, error) {
	reply, draft := g.draftOf(ctx, c, res, failed)
	// The caller may hang up and its time may run out; what was decided is recorded all the same.
	ctx = context.WithoutCancel(ctx)
	receipt, err := g.Recorder.Record(ctx, draft)
	if errors.Is(err, audit.ErrTooLarge) {
		reply, draft = g.draftOf(ctx, c, nil, refuse("too-many-materials"))
		receipt, err = g.Recorder.Record(ctx, draft)
	}
	if err == nil && draft.Erase != nil {
		err = g.Auditor.Erase(ctx, receipt.Index)
	}
	if err != nil {
		return nil, err
	}
	text, err := receipt.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("write the receipt: %w", err)
	}
	reply.Record, reply.uses = receipt.Index, draft.Uses
	switch {
	case reply.Problem != nil:
		reply.Problem.Receipt = text
		reply.Body = reply.Problem.Body()
	case reply.Body == nil:
		reply.Body = api.Envelope{Answer: draft.Answer, Receipt: jsontext.Value(text)}.Bytes()
	}
	return reply, nil
}

// draftOf is the reply to a result or an error, without its receipt, and the draft of its record.
func (g *Gateway) draftOf(ctx context.Context, c *call, res *result, failed error) (*Reply, audit.Draft) {
	reply, draft := &Reply{Code: "ok"}, g.draft(c)
	if failed == nil {
		reply.Status, reply.Media, reply.Body, reply.Cache = cmp.Or(res.status, 200), cmp.Or(res.media, "application/json"), res.raw, res.cache
		draft.Answer, draft.Uses, draft.Changes, draft.Erase = res.raw, res.uses, res.changes, res.erase
		if res.raw == nil {
			draft.Answer, failed = g.answerBytes(c, res, &draft)
		}
		if failed == nil {
			return reply, draft
		}
		reply, draft = &Reply{}, g.draft(c)
	}
	p := api.NewProblem("internal")
	ref := asRefusal(failed)
	if ref == nil { // sources may have been asked all the same, and persons looked for
		draft.Uses = deniedUses(append(c.usesOf(c.uses...), c.searched...))
		draft.Inputs = c.inputs
	}
	switch {
	case ref != nil:
		p, draft.Uses, draft.Reasons = ref.problem, ref.uses, notNil(ref.reasons)
		draft.Inputs = append(slices.Clone(c.inputs), &input{Said: p.Code})
		// The record of a refusal is dated as its answer, before anything was read: the difference would
		// reveal how much was read, and so the cause (timing side channel, design law 2).
		draft.Time = c.now
	case errors.Is(failed, context.DeadlineExceeded), errors.Is(failed, context.Canceled):
		p = api.NewProblem("deadline-exceeded")
	case errors.Is(failed, tlog.ErrUnproven):
		// What is stored is not what the log committed to (design law 9). The cause names an entry or a tile: the operator reads it in the
		// log, the auditor in the evidence.
		p, draft.Reasons = api.NewProblem("log-altered"), evidenceReason("log-altered", failed)
		g.logger.ErrorContext(ctx, "stored log does not match its checkpoint", "operation", c.row.ID, "system", c.system.ID, "error", failed.Error())
	case errors.Is(failed, audit.ErrTables):
		p, draft.Reasons = api.NewProblem("tables-altered"), evidenceReason("tables-altered", failed)
		g.logger.ErrorContext(ctx, "stored tables were altered", "operation", c.row.ID, "system", c.system.ID, "error", failed.Error())
	default:
		g.logger.ErrorContext(ctx, "operation failed", "operation", c.row.ID, "system", c.system.ID, "error", failed.Error())
	}
	// The nonce keeps anybody from finding the problem by guessing what its digest is of.
	stamp := g.stamp(c)
	// case-not-usable opens nothing, whatever its cause and whoever is named: with how many uses its record has, and in which of them the
	// caller's own holder stands, the member would have a shape that depends on how far the call got. The other refusal that keeps its
	// cause, consent-not-usable, has a record of the holder whom the caller names, whatever is wrong. Without randomness there is no
	// record either, so that the error need not be looked at here.
	if p.Code != "case-not-usable" {
		stamp.Commitments, _ = g.commitments(&draft, c.namedPersons)
	}
	p.Receipt = nil
	p.Stamp(stamp)
	reply.Status, reply.Media, reply.Code, reply.Problem = p.Status, api.ProblemType, p.Code, p
	draft.Answer = p.Bytes()
	return reply, draft
}

// stamp is what every answer and problem of the call carries; its commitments follow from the record.
func (g *Gateway) stamp(c *call) api.Stamp {
	return api.Stamp{Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID}
}

// answerBytes are the bytes of an answer with its stamp: what the record binds.
func (g *Gateway) answerBytes(c *call, res *result, d *audit.Draft) (_ []byte, err error) {
	stamp := g.stamp(c)
	if stamp.Commitments, err = g.commitments(d, append(res.disclosed, c.namedPersons...)); err != nil {
		return nil, err
	}
	return canonical.Marshal(api.Stamped(res.answer, stamp))
}

// commitments returns the randomness that opens the commitments of a record-to-be, for the operator and for the holders whom the caller
// knows: because the call names them, or because the answer discloses their codes. Nobody else's leaves: codes are few enough to be tried
// out, so r would reveal the person (design laws 3 and 8).
func (g *Gateway) commitments(d *audit.Draft, known []license.HolderID) (out api.Commitments, err error) {
	if len(d.Uses) == 0 {
		return out, nil
	}
	drawn, err := g.Recorder.Hide(d)
	for i, person := range drawn {
		r := base64.RawURLEncoding.EncodeToString(person.R)
		if i == 0 && d.Operator != "" {
			out.Operator = r
		}
		if !slices.Contains(known, person.Person) {
			continue
		}
		opened := api.OpenedHolder{R: r}
		for at, use := range d.Uses {
			if use.Person == person.Person {
				opened.Uses = append(opened.Uses, at)
			}
		}
		if len(opened.Uses) > 0 {
			out.Holders = append(out.Holders, opened)
		}
	}
	return out, err
}

// draft is what every record of a call says.
func (g *Gateway) draft(c *call) audit.Draft {
	d := audit.Draft{
		Operation: c.row.ID,
		System:    c.principal.System,
		Operator:  c.principal.Person.ID,

		OperatorProof: c.principal.Person.Proof, OperatorRoles: c.principal.Person.Roles, OperatorService: c.principal.Person.Service,

		Token:  c.token,
		Body:   c.sealed,
		Policy: c.config.Policy.Digest(),
		Claim:  c.claim,
	}
	d.RequestID, d.CommittedRequestID = requestID(c.requestID, license.DateOf(c.now))
	if len(c.inputs) > 0 {
		d.Inputs = c.inputs
	}
	return d
}

// nonce returns 128 random bits, so that nobody can find an answer by guessing its content.
func (g *Gateway) nonce() string {
	var b [16]byte
	g.random(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// blinding returns the 32 random bytes with which a record commits to what a change stores of persons.
func (g *Gateway) blinding() (r [32]byte) {
	g.random(r[:])
	return r
}

func (g *Gateway) random(b []byte) {
	if _, err := io.ReadFull(g.Rand, b); err != nil {
		panic(fmt.Errorf("read random bytes: %w", err)) // without it nothing here may be answered
	}
}

// A result is what an operation wants to answer, and what must be recorded with it.
type result struct {
	status       int    // HTTP status; 0: 200
	answer       any    // one of api's answers; or
	raw          []byte // bytes of another media type
	media, cache string // with raw: Content-Type and Cache-Control
	uses         []audit.Use
	changes      []any              // commit with the record
	erase        *audit.Order       // what the record orders to be erased, carried out before the answer leaves
	disclosed    []license.HolderID // persons whose codes the answer discloses, besides those whom the caller names
}

// A refusal is a result that is a problem. It is an error so that any step of an operation may end it.
type refusal struct {
	problem *api.Problem // what the caller is told
	uses    []audit.Use
	reasons []api.Reason // the real ones, for the evidence
}

func (r *refusal) Error() string { return "refused: " + r.problem.Code }

// refuse ends an operation with a problem of api's table.
func refuse(code string) *refusal { return &refusal{problem: api.NewProblem(code)} }

// withReasons keeps the real reason for the evidence.
func (r *refusal) withReasons(reasons []api.Reason) *refusal { r.reasons = reasons; return r }

// withDetail tells the caller more about this occurrence; it must not repeat what the caller sent.
func (r *refusal) withDetail(detail string) *refusal { r.problem.Detail = detail; return r }

// pointingAt names the place of the body that is wrong.
func (r *refusal) pointingAt(pointer, reason string) *refusal {
	r.problem.At(pointer, reason)
	return r
}

// withUses records what was asked about.
func (r *refusal) withUses(uses ...audit.Use) *refusal { r.uses = uses; return r }

// asRefusal returns the refusal in err's chain, or nil.
func asRefusal(err error) *refusal {
	var r *refusal
	errors.As(err, &r)
	return r
}

// deniedUses are uses for which nothing was released in the end: they say who was asked about.
func deniedUses(uses []audit.Use) []audit.Use {
	out := make([]audit.Use, len(uses))
	for i, u := range uses {
		u.Decision, u.Fields, u.Need = outcomeDenied, []string{}, 0
		out[i] = u
	}
	return out
}
