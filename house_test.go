// Package oncegate_test holds the house together: which room may import which, and who owns which library.
package oncegate_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floors of the house; a room imports only rooms of lower floors. Room names are first path elements; a deeper folder belongs to its
// room.
var floors = map[string]int{
	"check": 0, "fault": 0, "strictyaml": 0, "language": 0, "canonical": 0, "hashpool": 0,
	"license": 1, "tlog": 1, "api": 1, "sheet": 1,
	"cases": 2, "policy": 2, "audit": 2, "register": 2, "certs": 2,
	"gateway": 3, "store": 3, "verdict": 3, "document": 3,
	"client": 4, "adapters": 4, "console": 4, "explanation": 4, "witness": 4,
	"config": 5, "install": 5, "node": 5, "demo": 6, "hammer": 6, // demo and hammer stand on node
	"cmd":    7,
	"deploy": 0, // data
	"docs":   8, // tests of the documents
	"attack": 8, // tests of everything at once
	"corpus": 8, // tests of what earlier versions wrote
}

// beside are the imports within a floor: what a room may import besides the floors below.
var beside = map[string]string{
	"strictyaml": "fault",
	"install":    "config",
	"node":       "install config",
}

// owners are the only rooms that may import a library.
var owners = map[string]string{
	"github.com/emmansun/gmsm":    "certs",
	"github.com/tjfoc/gmsm":       "certs",
	"github.com/lestrrat-go/jwx":  "certs",
	"github.com/go-kit/kit":       "gateway",
	"github.com/cedar-policy":     "policy",
	"modernc.org/sqlite":          "store install node demo adapters",
	"github.com/jackc/pgx":        "store node adapters",
	"github.com/transparency-dev": "tlog",

	"github.com/coreos/go-oidc":       "console",
	"github.com/pquerna/otp":          "console",
	"github.com/alexedwards/argon2id": "console",
	"github.com/chromedp":             "console demo", // its tests
	"golang.org/x/oauth2":             "console",

	"github.com/go-sql-driver/mysql":  "adapters docs", // docs tests the steward's manual on a real database
	"github.com/microsoft/go-mssqldb": "adapters",
	"github.com/sijms/go-ora":         "adapters",
	"github.com/xuri/excelize":        "adapters console docs",
}

// bare rooms use no cryptography but the standard library's.
var bare = []string{"tlog", "audit"}

type listedPackage struct {
	ImportPath, Doc                    string
	Imports, TestImports, XTestImports []string
}

func TestHouse(t *testing.T) {
	for _, p := range packages(t) {
		room, ok := roomOf(p.ImportPath)
		if !ok {
			continue
		}
		if _, known := floors[room]; !known {
			t.Errorf("%s is a room without a floor", room)
		}
		for _, path := range p.Imports {
			downward(t, p.ImportPath, room, path)
			if slices.Contains(bare, room) && strings.Contains(path, "golang.org/x/crypto") {
				t.Errorf("%s imports %s: this room uses the standard library's cryptography only", p.ImportPath, path)
			}
		}
		for _, path := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			owned(t, p.ImportPath, room, path)
		}
	}
}

// downward holds one import against the floors.
func downward(t *testing.T, from, room, path string) {
	other, ours := roomOf(path)
	if !ours || other == room {
		return
	}
	if floors[other] >= floors[room] && !slices.Contains(strings.Fields(beside[room]), other) {
		t.Errorf("%s (floor %d) imports %s (floor %d)", from, floors[room], path, floors[other])
	}
}

func owned(t *testing.T, from, room, path string) {
	for library, rooms := range owners {
		if strings.HasPrefix(path, library) && !slices.Contains(strings.Fields(rooms), room) {
			t.Errorf("%s imports %s, which belongs to %s", from, path, rooms)
		}
	}
}

func roomOf(path string) (string, bool) {
	rest, ours := strings.CutPrefix(path, "oncegate/")
	room, _, _ := strings.Cut(rest, "/")
	return room, ours
}

// TestNoDrawers holds the names: a package is a noun its user would say.
func TestNoDrawers(t *testing.T) {
	for _, p := range packages(t) {
		for part := range strings.SplitSeq(p.ImportPath, "/") {
			if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "pkg", "manager", "misc", "shared"}, part) {
				t.Errorf("%s is a drawer", p.ImportPath)
			}
		}
	}
}

func packages(t *testing.T) []listedPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	var all []listedPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
