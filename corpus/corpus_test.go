// Package corpus is a regression corpus: artefacts, keystores, configurations and databases that earlier versions of the program
// wrote. All of it must verify, load and open for ever (backward compatibility); README.md says how a version is added.
package corpus

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/install"
	"oncegate/verdict"
)

const (
	versions = "testdata"
	madeFile = "made.json"
	packed   = ".gz" // files that gzip makes much smaller
)

// A version is the corpus of one version of the program.
type version struct {
	name string // folder in testdata: the day

	Made    time.Time `json:"made"`    // everything is verified as of then
	Commit  string    `json:"commit"`  // that made it
	Unasked string    `json:"unasked"` // a company in city/market.db whose license nobody has asked for
	Schemas []int     `json:"schemas"` // versions of the records in both logs, ascending; the first version does not say
}

// each runs a test for every version.
func each(t *testing.T, test func(*testing.T, version)) {
	t.Helper()
	entries, err := os.ReadDir(versions)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		found++
		v := version{name: e.Name()}
		if err := json.Unmarshal(read(t, v.path(madeFile)), &v); err != nil {
			t.Fatal(err)
		}
		if v.Schemas == nil {
			v.Schemas = []int{1}
		}
		t.Run(v.name, func(t *testing.T) { t.Parallel(); test(t, v) })
	}
	if found == 0 {
		t.Fatal("the corpus is empty")
	}
}

// path is a path inside the version.
func (v version) path(parts ...string) string {
	return filepath.Join(append([]string{versions, v.name}, parts...)...)
}

// has says whether the version holds records of a schema.
func (v version) has(schema int) bool { return slices.Contains(v.Schemas, schema) }

// clock runs from the time at which the version was made, so that no certificate in it ever expires.
func (v version) clock() func() time.Time {
	begun := time.Now()
	return func() time.Time { return v.Made.Add(time.Since(begun)) }
}

// unpack copies folders of the version into a folder of the test's own, as only their owner may read them.
func (v version) unpack(t *testing.T, folders ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range folders {
		for name, data := range files(t, v.path(folder)) {
			write(t, filepath.Join(dir, folder, name), data)
		}
	}
	return dir
}

// trust is a trust folder as of the time when the version was made.
func (v version) trust(t *testing.T, name string) *verdict.Trust {
	t.Helper()
	config, err := verdict.ReadTrust(v.path("trust", name, install.TrustFile))
	if err != nil {
		t.Fatal(err)
	}
	config.Now = func() time.Time { return v.Made }
	trust, err := verdict.NewTrust(config)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

// folders are the names of the folders in a folder, sorted.
func folders(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// files are all files below a folder, unpacked, by their slash-separated path in it.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if short, is := strings.CutSuffix(name, packed); is {
			name = short
			if data, err = gunzip(data); err != nil {
				return err
			}
		}
		all[filepath.ToSlash(name)] = data
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func gunzip(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// edit replaces texts in a file; each must be there.
func edit(t testing.TB, name string, pairs ...string) {
	t.Helper()
	text := string(read(t, name))
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%s has no %q", filepath.Base(name), pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	write(t, name, []byte(text))
}

func sorted[T any](m map[string]T) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
