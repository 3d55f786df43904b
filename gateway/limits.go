package gateway

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"oncegate/audit"
)

// limits hold each system to its rate, and count what was refused so that one record per system and minute says so.
type limits struct {
	mu       sync.Mutex // protects all fields below
	bySystem map[string]*rate.Limiter
	refused  map[string]int
}

func newLimits() *limits { return &limits{refused: make(map[string]int)} }

// use takes over the systems of a snapshot. A system whose rate did not change keeps what it has spent.
func (l *limits) use(systems map[string]System) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := make(map[string]*rate.Limiter, len(systems))
	for id, s := range systems {
		per := rate.Limit(orDefault(s.Rate, 100))
		burst := orDefault(s.Burst, max(1, int(2*per)))
		if was := l.bySystem[id]; was != nil && was.Limit() == per && was.Burst() == burst {
			next[id] = was
			continue
		}
		next[id] = rate.NewLimiter(per, burst)
	}
	l.bySystem = next
}

// allow reports whether the system may make another call now. One that is configured no more may: its refusal is recorded.
func (l *limits) allow(system string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.bySystem[system]
	return limiter == nil || limiter.AllowN(now, 1)
}

// count notes calls of a system that were refused without a record.
func (l *limits) count(system string, calls int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused[system] += calls
}

// take returns the refusals counted since the last time, by system.
func (l *limits) take() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.refused
	l.refused = make(map[string]int)
	return taken
}

// Run does what recurs until ctx ends: once a minute, one record per system whose calls were refused by its limit.
func (g *Gateway) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			g.recordLimits(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			g.recordLimits(context.WithoutCancel(ctx))
		}
	}
}

// recordLimits makes the summaries. What could not be recorded now is counted again for the next time.
func (g *Gateway) recordLimits(ctx context.Context) {
	config := g.running.Load()
	for system, calls := range g.limits.take() {
		_, err := g.Recorder.RecordOwn(ctx, audit.Own{
			Operation: "limits.refused", System: system, Policy: config.Policy.Digest(), Inputs: map[string]int{"calls": calls},
		})
		if err != nil {
			g.limits.count(system, calls)
			g.logger.ErrorContext(ctx, "refused calls were not recorded", "system", system, "calls", calls, "error", err.Error())
		}
	}
}
