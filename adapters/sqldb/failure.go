package sqldb

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"oncegate/adapters/failure"
	"oncegate/license"
)

// A dialect reads the errors of one driver: their cause, the driver's code and, of NoTable and NoColumn, what the message names. It
// returns nil for an error that is not the driver's. The statement is "" where a connection failed.
type dialect func(err error, statement string) *license.SourceError

// dialects are all that are known. Of a driver that is missing here the causes of its network errors are still told apart, and every
// other error is license.OtherCause with the type of the error.
var dialects = []dialect{postgres, ofMySQL, ofSQLServer, ofOracle, sqlState, sqlite}

// failed says why the database did not answer, without the driver's text, which may repeat bound values, rows or the DSN.
func failed(err error, statement string) *license.SourceError {
	e := classify(err, statement)
	if !names(statement, e.Name) {
		e.Name = "" // not certain to be no value
	}
	return e
}

func classify(err error, statement string) *license.SourceError {
	for _, read := range dialects {
		if e := read(err, statement); e != nil {
			return e
		}
	}
	if e := failure.OfNetwork(err); e != nil {
		return e
	}
	if errors.Is(err, driver.ErrBadConn) {
		return &license.SourceError{Cause: license.Disconnected}
	}
	e := &license.SourceError{Cause: license.OtherCause}
	if kind := fmt.Sprintf("%T", root(err)); !strings.HasPrefix(kind, "*errors.") && !strings.HasPrefix(kind, "*fmt.") { // those say nothing
		e.Code = kind
	}
	return e
}

// root is the innermost error, of several the first.
func root(err error) error {
	for {
		switch inner := err.(type) {
		case interface{ Unwrap() error }:
			if inner.Unwrap() == nil {
				return err
			}
			err = inner.Unwrap()
		case interface{ Unwrap() []error }:
			if len(inner.Unwrap()) == 0 {
				return err
			}
			err = inner.Unwrap()[0]
		default:
			return err
		}
	}
}

// names reports whether a name stands in the configured statement, and so is no value that was bound or read.
func names(statement, name string) bool {
	return name != "" && strings.Contains(strings.ToLower(statement), strings.ToLower(name))
}

// refusedTLS is how pgx says that the server speaks no TLS; it has no type for it.
const refusedTLS = "server refused TLS connection"

// postgres reads errors of pgx. What a table or column is called is taken from the statement itself, at the place that the error names:
// the message may be in any language.
func postgres(err error, statement string) *license.SourceError {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		if root(err).Error() == refusedTLS {
			return &license.SourceError{Cause: license.TLSFailed, Detail: "the system does not speak TLS there"}
		}
		return nil
	}
	e := ofSQLState(pg.Code)
	if e.Cause == license.NoTable || e.Cause == license.NoColumn {
		e.Name = identifierAt(statement, int(pg.Position))
	}
	return e
}

// sqlState reads errors that carry an SQLSTATE, as those of other drivers for PostgreSQL and its family do.
func sqlState(err error, _ string) *license.SourceError {
	var state interface{ SQLState() string }
	if !errors.As(err, &state) {
		return nil
	}
	return ofSQLState(state.SQLState())
}

// sqlStates are causes by SQLSTATE, or by its class, the first two characters (ISO 9075-2, PostgreSQL appendix A).
var sqlStates = map[string]license.Cause{
	"28": license.Authentication, "3D": license.NoDatabase, "42501": license.Forbidden,
	"42P01": license.NoTable, "3F": license.NoTable, "42703": license.NoColumn,
	"08": license.Disconnected, "57P01": license.Disconnected, "57P02": license.Disconnected,
	"53": license.Busy, "55": license.Busy, "40": license.Busy, "57P03": license.Busy, "57014": license.TimedOut,
	"0A": license.BadStatement, "22": license.BadStatement, "25": license.BadStatement, "42": license.BadStatement,
}

func ofSQLState(state string) *license.SourceError {
	e := &license.SourceError{Cause: license.OtherCause}
	if len(state) != 5 || strings.ContainsFunc(state, func(r rune) bool { return (r < '0' || r > '9') && (r < 'A' || r > 'Z') }) {
		return e
	}
	e.Code = "SQLSTATE " + state
	if cause, ok := sqlStates[state]; ok {
		e.Cause = cause
	} else if cause, ok := sqlStates[state[:2]]; ok {
		e.Cause = cause
	}
	return e
}

// identifierAt is the name, qualified or not, that begins at a character of the statement, counted from 1.
func identifierAt(statement string, position int) string {
	for range position - 1 {
		_, n := utf8.DecodeRuneInString(statement)
		statement = statement[n:]
	}
	if position < 1 {
		return ""
	}
	end := strings.IndexFunc(statement, func(r rune) bool {
		return r != '.' && r != '"' && r != '_' && r != '$' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	if end < 0 {
		end = len(statement)
	}
	return strings.ReplaceAll(statement[:end], `"`, "")
}

// sqliteCauses are causes by SQLite's primary result code (https://sqlite.org/rescode.html).
var sqliteCauses = map[int]license.Cause{
	1: license.BadStatement, 8: license.BadStatement, 17: license.BadStatement, 18: license.BadStatement, 20: license.BadStatement, 25: license.BadStatement,
	3: license.Forbidden, 23: license.Forbidden, 5: license.Busy, 6: license.Busy, 14: license.NoDatabase, 26: license.NoDatabase,
}

var sqliteMissing = regexp.MustCompile(`no such (table|column): ([^ ]+)`)

// sqlite reads errors of SQLite's drivers.
func sqlite(err error, _ string) *license.SourceError {
	var coded interface{ Code() int }
	if !errors.As(err, &coded) {
		return nil
	}
	e := &license.SourceError{Cause: license.OtherCause, Code: fmt.Sprintf("SQLite %d", coded.Code())}
	if cause, ok := sqliteCauses[coded.Code()&0xff]; ok {
		e.Cause = cause
	}
	if m := sqliteMissing.FindStringSubmatch(err.Error()); m != nil && e.Cause == license.BadStatement {
		e.Cause, e.Name = license.NoTable, m[2]
		if m[1] == "column" {
			e.Cause = license.NoColumn
		}
	}
	return e
}
