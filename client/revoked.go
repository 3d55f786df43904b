package client

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
	"oncegate/license"
)

// keep takes a file of evidence.
func (t *Trust) keep(a Artefact) (err error) {
	switch kindOf(a.Data) {
	case Revocations:
		_, err = revocation.ParseList(a.Data)
	case OCSPAnswer:
		_, err = revocation.ParseResponse(a.Data)
	case StatusList:
	default:
		err = errors.New("it is no revocation list, OCSP answer or status list")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", a.Name, err)
	}
	t.kept = append(t.kept, a)
	return nil
}

// gatherEvidence takes what an artefact may prove about others. What cannot be read says so in its own steps.
func (s *sheaf) gatherEvidence(kind Kind, data []byte) {
	switch kind {
	case Revocations:
		if bytes.Count(data, pemBegin) > maxLists {
			return
		}
		for _, part := range (Artefact{Data: data}).Parts() {
			if l, err := revocation.ParseList(part.Data); err == nil {
				s.evidence.Lists = append(s.evidence.Lists, l)
			}
		}
	case OCSPAnswer:
		if r, err := revocation.ParseResponse(data); err == nil {
			s.evidence.Responses = append(s.evidence.Responses, r)
		}
	case StatusList:
		s.gatherList(data)
	}
}

// A standing is how a certificate stood at a moment, by the evidence at hand.
type standing struct {
	license.Step
	since time.Time // when it was revoked later; zero when it was not
}

// stood says how the first certificate of a chain, and those above it, stood at a moment. Stapled evidence came along with what
// is verified and goes first; it may be nil.
func (s *sheaf) stood(ctx context.Context, by *pki.Verifier, stapled *revocation.Evidence, chain []*pki.Certificate, at time.Time) (st standing) {
	st.Step = license.Step{Name: "revocation", State: license.NotCheckable, Reason: "the certificate leads to no anchor"}
	path, err := by.Path(chain[0], chain[1:], at)
	if err != nil || len(path) < 2 {
		return st
	}
	sources := []revocation.Source{s.evidence}
	if stapled != nil {
		stapled.Verify = s.voice
		sources = append(sources, stapled)
	}
	all := revocation.Check(ctx, path, at, sources...)
	st.Step = revocation.Sum(all)
	if own := all[0]; own.State == license.OK && st.State == license.NotCheckable {
		st.Reason = own.Reason + "; of an authority above it: " + st.Reason
	}
	for _, source := range sources {
		if status, err := source.Status(ctx, path[0], path[1], at); err == nil && status.State == revocation.Good && !status.Time.IsZero() {
			st.since = status.Time
		}
	}
	return st
}

// unproven takes back that a certificate which was revoked later had been good at a time that only its own signature names:
// whoever has the key can name any time.
func (st standing) unproven(proven bool) license.Step {
	if st.State == license.OK && !st.since.IsZero() && !proven {
		st.State = license.NotCheckable
		st.Reason = "revoked at " + api.At(st.since).String() + ", and nothing proves that it was used before"
	}
	return st.Step
}

// messageRevocation judges a signer's certificate of a message.
func (s *sheaf) messageRevocation(by *pki.Verifier, proven bool) func(context.Context, cms.Evidence) (license.StepState, string) {
	return func(ctx context.Context, e cms.Evidence) (license.StepState, string) {
		var stapled *revocation.Evidence
		if len(e.CRLs)+len(e.OCSP) > 0 {
			stapled = revocation.Gather(e.CRLs, e.OCSP)
		}
		step := s.stood(ctx, by, stapled, s.chainOf(e.Certificate, e.Above), e.At).unproven(proven)
		return step.State, step.Reason
	}
}

// maxAbove is how many certificates pki takes above another.
const maxAbove = 5

// chainOf is a certificate with those that may stand above it: some that came along, then authorities that the trust names or
// that are among the artefacts.
func (s *sheaf) chainOf(c *pki.Certificate, above []*pki.Certificate) []*pki.Certificate {
	chain := append([]*pki.Certificate{c}, above[:min(len(above), maxAbove)]...)
	for i := 0; i < len(chain); i++ {
		for _, a := range s.between {
			if len(chain) <= maxAbove && slices.Equal(chain[i].RawIssuer, a.RawSubject) && !slices.ContainsFunc(chain, a.Equal) {
				chain = append(chain, a)
			}
		}
	}
	return chain
}

// licenseRevocation says whether the key that signed a license had been revoked when it signed.
func (s *sheaf) licenseRevocation(done *steps, p *jws.Parts, at time.Time, proven bool) {
	certs, err := pki.ParseChain(p.Header.X5C)
	if err != nil {
		done.unknown("key-revocation", "the certificate cannot be read")
		return
	}
	step := s.stood(context.Background(), s.chains, nil, s.chainOf(certs[0], certs[1:]), at).unproven(proven)
	step.Name = "key-revocation"
	*done = append(*done, step)
}

// maxLists bounds the revocation lists of one file.
const maxLists = 16

var pemBegin = []byte("\n-----BEGIN ")

// revocations verifies a file of revocation lists.
func (s *sheaf) revocations(a Artefact) (done steps) {
	if bytes.Count(a.Data, pemBegin) > maxLists {
		done.fail("revocation-list-form", fmt.Sprintf("the file has more than %d lists", maxLists))
		return done
	}
	parts := a.Parts()
	if len(parts) == 1 {
		return s.revocationList(a.Data)
	}
	for i, part := range parts {
		done.under(fmt.Sprintf("list[%d]", i), s.revocationList(part.Data))
	}
	return done
}

// revocationList verifies one revocation list alone.
func (s *sheaf) revocationList(data []byte) (done steps) {
	l, err := revocation.ParseList(data)
	if err != nil {
		done.fail("revocation-list-form", err.Error())
		return done
	}
	done.ok("revocation-list-form", fmt.Sprintf("%d revoked certificates", l.Len()))
	s.authorityOf(&done, "revocation-list", func(c *pki.Certificate) error { return l.Verify(c, s.voice) })
	s.spoken(&done, "revocation-list-time", l.This, l.Next)
	return done
}

// ocspAnswer verifies a responder's answer alone.
func (s *sheaf) ocspAnswer(data []byte) (done steps) {
	r, err := revocation.ParseResponse(data)
	if err != nil {
		done.fail("ocsp-answer-form", err.Error())
		return done
	}
	done.ok("ocsp-answer-form", "")
	s.authorityOf(&done, "ocsp-answer", func(c *pki.Certificate) error { _, err := r.Verify(c, s.voice); return err })
	s.spoken(&done, "ocsp-answer-time", r.Produced, time.Time{})
	return done
}

// authorityOf looks for the authority that revocation data is of, and whether it leads to an anchor.
func (s *sheaf) authorityOf(done *steps, name string, verify func(*pki.Certificate) error) {
	failed := errors.New("it is of an authority that is neither in the trust nor among the files")
	for _, c := range slices.Concat(s.anchors, s.between) {
		err := verify(c)
		if err == nil {
			done.ok(name+"-signature", "")
			done.result(name+"-authority", s.authorityChain(c, s.between))
			return
		}
		if !errors.Is(err, revocation.ErrWrongIssuer) {
			failed = err
		}
	}
	done.fail(name+"-signature", failed.Error())
	done.unknown(name+"-authority", "the signature does not hold")
}

// spoken says of which moments revocation data speaks.
func (s *sheaf) spoken(done *steps, name string, from, next time.Time) {
	switch now := s.now(); {
	case from.After(now.Add(5 * time.Minute)):
		done.fail(name, "it comes from the future")
	case !next.IsZero() && now.After(next):
		done.unknown(name, "it speaks of moments until "+api.At(next).String()+" only: the next one was due then")
	default:
		done.ok(name, "as of "+api.At(from).String())
	}
}
