package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/register"
)

// tries bounds how often one call is decided again because something changed before its record.
const tries = 4

// A reply is what goes over the wire. Its record, if it has one, is durable.
type reply struct {
	status  int
	media   string
	body    []byte
	cache   string // Cache-Control; empty: no-store
	code    string // problem code for metrics and logs; "ok" for an answer
	problem *api.Problem
	log     []string // decisions, for the log line
}

// A step computes an operation's result; a *refusal ends it, any other error is a fault of ours.
type step func(ctx context.Context, c *call) (*result, error)

// answer decides, records, and only then hands out the answer. What a decision was made on may change until the record is
// durable: the configuration, the case, the consent, the license's version. The record's own transaction notices, and the
// call is decided again on what is true then; the sources are not asked again.
func (g *Gateway) answer(ctx context.Context, c *call, run step) (*reply, error) {
	for try := 1; ; try++ {
		res, err := run(ctx, c)
		if err == nil || isRefusal(err) {
			if now := g.running.Load(); now != c.config && try < tries {
				c.config, c.system = now, now.Systems[c.claims.Issuer]
				g.metrics.again.Inc()
				continue
			}
		}
		rep, err := g.record(ctx, c, res, err)
		switch {
		case err == nil:
			return rep, nil
		case errors.Is(err, audit.ErrReplayed):
			return nil, unprovenFor("token-replayed")
		case isRace(err) && try < tries:
			g.metrics.again.Inc()
			continue
		case isRace(err):
			return g.record(ctx, c, nil, refuse("changed-meanwhile"))
		}
		return nil, err
	}
}

// isRace reports whether the record was refused because somebody else was first.
func isRace(err error) bool {
	return errors.Is(err, register.ErrTaken) || errors.Is(err, cases.ErrChanged) || errors.Is(err, cases.ErrRegistered)
}

func isRefusal(err error) bool {
	var r *refusal
	return errors.As(err, &r)
}

// record makes a result or an error durable and returns the reply that may then leave.
func (g *Gateway) record(ctx context.Context, c *call, res *result, failed error) (*reply, error) {
	rep := &reply{status: 200, media: "application/json", code: "ok"}
	draft := g.draft(c)
	var ref *refusal
	switch {
	case failed == nil:
		answer := res.raw
		if res.raw == nil {
			var err error
			if answer, err = api.Canonical(res.answer); err != nil {
				return nil, fmt.Errorf("write the answer: %w", err)
			}
		}
		rep.status = orDefault(res.status, rep.status)
		draft.Answer, draft.Uses, draft.Inputs, draft.Changes = answer, res.uses, res.inputs, res.changes
	case errors.As(failed, &ref):
		draft.Uses, draft.Inputs, draft.Reasons = ref.uses, ref.inputs, notNil(ref.reasons)
		g.problem(c, rep, ref.problem)
	case errors.Is(failed, context.DeadlineExceeded), errors.Is(failed, context.Canceled):
		g.problem(c, rep, api.NewProblem("deadline-exceeded"))
	default:
		g.logger.ErrorContext(ctx, "operation failed", "operation", c.row.ID, "system", c.system.ID, "error", failed.Error())
		g.problem(c, rep, api.NewProblem("internal"))
	}
	if rep.problem != nil {
		draft.Answer = rep.problem.Bytes()
	}
	for _, u := range draft.Uses {
		rep.log = append(rep.log, u.Decision)
	}
	// The caller may hang up; what was decided is recorded all the same.
	recorded, err := g.Recorder.Record(context.WithoutCancel(ctx), draft)
	if err != nil {
		return nil, err
	}
	receipt, err := json.Marshal(recorded.Receipt)
	if err != nil {
		return nil, fmt.Errorf("write the receipt: %w", err)
	}
	switch {
	case rep.problem != nil:
		rep.problem.Receipt = receipt
		rep.body = rep.problem.Body()
	case res.raw != nil:
		rep.body, rep.media, rep.cache = res.raw, res.media, res.cache
	default:
		rep.body = api.Envelope{Answer: draft.Answer, Receipt: jsontext.Value(receipt)}.Bytes()
	}
	return rep, nil
}

// problem makes the reply a problem that can be recorded: it carries a nonce, so that its digest cannot be guessed.
func (g *Gateway) problem(c *call, rep *reply, p *api.Problem) {
	p.Nonce, p.Time, p.Operation, p.Receipt = g.nonce(), api.At(c.now), c.row.ID, nil
	rep.status, rep.media, rep.code, rep.problem = p.Status, api.ProblemType, p.Code, p
}

// draft is what every record of a call says.
func (g *Gateway) draft(c *call) audit.Draft {
	return audit.Draft{
		Operation: c.row.ID,
		System:    c.claims.Issuer,
		Operator:  c.claims.Operator,
		RequestID: c.claims.Request,
		Token:     c.token,
		Body:      c.body,
		Policy:    c.config.Policy.Digest(),
		Claim:     &audit.Claim{System: c.claims.Issuer, JTI: c.claims.ID, Exp: g.expiry(c)},
	}
}

// nonce returns 128 random bits, so that nobody can find an answer by guessing its content.
func (g *Gateway) nonce() string {
	var b [16]byte
	if _, err := io.ReadFull(g.Rand, b[:]); err != nil {
		panic(fmt.Sprintf("no randomness: %v", err)) // without it nothing here may be answered
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}
