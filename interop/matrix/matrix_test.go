// Package matrix_test holds what Oncegate makes against what others check, and what others make against what Oncegate checks:
// signatures, certificates, messages, seals and documents, each with the tools that know them. Every pair is also tried with
// something changed, which must be refused. The table that comes out of it is docs/interop.md.
package matrix_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

var (
	update = flag.Bool("update", false, "write docs/interop.md instead of comparing")
	report = flag.String("table", "", "file to write the table of what was tried to")
)

const root = "../.." // of the repository

// Columns.
const (
	openSSL      = "OpenSSL"
	bouncyCastle = "Bouncy Castle"
	logTools     = "Public log tools"
)

var columns = []string{openSSL, bouncyCastle, logTools}

// work is what one side makes and the other checks. The first part is changed for the counterproof, the rest is what a checker
// knows from elsewhere.
type work [][]byte

// A maker is a side that makes. By names a test elsewhere that does it, and partly what is missing there; why says why nobody can.
type maker struct {
	with, by, partly, why string
	run                   func(t *testing.T) work
}

// A checker is a side that checks; its texts are as a maker's.
type checker struct {
	with, by, partly, why string
	run                   func(t *testing.T, w work) error
}

type side struct {
	make  maker
	check checker
}

// A row is one thing that both can make or check.
type row struct {
	name   string
	ours   side
	theirs map[string]side
	// spoil changes the first part of a work; nil changes its last bit.
	spoil func(t *testing.T, b []byte) []byte
}

// State of a cell after a run.
const (
	empty   = "-"
	other   = "ok (own test)"
	part    = "partly (own test)"
	holds   = "ok"
	broken  = "FAILED"
	untried = "not tried"
)

// A verdict is what became of the two cells of a row and a column.
type verdict struct{ theyCheck, weCheck string }

func TestMatrix(t *testing.T) {
	c := newCity(t)
	rows := slices.Concat(c.primitives(), c.certificates(), c.revocations(), c.messages(), c.keys(), c.documents(), c.logs())
	verdicts := make(map[string]map[string]verdict)
	for _, r := range rows {
		verdicts[r.name] = make(map[string]verdict)
		for _, column := range columns {
			theirs := r.theirs[column]
			verdicts[r.name][column] = verdict{
				r.cell(t, column+" checks ours", r.ours.make, theirs.check),
				r.cell(t, "we check "+column, theirs.make, r.ours.check),
			}
		}
	}
	t.Run("negative vectors/"+bouncyCastle, c.vectors)
	text := table(rows, verdicts)
	t.Logf("\n%s", text)
	if *report != "" {
		must(t, os.WriteFile(*report, []byte(text), 0o600))
	}
	compare(t, filepath.Join(root, "docs/interop.md"), document(rows))
}

// cell tries a maker against a checker: what was made holds, and changed it does not.
func (r row) cell(t *testing.T, name string, m maker, c checker) string {
	for _, by := range []string{m.by, c.by} {
		if by != "" {
			demandTest(t, by)
			if m.partly+c.partly != "" {
				return part
			}
			return other
		}
	}
	if m.run == nil || c.run == nil {
		if m.why == "" && c.why == "" {
			t.Errorf("%s, %s: an empty cell needs a reason", r.name, name)
		}
		return empty
	}
	if m.with == "" || c.with == "" {
		t.Errorf("%s, %s: with what?", r.name, name)
	}
	state := untried
	ok := t.Run(r.name+"/"+name, func(t *testing.T) {
		made := m.run(t)
		if err := c.run(t, made); err != nil {
			t.Fatalf("refused: %v", err)
		}
		changed := slices.Clone(made)
		changed[0] = r.change(t, made[0])
		if bytes.Equal(changed[0], made[0]) {
			t.Fatal("nothing was changed")
		}
		err := c.run(t, changed)
		if err == nil {
			t.Fatal("accepted although it was changed")
		}
		t.Logf("changed: %v", err)
		state = holds
	})
	if !ok {
		return broken
	}
	return state
}

func (r row) change(t *testing.T, b []byte) []byte {
	if r.spoil != nil {
		return r.spoil(t, b)
	}
	out := bytes.Clone(b)
	out[len(out)-1] ^= 1
	return out
}

// demandTest makes sure that a test elsewhere, "folder/file_test.go TestName", is still there.
func demandTest(t *testing.T, by string) {
	t.Helper()
	parts := regexp.MustCompile(`^(\S+_test\.go) (Test\w+)$`).FindStringSubmatch(by)
	if parts == nil {
		t.Fatalf("%q names no test", by)
	}
	text, err := os.ReadFile(filepath.Join(root, parts[1]))
	if err != nil || !bytes.Contains(text, []byte("func "+parts[2]+"(")) {
		t.Errorf("there is no %s any more: %v", by, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
