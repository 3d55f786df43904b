package client

import (
	"oncegate/certs/sm"
	"oncegate/license"
)

// steps are the steps taken so far.
type steps []license.Step

// ok reports a step that held; a reason may say what was found.
func (s *steps) ok(name, reason string) {
	*s = append(*s, license.Step{Name: name, State: license.OK, Reason: reason})
}

// fail reports a step that failed.
func (s *steps) fail(name, reason string) {
	*s = append(*s, license.Step{Name: name, State: license.Failed, Reason: reason})
}

// unknown reports a step that could not be taken.
func (s *steps) unknown(name, reason string) {
	*s = append(*s, license.Step{Name: name, State: license.NotCheckable, Reason: reason})
}

// result reports a step that held, or failed for the reason err, or that err leaves undecided.
func (s *steps) result(name string, err error) {
	if sm.Undecided(err) {
		s.unknown(name, err.Error())
		return
	}
	if err != nil {
		s.fail(name, err.Error())
		return
	}
	s.ok(name, "")
}

// under adds the steps of a part, each name prefixed with where the part stands.
func (s *steps) under(prefix string, part steps) {
	for _, step := range part {
		step.Name = prefix + "/" + step.Name
		*s = append(*s, step)
	}
}
