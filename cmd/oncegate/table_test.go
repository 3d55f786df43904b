package main

import (
	"bytes"
	"testing"
)

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
