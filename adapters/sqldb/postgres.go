package sqldb

import (
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// connectPostgres takes a DSN of pgx: postgres://user@host:5432/db?sslmode=verify-full&sslrootcert=ca.pem, or the same as key=value.
func connectPostgres(c Config, dsn string) (driver.Connector, error) {
	p, err := pgx.ParseConfig(dsn)
	if err != nil { // its text may repeat the DSN
		return nil, errors.New("the DSN is none of PostgreSQL: write postgres://USER@HOST:5432/DATABASE?sslmode=verify-full")
	}
	verified, hosts := p.TLSConfig != nil && !p.TLSConfig.InsecureSkipVerify, []string{p.Host}
	for _, f := range p.Fallbacks { // further hosts, and the same without TLS
		verified = verified && f.TLSConfig != nil && !f.TLSConfig.InsecureSkipVerify
		hosts = append(hosts, f.Host)
	}
	for i, host := range hosts {
		if strings.HasPrefix(host, "/") { // a socket
			hosts[i] = "localhost"
		}
	}
	if err := c.protected(verified, hosts...); err != nil {
		return nil, err
	}
	return stdlib.GetConnector(*p), nil
}
