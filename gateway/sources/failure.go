package sources

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"oncegate/license"
)

// Why a finding is worth nothing: an adapter broke its contract.
var (
	errMiscounted = &license.SourceError{Cause: license.OtherCause, Detail: "the source did not answer every question"}
	errUnsound    = &license.SourceError{Cause: license.OtherCause, Detail: "the source answered neither found nor not found"}
	errPanicked   = &license.SourceError{Cause: license.OtherCause, Detail: "the source's adapter panicked"}
)

// FailureOf is why a source did not answer, in the words of fixed sentences alone.
func FailureOf(err error) *license.SourceError {
	if e := failureOf(err); e != nil {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &license.SourceError{Cause: license.TimedOut}
	}
	return &license.SourceError{Cause: license.OtherCause}
}

// failureOf is why a source did not answer, as logs and metrics say it; nil for what says nothing about the source: it was not asked,
// or its caller left. Of an error that is no license.SourceError nothing is repeated.
func failureOf(err error) *license.SourceError {
	var e *license.SourceError
	switch {
	case err == nil, errors.Is(err, license.ErrCannotAsk), errors.Is(err, ErrNoSlot), errors.As(err, new(*callerLeft)),
		errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests), errors.Is(err, context.Canceled):
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return &license.SourceError{Cause: license.TimedOut}
	case errors.Is(err, license.ErrUnanswerable):
		return &license.SourceError{Cause: license.BadRecord}
	}
	return &license.SourceError{Cause: license.OtherCause}
}

// logEvery bounds the lines about one cause of one source: a source that is down would fill the log.
const logEvery = time.Minute

// A failureLog is the rate-limited log of why a source did not answer: one line for each cause and minute, at once.
type failureLog struct {
	logger *slog.Logger
	source string
	now    func() time.Time

	mu   sync.Mutex // protects said
	said map[license.Cause]*said
}

// said is when a cause was logged last, and how often it was met since.
type said struct {
	at      time.Time
	further int
}

// write logs a failure, unless its cause was logged within the last minute.
func (l *failureLog) write(ctx context.Context, e *license.SourceError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, now := l.said[e.Cause], l.now()
	if last != nil && now.Sub(last.at) < logEvery {
		last.further++
		return
	}
	further := 0
	if last != nil {
		further = last.further
	}
	l.said[e.Cause] = &said{at: now}
	message := "source did not answer"
	if e.Cause.Faulty() {
		message = "source is faulty: its data or schema is not as configured"
	}
	l.logger.WarnContext(ctx, message, "source", l.source, "cause", e.Cause, "reason", e.Error(), "not_logged", further)
}

// report counts and logs why a source did not answer.
func (s *Resilient) report(ctx context.Context, err error) {
	if e := failureOf(err); e != nil {
		s.metrics.failures.WithLabelValues(s.ID, string(e.Cause)).Inc()
		s.failures.write(ctx, e)
	}
}
