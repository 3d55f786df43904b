package sqldb

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"oncegate/adapters/adaptertest"
	"oncegate/license"
)

// postgresSchema is a schema of the test's own on the database that ONCEGATE_TEST_POSTGRES names, and a DSN that leads there; "" without one.
func postgresSchema(t *testing.T) (*sql.DB, string) {
	t.Helper()
	dsn := os.Getenv("ONCEGATE_TEST_POSTGRES")
	if dsn == "" {
		t.Log("ONCEGATE_TEST_POSTGRES is not set: the test did not run on PostgreSQL")
		return nil, ""
	}
	admin, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	schema := fmt.Sprintf("%s_%d", strings.ToLower(t.Name()), os.Getpid())
	exec(t, admin, "create schema "+schema)
	t.Cleanup(func() {
		exec(t, admin, "drop schema "+schema+" cascade")
		admin.Close()
	})
	own := dsn + " search_path=" + schema
	if strings.Contains(dsn, "://") {
		own = dsn + map[bool]string{true: "&", false: "?"}[strings.Contains(dsn, "?")] + "search_path=" + schema
	}
	writer, err := sql.Open("pgx", own)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { writer.Close() })
	fill(t, writer, dollar)
	return writer, own
}

// A schema that changes under a running source is told, by the name of what is gone, and never breaks it for good: as soon as the schema
// fits again the source answers, with the same connections.
func TestDrift(t *testing.T) {
	writer, dsn := sqliteFile(t)
	drift(t, writer, config("sqlite", dsn))
	if writer, dsn = postgresSchema(t); dsn != "" {
		drift(t, writer, config("pgx", dsn))
	}
}

func drift(t *testing.T, writer *sql.DB, cfg Config) {
	for _, all := range []bool{false, true} { // columns by name, and select *
		if all {
			cfg.Queries = []Query{{SQL: "select * from estate where id_no = :holder_code", Record: cfg.Queries[0].Record}}
		}
		src, err := Open(cfg, adaptertest.Catalogue(), Deps{})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		question := license.Question{Type: adaptertest.Type, Holder: adaptertest.Person(0).HolderID}
		for _, n := range []int{1, 2} { // alone, and in a transaction of several
			found := func(when string) {
				t.Helper()
				for range 3 { // the second prepares, the third asks by it
					findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{question, question}[:n]})
					if err != nil || findings[0].State != license.IsFound || findings[n-1].State != license.IsFound {
						t.Fatalf("%s, %s: %+v, %v", cfg.Driver, when, findings, err)
					}
				}
				if src.queries[adaptertest.Type].prepared.Load() == nil {
					t.Errorf("%s, %s: the statement is not prepared", cfg.Driver, when)
				}
			}
			gone := func(cause license.Cause, says string) {
				t.Helper()
				findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{question, question}[:n]})
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range findings {
					var e *license.SourceError
					if !errors.As(f.Err, &e) || e.Cause != cause || !strings.HasPrefix(e.Error(), says) || !errors.Is(f.Err, license.ErrFaulty) || !errors.Is(f.Err, license.ErrUnanswerable) {
						t.Errorf("%s: %v; want %s", cfg.Driver, f.Err, says)
					}
				}
			}
			found("at first")
			exec(t, writer, "alter table estate add column another text")
			found("after a column was added")
			exec(t, writer, "alter table estate drop column another")
			found("after a column was dropped")
			if cfg.Driver == "pgx" {
				exec(t, writer, "alter table estate alter column location type text")
				found("after a column's type was changed")
				exec(t, writer, "alter table estate alter column location type varchar(200)")
			}
			exec(t, writer, "alter table estate rename column status to zt")
			column := "c.status"
			if all || cfg.Driver == "mysql" { // which names columns without their table
				column = "status"
			}
			gone(license.NoColumn, "column "+column+" is gone: the schema has changed")
			exec(t, writer, "alter table estate rename column zt to status")
			found("when the column is back")
			exec(t, writer, "alter table estate rename to away")
			gone(license.NoTable, "table estate is gone: the schema has changed")
			exec(t, writer, "alter table away rename to estate")
			found("when the table is back")
		}
	}
}

func TestDriftOnMariaDB(t *testing.T) {
	writer, dsn := mariaDB(t, "drift")
	fill(t, writer, question)
	drift(t, writer, config("mysql", dsn))
}
