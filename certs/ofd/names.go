package ofd

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	maxName  = 1024 // bytes
	maxParts = 32   // folders and the file
)

// checkName refuses names that some system would take for another file, or for one outside of the package: Windows drops
// dots and spaces at the end, Info-ZIP a number behind a semicolon. A name that is not marked as UTF-8 is in whatever
// character set the reader thinks; only ASCII is the same in all.
func checkName(name string, marked bool) error {
	folder := strings.TrimSuffix(name, "/")
	switch {
	case name == "" || len(name) > maxName || !utf8.ValidString(name):
		return refuse(StepPackage, "the file name %s is empty, too long or not UTF-8", quote(name))
	case !marked && strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }):
		return refuse(StepPackage, "the file name %s is not ASCII, and not marked as UTF-8", quote(name))
	case strings.ContainsAny(name, `\:;*?"<>|`) || strings.ContainsFunc(name, unicode.IsControl):
		return refuse(StepPackage, "the file name %s has a character that systems read differently", quote(name))
	case name[0] == '/':
		return refuse(StepPackage, "the file name %s is absolute", quote(name))
	case strings.Count(folder, "/") >= maxParts:
		return refuse(StepPackage, "the file name %s has more than %d parts", quote(name), maxParts)
	}
	for part := range strings.SplitSeq(folder, "/") {
		if part == "" || part == "." || part == ".." || strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") {
			return refuse(StepPackage, "the file name %s leaves its folder or has an empty part", quote(name))
		}
	}
	return nil
}

// fold makes names equal that some file system takes for one: letter case and Unicode normalisation aside.
func fold(name string) string {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return norm.NFC.String(cases.Fold().String(norm.NFC.String(name)))
		}
	}
	return strings.ToLower(name)
}

// uniqueNames refuses two entries of one name, a file that is also a folder, and two spellings of one folder.
func uniqueNames(ctx context.Context, all []entry) error {
	type place struct {
		name, by     string // as spelled, and the entry in which it is
		file, listed bool   // a file; a folder that has an entry of its own
	}
	seen := make(map[string]place, len(all)) // by folded path
	clash := func(a, b string) error {
		return refuse(StepUnique, "the zip has two files %s and %s", quote(a), quote(b))
	}
	folder := func(folded, name, by string) error {
		was, known := seen[folded]
		switch {
		case !known:
			seen[folded] = place{name: name, by: by}
		case was.file || was.name != name:
			return clash(was.by, by)
		}
		return nil
	}
	for i := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &all[i]
		name := strings.TrimSuffix(e.name, "/")
		folded := fold(name)
		for f, n := strings.IndexByte(folded, '/'), strings.IndexByte(name, '/'); f >= 0; {
			if err := folder(folded[:f], name[:n], e.name); err != nil {
				return err
			}
			next, skip := strings.IndexByte(folded[f+1:], '/'), strings.IndexByte(name[n+1:], '/')
			if next < 0 {
				break
			}
			f, n = f+1+next, n+1+skip
		}
		was, known := seen[folded]
		if known && (!e.folder() || was.file || was.listed || was.name != name) {
			return clash(was.by, e.name)
		}
		seen[folded] = place{name, e.name, !e.folder(), true}
	}
	return nil
}
