package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"oncegate/cases"
	"oncegate/store/sqldb"
)

func TestConfig(t *testing.T) {
	good := withKeys(Config{Path: "x.db", Log: origin})
	for name, spoil := range map[string]func(*Config){
		"driver":        func(c *Config) { c.Driver = "mysql" },
		"file":          func(c *Config) { c.Path = "" },
		"connection":    func(c *Config) { c.Driver = Postgres },
		"origin":        func(c *Config) { c.Log = "" },
		"sealer":        func(c *Config) { c.Sealer = nil },
		"keyed digest":  func(c *Config) { c.Digest = nil },
		"several nodes": func(c *Config) { c.Nodes = 2 },
	} {
		c := good
		spoil(&c)
		if _, err := Open(t.Context(), c); err == nil {
			t.Errorf("a configuration without a sound %s was taken", name)
		}
	}
	_, err := Open(t.Context(), Config{})
	if n := strings.Count(err.Error(), "\n"); n != 2 {
		t.Errorf("of three faults %d are told: %v", n+1, err)
	}
}

// TestSecret keeps a password out of the error.
func TestSecret(t *testing.T) {
	for _, dsn := range []string{"postgres://u:hushhush@[::1/x", "postgres://u:hushhush@127.0.0.1:1/x", "host=127.0.0.1 port=1 password=hushhush bad"} {
		c := withKeys(Config{Driver: Postgres, DSN: dsn, Log: origin})
		if _, err := Open(t.Context(), c); err == nil || strings.Contains(err.Error(), "hushhush") {
			t.Errorf("error is %v", err)
		}
	}
}

// TestReopen finds everything again, and the log's number.
func TestReopen(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		c := e.fresh(t)
		db, err := Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		b := benchOn(t, db)
		mustChange(t, b, cases.Register{Case: aCase("C-1")})
		if err := b.log.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = mustOpen(t, c)
		if head, err := db.Log().Head(t.Context()); err != nil || head.Size != 1 {
			t.Errorf("size is %d, %v", head.Size, err)
		}
		if _, err := db.Cases().Case(t.Context(), "C-1"); err != nil {
			t.Error(err)
		}
	})
}

// TestTwoLogs keeps logs apart that stand in one database, and what they share together.
func TestTwoLogs(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		c := e.fresh(t)
		db, err := Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		b := benchOn(t, db)
		mustChange(t, b, cases.Register{Case: aCase("C-1")})
		mustChange(t, b, cases.StillOpen{No: "C-1", Revision: 1})
		follow(t, db)
		b.log.Close(t.Context())
		db.Close()

		c.Log, c.Recover = "store.example/second", true
		db = mustOpen(t, c)
		if _, err := db.Log().Head(t.Context()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("new log has a head: %v", err)
		}
		b = benchOn(t, db)
		if err := b.change(t.Context(), cases.StillOpen{No: "C-1", Revision: 1}); err != nil {
			t.Errorf("case of the first log: %v", err)
		}
		head, err := db.Log().Head(t.Context())
		if err != nil || head.Size != 1 {
			t.Errorf("size is %d, %v", head.Size, err)
		}
		follow(t, db)
		if leaf, _, err := db.Audit().Entry(t.Context(), 0); err != nil || !bytes.HasPrefix(leaf, []byte(`{"id":`)) {
			t.Errorf("entry 0 is %s, %v", leaf, err)
		}
	})
}

func TestInUse(t *testing.T) {
	c := freshSQLite(t)
	db := mustOpen(t, c)
	_, err := Open(t.Context(), c)
	wantError(t, "a second opening", err, ErrInUse)
	link := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Symlink(filepath.Dir(c.Path), link); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x.db")
	if err := os.Symlink(c.Path, file); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(link, filepath.Base(c.Path)), file} {
		other := c
		other.Path = path
		_, err = Open(t.Context(), other)
		wantError(t, "a second opening by another name", err, ErrInUse)
	}
	mustChange(t, benchOn(t, db)) // the first is not disturbed
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		if info, err := os.Stat(c.Path + suffix); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of the file %q: %v, %v", suffix, info, err)
		}
	}
}

// TestInUseByProcess starts this test binary again, and lets it open the same file.
func TestInUseByProcess(t *testing.T) {
	c := freshSQLite(t)
	cmd := child(t, "hold", c.Path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("child says %q, %v", line, err)
	}
	_, err = Open(t.Context(), c)
	wantError(t, "opening what another process has", err, ErrInUse)
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, c)
}

// child is this test binary, doing what TestMain finds in its environment.
func child(t testing.TB, role string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), "ONCEGATE_STORE_TEST_CHILD="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// atStep leaves a database as a program left it that knew only so many steps of the schema, with what the statements make.
func atStep(t *testing.T, c Config, steps int, statements ...string) {
	t.Helper()
	c, err := c.check()
	if err != nil {
		t.Fatal(err)
	}
	e, err := sqldb.Open(t.Context(), sqldb.Config{Engine: c.Driver, Path: c.Path, DSN: c.DSN, Readers: 1, Searchers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	schema := mainSchema(c.Now)
	files, err := fs.Glob(schema.Steps, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	old := fstest.MapFS{}
	for _, file := range files[:steps] {
		data, err := fs.ReadFile(schema.Steps, file)
		if err != nil {
			t.Fatal(err)
		}
		old[file] = &fstest.MapFile{Data: data}
	}
	schema.Steps = old
	if err := e.Upkeep.Migrate(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	for _, text := range statements {
		if _, err := e.Write.DB().Exec(text); err != nil {
			t.Fatal(text, err)
		}
	}
}

func TestSchemaSteps(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for name, test := range map[string]struct {
			sql  string
			want error
		}{
			"newer":   {"INSERT INTO schema_steps (number, name, sha256, applied) VALUES (99, 'later', 'x', 0)", ErrNewer},
			"altered": {"UPDATE schema_steps SET sha256 = 'x' WHERE number = 1", nil},
		} {
			c := e.fresh(t)
			db, err := Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.write.DB().Exec(test.sql); err != nil {
				t.Fatal(err)
			}
			db.Close()
			_, err = Open(t.Context(), c)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%s schema: %v", name, err)
			}
		}
	})
}

// TestWeakPostgres refuses a server that answers before a commit is on the disk, or that has no standby though one is declared.
func TestWeakPostgres(t *testing.T) {
	for _, e := range engines() {
		if e.name != Postgres {
			continue
		}
		c := e.fresh(t)
		weak := c
		weak.DSN += "&synchronous_commit=off"
		if _, err := Open(t.Context(), weak); err == nil || !strings.Contains(err.Error(), "synchronous_commit is off") {
			t.Errorf("error is %v", err)
		}
		c.Standby = true
		if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "standby") {
			t.Errorf("error is %v", err)
		}
	}
}

// follow brings the projection to the head.
func follow(t testing.TB, db *DB) {
	t.Helper()
	for {
		covered, size, err := db.Audit().Follow(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if covered == size {
			return
		}
	}
}
