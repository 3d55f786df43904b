package secret

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("LEGACY_PASSWORD", "open sesame")
	for _, c := range []struct {
		ref  Ref
		want string // "" for an error
	}{
		{Ref{File: file("a", "s3cret\r\n")}, "s3cret"},
		{Ref{File: file("b", " kept \n")}, " kept "},
		{Ref{Env: "LEGACY_PASSWORD"}, "open sesame"},
		{Ref{File: file("empty", "\n")}, ""},
		{Ref{File: file("long", strings.Repeat("x", maxBytes+1))}, ""},
		{Ref{File: filepath.Join(dir, "none")}, ""},
		{Ref{Env: "LEGACY_NOT_SET"}, ""},
		{Ref{}, ""},
	} {
		got, err := c.ref.Read()
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%+v: %q, %v; want %q", c.ref, got, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "xxx") {
			t.Errorf("the error repeats the secret")
		}
	}
}

func TestCheck(t *testing.T) {
	for ref, faults := range map[Ref]int{{}: 1, {File: "f"}: 0, {Env: "E"}: 0, {File: "f", Env: "E"}: 1} {
		if got := len(ref.Check()); got != faults {
			t.Errorf("%+v: %d faults, want %d", ref, got, faults)
		}
	}
}
