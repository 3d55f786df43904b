package sources

import (
	"errors"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"

	"oncegate/license"
)

// TestOutage follows a source that fails, is asked no more, and answers again.
func TestOutage(t *testing.T) {
	var o outage
	at := func(minutes int) time.Time { return time.Date(2026, 11, 30, 9, minutes, 0, 0, time.UTC) }
	down := errors.New("the source could answer nothing")
	for _, step := range []struct {
		minute int
		err    error
		since  int // -1: not down
	}{
		{0, nil, -1}, {1, ErrNoSlot, -1}, {2, gobreaker.ErrOpenState, -1}, {3, down, 3}, {4, down, 3}, {5, gobreaker.ErrOpenState, 3}, {6, &callerLeft{down}, 3}, {7, license.ErrUnanswerable, 3},
		{14, gobreaker.ErrOpenState, 3}, {15, nil, -1}, {16, down, 16}, {40, down, 40},
	} {
		o.note(at(step.minute), step.err)
		since, is := o.since(at(step.minute))
		if is != (step.since >= 0) || is && !since.Equal(at(step.since)) {
			t.Errorf("minute %d: down since %v, %v", step.minute, since, is)
		}
	}
	if _, is := o.since(at(51)); is {
		t.Error("eleven minutes after the last call the source is still said to be down")
	}
}
