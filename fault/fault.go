// Package fault collects validation errors of configuration data: all of them at once, each with the place in the file where it stands,
// sorted and printed alike. Reasons are English sentences made from constant formats, so that they can be translated by their formats.
package fault

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Place is a position in a file.
type Place struct {
	File   string
	Line   int // from 1; 0: the file as a whole
	Column int // from 1
}

// String writes "file:line:column", as editors read it.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// A Fault is one thing wrong in configuration data. Who has the file knows its Place. Who checks values that were read from one names a
// Path, which strictyaml turns into a Place.
type Fault struct {
	Place   Place
	Path    string // YAML path from the document's root, such as "$.types[2].fields[0].name"
	Reason  string // what is wrong and what is expected, one sentence
	Warning bool   // the data are usable all the same
}

// String writes where the fault stands and why.
func (f Fault) String() string {
	if f.Place == (Place{}) {
		return f.Path + ": " + f.Reason
	}
	return f.Place.String() + ": " + f.Reason
}

// A List collects faults. Its methods append, and none stops at the first fault. The zero value is empty and usable.
type List []Fault

// Add reports a fault at a YAML path.
func (l *List) Add(path, format string, args ...any) {
	*l = append(*l, Fault{Path: path, Reason: fmt.Sprintf(format, args...)})
}

// Warn reports at a YAML path what is usable all the same.
func (l *List) Warn(path, format string, args ...any) {
	*l = append(*l, Fault{Path: path, Reason: fmt.Sprintf(format, args...), Warning: true})
}

// AddAt reports a fault at a place.
func (l *List) AddAt(at Place, format string, args ...any) {
	*l = append(*l, Fault{Place: at, Reason: fmt.Sprintf(format, args...)})
}

// Unless reports a fault at a YAML path where something does not hold.
func (l *List) Unless(ok bool, path, format string, args ...any) {
	if !ok {
		l.Add(path, format, args...)
	}
}

// Under takes over the faults of a part of the data that stands at path.
func (l *List) Under(path string, part List) {
	for _, f := range part {
		f.Path = path + strings.TrimPrefix(f.Path, "$")
		*l = append(*l, f)
	}
}

// Unique returns a function that reports the second use of a value. Empty values are not counted.
func (l *List) Unique() func(path, value string) {
	first := map[string]string{}
	return func(path, value string) {
		if value == "" {
			return
		}
		if before, twice := first[value]; twice {
			l.Add(path, "%q stands already at %s", Clip(value), before)
			return
		}
		first[value] = path
	}
}

// Sorted puts faults in the order of files, lines and columns, and drops repetitions.
func (l List) Sorted() List {
	slices.SortStableFunc(l, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.Place.Line, b.Place.Line), cmp.Compare(a.Place.Column, b.Place.Column))
	})
	return slices.Compact(l)
}

// Fatal returns the faults that make the data unusable.
func (l List) Fatal() List {
	return slices.DeleteFunc(slices.Clone(l), func(f Fault) bool { return f.Warning })
}

// Warnings returns the others.
func (l List) Warnings() List {
	return slices.DeleteFunc(slices.Clone(l), func(f Fault) bool { return !f.Warning })
}

// Err is the list as an error; nil if the data are usable.
func (l List) Err() error {
	if len(l.Fatal()) == 0 {
		return nil
	}
	return l
}

// Error lists the faults that are no warnings.
func (l List) Error() string {
	fatal := l.Fatal()
	lines := make([]string, len(fatal))
	for i, f := range fatal {
		lines[i] = f.String()
	}
	return fmt.Sprintf("the configuration has %d faults:\n%s", len(fatal), strings.Join(lines, "\n"))
}
