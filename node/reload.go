package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"oncegate/certs/keystore"
	"oncegate/fault"
)

// ErrUnchanged says that a reload found the configuration that is in force.
var ErrUnchanged = errors.New("the configuration has not changed")

// Reload reads the configuration again, checks it as a whole, records what will be in force, and swaps it in. Calls under
// way finish by the old one or are decided again before they are recorded. With any fault, which are the error (fault.List),
// nothing changes.
func (n *Node) Reload(ctx context.Context) error {
	n.reload.Lock()
	defer n.reload.Unlock()
	err := n.swap(ctx)
	switch faults := (fault.List)(nil); {
	case err == nil:
		n.metrics.reloads.WithLabelValues("ok").Inc()
	case errors.Is(err, ErrUnchanged):
		n.metrics.reloads.WithLabelValues("unchanged").Inc()
	case errors.As(err, &faults):
		n.metrics.reloads.WithLabelValues("refused").Inc()
		for _, f := range faults.Fatal() {
			n.Logger.Error("configuration refused, the one before stays in force", "at", f.String())
		}
	default:
		n.metrics.reloads.WithLabelValues("failed").Inc()
		n.Logger.Error("configuration not taken over, the one before stays in force", "error", err.Error())
	}
	return err
}

func (n *Node) swap(ctx context.Context) error {
	was := n.current.Load()
	setup, faults, err := n.read(ctx, was.setup)
	if err == nil {
		err = faults.Err()
	}
	if err != nil {
		return err
	}
	if setup.Keys == nil {
		return fmt.Errorf("reload: %w", setup.KeysErr)
	}
	n.settleURL(setup)
	if n.service.pair != nil && setup.Gateway.TLS != (TLS{}) { // its files may have changed though nothing else did
		if err := n.service.pair.load(setup.Gateway.TLS); err != nil {
			return fmt.Errorf("reload: %w", err)
		}
	}
	if setup.Digest == was.setup.Digest && sameKeys(setup, was.setup) {
		return ErrUnchanged
	}
	for _, w := range faults.Warnings() {
		n.Logger.Warn("configuration", "at", w.String())
	}
	n.keepFixed(setup, was.setup)
	next, err := n.prepare(ctx, setup, was)
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	return n.use(ctx, was, next)
}

// stillness is for how long no file may have changed before a configuration is believed. A file that is being written may be
// sound by chance: grants without their end, or guards without the one that forbids.
const stillness = 50 * time.Millisecond

// read loads the configuration when its files lie still.
func (n *Node) read(ctx context.Context, was *Setup) (*Setup, fault.List, error) {
	const patience = 200 // times
	files := was.Files
	for range patience {
		if begun := time.Now(); still(files, begun) {
			setup, faults := load(was.File, n.Now(), was)
			if files = setup.Files; still(files, begun) {
				return setup, faults, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(stillness):
		}
	}
	return nil, nil, errors.New("reload: the files of the configuration do not stop changing")
}

// still says whether files had lain still before a moment, and do since. Times to come are those of another machine's clock, and
// tell nothing; a file that is gone changes no more.
func still(files []string, begun time.Time) bool {
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			continue
		}
		if changed := info.ModTime(); changed.After(begun.Add(-stillness)) && !changed.After(time.Now()) {
			return false
		}
	}
	return true
}

// use records the next configuration and puts it in force.
func (n *Node) use(ctx context.Context, was, next *running) error {
	fresh := next.sources.without(was.sources)
	keyring, err := next.setup.Keys.Keyring(keystore.Envelope, "")
	if err != nil {
		return errors.Join(fmt.Errorf("reload: %w", err), fresh.close())
	}
	if err := n.activate(ctx, next); err != nil {
		return errors.Join(fmt.Errorf("reload: %w", err), fresh.close())
	}
	n.ring.keys.Store(keyring) // it opens all that the old one sealed: activate has seen that no key is missing
	n.current.Store(next)
	n.gateway.Use(next.snapshot)
	n.metrics.loaded.Set(float64(n.Now().Unix()))
	n.Logger.Info("configuration in force", "configuration", next.setup.Digest, "policy", next.snapshot.Policy.Digest())
	n.closeLater(was.sources.without(next.sources), next.setup)
	return nil
}

// closeLater closes sources when no call can be using them any more.
func (n *Node) closeLater(old sources, s *Setup) {
	if len(old) == 0 {
		return
	}
	call := time.Duration(s.Limits.Call)
	if call == 0 {
		call = defaultCall
	}
	time.AfterFunc(call+patience, func() {
		if err := old.close(); err != nil {
			n.Logger.Warn("a source that is not used any more was not closed", "error", err.Error())
		}
	})
}

func sameKeys(a, b *Setup) bool {
	one, err := digestOf(a.describeKeys())
	two, err2 := digestOf(b.describeKeys())
	return err == nil && err2 == nil && one == two
}

// keepFixed keeps what only a restart can change, and says so.
func (n *Node) keepFixed(next, was *Setup) {
	fixed := func(key string, same bool, keep func()) {
		if !same {
			keep()
			n.Logger.Warn("a change takes effect at the next start only", "key", key)
		}
	}
	g, old := &next.Gateway, was.Gateway
	fixed("gateway.id", g.ID == old.ID, func() { g.ID = old.ID })
	fixed("gateway.public_url", g.PublicURL == old.PublicURL, func() { g.PublicURL = old.PublicURL })
	fixed("gateway.listen", g.Listen == old.Listen && g.Admin == old.Admin && g.AdminOpen == old.AdminOpen, func() {
		g.Listen, g.Admin, g.AdminOpen = old.Listen, old.Admin, old.AdminOpen
	})
	fixed("gateway.tls", (g.TLS == TLS{}) == (old.TLS == TLS{}), func() { g.TLS = old.TLS })
	fixed("gateway.nodes", g.Nodes == old.Nodes, func() { g.Nodes = old.Nodes })
	fixed("store", next.Store == was.Store, func() { next.Store = was.Store })
	fixed("log", next.Log == was.Log, func() { next.Log = was.Log })
	fixed("keys", next.Config.Keys == was.Config.Keys, func() {
		next.Config.Keys, next.Keys = was.Config.Keys, was.Keys
	})
	fixed("limits", next.Limits == was.Limits, func() { next.Limits = was.Limits })
}
