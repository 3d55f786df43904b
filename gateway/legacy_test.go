package gateway

import (
	"context"
	"sync"

	"oncegate/license"
)

// legacy is a department's system as a test drives it.
type legacy struct {
	mu       sync.Mutex
	records  map[license.Question][]license.License
	err      error
	before   func(context.Context) // runs before an answer, outside mu
	calls    int
	requests []license.Request
}

func (l *legacy) Find(ctx context.Context, r license.Request) ([]license.Finding, error) {
	l.mu.Lock()
	before := l.before
	l.calls++
	l.requests = append(l.requests, r)
	l.mu.Unlock()
	if before != nil {
		before(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	out := make([]license.Finding, len(r.Questions))
	for i, q := range r.Questions {
		out[i] = license.Finding{State: license.IsNotFound}
		q.Number = ""
		if found := l.records[q]; len(found) > 0 {
			out[i] = license.Finding{State: license.IsFound, Records: found}
		}
	}
	return out, nil
}

func (l *legacy) put(q license.Question, records ...license.License) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records[q] = records
}

func (l *legacy) get(q license.Question) []license.License {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]license.License(nil), l.records[q]...)
}

// set changes how the system behaves.
func (l *legacy) set(change func(*legacy)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// asked is how many calls came.
func (l *legacy) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls
}

// findFunc is a source made of a function.
type findFunc func(context.Context, license.Request) ([]license.Finding, error)

func (f findFunc) Find(ctx context.Context, r license.Request) ([]license.Finding, error) {
	return f(ctx, r)
}
