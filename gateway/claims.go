package gateway

import (
	"sync"
	"time"
)

// claims remembers the calls of the last minutes by (system, jti), so that a replay is refused before it costs anything.
// It is the first of two lines: the record's own batch refuses a jti that this process never saw.
type claims struct {
	mu      sync.Mutex                   // protects all fields below
	held    map[claim]int64              // the span within which it runs out
	expires map[int64]map[claim]struct{} // the same by span, so that forgetting never walks over the rest
	swept   int64                        // the last span that was forgotten
}

type claim struct{ system, jti string }

// span is how many seconds of claims are forgotten together.
const span = 4

func newClaims() *claims {
	return &claims{held: make(map[claim]int64), expires: make(map[int64]map[claim]struct{})}
}

// take claims a jti until its token can no longer be accepted; false if it is claimed already.
func (c *claims) take(k claim, until, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep(now.Unix() / span)
	if _, taken := c.held[k]; taken {
		return false
	}
	at := until.Unix()/span + 1
	if c.expires[at] == nil {
		c.expires[at] = make(map[claim]struct{})
	}
	c.held[k], c.expires[at][k] = at, struct{}{}
	return true
}

// taken reports whether a jti is claimed. What is not may be a moment later.
func (c *claims) taken(k claim) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, held := c.held[k]
	return held
}

// release gives a claim back: nothing was recorded and nothing answered, so the same call may come again. Nothing of it is kept.
func (c *claims) release(k claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, taken := c.held[k]
	if !taken {
		return
	}
	delete(c.held, k)
	if delete(c.expires[at], k); len(c.expires[at]) == 0 {
		delete(c.expires, at)
	}
}

// sweep forgets what has run out before a span. Callers hold mu.
func (c *claims) sweep(now int64) {
	if now <= c.swept {
		return
	}
	c.swept = now
	for at, list := range c.expires { // at most one for every span that a token may live
		if at >= now {
			continue
		}
		for k := range list {
			delete(c.held, k)
		}
		delete(c.expires, at)
	}
}
