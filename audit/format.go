package audit

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"oncegate/license"
)

type jsonLines struct{ w io.Writer }

func newJSONLines(w io.Writer) exportWriter { return jsonLines{w} }

func (j jsonLines) line(line exportLine) error { return j.write(line) }

func (j jsonLines) end(done Exported) error {
	return j.write(struct {
		Checkpoint string `json:"checkpoint"`
		Records    uint64 `json:"records"`
		Covered    uint64 `json:"covered"`
		Size       uint64 `json:"size"`
	}{done.Checkpoint, done.Records, done.Covered, done.Size})
}

func (j jsonLines) write(v any) error {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = j.w.Write(append(text, '\n'))
	return err
}

// byteOrderMark makes Excel read UTF-8.
const byteOrderMark = "\ufeff"

var csvColumns = []string{
	"log", "index", "time", "system", "operation", "request_id", "token_digest", "answer_digest", "policy", "evidence",
	"material", "matter", "case", "basis", "license_type", "decision", "rules", "fields", "source", "freshness",
	"holder", "operator", "fault",
}

var csvPersons = []string{"holder_type", "holder_code", "operator_code"}

type csvRows struct {
	w       *csv.Writer
	persons bool
	err     error // of the first row
}

func newCSV(w io.Writer, persons bool) exportWriter {
	_, err := io.WriteString(w, byteOrderMark)
	c := csvRows{csv.NewWriter(w), persons, err}
	c.w.UseCRLF = true
	columns := csvColumns
	if persons {
		columns = append(columns[:len(columns):len(columns)], csvPersons...)
	}
	if err == nil {
		c.err = c.w.Write(columns)
	}
	return c
}

func (c csvRows) line(line exportLine) error {
	if c.err != nil {
		return c.err
	}
	record, uses := Record{}, []Use{{}}
	if line.Record != nil {
		record = *line.Record
	}
	if len(record.Uses) > 0 {
		uses = record.Uses
	}
	for i, use := range uses {
		if err := c.w.Write(c.row(line, record, use, i)); err != nil {
			return err
		}
	}
	c.w.Flush()
	return c.w.Error()
}

func (c csvRows) row(line exportLine, r Record, use Use, i int) []string {
	row := []string{
		line.Log, strconv.FormatUint(line.Index, 10), r.Time, r.System, r.Operation, r.RequestID, r.TokenDigest, r.AnswerDigest, r.Policy, r.Evidence,
		use.Material, use.Matter, use.Case, use.Basis, use.LicenseType, use.Decision, strings.Join(use.Rules, " "), strings.Join(use.Fields, " "), use.Source, use.Freshness,
		use.Holder, use.Operator, line.Fault,
	}
	if c.persons {
		var holder license.HolderID
		operator := ""
		if line.Persons != nil {
			operator = line.Persons.Operator
			if i < len(line.Persons.Holders) {
				holder = line.Persons.Holders[i]
			}
		}
		row = append(row, holder.Type, holder.Code, operator)
	}
	for i, cell := range row {
		row[i] = asText(cell)
	}
	return row
}

// asText keeps a cell from being a formula: what systems and operators wrote is never run by who reads it.
func asText(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func (c csvRows) end(done Exported) error {
	if c.err != nil {
		return c.err
	}
	if err := c.w.Write([]string{"checkpoint", done.Checkpoint}); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}
