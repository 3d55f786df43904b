// Package sources isolates departments' systems from each other: every Source has a deadline, a bulkhead whose
// slots are divided fairly among the calling systems, and a circuit breaker; its findings are normalised and held to the
// contract. A source that is slow, down or wrong costs the others nothing.
package sources

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/sony/gobreaker/v2"

	"oncegate/gateway/share"
	"oncegate/license"
)

// A Source answers questions about licenses from a department's own system. Adapters implement it.
//
// Find answers every question of the request, in the order asked, one Finding each. What a source does not have is "not
// found"; what it could not tell is "unavailable" with Err set. An error means that the call as a whole could not be made, so
// nothing is known about any question. Find obeys ctx, is safe for concurrent use, and keeps neither the request nor the
// findings.
type Source interface {
	Find(ctx context.Context, r license.Request) ([]license.Finding, error)
}

// A Selective source reports at once, without a call, why it can never answer a question: an error that is
// license.ErrCannotAsk, or nil. A source that does not know beforehand may report it in its finding.
type Selective interface {
	CanAsk(q license.Question) error
}

// Config is how one source is reached and how much of it may be used. Zero values take the defaults.
type Config struct {
	ID         string        // unique; stands in records and metrics
	Department string        // id of the department that owns it
	Kind       string        // how fresh its answers are: "live" or "drop"
	Deadline   time.Duration // longest wait for a slot, and from then on for the answer; default 3 s
	Concurrent int           // slots: calls under way at once, divided among the systems; default 32
	Failures   int           // consecutive failed calls that open the breaker; default 5
	Cooldown   time.Duration // how long an open breaker refuses before it tries again; default 5 s
	Source     Source
}

func (c Config) withDefaults() Config {
	c.Deadline = cmp.Or(c.Deadline, 3*time.Second)
	c.Concurrent = cmp.Or(c.Concurrent, 32)
	c.Failures = cmp.Or(c.Failures, 5)
	c.Cooldown = cmp.Or(c.Cooldown, 5*time.Second)
	c.Kind = cmp.Or(c.Kind, "live")
	return c
}

// Same reports whether a reloaded configuration needs no new Resilient.
func (c Config) Same(next Config) bool {
	next = next.withDefaults()
	was, is := c.Source, next.Source
	c.Source, next.Source = nil, nil
	// A source that cannot be compared is taken for another one.
	return c == next && was != nil && is != nil && reflect.TypeOf(was) == reflect.TypeOf(is) && reflect.TypeOf(was).Comparable() && was == is
}

// Resilient is a Source behind its own deadline, bulkhead and circuit breaker, so that a failing source costs the others
// nothing; its slots are divided, so that one system that asks much costs the others little.
type Resilient struct {
	Config
	slots    *share.Queue // one unit per call under way; a call that ignores its deadline keeps its own
	breaker  *gobreaker.CircuitBreaker[[]license.Finding]
	metrics  *sourceMetrics
	failures failureLog
	outage   outage
	now      func() time.Time
}

// maxWaiting bounds how many calls of one system wait for a slot of one source.
const maxWaiting = 1024

// New puts a source behind its limits.
func New(c Config, m *Metrics, logger *slog.Logger, now func() time.Time) *Resilient {
	c = c.withDefaults()
	s := &Resilient{Config: c, slots: share.NewQueue(c.Concurrent, maxWaiting), metrics: m.of(c.ID), now: now}
	s.failures = failureLog{logger: logger, source: c.ID, now: now, said: make(map[license.Cause]*said)}
	s.metrics.state.Set(0)
	s.breaker = gobreaker.NewCircuitBreaker[[]license.Finding](gobreaker.Settings{
		Name:        c.ID,
		MaxRequests: 1,
		Timeout:     c.Cooldown,
		ReadyToTrip: func(n gobreaker.Counts) bool { return int(n.ConsecutiveFailures) >= c.Failures },
		IsExcluded: func(err error) bool {
			return errors.As(err, new(*callerLeft)) || errors.Is(err, license.ErrUnanswerable)
		},
		OnStateChange: func(_ string, from, to gobreaker.State) {
			s.metrics.state.Set(float64(to)) // 0 closed, 1 half open, 2 open
			logger.Warn("source breaker", "source", c.ID, "from", from.String(), "to", to.String())
		},
	})
	return s
}

// Divide divides the slots among the systems by weight.
func (s *Resilient) Divide(weights map[string]float64) { s.slots.Divide(weights) }

// Open reports whether the circuit breaker is open.
func (s *Resilient) Open() bool { return s.breaker.State() == gobreaker.StateOpen }

// DownSince returns since when no call to the source was answered, as far as calls of the last ten minutes tell; false where it answers, or
// nobody asked.
func (s *Resilient) DownSince() (time.Time, bool) { return s.outage.since(s.now()) }

// Busy returns how many slots are in use.
func (s *Resilient) Busy() int { return s.slots.Used() }

// CannotAsk is why the source can never answer a question, as far as it knows without a call; nil if it may.
func (s *Resilient) CannotAsk(q license.Question) error {
	if selective, ok := s.Source.(Selective); ok {
		return selective.CanAsk(q)
	}
	return nil
}

// ErrNoSlot says that the system's calls fill its share of a source's slots. It is no fault of the source.
var ErrNoSlot = errors.New("the source has no free slot for this system; try again later")

// Find asks the source for a system and always answers every question: a failure becomes "unavailable", never an error. The
// source's deadline runs from when the call has its slot. An open breaker is not waited for.
func (s *Resilient) Find(ctx context.Context, system string, r license.Request) []license.Finding {
	return s.find(ctx, system, r, s.Open(), s.breaker.Execute)
}

// Try is Find past the circuit breaker, which it neither asks nor moves: for whoever looks why the source does not answer.
func (s *Resilient) Try(ctx context.Context, system string, r license.Request) []license.Finding {
	return s.find(ctx, system, r, false, func(ask func() ([]license.Finding, error)) ([]license.Finding, error) { return ask() })
}

func (s *Resilient) find(ctx context.Context, system string, r license.Request, open bool, by func(func() ([]license.Finding, error)) ([]license.Finding, error)) []license.Finding {
	start, leave, err := s.now(), func() {}, error(gobreaker.ErrOpenState)
	var findings []license.Finding
	if !open {
		leave, err = s.enter(ctx, system)
	}
	if err == nil {
		start = s.now()
		findings, err = by(func() ([]license.Finding, error) { return s.call(ctx, leave, r) })
		if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
			leave() // it was not asked
		}
	}
	s.metrics.observe(s.now().Sub(start), err)
	s.outage.note(s.now(), err)
	if findings == nil {
		s.report(ctx, err)
		findings = make([]license.Finding, len(r.Questions))
		for i := range findings {
			findings[i] = license.Finding{State: license.IsUnavailable, Err: err}
			s.normalize(&findings[i], start)
		}
		return findings
	}
	for i := range findings {
		s.normalize(&findings[i], start)
		s.report(ctx, findings[i].Err)
	}
	return findings
}

// normalize labels a finding and holds it to the contract: one that is neither found, not found nor unavailable is nothing
// that anybody may rely on. A live answer is as fresh as its question: one that was long under way is not newer than what
// came meanwhile, and a time in the future would keep every later state of a license from being taken over.
func (s *Resilient) normalize(f *license.Finding, asked time.Time) {
	f.Source, f.Stale = s.ID, false
	if f.AsOf.IsZero() || f.AsOf.After(asked) {
		f.AsOf = asked
	}
	found := len(f.Records) + len(f.Presented)
	switch {
	case f.State == license.IsFound && found > 0, f.State == license.IsNotFound && found == 0:
		f.Err = nil
	case f.State == license.IsUnavailable && f.Err != nil:
		f.Records, f.Presented = nil, nil
	default:
		f.State, f.Records, f.Presented, f.Err = license.IsUnavailable, nil, nil, errors.Join(f.Err, errUnsound)
	}
}

// callerLeft is the error of a call that tells nothing about the source: its caller left, or had no time left for it.
type callerLeft struct{ error }

func (u *callerLeft) Unwrap() error { return u.error }

// call makes one bounded call. Findings that are all unavailable count as a failure of the source, so that the breaker sees
// a source that politely answers that it cannot answer; unless the question was at fault and the source is well.
func (s *Resilient) call(caller context.Context, leave func(), r license.Request) ([]license.Finding, error) {
	ctx, cancel := context.WithTimeout(caller, s.Deadline)
	defer cancel()
	findings, err := s.ask(ctx, leave, r)
	switch {
	case caller.Err() != nil: // also where the answer came at the same moment: nobody waits for it
		return nil, &callerLeft{fmt.Errorf("ask source %s: %w", s.ID, caller.Err())}
	case err != nil:
		return nil, fmt.Errorf("ask source %s: %w", s.ID, err)
	case len(findings) != len(r.Questions):
		return nil, fmt.Errorf("ask source %s: %w", s.ID, errMiscounted)
	}
	for _, f := range findings {
		if f.State != license.IsUnavailable || errors.Is(f.Err, license.ErrUnanswerable) {
			return findings, nil
		}
	}
	return findings, fmt.Errorf("source %s could answer nothing", s.ID)
}

// enter waits for a slot.
func (s *Resilient) enter(ctx context.Context, system string) (leave func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, s.Deadline)
	defer cancel()
	switch {
	case s.slots.Take(waiting, system):
		return func() { s.slots.Give(system) }, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("wait for source %s: %w", s.ID, ctx.Err())
	}
	return nil, fmt.Errorf("wait for source %s: %w", s.ID, ErrNoSlot)
}

// ask waits for the source no longer than its deadline, also for one that ignores it: such a call goes on by itself, in the
// slot it holds, and its answer is discarded.
func (s *Resilient) ask(ctx context.Context, leave func(), r license.Request) ([]license.Finding, error) {
	type answer struct {
		findings []license.Finding
		err      error
	}
	done := make(chan answer, 1)
	go func() {
		a := answer{err: errPanicked}
		defer func() {
			_ = recover() // its value may hold anything
			leave()
			done <- a
		}()
		findings, err := s.Source.Find(ctx, r)
		a = answer{findings, err}
	}()
	select {
	case a := <-done:
		return a.findings, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
