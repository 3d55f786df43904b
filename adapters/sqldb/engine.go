package sqldb

import (
	"context"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// An engine is what differs between database engines and their drivers, beyond SQL itself. Everything but form may be left out: then the
// driver that registered with database/sql is opened with the DSN as it stands.
type engine struct {
	form string // how the driver writes parameters
	// connect makes of a DSN what opens connections, without connecting. It refuses a DSN that the driver does not understand, or by which
	// more could be done than to ask. Its errors repeat nothing of the DSN.
	connect func(c Config, dsn string) (driver.Connector, error)
	// noReadOnly says why the engine has no read-only transactions.
	noReadOnly string
	// begin begins a read-only transaction where the driver cannot do it by itself.
	begin func(context.Context, *sql.DB) (*sql.Tx, error)
	// isolation makes all questions of a call see one state of the database, where the engine does not do so by itself.
	isolation sql.IsolationLevel
	// bind makes a parameter of a text; nil: the text itself.
	bind func(string) any
	// clock says that a DATE has a time of day.
	clock bool
}

// engines are those that are linked, and forms of drivers that a site build may link, by the driver's name.
var engines = map[string]engine{
	"sqlite":    {form: question, connect: connectSQLite},
	"sqlite3":   {form: question, connect: connectSQLite},
	"pgx":       {form: dollar, connect: connectPostgres, isolation: sql.LevelRepeatableRead}, // the default would see a new state per statement
	"postgres":  {form: dollar, isolation: sql.LevelRepeatableRead},
	"mysql":     {form: question, connect: connectMySQL, isolation: sql.LevelRepeatableRead},
	"sqlserver": {form: at, connect: connectSQLServer, bind: bindSQLServer, noReadOnly: "SQL Server has no read-only transactions"},
	"mssql":     {form: at, noReadOnly: "SQL Server has no read-only transactions"},
	"oracle":    {form: colon, connect: connectOracle, begin: beginOracle, clock: true},
}

// engine is what is known of the configured driver. Of a driver that a site build brings that is its form only; where it speaks
// PostgreSQL's, it is taken for one of that family.
func (c Config) engine() engine {
	e, known := engines[c.Driver]
	if !known && c.Placeholders == dollar {
		e.isolation = sql.LevelRepeatableRead
	}
	if c.Placeholders != "" {
		e.form = c.Placeholders
	}
	return e
}

// argument is a text as a parameter of a statement.
func (e engine) argument(s string) any {
	if e.bind != nil {
		return e.bind(s)
	}
	return s
}

// dsn reads the connection text from where it is kept.
func (c Config) dsn() (string, error) {
	if c.DSN != "" {
		return c.DSN, nil
	}
	return c.DSNSecret.Read()
}

// connect makes of a DSN what opens connections. It does not connect.
func (c Config) connect(dsn string) (driver.Connector, error) {
	if connect := c.engine().connect; connect != nil {
		return connect(c, dsn)
	}
	return registered(c.Driver, dsn)
}

// registered is the connector of a driver that registered with database/sql, as sql.Open makes it.
func registered(name, dsn string) (driver.Connector, error) {
	refused := fmt.Errorf("driver %q refuses the DSN", name) // its own text may repeat the DSN
	db, err := sql.Open(name, dsn)
	if err != nil {
		return nil, refused
	}
	defer db.Close()
	d, ok := db.Driver().(driver.DriverContext)
	if !ok {
		return dsnConnector{db.Driver(), dsn}, nil
	}
	c, err := d.OpenConnector(dsn)
	if err != nil {
		return nil, refused
	}
	return c, nil
}

// A dsnConnector is the connector of a driver that has none of its own.
type dsnConnector struct {
	driver driver.Driver
	dsn    string
}

// Connect implements driver.Connector.
func (c dsnConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }

// Driver implements driver.Connector.
func (c dsnConnector) Driver() driver.Driver { return c.driver }

// holdsPassword reports whether a DSN of a linked driver holds a password.
func (c Config) holdsPassword(dsn string) bool {
	if m, err := mysql.ParseDSN(dsn); c.Driver == "mysql" {
		return err == nil && m.Passwd != ""
	}
	u, err := url.Parse(dsn)
	if err != nil || u.User == nil {
		return strings.Contains(strings.ToLower(dsn), "password=")
	}
	password, said := u.User.Password()
	return said && password != ""
}

// linked reports whether a driver of this name can be opened.
func linked(driver string) bool {
	return slices.Contains(sql.Drivers(), driver)
}

// errPlain refuses a connection over which passwords and licenses could be read, or answered by somebody else.
var errPlain = errors.New("the connection is not protected by TLS with a verified certificate; allow_plain accepts it where the network encrypts")

// protected says whether a connection may be used: verified TLS, or none beyond this machine, or allow_plain.
func (c Config) protected(verified bool, hosts ...string) error {
	if verified || c.AllowPlain {
		return nil
	}
	for _, host := range hosts {
		ip := net.ParseIP(host)
		if host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return errPlain
		}
	}
	return nil
}

// authorities are the certificates of Config.CA; nil where it is left out.
func (c Config) authorities() (*x509.CertPool, error) {
	if c.CA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("cannot read ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("cannot read ca: the file has no certificate in PEM form")
	}
	return pool, nil
}

func connectSQLite(c Config, dsn string) (driver.Connector, error) {
	if err := checkSQLite(dsn); err != nil {
		return nil, err
	}
	return registered(c.Driver, c.withLockWait(dsn))
}
