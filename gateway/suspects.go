package gateway

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

// suspects bounds what callers who prove nothing may cost: a signature that does not verify costs as much as one that does.
// Nobody is locked out: tokens that name a key under which too many calls from the same network have failed wait in turns for
// a few signature checks at once, those of other networks and other keys do not. So a valid token always gets to its check,
// also from the address of a flood.
type suspects struct {
	rate  rate.Limit
	queue *share.Queue // signature checks at once

	mu      sync.Mutex // protects all fields below
	failing map[suspect]*rate.Limiter
	others  *rate.Limiter // of all that there is no room for
}

// A suspect is where a token comes from and which registered key it names. Tokens that name no such key cost no check.
type suspect struct {
	network string
	key     string // system and key id
}

const (
	maxSuspects = 4096            // that are told apart
	suspectWait = 2 * time.Second // for a signature check
)

func newSuspects(perSecond int) *suspects {
	s := &suspects{rate: rate.Limit(perSecond), queue: share.NewQueue(processors(), waitingEach), failing: make(map[suspect]*rate.Limiter)}
	s.others = s.fresh()
	return s
}

// enter lets a token to its signature check, at once or in its turn. The check over, its caller leaves.
func (s *suspects) enter(ctx context.Context, who suspect, now time.Time) (leave func(), err error) {
	if s.allow(who, now) {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, suspectWait)
	defer cancel()
	line := who.network + " " + who.key
	if !s.queue.Take(ctx, line) {
		return nil, unprovenFor("too-many-requests")
	}
	return func() { s.queue.Give(line) }, nil
}

func (s *suspects) fresh() *rate.Limiter { return rate.NewLimiter(s.rate, max(1, 2*int(s.rate))) }

// allow reports whether a token is checked at once.
func (s *suspects) allow(who suspect, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	limiter := s.failing[who]
	if limiter == nil && len(s.failing) >= maxSuspects {
		limiter = s.others
	}
	return limiter == nil || limiter.TokensAt(now) >= 1
}

// failed notes that a token proved nothing.
func (s *suspects) failed(who suspect, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limiter := s.failing[who]
	if limiter == nil {
		if len(s.failing) >= maxSuspects {
			s.forget(now)
		}
		if limiter = s.others; len(s.failing) < maxSuspects {
			limiter = s.fresh()
			s.failing[who] = limiter
		}
	}
	limiter.AllowN(now, 1)
}

// forget drops those that have been quiet. Callers hold mu.
func (s *suspects) forget(now time.Time) {
	for who, limiter := range s.failing {
		if limiter.TokensAt(now) >= float64(limiter.Burst()) {
			delete(s.failing, who)
		}
	}
}

// client is the network that a request comes from; empty where nobody says.
func (g *Gateway) client(r *http.Request) string {
	text := r.RemoteAddr
	if g.ClientHeader != "" {
		said := strings.Join(r.Header.Values(g.ClientHeader), ",")
		text = strings.TrimSpace(said[strings.LastIndexByte(said, ',')+1:])
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

// Network is what counts as one peer: an IPv4 address, or the /64 of an IPv6 address, which is one customer.
func Network(address netip.Addr) string {
	if address = address.Unmap().WithZone(""); address.Is4() {
		return address.String()
	}
	prefix, _ := address.Prefix(64)
	return prefix.String()
}
