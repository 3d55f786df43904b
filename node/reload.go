package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/certs/keystore"
	"oncegate/config"
	"oncegate/fault"
	"oncegate/install"
)

// ErrUnchanged says that a reload found the configuration that is in force.
var ErrUnchanged = errors.New("the configuration has not changed")

// Reload reads the configuration again with its keys and secrets, checks it as a whole, records what will be in force, and swaps it
// in. Calls under way finish by the old one or are decided again before they are recorded. With any fault, which are the error
// (fault.List), nothing changes.
func (n *Node) Reload(ctx context.Context) error {
	return n.reloadFor(ctx, cause{by: api.NodeReloadBySignal})
}

// A cause is why a reload is tried.
type cause struct {
	by   api.NodeReloadBy
	file string // that changed
}

// An attempt is the newest reload, for whoever runs the gateway.
type attempt struct {
	cause
	at     time.Time
	result api.NodeReloadResult
}

func (n *Node) reloadFor(ctx context.Context, why cause) error {
	n.reload.Lock()
	defer n.reload.Unlock()
	err := n.swap(ctx)
	switch faults := (fault.List)(nil); {
	case err == nil:
		n.reloaded(why, api.NodeReloadResultOk, nil)
	case errors.Is(err, ErrUnchanged):
		n.reloaded(why, api.NodeReloadResultUnchanged, nil)
	case errors.As(err, &faults):
		n.reloaded(why, api.NodeReloadResultRefused, &unloaded{since: n.Now(), reason: reasons(faults.Fatal())})
	default:
		n.reloaded(why, api.NodeReloadResultFailed, &unloaded{since: n.Now(), reason: err.Error(), failed: true})
	}
	return err
}

// An unloaded is why the configuration in the files is not the one in force.
type unloaded struct {
	since  time.Time
	reason string // with file, line and column of each fault
	failed bool   // for another reason than a fault: it is tried again
}

// reloaded says what became of a reload, in the metrics and, where the files are not in force, in one line of the log.
func (n *Node) reloaded(by cause, result api.NodeReloadResult, why *unloaded) {
	n.metrics.reloads.WithLabelValues(string(result)).Inc()
	// A drop that arrives in a watched folder is no reload that anybody asked for, unless one before was not taken.
	if by.by != api.NodeReloadByFile || result != api.NodeReloadResultUnchanged || n.refused.Load() != nil {
		n.lastReload.Store(&attempt{by, n.Now(), result})
	}
	n.metrics.reloaded.Set(1)
	if why != nil {
		n.metrics.reloaded.Set(0)
		n.Logger.Error("reload "+string(result)+", the configuration before stays in force", "reason", why.reason)
	}
	n.refused.Store(why)
}

// reasons are the first faults in one line: more belong to oncegate check.
func reasons(faults fault.List) string {
	const most = 8
	var list []string
	for _, f := range faults[:min(len(faults), most)] {
		list = append(list, f.String())
	}
	if more := len(faults) - most; more > 0 {
		list = append(list, fmt.Sprintf("and %d more faults: oncegate check says all", more))
	}
	return strings.Join(list, "; ")
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
	n.fillPort(setup)
	if n.service.pair != nil && setup.Gateway.TLS != (config.TLS{}) { // its files may have changed though nothing else did
		if err := n.service.pair.load(setup.Gateway.TLS); err != nil {
			return fmt.Errorf("reload: %w", err)
		}
	}
	rotated, err := n.rotateLogin(ctx, was.setup)
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	if setup.Digest == was.setup.Digest && sameKeys(setup, was.setup) && was.sources.current(setup) {
		if rotated {
			return nil
		}
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

// rotateLogin opens connections to the database by the connection string that stands in its file now.
func (n *Node) rotateLogin(ctx context.Context, was *config.Setup) (changed bool, err error) {
	if was.Store.DSNFile == "" {
		return false, nil
	}
	dsn, err := was.Store.ReadDSN()
	if err != nil {
		return false, err
	}
	if changed, err = n.db.Reconnect(ctx, dsn); err != nil {
		return false, fmt.Errorf("%s: %w", was.Store.DSNFile, err)
	}
	if changed {
		n.Logger.Info("connections to the database are opened by the changed connection string", "dsn_file", was.Store.DSNFile)
	}
	return changed, nil
}

// quietPeriod is for how long no file may have changed before a configuration is used. A file that is being written may be valid by
// chance: grants without their end, or guards without the one that forbids.
const quietPeriod = 50 * time.Millisecond

// read loads the configuration once its files have not changed for quietPeriod.
func (n *Node) read(ctx context.Context, was *config.Setup) (*config.Setup, fault.List, error) {
	const patience = 200 // times
	files := was.Inputs
	for range patience {
		if begun := time.Now(); unchangedSince(files, begun) {
			setup, faults := was.Reload(n.Now())
			n.attempted.Store(&setup.Inputs)
			if files = setup.Inputs; unchangedSince(files, begun) {
				return setup, faults, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(quietPeriod):
		}
	}
	return nil, nil, errors.New("reload: the files of the configuration do not stop changing")
}

// unchangedSince reports whether no file has changed since quietPeriod before begun. Modification times in the future come from another machine's
// clock and are ignored, as are files that are gone, and folders: a drop folder changes all the time.
func unchangedSince(files []string, begun time.Time) bool {
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil || info.IsDir() {
			continue
		}
		if changed := info.ModTime(); changed.After(begun.Add(-quietPeriod)) && !changed.After(time.Now()) {
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
	n.keyring.Replace(keyring) // it opens all that the old one sealed: activate has seen that no key is missing
	next.since = n.Now()
	n.current.Store(next)
	n.gateway.Use(next.snapshot)
	n.metrics.loaded.Set(float64(n.Now().Unix()))
	n.Logger.Info("configuration in force", "configuration", next.setup.Digest, "policy", next.snapshot.Policy.Digest(), "sources_opened", slices.Sorted(maps.Keys(fresh)))
	n.closeLater(was.sources.without(next.sources).retire(), next.setup)
	return nil
}

// closeLater closes sources when no call can be using them any more.
func (n *Node) closeLater(old sources, s *config.Setup) {
	if len(old) == 0 {
		return
	}
	call := s.Limits.CallTimeout()
	time.AfterFunc(call+patience, func() {
		if err := old.close(); err != nil {
			n.Logger.Warn("a source that is not used any more was not closed", "error", err.Error())
		}
	})
}

func sameKeys(a, b *config.Setup) bool {
	one, err := install.Digest(install.DescribeKeys(a))
	two, err2 := install.Digest(install.DescribeKeys(b))
	return err == nil && err2 == nil && one == two
}

// keepFixed keeps the settings that only a restart can change, and logs a warning.
func (n *Node) keepFixed(next, was *config.Setup) {
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
	fixed("gateway.tls", (g.TLS == config.TLS{}) == (old.TLS == config.TLS{}), func() { g.TLS = old.TLS })
	fixed("gateway.nodes", g.Nodes == old.Nodes, func() { g.Nodes = old.Nodes })
	fixed("store", next.Store == was.Store, func() { next.Store = was.Store })
	fixed("log", next.Log == was.Log, func() { next.Log = was.Log })
	fixed("keys", next.Config.Keys == was.Config.Keys, func() {
		next.Config.Keys, next.Keys = was.Config.Keys, was.Keys
	})
	fixed("console", (next.Console == nil) == (was.Console == nil), func() { next.Console, next.Accounts = was.Console, was.Accounts })
	fixed("limits", next.Limits == was.Limits, func() { next.Limits = was.Limits })
}
