package cms

import (
	"strings"
	"time"

	"oncegate/license"
)

// time is for when a signer's certificate is judged, and whether that is its own word.
func (v *Verifier) time(s *Signer, at time.Time) (time.Time, bool) {
	if !at.IsZero() {
		return at, false
	}
	if claimed, ok := s.SigningTime(); ok {
		return claimed, true
	}
	if v.Now != nil {
		return v.Now(), false
	}
	return time.Now(), false
}

// when says at which time the chain was judged.
func (d *Verdict) when() string {
	at := d.Time.UTC().Format(time.RFC3339)
	switch {
	case d.Claimed:
		return "valid at " + at + ", the time that the signer claims"
	case d.Stamped:
		return "valid at " + at + ", the time of the time stamp"
	}
	return "valid at " + at
}

// stamp is what was found about the token beside a signature; its step has no name when there is none.
type stamp struct {
	at   time.Time
	step license.Step
}

// stamped judges that token. All of it must hold: one whose authority nobody vouches for says nothing about time. Only
// whether that authority's certificate was revoked may remain open.
func (v *Verifier) stamped(s *Signer, signer int) stamp {
	token := s.TimeStamp()
	if token == nil {
		return stamp{}
	}
	out := stamp{step: license.Step{Name: v.name(StepTimeStamp, signer), State: license.NotCheckable, Reason: "nobody was given to judge the time stamp"}}
	if v.TimeStamp == nil {
		return out
	}
	at, steps := v.TimeStamp(token, s.Signature)
	out.step.Reason = "the time stamp could not be checked to its end"
	open := at.IsZero()
	for _, step := range steps {
		switch {
		case step.State == license.Failed:
			out.step.State, out.step.Reason = license.Failed, step.Name+": "+step.Reason
			return out
		case step.State != license.OK && !strings.HasSuffix(step.Name, "-"+StepRevocation):
			open = true
			out.step.Reason = step.Name + ": " + step.Reason
		}
	}
	if open {
		return out
	}
	out.at, out.step.State, out.step.Reason = at, license.OK, "signed by "+at.UTC().Format(time.RFC3339)
	return out
}
