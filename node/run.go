package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// patience is how long a shutdown waits for calls under way beyond the longest call.
const patience = 5 * time.Second

// Run serves until ctx ends, then shuts down: readiness says no, the listener closes after the configured drain time, every
// call that was taken is answered, the log is closed with its mark, then sources and store. The node is used up afterwards.
func (n *Node) Run(ctx context.Context) error {
	upkeep, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var background sync.WaitGroup
	for _, loop := range []func(context.Context){n.gateway.Run, n.follow, n.purge, n.retain, n.check, n.checkSearch, n.watch} {
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
	n.Logger.Info("serving", "address", n.Addr(), "admin", n.AdminAddr(), "public_url", n.PublicURL(), "policy", n.current.Load().snapshot.Policy.Digest(), "log_size", n.log.Stats().Size)

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	err = errors.Join(err, n.leave())
	stop()
	background.Wait()
	// The gateway's last records are written: nothing appends any more.
	err = errors.Join(err, n.admin.server.Close(), n.close(context.Background()))
	serving.Wait()
	n.Logger.Info("stopped", "error", err != nil)
	return err
}

// leave stops taking calls and finishes those that were taken.
func (n *Node) leave() error {
	n.ready.set(true, true)
	g := n.current.Load().setup
	if drain := time.Duration(g.Gateway.Drain); drain > 0 {
		n.Logger.Info("draining", "for", drain.String())
		time.Sleep(drain)
	}
	call := time.Duration(g.Limits.Call)
	if call == 0 {
		call = defaultCall
	}
	ctx, cancel := context.WithTimeout(context.Background(), call+patience)
	defer cancel()
	if err := n.service.server.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut down: calls were still under way: %w", errors.Join(err, n.service.server.Close()))
	}
	return nil
}
