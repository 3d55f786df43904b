package ofd

import (
	"context"
	"strings"
	"time"

	"oncegate/certs/cms"
	"oncegate/certs/seal"
	"oncegate/check"
	"oncegate/sheet"
)

// SealWith seals as a holder does.
func SealWith(h seal.Holder) SealFunc {
	return func(ctx context.Context, digest [32]byte, path string) ([]byte, []byte, error) {
		s, err := seal.Sign(ctx, h, digest, path)
		if err != nil {
			return nil, nil, err
		}
		return s.Raw, s.Seal.Raw, nil
	}
}

// SignWith signs with one identity. Other readers expect what cms.Config{Bare: true} makes; with the content inside.
func SignWith(c cms.Config, by cms.Identity) SignFunc {
	return func(ctx context.Context, content []byte) ([]byte, error) {
		return cms.Sign(ctx, c, content, by)
	}
}

// Stamps are the places that pages have for a seal, in order.
func Stamps(pages ...*sheet.Page) []Stamp {
	var stamps []Stamp
	for i, p := range pages {
		if p.Seal != nil {
			stamps = append(stamps, Stamp{Page: i, Box: *p.Seal})
		}
	}
	return stamps
}

// JudgeSeal judges seals as package seal does; e's DataHash and PropertyInfo are set for each.
func JudgeSeal(e seal.Expect) func(ctx context.Context, value, digest []byte, path string) Proof {
	return func(ctx context.Context, value, digest []byte, path string) Proof {
		e := e
		e.DataHash, e.PropertyInfo = digest, path
		r := seal.Verify(ctx, value, e)
		p := Proof{Signer: r.Signer.Organization, USCC: r.Signer.USCC, SealName: r.SealName, Time: r.Time, Proven: r.Stamped, Steps: r.Steps}
		if r.Signature != nil && r.Signature.Seal != nil {
			p.Seal = r.Signature.Seal.Raw
		}
		return p
	}
}

// JudgeCMS judges SignedData as package cms does.
func JudgeCMS(v *cms.Verifier) func(ctx context.Context, signedData, content []byte) Proof {
	return func(ctx context.Context, signedData, content []byte) Proof {
		m, err := cms.Parse(signedData)
		if err != nil {
			return Proof{Steps: v.Verify(ctx, signedData, content, time.Time{}).Steps}
		}
		v := *v
		if v.Digest = content; !m.Detached {
			content = nil
		}
		r := v.Judge(ctx, m, content, time.Time{})
		p := Proof{Content: m.Content, Steps: r.Steps}
		if m.Detached {
			p.Content = nil
		}
		var signers []string
		for i, s := range r.Signers {
			if i == 0 {
				p.Time, p.USCC = s.Time, s.Leaf.USCC
			}
			if s.Certificate != nil && len(s.Certificate.Subject.Organization) > 0 {
				signers = append(signers, s.Certificate.Subject.Organization[0])
			}
		}
		p.Signer = strings.Join(signers, ", ")
		if len(p.Steps) == 0 {
			p.Steps = []check.Step{failed(StepContent, "The signature has no signer.")}
		}
		return p
	}
}
