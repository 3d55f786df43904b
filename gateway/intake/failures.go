package intake

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"oncegate/gateway/share"
)

// failures is a rate limit for signatures that do not verify: such a check costs as much as one that succeeds. Nobody is
// locked out: once too many tokens from one network that name one key have failed, further ones from there wait in a fair
// queue for a few checks at once; those of other networks and other keys do not. So a valid token always gets to its check,
// also from the address of a flood.
type failures struct {
	rate  rate.Limit
	queue *share.Queue // signature checks at once

	mu      sync.Mutex // protects all fields below
	failing map[failureKey]*rate.Limiter
	others  *rate.Limiter // of all that there is no room for
}

// A failureKey is where a token comes from and which registered key it names. Tokens that name no such key cost no check.
type failureKey struct {
	network string
	key     string // system and key id
}

const (
	maxFailureKeys = 4096            // that are told apart
	failureWait    = 2 * time.Second // for a signature check
	failureQueue   = 64              // calls of one failureKey that wait for their check
)

func newFailures(perSecond int) *failures {
	f := &failures{rate: rate.Limit(perSecond), queue: share.NewQueue(Processors(), failureQueue), failing: make(map[failureKey]*rate.Limiter)}
	f.others = f.fresh()
	return f
}

// enter admits a token to its signature check, at once or in its turn. The caller calls leave after the check.
func (f *failures) enter(ctx context.Context, who failureKey, now time.Time) (leave func(), err error) {
	if f.allow(who, now) {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, failureWait)
	defer cancel()
	line := who.network + " " + who.key
	if !f.queue.Take(ctx, line) {
		return nil, &Unauthenticated{"too-many-requests"}
	}
	return func() { f.queue.Give(line) }, nil
}

func (f *failures) fresh() *rate.Limiter { return rate.NewLimiter(f.rate, max(1, 2*int(f.rate))) }

// allow reports whether a token is checked at once.
func (f *failures) allow(who failureKey, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	limiter := f.failing[who]
	if limiter == nil && len(f.failing) >= maxFailureKeys {
		limiter = f.others
	}
	return limiter == nil || limiter.TokensAt(now) >= 1
}

// failed counts a token that authenticated nobody.
func (f *failures) failed(who failureKey, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	limiter := f.failing[who]
	if limiter == nil {
		if len(f.failing) >= maxFailureKeys {
			f.evict(now)
		}
		if limiter = f.others; len(f.failing) < maxFailureKeys {
			limiter = f.fresh()
			f.failing[who] = limiter
		}
	}
	limiter.AllowN(now, 1)
}

// evict drops those that have recovered. Callers hold mu.
func (f *failures) evict(now time.Time) {
	for who, limiter := range f.failing {
		if limiter.TokensAt(now) >= float64(limiter.Burst()) {
			delete(f.failing, who)
		}
	}
}

// ClientNetwork is the network that a request comes from; empty where it is not known.
func (in *Intake) ClientNetwork(r *http.Request) string {
	text := r.RemoteAddr
	if in.ClientHeader != "" {
		values := strings.Join(r.Header.Values(in.ClientHeader), ",")
		text = strings.TrimSpace(values[strings.LastIndexByte(values, ',')+1:])
	}
	address, err := netip.ParseAddr(text)
	if pair, paired := netip.ParseAddrPort(text); paired == nil {
		address, err = pair.Addr(), nil
	}
	if err != nil {
		return ""
	}
	return Network(address)
}

// Network is what counts as one client: an IPv4 address, or the /64 of an IPv6 address, which is one customer.
func Network(address netip.Addr) string {
	if address = address.Unmap().WithZone(""); address.Is4() {
		return address.String()
	}
	prefix, _ := address.Prefix(64)
	return prefix.String()
}
