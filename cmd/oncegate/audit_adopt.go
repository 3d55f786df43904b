package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"oncegate/install"
)

type auditAdopt struct {
	ofConfig
}

func newAuditAdopt(t *terminal) *command {
	c := &auditAdopt{}
	cmd := t.command("adopt", "Take on a database that was written before its rows were authenticated.", c.run)
	cmd.Long = t.say(adoptHelp)
	cmd.config(&c.Config)
	cmd.examples("oncegate audit adopt -c oncegate.yaml")
	return cmd
}

const adoptHelp = "Once, after the upgrade, with every node stopped. Each row is trusted as it stands and gets a tag of this gateway's keys; how many there were stands in the record store.adopt. From then on nothing is trusted that has no such tag, and no older version can write here. If it is broken off, run it again."

// run takes on the tables and says how many rows had no proof.
func (c *auditAdopt) run(ctx context.Context, t *terminal) error {
	done, err := install.Adopt(ctx, c.Config, install.AdoptOptions{Now: now, Progress: t.progress("rows")})
	if err != nil {
		return err
	}
	var parts []string
	for _, table := range slices.Sorted(maps.Keys(done.Rows)) {
		if n := done.Rows[table]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", table, n))
		}
	}
	fmt.Fprintf(t.out, "%s %s\n  %s\n", t.paint(green, "+"), t.say("the tables are adopted; record %d states how many rows were trusted without proof:", done.Record), strings.Join(parts, ", "))
	return nil
}
