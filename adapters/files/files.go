// Package files is the adapter for file drops: it finds licenses in CSV files and XLSX workbooks that a department drops into a
// directory.
//
// The newest complete drop is read whole, mapped whole and indexed by holder; then it replaces the one before in a single
// step. A drop is never half used: one bad row refuses it, the one before goes on serving, and Status names file, line
// and reason. AsOf of a finding is the drop's time. No drop yet, or one that is too old, is "unavailable".
package files

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"oncegate/adapters/mapping"
	"oncegate/license"
)

// Why a source of files cannot answer.
var (
	ErrNoDrop = error(&license.SourceError{Cause: license.NoDrop})
	ErrTooOld = error(&license.SourceError{Cause: license.DropTooOld})
)

// Deps are what a source needs from its house. The zero value is usable.
type Deps struct {
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Changed is called after a look at the directory that changed the Status: a drop taken, refused, or the directory
	// lost. It is called from one goroutine at a time and must not call the Source's Rescan or Close.
	Changed func(Status)
}

// A Source answers questions from the newest drop. Any number of goroutines may use it.
type Source struct {
	cfg     Config
	plan    *mapping.Plan
	deps    Deps
	current atomic.Pointer[drop]
	closed  atomic.Bool
	stop    context.CancelFunc
	done    chan struct{} // closed when the watcher has ended

	scanning sync.Mutex // held during a look at the directory; guards the two maps
	looks    map[fingerprint]time.Time
	refused  map[fingerprint]struct{}

	status sync.Mutex // guards state
	state  Status
}

// Status says what a source serves.
type Status struct {
	Drop     string    // file name of the drop that serves; empty: none
	AsOf     time.Time // its time
	Loaded   time.Time // when it was taken
	Rows     int       // rows in it
	Licenses int       // licenses in it
	Refused  *Refusal  // the last drop refused since then; nil: none
	Err      error     // why the directory cannot be read; nil: it can
}

// A Refusal says why a drop was not taken. It carries nothing of the drop's content.
type Refusal struct {
	Drop   string    // file name
	Line   int       // counted from 1; 0: it is about the drop as a whole
	Reason string    //
	At     time.Time // when it was refused
}

// Open checks the configuration, takes the newest drop if there is one, and watches the directory until Close.
func Open(cfg Config, cat *license.Catalogue, deps Deps) (*Source, error) {
	if f := cfg.Check(cat); len(f) > 0 {
		return nil, fmt.Errorf("cannot open source %s: %s: %s", cfg.ID, f[0].Path, f[0].Reason)
	}
	plan, err := cfg.Record.Bind(cat)
	if err != nil {
		return nil, fmt.Errorf("cannot open source %s: %w", cfg.ID, err)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s := &Source{cfg: cfg, plan: plan, deps: deps, done: make(chan struct{}), looks: map[fingerprint]time.Time{}, refused: map[fingerprint]struct{}{}}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	watcher := s.watcher()
	wait, err := s.scan(ctx)
	if err != nil {
		stop()
		close(s.done)
		return nil, errors.Join(fmt.Errorf("cannot open source %s: %w", cfg.ID, err), closeWatcher(watcher))
	}
	go s.watch(ctx, watcher, wait)
	return s, nil
}

// Find answers the questions in their order, one finding each. It fails only when ctx has ended or the source is closed.
func (s *Source) Find(ctx context.Context, r license.Request) ([]license.Finding, error) {
	questions := r.Questions
	if s.closed.Load() {
		return nil, mapping.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cannot ask the drop: %w", err)
	}
	d := s.current.Load() // one drop for all questions of a call
	usable := s.usable(d)
	findings := make([]license.Finding, len(questions))
	for i, q := range questions {
		f := mapping.Unavailable(usable)
		if _, err := s.plan.Ask(q); err != nil {
			f = mapping.Unavailable(err)
		} else if usable == nil {
			f = d.find(q)
		}
		f.Source = s.cfg.ID
		if d != nil {
			f.AsOf = d.asOf
		}
		findings[i] = f
	}
	return findings, nil
}

// CanAsk says why a question can never be answered, whatever the drop holds; nil if it can.
func (s *Source) CanAsk(q license.Question) error {
	_, err := s.plan.Ask(q)
	return err
}

func (s *Source) usable(d *drop) error {
	if d == nil {
		if refused := s.Status().Refused; refused != nil {
			return &license.SourceError{Cause: license.DropRefused, Row: refused.Line, Detail: refused.Reason}
		}
		return ErrNoDrop
	}
	if s.deps.Now().Sub(d.asOf) > s.cfg.MaxAge {
		return ErrTooOld
	}
	return nil
}

// find looks the holder up. What it returns is the caller's own.
func (d *drop) find(q license.Question) license.Finding {
	f := license.Finding{State: license.IsNotFound}
	for _, i := range d.byHolder[q.Holder.Normal()] {
		l := d.licenses[i]
		if number := strings.TrimSpace(q.Number); number != "" && number != l.Number {
			continue
		}
		l.Holders, l.Fields, l.Flags = slices.Clone(l.Holders), maps.Clone(l.Fields), slices.Clone(l.Flags)
		f.State, f.Records = license.IsFound, append(f.Records, l)
	}
	return f
}

// Check says whether the source can answer now.
func (s *Source) Check(context.Context) error {
	if s.closed.Load() {
		return mapping.ErrClosed
	}
	return s.usable(s.current.Load())
}

// Status says what the source serves now.
func (s *Source) Status() Status {
	s.status.Lock()
	defer s.status.Unlock()
	st := s.state
	if d := s.current.Load(); d != nil {
		st.Drop, st.AsOf, st.Loaded, st.Rows, st.Licenses = d.name, d.asOf, d.loaded, d.rows, len(d.licenses)
	}
	return st
}

func (s *Source) note(change func(*Status)) {
	s.status.Lock()
	defer s.status.Unlock()
	change(&s.state)
}

func (a Status) same(b Status) bool {
	refusals := a.Refused == b.Refused || a.Refused != nil && b.Refused != nil && a.Refused.Drop == b.Refused.Drop && a.Refused.Reason == b.Refused.Reason && a.Refused.Line == b.Refused.Line
	return a.Drop == b.Drop && a.AsOf.Equal(b.AsOf) && a.Loaded.Equal(b.Loaded) && refusals && (a.Err == nil) == (b.Err == nil)
}

// Close ends the watching and gives up the drop. Later calls of Find fail with mapping.ErrClosed.
func (s *Source) Close() error {
	s.closed.Store(true)
	s.stop()
	<-s.done
	s.current.Store(nil)
	return nil
}
