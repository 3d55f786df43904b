package client

import (
	"context"
	"time"

	"oncegate/certs/pki"
	"oncegate/certs/timestamp"
	"oncegate/license"
)

// stampVerifier judges time stamps.
func (s *batch) stampVerifier() *timestamp.Verifier {
	return &timestamp.Verifier{
		Chain: func(leaf *pki.Certificate, above []*pki.Certificate, at time.Time, usage string) (pki.Leaf, error) {
			chain := s.chainOf(leaf, above)
			return s.stamps.Chain(chain[0], chain[1:], at, usage)
		},
		Certificates: s.loose509, Voice: s.voice, Now: s.now,
		Revocation: s.messageRevocation(s.stamps, standing.ofStamp),
	}
}

// stampCheck judges a token over the value of a signature.
func (s *batch) stampCheck(ctx context.Context) func(token, signature []byte) (time.Time, []license.Step) {
	return func(token, signature []byte) (time.Time, []license.Step) {
		r := s.stampVerifier().Verify(ctx, token, signature, nil)
		return r.Time, r.Steps
	}
}

// timeStamp verifies a token or a reply, over whatever artefact, or signature in one, it is about.
func (s *batch) timeStamp(ctx context.Context, self int) (done steps, by []Signature) {
	der := derOf(s.all[self].Data)
	if r, err := timestamp.ParseResponse(der); err == nil {
		if r.Refusal != nil {
			done.fail(timestamp.StepParse, "the authority refused to stamp: "+r.Refusal.Failure.String())
			return done, nil
		}
		der = r.Token
	}
	token, err := timestamp.ParseToken(der)
	if err != nil {
		done.fail(timestamp.StepParse, err.Error())
		return done, nil
	}
	data, found := s.stamped(self, token.Imprint)
	r := s.stampVerifier().Verify(ctx, der, data, nil)
	for i, step := range r.Steps {
		if step.Name == timestamp.StepImprint && !found {
			r.Steps[i] = license.Step{Name: step.Name, State: license.NotCheckable, Reason: "what was stamped is not among the files"}
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
