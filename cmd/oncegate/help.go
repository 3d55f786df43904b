package main

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rivo/uniseg"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// helpTemplate is cobra's, with the line of usage first and examples last. Texts in ⟨⟩ are titles.
const helpTemplate = `⟨Usage:⟩ {{.UseLine}}

{{.Short}}{{with .Long}}

{{.}}{{end}}{{range $g := .Groups}}

{{.Title}}{{range $.Commands}}{{if and (eq .GroupID $g.ID) .IsAvailableCommand}}
  {{rpad .Name $.NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if and .HasAvailableSubCommands (not .Groups)}}

⟨Commands:⟩{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{with .Annotations.arguments}}

⟨Arguments:⟩
{{. | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableLocalFlags}}

⟨Flags:⟩
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{with .Example}}

⟨Examples:⟩
{{.}}{{end}}{{if .HasAvailableSubCommands}}

⟨Run a command with --help for more about it.⟩{{end}}
`

var title = regexp.MustCompile(`⟨([^⟩]*)⟩`)

// localizeHelp has cobra print help by the template, in the reader's language and as wide as the terminal.
func (t *terminal) localizeHelp(root *cobra.Command) {
	root.SetHelpTemplate(title.ReplaceAllStringFunc(helpTemplate, func(s string) string { return t.paint(bold, t.Message(strings.Trim(s, "⟨⟩"))) }))
	render := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, words []string) {
		defer t.layOut(c)()
		render(c, words)
	})
}

// layOut breaks the texts of a command's help into lines: pflag and cobra know no columns, and Chinese has no spaces to break at. It
// returns what puts them back.
func (t *terminal) layOut(c *cobra.Command) (restore func()) {
	width := t.width()
	var undo []func()
	set := func(at *string, text string) {
		old := *at
		*at = text
		undo = append(undo, func() { *at = old })
	}
	indent := func(at *string, column int) {
		lines := wrap(*at, max(width-column, 24))
		set(at, strings.Join(lines, "\n"+strings.Repeat(" ", column)))
	}
	indent(&c.Short, 0)
	indent(&c.Long, 0)
	set(&c.Example, "  "+strings.ReplaceAll(c.Example, "\n", "\n  "))
	if c.Example == "  " {
		c.Example = ""
	}
	for _, child := range c.Commands() {
		indent(&child.Short, 3+child.NamePadding())
	}
	column := 0 // where pflag begins the meanings
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		kind, _ := pflag.UnquoteUsage(f)
		if n := len("      --") + len(f.Name) + len(kind) + min(len(kind), 1); !f.Hidden {
			column = max(column, n+3)
		}
	})
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		set(&f.Usage, strings.Join(wrap(t.choice(f), max(width-column, 24)), "\n"))
		set(&f.DefValue, cmp.Or(map[string]string{"bool": "false", "duration": "0s", "stringSlice": "[]"}[f.Value.Type()], "0")) // choice has said it
	})
	return func() {
		for _, back := range slices.Backward(undo) {
			back()
		}
	}
}

// choice is a flag's help with the words that it may be and its default.
func (t *terminal) choice(f *pflag.Flag) string {
	var words []string
	if v, ok := f.Value.(text); ok {
		words = v.words
	}
	unset := f.DefValue
	if slices.Contains([]string{"0", "0s", "[]", "false"}, unset) {
		unset = ""
	}
	return t.either(f.Usage, words, unset)
}

// either adds to a help text which words are possible and which is the default.
func (t *terminal) either(help string, words []string, unset string) string {
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

// explained are the arguments of a command as its help explains them.
func (t *terminal) explained(arguments []argument, width int) string {
	column := 0
	for _, a := range arguments {
		column = max(column, len(a.shown())+4)
	}
	var b strings.Builder
	for _, a := range arguments {
		lines := wrap(t.either(t.Message(a.help), a.words, ""), max(width-column, 24))
		fmt.Fprintf(&b, "  %-*s%s\n", column-2, a.shown(), strings.Join(lines, "\n"+strings.Repeat(" ", column)))
	}
	return b.String()
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
