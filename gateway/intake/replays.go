package intake

import (
	"sync"
	"time"
)

// replays is a replay cache: the call ids of the last minutes by (system, jti), so that a replay is refused before it costs
// anything. It is the first of two checks: the record's own transaction refuses a jti that this process never saw.
type replays struct {
	mu      sync.Mutex                    // protects all fields below
	ids     map[callID]int64              // the span within which it expires
	expires map[int64]map[callID]struct{} // the same by span, so that expiry never walks over the rest
	swept   int64                         // the last span that was forgotten
}

type callID struct{ system, jti string }

// span is how many seconds of call ids are forgotten together.
const span = 4

func newReplays() *replays {
	return &replays{ids: make(map[callID]int64), expires: make(map[int64]map[callID]struct{})}
}

// take claims a jti until its token can no longer be accepted; false if it is claimed already.
func (c *replays) take(k callID, until, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep(now.Unix() / span)
	if _, taken := c.ids[k]; taken {
		return false
	}
	at := until.Unix()/span + 1
	if c.expires[at] == nil {
		c.expires[at] = make(map[callID]struct{})
	}
	c.ids[k], c.expires[at][k] = at, struct{}{}
	return true
}

// taken reports whether a jti is claimed. One that is not may be claimed a moment later.
func (c *replays) taken(k callID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, taken := c.ids[k]
	return taken
}

// release gives a claim back: nothing was recorded and nothing answered, so the same call may come again. Nothing of it is kept.
func (c *replays) release(k callID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, taken := c.ids[k]
	if !taken {
		return
	}
	delete(c.ids, k)
	if delete(c.expires[at], k); len(c.expires[at]) == 0 {
		delete(c.expires, at)
	}
}

// sweep forgets what expired before a span. Callers hold mu.
func (c *replays) sweep(now int64) {
	if now <= c.swept {
		return
	}
	c.swept = now
	for at, list := range c.expires { // at most one for every span that a call id may live
		if at >= now {
			continue
		}
		for k := range list {
			delete(c.ids, k)
		}
		delete(c.expires, at)
	}
}
