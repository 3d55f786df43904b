package gateway

import (
	"context"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
)

// handOver records that the file of a case was handed over to the archive (POST /v1/cases/{no}/handover). Closed cases are handed over, too: it
// releases nothing.
func (g *Gateway) handOver(ctx context.Context, c *call, q api.HandOverRequest) (*result, error) {
	k, err := g.usableCase(ctx, c)
	if err != nil {
		return nil, err
	}
	may := c.may(c.row.right, k.Matter)
	use := caseUse(k, may.Rules)
	if !may.Allow {
		use.Decision = outcomeDenied
		return nil, refuseDenied(may).withUses(use)
	}
	over, err := g.Cases.HandOvers(ctx, k.No)
	if err != nil {
		return nil, err
	}
	answer := api.HandOverAnswer{Case: k.No, Digest: q.Digest, HandedOver: api.At(c.now), Rules: notNil(may.Rules)}
	changes := []any{cases.AddHandOver{HandOver: cases.HandOver{Case: k.No, Digest: q.Digest, By: c.system.ID, At: c.now}}}
	for _, was := range over {
		if was.Digest == q.Digest && was.By == c.system.ID {
			answer.HandedOver, changes = api.At(was.At), nil
		}
	}
	return &result{answer: answer, uses: []audit.Use{use}, changes: changes}, nil
}
