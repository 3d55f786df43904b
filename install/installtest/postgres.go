package installtest

import (
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oncegate/config"
)

// A Database is one of a test's own on the PostgreSQL that ONCEGATE_TEST_POSTGRES names.
type Database struct {
	T     testing.TB
	Name  string
	URL   *url.URL
	admin *sql.DB // of the server
}

// NewDatabase makes an empty database that is dropped at the end of the test; nil where there is no server, which the test's log says.
func NewDatabase(t testing.TB) *Database {
	t.Helper()
	text := os.Getenv("ONCEGATE_TEST_POSTGRES")
	if text == "" {
		t.Log("ONCEGATE_TEST_POSTGRES is not set: nothing is tried on PostgreSQL")
		return nil
	}
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal("ONCEGATE_TEST_POSTGRES is no URL")
	}
	d := &Database{T: t, Name: "oncegate_" + strings.ToLower(rand.Text()[:16])}
	if d.admin, err = sql.Open("pgx", text); err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + d.Name
	d.URL = u
	d.Do("CREATE DATABASE " + d.Name)
	t.Cleanup(func() {
		d.Do("DROP DATABASE " + d.Name + " WITH (FORCE)")
		d.admin.Close()
	})
	return d
}

// Do runs a statement as the server's administrator.
func (d *Database) Do(statement string) {
	d.T.Helper()
	if _, err := d.admin.Exec(statement); err != nil {
		d.T.Fatal(err)
	}
}

// Count is the number that a query of the server's administrator returns.
func (d *Database) Count(query string) (n int) {
	d.T.Helper()
	if err := d.admin.QueryRow(query).Scan(&n); err != nil {
		d.T.Fatal(err)
	}
	return n
}

// In runs a statement within the database.
func (d *Database) In(statement string) {
	d.T.Helper()
	db, err := sql.Open("pgx", d.URL.String())
	if err != nil {
		d.T.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		d.T.Fatal(err)
	}
}

// A Role logs in to the database with a password.
type Role struct {
	Name string
	d    *Database
}

// passwordGroup is the group whose members the server of test.sh asks for passwords; it trusts everybody else.
const passwordGroup = "oncegate_password"

// NewRole makes a role that logs in with a password, and owns the database.
func (d *Database) NewRole(password string) *Role {
	d.T.Helper()
	r := &Role{Name: d.Name + "_user", d: d}
	d.Do(`DO $$ BEGIN CREATE ROLE ` + passwordGroup + ` NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`)
	d.Do("CREATE ROLE " + r.Name + " LOGIN PASSWORD '" + password + "' IN ROLE " + passwordGroup)
	d.Do("ALTER DATABASE " + d.Name + " OWNER TO " + r.Name)
	d.T.Cleanup(func() { // before the database goes
		d.Do("ALTER DATABASE " + d.Name + " OWNER TO CURRENT_USER")
		d.In("REASSIGN OWNED BY " + r.Name + " TO CURRENT_USER")
		d.In("DROP OWNED BY " + r.Name)
		d.Do("DROP ROLE " + r.Name)
	})
	return r
}

// SetPassword changes the role's password on the server.
func (r *Role) SetPassword(password string) {
	r.d.T.Helper()
	r.d.Do("ALTER ROLE " + r.Name + " PASSWORD '" + password + "'")
}

// URL is the connection string with a password.
func (r *Role) URL(password string) string {
	u := *r.d.URL
	u.User = url.UserPassword(r.Name, password)
	return u.String()
}

// Asked reports whether the server asks for passwords at all; one that trusts everybody cannot show that a wrong one is refused.
func (r *Role) Asked() bool {
	db, err := sql.Open("pgx", r.URL("surely wrong"))
	if err != nil {
		return true
	}
	defer db.Close()
	return db.Ping() != nil
}

// OnPostgres moves an installation that was not used yet to PostgreSQL: its log begins there anew. The connection string stands in the
// file "dsn".
func (c *City) OnPostgres(dsn string) {
	c.T.Helper()
	for _, dir := range []string{"data", "mark"} {
		if err := os.RemoveAll(filepath.Join(c.Dir, dir)); err != nil {
			c.T.Fatal(err)
		}
	}
	c.Write("dsn", []byte(dsn))
	c.Edit(config.MainFile, "driver: sqlite", "driver: postgres", "path: data/oncegate.db", "dsn_file: dsn")
	c.Prepare()
}
