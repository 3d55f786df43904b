package sqldb

import (
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"

	"oncegate/license"
)

// connectMySQL takes a DSN of go-sql-driver: user:password@tcp(host:3306)/db?tls=true.
//
// Dates come as MySQL writes them, zero dates (0000-00-00) too, which a driver would turn into the year 1: whatever the DSN says of
// parseTime and loc has no effect. TIMESTAMP columns are kept in UTC and read in China's time, unless the DSN says time_zone.
func connectMySQL(c Config, dsn string) (driver.Connector, error) {
	m, err := mysql.ParseDSN(dsn)
	if err != nil { // its text may repeat the DSN
		return nil, errors.New("the DSN is none of MySQL: write USER:PASSWORD@tcp(HOST:3306)/DATABASE?tls=true")
	}
	switch {
	case m.InterpolateParams:
		return nil, errors.New("interpolateParams writes values into the statement; leave it out, and they are bound")
	case m.MultiStatements:
		return nil, errors.New("multiStatements lets one text hold two statements; leave it out")
	case m.AllowAllFiles:
		return nil, errors.New("allowAllFiles lets the server read files of this machine; leave it out")
	}
	verified := m.TLS != nil && !m.TLS.InsecureSkipVerify && !m.AllowFallbackToPlaintext
	if c.CA != "" {
		if !verified {
			return nil, errors.New("ca is for verified TLS: write tls=true into the DSN")
		}
		pool, err := c.authorities()
		if err != nil {
			return nil, err
		}
		m.TLS = &tls.Config{RootCAs: pool, ServerName: m.TLS.ServerName, MinVersion: m.TLS.MinVersion}
	}
	host := "localhost" // a socket
	if m.Net != "unix" {
		if host, _, err = net.SplitHostPort(m.Addr); err != nil {
			return nil, errors.New("the DSN names no host and port")
		}
	}
	if err := c.protected(verified, host); err != nil {
		return nil, err
	}
	m.ParseTime = false
	m.Logger = &mysql.NopLogger{} // it writes to standard error; what it says comes as an error, too
	if m.Params == nil {
		m.Params = map[string]string{}
	}
	if _, said := m.Params["time_zone"]; !said {
		m.Params["time_zone"] = "'+08:00'"
	}
	connector, err := mysql.NewConnector(m)
	if err != nil {
		return nil, errors.New("the DSN has settings that exclude each other")
	}
	return connector, nil
}

// mysqlCauses are causes by the number of the server's error. Of other numbers the SQLSTATE tells the cause.
var mysqlCauses = map[uint16]license.Cause{
	1045: license.Authentication, 1130: license.Authentication, 1251: license.Authentication, 1862: license.Authentication, 3118: license.Authentication,
	1044: license.Forbidden, 1142: license.Forbidden, 1143: license.Forbidden, 1227: license.Forbidden, 1370: license.Forbidden,
	1049: license.NoDatabase, 1146: license.NoTable, 1054: license.NoColumn,
	1040: license.Busy, 1129: license.Busy, 1203: license.Busy, 1205: license.Busy, 1213: license.Busy, 1226: license.Busy,
	1317: license.TimedOut, 1969: license.TimedOut, 3024: license.TimedOut,
	1053: license.Disconnected, 1927: license.Disconnected,
	1267: license.BadStatement, 1356: license.BadStatement, 1366: license.BadStatement, 1792: license.BadStatement,
}

// mysqlClientCauses are causes that the driver finds by itself.
var mysqlClientCauses = map[error]license.Cause{
	mysql.ErrInvalidConn: license.Disconnected, mysql.ErrNoTLS: license.TLSFailed, mysql.ErrPktTooLarge: license.BadAnswer,
	mysql.ErrCleartextPassword: license.Authentication, mysql.ErrNativePassword: license.Authentication, mysql.ErrOldPassword: license.Authentication,
	mysql.ErrUnknownPlugin: license.Authentication, mysql.ErrMalformPkt: license.UnreadableAnswer,
}

// singleQuoted is a name in an error message of MySQL or SQL Server, in whatever language.
var singleQuoted = regexp.MustCompile(`'([^']+)'`)

// namedIn is the name that stands first in a message. The database or schema before it is left out: the configured query may do so.
func namedIn(message string) string {
	if m := singleQuoted.FindStringSubmatch(message); m != nil {
		return m[1][strings.LastIndex(m[1], ".")+1:]
	}
	return ""
}

// ofMySQL reads errors of MySQL and MariaDB.
func ofMySQL(err error, _ string) *license.SourceError {
	for is, cause := range mysqlClientCauses {
		if errors.Is(err, is) {
			return &license.SourceError{Cause: cause}
		}
	}
	var my *mysql.MySQLError
	if !errors.As(err, &my) {
		return nil
	}
	e := ofSQLState(string(my.SQLState[:]))
	e.Code = fmt.Sprintf("MySQL %d", my.Number)
	if cause, ok := mysqlCauses[my.Number]; ok {
		e.Cause = cause
	}
	if e.Cause == license.NoTable || e.Cause == license.NoColumn {
		e.Name = namedIn(my.Message)
	}
	return e
}
