package client

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/license"
)

// VerifyRequest verifies what a call to licenses.verify brings: a license, a document, an answer with its receipt, or a receipt
// alone. It fills gateway.Config.Verify: all of the answer but its nonce, time and operation. The error is a *api.Problem if the request
// brings none of these, or more than one.
func (t *Trust) VerifyRequest(ctx context.Context, v api.VerifyRequest) (api.VerifyAnswer, error) {
	var none api.VerifyAnswer
	if err := ctx.Err(); err != nil {
		return none, err
	}
	var receipt []byte
	if v.Receipt.Checkpoint != "" {
		var err error
		if receipt, err = json.Marshal(v.Receipt); err != nil {
			return none, api.NewProblem("invalid-field").At("/receipt", "is no receipt")
		}
	}
	alone := func(kind Kind, verify func(*batch) steps) (api.VerifyAnswer, error) {
		s := t.gather(ctx, nil, false)
		s.current.Kind = kind
		s.current.Steps = verify(s)
		s.conclude(s.current)
		return verifyAnswer(*s.current), ctx.Err()
	}
	alleged, document, answer := v.License != "", v.Document != "", v.Answer != nil
	switch {
	case document && !alleged && !answer && receipt == nil:
		return t.verifyDocument(ctx, v)
	case v.Beside != nil:
		return none, api.NewProblem("invalid-field").At("/beside", "is for documents")
	case alleged && !document && !answer && receipt == nil:
		return alone(License, func(s *batch) steps { return s.license(v.License, nil) })
	case answer && !document && !alleged && receipt != nil:
		return alone(Answer, func(s *batch) steps {
			return s.answered(api.Envelope{Answer: v.Answer, Receipt: receipt}.Bytes())
		})
	case receipt != nil && !document && !alleged && !answer:
		return alone(Receipt, func(s *batch) steps { return s.receipt(receipt) })
	}
	return none, api.NewProblem("invalid-field").At("", "has neither a license, nor a document, nor an answer with its receipt, nor a receipt alone")
}

// documents are the kinds that are verified for callers. Of others the result would tell what the gateway knows, such as whose
// key a key is.
var documents = []Kind{Document, SignedMessage, Seal, SealSignature, TimeStamp, Revocations, OCSPAnswer, StatusList, License}

// verifyDocument verifies a file with those that belong to it.
func (t *Trust) verifyDocument(ctx context.Context, v api.VerifyRequest) (api.VerifyAnswer, error) {
	var all []Artefact
	for i, text := range append([]string{v.Document}, v.Beside...) {
		data, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err != nil {
			place := "/document"
			if i > 0 {
				place = fmt.Sprintf("/beside/%d", i-1)
			}
			return api.VerifyAnswer{}, api.NewProblem("invalid-field").At(place, "is not unpadded base64url")
		}
		all = append(all, Artefact{Data: data})
	}
	s := t.gather(ctx, all, false)
	if !slices.Contains(documents, s.kinds[0]) {
		v := Verified{Kind: Unknown}
		(*steps)(&v.Steps).fail("recognised", "it is no document of a known kind")
		s.conclude(&v)
		return verifyAnswer(v), nil
	}
	// What lies beside is looked at as far as the document needs it: a time stamp may be over a signature in another one.
	wanted := func(i int) bool { return i == 0 || s.kinds[0] == TimeStamp && s.kinds[i] == Document }
	if err := s.signatures(ctx, wanted); err != nil {
		return api.VerifyAnswer{}, err
	}
	return verifyAnswer(s.verified(0)), ctx.Err()
}

// maxSteps bounds the steps of an answer. The first that failed stand in it.
const maxSteps = 4096

func verifyAnswer(v Verified) api.VerifyAnswer {
	a := api.VerifyAnswer{
		Kind: string(v.Kind), Verdict: v.Verdict, Says: v.Says, Lacks: v.Lacks, Beside: v.Beside, Steps: []api.Step{}, Signatures: v.Signatures,
	}
	if len(v.Steps) > maxSteps {
		slices.SortStableFunc(v.Steps, func(a, b license.Step) int { return rank(a.State) - rank(b.State) })
		v.Steps = v.Steps[:maxSteps]
	}
	for _, s := range v.Steps {
		a.Steps = append(a.Steps, api.Step{Name: s.Name, State: api.StepState(s.State), Reason: s.Reason})
	}
	return a
}

func rank(s license.StepState) int {
	return slices.Index([]license.StepState{license.Failed, license.NotCheckable, license.OK}, s)
}
