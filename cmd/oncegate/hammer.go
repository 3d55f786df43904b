package main

import (
	"context"
	"errors"
	"os"
	"time"

	"oncegate/hammer"
)

type hammerCommand struct {
	Dir      string
	Callers  int
	Calls    int
	Duration time.Duration
	Rounds   int
	Rate     float64
	Check    int
	Register int
	Stranger int
	Replay   int
	Postgres string
	Store    string
	All      bool
	JSON     bool
}

func newHammer(t *terminal) *command {
	const database = "ONCEGATE_TEST_POSTGRES"
	c := &hammerCommand{
		Callers: 64, Calls: 20000, Duration: 10 * time.Second, Rounds: 3, Check: 5, Register: 10, Stranger: 5, Replay: 5,
		Postgres: os.Getenv(database), Store: "sqlite",
	}
	cmd := t.command("hammer", "Put bounded load on a gateway of its own, on loopback only, and prove that nothing answered was lost.", c.run)
	cmd.text(&c.Dir, "dir", "DIR", "Keep everything here, in a new folder; otherwise it is gone at the end.")
	cmd.number(&c.Callers, "callers", "Callers at once, to 1024.")
	cmd.number(&c.Calls, "calls", "Calls of one stretch of load at most, to 500,000.")
	cmd.duration(&c.Duration, "duration", "Time of one stretch at most, to 2m.")
	cmd.number(&c.Rounds, "rounds", "How often everything is measured; figures are medians.")
	cmd.rate(&c.Rate, "rate", "Calls per second below full load; otherwise half of what full load came to.")
	cmd.number(&c.Check, "check", "Of a hundred calls of the mixed stretch: checks of a chain of eight matters.")
	cmd.number(&c.Register, "register", "New cases among them.")
	cmd.number(&c.Stranger, "stranger", "Questions among them that must be refused.")
	cmd.number(&c.Replay, "replay", "Calls among them that are made twice.")
	cmd.text(&c.Postgres, "postgres", "URL", "PostgreSQL to compare with, or with --store to run on. A schema is made there and dropped.").DefValue = "$" + database // the URL may hold a password
	cmd.text(&c.Store, "store", "WORD", "Store of the gateway.", "sqlite", "postgres")
	cmd.yes(&c.All, "all", "Measure the parts too: records, eight slow sources, start, memory, program, PostgreSQL.")
	cmd.yes(&c.JSON, "json", "Print the report as JSON.")
	cmd.examples("oncegate hammer", "oncegate hammer --callers 256 --duration 30s", "oncegate hammer --all --json > report.json")
	return cmd
}

// run puts the load on and proves that nothing answered was lost.
func (c *hammerCommand) run(ctx context.Context, t *terminal) error {
	tuneGC() // as a gateway that serves
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
