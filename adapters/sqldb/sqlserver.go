package sqldb

import (
	"database/sql/driver"
	"errors"
	"fmt"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"oncegate/license"
)

// connectSQLServer takes a DSN of go-mssqldb: sqlserver://user:password@host:1433?database=db&encrypt=true&certificate=ca.pem.
func connectSQLServer(c Config, dsn string) (driver.Connector, error) {
	m, err := msdsn.Parse(dsn)
	if err != nil { // its text may repeat the DSN
		return nil, errors.New("the DSN is none of SQL Server: write sqlserver://USER:PASSWORD@HOST:1433?database=DATABASE&encrypt=true")
	}
	encrypted := m.Encryption == msdsn.EncryptionRequired || m.Encryption == msdsn.EncryptionStrict
	verified := encrypted && m.TLSConfig != nil && !m.TLSConfig.InsecureSkipVerify && !m.TrustServerCertificate
	if err := c.protected(verified, m.Host); err != nil {
		return nil, err
	}
	return mssql.NewConnectorConfig(m), nil
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

// sqlServerCauses are causes by the server's error number.
var sqlServerCauses = map[int32]license.Cause{
	18456: license.Authentication, 18452: license.Authentication, 18470: license.Authentication, 18486: license.Authentication, 18487: license.Authentication,
	18488: license.Authentication, 229: license.Forbidden, 230: license.Forbidden, 297: license.Forbidden, 300: license.Forbidden, 916: license.Forbidden,
	4060: license.NoDatabase, 911: license.NoDatabase, 208: license.NoTable, 207: license.NoColumn,
	1204: license.Busy, 1205: license.Busy, 1222: license.Busy, 17809: license.Busy, 10928: license.Busy, 40501: license.Busy,
	6005: license.Disconnected, 6006: license.Disconnected,
	102: license.BadStatement, 105: license.BadStatement, 156: license.BadStatement, 195: license.BadStatement, 209: license.BadStatement,
	241: license.BadStatement, 245: license.BadStatement, 468: license.BadStatement, 8114: license.BadStatement, 8115: license.BadStatement,
}

// ofSQLServer reads errors of SQL Server.
func ofSQLServer(err error, _ string) *license.SourceError {
	var ms mssql.Error
	if !errors.As(err, &ms) {
		return nil
	}
	e := &license.SourceError{Cause: license.OtherCause, Code: fmt.Sprintf("SQL Server %d", ms.Number)}
	if cause, ok := sqlServerCauses[ms.Number]; ok {
		e.Cause = cause
	}
	if e.Cause == license.NoTable || e.Cause == license.NoColumn {
		e.Name = namedIn(ms.Message)
	}
	return e
}
