package revocation

import (
	"context"
	"fmt"
	"time"

	"oncegate/certs/pki"
	"oncegate/check"
)

// Collect gathers evidence for a path (leaf first, anchor last, as [pki.Verifier.Path] gives it) at the moment of signing:
// an answer of a responder for each certificate, or else a list of at most 256 KiB. The steps say, as those of [Check],
// what the evidence shows now; what could not be had is not checkable there. Staple the evidence only if no step failed.
func (c *Client) Collect(ctx context.Context, path []*pki.Certificate) (*Evidence, []check.Step) {
	e := &Evidence{Verify: c.Verify}
	missing := make(map[int]error)
	for i := range len(path) - 1 {
		if err := c.collect(ctx, e, path[i], path[i+1]); err != nil {
			missing[i] = err
		}
	}
	at := c.Now()
	return e, steps(path, func(i int) (Status, error) {
		s, err := e.Status(ctx, path[i], path[i+1], at)
		if reason := missing[i]; err != nil && reason != nil {
			err = reason
		}
		return s, err
	})
}

// collect adds what is to be had about one certificate.
func (c *Client) collect(ctx context.Context, e *Evidence, cert, issuer *pki.Certificate) error {
	reason := error(ErrNoSource)
	for _, address := range cert.OCSPServer {
		r, stale, err := c.Response(ctx, address, cert, issuer)
		if err == nil && !stale {
			if s, err := r.Status(cert, issuer, c.Now()); err == nil && s.State != Unknown {
				return c.add(ctx, e, r, issuer)
			}
		}
		reason = why(reason, err, stale)
	}
	for _, address := range cert.CRLDistributionPoints {
		l, stale, err := c.List(ctx, address, issuer)
		switch {
		case err != nil || stale:
			reason = why(reason, err, stale)
		case len(l.Raw) > maxStapled:
			reason = fmt.Errorf("%w: the list has %d bytes, too many to keep with a document", ErrNoSource, len(l.Raw))
		default:
			return e.addList(l.Raw)
		}
	}
	return reason
}

// add takes an answer, and the lists that its responder needs.
func (c *Client) add(ctx context.Context, e *Evidence, r *Response, issuer *pki.Certificate) error {
	if err := e.addBasic(r.Raw); err != nil {
		return err
	}
	responder, err := r.Verify(issuer, c.Verify)
	if err != nil || responder == nil || pki.NoCheck(responder) {
		return err
	}
	for _, address := range responder.CRLDistributionPoints {
		if l, stale, err := c.List(ctx, address, issuer); err == nil && !stale && len(l.Raw) <= maxStapled {
			return e.addList(l.Raw)
		}
	}
	return fmt.Errorf("%w: responder certificate has no ocsp-nocheck and no CRL covers it", ErrResponder)
}

func why(reason, err error, stale bool) error {
	switch {
	case stale:
		return ErrStale
	case err != nil:
		return err
	}
	return reason
}

// Check says along a path whether its certificates were revoked at a moment: one step each, the anchor aside, asking the
// sources in order until one speaks. Names are revocation-leaf, revocation-authority-1 (who issued the leaf), and so on.
//
// OK: not revoked then. Failed: revoked, or unknown to its authority. NotCheckable: nobody could say, or the last word is
// stale. The path itself has been verified ([pki.Verifier.Path]).
func Check(ctx context.Context, path []*pki.Certificate, at time.Time, sources ...Source) []check.Step {
	return steps(path, func(i int) (Status, error) { return ask(ctx, path[i], path[i+1], at, sources) })
}

// ask asks sources in order. A stale word is kept in case nobody has a better one. A source that has evidence which was not looked
// at ([check.Undecided]) settles nothing, and neither do those after it.
func ask(ctx context.Context, c, issuer *pki.Certificate, at time.Time, sources []Source) (Status, error) {
	var stale Status
	err := error(ErrNoSource)
	for _, s := range sources {
		status, failed := s.Status(ctx, c, issuer, at)
		switch {
		case check.Undecided(failed):
			return Status{}, failed
		case failed == nil && (!status.Stale || status.State == Revoked):
			return status, nil
		case failed == nil:
			stale = status
		case err == ErrNoSource:
			err = failed
		}
	}
	if stale.State != "" {
		return stale, nil
	}
	return Status{}, err
}

func steps(path []*pki.Certificate, status func(int) (Status, error)) []check.Step {
	if len(path) < 2 {
		return []check.Step{{Name: stepName(0), State: check.NotCheckable, Reason: "there is no authority above the certificate"}}
	}
	var list []check.Step
	for i := range len(path) - 1 {
		s, err := status(i)
		list = append(list, s.step(stepName(i), err))
	}
	return list
}

func stepName(i int) string {
	if i == 0 {
		return "revocation-leaf"
	}
	return fmt.Sprintf("revocation-authority-%d", i)
}

func (s Status) step(name string, err error) check.Step {
	step := check.Step{Name: name, State: check.NotCheckable}
	source := map[string]string{CRL: "revocation list", OCSP: "responder"}[s.By]
	switch {
	case err != nil:
		step.Reason = err.Error()
	case s.State == Revoked:
		step.State, step.Reason = check.Failed, fmt.Sprintf("revoked at %s: %s", day(s.Time), s.Reason)
	case s.State == Unknown:
		step.State, step.Reason = check.Failed, "its authority does not know the certificate"
	case s.Stale:
		step.Reason = fmt.Sprintf("the %s is out of reach; what it said last, at %s, is over", source, day(s.This))
	default:
		step.State, step.Reason = check.OK, fmt.Sprintf("not revoked, says the %s of %s", source, day(s.This))
		if !s.Time.IsZero() {
			step.Reason = fmt.Sprintf("revoked later, at %s: %s", day(s.Time), s.Reason)
		}
	}
	return step
}

// Sum makes one step, named revocation, of those of [Check].
func Sum(steps []check.Step) check.Step {
	sum := check.CannotCheck("revocation", "no source of revocation data was given")
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
