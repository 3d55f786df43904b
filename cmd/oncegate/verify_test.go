package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/certs/certstest/office"
	"oncegate/check"
	"oncegate/language"
)

// verify runs the command on files, the first of which is judged, and returns its exit code and that file's failed steps.
func verify(t *testing.T, trust string, files map[string][]byte, more ...string) (code int, failed, open []string, text string) {
	t.Helper()
	dir := t.TempDir()
	args := append([]string{"verify", "--trust", trust, "--json"}, more...)
	names := []string{office.First}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if name != office.First {
			names = append(names, name)
		}
	}
	for _, name := range names {
		args = append(args, filepath.Join(dir, name))
	}
	var out, stderr bytes.Buffer
	code = run(t.Context(), args, &terminal{in: strings.NewReader(""), out: &out, err: &stderr, Printer: catalogue.Printer(language.English)})
	var found struct {
		OK        bool `json:"ok"`
		Artefacts []struct {
			Kind  string       `json:"kind"`
			Steps []check.Step `json:"steps"`
		} `json:"artefacts"`
	}
	if err := json.Unmarshal(out.Bytes(), &found); err != nil || len(found.Artefacts) == 0 {
		t.Fatalf("%v: %s %s", err, out.Bytes(), stderr.Bytes())
	}
	if found.OK != (code == exitOK) {
		t.Errorf("ok is %v and the exit code %d", found.OK, code)
	}
	for _, s := range found.Artefacts[0].Steps {
		switch s.State {
		case check.Failed:
			failed = append(failed, s.Name)
		case check.NotCheckable:
			open = append(open, s.Name)
		}
	}
	return code, failed, open, found.Artefacts[0].Kind
}

// The command names what is wrong with a document by its own step: it exits 0 only for one that is proven, and 3 where something
// could not be checked.
func TestVerifyDocuments(t *testing.T) {
	o := office.New(t, "command", time.Now())
	trust := t.TempDir()
	o.WriteTrust(trust, nil, nil)
	for _, c := range o.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			code, failed, open, kind := verify(t, trust, c.Files)
			named := strings.Join(failed, " ")
			switch {
			case kind != "ofd":
				t.Errorf("kind %s", kind)
			case c.State == check.NotCheckable:
				if code != exitOpen || !slices.Contains(open, c.Step) {
					t.Errorf("exit %d, failed %s, open %v", code, named, open)
				}
			case c.Step == "":
				if code != exitOK {
					t.Errorf("exit %d, failed %s, open %v", code, named, open)
				}
			case code != exitNo || !strings.Contains(" "+named+" ", " "+c.Step+" "):
				t.Errorf("exit %d, failed %s, want %s", code, named, c.Step)
			}
		})
	}
}

// People read who signed, with which seal and when; a name cannot write on their terminal.
func TestVerifyPrints(t *testing.T) {
	o := office.New(t, "command", time.Now())
	dir := t.TempDir()
	o.WriteTrust(dir, nil, nil)
	file := filepath.Join(dir, "license.ofd")
	if err := os.WriteFile(file, o.License(), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"verify", "--trust", dir, file}, &terminal{out: &out, err: &out, Printer: catalogue.Printer(language.English)}); code != exitOK {
		t.Fatalf("exit %d: %s", code, out.Bytes())
	}
	for _, want := range []string{"license.ofd (ofd)\n  Proven: the document 营业执照 is authentic", office.Name + " (" + office.USCC + ")", office.SealName, "(proven)", "✓ ofd-coverage"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.Bytes())
		}
	}
	if got := printable("a\x1b[2Jb\n"); strings.ContainsAny(got, "\x1b\n") {
		t.Errorf("%q", got)
	}
}

// Hostile files cost the command little time and memory, and end in a step that says what is wrong.
func TestVerifyHostile(t *testing.T) {
	o := office.New(t, "command", time.Now())
	trust := t.TempDir()
	o.WriteTrust(trust, nil, nil)
	for _, c := range o.Hostile() {
		var code int
		var failed []string
		start := time.Now()
		runtime.GC()
		used := office.Peak(func() { code, failed, _, _ = verify(t, trust, c.Files) })
		if code != exitNo || len(failed) == 0 || c.Step != "" && !slices.Contains(failed, c.Step) {
			t.Errorf("%s: exit %d, failed %v, want %s", c.Name, code, failed, c.Step)
		}
		if took := time.Since(start); used > 64<<20 || took > 5*time.Second {
			t.Errorf("%s (%d bytes): %d MB, %v", c.Name, len(c.Files[office.First]), used>>20, took)
		}
	}
}
