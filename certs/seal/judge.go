package seal

import (
	"bytes"
	"context"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"time"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

// order is every step that a signature always has.
var order = []string{
	StepForm, StepValues, StepDataHash, StepPropertyInfo, StepSignature, StepMade, StepListed,
	StepSignerChain, StepSignerUsage, StepSignerRevocation, StepMakerChain, StepMakerUsage, StepMakerRevocation,
	StepPeriod, StepPeriodNow, StepStatus, StepTime,
}

// unreadable reports bytes that are no signature.
func unreadable(err error) *Report {
	r := &Report{Steps: []check.Step{check.Fail(StepForm, err.Error())}}
	for _, name := range order[1:] {
		r.Steps = append(r.Steps, check.CannotCheck(name, "the signature cannot be read"))
	}
	return r
}

// A judge collects the steps of one verification.
type judge struct {
	Expect
	ctx   context.Context
	steps []check.Step
}

func newJudge(ctx context.Context, e Expect) *judge {
	if e.Now.IsZero() {
		e.Now = time.Now()
	}
	if e.Verify == nil {
		e.Verify = sm.Verify
	}
	return &judge{Expect: e, ctx: ctx}
}

func (j *judge) add(steps ...check.Step) { j.steps = append(j.steps, steps...) }

// values names what the standard does not know. A critical extension may change what the rest means; but vendors mark
// their own ones so without a thought, and nobody else can tell.
func values(oddities []string) check.Step {
	if len(oddities) == 0 {
		return check.Pass(StepValues, "")
	}
	const enough = 8
	named := oddities[:min(len(oddities), enough)]
	return check.CannotCheck(StepValues, "values that the standard does not explain: "+strings.Join(named, ", "))
}

func (j *judge) dataHash(s *Signature) check.Step {
	switch {
	case j.DataHash == nil:
		return check.CannotCheck(StepDataHash, "there is no Signature.xml to compare with")
	case !bytes.Equal(j.DataHash, s.DataHash):
		return check.Fail(StepDataHash, "another Signature.xml was signed")
	}
	return check.Pass(StepDataHash, "")
}

func (j *judge) propertyInfo(s *Signature) check.Step {
	switch {
	case j.PropertyInfo == "":
		return check.CannotCheck(StepPropertyInfo, "there is no path of a Signature.xml to compare with")
	case j.PropertyInfo != s.PropertyInfo:
		return check.Fail(StepPropertyInfo, "a Signature.xml at another path was signed")
	}
	return check.Pass(StepPropertyInfo, "")
}

// strays are algorithm identifiers that software in use writes for SM2 with SM3.
var strays = map[string]string{
	"1.2.156.10197.1.301.1": "SM2 signature without a digest",
	"1.2.156.10197.1.301":   "the curve",
	"1.2.156.10197.501":     "a misprint",
}

// signed checks one SM2 signature.
func (j *judge) signed(step string, by *pki.Certificate, algorithm asn1.ObjectIdentifier, message, value []byte) check.Step {
	if by == nil {
		return check.Fail(step, "the certificate cannot be read")
	}
	stray, known := strays[algorithm.String()]
	if !known && !algorithm.Equal(sm2WithSM3) {
		return check.Fail(step, fmt.Sprintf("algorithm %s is not SM2 with SM3", algorithm))
	}
	pub, err := pki.PublicKey(by)
	if err != nil {
		return check.Fail(step, err.Error())
	}
	rs, bare, err := sm.ReadSignature(value)
	if err == nil {
		err = j.Verify(pub, message, rs)
	}
	switch {
	case check.Undecided(err):
		return check.CannotCheck(step, err.Error())
	case err != nil:
		return check.Fail(step, err.Error())
	case known:
		return check.Pass(step, fmt.Sprintf("the algorithm identifier %s is that of %s", algorithm, stray))
	case bare:
		return check.Pass(step, "the signature value is bare r‖s, not DER")
	}
	return check.Pass(step, "")
}

func (j *judge) made(s *Seal, maker *pki.Certificate) check.Step {
	return j.signed(StepMade, maker, s.Algorithm, s.Signed, s.Signature)
}

func listed(s *Signature) check.Step {
	switch {
	case s.Seal.Signers.Has(s.Certificate):
		return check.Pass(StepListed, "")
	case !s.Seal.Signers.known():
		return check.CannotCheck(StepListed, "the list has digests of a kind that is unknown here")
	}
	return check.Fail(StepListed, "the signer may not use this seal")
}

// period judges the seal's validity at the signing time, and now.
func (j *judge) period(s *Seal, t moment) {
	then, now := j.judged(StepPeriod, t.Moment, s.To, s.valid), s.valid(j.Now)
	j.add(then)
	switch {
	case now == nil:
		j.add(check.Pass(StepPeriodNow, ""))
	case t.Source == pki.Stamped && then.State == check.OK:
		j.add(check.Pass(StepPeriodNow, now.Error()+", but was valid when it was used"))
	default:
		j.add(check.CannotCheck(StepPeriodNow, now.Error()+", and nothing proves that it was valid when it was used"))
	}
}

// judged is a step by the table of [pki.Moment]; what holds needs no reason.
func (j *judge) judged(step string, m pki.Moment, end time.Time, holds func(time.Time) error) check.Step {
	state, reason := m.Judge(j.Now, end, holds)
	if state == check.OK {
		reason = ""
	}
	return check.Step{Name: step, State: state, Reason: reason}
}

// valid says why a seal is not valid at a time.
func (s *Seal) valid(at time.Time) error {
	switch {
	case at.Before(s.From):
		return errNotYet
	case at.After(s.To):
		return errOver
	}
	return nil
}

var (
	errNotYet = errors.New("the seal is not valid yet")
	errOver   = fmt.Errorf("the seal is no longer valid: %w", pki.ErrExpired)
)

func (j *judge) status(s *Seal, t moment) check.Step {
	if j.Status == nil {
		return check.CannotCheck(StepStatus, "nobody was asked whether the seal was withdrawn")
	}
	step := j.Status(j.ctx, s, t.At)
	step.Name = StepStatus
	return step
}
