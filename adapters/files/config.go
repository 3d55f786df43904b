package files

import (
	"path/filepath"
	"strings"
	"time"

	"oncegate/adapters/mapping"
	"oncegate/fault"
	"oncegate/license"
)

// Config says where a department drops its files and how they are read. Its fields are the manual.
//
// A drop is one CSV file with a header line, or one XLSX workbook with a header row. It states everything the department holds of one license type: a holder who
// does not stand in it has none. A drop with a single bad row, or a single character that its encoding does not have, is
// refused whole; the drop before it goes on serving until it is too old.
type Config struct {
	// ID names the source in findings and errors; the house fills it, it is no part of the YAML.
	ID string `yaml:"-"`
	// Dir is the directory watched. It must exist; subdirectories and links are not followed.
	Dir string `yaml:"dir"`
	// Pattern is the name of drops with one *, such as tax-*.csv. Write drops under another name and rename them.
	Pattern string `yaml:"pattern"`
	// Time is the layout of what stands for the * : yyyyMMdd, yyyyMMddHHmmss, … in China's time. It is the moment whose
	// truth the drop is. Empty: the file's modification time, which a copy may lose.
	Time string `yaml:"time"`
	// Marker is the ending of a second file that says a drop is complete: with ".ok", tax-1.csv counts once tax-1.csv.ok is
	// there. Empty: a drop counts once it has not changed for Settle and, if it is CSV, ends with a line break.
	Marker string `yaml:"marker"`
	// Settle is how long a drop without marker must lie unchanged. 0: 5s.
	Settle time.Duration `yaml:"settle"`
	// Rescan is how often the directory is read even if nothing was reported, for network file systems. 0: 1m.
	Rescan time.Duration `yaml:"rescan"`
	// MaxAge is how old a drop may be and still answer; an older one is unavailable. Required.
	MaxAge time.Duration `yaml:"max_age"`
	// Format is csv or xlsx (Excel 2007 and later, WPS). Empty: csv.
	Format string `yaml:"format"`
	// Encoding of a CSV file is utf-8 (with or without byte order mark), gbk or gb18030. Required for csv.
	Encoding string `yaml:"encoding"`
	// Separator stands between columns of a CSV file: one character. Empty: a comma; "\t" is a tab.
	Separator string `yaml:"separator"`
	// Sheet is the name of the worksheet of an XLSX workbook. Empty: the first.
	Sheet string `yaml:"sheet"`
	// HeaderRow is the row of the worksheet with the names of the columns, counted from 1; titles above it are not read. 0: 1.
	HeaderRow int `yaml:"header_row"`
	// MinRows is the least number of rows of a drop: an empty export would say that nobody holds anything. 0: 1.
	MinRows int `yaml:"min_rows"`
	// MaxBytes bounds a drop. 0: 256 MiB. What is read is kept in memory, at several times its size.
	MaxBytes int64 `yaml:"max_bytes"`
	// MaxUnpackedBytes bounds an XLSX workbook, which is compressed, when it is unpacked in memory. 0: 256 MiB.
	MaxUnpackedBytes int64 `yaml:"max_unpacked_bytes"`
	// MaxRowBytes bounds one line of a CSV file. 0: 64 KiB.
	MaxRowBytes int `yaml:"max_row_bytes"`
	// Record maps the columns by their names in the header line. A cell that an XLSX workbook keeps as a date is yyyy-MM-dd,
	// with a time of day "yyyy-MM-dd HH:mm:ss", and where the cell shows a month only yyyy-MM, however it is formatted.
	Record mapping.Record `yaml:"record"`
}

// Formats of drops.
const (
	csvFormat  = "csv"
	xlsxFormat = "xlsx"
)

func (c Config) isXLSX() bool { return c.Format == xlsxFormat }

const (
	defaultSettle   = 5 * time.Second
	defaultRescan   = time.Minute
	defaultMinRows  = 1
	defaultBytes    = 256 << 20
	defaultRowBytes = 64 << 10

	least = 10 * time.Millisecond // of settle and rescan
)

// Check reports everything wrong with the configuration at once; paths start at "$", the Config itself. It looks at no
// directory.
func (c Config) Check(cat *license.Catalogue) fault.List {
	var f fault.List
	f.Unless(c.Dir != "", "$.dir", "required: the directory where drops arrive")
	f.Unless(strings.Count(c.Pattern, "*") == 1 && !strings.ContainsAny(c.Pattern, `/\?[`), "$.pattern", "expected a file name with one *, such as tax-*.csv")
	if c.Time != "" {
		reason := mapping.CheckLayout(c.Time)
		f.Unless(reason == "", "$.time", "%s", reason)
	}
	f.Unless(!strings.ContainsAny(c.Marker, `/\*`), "$.marker", "expected an ending such as .ok")
	f.Unless(c.Marker == "" || c.Settle == 0, "$.settle", "a drop with marker needs no settle")
	f.Unless(c.Settle == 0 || c.Settle >= least, "$.settle", "at least 10ms")
	f.Unless(c.Rescan == 0 || c.Rescan >= least, "$.rescan", "at least 10ms")
	f.Unless(c.MaxAge > 0, "$.max_age", "required: how old a drop may be and still answer, such as 48h")
	switch c.Format {
	case "", csvFormat:
		c.checkCSV(&f)
	case xlsxFormat:
		c.checkXLSX(&f)
	default:
		f.Add("$.format", "expected csv or xlsx")
	}
	f.Unless(c.MinRows >= 0 && c.MaxBytes >= 0 && c.MaxRowBytes >= 0 && c.MaxUnpackedBytes >= 0, "$", "bounds may not be negative")
	f.Under("$.record", c.Record.Check(cat))
	return f
}

func (c Config) checkCSV(f *fault.List) {
	_, ok := encodings[c.Encoding]
	f.Unless(ok, "$.encoding", "expected utf-8, gbk or gb18030")
	_, ok = comma(c.Separator)
	f.Unless(ok, "$.separator", "expected one character that is no quote and no line break")
	for key, said := range map[string]bool{"sheet": c.Sheet != "", "header_row": c.HeaderRow != 0, "max_unpacked_bytes": c.MaxUnpackedBytes != 0} {
		f.Unless(!said, "$."+key, "this is for workbooks: say format: xlsx, or leave it out")
	}
}

func (c Config) checkXLSX(f *fault.List) {
	f.Unless(c.HeaderRow >= 0 && c.HeaderRow <= maxHeaderRow, "$.header_row", "the row with the names of the columns, 1 to %d", maxHeaderRow)
	for key, said := range map[string]bool{"encoding": c.Encoding != "", "separator": c.Separator != "", "max_row_bytes": c.MaxRowBytes != 0} {
		f.Unless(!said, "$."+key, "this is for CSV files: say format: csv, or leave it out")
	}
}

// maxHeaderRow bounds the titles above a header row.
const maxHeaderRow = 100

func comma(s string) (rune, bool) {
	if s == "" {
		return ',', true
	}
	r := []rune(s)
	return r[0], len(r) == 1 && r[0] != '"' && r[0] != '\r' && r[0] != '\n' && r[0] != '\ufffd' && r[0] != 0
}

// SetID names the source in findings and errors.
func (c *Config) SetID(id string) { c.ID = id }

// Types are the license types that the source has.
func (c *Config) Types() []string { return []string{c.Record.Type} }

// ResolvePaths makes relative paths relative to a folder.
func (c *Config) ResolvePaths(dir string) {
	if c.Dir != "" && !filepath.IsAbs(c.Dir) {
		c.Dir = filepath.Join(dir, filepath.FromSlash(c.Dir))
	}
}

// Files is the folder that must be there. What is dropped into it the source watches by itself.
func (c *Config) Files() []string { return []string{c.Dir} }

// Secrets implements config.AdapterConfig: a drop is no secret of the gateway's.
func (c *Config) Secrets() []string { return nil }
