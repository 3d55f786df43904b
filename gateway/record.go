package gateway

import (
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

// A reply is what goes over the wire. Its record, if it has one, is durable.
type reply struct {
	status  int
	media   string
	body    []byte
	cache   string // Cache-Control; empty: no-store
	code    string // problem code for metrics and logs; "ok" for an answer
	problem *api.Problem
	index   uint64           // of its record
	uses    []audit.DraftUse // of its record, for log line and metrics
}

// hidesCause reports whether the reply is a refusal that must not be told apart by its cause: neither by what it and its record say, nor
// by when they say it.
func (r *reply) hidesCause() bool {
	return r.code == "case-not-usable" || r.code == "consent-not-usable"
}

// record makes a result or an error durable and returns the reply that may then leave.
func (g *Gateway) record(ctx context.Context, c *call, res *result, failed error) (*reply, error) {
	rep, draft := g.draftOf(ctx, c, res, failed)
	// The caller may hang up and its time may run out; what was decided is recorded all the same.
	ctx = context.WithoutCancel(ctx)
	recorded, err := g.Recorder.Record(ctx, draft)
	if errors.Is(err, audit.ErrTooLarge) {
		rep, draft = g.draftOf(ctx, c, nil, refuse("too-many-materials"))
		recorded, err = g.Recorder.Record(ctx, draft)
	}
	if err == nil && draft.Erase != nil {
		err = g.Auditor.Erase(ctx, recorded.Index)
	}
	if err != nil {
		return nil, err
	}
	receipt, err := recorded.Receipt.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("write the receipt: %w", err)
	}
	rep.index, rep.uses = recorded.Index, draft.Uses
	switch {
	case rep.problem != nil:
		rep.problem.Receipt = receipt
		rep.body = rep.problem.Body()
	case rep.body == nil:
		rep.body = api.Envelope{Answer: draft.Answer, Receipt: jsontext.Value(receipt)}.Bytes()
	}
	return rep, nil
}

// draftOf is the reply to a result or an error, still without its receipt, and what its record says.
func (g *Gateway) draftOf(ctx context.Context, c *call, res *result, failed error) (*reply, audit.Draft) {
	rep, draft := &reply{code: "ok"}, g.draft(c)
	if failed == nil {
		rep.status, rep.media, rep.body, rep.cache = orDefault(res.status, 200), orDefault(res.media, "application/json"), res.raw, res.cache
		draft.Answer, draft.Uses, draft.Changes, draft.Erase = res.raw, res.uses, res.changes, res.erase
		if res.raw == nil {
			draft.Answer, failed = g.bound(res, &draft, append(res.tells, c.named...))
		}
		if failed == nil {
			return rep, draft
		}
		rep, draft = &reply{}, g.draft(c)
	}
	p := api.NewProblem("internal")
	ref := refused(failed)
	if ref == nil { // sources may have been asked all the same, and persons looked for
		draft.Uses = denied(append(c.usesOf(c.needs...), c.looked...))
		draft.Inputs = c.inputs
	}
	switch {
	case ref != nil:
		p, draft.Uses, draft.Reasons = ref.problem, ref.uses, notNil(ref.reasons)
		// The record of a refusal is of the moment that its answer states, which was taken before anything was read: the time between them
		// would say how much was, and so of what (design law 2).
		draft.Time = c.now
	case errors.Is(failed, context.DeadlineExceeded), errors.Is(failed, context.Canceled):
		p = api.NewProblem("deadline-exceeded")
	case errors.Is(failed, tlog.ErrUnproven):
		// What is stored is not what the log committed to (design law 9). The cause names an entry or a tile: the operator reads it in the
		// log, the auditor in the evidence.
		p, draft.Reasons = api.NewProblem("log-altered"), inside("log-altered", failed)
		g.logger.ErrorContext(ctx, "the stored log does not prove", "operation", c.row.ID, "system", c.system.ID, "error", failed.Error())
	case errors.Is(failed, audit.ErrTables):
		p, draft.Reasons = api.NewProblem("tables-altered"), inside("tables-altered", failed)
		g.logger.ErrorContext(ctx, "the tables are not as they were left", "operation", c.row.ID, "system", c.system.ID, "error", failed.Error())
	default:
		g.logger.ErrorContext(ctx, "operation failed", "operation", c.row.ID, "system", c.system.ID, "error", failed.Error())
	}
	// The nonce keeps anybody from finding the problem by guessing what its digest is of.
	p.Nonce, p.Time, p.Operation, p.Receipt = g.nonce(), api.At(c.now), c.row.ID, nil
	// case-not-usable opens nothing, whatever its cause and whoever is named: with how many uses its record has, and in which of them the
	// caller's own holder stands, the member would have a shape that depends on how far the call got. The other refusal that keeps its
	// cause, consent-not-usable, has a record of the holder whom the caller names, whatever is wrong. Without randomness there is no
	// record either, so that the error need not be looked at here.
	if p.Code != "case-not-usable" {
		p.Commitments, _ = g.commitments(&draft, c.named)
	}
	rep.status, rep.media, rep.code, rep.problem = p.Status, api.ProblemType, p.Code, p
	draft.Answer = p.Bytes()
	return rep, draft
}

// bound is the bytes of an answer with what opens the record's commitments.
func (g *Gateway) bound(res *result, d *audit.Draft, known []license.HolderID) ([]byte, error) {
	opened, err := g.commitments(d, known)
	if err != nil {
		return nil, err
	}
	return canonical.Marshal(api.WithCommitments(res.answer, opened))
}

// commitments open those of a record-to-be to the operator and to the holders whom the caller knows: because the call names them, or
// because the answer tells their codes. Nobody else's leave: codes are few enough to be tried out, so r would tell who it is (design laws
// 3 and 8).
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
		System:    c.claims.Issuer,
		Operator:  c.claims.Operator,
		Token:     c.token,
		Body:      c.kept(),
		Policy:    c.config.Policy.Digest(),
		Claim:     &audit.Claim{System: c.claims.Issuer, JTI: c.claims.ID, Exp: c.expiry()},
	}
	d.RequestID, d.CommittedRequestID = requestID(c.claims.Request, license.DateOf(c.now))
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
		panic(fmt.Errorf("no randomness: %w", err)) // without it nothing here may be answered
	}
}
