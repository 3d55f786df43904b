package sqldb

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oncegate/adapters/adaptertest"
	"oncegate/license"
)

// secrets are what no reason may carry: passwords, accounts and hosts of DSNs, codes and names of people.
var secrets = []string{"gcheim", "stcward", "nowhere.invalid", "127.0.0.1", "postgres://", adaptertest.Person(0).Code, adaptertest.Person(0).Name, "不动产权第"}

// fails opens a source, asks it and has it checked, and holds what both say.
func fails(t *testing.T, name string, cfg Config, cause license.Cause, says string) {
	t.Helper()
	src, err := Open(cfg, adaptertest.Catalogue(), Deps{})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer src.Close()
	question := license.Question{Type: adaptertest.Type, Holder: adaptertest.Person(0).HolderID}
	findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{question, question}})
	if err == nil {
		err = findings[1].Err
	}
	asked := map[string]error{"asked": err}
	if cause != license.NotADay && cause != license.UnlistedCode && cause != license.OtherHolder && cause != license.TimedOut { // what only a row shows
		asked["checked"] = src.Check(t.Context())
	}
	for how, err := range asked {
		var e *license.SourceError
		if !errors.As(err, &e) || e.Cause != cause || !strings.Contains(e.Error(), says) {
			t.Errorf("%s, %s: %v; want %s, %q", name, how, err, cause, says)
			continue
		}
		for _, secret := range secrets {
			if strings.Contains(err.Error()+e.Error()+e.Chinese()+fmt.Sprintf("%+v", *e), secret) {
				t.Errorf("%s, %s: the reason repeats %s: %+v", name, how, secret, *e)
			}
		}
		t.Logf("%s\n\t%s\n\t%s", name, e.Error(), e.Chinese())
	}
}

// closedPort is an address where nothing listens.
func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// with is a configuration with another statement.
func with(cfg Config, statement string) Config {
	cfg.Queries = []Query{{SQL: statement, Record: cfg.Queries[0].Record}}
	return cfg
}

// What keeps a database from answering is told apart by real faults, and the reason carries no value.
func TestFailures(t *testing.T) {
	fails(t, "closed port", config("pgx", "postgres://stcward:gcheim@"+closedPort(t)+"/x?sslmode=disable"), license.ConnectionRefused, "nothing listens")
	unknown := config("pgx", "postgres://stcward:gcheim@nowhere.invalid/x?sslmode=disable")
	unknown.AllowPlain = true
	fails(t, "unknown host", unknown, license.UnknownHost, "host name")
	fails(t, "no such file", config("sqlite", "file:"+filepath.Join(t.TempDir(), "stcward.db")+"?mode=ro"), license.NoDatabase, "no such database")
	text := filepath.Join(t.TempDir(), "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database at all\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, "no database file", config("sqlite", "file:"+text+"?mode=ro"), license.NoDatabase, "SQLite 26")
	writer, dsn := sqliteFile(t)
	schemaFailures(t, writer, config("sqlite", dsn))
	if writer, dsn = postgresSchema(t); dsn == "" {
		return
	}
	schemaFailures(t, writer, config("pgx", dsn))
	postgresFailures(t, writer, dsn)
}

// schemaFailures are those of every database.
func schemaFailures(t *testing.T, writer *sql.DB, cfg Config) {
	t.Helper()
	fails(t, "no such table", with(cfg, "select * from qy where id_no = :holder_code"), license.NoTable, "table qy does not exist")
	fails(t, "no such column", with(cfg, "select e.clrq from estate e where id_no = :holder_code"), license.NoColumn, "column e.clrq does not exist")
	fails(t, "column not selected", with(cfg, "select cert_no from estate where id_no = :holder_code"), license.NoColumn, "column area does not exist")
	fails(t, "no SQL", with(cfg, "select from where where :holder_code"), license.BadStatement, "refuses the configured query")
	exec(t, writer, "update estate set issued = '31.02.2021' where id_no = '"+adaptertest.Person(0).Code+"'")
	fails(t, "no day", cfg, license.NotADay, "row 1, column issued cannot be mapped: not a day")
	exec(t, writer, "update estate set issued = '20210228', status = '贰' where id_no = '"+adaptertest.Person(0).Code+"'")
	fails(t, "unlisted code", cfg, license.UnlistedCode, "row 1, column status cannot be mapped: the code is not in the table of list")
	fails(t, "everybody's", with(cfg, "select * from estate where :holder_code <> '' and id_no <> '"+adaptertest.Person(0).Code+"' and status = '1' limit 1"), license.OtherHolder, "another holder")
}

// postgresFailures are those that need an account.
func postgresFailures(t *testing.T, writer *sql.DB, dsn string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Log("ONCEGATE_TEST_POSTGRES is no URL: accounts were not tried")
		return
	}
	secure := *u
	secure.RawQuery = strings.Replace(u.RawQuery, "sslmode=disable", "sslmode=require", 1)
	fails(t, "no TLS", config("pgx", secure.String()), license.TLSFailed, "does not speak TLS")
	missing := *u
	missing.Path = "/nowhere_at_all"
	fails(t, "no such database", config("pgx", missing.String()), license.NoDatabase, "SQLSTATE 3D000")

	role := fmt.Sprintf("stcward_%d", os.Getpid())
	exec(t, writer, "do $$ begin create role oncegate_password nologin; exception when duplicate_object or unique_violation then null; end $$")
	exec(t, writer, "create role "+role+" login password 'right' in role oncegate_password")
	defer exec(t, writer, "drop role "+role)
	wrong, right := *u, *u
	wrong.User, right.User = url.UserPassword(role, "gcheim"), url.UserPassword(role, "right")
	db, err := sql.Open("pgx", wrong.String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if db.PingContext(t.Context()) == nil {
		t.Log("the server trusts everybody: a wrong password was not tried")
	} else {
		fails(t, "wrong password", config("pgx", wrong.String()), license.Authentication, "SQLSTATE 28P01")
	}
	var schema string
	if err := writer.QueryRow("select current_schema()").Scan(&schema); err != nil {
		t.Fatal(err)
	}
	exec(t, writer, "grant usage on schema "+schema+" to "+role)
	defer exec(t, writer, "revoke all on schema "+schema+" from "+role)
	fails(t, "not permitted", config("pgx", right.String()), license.Forbidden, "SQLSTATE 42501")
	hang := with(config("pgx", dsn+"&statement_timeout=50"), "select e.* from estate e, pg_sleep(60) where id_no = :holder_code")
	fails(t, "statement timeout", hang, license.TimedOut, "in time")
}

// A name is taken from a message only where the configured statement has it: else it may be a value.
func TestNamesAreOfTheStatement(t *testing.T) {
	for message, name := range map[string]string{"SQL logic error: no such column: clrq (1)": "clrq", "SQL logic error: no such column: 11010519491231002X (1)": ""} {
		e := failed(coded(message), "select clrq from qy where dm = ?")
		if e.Cause != license.NoColumn || e.Name != name || strings.Contains(e.Error(), "1101") {
			t.Errorf("%s: %+v", message, *e)
		}
	}
	if e := failed(errors.New("password gcheim of stcward at 11010519491231002X"), "select 1"); e.Cause != license.OtherCause || e.Code+e.Detail+e.Name != "" {
		t.Errorf("%+v", *e)
	}
	for position, want := range map[int]string{0: "", 8: "乙.丙", 14: "q", 99: ""} {
		if got := identifierAt(`select "乙".丙 q`, position); got != want {
			t.Errorf("%d: %q, want %q", position, got, want)
		}
	}
}

// coded is an error of SQLite.
type coded string

func (c coded) Error() string { return string(c) }
func (coded) Code() int       { return 1 }
