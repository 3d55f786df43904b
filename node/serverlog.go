package node

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// linesPerSecond bounds what net/http says about peers, so that nobody fills the log by failing handshakes.
const linesPerSecond = 10

// A serverLog is where an HTTP server writes its complaints: at most linesPerSecond, and how many were left out.
type serverLog struct {
	logger *slog.Logger
	now    func() time.Time

	mu      sync.Mutex // protects all fields below
	second  int64
	lines   int
	dropped int
}

// Write takes one complaint.
func (l *serverLog) Write(line []byte) (int, error) {
	dropped, over := l.count()
	ctx := context.Background()
	if dropped > 0 {
		l.logger.WarnContext(ctx, "server: lines left out", "count", dropped)
	}
	if !over {
		l.logger.WarnContext(ctx, "server", "says", strings.TrimSpace(string(line)))
	}
	return len(line), nil
}

func (l *serverLog) count() (dropped int, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if second := l.now().Unix(); second != l.second {
		dropped, l.second, l.lines, l.dropped = l.dropped, second, 0, 0
	}
	l.lines++
	if over = l.lines > linesPerSecond; over {
		l.dropped++
	}
	return dropped, over
}
