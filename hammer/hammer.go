// Package hammer puts bounded load on a gateway of its own, on this machine's loopback only, measures it, and then proves that nothing
// that was answered is missing: the sample city's configuration over a real legacy database, real keys, real signed calls over
// keep-alive HTTP.
package hammer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// ErrLost says that the proof does not hold: something that was answered is missing, altered or recorded twice.
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

// Options say how hard and how long. The zero value is usable.
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
	All      bool          // measure the rooms too: recorder, appends, eight slow sources, start, memory, and PostgreSQL where DSN is given

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

// Run puts the load on, measures, and proves. When ctx ends, what is under way is finished and proven all the same, and the Report
// says Interrupted. The error is ErrLost if the proof does not hold.
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

// A bench is one run under way.
type bench struct {
	Options
	*installation
	report  Report
	answers *answers
	slow    *slowSources
	meter   *meter
	gateway *gateway
}

func run(ctx context.Context, o Options) (_ Report, err error) {
	b := &bench{Options: o, meter: &meter{out: o.Progress}, report: Report{Began: time.Now().UTC(), Machine: thisMachine(), Store: o.Store, Callers: o.Callers, Mix: o.Mix}}
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
		if err := b.measureRooms(ctx); err != nil && ctx.Err() == nil {
			return b.report, err
		}
	}
	b.report.Interrupted = ctx.Err() != nil
	return b.report, b.proven(context.WithoutCancel(ctx))
}

// prepare makes the city and everything in it, and starts the gateway. drop removes what is kept outside the folder.
func (b *bench) prepare(ctx context.Context) (drop func() error, err error) {
	b.meter.say("making a city")
	if b.slow, err = startSlow(); err != nil {
		return nil, err
	}
	dsn, drop := "", func() error { return nil }
	if b.Store == Postgres {
		if dsn, drop, err = ownSchema(ctx, b.DSN); err != nil {
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
func (b *bench) stopGateway() error {
	if b.gateway == nil {
		return nil
	}
	stop := b.gateway.stop
	b.gateway = nil
	return stop()
}

func (b *bench) close() error {
	err := b.stopGateway()
	if b.answers != nil {
		err = errors.Join(err, b.answers.close())
	}
	if b.slow != nil {
		err = errors.Join(err, b.slow.close())
	}
	return err
}

// proven starts the gateway again, on what is on the disk, and proves what was answered as an auditor does: over HTTP.
func (b *bench) proven(ctx context.Context) error {
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
