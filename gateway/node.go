package gateway

import "context"

// nodeStatus says how well the node is that answers (GET /v1/node).
func (g *Gateway) nodeStatus(ctx context.Context, _ *call, _ struct{}) (*result, error) {
	answer, err := g.Node(ctx)
	if err != nil {
		return nil, err
	}
	return &result{answer: answer}, nil
}
