package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"oncegate/certs/keystore"
	"oncegate/config"
	"oncegate/fault"
	"oncegate/install"
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
	n.metrics.reloaded.Set(0)
	if err == nil || errors.Is(err, ErrUnchanged) {
		n.metrics.reloaded.Set(1)
	}
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
	n.fillPort(setup)
	if n.service.pair != nil && setup.Gateway.TLS != (config.TLS{}) { // its files may have changed though nothing else did
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

// quietPeriod is for how long no file may have changed before a configuration is used. A file that is being written may be valid by
// chance: grants without their end, or guards without the one that forbids.
const quietPeriod = 50 * time.Millisecond

// read loads the configuration once its files have not changed for quietPeriod.
func (n *Node) read(ctx context.Context, was *config.Setup) (*config.Setup, fault.List, error) {
	const patience = 200 // times
	files := was.Files
	for range patience {
		if begun := time.Now(); unchangedSince(files, begun) {
			setup, faults := was.Reload(n.Now())
			if files = setup.Files; unchangedSince(files, begun) {
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
// clock and are ignored, as are files that are gone.
func unchangedSince(files []string, begun time.Time) bool {
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
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
	n.current.Store(next)
	n.gateway.Use(next.snapshot)
	n.metrics.loaded.Set(float64(n.Now().Unix()))
	n.Logger.Info("configuration in force", "configuration", next.setup.Digest, "policy", next.snapshot.Policy.Digest())
	n.closeLater(was.sources.without(next.sources), next.setup)
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
	fixed("limits", next.Limits == was.Limits, func() { next.Limits = was.Limits })
}

// reloadDelay debounces file events: editors and copies write in steps.
const reloadDelay = 500 * time.Millisecond

// A fileWatcher receives SIGHUP and, where the system reports them, file events of folders.
type fileWatcher struct {
	hup     chan os.Signal
	folders *fsnotify.Watcher // nil where nothing is reported
}

// watchFiles starts a fileWatcher. Once it returns no change is missed, and no SIGHUP ends the process.
func (n *Node) watchFiles() *fileWatcher {
	l := &fileWatcher{hup: make(chan os.Signal, 1)}
	signal.Notify(l.hup, syscall.SIGHUP)
	var err error
	if l.folders, err = fsnotify.NewWatcher(); err != nil {
		l.folders = nil
		n.Logger.Warn("files are not watched; send SIGHUP to reload", "error", err.Error())
	}
	n.watchFolders(l.folders)
	return l
}

func (l *fileWatcher) close() {
	signal.Stop(l.hup)
	if l.folders != nil {
		l.folders.Close()
	}
}

// watch reloads on SIGHUP and when a file of the configuration, or a key, changes. Folders are watched, not files, so that
// files that are replaced by renaming are seen; where the system reports nothing, SIGHUP alone does.
func (n *Node) watch(ctx context.Context) {
	hup, w := n.changes.hup, n.changes.folders
	var events chan fsnotify.Event
	var lost chan error
	if w != nil {
		events, lost = w.Events, w.Errors
	}
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			quiet.Reset(0)
		case e, ok := <-events:
			if !ok {
				return
			}
			if n.concerns(e) {
				quiet.Reset(reloadDelay)
			}
		case err := <-lost: // events were lost
			n.Logger.Warn("watching files", "error", err)
			quiet.Reset(reloadDelay)
		case <-quiet.C:
			_ = n.Reload(ctx) // it has logged why
			n.watchFolders(w)
		}
	}
}

// watched are the files whose change is a change of the configuration.
func watched(s *config.Setup) []string {
	files := slices.Clone(s.Files)
	if s.Gateway.TLS != (config.TLS{}) {
		files = append(files, s.Gateway.TLS.Certificate, s.Gateway.TLS.Key)
	}
	return files
}

func (n *Node) watchFolders(w *fsnotify.Watcher) {
	if w == nil {
		return
	}
	s := n.current.Load().setup
	folders := []string{s.Config.Keys.Dir}
	for _, pattern := range slices.Concat(s.Include, s.Data.Matters, s.Data.Grants, s.Data.Guards) {
		folders = append(folders, filepath.Dir(pattern))
	}
	for _, name := range watched(s) {
		folders = append(folders, filepath.Dir(name))
	}
	slices.Sort(folders)
	for _, dir := range slices.Compact(folders) {
		if !slices.Contains(w.WatchList(), dir) {
			_ = w.Add(dir) // a pattern's folder may not be there; it is tried again after each reload
		}
	}
}

// concerns says whether an event is about the configuration. A new file may be one that a pattern finds.
func (n *Node) concerns(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod {
		return false
	}
	s := n.current.Load().setup
	name := filepath.Clean(e.Name)
	if slices.ContainsFunc(watched(s), func(f string) bool { return filepath.Clean(f) == name }) {
		return true
	}
	switch filepath.Ext(name) {
	case ".key":
		return filepath.Dir(name) == filepath.Clean(s.Config.Keys.Dir)
	case ".yaml", ".yml", ".cedar":
		return true
	}
	return filepath.Base(name) == "..data" // how Kubernetes replaces mounted files
}
