package gateway

import (
	"context"
	"slices"

	"oncegate/api"
	"oncegate/license"
)

// verify checks somebody's license or answer step by step (POST /v1/licenses/verify).
func (g *Gateway) verify(ctx context.Context, c *call, q api.VerifyRequest) (*result, error) {
	kind, steps, err := g.Verify(ctx, q)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil { // what it says may quote what was sent
		return nil, refuse("invalid-field").because([]api.Reason{reason("unverifiable")})
	}
	answer := api.VerifyAnswer{Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Kind: kind, Verdict: api.VerdictHolds, Steps: []api.Step{}}
	for _, s := range steps {
		answer.Steps = append(answer.Steps, api.Step{Name: s.Name, State: api.StepState(s.State), Reason: s.Reason})
	}
	has := func(state license.StepState) bool {
		return slices.ContainsFunc(steps, func(s license.Step) bool { return s.State == state })
	}
	switch {
	case has(license.Failed):
		answer.Verdict = api.VerdictFails
	case has(license.NotCheckable), len(steps) == 0:
		answer.Verdict = api.VerdictIncomplete
	}
	return &result{answer: answer}, nil
}
