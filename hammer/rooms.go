package hammer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// measureRooms measures what is not the load on one gateway. Each figure is the median of the run's rounds. What cannot be measured
// is said, and stops nothing, unless something was lost.
func (b *bench) measureRooms(ctx context.Context) error {
	for _, step := range []struct {
		name    string
		measure func(context.Context) error
	}{{"eight slow sources", b.measureEight}, {"a process of its own", b.measureProcess}, {"records", b.measureRecords}, {"PostgreSQL", b.measurePostgres}} {
		err := step.measure(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, ErrLost):
			return err
		case err != nil:
			b.missing("%s: %v", step.name, err)
		}
		if b.gateway == nil { // the step stopped it
			if b.gateway, err = b.open(ctx); err != nil {
				return fmt.Errorf("start again: %w", err)
			}
		}
	}
	b.measureSize()
	return nil
}

func (b *bench) figure(name, unit, detail string, values ...float64) {
	b.report.Figures = append(b.report.Figures, Figure{name, spreadOf(values), unit, detail})
}

func (b *bench) missing(format string, args ...any) {
	b.report.Missing = append(b.report.Missing, fmt.Sprintf(format, args...))
}

// measureEight checks a case of eight materials from eight systems that take 50 ms each, whose licenses are signed already, and
// asks each system directly in the same moments.
func (b *bench) measureEight(ctx context.Context) error {
	b.meter.say("a case from eight slow sources")
	const times = 20
	var ratios []float64
	for range b.Rounds {
		var whole, slowest []time.Duration
		for range times {
			d, err := b.checkEight(ctx)
			if err != nil {
				return err
			}
			whole = append(whole, d)
			if d, err = b.slow.slowest(ctx, b.companies[0]); err != nil {
				return err
			}
			slowest = append(slowest, d)
		}
		ratios = append(ratios, p50(whole)/p50(slowest))
	}
	b.figure("a case of 8 materials from 8 sources of 50 ms ÷ the slowest source", "×", "at most 1.2", ratios...)
	return nil
}

// checkEight checks the case once.
func (b *bench) checkEight(ctx context.Context) (time.Duration, error) {
	c, err := b.body(ctx, check, approval, "/v1/cases/"+eightCase+"/check", struct{}{})
	if err != nil {
		return 0, err
	}
	l, err := dial(ctx, b.service)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	begin := time.Now()
	status, body, err := l.do(c.wire)
	took := time.Since(begin)
	if err != nil {
		return 0, err
	}
	b.answers.add(answer{c.kind, status, c.jti, c.token, body})
	if met := countMet(body); met != eight {
		return 0, fmt.Errorf("check the case of eight: %d of %d materials are met", met, eight)
	}
	return took, nil
}

// measureProcess measures a gateway in a process of its own: start, and memory under load.
func (b *bench) measureProcess(ctx context.Context) error {
	if len(b.Serve) == 0 {
		b.missing("cold start and memory: no command to serve with was given")
		return nil
	}
	if err := b.stopGateway(); err != nil {
		return err
	}
	var starts, peaks []float64
	for range b.Rounds {
		b.meter.say("starting a gateway in a process of its own")
		begin := time.Now()
		g, err := b.spawn(ctx, b.Serve)
		if err != nil {
			return err
		}
		starts = append(starts, milliseconds(time.Since(begin)))
		b.gateway = g
		if _, err := b.stretch(ctx, "load on a process of its own", b.service, b.Mix.pattern(), 0, b.answers); err != nil {
			return err
		}
		peaks = append(peaks, float64(peak(g.pid))/1e6)
		if err := b.stopGateway(); err != nil {
			return err
		}
	}
	b.figure("cold start to ready", "ms", fmt.Sprintf("at most 1000 on a small database; a new process, a log of some %d records, keystore of full cost", b.answers.count), starts...)
	if peaks[0] > 0 {
		b.figure("peak of resident memory under mixed load", "MB", "at most 200; VmHWM of the process", peaks...)
	} else {
		b.missing("memory: this system does not say")
	}
	return nil
}

// measureSize looks at this program.
func (b *bench) measureSize() {
	name, err := os.Executable()
	if err != nil {
		return
	}
	info, err := os.Stat(name)
	without, known := stripped(name)
	switch {
	case err != nil || !known:
		b.missing("size of the stripped program: it cannot be told here")
	case !without:
		b.missing("size of the stripped program: this one has symbols (build it with -trimpath -ldflags=-s)")
	default:
		b.figure("size of the stripped program", "MB", "at most 120", float64(info.Size())/1e6)
	}
}

// measurePostgres puts the same load on a gateway over PostgreSQL.
func (b *bench) measurePostgres(ctx context.Context) error {
	if b.DSN == "" || b.Store == Postgres {
		b.missing("SQLite against PostgreSQL: no connection URL was given, or the run itself is on PostgreSQL")
		return nil
	}
	if err := b.stopGateway(); err != nil {
		return err
	}
	o := b.Options
	o.Store, o.All, o.Dir, o.Out = Postgres, false, filepath.Join(b.Dir, "postgres"), nil
	other, err := run(ctx, o)
	if err != nil {
		return fmt.Errorf("on PostgreSQL: %w", err)
	}
	if !other.Proof.Holds {
		return fmt.Errorf("on PostgreSQL: %w", ErrLost)
	}
	var ratios []float64
	for i := range min(len(other.Rounds), len(b.report.Rounds)) {
		ratios = append(ratios, other.Rounds[i].Full.Rate/b.report.Rounds[i].Full.Rate)
	}
	p := other.Rounds
	full := spreadOf(pick(p, func(r Round) float64 { return r.Full.Rate }))
	p50s := spreadOf(pick(p, func(r Round) float64 { return r.Full.P50 }))
	b.figure("full load on PostgreSQL ÷ full load on SQLite", "×", fmt.Sprintf("%s calls/s, p50 %s ms; its proof holds", full, p50s), ratios...)
	return nil
}
