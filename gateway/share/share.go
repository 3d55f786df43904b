// Package share divides a bounded resource fairly among its users: calls under way, bytes of memory, slots of a source,
// connections.
//
// The rule: half of the resource is reserved, to each registered user its part by weight, whatever the others do. The rest
// is lent to whoever asks, but to nobody more than is then left to lend: the dynamic threshold of shared-memory switches
// (Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998). One greedy user alone so holds its reserve and half
// of what is lent, two hold theirs and a third each, and another user always finds room.
package share

import (
	"context"
	"slices"
	"sync"
)

// A Pool is a resource of a fixed size. It is safe for concurrent use.
type Pool struct {
	mu       sync.Mutex // protects all fields below
	size     int
	left     int
	owed     int            // reserved and not taken
	reserved map[string]int // by user
	taken    map[string]int // by user; only users with units
}

// NewPool returns a pool of so many units, of which nothing is reserved yet.
func NewPool(size int) *Pool { return &Pool{size: size, left: size, taken: make(map[string]int)} }

// Divide reserves half of the pool to registered users by their weights; other users are only lent to. Units in use stay with their users.
func (p *Pool) Divide(weights map[string]float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all float64
	for _, w := range weights {
		all += w
	}
	p.reserved, p.owed = make(map[string]int, len(weights)), 0
	for user, w := range weights {
		p.reserved[user] = int(float64(p.size) / 2 * w / all)
		p.owed += max(0, p.reserved[user]-p.taken[user])
	}
}

// Take takes n units for a user, all or none.
func (p *Pool) Take(user string, n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.take(user, n)
}

func (p *Pool) take(user string, n int) bool {
	taken, reserved := p.taken[user], p.reserved[user]
	own := min(n, max(0, reserved-taken)) // of its reserve
	lent, more := max(0, taken-reserved), n-own
	toLend := p.left - p.owed
	if n > p.left || more > 0 && lent+more > toLend-more+1 { // the last unit goes to a user that is lent nothing
		return false
	}
	p.left -= n
	p.owed -= own
	p.taken[user] = taken + n
	return true
}

// Give gives n units back that the user took.
func (p *Pool) Give(user string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.give(user, n)
}

func (p *Pool) give(user string, n int) {
	before, reserved := p.taken[user], p.reserved[user]
	p.left += n
	p.owed += max(0, reserved-(before-n)) - max(0, reserved-before)
	if p.taken[user] = before - n; before == n {
		delete(p.taken, user)
	}
}

// Used returns how many units are taken, by all users.
func (p *Pool) Used() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size - p.left
}

// A Queue is a Pool whose units are waited for, one at a time. A unit that is given back goes to the waiting user that was
// served longest ago, of those who may have it: however many calls of one user wait, another waits for one turn.
type Queue struct {
	pool    *Pool
	most    int
	waiting map[string][]chan struct{} // by user, the oldest first; protected by pool.mu
	order   []string                   // users who wait, the one served longest ago first; protected by pool.mu
}

// NewQueue returns a queue for so many units. No more than most calls of one user wait at once.
func NewQueue(units, most int) *Queue {
	return &Queue{pool: NewPool(units), most: most, waiting: make(map[string][]chan struct{})}
}

// Divide is [Pool.Divide].
func (q *Queue) Divide(weights map[string]float64) {
	q.pool.Divide(weights)
	q.pool.mu.Lock()
	defer q.pool.mu.Unlock()
	q.serve()
}

// Take waits for a unit until ctx ends; it reports whether the user has one, to be given back.
func (q *Queue) Take(ctx context.Context, user string) bool {
	q.pool.mu.Lock()
	// Whoever waits could not be served, so that a new caller overtakes none of its own user and none that could be served.
	if len(q.waiting[user]) == 0 && ctx.Err() == nil && q.pool.take(user, 1) {
		q.pool.mu.Unlock()
		return true
	}
	if len(q.waiting[user]) >= q.most || ctx.Err() != nil {
		q.pool.mu.Unlock()
		return false
	}
	served := make(chan struct{})
	if len(q.waiting[user]) == 0 {
		q.order = append(q.order, user)
	}
	q.waiting[user] = append(q.waiting[user], served)
	q.pool.mu.Unlock()
	select {
	case <-served:
		return true
	case <-ctx.Done():
	}
	q.pool.mu.Lock()
	defer q.pool.mu.Unlock()
	i := slices.Index(q.waiting[user], served)
	if i < 0 {
		return true // at the same time
	}
	q.leave(user, i)
	return false
}

// Give gives one unit back.
func (q *Queue) Give(user string) {
	q.pool.mu.Lock()
	defer q.pool.mu.Unlock()
	q.pool.give(user, 1)
	q.serve()
}

// serve grants units to waiting callers as far as possible. Callers hold pool.mu.
func (q *Queue) serve() {
	for {
		i := slices.IndexFunc(q.order, func(user string) bool { return q.pool.take(user, 1) })
		if i < 0 {
			return
		}
		user := q.order[i]
		close(q.waiting[user][0])
		q.order = append(slices.Delete(q.order, i, i+1), user)
		q.leave(user, 0)
	}
}

// leave takes a waiting call out of its user's line. Callers hold pool.mu.
func (q *Queue) leave(user string, i int) {
	q.waiting[user] = slices.Delete(q.waiting[user], i, i+1)
	if len(q.waiting[user]) == 0 {
		delete(q.waiting, user)
		q.order = slices.DeleteFunc(q.order, func(other string) bool { return other == user })
	}
}

// Waiting returns how many calls wait, of all users.
func (q *Queue) Waiting() (calls int) {
	q.pool.mu.Lock()
	defer q.pool.mu.Unlock()
	for _, line := range q.waiting {
		calls += len(line)
	}
	return calls
}

// Used returns how many units are taken.
func (q *Queue) Used() int { return q.pool.Used() }
