package ofd

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"oncegate/certs/sm"
	"oncegate/license"
)

// MaxValue bounds a SignedValue.dat or Seal.esl in bytes: a seal in use has 3–200 kB.
const MaxValue = 2 << 20

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

// value has the signature value judged.
func (v *verification) value(ctx context.Context, s *signed, one *Signature) error {
	value, err := v.read(s.value, MaxValue)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		one.Steps = append(one.Steps, failed(StepForm, sentence(refusal.Reason)))
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
		proof.Steps = []license.Step{notCheckable(StepContent, "Nobody here can judge the signature value.")}
	}
	one.Signer, one.SealName, one.Time = proof.Signer, proof.SealName, proof.Time
	one.Steps = append(one.Steps, proof.Steps...)
	switch s.kind {
	case typeSign:
		if v.judges.CMS != nil {
			one.Steps = append(one.Steps, stepContent(proof.Content, digest[:], s.raw))
		}
	case typeSeal:
		step, err := v.sealFile(s, proof.Seal)
		if err != nil {
			return err
		}
		one.Steps = append(one.Steps, step)
	}
	return nil
}

// stepContent says whether what SignedData carries is the signature's description. The standard has its digest; vendors
// also sign the digest in base64, or the file itself. Without content inside, the judge was given the digest.
func stepContent(content, digest, raw []byte) license.Step {
	if content == nil || bytes.Equal(content, digest) || bytes.Equal(content, raw) ||
		string(content) == base64.StdEncoding.EncodeToString(digest) {
		return ok(StepContent)
	}
	return failed(StepContent, "What was signed is not the Signature.xml of the package.")
}

// sealFile compares Seal.esl with the seal inside the value.
func (v *verification) sealFile(s *signed, inside []byte) (license.Step, error) {
	if s.sealFile == "" {
		return license.Step{Name: StepSealFile, State: license.OK, Reason: "The package has no Seal.esl, as the standard allows; the seal inside the signature value counts."}, nil
	}
	file, err := v.read(s.sealFile, MaxValue)
	var refusal *Refusal
	switch {
	case errors.Is(err, errMissing):
		return notCheckable(StepSealFile, "The Seal.esl that the signature names is not in the package; the seal inside the signature value counts."), nil
	case errors.As(err, &refusal):
		return failed(StepSealFile, sentence(refusal.Reason)), nil
	case err != nil:
		return license.Step{}, err
	case inside == nil:
		return notCheckable(StepSealFile, "The seal inside the signature value is not known."), nil
	case !bytes.Equal(file, inside):
		return failed(StepSealFile, "Seal.esl is not the seal inside the signature value."), nil
	}
	return ok(StepSealFile), nil
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

func ok(name string) license.Step { return license.Step{Name: name, State: license.OK} }

func failed(name, reason string) license.Step {
	return license.Step{Name: name, State: license.Failed, Reason: sentence(reason)}
}

func notCheckable(name, reason string) license.Step {
	return license.Step{Name: name, State: license.NotCheckable, Reason: reason}
}

// sentence begins with a capital and ends with a full stop.
func sentence(reason string) string {
	if reason == "" {
		return ""
	}
	return strings.ToUpper(reason[:1]) + strings.TrimSuffix(reason[1:], ".") + "."
}

// names collects file names for a reason: the first few, and how many.
type names struct {
	first []string
	count int
}

// maxNamed bounds the files that a reason names.
const maxNamed = 5

func (n *names) add(name string) {
	if n.count++; len(n.first) < maxNamed {
		n.first = append(n.first, quote(name))
	}
}

// step is ok when nothing was added; else it fails with what is wrong with the names.
func (n *names) step(step, what string) license.Step {
	if n.count == 0 {
		return ok(step)
	}
	reason := what + ": " + strings.Join(n.first, ", ")
	if more := n.count - len(n.first); more > 0 {
		reason += fmt.Sprintf(" and %d more", more)
	}
	return failed(step, reason)
}
