package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/client"
	"oncegate/verdict"
)

// recordIndex is a record that is named by its index in the log.
func recordIndex(text string) (uint64, error) {
	index, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, misuse{errors.New("a record is named by its index in the log, such as 17")}
	}
	return index, nil
}

type auditEvidence struct {
	calling
	Why     string
	Persons bool
	Request bool
	JSON    bool
	Index   string
}

func newAuditEvidence(t *terminal) *command {
	c := &auditEvidence{}
	cmd := t.command("evidence", "Open the sealed evidence of one record: what was decided on what, and why.", c.run,
		argument{name: "index", help: "The record, by its index in the log.", kind: "INDEX", one: &c.Index})
	cmd.Long = t.say("The real reasons are shown, also where the caller was told less. Opening is recorded with the reason given for it; opening persons, or the call that names them, is recorded as a release.")
	cmd.text(&c.Why, "why", "TEXT", "Why it is opened, such as the number of an objection; recorded.")
	cmd.required("why")
	cmd.yes(&c.Persons, "persons", "Open the persons behind the commitments.")
	cmd.yes(&c.Request, "request", "Open the signed token and the body of the call.")
	cmd.yes(&c.JSON, "json", "Print the answer with its receipt as it came, to file.")
	c.calling.declare(cmd)
	cmd.examples(`oncegate audit evidence -c oncegate.yaml --system audit-office --why "objection 2026-3" 17`,
		`oncegate audit evidence -c oncegate.yaml --system audit-office --why "objection 2026-3" --persons --json 17 > evidence.json`)
	return cmd
}

// run opens the evidence.
func (c *auditEvidence) run(ctx context.Context, t *terminal) error {
	index, err := recordIndex(c.Index)
	if err != nil {
		return err
	}
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	done, err := caller.Evidence(ctx, index, api.EvidenceRequest{Why: c.Why, Persons: c.Persons, Request: c.Request})
	if err != nil {
		return t.refused(err)
	}
	if c.JSON {
		return t.raw(done.Raw)
	}
	return t.printEvidence(done.Answer)
}

func (t *terminal) printEvidence(e api.EvidenceAnswer) error {
	w := t.table(recordTitles(t))
	t.printRecords(w, []api.AuditRecord{e.Record})
	if err := w.flush(); err != nil {
		return err
	}
	title := func(text string) { fmt.Fprintln(t.out, "\n"+t.paint(bold, text)) }
	if len(e.Reasons) > 0 {
		title(t.say("Reasons"))
		for _, r := range e.Reasons {
			fmt.Fprintf(t.out, "  %s%s%s%s\n", r.Code, t.say(": "), printable(t.pick(r.Zh, r.En)), t.behind(r))
		}
	}
	if len(e.Persons) > 0 {
		title(t.say("Persons"))
		w := t.table("")
		for _, p := range e.Persons {
			w.row("  "+p.Type, printable(p.Code), p.Commitment)
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
	if e.Request.Token != "" {
		title(t.say("Call"))
		body, err := base64.RawURLEncoding.DecodeString(e.Request.Body)
		if err != nil {
			return fmt.Errorf("read evidence: the body is not unpadded base64url: %w", err)
		}
		text := e.Request.Body // bytes that are no text stay encoded
		if utf8.Valid(body) {
			text = printable(string(body))
		}
		fmt.Fprintf(t.out, "  %s\n  %s\n", e.Request.Token, text)
	}
	if inputs := jsontext.Value(e.Inputs); len(inputs) > 0 && string(inputs) != "null" {
		title(t.say("Decided on"))
		if err := inputs.Indent(jsontext.WithIndentPrefix("  "), jsontext.WithIndent("  ")); err != nil {
			return fmt.Errorf("read evidence: %w", err)
		}
		fmt.Fprintf(t.out, "  %s\n", inputs)
	}
	if len(e.Erased) > 0 {
		title(t.say("erased by the order of record %d: %s", e.ErasedBy, t.List(t.wordsOf(e.Erased))))
	}
	return nil
}

// behind is the error behind a reason, which the evidence has in English alone, for a reader who is told its sentence in Chinese.
func (t *terminal) behind(r api.Reason) string {
	if text := t.Text(r.En); t.chinese() && text != r.Zh && text != strings.TrimSuffix(r.Zh, "。") {
		return t.say(" (%s)", printable(text))
	}
	return ""
}

type auditReceipt struct {
	calling
	JTI    string
	Output string
	JSON   bool
	Index  string
}

func newAuditReceipt(t *terminal) *command {
	c := &auditReceipt{}
	cmd := t.command("receipt", "Get the receipt of one record, verify it, and keep it.", c.run,
		argument{name: "index", help: "The record, by its index in the log; with an auditor's key.", kind: "INDEX", one: &c.Index, optional: true})
	cmd.Long = t.say("A receipt proves that the record is in the log; it verifies offline with the log's keys alone.")
	cmd.text(&c.JTI, "jti", "ID", "Instead of an index: of a call of this system whose answer was lost.")
	cmd.text(&c.Output, "o,output", "FILE", "New file for the receipt; - is standard output.")
	cmd.yes(&c.JSON, "json", "Print the answer with its own receipt as it came, to file.")
	c.calling.declare(cmd)
	cmd.examples("oncegate audit receipt -c oncegate.yaml --system audit-office 17 -o receipt-17.json", "oncegate verify --trust trust receipt-17.json",
		"oncegate audit receipt -c oncegate.yaml --system food-approval --jti 019a0000-0000-7000-8000-000000000000")
	return cmd
}

// run gets a receipt and says what it proves. Without trust it is printed as it is.
func (c *auditReceipt) run(ctx context.Context, t *terminal) error {
	if (c.Index == "") == (c.JTI == "") {
		return misuse{errors.New("say either a record's index or --jti ID")}
	}
	file := newFile(c.Output)
	if c.Output != "-" {
		if err := file.absent(); err != nil {
			return misuse{err}
		}
	}
	done, err := c.ask(ctx, t)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.raw(done.Raw)
	}
	var came struct {
		Answer struct {
			Receipt jsontext.Value `json:"receipt"`
		} `json:"answer"`
	}
	if err := json.Unmarshal(done.Raw, &came); err != nil {
		return fmt.Errorf("read receipt: %w", err)
	}
	receipt := came.Answer.Receipt
	if c.Output == "-" {
		return t.raw(receipt)
	}
	if c.Output != "" {
		if err := errors.Join(file.line(receipt), file.close()); err != nil {
			return err
		}
		t.println("the receipt of record %d stands in %s", done.Answer.Index, c.Output)
	}
	if c.Trust == "" && c.Config == "" {
		if c.Output == "" {
			return t.raw(receipt)
		}
		return nil
	}
	trust, err := c.trusted()
	if err != nil {
		return err
	}
	return t.report(trust.VerifyContext(ctx, verdict.Artefact{Name: t.say("receipt of record %d", done.Answer.Index), Data: receipt}), false, false)
}

func (c *auditReceipt) ask(ctx context.Context, t *terminal) (*client.Answered[api.ReceiptAnswer], error) {
	var index uint64
	if c.JTI == "" {
		var err error
		if index, err = recordIndex(c.Index); err != nil {
			return nil, err
		}
	}
	caller, err := c.client(t)
	if err != nil {
		return nil, err
	}
	var done *client.Answered[api.ReceiptAnswer]
	if c.JTI != "" {
		done, err = caller.LostReceipt(ctx, c.JTI)
	} else {
		done, err = caller.RecordReceipt(ctx, index)
	}
	if err != nil {
		return nil, t.refused(err)
	}
	return done, nil
}
