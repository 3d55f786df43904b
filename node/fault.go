package node

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Fault is one thing wrong with the configuration, where it stands.
type Fault struct {
	File    string
	Line    int // from 1; 0: the file as a whole
	Column  int // from 1
	Reason  string
	Warning bool // the configuration is usable all the same
}

// String writes "file:line:column: reason", as editors read it.
func (f Fault) String() string {
	if f.Line == 0 {
		return f.File + ": " + f.Reason
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Reason)
}

// Faults are all things wrong with a configuration, in the order of files, lines and columns. As an error they are what
// makes it unusable.
type Faults []Fault

// Error lists the faults that are no warnings.
func (f Faults) Error() string {
	bad := f.Fatal()
	lines := make([]string, len(bad))
	for i, one := range bad {
		lines[i] = one.String()
	}
	return fmt.Sprintf("the configuration has %d faults:\n%s", len(bad), strings.Join(lines, "\n"))
}

// Fatal returns the faults that make the configuration unusable.
func (f Faults) Fatal() Faults {
	return slices.DeleteFunc(slices.Clone(f), func(one Fault) bool { return one.Warning })
}

// Warnings returns the others.
func (f Faults) Warnings() Faults {
	return slices.DeleteFunc(slices.Clone(f), func(one Fault) bool { return !one.Warning })
}

// err is f as an error; nil if the configuration is usable.
func (f Faults) err() error {
	if len(f.Fatal()) == 0 {
		return nil
	}
	return f
}

// sorted puts faults in order and drops repetitions.
func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(f)
}
