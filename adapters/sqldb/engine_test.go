package sqldb

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	mssql "github.com/microsoft/go-mssqldb"
	ora "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/network"

	"oncegate/adapters/adaptertest"
	"oncegate/adapters/secret"
	"oncegate/license"
)

// TestDSN: every linked driver takes its DSN, and refuses one that is of another, that would do more than ask, or over which others
// could read along.
func TestDSN(t *testing.T) {
	for _, c := range []struct{ driver, dsn, refused string }{
		{"mysql", "u@tcp(127.0.0.1:3306)/db", ""},
		{"mysql", "u@unix(/run/mysqld/mysqld.sock)/db?charset=gbk", ""},
		{"mysql", "u@tcp(10.1.2.3:3306)/db?tls=true&max_statement_time=10", ""},
		{"mysql", "u@tcp(10.1.2.3:3306)/db", "not protected by TLS"},
		{"mysql", "u@tcp(10.1.2.3:3306)/db?tls=skip-verify", "not protected by TLS"},
		{"mysql", "u@tcp(10.1.2.3:3306)/db?tls=preferred", "not protected by TLS"},
		{"mysql", "u@tcp(127.0.0.1:3306)/db?interpolateParams=true", "interpolateParams"},
		{"mysql", "u@tcp(127.0.0.1:3306)/db?multiStatements=true", "multiStatements"},
		{"mysql", "u@tcp(127.0.0.1:3306)/db?allowAllFiles=true", "allowAllFiles"},
		{"mysql", "mysql://u@127.0.0.1/db", "none of MySQL"},
		{"pgx", "postgres://u@localhost/db", ""},
		{"pgx", "host=/run/postgresql user=u", ""},
		{"pgx", "postgres://u@db.gov/db?sslmode=verify-full", ""},
		{"pgx", "postgres://u@db.gov/db?sslmode=require", "not protected by TLS"},
		{"pgx", "postgres://u@db.gov/db", "not protected by TLS"},
		{"pgx", "postgres://u@127.0.0.1,db.gov/db", "not protected by TLS"},
		{"pgx", "postgres://u@[/db", "none of PostgreSQL"},
		{"sqlserver", "sqlserver://u@127.0.0.1:1433?database=db", ""},
		{"sqlserver", "sqlserver://u@10.1.2.3:1433?database=db&encrypt=true", ""},
		{"sqlserver", "server=10.1.2.3;user id=u;database=db;encrypt=true", ""},
		{"sqlserver", "sqlserver://u@10.1.2.3:1433?database=db", "not protected by TLS"},
		{"sqlserver", "sqlserver://u@10.1.2.3:1433?database=db&encrypt=disable", "not protected by TLS"},
		{"sqlserver", "sqlserver://u@10.1.2.3:1433?database=db&encrypt=true&trustservercertificate=true", "not protected by TLS"},
		{"sqlserver", "sqlserver://u@10.1.2.3:port", "none of SQL Server"},
		{"oracle", "oracle://u@127.0.0.1:1521/orcl?client charset=ZHS16GBK", ""},
		{"oracle", "oracle://u@10.1.2.3:2484/orcl?SSL=true", ""},
		{"oracle", "oracle://u@10.1.2.3:1521/orcl", "not protected by TLS"},
		{"oracle", "oracle://u@10.1.2.3:1521/orcl?SSL=true&SSL VERIFY=false", "not protected by TLS"},
		{"oracle", "oracle://u@127.0.0.1:1521/orcl?TRACE FILE=x", "trace file"},
		{"oracle", "oracle://u@127.0.0.1/orcl", "none of Oracle"},
		{"oracle", "u@127.0.0.1:1521/orcl", "none of Oracle"},
	} {
		const password = "hunter2-secret"
		cfg := config(c.driver, c.dsn)
		cfg.Transaction = map[string]string{"sqlserver": plain}[c.driver]
		if c.driver == "oracle" {
			cfg.Queries[0].SQL = strings.Replace(cfg.Queries[0].SQL, ":number = ''", ":number is null", 1)
		}
		faults := cfg.Check(adaptertest.Catalogue())
		if c.refused == "" && len(faults) > 0 || c.refused != "" && (len(faults) != 1 || faults[0].Path != "$.dsn" || !strings.Contains(faults[0].Reason, c.refused)) {
			t.Errorf("%s: %v; want %q", c.dsn, faults, c.refused)
		}
		if c.refused == errPlain.Error() {
			cfg.AllowPlain = true
			if faults := cfg.Check(adaptertest.Catalogue()); len(faults) > 0 {
				t.Errorf("%s with allow_plain: %v", c.dsn, faults)
			}
			cfg.AllowPlain = false
		}
		// A password is warned of where it stands in the configuration, and never repeated: neither there nor from a secret.
		cfg.DSN = strings.Replace(strings.Replace(c.dsn, "u@", "u:"+password+"@", 1), "user id=u", "user id=u;password="+password, 1)
		if cfg.DSN == c.dsn {
			continue
		}
		faults = cfg.Check(adaptertest.Catalogue())
		if strings.Contains(faults.Fatal().Error()+faults[0].Reason, password) || c.refused == "" && (len(faults) != 1 || !faults[0].Warning) {
			t.Errorf("%s: %v", c.dsn, faults)
		}
		file := filepath.Join(t.TempDir(), "dsn")
		if err := os.WriteFile(file, []byte(cfg.DSN+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg.DSN, cfg.DSNSecret = "", secret.Ref{File: file}
		src, err := Open(cfg, adaptertest.Catalogue(), Deps{})
		if (err == nil) != (c.refused == "") || err != nil && (strings.Contains(err.Error(), password) || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s as a secret: %v", c.dsn, err)
		}
		if err == nil {
			src.Close()
		}
	}
}

func TestEngineFaults(t *testing.T) {
	for _, c := range []struct {
		driver, dsn, path string
		change            func(*Config)
	}{
		{"dm", "x", "$.driver", func(c *Config) { c.Placeholders = question }},
		{"sqlserver", "sqlserver://u@127.0.0.1", "$.transaction", func(*Config) {}},
		{"oracle", "oracle://u@127.0.0.1:1521/x", "$.queries[0].sql", func(*Config) {}}, // :number = '', which is null
		{"pgx", "postgres://u@127.0.0.1", "$.ca", func(c *Config) { c.CA = "ca.pem" }},
		{"mysql", "u@tcp(10.1.2.3:3306)/db?tls=true", "$.dsn", func(c *Config) { c.CA = "engine_test.go" }}, // no certificate
	} {
		cfg := config(c.driver, c.dsn)
		c.change(&cfg)
		if faults := cfg.Check(adaptertest.Catalogue()); len(faults) != 1 || faults[0].Path != c.path {
			t.Errorf("%s %s: %v; want one at %s", c.driver, c.dsn, faults, c.path)
		}
	}
}

// TestSQLServerBinds: plain codes are sent as VARCHAR, so that the index of a VARCHAR column serves; what VARCHAR may not hold is not.
func TestSQLServerBinds(t *testing.T) {
	e := engines["sqlserver"]
	if v, ok := e.argument("91330100MA27XF1Y2K").(mssql.VarChar); !ok || v != "91330100MA27XF1Y2K" {
		t.Errorf("%T", e.argument("91330100MA27XF1Y2K"))
	}
	if v, ok := e.argument("浙(2021)第1号").(string); !ok || v != "浙(2021)第1号" {
		t.Errorf("%T", e.argument("浙(2021)第1号"))
	}
}

// TestOracleNumbers: a NUMBER of eighteen digits is a text, as the driver decodes it.
func TestOracleNumbers(t *testing.T) {
	for _, want := range []string{"330102199003071234", "20030506", "0", "-1"} {
		n, err := ora.NewNumberFromString(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := n.String(); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

// TestTexts: what other drivers make of values, and a DATE of Oracle, which has a time of day.
func TestTexts(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{uint64(1 << 63), "9223372036854775808"}, {float32(0.1), "0.1"}, {[]byte("12.50"), "12.50"}, {[]byte{1}, ""}, {[]byte("a\tb"), "a\tb"}, {true, "true"},
	} {
		if got, err := (engine{}).text(c.value, nil, 0); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v: %q, %v; want %q", c.value, got, err, c.want)
		}
	}
	day := time.Date(2003, 5, 6, 0, 0, 0, 0, license.Shanghai())
	for _, c := range []struct{ driver, column, want string }{
		{"oracle", "DATE", "2003-05-06 00:00:00"}, {"sqlserver", "DATE", "2003-05-06"}, {"sqlserver", "DATETIME2", "2003-05-06 00:00:00"},
		{"sqlserver", "DATETIMEOFFSET", "2003-05-06T00:00:00+08:00"}, {"oracle", "TIMESTAMPTZ", "2003-05-06T00:00:00+08:00"},
	} {
		if got, err := engines[c.driver].formatTime(day, c.column); got != c.want || err != nil {
			t.Errorf("%s %s: %q, %v; want %q", c.driver, c.column, got, err, c.want)
		}
	}
}

// TestCauses: errors of every linked driver have a cause and the driver's number, and repeat no value.
func TestCauses(t *testing.T) {
	const statement = "select ZZBH from DJ.ZZXX where DM = ?"
	for _, c := range []struct {
		err  error
		want license.SourceError
	}{
		{&mysql.MySQLError{Number: 1146, Message: "Table 'dj.zzxx' doesn't exist"}, license.SourceError{Cause: license.NoTable, Name: "zzxx", Code: "MySQL 1146"}},
		{&mysql.MySQLError{Number: 1054, Message: "Unknown column 'zzbh' in 'field list'"}, license.SourceError{Cause: license.NoColumn, Name: "zzbh", Code: "MySQL 1054"}},
		{&mysql.MySQLError{Number: 1146, Message: "Table '张三' doesn't exist"}, license.SourceError{Cause: license.NoTable, Code: "MySQL 1146"}},
		{&mysql.MySQLError{Number: 1064, SQLState: [5]byte([]byte("42000"))}, license.SourceError{Cause: license.BadStatement, Code: "MySQL 1064"}},
		{&mysql.MySQLError{Number: 9999}, license.SourceError{Cause: license.OtherCause, Code: "MySQL 9999"}},
		{mysql.ErrNoTLS, license.SourceError{Cause: license.TLSFailed}},
		{mysql.ErrInvalidConn, license.SourceError{Cause: license.Disconnected}},
		{mssql.Error{Number: 208, Message: "Invalid object name 'dj.zzxx'."}, license.SourceError{Cause: license.NoTable, Name: "zzxx", Code: "SQL Server 208"}},
		{mssql.Error{Number: 207, Message: "列名 'DM' 无效。"}, license.SourceError{Cause: license.NoColumn, Name: "DM", Code: "SQL Server 207"}},
		{mssql.Error{Number: 18456, Message: "Login failed for user 'u'."}, license.SourceError{Cause: license.Authentication, Code: "SQL Server 18456"}},
		{mssql.Error{Number: 1222}, license.SourceError{Cause: license.Busy, Code: "SQL Server 1222"}},
		{&network.OracleError{ErrCode: 942, ErrMsg: "ORA-00942: table or view does not exist"}, license.SourceError{Cause: license.NoTable, Code: "ORA-00942"}},
		{&network.OracleError{ErrCode: 904, ErrMsg: `ORA-00904: "Z"."ZZBH": invalid identifier`}, license.SourceError{Cause: license.NoColumn, Name: "ZZBH", Code: "ORA-00904"}},
		{&network.OracleError{ErrCode: 1017}, license.SourceError{Cause: license.Authentication, Code: "ORA-01017"}},
		{&network.OracleError{ErrCode: 923}, license.SourceError{Cause: license.BadStatement, Code: "ORA-00923"}},
		{&network.OracleError{ErrCode: 12514}, license.SourceError{Cause: license.NoDatabase, Code: "ORA-12514"}},
	} {
		if got := failed(fmt.Errorf("query: %w", c.err), statement); *got != c.want {
			t.Errorf("%v: %+v; want %+v", c.err, *got, c.want)
		}
	}
}
