package gateway

import (
	"context"

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
	answer.Nonce, answer.Time, answer.Operation = g.nonce(), api.At(c.now), c.row.ID
	answer.Steps = notNil(answer.Steps)
	return &result{answer: answer}, nil
}
