package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/client"
	"oncegate/config"
	"oncegate/license"
)

type licenseIssue struct {
	calling
	Type    string
	Holders string
	From    string
	Skip    int
	Jobs    int
	JSON    bool
}

func newLicenseIssue(t *terminal) *command {
	c := &licenseIssue{Jobs: 4}
	cmd := t.command("issue", "Sign the licenses of many holders ahead of use.", c.run)
	cmd.Long = t.say(issueHelp)
	cmd.text(&c.Type, "type", "ID", "License type.")
	cmd.required("type")
	cmd.text(&c.Holders, "holders", "FILE", "The holders, one a line as TYPE:CODE, such as 001:91379901MA9920002Q; - is standard input.")
	cmd.text(&c.From, "from", "SOURCE", "Instead: all holders that this source of the configuration has in its newest drop.")
	cmd.number(&c.Skip, "skip", "Leave out the first N holders, as when a run was broken off.")
	cmd.number(&c.Jobs, "jobs", "Calls at once, to 16.")
	cmd.yes(&c.JSON, "json", "Print the counts as JSON.")
	c.declare(cmd)
	cmd.examples("oncegate license issue -c oncegate.yaml --system market-licenses --type business-license --holders holders.txt",
		"oncegate license issue -c oncegate.yaml --system tax-licenses --type tax-clearance --from tax-drop")
	return cmd
}

const issueHelp = "Each license is signed once for each state that its source has of it, when it is asked for first. This signs them ahead, so that nobody waits for it. What is signed already stays as it is: a run that was broken off may begin again, or go on with --skip."

// issueBatch is how many holders stand in one call: what one answer may hold.
const issueBatch = 64

// run signs, showing how far it is.
func (c *licenseIssue) run(ctx context.Context, t *terminal) error {
	if (c.Holders == "") == (c.From == "") {
		return misuse{errors.New("say either --holders FILE or --from SOURCE")}
	}
	if c.Jobs < 1 || c.Jobs > 16 || c.Skip < 0 {
		return misuse{errors.New("--jobs is 1 to 16, --skip not negative")}
	}
	holders, err := c.holders(ctx, t)
	if err != nil {
		return err
	}
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	begun := time.Now()
	run := issuing{caller: caller, licenseType: c.Type, holders: holders, next: min(c.Skip, len(holders)), progress: t.progress("holders"), say: t.tell}
	err = run.all(ctx, c.Jobs)
	if printErr := c.report(t, &run, time.Since(begun)); printErr != nil {
		return printErr
	}
	if err != nil {
		if run.done < len(holders) {
			t.tell("%d of %d holders are done: go on with --skip %d", run.done, len(holders), run.done)
		}
		return t.refused(err)
	}
	if run.count[api.IssuedHolderStateFaulty] > 0 {
		return errNo
	}
	return nil
}

func (c *licenseIssue) report(t *terminal, run *issuing, took time.Duration) error {
	n := run.count
	if c.JSON {
		return t.json(map[string]any{
			"holders": len(run.holders), "done": run.done, "signed": n[api.IssuedHolderStateSigned], "known": n[api.IssuedHolderStateKnown],
			"missing": n[api.IssuedHolderStateMissing], "faulty": n[api.IssuedHolderStateFaulty], "ms": took.Milliseconds(),
		})
	}
	t.println("%d holders with licenses signed now, %d known before, %d whom the source does not have, %d with faulty records (%s)",
		n[api.IssuedHolderStateSigned], n[api.IssuedHolderStateKnown], n[api.IssuedHolderStateMissing], n[api.IssuedHolderStateFaulty], took.Round(time.Millisecond))
	return nil
}

// holders reads or lists them, each once.
func (c *licenseIssue) holders(ctx context.Context, t *terminal) (list []api.HolderID, err error) {
	var all []license.HolderID
	if c.From != "" {
		if c.Config == "" {
			return nil, misuse{errors.New("--from needs the configuration: -c FILE")}
		}
		all, err = config.SourceHolders(ctx, c.Config, c.From, c.Type)
	} else {
		all, err = c.readHolders(t)
	}
	if err != nil {
		return nil, err
	}
	seen := make(map[license.HolderID]bool, len(all))
	for _, h := range all {
		if h = h.Normal(); !seen[h] {
			seen[h] = true
			list = append(list, api.HolderID{Type: h.Type, Code: h.Code})
		}
	}
	return list, nil
}

func (c *licenseIssue) readHolders(t *terminal) (list []license.HolderID, err error) {
	in := t.in
	if c.Holders != "-" {
		f, err := os.Open(c.Holders)
		if err != nil {
			return nil, misuse{err}
		}
		defer f.Close()
		in = f
	}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		kind, code, ok := strings.Cut(line, ":")
		if !ok {
			return nil, misuse{fmt.Errorf("line %d: a holder is written TYPE:CODE, such as 001:…", n)}
		}
		list = append(list, license.HolderID{Type: kind, Code: code})
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) {
		return nil, misuse{err}
	}
	return list, nil
}

// An issuing is a run over many holders. Batches end in any order; done counts those before which nothing is open.
type issuing struct {
	caller      *client.Client
	licenseType string
	holders     []api.HolderID
	progress    func(done, total uint64)
	say         func(format string, args ...any)

	next, done int // next to be asked; everything before done is done
	count      map[api.IssuedHolderState]int
}

// A batch is one call and what came of it.
type batch struct {
	start, end int
	answer     []api.IssuedHolder
	err        error
}

// all makes the calls, a few at once, until all is done or one has failed for good.
func (r *issuing) all(ctx context.Context, jobs int) (err error) {
	r.count, r.done = make(map[api.IssuedHolderState]int), r.next
	results := make(chan batch)
	finished := make(map[int]int) // start → end
	for running := 0; ; {
		for err == nil && ctx.Err() == nil && running < jobs && r.next < len(r.holders) {
			b := batch{start: r.next, end: min(r.next+issueBatch, len(r.holders))}
			r.next = b.end
			running++
			go func() {
				b.answer, b.err = r.call(ctx, r.holders[b.start:b.end])
				results <- b
			}()
		}
		if running == 0 {
			return errors.Join(err, ctx.Err())
		}
		b := <-results
		running--
		if b.err != nil {
			err = b.err
			continue
		}
		r.note(b)
		for finished[b.start] = b.end; finished[r.done] > 0; {
			r.done = finished[r.done]
		}
		r.progress(uint64(r.done), uint64(len(r.holders)))
	}
}

// note counts what came of a batch. A faulty record is told by its place: the code of its holder is for no screen.
func (r *issuing) note(b batch) {
	for i, h := range b.answer {
		r.count[h.State]++
		if h.State == api.IssuedHolderStateFaulty {
			r.say("holder %d cannot be signed: %s", b.start+i+1, h.Reason)
		}
	}
}

// call makes one call, again while the gateway says that it may succeed later.
func (r *issuing) call(ctx context.Context, holders []api.HolderID) ([]api.IssuedHolder, error) {
	const tries = 6
	for try := 1; ; try++ {
		done, err := r.caller.Issue(ctx, api.IssueRequest{LicenseType: r.licenseType, Holders: holders})
		if err == nil {
			return done.Answer.Holders, nil
		}
		p, refused := errors.AsType[*api.Problem](err)
		if !refused || !p.Retry || try == tries {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(max(time.Duration(p.RetryAfter)*time.Second, time.Duration(try)*200*time.Millisecond)):
		}
	}
}
