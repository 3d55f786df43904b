package verdict

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/tlog"
)

// A ReportMark says how far a report has come: after how many pages, and where it goes on.
type ReportMark struct {
	Pages   int   // written
	Records int   // in them
	Bytes   int64 // of whole pages

	first, last api.ExportAnswer // without their records
	digest      string           // of the last answer
}

// Done reports whether the last page is written.
func (m ReportMark) Done() bool { return m.Pages > 0 && m.last.Next == 0 }

// Progress is how many entries of the log the report has passed, newest first, and how many there are to pass.
func (m ReportMark) Progress() (done, total uint64) {
	return m.first.Covered - min(m.first.Covered, m.last.Next), m.first.Covered
}

// Unindexed is how many records the search index did not cover when the report began: they are not in it.
func (m ReportMark) Unindexed() uint64 { return m.first.Size - min(m.first.Size, m.first.Covered) }

// Next is what the next page is asked with: the index that it begins before, and the digest of the answer that it follows.
func (m ReportMark) Next() (before uint64, previous string) { return m.last.Next, m.digest }

// IsOf reports whether the pages so far answer a question. Of persons the pages say only that they were asked for.
func (m ReportMark) IsOf(q api.ExportRequest) bool {
	asked := api.ExportAsked{
		System: q.System, Operation: q.Operation, Matter: q.Matter, Case: q.Case, LicenseType: q.LicenseType, Decision: q.Decision,
		Holder: q.Holder.Code != "", Operator: q.Operator != "",
	}
	return m.first.From.Equal(q.From.Time) && m.first.To.Equal(q.To.Time) && m.first.Asked == asked
}

// Add takes note of the next page. A document that is no page of a report is an error, and leaves the mark as it was.
func (m *ReportMark) Add(document []byte) error {
	answer, _, err := audit.SplitAnswer(document)
	if err != nil {
		return err
	}
	var page api.ExportAnswer
	if err := json.Unmarshal(answer, &page); err != nil || page.Operation != reportOperation {
		return errors.New("the answer is no page of a report")
	}
	m.Records += len(page.Records)
	page.Records, page.Decisions, page.Reuse = nil, nil, nil
	if m.Pages == 0 {
		m.first = page
	}
	m.Pages++
	m.Bytes += int64(len(document)) + 1
	m.last, m.digest = page, sm.DigestB64(answer)
	return nil
}

const reportOperation = "audit.export"

// ReadReport reads how far the report in a file has come, so that it can go on: whole pages only, of a line cut off nothing. It verifies
// nothing. Its memory is that of one page.
func ReadReport(r io.Reader) (m ReportMark, err error) {
	lines := newLines(r)
	for {
		line, whole, err := lines.next()
		if errors.Is(err, io.EOF) || err == nil && !whole {
			return m, nil
		}
		if err == nil {
			err = m.Add(line)
		}
		if err != nil {
			return m, fmt.Errorf("read page %d of the report: %w", m.Pages+1, err)
		}
	}
}

// IsReport looks at the beginning of a file: a report has a page in its first line and something after it. What is one page is an
// answer like any other.
func IsReport(beginning []byte) bool {
	first, rest, ok := bytes.Cut(beginning, []byte("\n"))
	return ok && bytes.HasPrefix(first, []byte(`{"answer":{`)) && bytes.HasPrefix(rest, []byte(`{"answer":{`[:min(len(rest), 11)])) && len(rest) > 0
}

// The steps of a report.
const (
	StepReportForm     = "report-form"     // every line is a page
	StepReportPages    = "report-pages"    // every page is proven by its receipt
	StepReportChain    = "report-chain"    // each page names the answer before it, and begins where that ended
	StepReportQuestion = "report-question" // all pages are of one period of one log and of one question
	StepReportRecords  = "report-records"  // the records stand in their order, once, and in the period
	StepReportComplete = "report-complete" // it begins with a first page, ends with a last one, and the search index covered the log
)

// VerifyReport verifies a report page by page, and that no page is missing, added or in another place. It trusts nothing but what is in
// t. It stops at the first page that is refuted. Its memory is that of one page. The error is that of reading. progress, if not nil, is
// called after each page.
//
// Every page costs one verification of each signature of its checkpoint. The second SM2 verifier, which takes twenty times as long as the
// first, verifies the checkpoints of the first and the last page only: what the last page proves covers all pages, since each one names
// the digest of the answer before it.
func (t *Trust) VerifyReport(ctx context.Context, name string, r io.Reader, progress func(ReportMark)) (Verified, error) {
	v := Verified{Name: name, Kind: Report}
	pages := newReportCheck(t)
	lines := newLines(r)
	for {
		line, _, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, errLongLine) {
			pages.form.fail(fmt.Sprintf("page %d: %s", pages.mark.Pages+1, err))
			break
		}
		if err != nil {
			return v, fmt.Errorf("read report: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return v, err
		}
		if !pages.page(ctx, &v, line) {
			break
		}
		if progress != nil {
			progress(pages.mark)
		}
	}
	pages.confirm()
	v.Steps = pages.steps()
	v.found.subject = api.Sentence{
		En: fmt.Sprintf("the report of %d records on %d pages", pages.mark.Records, pages.mark.Pages),
		Zh: fmt.Sprintf("共 %[2]d 页、%[1]d 条记录的报告", pages.mark.Records, pages.mark.Pages),
	}
	s := &batch{Trust: t, ctx: ctx}
	s.conclude(&v)
	return v, nil
}

// A finding is the first fault of one step of a report.
type finding struct {
	state  check.State
	reason string
}

func (f *finding) fail(reason string) {
	if f.state != check.Failed {
		f.state, f.reason = check.Failed, reason
	}
}

func (f *finding) unknown(reason string) {
	if f.state == "" {
		f.state, f.reason = check.NotCheckable, reason
	}
}

func (f *finding) unless(ok bool, reason string) {
	if !ok {
		f.fail(reason)
	}
}

// A reportCheck holds each page against those before it.
type reportCheck struct {
	trust      *Trust // verifies with both SM2 verifiers
	once       *Trust // verifies with the first one only
	mark       ReportMark
	oldest     int64  // index of the last record so far
	checkpoint string // of the last page, while only the first SM2 verifier has verified it
	refuted    bool   // a page is: nothing after it was read

	form, pages, chain, question, ordered, end finding
}

func newReportCheck(t *Trust) *reportCheck {
	once := *t
	once.logs = t.once
	return &reportCheck{trust: t, once: &once}
}

// confirm has both SM2 verifiers verify the checkpoint of the last page.
func (c *reportCheck) confirm() {
	if c.checkpoint == "" || c.refuted {
		return
	}
	log, err := c.trust.logOf(c.checkpoint)
	if err == nil {
		_, steps, _ := tlog.VerifyCheckpoint(c.checkpoint, log.Trust)
		if failed, found := check.FirstFailed(steps); found {
			err = errors.New(failed.Reason)
		}
	}
	if err != nil {
		c.pages.fail(fmt.Sprintf("page %d: %s", c.mark.Pages, err))
	}
}

// page verifies the next page; false where nothing after it is verified.
func (c *reportCheck) page(ctx context.Context, v *Verified, line []byte) bool {
	n := c.mark.Pages + 1
	answer, receipt, err := audit.SplitAnswer(line)
	var page api.ExportAnswer
	if err != nil || json.Unmarshal(answer, &page) != nil || page.Operation != reportOperation {
		c.form.fail(fmt.Sprintf("page %d: the line is no page of a report", n))
		return false
	}
	trust := c.once
	if n == 1 {
		trust = c.trust
	}
	proof := trust.VerifyContext(ctx, Artefact{Data: line})[0]
	switch proof.Verdict {
	case api.VerdictProven:
	case api.VerdictRefuted:
		for _, s := range proof.Steps {
			if s.State == check.Failed {
				c.pages.fail(fmt.Sprintf("page %d: %s", n, s.Reason))
			}
		}
		c.refuted = true
		return false
	default:
		c.pages.unknown(fmt.Sprintf("page %d: %s", n, check.Find(proof.Steps, proof.Lacks[0]).Reason))
	}
	if w := proof.Beside.Witnessed; v.Beside.Witnessed == nil || w != nil && w.Count < v.Beside.Witnessed.Count {
		v.Beside.Witnessed = w // of the page that fewest have co-signed
	}
	if n > 1 {
		c.checkpoint = receipt.Checkpoint
	}
	before := c.mark
	if n == 1 {
		c.end.unless(page.Before == 0 && page.Previous == "", "the report does not begin with its first page")
		c.oldest = int64(page.Covered)
	} else {
		c.chain.unless(before.last.Next != 0, fmt.Sprintf("page %d stands after the last page", n))
		c.chain.unless(page.Previous == before.digest && page.Before == before.last.Next,
			fmt.Sprintf("page %d does not follow the page before it: a page is missing, or stands in another place", n))
		c.question.unless(page.From.Equal(before.first.From.Time) && page.To.Equal(before.first.To.Time) && page.Asked == before.first.Asked && page.Log == before.first.Log,
			fmt.Sprintf("page %d is of another period or question", n))
	}
	for _, r := range page.Records {
		c.ordered.unless(int64(r.Index) < c.oldest, fmt.Sprintf("page %d: record %d stands twice, or in another place", n, r.Index))
		unreadable := r.Time.IsZero() // a leaf that was no record to the gateway's version has no time
		c.ordered.unless(unreadable || !r.Time.Before(page.From.Time) && r.Time.Before(page.To.Time), fmt.Sprintf("page %d: record %d is not of the period", n, r.Index))
		c.oldest = int64(r.Index)
	}
	// The next page begins with the last record of this one, or, where nothing was found yet, where this one came to.
	c.ordered.unless(page.Next == 0 || int64(page.Next) == c.oldest && len(page.Records) > 0 || int64(page.Next) < c.oldest && len(page.Records) == 0,
		fmt.Sprintf("page %d does not end where the next one begins", n))
	if page.Next != 0 {
		c.oldest = int64(page.Next)
	}
	return c.mark.Add(line) == nil
}

// steps are what came of all pages.
func (c *reportCheck) steps() (done check.Steps) {
	m := c.mark
	if m.Pages == 0 && !c.refuted {
		c.form.fail("page 1: the line is no page of a report")
	}
	if c.refuted {
		for _, f := range []*finding{&c.chain, &c.question, &c.ordered, &c.end} {
			f.unknown(fmt.Sprintf("nothing after page %d was verified: it is refuted", m.Pages+1))
		}
	}
	if m.Pages > 0 && m.last.Next != 0 {
		c.end.unknown("the last page names a next one, which is not here")
	}
	if n := m.Unindexed(); n > 0 {
		c.end.unknown(fmt.Sprintf("the search index did not cover the newest %d records when the report began", n))
	}
	for _, step := range []struct {
		name string
		finding
		found string
	}{
		{StepReportForm, c.form, fmt.Sprintf("%d pages", m.Pages)}, {StepReportPages, c.pages, ""}, {StepReportChain, c.chain, ""},
		{StepReportQuestion, c.question, ""}, {StepReportRecords, c.ordered, fmt.Sprintf("%d records", m.Records)}, {StepReportComplete, c.end, ""},
	} {
		switch {
		case step.state != "":
			done = append(done, check.Step{Name: step.name, State: step.state, Reason: step.reason})
		case c.form.state != "" && step.name != StepReportForm:
			done.CannotCheck(step.name, "a step before it failed")
		default:
			done.Pass(step.name, step.found)
		}
	}
	return done
}

// lines reads a file line by line, each of at most MaxArtefact bytes.
type lines struct {
	r    *bufio.Reader
	line []byte
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, 64<<10)} }

var errLongLine = errors.New("the line is larger than anything that is verified")

// next returns a line without its end, valid until the next call; whole is false where the file ends before the line does. The error is
// io.EOF after the last.
func (l *lines) next() (line []byte, whole bool, err error) {
	for l.line = l.line[:0]; ; {
		part, err := l.r.ReadSlice('\n')
		if len(l.line)+len(part) > MaxArtefact+1 {
			return nil, false, errLongLine
		}
		l.line = append(l.line, part...)
		switch {
		case err == nil:
			return l.line[:len(l.line)-1], true, nil
		case errors.Is(err, io.EOF) && len(l.line) > 0:
			return l.line, false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}
