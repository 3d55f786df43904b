package files

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"oncegate/adapters/mapping"
	"oncegate/license"
)

// A fingerprint tells one state of a file from another.
type fingerprint struct {
	name     string
	size     int64
	modified int64 // Unix nanoseconds
}

// A drop is one file, read and indexed. It never changes.
type drop struct {
	fingerprint
	asOf     time.Time
	loaded   time.Time
	rows     int
	licenses []license.License
	byHolder map[license.HolderID][]int // places in licenses
}

// errChanged: the file changed while it was read, so it was not complete.
var errChanged = errors.New("the drop changed while it was read")

// load reads a file whole. A *badLine says that its content is refused.
func (s *Source) load(ctx context.Context, root *os.Root, want fingerprint) (*drop, error) {
	f, err := root.Open(want.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errChanged
	}
	if err != nil {
		return nil, errors.New("cannot open the drop")
	}
	defer f.Close()
	limit := cmp.Or(s.cfg.MaxBytes, defaultBytes)
	if want.size > limit {
		return nil, &badLine{0, "the drop is larger than allowed"}
	}
	d, err := s.read(ctx, io.LimitReader(f, limit+1))
	if info, stat := f.Stat(); stat != nil || !info.Mode().IsRegular() || info.Size() != want.size || info.ModTime().UnixNano() != want.modified {
		return nil, errChanged
	}
	if err != nil {
		return nil, err
	}
	d.fingerprint = want
	return d, nil
}

// A table yields the rows of a drop in order, the header first.
type table interface {
	// next returns the cells of the next row and the line where it begins, counted from 1. They hold until the next call. The error is
	// io.EOF after the last row, or a *badLine.
	next() (cells []string, line int, err error)
}

// read turns a drop into an index of licenses.
func (s *Source) read(ctx context.Context, in io.Reader) (*drop, error) {
	t, err := s.table(in)
	if err != nil {
		return nil, err
	}
	header, err := s.header(t)
	if err != nil {
		return nil, err
	}
	collector := s.plan.Collect()
	var at []int // the line where each row begins
	for {
		cells, line, err := t.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		at = append(at, line)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if len(cells) > len(header) {
			return nil, &badLine{line, "has more cells than the header"}
		}
		row := make(mapping.Row, len(header))
		for i, column := range header {
			if row[column] = ""; i < len(cells) {
				row[column] = cells[i]
			}
		}
		if err := collector.Add(row); err != nil {
			return nil, mapError(err, at)
		}
	}
	if n := cmp.Or(s.cfg.MinRows, defaultMinRows); len(at) < n {
		return nil, &badLine{0, "the drop has fewer rows than min_rows"}
	}
	licenses, err := collector.Licenses()
	if err != nil {
		return nil, mapError(err, at)
	}
	return index(licenses, len(at)), nil
}

func (s *Source) table(in io.Reader) (table, error) {
	if s.cfg.isXLSX() {
		return newWorkbook(in, s.cfg)
	}
	r := csv.NewReader(newLines(in, s.cfg.Encoding, cmp.Or(s.cfg.MaxRowBytes, defaultRowBytes), s.cfg.Marker != ""))
	r.Comma, _ = comma(s.cfg.Separator)
	r.ReuseRecord = true
	return csvTable{r}, nil
}

// A csvTable is a CSV file. Every row has as many cells as the header.
type csvTable struct{ in *csv.Reader }

func (t csvTable) next() ([]string, int, error) {
	cells, err := t.in.Read()
	if err == io.EOF {
		return nil, 0, err
	}
	if err != nil {
		return nil, 0, parseError(err)
	}
	line, _ := t.in.FieldPos(0)
	return cells, line, nil
}

func (s *Source) header(t table) ([]string, error) {
	cells, line, err := t.next()
	if err == io.EOF {
		return nil, &badLine{0, "the drop is empty"}
	}
	if err != nil {
		return nil, err
	}
	header := slices.Clone(cells)
	seen := map[string]bool{}
	for _, name := range header {
		if seen[name] && name != "" {
			return nil, &badLine{line, "two columns have the same name"}
		}
		seen[name] = true
	}
	for _, name := range s.cfg.Record.Required() {
		if !seen[name] {
			return nil, &badLine{line, "the header has no column " + name}
		}
	}
	return header, nil
}

func index(licenses []license.License, rows int) *drop {
	d := &drop{rows: rows, licenses: licenses, byHolder: make(map[license.HolderID][]int, len(licenses))}
	for i, l := range licenses {
		for _, h := range l.Holders {
			d.byHolder[h.HolderID] = append(d.byHolder[h.HolderID], i)
		}
	}
	return d
}

// parseError keeps the line of what the CSV reader refuses.
func parseError(err error) error {
	var bad *badLine
	if errors.As(err, &bad) {
		return bad
	}
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return &badLine{parse.Line, parse.Err.Error()}
	}
	return err
}

// mapError says on which line a row stands that cannot be mapped.
func mapError(err error, at []int) error {
	var bad *license.SourceError
	if !errors.As(err, &bad) || bad.Row < 1 || bad.Row > len(at) {
		return err
	}
	reason := cmp.Or(bad.Detail, bad.Error())
	if bad.Name != "" {
		reason = "column " + bad.Name + ": " + reason
	}
	return &badLine{at[bad.Row-1], reason}
}
