package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"oncegate/license"
	"oncegate/tlog"
)

// ExportFormat is how an export is written.
type ExportFormat string

// The formats.
const (
	// JSONLines has one object per record, {log, index, record, receipt, persons?, fault?}, and {checkpoint, records,
	// covered, size} as its last line. Every receipt verifies on its own.
	JSONLines ExportFormat = "jsonl"
	// CSV has one row per use, for people with Excel: UTF-8 with a byte order mark, CRLF, a quote before anything that
	// Excel would take for a formula; the last row is "checkpoint" and its text. It proves nothing by itself.
	CSV ExportFormat = "csv"
)

// ExportOptions say what an export holds.
type ExportOptions struct {
	Format   ExportFormat         // empty: JSONLines
	Reveal   bool                 // with the persons' codes, from the sealed evidence; else there is no personal data in it
	Progress func(records uint64) // called after each page; may be nil
}

// An Exported says what an export covers.
type Exported struct {
	Records       uint64 // how many were written
	Covered, Size uint64 // as in Page, when it began
	Checkpoint    string // newest when it ended
}

// exportLine is one record of an export.
type exportLine struct {
	Log     string        `json:"log"`
	Index   uint64        `json:"index"`
	Record  *Record       `json:"record,omitempty"`
	Receipt *tlog.Receipt `json:"receipt,omitempty"`
	Persons *persons      `json:"persons,omitempty"`
	Fault   string        `json:"fault,omitempty"`
}

// persons are the people of one record in plain form, each holder in the place of its use.
type persons struct {
	Operator string             `json:"operator"`
	Holders  []license.HolderID `json:"holders"`
}

// exportWriter writes the lines of one format.
type exportWriter interface {
	line(exportLine) error
	end(Exported) error
}

// Export writes every record that ask finds, newest first, from ask.Before on; ask.Limit is the size of a page. Records
// that come in meanwhile are newer, and not in it.
func (a *Auditor) Export(ctx context.Context, w io.Writer, ask Ask, o ExportOptions) (Exported, error) {
	done, err := a.export(ctx, w, ask, o)
	if err != nil {
		return done, fmt.Errorf("export records: %w", err)
	}
	return done, nil
}

func (a *Auditor) export(ctx context.Context, w io.Writer, ask Ask, o ExportOptions) (done Exported, err error) {
	var out exportWriter
	switch o.Format {
	case JSONLines, "":
		out = newJSONLines(w)
	case CSV:
		out = newCSV(w, o.Reveal)
	default:
		return done, fmt.Errorf("format %q is not known", o.Format)
	}
	for first := true; first || ask.Before != 0; first = false {
		page, err := a.Search(ctx, ask)
		if err != nil {
			return done, err
		}
		if first {
			done.Covered, done.Size = page.Covered, page.Size
		}
		for _, found := range page.Found {
			line, err := a.line(ctx, found, o.Reveal)
			if err != nil {
				return done, err
			}
			if err := out.line(line); err != nil {
				return done, err
			}
			done.Records++
		}
		if ask.Before = page.Next; o.Progress != nil {
			o.Progress(done.Records)
		}
	}
	if done.Checkpoint, err = a.config.View.Checkpoint(ctx); err != nil {
		return done, err
	}
	return done, out.end(done)
}

// line adds to a record what proves it and, where asked, who it is about.
func (a *Auditor) line(ctx context.Context, found Found, reveal bool) (exportLine, error) {
	line := exportLine{Log: found.Log, Index: found.Index, Fault: found.Fault}
	receipt, err := a.config.View.Receipt(ctx, found.Index)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return line, err
	}
	if c, parse := tlog.ParseCheckpoint(receipt.Checkpoint); err == nil && parse == nil && c.Origin == found.Log {
		line.Receipt = &receipt
	}
	if found.Fault != "" {
		return line, nil
	}
	line.Record = &found.Record
	if reveal && line.Receipt != nil { // indexes of an older log mean other evidence
		evidence, err := a.Evidence(ctx, found.Index)
		if errors.Is(err, ErrAltered) {
			line.Fault = err.Error()
		} else if err != nil {
			return line, err
		}
		line.Persons = &persons{evidence.Operator, evidence.Holders}
	}
	return line, nil
}
