package main

import (
	"context"
	"fmt"
	"strconv"

	"oncegate/api"
)

func newCase(t *terminal) *command {
	return t.group("case", "Show one's own cases (办件) and what is due of them, and file what the window received and verified.", newCaseList(t), newCaseShow(t), newCaseFile(t), newCaseUnfile(t))
}

type caseList struct {
	calling
	Matter string
	State  string
	Due    string
	Limit  int
	JSON   bool
}

func newCaseList(t *terminal) *command {
	c := &caseList{Limit: 100}
	cmd := t.command("list", "List one's own cases in the order of registration, with what is due.", c.run)
	cmd.text(&c.Matter, "matter", "CODE", "Only cases of this matter (事项).")
	cmd.text(&c.State, "state", "WORD", "Only those that stand so.", "open", "closed")
	cmd.text(&c.Due, "due", "WORD", "Only those of which something is due, or is overdue.", "due", "overdue")
	cmd.number(&c.Limit, "limit", "Most cases shown; 0 is all.")
	cmd.yes(&c.JSON, "json", "Print the answers with their receipts as they came, one a line.")
	c.declare(cmd)
	cmd.examples("oncegate case list -c oncegate.yaml --system acceptance --state open --due overdue")
	return cmd
}

// run lists cases page by page. A page may be empty while there are more.
func (c *caseList) run(ctx context.Context, t *terminal) error {
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	w := t.table("")
	if !c.JSON {
		w = t.table(t.say("CASE\tMATTER\tACCEPTED\tCLOSED\tDUE\tOVERDUE\tDEADLINE"))
	}
	q := api.CasesRequest{Matter: c.Matter, State: api.CasesRequestState(c.State), Due: api.CasesRequestDue(c.Due)}
	return t.pages(w, c.Limit, 100, func(limit int) (int, bool, error) {
		q.Limit = limit
		found, err := caller.ListCases(ctx, q)
		if err != nil {
			return 0, false, err
		}
		if c.JSON {
			fmt.Fprintf(t.out, "%s\n", found.Raw)
		} else {
			for _, k := range found.Answer.Cases {
				w.row(printable(k.Case), k.Matter, day(k.Accepted), dayOrNone(k.Closed), strconv.Itoa(k.Due), strconv.Itoa(k.Overdue), k.Deadline)
			}
		}
		q.After = found.Answer.Next
		return len(found.Answer.Cases), q.After != "", nil
	})
}

func dayOrNone(at api.Time) string {
	if at.IsZero() {
		return ""
	}
	return day(at)
}

type caseShow struct {
	calling
	JSON bool
	No   string
}

func newCaseShow(t *terminal) *command {
	c := &caseShow{}
	cmd := t.command("show", "Show how one's own case stands: its materials by the last check, and what is due until when.", c.run,
		argument{name: "number", help: "Number of the case (办件编号).", one: &c.No})
	cmd.yes(&c.JSON, "json", "Print the answer with its receipt as it came.")
	c.declare(cmd)
	cmd.examples("oncegate case show -c oncegate.yaml --system acceptance BDC-2026-000045")
	return cmd
}

// run shows one case, a line for each material.
func (c *caseShow) run(ctx context.Context, t *terminal) error {
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	found, err := caller.ReadCase(ctx, c.No)
	if err != nil {
		return t.refused(err)
	}
	if c.JSON {
		return t.answer(&found.Response)
	}
	a := found.Answer
	fmt.Fprintf(t.out, "%s  %s  %s %s", a.Case, a.Matter, t.say("accepted"), day(a.Accepted))
	if !a.Closed.IsZero() {
		fmt.Fprintf(t.out, "  %s %s", t.say("closed"), day(a.Closed))
	}
	fmt.Fprintf(t.out, "\n%s\n", t.say("%d due, %d overdue", a.Due, a.Overdue))
	w := t.table(t.say("MATERIAL\tNEED\tSTATE\tSINCE\tRECEIVED\tDUE\tDEADLINE\tWORKING DAYS LEFT"))
	for _, m := range a.Materials {
		received, due := "", t.word(string(m.Due.Kind))
		if m.Received.How != "" {
			received = t.word(string(m.Received.How)) + " " + day(m.Received.At)
		}
		left := ""
		switch {
		case m.Due.Overdue:
			left = t.say("overdue")
		case m.Due.WorkingDays != nil:
			left = strconv.Itoa(*m.Due.WorkingDays)
		}
		w.row(m.Material, strconv.Itoa(int(m.Need)), t.word(string(m.State)), dayOrNone(m.Since), received, due, m.Due.Deadline, left)
	}
	return w.flush()
}
