package gateway

import (
	"context"
	"slices"

	"oncegate/api"
)

// verify checks somebody's license, document or answer step by step (POST /v1/licenses/verify).
func (g *Gateway) verify(ctx context.Context, c *call, q api.VerifyRequest) (*result, error) {
	answer, err := g.Verify(ctx, q)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil { // what it says may quote what was sent
		return nil, refuse("invalid-field").because([]api.Reason{reason("unverifiable")})
	}
	answer.Nonce, answer.Time, answer.Operation, answer.Verdict = g.nonce(), api.At(c.now), c.row.ID, api.VerdictHolds
	answer.Steps = notNil(answer.Steps)
	has := func(state api.StepState) bool {
		return slices.ContainsFunc(answer.Steps, func(s api.Step) bool { return s.State == state })
	}
	switch {
	case has(api.StepStateFailed):
		answer.Verdict = api.VerdictFails
	case has(api.StepStateNotCheckable), len(answer.Steps) == 0:
		answer.Verdict = api.VerdictIncomplete
	}
	return &result{answer: answer}, nil
}
