package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"oncegate/adapters/adaptertest"
	"oncegate/adapters/mapping"
	"oncegate/license"
)

// selectEstates asks for all holders of each license that the person holds.
const selectEstates = `
	select c.cert_no, c.status, c.issued, c.valid_to, c.owner, c.id_type, c.id_no, c.location, c.area, c.share
	from estate c -- one row per certificate and owner; don't miss :holder_code's partners
	where c.cert_no in (select cert_no from estate where id_no = :holder_code and id_type = :holder_type)
	  and (:number = '' or c.cert_no = :number)
	order by c.cert_no, c.pos`

func same(column string) string { return column }

func config(driver, dsn string) Config {
	return Config{ID: "estates", Driver: driver, DSN: dsn, Queries: []Query{{SQL: selectEstates, Record: adaptertest.Record(same)}}}
}

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// fill writes the legacy table.
func fill(t *testing.T, db *sql.DB, form string) {
	t.Helper()
	columns := adaptertest.Columns()
	exec(t, db, "create table estate (pos integer, "+strings.Join(columns, " varchar(200), ")+" varchar(200))")
	marks := make([]string, len(columns)+1)
	for i := range marks {
		if marks[i] = form; form == dollar {
			marks[i] = fmt.Sprintf("$%d", i+1)
		}
	}
	for n, row := range append(adaptertest.Rows(), adaptertest.BadRow()) {
		args := []any{n}
		for _, c := range columns {
			args = append(args, row[c])
		}
		exec(t, db, "insert into estate values ("+strings.Join(marks, ", ")+")", args...)
	}
}

// suite runs adaptertest on a database that a writer keeps open. Endless makes a view that is never read to its end, and end ends the
// queries of it that are left.
func suite(t *testing.T, writer *sql.DB, cfg Config, endless string, end func()) {
	adaptertest.Run(t, adaptertest.Subject{
		Bad: true,
		Open: func(t *testing.T) adaptertest.Source {
			src, err := Open(cfg, adaptertest.Catalogue(), Deps{})
			if err != nil {
				t.Fatal(err)
			}
			if err := src.Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
			return src
		},
		Break: func(t *testing.T) func() {
			exec(t, writer, "alter table estate rename to away")
			return func() { exec(t, writer, "alter table away rename to estate") }
		},
		Hang: func(t *testing.T) func() {
			exec(t, writer, "alter table estate rename to away")
			exec(t, writer, endless)
			return func() {
				end()
				exec(t, writer, "drop view estate")
				exec(t, writer, "alter table away rename to estate")
			}
		},
	})
}

func sqliteFile(t *testing.T) (*sql.DB, string) {
	path := filepath.Join(t.TempDir(), "estates.db")
	// A cancelled transaction is rolled back a moment after Find has returned, so the writer waits for its lock.
	writer, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { writer.Close() })
	fill(t, writer, question)
	return writer, "file:" + path + "?mode=ro"
}

func TestSQLite(t *testing.T) {
	writer, dsn := sqliteFile(t)
	suite(t, writer, config("sqlite", dsn), `create view estate as
		with recursive n(i) as (select 1 union all select i + 1 from n where i > 0)
		select 0 as pos, a.* from away a, n where i < 0`, func() {})
}

// TestPostgres runs on the database that ONCEGATE_TEST_POSTGRES names, in a schema of its own.
func TestPostgres(t *testing.T) {
	dsn := os.Getenv("ONCEGATE_TEST_POSTGRES")
	if dsn == "" {
		t.Log("ONCEGATE_TEST_POSTGRES is not set: the suite did not run on PostgreSQL")
		return
	}
	admin, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	schema := fmt.Sprintf("adapters_%d", os.Getpid())
	exec(t, admin, "create schema "+schema)
	defer exec(t, admin, "drop schema "+schema+" cascade")
	own := dsn + " search_path=" + schema
	if strings.Contains(dsn, "://") {
		own = dsn + "&search_path=" + schema
		if !strings.Contains(dsn, "?") {
			own = dsn + "?search_path=" + schema
		}
	}
	writer, err := sql.Open("pgx", own)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	fill(t, writer, dollar)
	cfg := config("pgx", own)
	t.Run("suite", func(t *testing.T) {
		suite(t, writer, cfg, `create view estate as select a.* from away a, pg_sleep(60)`, func() {})
	})
	t.Run("read only", func(t *testing.T) {
		exec(t, writer, "create sequence touched")
		cfg := config("pgx", own)
		cfg.Queries[0].SQL = "select nextval('touched')::text as cert_no, e.* from estate e where id_no = :holder_code"
		if f := ask(t, cfg, 0); f.State != license.IsUnavailable || !strings.Contains(f.Err.Error(), "25006") {
			t.Errorf("a query that writes: %q, %v", f.State, f.Err)
		}
	})
}

func ask(t *testing.T, cfg Config, person int) license.Finding {
	t.Helper()
	src, err := Open(cfg, adaptertest.Catalogue(), Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{{Type: adaptertest.Type, Holder: adaptertest.Person(person).HolderID}}})
	if err != nil {
		t.Fatal(err)
	}
	return findings[0]
}

// TestPrepared: the statement is prepared after the first call, outlives a changed table, and answers as before.
func TestPrepared(t *testing.T) {
	writer, dsn := sqliteFile(t)
	src, err := Open(config("sqlite", dsn), adaptertest.Catalogue(), Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var first []license.Finding
	for i := range 3 {
		if i == 2 {
			exec(t, writer, "alter table estate add column another text")
		}
		findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{{Type: adaptertest.Type, Holder: adaptertest.Person(0).HolderID}}})
		if err != nil || len(findings) != 1 || findings[0].State != license.IsFound {
			t.Fatal(i, findings, err)
		}
		if i == 0 {
			first = findings
		}
		if !reflect.DeepEqual(findings[0].Records, first[0].Records) {
			t.Errorf("call %d: %+v", i, findings)
		}
		if src.queries[adaptertest.Type].prepared.Load() == nil {
			t.Error("the statement is not prepared")
		}
	}
}

// TestNothingIsWritten: a statement that would write fails, alone or among others, however the file is opened.
func TestNothingIsWritten(t *testing.T) {
	writer, dsn := sqliteFile(t)
	count := func() (n int) {
		if err := writer.QueryRow("select count(*) from estate").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	for _, by := range []string{"mode=ro", "_query_only=1", "_pragma=query_only(1)"} {
		cfg := config("sqlite", strings.Replace(dsn, "mode=ro", by, 1))
		cfg.Queries[0].SQL = "with gone as (select 1) delete from estate where id_no = :holder_code returning *"
		src, err := Open(cfg, adaptertest.Catalogue(), Deps{})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		question := license.Question{Type: adaptertest.Type, Holder: adaptertest.Person(0).HolderID}
		for _, questions := range [][]license.Question{{question}, {question, question}, {question}} {
			findings, err := src.Find(t.Context(), license.Request{Questions: questions})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range findings {
				if f.State != license.IsUnavailable || f.Err == nil || !strings.Contains(f.Err.Error(), "SQLite 8") {
					t.Errorf("%s, one of %d: %q, %v", by, len(questions), f.State, f.Err)
				}
			}
		}
		if after := count(); after != before {
			t.Fatalf("%s: %d rows of %d are left", by, after, before)
		}
	}
}

// TestOneState: what is committed between two questions of a call is not seen by the second, and is by the next call.
func TestOneState(t *testing.T) {
	writer, dsn := sqliteFile(t)
	exec(t, writer, "pragma journal_mode = wal") // else the writer would wait for the call to end
	between := func() {}
	src, err := Open(config("sqlite", dsn), adaptertest.Catalogue(), Deps{Now: func() time.Time { between(); return time.Now() }})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	question := license.Question{Type: adaptertest.Type, Holder: adaptertest.Person(0).HolderID}
	statuses := func(questions ...license.Question) (all []license.Status) {
		findings, err := src.Find(t.Context(), license.Request{Questions: questions})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if f.State != license.IsFound {
				t.Fatal(f)
			}
			all = append(all, f.Records[0].Status)
		}
		return all
	}
	for range 2 { // as it is asked at first, and as it is asked when it is prepared
		exec(t, writer, "update estate set status = '1'")
		between = func() { exec(t, writer, "update estate set status = '3'") }
		if got := statuses(question, question); got[0] != license.Valid || got[1] != license.Valid {
			t.Errorf("two questions of one call see %v", got)
		}
		between = func() {}
		if got := statuses(question); got[0] != license.Revoked {
			t.Errorf("the next call sees %v", got)
		}
	}
}

// TestAnswersRefused: answers that are there but cannot be trusted are unavailable.
func TestAnswersRefused(t *testing.T) {
	_, dsn := sqliteFile(t)
	for name, c := range map[string]struct{ sql, reason string }{
		"too many rows":  {selectEstates[:strings.Index(selectEstates, "where")] + " where :holder_code <> ''", "more than 5 rows"},
		"everybody":      {"select * from estate where :holder_code <> '' limit 3", mapping.ErrOtherHolder.Error()},
		"column missing": {"select cert_no, status from estate where id_no = :holder_code", "column area does not exist"},
		"column twice":   {"select *, 1 as status from estate where id_no = :holder_code", "two columns are named status"},
		"blob":           {"select *, x'ff' as x from estate where id_no = :holder_code", "binary data"},
		"no such table":  {"select * from nowhere where id_no = :holder_code", "table nowhere does not exist; SQLite 1"},
		"fails half-way": {"select e.*, case when pos > 0 then 1 else abs(-9223372036854775808) end as x from estate e where :holder_code <> '' order by pos desc limit 100", ""},
		"joined twice":   {"select e.* from estate e, (select 1 union all select 2) where id_no = :holder_code", "a second time"},
	} {
		cfg := config("sqlite", dsn)
		cfg.MaxRows = 5
		cfg.Queries[0].SQL = c.sql
		f := ask(t, cfg, 0)
		if f.State != license.IsUnavailable || !strings.Contains(fmt.Sprint(f.Err), c.reason) {
			t.Errorf("%s: %q, %v; want unavailable, %q", name, f.State, f.Err, c.reason)
		}
	}
}

// TestDates: what drivers make of dates must come through as the day it is, or not at all.
func TestDates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dates.db")
	writer, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	fill(t, writer, question)
	for _, c := range []struct {
		declared string
		value    any
		layout   string
		want     license.Date // "" for unavailable
	}{
		{"date", "2021-05-06", "yyyy-MM-dd", "2021-05-06"},
		{"datetime", "2021-05-06 23:59:59", "yyyy-MM-dd HH:mm:ss", "2021-05-06"},
		{"text", "2021-05-06T16:30:00Z", "rfc3339", "2021-05-07"},
		{"integer", 1620318600, "unix-s", "2021-05-07"},
		{"text", "2021-02-29", "yyyy-MM-dd", ""},
		{"text", "0001-01-01", "yyyy-MM-dd", ""},
		{"text", "2021-05", "yyyy-MM-dd", ""},
		{"date", "20210506", "yyyyMMdd", "2021-05-06"}, // stored as a number, because a DATE column has numeric affinity
	} {
		exec(t, writer, "drop table if exists d")
		exec(t, writer, "create table d (day "+c.declared+")")
		exec(t, writer, "insert into d values (?)", c.value)
		cfg := config("sqlite", "file:"+path+"?mode=ro")
		cfg.Queries[0].SQL = "select e.*, d.day from estate e, d where id_no = :holder_code"
		cfg.Queries[0].Record.Issued = mapping.Value{From: "day", Layouts: []string{c.layout}}
		f := ask(t, cfg, 0)
		if c.want == "" && f.State != license.IsUnavailable || c.want != "" && (f.State != license.IsFound || f.Records[0].Issued != c.want) {
			t.Errorf("%v in a %s column by %s: %q %v, %v; want %q", c.value, c.declared, c.layout, f.State, f.Records, f.Err, c.want)
		}
	}
}

func TestCheckReportsAllFaults(t *testing.T) {
	cfg := Config{Driver: "dm", DSN: "x", Transaction: "maybe", MaxRows: -1, Queries: []Query{{SQL: "delete from estate"}}}
	var paths []string
	for _, f := range cfg.Check(adaptertest.Catalogue()) {
		paths = append(paths, f.Path)
	}
	for _, want := range []string{"$.placeholders", "$.transaction", "$", "$.queries[0].record.type", "$.queries[0].record.status"} {
		if !strings.Contains(strings.Join(paths, " ")+" ", want+" ") {
			t.Errorf("no fault at %s in %v", want, paths)
		}
	}
	for _, dsn := range []string{"file:x.db", "x.db?mode=rw", "x.db?mode=ro", "file:x.db?_query_only=0", "file:x#y.db?mode=ro", "file:x.db?a=b#&mode=ro", "file:x.db?mode=ro&mode=memory"} {
		if f := config("sqlite", dsn).Check(adaptertest.Catalogue()); len(f) != 1 || f[0].Path != "$.dsn" {
			t.Errorf("%s may write: %v", dsn, f)
		}
	}
	for _, dsn := range []string{"file:x.db?mode=ro", "file:x.db?_pragma=busy_timeout(100)&_pragma=query_only(1)"} {
		if f := config("sqlite", dsn).Check(adaptertest.Catalogue()); len(f) != 0 {
			t.Errorf("%s: %v", dsn, f)
		}
	}
}

func TestDatabaseAway(t *testing.T) {
	src, err := Open(config("sqlite", "file:"+filepath.Join(t.TempDir(), "none.db")+"?mode=ro"), adaptertest.Catalogue(), Deps{})
	if err != nil {
		t.Fatal("a database that is down at start is no error, but:", err)
	}
	defer src.Close()
	if err := src.Check(t.Context()); err == nil {
		t.Error("Check of a database that is not there")
	}
	findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{{Type: adaptertest.Type, Holder: adaptertest.Person(0).HolderID}}})
	if err == nil && findings[0].State != license.IsUnavailable {
		t.Errorf("%v", findings)
	}
}

// A department that commits to its file is not down: however it is asked, its lock is waited for, but no longer than the call's
// deadline and what the DSN says.
func TestLockedFile(t *testing.T) {
	writer, dsn := sqliteFile(t)
	conn, err := writer.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	must := func(statement string) {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Error(err)
		}
	}
	open := func(dsn string) *Source {
		t.Helper()
		src, err := Open(config("sqlite", dsn), adaptertest.Catalogue(), Deps{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { src.Close() })
		return src
	}
	q := license.Question{Type: adaptertest.Type, Holder: adaptertest.Person(0).HolderID}
	for _, by := range []string{"mode=ro", "_query_only=1"} {
		src := open(strings.Replace(dsn, "mode=ro", by, 1))
		find := func(questions ...license.Question) func() error {
			return func() error {
				findings, err := src.Find(t.Context(), license.Request{Questions: questions})
				for _, f := range findings {
					err = errors.Join(err, f.Err)
				}
				return err
			}
		}
		for _, c := range []struct {
			name string
			ask  func() error
		}{
			{"a question alone", find(q)},
			{"one whose statement is prepared", find(q)},
			{"two in a transaction", find(q, q)},
			{"a check", func() error { return src.Check(t.Context()) }},
		} {
			must("begin exclusive")
			committed := make(chan struct{})
			time.AfterFunc(50*time.Millisecond, func() {
				defer close(committed)
				must("commit")
			})
			if err := c.ask(); err != nil {
				t.Errorf("%s, %s: %v", by, c.name, err)
			}
			<-committed
		}
	}
	must("begin exclusive")
	defer must("commit")
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := open(dsn).Find(ctx, license.Request{Questions: []license.Question{q}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("until the deadline: %v", err)
	}
	for _, own := range []string{"_busy_timeout=0", "_timeout=0", "_pragma=busy_timeout(0)"} {
		findings, err := open(dsn+"&"+own).Find(t.Context(), license.Request{Questions: []license.Question{q}})
		if err != nil || findings[0].State != license.IsUnavailable || !strings.Contains(findings[0].Err.Error(), "SQLite 5") {
			t.Errorf("%s: %+v, %v", own, findings, err)
		}
	}
	if took := time.Since(begun); took > lockWait/2 {
		t.Errorf("a lock was waited for as long as %s", took)
	}
}

// TestColumnsInAnyCase: a mapping may write columns in another case than the database names them, unless that could mean two.
func TestColumnsInAnyCase(t *testing.T) {
	_, dsn := sqliteFile(t)
	for selected, found := range map[string]bool{
		`issued as "ISSUED"`: true, `'19990101' as "ISSUED", issued`: true, `issued as "ISSUED", issued as "Issued"`: false, `issued as "IS SUED"`: false,
	} {
		cfg := config("sqlite", dsn)
		cfg.Queries[0].SQL = "select cert_no, status, valid_to, owner, id_type, id_no, location, area, share, " + selected + " from estate where id_no = :holder_code"
		f := ask(t, cfg, 0)
		if (f.State == license.IsFound) != found || found && f.Records[0].Issued != "2021-05-01" {
			t.Errorf("%s: %+v", selected, f)
		}
	}
}
