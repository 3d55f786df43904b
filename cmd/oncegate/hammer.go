package main

import (
	"context"
	"errors"
	"os"
	"time"

	"oncegate/hammer"
)

type hammerCommand struct {
	Dir      string        `placeholder:"DIR" help:"Keep everything here, in a new folder; otherwise it is gone at the end."`
	Callers  int           `default:"64" help:"Callers at once, to 1024."`
	Calls    int           `default:"20000" help:"Calls of one stretch of load at most, to 500,000."`
	Duration time.Duration `default:"10s" help:"Time of one stretch at most, to 2m."`
	Rounds   int           `default:"3" help:"How often everything is measured; figures are medians."`
	Rate     float64       `placeholder:"N" help:"Calls per second below full load; otherwise half of what full load came to."`
	Check    int           `default:"5" help:"Of a hundred calls of the mixed stretch: checks of a chain of eight matters."`
	Register int           `default:"10" help:"New cases among them."`
	Stranger int           `default:"5" help:"Questions among them that must be refused."`
	Replay   int           `default:"5" help:"Calls among them that are made twice."`
	Postgres string        `env:"ONCEGATE_TEST_POSTGRES" placeholder:"URL" help:"PostgreSQL to compare with, or with --store to run on. A schema is made there and dropped."`
	Store    string        `enum:"sqlite,postgres" default:"sqlite" help:"Store of the gateway: sqlite or postgres."`
	All      bool          `help:"Measure the rooms too: records, eight slow sources, start, memory, program, PostgreSQL."`
	JSON     bool          `help:"Print the report as JSON."`
}

// Help gives examples.
func (hammerCommand) Help() string {
	return examples("oncegate hammer", "oncegate hammer --callers 256 --duration 30s", "oncegate hammer --all --json > report.json")
}

// Run puts the load on and proves that nothing answered was lost.
func (c *hammerCommand) Run(ctx context.Context, t *terminal) error {
	settleMemory() // as a gateway that serves
	o := hammer.Options{
		Dir: c.Dir, Callers: c.Callers, Calls: c.Calls, Duration: c.Duration, Rounds: c.Rounds, Rate: c.Rate,
		Mix:   hammer.Mix{Check: c.Check, Register: c.Register, Stranger: c.Stranger, Replay: c.Replay},
		Store: c.Store, DSN: c.Postgres, All: c.All, JSON: c.JSON, Out: t.out,
	}
	if t.watched {
		o.Progress = t.err
	}
	if self, err := os.Executable(); err == nil {
		o.Serve = []string{self, "serve", "--log-format", "json", "-c"}
	}
	_, err := hammer.Run(ctx, o)
	if errors.Is(err, hammer.ErrLost) {
		return errNo // the report says what
	}
	return err
}
