package sqldb

import (
	"crypto/tls"
	"database/sql"
	"errors"
	"net"

	"github.com/go-sql-driver/mysql"
)

// connectMySQL takes a DSN of go-sql-driver: user:password@tcp(host:3306)/db?tls=true.
//
// Dates come as MySQL writes them, zero dates (0000-00-00) too, which a driver would turn into the year 1: whatever the DSN says of
// parseTime and loc has no effect. TIMESTAMP columns are kept in UTC and read in China's time, unless the DSN says time_zone.
func connectMySQL(c Config, dsn string) (*sql.DB, error) {
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
	return sql.OpenDB(connector), nil
}
