package verdict

import (
	"context"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/certs/cms"
	"oncegate/certs/ofd"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/seal"
	"oncegate/certs/sm"
	"oncegate/certs/timestamp"
	"oncegate/check"
)

// A Signature says who signed an artefact, with which seal and when: hearsay until the steps of the same place hold.
type Signature = api.DocumentSignature

// at is a time that may be missing.
func at(t time.Time) (out api.Time) {
	if !t.IsZero() {
		out = api.At(t)
	}
	return out
}

// expect is what seals are held against.
func (s *batch) expect(ctx context.Context, stapled *revocation.Evidence) seal.Expect {
	return seal.Expect{
		Trust: s.seals, Intermediates: s.intermediates, Now: s.now(), Verify: s.verifySM2, TimeStamp: s.stampCheck(ctx),
		Revocation: func(ctx context.Context, chain []*pki.Certificate, at pki.SigningTime) check.Step {
			return s.revocationAt(ctx, s.seals, stapled, chain, at.At).at(at)
		},
	}
}

// sealValue judges an SES_Signature over the digest of a Signature.xml; digest and path may be unknown.
func (s *batch) sealValue(ctx context.Context, value, digest []byte, path string) *seal.Report {
	parsed, err := seal.ParseSignature(value)
	if err != nil {
		return seal.Verify(ctx, value, seal.Expect{})
	}
	e := s.expect(ctx, stapledIn(parsed))
	e.DataHash, e.PropertyInfo = digest, path
	return parsed.Verify(ctx, e)
}

// stapledIn is the evidence that was kept with a signature, nil if there is none that can be read.
func stapledIn(s *seal.Signature) *revocation.Evidence {
	for _, x := range s.Extensions {
		if x.ID.Equal(revocation.OIDRevocationValues) {
			if e, err := revocation.ParseEvidence(x.Value); err == nil {
				return e
			}
		}
	}
	return nil
}

// judgeSeal judges the seals of a document, and keeps their signature values for time stamps that lie beside it.
func (s *batch) judgeSeal(ctx context.Context, value, digest []byte, path string) ofd.Proof {
	if err := s.take(len(value)); err != nil {
		var unread check.Steps
		unread.Result(seal.StepForm, err)
		return ofd.Proof{Steps: unread}
	}
	r := s.sealValue(ctx, value, digest, path)
	p := ofd.Proof{Signer: nameOf(r.Signer), USCC: r.Signer.USCC, SealName: r.SealName, Time: r.Time, Proven: r.Stamped, Steps: r.Steps}
	if r.Signature != nil {
		s.values = append(s.values, r.Signature.Signature)
		p.Seal = r.Signature.Seal.Raw
	}
	return p
}

func nameOf(p seal.Party) string {
	if p.Organization == "" {
		return p.CommonName
	}
	return p.Organization
}

// sealAlone verifies a Seal.esl.
func (s *batch) sealAlone(ctx context.Context, data []byte) (done check.Steps, by []Signature) {
	parsed, err := seal.ParseSeal(derOf(data))
	if err != nil {
		done.Fail(seal.StepForm, err.Error())
		return done, nil
	}
	r := parsed.Verify(ctx, s.expect(ctx, nil))
	return r.Steps, []Signature{{Type: "Seal", Signer: nameOf(r.Maker), USCC: r.Maker.USCC, SealName: r.SealName}}
}

// sealSignature verifies a SignedValue.dat, against its Signature.xml where that is at hand.
func (s *batch) sealSignature(ctx context.Context, self int) (done check.Steps, by []Signature) {
	data := derOf(s.all[self].Data)
	var digest []byte
	if parsed, err := seal.ParseSignature(data); err == nil {
		if i := s.contentOf(self, s.sm3Is(parsed.DataHash)); i >= 0 {
			sum := sm.Digest(s.all[i].Data)
			digest = sum[:]
		}
	}
	r := s.sealValue(ctx, data, digest, "")
	if r.Signature == nil {
		return r.Steps, nil
	}
	return r.Steps, []Signature{{
		Type: "Seal", Signer: nameOf(r.Signer), USCC: r.Signer.USCC, SealName: r.SealName, Time: at(r.Time), Proven: r.Stamped,
	}}
}

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
		Usage: pki.Seal, Certificates: s.endEntityCerts, VerifySM2: s.verifySM2, Now: s.now,
		Revocation: s.messageRevocation(s.seals, revocationStatus.at),
	}
}

// A messageReport is what was found about a signed message.
type messageReport struct {
	proven bool // the time of its first signer
	steps  check.Steps
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
func (s *batch) stampOf(ctx context.Context, m *cms.Message) (time.Time, check.Steps) {
	if len(m.Signers) != 1 {
		return time.Time{}, nil
	}
	for _, a := range m.Signers[0].Unsigned {
		if !a.Type.Equal(timeStampToken) {
			continue
		}
		at, list := s.stampCheck(ctx)(a.Value, m.Signers[0].Signature)
		if state, _ := pki.StampState(at, list); state != check.OK {
			at = time.Time{}
		}
		return at, list
	}
	return time.Time{}, nil
}

// readMessage reads a message, unless err says that it must not be. Nil: the step says why.
func (s *batch) readMessage(data []byte, err error) (m *cms.Message, done check.Steps) {
	if err == nil {
		m, err = cms.Parse(data)
	}
	if err != nil {
		done.Result("cms-"+cms.StepParse, err)
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
func (s *batch) signedMessage(ctx context.Context, self int) (check.Steps, []Signature) {
	m, unread := s.readMessage(derOf(s.all[self].Data), nil)
	switch {
	case m == nil:
		return unread, nil
	case !m.Detached:
		r := s.judgeMessage(ctx, m, nil, nil)
		return r.steps, r.by
	}
	quick := cms.Verifier{Certificates: s.endEntityCerts, VerifySM2: s.verifySM2} // digest and signature only
	i := s.contentOf(self, func(content []byte) bool {
		r := quick.Judge(ctx, m, notNil(content), time.Time{})
		return !slices.ContainsFunc(r.Steps, func(step check.Step) bool {
			return step.State == check.Failed
		})
	})
	if i >= 0 {
		r := s.judgeMessage(ctx, m, notNil(s.all[i].Data), nil)
		return r.steps, r.by
	}
	r := s.judgeMessage(ctx, m, nil, nil)
	for j, step := range r.steps {
		if strings.HasPrefix(step.Name, "cms-"+cms.StepDigest) {
			r.steps[j] = check.Step{Name: step.Name, State: check.NotCheckable, Reason: "what was signed is not inside, and not among the files"}
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

// stampVerifier judges time stamps.
func (s *batch) stampVerifier() *timestamp.Verifier {
	return &timestamp.Verifier{
		Chain: func(leaf *pki.Certificate, above []*pki.Certificate, at time.Time, usage string) (pki.Leaf, error) {
			chain := s.chainOf(leaf, above)
			return s.stamps.Chain(chain[0], chain[1:], at, usage)
		},
		Certificates: s.endEntityCerts, VerifySM2: s.verifySM2, Now: s.now,
		Revocation: s.messageRevocation(s.stamps, revocationStatus.atStampTime),
	}
}

// stampCheck judges a token over the value of a signature.
func (s *batch) stampCheck(ctx context.Context) func(token, signature []byte) (time.Time, []check.Step) {
	return func(token, signature []byte) (time.Time, []check.Step) {
		r := s.stampVerifier().Verify(ctx, token, signature, nil)
		return r.Time, r.Steps
	}
}

// timeStamp verifies a token or a reply, over whatever artefact, or signature in one, it is about.
func (s *batch) timeStamp(ctx context.Context, self int) (done check.Steps, by []Signature) {
	der := derOf(s.all[self].Data)
	if r, err := timestamp.ParseResponse(der); err == nil {
		if r.Refusal != nil {
			done.Fail(timestamp.StepParse, "the authority refused to stamp: "+r.Refusal.Failure.String())
			return done, nil
		}
		der = r.Token
	}
	token, err := timestamp.ParseToken(der)
	if err != nil {
		done.Fail(timestamp.StepParse, err.Error())
		return done, nil
	}
	data, found := s.stamped(self, token.Imprint)
	r := s.stampVerifier().Verify(ctx, der, data, nil)
	for i, step := range r.Steps {
		if step.Name == timestamp.StepImprint && !found {
			r.Steps[i] = check.Step{Name: step.Name, State: check.NotCheckable, Reason: "what was stamped is not among the files"}
		}
	}
	one := Signature{Type: "TimeStamp", USCC: r.Signer.Leaf.USCC, Time: at(token.Time), Proven: len(lacking(TimeStamp, r.Steps)) == 0}
	if c := r.Signer.Certificate; c != nil {
		if one.Signer = c.Subject.CommonName; len(c.Subject.Organization) > 0 {
			one.Signer = c.Subject.Organization[0]
		}
	}
	return r.Steps, []Signature{one}
}

// stamped finds what a token is about: an artefact, or the value of a signature in one.
func (s *batch) stamped(self int, imprint timestamp.Imprint) ([]byte, bool) {
	is := func(data []byte) bool {
		own, err := timestamp.ImprintOf(imprint.Algorithm, data)
		return err == nil && own.Equal(imprint)
	}
	for _, value := range s.values {
		if is(value) {
			s.stampsValue[self] = true
			return value, true
		}
	}
	if i := s.contentOf(self, is); i >= 0 {
		return s.all[i].Data, true
	}
	return nil, false
}
