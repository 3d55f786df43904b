package node

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"oncegate/api"
	"oncegate/fault"
)

const (
	reloadDelay = 500 * time.Millisecond // debounces file events: editors and copies write in steps
	reloadRetry = 30 * time.Second       // after a reload that failed though the configuration can be used, as while the database is down
)

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

// watch reloads on SIGHUP, and when something appears or changes that the configuration comes from: one of its files, a key, a secret,
// also one that a refused configuration names. Folders are watched, not files, so that files that are replaced by renaming are seen;
// where the system reports nothing, SIGHUP alone does.
func (n *Node) watch(ctx context.Context) {
	hup, w := n.changes.hup, n.changes.folders
	var events chan fsnotify.Event
	var lost chan error
	if w != nil {
		events, lost = w.Events, w.Errors
	}
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	var why cause
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			why = cause{by: api.NodeReloadBySignal}
			quiet.Reset(0)
		case e, ok := <-events:
			if !ok {
				return
			}
			if n.concerns(e) {
				if why.by == "" {
					why = cause{api.NodeReloadByFile, n.relative(e.Name)}
				}
				quiet.Reset(reloadDelay)
			}
		case err := <-lost: // events were lost
			n.Logger.Warn("watching files", "error", err)
			why = cause{by: api.NodeReloadByFile}
			quiet.Reset(reloadDelay)
		case <-quiet.C:
			if why.by == "" {
				why.by = api.NodeReloadByRetry
			}
			err := n.reloadFor(ctx, why) // it has logged why
			why = cause{}
			if n.watchFolders(w) {
				why = cause{by: api.NodeReloadByFile}
				quiet.Reset(reloadDelay) // something may have changed there before it was watched
			}
			if refused := (fault.List)(nil); err != nil && !errors.Is(err, ErrUnchanged) && !errors.As(err, &refused) {
				quiet.Reset(n.reloadRetry)
			}
		}
	}
}

// inputs are the files, folders and patterns that the configuration in force came from, and that the one of the last reload would come from.
func (n *Node) inputs() []string {
	list := n.current.Load().setup.Inputs
	if last := n.attempted.Load(); last != nil {
		list = slices.Concat(list, *last)
		slices.Sort(list)
		list = slices.Compact(list)
	}
	return list
}

// watchFolders watches the folders of all inputs. Of a folder that is not there yet the one above is watched, and so on; it is tried
// again after each reload. It reports whether it found one that was not watched.
func (n *Node) watchFolders(w *fsnotify.Watcher) (found bool) {
	if w == nil {
		return false
	}
	for _, name := range n.inputs() {
		dirs, _ := filepath.Glob(filepath.Dir(name)) // of a pattern that is none there is no folder
		for dir := filepath.Dir(name); len(dirs) == 0; dir = filepath.Dir(dir) {
			if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
				dirs = []string{dir}
			}
		}
		for _, dir := range dirs {
			if !slices.Contains(w.WatchList(), dir) && w.Add(dir) == nil {
				found = true
			}
		}
	}
	return found
}

// relative is a file as it stands in digests: below the main file's folder, with slashes.
func (n *Node) relative(name string) string {
	if rel, err := filepath.Rel(filepath.Dir(n.current.Load().setup.File), name); err == nil {
		return filepath.ToSlash(rel)
	}
	return filepath.ToSlash(name)
}

// concerns says whether an event is about the configuration.
func (n *Node) concerns(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod {
		return false
	}
	name := filepath.Clean(e.Name)
	if filepath.Base(name) == "..data" { // how Kubernetes replaces mounted files
		return true
	}
	return slices.ContainsFunc(n.inputs(), func(input string) bool { return leadsTo(name, input) })
}

// leadsTo reports whether a path is an input, matches one that is a pattern, or is a folder on the way to it.
func leadsTo(name, input string) bool {
	const slash = string(filepath.Separator)
	parts := strings.Split(input, slash)
	depth := strings.Count(name, slash) + 1
	if name == input || depth > len(parts) {
		return name == input
	}
	match, err := filepath.Match(strings.Join(parts[:depth], slash), name)
	return match && err == nil
}
