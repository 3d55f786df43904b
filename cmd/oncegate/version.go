package main

import (
	"context"
	"time"

	"oncegate/node"
)

type versionCommand struct{ JSON bool }

func newVersion(t *terminal) *command {
	c := &versionCommand{}
	cmd := t.command("version", "Say which program this is: version, commit, Go version, platform.", c.run)
	cmd.yes(&c.JSON, "json", "Print as JSON.")
	cmd.examples("oncegate version", "oncegate version --json")
	return cmd
}

func (c *versionCommand) run(_ context.Context, t *terminal) error {
	b := node.ReadBuild()
	if c.JSON {
		return t.json(b)
	}
	t.println("oncegate %s", b.Version)
	switch {
	case b.Commit == "":
		t.println("  commit    not known: built outside of its repository")
	case b.Modified:
		t.println("  commit    %s of %s, with changes that are not committed", b.Commit, b.Time.Format(time.RFC3339))
	default:
		t.println("  commit    %s of %s", b.Commit, b.Time.Format(time.RFC3339))
	}
	t.println("  go        %s", b.Go)
	t.println("  platform  %s", b.Platform)
	return nil
}
