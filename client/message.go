package client

import (
	"context"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"time"

	"oncegate/certs/cms"
	"oncegate/certs/ofd"
	"oncegate/certs/pki"
	"oncegate/license"
)

// timeStampToken is the unsigned attribute that carries a time stamp over the signature, RFC 3161 appendix A.
var timeStampToken = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14}

// messageVerifier judges signed messages. Departments sign documents with the keys of their seals
// and licenses; certificates of other authorities need a word of the trust on their usage.
func (s *batch) messageVerifier() *cms.Verifier {
	return &cms.Verifier{
		Chain: func(leaf *pki.Certificate, above []*pki.Certificate, at time.Time, _ string) (found pki.Leaf, err error) {
			chain := s.chainOf(leaf, above)
			for _, usage := range []string{pki.License, pki.Seal} {
				if found, err = s.seals.Chain(chain[0], chain[1:], at, usage); !errors.Is(err, pki.ErrWrongUsage) {
					break
				}
			}
			return found, err
		},
		Usage: pki.Seal, Certificates: s.loose509, Voice: s.voice, Now: s.now,
		Revocation: s.messageRevocation(s.seals, standing.at),
	}
}

// A messageReport is what was found about a signed message.
type messageReport struct {
	proven bool // the time of its first signer
	steps  steps
	by     []Signature
}

// judgeMessage judges a signed message, at the time of the time stamp that it carries, if that holds. digest is the SM3 of what it
// may be about instead of the content; nil when there is no such thing.
func (s *batch) judgeMessage(ctx context.Context, m *cms.Message, content, digest []byte) (r messageReport) {
	v := s.messageVerifier()
	v.Digest = digest
	stamped, stampSteps := s.stampOf(ctx, m)
	r.proven = !stamped.IsZero()
	found := v.Judge(ctx, m, content, stamped)
	r.steps = append(found.Steps, stampSteps...)
	for i, signer := range found.Signers {
		by := Signature{Type: "Sign", USCC: signer.Leaf.USCC, Time: at(signer.Time), Proven: r.proven}
		if c := signer.Certificate; c != nil {
			by.Signer = strings.Join(append(slices.Clip(c.Subject.Organization), c.Subject.CommonName)[:1], "")
		}
		if !signer.Claimed && !r.proven {
			by.Time = at(time.Time{}) // it names none
		}
		if i < maxSigners {
			r.by = append(r.by, by)
		}
	}
	return r
}

// maxSigners bounds the signers of a message that are told apart in a result.
const maxSigners = 64

// stampOf judges the time stamp of a message's one signer. Of several signers each would have its own time.
func (s *batch) stampOf(ctx context.Context, m *cms.Message) (time.Time, steps) {
	if len(m.Signers) != 1 {
		return time.Time{}, nil
	}
	for _, a := range m.Signers[0].Unsigned {
		if !a.Type.Equal(timeStampToken) {
			continue
		}
		at, list := s.stampCheck(ctx)(a.Value, m.Signers[0].Signature)
		if Failure(list) != nil || slices.ContainsFunc(list, func(step license.Step) bool {
			return step.State != license.OK && !strings.HasSuffix(step.Name, "revocation")
		}) {
			at = time.Time{}
		}
		return at, list
	}
	return time.Time{}, nil
}

// readMessage reads a message, unless err says that it must not be. Nil: the step says why.
func (s *batch) readMessage(data []byte, err error) (m *cms.Message, done steps) {
	if err == nil {
		m, err = cms.Parse(data)
	}
	if err != nil {
		done.result("cms-"+cms.StepParse, err)
		return nil, done
	}
	return m, nil
}

// judgeCMS judges the signed messages of a document.
func (s *batch) judgeCMS(ctx context.Context, data, content []byte) (p ofd.Proof) {
	m, unread := s.readMessage(data, s.take(len(data)))
	if m == nil {
		p.Steps = unread
		return p
	}
	digest := content // of Signature.xml
	if !m.Detached {
		content, p.Content = nil, m.Content
	}
	r := s.judgeMessage(ctx, m, content, digest)
	p.Steps, p.Proven = r.steps, r.proven
	var signers []string
	for i, by := range r.by {
		if i == 0 {
			p.Time, p.USCC = by.Time.Time, by.USCC
		}
		signers = append(signers, by.Signer)
	}
	p.Signer = strings.Join(signers, ", ")
	return p
}

// message verifies a signed message alone, or over another artefact when it is detached.
func (s *batch) signedMessage(ctx context.Context, self int) (steps, []Signature) {
	m, unread := s.readMessage(derOf(s.all[self].Data), nil)
	switch {
	case m == nil:
		return unread, nil
	case !m.Detached:
		r := s.judgeMessage(ctx, m, nil, nil)
		return r.steps, r.by
	}
	quick := cms.Verifier{Certificates: s.loose509, Voice: s.voice} // digest and signature only
	i := s.contentOf(self, func(content []byte) bool {
		r := quick.Judge(ctx, m, notNil(content), time.Time{})
		return !slices.ContainsFunc(r.Steps, func(step license.Step) bool {
			return step.State == license.Failed
		})
	})
	if i >= 0 {
		r := s.judgeMessage(ctx, m, notNil(s.all[i].Data), nil)
		return r.steps, r.by
	}
	r := s.judgeMessage(ctx, m, nil, nil)
	for j, step := range r.steps {
		if strings.HasPrefix(step.Name, "cms-"+cms.StepDigest) {
			r.steps[j] = license.Step{Name: step.Name, State: license.NotCheckable, Reason: "what was signed is not inside, and not among the files"}
		}
	}
	return r.steps, r.by
}

// notNil is a content that is there, though it may be empty.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
