package console

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/license"
)

// Bounds of a report.
const (
	plainRows  = 10_000  // more demand the second factor again
	reportRows = 100_000 // at most
)

// errIncomplete says that a report ended before all was in it.
var errIncomplete = errors.New("the report is not complete")

// rowWriter writes the rows of a report. A cell is a text, a number or a moment.
type rowWriter interface {
	row(cells []any) error
	close() error
}

// report writes what a search finds as a file: page by page, each page one call and one record. A form that was sent before writes nothing
// again. More than plainRows rows demand that the second factor was given lately.
func (c *Console) report(v *visit) error {
	once, f, err := v.oncePosted()
	if err != nil {
		return err
	}
	k, err := kept[keptSearch](v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	most := plainRows
	if f.Get("rows") == "all" {
		if most = reportRows; !c.gate.Fresh(v.r.Context()) {
			c.gate.Again(v.w, v.r)
			return nil
		}
	}
	q := v.exportRequest(k)
	first, err := v.exportPage(v.r.Context(), once, 0, q)
	if err != nil {
		return err
	}
	name := "records-" + v.now.In(license.Shanghai()).Format("20060102-150405")
	var w rowWriter
	if f.Get("format") == "xlsx" {
		if w, err = newWorkbook(v.w, v.in("记录", "Records")); err != nil {
			return err
		}
		v.attach("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", name+".xlsx")
	} else {
		v.attach("text/csv; charset=utf-8", name+".csv")
		w = newTable(v.w)
	}
	if err := v.writeReport(v.r.Context(), w, once, q, first, most); err != nil {
		v.console.Logger.ErrorContext(v.r.Context(), "report ended early", "error", err.Error())
	}
	return nil
}

func (v *visit) exportRequest(k keptSearch) api.ExportRequest {
	s := v.request(k)
	q := api.ExportRequest{
		From: s.From, To: s.To, System: s.System, Operator: s.Operator, Operation: s.Operation, Matter: s.Matter, Case: s.Case, LicenseType: s.LicenseType, Holder: s.Holder, Decision: s.Decision,
	}
	if q.From.IsZero() {
		q.From = api.At(startOfDay(v.now).AddDate(-30, 0, 0))
	}
	if q.To.IsZero() {
		q.To = api.At(v.now)
	}
	return q
}

// exportPage makes the call of one page.
func (v *visit) exportPage(ctx context.Context, once string, n int, q api.ExportRequest) (page exportedPage, err error) {
	reply, err := v.do(ctx, once+"-x"+strconv.Itoa(n), "audit.export", nil, q)
	if err != nil {
		return page, err
	}
	if reply.Problem != nil {
		return page, reply.Problem
	}
	if page.ExportAnswer, err = answerOf[api.ExportAnswer](reply.Body); err != nil {
		return page, err
	}
	answer, _, err := audit.SplitAnswer(reply.Body)
	if err != nil {
		return page, err
	}
	page.digest = canonical.Digest(v.console.NewSM3, answer)
	return page, nil
}

// An exportedPage is one page of a report with the digest that the next one names.
type exportedPage struct {
	api.ExportAnswer
	digest string
}

func (v *visit) writeReport(ctx context.Context, w rowWriter, once string, q api.ExportRequest, page exportedPage, most int) (err error) {
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.row(v.reportHead()); err != nil {
		return err
	}
	rows := 0
	for n := 1; ; n++ {
		for _, r := range page.Records {
			for _, cells := range v.reportRowsOf(r) {
				if rows++; rows > most {
					return errors.Join(errIncomplete, w.row([]any{v.in(sprint("只导出了前 %d 行；后面还有。", most), sprint("The first %d rows only; there are more.", most))}))
				}
				if err := w.row(cells); err != nil {
					return err
				}
			}
		}
		if page.Next == 0 {
			return nil
		}
		q.Before, q.Previous = page.Next, page.digest
		if page, err = v.exportPage(ctx, once, n, q); err != nil {
			return errors.Join(errIncomplete, err, w.row([]any{v.in("导出中断，没有导完。", "The report broke off; it is not complete.")}))
		}
	}
}

func (v *visit) reportHead() []any {
	if v.in("zh", "en") == "zh" {
		return []any{"记录号", "时间", "系统编号", "系统", "操作编号", "操作", "人员证明", "事项", "办件编号", "材料", "证照类型", "依据", "结果", "字段数", "字段", "数据源", "时效", "规则"}
	}
	return []any{"record", "time", "system id", "system", "operation id", "operation", "operator proof", "matter", "case", "material", "license type", "basis", "outcome", "number of fields", "fields", "source", "freshness", "rules"}
}

// reportRowsOf are the rows of a record: one for each use, or one.
func (v *visit) reportRowsOf(r api.AuditRecord) (rows [][]any) {
	head := []any{r.Index, r.Time.Time, r.System, v.systemName(r.System), r.Operation, v.operation(r.Operation), v.proof(r)}
	uses := r.Uses
	if len(uses) == 0 {
		uses = []api.AuditUse{{}}
	}
	for _, u := range uses {
		_, outcome := v.decision(u.Decision)
		cells := slices.Clone(head)
		cells = append(cells, v.matterName(u.Matter), u.Case, u.Material, v.typeName(u.LicenseType), u.Basis, outcome, uint64(len(u.Fields)), strings.Join(u.Fields, " "), u.Source, u.Freshness, strings.Join(u.Rules, " "))
		rows = append(rows, cells)
	}
	return rows
}

// inert keeps a text from being a formula where a spreadsheet opens it, also where the sign is as wide as a Chinese character.
func inert(cell string) string {
	if first, _ := utf8.DecodeRuneInString(cell); cell != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + cell
	}
	return cell
}

// A table is a report as CSV, with the mark by which spreadsheets know UTF-8.
type table struct{ *csv.Writer }

func newTable(w io.Writer) table {
	_, _ = io.WriteString(w, "\uFEFF")
	return table{csv.NewWriter(w)}
}

func (t table) row(cells []any) error {
	out := make([]string, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case time.Time:
			out[i] = c.In(license.Shanghai()).Format(time.DateTime)
		case string:
			out[i] = inert(c)
		default:
			out[i] = fmt.Sprint(c)
		}
	}
	return t.Write(out)
}

func (t table) close() error {
	t.Flush()
	return t.Error()
}

// A workbook is a report as XLSX. Its rows go to a temporary file once they are many.
type workbook struct {
	file   *excelize.File
	stream *excelize.StreamWriter
	to     io.Writer
	moment int // style of a moment
	rows   int
}

func newWorkbook(to io.Writer, sheet string) (*workbook, error) {
	f := excelize.NewFile()
	if err := f.SetSheetName("Sheet1", sheet); err != nil {
		return nil, err
	}
	s, err := f.NewStreamWriter(sheet)
	if err != nil {
		return nil, err
	}
	form := "yyyy-mm-dd hh:mm:ss"
	moment, err := f.NewStyle(&excelize.Style{CustomNumFmt: &form})
	if err == nil {
		err = s.SetColWidth(2, 2, 20)
	}
	return &workbook{file: f, stream: s, to: to, moment: moment}, err
}

func (w *workbook) row(cells []any) error {
	w.rows++
	at, err := excelize.CoordinatesToCellName(1, w.rows)
	if err != nil {
		return err
	}
	values := make([]any, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case time.Time: // a spreadsheet knows no zone: what stands there is China's
			local := c.In(license.Shanghai())
			values[i] = excelize.Cell{StyleID: w.moment, Value: time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(), 0, time.UTC)}
		default:
			values[i] = c // a text stays a text, never a formula
		}
	}
	return w.stream.SetRow(at, values)
}

func (w *workbook) close() error {
	err := w.stream.Flush()
	if err == nil {
		_, err = w.file.WriteTo(w.to)
	}
	return errors.Join(err, w.file.Close())
}
