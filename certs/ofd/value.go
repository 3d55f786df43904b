package ofd

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"

	"oncegate/certs/sm"
	"oncegate/check"
)

// MaxValue bounds a SignedValue.dat or Seal.esl in bytes: a seal in use has 3–200 kB.
const MaxValue = 2 << 20

// readValue reads a signature value for its judge.
func (v *verification) readValue(ctx context.Context, at string) ([]byte, error) {
	if e := v.find(at); e != nil && e.size <= MaxValue {
		if err := v.budget.spend(e.size * workPerValue); err != nil {
			return nil, err
		}
	}
	return v.read(ctx, at, MaxValue, v.budget)
}

// value has the signature value judged.
func (v *verification) value(ctx context.Context, s *signed, one *Signature) error {
	value, err := v.readValue(ctx, s.value)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Step == StepXML:
		one.Steps = append(one.Steps, failed(StepForm, sentence(refusal.Reason)))
		return nil
	case err != nil:
		return err
	}
	digest := sm.Digest(s.raw)
	var proof Proof
	switch {
	case s.kind == typeSeal && v.judges.Seal != nil:
		proof = v.judges.Seal(ctx, value, digest[:], s.path)
	case s.kind == typeSign && v.judges.CMS != nil:
		proof = v.judges.CMS(ctx, value, digest[:])
	default:
		proof.Steps = []check.Step{notCheckable(StepContent, "Nobody here can judge the signature value.")}
	}
	one.Signer, one.USCC, one.SealName, one.Time, one.Proven = proof.Signer, proof.USCC, proof.SealName, proof.Time, proof.Proven
	one.Steps = append(one.Steps, proof.Steps...)
	switch s.kind {
	case typeSign:
		if v.judges.CMS != nil {
			one.Steps = append(one.Steps, stepContent(proof, digest[:], s.raw))
		}
	case typeSeal:
		step, err := v.sealFile(ctx, s, proof.Seal)
		if err != nil {
			return err
		}
		one.Steps = append(one.Steps, step)
	}
	return nil
}

// stepContent says whether what SignedData carries is the signature's description. The standard has its digest; vendors
// also sign the digest in base64, or the file itself. Without content inside, the judge was given the digest, and what it says
// of the signature holds for that.
func stepContent(proof Proof, digest, raw []byte) check.Step {
	content := proof.Content
	switch {
	case content == nil && !holds(proof.Steps):
		return notCheckable(StepContent, "The signature does not hold: what was signed is not known.")
	case content == nil, bytes.Equal(content, digest), bytes.Equal(content, raw),
		string(content) == base64.StdEncoding.EncodeToString(digest):
		return ok(StepContent)
	}
	return failed(StepContent, "What was signed is not the Signature.xml of the package.")
}

// sealFile compares Seal.esl with the seal inside the value.
func (v *verification) sealFile(ctx context.Context, s *signed, inside []byte) (check.Step, error) {
	if s.sealFile == "" {
		return check.Pass(StepSealFile, "The package has no Seal.esl, as the standard allows; the seal inside the signature value counts."), nil
	}
	file, err := v.read(ctx, s.sealFile, MaxValue, v.budget)
	var refusal *Refusal
	switch {
	case errors.Is(err, errMissing):
		return notCheckable(StepSealFile, "The Seal.esl that the signature names is not in the package; the seal inside the signature value counts."), nil
	case errors.As(err, &refusal) && refusal.Step == StepXML:
		return failed(StepSealFile, sentence(refusal.Reason)), nil
	case err != nil:
		return check.Step{}, err
	case inside == nil:
		return notCheckable(StepSealFile, "The seal inside the signature value is not known."), nil
	case !bytes.Equal(file, inside):
		return failed(StepSealFile, "Seal.esl is not the seal inside the signature value."), nil
	}
	return ok(StepSealFile), nil
}
