package audit_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/audit"
	"oncegate/tlog"
)

func exportBench(t *testing.T) *bench {
	b := newBench(t)
	for i := range 5 {
		d := draft()
		d.RequestID = fmt.Sprint("=cmd", i)
		b.record(t, d)
	}
	b.record(t, audit.Draft{Operation: "limit.exceeded", System: "window"})
	return b
}

func TestExportJSONLines(t *testing.T) {
	b := exportBench(t)
	for _, reveal := range []bool{false, true} {
		var out bytes.Buffer
		var progress []uint64
		done, err := b.auditor.Export(t.Context(), &out, audit.Ask{Limit: 4}, audit.ExportOptions{
			Reveal: reveal, Progress: func(n uint64) { progress = append(progress, n) },
		})
		if err != nil || done.Records != 6 || done.Size != 6 || fmt.Sprint(progress) != "[4 6]" {
			t.Fatalf("exported %+v, progress %v, %v", done, progress, err)
		}
		if strings.Contains(out.String(), citizen.Code) != reveal || strings.Contains(out.String(), "clerk-7") != reveal {
			t.Errorf("persons are in it: %v, want %v", !reveal, reveal)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 7 {
			t.Fatalf("%d lines, want 7", len(lines))
		}
		for i, line := range lines[:6] {
			var row struct {
				Log     string
				Index   uint64
				Record  jsontext.Value
				Receipt tlog.Receipt
				Persons jsontext.Value
			}
			if err := json.Unmarshal([]byte(line), &row, json.MatchCaseInsensitiveNames(true)); err != nil {
				t.Fatal(err)
			}
			if row.Log != origin || row.Index != uint64(5-i) || row.Receipt.Index != row.Index || (row.Persons != nil) != reveal {
				t.Errorf("line %d is %s", i, line)
			}
			if _, steps, err := audit.VerifyReceipt(audit.Proof{Receipt: row.Receipt}, audit.Trust{Trust: b.keys.Trust}); err != nil {
				t.Errorf("receipt of line %d: %v, %v", i, steps, err)
			}
		}
		if !strings.Contains(lines[6], `"checkpoint":"`+origin) {
			t.Errorf("last line is %s", lines[6])
		}
	}
}

func TestExportCSV(t *testing.T) {
	b := exportBench(t)
	for _, reveal := range []bool{false, true} {
		var out bytes.Buffer
		if _, err := b.auditor.Export(t.Context(), &out, audit.Ask{}, audit.ExportOptions{Format: audit.CSV, Reveal: reveal}); err != nil {
			t.Fatal(err)
		}
		text, ok := strings.CutPrefix(out.String(), "\ufeff")
		if !ok || !strings.Contains(text, "\r\n") {
			t.Error("no byte order mark, or no CRLF")
		}
		if strings.Contains(text, citizen.Code) != reveal {
			t.Errorf("persons are in it: %v, want %v", !reveal, reveal)
		}
		r := csv.NewReader(strings.NewReader(text))
		r.FieldsPerRecord = -1
		rows, err := r.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != 1+1+5*3+1 { // header, own record, uses, checkpoint
			t.Errorf("%d rows", len(rows))
		}
		for _, row := range rows[1 : len(rows)-1] {
			if len(row) != len(rows[0]) {
				t.Errorf("row of %d cells under %d columns", len(row), len(rows[0]))
			}
			for _, cell := range row {
				if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
					t.Errorf("cell %q is a formula", cell)
				}
			}
		}
		if last := rows[len(rows)-1]; last[0] != "checkpoint" || !strings.HasPrefix(last[1], origin) {
			t.Errorf("last row is %v", last)
		}
	}
}

func TestExportShowsTampering(t *testing.T) {
	b := exportBench(t)
	b.storage.entries[1].Record = []byte("{}")
	b.storage.entries[2].Sealed = b.storage.entries[3].Sealed
	for _, format := range []audit.ExportFormat{audit.JSONLines, audit.CSV} {
		var out bytes.Buffer
		done, err := b.auditor.Export(t.Context(), &out, audit.Ask{}, audit.ExportOptions{Format: format, Reveal: true})
		if err != nil || done.Records != 6 {
			t.Fatalf("%s: %+v, %v", format, done, err)
		}
		for _, want := range []string{audit.ErrRecord.Error(), audit.ErrAltered.Error()} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s does not say %q", format, want)
			}
		}
	}
	if _, err := b.auditor.Export(t.Context(), new(bytes.Buffer), audit.Ask{}, audit.ExportOptions{Format: "xml"}); err == nil {
		t.Error("an unknown format was accepted")
	}
}
