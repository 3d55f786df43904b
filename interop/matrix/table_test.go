package matrix_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// table is the whole matrix with what became of it, for a terminal.
func table(rows []row, verdicts map[string]map[string]verdict) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-60s", "")
	for _, c := range columns {
		fmt.Fprintf(&b, "%-40s", c)
	}
	fmt.Fprintf(&b, "\n%-60s", "")
	for range columns {
		fmt.Fprintf(&b, "%-20s%-20s", "checks ours", "we check theirs")
	}
	for _, r := range rows {
		fmt.Fprintf(&b, "\n%-60s", r.name)
		for _, c := range columns {
			v := verdicts[r.name][c]
			fmt.Fprintf(&b, "%-20s%-20s", v.theyCheck, v.weCheck)
		}
	}
	return b.String() + "\n"
}

const preface = `# Who else checks what Oncegate makes, and whom Oncegate checks

Every ✓ below is tried by the test command, in the direction its column names, and once more with something changed, which must be
refused. Where *own test* stands, that test beside the package does it in its own way, and it is not done twice. What is empty says why.
The table is written by ` + "`go test ./matrix -update`" + ` in the folder [interop](../interop), and compared on every run.

The tools: OpenSSL 3.0 as Debian 12 has it; Bouncy Castle 1.72 from Debian's packages libbcprov-java and libbcpkix-java, driven by the
small Java program in [interop/java](../interop/java), which knows the standards and nothing of Oncegate; and the public tools for
transparency logs, golang.org/x/mod/sumdb and Tessera. Without Java or Bouncy Castle the cells of that column are skipped, and the test
command says so.

What Oncegate accepts as a package is, byte for byte, the same files to other readers of zips: archive/zip, java.util.zip (ZipFile,
ZipInputStream), Apache Commons Compress (ZipFile, ZipArchiveInputStream), Info-ZIP's unzip and Python's zipfile are given every
ambiguity that we know, the shapes of other writers, and random mixtures (` + "`interop/matrix.TestZipReaders`" + `; the programs are in
[interop/zips](../interop/zips)). About names beyond ASCII, unzip 6.0 is asked for contents only: it converts them although they are
marked as UTF-8.

The [negative vectors](../certs/testdata/sm2-negative/README.md) for SM2 are run through Bouncy Castle too; where it differs from them,
` + "`differs`" + ` in interop/matrix/vectors_test.go lists the test and the reason.

`

// document is the matrix as docs/interop.md has it.
func document(rows []row) string {
	var b strings.Builder
	b.WriteString(preface)
	b.WriteString("## In one look\n\n✓ both ways, → they check ours, ← we check theirs; in brackets: a part of it.\n\n| |")
	for _, c := range columns {
		b.WriteString(" " + c + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat(":-:|", len(columns)) + "\n")
	for _, r := range rows {
		b.WriteString("| " + r.name + " |")
		for _, c := range columns {
			s := r.theirs[c]
			b.WriteString(" " + mark(full(r.ours.make, s.check), full(s.make, r.ours.check), s.check.partly, s.make.partly) + " |")
		}
		b.WriteString("\n")
	}
	for _, c := range columns {
		b.WriteString("\n## " + c + "\n\n| | checks ours with | makes what we check with | ours |\n|---|---|---|---|\n")
		for _, l := range lines(rows, c) {
			fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(l.names, "<br>"), l.cells)
		}
		if c == logTools {
			b.WriteString("\nEverything else in the list above is empty here: " + noSM2Why + "\n")
		}
	}
	return b.String()
}

// A line is what a tool's table says of one row, or of several that follow each other and differ in nothing but their name.
type line struct {
	names []string
	cells string
}

func lines(rows []row, column string) (all []line) {
	for _, r := range rows {
		s := r.theirs[column]
		if s.make.why == noSM2Why && s.check.why == noSM2Why {
			continue // one sentence says it
		}
		cells := words(r.ours.make, s.check, s.check.with) + " | " + words(s.make, r.ours.check, s.make.with) + " | " + joined(", ", r.ours.make.with, r.ours.check.with)
		if n := len(all); n > 0 && all[n-1].cells == cells {
			all[n-1].names = append(all[n-1].names, r.name)
			continue
		}
		all = append(all, line{[]string{r.name}, cells})
	}
	return all
}

func full(m maker, c checker) bool { return m.by+c.by != "" || m.run != nil && c.run != nil }

func mark(theyCheck, weCheck bool, partly ...string) string {
	sign := ""
	switch {
	case theyCheck && weCheck && (partly[0] == "") == (partly[1] == ""):
		sign = "✓"
	case theyCheck && weCheck && partly[0] != "":
		return "(→) ←"
	case theyCheck && weCheck:
		return "→ (←)"
	case theyCheck:
		sign = "→"
	case weCheck:
		sign = "←"
	}
	if strings.Join(partly, "") != "" {
		sign = "(" + sign + ")"
	}
	return sign
}

// words say what a cell is done with, or why it is empty.
func words(m maker, c checker, with string) string {
	if by := m.by + c.by; by != "" {
		if partly := m.partly + c.partly; partly != "" {
			return joined(", ", "(✓) "+partly, with, "own test `"+by+"`")
		}
		return "✓ " + joined(", ", with, "own test `"+by+"`")
	}
	if m.run == nil || c.run == nil {
		return "– " + joined(" ", m.why, c.why)
	}
	return "✓ " + with
}

// joined puts parts together, without what is empty or said already.
func joined(between string, parts ...string) string {
	var said []string
	for _, p := range parts {
		if p != "" && !slices.Contains(said, p) {
			said = append(said, p)
		}
	}
	return strings.Join(said, between)
}

// compare holds a file to its generator.
func compare(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	was, err := os.ReadFile(path)
	if err != nil || string(was) != text {
		t.Errorf("%s is not what this test makes (-update writes it): %v", path, err)
	}
}
