package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"oncegate/explanation"
	"oncegate/verdict"
)

type explainCommand struct {
	Show  bool
	Files []string
}

func newExplain(t *terminal) *command {
	c := &explainCommand{}
	cmd := t.command("explain", "Say in words what an answer, refusal, receipt, evidence, checkpoint or error says.", c.run,
		argument{name: "file", help: "What to explain; - or none is standard input.", kind: "FILE", many: &c.Files, optional: true})
	cmd.Long = t.say("It verifies nothing: what a file says may be false. Verify it with oncegate verify.")
	cmd.yes(&c.Show, "show", "Show personal values instead of masking them.")
	cmd.examples("oncegate explain answer.json", "oncegate call -c oncegate.yaml --system food-approval catalog.matters | oncegate explain", "oncegate explain --show answer.json")
	return cmd
}

// run explains files, one after another.
func (c *explainCommand) run(_ context.Context, t *terminal) error {
	files := c.Files
	if len(files) == 0 {
		files = []string{"-"}
	}
	var failed error
	for _, name := range files {
		data, err := t.readAll(name, verdict.MaxArtefact+1)
		if err != nil {
			return err
		}
		e, err := explanation.Of(data, explanation.Options{Language: t.Language, Show: c.Show})
		if err != nil {
			t.complain(fmt.Errorf("%s: %w", printable(name), err))
			failed = errNo
			continue
		}
		t.printExplanation(name, e)
	}
	return failed
}

// plainName is the name of a file that no shell takes for something else.
var plainName = regexp.MustCompile(`^[0-9A-Za-z_./][0-9A-Za-z_./-]*$|^-$`)

// printExplanation prints an explanation, and how to verify what was explained.
func (t *terminal) printExplanation(name string, e *explanation.Explanation) {
	fmt.Fprintf(t.out, "%s: %s\n", t.paint(bold, printable(name)), e.Kind)
	for _, s := range e.Sections {
		fmt.Fprintf(t.out, "\n%s\n", t.paint(bold, s.Title))
		for _, line := range s.Lines {
			t.hanging(line)
		}
	}
	shown := printable(name)
	if !plainName.MatchString(name) {
		shown = "'" + strings.ReplaceAll(shown, "'", `'\''`) + "'"
	}
	note := t.say("Nothing of this was verified. To verify it: %s", "oncegate verify --trust TRUST "+shown)
	if !e.Verifiable {
		note = t.say("Nothing of this was verified, and without a receipt nothing can be.")
	}
	fmt.Fprintf(t.out, "\n%s\n", t.paint(yellow, note))
}

// hanging prints a line as wide as help is, what follows the first part indented. Rows of a table stay as they are.
func (t *terminal) hanging(line string) {
	if strings.HasPrefix(line, " ") {
		fmt.Fprintf(t.out, "  %s\n", line)
		return
	}
	lead := "  "
	for _, part := range wrap(line, t.width()-4) {
		fmt.Fprintf(t.out, "%s%s\n", lead, part)
		lead = "    "
	}
}
