package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/gateway/sources"
	"oncegate/license"
)

// errLate: the source had not answered when the check stopped waiting for it (CheckRequest.wait_ms). It is no outage, so that neither a kept copy nor a filed
// material stands in.
var errLate = errors.New("the source had not answered when the call stopped waiting for it; it is still being asked")

// A lateQuestion is what is asked of a source, and for whom: calls that ask the same may wait for one answer (request coalescing). Purposes are a
// part of it, so that an answer serves no other case, system or person.
type lateQuestion struct {
	source  *sources.Resilient
	system  string
	request string // JSON of the license.Request
}

// A lateAnswer is one that a source still owes.
type lateAnswer struct {
	done  chan struct{}
	found []license.Finding // set before done is closed
}

// lateAnswers are the questions under way that their calls may stop to wait for. An answer is kept no longer than somebody waits for it.
type lateAnswers struct {
	mu   sync.Mutex // protects owed
	owed map[lateQuestion]*lateAnswer
}

// maxLate bounds the questions under way; beyond it a call waits for its own.
const maxLate = 1024

// ask asks a source. A call with a bound on its wait leaves the question under way when the bound has passed: the source's answer is not lost,
// and does not count as a failure of the source. The next call that asks the same waits for it.
func (g *Gateway) ask(ctx context.Context, c *call, source *sources.Resilient, r license.Request) []license.Finding {
	text, err := json.Marshal(r)
	if err != nil {
		return source.Find(ctx, c.system.ID, r)
	}
	key := lateQuestion{source, c.system.ID, string(text)}
	answer := g.late.find(key, !c.waitUntil.IsZero(), func() []license.Finding {
		behind, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.Limits.Call)
		defer cancel()
		return source.Find(behind, c.system.ID, r)
	})
	if answer == nil {
		return source.Find(ctx, c.system.ID, r)
	}
	var bound <-chan time.Time
	if !c.waitUntil.IsZero() {
		timer := time.NewTimer(time.Until(c.waitUntil))
		defer timer.Stop()
		bound = timer.C
	}
	why := errLate
	select {
	case <-answer.done:
		return answer.found
	case <-bound:
	case <-ctx.Done():
		why = ctx.Err()
	}
	late := make([]license.Finding, len(r.Questions))
	for i := range late {
		late[i] = license.Finding{State: license.IsUnavailable, Source: source.ID, AsOf: c.now, Err: why}
	}
	return late
}

// find returns the answer that is owed, or has the question asked if begin says so; nil if it is not asked, or too many are.
func (l *lateAnswers) find(key lateQuestion, begin bool, ask func() []license.Finding) *lateAnswer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if owed := l.owed[key]; owed != nil {
		return owed
	}
	if !begin || len(l.owed) >= maxLate {
		return nil
	}
	if l.owed == nil {
		l.owed = make(map[lateQuestion]*lateAnswer)
	}
	owed := &lateAnswer{done: make(chan struct{})}
	l.owed[key] = owed
	go func() {
		owed.found = ask()
		l.mu.Lock()
		delete(l.owed, key)
		l.mu.Unlock()
		close(owed.done)
	}()
	return owed
}
