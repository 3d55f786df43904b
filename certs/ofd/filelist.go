package ofd

import (
	"context"
	"errors"

	"oncegate/certs/sm"
	"oncegate/check"
)

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

// own says whether the file is the list or its signature.
func (e *docEntries) own(file string) bool {
	return e != nil && (file == fileList || file == e.value)
}

// fileList judges the list: the package has its files and no others, and somebody signed it.
func (v *verification) fileList(ctx context.Context, e *docEntries) ([]check.Step, error) {
	switch {
	case e == nil:
		return nil, nil
	case e.fault != "":
		return []check.Step{failed(StepList, e.fault)}, nil
	}
	steps := []check.Step{v.stepList(e)}
	if e.value == "" {
		return append(steps, failed(StepListSigned, "The signature of OFDEntries.xml is not in the package.")), nil
	}
	value, err := v.readValue(ctx, e.value)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Step == StepXML:
		return append(steps, failed(StepListSigned, refusal.Reason)), nil
	case err != nil:
		return nil, err
	case v.judges.CMS == nil:
		return append(steps, notCheckable(StepListSigned, "Nobody here can judge the signature value.")), nil
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
	return append(steps, notCheckable(StepListContent,
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
