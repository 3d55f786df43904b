package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/check"
	"oncegate/install"
	"oncegate/license"
	"oncegate/tlog"
	"oncegate/verdict"
)

func newAudit(t *terminal) *command {
	return t.group("audit", "Search, verify, export and erase the records.", newAuditSearch(t), newAuditEvidence(t), newAuditReceipt(t), newAuditReuse(t), newAuditVerify(t),
		newAuditExport(t), newAuditErase(t), newAuditAdopt(t))
}

// asking are the flags that say which records are meant.
type asking struct {
	From        string
	To          string
	Of          string
	ByOperator  string
	Operation   string
	Matter      string
	Case        string
	LicenseType string
	Holder      string
	Decision    string
}

func (a *asking) declare(cmd *command) {
	cmd.text(&a.From, "from", "TIME", "From this day or moment (RFC 3339).")
	cmd.text(&a.To, "to", "TIME", "Up to this day, included, or this moment (RFC 3339).")
	cmd.text(&a.Of, "of", "ID", "Records of this system.")
	cmd.text(&a.ByOperator, "by-operator", "CODE", "Records of calls of this operator (经办人).")
	cmd.text(&a.Operation, "operation", "NAME", "Records of this operation.")
	cmd.text(&a.Matter, "matter", "CODE", "Records for this matter (事项).")
	cmd.text(&a.Case, "case", "NO", "Records for this case (办件).")
	cmd.text(&a.LicenseType, "type", "ID", "Records about this license type.")
	cmd.text(&a.Holder, "holder", "TYPE:CODE", "Records about this holder, such as 001:91379901MA9920002Q; @FILE or - keeps the code out of the shell's history.")
	cmd.text(&a.Decision, "decision", "WORD", "Records with this decision, such as release or denied.")
}

func (a asking) request(t *terminal) (q api.SearchRequest, err error) {
	q = api.SearchRequest{System: a.Of, Operator: a.ByOperator, Operation: a.Operation, Matter: a.Matter, Case: a.Case, LicenseType: a.LicenseType, Decision: a.Decision}
	if q.From, err = parseDayOrTime(a.From, false); err != nil {
		return q, misuse{err}
	}
	if q.To, err = parseDayOrTime(a.To, true); err != nil {
		return q, misuse{err}
	}
	q.Holder, err = a.holder(t)
	return q, err
}

func (a asking) holder(t *terminal) (h api.HolderID, err error) {
	text := a.Holder
	if text == "" {
		return h, nil
	}
	if text == "-" || strings.HasPrefix(text, "@") {
		data, err := t.readAll(strings.TrimPrefix(text, "@"), 1024)
		if err != nil {
			return h, err
		}
		text = strings.TrimSpace(string(data))
	}
	kind, code, ok := strings.Cut(text, ":")
	if !ok {
		return h, misuse{errors.New("a holder is written TYPE:CODE, such as 001:…")}
	}
	return api.HolderID{Type: kind, Code: license.NormalCode(code)}, nil
}

// parseDayOrTime reads a day of China's time or an RFC 3339 moment; the end of a day is the beginning of the next.
func parseDayOrTime(text string, end bool) (api.Time, error) {
	if text == "" {
		return api.Time{}, nil
	}
	if day, err := time.ParseInLocation("2006-01-02", text, license.Shanghai()); err == nil {
		if end {
			day = day.AddDate(0, 0, 1)
		}
		return api.At(day), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return api.Time{}, fmt.Errorf("%q is neither a day such as 2026-11-23 nor an RFC 3339 moment", text)
	}
	return api.At(at), nil
}

type auditSearch struct {
	calling
	asking
	Limit int
	JSON  bool
}

func newAuditSearch(t *terminal) *command {
	c := &auditSearch{Limit: 50}
	cmd := t.command("search", "Search the records, with an auditor's key.", c.run)
	cmd.number(&c.Limit, "limit", "Most records shown; 0 is all.")
	cmd.yes(&c.JSON, "json", "Print the answers with their receipts as they came, one a line.")
	c.asking.declare(cmd)
	c.calling.declare(cmd)
	cmd.examples("oncegate audit search -c oncegate.yaml --system audit-office --decision denied --from 2026-11-01",
		"oncegate audit search -c oncegate.yaml --system audit-office --holder @holder.txt")
	return cmd
}

// run prints what is found, newest first.
func (c *auditSearch) run(ctx context.Context, t *terminal) error {
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	q, err := c.request(t)
	if err != nil {
		return err
	}
	w := t.table("")
	if !c.JSON {
		w = t.table(recordTitles(t))
	}
	return t.pages(w, c.Limit, 1000, func(limit int) (int, bool, error) {
		q.Limit = limit
		page, err := caller.Search(ctx, q)
		if err != nil {
			return 0, false, err
		}
		if c.JSON {
			fmt.Fprintf(t.out, "%s\n", page.Raw)
		} else {
			t.printRecords(w, page.Answer.Records)
		}
		q.Before = page.Answer.Next
		if q.Before == 0 && page.Answer.Covered < page.Answer.Size {
			t.tell("%d records are too new to be found yet", page.Answer.Size-page.Answer.Covered)
		}
		return len(page.Answer.Records), q.Before != 0, nil
	})
}

func recordTitles(t *terminal) string {
	return t.say("RECORD\tTIME\tSYSTEM\tOPERATION\tCASE\tTYPE\tDECISION\tRULES")
}

// printRecords prints a line for each use, or one for a record without any.
func (t *terminal) printRecords(w *table, records []api.AuditRecord) {
	for _, r := range records {
		at := r.Time.In(license.Shanghai()).Format("2006-01-02 15:04:05")
		if len(r.Uses) == 0 {
			w.row(strconv.FormatUint(uint64(r.Index), 10), at, r.System, r.Operation)
		}
		for _, u := range r.Uses {
			w.row(strconv.FormatUint(uint64(r.Index), 10), at, r.System, r.Operation, u.Case, u.LicenseType, t.word(u.Decision), strings.Join(u.Rules, " "))
		}
	}
}

type auditVerify struct {
	calling
	Store   string
	Origin  string
	Against string
	State   bool
	JSON    bool
	Files   []string
}

func newAuditVerify(t *terminal) *command {
	c := &auditVerify{}
	cmd := t.command("verify", "Verify the whole log, over HTTP or in the store of a stopped node, or receipts.", c.run,
		argument{name: "file", help: "Verify these receipts and answers instead of the whole log.", kind: "FILE", many: &c.Files, optional: true})
	cmd.text(&c.Store, "store", "FILE", "SQLite database of a stopped node, or a copy, instead of HTTP.")
	cmd.text(&c.Origin, "origin", "NAME", "Name of the log in it, where the trust names several.")
	cmd.text(&c.Against, "against", "FILE", "Prove instead that the log extends this filed checkpoint, receipt or answer; reads public tiles only.")
	cmd.yes(&c.State, "state", "Replay the log in the database of a stopped installation, or a copy, and hold every table against it; needs its keys.")
	cmd.yes(&c.JSON, "json", "Print the steps as JSON.")
	c.declare(cmd)
	cmd.examples("oncegate audit verify -c oncegate.yaml --system audit-office", "oncegate audit verify -c oncegate.yaml --state", "oncegate audit verify -c oncegate.yaml --system audit-office --against last-year.checkpoint", "oncegate audit verify --trust trust --store copy.db", "oncegate audit verify --trust trust answer.json")
	return cmd
}

// run proves that nothing in the log was changed or left out, and that every entry is a record.
func (c *auditVerify) run(ctx context.Context, t *terminal) error {
	if c.State {
		return c.state(ctx, t)
	}
	if len(c.Files) > 0 {
		if c.Trust == "" {
			return misuse{errors.New("--trust is required: what is trusted?")}
		}
		return (&verifyCommand{Trust: c.Trust, JSON: c.JSON, Files: c.Files}).run(ctx, t)
	}
	if c.Store != "" {
		return c.stored(ctx, t)
	}
	trust, err := c.trusted()
	if err != nil {
		return err
	}
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	log := caller.Log()
	checkpoint, err := log.Checkpoint(ctx)
	if err != nil {
		return err
	}
	return c.verify(ctx, t, trust, log, checkpoint)
}

// trusted is what log and receipts are held against.
func (c calling) trusted() (*verdict.Trust, error) {
	if c.Trust != "" {
		trust, err := verdict.LoadTrust(install.TrustPath(c.Trust))
		if err != nil {
			return nil, misuse{err}
		}
		return trust, nil
	}
	if c.Config == "" {
		return nil, misuse{errors.New("--trust is required: what is trusted?")}
	}
	return install.TrustOf(c.Config, nil)
}

// stored verifies the log in a database file.
func (c *auditVerify) stored(ctx context.Context, t *terminal) (err error) {
	trust, err := c.trusted()
	if err != nil {
		return err
	}
	origin := c.Origin
	if origin == "" {
		origins := trust.Origins()
		if len(origins) != 1 {
			return misuse{fmt.Errorf("the trust names %d logs; say which with --origin", len(origins))}
		}
		origin = origins[0]
	}
	db, err := install.OpenLogFile(ctx, c.Store, origin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	head, err := db.Log().Head(ctx)
	if err != nil {
		return err
	}
	return c.verify(ctx, t, trust, db.Log(), head.Checkpoint)
}

func (c *auditVerify) verify(ctx context.Context, t *terminal, trust *verdict.Trust, r tlog.Reader, checkpoint string) error {
	if c.Against != "" {
		return c.extends(ctx, t, trust, r, checkpoint)
	}
	start := time.Now()
	done, steps, err := trust.VerifyLog(ctx, r, checkpoint, t.progress("entries"))
	answer := map[string]any{"origin": done.Origin, "size": done.Size}
	if wrong, ok := errors.AsType[*tlog.CorruptError](err); ok {
		answer["entry"], answer["tile"] = wrong.Entry, wrong.Tile
	}
	return c.report(t, answer, steps, err, func() {
		t.println("%s all %d entries of %s hold (%s)", t.paint(green, "✓"), done.Size, done.Origin, time.Since(start).Round(time.Millisecond))
	})
}

// extends proves that the log has kept what somebody filed.
func (c *auditVerify) extends(ctx context.Context, t *terminal, trust *verdict.Trust, r tlog.Reader, checkpoint string) error {
	start := time.Now()
	data, err := t.readAll(c.Against, verdict.MaxArtefact)
	if err != nil {
		return err
	}
	now, then, steps, err := trust.VerifyExtends(ctx, r, checkpoint, verdict.Artefact{Name: c.Against, Data: data})
	answer := map[string]any{"origin": now.Origin, "size": now.Size, "filed": then.Size, "fork": errors.Is(err, tlog.ErrFork)}
	return c.report(t, answer, steps, err, func() {
		t.println("%s the log of %d entries extends the filed one of %d (%s)", t.paint(green, "✓"), now.Size, then.Size, time.Since(start).Round(time.Millisecond))
	})
}

// report prints what came of a log: proven without an error, refuted where a step failed, else not proven. proven prints the first.
func (c *auditVerify) report(t *terminal, answer map[string]any, steps []check.Step, err error, proven func()) error {
	if err != nil && !errors.Is(err, verdict.ErrUnproven) {
		return t.refused(err) // it could not be read: that says nothing about the log, unless the gateway says so
	}
	word, outcome := api.VerdictProven, error(nil)
	switch {
	case err != nil && verdict.Failure(steps) != nil:
		word, outcome = api.VerdictRefuted, errNo
	case err != nil:
		word, outcome = api.VerdictNotProven, errOpen
	}
	if c.JSON {
		answer["ok"], answer["verdict"], answer["steps"] = err == nil, word, steps
		if err := t.json(answer); err != nil {
			return err
		}
	} else {
		t.steps(steps, false)
	}
	filed := slices.ContainsFunc(steps, func(s check.Step) bool { return strings.HasPrefix(s.Name, "filed/") })
	switch {
	case err != nil && filed && check.Find(steps, "log-extends-filed").Name == "": // it was not held against the log
		t.tell("%s what was filed does not hold: %s", t.paint(red, "✗"), err)
	case err != nil:
		t.tell("%s the log does not hold: %s", t.paint(red, "✗"), err)
	case !c.JSON:
		proven()
	}
	return outcome
}

type auditExport struct {
	calling
	asking
	Out    string
	Resume bool
}

func newAuditExport(t *terminal) *command {
	c := &auditExport{Out: "-"}
	cmd := t.command("export", "Write a signed report of a period to a file.", c.run)
	cmd.Long = t.say("The report comes in pages, each signed with its receipt, one a line; verify proves them, and that none is missing. A report that was broken off goes on with --resume.")
	cmd.text(&c.Out, "o,out", "FILE", "Where the report goes; - is standard output. A file must not be there, but with --resume.")
	cmd.yes(&c.Resume, "resume", "Go on with the report in the file, behind its last whole page.")
	c.asking.declare(cmd)
	c.calling.declare(cmd)
	cmd.examples("oncegate audit export -c oncegate.yaml --system audit-office --from 2026-11-01 --to 2026-11-30 -o report.jsonl",
		"oncegate audit export -c oncegate.yaml --system audit-office --from 2026-11-01 --to 2026-11-30 -o report.jsonl --resume", "oncegate verify --trust trust report.jsonl")
	return cmd
}

// run writes the report: answers and receipts as they came, so that it verifies offline.
func (c *auditExport) run(ctx context.Context, t *terminal) (err error) {
	if c.From == "" || c.To == "" {
		return misuse{errors.New("a report is of a period: say --from and --to")}
	}
	if c.Resume && c.Out == "-" {
		return misuse{errors.New("a report is resumed in its file: say --out")}
	}
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	q, err := c.request(t)
	if err != nil {
		return err
	}
	out, mark, err := c.open(t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	bar := t.progress("entries")
	mark, err = caller.Report(ctx, api.ExportRequest{
		From: q.From, To: q.To, System: q.System, Operator: q.Operator, Operation: q.Operation, Matter: q.Matter, Case: q.Case,
		LicenseType: q.LicenseType, Holder: q.Holder, Decision: q.Decision,
	}, out, mark, func(m verdict.ReportMark) { bar(m.Progress()) })
	if err != nil {
		if mark.Pages > 0 && c.Out != "-" {
			t.tell("%d pages with %d records are written; go on with --resume", mark.Pages, mark.Records)
		}
		return t.refused(err)
	}
	if n := mark.Unindexed(); n > 0 {
		t.tell("The report is not complete: %d records are too new to be found yet. Write it again.", n)
	}
	return nil
}

// open opens the file that the report goes to, and says how far the report in it has come.
func (c *auditExport) open(t *terminal) (out io.WriteCloser, mark verdict.ReportMark, err error) {
	if c.Out == "-" {
		return unclosed{t.out}, mark, nil
	}
	how := os.O_RDWR | os.O_CREATE | os.O_EXCL
	if c.Resume {
		how = os.O_RDWR
	}
	f, err := os.OpenFile(c.Out, how, 0o600)
	if err != nil {
		return nil, mark, misuse{err}
	}
	if c.Resume {
		if mark, err = verdict.ReadReport(f); err == nil {
			err = f.Truncate(mark.Bytes) // a page that was cut off
		}
		if err == nil {
			_, err = f.Seek(mark.Bytes, io.SeekStart)
		}
	}
	if err != nil {
		return nil, mark, errors.Join(err, f.Close())
	}
	return f, mark, nil
}

// unclosed is standard output, which is not ours to close.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

type auditErase struct {
	calling
	Why   string
	JSON  bool
	Index string
}

func newAuditErase(t *terminal) *command {
	c := &auditErase{}
	cmd := t.command("erase", "Order that the personal evidence of one record is erased.", c.run,
		argument{name: "index", help: "The record, by its index in the log.", kind: "INDEX", one: &c.Index})
	cmd.Long = t.say("Erases the request and the persons sealed beside the record. The record, what decisions were made on, and the log stay. The order is a record of its own, which the erased parts name. It cannot be undone.")
	cmd.text(&c.Why, "why", "TEXT", "Why it is erased, such as the decision on an objection; recorded.")
	cmd.required("why")
	cmd.yes(&c.JSON, "json", "Print the answer with its receipt as it came, to file.")
	c.calling.declare(cmd)
	cmd.examples(`oncegate audit erase -c oncegate.yaml --system audit-office --why "objection 2026-3" 17`)
	return cmd
}

// run orders the erasure and says which record is the order.
func (c *auditErase) run(ctx context.Context, t *terminal) error {
	index, err := recordIndex(c.Index)
	if err != nil {
		return err
	}
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	done, err := caller.Erase(ctx, index, api.EraseRequest{Why: c.Why})
	if err != nil {
		return t.refused(err)
	}
	if c.JSON {
		return t.raw(done.Raw)
	}
	if len(done.Answer.Parts) == 0 {
		t.println("nothing was left to erase beside record %d; the order is record %d", index, done.Receipt.Index)
		return nil
	}
	t.println("erased beside record %d: %s; the order is record %d", index, t.List(t.wordsOf(done.Answer.Parts)), done.Receipt.Index)
	return nil
}
