package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// A command is cobra's, and what cobra has no place for: its arguments, and its flags in the order and the sections of its help.
type command struct {
	*cobra.Command
	t         *terminal
	children  []*command
	arguments []argument
	sections  []section
}

// An argument is a word of the command line that is neither command nor flag.
type argument struct {
	name, help string
	kind       string    // FILE or DIR completes names of files or folders
	one        *string   // where it goes, or
	many       *[]string // where all that remain go
	optional   bool
	words      []string // what it may be; none: anything
}

// command declares a command that runs; its flags and arguments follow.
func (t *terminal) command(name, help string, run func(context.Context, *terminal) error) *command {
	c := &command{t: t, sections: []section{{title: "Flags:"}}}
	c.Command = &cobra.Command{
		Use: name, Short: t.Message(help),
		Args: func(_ *cobra.Command, words []string) error { return c.accept(words) },
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), t) },
		ValidArgsFunction: func(_ *cobra.Command, words []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return c.completions(len(words))
		},
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return c.misread(err) })
	c.SetHelpFunc(func(*cobra.Command, []string) { c.help() })
	return c
}

// group declares a command that only holds others.
func (t *terminal) group(name, help string, children ...*command) *command {
	c := t.command(name, help, func(context.Context, *terminal) error { return nil }) // accept has refused it
	c.children = children
	for _, child := range children {
		c.AddCommand(child.Command)
	}
	return c
}

// examples are what its help ends with, as they are typed.
func (c *command) examples(lines ...string) { c.Example = strings.Join(lines, "\n") }

// accept checks what the parser leaves open and puts the arguments where they go.
func (c *command) accept(words []string) error {
	if c.HasSubCommands() {
		return c.unknown(words)
	}
	if missing := c.missing(); len(missing) > 0 {
		return c.wrong("missing flags: %s", c.t.List(missing))
	}
	for _, a := range c.arguments {
		switch {
		case len(words) == 0 && !a.optional:
			return c.wrong("%s is missing", a)
		case a.many != nil:
			*a.many, words = words, nil
		case len(words) > 0:
			if len(a.words) > 0 && !slices.Contains(a.words, words[0]) {
				return c.wrong("%s must be one of %s, not %q", a, c.t.List(a.words), words[0])
			}
			*a.one, words = words[0], words[1:]
		}
	}
	if len(words) > 0 {
		return c.wrong("unexpected argument %s", words[0])
	}
	return nil
}

// String is the argument as help shows it.
func (a argument) String() string {
	s := "<" + a.name + ">"
	if a.many != nil {
		s += " ..."
	}
	return s
}

// completions are what the argument at a place may be.
func (c *command) completions(at int) ([]cobra.Completion, cobra.ShellCompDirective) {
	if last := len(c.arguments) - 1; at > last {
		if last < 0 || c.arguments[last].many == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		at = last
	}
	return c.arguments[at].words, directive(c.arguments[at].kind)
}
