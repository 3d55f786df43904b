package sqldb

import (
	"context"
	"database/sql"
	"errors"

	ora "github.com/sijms/go-ora/v2"
)

// connectOracle takes a DSN of go-ora: oracle://user:password@host:1521/service, with ?SSL=true&WALLET=folder for TLS.
func connectOracle(c Config, dsn string) (*sql.DB, error) {
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
	return sql.OpenDB(ora.NewConnector(dsn)), nil
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
