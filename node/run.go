package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"oncegate/audit"
	"oncegate/cases"
)

// patience is how long a shutdown waits for calls in flight beyond the longest call.
const patience = 5 * time.Second

// Run serves until ctx ends, then shuts down: readiness says no, the listener closes after the configured drain time, every
// call that was taken is answered, the log is closed with its mark, then sources and store. The node is used up afterwards.
func (n *Node) Run(ctx context.Context) error {
	upkeep, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var background sync.WaitGroup
	for _, loop := range []func(context.Context){n.gateway.Run, n.follow, n.purge, n.retain, n.check, n.checkSearch, n.measureClock, n.purgeConsole, n.watch, n.witnessed} {
		background.Go(func() { loop(upkeep) })
	}
	failed := make(chan error, 2)
	var serving sync.WaitGroup
	for _, l := range []*listener{n.admin, n.service} {
		serving.Go(func() {
			if err := l.serve(); err != nil {
				failed <- fmt.Errorf("serve %s: %w", l.Addr(), err)
			}
		})
	}
	n.ready.set(true, false)
	n.Logger.Info("serving", "version", ReadBuild().Version, "address", n.Addr(), "admin", n.AdminAddr(), "public_url", n.PublicURL(), "policy", n.current.Load().snapshot.Policy.Digest(), "log_size", n.log.Stats().Size)
	n.Serving()

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	err = errors.Join(err, n.drain())
	stop()
	background.Wait()
	// The gateway's last records are written: nothing appends any more.
	err = errors.Join(err, n.admin.server.Close(), n.close(context.Background()))
	serving.Wait()
	n.Logger.Info("stopped", "error", err != nil)
	return err
}

// drain is the graceful shutdown of the listener: it stops taking calls and finishes those that were taken.
func (n *Node) drain() error {
	n.ready.set(true, true)
	g := n.current.Load().setup
	if drain := time.Duration(g.Gateway.Drain); drain > 0 {
		n.Logger.Info("draining", "for", drain.String())
		time.Sleep(drain)
	}
	call := g.Limits.CallTimeout()
	ctx, cancel := context.WithTimeout(context.Background(), call+patience)
	defer cancel()
	if err := n.service.server.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut down: calls were still under way: %w", errors.Join(err, n.service.server.Close()))
	}
	return nil
}

// How often recurring work is done, and its bounds.
const (
	followEvery   = 250 * time.Millisecond
	purgeEvery    = 5 * time.Minute
	progressEvery = 10 * time.Second // between two log lines on the progress of long work
	retainEvery   = 24 * time.Hour
	askEvery      = time.Minute // the witnesses, give or take askJitter, so that many logs do not ask one witness at the same moment
	askJitter     = 10 * time.Second
	askFirst      = 2 * time.Second  // after start
	retainFirst   = 10 * time.Minute // after start, so that restarts do not each begin with it

	// claimsKept is how long the id of a call is kept after its token expired: far beyond any clock's error.
	claimsKept = 15 * time.Minute

	defaultRetention = 26280 * time.Hour // 3 years
)

// every calls work after first, and then each time the interval has passed, until ctx ends.
func (n *Node) every(ctx context.Context, kind string, first, interval time.Duration, work func(context.Context) error) {
	for after := first; ctx.Err() == nil; after = interval {
		n.once(ctx, kind, after, work)
	}
}

// once calls work after a while, unless ctx ends before. A failure is logged and counted.
func (n *Node) once(ctx context.Context, kind string, after time.Duration, work func(context.Context) error) {
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
	}
	if err := work(ctx); err != nil && ctx.Err() == nil {
		n.metrics.loops.WithLabelValues(kind).Inc()
		n.Logger.Error("recurring work failed", "kind", kind, "error", err.Error())
	}
}

// follow keeps the projection that audit searches read at the log's head.
func (n *Node) follow(ctx context.Context) {
	n.every(ctx, "projection", 0, followEvery, func(ctx context.Context) error {
		if err := n.db.Learn(ctx); err != nil {
			return err
		}
		for ctx.Err() == nil {
			covered, size, err := n.db.Audit().Follow(ctx)
			if err != nil {
				return err
			}
			n.metrics.covered.Set(float64(covered))
			n.metrics.size.Set(float64(size))
			if covered >= size {
				break
			}
		}
		return nil
	})
}

// witnessed has the log co-signed again and again. Nobody waits for it.
func (n *Node) witnessed(ctx context.Context) {
	for after := askFirst; ctx.Err() == nil; after = askEvery - askJitter + rand.N(2*askJitter) {
		n.once(ctx, "witnesses", after, n.AskWitnesses)
	}
}

// purge deletes the ids of expired calls (replay cache) and cached copies that are too old to serve.
func (n *Node) purge(ctx context.Context) {
	n.every(ctx, "purge", purgeEvery, purgeEvery, func(ctx context.Context) error {
		err := n.auditor.Purge(ctx, n.Now().Add(-claimsKept))
		return errors.Join(err, n.current.Load().snapshot.Register.Purge(ctx))
	})
}

// retain erases personal evidence at the end of its retention.
func (n *Node) retain(ctx context.Context) {
	n.every(ctx, "retention", retainFirst, retainEvery, n.eraseOld)
}

func (n *Node) eraseOld(ctx context.Context) error {
	return errors.Join(n.eraseEvidence(ctx), n.eraseFiles(ctx, n.Now()))
}

// retainFiles is how many files of filed materials one record orders to be erased.
const retainFiles = 64

// eraseFiles erases the files of filed materials whose retention has ended at a moment. Each record is the order: it commits with the erasure. What
// another node erases or somebody withdraws meanwhile makes an order fail; the next one reads anew.
func (n *Node) eraseFiles(ctx context.Context, at time.Time) error {
	for done := 0; ; {
		due, err := n.db.Cases().FilingsDue(ctx, at, retainFiles)
		if err != nil || len(due) == 0 {
			if done > 0 {
				n.db.Forget(ctx)
				n.Logger.Info("files of filed materials erased at the end of their retention", "files", done)
			}
			return err
		}
		changes := make([]any, len(due))
		for i, id := range due {
			changes[i] = cases.EraseFile{ID: id, At: at}
		}
		if _, err := n.recorder.RecordOwn(ctx, audit.Own{Operation: OperationRetainFiles, Inputs: map[string]any{"filings": due}, Changes: changes}); err != nil {
			return fmt.Errorf("erase files of filed materials: %w", err)
		}
		done += len(due)
		n.metrics.filesErased.Add(float64(len(due)))
	}
}

// OperationRetainFiles is the operation of the records that order files of filed materials to be erased.
const OperationRetainFiles = "filings.retain"

func (n *Node) eraseEvidence(ctx context.Context) error {
	keep := time.Duration(n.current.Load().setup.Retention.Evidence)
	if keep == 0 {
		keep = defaultRetention
	}
	before := n.Now().Add(-keep)
	done, err := n.auditor.Retain(ctx, before, nil)
	n.metrics.erased.Add(float64(done))
	if done > 0 {
		n.Logger.Info("old evidence erased", "records", done, "before", before)
	}
	return err
}
