package node

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"oncegate/config"
	"oncegate/install"
	"oncegate/store"
)

const (
	// A check of all rows takes a thousandth of a processor at most, but is made each day.
	checkRatio   = 1000
	checkSoonest = 10 * time.Minute
	checkLatest  = 24 * time.Hour
	// checkAtStart is how many rows of state are added up before a node serves, a few seconds' work; more are added up while it does.
	checkAtStart  = 1_000_000
	alarmInterval = time.Minute // between two log lines on the same alteration
)

// An alarm logs that rows of the database were altered. It is rate-limited by row, because many calls may read an altered one.
type alarm struct {
	tell func(table, what string)
	now  func() time.Time

	mu   sync.Mutex // protects told
	told map[[2]string]time.Time
}

func (a *alarm) raise(table, what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, k := a.now(), [2]string{table, what}
	if now.Sub(a.told[k]) < alarmInterval {
		return
	}
	if len(a.told) > 1000 { // what names numbers of rows
		clear(a.told)
	}
	a.told[k] = now
	a.tell(table, what)
}

// alarm is for a store that n opens.
func (n *Node) alarm() func(table, what string) {
	a := &alarm{now: n.Now, told: map[[2]string]time.Time{}, tell: func(table, what string) {
		n.Logger.Error("the database was altered", "table", table, "what", what, "see", "operations, section 5")
	}}
	return a.raise
}

// checkTables verifies before a node serves that no row of state was altered while it was stopped (multiset MAC). Where there are too many
// rows, check does it while the node serves.
func (n *Node) checkTables(ctx context.Context, s *config.Setup) error {
	n.metrics.watchTables(n.db)
	adopted, err := n.db.Adopted(ctx)
	if err != nil {
		return err
	}
	if !adopted {
		if binds, err := install.BindsChanges(ctx, n.log); err != nil || binds {
			return cmp.Or(err, install.ErrTagsLost)
		}
		return fmt.Errorf("%w: stop all nodes and run oncegate audit adopt -c %s", store.ErrNotAdopted, s.File)
	}
	if lost, err := n.db.LostKeys(ctx); err != nil || lost {
		return cmp.Or(err, fmt.Errorf("what the tables add up to cannot be read: it was sealed under an envelope key that the keystore lacks; either the database was tampered with (operations, section 5), or %w; %s", install.ErrOldKeys, install.OldKeysAdvice))
	}
	rows, err := n.db.Rows(ctx)
	if err != nil || rows > checkAtStart {
		return err
	}
	return n.db.Check(ctx, nil)
}

// check verifies the rows of state periodically; at once where there were too many at start.
func (n *Node) check(ctx context.Context) {
	first := checkSoonest
	if rows, err := n.db.Rows(ctx); err != nil || rows > checkAtStart {
		first = 0
	}
	n.checkAgain(ctx, "check", first, func(ctx context.Context) error { return n.db.Check(ctx, nil) })
}

// checkSearch verifies the search projection periodically. Altered parts are rebuilt.
func (n *Node) checkSearch(ctx context.Context) {
	n.checkAgain(ctx, "search check", 0, func(ctx context.Context) error { return n.db.CheckSearch(ctx, nil) })
}

// checkAgain calls work after first, and then again after pauses checkRatio times as long as the work took.
func (n *Node) checkAgain(ctx context.Context, kind string, first time.Duration, work func(context.Context) error) {
	for next := first; ctx.Err() == nil; {
		n.once(ctx, kind, next, func(ctx context.Context) error {
			begun := time.Now()
			err := work(ctx)
			next = min(max(checkRatio*time.Since(begun), checkSoonest), checkLatest)
			return err
		})
	}
}
