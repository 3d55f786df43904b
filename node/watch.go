package node

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long files must lie unchanged before they are read: editors and copies write in steps.
const settle = 500 * time.Millisecond

// A lookout hears of changes: SIGHUP, and events of folders where the system reports them.
type lookout struct {
	hup     chan os.Signal
	folders *fsnotify.Watcher // nil where nothing is reported
}

// lookOut begins to listen. From when it returns no change is missed, and no SIGHUP ends the process.
func (n *Node) lookOut() *lookout {
	l := &lookout{hup: make(chan os.Signal, 1)}
	signal.Notify(l.hup, syscall.SIGHUP)
	var err error
	if l.folders, err = fsnotify.NewWatcher(); err != nil {
		l.folders = nil
		n.Logger.Warn("files are not watched; send SIGHUP to reload", "error", err.Error())
	}
	n.watchFolders(l.folders)
	return l
}

func (l *lookout) close() {
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
				quiet.Reset(settle)
			}
		case err := <-lost: // events were lost
			n.Logger.Warn("watching files", "error", err)
			quiet.Reset(settle)
		case <-quiet.C:
			_ = n.Reload(ctx) // it has logged why
			n.watchFolders(w)
		}
	}
}

// watched are the files whose change is a change of the configuration.
func (s *Setup) watched() []string {
	files := slices.Clone(s.Files)
	if s.Gateway.TLS != (TLS{}) {
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
	for _, name := range s.watched() {
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
	if slices.ContainsFunc(s.watched(), func(f string) bool { return filepath.Clean(f) == name }) {
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
