package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/certs/certstest"
	"oncegate/check"
	"oncegate/verdict"
)

// reporting has the city answer audit.export from a log of so many records, a minute apart, the oldest first.
func (c *city) reporting(records int, change ...func(*api.ExportAnswer)) {
	c.exports = func(q api.ExportRequest) api.ExportAnswer {
		a := api.ExportAnswer{
			Nonce: "AAAAAAAAAAAAAAAAAAAAAA", Time: api.At(certstest.Epoch), Operation: "audit.export", Log: origin, Size: uint64(records), Covered: uint64(records),
			From: q.From, To: q.To, Asked: api.ExportAsked{Matter: q.Matter}, Before: q.Before, Previous: q.Previous,
			Decisions: []api.DecisionCount{}, Reuse: []api.MatterReuse{}, Records: []api.AuditRecord{},
		}
		end, limit := records, 1000
		if q.Before != 0 {
			end = int(q.Before)
		}
		if q.Limit != 0 {
			limit = q.Limit
		}
		for i := end - 1; i >= 0 && len(a.Records) < limit; i-- {
			a.Records = append(a.Records, api.AuditRecord{Index: api.Index(i), Time: api.At(q.From.Add(time.Duration(i) * time.Second)), System: system, Operation: "licenses.query",
				RequestID: fmt.Sprint("r-", i), Uses: []api.AuditUse{{Matter: "food", Case: "SP-1", Decision: "release", Rules: []string{"grant-1"}, Fields: []string{"holder_name"}}}})
		}
		if len(a.Records) == limit && limit > 0 {
			a.Next = uint64(a.Records[limit-1].Index)
		}
		a.Total = len(a.Records)
		for _, f := range change {
			f(&a)
		}
		return a
	}
}

func reportOf(limit int) api.ExportRequest {
	return api.ExportRequest{From: api.At(certstest.Epoch.AddDate(0, -2, 0)), To: api.At(certstest.Epoch), Matter: "food", Limit: limit}
}

func (c *city) report(q api.ExportRequest) []byte {
	c.tb.Helper()
	var file bytes.Buffer
	mark, err := c.newClient(c.newTrust()).Report(c.tb.Context(), q, &file, verdict.ReportMark{}, nil)
	c.must(err)
	if !mark.Done() || int(mark.Bytes) != file.Len() {
		c.tb.Fatalf("mark %+v of a file of %d bytes", mark, file.Len())
	}
	return file.Bytes()
}

func (c *city) verifyReport(file []byte) verdict.Verified {
	c.tb.Helper()
	v, err := c.newTrust().VerifyReport(c.tb.Context(), "report.jsonl", bytes.NewReader(file), nil)
	c.must(err)
	return v
}

// A report of several pages verifies as a whole; taking, adding, moving or changing a page is found, and so is a missing end.
func TestReport(t *testing.T) {
	c := newCity(t)
	c.reporting(35)
	file := c.report(reportOf(10))
	if v := c.verifyReport(file); v.Err() != nil || v.Kind != verdict.Report || !verdict.IsReport(file) || !strings.Contains(v.Says.En, "35 records on 4 pages") {
		t.Fatalf("%v: %+v", v.Err(), v)
	}
	c.reporting(35, func(a *api.ExportAnswer) { a.Asked.Matter = "flat" })
	other := bytes.SplitAfter(c.report(reportOf(10)), []byte("\n"))
	c.reporting(20)
	shorter := bytes.SplitAfter(c.report(reportOf(10)), []byte("\n"))
	c.reporting(35, func(a *api.ExportAnswer) { a.Covered = 33; a.Records = a.Records[min(2, len(a.Records)):] })
	behind := c.report(reportOf(12))
	c.reporting(35, func(a *api.ExportAnswer) { a.Records[3].Index = a.Records[2].Index })
	twice := c.report(reportOf(10))
	c.reporting(35, func(a *api.ExportAnswer) { a.Records[3].Time = a.To })
	outside := c.report(reportOf(10))
	c.reporting(35, func(a *api.ExportAnswer) { a.Records = a.Records[:len(a.Records)-1] })
	short := c.report(reportOf(10))
	p := bytes.SplitAfter(file, []byte("\n"))
	join := func(pages ...[]byte) []byte { return bytes.Join(pages, nil) }
	c.reporting(35, func(a *api.ExportAnswer) {
		if a.Before == 0 {
			a.Records, a.Total, a.Next = []api.AuditRecord{}, 0, 30
		}
	})
	if v := c.verifyReport(c.report(reportOf(10))); v.Err() != nil || !strings.Contains(v.Says.En, "30 records on 4 pages") {
		t.Fatalf("a page that found nothing: %v: %+v", v.Err(), v)
	}
	c.reporting(35, func(a *api.ExportAnswer) {
		if a.Before == 25 {
			a.Records, a.Total, a.Next = []api.AuditRecord{}, 0, 15
		} else if a.Before == 15 {
			a.Records[0].Index = 20
		}
	})
	passed := c.report(reportOf(10))
	spoilt := bytes.Replace(bytes.Clone(p[1]), []byte(`"request_id":"r-20"`), []byte(`"request_id":"r-99"`), 1)
	for name, test := range map[string]struct {
		file []byte
		step string
		want api.Verdict
	}{
		"first page gone":        {join(p[1:]...), verdict.StepReportComplete, api.VerdictRefuted},
		"middle page gone":       {join(p[0], p[2], p[3]), verdict.StepReportChain, api.VerdictRefuted},
		"last page gone":         {join(p[0], p[1], p[2]), verdict.StepReportComplete, api.VerdictNotProven},
		"pages swapped":          {join(p[0], p[2], p[1], p[3]), verdict.StepReportChain, api.VerdictRefuted},
		"page twice":             {join(p[0], p[1], p[1], p[2], p[3]), verdict.StepReportChain, api.VerdictRefuted},
		"page after the end":     {join(p[0], p[1], p[2], p[3], p[3]), verdict.StepReportChain, api.VerdictRefuted},
		"page of other question": {join(p[0], other[1], p[2], p[3]), verdict.StepReportQuestion, api.VerdictRefuted},
		"end of another report":  {join(p[0], p[1], shorter[1]), verdict.StepReportChain, api.VerdictRefuted},
		"a record changed":       {join(p[0], spoilt, p[2], p[3]), verdict.StepReportPages, api.VerdictRefuted},
		"a record passed before": {passed, verdict.StepReportRecords, api.VerdictRefuted},
		"cut off":                {file[:len(file)-9], verdict.StepReportForm, api.VerdictRefuted},
		"other lines":            {join(p[0], []byte("{}\n"), p[1]), verdict.StepReportForm, api.VerdictRefuted},
		"index behind":           {behind, verdict.StepReportComplete, api.VerdictNotProven},
		"a record twice":         {twice, verdict.StepReportRecords, api.VerdictRefuted},
		"outside the period":     {outside, verdict.StepReportRecords, api.VerdictRefuted},
		"cursor leaps":           {short, verdict.StepReportRecords, api.VerdictRefuted},
	} {
		v := c.verifyReport(test.file)
		if s := stepOf(v, test.step); v.Verdict != test.want || s.State == check.OK || s.State == "" {
			t.Errorf("%s: %s, %+v", name, v.Verdict, v.Steps)
		}
	}
	if verdict.IsReport(p[0]) || verdict.IsReport([]byte("{\n{")) || verdict.IsReport(nil) {
		t.Error("one answer is taken for a report")
	}
	// Among other artefacts it is recognised, and nothing is said of it.
	if v := c.newTrust().Verify(verdict.Artefact{Name: "report", Data: file})[0]; v.Kind != verdict.Report || v.Verdict != api.VerdictNotProven {
		t.Errorf("as one artefact of several: %s, %s", v.Kind, v.Verdict)
	}
}

// A report that was broken off goes on after its last whole page, and only for the same question.
func TestReportResumes(t *testing.T) {
	c := newCity(t)
	c.reporting(35)
	client, whole := c.newClient(c.newTrust()), c.report(reportOf(10))
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for cut := range lines[:4] {
		file := bytes.Join(lines[:cut], nil)
		begun := len(file)
		mark, err := verdict.ReadReport(bytes.NewReader(append(file, lines[cut][:len(lines[cut])/2]...))) // with half a line
		if err != nil || int(mark.Bytes) != begun || mark.Pages != cut {
			t.Fatalf("read %+v, %v", mark, err)
		}
		rest := bytes.NewBuffer(file[:begun:begun])
		if mark, err = client.Report(t.Context(), reportOf(10), rest, mark, nil); err != nil || mark.Records != 35 {
			t.Fatalf("resumed to %+v, %v", mark, err)
		}
		if v := c.verifyReport(rest.Bytes()); v.Err() != nil {
			t.Errorf("resumed after %d pages: %v", cut, v.Err())
		}
	}
	mark, err := verdict.ReadReport(bytes.NewReader(lines[0]))
	if err != nil {
		t.Fatal(err)
	}
	q := reportOf(10)
	q.Matter = "flat"
	if _, err := client.Report(t.Context(), q, io.Discard, mark, nil); !errors.Is(err, errOtherReport) {
		t.Errorf("another question: %v", err)
	}
	if _, err := verdict.ReadReport(strings.NewReader("{}\n")); err == nil {
		t.Error("what is no report was read as one")
	}
	// An error leaves the mark where the last whole page ended.
	full := &limited{pages: 2}
	if mark, err := client.Report(t.Context(), reportOf(10), full, verdict.ReportMark{}, nil); err == nil || mark.Pages != 2 {
		t.Errorf("a full disk: %+v, %v", mark, err)
	}
}

// limited is a disk that is full after so many pages.
type limited struct{ pages int }

func (l *limited) Write(p []byte) (int, error) {
	if l.pages--; l.pages < 0 {
		return 0, errors.New("no space left")
	}
	return len(p), nil
}

// Writing and verifying a report takes the memory of a page, whatever its length: 100 pages of 1,000 records.
func TestReportMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("a long report")
	}
	const records = 100_000
	c := newCity(t)
	c.reporting(records)
	file, err := os.CreateTemp(t.TempDir(), "report")
	c.must(err)
	defer file.Close()
	var early, late uint64
	watch := func(m verdict.ReportMark) {
		if m.Pages%10 != 0 {
			return
		}
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		if m.Pages <= 20 {
			early = max(early, stats.HeapAlloc)
		}
		late = stats.HeapAlloc
	}
	mark, err := c.newClient(c.newTrust()).Report(t.Context(), reportOf(0), file, verdict.ReportMark{}, watch)
	c.must(err)
	t.Logf("written %d records, %d MiB; heap %d KiB after 20 pages, %d KiB at the end", mark.Records, mark.Bytes>>20, early>>10, late>>10)
	if mark.Records != records || late > early+4<<20 {
		t.Errorf("%d records; the heap grew from %d to %d bytes", mark.Records, early, late)
	}
	_, err = file.Seek(0, io.SeekStart)
	c.must(err)
	early = 0
	v, err := c.newTrust().VerifyReport(t.Context(), "report", file, watch)
	c.must(err)
	t.Logf("verified; heap %d KiB after 20 pages, %d KiB at the end", early>>10, late>>10)
	if v.Err() != nil || late > early+4<<20 {
		t.Errorf("%v; the heap grew from %d to %d bytes", v.Err(), early, late)
	}
}

func (c *city) exported(body []byte) api.ExportAnswer {
	var q api.ExportRequest
	c.must(json.Unmarshal(body, &q))
	return c.exports(q)
}

// stepOf is a step of a name; the zero Step where it was not taken.
func stepOf(v verdict.Verified, name string) check.Step {
	i := slices.IndexFunc(v.Steps, func(s check.Step) bool { return s.Name == name })
	if i < 0 {
		return check.Step{}
	}
	return v.Steps[i]
}
