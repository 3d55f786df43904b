// Package kit_test holds the kit: releases, the Debian package, the unit of systemd, the container file and the Compose file. It is in a
// module of its own, with the tools that make and check them.
package kit_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// scratch is a folder for all tests.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "oncegate-kit-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := os.Chmod(scratch, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// platforms are what the test builds: one as a sample, or all of them.
func platforms() []string {
	if os.Getenv("ONCEGATE_LONG") != "" {
		return []string{"linux/amd64", "linux/arm64", "linux/loong64", "windows/amd64"}
	}
	return []string{"linux/amd64"}
}

// clone makes a repository in a new folder that has the working tree in one commit, the same in every folder.
func clone(name string) (string, error) {
	dir := filepath.Join(scratch, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	list := exec.Command("git", "-C", "../..", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	names, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("git ls-files: %w", err)
	}
	pack := exec.Command("tar", "-C", "../..", "--null", "--ignore-failed-read", "-T", "-", "-cf", filepath.Join(scratch, name+".tar"))
	pack.Stdin = bytes.NewReader(names)
	if out, err := pack.CombinedOutput(); err != nil {
		return "", fmt.Errorf("tar: %w\n%s", err, out)
	}
	for _, args := range [][]string{
		{"tar", "-xf", filepath.Join(scratch, name+".tar")}, {"git", "init", "-q"}, {"git", "add", "-A"},
		{"git", "-c", "user.name=kit", "-c", "user.email=kit@kit.example", "-c", "commit.gpgsign=false", "commit", "-q", "-m", "kit"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_DATE=2026-12-01T00:00:00Z", "GIT_COMMITTER_DATE=2026-12-01T00:00:00Z")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%v: %w\n%s", args, err, out)
		}
	}
	return dir, os.Remove(filepath.Join(scratch, name+".tar"))
}

// release builds a release in a clone.
func release(dir, out string, env ...string) (string, error) {
	cmd := exec.Command("deploy/release.sh", append([]string{out}, platforms()...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	text, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("release.sh: %w\n%s", err, text)
	}
	return out, nil
}

// first is a release, built once for all tests.
var first = sync.OnceValues(func() (string, error) {
	dir, err := clone("a")
	if err != nil {
		return "", err
	}
	return release(dir, filepath.Join(scratch, "first"))
})

func theRelease(t *testing.T) string {
	t.Helper()
	dir, err := first()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// thePackage is the Debian package of the release for this machine.
func thePackage(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "oncegate_*_amd64.deb"))
	if err != nil || len(names) != 1 {
		t.Fatalf("packages: %v %v", names, err)
	}
	return names[0]
}

// demand skips a test that needs something that this machine lacks, or fails where nothing may be skipped.
func demand(t *testing.T, there bool, format string, args ...any) {
	t.Helper()
	switch {
	case there:
	case os.Getenv("ONCEGATE_TEST_STRICT") != "":
		t.Fatalf(format, args...)
	default:
		t.Skipf(format, args...)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// root reports whether the test may make mounts and namespaces of its own.
func root() bool {
	return os.Getuid() == 0 && exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "sh", "-c", "mount -t tmpfs tmpfs /mnt").Run() == nil
}

// inside runs a script in namespaces of its own: mounts, network (loopback only) and processes end with it.
func inside(t *testing.T, script string, env ...string) string {
	t.Helper()
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash", "-euo", "pipefail", script)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// directives are the lines of a unit file, key to values in order.
func directives(t *testing.T, name string) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	for line := range strings.Lines(read(t, name)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			found[key] = append(found[key], value)
		}
	}
	return found
}
