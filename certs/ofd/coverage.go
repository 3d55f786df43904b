package ofd

import (
	"slices"

	"oncegate/license"
)

// extents adds to each signature whether it covers every file that is not of a signature. A file that came later and is
// under another signature is no fault of this one.
func (v *verification) extents(all []*signed, judged []Signature) {
	for i, s := range all {
		if s == nil {
			continue
		}
		mine := covered(s)
		outside := 0
		for _, f := range v.Files() {
			if f != v.signatures && f != fileList && !mine[f] && !ofSignature(all, f) {
				outside++
			}
		}
		step := ok(StepExtent)
		if outside > 0 {
			step = notCheckable(StepExtent, "Files of the package are outside of this signature; whether another one covers them stands with the document.")
		}
		judged[i].Steps = append(judged[i].Steps, step)
	}
}

// coverage names the files that are under no signature: smuggled in after signing (夹带). Only signatures that hold count;
// when none does, all count, so that a file outside of everything is still named.
func (v *verification) coverage(all []*signed, judged []Signature, list *docEntries) license.Step {
	if len(all) == 0 {
		return notCheckable(StepCoverage, "Without a signature no file is covered.")
	}
	var counting []*signed
	for i, s := range all {
		if s != nil && holds(judged[i].Steps) {
			counting = append(counting, s)
		}
	}
	holding := len(counting) > 0
	if !holding {
		counting = slices.DeleteFunc(slices.Clone(all), func(s *signed) bool { return s == nil })
	}
	under := make(map[string]bool)
	for _, s := range counting {
		for f := range covered(s) {
			under[f] = true
		}
	}
	var smuggled names
	for _, f := range v.Files() {
		if f != v.signatures && !under[f] && !ofSignature(counting, f) && !list.own(f) {
			smuggled.add(f)
		}
	}
	switch {
	case smuggled.count == 1 && !under[rootFile]:
		return notCheckable(StepCoverage, "OFD.xml is under no signature, as some makers leave it: its metadata prove nothing.")
	case smuggled.count > 0:
		return smuggled.step(StepCoverage, "Not covered by any signature")
	case !holding:
		return notCheckable(StepCoverage, "Every file is covered, but by no signature that holds.")
	}
	return ok(StepCoverage)
}

// covered is the set of files that a signature's References name.
func covered(s *signed) map[string]bool {
	set := make(map[string]bool, len(s.references))
	for _, r := range s.references {
		set[r.path] = true
	}
	return set
}

// ofSignature says whether the file belongs to one of the signatures.
func ofSignature(all []*signed, file string) bool {
	return slices.ContainsFunc(all, func(s *signed) bool { return s != nil && s.own(file) })
}

// holds says whether no step failed.
func holds(steps []license.Step) bool {
	return !slices.ContainsFunc(steps, func(s license.Step) bool { return s.State == license.Failed })
}
