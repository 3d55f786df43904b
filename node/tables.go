package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"oncegate/audit"
	"oncegate/store"
	"oncegate/tlog"
)

// operationAdopt is the operation of the record that takes on tables of before their rows were authenticated.
const operationAdopt = "store.adopt"

const (
	// A check of all rows takes a thousandth of a processor at most, but is made each day.
	checkRatio   = 1000
	checkSoonest = 10 * time.Minute
	checkLatest  = 24 * time.Hour
	// checkAtStart is how many rows of state are added up before a node serves, a few seconds' work; more are added up while it does.
	checkAtStart = 1_000_000
	alarmEvery   = time.Minute // between two words on one and the same alteration
)

// An alarm tells the operator of something in the database that is not ours. Who altered a row that many calls read fills no log.
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
	if now.Sub(a.told[k]) < alarmEvery {
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

var errUnproven = errors.New("the newest record of the log is of a program that authenticates rows, and the rows have lost their tags: the database was tampered with (operations, section 5)")

// checkTables proves before a node serves that the rows of state are those that were left: or that there are so many that it
// must be done while it serves.
func (n *Node) checkTables(ctx context.Context, s *Setup) error {
	n.metrics.watchTables(n.db)
	adopted, err := n.db.Adopted(ctx)
	if err != nil {
		return err
	}
	if !adopted {
		if binds, err := bindsChanges(ctx, n.log); err != nil || binds {
			return cmp.Or(err, errUnproven)
		}
		return fmt.Errorf("%w: stop all nodes and run oncegate audit adopt -c %s", store.ErrNotAdopted, s.File)
	}
	if lost, err := n.db.LostKeys(ctx); err != nil || lost {
		return cmp.Or(err, fmt.Errorf("what the tables add up to cannot be read: it was sealed under an envelope key that the keystore lacks; either the database was tampered with (operations, section 5), or %w; %s", ErrOldKeys, oldKeysAdvice))
	}
	rows, err := n.db.Rows(ctx)
	if err != nil || rows > checkAtStart {
		return err
	}
	return n.db.Check(ctx, nil)
}

// bindsChanges reports whether the newest record, which is proven, is of a program that authenticates rows. A log that begins with the
// checkpoint of another one, and has no record yet, is of a recovery that was broken off: Recover adopts, or refuses.
func bindsChanges(ctx context.Context, log *tlog.Log) (bool, error) {
	size := log.Stats().Size
	if size == 0 {
		return false, nil
	}
	receipt, err := log.Receipt(ctx, size-1)
	if err != nil {
		return false, err
	}
	r, err := audit.ParseRecord(receipt.Record)
	return err != nil || r.V >= 3, nil
}

// check adds up the rows of state again and again, first at once where there were too many at start.
func (n *Node) check(ctx context.Context) {
	first := checkSoonest
	if rows, err := n.db.Rows(ctx); err != nil || rows > checkAtStart {
		first = 0
	}
	n.checkAgain(ctx, "check", first, func(ctx context.Context) error { return n.db.Check(ctx, nil) })
}

// checkSearch reads all that search has again and again. What is found altered is made anew.
func (n *Node) checkSearch(ctx context.Context) {
	n.checkAgain(ctx, "search check", 0, func(ctx context.Context) error { return n.db.CheckSearch(ctx, nil) })
}

// checkAgain calls work after first, and then each time it has rested checkRatio times as long as it worked.
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

// AdoptOptions are how tables are adopted. The zero value is usable.
type AdoptOptions struct {
	Now      func() time.Time
	Progress func(done, total uint64) // rows; nil: nobody asks
}

// An Adopted says what an adoption took on.
type Adopted struct {
	Rows   map[string]int // of each table, believed without proof
	Record uint64         // that states it
}

// Adopt takes on a database that was written before rows were authenticated (store.DB.Adopt), and leaves the record store.adopt. From
// then on rows are believed only with a tag of this gateway's keys, and no older program can write here. No node may be running. A
// database that was adopted before is refused, also where somebody took tags and sums away. The error is a fault.List where the
// configuration is unusable.
func Adopt(ctx context.Context, path string, o AdoptOptions) (done Adopted, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	setup, faults := Load(path, o.Now())
	if err := cmp.Or(faults.Err(), setup.KeysErr); err != nil {
		return done, err
	}
	if done, err = o.adopt(ctx, setup); err != nil {
		return done, fmt.Errorf("adopt tables: %w", err)
	}
	return done, nil
}

func (o AdoptOptions) adopt(ctx context.Context, s *Setup) (done Adopted, err error) {
	db, sealer, err := s.openStore(ctx, o.Now)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	config, err := s.logConfig(db.Log(), nil)
	if err != nil {
		return done, err
	}
	log, err := tlog.Open(ctx, config)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, log.Close(ctx)) }()
	if adopted, err := db.Adopted(ctx); err != nil || !adopted {
		if binds, err := bindsChanges(ctx, log); err != nil || binds {
			return done, cmp.Or(err, errUnproven)
		}
	}
	if done.Rows, err = db.Adopt(ctx, o.Progress); err != nil {
		return done, err
	}
	records, err := s.auditConfig(log, db.Audit(), sealer, o.Now)
	if err != nil {
		return done, err
	}
	recorder, err := audit.NewRecorder(records)
	if err != nil {
		return done, err
	}
	recorded, err := recorder.RecordOwn(ctx, audit.Own{
		Operation: operationAdopt, RequestID: s.Log.Origin, Policy: s.Policy.Digest(),
		Inputs: map[string]any{"rows": done.Rows}, Changes: []any{audit.Adopt{Rows: done.Rows}},
	})
	done.Record = recorded.Index
	return done, err
}

// adoptLost takes on the rows that were tagged under an envelope key that is lost, for the record that accepts the keys as they are.
func adoptLost(ctx context.Context, db *store.DB) (changes []any, err error) {
	lost, err := db.LostKeys(ctx)
	if err != nil || !lost {
		return nil, err
	}
	rows, err := db.AdoptLost(ctx, nil)
	if err != nil {
		return nil, err
	}
	return []any{audit.Adopt{Rows: rows}}, nil
}
