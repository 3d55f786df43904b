package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-kit/kit/endpoint"
	kithttp "github.com/go-kit/kit/transport/http"

	"oncegate/api"
)

// An operation is one row of the table of routes: an operation of the API description, the right it needs, and the method
// that does it.
type operation struct {
	*api.Operation
	right    string // operation of the policy that is decided
	byCaller bool   // the right depends on the caller alone and is checked before the method runs
	run      step
}

// typed is the one bridge from a typed method to a step: the contract is enforced and the question read, then the method
// answers. A new operation is one method and one row.
func typed[Q any](g *Gateway, method func(context.Context, *call, Q) (*result, error)) step {
	return func(ctx context.Context, c *call) (*result, error) {
		if c.malformed != nil {
			return nil, &refusal{problem: api.AsProblem(c.malformed)}
		}
		question, err := api.Decode[Q](c.row.Operation, c.body)
		if err != nil {
			return nil, &refusal{problem: api.AsProblem(err)}
		}
		if err := g.permitted(c); err != nil {
			return nil, err
		}
		return method(ctx, c, question)
	}
}

// permitted holds a row to its right where the right depends on nothing but the caller.
func (g *Gateway) permitted(c *call) error {
	if !c.row.byCaller {
		return nil
	}
	if d := c.may(c.row.right, ""); !d.Allow {
		return refuse("not-permitted").saying(sentences(d.Reasons)).because(ofPolicy(d.Reasons))
	}
	return nil
}

// handler makes a row an HTTP handler: open, then the middlewares around answer, then the reply.
func (g *Gateway) handler(row *operation) http.Handler {
	answer := func(ctx context.Context, request any) (any, error) {
		return g.answer(ctx, request.(*call))
	}
	chain := endpoint.Chain(g.even, g.observe, g.hold, g.limit, g.deadline)
	server := kithttp.NewServer(chain(answer), g.open(row), write, kithttp.ServerErrorEncoder(g.writeError))
	if row.Most <= api.MaxBody {
		return server
	}
	return g.large.held(server)
}

// hold gives the call's id back where nothing was recorded, so that the same token may come again.
func (g *Gateway) hold(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		response, err := next(ctx, request)
		if err != nil && !errors.As(err, new(*unproven)) { // a replay stays one
			g.claims.release(request.(*call).claim())
		}
		return response, err
	}
}

// beat is the step of time on which refusals leave that must not be told apart. What their causes cost differs by some
// microseconds of reading and deciding; a beat is longer than that and shorter than anybody notices.
const beat = 20 * time.Millisecond

// even (timing side channel) lets a refusal that says nothing of its cause say nothing by its time either: it leaves on the next beat after the
// call came (design law 2).
func (g *Gateway) even(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		came := time.Now()
		response, err := next(ctx, request)
		if rep, ok := response.(*reply); ok && err == nil && rep.hidesCause() {
			rest := time.NewTimer(beat - time.Since(came)%beat)
			defer rest.Stop()
			select {
			case <-rest.C:
			case <-ctx.Done():
			}
		}
		return response, err
	}
}

// limit holds a system to its rate, and all together to what this process can have under way. The answer is the fixed one
// of design law 1, unrecorded; one record per system and minute counts them.
func (g *Gateway) limit(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		c := request.(*call)
		if g.limits.allow(c.claims.Issuer, c.start) {
			select {
			case g.inFlight <- struct{}{}:
				defer func() { <-g.inFlight }()
				return next(ctx, request)
			default:
			}
		}
		g.limits.count(c.claims.Issuer, 1)
		return nil, api.NewProblem("too-many-requests")
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

// write sends a recorded reply. It never fails: what was recorded is answered, and a caller who is gone is told nothing else.
func write(_ context.Context, w http.ResponseWriter, response any) error {
	rep := response.(*reply)
	h := w.Header()
	h.Set("Content-Type", rep.media)
	h.Set("Cache-Control", orDefault(rep.cache, "no-store"))
	h.Set("Content-Length", strconv.Itoa(len(rep.body)))
	if rep.problem != nil && rep.problem.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(rep.problem.RetryAfter))
	}
	w.WriteHeader(rep.status)
	_, _ = w.Write(rep.body)
	return nil
}

// writeError sends the answers that have no record: the fixed ones of design law 1.
func (g *Gateway) writeError(ctx context.Context, err error, w http.ResponseWriter) {
	if u := (*unproven)(nil); errors.As(err, &u) {
		g.metrics.refused.WithLabelValues(u.problem.Code).Inc()
		if u.problem.Code == "token-replayed" {
			g.metrics.replays.Inc()
		}
		g.security.line(ctx, u.problem.Code)
		u.problem.Write(w)
		return
	}
	if p := (*api.Problem)(nil); errors.As(err, &p) {
		p.Write(w)
		return
	}
	api.NewProblem("record-unavailable").Write(w)
}
