package ofd

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"oncegate/certs/cms"
	"oncegate/certs/seal"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/sheet"
)

// verification is the work of one [Package.Verify].
type verification struct {
	*Package
	budget  *budget
	digests digests
	judges  Judges
}

// Verify verifies the package and its signatures within the bounds of its budget. Broken files are failed steps; the error is the reader's, or ctx's.
func (p *Package) Verify(ctx context.Context, j Judges) (Report, error) {
	v := &verification{Package: p, budget: p.left.clone(), judges: j}
	report, err := v.verify(ctx)
	if err != nil {
		return refused(err)
	}
	return report, nil
}

// refused is the report of a package that is not read further; other errors are passed on.
func refused(err error) (Report, error) {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return Report{Steps: []check.Step{refusal.Taken()}}, nil
	}
	return Report{}, err
}

// verify reads the descriptions of all signatures, then every file of the package once, and then verifies the values. The
// error is a Refusal when the package as a whole is refused.
func (v *verification) verify(ctx context.Context) (Report, error) {
	list, err := v.readList(ctx, v.budget)
	if err != nil {
		return Report{}, err
	}
	all, judged := make([]*signed, len(list)), make([]Signature, len(list))
	want := wants{make(map[string][]method), make(map[string]bool)}
	left := int64(MaxDescriptions)
	for i, l := range list {
		if all[i], judged[i], err = v.describe(ctx, l, &left); err != nil {
			return Report{}, err
		}
		if all[i] != nil {
			all[i].wants(want)
			for _, a := range all[i].stamps {
				if page, known := v.pageIDs[a.page]; known {
					want.content[v.pages[page].path] = true
				}
			}
		}
	}
	entries, err := v.readFileList(ctx, v.budget)
	if err != nil {
		return Report{}, err
	}
	if entries != nil {
		want.content[entries.value] = true
	}
	if v.digests, err = v.contents(ctx, want, v.budget); err != nil {
		return Report{}, err
	}
	for i, s := range all {
		if err := ctx.Err(); err != nil {
			return Report{}, fmt.Errorf("verify ofd package: %w", err)
		}
		if s != nil {
			if err := v.signature(ctx, s, &judged[i]); err != nil {
				return Report{}, err
			}
		}
	}
	if err := v.stampAreas(ctx, all, judged); err != nil {
		return Report{}, err
	}
	if err := v.extents(ctx, all, judged); err != nil {
		return Report{}, err
	}
	report := Report{Signatures: judged}
	metadata := v.stepMetadata(all, judged)
	report.Steps = []check.Step{check.Pass(StepPackage, ""), check.Pass(StepUnique, ""), check.Pass(StepXML, ""), check.Pass(StepDocument, "")}
	report.Steps = append(report.Steps, v.stepExpires(v.judges.Now, metadata)...)
	report.Steps = append(report.Steps, v.stepSigned(list), v.coverage(all, judged, entries))
	report.Steps = append(report.Steps, metadata...)
	steps, err := v.fileList(ctx, entries)
	report.Steps = append(report.Steps, steps...)
	return report, err
}

// stepSigned counts signatures there are.
func (p *Package) stepSigned(list []listed) check.Step {
	switch {
	case p.signaturesLost:
		return check.Fail(StepSigned, "The list of signatures that OFD.xml leads to is not in the package.")
	case len(list) == 0:
		return check.Fail(StepSigned, "The document has no signature.")
	}
	return check.Pass(StepSigned, "")
}

// describe reads what a signature says it covers, out of at most left bytes. The signed is nil when it cannot be read; then
// the signature has its only step.
func (v *verification) describe(ctx context.Context, l listed, left *int64) (*signed, Signature, error) {
	one := Signature{ID: l.id, Type: l.kind}
	form := func(reason string) (*signed, Signature, error) {
		one.Steps = []check.Step{check.Fail(StepForm, sentence(reason))}
		return nil, one, nil
	}
	if l.path == "" {
		return form("The Signature.xml of the signature is not in the package.")
	}
	if l.kind != typeSeal && l.kind != typeSign {
		return form("The signature is of an unknown type.")
	}
	s, err := v.readSigned(ctx, l, min(MaxXML, *left), v.budget)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal) && (refusal.Step == StepXML || refusal.Step == StepForm):
		return form(refusal.Reason)
	case err != nil:
		return nil, one, err
	}
	*left -= int64(len(s.raw))
	one.Provider = s.provider
	return s, one, nil
}

// signature verifies one signature.
func (v *verification) signature(ctx context.Context, s *signed, one *Signature) error {
	if s.value == "" {
		one.Steps = append(one.Steps, check.Fail(StepForm, "The SignedValue.dat of the signature is not in the package."))
	} else {
		one.Steps = append(one.Steps, check.Pass(StepForm, ""))
	}
	steps, err := v.references(ctx, s)
	if err != nil {
		return err
	}
	one.Steps = append(one.Steps, steps...)
	if s.value != "" {
		if err := v.value(ctx, s, one); err != nil {
			return err
		}
	}
	if s.kind == typeSeal {
		one.Steps = append(one.Steps, v.stamps(s))
	}
	return nil
}

// references compares the digests of the files that a signature covers.
func (v *verification) references(ctx context.Context, s *signed) ([]check.Step, error) {
	m, known := methodOf(s.checkMethod)
	if !known {
		return []check.Step{check.CannotCheck(StepMethod, "The digest of the References is not known."),
			check.CannotCheck(StepMissing, "The digest of the References is not known."),
			check.CannotCheck(StepReferences, "The digest of the References is not known.")}, nil
	}
	method := check.Pass(StepMethod, "")
	if m.weak {
		method = check.Fail(StepMethod, "The References use "+m.name+", which no longer proves that a file is unchanged.")
	}
	var missing, changed names
	for i, r := range s.references {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, fmt.Errorf("verify ofd package: %w", ctx.Err())
		}
		switch sum := v.digests[digestKey{r.path, m.name}]; {
		case r.path == "":
			missing.add(r.name)
		case subtle.ConstantTimeCompare(sum, r.value) != 1 || len(sum) == 0:
			changed.add(r.path)
		}
	}
	references := changed.step(StepReferences, "Changed since it was signed")
	if len(s.references) == 0 {
		references = check.Fail(StepReferences, "The signature covers no file.")
	}
	return []check.Step{method, missing.step(StepMissing, "Signed, but not in the package"), references}, nil
}

// MaxValue bounds a SignedValue.dat or Seal.esl in bytes: a seal in use has 3–200 kB.
const MaxValue = 2 << 20

// readValue reads a signature value for its verifier.
func (v *verification) readValue(ctx context.Context, at string) ([]byte, error) {
	if e := v.find(at); e != nil && e.size <= MaxValue {
		if err := v.budget.spend(e.size * workPerValue); err != nil {
			return nil, err
		}
	}
	return v.read(ctx, at, MaxValue, v.budget)
}

// value verifies the signature value.
func (v *verification) value(ctx context.Context, s *signed, one *Signature) error {
	value, err := v.readValue(ctx, s.value)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Step == StepXML:
		one.Steps = append(one.Steps, check.Fail(StepForm, sentence(refusal.Reason)))
		return nil
	case err != nil:
		return err
	}
	digest := sm.Digest(s.raw)
	var proof Proof
	switch {
	case s.kind == typeSeal && v.judges.Seal != nil:
		proof = v.judges.Seal(ctx, value, digest[:], s.path)
	case s.kind == typeSign && v.judges.CMS != nil:
		proof = v.judges.CMS(ctx, value, digest[:])
	default:
		proof.Steps = []check.Step{check.CannotCheck(StepContent, "No verifier for the signature value was given.")}
	}
	one.Signer, one.USCC, one.SealName, one.Time, one.Proven = proof.Signer, proof.USCC, proof.SealName, proof.Time, proof.Proven
	one.Steps = append(one.Steps, proof.Steps...)
	switch s.kind {
	case typeSign:
		if v.judges.CMS != nil {
			one.Steps = append(one.Steps, stepContent(proof, digest[:], s.raw))
		}
	case typeSeal:
		step, err := v.sealFile(ctx, s, proof.Seal)
		if err != nil {
			return err
		}
		one.Steps = append(one.Steps, step)
	}
	return nil
}

// stepContent reports whether what SignedData carries is the signature's description. The standard has its digest; vendors
// also sign the digest in base64, or the file itself. Without content inside, the judge was given the digest, and what it says
// of the signature holds for that.
func stepContent(proof Proof, digest, raw []byte) check.Step {
	content := proof.Content
	switch {
	case content == nil && !holds(proof.Steps):
		return check.CannotCheck(StepContent, "The signature does not hold: what was signed is not known.")
	case content == nil, bytes.Equal(content, digest), bytes.Equal(content, raw),
		string(content) == base64.StdEncoding.EncodeToString(digest):
		return check.Pass(StepContent, "")
	}
	return check.Fail(StepContent, "What was signed is not the Signature.xml of the package.")
}

// sealFile compares Seal.esl with the seal inside the value.
func (v *verification) sealFile(ctx context.Context, s *signed, inside []byte) (check.Step, error) {
	if s.sealFile == "" {
		return check.Pass(StepSealFile, "The package has no Seal.esl, as the standard allows; the seal inside the signature value counts."), nil
	}
	file, err := v.read(ctx, s.sealFile, MaxValue, v.budget)
	var refusal *Refusal
	switch {
	case errors.Is(err, errMissing):
		return check.CannotCheck(StepSealFile, "The Seal.esl that the signature names is not in the package; the seal inside the signature value counts."), nil
	case errors.As(err, &refusal) && refusal.Step == StepXML:
		return check.Fail(StepSealFile, sentence(refusal.Reason)), nil
	case err != nil:
		return check.Step{}, err
	case inside == nil:
		return check.CannotCheck(StepSealFile, "The seal inside the signature value is not known."), nil
	case !bytes.Equal(file, inside):
		return check.Fail(StepSealFile, "Seal.esl is not the seal inside the signature value."), nil
	}
	return check.Pass(StepSealFile, ""), nil
}

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
			p.Steps = []check.Step{check.Fail(StepContent, "The signature has no signer.")}
		}
		return p
	}
}
