package files

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"
	"github.com/xuri/nfp"
)

// Bounds of a workbook. Rows are those of Excel itself; a department's register has tens of columns.
const (
	defaultUnpacked = 256 << 20
	maxParts        = 10_000 // files in the zip
	maxSheetRows    = 1 << 20
	maxSheetColumns = 1000
)

// A workbook is a worksheet of an XLSX file (ISO/IEC 29500) as a table. The library reads it as a stream of rows, but takes broken XML and
// damaged data for the end of the sheet; so the file is inspected first.
type workbook struct {
	rows *excelize.Rows
	row  int // of the sheet, from 1
	skip int // rows above the header
}

func newWorkbook(in io.Reader, c Config) (w *workbook, err error) {
	defer notPanicking(&err)
	data, err := io.ReadAll(in)
	if err != nil {
		return nil, errors.New("cannot read the drop to its end")
	}
	limit := cmp.Or(c.MaxUnpackedBytes, defaultUnpacked)
	if err := inspect(data, limit); err != nil {
		return nil, err
	}
	// Both limits are the same, so that nothing is unpacked into temporary files: it is personal data.
	f, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{UnzipSizeLimit: limit, UnzipXMLSizeLimit: limit})
	if err != nil {
		return nil, &badLine{0, "the workbook cannot be read"}
	}
	if props, err := f.GetWorkbookProps(); err != nil || props.Date1904 != nil && *props.Date1904 {
		return nil, &badLine{0, "the workbook counts days from 1904, as old Macs do; save it with the 1900 date system"}
	}
	sheets := f.GetSheetList()
	if c.Sheet != "" && !slices.Contains(sheets, c.Sheet) || len(sheets) == 0 {
		return nil, &badLine{0, "the workbook has no sheet of the configured name"}
	}
	if err := showDates(f); err != nil {
		return nil, &badLine{0, "the workbook cannot be read"}
	}
	rows, err := f.Rows(cmp.Or(c.Sheet, sheets[0]))
	if err != nil {
		return nil, &badLine{0, "the sheet cannot be read; is it a chart?"}
	}
	return &workbook{rows: rows, skip: max(c.HeaderRow, 1) - 1}, nil
}

// notPanicking makes an error of a panic of the library, which reads what strangers wrote.
func notPanicking(err *error) {
	if r := recover(); r != nil {
		*err = &badLine{0, "the workbook cannot be read"}
	}
}

// next implements table. Rows without any cell are left out.
func (w *workbook) next() (cells []string, _ int, err error) {
	defer notPanicking(&err)
	for w.rows.Next() {
		w.row++
		if cells, err = w.rows.Columns(); err != nil {
			return nil, 0, &badLine{w.row, "cannot be read"}
		}
		if w.row <= w.skip {
			continue
		}
		for i, cell := range cells {
			if cells[i], err = cellText(cell); err != nil {
				return nil, 0, &badLine{w.row, fmt.Sprintf("column %s: %v", columnName(i), err)}
			}
		}
		for len(cells) > 0 && cells[len(cells)-1] == "" {
			cells = cells[:len(cells)-1]
		}
		if len(cells) > 0 {
			return cells, w.row, nil
		}
	}
	if w.rows.Error() != nil {
		return nil, 0, &badLine{w.row, "cannot be read"}
	}
	return nil, 0, io.EOF
}

func columnName(i int) string {
	name, err := excelize.ColumnNumberToName(i + 1)
	if err != nil {
		return strconv.Itoa(i + 1)
	}
	return name
}

// How dates are shown to us, whatever the cell's own format says; see showDates.
const (
	showDay   = "yyyy-mm-dd hh:mm:ss"
	showMonth = "yyyy-mm"
)

var (
	shownDay  = regexp.MustCompile(`^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)$`)
	cellFault = []string{"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A"}
)

// cellText is a cell as mappings read it.
func cellText(s string) (string, error) {
	s = strings.TrimSpace(s)
	if slices.Contains(cellFault, s) {
		return "", errors.New("the result of a formula is an error")
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f }) {
		return "", errors.New("a control character")
	}
	m := shownDay.FindStringSubmatch(s)
	switch {
	case m == nil:
		return s, nil
	case m[1] < "1900-03-01": // an empty cell or a small number, formatted as a date
		return "", errors.New("a date before 1900-03-01, about which spreadsheets do not agree")
	case m[2] == "00:00:00":
		return m[1], nil
	}
	return s, nil
}

// showDates changes the number formats of the cells' styles, in memory: dates are shown whole and in one form, months as months, and
// everything else plainly. The library streams cells as they are shown, and 2003-05-06 is often shown as 5/6/03.
func showDates(f *excelize.File) error {
	ids := map[string]int{}
	for _, code := range []string{showDay, showMonth} {
		style, err := f.NewStyle(&excelize.Style{CustomNumFmt: &code})
		if err != nil {
			return err
		}
		ids[code] = *f.Styles.CellXfs.Xf[style].NumFmtID
	}
	codes := map[int]string{}
	for _, n := range f.Styles.NumFmts.NumFmt {
		codes[n.NumFmtID] = cmp.Or(n.FormatCode16, n.FormatCode)
	}
	for i := range f.Styles.CellXfs.Xf {
		id := 0 // as it is
		if was := f.Styles.CellXfs.Xf[i].NumFmtID; was != nil {
			id = ids[shows(*was, codes)]
		}
		f.Styles.CellXfs.Xf[i].NumFmtID = &id
	}
	return nil
}

// shows says how the cells of a number format are shown to us: showDay, showMonth, or "" for what is no date. The formats from 27 on that
// a file does not define are those of Chinese Excel (ISO/IEC 29500-1, 18.8.30).
func shows(id int, codes map[int]string) string {
	code, defined := codes[id]
	if !defined {
		switch id {
		case 14, 15, 16, 22, 28, 29, 30, 31, 51, 53, 54, 58:
			return showDay
		case 17, 27, 36, 50, 52, 57:
			return showMonth
		}
		return ""
	}
	parser := nfp.NumberFormatParser()
	words := ""
	for _, section := range parser.Parse(code) {
		for _, token := range section.Items {
			if token.TType == nfp.TokenTypeDateTimes {
				words += strings.ToLower(token.TValue)
			}
		}
	}
	switch {
	case strings.Contains(words, "d"):
		return showDay
	case strings.ContainsAny(words, "yeg"):
		return showMonth
	}
	return "" // a time of day, or no date at all
}

// inspect reads the whole file: every part is whole and all together not longer than allowed; and every worksheet is well-formed XML of at most
// so many rows and columns, without a number that has lost digits, a formula without a result, or a text that is not there.
func inspect(data []byte, limit int64) error {
	if bytes.HasPrefix(data, []byte{0xd0, 0xcf, 0x11, 0xe0}) {
		return &badLine{0, "an .xls workbook, or one with a password: save it as .xlsx without a password"}
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return &badLine{0, "no XLSX workbook, or cut short"}
	}
	if len(z.File) > maxParts {
		return &badLine{0, "the workbook has too many parts"}
	}
	left := limit
	var sheets []*zip.File
	texts := 0
	for _, part := range z.File {
		if err := unpack(part, &left, func(in io.Reader) (err error) {
			switch root := rootElement(part.Name, in); root.in.Name.Local {
			case "worksheet":
				sheets = append(sheets, part)
			case "sst":
				texts, err = countTexts(root.decoder)
			}
			return err
		}); err != nil {
			return err
		}
	}
	left = limit
	for _, part := range sheets {
		if err := unpack(part, &left, func(in io.Reader) error { return inspectSheet(in, texts) }); err != nil {
			return err
		}
	}
	return nil
}

// unpack reads a part to its checksum, after read has read what it wants of it. The error is a *badLine.
func unpack(part *zip.File, left *int64, read func(io.Reader) error) error {
	r, err := part.Open()
	if err != nil {
		return &badLine{0, "a part of the workbook cannot be unpacked"}
	}
	defer r.Close()
	in := &bounded{in: r, left: left}
	if err = read(in); err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	var bad *badLine
	switch {
	case errors.As(err, &bad):
		return bad
	case errors.Is(err, errUnpacked):
		return &badLine{0, "the workbook is larger than max_unpacked_bytes when it is unpacked"}
	case err != nil:
		return &badLine{0, "a part of the workbook is damaged"}
	}
	return nil
}

// A root is the first element of an XML document.
type root struct {
	in      xml.StartElement
	decoder *xml.Decoder
}

// rootElement is the root of a part; the zero root of one that is no XML: its kind is told by what it is, not by where it lies.
func rootElement(name string, in io.Reader) (r root) {
	if !strings.HasSuffix(strings.ToLower(name), ".xml") {
		return root{}
	}
	for d := xml.NewDecoder(in); ; {
		token, err := d.Token()
		if err != nil {
			return root{} // the library refuses it, or never reads it
		}
		if e, ok := token.(xml.StartElement); ok {
			return root{e, d}
		}
	}
}

var errUnpacked = errors.New("more bytes than allowed")

// bounded is a reader with a bound on what is read from several.
type bounded struct {
	in   io.Reader
	left *int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.in.Read(p)
	if *b.left -= int64(n); *b.left < 0 {
		return 0, errUnpacked
	}
	return n, err
}

func countTexts(d *xml.Decoder) (n int, err error) {
	for {
		token, err := d.Token()
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "si" {
			n++
		}
	}
}

// A sheetCell is a cell of a worksheet, as far as it is inspected.
type sheetCell struct {
	place, kind, value string
	valued, formula    bool
}

func inspectSheet(in io.Reader, texts int) error {
	row, element := 0, ""
	var cell sheetCell
	for d := xml.NewDecoder(in); ; {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.StartElement:
			switch element = e.Name.Local; element {
			case "row":
				row++
				if n, err := strconv.Atoi(attribute(e, "r")); err == nil {
					row = n
				}
				if row > maxSheetRows {
					return &badLine{0, "the workbook has a sheet with too many rows"}
				}
			case "c":
				cell = sheetCell{place: attribute(e, "r"), kind: attribute(e, "t")}
			case "v":
				cell.valued = true
			case "f":
				cell.formula = true
			}
		case xml.CharData:
			if element == "v" {
				cell.value += string(e)
			}
		case xml.EndElement:
			element = ""
			if e.Name.Local != "c" {
				continue
			}
			if reason := cell.fault(texts); reason != "" {
				return &badLine{row, reason}
			}
		}
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// fault says why a cell cannot be used; "" if it can.
func (c sheetCell) fault(texts int) string {
	if !c.valued {
		if c.formula {
			return "a formula has no result: open the workbook in Excel or WPS and save it"
		}
		return ""
	}
	if column, _, err := excelize.CellNameToCoordinates(c.place); c.place != "" && (err != nil || column > maxSheetColumns) {
		return "a cell beyond the last column that is read"
	}
	value := strings.TrimSpace(c.value)
	switch c.kind {
	case "s":
		if n, err := strconv.Atoi(value); value != "" && (err != nil || n < 0 || n >= texts) {
			return "a text is missing from the workbook"
		}
	case "", "n":
		if n, err := strconv.ParseFloat(value, 64); value != "" && (err != nil || math.Abs(n) >= 1e15) {
			return "a number of more than 15 digits, of which spreadsheets lose the last ones: format the column as text and enter it again"
		}
	}
	return ""
}
