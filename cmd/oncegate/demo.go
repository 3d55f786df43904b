package main

import (
	"context"
	"errors"
	"os"

	"golang.org/x/term"

	"oncegate/demo"
)

type demoCommand struct {
	Once bool
	JSON bool
	Dir  string

	Postgres string
}

func newDemo(t *terminal) *command {
	c := &demoCommand{}
	cmd := t.command("demo", "Start a small city, tell its story, and serve until Ctrl-C.", c.run)
	cmd.yes(&c.Once, "once", "End after the story; the exit code says whether every step held.")
	cmd.yes(&c.JSON, "json", "Print the result as JSON and end.")
	cmd.text(&c.Dir, "dir", "DIR", "Keep everything here: city, gateway, trust, artefacts.")
	cmd.text(&c.Postgres, "postgres", "URL", "Run the gateway over this PostgreSQL, in a schema of its own, dropped at the end unless --dir keeps everything.")
	cmd.examples("oncegate demo", "oncegate demo --once --dir /tmp/city", "oncegate demo --json", "oncegate demo --once --postgres 'postgres://USER@127.0.0.1:5432/DATABASE?sslmode=disable'")
	return cmd
}

// run tells the story.
func (c *demoCommand) run(ctx context.Context, t *terminal) error {
	o := demo.Options{Dir: c.Dir, Once: c.Once, JSON: c.JSON, Out: t.out, Lang: string(t.Language), Color: t.colour, Postgres: c.Postgres}
	if f, ok := t.out.(*os.File); ok {
		o.Width, _, _ = term.GetSize(int(f.Fd())) // 0: no terminal
	}
	err := demo.Run(ctx, o)
	if errors.Is(err, demo.ErrStepFailed) {
		return errNo // it has been told which
	}
	return err
}
