package session

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"github.com/alexedwards/argon2id"

	"oncegate/gateway/share"
)

// Passwords are hashed one at a time, since each takes 19 MiB. So many of one address wait, more than its bucket has tries; and so many of all
// wait whose browser or address is known, and as many of all others.
const (
	hashesWaiting  = 64
	hashesOfAll    = 256
	hashesGiveBack = time.Second
)

// strangers are all who try to sign in from a browser and an address that nobody signed in from, as one user of the line.
const strangers = "\x00strangers"

// A hasher compares passwords with their hashes. Strangers wait in a line of their own, of which one at a time stands in the line of the others:
// however many addresses guess, somebody from a known place waits for one of them. It is safe for concurrent use.
type hasher struct {
	turn, first *share.Queue  // one unit each: to hash, and among strangers to wait for that
	known, all  chan struct{} // room to wait: of known places, and of strangers
	compare     func(password, hash string) (bool, error)
	giveBack    func() // memory, to the operating system
	after       func(time.Duration, func())

	mu      sync.Mutex
	pending bool // giveBack will be called; protected by mu
}

func newHasher() *hasher {
	return &hasher{
		turn: share.NewQueue(1, hashesWaiting), first: share.NewQueue(1, hashesWaiting),
		known: make(chan struct{}, hashesOfAll), all: make(chan struct{}, hashesOfAll),
		compare: argon2id.ComparePasswordAndHash, giveBack: debug.FreeOSMemory, after: func(d time.Duration, f func()) { time.AfterFunc(d, f) },
	}
}

// match reports whether a password is that of a hash. served is false where too many wait, or ctx ended before its turn came. known says that
// somebody signed in from that browser or address before.
func (h *hasher) match(ctx context.Context, from string, known bool, password, hash string) (match, served bool) {
	room := h.all
	if known {
		room = h.known
	}
	select {
	case room <- struct{}{}:
		defer func() { <-room }()
	default:
		return false, false
	}
	if !known {
		if !h.first.Take(ctx, from) {
			return false, false
		}
		defer h.first.Give(from)
		from = strangers
	}
	if !h.turn.Take(ctx, from) {
		return false, false
	}
	defer h.turn.Give(from)
	if ctx.Err() != nil { // while it was served
		return false, false
	}
	defer h.hashed()
	if len(password) <= maxPassword {
		match, _ = h.compare(password, hash)
	}
	return match, true
}

// hashed gives the memory of hashes back. The collector would keep it for what is allocated next, and nothing else of a node is as large. Giving
// it back costs a collection: one for all hashes of a second, however many there are.
func (h *hasher) hashed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pending {
		return
	}
	h.pending = true
	h.after(hashesGiveBack, func() {
		h.mu.Lock()
		h.pending = false // a hash that ends from here on is given back by the next
		h.mu.Unlock()
		h.giveBack()
	})
}
