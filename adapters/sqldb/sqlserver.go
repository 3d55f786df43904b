package sqldb

import (
	"database/sql"
	"errors"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"
)

// connectSQLServer takes a DSN of go-mssqldb: sqlserver://user:password@host:1433?database=db&encrypt=true&certificate=ca.pem.
func connectSQLServer(c Config, dsn string) (*sql.DB, error) {
	m, err := msdsn.Parse(dsn)
	if err != nil { // its text may repeat the DSN
		return nil, errors.New("the DSN is none of SQL Server: write sqlserver://USER:PASSWORD@HOST:1433?database=DATABASE&encrypt=true")
	}
	encrypted := m.Encryption == msdsn.EncryptionRequired || m.Encryption == msdsn.EncryptionStrict
	verified := encrypted && m.TLSConfig != nil && !m.TLSConfig.InsecureSkipVerify && !m.TrustServerCertificate
	if err := c.protected(verified, m.Host); err != nil {
		return nil, err
	}
	return sql.OpenDB(mssql.NewConnectorConfig(m)), nil
}

// bindSQLServer sends plain ASCII as VARCHAR. As NVARCHAR, the default, it would make the server convert every row of a VARCHAR column
// instead, past its index. Other texts stay NVARCHAR: which characters VARCHAR can hold depends on the column.
func bindSQLServer(s string) any {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return s
		}
	}
	return mssql.VarChar(s)
}
