package ofd

import (
	"context"
	"fmt"
	"slices"

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
		step := ok(StepExtent)
		switch {
		case outside > 0:
			step = notCheckable(StepExtent, "Files of the package are outside of this signature; whether another one covers them stands with the document.")
		case !compared(judged[i].Steps):
			step = notCheckable(StepExtent, "The signature names every file, but whether they are as it signed them was not found out.")
		}
		judged[i].Steps = append(judged[i].Steps, step)
	}
	return nil
}

// coverage names the files that are under no signature: smuggled in after signing (夹带). Only signatures that hold count;
// when none does, all count, so that a file outside of everything is still named. It is ok when every file is under a
// signature that was judged and held against its files.
func (v *verification) coverage(all []*signed, judged []Signature, list *docEntries) check.Step {
	if len(all) == 0 {
		return notCheckable(StepCoverage, "Without a signature no file is covered.")
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
			return ok(StepCoverage)
		}
	}
	counting := holding
	if len(holding) == 0 {
		counting = pick(func([]check.Step) bool { return true })
	}
	smuggled, rootOutside := v.outside(counting, list)
	switch {
	case smuggled.count == 1 && rootOutside:
		return notCheckable(StepCoverage, "OFD.xml is under no signature, as some makers leave it: its metadata prove nothing.")
	case smuggled.count > 0:
		return smuggled.step(StepCoverage, "Not covered by any signature")
	case len(holding) == 0:
		return notCheckable(StepCoverage, "Every file is covered, but by no signature that holds.")
	}
	return notCheckable(StepCoverage, "Every file is covered, but not by signatures that could be judged in full.")
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

// stepMetadata says whether the files that the metadata come from are under one signature that proves them; nothing when
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
			return []check.Step{ok(StepMetadata)}
		}
	}
	return []check.Step{notCheckable(StepMetadata, "The metadata stand in a file that is under no signature that holds: they prove nothing.")}
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

// holds says whether no step failed.
func holds(steps []check.Step) bool {
	return !slices.ContainsFunc(steps, func(s check.Step) bool { return s.State == check.Failed })
}

// proves says whether no step failed, the files were compared, and somebody judged the value.
func proves(steps []check.Step) bool {
	return holds(steps) && compared(steps) && !slices.ContainsFunc(steps, func(s check.Step) bool {
		return s.Name == StepContent && s.State != check.OK
	})
}

// compared says whether the files could be compared with what was signed.
func compared(steps []check.Step) bool {
	return slices.ContainsFunc(steps, func(s check.Step) bool { return s.Name == StepReferences && s.State != check.NotCheckable })
}
