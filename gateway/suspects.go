package gateway

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// suspects bounds what callers who prove nothing may cost: a signature that does not verify costs as much as one that does.
// Only failures count, so that an honest caller never feels it unless somebody floods from its own address.
type suspects struct {
	rate rate.Limit

	mu        sync.Mutex // protects all fields below
	byAddress map[string]*rate.Limiter
	others    *rate.Limiter // of all addresses that there is no room for
}

// maxSuspects bounds the addresses that are told apart.
const maxSuspects = 4096

func newSuspects(perSecond int) *suspects {
	s := &suspects{rate: rate.Limit(perSecond), byAddress: make(map[string]*rate.Limiter)}
	s.others = s.fresh()
	return s
}

func (s *suspects) fresh() *rate.Limiter { return rate.NewLimiter(s.rate, max(1, 2*int(s.rate))) }

// allow reports whether a call from an address is looked at.
func (s *suspects) allow(address string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	limiter := s.byAddress[address]
	if limiter == nil && len(s.byAddress) >= maxSuspects {
		limiter = s.others
	}
	return limiter == nil || limiter.TokensAt(now) >= 1
}

// failed notes that a call from an address proved nothing.
func (s *suspects) failed(address string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limiter := s.byAddress[address]
	if limiter == nil {
		if len(s.byAddress) >= maxSuspects {
			s.forget(now)
		}
		if limiter = s.others; len(s.byAddress) < maxSuspects {
			limiter = s.fresh()
			s.byAddress[address] = limiter
		}
	}
	limiter.AllowN(now, 1)
}

// forget drops the addresses that have been quiet. Callers hold mu.
func (s *suspects) forget(now time.Time) {
	for address, limiter := range s.byAddress {
		if limiter.TokensAt(now) >= float64(limiter.Burst()) {
			delete(s.byAddress, address)
		}
	}
}

// client is the network that a request comes from: an IPv4 address, or the /64 of an IPv6 address, which is one customer;
// empty where nobody says.
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
	if address = address.Unmap().WithZone(""); address.Is4() {
		return address.String()
	}
	prefix, _ := address.Prefix(64)
	return prefix.String()
}
