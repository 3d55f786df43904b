package session

import (
	"crypto/subtle"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"oncegate/certs/sm"
)

// Guessing passwords and codes is slowed by token buckets, and no account is ever locked: a stranger who guesses locks nobody out. A try
// takes a token of each bucket that it belongs to, and a sign-in gives them back.
//
// A browser from which an account signed in before carries a mark of it (device cookie), and its tries take from a bucket of that browser
// and account alone. So do tries from an address from which somebody signed in lately, such as a hall's: from a bucket of that address and
// account. All other tries at the account, from wherever, share one bucket, and all of one address another.
var (
	knownBucket    = bucketSize{burst: 10, every: 30 * time.Second} // one browser that knows the account
	accountBucket  = bucketSize{burst: 10, every: 20 * time.Second} // all browsers that do not
	addressBucket  = bucketSize{burst: 60, every: time.Second}      // one address, such as that of a hall with many desks
	mostBuckets    = 1 << 16
	deviceLifetime = 90 * 24 * time.Hour
)

type bucketSize struct {
	burst int
	every time.Duration // in which one token comes back
}

// A guesses is the rate limiter of tries to sign in. It is safe for concurrent use.
type guesses struct {
	key []byte // of device marks
	now func() time.Time

	mu      sync.Mutex // protects all below
	buckets map[string]*rate.Limiter
	signed  map[string]time.Time // when somebody last signed in from an address
}

func newGuesses(key []byte, now func() time.Time) *guesses {
	return &guesses{key: key, now: now, buckets: map[string]*rate.Limiter{}, signed: map[string]time.Time{}}
}

// try takes a token of each bucket, or of none. It returns how long the caller has to wait; 0 if the try may be made. known says that somebody
// signed in from the browser or the address before. giveBack is called when it succeeded.
func (g *guesses) try(address, account, device string) (wait time.Duration, known bool, giveBack func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	of := "account\x00" + account
	size := accountBucket
	switch last, here := g.signed[address]; {
	case device != "":
		of, size, known = "device\x00"+device+"\x00"+account, knownBucket, true
	case here && now.Sub(last) < deviceLifetime:
		of, size, known = "place\x00"+address+"\x00"+account, knownBucket, true
	}
	limiters := []*rate.Limiter{g.bucket(of, size, now), g.bucket("address\x00"+address, addressBucket, now)}
	for _, l := range limiters {
		if missing := 1 - l.TokensAt(now); missing > 0 {
			wait = max(wait, time.Duration(math.Ceil(missing/float64(l.Limit())))*time.Second)
		}
	}
	if wait > 0 {
		return wait, known, nil
	}
	for _, l := range limiters {
		l.AllowN(now, 1)
	}
	return 0, known, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, l := range limiters {
			l.AllowN(now, -1)
		}
		if len(g.signed) >= mostBuckets {
			clear(g.signed)
		}
		g.signed[address] = now
	}
}

// tooMany takes a token of an address for what is no try at an account, and reports whether there was none.
func (g *guesses) tooMany(address string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	return !g.bucket("address\x00"+address, addressBucket, now).AllowN(now, 1)
}

// bucket returns a bucket; a new one is full. Buckets that are full again are forgotten where there are too many. Callers hold mu.
func (g *guesses) bucket(name string, size bucketSize, now time.Time) *rate.Limiter {
	if l := g.buckets[name]; l != nil {
		return l
	}
	if len(g.buckets) >= mostBuckets {
		for k, l := range g.buckets {
			if l.TokensAt(now) >= float64(l.Burst()) {
				delete(g.buckets, k)
			}
		}
		for k := range g.buckets { // strangers with very many names and addresses
			if len(g.buckets) < mostBuckets {
				break
			}
			delete(g.buckets, k)
		}
	}
	l := rate.NewLimiter(rate.Every(size.every), size.burst)
	g.buckets[name] = l
	return l
}

// A device cookie is a random id and one mark for each account that signed in with it: a MAC of both, which nobody else can make.
const (
	deviceMarks = 8 // newest accounts that a browser is known for
	markSize    = 16
)

func (g *guesses) mark(device, account string) string {
	mac := sm.HMAC(g.key, []byte("device\x00"), []byte(device), []byte{0}, []byte(account))
	return sm.B64(mac[:markSize])
}

// device returns the id of a device cookie if it carries the mark of the account.
func (g *guesses) device(cookie, account string) string {
	id, marks, _ := strings.Cut(cookie, ".")
	if len(id) != secretLength || len(marks) > deviceMarks*32 {
		return ""
	}
	want := g.mark(id, account)
	for mark := range strings.SplitSeq(marks, ".") {
		if subtle.ConstantTimeCompare([]byte(mark), []byte(want)) == 1 {
			return id
		}
	}
	return ""
}

// remember returns the device cookie with the mark of one more account.
func (g *guesses) remember(cookie, account string) string {
	id, marks, _ := strings.Cut(cookie, ".")
	if len(id) != secretLength || len(marks) > deviceMarks*32 {
		id, marks = secret(), ""
	}
	mark := g.mark(id, account)
	all := []string{id, mark}
	for old := range strings.SplitSeq(marks, ".") {
		if old != mark && old != "" && len(all) < 1+deviceMarks {
			all = append(all, old)
		}
	}
	return strings.Join(all, ".")
}

// address is by what tries of one origin are counted. IPv6 addresses count by their /64 (Gate.Client).
func (g *Gate) address(r *http.Request) string { return g.Client(r) }
