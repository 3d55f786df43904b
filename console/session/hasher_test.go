package session

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counted is a hasher whose hash takes a second, and how often one began, at most were under way, and memory was given back.
type counted struct {
	*hasher
	hashes, atOnce, most, given atomic.Int64
}

func newCounted() *counted {
	c := &counted{hasher: newHasher()}
	c.compare = func(password, _ string) (bool, error) {
		c.hashes.Add(1)
		now := c.atOnce.Add(1)
		defer c.atOnce.Add(-1)
		for most := c.most.Load(); now > most && !c.most.CompareAndSwap(most, now); most = c.most.Load() {
		}
		time.Sleep(time.Second)
		return password == "right", nil
	}
	c.giveBack = func() { c.given.Add(1) }
	return c
}

// Many sign-ins at once, of one address and of many, of known places and of strangers, take one hash at a time, and each is answered right.
func TestOneHashAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounted()
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				right := i%3 == 0
				match, served := c.match(t.Context(), fmt.Sprint("192.0.2.", i%20), i%2 == 0, map[bool]string{true: "right", false: "wrong"}[right], "hash")
				if !served || match != right {
					t.Errorf("sign-in %d: served %v, match %v", i, served, match)
				}
			})
		}
		all.Wait()
		if c.hashes.Load() != 60 || c.most.Load() != 1 {
			t.Errorf("%d hashes, %d at once", c.hashes.Load(), c.most.Load())
		}
	})
}

// Who gives up holds nothing: neither among strangers nor before the hash.
func TestCancelledHoldsNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, known := range []bool{true, false} {
			c := newCounted()
			var all sync.WaitGroup
			all.Go(func() { c.match(t.Context(), "192.0.2.1", known, "right", "hash") })
			synctest.Wait()
			ctx, cancel := context.WithCancel(t.Context())
			for i := range 40 {
				all.Go(func() {
					if _, served := c.match(ctx, fmt.Sprint("198.51.100.", i%10), known, "right", "hash"); served {
						t.Error("a request that was given up was hashed")
					}
				})
			}
			synctest.Wait()
			begun := time.Now()
			all.Go(func() {
				if match, served := c.match(t.Context(), "192.0.2.2", known, "right", "hash"); !match || !served {
					t.Errorf("behind requests that were given up: served %v, match %v", served, match)
				}
			})
			synctest.Wait()
			cancel()
			all.Wait()
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("known %v: it waited %s, for requests that were given up", known, took)
			}
			if c.hashes.Load() != 2 || len(c.known)+len(c.all) != 0 || c.turn.Used()+c.first.Used()+c.turn.Waiting()+c.first.Waiting() != 0 {
				t.Errorf("known %v: %d hashes; something is still held", known, c.hashes.Load())
			}
		}
	})
}

// Strangers from more addresses than may wait are turned away, and somebody from a known place waits for one of them at most, who is being
// hashed, and one who stands in line.
func TestStrangersKeepNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounted()
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var refused atomic.Int64
		for i := range hashesOfAll + 10 {
			all.Go(func() {
				if _, served := c.match(ctx, fmt.Sprint("2001:db8::", i), false, "guess", "hash"); !served && ctx.Err() == nil {
					refused.Add(1)
				}
			})
		}
		synctest.Wait()
		if refused.Load() != 10 {
			t.Errorf("%d of 10 too many were turned away", refused.Load())
		}
		begun := time.Now()
		if match, served := c.match(t.Context(), "192.0.2.1", true, "right", "hash"); !match || !served {
			t.Errorf("a known place beside strangers: served %v, match %v", served, match)
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("a known place waited %s beside strangers", took)
		}
		cancel()
		all.Wait()
	})
}

// Memory is given back once for all hashes of a second, and always after the last one.
func TestHashesGiveMemoryBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounted()
		c.compare = func(string, string) (bool, error) { time.Sleep(30 * time.Millisecond); return false, nil }
		for range 100 {
			c.match(t.Context(), "192.0.2.1", true, "guess", "hash")
		}
		time.Sleep(2 * hashesGiveBack)
		if n := c.given.Load(); n < 1 || n > 4 {
			t.Errorf("given back %d times for 100 hashes in 3 s", n)
		}
		before := c.given.Load()
		c.match(t.Context(), "192.0.2.1", true, "guess", "hash")
		time.Sleep(2 * hashesGiveBack)
		if c.given.Load() != before+1 {
			t.Error("after one hash its memory was not given back once")
		}
	})
}
