package gateway

import (
	"sync"
	"time"
)

// claims remembers the calls of the last minutes by (system, jti), so that a replay is refused before it costs anything.
// It is the first of two lines: the record's own batch refuses a jti that this process never saw.
type claims struct {
	mu    sync.Mutex
	until map[claim]time.Time
	swept time.Time
}

type claim struct{ system, jti string }

func newClaims() *claims { return &claims{until: make(map[claim]time.Time)} }

// take claims a jti until its token can no longer be accepted; false if it is claimed already.
func (c *claims) take(k claim, until, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep(now)
	if _, taken := c.until[k]; taken {
		return false
	}
	c.until[k] = until
	return true
}

// release gives a claim back: nothing was recorded and nothing answered, so the same call may come again.
func (c *claims) release(k claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.until, k)
}

// sweep drops what has run out, at most every ten seconds. Callers hold mu.
func (c *claims) sweep(now time.Time) {
	if now.Sub(c.swept) < 10*time.Second {
		return
	}
	c.swept = now
	for k, until := range c.until {
		if until.Before(now) {
			delete(c.until, k)
		}
	}
}
