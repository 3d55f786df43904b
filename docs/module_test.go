package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fenced is the content of the one block of a document with this language.
func fenced(t *testing.T, document, language string) string {
	t.Helper()
	parts := strings.Split(read(t, document), "\n```"+language+"\n")
	if len(parts) != 2 {
		t.Fatalf("%s has %d blocks of %s, not one", document, len(parts)-1, language)
	}
	content, _, _ := strings.Cut(parts[1], "\n```")
	return content + "\n"
}

// TestModuleOutside builds the program of api.md in a module of its own, with the lines of go.mod and the commands that stand there and
// with modules that building Oncegate has fetched already, and makes a call with it.
func TestModuleOutside(t *testing.T) {
	c := aCity(t)
	c.register(t, "SP-2026-000123")
	work := t.TempDir()
	root, err := filepath.Abs("..")
	must(t, err)
	must(t, os.Symlink(root, filepath.Join(work, "oncegate")))
	dir := filepath.Join(work, "food-approval")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.Symlink(c.path("trust"), filepath.Join(dir, "trust")))
	for name, content := range map[string]string{"go.mod": fenced(t, "api.md", "go.mod"), "main.go": fenced(t, "api.md", "go"), "food-approval-2.pem": read(t, c.path("food-approval-2.pem"))} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	if ours, its := goLine(t, "../go.mod"), goLine(t, filepath.Join(dir, "go.mod")); ours != its {
		t.Errorf("api.md says %q, our go.mod %q", its, ours)
	}
	build := exec.Command("sh", "-eu", "-c", fenced(t, "api.md", "sh"))
	build.Dir = dir
	build.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program := func(args ...string) string {
		cmd := exec.Command("./food-approval", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if out := program(c.url, "SP-2026-000123"); !strings.Contains(out, "云川示例春禾食品有限公司") || !strings.Contains(out, "record") {
		t.Errorf("it printed %q", out)
	}
	if out := program(c.url, "SP-2026-999999"); !strings.Contains(out, "case-not-usable") {
		t.Errorf("of an unknown case it printed %q", out)
	}
}

func goLine(t *testing.T, file string) string {
	t.Helper()
	return regexp.MustCompile(`(?m)^go .*$`).FindString(read(t, file))
}
