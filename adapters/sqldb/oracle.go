package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"

	ora "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/network"

	"oncegate/license"
)

// connectOracle takes a DSN of go-ora: oracle://user:password@host:1521/service, with ?SSL=true&WALLET=folder for TLS.
func connectOracle(c Config, dsn string) (driver.Connector, error) {
	o, err := ora.ParseConfig(dsn)
	if err != nil || len(o.Servers) == 0 { // its text may repeat the DSN
		return nil, errors.New("the DSN is none of Oracle: write oracle://USER:PASSWORD@HOST:1521/SERVICE?SSL=true")
	}
	if o.TraceFilePath != "" || o.TraceDir != "" {
		return nil, errors.New("a trace file would hold passwords and licenses; leave it out")
	}
	hosts := make([]string, len(o.Servers))
	for i, s := range o.Servers {
		hosts[i] = s.Addr
	}
	if err := c.protected(o.SSL && o.SSLVerify, hosts...); err != nil {
		return nil, err
	}
	return ora.NewConnector(dsn), nil
}

// beginOracle begins a read-only transaction, which Oracle is told by its first statement: the driver refuses sql.TxOptions.ReadOnly.
// All its statements see one state.
func beginOracle(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, "set transaction read only"); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	return tx, nil
}

// oracleCauses are causes by the number after ORA-.
var oracleCauses = map[int]license.Cause{
	1005: license.Authentication, 1017: license.Authentication, 28000: license.Authentication, 28001: license.Authentication, 28040: license.Authentication,
	1031: license.Forbidden, 1045: license.Forbidden, 12505: license.NoDatabase, 12514: license.NoDatabase, 12154: license.NoDatabase,
	942: license.NoTable, 904: license.NoColumn,
	18: license.Busy, 20: license.Busy, 54: license.Busy, 60: license.Busy, 1033: license.Busy, 1034: license.Busy, 1555: license.Busy,
	12516: license.Busy, 12519: license.Busy, 12520: license.Busy, 1013: license.TimedOut, 12170: license.TimedOut,
	28: license.Disconnected, 1012: license.Disconnected, 1089: license.Disconnected, 3113: license.Disconnected, 3114: license.Disconnected,
	3135: license.Disconnected, 12537: license.Disconnected,
	1008: license.BadStatement, 1427: license.BadStatement, 1456: license.BadStatement, 1722: license.BadStatement, 1830: license.BadStatement,
	1841: license.BadStatement, 1843: license.BadStatement, 1858: license.BadStatement, 1861: license.BadStatement, 12704: license.BadStatement,
}

// doubleQuoted is the name in ORA-00904: "O"."ZZBH": invalid identifier.
var doubleQuoted = regexp.MustCompile(`"([^"]+)":`)

// ofOracle reads errors of Oracle. Numbers from 900 to 999 are about the statement.
func ofOracle(err error, _ string) *license.SourceError {
	var o *network.OracleError
	if !errors.As(err, &o) {
		return nil
	}
	e := &license.SourceError{Cause: license.OtherCause, Code: fmt.Sprintf("ORA-%05d", o.ErrCode)}
	if cause, ok := oracleCauses[o.ErrCode]; ok {
		e.Cause = cause
	} else if o.ErrCode >= 900 && o.ErrCode <= 999 {
		e.Cause = license.BadStatement
	}
	if m := doubleQuoted.FindStringSubmatch(o.ErrMsg); m != nil && e.Cause == license.NoColumn {
		e.Name = m[1]
	}
	return e
}
