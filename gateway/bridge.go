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
	"oncegate/certs/token"
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
		if c.headers != nil {
			return nil, &refusal{problem: api.AsProblem(c.headers)}
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

// handler makes a row an HTTP handler: open, then the middlewares around answer, then the reply.
func (g *Gateway) handler(row *operation) http.Handler {
	answer := func(ctx context.Context, request any) (any, error) {
		return g.answer(ctx, request.(*call), row.run)
	}
	chain := endpoint.Chain(g.observe, g.limit, g.deadline)
	return kithttp.NewServer(chain(answer), g.open(row), write, kithttp.ServerErrorEncoder(g.writeError))
}

// observe counts the call and writes its one log line.
func (g *Gateway) observe(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		c := request.(*call)
		g.metrics.inFlight.Inc()
		defer g.metrics.inFlight.Dec()
		response, err := next(ctx, request)
		if u := (*unproven)(nil); errors.As(err, &u) {
			return nil, err // counted where it is written: it proved nobody
		}
		code, decisions := "record-unavailable", []string(nil)
		if rep, ok := response.(*reply); ok && err == nil {
			code, decisions = rep.code, rep.log
		}
		if p := (*api.Problem)(nil); errors.As(err, &p) {
			code = p.Code
		}
		took := g.now().Sub(c.start)
		g.metrics.calls.WithLabelValues(c.row.ID, code).Inc()
		g.metrics.seconds.WithLabelValues(c.row.ID).Observe(took.Seconds())
		g.logger.InfoContext(ctx, "call", "operation", c.row.ID, "system", c.system.ID, "request", logSafe(c.claims.Request),
			"code", code, "decisions", decisions, "ms", float64(took.Microseconds())/1000)
		if err != nil && code == "record-unavailable" {
			g.logger.ErrorContext(ctx, "nothing answered: the record failed", "operation", c.row.ID, "error", err.Error())
		}
		return response, err
	}
}

// limit holds a system to its rate. The answer is fixed and unrecorded; one record per system and minute counts them.
func (g *Gateway) limit(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		c := request.(*call)
		if !c.config.limits.allow(c.claims.Issuer, c.start) {
			g.claims.release(claim{c.claims.Issuer, c.claims.ID})
			return nil, api.NewProblem("too-many-requests")
		}
		select {
		case g.inFlight <- struct{}{}:
			defer func() { <-g.inFlight }()
			return next(ctx, request)
		default:
			g.claims.release(claim{c.claims.Issuer, c.claims.ID})
			return nil, api.NewProblem("too-many-requests")
		}
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

// write sends a recorded reply.
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
	_, err := w.Write(rep.body)
	return err
}

// writeError sends the answers that have no record: the fixed ones of design law 1.
func (g *Gateway) writeError(ctx context.Context, err error, w http.ResponseWriter) {
	if u := (*unproven)(nil); errors.As(err, &u) {
		g.metrics.refused.WithLabelValues(u.problem.Code).Inc()
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

// expiry is until when the call's token could be accepted again: what the claim must outlive.
func (g *Gateway) expiry(c *call) time.Time { return time.Unix(c.claims.Expires, 0).Add(token.Skew) }

// logSafe keeps what a caller wrote from forging log lines or carrying text: ids are short and plain.
func logSafe(s string) string {
	const most = 64
	out := make([]byte, 0, min(len(s), most))
	for i := 0; i < len(s) && i < most; i++ {
		if b := s[i]; b == '-' || b == '.' || b == '_' || b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' {
			out = append(out, b)
			continue
		}
		out = append(out, '?')
	}
	return string(out)
}
