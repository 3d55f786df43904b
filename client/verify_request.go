package client

import (
	"context"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/license"
)

// VerifyRequest verifies what a call to licenses.verify brings: a license, an answer with its receipt, or a receipt alone. It
// fills gateway.Config.Verify. The error is a *api.Problem if the request brings none of these, or more than one.
func (t *Trust) VerifyRequest(ctx context.Context, v api.VerifyRequest) (kind string, steps []license.Step, err error) {
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	var receipt []byte
	if v.Receipt.Checkpoint != "" {
		if receipt, err = json.Marshal(v.Receipt); err != nil {
			return "", nil, api.NewProblem("invalid-field").At("/receipt", "is no receipt")
		}
	}
	s := t.gather(nil)
	switch {
	case v.License != "" && v.Answer == nil && receipt == nil:
		return string(License), s.license(v.License, nil), nil
	case v.License == "" && v.Answer != nil && receipt != nil:
		return string(Answer), s.answered(api.Envelope{Answer: v.Answer, Receipt: receipt}.Bytes()), nil
	case v.License == "" && v.Answer == nil && receipt != nil:
		return string(Receipt), s.receipt(receipt), nil
	}
	return "", nil, api.NewProblem("invalid-field").At("", "has neither a license, nor an answer with its receipt, nor a receipt alone")
}
