package gateway

import (
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
// Find answers every question, in the order asked, one Finding each. What a source does not have is "not found"; what it
// could not tell is "unavailable" with Err set. An error means that the call as a whole could not be made, so nothing is
// known about any question. Find obeys ctx, is safe for concurrent use, and keeps neither the questions nor the findings.
type Source interface {
	Find(ctx context.Context, questions []license.Question) ([]license.Finding, error)
}

// A Selective source says at once, asking nobody, why it can never answer a question: an error that is license.ErrCannotAsk, or nil. A
// source that does not say so beforehand may say it in its finding.
type Selective interface {
	CanAsk(q license.Question) error
}

// A SourceConfig says how one source is reached and how much of it may be used. Zero values take the defaults.
type SourceConfig struct {
	ID         string        // unique; stands in records and metrics
	Department string        // id of the department that owns it
	Kind       string        // how fresh its answers are: "live" or "drop"
	Deadline   time.Duration // longest wait for a slot, and from then on for the answer; default 3 s
	Concurrent int           // slots: calls under way at once, shared out among the systems; default 32
	Failures   int           // consecutive failed calls that open the breaker; default 5
	Cooldown   time.Duration // how long an open breaker refuses before it tries again; default 5 s
	Source     Source
}

func (c SourceConfig) withDefaults() SourceConfig {
	c.Deadline = orDefault(c.Deadline, 3*time.Second)
	c.Concurrent = orDefault(c.Concurrent, 32)
	c.Failures = orDefault(c.Failures, 5)
	c.Cooldown = orDefault(c.Cooldown, 5*time.Second)
	c.Kind = orDefault(c.Kind, "live")
	return c
}

// same reports whether a reloaded configuration leaves the guard as it is.
func (c SourceConfig) same(next SourceConfig) bool {
	next = next.withDefaults()
	was, is := c.Source, next.Source
	c.Source, next.Source = nil, nil
	// A source that cannot be compared is taken for another one.
	return c == next && was != nil && is != nil && reflect.TypeOf(was) == reflect.TypeOf(is) && reflect.TypeOf(was).Comparable() && was == is
}

// A guardedSource is a Source behind its own deadline, bulkhead and breaker, so that a sick source costs the others nothing,
// and its slots are shared out, so that one system that asks much costs the others little.
type guardedSource struct {
	SourceConfig
	slots   *share.Queue // one unit per call under way; a call that ignores its deadline keeps its own
	breaker *gobreaker.CircuitBreaker[[]license.Finding]
	metrics *sourceMetrics
	now     func() time.Time
}

func guardSource(c SourceConfig, m *metrics, logger *slog.Logger, now func() time.Time) *guardedSource {
	c = c.withDefaults()
	s := &guardedSource{SourceConfig: c, slots: share.NewQueue(c.Concurrent, waitingForSource), metrics: m.source(c.ID), now: now}
	s.metrics.state.Set(0)
	s.breaker = gobreaker.NewCircuitBreaker[[]license.Finding](gobreaker.Settings{
		Name:        c.ID,
		MaxRequests: 1,
		Timeout:     c.Cooldown,
		ReadyToTrip: func(n gobreaker.Counts) bool { return int(n.ConsecutiveFailures) >= c.Failures },
		IsExcluded:  func(err error) bool { return errors.As(err, new(*untold)) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			s.metrics.state.Set(float64(to)) // 0 closed, 1 half open, 2 open
			logger.Warn("source breaker", "source", c.ID, "from", from.String(), "to", to.String())
		},
	})
	return s
}

// waitingForSource bounds how many calls of one system wait for a slot of one source.
const waitingForSource = 1024

// errNoSlot says that the system's calls fill its share of a source's slots. It is no fault of the source.
var errNoSlot = errors.New("no slot of the source became free")

// Find asks the source for a system and always answers every question: what went wrong becomes "unavailable", never an error.
// The source's deadline runs from when the call has its slot.
func (s *guardedSource) Find(ctx context.Context, system string, questions []license.Question) []license.Finding {
	start := s.now()
	var findings []license.Finding
	leave, err := s.enter(ctx, system)
	if err == nil {
		start = s.now()
		findings, err = s.breaker.Execute(func() ([]license.Finding, error) { return s.call(ctx, leave, questions) })
		if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
			leave() // it was not asked
		}
	}
	s.metrics.observe(s.now().Sub(start), err)
	if findings == nil {
		findings = make([]license.Finding, len(questions))
		for i := range findings {
			findings[i] = license.Finding{State: license.IsUnavailable, Err: err}
		}
	}
	for i := range findings {
		s.settle(&findings[i], start)
	}
	return findings
}

// settle labels a finding and holds it against the contract: what is neither found, not found nor unavailable is nothing
// that anybody may rely on. A live answer is as fresh as its question: one that was long under way is not newer than what
// came meanwhile, and a moment in the future would keep every later state of a license from being taken over.
func (s *guardedSource) settle(f *license.Finding, asked time.Time) {
	f.Source, f.Stale = s.ID, false
	if f.AsOf.IsZero() || f.AsOf.After(asked) {
		f.AsOf = asked
	}
	switch {
	case f.State == license.IsFound && len(f.Records) > 0, f.State == license.IsNotFound && len(f.Records) == 0:
		f.Err = nil
	case f.State == license.IsUnavailable && f.Err != nil:
		f.Records = nil
	default:
		f.State, f.Records, f.Err = license.IsUnavailable, nil, errors.Join(f.Err, errUnsound)
	}
}

// Why an answer is worth nothing: an adapter broke its contract.
var (
	errMiscounted = errors.New("the source answered another number of questions")
	errUnsound    = errors.New("the source said neither found nor not found")
)

// An untold is a call that says nothing about the source: its caller left, or had no time left for it.
type untold struct{ error }

func (u *untold) Unwrap() error { return u.error }

// call makes one bounded call. Findings that are all unavailable count as a failure of the source, so that the breaker sees
// a source that answers politely that it cannot answer; unless the question was at fault and the source is well.
func (s *guardedSource) call(caller context.Context, leave func(), questions []license.Question) ([]license.Finding, error) {
	ctx, cancel := context.WithTimeout(caller, s.Deadline)
	defer cancel()
	findings, err := s.ask(ctx, leave, questions)
	switch {
	case caller.Err() != nil: // also where the answer came at the same moment: nobody waits for it
		return nil, &untold{fmt.Errorf("ask source %s: %w", s.ID, caller.Err())}
	case err != nil:
		return nil, fmt.Errorf("ask source %s: %w", s.ID, err)
	case len(findings) != len(questions):
		return nil, fmt.Errorf("ask source %s: %w", s.ID, errMiscounted)
	}
	for _, f := range findings {
		if f.State != license.IsUnavailable || errors.Is(f.Err, license.ErrUnanswerable) {
			return findings, nil
		}
	}
	return findings, fmt.Errorf("source %s could answer nothing", s.ID)
}

// enter waits for a slot. An open breaker is not waited for.
func (s *guardedSource) enter(ctx context.Context, system string) (leave func(), err error) {
	if s.breaker.State() == gobreaker.StateOpen {
		return nil, gobreaker.ErrOpenState
	}
	waiting, cancel := context.WithTimeout(ctx, s.Deadline)
	defer cancel()
	switch {
	case s.slots.Take(waiting, system):
		return func() { s.slots.Give(system) }, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("wait for source %s: %w", s.ID, ctx.Err())
	}
	return nil, fmt.Errorf("wait for source %s: %w", s.ID, errNoSlot)
}

// ask waits for the source no longer than its deadline, also for one that does not look at it: such a call goes on by
// itself, in the slot it holds, and what it says in the end is not heard.
func (s *guardedSource) ask(ctx context.Context, leave func(), questions []license.Question) ([]license.Finding, error) {
	type answer struct {
		findings []license.Finding
		err      error
	}
	done := make(chan answer, 1)
	go func() {
		a := answer{err: errors.New("the source panicked")}
		defer func() {
			_ = recover() // what it says may hold anything
			leave()
			done <- a
		}()
		findings, err := s.Source.Find(ctx, questions)
		a = answer{findings, err}
	}()
	select {
	case a := <-done:
		return a.findings, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
