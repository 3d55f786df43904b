package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/sm"
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

// errOtherReport says that a file is of another report than the one asked for.
var errOtherReport = errors.New("the file holds another report: the period or what is asked for is not the same")

// Report writes the pages of a report, each as it came with its receipt, one a line, from a mark on: the zero mark writes a new one. It
// returns how far it came, also with an error, so that it can be resumed. Its memory is that of one page. progress, if not nil, is called
// after each page.
func (c *Client) Report(ctx context.Context, q api.ExportRequest, w io.Writer, at ReportMark, progress func(ReportMark)) (ReportMark, error) {
	if at.Pages > 0 && !at.isOf(q) {
		return at, fmt.Errorf("resume report: %w", errOtherReport)
	}
	for !at.Done() {
		q.Before, q.Previous = at.last.Next, at.digest
		page, err := c.Export(ctx, q)
		if err != nil {
			return at, err
		}
		next := at
		if err := next.add(page.Raw); err != nil {
			return at, fmt.Errorf("write report: %w", err)
		}
		if _, err := w.Write(append(bytes.Clone(page.Raw), '\n')); err != nil {
			return at, fmt.Errorf("write report: %w", err)
		}
		if at = next; progress != nil {
			progress(at)
		}
	}
	return at, nil
}

// isOf reports whether the pages so far answer a question. Of persons the pages say only that they were asked for.
func (m ReportMark) isOf(q api.ExportRequest) bool {
	asked := api.ExportAsked{
		System: q.System, Operation: q.Operation, Matter: q.Matter, Case: q.Case, LicenseType: q.LicenseType, Decision: q.Decision,
		Holder: q.Holder.Code != "", Operator: q.Operator != "",
	}
	return m.first.From.Equal(q.From.Time) && m.first.To.Equal(q.To.Time) && m.first.Asked == asked
}

// add takes note of the next page.
func (m *ReportMark) add(document []byte) error {
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
			err = m.add(line)
		}
		if err != nil {
			return m, fmt.Errorf("read page %d of the report: %w", m.Pages+1, err)
		}
	}
}
