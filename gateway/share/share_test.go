package share

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func fill(p *Pool, user string) (n int) {
	for p.Take(user, 1) {
		n++
	}
	return n
}

// However greedy some are, whoever else is registered has its reserve, and whoever is not finds room.
func TestGreedy(t *testing.T) {
	p := NewPool(1024)
	weights := map[string]float64{"acceptance": 2}
	for i := range 6 {
		weights[fmt.Sprint("s", i)] = 1
	}
	p.Divide(weights) // 64 units for each weight, 512 to lend
	if got := fill(p, "s0"); got != 64+256 {
		t.Errorf("one greedy user holds %d", got)
	}
	if got := fill(p, "s1"); got != 64+128 {
		t.Errorf("the next one holds %d", got)
	}
	if got := fill(p, "stranger"); got != 64 {
		t.Errorf("one without a reserve holds %d", got)
	}
	for i := range 20 {
		fill(p, fmt.Sprint("greedy", i))
	}
	if got := fill(p, "acceptance"); got != 128 {
		t.Errorf("of its 128 units one has %d", got)
	}
	if p.Take("s0", 1) {
		t.Error("a greedy user takes the reserve of others")
	}
	if NewPool(1).Take("anybody", 1) != true || NewPool(2).Take("anybody", 2) {
		t.Error("the smallest pools")
	}
}

// The invariants of the pool hold, whatever is taken, given and divided again, and a reserve is never refused.
func TestSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 50).Draw(t, "size")
		p, users, held := NewPool(size), []string{"a", "b", "c", "d"}, map[string]int{}
		withinHalf := true // nobody held more than the pool's half when it was divided
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			user, n := rapid.SampledFrom(users).Draw(t, "user"), rapid.IntRange(1, 4).Draw(t, "n")
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				weights := map[string]float64{}
				for _, u := range users[:rapid.IntRange(1, 4).Draw(t, "registered")] {
					weights[u] = rapid.Float64Range(0.1, 3).Draw(t, "weight")
				}
				p.Divide(weights)
				withinHalf = p.left >= p.owed
			case 1:
				if n = min(n, held[user]); n > 0 {
					p.Give(user, n)
					held[user] -= n
				}
			default:
				if p.Take(user, n) {
					held[user] += n
				} else if withinHalf && held[user]+n <= p.reserved[user] {
					t.Fatalf("%s is refused %d of its reserve: %+v", user, n, p)
				}
			}
			sum, owed := 0, 0
			for _, u := range users {
				sum += held[u]
				owed += max(0, p.reserved[u]-held[u])
			}
			if p.left != size-sum || p.left < 0 || owed != p.owed || withinHalf && p.left < p.owed {
				t.Fatalf("held %v, pool %+v", held, p)
			}
		}
	})
}

// Whoever waits for one unit waits one turn, however many calls of another wait before it.
func TestTurns(t *testing.T) {
	q := NewQueue(1, 100)
	if !q.Take(t.Context(), "greedy") {
		t.Fatal("the first")
	}
	order := make(chan string, 100)
	var all sync.WaitGroup
	wait := func(user string) {
		before := q.Waiting()
		all.Go(func() {
			if q.Take(t.Context(), user) {
				order <- user
				q.Give(user)
			}
		})
		for q.Waiting() == before {
			time.Sleep(time.Millisecond)
		}
	}
	for range 50 {
		wait("greedy")
	}
	wait("modest")
	q.Give("greedy")
	all.Wait()
	if first, second := <-order, <-order; first != "modest" && second != "modest" {
		t.Errorf("first %s, then %s", first, second)
	}
	if q.Used() != 0 || q.Waiting() != 0 || len(q.order) != 0 {
		t.Errorf("left over: %+v", q)
	}
}

// Who stops waiting leaves nothing behind; the line of one user is bounded.
func TestLeaving(t *testing.T) {
	q := NewQueue(1, 2)
	q.Take(t.Context(), "a")
	var all sync.WaitGroup
	for range 40 {
		for _, user := range []string{"a", "b"} {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				if q.Take(ctx, user) {
					q.Give(user)
				}
			})
		}
	}
	all.Wait()
	q.Give("a")
	if q.Used() != 0 || q.Waiting() != 0 || len(q.order) != 0 {
		t.Errorf("left over: %+v", q)
	}
}
