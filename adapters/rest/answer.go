package rest

import (
	"cmp"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"oncegate/adapters/mapping"
	"oncegate/license"
)

// A reply is what came back over HTTP.
type reply struct {
	status      int
	contentType string
	body        []byte
}

// read takes the rows from a reply. No rows and no error mean that the system said, in one of the configured ways, that
// there is none; whatever it said otherwise is an error.
func (c Call) read(r reply, maxRecords int) ([]mapping.Row, error) {
	a := c.Answer
	rules := slices.DeleteFunc(slices.Clone(a.NotFound), func(n NotFound) bool { return cmp.Or(n.Status, 200) != r.status })
	if r.status != 200 && len(rules) == 0 {
		return nil, ofStatus(r.status)
	}
	if len(r.body) == 0 && slices.ContainsFunc(rules, func(n NotFound) bool { return n.NoBody }) {
		return nil, nil
	}
	if err := a.isJSON(r.contentType); err != nil {
		return nil, unreadable(r.status, err)
	}
	doc, err := document(r.body)
	if err != nil {
		return nil, unreadable(r.status, err)
	}
	if slices.ContainsFunc(rules, func(n NotFound) bool {
		return !n.NoBody && n.Mark.matches(doc) && (!n.Empty || a.empty(doc)) && !n.bare(a, doc)
	}) {
		return nil, nil
	}
	if r.status != 200 {
		return nil, &license.SourceError{Cause: license.HTTPStatus, Status: r.status, Detail: "without the mark of not found"}
	}
	return c.rows(doc, maxRecords)
}

// ofStatus is why a status is no answer.
func ofStatus(status int) *license.SourceError {
	e := &license.SourceError{Cause: license.HTTPStatus, Status: status}
	switch status {
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		e.Cause, e.Code = license.Authentication, fmt.Sprintf("HTTP %d", status)
	case http.StatusForbidden:
		e.Cause, e.Code = license.Forbidden, fmt.Sprintf("HTTP %d", status)
	case http.StatusTooManyRequests:
		e.Cause, e.Code = license.Busy, fmt.Sprintf("HTTP %d", status)
	}
	return e
}

// unreadable is why a body is no answer: of a status that says by itself that the call failed, the status; else its form.
func unreadable(status int, err error) *license.SourceError {
	if status != http.StatusOK {
		e := ofStatus(status)
		e.Detail = err.Error()
		return e
	}
	return &license.SourceError{Cause: license.UnreadableAnswer, Detail: err.Error()}
}

// faulty is an answer that has another form than the configuration says.
func faulty(format string, args ...any) error {
	return &license.SourceError{Cause: license.BadAnswer, Detail: fmt.Sprintf(format, args...)}
}

// bare says whether a rule only asks for an empty list although the body says that the call failed.
func (n NotFound) bare(a Answer, doc any) bool {
	return n.Mark.Path == "" && cmp.Or(n.Status, 200) == 200 && !a.Success.matches(doc)
}

// matches says whether the mark stands in the document; the zero Mark always does.
func (m Mark) matches(doc any) bool {
	if m.Path == "" {
		return true
	}
	v, ok := at(doc, m.Path)
	if !ok {
		return false
	}
	s, err := text(v, "")
	return err == nil && slices.Contains(m.Values, s)
}

func (a Answer) empty(doc any) bool {
	v, ok := at(doc, a.Records)
	list, isList := v.([]any)
	return ok && (v == nil || isList && len(list) == 0)
}

// isJSON accepts JSON in UTF-8 only. A proxy's page is no answer of the source, whatever its status.
func (a Answer) isJSON(contentType string) error {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return errors.New("its content type is missing or malformed")
	}
	if kind != "application/json" && !strings.HasSuffix(kind, "+json") && !slices.Contains(a.ContentTypes, kind) {
		return errors.New("it is no JSON by its content type")
	}
	if charset := strings.ToLower(params["charset"]); charset != "" && charset != "utf-8" && charset != "utf8" {
		return errors.New("it is not in UTF-8")
	}
	return nil
}

// rows takes the records of a document, one row per record and holder.
func (c Call) rows(doc any, maxRecords int) ([]mapping.Row, error) {
	a := c.Answer
	if !a.Success.matches(doc) {
		return nil, &license.SourceError{Cause: license.UnreadableAnswer, Detail: "its code is neither success nor not found"}
	}
	v, ok := at(doc, a.Records)
	if !ok {
		return nil, faulty("it has nothing at %s", a.Records)
	}
	records := []any{v}
	if list, ok := v.([]any); ok {
		records = list
	}
	switch {
	case len(records) == 0 || v == nil:
		return nil, faulty("it has no record, and that is not configured to mean not found")
	case len(records) > maxRecords:
		return nil, faulty("more than %d records", maxRecords)
	}
	if err := a.complete(doc, len(records)); err != nil {
		return nil, err
	}
	var rows []mapping.Row
	for i, record := range records {
		more, err := c.record(record, i+1)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// complete refuses one page of several.
func (a Answer) complete(doc any, records int) error {
	if a.Total == "" {
		return nil
	}
	v, _ := at(doc, a.Total)
	s, err := text(v, "")
	if total, bad := strconv.Atoi(s); err != nil || bad != nil || total != records {
		return faulty("it does not hold as many records as it says there are")
	}
	return nil
}

// record makes rows of the nth record: one, or one per element of the holders' list.
func (c Call) record(v any, n int) ([]mapping.Row, error) {
	if _, ok := v.(map[string]any); !ok {
		return nil, &license.SourceError{Cause: license.BadRecord, Row: n, Detail: "it is no JSON object"}
	}
	elements := []any{nil}
	if c.Answer.Holders != "" {
		inside, _ := at(v, c.Answer.Holders)
		list, ok := inside.([]any)
		if !ok || len(list) == 0 || len(list) > maxHolders {
			return nil, &license.SourceError{Cause: license.BadValue, Row: n, Name: c.Answer.Holders, Detail: fmt.Sprintf("no list of 1 to %d holders", maxHolders)}
		}
		elements = list
	}
	var rows []mapping.Row
	for _, element := range elements {
		row := mapping.Row{}
		for _, column := range c.columns() {
			in, path := v, column
			if rest, each := below(column, c.Answer.Holders); each {
				in, path = element, rest
			}
			cell, ok := at(in, path)
			if !ok {
				continue // the mapping knows whether it may be missing
			}
			s, err := text(cell, c.Record.Holders.Separator)
			if err != nil {
				return nil, &license.SourceError{Cause: license.BadValue, Row: n, Name: column, Detail: err.Error()}
			}
			row[column] = s
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// maxHolders bounds the holders of one license.
const maxHolders = 1000

// below says whether a column is written HOLDERS/-/rest, and gives the rest.
func below(column, holders string) (string, bool) {
	if holders == "" {
		return "", false
	}
	rest, ok := strings.CutPrefix(column, holders+"/-")
	return rest, ok && (rest == "" || rest[0] == '/')
}

func (c Call) columns() []string { return c.Record.Columns() }
