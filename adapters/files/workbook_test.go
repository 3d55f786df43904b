package files

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"oncegate/adapters/adaptertest"
	"oncegate/adapters/mapping"
	"oncegate/license"
)

// A sheet makes a workbook as a spreadsheet program does.
type sheet struct {
	t testing.TB
	f *excelize.File
}

func newSheet(t testing.TB) sheet {
	t.Helper()
	return sheet{t, excelize.NewFile()}
}

func (s sheet) set(cell string, value any) {
	s.t.Helper()
	if err := s.f.SetCellValue("Sheet1", cell, value); err != nil {
		s.t.Fatal(err)
	}
}

// format gives a cell a number format.
func (s sheet) format(cell, code string) {
	s.t.Helper()
	style, err := s.f.NewStyle(&excelize.Style{CustomNumFmt: &code})
	if err == nil {
		err = s.f.SetCellStyle("Sheet1", cell, cell, style)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s sheet) bytes() []byte {
	s.t.Helper()
	var out bytes.Buffer
	if err := s.f.Write(&out); err != nil {
		s.t.Fatal(err)
	}
	return out.Bytes()
}

// estates is a workbook with the rows of the suite, below so many rows of titles.
func estates(t testing.TB, rows []mapping.Row, above int) sheet {
	s := newSheet(t)
	for i := range above {
		s.set(fmt.Sprintf("A%d", i+1), "不动产登记一览表")
	}
	for c, column := range adaptertest.Columns() {
		name, _ := excelize.ColumnNumberToName(c + 1)
		s.set(fmt.Sprintf("%s%d", name, above+1), column)
		for r, row := range rows {
			s.set(fmt.Sprintf("%s%d", name, above+r+2), row[column])
		}
	}
	return s
}

func (p *place) workbooks() Config {
	cfg := p.config()
	cfg.Pattern, cfg.Format, cfg.Encoding = "estate-*.xlsx", "xlsx", ""
	return cfg
}

func TestWorkbookSuite(t *testing.T) {
	p := newPlace(t)
	cfg := p.workbooks()
	cfg.HeaderRow = 3
	p.drop(t, "estate-1.xlsx", estates(t, adaptertest.Rows(), 2).bytes(), time.Minute)
	adaptertest.Run(t, adaptertest.Subject{
		Open: func(t *testing.T) adaptertest.Source { return p.open(t, cfg) },
		Break: func(*testing.T) func() { // no new drop comes
			p.ahead.Store(int64(2 * time.Hour))
			return func() { p.ahead.Store(0) }
		},
	})
}

// TestWorkbookDates: a date comes as the day that it is, however the cell shows it, a month as a month, and a number as a number.
func TestWorkbookDates(t *testing.T) {
	day := time.Date(2003, 5, 6, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		value  any
		format string
		want   string // what the mapping reads; "" where the drop is refused
	}{
		{day, "yyyy-mm-dd", "2003-05-06"}, {day, "m/d/yy", "2003-05-06"}, {day, `yyyy"年"m"月"d"日"`, "2003-05-06"}, {day, `[$-804]yyyy"年"m"月"d"日"`, "2003-05-06"},
		{day, `yyyy"年"m"月"`, "2003-05"}, {day, "mmm-yy", "2003-05"}, {day.Add(13*time.Hour + 30*time.Minute), "yyyy/m/d h:mm", "2003-05-06 13:30:00"},
		{"2003.5.6", "yyyy-mm-dd", "2003.5.6"}, {20030506, "General", "20030506"}, {20030506, "0", "20030506"}, {200305, "0_ ", "200305"}, {37747, "General", "37747"},
		{0.1 + 0.2, "0.00", "0.3"}, {12.5, "#,##0.00", "12.5"}, {"00123", "@", "00123"}, {true, "General", "TRUE"}, {" a\nb ", "@", "a\nb"},
		{0, "yyyy-mm-dd", ""}, {20, "yyyy-mm-dd", ""}, {"#N/A", "@", ""},
		{int64(330102199003071234), "0", ""}, {3.3e17, "General", ""}, {"330102199003071234", "@", "330102199003071234"},
	} {
		s := newSheet(t)
		s.set("A1", "x")
		s.set("A2", c.value)
		s.format("A2", c.format)
		w, err := newWorkbook(bytes.NewReader(s.bytes()), Config{})
		var cells []string
		if err == nil {
			if _, _, err = w.next(); err == nil {
				cells, _, err = w.next()
			}
		}
		if c.want == "" && err == nil || c.want != "" && (err != nil || len(cells) != 1 || cells[0] != c.want) {
			t.Errorf("%v as %s: %q, %v; want %q", c.value, c.format, cells, err, c.want)
		}
	}
	for id, want := range map[int]string{14: showDay, 22: showDay, 31: showDay, 58: showDay, 17: showMonth, 27: showMonth, 57: showMonth, 0: "", 4: "", 18: "", 46: "", 49: ""} {
		if got := shows(id, nil); got != want {
			t.Errorf("built-in format %d shows %q, want %q", id, got, want)
		}
	}
	for code, want := range map[string]string{"h:mm:ss": "", "[h]:mm": "", "mm:ss": "", `0.00"d"`: "", "[Red]#,##0": "", "@": "", "dd/mm/yyyy;@": showDay, "e.mm.dd": showDay} {
		if got := shows(200, map[int]string{200: code}); got != want {
			t.Errorf("%s shows %q, want %q", code, got, want)
		}
	}
}

// rezip changes the parts of a workbook; nil removes one.
func rezip(t testing.TB, data []byte, change func(name string, content []byte) []byte) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, part := range z.File {
		r, err := part.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if content = change(part.Name, content); content == nil {
			continue
		}
		f, err := w.Create(part.Name)
		if err == nil {
			_, err = f.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestWorkbooksRefused: what is not whole, too large or not certain is refused whole, with the row where there is one.
func TestWorkbooksRefused(t *testing.T) {
	whole := estates(t, adaptertest.Rows(), 0).bytes()
	inSheet := func(old, with string) []byte {
		return rezip(t, whole, func(name string, content []byte) []byte {
			if strings.HasPrefix(name, "xl/worksheets/") {
				with := bytes.Replace(content, []byte(old), []byte(with), 1)
				if bytes.Equal(with, content) {
					t.Fatalf("no %q in %s", old, name)
				}
				return with
			}
			return content
		})
	}
	changed := func(change func(s sheet)) []byte {
		s := estates(t, adaptertest.Rows(), 0)
		change(s)
		return s.bytes()
	}
	damaged := bytes.Clone(whole)
	at := bytes.Index(damaged, []byte("xl/worksheets/sheet1.xml")) + 200
	damaged[at] ^= 0xff
	bomb := rezip(t, whole, func(name string, content []byte) []byte {
		if strings.HasPrefix(name, "xl/worksheets/") {
			return append(content, bytes.Repeat([]byte(" "), 2<<20)...)
		}
		return content
	})
	cellH4 := regexp.MustCompile(`<c r="H4"[^>]*>.*?</c>`)
	last := regexp.MustCompile(`<row r="5".*`) // and all that follows
	for name, c := range map[string]struct {
		data   []byte
		line   int
		reason string
		change func(*Config)
	}{
		"an .xls":    {[]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 and so on"), 0, "an .xls workbook", nil},
		"a CSV file": {[]byte("cert_no,status\n1,2\n"), 0, "no XLSX workbook", nil},
		"cut short":  {whole[:len(whole)-10], 0, "cut short", nil},
		"damaged":    {damaged, 0, "damaged", nil},
		"XML that ends too soon": {rezip(t, whole, func(name string, content []byte) []byte {
			if strings.HasPrefix(name, "xl/worksheets/") {
				return last.ReplaceAll(content, nil)
			}
			return content
		}), 0, "damaged", nil},
		"a sheet elsewhere that ends too soon": {rezip(t, whole, func(name string, content []byte) []byte {
			if name == "xl/workbook.xml" {
				return append(append([]byte{}, content...), ' ')
			}
			if strings.HasPrefix(name, "docProps/app") {
				return []byte(`<worksheet><sheetData><row r="1">`)
			}
			return content
		}), 0, "damaged", nil},
		"a bomb":            {bomb, 0, "larger than max_unpacked_bytes", func(c *Config) { c.MaxUnpackedBytes = 1 << 20 }},
		"too large":         {whole, 0, "larger than allowed", func(c *Config) { c.MaxBytes = 100 }},
		"no such sheet":     {whole, 0, "no sheet of the configured name", func(c *Config) { c.Sheet = "登记" }},
		"too many columns":  {inSheet(`<c r="J5"`, `<c r="XFD5"`), 5, "beyond the last column", nil},
		"beyond the header": {inSheet(`<c r="J5"`, `<c r="Z5"`), 5, "more cells than the header", nil},
		"too many rows":     {inSheet(`<row r="5"`, `<row r="1048577"`), 0, "too many rows", nil},
		"a text is missing": {inSheet(`t="s"><v>0</v>`, `t="s"><v>99999</v>`), 1, "a text is missing", nil},
		"a formula without result": {rezip(t, whole, func(name string, content []byte) []byte {
			return cellH4.ReplaceAll(content, []byte(`<c r="H4"><f>1+1</f></c>`))
		}), 4, "a formula has no result", nil},
		"a formula that fails": {changed(func(s sheet) { s.set("H4", "#REF!") }), 4, "the result of a formula is an error", nil},
		"an id as a number":    {changed(func(s sheet) { s.set("G4", int64(119999197003040024)) }), 4, "more than 15 digits", nil},
		"a total":              {changed(func(s sheet) { s.set("A20", "合计") }), 20, "valid_to", nil},
		"days from 1904":       {changed(func(s sheet) { on := true; s.f.SetWorkbookProps(&excelize.WorkbookPropsOptions{Date1904: &on}) }), 0, "1904", nil},
		"a header twice":       {changed(func(s sheet) { s.set("B1", "cert_no") }), 1, "the same name", nil},
		"no such column":       {changed(func(s sheet) { s.set("B1", "zt") }), 1, "no column status", nil},
		"an empty sheet":       {newSheet(t).bytes(), 0, "empty", nil},
		"no workbook part": {rezip(t, whole, func(name string, content []byte) []byte {
			if name == "xl/workbook.xml" {
				return nil
			}
			return content
		}), 0, "", nil},
	} {
		p := newPlace(t)
		cfg := p.workbooks()
		if c.change != nil {
			c.change(&cfg)
		}
		p.drop(t, "estate-1.xlsx", c.data, time.Minute)
		s := p.open(t, cfg)
		st := s.Status()
		if st.Drop != "" || st.Refused == nil || st.Refused.Line != c.line || !strings.Contains(st.Refused.Reason, c.reason) {
			t.Errorf("%s: %+v, %+v; want line %d, %q", name, st, st.Refused, c.line, c.reason)
		}
	}
}

// TestWorkbookOddities: titles, empty rows, spaces around names, an empty second sheet and a hidden column change nothing.
func TestWorkbookOddities(t *testing.T) {
	p := newPlace(t)
	cfg := p.workbooks()
	cfg.Sheet, cfg.HeaderRow = "Sheet1", 2
	s := estates(t, adaptertest.Rows(), 1)
	s.set("B2", " status \n")
	if err := s.f.InsertRows("Sheet1", 5, 2); err != nil {
		t.Fatal(err)
	}
	s.f.NewSheet("Sheet2")
	s.f.SetColVisible("Sheet1", "C", false)
	s.format("A40", "0.00")
	p.drop(t, "estate-1.xlsx", s.bytes(), time.Minute)
	src := p.open(t, cfg)
	for person, want := range map[int]license.Found{0: license.IsFound, 9: license.IsFound, 13: license.IsNotFound} {
		if f := find(t, src, person); f.State != want {
			t.Errorf("%d: %+v, %v, %+v", person, f.State, f.Err, src.Status().Refused)
		}
	}
}

func TestWorkbookFaults(t *testing.T) {
	for path, change := range map[string]func(*Config){
		"$.encoding": func(c *Config) { c.Encoding = "gbk" }, "$.separator": func(c *Config) { c.Separator = ";" }, "$.max_row_bytes": func(c *Config) { c.MaxRowBytes = 1 },
		"$.header_row": func(c *Config) { c.HeaderRow = -1 }, "$.format": func(c *Config) { c.Format = "xls" }, "$": func(c *Config) { c.MaxUnpackedBytes = -1 },
		"$.sheet": func(c *Config) { c.Format, c.Encoding, c.Sheet = "csv", "gbk", "x" },
	} {
		cfg := newPlace(t).workbooks()
		change(&cfg)
		if faults := cfg.Check(adaptertest.Catalogue()); len(faults) != 1 || faults[0].Path != path {
			t.Errorf("%s: %v", path, faults)
		}
	}
}

// FuzzWorkbook: whatever stands in a folder, it is refused or read, within its bounds.
func FuzzWorkbook(f *testing.F) {
	f.Add(estates(f, adaptertest.Rows()[:2], 0).bytes())
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := newWorkbook(bytes.NewReader(data), Config{MaxUnpackedBytes: 1 << 20})
		for err == nil {
			_, _, err = w.next()
		}
	})
}
