package gateway

import (
	"sync"
	"time"
)

// claims remembers the calls of the last minutes by (system, jti), so that a replay is refused before it costs anything.
// It is the first of two lines: the record's own batch refuses a jti that this process never saw.
type claims struct {
	mu      sync.Mutex // protects all fields below
	held    map[claim]bool
	expires map[int64][]claim // what runs out within one span, so that forgetting never walks over the rest
	swept   int64             // the last span that was forgotten
}

type claim struct{ system, jti string }

// span is how many seconds of claims are forgotten together.
const span = 4

func newClaims() *claims {
	return &claims{held: make(map[claim]bool), expires: make(map[int64][]claim)}
}

// take claims a jti until its token can no longer be accepted; false if it is claimed already.
func (c *claims) take(k claim, until, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep(now.Unix() / span)
	if c.held[k] {
		return false
	}
	c.held[k] = true
	at := until.Unix()/span + 1
	c.expires[at] = append(c.expires[at], k)
	return true
}

// taken reports whether a jti is claimed. What is not may be a moment later.
func (c *claims) taken(k claim) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held[k]
}

// release gives a claim back: nothing was recorded and nothing answered, so the same call may come again.
func (c *claims) release(k claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, k)
}

// sweep forgets what has run out before a span. A claim that was given back and taken again for longer is forgotten with
// its first time; the record's batch refuses it all the same. Callers hold mu.
func (c *claims) sweep(now int64) {
	if now <= c.swept {
		return
	}
	c.swept = now
	for at, list := range c.expires { // at most one for every span that a token may live
		if at >= now {
			continue
		}
		for _, k := range list {
			delete(c.held, k)
		}
		delete(c.expires, at)
	}
}
