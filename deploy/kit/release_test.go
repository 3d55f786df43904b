package kit_test

import (
	"bytes"
	"debug/elf"
	"debug/pe"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReproducible: two releases of one commit, built in two folders, are equal byte by byte, packages too. The long run builds all
// platforms, and the second time from nothing.
func TestReproducible(t *testing.T) {
	one := theRelease(t)
	dir, err := clone(filepath.Join("elsewhere", "deeper", "b"))
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"HOME=" + scratch}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	if os.Getenv("ONCEGATE_LONG") != "" {
		env = append(env, "GOCACHE="+filepath.Join(scratch, "cache"))
	}
	two, err := release(dir, filepath.Join(scratch, "second"), env...)
	if err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(one)
	if err != nil {
		t.Fatal(err)
	}
	built := 0
	for _, e := range names {
		a, b := []byte(read(t, filepath.Join(one, e.Name()))), []byte(read(t, filepath.Join(two, e.Name())))
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs between two builds of one commit: %d and %d bytes", e.Name(), len(a), len(b))
		}
		for _, local := range []string{scratch, os.Getenv("HOME") + "/"} {
			if len(local) > 2 && bytes.Contains(a, []byte(local)) {
				t.Errorf("%s names the folder %s of the machine that built it", e.Name(), local)
			}
		}
		built++
	}
	if want := 2*len(platforms()) + 1; len(platforms()) == 1 && built != want || built < len(platforms()) {
		t.Errorf("%d files were built", built)
	}
}

// TestStatic: the program needs nothing of the machine that it runs on.
func TestStatic(t *testing.T) {
	dir := theRelease(t)
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "loong64": elf.EM_LOONGARCH}
	for _, platform := range platforms() {
		system, arch, _ := strings.Cut(platform, "/")
		name := filepath.Join(dir, "oncegate-"+system+"-"+arch)
		if system == "windows" {
			f, err := pe.Open(name + ".exe")
			if err != nil {
				t.Fatal(err)
			}
			if f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 {
				t.Errorf("%s is for machine %#x", name, f.Machine)
			}
			f.Close()
			continue
		}
		f, err := elf.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if f.Machine != machines[arch] {
			t.Errorf("%s is for %v", name, f.Machine)
		}
		if libraries, _ := f.ImportedLibraries(); len(libraries) > 0 {
			t.Errorf("%s needs %v", name, libraries)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				t.Errorf("%s needs a loader", name)
			}
		}
		f.Close()
	}
	out, err := exec.Command(filepath.Join(dir, "oncegate-linux-amd64"), "version", "--json").CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"commit": "`) && !strings.Contains(string(out), `"commit":"`) {
		t.Errorf("the program does not say its commit: %v\n%s", err, out)
	}
}

// TestForeign runs the programs for other processors in an emulator, as far as it is there: the whole demonstration.
func TestForeign(t *testing.T) {
	if os.Getenv("ONCEGATE_LONG") == "" {
		t.Skip("in the long run only")
	}
	dir := theRelease(t)
	for arch, emulator := range map[string]string{"arm64": "qemu-aarch64-static", "loong64": "qemu-loongarch64-static"} {
		t.Run(arch, func(t *testing.T) {
			_, err := exec.LookPath(emulator)
			demand(t, err == nil, "no %s", emulator)
			out, err := exec.Command(emulator, filepath.Join(dir, "oncegate-linux-"+arch), "demo", "--once").CombinedOutput()
			if err != nil || !strings.Contains(string(out), "7 of 7 steps hold") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
