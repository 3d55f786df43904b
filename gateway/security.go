package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// securityLog writes a bounded number of lines about callers who did not prove who they are: floods are counted, not
// written, and nothing that such a caller sent is repeated.
type securityLog struct {
	logger *slog.Logger
	now    func() time.Time

	mu      sync.Mutex // protects all fields below
	second  int64
	lines   int
	dropped int
}

// linesPerSecond bounds the security log.
const linesPerSecond = 10

func newSecurityLog(l *slog.Logger, now func() time.Time) *securityLog {
	return &securityLog{logger: l, now: now}
}

func (s *securityLog) line(ctx context.Context, code string) {
	s.mu.Lock()
	dropped := 0
	if second := s.now().Unix(); second != s.second {
		dropped, s.second, s.lines, s.dropped = s.dropped, second, 0, 0
	}
	s.lines++
	over := s.lines > linesPerSecond
	if over {
		s.dropped++
	}
	s.mu.Unlock()
	if dropped > 0 {
		s.logger.WarnContext(ctx, "unproven callers: lines left out", "count", dropped)
	}
	if !over {
		s.logger.WarnContext(ctx, "unproven caller refused", "code", code)
	}
}
