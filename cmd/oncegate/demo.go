package main

import (
	"context"
	"errors"
	"os"

	"golang.org/x/term"

	"oncegate/demo"
)

type demoCommand struct {
	Once bool   `help:"End after the story; the exit code says whether every step held."`
	JSON bool   `help:"Print the result as JSON and end."`
	Dir  string `placeholder:"DIR" help:"Keep everything here: city, gateway, trust, artefacts."`
}

// Help gives examples.
func (demoCommand) Help() string {
	return examples("oncegate demo", "oncegate demo --once --dir /tmp/city", "oncegate demo --json")
}

// Run tells the story.
func (c *demoCommand) Run(ctx context.Context, t *terminal) error {
	o := demo.Options{Dir: c.Dir, Once: c.Once, JSON: c.JSON, Out: t.out, Lang: t.lang(), Color: t.colour}
	if f, ok := t.out.(*os.File); ok {
		o.Width, _, _ = term.GetSize(int(f.Fd())) // 0: no terminal
	}
	err := demo.Run(ctx, o)
	if errors.Is(err, demo.ErrUntold) {
		return errNo // it has been told which
	}
	return err
}
