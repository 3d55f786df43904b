package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oncegate/install/installtest"
	"oncegate/language"
)

// do runs the program in this process and returns its exit code and what it printed.
func do(t *testing.T, l language.Language, args ...string) (code int, printed string) {
	t.Helper()
	var out bytes.Buffer
	term := &terminal{in: strings.NewReader(""), out: &out, err: &out, Printer: catalogue.Printer(l)}
	code = run(t.Context(), args, term)
	return code, out.String()
}

// A gateway on PostgreSQL from its first minute: init, check, and a node. What is wrong with the database is said in a sentence that says
// what to do, in both languages, and nothing was written then.
func TestInitOnPostgres(t *testing.T) {
	d := installtest.NewDatabase(t)
	if d == nil {
		return
	}
	role := d.NewRole("s3cret-right")
	dir := t.TempDir()
	dsn, home := filepath.Join(dir, "dsn"), filepath.Join(dir, "gateway")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(dsn, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dsn, mode); err != nil {
			t.Fatal(err)
		}
	}
	right := role.URL("s3cret-right")
	stranger := strings.Replace(right, role.Name, "nobody_"+d.Name, 1)
	for _, test := range []struct {
		name, dsn string
		mode      os.FileMode
		english   string
		chinese   string
	}{
		{"wrong password", role.URL("s3cret-wrong"), 0o600, "refuses the password of user " + role.Name, "不接受用户"},
		{"no such role", stranger, 0o600, "CREATE ROLE nobody_", "不允许用户"},
		{"missing database", strings.Replace(right, "/"+d.Name+"?", "/none_"+d.Name+"?", 1), 0o600, "CREATE DATABASE none_", "没有数据库"},
		{"nobody answers", "postgres://u:s3cret-right@127.0.0.1:1/d?sslmode=disable", 0o600, "nothing answers at 127.0.0.1, port 1", "无应答"},
		{"not a connection string", "once upon a time", 0o600, "postgres://USER:PASSWORD@HOST", "连接串无法解析"},
		{"empty", "\n", 0o600, "is empty", "为空"},
		{"writable by others", right, 0o602, "set its mode to 0600", "权限设为 0600"},
	} {
		if !role.Asked() && strings.Contains(test.dsn, "s3cret-wrong") {
			t.Log("this server asks nobody for a password")
			continue
		}
		write(test.dsn, test.mode)
		for l, want := range map[language.Language]string{language.English: test.english, language.Chinese: test.chinese} {
			code, printed := do(t, l, "init", home, "--store", "postgres", "--dsn-file", dsn, "--cost", "10")
			if code != exitNo || !strings.Contains(printed, want) || strings.Count(printed, "\n") != 1 {
				t.Errorf("%s: exit code %d, %q has no %q", test.name, code, printed, want)
			}
			if strings.Contains(printed, "s3cret") {
				t.Errorf("%s: the password is shown: %s", test.name, printed)
			}
		}
	}
	write(right, 0o600)
	for setting, want := range map[string]string{
		"synchronous_commit = off": "weak durability: synchronous_commit is off",
		"search_path = pg_catalog": "ALTER DATABASE " + d.Name + " OWNER TO", // no schema in which tables may be made
	} {
		d.Do("ALTER ROLE " + role.Name + " SET " + setting)
		if code, printed := do(t, language.English, "init", home, "--store", "postgres", "--dsn-file", dsn); code != exitNo || !strings.Contains(printed, want) {
			t.Errorf("%s: exit code %d, %q", setting, code, printed)
		}
		d.Do("ALTER ROLE " + role.Name + " RESET ALL")
	}
	if _, err := os.Stat(home); err == nil {
		t.Error("an init that was refused left a folder")
	}
	for _, args := range [][]string{
		{"init", home, "--store", "postgres"}, {"init", home, "--dsn-file", dsn}, {"init", home, "--store", "postgres", "--dsn-file", right}, {"init", "-c", "x.yaml", "--store", "postgres", "--dsn-file", dsn},
	} {
		if code, printed := do(t, language.English, args...); code != exitMisused || strings.Contains(printed, "s3cret") {
			t.Errorf("%v: exit code %d, %s", args, code, printed)
		}
	}

	write(right, 0o640)
	code, printed := do(t, language.English, "init", home, "--store", "postgres", "--dsn-file", dsn, "--cost", "10")
	if code != exitOK || !strings.Contains(printed, "in the database") {
		t.Fatalf("exit code %d: %s", code, printed)
	}
	main := filepath.Join(home, "oncegate.yaml")
	if text, err := os.ReadFile(main); err != nil || strings.Contains(string(text), "s3cret") || !strings.Contains(string(text), "driver: postgres") {
		t.Errorf("the configuration: %v, %s", err, text)
	}
	if code, printed := do(t, language.English, "check", "-c", main); code != exitOK {
		t.Errorf("check: exit code %d: %s", code, printed)
	}
	if code, printed := do(t, language.English, "init", "-c", main); code != exitOK || strings.Contains(printed, "+ the log") {
		t.Errorf("a second init: exit code %d: %s", code, printed)
	}
	serves(t, main)

	// The database is taken: another gateway does not begin there, nor touch it.
	code, printed = do(t, language.English, "init", home+"-2", "--store", "postgres", "--dsn-file", dsn)
	if code != exitNo || !strings.Contains(printed, "the database is another gateway's: it holds the log gateway.example/log") {
		t.Errorf("another gateway: exit code %d: %s", code, printed)
	}
	edited, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(main, []byte(strings.Replace(string(edited), "origin: gateway.example/log", "origin: other.example/log", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"serve", "init"} {
		if code, printed := do(t, language.English, command, "-c", main); code != exitNo || !strings.Contains(printed, "another gateway's") || !strings.Contains(printed, "oncegate recover") {
			t.Errorf("%s with another log: exit code %d: %s", command, code, printed)
		}
	}
}

// serves runs a node and stops it.
func serves(t *testing.T, main string) {
	t.Helper()
	text, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	free := strings.NewReplacer("listen: 127.0.0.1:8420", "listen: 127.0.0.1:0", "admin: 127.0.0.1:8421", "admin: 127.0.0.1:0")
	if err := os.WriteFile(main, []byte(free.Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out := &cue{seen: "msg=serving", then: stop}
	if code := run(ctx, []string{"serve", "-c", main}, &terminal{in: strings.NewReader(""), out: out, err: out, Printer: catalogue.Printer(language.English)}); code != exitOK {
		t.Errorf("serve: exit code %d: %s", code, out.String())
	}
}

// A cue calls a function when a text was written.
type cue struct {
	bytes.Buffer
	seen string
	then func()
}

func (c *cue) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.seen) {
		c.then()
	}
	return c.Buffer.Write(p)
}
