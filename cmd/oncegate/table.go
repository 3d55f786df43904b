package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/rivo/uniseg"
)

// A table prints rows in columns that are as wide as the terminal shows them: a Chinese character takes two, which text/tabwriter does not
// know.
type table struct {
	out   io.Writer
	cells [][]string
}

// table begins a table. head are its titles, between tabs; without them it has none.
func (t *terminal) table(head string) *table {
	w := &table{out: t.out}
	if head != "" {
		w.row(strings.Split(head, "\t")...)
	}
	return w
}

func (w *table) row(cells ...string) { w.cells = append(w.cells, cells) }

// pages lists limit rows, all if it is 0, page by page of at most size rows, and prints the table. ask asks for at most so many more rows
// and returns how many came; a page may be empty while there are more. What came before an error is printed too.
func (t *terminal) pages(w *table, limit, size int, ask func(limit int) (rows int, more bool, err error)) error {
	for shown, more := 0, true; more && (limit == 0 || shown < limit); {
		n := size
		if limit > 0 {
			n = min(size, limit-shown)
		}
		rows, next, err := ask(n)
		if err != nil && shown > 0 {
			err = errors.Join(w.flush(), err)
		}
		if err != nil {
			return t.refused(err)
		}
		shown, more = shown+rows, next
	}
	return w.flush()
}

// flush prints what was collected.
func (w *table) flush() error {
	const gap = 2
	var widths []int
	for _, row := range w.cells {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], uniseg.StringWidth(cell))
		}
	}
	var b strings.Builder
	for _, row := range w.cells {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-uniseg.StringWidth(cell)+gap)
		}
		fmt.Fprintln(&b, strings.TrimRight(line, " "))
	}
	w.cells = nil
	_, err := io.WriteString(w.out, b.String())
	return err
}
