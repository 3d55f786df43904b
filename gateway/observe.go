package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-kit/kit/endpoint"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/license"
)

// observe counts the call and writes its one log line. Nothing in either comes from a caller but a request id that is a UUID.
func (g *Gateway) observe(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		c := request.(*call)
		g.metrics.inFlight.Inc()
		defer g.metrics.inFlight.Dec()
		response, err := next(ctx, request)
		if errors.As(err, new(*unproven)) {
			return nil, err // counted where it is written: it proved nobody
		}
		code, rep := "record-unavailable", &reply{}
		if answered, ok := response.(*reply); ok && err == nil {
			code, rep = answered.code, answered
		}
		if p := (*api.Problem)(nil); errors.As(err, &p) {
			code = p.Code
		}
		took := g.now().Sub(c.start)
		g.metrics.call(c.row.ID, code, took, rep.uses)
		line := []any{
			"operation", c.row.ID, "system", c.claims.Issuer, "request", c.logged(), "code", code,
			"decisions", decisions(rep.uses), "ms", float64(took.Microseconds()) / 1000,
		}
		if err == nil {
			line = append(line, "record", rep.index)
		}
		g.logger.InfoContext(ctx, "call", line...)
		if err != nil && code == "record-unavailable" {
			g.logger.ErrorContext(ctx, "nothing answered: the record failed", "operation", c.row.ID, "error", err.Error())
		}
		return response, err
	}
}

// logged is the request id as a log line shows it: only where the record has it openly too.
func (c *call) logged() string {
	if open, said := requestID(c.claims.Request, license.DateOf(c.now)); said == "" {
		return open
	}
	return "withheld"
}

// decisions counts what was decided of the uses of a record, in the order in which each came first: "confirm:1 met:2".
func decisions(uses []audit.DraftUse) string {
	var order []string
	counted := make(map[string]int)
	for _, u := range uses {
		if counted[u.Decision]++; counted[u.Decision] == 1 {
			order = append(order, u.Decision)
		}
	}
	var b strings.Builder
	for i, decision := range order {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s:%d", decision, counted[decision])
	}
	return b.String()
}
