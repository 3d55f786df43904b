// Package intake authenticates signed HTTP calls and applies the limits that hold before a call is decided: rate limits, a
// bulkhead for calls under way and for the memory of their bodies, a replay cache of call ids, and a failure limit for
// signatures that do not verify. It reads no body before the signature, the call id and the limits have been checked.
package intake

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"oncegate/certs/sm"
	"oncegate/gateway/share"
)

// Config of an Intake. All fields are required but ClientHeader.
type Config struct {
	Audience  string // the gateway's id: aud of every call
	PublicURL string // what callers put before path and query in htu, without a slash at its end

	// ClientHeader is the header in which a reverse proxy passes the client's address; its last element counts, which the
	// proxy itself added. Empty: the address of the connection counts.
	ClientHeader string

	InFlight int // calls under way at once, of all systems
	Memory   int // bytes of memory for the bodies of all calls under way
	Failures int // signatures per second, network and key that may fail before further checks are queued

	VerifySM2 sm.VerifyFunc
	Now       func() time.Time
	Logger    *slog.Logger
}

// Bounds of bodies and queues.
const (
	bodyCost = 4               // bytes of memory for each byte of a body: as it came, as text in it, as bytes of its own, and growing buffers
	bodyStep = 64 << 10        // bytes of memory that are taken at once
	heavyMax = 5 * time.Second // longest wait for a turn of processor-bound work
)

// An Intake holds the limits and caches that all calls share. It is safe for concurrent use.
type Intake struct {
	Config
	replays  *replays
	rates    rates
	failures *failures
	log      *securityLog
	calls    *share.Pool  // calls under way, from the signature check to the answer's last byte
	memory   *share.Pool  // bytes of memory for bodies
	heavy    *share.Queue // processor-bound work at once: verifications, and documents being drawn
	public   *share.Pool  // requests for public artefacts under way, by network
	pages    *share.Queue // lookups for public pages at once, by network
}

// New returns an Intake that knows no system yet.
func New(c Config) *Intake {
	return &Intake{
		Config: c, replays: newReplays(), failures: newFailures(c.Failures), log: newSecurityLog(c.Logger, c.Now),
		calls: share.NewPool(c.InFlight), memory: share.NewPool(c.Memory), heavy: share.NewQueue(Processors(), c.InFlight),
		public: share.NewPool(max(1, c.InFlight/4)), pages: share.NewQueue(Processors(), pageQueue),
	}
}

// Processors is how many pieces of processor-bound work run at once, so that other calls do not wait for them.
func Processors() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// An Allowance is what one system may use.
type Allowance struct {
	Rate  float64 // calls per second
	Burst int     // calls at once
	Share float64 // weight in what is divided among all systems
}

// Use replaces the allowances of all systems. A system whose rate did not change keeps what it has spent.
func (in *Intake) Use(systems map[string]Allowance) {
	weights := make(map[string]float64, len(systems))
	for id, s := range systems {
		weights[id] = s.Share
	}
	in.calls.Divide(weights)
	in.memory.Divide(weights)
	in.heavy.Divide(weights)
	in.rates.use(systems)
}

// Which limit a system has reached; a label of metrics.
const (
	byRate          = "rate"
	byCalls         = "calls"
	byMemory        = "memory"
	byVerifications = "verifications"
)

// Limited refuses a call of an authenticated system that has reached one of its limits (HTTP 429). It is counted, and
// summarised in one record for each system and minute (design law 1).
type Limited struct{ System, Limit string }

func (l *Limited) Error() string {
	return fmt.Sprintf("system %s has reached its limit of %s; it may call again later", l.System, l.Limit)
}

// Admit admits a call of an authenticated system whose question has so many bytes and is in memory already. The caller calls
// leave when the call is answered.
func (in *Intake) Admit(system string, size int) (leave func(), err error) {
	if err := in.admit(system, in.Now()); err != nil {
		return nil, err
	}
	cost := bodyCost * size
	if !in.memory.Take(system, cost) {
		in.calls.Give(system, 1)
		return nil, &Limited{system, byMemory}
	}
	return func() {
		in.calls.Give(system, 1)
		in.memory.Give(system, cost)
	}, nil
}

// admit checks the system's rate limit and takes one of its calls under way.
func (in *Intake) admit(system string, now time.Time) error {
	switch {
	case !in.rates.allow(system, now):
		return &Limited{system, byRate}
	case !in.calls.Take(system, 1):
		return &Limited{system, byCalls}
	}
	return nil
}

// Verifying waits for the system's turn to verify a document, which takes up to 200 ms of a processor.
func (in *Intake) Verifying(ctx context.Context, system string) (leave func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, heavyMax)
	defer cancel()
	leave, ok := in.Heavy(waiting, system)
	if !ok {
		return nil, &Limited{system, byVerifications}
	}
	return leave, nil
}

// Heavy waits until ctx ends for the system's turn to do processor-bound work.
func (in *Intake) Heavy(ctx context.Context, system string) (leave func(), ok bool) {
	if !in.heavy.Take(ctx, system) {
		return nil, false
	}
	return func() { in.heavy.Give(system) }, true
}

// Public takes one of a network's slots for public artefacts, so that slow readers delay readers of public artefacts only.
func (in *Intake) Public(network string) (leave func(), ok bool) {
	if !in.public.Take(network, 1) {
		return nil, false
	}
	return func() { in.public.Give(network, 1) }, true
}

const (
	pageQueue = 32              // requests of one network that wait for their lookup
	pageWait  = 2 * time.Second // for a lookup
)

// Page waits for a network's turn to have a public page looked up in the database. Half of the processors do so at once at most, each network in
// its turn, so that no flood takes the connections or the processors of registered callers.
func (in *Intake) Page(ctx context.Context, network string) (leave func(), ok bool) {
	ctx, cancel := context.WithTimeout(ctx, pageWait)
	defer cancel()
	if !in.pages.Take(ctx, network) {
		return nil, false
	}
	return func() { in.pages.Give(network) }, true
}

// Claim takes a call id of a system until it can no longer be accepted. It returns false if the id is taken.
func (in *Intake) Claim(system, id string, until time.Time) bool {
	return in.replays.take(callID{system, id}, until, in.Now())
}

// Release gives a call id back: nothing was recorded and nothing answered, so the same call may be made again.
func (in *Intake) Release(system, id string) { in.replays.release(callID{system, id}) }

// A Usage is how much of each shared resource is in use.
type Usage struct {
	Calls, Memory, Heavy, Public int
	Waiting                      int // for processor-bound work
}

// Usage returns what is in use now.
func (in *Intake) Usage() Usage {
	return Usage{in.calls.Used(), in.memory.Used(), in.heavy.Used(), in.public.Used(), in.heavy.Waiting()}
}

// rates are the rate limits of the systems (token buckets). The zero value is ready for use.
type rates struct {
	mu       sync.Mutex // protects all fields below
	bySystem map[string]*rate.Limiter
}

func (l *rates) use(systems map[string]Allowance) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := make(map[string]*rate.Limiter, len(systems))
	for id, s := range systems {
		if was := l.bySystem[id]; was != nil && was.Limit() == rate.Limit(s.Rate) && was.Burst() == s.Burst {
			next[id] = was
			continue
		}
		next[id] = rate.NewLimiter(rate.Limit(s.Rate), s.Burst)
	}
	l.bySystem = next
}

// allow reports whether the system may make another call now. A system that is no longer configured may: its refusal is
// recorded.
func (l *rates) allow(system string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.bySystem[system]
	return limiter == nil || limiter.AllowN(now, 1)
}
