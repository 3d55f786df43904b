package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// misuse is an error of whoever called the command.
type misuse struct{ error }

func (m misuse) Unwrap() error { return m.error }

// usage is a command line that cannot be understood: where help is follows it.
type usage struct{ error }

// wrong is what is wrong with a command line, in the reader's language.
func (c *command) wrong(format string, args ...any) error {
	return usage{errors.New(c.t.say(format, args...))}
}

// misread says in our words what the parser found wrong with a flag.
func (c *command) misread(err error) error {
	if words := c.Flags().Args(); c.HasSubCommands() && len(words) > 0 {
		return c.unknown(words) // it is no wonder that its flags are unknown, too
	}
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		typed := e.GetSpecifiedName()
		name := "--" + typed
		if group := e.GetSpecifiedShortnames(); group != "" {
			typed, name = group, "-"+string([]rune(group)[0])
		}
		return c.wrong("unknown flag %s%s", name, c.meant("--", typed, c.flagNames()))
	}
	if e, ok := errors.AsType[*pflag.InvalidSyntaxError](err); ok {
		return c.wrong("unknown flag %s%s", e.GetSpecifiedFlag(), "")
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		name := "--" + e.GetFlag().Name
		if e.GetSpecifiedShortnames() != "" {
			name = "-" + e.GetSpecifiedName()
		}
		return c.wrong("%s needs a value: %s", name, placeholder(e.GetFlag()))
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if errors.Is(err, errFlagLike) {
			return c.wrong("--%s needs a value: %s; %s looks like a flag", e.GetFlag().Name, placeholder(e.GetFlag()), e.GetValue())
		}
		return c.wrong("--%s must be %s, not %q", e.GetFlag().Name, c.wanted(e.GetFlag()), e.GetValue())
	}
	return usage{err}
}

// unknown says that there is no such command, or that none was given.
func (c *command) unknown(words []string) error {
	var names []string
	for _, child := range c.children {
		names = append(names, child.Name())
	}
	if len(words) == 0 {
		return c.wrong("which command? %s", c.t.List(names))
	}
	return c.wrong("unknown command %s%s", c.below()+words[0], c.meant(c.below(), words[0], names))
}

// below is what stands before the names of the commands below: nothing, or "keys ".
func (c *command) below() string {
	_, path, _ := strings.Cut(c.CommandPath()+" ", " ")
	return path
}

// meant asks whether one of the names was meant; lead stands before each.
func (c *command) meant(lead, typed string, names []string) string {
	if typed == "" {
		return ""
	}
	all := cobra.Command{SuggestionsMinimumDistance: 2} // cobra measures the distance of commands only
	for _, name := range names {
		all.AddCommand(&cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}})
	}
	found := all.SuggestionsFor(typed)
	if len(found) == 0 {
		return ""
	}
	for i := range found {
		found[i] = lead + found[i]
	}
	return c.t.say("; did you mean %s?", c.t.List(found))
}
