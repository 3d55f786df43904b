package revocation

import (
	"context"
	"fmt"
	"time"
)

// cacheItem is what a client keeps: a [List] or a [Response].
type cacheItem interface {
	this() time.Time // made
	next() time.Time // the next is due
	bytes() int      // memory
}

func (l *List) this() time.Time { return l.This }
func (l *List) next() time.Time { return until(l.This, l.Next) }
func (l *List) bytes() int      { return len(l.Raw) + 4*cap(l.starts) + 256 }

func (r *Response) this() time.Time { return r.answers[0].this }
func (r *Response) bytes() int      { return 4*len(r.Raw) + 1024 }

// next is when the first of its answers ends.
func (r *Response) next() time.Time {
	var first time.Time
	for _, a := range r.answers {
		n := until(a.this, a.next)
		if first.IsZero() || n.Before(first) {
			first = n
		}
	}
	return first
}

// A cacheEntry is one item of the cache, and when its source failed last. The client's mutex protects it.
type cacheEntry struct {
	value cacheItem
	used  time.Time
	after time.Time // failed: not asked again before
	err   error
}

// get returns what is kept under a key, or makes it: once for all who want it at the same time. A stranger's patience ends
// with ctx; the making goes on for the others.
func (c *Client) get(ctx context.Context, key string, fetch func(context.Context) (cacheItem, error)) (v cacheItem, stale bool, err error) {
	if v, stale, err, ok := c.lookup(key); ok {
		return v, stale, err
	}
	flight := c.flights.DoChan(key, func() (any, error) {
		if _, _, _, ok := c.lookup(key); ok {
			return nil, nil // somebody was faster
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Timeout)
		defer cancel()
		v, err := c.fetchItem(ctx, fetch)
		c.store(key, v, err)
		return nil, nil
	})
	select {
	case <-flight:
	case <-ctx.Done():
		return nil, false, fmt.Errorf("%w: no time left", ErrUnavailable)
	}
	v, stale, err, ok := c.lookup(key)
	if !ok {
		return nil, false, fmt.Errorf("%w: the answer had expired when it was fetched", ErrStale)
	}
	return v, stale, err
}

// fetchItem fetches, and refuses what comes from the future. A panic in a parser below us is an error.
func (c *Client) fetchItem(ctx context.Context, fetch func(context.Context) (cacheItem, error)) (v cacheItem, err error) {
	defer func() {
		if recover() != nil {
			v, err = nil, ErrMalformed
		}
	}()
	if v, err = fetch(ctx); err != nil {
		return nil, err
	}
	if v.this().After(c.Now().Add(skew)) {
		return nil, ErrNotYet
	}
	return v, nil
}

// lookup finds what is kept; ok tells whether it settles the matter: it still counts, or its source was asked just now.
func (c *Client) lookup(key string) (v cacheItem, stale bool, err error, ok bool) { //nolint:staticcheck // ok last, as in maps
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Now()
	k := c.cache[key]
	switch {
	case k == nil:
		return nil, false, nil, false
	case k.value != nil && now.Before(k.value.next()):
		k.used = now
		return k.value, false, nil, true
	case now.Before(k.after) && k.value != nil:
		k.used = now
		return k.value, true, nil, true
	case now.Before(k.after):
		return nil, false, k.err, true
	}
	return nil, false, nil, false
}

// store caches what was made, or that it failed. Something older than what is kept is a replay: it is not taken.
func (c *Client) store(key string, v cacheItem, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Now()
	k := c.cache[key]
	if k == nil {
		k = &cacheEntry{}
		c.cache[key] = k
		c.size += overhead + len(key)
	}
	k.used = now
	if err == nil && older(v, k.value) {
		err = ErrReplayed
	}
	if err == nil && !now.Before(v.next()) {
		// It was over when it came: no better than none, but the best there is.
		err = fmt.Errorf("%w: its next was due", ErrStale)
		k.after, k.err = now.Add(c.Retry), err
	} else if k.err, k.after = err, (time.Time{}); err != nil {
		k.after = now.Add(c.Retry)
		return
	}
	if k.value != nil {
		c.size -= k.value.bytes()
	}
	k.value = v
	c.size += v.bytes()
	c.evict(key)
}

const overhead = 256

// older tells whether v was made before what is kept; of lists the number counts too.
func older(v, than cacheItem) bool {
	if than == nil {
		return false
	}
	a, isList := v.(*List)
	b, wasList := than.(*List)
	if isList && wasList && a.Number != nil && b.Number != nil && a.Number.Cmp(b.Number) < 0 {
		return true
	}
	return v.this().Before(than.this())
}

// evict drops what was not used for longest until the rest fits. The caller holds mu.
func (c *Client) evict(except string) {
	for c.size > c.Keep && len(c.cache) > 1 {
		oldest := ""
		for key, k := range c.cache {
			if key != except && (oldest == "" || k.used.Before(c.cache[oldest].used)) {
				oldest = key
			}
		}
		if v := c.cache[oldest].value; v != nil {
			c.size -= v.bytes()
		}
		c.size -= overhead + len(oldest)
		delete(c.cache, oldest)
	}
}
