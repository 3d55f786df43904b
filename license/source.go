package license

import (
	"errors"
	"fmt"
	"strings"
)

// ErrFaulty is an ErrUnanswerable whose fault is the source's: its data or its schema is not what the configuration says. Asking again
// does not help before somebody corrects one of them, and a kept copy must not stand in: the source may say something else now.
var ErrFaulty = fmt.Errorf("%w: the source's data is faulty", ErrUnanswerable)

// A Cause is what kept a source from answering: one of few fixed words. It stands in logs and metrics, and never depends on a value of
// the source.
type Cause string

// Causes of an outage: the system cannot be reached, does not let the gateway in, or fails. It may answer later.
const (
	ConnectionRefused Cause = "connection-refused"
	UnknownHost       Cause = "unknown-host"
	Unreachable       Cause = "unreachable" // no route, or the network is down
	TimedOut          Cause = "timeout"
	Disconnected      Cause = "disconnected" // it hung up
	TLSFailed         Cause = "tls"          // no TLS there, or its certificate is not trusted
	Authentication    Cause = "authentication"
	Forbidden         Cause = "forbidden" // the account may not read this
	NoDatabase        Cause = "no-database"
	Busy              Cause = "busy"              // locked, or out of connections
	HTTPStatus        Cause = "status"            // SourceError.Status is the code
	UnreadableAnswer  Cause = "unreadable-answer" // no answer of the expected form, such as a proxy's page
	NoDrop            Cause = "no-drop"
	DropTooOld        Cause = "drop-too-old"
	SourceClosed      Cause = "closed"
	OtherCause        Cause = "other"
)

// Causes that are the source's fault (ErrFaulty): it answers, and its data or schema is not what the configuration says.
const (
	NoTable      Cause = "no-table"
	NoColumn     Cause = "no-column"
	BadStatement Cause = "statement"     // the database refuses the configured query
	BadAnswer    Cause = "answer"        // more rows than allowed, two columns of one name, no list where one is configured
	NotADay      Cause = "not-a-day"     // a date in none of the configured layouts
	UnlistedCode Cause = "unlisted-code" // a code that the configured table does not have
	BadValue     Cause = "value"         // another value that cannot be read
	BadRecord    Cause = "record"        // a record that breaks the rules of its license type
	OtherHolder  Cause = "other-holder"  // an answer about somebody else
	DropRefused  Cause = "drop-refused"
)

// Causes returns every cause, those of outages first.
func Causes() []Cause {
	return []Cause{
		ConnectionRefused, UnknownHost, Unreachable, TimedOut, Disconnected, TLSFailed, Authentication, Forbidden, NoDatabase, Busy, HTTPStatus,
		UnreadableAnswer, NoDrop, DropTooOld, SourceClosed, OtherCause,
		NoTable, NoColumn, BadStatement, BadAnswer, NotADay, UnlistedCode, BadValue, BadRecord, OtherHolder, DropRefused,
	}
}

// Faulty reports whether the cause is the source's fault, and no outage.
func (c Cause) Faulty() bool {
	switch c {
	case NoTable, NoColumn, BadStatement, BadAnswer, NotADay, UnlistedCode, BadValue, BadRecord, OtherHolder, DropRefused:
		return true
	}
	return false
}

// A SourceError says why a source did not answer a question. It never carries a value of the source, a person's code, a password or a
// connection text: Name and Detail are words of the configuration, of the schema or of this program.
type SourceError struct {
	Cause  Cause
	Row    int    // the row of the answer or the line of the drop, counted from 1; 0: it is about none
	Name   string // the table, column, path or database, as the configuration names it
	Gone   bool   // of NoTable and NoColumn: it was there before, the schema has changed
	Detail string // one phrase that says more
	Status int    // of HTTPStatus
	Code   string // the driver's own code: "SQLSTATE 42703", "MySQL 1054", "ORA-00942"
}

// sentences of the causes that need no name and no row.
var sentences = map[Cause]string{
	ConnectionRefused: "the connection was refused: nothing listens at the configured address and port",
	UnknownHost:       "the configured host name is unknown",
	Unreachable:       "there is no way to the configured host",
	TimedOut:          "the system did not answer in time",
	Disconnected:      "the system closed the connection",
	TLSFailed:         "the TLS connection failed",
	Authentication:    "the system refuses the configured user, password or key",
	Forbidden:         "the configured account may not read this",
	NoDatabase:        "there is no such database",
	Busy:              "the system is busy: locked, or out of connections",
	UnreadableAnswer:  "the answer cannot be read",
	NoDrop:            "no drop has been taken yet",
	DropTooOld:        "the newest drop is older than allowed",
	SourceClosed:      "source is closed",
	OtherCause:        "the system could not answer",
	BadStatement:      "the database refuses the configured query",
	BadAnswer:         "the answer is not as configured",
	NotADay:           "a date cannot be read",
	UnlistedCode:      "a code is not in its table",
	BadValue:          "a value cannot be read",
	BadRecord:         "a record cannot be mapped",
	OtherHolder:       "the source answered with a license of another holder",
	DropRefused:       "the drop was refused",
}

// Error is one sentence: what happened, to which row, table or column, and the driver's code.
func (e *SourceError) Error() string {
	format, args := e.said()
	return joined(fmt.Sprintf(format, args...), e.Detail, e.Code, ": ", "; ")
}

// Chinese is Error in Chinese.
func (e *SourceError) Chinese() string {
	format, args := e.said()
	return joined(fmt.Sprintf(strings.ReplaceAll(chinese[format], "%#v", "%v"), args...), translated().Translate(e.Detail), e.Code, "：", "；")
}

func joined(said, detail, code, colon, semicolon string) string {
	if detail != "" {
		said += colon + detail
	}
	if code != "" {
		said += semicolon + code
	}
	return said
}

// said is the sentence without detail and code, as a format that chinese translates.
func (e *SourceError) said() (format string, args []any) {
	switch {
	case e.Cause == HTTPStatus:
		return "the system answered with HTTP status %d", []any{e.Status}
	case e.Cause == NoTable && e.Name == "" && e.Gone:
		return "a table of the configured query is gone: the schema has changed", nil
	case e.Cause == NoTable && e.Name == "":
		return "a table of the configured query does not exist", nil
	case e.Cause == NoTable && e.Gone:
		return "table %s is gone: the schema has changed", []any{e.Name}
	case e.Cause == NoTable:
		return "table %s does not exist", []any{e.Name}
	case e.Cause == NoColumn && e.Row > 0:
		return "row %d has no column %s", []any{e.Row, e.Name}
	case e.Cause == NoColumn && e.Name == "" && e.Gone:
		return "a column of the configured query is gone: the schema has changed", nil
	case e.Cause == NoColumn && e.Name == "":
		return "a column of the configured query does not exist", nil
	case e.Cause == NoColumn && e.Gone:
		return "column %s is gone: the schema has changed", []any{e.Name}
	case e.Cause == NoColumn:
		return "column %s does not exist", []any{e.Name}
	case e.Cause == DropRefused && e.Row > 0:
		return "the drop was refused at line %d", []any{e.Row}
	case e.Row > 0 && e.Name != "":
		return "row %d, column %s cannot be mapped", []any{e.Row, e.Name}
	case e.Row > 0:
		return "row %d cannot be mapped", []any{e.Row}
	}
	return sentences[e.Cause], nil
}

// Is makes a fault of the source's ErrFaulty, and so ErrUnanswerable.
func (e *SourceError) Is(target error) bool {
	return e.Cause.Faulty() && (target == ErrFaulty || target == ErrUnanswerable)
}

// CauseOf is why a source did not answer: OtherCause where no SourceError says it.
func CauseOf(err error) Cause {
	var e *SourceError
	if errors.As(err, &e) {
		return e.Cause
	}
	return OtherCause
}
