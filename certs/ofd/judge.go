package ofd

import (
	"context"

	"oncegate/certs/seal"
)

// JudgeSeal judges seals as package seal does; e's DataHash and PropertyInfo are set for each.
func JudgeSeal(e seal.Expect) func(ctx context.Context, value, digest []byte, path string) Proof {
	return func(ctx context.Context, value, digest []byte, path string) Proof {
		e := e
		e.DataHash, e.PropertyInfo = digest, path
		r := seal.Verify(ctx, value, e)
		p := Proof{Signer: r.Signer.Organization, SealName: r.SealName, Time: r.Time, Steps: r.Steps}
		if r.Signature != nil && r.Signature.Seal != nil {
			p.Seal = r.Signature.Seal.Raw
		}
		return p
	}
}
