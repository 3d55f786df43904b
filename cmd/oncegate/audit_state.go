package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/install"
	"oncegate/verdict"
)

// state replays the log and holds the tables of the installation against it.
func (c *auditVerify) state(ctx context.Context, t *terminal) error {
	switch {
	case c.Config == "":
		return misuse{errors.New(t.say("--state needs the installation's configuration and keys: say -c"))}
	case len(c.Files) > 0 || c.Origin != "":
		return misuse{errors.New(t.say("--state takes all logs of the database: neither files nor --origin"))}
	}
	o := install.StateOptions{Now: now, Database: c.Store, Progress: t.progress}
	if c.Trust != "" {
		trust, err := verdict.LoadTrust(install.TrustPath(c.Trust))
		if err != nil {
			return misuse{err}
		}
		o.Trust = trust
	}
	if c.Against != "" {
		data, err := t.readAll(c.Against, verdict.MaxArtefact)
		if err != nil {
			return err
		}
		o.Filed = verdict.Artefact{Name: c.Against, Data: data}
	}
	start := time.Now()
	done, err := install.VerifyState(ctx, c.Config, o)
	if err != nil {
		return err
	}
	verdict := done.Verdict()
	if c.JSON {
		if err := t.json(struct {
			OK      bool        `json:"ok"`
			Verdict api.Verdict `json:"verdict"`
			Proves  string      `json:"proves"`
			install.VerifiedState
		}{verdict == api.VerdictProven, verdict, t.stateProves(done, c.Against), done}); err != nil {
			return err
		}
	} else {
		t.printState(done, verdict, c.Against, time.Since(start))
	}
	switch verdict {
	case api.VerdictProven:
		return nil
	case api.VerdictRefuted:
		return errNo
	}
	return errOpen
}

// printState prints the steps, what is wrong, what is trusted, and against whom all this proves something.
func (t *terminal) printState(v install.VerifiedState, verdict api.Verdict, filed string, took time.Duration) {
	t.steps(v.Steps, false)
	for _, f := range v.Faults {
		where := f.Table
		if f.Key != "" {
			where += " " + f.Key
		}
		if f.Record != nil {
			where += " " + t.say("(record %d of %s)", *f.Record, f.Log)
		}
		fmt.Fprintf(t.out, "  %s %s  %s\n", t.paint(red, "✗"), printable(where), printable(t.Text(f.What)))
	}
	if more := v.Count - len(v.Faults); more > 0 {
		t.println("  … and %d more", more)
	}
	for _, b := range v.Adopted {
		t.println("%d rows of %s are trusted since record %d of %s, without proof", b.Rows, b.Table, b.Record, b.Log)
	}
	for _, l := range v.Logs {
		t.println("log %s: %d entries, SM3 root %s", l.Origin, l.Size, l.SM3)
	}
	if proves := t.stateProves(v, filed); proves != "" {
		fmt.Fprintln(t.out, proves)
	}
	switch verdict {
	case api.VerdictProven:
		t.println("%s the tables are what the log says (%s)", t.paint(green, "✓"), took.Round(time.Millisecond))
	case api.VerdictRefuted:
		t.tell("%s the tables are not what the log says", t.paint(red, "✗"))
	default:
		t.tell("%s not everything could be checked", t.paint(yellow, "–"))
	}
}

// stateProves says against whom the verdict counts; "" for one that proves nothing.
func (t *terminal) stateProves(v install.VerifiedState, filed string) string {
	switch {
	case v.Verdict() != api.VerdictProven:
		return ""
	case len(v.Witnesses) > 0:
		return t.say("Whoever has no keys could change nothing unseen. Nor could the operator, who has them all, since %s co-signed this checkpoint.", strings.Join(v.Witnesses, ", "))
	case filed != "":
		return t.say("Whoever has no keys could change nothing unseen. Nor could the operator, who has them all, change what the filed checkpoint covers.")
	}
	return t.say("Whoever has no keys could change nothing unseen. The operator, who has them all, could have made log and tables anew: no witness has co-signed this checkpoint, so compare it with one that was filed elsewhere (--against).")
}
