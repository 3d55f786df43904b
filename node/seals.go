package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/check"
	"oncegate/fault"
	"oncegate/sheet"
)

// sealKey finds the key that uses a department's seal: of the keys that the configuration means, the newest on the seal's list of
// signers, so that a key which was rotated serves until the seal maker has made a seal for the new one. Without a seal it is the
// key that the next seal is to be made for.
func sealKey(keys *keystore.Store, d Department, made *seal.Seal) (found keystore.Info, err error) {
	err = fs.ErrNotExist
	for _, k := range keys.List() { // oldest first
		if k.Usage != keystore.Seal || k.Algorithm != keystore.SM2 {
			continue
		}
		own := d.Seal.Key == CurrentKey && k.Owner == d.USCC && (made != nil || k.State == keystore.Current)
		listed := made == nil || len(k.Chain) > 0 && made.Signers.Has(k.Chain[0])
		if (own || d.Seal.Key == k.ID) && listed {
			found, err = k, nil
		}
	}
	return found, err
}

// checkSeal holds a department's seal against its key, the anchors and the calendar.
func (l *loader) checkSeal(at string, d Department) {
	if d.Seal == (DepartmentSeal{}) {
		return
	}
	if d.Seal.Key == "" || d.Seal.ESL == "" {
		l.doc.Add(at, "a seal has a key that uses it and a file (esl)")
		return
	}
	if _, err := sealKey(l.setup.Keys, d, nil); err != nil {
		l.doc.Add(at+".key", "the keystore has no seal key %q for department %s; oncegate init makes what is missing", fault.Clip(d.Seal.Key), d.ID)
		return
	}
	if _, err := os.Stat(d.Seal.ESL); errors.Is(err, fs.ErrNotExist) {
		l.doc.Warn(at+".esl", "%s is not there: licenses of %s have no document form; oncegate init makes a seal for trying things out", l.relative(d.Seal.ESL), d.ID)
		return
	}
	data, ok := l.bytes(at+".esl", d.Seal.ESL)
	if !ok {
		return
	}
	s, err := seal.ParseSeal(data)
	if err != nil {
		l.doc.Add(at+".esl", "%s: %v", l.relative(d.Seal.ESL), err)
		return
	}
	k, err := sealKey(l.setup.Keys, d, s)
	if err != nil {
		l.doc.Add(at+".esl", "the seal is not for the key that is to use it: its list of signers has another certificate")
		return
	}
	if d.Seal.Key == CurrentKey && k.State != keystore.Current {
		l.doc.Warn(at+".esl", "the seal is for a key that was rotated, %s: ask the seal maker for one for the new key", k.ID)
	}
	l.checkOwnChain(at+".key", k, pki.Seal, d.USCC)
	if certs, err := pki.ParseChain(k.Chain); err == nil && len(certs) > 0 && l.sealHolds(at+".esl", s, certs) {
		l.setup.Seals[d.USCC] = s
	}
}

// sealHolds judges a seal that the key of a chain is to use. One that is out of its dates is a warning: its department's
// licenses have no document form until there is a new one.
func (l *loader) sealHolds(at string, s *seal.Seal, chain []*pki.Certificate) bool {
	trust, err := pki.NewVerifier(pki.Trust{Anchors: slices.Concat(l.setup.Anchors, l.setup.SealAnchors), Known: l.setup.Known, Usages: l.setup.Usages, Confirm: confirm})
	if err != nil {
		return true // the anchors have their own faults
	}
	holds := true
	report := s.Verify(context.Background(), seal.Expect{
		Trust: trust, Intermediates: slices.Concat(chain[1:], l.setup.Authorities), Now: l.now, Verify: confirm,
	})
	for _, step := range report.Steps {
		if step.State != check.Failed {
			continue
		}
		l.doc.Add(at, "the seal does not hold: %s: %s", step.Name, step.Reason)
		late := step.Name == seal.StepPeriod || step.Name == seal.StepPeriodNow
		l.faults[len(l.faults)-1].Warning = late
		holds = holds && late
	}
	return holds
}

// IssueSeal makes sure that a department has a current seal key in the keystore, with a certificate.
func (a *Authority) IssueSeal(ctx context.Context, keys *keystore.Store, d Department) (keystore.Info, error) {
	return a.certify(ctx, keys, keystore.Purpose{Usage: keystore.Seal, Owner: d.USCC, Algorithm: keystore.SM2}, d, d.Name)
}

// MakeSeal makes a department's seal for the key of a chain, with a seal maker (制章者) of the authority's own, whose key lies
// beside the authority's. It is for trying things out: a real seal comes from the licensed seal maker (公安机关备案的印章制作单位).
func (a *Authority) MakeSeal(ctx context.Context, operator, d Department, chain [][]byte) (*seal.Seal, error) {
	made, err := a.makeSeal(ctx, operator, d, chain)
	if err != nil {
		return nil, fmt.Errorf("make seal of %s: %w", d.ID, err)
	}
	return made, nil
}

func (a *Authority) makeSeal(ctx context.Context, operator, d Department, chain [][]byte) (*seal.Seal, error) {
	k, err := a.certify(ctx, a.keys, keystore.Purpose{Usage: pki.SealMaker, Algorithm: keystore.SM2}, operator, operator.Name+" 印章制作")
	if err != nil {
		return nil, err
	}
	maker, err := pki.ParseChain(k.Chain)
	if err != nil {
		return nil, err
	}
	signer, err := a.keys.SignerByID(k.ID)
	if err != nil {
		return nil, err
	}
	certs, err := pki.ParseChain(chain)
	if err != nil {
		return nil, err
	}
	picture, err := drawSeal(d.Name)
	if err != nil {
		return nil, err
	}
	now := a.now().UTC().Truncate(time.Second)
	to := certs[0].NotAfter
	if end := maker[0].NotAfter; end.Before(to) {
		to = end
	}
	return seal.Make(ctx, seal.Maker{Signer: signer, Certificate: maker[0], Now: a.now, Confirm: confirm}, seal.Spec{
		ID: fmt.Sprintf("%s-%d", d.USCC, now.Unix()), Name: d.Name + sealLine, From: now, To: to.UTC().Truncate(time.Second),
		Signers: certs[:1], Picture: picture,
	})
}

// sealLine stands under the star.
const sealLine = "电子证照专用章"

// drawSeal draws a round seal in the first font that has every character of the name.
func drawSeal(name string) (seal.Picture, error) {
	var missing error
	for _, font := range []string{sheet.Song, sheet.Hei} {
		data, err := sheet.Font(font)
		if err != nil {
			return seal.Picture{}, err
		}
		png, err := sheet.DrawSeal(sheet.SealDrawing{Name: name, Line: sealLine, Font: data})
		if !errors.Is(err, sheet.ErrSealGlyph) {
			return seal.Picture{Data: png, Width: sheet.SealDiameter, Height: sheet.SealDiameter}, err
		}
		missing = err
	}
	return seal.Picture{}, missing
}
