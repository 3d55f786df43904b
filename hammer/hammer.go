// Package hammer is the load test and benchmark of a gateway: it puts bounded load on a gateway of its own, on the loopback interface
// only, measures it, and then proves that no answered call is missing from the log. The gateway is a real one: the sample city's
// configuration over a legacy database, real keys, and signed calls over keep-alive HTTP.
package hammer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"oncegate/store"
)

// ErrLost reports a proof that does not hold: an answered call is missing from the log, altered, or recorded twice.
var ErrLost = errors.New("the proof does not hold")

// Bounds of a run.
const (
	maxCallers  = 1024
	maxCalls    = 500_000
	maxDuration = 2 * time.Minute // signed calls live five
	maxRounds   = 9
)

// Stores that Options.Store names.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Options configure a load test. The zero value is usable.
type Options struct {
	Dir      string        // a new or empty folder that keeps everything; empty: a temporary one, gone at the end
	Callers  int           // at once, 1 to 1024; default 64
	Calls    int           // of one stretch of load at most, 1 to 500,000; default 20,000
	Duration time.Duration // of one stretch at most, to 2 minutes; default 10 s
	Rounds   int           // how often everything is measured, 1 to 9: figures are medians; default 3
	Rate     float64       // calls per second of the stretch below full load; default half of what full load came to
	Mix      Mix           // of the mixed stretch; the zero Mix: DefaultMix
	Store    string        // SQLite (default) or Postgres
	DSN      string        // connection URL of PostgreSQL; each run makes a schema of its own there and drops it
	All      bool          // measure the parts too: recorder, appends, eight slow sources, start, memory, and PostgreSQL where DSN is given

	// Serve is the command that serves a configuration, whose file comes as its last argument: for start and memory, which are
	// measured on a process of its own. Empty: those two are left out.
	Serve []string

	JSON     bool      // write the Report as JSON instead of text
	Out      io.Writer // where the report goes; nil: nowhere
	Progress io.Writer // a terminal that shows how far it is; nil: nothing
	Cost     int       // of the keystores (install.PrepareOptions.Cost); 0: as a real gateway's

	population int // that hold a business license, each with a case of its own; default 500
}

func (o Options) withDefaults() (Options, error) {
	for _, v := range []struct {
		value      *int
		other, max int
		name       string
	}{{&o.Callers, 64, maxCallers, "callers"}, {&o.Calls, 20_000, maxCalls, "calls"}, {&o.Rounds, 3, maxRounds, "rounds"}} {
		if *v.value == 0 {
			*v.value = v.other
		}
		if *v.value < 1 || *v.value > v.max {
			return o, fmt.Errorf("%d %s: between 1 and %d are possible", *v.value, v.name, v.max)
		}
	}
	if o.Duration == 0 {
		o.Duration = 10 * time.Second
	}
	if o.Mix == (Mix{}) {
		o.Mix = DefaultMix()
	}
	switch {
	case o.Duration < 0 || o.Duration > maxDuration:
		return o, fmt.Errorf("a stretch of %s: at most %s are possible", o.Duration, maxDuration)
	case o.Rate < 0 || o.Rate > 1e6:
		return o, fmt.Errorf("%g calls per second are not possible", o.Rate)
	case o.Store != "" && o.Store != SQLite && o.Store != Postgres:
		return o, fmt.Errorf("store %q is neither %s nor %s", o.Store, SQLite, Postgres)
	case o.Store == Postgres && o.DSN == "":
		return o, errors.New("the connection URL of PostgreSQL is missing")
	}
	if o.Store == "" {
		o.Store = SQLite
	}
	if o.population == 0 {
		o.population = 500
	}
	return o, o.Mix.valid()
}

// Run runs the load test: it applies the load, measures, and proves. When ctx ends, calls under way are finished and proven all the
// same, and the Report says Interrupted. The error is ErrLost if the proof does not hold.
func Run(ctx context.Context, o Options) (Report, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Report{}, fmt.Errorf("hammer: %w", err)
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "oncegate-hammer-"); err != nil {
			return Report{}, fmt.Errorf("hammer: %w", err)
		}
		defer os.RemoveAll(o.Dir)
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return Report{}, fmt.Errorf("hammer: %w", err)
	}
	report, err := run(ctx, o)
	if err != nil {
		return report, fmt.Errorf("hammer: %w", err)
	}
	if err := report.write(o); err != nil {
		return report, fmt.Errorf("hammer: %w", err)
	}
	if !report.Proof.Holds {
		return report, fmt.Errorf("hammer: %w", ErrLost)
	}
	return report, nil
}

// A session is the state of one load test under way.
type session struct {
	Options
	*installation
	report  Report
	answers *answers
	slow    *slowSources
	meter   *meter
	gateway *gateway
}

func run(ctx context.Context, o Options) (_ Report, err error) {
	b := &session{Options: o, meter: &meter{out: o.Progress}, report: Report{Began: time.Now().UTC(), Machine: thisMachine(), Store: o.Store, Callers: o.Callers, Mix: o.Mix}}
	defer b.meter.clear()
	defer func() { err = errors.Join(err, b.close()) }()
	drop, err := b.prepare(ctx)
	if err != nil {
		return b.report, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	if err := b.load(ctx); err != nil && ctx.Err() == nil {
		return b.report, err
	}
	if o.All && ctx.Err() == nil {
		if err := b.measureParts(ctx); err != nil && ctx.Err() == nil {
			return b.report, err
		}
	}
	b.report.Interrupted = ctx.Err() != nil
	return b.report, b.prove(context.WithoutCancel(ctx))
}

// prepare sets up the test environment: the city and everything in it, and a running gateway. drop removes the database schema, the
// only thing kept outside the folder.
func (b *session) prepare(ctx context.Context) (drop func() error, err error) {
	b.meter.say("making a city")
	if b.slow, err = startSlow(); err != nil {
		return nil, err
	}
	dsn, drop := "", func() error { return nil }
	if b.Store == Postgres {
		if dsn, drop, err = store.NewSchema(ctx, b.DSN, "hammer"); err != nil {
			return nil, err
		}
	}
	c, err := newCity(b.Dir, dsn, b.population, b.slow)
	if err == nil {
		b.installation, err = newInstallation(ctx, c, b.Cost)
	}
	if err == nil {
		b.answers, err = createAnswers(c.path("answers"))
	}
	if err == nil {
		b.gateway, err = b.open(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, drop())
	}
	return drop, nil
}

// stopGateway stops the gateway that runs, if one does.
func (b *session) stopGateway() error {
	if b.gateway == nil {
		return nil
	}
	stop := b.gateway.stop
	b.gateway = nil
	return stop()
}

func (b *session) close() error {
	err := b.stopGateway()
	if b.answers != nil {
		err = errors.Join(err, b.answers.close())
	}
	if b.slow != nil {
		err = errors.Join(err, b.slow.close())
	}
	return err
}

// prove restarts the gateway on the data on disk, and proves the answers as an auditor does: over HTTP.
func (b *session) prove(ctx context.Context) error {
	b.meter.say("starting again")
	if err := b.stopGateway(); err != nil {
		return err
	}
	var err error
	if b.gateway, err = b.open(ctx); err != nil {
		return fmt.Errorf("start again: %w", err)
	}
	reader, err := b.client(auditor)
	if err != nil {
		return err
	}
	log := reader.Log()
	checkpoint, err := log.Checkpoint(ctx)
	if err != nil {
		return err
	}
	b.report.Proof, err = prove(ctx, b.answers, b.trustFile(), log, checkpoint, b.meter)
	b.report.Machine.LoadAfter = loadAverage()
	return err
}

// median of figures.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// A meter is a progress line for a long run. A nil writer shows nothing.
type meter struct {
	out  io.Writer
	mu   sync.Mutex // protects all below
	quit chan struct{}
	gone sync.WaitGroup
}

// start shows a count until stop. A total of 0 is unknown.
func (m *meter) start(name string, count *atomic.Int64, total int) {
	if m == nil || m.out == nil {
		return
	}
	m.stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	quit := make(chan struct{})
	m.quit = quit
	m.gone.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		begin := time.Now()
		for {
			select {
			case <-quit:
				fmt.Fprint(m.out, "\r\x1b[K")
				return
			case <-tick.C:
				n := count.Load()
				fmt.Fprintf(m.out, "\r\x1b[K%s: %d", name, n)
				if total > 0 {
					fmt.Fprintf(m.out, " of %d", total)
				}
				fmt.Fprintf(m.out, ", %.0f/s", float64(n)/time.Since(begin).Seconds())
			}
		}
	})
}

// say shows a line until something else is shown.
func (m *meter) say(text string) {
	if m != nil && m.out != nil {
		fmt.Fprintf(m.out, "\r\x1b[K%s", text)
	}
}

// clear removes the progress line.
func (m *meter) clear() {
	m.stop()
	m.say("")
}

func (m *meter) stop() {
	if m == nil {
		return
	}
	m.mu.Lock()
	quit := m.quit
	m.quit = nil
	m.mu.Unlock()
	if quit != nil {
		close(quit)
		m.gone.Wait()
	}
}
