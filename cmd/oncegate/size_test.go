package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The program is one static file, built without cgo, and has at most 120 MB when stripped. How soon it is ready and how much memory
// it takes under load, "oncegate hammer --all" measures.
func TestBinary(t *testing.T) {
	const most = 120e6
	name := filepath.Join(t.TempDir(), "oncegate")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", name, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%.10000s", err, out)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > most {
		t.Errorf("the stripped program has %.1f MB, more than %.0f: what was imported? go tool nm -size -sort size tells what is large", float64(info.Size())/1e6, most/1e6)
	}
	program, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the program is linked dynamically: it has a segment %v", p.Type)
		}
	}
	if program.Section(".symtab") != nil {
		t.Error("the program is not stripped")
	}
}
