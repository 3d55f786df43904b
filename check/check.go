// Package check defines the steps that a verification reports: name, state (ok, failed or not checkable) and reason. All verifiers
// (of logs, records, certificates, signatures, documents) report their steps in this form.
package check

import "errors"

// A Step is the result of one check of a verification, reported apart from the others.
type Step struct {
	Name   string `json:"name"`   // stable code, such as "record-in-sm3-tree"
	State  State  `json:"state"`  //
	Reason string `json:"reason"` // one sentence; empty only when State is OK
}

// State is how a Step came out.
type State string

// How a Step came out. A result as a whole holds only when no Step failed. NotCheckable is no failure: there was nothing to check,
// or nothing to check it with.
const (
	OK           State = "ok"
	Failed       State = "failed"
	NotCheckable State = "not-checkable"
)

// Pass is a step that is OK. The note may say what was found; it may be empty.
func Pass(name, note string) Step { return Step{name, OK, note} }

// Fail is a step that failed.
func Fail(name, reason string) Step { return Step{name, Failed, reason} }

// CannotCheck is a step that is not checkable.
func CannotCheck(name, reason string) Step { return Step{name, NotCheckable, reason} }

// Result is the step that an error decides: OK without one, not checkable if it is [Undecided], else failed.
func Result(name string, err error) Step {
	switch {
	case err == nil:
		return Pass(name, "")
	case Undecided(err):
		return CannotCheck(name, err.Error())
	}
	return Fail(name, err.Error())
}

// Undecided tells whether an error leaves a question undecided, such as a check that was not made because a budget was used up.
// Such an error, or one that it wraps, has a method Undecided() bool.
func Undecided(err error) bool {
	var e interface{ Undecided() bool }
	return errors.As(err, &e) && e.Undecided()
}

// Steps collects the steps of one verification, in order.
type Steps []Step

// Pass adds a step that is OK.
func (s *Steps) Pass(name, note string) { *s = append(*s, Pass(name, note)) }

// Fail adds a step that failed.
func (s *Steps) Fail(name, reason string) { *s = append(*s, Fail(name, reason)) }

// CannotCheck adds a step that is not checkable.
func (s *Steps) CannotCheck(name, reason string) { *s = append(*s, CannotCheck(name, reason)) }

// Result adds the step that an error decides.
func (s *Steps) Result(name string, err error) { *s = append(*s, Result(name, err)) }

// Under adds the steps of a part, each name prefixed with the part's place: "signature[0]/seal-form".
func (s *Steps) Under(place string, part []Step) {
	for _, step := range part {
		step.Name = place + "/" + step.Name
		*s = append(*s, step)
	}
}

// FirstFailed finds the first step that failed.
func FirstFailed(steps []Step) (failed Step, found bool) {
	for _, s := range steps {
		if s.State == Failed {
			return s, true
		}
	}
	return Step{}, false
}

// Find finds the last step of a name; the zero Step if there is none.
func Find(steps []Step, name string) (found Step) {
	for _, s := range steps {
		if s.Name == name {
			found = s
		}
	}
	return found
}
