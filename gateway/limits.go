package gateway

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"oncegate/audit"
)

// limits hold each system to its rate.
type limits struct {
	mu       sync.Mutex // protects all fields below
	bySystem map[string]*rate.Limiter
}

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

// A tally counts calls by system, so that one line or record a minute says what one for each call would flood.
type tally struct {
	mu    sync.Mutex // protects calls
	calls map[string]int
}

// add counts calls of a system and returns how many there are since the last time.
func (t *tally) add(system string, calls int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls == nil {
		t.calls = make(map[string]int)
	}
	t.calls[system] += calls
	return t.calls[system]
}

// take returns the calls counted since the last time, by system.
func (t *tally) take() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := t.calls
	t.calls = nil
	return taken
}

// Run does what recurs until ctx ends: once a minute, for each system, one record and one line of the calls that were refused
// because it had used up its share, and one line of those that could not be recorded.
func (g *Gateway) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			g.summarize(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			g.summarize(context.WithoutCancel(ctx))
		}
	}
}

// summarize makes the summaries. What could not be recorded now is counted again for the next time.
func (g *Gateway) summarize(ctx context.Context) {
	config := g.running.Load()
	for system, calls := range g.unrecorded.take() {
		g.logger.ErrorContext(ctx, "calls were not answered: their records failed", "system", system, "calls", calls)
	}
	for system, calls := range g.refused.take() {
		_, err := g.Recorder.RecordOwn(ctx, audit.Own{
			Operation: "limits.refused", System: system, Policy: config.Policy.Digest(), Inputs: map[string]int{"calls": calls},
		})
		if err != nil {
			g.refused.add(system, calls)
			g.logger.ErrorContext(ctx, "refused calls were not recorded", "system", system, "calls", calls, "error", err.Error())
			continue
		}
		g.logger.WarnContext(ctx, "calls were refused: the system had used up its share", "system", system, "calls", calls)
	}
}
