package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"oncegate/adapters/mapping"
)

// A candidate is a file that may be the newest drop.
type candidate struct {
	fingerprint
	asOf time.Time
}

// maxAhead is how far a drop's time may lie in the future, for clocks that differ. A drop from the future would never
// grow old.
const maxAhead = 5 * time.Minute

// maxRefused bounds the memory of refused drops.
const maxRefused = 1000

// Rescan reads the directory now and takes the newest complete drop that can be read. The watcher calls it; others may.
func (s *Source) Rescan(ctx context.Context) error {
	_, err := s.scan(ctx)
	return err
}

// scan returns how long to wait for a file that has not settled; 0 when there is none.
func (s *Source) scan(ctx context.Context) (wait time.Duration, err error) {
	s.scanning.Lock()
	defer s.scanning.Unlock()
	if s.closed.Load() {
		return 0, mapping.ErrClosed
	}
	before := s.Status()
	defer func() {
		s.note(func(st *Status) { st.Err = err })
		if after := s.Status(); s.deps.Changed != nil && !after.same(before) {
			s.deps.Changed(after)
		}
	}()
	root, err := os.OpenRoot(s.cfg.Dir)
	if err != nil {
		return 0, fmt.Errorf("cannot open the directory of drops: %w", err)
	}
	defer root.Close()
	candidates, err := s.list(root)
	if err != nil {
		return 0, err
	}
	now := s.deps.Now()
	s.forget(candidates)
	skipped := false // whether a newer drop was refused
	for _, c := range candidates {
		if current := s.current.Load(); current != nil && !c.replaces(current) {
			return wait, nil
		}
		if _, known := s.refused[c.fingerprint]; known {
			skipped = true
			continue
		}
		if c.asOf.After(now.Add(maxAhead)) { // not remembered: the future comes
			s.noteRefusal(Refusal{Drop: c.name, Reason: "its time lies in the future", At: now})
			skipped = true
			continue
		}
		if left := s.untilComplete(root, c, now); left > 0 {
			wait = cmp.Or(min(wait, left), left)
			continue
		}
		d, err := s.load(ctx, root, c.fingerprint)
		var bad *badLine
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case err == nil:
			d.asOf, d.loaded = c.asOf, now
			s.current.Store(d)
			s.note(func(st *Status) {
				if st.Refused != nil && st.Refused.At.Before(now) && !skipped {
					st.Refused = nil // overcome
				}
			})
			return wait, nil
		case errors.Is(err, errChanged):
			wait = cmp.Or(s.cfg.Settle, defaultSettle)
		case errors.As(err, &bad):
			s.refuse(c.fingerprint, Refusal{Drop: c.name, Line: bad.line, Reason: bad.reason, At: now})
			skipped = true
		default: // the disk, not the drop: tried again at the next look
			s.noteRefusal(Refusal{Drop: c.name, Reason: err.Error(), At: now})
			skipped = true
		}
	}
	return wait, nil
}

// list returns the files that match, newest first.
func (s *Source) list(root *os.Root) ([]candidate, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, errors.New("cannot read the directory of drops")
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, errors.New("cannot read the directory of drops")
	}
	var all []candidate
	for _, e := range entries {
		star, ok := s.matches(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		c := candidate{fingerprint{e.Name(), info.Size(), info.ModTime().UnixNano()}, info.ModTime()}
		if s.cfg.Time != "" {
			if c.asOf, err = mapping.ParseTime(s.cfg.Time, star); err != nil {
				s.refuse(c.fingerprint, Refusal{Drop: c.name, Reason: "its name does not hold a time in the layout " + s.cfg.Time, At: s.deps.Now()})
				continue
			}
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(b.asOf.Compare(a.asOf), strings.Compare(b.name, a.name))
	})
	return all, nil
}

// matches says whether a name is that of a drop, and what stands for the *.
func (s *Source) matches(name string) (star string, ok bool) {
	before, after, _ := strings.Cut(s.cfg.Pattern, "*")
	if len(name) < len(before)+len(after) || !strings.HasPrefix(name, before) || !strings.HasSuffix(name, after) {
		return "", false
	}
	if s.cfg.Marker != "" && strings.HasSuffix(name, s.cfg.Marker) && !strings.HasSuffix(after, s.cfg.Marker) {
		return "", false
	}
	return name[len(before) : len(name)-len(after)], true
}

// replaces says whether a candidate is newer than the drop that serves, or is its file, changed. A source never goes back.
func (c candidate) replaces(d *drop) bool {
	if c.fingerprint == d.fingerprint {
		return false
	}
	if order := c.asOf.Compare(d.asOf); order != 0 {
		return order > 0
	}
	return c.name >= d.name
}

// untilComplete says how long to wait until a file counts as complete.
func (s *Source) untilComplete(root *os.Root, c candidate, now time.Time) time.Duration {
	settle := cmp.Or(s.cfg.Settle, defaultSettle)
	if s.cfg.Marker != "" {
		if info, err := root.Lstat(c.name + s.cfg.Marker); err != nil || !info.Mode().IsRegular() {
			return cmp.Or(s.cfg.Rescan, defaultRescan)
		}
		return 0
	}
	first, seen := s.looks[c.fingerprint]
	if !seen {
		first = now
		s.looks[c.fingerprint] = now
	}
	// Unchanged since it was written, or, where the file system's clock runs ahead of ours, since it was first seen.
	return max(0, settle-max(now.Sub(time.Unix(0, c.modified)), now.Sub(first)))
}

// refuse remembers a file that is not to be read again as long as it does not change.
func (s *Source) refuse(f fingerprint, r Refusal) {
	if _, known := s.refused[f]; known || len(s.refused) >= maxRefused {
		return
	}
	s.refused[f] = struct{}{}
	s.noteRefusal(r)
}

func (s *Source) noteRefusal(r Refusal) {
	s.note(func(st *Status) { st.Refused = &r })
}

// forget drops what is known of files that are gone.
func (s *Source) forget(present []candidate) {
	there := map[string]bool{}
	for _, c := range present {
		there[c.name] = true
	}
	for f := range s.looks {
		if !there[f.name] {
			delete(s.looks, f)
		}
	}
	for f := range s.refused {
		if !there[f.name] {
			delete(s.refused, f)
		}
	}
}
