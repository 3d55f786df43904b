package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every table of the program is a table: text/tabwriter counts a Chinese character as one column.
func TestNoTabwriter(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) == 0 {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte(`"text/tabwriter"`)) {
			t.Errorf("%s imports text/tabwriter: use terminal.table", name)
		}
	}
}

// Columns begin below one another on a screen: a Chinese character is as wide as two of others.
func TestTable(t *testing.T) {
	var out bytes.Buffer
	w := (&terminal{out: &out}).table("序号\tHOLDER\t说明")
	w.row("1", "云川店（valid）", "x")
	w.row("12345", "ab", "")
	w.row("7")
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	const want = "" +
		"序号   HOLDER           说明\n" +
		"1      云川店（valid）  x\n" +
		"12345  ab\n" +
		"7\n"
	if out.String() != want {
		t.Errorf("\n%s\nwant\n%s", out.String(), want)
	}
}
