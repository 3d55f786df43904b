package matrix_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"oncegate/certs/certstest"
	"oncegate/certs/certstest/zips"
	"oncegate/certs/ofd"
	"oncegate/sheet"
)

// commonsPath names the archive of Apache Commons Compress. The test command sets it where it is there or can be installed.
const commonsPath = "ONCEGATE_TEST_COMMONSCOMPRESS"

// randomZips is how many packages are tried besides those with a name.
var randomZips = flag.Uint64("zips", 1000, "how many random packages to give to other readers")

// A zipped is a package that is tried, and a digest of the files in it as Oncegate sees them; empty when it refuses the
// package.
type zipped struct {
	name, path string
	files      string
	contents   string // the same without names, when some are not ASCII
}

// TestZipReaders gives every reader of zips that is here every package: what Oncegate accepts has, byte for byte, the same
// files in all.
func TestZipReaders(t *testing.T) {
	c := &city{World: certstest.New(t, "zips")}
	config := ofd.Config{Now: now}
	plain, err := config.Write(ofd.Document{Pages: []*sheet.Page{{Title: "营业执照", Width: 297, Height: 210}}})
	must(t, err)
	sealed, err := config.Sign(t.Context(), plain, ofd.Signing{Seal: ofd.SealWith(c.holder(t)), Stamps: []ofd.Stamp{{Box: sheet.Box{X: 20, Y: 20, W: 40, H: 40}}}})
	must(t, err)
	all := zipCorpus(t, sealed)

	readers := make(map[string][]string) // what each saw, one for each of all
	maps.Copy(readers, javaReaders(t, all))
	maps.Copy(readers, pythonReader(t, all))
	maps.Copy(readers, unzipReader(t, all))
	accepted, disputed := 0, 0
	for i, z := range all {
		seen := make(map[string]bool)
		for name, saw := range readers {
			if saw[i] != "" {
				seen[saw[i]] = true
			}
			if z.files != "" && saw[i] != z.files && (name != infoZIP || z.contents == "" || saw[i] != z.contents) {
				t.Errorf("%s: %s sees other files (%.8s, not %.8s)", z.name, name, saw[i], z.files)
				keepZip(t, z)
			}
		}
		switch {
		case z.files != "":
			accepted++
		case len(seen) > 1:
			disputed++
		}
	}
	t.Logf("%d packages, %d readers beside ours: %v", len(all), len(readers), slices.Sorted(maps.Keys(readers)))
	t.Logf("%d accepted, the same files in all; %d refused, about %d of which the readers disagree", accepted, len(all)-accepted, disputed)
	if accepted < len(all)/10 || len(readers) > 1 && disputed < len(all)/10 {
		t.Error("the packages are not worth trying")
	}
}

// keepZip keeps a package that is seen differently, where somebody can look at it.
func keepZip(t *testing.T, z zipped) {
	t.Helper()
	if dir := os.Getenv("ONCEGATE_TEST_KEEP"); dir != "" {
		b, err := os.ReadFile(z.path)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, filepath.Base(z.path)), b, 0o600))
	}
}

// zipCorpus writes the packages: in the shapes of writers, ambiguous, and at random.
func zipCorpus(t *testing.T, sealed []byte) (all []zipped) {
	t.Helper()
	dir := t.TempDir()
	add := func(name string, pkg []byte) {
		z := zipped{name: name, path: filepath.Join(dir, fmt.Sprintf("%05d.zip", len(all)))}
		z.files, z.contents = ourFiles(t, pkg)
		must(t, os.WriteFile(z.path, pkg, 0o600))
		all = append(all, z)
	}
	for name, pkg := range zips.Shapes(t, sealed) {
		add(name, pkg)
		if all[len(all)-1].files == "" {
			t.Errorf("%s is refused", name)
		}
	}
	for _, a := range zips.Ambiguities(t, sealed) {
		add(a.Name, a.Package)
		if all[len(all)-1].files != "" {
			t.Errorf("%s is accepted", a.Name)
		}
	}
	list := zips.Entries(t, sealed)
	for seed := range *randomZips {
		add(fmt.Sprintf("random %d", seed), zips.Random(t, rand.New(rand.NewPCG(seed, 0)), list))
	}
	return all
}

// ourFiles are the digests of the files that package ofd accepts, in the form of interop/zips; empty when it refuses the
// package. What it accepts is what archive/zip reads: certs/ofd.FuzzReaders holds that.
func ourFiles(t *testing.T, pkg []byte) (files, contents string) {
	t.Helper()
	r, err := ofd.Verify(t.Context(), bytes.NewReader(pkg), int64(len(pkg)), ofd.Judges{Now: at})
	must(t, err)
	if len(r.Steps) < 2 { // a refusal
		return "", ""
	}
	all, ascii := make(map[string][]byte), true
	repack(t, pkg, func(name string, b []byte) []byte {
		ascii = ascii && !strings.ContainsFunc(name, func(r rune) bool { return r > 127 })
		if !strings.HasSuffix(name, "/") {
			all[name] = slices.Clone(b)
		}
		return b
	})
	if !ascii {
		contents = digestOf(all, false)
	}
	return digestOf(all, true), contents
}

// digestOf is the digest of names and contents of files, or of contents alone.
func digestOf(files map[string][]byte, names bool) string {
	var lines []string
	for name, data := range files {
		if !names {
			name = ""
		}
		lines = append(lines, fmt.Sprintf("%x %x\n", name, sha256.Sum256(data)))
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return hex.EncodeToString(sum[:])
}

// javaReaders are java.util.zip and, where it is there, Apache Commons Compress, in one process.
func javaReaders(t *testing.T, all []zipped) map[string][]string {
	t.Helper()
	if _, err := exec.LookPath("javac"); err != nil {
		t.Log("javac is not installed: NOT TESTED against the readers of Java")
		return nil
	}
	classes, sources := t.TempDir(), []string{"../zips/Readers.java"}
	more := []string{}
	jar := os.Getenv(commonsPath)
	if jar == "" {
		t.Log(commonsPath + " is not set: NOT TESTED against Apache Commons Compress")
	} else {
		sources, more = append(sources, "../zips/Commons.java"), []string{"Commons"}
	}
	compile := exec.Command("javac", append([]string{"-encoding", "UTF-8", "-nowarn", "-d", classes, "-cp", classes + ":" + jar}, sources...)...)
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	return linesOf(t, exec.Command("java", append([]string{"-XX:TieredStopAtLevel=1", "-cp", classes + ":" + jar, "Readers"}, more...)...), all)
}

func pythonReader(t *testing.T, all []zipped) map[string][]string {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Log("python3 is not installed: NOT TESTED against Python's zipfile")
		return nil
	}
	return linesOf(t, exec.Command("python3", "../zips/readers.py"), all)
}

// linesOf runs a program of interop/zips over all packages.
func linesOf(t *testing.T, cmd *exec.Cmd, all []zipped) map[string][]string {
	t.Helper()
	var paths strings.Builder
	for _, z := range all {
		paths.WriteString(z.path + "\n")
	}
	cmd.Stdin, cmd.Stderr = strings.NewReader(paths.String()), os.Stderr
	out, err := cmd.Output()
	must(t, err)
	saw := make(map[string][]string)
	lines := bufio.NewScanner(bytes.NewReader(out))
	n := 0
	for ; lines.Scan(); n++ {
		for word := range strings.FieldsSeq(lines.Text()) {
			name, digest, _ := strings.Cut(word, "=")
			saw[name] = append(saw[name], digest)
		}
	}
	if n != len(all) {
		t.Fatalf("%s: %d answers to %d packages", cmd, n, len(all))
	}
	return saw
}

const infoZIP = "Info-ZIP.unzip"

// unzipReader is Info-ZIP, which unpacks into a folder each package that Oncegate accepts; what it would ask is a refusal.
// Version 6.0 converts names beyond ASCII from a character set of MS-DOS, although they are marked as UTF-8, and warns of
// them: of such packages it has to see the same contents.
func unzipReader(t *testing.T, all []zipped) map[string][]string {
	t.Helper()
	if _, err := exec.LookPath("unzip"); err != nil {
		t.Log("unzip is not installed: NOT TESTED against Info-ZIP")
		return nil
	}
	saw := make([]string, len(all))
	for i, z := range all {
		if z.files == "" {
			continue
		}
		dir := filepath.Join(t.TempDir(), "files")
		cmd := exec.Command("unzip", "-q", "-n", z.path, "-d", dir)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
		const warned = 1
		if err := cmd.Run(); err != nil && (z.contents == "" || cmd.ProcessState.ExitCode() != warned) {
			saw[i] = "refused"
			continue
		}
		saw[i] = digestOf(filesBelow(t, dir), z.contents == "")
		must(t, os.RemoveAll(dir))
	}
	return map[string][]string{infoZIP: saw}
}

// filesBelow are the files in a folder.
func filesBelow(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			files[path] = []byte("not a file")
			return nil
		}
		name, err := filepath.Rel(dir, path)
		must(t, err)
		files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	}))
	return files
}
