package cms

import (
	"strings"
	"time"

	"oncegate/certs/pki"
	"oncegate/check"
)

// moment is for when a signer's certificate is judged. The caller's time goes first, then that of the time stamp, which is zero
// when none holds, then the signer's own.
func (v *Verifier) moment(s *Signer, given, stamped time.Time) pki.Moment {
	claimed, ok := s.SigningTime()
	switch {
	case !given.IsZero():
		return pki.Moment{At: given, Source: pki.Stamped}
	case !stamped.IsZero():
		return pki.Moment{At: stamped, Source: pki.Stamped}
	case ok:
		return pki.Moment{At: claimed, Source: pki.Claimed}
	}
	return pki.Moment{At: v.now(), Source: pki.Unstated}
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

// stamp is what was found about the token beside a signature; its step has no name when there is none.
type stamp struct {
	at   time.Time
	step check.Step
}

// stamped judges that token. All of it must hold: one whose authority nobody vouches for says nothing about time. Only
// whether that authority's certificate was revoked may remain open.
func (v *Verifier) stamped(s *Signer, signer int) stamp {
	token := s.TimeStamp()
	if token == nil {
		return stamp{}
	}
	out := stamp{step: check.CannotCheck(v.name(StepTimeStamp, signer), "nobody was given to judge the time stamp")}
	if v.TimeStamp == nil {
		return out
	}
	at, steps := v.TimeStamp(token, s.Signature)
	out.step.Reason = "the time stamp could not be checked to its end"
	open := at.IsZero()
	for _, step := range steps {
		switch {
		case step.State == check.Failed:
			out.step.State, out.step.Reason = check.Failed, step.Name+": "+step.Reason
			return out
		case step.State != check.OK && !strings.HasSuffix(step.Name, "-"+StepRevocation):
			open = true
			out.step.Reason = step.Name + ": " + step.Reason
		}
	}
	if open {
		return out
	}
	out.at, out.step.State, out.step.Reason = at, check.OK, "signed by "+at.UTC().Format(time.RFC3339)
	return out
}
