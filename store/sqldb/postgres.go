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
	"sync/atomic"
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
	login, err := parseLogin(c.DSN)
	if err != nil {
		return err
	}
	if c.Name != "" {
		db.name = " " + c.Name
	}
	db.login.Store(login)
	open := func(conns int, l limits, patience time.Duration, writes bool) *Pool {
		p := newPool(nil, postgresDialect())
		p.dialect.patience = patience
		p.db = sql.OpenDB(c.Wrap(connector{db, p, l}, writes))
		p.db.SetMaxOpenConns(conns)
		p.db.SetMaxIdleConns(conns)
		p.db.SetConnMaxIdleTime(5 * time.Minute)
		return p
	}
	db.Write = open(3, answerLimits, 8*time.Second, true)
	db.Read = open(c.Readers, answerLimits, 0, false)
	db.Upkeep = open(3, upkeepLimits, 2*time.Minute, true)
	db.Bulk = db.Upkeep
	db.Search = open(c.Searchers, searchLimits, 0, false)
	db.standby, db.reread = c.Standby, c.Reread
	if err := checkPostgres(ctx, db.Write.db, c.Standby); err != nil {
		return err
	}
	db.opened.Store(db.reread != nil)
	return nil
}

// A login is a connection string and what it says.
type login struct {
	dsn    string
	config *pgx.ConnConfig
}

func parseLogin(dsn string) (*login, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		// The cause would repeat it, password and all.
		return nil, errors.New("connection string cannot be parsed: write one line such as postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full, special characters in the password as %XX")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 2 * time.Second
	}
	return &login{dsn, config}, nil
}

// sameServer reports whether another login leads to the same database of the same server, if perhaps by another user or password.
func (l *login) sameServer(other *login) bool {
	a, b := l.config, other.config
	return a.Host == b.Host && a.Port == b.Port && a.Database == b.Database
}

// A connector opens the connections of a pool by the newest login. While a password is rotated, the server and the file of the connection
// string change one after the other: a connection that is refused meanwhile waits a moment for the login that leads in, so that no call
// fails.
type connector struct {
	db     *DB
	pool   *Pool
	limits limits
}

const (
	rotationWait = 2 * time.Second       // for the other half of a rotation
	rotationLook = 25 * time.Millisecond // how often the file is read meanwhile
)

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	by := c.db.login.Load()
	conn, err := c.connect(ctx, by)
	if err == nil || !c.db.opened.Load() || !strings.HasPrefix(sqlState(err), "28") { // invalid password, or no such role
		return conn, err
	}
	ctx, cancel := context.WithTimeout(ctx, rotationWait)
	defer cancel()
	for {
		if newest := c.db.login.Load(); newest != by {
			return c.connect(ctx, newest)
		}
		if dsn, unread := c.db.reread(); unread == nil && dsn != by.dsn {
			if fresh, invalid := parseLogin(dsn); invalid == nil && fresh.sameServer(by) { // to another one only Reconnect leads
				c.db.use(by, fresh)
				continue
			}
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(rotationLook):
		}
	}
}

func (c connector) connect(ctx context.Context, by *login) (driver.Conn, error) {
	config := by.config.Copy()
	config.OnNotice = c.pool.noticed
	config.RuntimeParams["application_name"] = program + c.db.name
	config.RuntimeParams["statement_timeout"] = fmt.Sprint(c.limits.statement.Milliseconds())
	config.RuntimeParams["lock_timeout"] = fmt.Sprint(c.limits.lock.Milliseconds())
	config.RuntimeParams["idle_in_transaction_session_timeout"] = fmt.Sprint(c.limits.idle.Milliseconds())
	conn, err := stdlib.GetConnector(*config).Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &connection{conn.(*stdlib.Conn), by, &c.db.login}, nil
}

// program is how PostgreSQL names our connections (application_name), before the name of the process that has one.
const program = "oncegate"

// maxSessions bounds the processes that Sessions lists.
const maxSessions = 64

// Sessions are the names (Config.Name) of the processes that are connected to the database now, each once, sorted; none on SQLite, which serves
// one process. The server cuts them to 54 bytes each, and shows another role's to nobody.
func (db *DB) Sessions(ctx context.Context) (names []string, err error) {
	if db.Read.Engine() != Postgres {
		return nil, nil
	}
	rows, err := db.Read.Query(ctx, "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE ? ORDER BY 1 LIMIT ?", program+" %", maxSessions)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, strings.TrimPrefix(name, program+" "))
	}
	return names, rows.Err()
}

// Driver implements driver.Connector.
func (connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// A connection knows by which login it was opened.
type connection struct {
	*stdlib.Conn
	by     *login
	newest *atomic.Pointer[login]
}

// IsValid implements driver.Validator: database/sql asks when a connection is given back, and closes one of an older login.
func (c *connection) IsValid() bool { return c.by == c.newest.Load() }

// Reconnect opens connections by another connection string from now on, as after a password was changed; it reports false where it is
// the one in use. The new one is tried first, and test may refuse what it leads to. Connections by the old one are closed: idle ones at
// once, others when what they do is done, so that nothing under way fails. SQLite has no connection string.
func (db *DB) Reconnect(ctx context.Context, dsn string, test func(context.Context, Querier) error) (changed bool, err error) {
	if old := db.login.Load(); old == nil || old.dsn == dsn {
		return false, nil
	}
	by, err := parseLogin(dsn)
	if err != nil {
		return false, err
	}
	trial := &DB{}
	trial.login.Store(by)
	p := newPool(nil, postgresDialect())
	p.db = sql.OpenDB(connector{trial, p, answerLimits})
	p.db.SetMaxOpenConns(1)
	defer p.Close()
	if err := checkPostgres(ctx, p.db, db.standby); err != nil {
		return false, err
	}
	if err := test(ctx, p); err != nil {
		return false, err
	}
	db.use(db.login.Load(), by)
	return true, nil
}

// use opens connections by a login from now on, unless another one than old is in use meanwhile, and closes those that are idle.
func (db *DB) use(old, by *login) {
	if !db.login.CompareAndSwap(old, by) {
		return
	}
	for _, p := range []*Pool{db.Write, db.Read, db.Upkeep, db.Search} {
		p.db.SetMaxIdleConns(-1)
		p.db.SetMaxIdleConns(p.db.Stats().MaxOpenConnections)
	}
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
	if err := db.PingContext(ctx); err != nil {
		return explainPostgres(err)
	}
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit", "synchronous_standby_names", "server_encoding"} {
		var v string
		if err := db.QueryRowContext(ctx, "SELECT coalesce(current_setting('"+name+"', true), '')").Scan(&v); err != nil {
			return fmt.Errorf("setting %s could not be read: %w", name, explainPostgres(err))
		}
		setting[name] = v
	}
	return weakness(setting, standby)
}

// weakness is why a server's settings cannot be used; nil if they can.
func weakness(setting map[string]string, standby bool) error {
	if e := setting["server_encoding"]; e != "" && e != "UTF8" {
		return fmt.Errorf("the database's encoding is %s, not UTF8: make one with CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'", e)
	}
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if setting[name] == "off" {
			return fmt.Errorf("weak durability: %s is off, so the server may lose records that were answered: ALTER SYSTEM SET %s = on; SELECT pg_reload_conf(); and ask that neither database nor role sets it off", name, name)
		}
	}
	if standby && (setting["synchronous_standby_names"] == "" || setting["synchronous_commit"] == "local") {
		return errors.New("weak durability: store.standby is declared, and no synchronous standby confirms a commit: set synchronous_standby_names on the server, or leave standby out")
	}
	return nil
}

// CheckRights refuses a PostgreSQL database in which the user may not create tables, as migrations do.
func (db *DB) CheckRights(ctx context.Context) error {
	var may bool
	var user, database string
	const ask = "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), current_user, current_database()"
	if _, err := One(ctx, db.Read, []any{&may, &user, &database}, ask); err != nil {
		return err
	}
	if !may {
		return fmt.Errorf("the user %s may not create tables in the database %s: ALTER DATABASE %s OWNER TO %s, or GRANT CREATE ON SCHEMA public TO %s", user, database, database, user, user)
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

// An explained is an error in words for operators that say all that is worth saying; the cause stays for those who ask for its type.
type explained struct {
	what  string
	cause error
}

func (e *explained) Error() string { return e.what }

func (e *explained) Unwrap() error { return e.cause }

// explainConnect says why a connection could not be opened, and what to do. It returns nil where the error itself says it.
func explainConnect(err error) error {
	var failed *pgconn.ConnectError
	if !errors.As(err, &failed) {
		return nil
	}
	c := failed.Config
	say := func(format string, args ...any) error { return &explained{fmt.Sprintf(format, args...), err} }
	var network *net.OpError
	var unknown *net.DNSError
	switch state := sqlState(err); {
	case state == "28P01":
		return say("the server %s refuses the password of user %s: correct the connection string in its file, or ALTER ROLE %s PASSWORD", c.Host, c.User, c.User)
	case state == "28000":
		return say("the server %s does not let user %s in: see that the role exists (CREATE ROLE %s LOGIN PASSWORD) and that pg_hba.conf lets it in from this machine", c.Host, c.User, c.User)
	case state == "3D000":
		return say("the server %s has no database %s: CREATE DATABASE %s OWNER %s", c.Host, c.Database, c.Database, c.User)
	case state == "42501":
		return say("user %s may not connect to the database %s: GRANT CONNECT ON DATABASE %s TO %s", c.User, c.Database, c.Database, c.User)
	case state == "53300":
		return say("the server %s has no connection left: raise max_connections, a node opens up to 18", c.Host)
	case state == "57P03":
		return say("the server %s is starting up or shutting down: wait until it serves", c.Host)
	case state == "" && errors.As(err, &unknown):
		return say("no host of the name %s is known: correct the connection string in its file", c.Host)
	case state == "" && errors.As(err, &network) && network.Op == "dial":
		return say("nothing answers at %s, port %d: see that PostgreSQL runs there and that host and port of the connection string are right", c.Host, c.Port)
	}
	return nil
}

// Explain says of an error of PostgreSQL what happened and what to do, in words for operators; the error stays within.
func Explain(err error) error { return explainPostgres(err) }

func explainPostgres(err error) error {
	if err == nil {
		return nil
	}
	if e := explainConnect(err); e != nil {
		return e
	}
	state := sqlState(err)
	what, known := map[string]string{
		"53100": "the disk is full",
		"25006": "the database cannot be written",
		"42501": "the user has not the rights for it; let it own the database and its tables",
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
