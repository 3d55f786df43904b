package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"oncegate/api"
	"oncegate/check"
	"oncegate/install"
	"oncegate/license"
	"oncegate/verdict"
)

type verifyCommand struct {
	Trust string
	JSON  bool
	Quiet bool
	Files []string
}

func newVerify(t *terminal) *command {
	c := &verifyCommand{}
	cmd := t.command("verify", "Verify what a gateway or somebody else handed out, offline: licenses, sealed documents, answers, receipts, time stamps, lists, and more.", c.run,
		argument{name: "file", help: "What to verify; - is standard input. Files that belong together verify one another; a bundle (ZIP) is taken apart.", kind: "FILE", many: &c.Files})
	cmd.Long = t.say("Exit code: 0 proven, 1 refuted, 3 not proven (2 is misuse); of several files the worst. Keys, certificates, lists, stamps, calls and bodies beside what they support have no verdict of their own.")
	cmd.text(&c.Trust, "trust", "DIR", "What is trusted: a folder with trust.json, or that file.")
	cmd.required("trust")
	cmd.yes(&c.JSON, "json", "Print the steps as JSON.")
	cmd.yes(&c.Quiet, "q,quiet", "Print only what is not proven.")
	cmd.examples("oncegate verify --trust trust answer.json", "oncegate verify --trust trust license.ofd", "oncegate verify --trust trust copy.ofd original.ofd authority.crl",
		"oncegate verify --trust trust license.sdjwt answer.json request.jwt request.body", "curl -s https://gateway.example/log/checkpoint | oncegate verify --trust trust -")
	return cmd
}

// run verifies files with nothing but trust that was brought along.
func (c *verifyCommand) run(ctx context.Context, t *terminal) error {
	trust, err := verdict.LoadTrust(install.TrustPath(c.Trust))
	if err != nil {
		return misuse{err}
	}
	var all []verdict.Artefact
	var at []int // of each artefact among the results
	var verified []verdict.Verified
	for _, name := range c.Files {
		data, rest, err := t.readBeginning(name, verdict.MaxArtefact+1)
		if err != nil {
			return err
		}
		if verdict.IsReport(data) { // as long as the log, and read page by page
			bar := t.progress("entries")
			var v verdict.Verified
			v, err = trust.VerifyReport(ctx, name, io.MultiReader(bytes.NewReader(data), rest), func(m verdict.ReportMark) { bar(m.Progress()) })
			verified = append(verified, v)
		} else {
			var parts []verdict.Artefact
			parts, err = unpacked(verdict.Artefact{Name: name, Data: data})
			for _, a := range parts {
				all, at, verified = append(all, a), append(at, len(verified)), append(verified, verdict.Verified{})
			}
		}
		if err = errors.Join(err, rest.Close()); err != nil {
			return err
		}
	}
	for i, v := range trust.VerifyContext(ctx, all...) {
		verified[at[i]] = v
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return t.report(verified, c.JSON, c.Quiet)
}

// unpacked are the files of a bundle, or the one artefact itself.
func unpacked(a verdict.Artefact) ([]verdict.Artefact, error) {
	parts, is, err := verdict.Unpack(a)
	switch {
	case err != nil:
		return nil, misuse{fmt.Errorf("%s: %w", a.Name, err)}
	case !is:
		return []verdict.Artefact{a}, nil
	}
	return parts, nil
}

// report prints verifications. The exit code is that of the worst: 1 for refuted, 3 for not proven.
func (t *terminal) report(all []verdict.Verified, asJSON, quiet bool) error {
	worst := verdict.Worst(all)
	if asJSON {
		if err := t.json(map[string]any{"ok": worst == api.VerdictProven, "verdict": worst, "artefacts": all}); err != nil {
			return err
		}
	} else {
		for _, v := range all {
			if !quiet || v.Err() != nil {
				t.verified(v, quiet)
			}
		}
	}
	switch worst {
	case api.VerdictProven:
		return nil
	case api.VerdictRefuted:
		return errNo
	}
	return errOpen
}

// verified prints what came of one artefact: a sentence, what stands beside the verdict, who signed, and the steps.
func (t *terminal) verified(v verdict.Verified, quiet bool) {
	says, colour := v.Says.En, faint
	if t.chinese() {
		says = v.Says.Zh
	}
	switch v.Verdict {
	case api.VerdictProven:
		colour = green
	case api.VerdictNotProven:
		colour = yellow
	case api.VerdictRefuted:
		colour = red
	}
	kind := fmt.Sprintf(" (%s)", v.Kind)
	if t.chinese() {
		kind = "（" + v.Kind.Noun().Zh + "）"
	}
	fmt.Fprintf(t.out, "%s%s\n  %s\n", t.paint(bold, printable(v.Name)), kind, t.paint(colour, printable(says)))
	if beside := t.beside(v.Beside); beside != "" && !v.Supports {
		fmt.Fprintf(t.out, "  %s\n", beside)
	}
	for _, s := range v.Signatures {
		t.signature(s)
	}
	t.steps(v.Steps, quiet)
}

// beside says in words of its own what no verdict on authenticity says.
func (t *terminal) beside(b api.Beside) string {
	var parts []string
	if w := b.Witnessed; w != nil {
		parts = append(parts, t.witnessed(w))
	}
	if is := b.InForce; is != nil {
		switch is.State {
		case api.InForceStateInForce:
			parts = append(parts, t.say("in force as of %s", t.formatTime(is.AsOf)))
		case api.InForceStateNotInForce:
			parts = append(parts, t.say("not in force as of %s", t.formatTime(is.AsOf)))
		default:
			parts = append(parts, t.say("in force: not asked"))
		}
	}
	switch b.Presenter {
	case api.PresenterEntitled:
		parts = append(parts, t.say("presenter entitled"))
	case api.PresenterUnknown:
		parts = append(parts, t.say("presenter unknown"))
	}
	return strings.Join(parts, t.say("; "))
}

// witnessed says who co-signed: where the trust states a quorum, whether it stands, in which trees, by whom and by when.
func (t *terminal) witnessed(w *api.Witnessed) string {
	q := w.Quorum
	switch {
	case q == nil:
		return t.say("witnessed by %d of %d", w.Count, w.Of)
	case q.Trees == api.WitnessQuorumTreesBoth:
		return t.say("witnessed in both trees by %s, at %s", t.List(q.BothTrees), t.formatTime(q.Time))
	case q.Trees == api.WitnessQuorumTreesSHA256:
		return t.say("witnessed by %s, at %s, SHA-256 only", t.List(q.By), t.formatTime(q.Time))
	}
	return t.say("not witnessed by a quorum: %d of %d organisations", len(q.By), q.Of)
}

// signature prints who signed, with which seal and when, as the signature says.
func (t *terminal) signature(s verdict.Signature) {
	parts := []string{t.Message(s.Type)}
	if s.Place != "" {
		parts = []string{t.place(s.Place), t.Message(s.Type)}
	}
	add := func(what, value string) {
		if value != "" {
			parts = append(parts, t.Message(what)+" "+printable(value))
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
		add("at", t.formatTime(s.Time)+t.say(" (proven)"))
	default:
		add("at", t.formatTime(s.Time)+t.say(" (not proven)"))
	}
	fmt.Fprintf(t.out, "  %s\n", strings.Join(parts, t.say(", ")))
}

// formatTime is a time for a person: in Chinese that of China, to the second.
func (t *terminal) formatTime(at api.Time) string {
	if t.chinese() {
		return at.In(license.Shanghai()).Format("2006-01-02 15:04:05")
	}
	return at.String()
}

// place is where in an artefact something stands, such as signature[0].
func (t *terminal) place(name string) string {
	if t.chinese() {
		return verdict.InChinese(check.Step{Name: name}).Name
	}
	return name
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

// steps prints steps, one a line. In Chinese the stable name follows in brackets.
func (t *terminal) steps(list []check.Step, quiet bool) {
	for _, s := range list {
		mark := t.paint(green, "✓")
		switch s.State {
		case check.Failed:
			mark = t.paint(red, "✗")
		case check.NotCheckable:
			mark = t.paint(yellow, "–")
		}
		if quiet && s.State == check.OK {
			continue
		}
		if name := s.Name; t.chinese() {
			if s = verdict.InChinese(s); s.Name != name {
				s.Name += t.paint(faint, "（"+name+"）")
			}
		}
		line := fmt.Sprintf("  %s %s", mark, s.Name)
		if s.Reason != "" {
			line += "  " + t.paint(faint, printable(s.Reason))
		}
		fmt.Fprintln(t.out, line)
	}
}
