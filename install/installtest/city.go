// Package installtest makes installations for tests: a gateway's configuration in a folder of its own, with keys, certificates and a log,
// and a SQL database as the legacy system.
package installtest

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the legacy system's database

	"oncegate/certs/keystore"
	"oncegate/config"
	"oncegate/install"
)

// Company is made up, and in the legacy system.
const Company = "91379901MA9920002Q"

// A City is an installation.
type City struct {
	T    testing.TB
	Dir  string
	Main string // the main configuration file
	Port int    // of the service
}

// New is an installation whose service has a port of its own.
func New(t testing.TB) *City {
	t.Helper()
	base, err := first()
	if err != nil {
		t.Fatal(err)
	}
	c := (&City{T: t, Dir: base}).CopyOf(t)
	c.Port = FreePort(t)
	c.Edit(config.MainFile, "127.0.0.1:8420", fmt.Sprintf("127.0.0.1:%d", c.Port), "127.0.0.1:8421", "127.0.0.1:0")
	return c
}

// first makes an installation once; tests copy it.
var first = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "oncegate-install-")
	if err != nil {
		return "", err
	}
	write := func(dir string) error {
		if err := install.WriteTemplate(dir); err != nil {
			return err
		}
		if err := market(filepath.Join(dir, "sources/market.db")); err != nil {
			return err
		}
		return os.Rename(filepath.Join(dir, "sources/market.yaml.example"), filepath.Join(dir, "sources/market.yaml"))
	}
	_, err = install.Init(context.Background(), dir, write, install.PrepareOptions{Cost: 10})
	return dir, err
})

// Main runs the tests of a package and removes what New made. Call it from TestMain.
func Main(m *testing.M) { os.Exit(Tests{m}.Run()) }

// Tests are those of a package; Run removes what New made. They are for who has a TestMain of another's making.
type Tests struct{ *testing.M }

// Run runs the tests and returns the exit code.
func (t Tests) Run() int {
	code := t.M.Run()
	if dir, err := first(); err == nil {
		os.RemoveAll(dir)
	}
	return code
}

// FreePort finds a port that no other test of this run has.
func FreePort(t testing.TB) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if _, taken := ports.LoadOrStore(port, true); !taken {
			return port
		}
	}
}

var ports sync.Map

// CopyOf makes a copy of an installation, to be spoilt.
func (c *City) CopyOf(t testing.TB) *City {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(c.Dir)); err != nil {
		t.Fatal(err)
	}
	for _, keys := range []string{"keys", install.CAFolder, install.CallersFolder} { // CopyFS widens modes
		names, err := filepath.Glob(filepath.Join(dir, keys, "*.key"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.Chmod(name, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Chmod(filepath.Join(dir, "keys.passphrase"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &City{T: t, Dir: dir, Main: filepath.Join(dir, config.MainFile), Port: c.Port}
}

// CopyDir replaces a folder by a copy of another.
func CopyDir(t testing.TB, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chmod(path, 0o600)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Edit replaces texts in a file; each must be there.
func (c *City) Edit(name string, pairs ...string) {
	c.T.Helper()
	path := filepath.Join(c.Dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		c.T.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			c.T.Fatalf("%s has no %q", name, pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.T.Fatal(err)
	}
}

// Write writes a file.
func (c *City) Write(name string, data []byte) {
	c.T.Helper()
	path := filepath.Join(c.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		c.T.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		c.T.Fatal(err)
	}
}

// Where says "file:line:column: " of a text.
func (c *City) Where(file, text string) string {
	c.T.Helper()
	data, err := os.ReadFile(filepath.Join(c.Dir, file))
	if err != nil {
		c.T.Fatal(err)
	}
	before, _, ok := strings.Cut(string(data), text)
	if !ok {
		c.T.Fatalf("%s has no %q", file, text)
	}
	line := strings.Count(before, "\n") + 1
	column := len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1
	return fmt.Sprintf("%s:%d:%d: ", filepath.Join(c.Dir, file), line, column)
}

// Prepare makes what the configuration names and is not there, and says what.
func (c *City) Prepare() []string {
	c.T.Helper()
	made, err := install.Prepare(c.T.Context(), c.Main, install.PrepareOptions{Cost: 10})
	if err != nil {
		c.T.Fatal(err)
	}
	return made.Made
}

// Authority opens, or makes, a certificate authority whose clock stands.
func (c *City) Authority(dir string, phrase []byte, at time.Time) *install.Authority {
	c.T.Helper()
	a, err := install.NewAuthority(context.Background(), install.AuthorityConfig{Dir: dir, Passphrase: phrase, Cost: 10, Now: func() time.Time { return at }})
	if err != nil {
		c.T.Fatal(err)
	}
	return a
}

// Keys opens the keystore.
func (c *City) Keys() *install.Keystore {
	c.T.Helper()
	keys, err := install.OpenKeystore(c.Main, nil)
	if err != nil {
		c.T.Fatal(err)
	}
	return keys
}

// Passphrase is that of the keystores.
func (c *City) Passphrase() []byte {
	c.T.Helper()
	setup, _ := config.Load(c.Main, time.Now())
	phrase, err := setup.Config.Keys.ReadPassphrase()
	if err != nil {
		c.T.Fatal(err)
	}
	return phrase
}

// Rotate replaces a key as an operator does, but for the log's, which a Keystore never replaces: recovery opens a log with new keys.
func (c *City) Rotate(p keystore.Purpose) string {
	c.T.Helper()
	if p.Usage == keystore.Log {
		setup, _ := config.Load(c.Main, time.Now())
		k, err := setup.Keys.Rotate(p)
		if err != nil {
			c.T.Fatal(err)
		}
		return k.ID
	}
	k, err := c.Keys().Rotate(c.T.Context(), p)
	if err != nil {
		c.T.Fatal(err)
	}
	return k.ID
}

// CurrentID is the id of the current key of a purpose.
func (c *City) CurrentID(p keystore.Purpose) string {
	c.T.Helper()
	all := c.Keys().List()
	i := slices.IndexFunc(all, func(k keystore.Info) bool { return k.Purpose == p && k.State == keystore.Current })
	if i < 0 {
		c.T.Fatalf("no current key of %+v", p)
	}
	return all[i].ID
}

// market makes the legacy system's database.
func market(path string) error {
	return Exec(path, `create table licenses (no text, uscc text, name text, legal text, addr text, issued text, until text, status text)`,
		`insert into licenses values ('L-1', '`+Company+`', '云川小面馆有限公司', '甲乙', '示例路 1 号', '2024-03-01', '', '1')`)
}

// Exec changes a legacy system's database. It waits for readers: a node rolls a broken-off question back when it is answered already.
func Exec(path string, statements ...string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer db.Close()
	for _, text := range statements {
		if _, err := db.Exec(text); err != nil {
			return err
		}
	}
	return nil
}
