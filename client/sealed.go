package client

import (
	"context"
	"time"

	"oncegate/api"
	"oncegate/certs/ofd"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/seal"
	"oncegate/certs/sm"
	"oncegate/license"
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
		Trust: s.seals, Intermediates: s.between, Now: s.now(), Verify: s.voice, TimeStamp: s.stampCheck(ctx),
		Revocation: func(ctx context.Context, chain []*pki.Certificate, at pki.Moment) license.Step {
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
		var unread steps
		unread.result(seal.StepForm, err)
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
func (s *batch) sealAlone(ctx context.Context, data []byte) (done steps, by []Signature) {
	parsed, err := seal.ParseSeal(derOf(data))
	if err != nil {
		done.fail(seal.StepForm, err.Error())
		return done, nil
	}
	r := parsed.Verify(ctx, s.expect(ctx, nil))
	return r.Steps, []Signature{{Type: "Seal", Signer: nameOf(r.Maker), USCC: r.Maker.USCC, SealName: r.SealName}}
}

// sealSignature verifies a SignedValue.dat, against its Signature.xml where that is at hand.
func (s *batch) sealSignature(ctx context.Context, self int) (done steps, by []Signature) {
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
