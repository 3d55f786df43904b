package files

import (
	"cmp"
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watcher asks the system to report changes of the directory. Where it cannot (network file systems, no watches left)
// the periodic rescan does alone, and nil is returned.
func (s *Source) watcher() *fsnotify.Watcher {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil
	}
	_ = w.Add(s.cfg.Dir) // tried again at each rescan
	return w
}

func closeWatcher(w *fsnotify.Watcher) error {
	if w == nil {
		return nil
	}
	return w.Close()
}

// calm is how long to wait after a report for more of them.
const calm = 20 * time.Millisecond

// watch looks at the directory when something changes in it, when a file should have settled, and periodically.
func (s *Source) watch(ctx context.Context, w *fsnotify.Watcher, wait time.Duration) {
	defer close(s.done)
	defer closeWatcher(w)
	var events chan fsnotify.Event
	var lost chan error
	if w != nil {
		events, lost = w.Events, w.Errors
	}
	rescan := time.NewTicker(cmp.Or(s.cfg.Rescan, defaultRescan))
	defer rescan.Stop()
	settled := time.NewTimer(wait)
	defer settled.Stop()
	if wait == 0 {
		settled.Stop()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if s.concerns(e.Name) {
				settled.Reset(calm) // a file that is being written reports every write
			}
			continue
		case _, ok := <-lost: // events were lost: look
			if !ok {
				lost = nil
				continue
			}
		case <-rescan.C:
			if w != nil {
				_ = w.Add(s.cfg.Dir) // the directory may have been made anew
			}
		case <-settled.C:
		}
		if wait, _ := s.scan(ctx); wait > 0 { // its error stands in Status
			settled.Reset(wait)
		}
	}
}

// concerns says whether a reported name is a drop or a marker.
func (s *Source) concerns(path string) bool {
	name := filepath.Base(path)
	_, drop := s.matches(name)
	return drop || s.cfg.Marker != "" && len(name) > len(s.cfg.Marker) && name[len(name)-len(s.cfg.Marker):] == s.cfg.Marker
}
