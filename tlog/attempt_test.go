package tlog

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
)

// TestVerdictsAreThoseIntegrated: what a storage says of a batch must be what the log signed, or nothing of it is answered.
func TestVerdictsAreThoseIntegrated(t *testing.T) {
	no := errors.New("refused")
	for name, c := range map[string]struct {
		accepted []int // by the last call of integrate
		verdicts []error
		left     int // accepted afterwards; -1: the verdicts are refused
	}{
		"as integrated":               {[]int{0, 2}, []error{nil, no, nil}, 2},
		"all":                         {[]int{0, 1, 2}, []error{nil, nil, nil}, 3},
		"one more":                    {[]int{0, 2}, []error{nil, nil, nil}, -1},
		"one more at the end":         {[]int{0, 1}, []error{nil, nil, nil}, -1},
		"one less":                    {[]int{0, 2}, []error{nil, no, no}, -1},
		"another":                     {[]int{0, 2}, []error{no, nil, nil}, -1},
		"none, and none was":          {nil, []error{no, no, no}, 0},
		"none, what was made dropped": {[]int{0, 2}, []error{no, no, no}, 0},
		"one that was never seen":     {nil, []error{nil, no, no}, -1},
		"fewer verdicts than entries": {[]int{0}, []error{nil, no}, -1},
		"more verdicts than entries":  {[]int{0}, []error{nil, no, no, no}, -1},
		"no verdicts at all":          {[]int{0, 2}, nil, -1},
	} {
		a := &batchAttempt{group: make([]*pending, 3), accepted: c.accepted}
		switch err := a.check(c.verdicts); {
		case (err != nil) != (c.left < 0):
			t.Errorf("%s: %v", name, err)
		case err == nil && len(a.accepted) != c.left:
			t.Errorf("%s: %d are taken as accepted, want %d", name, len(a.accepted), c.left)
		}
	}
}

// TestFullLog: a log takes entries up to MaxSize, and no more.
func TestFullLog(t *testing.T) {
	l := &Log{View: NewView(nil, sha256.New)}
	head := Head{Size: MaxSize - 1} // without the frontiers of so great a tree
	l.known.Store(&head)
	for n, want := range map[int]string{1: "integrate batch: SM3 frontier of size 9007199254740990 has 0 bytes", 2: "log is full"} {
		group, accepted := make([]*pending, n), make([]int, n)
		for i := range group {
			group[i], accepted[i] = &pending{}, i
		}
		if _, err := l.integrate(t.Context(), &batchAttempt{group: group}, head, nil, accepted); err == nil || !strings.EqualFold(err.Error(), want) {
			t.Errorf("%d entries more: %v, want %s", n, err, want)
		}
	}
}

// TestNoteCommitted: what is last known never shrinks, though another node may have grown the log since a batch was committed; and a batch
// of which nothing was accepted says nothing.
func TestNoteCommitted(t *testing.T) {
	for name, c := range map[string]struct {
		known    uint64
		accepted []int
		want     uint64
		marked   string
	}{
		"the next":            {4, []int{0}, 5, "of size 5"},
		"another node's":      {9, []int{0}, 9, "of size 5"},
		"nothing is accepted": {4, nil, 4, ""},
	} {
		l := &Log{mark: &mark{wake: make(chan struct{}, 1)}}
		l.known.Store(&Head{Size: c.known})
		l.noteCommitted(&batchAttempt{accepted: c.accepted, update: Update{Head: Head{Size: 5, Checkpoint: "of size 5"}}})
		if known := l.known.Load().Size; known != c.want || l.mark.next != c.marked || (l.mark.age() > 0) != (c.marked != "") {
			t.Errorf("%s: size %d is known, and the mark is to be %q since %v", name, known, l.mark.next, l.mark.age())
		}
	}
}
