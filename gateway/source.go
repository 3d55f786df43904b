package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"

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

// A SourceConfig says how one source is reached and how much of it may be used. Zero values take the defaults.
type SourceConfig struct {
	ID         string        // unique; stands in records and metrics
	Department string        // id of the department that owns it
	Kind       string        // how fresh its answers are: "live" or "drop"
	Deadline   time.Duration // longest wait for one call; default 3 s
	Concurrent int           // calls under way at once; more wait inside their deadline; default 32
	Failures   int           // consecutive failed calls that open the breaker; default 5
	Cooldown   time.Duration // how long an open breaker refuses before it tries again; default 5 s
	Source     Source
}

// errMiscounted says that an adapter broke its contract.
var errMiscounted = errors.New("the source answered another number of questions")

// A guardedSource is a Source behind its own deadline, bulkhead and breaker, so that a sick source costs the others nothing.
type guardedSource struct {
	SourceConfig
	slots   chan struct{}
	breaker *gobreaker.CircuitBreaker[[]license.Finding]
	metrics *sourceMetrics
	now     func() time.Time
}

func guardSource(c SourceConfig, m *metrics, now func() time.Time) *guardedSource {
	c.Deadline = orDefault(c.Deadline, 3*time.Second)
	c.Concurrent = orDefault(c.Concurrent, 32)
	c.Failures = orDefault(c.Failures, 5)
	c.Cooldown = orDefault(c.Cooldown, 5*time.Second)
	c.Kind = orDefault(c.Kind, "live")
	s := &guardedSource{SourceConfig: c, slots: make(chan struct{}, c.Concurrent), metrics: m.source(c.ID), now: now}
	s.metrics.state.Set(0)
	s.breaker = gobreaker.NewCircuitBreaker[[]license.Finding](gobreaker.Settings{
		Name:         c.ID,
		MaxRequests:  1,
		Timeout:      c.Cooldown,
		ReadyToTrip:  func(n gobreaker.Counts) bool { return int(n.ConsecutiveFailures) >= c.Failures },
		IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			s.metrics.state.Set(float64(to)) // 0 closed, 1 half open, 2 open
		},
	})
	return s
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// Find asks the source and always answers every question: what went wrong becomes "unavailable", never an error.
func (s *guardedSource) Find(ctx context.Context, questions []license.Question) []license.Finding {
	start := s.now()
	findings, err := s.breaker.Execute(func() ([]license.Finding, error) { return s.call(ctx, questions) })
	s.metrics.observe(s.now().Sub(start), err)
	if err != nil && findings == nil {
		findings = make([]license.Finding, len(questions))
		for i := range findings {
			findings[i] = license.Finding{State: license.IsUnavailable, Err: err}
		}
	}
	for i := range findings {
		findings[i].Source = s.ID
		if findings[i].AsOf.IsZero() {
			findings[i].AsOf = s.now()
		}
	}
	return findings
}

// call makes one bounded call. Findings that are all unavailable count as a failure of the source, so that the breaker sees
// a source that answers politely that it cannot answer; unless the question was at fault and the source is well.
func (s *guardedSource) call(ctx context.Context, questions []license.Question) (_ []license.Finding, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("source %s panicked", s.ID)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, s.Deadline)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for source %s: %w", s.ID, ctx.Err())
	}
	findings, err := s.Source.Find(ctx, questions)
	if err != nil {
		return nil, fmt.Errorf("ask source %s: %w", s.ID, err)
	}
	if len(findings) != len(questions) {
		return nil, fmt.Errorf("ask source %s: %w", s.ID, errMiscounted)
	}
	for _, f := range findings {
		if f.State != license.IsUnavailable || errors.Is(f.Err, license.ErrUnanswerable) {
			return findings, nil
		}
	}
	return findings, fmt.Errorf("source %s could answer nothing: %w", s.ID, firstError(findings))
}

func firstError(findings []license.Finding) error {
	for _, f := range findings {
		if f.Err != nil {
			return f.Err
		}
	}
	return errors.New("no reason given")
}

// sameBounds reports whether a reloaded configuration leaves the guard as it is.
func (s *guardedSource) sameBounds(c SourceConfig) bool {
	return s.Department == c.Department && s.Kind == orDefault(c.Kind, "live") && s.Deadline == orDefault(c.Deadline, 3*time.Second) &&
		s.Concurrent == orDefault(c.Concurrent, 32) && s.Failures == orDefault(c.Failures, 5) && s.Cooldown == orDefault(c.Cooldown, 5*time.Second)
}
