package main

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"oncegate/client"
	"oncegate/license"
	"oncegate/node"
)

type verifyCommand struct {
	Trust string
	JSON  bool
	Quiet bool
	Files []string
}

func newVerify(t *terminal) *command {
	c := &verifyCommand{}
	cmd := t.command("verify", "Verify what a gateway or somebody else handed out, offline: licenses, sealed documents, answers, receipts, time stamps, lists, and more.", c.run)
	cmd.arguments = []argument{{name: "file", help: "What to verify; - is standard input. Files that belong together verify one another.", kind: "FILE", many: &c.Files}}
	cmd.text(&c.Trust, "trust", "DIR", "What is believed: a folder with trust.json, or that file.")
	cmd.required("trust")
	cmd.yes(&c.JSON, "json", "Print the steps as JSON.")
	cmd.yes(&c.Quiet, "q,quiet", "Print only what does not hold.")
	cmd.examples("oncegate verify --trust trust answer.json", "oncegate verify --trust trust license.ofd", "oncegate verify --trust trust copy.ofd original.ofd authority.crl",
		"oncegate verify --trust trust license.sdjwt answer.json request.jwt request.body", "curl -s https://gateway.example/log/checkpoint | oncegate verify --trust trust -")
	return cmd
}

// run verifies files with nothing but trust that was brought along.
func (c *verifyCommand) run(_ context.Context, t *terminal) error {
	trust, err := client.LoadTrust(node.TrustPath(c.Trust))
	if err != nil {
		return misuse{err}
	}
	var all []client.Artefact
	for _, name := range c.Files {
		data, err := t.readAll(name, client.MaxArtefact+1)
		if err != nil {
			return err
		}
		all = append(all, client.Artefact{Name: name, Data: data})
	}
	return t.report(trust.Verify(all...), c.JSON, c.Quiet)
}

// report prints verifications; errNo unless everything holds.
func (t *terminal) report(all []client.Verified, asJSON, quiet bool) error {
	held := true
	for _, v := range all {
		held = held && v.Err() == nil
	}
	if asJSON {
		if err := t.json(map[string]any{"ok": held, "artefacts": all}); err != nil {
			return err
		}
	} else {
		for _, v := range all {
			t.verified(v, quiet)
		}
	}
	if !held {
		return errNo
	}
	return nil
}

func (t *terminal) verified(v client.Verified, quiet bool) {
	verdict := t.paint(green, t.say("holds"))
	open := 0
	for _, s := range v.Steps {
		if s.State == license.NotCheckable {
			open++
		}
	}
	switch {
	case v.Err() != nil:
		verdict = t.paint(red, t.say("DOES NOT HOLD"))
	case quiet:
		return
	case open > 0:
		verdict += t.paint(faint, t.say(" (%d steps could not be checked)", open))
	}
	fmt.Fprintf(t.out, "%s (%s): %s\n", t.paint(bold, v.Name), v.Kind, verdict)
	for _, s := range v.Signatures {
		t.signature(s)
	}
	t.steps(v.Steps, quiet)
}

// signature prints who signed, with which seal and when, as the signature says.
func (t *terminal) signature(s client.Signature) {
	parts := []string{s.Type}
	if s.Place != "" {
		parts = []string{s.Place, s.Type}
	}
	add := func(what, value string) {
		if value != "" {
			parts = append(parts, t.say(what)+" "+printable(value))
		}
	}
	signer := s.Signer
	if s.USCC != "" {
		signer += " (" + s.USCC + ")"
	}
	add("by", signer)
	add("seal", s.SealName)
	switch {
	case s.Time.IsZero():
	case s.Proven:
		add("at", s.Time.String()+t.say(" (proven)"))
	default:
		add("at", s.Time.String()+t.say(" (not proven)"))
	}
	fmt.Fprintf(t.out, "  %s\n", strings.Join(parts, ", "))
}

// printable is text of strangers' making without what a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// steps prints steps, one a line.
func (t *terminal) steps(list []license.Step, quiet bool) {
	for _, s := range list {
		mark := t.paint(green, "✓")
		switch s.State {
		case license.Failed:
			mark = t.paint(red, "✗")
		case license.NotCheckable:
			mark = t.paint(yellow, "–")
		}
		if quiet && s.State != license.Failed {
			continue
		}
		if s.Reason == "" {
			fmt.Fprintf(t.out, "  %s %s\n", mark, s.Name)
			continue
		}
		fmt.Fprintf(t.out, "  %s %s  %s\n", mark, s.Name, t.paint(faint, printable(s.Reason)))
	}
}
