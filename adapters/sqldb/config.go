package sqldb

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"oncegate/adapters/mapping"
	"oncegate/adapters/secret"
	"oncegate/fault"
	"oncegate/license"
)

// Config says how a database is asked. Its fields are the manual.
type Config struct {
	// ID names the source in findings and errors; the house fills it, it is no part of the YAML.
	ID string `yaml:"-"`
	// Driver is the name under which a driver registered with database/sql: "sqlite", "pgx" (PostgreSQL), "mysql" (MySQL and
	// MariaDB), "sqlserver" and "oracle" are linked; a site build blank-imports others.
	Driver string `yaml:"driver"`
	// DSN is the driver's connection text. One with a password belongs in dsn_secret. A SQLite database must be opened
	// read-only: file:/srv/market.db?mode=ro (or _query_only=1 where the file is written in WAL mode by others). While
	// others hold its lock to write it, a call waits until its own deadline; &_busy_timeout=500 waits half a second at
	// most, and then the source is unavailable.
	DSN string `yaml:"dsn"`
	// DSNSecret is where the DSN is kept instead.
	DSNSecret secret.Ref `yaml:"dsn_secret"`
	// CA is a PEM file with the authorities that may sign the server's certificate, for mysql. Empty: those of the machine.
	// Other drivers name such a file in the DSN: sslrootcert (pgx), certificate (sqlserver), WALLET (oracle).
	CA string `yaml:"ca"`
	// AllowPlain accepts a connection beyond this machine without TLS, or with a certificate that nobody verifies, for
	// networks that encrypt below and for servers too old for TLS.
	AllowPlain bool `yaml:"allow_plain"`
	// Placeholders is the driver's own form of parameters: "?", "$1", "@p1" or ":1". Known for sqlite, sqlite3, mysql,
	// pgx, postgres, sqlserver and oracle; other drivers must say it.
	Placeholders string `yaml:"placeholders"`
	// Transaction is "read-only" (the default) or "plain" for drivers that know no read-only transactions (SQL Server,
	// some vendor drivers). Either is always rolled back; with "plain" the account itself must be unable to write.
	Transaction string `yaml:"transaction"`
	// MaxRows bounds the rows of one answer; more make the finding unavailable. 0: 1000.
	MaxRows int `yaml:"max_rows"`
	// MaxConnections bounds open connections. 0: 8.
	MaxConnections int `yaml:"max_connections"`
	// Queries are the license types this source serves, one query each.
	Queries []Query `yaml:"queries"`
}

// A Query fetches the licenses of one type that one holder has.
type Query struct {
	// SQL is one SELECT with named parameters, which are bound and never written into the text: :holder_code,
	// :holder_type (in the source's own code) and :number ("" when all of the holder's licenses are asked for).
	// It must give one row per license and holder, all holders of each license:
	//
	//	select c.no, c.status, o.name, o.id_type, o.id_no from certificate c join owner o on o.cert = c.no
	//	where c.no in (select cert from owner where id_no = :holder_code and id_type = :holder_type)
	SQL string `yaml:"sql"`
	// Holders is one SELECT without parameters that lists holders to try the source with (oncegate source try --sample): its first
	// column is the holder's code, a second one, if there is one, its type in the source's own code. Only the first rows are read. It may
	// be left out: the source then answers about one holder at a time.
	//
	//	select id_no, id_type from owner order by registered desc
	Holders string `yaml:"holders"`
	// Record maps the columns.
	Record mapping.Record `yaml:"record"`
}

const (
	readOnly = "read-only"
	plain    = "plain"
)

// Check reports everything wrong with the configuration at once; paths start at "$", the Config itself. It connects to nothing, and
// reads no secret.
func (c Config) Check(cat *license.Catalogue) fault.List {
	var f fault.List
	f.Unless(c.Driver != "", "$.driver", "required: the name of a database/sql driver, such as sqlite or pgx")
	f.Unless(c.Driver == "" || linked(c.Driver), "$.driver", "no driver of this name is linked into this program; there are %s", strings.Join(sql.Drivers(), ", "))
	f.Unless((c.DSN == "") != c.DSNSecret.IsZero(), "$.dsn", "say either dsn or dsn_secret")
	if !c.DSNSecret.IsZero() {
		f.Under("$.dsn_secret", c.DSNSecret.Check())
	}
	f.Unless(c.CA == "" || c.Driver == "mysql", "$.ca", "ca is for mysql; other drivers name such a file in the DSN: sslrootcert (pgx), certificate (sqlserver), WALLET (oracle)")
	if c.DSN != "" && linked(c.Driver) {
		if _, err := c.connect(c.DSN); err != nil {
			f.Add("$.dsn", "%v", err)
		}
		if c.holdsPassword(c.DSN) {
			f.Warn("$.dsn", "a password stands in the configuration: keep the DSN in a file of its own and name it under dsn_secret")
		}
	}
	form := c.engine().form
	f.Unless(slices.Contains(placeholderForms, form), "$.placeholders", "say how this driver writes parameters: %s", strings.Join(placeholderForms, ", "))
	f.Unless(slices.Contains([]string{"", readOnly, plain}, c.Transaction), "$.transaction", `expected "read-only" or "plain"`)
	if without := c.engine().noReadOnly; without != "" {
		f.Unless(c.Transaction == plain, "$.transaction", "%s: say transaction: plain, and let the account read only", without)
	}
	f.Unless(c.MaxRows >= 0 && c.MaxConnections >= 0, "$", "max_rows and max_connections may not be negative")
	f.Unless(len(c.Queries) > 0, "$.queries", "at least one query is needed")
	seen := map[string]bool{}
	for i, q := range c.Queries {
		path := fmt.Sprintf("$.queries[%d]", i)
		f.Under(path, q.check(form, cat))
		f.Unless(!seen[q.Record.Type], path+".record.type", "a second query for the same license type")
		seen[q.Record.Type] = true
	}
	return f
}

func (q Query) check(form string, cat *license.Catalogue) (f fault.List) {
	f.Under("$.record", q.Record.Check(cat))
	if !slices.Contains(placeholderForms, form) {
		return f // reported already
	}
	st, err := rewrite(q.SQL, form)
	if err != nil {
		f.Add("$.sql", "%v", err)
		return f
	}
	if q.Holders != "" {
		list, err := rewrite(q.Holders, form)
		if err != nil {
			f.Add("$.holders", "%v", err)
		}
		f.Unless(len(list.args) == 0, "$.holders", "the statement lists holders and has no parameters")
	}
	f.Unless(slices.Contains(st.args, holderCode), "$.sql", "the statement never uses :holder_code and would read everybody's licenses")
	return f
}

func (c Config) isSQLite() bool { return c.Driver == "sqlite" || c.Driver == "sqlite3" }

// checkSQLite refuses a SQLite DSN that could write: SQLite takes "read-only transaction" as a mere wish.
func checkSQLite(dsn string) error {
	_, query, _ := strings.Cut(dsn, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("the part after ? is no query")
	}
	if !opensReadOnly(dsn) && values.Get("_query_only") != "1" && !slices.Contains(values["_pragma"], "query_only(1)") {
		return fmt.Errorf("a SQLite source must be opened read-only: write file:PATH?mode=ro, or add ?_query_only=1")
	}
	return nil
}

// opensReadOnly reports whether SQLite by this DSN opens the file read-only, which no statement and no pragma takes back. Without "file:"
// the driver takes the text for a bare path and drops SQLite's own parameters, mode among them; a second mode could be memory, and
// what follows "#" SQLite does not read.
func opensReadOnly(dsn string) bool {
	name, query, _ := strings.Cut(dsn, "?")
	values, err := url.ParseQuery(query)
	return err == nil && strings.HasPrefix(name, "file:") && slices.Equal(values["mode"], []string{"ro"}) && !strings.Contains(dsn, "#")
}

// lockWait bounds how long a SQLite file's lock is waited for where the DSN does not say it (busy timeout). It is longer than calls
// last, whose deadline ends the wait: a source is not down because its department writes to it.
const lockWait = 15 * time.Second

// withLockWait adds lockWait to a SQLite DSN. Without a busy timeout SQLite fails at once with SQLITE_BUSY, code 5, whenever the
// other side happens to commit, and a few of these in a row open the source's breaker. What the DSN itself says prevails: the driver
// takes _timeout before _busy_timeout, and runs _pragma=busy_timeout after both. The driver sqlite3 waits by itself.
func (c Config) withLockWait(dsn string) string {
	_, query, _ := strings.Cut(dsn, "?")
	values, err := url.ParseQuery(query)
	if c.Driver != "sqlite" || err != nil || values.Has("_busy_timeout") {
		return dsn
	}
	return fmt.Sprintf("%s&_busy_timeout=%d", dsn, lockWait.Milliseconds())
}

// SetID names the source in findings and errors.
func (c *Config) SetID(id string) { c.ID = id }

// Types are the license types that the source has.
func (c *Config) Types() (list []string) {
	for _, q := range c.Queries {
		list = append(list, q.Record.Type)
	}
	return list
}

// ResolvePaths makes relative paths relative to a folder, that of the file in a SQLite DSN ("file:market.db?mode=ro") too.
func (c *Config) ResolvePaths(dir string) {
	for _, f := range []*string{&c.DSNSecret.File, &c.CA} {
		if *f != "" && !filepath.IsAbs(*f) {
			*f = filepath.Join(dir, filepath.FromSlash(*f))
		}
	}
	if !c.isSQLite() || c.DSN == "" {
		return
	}
	name, isURI := strings.CutPrefix(c.DSN, "file:")
	name, query, hasQuery := strings.Cut(name, "?")
	if name == "" || filepath.IsAbs(name) || name == ":memory:" || isURI && strings.HasPrefix(name, "//") {
		return
	}
	c.DSN = "file:" + filepath.Join(dir, filepath.FromSlash(name))
	if hasQuery && query != "" {
		c.DSN += "?" + query
	}
}

// Files is the file of the DSN, where it is kept in one.
func (c *Config) Files() []string {
	if c.DSNSecret.File == "" {
		return nil
	}
	return []string{c.DSNSecret.File}
}

// Secrets are the file of the DSN and that of a SQLite database.
func (c *Config) Secrets() (list []string) {
	list = append(list, c.DSNSecret.File)
	if c.isSQLite() {
		name, _, _ := strings.Cut(strings.TrimPrefix(c.DSN, "file:"), "?")
		list = append(list, name)
	}
	return list
}
