package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/client"
	"oncegate/config"
	"oncegate/license"
)

type licenseIssue struct {
	calling
	Type     string
	Holders  string
	From     string
	Skip     int
	Jobs     int
	Failed   string
	Receipts string
	JSON     bool
}

func newLicenseIssue(t *terminal) *command {
	c := &licenseIssue{Jobs: 4}
	cmd := t.command("issue", "Sign the licenses of many holders ahead of use.", c.run)
	cmd.Long = t.say(issueHelp)
	cmd.text(&c.Type, "type", "ID", "License type.")
	cmd.required("type")
	cmd.text(&c.Holders, "holders", "FILE", "The holders, one a line as TYPE:CODE, such as 001:91379901MA9920002Q; - is standard input. What follows a # is a comment.")
	cmd.text(&c.From, "from", "SOURCE", "Instead: all holders that this source of the configuration has in its newest drop.")
	cmd.number(&c.Skip, "skip", "Leave out the first N holders, as when a run was broken off.")
	cmd.number(&c.Jobs, "jobs", "Calls at once, to 16.")
	cmd.text(&c.Failed, "failed", "FILE", "Write the holders that failed to this new file, whole, with reasons, so that --holders takes them again.")
	cmd.text(&c.Receipts, "receipts", "FILE", "Keep all answers with their receipts in this new file, one a line.")
	cmd.yes(&c.JSON, "json", "Print the counts and who failed, masked, as JSON.")
	c.declare(cmd)
	cmd.examples("oncegate license issue -c oncegate.yaml --system market-licenses --type business-license --holders holders.txt --failed failed.txt",
		"oncegate license issue -c oncegate.yaml --system market-licenses --type business-license --holders failed.txt",
		"oncegate license issue -c oncegate.yaml --system tax-licenses --type tax-clearance --from tax-drop")
	return cmd
}

const issueHelp = "Each license is signed once for each state that its source has of it, when it is asked for first. This signs them ahead, so that nobody waits for it. What is signed already stays as it is: a run that was broken off, by Ctrl-C too, may begin again, or go on with the --skip that it names. A holder whose license cannot be signed stops no other. Exit code: 0 if nobody failed; 1 if somebody failed, or the run was refused or broken off; 2 for wrong usage."

// run signs, showing how far it is.
func (c *licenseIssue) run(ctx context.Context, t *terminal) error {
	if (c.Holders == "") == (c.From == "") {
		return misuse{errors.New("say either --holders FILE or --from SOURCE")}
	}
	if c.Jobs < 1 || c.Jobs > 16 || c.Skip < 0 {
		return misuse{errors.New("--jobs is 1 to 16, --skip not negative")}
	}
	holders, repeated, err := c.holders(ctx, t)
	if err != nil {
		return err
	}
	failed, receipts := newFile(c.Failed), newFile(c.Receipts)
	if err := errors.Join(failed.absent(), receipts.absent()); err != nil {
		return misuse{err}
	}
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	if repeated > 0 {
		t.tell("%d holders stand more than once in the list", repeated)
	}
	begun := time.Now()
	run := client.Bulk{LicenseType: c.Type, Holders: holders, Skip: c.Skip, Concurrent: c.Jobs, Progress: t.progress("holders")}
	if c.Receipts != "" {
		run.Keep = receipts.line
	}
	result, err := caller.IssueAll(ctx, run)
	if result.Open > 0 && t.watched {
		fmt.Fprintln(t.err) // behind the bar that stopped halfway
	}
	for _, f := range result.Failures {
		if c.Failed != "" {
			err = errors.Join(err, failed.line(fmt.Appendf(nil, "%s:%s  # %s", f.Holder.Type, f.Holder.Code, strings.TrimSuffix(f.Reason.Code+": "+f.Detail, ": "))))
		}
	}
	err = errors.Join(err, failed.close(), receipts.close(), c.report(t, result, time.Since(begun)))
	return c.outcome(t, result, err)
}

// outcome says how a run ended that did not sign for everybody, and how it goes on.
func (c *licenseIssue) outcome(t *terminal, r client.BulkResult, err error) error {
	if len(r.Failures) > 0 && c.Failed != "" {
		t.tell("the %d holders that failed stand in %s: correct their source and give the file to --holders", len(r.Failures), c.Failed)
	}
	if r.Open > 0 {
		t.tell("%d holders are open: go on with --skip %d", r.Open, r.Next)
	}
	switch p, refused := errors.AsType[*api.Problem](err); {
	case errors.Is(err, context.Canceled):
		t.tell("the run was broken off; what is signed stays signed")
		return errNo
	case refused:
		t.explain(p)
		return errors.Join(c.keepRefusal(t, p), errNo)
	case err != nil:
		return err
	case len(r.Failures) > 0:
		return errNo
	}
	return nil
}

// keepRefusal keeps the refusal with its receipt, which has as many uses as holders: no screen is the place for it.
func (c *licenseIssue) keepRefusal(t *terminal, p *api.Problem) error {
	if c.Receipts != "" {
		t.tell("the refusal with its receipt stands in %s", c.Receipts)
		return nil
	}
	f := newFile("license-issue-refused-" + time.Now().Format("20060102-150405") + ".json")
	if err := errors.Join(f.line(p.Body()), f.close()); err != nil {
		return err
	}
	t.tell("the refusal with its receipt stands in %s", f.name)
	return nil
}

func masked(h api.HolderID) string { return license.HolderID{Type: h.Type, Code: h.Code}.Masked() }

// mostShown is how many holders that failed are shown: the rest is in the file.
const mostShown = 20

// report prints what became of the holders. Codes are masked: the screen is no place for them.
func (c *licenseIssue) report(t *terminal, r client.BulkResult, took time.Duration) error {
	if c.JSON {
		type failure struct {
			Place  int        `json:"place"` // from 1
			Holder string     `json:"holder"`
			Reason api.Reason `json:"reason"`
			Detail string     `json:"detail,omitempty"`
			Later  bool       `json:"later,omitempty"`
		}
		failures := make([]failure, len(r.Failures))
		for i, f := range r.Failures {
			failures[i] = failure{f.Place + 1, masked(f.Holder), f.Reason, f.Detail, f.Later}
		}
		return t.json(map[string]any{
			"asked": r.Asked, "signed": r.Signed, "unchanged": r.Unchanged, "skipped": r.Skipped, "failed": len(r.Failures), "open": r.Open, "next": r.Next,
			"failures": failures, "ms": took.Milliseconds(),
		})
	}
	t.println("%d holders: %d signed, %d unchanged, %d skipped, %d failed (%s)", r.Asked, r.Signed, r.Unchanged, r.Skipped, len(r.Failures), took.Round(time.Millisecond))
	if len(r.Failures) == 0 {
		return nil
	}
	w := t.table(t.say("NO\tHOLDER\tREASON\tWHAT"))
	count, sentences := make(map[string]int), make(map[string]string)
	for i, f := range r.Failures {
		count[f.Reason.Code]++
		sentences[f.Reason.Code] = t.pick(f.Reason.Zh, f.Reason.En)
		if i < mostShown {
			w.row(strconv.Itoa(f.Place+1), masked(f.Holder), f.Reason.Code, printable(t.Text(f.Detail)))
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	if more := len(r.Failures) - mostShown; more > 0 {
		t.println("  … and %d more", more)
	}
	for _, code := range slices.Sorted(maps.Keys(count)) {
		t.println("%d × %s: %s", count[code], code, sentences[code])
	}
	return nil
}

// holders reads or lists them, each once, and says how often one stands there again.
func (c *licenseIssue) holders(ctx context.Context, t *terminal) (list []api.HolderID, repeated int, err error) {
	var all []license.HolderID
	if c.From != "" {
		if c.Config == "" {
			return nil, 0, misuse{errors.New("--from needs the configuration: -c FILE")}
		}
		all, err = config.SourceHolders(ctx, c.Config, c.From, c.Type)
	} else {
		all, err = c.readHolders(t)
	}
	if err != nil {
		return nil, 0, err
	}
	seen := make(map[license.HolderID]bool, len(all))
	for _, h := range all {
		if h = h.Normal(); !seen[h] {
			seen[h] = true
			list = append(list, api.HolderID{Type: h.Type, Code: h.Code})
		}
	}
	return list, len(all) - len(list), nil
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
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
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
