package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/rivo/uniseg"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// A table is a titled part of a command's help.
type table struct {
	title string
	rows  [][2]string // what is typed, and what it means
}

// help prints how a command is used.
func (c *command) help() {
	t, width := c.t, c.t.width()
	fmt.Fprintf(t.out, "%s %s\n", t.paint(bold, t.say("Usage:")), c.usage())
	t.paragraph(c.Short, width)
	if c.Long != "" {
		t.paragraph(c.Long, width)
	}
	tables := c.tables()
	column := columnOf(tables)
	for _, table := range tables {
		fmt.Fprintf(t.out, "\n%s\n", t.paint(bold, t.Message(table.title)))
		for _, row := range table.rows {
			printRow(t.out, row, column, width)
		}
	}
	if c.Example != "" {
		fmt.Fprintf(t.out, "\n%s\n  %s\n", t.paint(bold, t.say("Examples:")), strings.ReplaceAll(c.Example, "\n", "\n  "))
	}
	if len(c.children) > 0 {
		t.paragraph(t.say(`Run "%s <command> --help" for more about a command.`, c.CommandPath()), width)
	}
}

// usage is the command as it is typed, with what must be given.
func (c *command) usage() string {
	parts := []string{c.CommandPath()}
	if len(c.children) > 0 {
		parts = append(parts, c.t.say("<command>"))
	}
	needed := c.needed()
	for _, f := range needed {
		parts = append(parts, "--"+f.Name+"="+placeholder(f))
	}
	for _, a := range c.arguments {
		parts = append(parts, a.shown())
	}
	for _, s := range c.sections {
		if slices.ContainsFunc(s.flags, func(f *pflag.Flag) bool { return !slices.Contains(needed, f) }) {
			return strings.Join(append(parts, c.t.say("[flags]")), " ")
		}
	}
	return strings.Join(parts, " ")
}

func (a argument) shown() string {
	if a.optional {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// tables are the parts of the help: commands or arguments, and flags.
func (c *command) tables() (list []table) {
	commands, arguments := table{title: "Commands:"}, table{title: "Arguments:"}
	for _, leaf := range c.leaves() {
		_, path, _ := strings.Cut(leaf.CommandPath(), " ")
		commands.rows = append(commands.rows, [2]string{path, leaf.Short})
	}
	for _, a := range c.arguments {
		arguments.rows = append(arguments.rows, [2]string{a.shown(), c.t.choice(c.t.Message(a.help), a.words, "")})
	}
	list = append(list, commands, arguments)
	for i, s := range c.sections {
		flags := table{title: s.title}
		for _, f := range s.flags {
			if !f.Hidden {
				flags.rows = append(flags.rows, c.t.flagRow(f))
			}
		}
		if i == 0 {
			flags.rows = append(flags.rows, c.t.flagRow(c.Flag("help")))
		}
		list = append(list, flags)
	}
	return slices.DeleteFunc(list, func(t table) bool { return len(t.rows) == 0 })
}

// leaves are the commands below that run.
func (c *command) leaves() (list []*command) {
	for _, child := range c.children {
		if len(child.children) == 0 {
			list = append(list, child)
		}
		list = append(list, child.leaves()...)
	}
	return list
}

func (t *terminal) flagRow(f *pflag.Flag) [2]string {
	typed := "    --" + f.Name
	if f.Shorthand != "" {
		typed = "-" + f.Shorthand + ", --" + f.Name
	}
	if p := placeholder(f); p != "" {
		typed += "=" + p
	}
	var words []string
	if v, ok := f.Value.(text); ok {
		words = v.words
	}
	unset := f.DefValue
	if slices.Contains([]string{"0", "0s", "[]", "false"}, unset) {
		unset = ""
	}
	return [2]string{typed, t.choice(f.Usage, words, unset)}
}

// choice adds to a help text which words are possible and which is the default.
func (t *terminal) choice(help string, words []string, unset string) string {
	var more string
	switch {
	case len(words) > 0 && unset != "":
		more = t.say("(one of %s; default %s)", t.List(words), unset)
	case len(words) > 0:
		more = t.say("(one of %s)", t.List(words))
	case unset != "":
		more = t.say("(default %s)", unset)
	}
	if t.chinese() || more == "" {
		return help + more
	}
	return help + " " + more
}

// list joins words as the reader's language does.
func (t *terminal) list(words []string) string {
	if t.chinese() {
		return strings.Join(words, "、")
	}
	return strings.Join(words, ", ")
}

// columnOf is where the meanings begin: behind what is typed, unless that is long.
func columnOf(tables []table) (column int) {
	const most = 34
	for _, table := range tables {
		for _, row := range table.rows {
			if n := 2 + uniseg.StringWidth(row[0]) + 2; n <= most {
				column = max(column, n)
			}
		}
	}
	return column
}

func printRow(w io.Writer, row [2]string, column, width int) {
	left := "  " + row[0]
	for _, line := range wrap(row[1], max(width-column, 24)) {
		if gap := column - uniseg.StringWidth(left); gap > 1 {
			fmt.Fprintf(w, "%s%s%s\n", left, strings.Repeat(" ", gap), line)
		} else {
			fmt.Fprintf(w, "%s\n%s%s\n", left, strings.Repeat(" ", column), line)
		}
		left = ""
	}
}

// paragraph prints a text after an empty line.
func (t *terminal) paragraph(s string, width int) {
	fmt.Fprintf(t.out, "\n%s\n", strings.Join(wrap(s, width), "\n"))
}

// wrap breaks a text into lines of at most so many columns, where lines may break: between Chinese characters, too, which take two.
func wrap(s string, columns int) (lines []string) {
	line, state := "", -1
	for s != "" {
		var segment string
		segment, s, _, state = uniseg.FirstLineSegmentInString(s, state)
		if line != "" && uniseg.StringWidth(strings.TrimRight(line+segment, " ")) > columns {
			lines = append(lines, strings.TrimRight(line, " "))
			line = ""
		}
		line += segment
	}
	return append(lines, strings.TrimRight(line, " "))
}

// width is how wide help is: as the terminal, at most 120 columns.
func (t *terminal) width() int {
	const usual, most = 80, 120
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return min(n, most)
	}
	if f, ok := t.out.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return min(n, most)
		}
	}
	return usual
}
