package fault_test

import (
	"strings"
	"testing"

	"oncegate/fault"
)

func TestList(t *testing.T) {
	var l fault.List
	l.AddAt(fault.Place{File: "b", Line: 2, Column: 1}, "second")
	l.AddAt(fault.Place{File: "a", Line: 10, Column: 1}, "%d is too many", 10)
	l.AddAt(fault.Place{File: "a", Line: 9, Column: 3}, "odd")
	l[2].Warning = true
	l.AddAt(fault.Place{File: "b", Line: 2, Column: 1}, "second")
	if got, want := l.Sorted().Error(), "the configuration has 2 faults:\na:10:1: 10 is too many\nb:2:1: second"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if len(l.Warnings()) != 1 || l.Warnings().Err() != nil || l.Err() == nil {
		t.Errorf("warnings: %v", l.Warnings())
	}
}

func TestPaths(t *testing.T) {
	var part, l fault.List
	unique := part.Unique()
	for i, id := range []string{"x", "", "y", "x", ""} {
		unique("$.ids["+string(rune('0'+i))+"]", id)
	}
	part.Unless(true, "$.a", "not reported")
	l.Under("$.parts[1]", part)
	if len(l) != 1 || l[0].String() != `$.parts[1].ids[3]: "x" stands already at $.ids[0]` {
		t.Error(l)
	}
	if got := fault.Clip(strings.Repeat("照", 100)); len(got) > 203 || !strings.HasSuffix(got, "照…") {
		t.Errorf("clipped to %q", got)
	}
}
