package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"oncegate/api"
)

type auditReuse struct {
	calling
	From   string
	To     string
	Matter string
	JSON   bool
}

func newAuditReuse(t *terminal) *command {
	c := &auditReuse{}
	cmd := t.command("reuse", "Show the reuse rate (材料复用率) of a period: materials met from their source, of those required.", c.run)
	cmd.Long = t.say("Required are the materials that a check asked for and that the matter needs (is_need 1 or 3), each once in a case. Met are those that the last such check found met from their source. Both numbers are always shown.")
	cmd.text(&c.From, "from", "TIME", "From this day or moment (RFC 3339).")
	cmd.text(&c.To, "to", "TIME", "Up to this day, included, or this moment (RFC 3339).")
	cmd.required("from", "to")
	cmd.text(&c.Matter, "matter", "CODE", "Only this matter (事项).")
	cmd.yes(&c.JSON, "json", "Print the answer with its receipt as it came, to file.")
	c.calling.declare(cmd)
	cmd.examples("oncegate audit reuse -c oncegate.yaml --system audit-office --from 2026-11-01 --to 2026-11-30",
		"oncegate audit reuse -c oncegate.yaml --system audit-office --from 2026-11-01 --to 2026-11-30 --json > reuse.json")
	return cmd
}

// run prints the rate of each matter and of all.
func (c *auditReuse) run(ctx context.Context, t *terminal) error {
	from, err := parseDayOrTime(c.From, false)
	if err != nil {
		return misuse{err}
	}
	to, err := parseDayOrTime(c.To, true)
	if err != nil {
		return misuse{err}
	}
	if !from.Before(to.Time) {
		return misuse{errors.New("the period ends before it begins")}
	}
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	done, err := caller.Reuse(ctx, api.ReuseRequest{From: from, To: to, Matter: c.Matter})
	if err != nil {
		return t.refused(err)
	}
	if c.JSON {
		return t.raw(done.Raw)
	}
	w := t.table(t.say("MATTER\tMET\tREQUIRED\tREUSE RATE"))
	row := func(name string, met, required int) {
		w.row(name, strconv.Itoa(met), strconv.Itoa(required), rate(met, required))
	}
	for _, m := range done.Answer.Matters {
		row(m.Matter, m.Numerator, m.Denominator)
	}
	row(t.say("all"), done.Answer.Total.Numerator, done.Answer.Total.Denominator)
	return w.flush()
}

// rate is a ratio in percent; of nothing there is none.
func rate(met, required int) string {
	if required == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(met)/float64(required))
}
