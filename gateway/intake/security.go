package intake

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// securityLog is a rate-limited log of unauthenticated callers: floods are counted, not written, and nothing that such a
// caller sent is repeated.
type securityLog struct {
	logger *slog.Logger
	now    func() time.Time

	mu      sync.Mutex // protects all fields below
	second  int64
	lines   int
	dropped int
}

// LinesPerSecond bounds the security log.
const LinesPerSecond = 10

func newSecurityLog(l *slog.Logger, now func() time.Time) *securityLog {
	return &securityLog{logger: l, now: now}
}

// LogRefused writes a line about an unauthenticated caller, unless there were too many in this second.
func (in *Intake) LogRefused(ctx context.Context, code string) { in.log.line(ctx, code) }

func (s *securityLog) line(ctx context.Context, code string) {
	s.mu.Lock()
	dropped := 0
	if second := s.now().Unix(); second != s.second {
		dropped, s.second, s.lines, s.dropped = s.dropped, second, 0, 0
	}
	s.lines++
	over := s.lines > LinesPerSecond
	if over {
		s.dropped++
	}
	s.mu.Unlock()
	if dropped > 0 {
		s.logger.WarnContext(ctx, "unauthenticated callers: lines left out", "count", dropped)
	}
	if !over {
		s.logger.WarnContext(ctx, "unauthenticated caller refused", "code", code)
	}
}
