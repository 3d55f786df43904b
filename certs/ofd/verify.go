package ofd

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"oncegate/license"
)

// verification is the work of one [Package.Verify].
type verification struct {
	*Package
	digests digests
	judges  Judges
	left    int64 // bytes of Signature.xml that may still be read
}

// Verify judges the package and its signatures. Broken files are failed steps; the error is the reader's, or ctx's.
func (p *Package) Verify(ctx context.Context, j Judges) (Report, error) {
	v := &verification{p, digests{p, make(map[digestKey][]byte)}, j, MaxDescriptions}
	report := Report{Steps: []license.Step{ok(StepPackage), ok(StepUnique)}}
	list, err := p.readList()
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		report.Steps = append(report.Steps, failed(refusal.Step, refusal.Reason))
		return report, nil
	case err != nil:
		return Report{}, err
	}
	report.Steps = append(report.Steps, ok(StepXML), ok(StepDocument))
	report.Steps = append(report.Steps, p.stepExpires(j.Now)...)
	report.Steps = append(report.Steps, p.stepSigned(list))

	all := make([]*signed, len(list))
	for i, l := range list {
		if err := ctx.Err(); err != nil {
			return Report{}, fmt.Errorf("verify ofd package: %w", err)
		}
		s, one, err := v.signature(ctx, l)
		if err != nil {
			return Report{}, err
		}
		all[i] = s
		report.Signatures = append(report.Signatures, one)
	}
	entries, err := v.readFileList()
	if err != nil {
		return Report{}, err
	}
	v.extents(all, report.Signatures)
	report.Steps = append(report.Steps, v.coverage(all, report.Signatures, entries))
	steps, err := v.fileList(ctx, entries)
	if err != nil {
		return Report{}, err
	}
	report.Steps = append(report.Steps, steps...)
	return report, nil
}

// stepSigned says how many signatures there are.
func (p *Package) stepSigned(list []listed) license.Step {
	switch {
	case p.signaturesLost:
		return failed(StepSigned, "The list of signatures that OFD.xml leads to is not in the package.")
	case len(list) == 0:
		return failed(StepSigned, "The document has no signature.")
	}
	return ok(StepSigned)
}

// signature judges one signature. The signed is nil when it cannot be read.
func (v *verification) signature(ctx context.Context, l listed) (*signed, Signature, error) {
	one := Signature{ID: l.id, Type: l.kind}
	form := func(reason string) (*signed, Signature, error) {
		one.Steps = []license.Step{failed(StepForm, reason)}
		return nil, one, nil
	}
	if l.path == "" {
		return form("The Signature.xml of the signature is not in the package.")
	}
	if l.kind != typeSeal && l.kind != typeSign {
		return form("The signature is of an unknown type.")
	}
	s, err := v.readSigned(l, min(MaxXML, v.left))
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return form(sentence(refusal.Reason))
	case err != nil:
		return nil, one, err
	}
	v.left -= int64(len(s.raw))
	one.Provider = s.provider
	if s.value == "" {
		one.Steps = append(one.Steps, failed(StepForm, "The SignedValue.dat of the signature is not in the package."))
	} else {
		one.Steps = append(one.Steps, ok(StepForm))
	}
	steps, err := v.references(s)
	if err != nil {
		return nil, one, err
	}
	one.Steps = append(one.Steps, steps...)
	if s.value != "" {
		if err := v.value(ctx, s, &one); err != nil {
			return nil, one, err
		}
	}
	if s.kind == typeSeal {
		one.Steps = append(one.Steps, v.stamps(s))
	}
	return s, one, nil
}

// references compares the digests of the files that a signature covers.
func (v *verification) references(s *signed) ([]license.Step, error) {
	m, known := methodOf(s.checkMethod)
	if !known {
		return []license.Step{notCheckable(StepMethod, "The digest of the References is not known."),
			notCheckable(StepMissing, "The digest of the References is not known."),
			notCheckable(StepReferences, "The digest of the References is not known.")}, nil
	}
	method := ok(StepMethod)
	if m.weak {
		method = failed(StepMethod, "The References use "+m.name+", which no longer proves that a file is unchanged.")
	}
	v.digests.ahead(s.paths(), m)
	var missing, changed names
	for _, r := range s.references {
		if r.path == "" {
			missing.add(r.name)
			continue
		}
		sum, err := v.digests.of(r.path, m)
		var refusal *Refusal
		switch {
		case errors.As(err, &refusal):
			changed.add(r.path)
		case err != nil:
			return nil, err
		case subtle.ConstantTimeCompare(sum, r.value) != 1:
			changed.add(r.path)
		}
	}
	references := changed.step(StepReferences, "Changed since it was signed")
	if len(s.references) == 0 {
		references = failed(StepReferences, "The signature covers no file.")
	}
	return []license.Step{method, missing.step(StepMissing, "Signed, but not in the package"), references}, nil
}

// stamps looks whether the seal shows on pages of the document.
func (v *verification) stamps(s *signed) license.Step {
	if len(s.stamps) == 0 {
		return failed(StepStamp, "The seal shows on no page.")
	}
	pages := make(map[string]bool, len(v.pages))
	for _, p := range v.pages {
		pages[p.id] = true
	}
	for _, a := range s.stamps {
		switch {
		case !pages[a.page]:
			return failed(StepStamp, "The seal is stamped on a page that the document does not have.")
		case a.boundary == nil || a.boundary.W <= 0 || a.boundary.H <= 0 || a.clipped && a.clip == nil:
			return failed(StepStamp, "The place of the seal cannot be read.")
		}
	}
	if len(s.stamps) > 1 {
		return license.Step{Name: StepStamp, State: license.OK, Reason: fmt.Sprintf("The seal shows in %d places.", len(s.stamps))}
	}
	return ok(StepStamp)
}
