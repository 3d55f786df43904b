package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"oncegate/adapters/mapping"
	"oncegate/api"
	"oncegate/config"
	"oncegate/license"
)

func newSource(t *terminal) *command {
	return t.group("source", "Connect departments' systems: try one and read why it does not answer.", newSourceTry(t))
}

type sourceTry struct {
	calling
	Type   string
	Holder string
	Number string
	Sample int
	Show   bool
	JSON   bool
	Source string
}

func newSourceTry(t *terminal) *command {
	c := &sourceTry{}
	cmd := t.command("try", "Ask a source, and show masked what the mapping makes of the answer, or why there is none.", c.run,
		argument{name: "source", help: "Id of the source.", one: &c.Source})
	cmd.Long = t.say(tryHelp)
	cmd.number(&c.Sample, "sample", "Ask about so many holders whom the source itself lists, of each of its license types; they are shown masked, 100 at most.")
	cmd.text(&c.Holder, "holder", "TYPE:CODE", "Ask about this holder: a signed call to the running gateway, decided and recorded; - reads it from standard input.")
	cmd.text(&c.Type, "type", "ID", "License type to ask for, with --holder.")
	cmd.text(&c.Number, "number", "TEXT", "Number of the license (证照编号), with --holder.")
	cmd.yes(&c.Show, "show", "Show the values, not masked, with --holder.")
	cmd.yes(&c.JSON, "json", "Print the result as JSON; with --holder the answer with its receipt as it came.")
	c.declare(cmd)
	cmd.examples("oncegate source try -c oncegate.yaml market-registration", "oncegate source try -c oncegate.yaml tax-drop --sample 3",
		"oncegate source try -c oncegate.yaml market-registration --system market-licenses --type business-license --holder -")
	return cmd
}

const tryHelp = "Without --holder the command connects by itself, as the configuration says, and has the system try every query for nobody. What it prints names no person: values are masked, and a reason names row, column and rule. That somebody has a license is a release, also where the answer is no: --holder therefore goes through the running gateway, for the department whose system it is, by the right sources.try (--show needs licenses.render too), and is recorded. Exit code 0: the source answers; 1: it does not, or the call is refused."

// run tries the source, by itself or through the gateway.
func (c *sourceTry) run(ctx context.Context, t *terminal) error {
	switch {
	case c.Holder != "" && c.Sample != 0:
		return misuse{errors.New("say either --holder or --sample")}
	case c.Holder == "" && (c.Show || c.Number != "" || c.Type != ""):
		return misuse{errors.New("--show, --type and --number belong to --holder: only a recorded call shows values")}
	case c.Holder != "" && c.Type == "":
		return misuse{errors.New("--holder needs --type: which license is asked for?")}
	case c.Sample < 0 || c.Sample > config.MaxSample:
		return misuse{errors.New("--sample is 0 to 100")}
	case c.Holder != "":
		return c.ask(ctx, t)
	case c.Config == "":
		return misuse{errors.New("the configuration is needed: -c FILE")}
	}
	setup, faults := config.Load(c.Config, now())
	if err := faults.Err(); err != nil {
		return err
	}
	source, err := setup.Source(c.Source)
	if err != nil {
		return misuse{err}
	}
	trial := setup.Try(ctx, source, c.Sample)
	if c.JSON {
		err = t.json(jsonTrial(trial))
	} else {
		t.printTrial(trial)
	}
	if err == nil && !answers(trial) {
		err = errNo
	}
	return err
}

// ask makes the recorded call.
func (c *sourceTry) ask(ctx context.Context, t *terminal) error {
	holder, err := namedHolder(c.Holder, t.in)
	if err != nil {
		return misuse{err}
	}
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	done, err := caller.Try(ctx, c.Source, api.TryRequest{LicenseType: c.Type, Holder: holder, Number: c.Number, Show: c.Show})
	if err != nil {
		return t.refused(err)
	}
	a := done.Answer
	if c.JSON {
		err = t.answer(&done.Response)
	} else {
		t.printTried(a)
	}
	if err == nil && a.Reason.Code != "" {
		err = errNo
	}
	return err
}

// printTried prints what a source answered about a named holder.
func (t *terminal) printTried(a api.TryAnswer) {
	switch {
	case a.Reason.Code != "":
		t.printReason(a.Source, a.Found == api.TryAnswerFoundFaulty, a.Reason.Code, a.Reason.En, a.Reason.Zh)
	case len(a.Licenses) == 0:
		t.println("%s answers: the holder has no such license", a.Source)
	default:
		t.println("%s answers: %d licenses", a.Source, len(a.Licenses))
	}
	for _, l := range a.Licenses {
		var lines [][2]string
		for _, path := range slices.Sorted(maps.Keys(l.Fields)) {
			lines = append(lines, [2]string{path, l.Fields[path]})
		}
		var flags []string
		for _, f := range l.Flags {
			flags = append(flags, f.Field+": "+f.Reason)
		}
		t.printLicense(string(l.Status), lines, flags)
	}
}

// printReason says why a source does not answer: whose fault it is, the cause as metrics name it, and the sentence. Its Chinese is given,
// because a column may have the name of a word that has Chinese.
func (t *terminal) printReason(source string, faulty bool, cause, reason, chinese string) {
	if t.chinese() {
		reason = chinese
	}
	whose := t.say("unavailable")
	if faulty {
		whose = t.say("faulty")
	}
	fmt.Fprintf(t.out, "%s %s (%s): %s\n", t.paint(red, source+":"), whose, cause, reason)
}

// answers reports whether the source could be asked, and answered about its whole sample.
func answers(trial config.Trial) bool {
	ok := trial.Err == nil
	for _, s := range trial.Samples {
		ok = ok && s.Err == nil && !slices.ContainsFunc(s.Findings, func(f license.Finding) bool { return f.State == license.IsUnavailable })
	}
	return ok
}

// printTrial prints what came of trying a source.
func (t *terminal) printTrial(trial config.Trial) {
	if trial.Err != nil {
		t.printError(trial.Source, trial.Err)
		return
	}
	if trial.IssuedHere {
		t.println("%s (%s): kept in the gateway's own database: there is nothing to connect to", trial.Source, trial.Kind)
		return
	}
	t.println("%s (%s): connected, and every query fits the schema", trial.Source, trial.Kind)
	for _, s := range trial.Samples {
		t.printSample(trial.Source, s)
	}
}

func (t *terminal) printSample(source string, s config.Sample) {
	if errors.Is(s.Err, mapping.ErrNoSample) {
		t.println("%s: %s; name a holder with --holder", s.Type.ID, t.Text(s.Err.Error()))
		return
	}
	if s.Err != nil {
		t.printError(source, s.Err)
		return
	}
	t.println("%s: asked about %d holders", s.Type.ID, len(s.Findings))
	for i, f := range s.Findings {
		if f.State == license.IsUnavailable {
			t.printError(t.say("%s, holder %d of the sample", source, i+1), f.Err)
		}
		for _, l := range f.Records {
			claims, err := license.Claims(s.Type, l)
			if err != nil {
				t.printError(source, err)
				continue
			}
			var lines [][2]string
			for _, c := range license.MaskClaims(s.Type, claims) {
				lines = append(lines, [2]string{c.Path, c.Value})
			}
			var flags []string
			for _, flag := range l.Flags {
				flags = append(flags, flag.Field+": "+string(flag.Reason))
			}
			t.printLicense(string(l.Status), lines, flags)
		}
	}
}

// printError prints why a source does not answer. An error that is no license.SourceError is of the configuration: its secret cannot be
// read, its driver is not linked.
func (t *terminal) printError(source string, err error) {
	if e, ok := errors.AsType[*license.SourceError](err); ok {
		t.printReason(source, e.Cause.Faulty(), string(e.Cause), e.Error(), e.Chinese())
		return
	}
	fmt.Fprintf(t.out, "%s %s\n", t.paint(red, source+":"), t.Text(err.Error()))
}

// printLicense prints one license as the mapping makes it.
func (t *terminal) printLicense(status string, lines [][2]string, flags []string) {
	w := t.table("")
	w.row("  "+t.say("license status"), t.Message(status))
	for _, l := range lines {
		w.row("  "+l[0], l[1])
	}
	for _, f := range flags {
		w.row("  "+t.say("flag"), f)
	}
	_ = w.flush()
	fmt.Fprintln(t.out)
}

// jsonTrial is a trial for machines.
func jsonTrial(trial config.Trial) any {
	type failure struct {
		Cause  string `json:"cause,omitempty"`
		Faulty bool   `json:"faulty,omitempty"`
		Row    int    `json:"row,omitempty"`
		Column string `json:"column,omitempty"`
		Reason string `json:"reason"`
	}
	fail := func(err error) *failure {
		if err == nil {
			return nil
		}
		e, ok := errors.AsType[*license.SourceError](err)
		if !ok {
			return &failure{Reason: err.Error()}
		}
		return &failure{string(e.Cause), e.Cause.Faulty(), e.Row, e.Name, e.Error()}
	}
	type finding struct {
		Found    string              `json:"found"`
		Licenses []map[string]string `json:"licenses,omitempty"`
		Failure  *failure            `json:"failure,omitempty"`
	}
	type sample struct {
		Type    string    `json:"license_type"`
		Holders []finding `json:"holders,omitempty"`
		Failure *failure  `json:"failure,omitempty"`
	}
	out := struct {
		Source  string   `json:"source"`
		Kind    string   `json:"kind"`
		OK      bool     `json:"ok"`
		Failure *failure `json:"failure,omitempty"`
		Samples []sample `json:"samples,omitempty"`
	}{trial.Source, trial.Kind, answers(trial), fail(trial.Err), nil}
	for _, s := range trial.Samples {
		one := sample{Type: s.Type.ID, Failure: fail(s.Err)}
		for _, f := range s.Findings {
			h := finding{Found: string(f.State), Failure: fail(f.Err)}
			for _, l := range f.Records {
				claims, err := license.Claims(s.Type, l)
				h.Failure = cmp.Or(h.Failure, fail(err))
				masked := map[string]string{"status": string(l.Status)}
				for _, c := range license.MaskClaims(s.Type, claims) {
					masked[c.Path] = c.Value
				}
				h.Licenses = append(h.Licenses, masked)
			}
			one.Holders = append(one.Holders, h)
		}
		out.Samples = append(out.Samples, one)
	}
	return out
}
