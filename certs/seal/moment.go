package seal

import (
	"strings"
	"time"

	"oncegate/certs/pki"
	"oncegate/check"
)

// A moment is the signing time and what is known about it.
type moment struct {
	pki.Moment              // certificates and seal are judged at it
	named      time.Time    // the same, or zero when the signature names no time and At is the present
	step       check.Step   //
	more       []check.Step // the time stamp's
}

// time finds the signing time: the time stamp's if it holds, else what the signer says.
func (j *judge) time(s *Signature) moment {
	t := moment{Moment: pki.Moment{At: s.Time, Source: pki.Claimed}, named: s.Time}
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
		t.Moment = pki.Moment{At: j.Now, Source: pki.Unstated} // one fault is one step's
		t.step = check.Fail(StepTime, "the signer names a time in the future")
	case disbelieved.Name != "":
		t.step = disbelieved
	case s.TimeStamp != nil:
		t.step = check.CannotCheck(StepTime, "there is a time stamp, and nobody to judge it")
	default:
		t.step = check.CannotCheck(StepTime, "there is no time stamp: the time is what the signer says")
	}
	if t.At.IsZero() {
		t.Moment = pki.Moment{At: j.Now, Source: pki.Unstated}
	}
	return t
}

// stamp asks the hook about the signature's time stamp. The step says why it is not believed; it is empty when it is, or
// when nobody was asked.
func (j *judge) stamp(s *Signature, t *moment) (time.Time, check.Step) {
	if s.TimeStamp == nil || j.TimeStamp == nil {
		return time.Time{}, check.Step{}
	}
	at, steps := j.TimeStamp(s.TimeStamp, s.Signature)
	t.more = steps
	state := believe(at, steps)
	if state == check.OK {
		t.Moment, t.named = pki.Moment{At: at, Source: pki.Stamped}, at
		return at, check.Step{}
	}
	return time.Time{}, disbelief(StepTime, state)
}

// believe sums up what was found about a time stamp. All of it must hold: a token whose authority nobody vouches for says
// nothing about time. Only whether that authority's certificate was revoked may remain open.
func believe(at time.Time, steps []check.Step) check.State {
	sum := check.OK
	if at.IsZero() || len(steps) == 0 {
		sum = check.NotCheckable
	}
	for _, s := range steps {
		switch {
		case s.State == check.Failed:
			return check.Failed
		case s.State != check.OK && !strings.HasSuffix(s.Name, "revocation"):
			sum = check.NotCheckable
		}
	}
	return sum
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
		j.add(check.CannotCheck(StepMadeTime, "there is a time stamp, and nobody to judge it"))
		return
	}
	at, steps := j.TimeStamp(s.TimeStamp, s.Signature)
	switch state := believe(at, steps); {
	case state != check.OK:
		j.add(disbelief(StepMadeTime, state))
	case s.Created.After(at.Add(pki.ZoneSlip + pki.ClockSlip)):
		j.add(check.Fail(StepMadeTime, "the seal says that it was made after its time stamp"))
	default:
		j.add(check.Pass(StepMadeTime, ""))
	}
}
