package seal

import (
	"bytes"
	"context"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
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

// unreadable reports bytes that do not parse as a signature.
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

// values names members that the standard does not define. A critical extension may change what the rest means; but vendors mark
// their own as critical by default, and others cannot know their meaning.
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
	return check.Fail(StepListed, "the signer's certificate is not on the seal's list")
}

// period checks the seal's validity at the signing time, and now.
func (j *judge) period(s *Seal, t judgedAt) {
	then, now := j.judged(StepPeriod, t.SigningTime, s.To, s.valid), s.valid(j.Now)
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

// judged is a step by the table of [pki.SigningTime]; what holds needs no reason.
func (j *judge) judged(step string, m pki.SigningTime, end time.Time, holds func(time.Time) error) check.Step {
	state, reason := m.Judge(j.Now, end, holds)
	if state == check.OK {
		reason = ""
	}
	return check.Step{Name: step, State: state, Reason: reason}
}

// valid returns the reason why a seal is not valid at a time.
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

func (j *judge) status(s *Seal, t judgedAt) check.Step {
	if j.Status == nil {
		return check.CannotCheck(StepStatus, "no source for the status of the seal was given")
	}
	step := j.Status(j.ctx, s, t.At)
	step.Name = StepStatus
	return step
}

// A role is one of the two parties of a seal and the names of its steps.
type role struct{ usage, chain, used, revocation string }

var (
	asSigner = role{pki.Seal, StepSignerChain, StepSignerUsage, StepSignerRevocation}
	asMaker  = role{pki.SealMaker, StepMakerChain, StepMakerUsage, StepMakerRevocation}
)

// ours are the usages that a certificate of ours can name. A certificate that names a usage of another role is refused.
var ours = []string{pki.Call, pki.License, pki.Log, pki.Seal, pki.Status, pki.Attest, pki.TimeStamp, pki.SealMaker, pki.OCSP, pki.Encryption}

// readCertificate returns nil for what is no certificate; a panic of the library is that, too.
func readCertificate(der []byte) (c *pki.Certificate) {
	defer func() {
		if recover() != nil {
			c = nil
		}
	}()
	c, err := pki.ParseForeign(der)
	if err != nil {
		return nil
	}
	return c
}

// party judges a certificate in its role and says whose it is.
func (j *judge) party(c *pki.Certificate, t judgedAt, r role) Party {
	if c == nil {
		const reason = "the certificate cannot be read"
		j.add(check.Fail(r.chain, reason), check.CannotCheck(r.used, reason), check.CannotCheck(r.revocation, reason))
		return Party{}
	}
	p := describe(c)
	if j.Trust == nil {
		const reason = "there are no trust anchors"
		j.add(check.CannotCheck(r.chain, reason), check.CannotCheck(r.used, reason), check.CannotCheck(r.revocation, reason))
		return p
	}
	above := pki.Above(c, j.Intermediates)
	var leaf pki.Leaf
	var other error // of a chain that holds, for another usage or of nobody
	step := j.judged(r.chain, t.SigningTime, c.NotAfter, func(at time.Time) error {
		found, err := j.Trust.Chain(c, above, at, r.usage)
		if errors.Is(err, pki.ErrWrongUsage) || errors.Is(err, pki.ErrNoUSCC) { // judged only of a chain that holds
			found, other, err = pki.Leaf{}, err, nil
		}
		if err == nil && at.Equal(t.At) {
			leaf = found
		}
		return err
	})
	j.add(step)
	switch {
	case step.State == check.Failed || leaf.Public == nil && other == nil:
		j.add(check.CannotCheck(r.used, "the chain does not hold"), check.CannotCheck(r.revocation, "the chain does not hold"))
		return p
	case other != nil:
		j.add(r.judge(c, other))
	default:
		p.Organization, p.USCC = leaf.Organization, leaf.USCC
		j.add(check.Pass(r.used, ""))
	}
	j.add(j.revocation(r, append([]*pki.Certificate{c}, above...), t))
	return p
}

// judge decides about a certificate that does not name the usage of its role. One without an organisation code passes. A signer's that
// names no usage of ours is not checkable: other authorities write none, and the maker lists it for this seal. Any other fails.
func (r role) judge(c *pki.Certificate, err error) check.Step {
	switch {
	case errors.Is(err, pki.ErrNoUSCC):
		return check.Pass(r.used, "the certificate names no organisation code")
	case r == asSigner && !slices.ContainsFunc(c.Subject.OrganizationalUnit, func(u string) bool { return slices.Contains(ours, u) }):
		return check.CannotCheck(r.used, "the certificate does not say what for; the maker lists it for this seal")
	}
	return check.Fail(r.used, err.Error())
}

func (j *judge) revocation(r role, chain []*pki.Certificate, t judgedAt) check.Step {
	if j.Revocation == nil {
		return check.CannotCheck(r.revocation, "no source of revocation data was given")
	}
	step := j.Revocation(j.ctx, chain, t.SigningTime)
	step.Name = r.revocation
	return step
}

// describe reads the subject.
func describe(c *pki.Certificate) Party {
	p := Party{CommonName: c.Subject.CommonName, Fingerprint: pki.Fingerprint(c), Certificate: c}
	if len(c.Subject.Organization) == 1 {
		p.Organization = c.Subject.Organization[0]
	}
	return p
}
