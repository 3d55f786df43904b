package seal

import (
	"context"
	"time"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

// Steps of a verification, in the order in which a [Report] has them.
const (
	StepForm             = "seal-form"              // the DER and its version
	StepValues           = "seal-values"            // values that the standard does not know
	StepDataHash         = "seal-data-hash"         // dataHash is the digest of Signature.xml
	StepPropertyInfo     = "seal-property-info"     // propertyInfo is the path of Signature.xml
	StepSignature        = "seal-signature"         // the signer signed toSign
	StepMade             = "seal-made"              // the maker signed the seal
	StepListed           = "seal-signer-listed"     // the signer is on the seal's list
	StepSignerChain      = "seal-signer-chain"      // the signer's certificate leads to an anchor, valid at the time
	StepSignerUsage      = "seal-signer-usage"      // it is for sealing
	StepSignerRevocation = "seal-signer-revocation" // it was not revoked at the time
	StepMakerChain       = "seal-maker-chain"       // the maker's certificate leads to an anchor, valid at the time
	StepMakerUsage       = "seal-maker-usage"       // it is for making seals
	StepMakerRevocation  = "seal-maker-revocation"  // it was not revoked at the time
	StepPeriod           = "seal-period"            // the seal was valid at the time
	StepPeriodNow        = "seal-period-now"        // the seal is still valid
	StepStatus           = "seal-status"            // the seal is not withdrawn
	StepMadeTime         = "seal-made-time"         // the time stamp of the seal itself; only when it has one (version 5)
	StepTime             = "seal-time"              // whether the time is proven; the time stamp's own steps come after it
)

// Expect is what a verifier brings. Everything it leaves out makes a step not checkable, never ok.
type Expect struct {
	// DataHash is the SM3 of the Signature.xml as it lies in the package; nil when only the signature is at hand.
	DataHash []byte
	// PropertyInfo is the absolute path of that file; empty when only the signature is at hand.
	PropertyInfo string
	// Trust holds the anchors of signers and makers; nil when there are none.
	Trust *pki.Verifier
	// Intermediates are authorities between them: seals carry none.
	Intermediates []*pki.Certificate
	// Now is the time of verification; zero means time.Now.
	Now time.Time
	// Verify checks SM2 signatures; nil means [sm.Verify].
	Verify sm.VerifyFunc
	// Revocation checks whether a certificate was revoked at a time. chain is the certificate and the authorities that may be
	// above it, at most six. The step gets its name here.
	Revocation func(ctx context.Context, chain []*pki.Certificate, at pki.SigningTime) check.Step
	// Status reports whether the seal was withdrawn. The step gets its name here.
	Status func(ctx context.Context, s *Seal, at time.Time) check.Step
	// TimeStamp verifies a token over signature and gives its time, as timestamp.Verifier.Check does. The time is accepted
	// when all of the steps are ok; only one whose name ends in "revocation" may be not checkable.
	TimeStamp func(token, signature []byte) (time.Time, []check.Step)
}

// A Report is what a verification found: the steps, and who, what and when apart from them.
type Report struct {
	Steps     []check.Step // in the order of the Step constants, then the time stamp's
	Signer    Party
	Maker     Party
	SealID    string
	SealName  string
	Time      time.Time // at which certificates and seal were judged; zero when the signature names none: they were judged at present
	Stamped   bool      // Time is from a time stamp that holds; else it is what the signer says
	Signature *Signature
}

// A Party is what a certificate says about its owner. It is hearsay until the steps of its chain are ok.
type Party struct {
	Organization string
	USCC         string // organizationIdentifier, or what trust says; may be empty
	CommonName   string
	Fingerprint  string           // [pki.Fingerprint]
	Certificate  *pki.Certificate // nil when it cannot be read; then all is empty
}

// Verify reads a signature and judges it. What cannot be read has a failed [StepForm] and nothing else checkable.
func Verify(ctx context.Context, der []byte, e Expect) *Report {
	s, err := ParseSignature(der)
	if err != nil {
		return unreadable(err)
	}
	return s.Verify(ctx, e)
}

// Verify judges a signature that was read. The time comes first, because the rest is judged at it; it is reported last.
func (s *Signature) Verify(ctx context.Context, e Expect) *Report {
	j := newJudge(ctx, e)
	r := &Report{SealID: s.Seal.ID, SealName: s.Seal.Name, Signature: s}
	signer, maker := readCertificate(s.Certificate), readCertificate(s.Seal.Certificate)
	t := j.time(s)
	r.Time, r.Stamped = t.named, t.Source == pki.Stamped

	j.add(check.Pass(StepForm, ""), values(s.oddities))
	j.add(j.dataHash(s), j.propertyInfo(s))
	j.add(j.signed(StepSignature, signer, s.Algorithm, s.Signed, s.Signature))
	j.add(j.made(s.Seal, maker), listed(s))
	r.Signer = j.party(signer, t, asSigner)
	r.Maker = j.party(maker, t, asMaker)
	j.period(s.Seal, t)
	j.add(j.status(s.Seal, t))
	j.madeTime(s.Seal)
	j.add(t.step)
	j.add(t.more...)
	r.Steps = j.steps
	return r
}

// Verify judges a seal that lies there alone, such as a Seal.esl: the steps of the seal and its maker, at present.
func (s *Seal) Verify(ctx context.Context, e Expect) *Report {
	j := newJudge(ctx, e)
	r := &Report{SealID: s.ID, SealName: s.Name, Time: j.Now}
	maker := readCertificate(s.Certificate)
	t := judgedAt{SigningTime: pki.SigningTime{At: j.Now, Source: pki.Present}, named: j.Now}
	j.add(check.Pass(StepForm, ""), values(s.oddities), j.made(s, maker))
	r.Maker = j.party(maker, t, asMaker)
	j.add(j.judged(StepPeriod, t.SigningTime, s.To, s.valid), j.status(s, t))
	j.madeTime(s)
	r.Steps = j.steps
	return r
}

// A judgedAt is the signing time and what is known about it.
type judgedAt struct {
	pki.SigningTime              // certificates and seal are judged at it
	named           time.Time    // the same, or zero when the signature names no time and At is the present
	step            check.Step   //
	more            []check.Step // the time stamp's
}

// time finds the signing time: the time stamp's if it holds, else what the signer says.
func (j *judge) time(s *Signature) judgedAt {
	t := judgedAt{SigningTime: pki.SigningTime{At: s.Time, Source: pki.Claimed}, named: s.Time}
	stamp, disbelieved := j.stamp(s, &t)
	stamped := t.Source == pki.Stamped
	switch {
	case stamped && s.Time.After(stamp.Add(pki.ZoneSlip+pki.ClockSlip)):
		t.step = check.Fail(StepTime, "the signer names a later time than the time stamp")
	case stamped && s.Time.After(stamp.Add(pki.ClockSlip)):
		t.step = check.Pass(StepTime, "the signer's own time is ahead of the time stamp by a time zone")
	case stamped:
		t.step = check.Pass(StepTime, "")
	case disbelieved.State == check.Failed:
		t.step = disbelieved
	case s.Time.IsZero():
		t.step = check.CannotCheck(StepTime, "the signature names no time that can be read; all is judged at present")
	case s.Time.After(j.Now.Add(pki.ZoneSlip + pki.ClockSlip)):
		t.SigningTime = pki.SigningTime{At: j.Now, Source: pki.Unstated} // one fault is one step's
		t.step = check.Fail(StepTime, "the signer names a time in the future")
	case disbelieved.Name != "":
		t.step = disbelieved
	case s.TimeStamp != nil:
		t.step = check.CannotCheck(StepTime, "there is a time stamp, and no verifier for it was given")
	default:
		t.step = check.CannotCheck(StepTime, "there is no time stamp: the time is what the signer says")
	}
	if t.At.IsZero() {
		t.SigningTime = pki.SigningTime{At: j.Now, Source: pki.Unstated}
	}
	return t
}

// stamp asks the hook about the signature's time stamp. The step has the reason why it is not accepted; it is empty if it is, or
// without a hook.
func (j *judge) stamp(s *Signature, t *judgedAt) (time.Time, check.Step) {
	if s.TimeStamp == nil || j.TimeStamp == nil {
		return time.Time{}, check.Step{}
	}
	at, steps := j.TimeStamp(s.TimeStamp, s.Signature)
	t.more = steps
	state, _ := pki.StampState(at, steps)
	if state == check.OK {
		t.SigningTime, t.named = pki.SigningTime{At: at, Source: pki.Stamped}, at
		return at, check.Step{}
	}
	return time.Time{}, disbelief(StepTime, state)
}

func disbelief(step string, state check.State) check.Step {
	if state == check.Failed {
		return check.Fail(step, "the time stamp does not hold")
	}
	return check.CannotCheck(step, "there is a time stamp that could not be checked to its end")
}

// madeTime judges the time stamp that a seal of version 5 may carry over its own signature.
func (j *judge) madeTime(s *Seal) {
	if s.TimeStamp == nil {
		return
	}
	if j.TimeStamp == nil {
		j.add(check.CannotCheck(StepMadeTime, "there is a time stamp, and no verifier for it was given"))
		return
	}
	at, steps := j.TimeStamp(s.TimeStamp, s.Signature)
	switch state, _ := pki.StampState(at, steps); {
	case state != check.OK:
		j.add(disbelief(StepMadeTime, state))
	case s.Created.After(at.Add(pki.ZoneSlip + pki.ClockSlip)):
		j.add(check.Fail(StepMadeTime, "the seal's creation time is after its time stamp"))
	default:
		j.add(check.Pass(StepMadeTime, ""))
	}
}
