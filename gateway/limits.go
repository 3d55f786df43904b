package gateway

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits hold each system to its rate, and count what was refused so that one record per system and minute says so.
type limits struct {
	mu       sync.Mutex
	bySystem map[string]*rate.Limiter
	refused  map[string]int
}

func newLimits(systems map[string]System) *limits {
	l := &limits{bySystem: make(map[string]*rate.Limiter, len(systems)), refused: make(map[string]int)}
	for id, s := range systems {
		per := orDefault(s.Rate, 100)
		l.bySystem[id] = rate.NewLimiter(rate.Limit(per), orDefault(s.Burst, max(1, int(2*per))))
	}
	return l
}

// allow reports whether the system may make another call now.
func (l *limits) allow(system string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.bySystem[system]
	if ok && limiter.AllowN(now, 1) {
		return true
	}
	l.refused[system]++
	return false
}

// take returns the refusals counted since the last time, by system.
func (l *limits) take() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.refused
	l.refused = make(map[string]int)
	return taken
}

// adopt keeps what was counted, and the spent allowance of systems whose rate did not change, over a reload.
func (l *limits) adopt(old *limits) {
	if old == nil {
		return
	}
	for system, n := range old.take() {
		l.refused[system] += n
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	for id, was := range old.bySystem {
		if now, ok := l.bySystem[id]; ok && now.Limit() == was.Limit() && now.Burst() == was.Burst() {
			l.bySystem[id] = was
		}
	}
}
