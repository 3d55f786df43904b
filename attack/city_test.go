package attack

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/config"
	"oncegate/demo/legacy"
	"oncegate/deploy"
	"oncegate/install"
)

// publicURL is what callers of every installation sign for. Nothing listens there: clients are led to where the node that they
// mean really listens, so that a token stays good when a node comes back elsewhere, and means the same to every node.
const publicURL = "http://127.0.0.1:8420"

// A ground is the fixture that all installations share: the city's legacy systems, and one installation that was made as operators make
// it, to be copied.
type ground struct {
	dir  string
	city *legacy.City
}

var theGround = struct {
	sync.Once
	*ground
	err error
}{}

// cityGround makes the ground when first asked for.
func cityGround(t testing.TB) *ground {
	t.Helper()
	theGround.Do(func() { theGround.ground, theGround.err = newGround(t) })
	if theGround.err != nil {
		t.Fatal(theGround.err)
	}
	return theGround.ground
}

func tearDown() {
	if g := theGround.ground; g != nil {
		g.city.Close()
		os.RemoveAll(g.dir)
	}
}

func newGround(t testing.TB) (_ *ground, err error) {
	g := &ground{}
	if g.dir, err = os.MkdirTemp("", "oncegate-attack-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(g.dir, 0o755); err != nil { // a node that runs as another user passes through it
		return nil, err
	}
	g.city, err = legacy.Start(legacy.Config{Dir: g.path("city"), Police: "127.0.0.1:0", PoliceToken: "police-secret", Civil: "127.0.0.1:0", CivilCode: "civil-secret"})
	if err != nil {
		return nil, err
	}
	if err := g.city.Tax.Export(time.Now()); err != nil {
		return nil, err
	}
	if err := open(g.path("city")); err != nil {
		return nil, err
	}
	if err := deploy.WriteCity(g.path("made")); err != nil {
		return nil, err
	}
	if err := g.adapt(); err != nil {
		return nil, err
	}
	_, err = install.Prepare(t.Context(), g.path("made", config.MainFile), install.PrepareOptions{Cost: 10})
	return g, err
}

// open lets every user read a folder.
func open(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	})
}

func (g *ground) path(parts ...string) string {
	return filepath.Join(append([]string{g.dir}, parts...)...)
}

// adapt changes the sample configuration for tests: other addresses, no limit of rates.
func (g *ground) adapt() error {
	made := func(name string) string { return g.path("made", filepath.FromSlash(name)) }
	return cmp.Or(
		os.MkdirAll(made("secrets"), 0o700),
		os.WriteFile(made("secrets/police.token"), []byte("police-secret\n"), 0o600),
		os.WriteFile(made("secrets/civil.appcode"), []byte("civil-secret\n"), 0o600),
		edit(made("sources/police.yaml"), "127.0.0.1:8431", g.city.Police.Addr()),
		edit(made("sources/civil.yaml"), "127.0.0.1:8432", g.city.Civil.Addr()),
		edit(made("sources/market.yaml"), "../../city", g.path("city")),
		edit(made("sources/land.yaml"), "../../city", g.path("city")),
		edit(made("sources/tax.yaml"), "../../city", g.path("city")),
		edit(made(config.MainFile), "  listen: 127.0.0.1:8420", "  listen: 127.0.0.1:0", "  admin: 127.0.0.1:8421", "  admin: 127.0.0.1:0", "-1.pem]}", "-1.pem], rate: 1000000}"),
	)
}

// edit replaces texts in a file; each must be there.
func edit(name string, pairs ...string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	text := string(data)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			return fmt.Errorf("%s has no %q", filepath.Base(name), pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return os.WriteFile(name, []byte(text), 0o600)
}

// An installation is one gateway's folder: configuration, keys, database, mark.
type installation struct {
	t    testing.TB
	city *legacy.City
	dir  string
	main string // its configuration
}

// newInstallation copies the installation of the fixture.
func newInstallation(t testing.TB) *installation {
	t.Helper()
	g := cityGround(t)
	in := &installation{t: t, city: g.city, dir: filepath.Join(t.TempDir(), "gateway")}
	in.main = in.path(config.MainFile)
	in.must(copyFolder(in.dir, g.path("made")))
	return in
}

// copyFolder copies files as only their owner may read them.
func copyFolder(to, from string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o600)
	})
}

func (in *installation) path(parts ...string) string {
	return filepath.Join(append([]string{in.dir}, parts...)...)
}

func (in *installation) must(err error) {
	in.t.Helper()
	if err != nil {
		in.t.Fatal(err)
	}
}

// edit changes the main file.
func (in *installation) edit(pairs ...string) {
	in.t.Helper()
	in.must(edit(in.main, pairs...))
}

// write writes a file of the installation.
func (in *installation) write(name, text string) {
	in.t.Helper()
	in.must(os.WriteFile(in.path(name), []byte(text), 0o600))
}

// files returns every file of a folder with its content.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		all[path], err = os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) { // gone meanwhile, as the mark's next version is
			delete(all, path)
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
