package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/go-kit/kit/endpoint"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/jws"
	"oncegate/certs/token"
	"oncegate/gateway/intake"
)

// A Principal is who makes a call: the system that answers for it, and the person who acts. The system alone decides which
// limits, grants and permissions apply; what the person adds is for the rules to know.
type Principal struct {
	System string // id of a system of the snapshot
	Person Person // zero: nobody acts, the call is automatic work
}

// check refuses a principal that no record could state.
func (p Principal) check() error {
	if p.System == "" {
		return errors.New("the principal has no system")
	}
	return p.Person.check()
}

// A Question is what [Gateway.Do] is asked: what the body, the path and the token of a signed HTTP call say.
type Question struct {
	Body []byte            // JSON as the API description has it for the operation; empty where it takes none
	Path map[string]string // parameters of the operation's path, such as "no" of a case

	// ID makes the call idempotent (an idempotency key): a second call with the ID within CallIDLife is refused as
	// token-replayed, also by another node of the same log, and answers nothing. The gateway keeps no answers: the operation
	// "receipts" proves the record that the first call left. Empty: the call may be made again and is recorded each time. An
	// ID is at most token.MaxText bytes long and belongs to the system, as the jti of its signed calls does.
	ID        string
	RequestID string // stays the same over retries; statistics count it once
}

// CallIDLife is how long the ID of a Question is remembered.
const CallIDLife = 24 * time.Hour

// A Reply is the answer to a call. Its record is durable.
type Reply struct {
	Status  int    // HTTP status
	Media   string // media type of Body
	Body    []byte // as it goes over the wire, with the receipt
	Cache   string // Cache-Control; empty: no-store
	Code    string // of the problem; "ok" for an answer
	Problem *api.Problem
	Record  uint64      // index of its record
	uses    []audit.Use // of its record, for log line and metrics
}

// Do makes a call for somebody in this process who has authenticated the principal: it is decided, limited, recorded and
// answered exactly as a signed HTTP call is, and its record has no token digest. What was asked stands in the record's sealed
// evidence. A system that is not configured is refused and the refusal recorded.
//
// A Reply with a Problem is a recorded refusal. An error that is an *api.Problem is one of the fixed answers without a record
// (design law 1): too-many-requests, token-replayed, record-unavailable, and not-found for an operation that does not exist.
// Any other error is the caller's misuse; nothing was done.
func (g *Gateway) Do(ctx context.Context, p Principal, operation string, q Question) (*Reply, error) {
	row := g.operations[operation]
	if row == nil {
		return nil, api.NewProblem("not-found")
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("do %s: %w", operation, err)
	}
	if len(q.ID) > token.MaxText || len(q.RequestID) > token.MaxText {
		return nil, fmt.Errorf("do %s: the call's id or request id is too long", operation)
	}
	reply, err := g.do(ctx, row, p, q)
	if err != nil {
		return nil, g.unrecorded(ctx, err)
	}
	return reply, nil
}

func (g *Gateway) do(ctx context.Context, row *operation, p Principal, q Question) (*Reply, error) {
	config, start := g.running.Load(), g.now()
	p.Person = p.Person.normal()
	c := newCall(row, config, p, start, start)
	c.body, c.params, c.requestID = slices.Clone(q.Body), maps.Clone(q.Path), q.RequestID
	if len(c.body) > row.Most {
		c.body, c.malformed = nil, api.NewProblem("too-large")
	} else {
		c.malformed = row.CheckParams(c.params)
	}
	until := c.now.Add(CallIDLife)
	c.sealed = q.evidence(row, c.body, until)
	if q.ID != "" {
		c.claim = &audit.Claim{System: p.System, JTI: q.ID, Exp: until}
		if !g.intake.Claim(p.System, q.ID, c.claim.Exp) {
			return nil, &intake.Unauthenticated{Code: "token-replayed"}
		}
	}
	leave, err := g.intake.Admit(p.System, len(c.body))
	if err != nil {
		if c.claim != nil {
			g.intake.Release(p.System, q.ID)
		}
		g.metrics.call(row.ID, "too-many-requests", g.now().Sub(start), nil)
		return nil, err
	}
	defer leave()
	reply, err := row.endpoint(ctx, c)
	if err != nil {
		return nil, err
	}
	return reply.(*Reply), nil
}

// A KeptQuestion is what the sealed evidence of a record keeps of a call that no token signs, in the place of its body.
type KeptQuestion struct {
	Operation string            `json:"operation"`
	Path      map[string]string `json:"path,omitempty"`
	Body      jsontext.Value    `json:"body,omitzero"` // a string where it is no JSON
	ID        string            `json:"id,omitempty"`
	Until     api.Time          `json:"until,omitzero"` // the ID is remembered
	RequestID string            `json:"request_id,omitempty"`
}

// ClaimOf is the claim of a call id that a recorded call makes, read from its sealed evidence without verifying anything; zero
// where it makes none. The claim of a call that no token signs leaves out the system. A later version may have claims that this
// one does not know.
func ClaimOf(r audit.Request) (audit.Claim, error) {
	if r.Token == "" {
		var kept KeptQuestion
		err := json.Unmarshal(r.Body, &kept)
		return audit.Claim{JTI: kept.ID, Exp: kept.Until.Time}, err
	}
	parts, err := jws.Split(r.Token, token.MaxSize)
	if err != nil {
		return audit.Claim{}, err
	}
	var c token.Claims
	if err := json.Unmarshal(parts.Payload, &c); err != nil {
		return audit.Claim{}, err
	}
	return claimOf(&c), nil
}

// claimOf is the claim that a token makes: until when the token can be accepted.
func claimOf(c *token.Claims) audit.Claim {
	return audit.Claim{System: c.Issuer, JTI: c.ID, Exp: time.Unix(c.Expires, 0).Add(token.Skew)}
}

// evidence is the question as the sealed evidence keeps it.
func (q Question) evidence(row *operation, body []byte, until time.Time) []byte {
	kept := KeptQuestion{Operation: row.ID, Path: q.Path, ID: q.ID, RequestID: q.RequestID}
	if q.ID != "" {
		kept.Until = api.At(until)
	}
	switch value := jsontext.Value(body); {
	case len(body) == 0 || len(body) > api.MaxBody || row.unkept:
	case value.IsValid():
		kept.Body = value
	default:
		kept.Body, _ = jsontext.AppendQuote(nil, body)
	}
	out, err := json.Marshal(kept, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		out, _ = json.Marshal(KeptQuestion{Operation: row.ID, ID: q.ID, Until: kept.Until})
	}
	return out
}

// chain wraps the core of an operation in what holds for every call, from outside to inside.
func (g *Gateway) chain(core endpoint.Endpoint) endpoint.Endpoint {
	return endpoint.Chain(g.padTiming, g.observe, g.releaseClaimIfUnrecorded, g.verificationTurn, g.deadline)(core)
}

// refusalInterval is the timing grid on which refusals leave that must not be told apart. What their causes cost differs by
// some microseconds of reading and deciding; the interval is longer than that and shorter than anybody notices.
const refusalInterval = 20 * time.Millisecond

// padTiming closes a timing side channel: a refusal that hides its cause leaves at the next multiple of refusalInterval after the call
// came, so that its time hides the cause too (design law 2); what a holder is answered, at the next multiple of holderInterval.
func (g *Gateway) padTiming(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		came := time.Now()
		response, err := next(ctx, request)
		var interval time.Duration
		if reply, ok := response.(*Reply); ok && err == nil && reply.hidesCause() {
			interval = refusalInterval
		}
		if request.(*call).row.right == "holders.accesses" {
			interval = holderInterval
		}
		if interval > 0 {
			rest := time.NewTimer(interval - time.Since(came)%interval)
			defer rest.Stop()
			select {
			case <-rest.C:
			case <-ctx.Done():
			}
		}
		return response, err
	}
}

// releaseClaimIfUnrecorded gives the call's id back where nothing was recorded, so that the same call may be retried.
func (g *Gateway) releaseClaimIfUnrecorded(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		response, err := next(ctx, request)
		if claim := request.(*call).claim; claim != nil && err != nil && !errors.As(err, new(*intake.Unauthenticated)) { // a replay stays one
			g.intake.Release(claim.System, claim.JTI)
		}
		return response, err
	}
}

// verificationTurn queues verifications fairly among the systems: a hostile document takes up to 200 ms of a processor.
func (g *Gateway) verificationTurn(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		c := request.(*call)
		if c.row.ID != "licenses.verify" {
			return next(ctx, request)
		}
		leave, err := g.intake.Verifying(ctx, c.principal.System)
		if err != nil {
			return nil, err
		}
		defer leave()
		return next(ctx, request)
	}
}

// deadline bounds the call. What is left of it bounds the sources; the record is made whatever is left.
func (g *Gateway) deadline(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, g.Limits.Call)
		defer cancel()
		return next(ctx, request)
	}
}

// unrecorded counts a call that gets one of the fixed answers without a record (design law 1), and returns that answer.
func (g *Gateway) unrecorded(ctx context.Context, err error) *api.Problem {
	if l := (*intake.Limited)(nil); errors.As(err, &l) {
		g.limited.add(l.System, 1)
		g.metrics.limited.WithLabelValues(l.System, l.Limit).Inc()
		return api.NewProblem("too-many-requests")
	}
	if u := (*intake.Unauthenticated)(nil); errors.As(err, &u) {
		g.metrics.refused.WithLabelValues(u.Code).Inc()
		if u.Code == "token-replayed" {
			g.metrics.replays.Inc()
		}
		g.intake.LogRefused(ctx, u.Code)
		return api.NewProblem(u.Code)
	}
	if p := (*api.Problem)(nil); errors.As(err, &p) {
		return p
	}
	return api.NewProblem("record-unavailable")
}
