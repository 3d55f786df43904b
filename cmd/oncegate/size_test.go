package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The stripped program has at most 40 MB, and the linker leaves out the methods that nothing calls. It must keep every exported method
// of every type, a tenth of the program, once a single function that is linked calls reflect's Method or MethodByName with names that
// it cannot know; in what it prints such functions are marked.
func TestSize(t *testing.T) {
	const most = 40e6
	name := filepath.Join(t.TempDir(), "oncegate")
	said, err := exec.Command("go", "build", "-ldflags=-s -w -dumpdep", "-o", name, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%.10000s", err, said)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > most {
		t.Errorf("the stripped program has %.1f MB, more than %.0f: what was imported? go tool nm -size -sort size tells what is large", float64(info.Size())/1e6, most/1e6)
	}
	if !bytes.Contains(said, []byte("main.main -> ")) {
		t.Fatalf("the linker did not say what it kept, and why: %.1000s", said)
	}
	var callers []string
	for line := range strings.Lines(string(said)) {
		from, _, _ := strings.Cut(line, " -> ")
		if caller, marked := strings.CutSuffix(from, " <ReflectMethod>"); marked && !slices.Contains(callers, caller) {
			callers = append(callers, caller)
		}
	}
	if len(callers) > 0 {
		t.Errorf("the linker keeps every exported method of every type because of\n  %s\nDo without what calls them: it is often text/template, or cobra where a template is set",
			strings.Join(callers, "\n  "))
	}
}
