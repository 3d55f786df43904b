package sqldb

import (
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"oncegate/adapters/adaptertest"
	"oncegate/adapters/mapping"
	"oncegate/license"
)

// mariaDB makes a database of its own on the server that ONCEGATE_TEST_MARIADB names, a DSN of an account that may make databases. It
// returns a connection that writes there and the DSN.
func mariaDB(t *testing.T, name string) (*sql.DB, string) {
	t.Helper()
	server := os.Getenv("ONCEGATE_TEST_MARIADB")
	if server == "" {
		t.Skip("ONCEGATE_TEST_MARIADB is not set: the adapter was not tried on MariaDB")
	}
	cfg, err := mysql.ParseDSN(server)
	if err != nil {
		t.Fatal("ONCEGATE_TEST_MARIADB is no DSN of MySQL")
	}
	open := func(database string) *sql.DB {
		c := cfg.Clone()
		c.DBName = database
		db, err := sql.Open("mysql", c.FormatDSN())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	name = fmt.Sprintf("oncegate_%s_%d", name, os.Getpid())
	admin := open("")
	exec(t, admin, "drop database if exists "+name)
	exec(t, admin, "create database "+name+" character set utf8mb4")
	t.Cleanup(func() { exec(t, admin, "drop database "+name) })
	cfg.DBName = name
	return open(name), cfg.FormatDSN()
}

// TestMariaDB: the suite holds on MariaDB.
func TestMariaDB(t *testing.T) {
	writer, dsn := mariaDB(t, "suite")
	writer.SetMaxOpenConns(1) // the suite counts goroutines, of which every connection has one
	fill(t, writer, question)
	suite(t, writer, config("mysql", dsn), "create view estate as select a.* from away a where sleep(60) = 0", func() {
		// The server goes on with a query whose client has gone, and keeps the tables from being renamed.
		var ids sql.NullString
		if err := writer.QueryRow("select group_concat(id) from information_schema.processlist where db = database() and id <> connection_id() and info like 'select%'").Scan(&ids); err != nil {
			t.Fatal(err)
		}
		for id := range strings.SplitSeq(ids.String, ",") {
			_, _ = writer.Exec("kill ?", id) // it may have ended by itself
		}
	})
}

// TestMariaDBReads: what the columns of old MySQL databases hold comes as what it means, or not at all.
func TestMariaDBReads(t *testing.T) {
	writer, dsn := mariaDB(t, "reads")
	fill(t, writer, question)
	old, err := writer.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	do := func(statement string, args ...any) {
		t.Helper()
		if _, err := old.ExecContext(t.Context(), statement, args...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	do("set session sql_mode = '', time_zone = '+00:00'") // as they are: anything goes into a DATE
	for _, c := range []struct {
		declared string
		value    any
		as       string // how the query selects it
		issued   mapping.Value
		want     license.Date // "" for unavailable
	}{
		{"date", "2003-05-06", "v", mapping.Value{}, "2003-05-06"},
		{"datetime", "2003-05-06 23:59:59", "v", mapping.Value{}, "2003-05-06"},
		{"datetime(6)", "2003-05-06 23:59:59.999999", "v", mapping.Value{}, "2003-05-06"},
		{"timestamp", "2003-05-06 16:30:00", "v", mapping.Value{}, "2003-05-07"}, // written in UTC: it is the 7th in China
		{"date", "0000-00-00", "v", mapping.Value{}, ""},
		{"date", "0000-00-00", "nullif(v, '0000-00-00')", mapping.Value{}, "not stated"},
		{"date", "2003-05-00", "v", mapping.Value{}, ""},
		{"date", "2003-02-29", "v", mapping.Value{}, ""}, // MySQL makes 0000-00-00 of it
		{"date", nil, "v", mapping.Value{}, "not stated"},
		{"int", 20030506, "v", mapping.Value{}, "2003-05-06"},
		{"bigint unsigned", uint64(1<<63 + 1), "v", mapping.Value{}, ""},
		{"decimal(10,0)", 20030506, "v", mapping.Value{}, "2003-05-06"},
		{"char(20)", "20030506", "v", mapping.Value{}, "2003-05-06"},
		{"varchar(20)", "2003.5.6", "v", mapping.Value{Layouts: []string{"yyyy.M.d"}}, "2003-05-06"},
		{"int", 1052236800, "v", mapping.Value{Layouts: []string{"unix-s"}}, "2003-05-07"}, // 16:00 UTC
		{"tinyint(1)", 1, "case v when 1 then '2003-05-06' end", mapping.Value{}, "2003-05-06"},
		{"bit(1)", []byte{1}, "v", mapping.Value{}, ""},
		{"bit(1)", []byte{1}, "case v + 0 when 1 then '2003-05-06' end", mapping.Value{}, "2003-05-06"},
	} {
		do("drop table if exists d")
		do("create table d (v " + c.declared + " null)")
		do("insert into d values (?)", c.value)
		cfg := config("mysql", dsn+"?parseTime=true&loc=Local") // without effect
		cfg.Queries[0].SQL = "select e.*, " + c.as + " as v from estate e, d where id_no = :holder_code"
		c.issued.From = "v"
		cfg.Queries[0].Record.Issued = c.issued
		f := ask(t, cfg, 0)
		switch {
		case c.want == "" && f.State != license.IsUnavailable:
			t.Errorf("%v in %s by %q: %+v", c.value, c.declared, c.as, f)
		case c.want == "not stated" && (f.State != license.IsFound || f.Records[0].Issued != ""):
			t.Errorf("%v in %s by %q: %+v, %v", c.value, c.declared, c.as, f, f.Err)
		case c.want != "" && c.want != "not stated" && (f.State != license.IsFound || f.Records[0].Issued != c.want):
			t.Errorf("%v in %s by %q: %+v, %v; want %s", c.value, c.declared, c.as, f.Records, f.Err, c.want)
		}
	}
}

// TestMariaDBCharsets: Chinese in columns of old character sets comes as what it is.
func TestMariaDBCharsets(t *testing.T) {
	writer, dsn := mariaDB(t, "charsets")
	fill(t, writer, question)
	gbk := []byte{0xD5, 0xC5, 0xC8, 0xFD} // 张三
	exec(t, writer, "create table p (u varchar(20) character set utf8mb3, g varchar(20) character set gbk, l varchar(20) character set latin1, code char(30) character set gbk)")
	exec(t, writer, "insert into p values ('张三', '张三', ?, ?)", "", adaptertest.Person(0).Code)
	exec(t, writer, "update p set l = cast(? as binary)", gbk) // GBK bytes in a latin1 column
	for as, want := range map[string]string{"u": "张三", "g": "张三", "convert(cast(l as binary) using gbk)": "张三"} {
		cfg := config("mysql", dsn)
		cfg.Queries[0].SQL = "select e.*, " + as + " as owner2 from estate e join p on p.code = e.id_no where p.code = :holder_code and e.id_type = :holder_type"
		cfg.Queries[0].Record.Holders.Name = mapping.Value{From: "owner2"}
		if f := ask(t, cfg, 0); f.State != license.IsFound || f.Records[0].Holders[0].Name != want {
			t.Errorf("%s: %+v, %v", as, f.Records, f.Err)
		}
	}
}

// TestMariaDBWritesNothing: the transaction is read-only, whatever the account may do, and all questions of a call see one state.
func TestMariaDBWritesNothing(t *testing.T) {
	writer, dsn := mariaDB(t, "writes")
	fill(t, writer, question)
	exec(t, writer, "create table seen (n int) engine = MyISAM") // knows no transactions
	exec(t, writer, "create function see() returns int modifies sql data begin insert into seen values (1); return 1; end")
	cfg := config("mysql", dsn)
	cfg.Queries[0].SQL = "select e.*, see() from estate e where id_no = :holder_code"
	if f := ask(t, cfg, 0); f.State != license.IsUnavailable {
		t.Errorf("a query that writes: %+v", f)
	}
	var n int
	if err := writer.QueryRow("select count(*) from seen").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows were written, %v", n, err)
	}

	between := func() {}
	src, err := Open(config("mysql", dsn), adaptertest.Catalogue(), Deps{Now: func() time.Time { between(); return time.Now() }})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	q := license.Question{Type: adaptertest.Type, Holder: adaptertest.Person(0).HolderID}
	exec(t, writer, "set global transaction isolation level read committed") // a server may be set so
	defer exec(t, writer, "set global transaction isolation level repeatable read")
	between = func() { exec(t, writer, "update estate set status = '3'") }
	findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{q, q}})
	if err != nil || len(findings) != 2 || findings[0].State != license.IsFound || findings[1].State != license.IsFound || findings[0].Records[0].Status != findings[1].Records[0].Status {
		t.Errorf("two questions of one call: %+v, %v", findings, err)
	}
}

// TestMariaDBLongAnswer: an answer of too many rows is refused without being read to its end.
func TestMariaDBLongAnswer(t *testing.T) {
	writer, dsn := mariaDB(t, "long")
	fill(t, writer, question)
	cfg := config("mysql", dsn)
	cfg.Queries[0].SQL = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000000) select e.* from estate e, n, n m where :holder_code <> ''"
	src, err := Open(cfg, adaptertest.Catalogue(), Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	exec(t, writer, "set global max_recursive_iterations = 4294967295")
	findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{{Type: adaptertest.Type, Holder: adaptertest.Person(0).HolderID}}})
	if err != nil || findings[0].State != license.IsUnavailable || !strings.Contains(fmt.Sprint(findings[0].Err), "more than 1000 rows") {
		t.Errorf("%+v, %v", findings, err)
	}
}

// TestMariaDBCauses: what a steward gets wrong first is told apart.
func TestMariaDBCauses(t *testing.T) {
	writer, dsn := mariaDB(t, "causes")
	fill(t, writer, question)
	server, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, writer, "create or replace user oncegate_reader@localhost identified by 'reads'")
	defer exec(t, writer, "drop user oncegate_reader@localhost")
	for name, c := range map[string]struct {
		change func(*mysql.Config)
		sql    string
		want   license.SourceError
	}{
		"password": {func(c *mysql.Config) { c.Passwd = "wrong" }, "", license.SourceError{Cause: license.Authentication, Code: "MySQL 1045"}},
		"database": {func(c *mysql.Config) { c.DBName = "nowhere" }, "", license.SourceError{Cause: license.NoDatabase, Code: "MySQL 1049"}},
		"rights":   {func(c *mysql.Config) { c.User, c.Passwd, c.DBName = "oncegate_reader", "reads", "information_schema" }, "select * from mysql.user where user = :holder_code", license.SourceError{Cause: license.Forbidden, Code: "MySQL 1142"}},
		"port":     {func(c *mysql.Config) { c.Addr = "127.0.0.1:1" }, "", license.SourceError{Cause: license.ConnectionRefused}},
		"TLS":      {func(c *mysql.Config) { c.TLSConfig = "true" }, "", license.SourceError{Cause: license.TLSFailed}},
		"table":    {nil, "select * from estates where id_no = :holder_code", license.SourceError{Cause: license.NoTable, Name: "estates", Code: "MySQL 1146"}},
		"column":   {nil, "select ID_NUMBER from estate where id_no = :holder_code", license.SourceError{Cause: license.NoColumn, Name: "ID_NUMBER", Code: "MySQL 1054"}},
		"mapped":   {nil, "select cert_no from estate where id_no = :holder_code", license.SourceError{Cause: license.NoColumn, Name: "area"}},
		"syntax":   {nil, "select cert_no form estate where id_no = :holder_code", license.SourceError{Cause: license.BadStatement, Code: "MySQL 1064"}},
		"slow":     {func(c *mysql.Config) { c.Params = map[string]string{"max_statement_time": "0.05"} }, "select sleep(60), e.* from estate e where id_no = :holder_code", license.SourceError{Cause: license.TimedOut, Code: "MySQL 1969"}},
	} {
		own := server.Clone()
		if c.change != nil {
			c.change(own)
		}
		cfg := config("mysql", own.FormatDSN())
		if c.sql != "" {
			cfg.Queries[0].SQL = c.sql
		}
		src, err := Open(cfg, adaptertest.Catalogue(), Deps{})
		if err != nil {
			t.Fatal(name, err)
		}
		findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{{Type: adaptertest.Type, Holder: adaptertest.Person(0).HolderID}}})
		if err == nil {
			err = findings[0].Err
		}
		var got *license.SourceError
		if !errors.As(err, &got) {
			t.Fatalf("%s: %v", name, err)
		}
		if got.Cause == license.TLSFailed {
			got.Detail = "" // the server has no TLS, or a certificate that nobody trusts
		}
		if *got != c.want {
			t.Errorf("%s: %#v, %v; want %#v", name, got, err, c.want)
		}
		src.Close()
	}
}

// TestMariaDBTLS: the server's certificate is verified, by the authority that ca names.
func TestMariaDBTLS(t *testing.T) {
	writer, dsn := mariaDB(t, "tls")
	fill(t, writer, question)
	server, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	var certificate []byte
	look := server.Clone()
	look.TLS = &tls.Config{InsecureSkipVerify: true, VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error { certificate = raw[0]; return nil }}
	connector, err := mysql.NewConnector(look)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	if err := db.Ping(); errors.Is(err, mysql.ErrNoTLS) {
		t.Skip("the MariaDB of the tests has no TLS: connections by ca were not tried")
	} else if err != nil {
		t.Fatal(err)
	}
	file := func(name string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other := httptest.NewTLSServer(nil)
	defer other.Close()
	for ca, found := range map[string]bool{file("its.pem", certificate): true, file("another.pem", other.Certificate().Raw): false, "": false} {
		own := server.Clone()
		own.TLSConfig = "true"
		cfg := config("mysql", own.FormatDSN())
		cfg.CA = ca
		src, err := Open(cfg, adaptertest.Catalogue(), Deps{})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		if err := src.Check(t.Context()); (err == nil) != found || err != nil && license.CauseOf(err) != license.TLSFailed {
			t.Errorf("by %q: %v", filepath.Base(ca), err)
		}
	}
}
