package gateway

import (
	"sync"

	"oncegate/policy"
)

// earlierSets remembers the agreements of policy sets that were in force before: reading one takes longer than showing it. The zero value is
// usable.
type earlierSets struct {
	mu  sync.Mutex // protects all
	all map[string][]policy.Grant
}

const maxEarlier = 8

func (e *earlierSets) of(digest string) ([]policy.Grant, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	grants, ok := e.all[digest]
	return grants, ok
}

func (e *earlierSets) keep(digest string, grants []policy.Grant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil || len(e.all) >= maxEarlier {
		e.all = make(map[string][]policy.Grant)
	}
	e.all[digest] = grants
}
