package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

func postgresDialect() dialect {
	return dialect{
		name:      Postgres,
		rebind:    numbered,
		ddl:       strings.NewReplacer(") WITHOUT ROWID;", ");").Replace,
		lock:      " FOR UPDATE",
		isolate:   sql.LevelReadCommitted, // each statement after the lock sees all that committed before it
		snapshot:  sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		unlimited: "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0",
		explain:   explainPostgres,
		retry: func(err error) bool {
			switch sqlState(err) {
			case "40001", "40P01": // serialization failure, deadlock
				return true
			}
			return gonePostgres(err)
		},
		gone: gonePostgres,
		failed: func(err error) bool {
			// The server's own answer to COMMIT with class 23 or 40 is a rollback. 40003 is "completion unknown", and
			// anything else, a lost connection first of all, leaves it open.
			s := sqlState(err)
			return s != "40003" && (strings.HasPrefix(s, "23") || strings.HasPrefix(s, "40"))
		},
	}
}

// limits bound what a connection waits for on the server.
type limits struct{ statement, lock, idle time.Duration }

var (
	answerLimits = limits{2 * time.Second, 2 * time.Second, 2 * time.Second} // somebody waits for an answer
	upkeepLimits = limits{time.Minute, 10 * time.Second, 10 * time.Second}   // retention and the projection; migrations lift them
	searchLimits = limits{time.Minute, 2 * time.Second, 2 * time.Second}     // what auditors search and count
)

// openPostgres opens pools with limits of their own, so that slow statements neither fail by the limits of an answer nor hold
// its connections. Few connections write: batches take turns at the head's lock anyway, and each connection prepares its statements
// for itself.
func (db *DB) openPostgres(ctx context.Context, c Config) error {
	config, err := pgx.ParseConfig(c.DSN)
	if err != nil {
		return errors.New("connection string cannot be parsed") // the cause would repeat it, password and all
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 2 * time.Second
	}
	open := func(conns int, l limits, patience time.Duration, wrap func(driver.Connector) driver.Connector) *Pool {
		p := newPool(nil, postgresDialect())
		p.dialect.patience = patience
		config := config.Copy()
		config.OnNotice = p.noticed
		config.RuntimeParams["application_name"] = "oncegate"
		config.RuntimeParams["statement_timeout"] = fmt.Sprint(l.statement.Milliseconds())
		config.RuntimeParams["lock_timeout"] = fmt.Sprint(l.lock.Milliseconds())
		config.RuntimeParams["idle_in_transaction_session_timeout"] = fmt.Sprint(l.idle.Milliseconds())
		p.db = sql.OpenDB(wrap(stdlib.GetConnector(*config)))
		p.db.SetMaxOpenConns(conns)
		p.db.SetMaxIdleConns(conns)
		p.db.SetConnMaxIdleTime(5 * time.Minute)
		return p
	}
	db.Write = open(3, answerLimits, 8*time.Second, c.Wrap)
	db.Read = open(c.Readers, answerLimits, 0, unwrapped)
	db.Upkeep = open(3, upkeepLimits, 2*time.Minute, c.Wrap)
	db.Bulk = db.Upkeep
	db.Search = open(c.Searchers, searchLimits, 0, unwrapped)
	return checkPostgres(ctx, db.Write.db, c.Standby)
}

// noticed counts warnings: a standby that did not confirm shows only as a warning of a COMMIT that succeeds.
func (p *Pool) noticed(_ *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" || n.SeverityUnlocalized == "" {
		p.warnings.Add(1)
	}
}

// checkPostgres refuses a server that may lose an answered commit.
func checkPostgres(ctx context.Context, db *sql.DB, standby bool) error {
	setting := map[string]string{}
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit", "synchronous_standby_names", "server_encoding"} {
		var v string
		if err := db.QueryRowContext(ctx, "SELECT coalesce(current_setting('"+name+"', true), '')").Scan(&v); err != nil {
			return fmt.Errorf("setting %s could not be read: %w", name, explainPostgres(err))
		}
		setting[name] = v
	}
	if e := setting["server_encoding"]; e != "" && e != "UTF8" {
		return fmt.Errorf("the database's encoding is %s, not UTF8", e)
	}
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if setting[name] == "off" {
			return fmt.Errorf("weak durability: %s is off", name)
		}
	}
	if standby && (setting["synchronous_standby_names"] == "" || setting["synchronous_commit"] == "local") {
		return errors.New("weak durability: no synchronous standby confirms a commit")
	}
	return nil
}

// sqlState is the SQLSTATE of a server's error, "" for other errors.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// gonePostgres recognises a connection that the server, or somebody between, has ended. All that were idle in the pool may be like that.
func gonePostgres(err error) bool {
	switch sqlState(err) {
	case "57P01", "57P02": // shut down by an administrator, or after a crash
		return true
	case "":
		var op *net.OpError
		return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op) && !op.Timeout()
	}
	return false
}

func explainPostgres(err error) error {
	if err == nil {
		return nil
	}
	state := sqlState(err)
	what, known := map[string]string{
		"53100": "the disk is full",
		"25006": "the database cannot be written",
		"55P03": "the head is locked by another node",
		"57014": "the statement took too long",
		"40001": "another node was at it",
	}[state]
	switch {
	case known:
		return fmt.Errorf("%s: %w", what, err)
	case strings.HasPrefix(state, "58"), strings.HasPrefix(state, "XX"):
		return fmt.Errorf("the database reports an error of its disk or itself: %w", err)
	}
	return err
}
