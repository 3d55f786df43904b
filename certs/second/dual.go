package second

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"oncegate/certs/sm"
)

// ErrDisagree says that the two verifiers differ about a signature that must not leave or be trusted in doubt.
var ErrDisagree = errors.New("the two signature verifiers disagree")

// Disagreement is what an alarm is told: digests only, nothing personal.
type Disagreement struct {
	Fast    error  // nil: the fast verifier accepts
	Second  error  // nil: the second verifier accepts
	Key     string // base64url(SM3(04‖x‖y)), or empty when the key is no point
	Message string // base64url(SM3(message))
}

// Config of a dual verifier. The zero value works and is silent.
type Config struct {
	// OneIn is how many accepted signatures pass for one that is checked again; zero means 1000, negative none.
	OneIn int
	// Queue bounds the checks waiting; zero means 64. What does not fit is dropped and counted: the second verifier is slow
	// (about 1.3 ms), and rejects cost a stranger nothing to send.
	Queue int
	// PerSecond bounds the checks of rejected signatures; zero means 20.
	PerSecond float64
	// Alarm is called, from another goroutine, for each disagreement. It must be quick and safe for concurrent use.
	Alarm func(Disagreement)
	// Fast and Second are the verifiers; nil means [sm.Verify] and [Check].
	Fast, Second sm.VerifyFunc
}

// DualVerifier verifies with the fast verifier and lets the second listen. It is safe for concurrent use. Close ends it.
type DualVerifier struct {
	Config
	limit   *rate.Limiter
	passed  atomic.Uint64
	checked atomic.Uint64
	dropped atomic.Uint64
	done    sync.WaitGroup

	mu     sync.RWMutex // protects closed against sends on queue
	closed bool
	queue  chan job
}

type job struct {
	pub         *ecdsa.PublicKey
	message, rs []byte
	fast        error
}

// New starts the background checks.
func New(c Config) *DualVerifier {
	if c.OneIn == 0 {
		c.OneIn = 1000
	}
	if c.Queue <= 0 {
		c.Queue = 64
	}
	if c.PerSecond <= 0 {
		c.PerSecond = 20
	}
	if c.Alarm == nil {
		c.Alarm = func(Disagreement) {}
	}
	if c.Fast == nil {
		c.Fast = sm.Verify
	}
	if c.Second == nil {
		c.Second = Check
	}
	v := &DualVerifier{Config: c, limit: rate.NewLimiter(rate.Limit(c.PerSecond), int(c.PerSecond)+1), queue: make(chan job, c.Queue)}
	v.done.Go(func() {
		for j := range v.queue {
			v.compare(j)
		}
	})
	return v
}

// Close waits for the checks that are queued. Verify still works afterwards, with the fast verifier alone.
func (v *DualVerifier) Close() {
	v.mu.Lock()
	if !v.closed {
		v.closed = true
		close(v.queue)
	}
	v.mu.Unlock()
	v.done.Wait()
}

// Counts tells how many signatures the second verifier has checked in the background, and how many it should have but was
// too busy for.
func (v *DualVerifier) Counts() (checked, dropped uint64) { return v.checked.Load(), v.dropped.Load() }

// Verify gives the fast verifier's verdict. Rejected signatures and one in OneIn accepted ones are checked again in the
// background. It has the shape of [sm.VerifyFunc].
func (v *DualVerifier) Verify(pub *ecdsa.PublicKey, message, rs []byte) error {
	fast := v.Fast(pub, message, rs)
	switch {
	case fast != nil:
		// Malformed input has no second opinion.
		if errors.Is(fast, sm.ErrBadSignature) {
			v.enqueue(job{pub, message, rs, fast}, v.limit.Allow())
		}
	case v.OneIn > 0 && v.passed.Add(1)%uint64(v.OneIn) == 0:
		v.enqueue(job{pub, message, rs, fast}, true)
	}
	return fast
}

// VerifyBoth asks both verifiers and waits: for what is about to be published, and for trust anchors. It has the shape of
// [sm.VerifyFunc]. When they differ the answer is ErrDisagree, and the alarm rings.
func (v *DualVerifier) VerifyBoth(pub *ecdsa.PublicKey, message, rs []byte) error {
	fast := v.Fast(pub, message, rs)
	if second := v.Second(pub, message, rs); (fast == nil) != (second == nil) {
		v.alarm(job{pub, message, rs, fast}, second)
		return fmt.Errorf("%w", ErrDisagree)
	}
	return fast
}

// Signer returns s with every signature confirmed by both verifiers before it is handed out: for licenses and certificates.
// It costs about 1.3 ms a signature, too slow for the log's key, which signs under a lock.
func (v *DualVerifier) Signer(s sm.Signer) sm.Signer { return confirmed{s, v} }

type confirmed struct {
	sm.Signer
	both *DualVerifier
}

func (c confirmed) Sign(ctx context.Context, message []byte) ([]byte, error) {
	rs, err := c.Signer.Sign(ctx, message)
	if err != nil {
		return nil, err
	}
	if err := c.both.VerifyBoth(c.Public(), message, rs); err != nil {
		return nil, fmt.Errorf("confirm new signature: %w", err)
	}
	return rs, nil
}

// enqueue hands a job to the background, or drops it when it is not allowed or does not fit.
func (v *DualVerifier) enqueue(j job, allowed bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.closed {
		return
	}
	if allowed && len(v.queue) < cap(v.queue) {
		j.message, j.rs = slices.Clone(j.message), slices.Clone(j.rs)
		select {
		case v.queue <- j:
			return
		default:
		}
	}
	v.dropped.Add(1)
}

func (v *DualVerifier) compare(j job) {
	second := v.Second(j.pub, j.message, j.rs)
	v.checked.Add(1)
	if (j.fast == nil) != (second == nil) {
		v.alarm(j, second)
	}
}

func (v *DualVerifier) alarm(j job, second error) {
	d := Disagreement{Fast: j.fast, Second: second, Message: sm.DigestB64(j.message)}
	if sm.CheckPublicKey(j.pub) == nil {
		d.Key = sm.DigestB64(sm.MarshalPoint(j.pub))
	}
	v.Alarm(d)
}
