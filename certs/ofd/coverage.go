package ofd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"oncegate/certs/sm"
	"oncegate/check"
)

// extents adds to each signature whether it covers every file that is not of a signature. A file that came later and is
// under another signature is no fault of this one.
func (v *verification) extents(ctx context.Context, all []*signed, judged []Signature) error {
	own := ofSignatures(all)
	for i, s := range all {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("verify ofd package: %w", err)
		}
		if s == nil {
			continue
		}
		mine := covered(s)
		outside := 0
		for _, f := range v.Files() {
			if f != v.signatures && f != fileList && !mine[f] && !own[f] {
				outside++
			}
		}
		step := check.Pass(StepExtent, "")
		switch {
		case outside > 0:
			step = check.CannotCheck(StepExtent, "Files of the package are outside of this signature; whether another one covers them stands with the document.")
		case !compared(judged[i].Steps):
			step = check.CannotCheck(StepExtent, "The signature names every file, but whether they are as it signed them was not found out.")
		}
		judged[i].Steps = append(judged[i].Steps, step)
	}
	return nil
}

// coverage names the files that are under no signature: smuggled in after signing (夹带). Only signatures that hold count;
// when none does, all count, so that a file outside of everything is still named. It is ok when every file is under a
// signature whose value was verified and whose files were compared.
func (v *verification) coverage(all []*signed, judged []Signature, list *docEntries) check.Step {
	if len(all) == 0 {
		return check.CannotCheck(StepCoverage, "Without a signature no file is covered.")
	}
	pick := func(counts func([]check.Step) bool) (some []*signed) {
		for i, s := range all {
			if s != nil && counts(judged[i].Steps) {
				some = append(some, s)
			}
		}
		return some
	}
	proving, holding := pick(proves), pick(holds)
	if len(proving) > 0 {
		if outside, _ := v.outside(proving, list); outside.count == 0 {
			return check.Pass(StepCoverage, "")
		}
	}
	counting := holding
	if len(holding) == 0 {
		counting = pick(func([]check.Step) bool { return true })
	}
	smuggled, rootOutside := v.outside(counting, list)
	switch {
	case smuggled.count == 1 && rootOutside:
		return check.CannotCheck(StepCoverage, "OFD.xml is under no signature, as some makers leave it: its metadata prove nothing.")
	case smuggled.count > 0:
		return smuggled.step(StepCoverage, "Not covered by any signature")
	case len(holding) == 0:
		return check.CannotCheck(StepCoverage, "Every file is covered, but by no signature that holds.")
	}
	return check.CannotCheck(StepCoverage, "Every file is covered, but not by signatures that could be judged in full.")
}

// outside are the files that none of the signatures covers or owns, and whether OFD.xml is one.
func (v *verification) outside(some []*signed, list *docEntries) (out names, root bool) {
	under := ofSignatures(some)
	for _, s := range some {
		for _, r := range s.references {
			under[r.path] = true
		}
	}
	for _, f := range v.Files() {
		if f != v.signatures && !under[f] && !list.own(f) {
			out.add(f)
			root = root || f == rootFile
		}
	}
	return out, root
}

// stepMetadata reports whether the files that the metadata come from are under one signature that proves them; nothing when
// there are no metadata.
func (v *verification) stepMetadata(all []*signed, judged []Signature) []check.Step {
	if len(v.Data()) == 0 {
		return nil
	}
	for i, s := range all {
		if s == nil || !proves(judged[i].Steps) {
			continue
		}
		mine := covered(s)
		if !slices.ContainsFunc(v.dataIn(), func(f string) bool { return !mine[f] }) {
			return []check.Step{check.Pass(StepMetadata, "")}
		}
	}
	return []check.Step{check.CannotCheck(StepMetadata, "The metadata stand in a file that is under no signature that holds: they prove nothing.")}
}

// covered is the set of files that a signature's References name.
func covered(s *signed) map[string]bool {
	set := make(map[string]bool, len(s.references))
	for _, r := range s.references {
		set[r.path] = true
	}
	return set
}

// ofSignatures are the files that belong to signatures.
func ofSignatures(some []*signed) map[string]bool {
	own := make(map[string]bool)
	for _, s := range some {
		if s == nil {
			continue
		}
		own[s.path], own[s.value] = true, true
		if s.kind == typeSeal {
			own[s.sealFile] = true
		}
	}
	return own
}

// holds reports whether no step failed.
func holds(steps []check.Step) bool {
	return !slices.ContainsFunc(steps, func(s check.Step) bool { return s.State == check.Failed })
}

// proves reports whether no step failed, the files were compared, and the value was verified.
func proves(steps []check.Step) bool {
	return holds(steps) && compared(steps) && !slices.ContainsFunc(steps, func(s check.Step) bool {
		return s.Name == StepContent && s.State != check.OK
	})
}

// compared reports whether the files could be compared with what was signed.
func compared(steps []check.Step) bool {
	return slices.ContainsFunc(steps, func(s check.Step) bool { return s.Name == StepReferences && s.State != check.NotCheckable })
}

// fileList is the integrity description of GM/T 0099-2020.
const fileList = "/OFDEntries.xml"

// docEntries is its content: which files a package has, and where the signature over the list lies.
type docEntries struct {
	raw   []byte
	value string // path; empty when it is not in the package
	files []string
	fault string // why it cannot be read; empty when it can
}

// readFileList reads OFDEntries.xml; nil when the package has none.
func (p *Package) readFileList(ctx context.Context, b *budget) (*docEntries, error) {
	raw, err := p.read(ctx, fileList, MaxXML, b)
	if errors.Is(err, errMissing) {
		return nil, nil
	}
	var root *node
	if err == nil {
		root, err = parseTree(ctx, fileList, raw, b)
	}
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Step == StepXML:
		return &docEntries{fault: refusal.Reason}, nil
	case err != nil:
		return nil, err
	}
	e := &docEntries{raw: raw}
	if root.name != "DocEntries" || root.child("FileList") == nil {
		e.fault = "OFDEntries.xml has no list of files"
		return e, nil
	}
	e.value, _ = p.locate(fileList, root.value("SignedValueLoc"))
	for f := range root.child("FileList").all("File") {
		if err := b.spend(workPerRef); err != nil {
			return nil, err
		}
		e.files = append(e.files, f.attr("FileLoc"))
	}
	return e, nil
}

// own reports whether the file is the list or its signature.
func (e *docEntries) own(file string) bool {
	return e != nil && (file == fileList || file == e.value)
}

// fileList verifies the list: the package has its files and no others, and the list is signed.
func (v *verification) fileList(ctx context.Context, e *docEntries) ([]check.Step, error) {
	switch {
	case e == nil:
		return nil, nil
	case e.fault != "":
		return []check.Step{check.Fail(StepList, sentence(e.fault))}, nil
	}
	steps := []check.Step{v.stepList(e)}
	if e.value == "" {
		return append(steps, check.Fail(StepListSigned, "The signature of OFDEntries.xml is not in the package.")), nil
	}
	value, err := v.readValue(ctx, e.value)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Step == StepXML:
		return append(steps, check.Fail(StepListSigned, sentence(refusal.Reason))), nil
	case err != nil:
		return nil, err
	case v.judges.CMS == nil:
		return append(steps, check.CannotCheck(StepListSigned, "No verifier for the signature value was given.")), nil
	}
	digest := sm.Digest(e.raw)
	proof := v.judges.CMS(ctx, value, digest[:])
	signedStep := stepContent(proof, digest[:], e.raw)
	signedStep.Name = StepListSigned
	if signedStep.State == check.Failed {
		signedStep.Reason = "What was signed is not the OFDEntries.xml of the package."
	}
	steps = append(steps, signedStep)
	steps = append(steps, proof.Steps...)
	return append(steps, check.CannotCheck(StepListContent,
		"OFDEntries.xml lists names, not digests: that the files are unchanged is proven by signatures only.")), nil
}

// stepList compares the list with the package.
func (v *verification) stepList(e *docEntries) check.Step {
	named := make(map[string]bool, len(e.files))
	var missing, smuggled names
	for _, f := range e.files {
		at, err := v.locate(fileList, f)
		if err != nil {
			missing.add(f)
		}
		named[at] = true
	}
	for _, f := range v.Files() {
		if !named[f] && !e.own(f) {
			smuggled.add(f)
		}
	}
	if smuggled.count > 0 {
		return smuggled.step(StepList, "In the package, but not in OFDEntries.xml")
	}
	return missing.step(StepList, "In OFDEntries.xml, but not in the package")
}
