package sources

import (
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"oncegate/license"
)

// outageForgotten is how long after its last failed call nothing is known any more of whether a source answers.
const outageForgotten = 10 * time.Minute

// An outage is the time in which no call to a source was answered, for the people who wait for it. The zero value is of a source that answers.
type outage struct {
	mu          sync.Mutex // protects what follows
	first, last time.Time  // failed calls without an answered one between them; zero: the last call was answered
}

// note takes over how a call ended. A call that tells nothing about the source, because it was not asked or its caller left, changes nothing; one
// that the open breaker refused says that the source is still taken for down.
func (o *outage) note(now time.Time, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		o.first, o.last = time.Time{}, time.Time{}
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		if !o.first.IsZero() {
			o.last = now
		}
	case errors.Is(err, ErrNoSlot), errors.As(err, new(*callerLeft)), errors.Is(err, license.ErrUnanswerable):
	default:
		if o.first.IsZero() || now.Sub(o.last) > outageForgotten {
			o.first = now
		}
		o.last = now
	}
}

// since returns when the outage began.
func (o *outage) since(now time.Time) (time.Time, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.first, !o.first.IsZero() && now.Sub(o.last) <= outageForgotten
}
