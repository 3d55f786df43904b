package ofd

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"oncegate/check"
)

// verification is the work of one [Package.Verify].
type verification struct {
	*Package
	budget  *budget
	digests digests
	judges  Judges
}

// Verify judges the package and its signatures within the bounds of its work. Broken files are failed steps; the error is the reader's, or ctx's.
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

// verify reads the descriptions of all signatures, then every file of the package once, and then has the values judged. The
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
	report.Steps = []check.Step{ok(StepPackage), ok(StepUnique), ok(StepXML), ok(StepDocument)}
	report.Steps = append(report.Steps, v.stepExpires(v.judges.Now, metadata)...)
	report.Steps = append(report.Steps, v.stepSigned(list), v.coverage(all, judged, entries))
	report.Steps = append(report.Steps, metadata...)
	steps, err := v.fileList(ctx, entries)
	report.Steps = append(report.Steps, steps...)
	return report, err
}

// stepSigned says how many signatures there are.
func (p *Package) stepSigned(list []listed) check.Step {
	switch {
	case p.signaturesLost:
		return failed(StepSigned, "The list of signatures that OFD.xml leads to is not in the package.")
	case len(list) == 0:
		return failed(StepSigned, "The document has no signature.")
	}
	return ok(StepSigned)
}

// describe reads what a signature says it covers, out of at most left bytes. The signed is nil when it cannot be read; then
// the signature has its only step.
func (v *verification) describe(ctx context.Context, l listed, left *int64) (*signed, Signature, error) {
	one := Signature{ID: l.id, Type: l.kind}
	form := func(reason string) (*signed, Signature, error) {
		one.Steps = []check.Step{failed(StepForm, reason)}
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

// signature judges one signature.
func (v *verification) signature(ctx context.Context, s *signed, one *Signature) error {
	if s.value == "" {
		one.Steps = append(one.Steps, failed(StepForm, "The SignedValue.dat of the signature is not in the package."))
	} else {
		one.Steps = append(one.Steps, ok(StepForm))
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
		return []check.Step{notCheckable(StepMethod, "The digest of the References is not known."),
			notCheckable(StepMissing, "The digest of the References is not known."),
			notCheckable(StepReferences, "The digest of the References is not known.")}, nil
	}
	method := ok(StepMethod)
	if m.weak {
		method = failed(StepMethod, "The References use "+m.name+", which no longer proves that a file is unchanged.")
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
		references = failed(StepReferences, "The signature covers no file.")
	}
	return []check.Step{method, missing.step(StepMissing, "Signed, but not in the package"), references}, nil
}
