package intake

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// LinesPerSecond is how many lines a LineLimit allows in a second.
const LinesPerSecond = 10

// A LineLimit is the rate limit of a log that others can make grow: it allows LinesPerSecond and counts the rest. It is safe for concurrent
// use; the zero value is ready.
type LineLimit struct {
	mu      sync.Mutex // protects all fields
	second  int64
	lines   int
	dropped int
}

// Allow reports whether a line may be written now, and how many were dropped in the second that ended before it.
func (l *LineLimit) Allow(now time.Time) (ok bool, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if second := now.Unix(); second != l.second {
		dropped, l.second, l.lines, l.dropped = l.dropped, second, 0, 0
	}
	l.lines++
	if ok = l.lines <= LinesPerSecond; !ok {
		l.dropped++
	}
	return ok, dropped
}

// securityLog is a rate-limited log of unauthenticated callers: floods are counted, not written, and nothing that such a
// caller sent is repeated.
type securityLog struct {
	logger *slog.Logger
	now    func() time.Time
	limit  LineLimit
}

func newSecurityLog(l *slog.Logger, now func() time.Time) *securityLog {
	return &securityLog{logger: l, now: now}
}

// LogRefused writes a line about an unauthenticated caller, unless there were too many in this second.
func (in *Intake) LogRefused(ctx context.Context, code string) { in.log.line(ctx, code) }

func (s *securityLog) line(ctx context.Context, code string) {
	ok, dropped := s.limit.Allow(s.now())
	if dropped > 0 {
		s.logger.WarnContext(ctx, "unauthenticated callers: lines left out", "count", dropped)
	}
	if ok {
		s.logger.WarnContext(ctx, "unauthenticated caller refused", "code", code)
	}
}
