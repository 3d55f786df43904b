package revocation

import (
	"context"
	"slices"
	"time"

	"oncegate/certs/pki"
	"oncegate/check"
)

// A Judge finds the path of a chain and checks it: what verifiers of messages, seals and time stamps call for one step.
type Judge struct {
	// Path finds the way to an anchor; [pki.Verifier.Path].
	Path func(leaf *pki.Certificate, intermediates []*pki.Certificate, at time.Time) ([]*pki.Certificate, error)
	// Sources are asked in order.
	Sources []Source
}

// With is the judge with evidence that came along with what is verified: it is asked first.
func (j Judge) With(e *Evidence) Judge {
	j.Sources = slices.Concat([]Source{e}, j.Sources)
	return j
}

// Step checks a chain, leaf first, and sums its steps up in one, named revocation: failed if one failed, not checkable if
// one is, else OK with what is said of the leaf.
func (j Judge) Step(ctx context.Context, chain []*pki.Certificate, at time.Time) check.Step {
	sum := check.CannotCheck("revocation", "there is no path to an authority to ask")
	if len(chain) == 0 {
		return sum
	}
	path, err := j.Path(chain[0], chain[1:], at)
	if err != nil {
		return sum
	}
	return Sum(Check(ctx, path, at, j.Sources...))
}

// Sum makes one step, named revocation, of those of [Check].
func Sum(steps []check.Step) check.Step {
	sum := check.CannotCheck("revocation", "nobody was asked")
	for i, s := range steps {
		if i == 0 || worse(s.State, sum.State) {
			sum.State, sum.Reason = s.State, s.Reason
		}
	}
	return sum
}

func worse(a, b check.State) bool {
	rank := map[check.State]int{check.OK: 0, check.NotCheckable: 1, check.Failed: 2}
	return rank[a] > rank[b]
}
