package verdict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"oncegate/api"
	"oncegate/certs/cms"
	"oncegate/certs/jws"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/check"
)

// keep takes a file of evidence.
func (t *Trust) keep(a Artefact) error {
	var err error
	switch kindOf(a.Data) {
	case Revocations:
		var l *revocation.List
		if l, err = revocation.ParseList(a.Data); err == nil {
			err = t.evidence.AddList(l, maxKept)
		}
	case OCSPAnswer:
		var r *revocation.Response
		if r, err = revocation.ParseResponse(a.Data); err == nil {
			err = t.evidence.AddResponse(r, maxKept)
		}
	case StatusList:
		t.kept = append(t.kept, a)
	default:
		err = errors.New("it is no revocation list, OCSP answer or status list")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", a.Name, err)
	}
	return nil
}

// Bounds of evidence: what a trust keeps, and what a call brings besides.
const (
	maxKept      = 4096
	maxGathered  = 256 // lists of a call
	maxResponses = 32  // OCSP answers of a call
)

// gatherEvidence takes what an artefact may prove about others. What cannot be read says so in its own steps.
func (s *batch) gatherEvidence(kind Kind, data []byte) {
	switch kind {
	case Revocations:
		if bytes.Count(data, pemBegin) > maxLists {
			return
		}
		for _, part := range (Artefact{Data: data}).Parts() {
			if l, err := revocation.ParseList(part.Data); err == nil {
				_ = s.evidence.AddList(l, len(s.Trust.evidence.Lists)+maxGathered) // beyond the bounds less is known
			}
		}
	case OCSPAnswer:
		if r, err := revocation.ParseResponse(data); err == nil {
			_ = s.evidence.AddResponse(r, len(s.Trust.evidence.Responses)+maxResponses)
		}
	case StatusList:
		s.gatherList(data)
	}
}

// A revocationStatus is the revocation status of a certificate at a time, by the evidence at hand.
type revocationStatus struct {
	check.Step
	since time.Time  // when it was revoked later; zero when it was not
	why   pki.Reason // of that
}

// revocationAt says how the first certificate of a chain, and those above it, stood at a moment. Stapled evidence came along with what
// is verified and goes first; it may be nil.
func (s *batch) revocationAt(ctx context.Context, by *pki.Verifier, stapled *revocation.Evidence, chain []*pki.Certificate, at time.Time) (st revocationStatus) {
	st.Step = check.Step{Name: "revocation", State: check.NotCheckable, Reason: "the certificate leads to no anchor"}
	path, err := by.Path(chain[0], chain[1:], at)
	if check.Undecided(err) {
		st.Reason = err.Error()
	}
	if err != nil || len(path) < 2 {
		return st
	}
	sources := []revocation.Source{s.evidence}
	if stapled != nil {
		stapled.Verify = s.verifySM2
		sources = append(sources, stapled)
	}
	all := revocation.Check(ctx, path, at, sources...)
	st.Step = revocation.Sum(all)
	if own := all[0]; own.State == check.OK && st.State == check.NotCheckable {
		st.Reason = own.Reason + "; of an authority above it: " + st.Reason
	}
	for _, source := range sources {
		if status, err := source.Status(ctx, path[0], path[1], at); err == nil && status.State == revocation.Good && !status.Time.IsZero() {
			st.since, st.why = status.Time, status.Reason
		}
	}
	return st
}

// at is how the certificate counts for what was signed at the moment that was asked about.
func (st revocationStatus) at(m pki.SigningTime) check.Step {
	if st.State == check.OK && !st.since.IsZero() {
		st.State, st.Reason = m.RevokedLater(st.since)
	}
	return st.Step
}

// atStampTime is at for the certificate of a time-stamping authority.
func (st revocationStatus) atStampTime(pki.SigningTime) check.Step {
	if st.State == check.OK && !st.since.IsZero() {
		st.State, st.Reason = pki.StampedBefore(st.since, st.why)
	}
	return st.Step
}

// messageRevocation judges the signers' certificates of one message, whose evidence is read once; counts is one of the two above.
func (s *batch) messageRevocation(by *pki.Verifier, counts func(revocationStatus, pki.SigningTime) check.Step) func(context.Context, cms.Evidence) (check.State, string) {
	var stapled *revocation.Evidence
	return func(ctx context.Context, e cms.Evidence) (check.State, string) {
		if stapled == nil && len(e.CRLs)+len(e.OCSP) > 0 {
			stapled = revocation.Gather(e.CRLs, e.OCSP)
		}
		step := counts(s.revocationAt(ctx, by, stapled, s.chainOf(e.Certificate, e.Above), e.At), e.SigningTime)
		return step.State, step.Reason
	}
}

// chainOf is a certificate with those that may stand above it: some that came along, then authorities that the trust names or
// that are among the artefacts.
func (s *batch) chainOf(c *pki.Certificate, above []*pki.Certificate) []*pki.Certificate {
	return append([]*pki.Certificate{c}, pki.Above(c, above, s.intermediates)...)
}

// licenseRevocation says whether the key that signed a license had been revoked when it signed.
func (s *batch) licenseRevocation(done *check.Steps, p *jws.Parts, m pki.SigningTime) {
	certs, err := pki.ParseChain(p.Header.X5C)
	if err != nil {
		done.CannotCheck("key-revocation", "the certificate cannot be read")
		return
	}
	step := s.revocationAt(s.ctx, s.chains, nil, s.chainOf(certs[0], certs[1:]), m.At).at(m)
	step.Name = "key-revocation"
	*done = append(*done, step)
}

// maxLists bounds the revocation lists of one file.
const maxLists = 16

var pemBegin = []byte("\n-----BEGIN ")

// revocations verifies a file of revocation lists.
func (s *batch) revocations(a Artefact) (done check.Steps) {
	if bytes.Count(a.Data, pemBegin) > maxLists {
		done.Fail("revocation-list-form", fmt.Sprintf("the file has more than %d lists", maxLists))
		return done
	}
	parts := a.Parts()
	if len(parts) == 1 {
		return s.revocationList(a.Data)
	}
	for i, part := range parts {
		done.Under(fmt.Sprintf("list[%d]", i), s.revocationList(part.Data))
	}
	return done
}

// revocationList verifies one revocation list alone.
func (s *batch) revocationList(data []byte) (done check.Steps) {
	l, err := revocation.ParseList(data)
	if err != nil {
		done.Fail("revocation-list-form", err.Error())
		return done
	}
	done.Pass("revocation-list-form", fmt.Sprintf("%d revoked certificates", l.Len()))
	s.authorityOf(&done, "revocation-list", func(c *pki.Certificate) error { return l.Verify(c, s.verifySM2) })
	s.timeStep(&done, "revocation-list-time", l.This, l.Next)
	return done
}

// ocspAnswer verifies a responder's answer alone.
func (s *batch) ocspAnswer(data []byte) (done check.Steps) {
	r, err := revocation.ParseResponse(data)
	if err != nil {
		done.Fail("ocsp-answer-form", err.Error())
		return done
	}
	done.Pass("ocsp-answer-form", "")
	s.authorityOf(&done, "ocsp-answer", func(c *pki.Certificate) error { _, err := r.Verify(c, s.verifySM2); return err })
	s.timeStep(&done, "ocsp-answer-time", r.Produced, time.Time{})
	return done
}

// authorityOf looks for the authority that revocation data is of, and whether it leads to an anchor.
func (s *batch) authorityOf(done *check.Steps, name string, verify func(*pki.Certificate) error) {
	failed := errors.New("it is of an authority that is neither in the trust nor among the files")
	for _, c := range slices.Concat(s.anchors, s.intermediates) {
		err := verify(c)
		switch {
		case err == nil:
			done.Pass(name+"-signature", "")
			_, err := s.authorityChain(c, nil)
			done.Result(name+"-authority", err)
			return
		case check.Undecided(err):
			done.CannotCheck(name+"-signature", err.Error())
			done.CannotCheck(name+"-authority", err.Error())
			return
		}
		if !errors.Is(err, revocation.ErrWrongIssuer) {
			failed = err
		}
	}
	done.Fail(name+"-signature", failed.Error())
	done.CannotCheck(name+"-authority", "the signature does not hold")
}

// timeStep says for which times revocation data is relevant.
func (s *batch) timeStep(done *check.Steps, name string, from, next time.Time) {
	switch now := s.now(); {
	case from.After(now.Add(5 * time.Minute)):
		done.Fail(name, "it comes from the future")
	case !next.IsZero() && now.After(next):
		done.CannotCheck(name, "it speaks of moments until "+api.At(next).String()+" only: the next one was due then")
	default:
		done.Pass(name, "as of "+api.At(from).String())
	}
}
