package main

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A section is a part of the flags in help.
type section struct {
	title string
	flags []*pflag.Flag
}

// section begins another section of the flags.
func (c *command) section(title string) { c.sections = append(c.sections, section{title: title}) }

// A text is the value of a flag that takes one. Its type is the placeholder in help.
type text struct {
	at          *string
	placeholder string
	words       []string // what it may be; none: anything
	otherwise   string   // the default, which may be given even if it is none of them
}

var (
	errNoWord   = errors.New("none of the words")
	errFlagLike = errors.New("it looks like a flag")
)

func (v text) String() string { return *v.at }

// Type is the placeholder.
func (v text) Type() string { return v.placeholder }

// Set refuses what looks like the next flag: `keys new --file --owner x` must not write a key to a file of that name.
func (v text) Set(s string) error {
	if rest, dash := strings.CutPrefix(s, "-"); dash && rest != "" && !('0' <= rest[0] && rest[0] <= '9') {
		return errFlagLike
	}
	if len(v.words) > 0 && s != v.otherwise && !slices.Contains(v.words, s) {
		return errNoWord
	}
	*v.at = s
	return nil
}

// split takes "s,long" apart, or "long".
func split(names string) (name, short string) {
	short, name, ok := strings.Cut(names, ",")
	if !ok {
		return names, ""
	}
	return name, short
}

// text declares a flag, named "long" or "s,long". What at holds is its default. The placeholder FILE or DIR completes names of files
// or folders.
func (c *command) text(at *string, names, placeholder, help string, words ...string) *pflag.Flag {
	name, short := split(names)
	c.Flags().VarP(text{at, placeholder, words, *at}, name, short, c.t.Message(help))
	return c.declared(name, words, directive(placeholder))
}

// config declares the flag that most commands cannot do without.
func (c *command) config(at *string) {
	c.text(at, "c,config", "FILE", "The configuration.")
	c.required("config")
}

// yes declares a flag that is given or not.
func (c *command) yes(at *bool, names, help string) *pflag.Flag {
	name, short := split(names)
	c.Flags().BoolVarP(at, name, short, *at, c.t.Message(help))
	return c.declared(name, nil, cobra.ShellCompDirectiveNoFileComp)
}

// number declares a flag that takes a whole number.
func (c *command) number(at *int, name, help string) *pflag.Flag {
	c.Flags().IntVar(at, name, *at, c.t.Message(help))
	return c.declared(name, nil, cobra.ShellCompDirectiveNoFileComp)
}

// rate declares a flag that takes a number.
func (c *command) rate(at *float64, name, help string) *pflag.Flag {
	c.Flags().Float64Var(at, name, *at, c.t.Message(help))
	return c.declared(name, nil, cobra.ShellCompDirectiveNoFileComp)
}

// duration declares a flag that takes a time such as 10s.
func (c *command) duration(at *time.Duration, name, help string) *pflag.Flag {
	c.Flags().DurationVar(at, name, *at, c.t.Message(help))
	return c.declared(name, nil, cobra.ShellCompDirectiveNoFileComp)
}

// texts declares a flag that takes several, between commas or by being repeated.
func (c *command) texts(at *[]string, name, help string) *pflag.Flag {
	c.Flags().StringSliceVar(at, name, *at, c.t.Message(help))
	return c.declared(name, nil, cobra.ShellCompDirectiveNoFileComp)
}

// declared shows a flag in help, and says what completes it. The errors are of flags that are not there.
func (c *command) declared(name string, words []string, d cobra.ShellCompDirective) *pflag.Flag {
	f := c.Flags().Lookup(name)
	last := &c.sections[len(c.sections)-1]
	last.flags = append(last.flags, f)
	_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, d))
	return f
}

func directive(placeholder string) cobra.ShellCompDirective {
	switch placeholder {
	case "FILE":
		return cobra.ShellCompDirectiveDefault
	case "DIR":
		return cobra.ShellCompDirectiveFilterDirs
	}
	return cobra.ShellCompDirectiveNoFileComp
}

// required marks flags that must be given.
func (c *command) required(names ...string) {
	for _, name := range names {
		_ = c.MarkFlagRequired(name) // the error is of a flag that is not there
	}
}

// missing are the flags that must be given and were not, as they are typed.
func (c *command) missing() (list []string) {
	for _, f := range c.needed() {
		if !f.Changed {
			list = append(list, "--"+f.Name+"="+placeholder(f))
		}
	}
	return list
}

func (c *command) needed() (list []*pflag.Flag) {
	for _, s := range c.sections {
		for _, f := range s.flags {
			if f.Annotations[cobra.BashCompOneRequiredFlag] != nil {
				list = append(list, f)
			}
		}
	}
	return list
}

// flagNames are the flags that help shows.
func (c *command) flagNames() (names []string) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}

// placeholder is what stands for a flag's value; empty: it takes none.
func placeholder(f *pflag.Flag) string {
	switch kind := f.Value.Type(); kind {
	case "bool":
		return ""
	case "int", "float64":
		return "N"
	case "duration":
		return "TIME"
	case "stringSlice":
		return "NAME,..."
	default:
		return kind
	}
}

// wanted says what a flag's value must be.
func (c *command) wanted(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return c.t.say("true or false")
	case "int":
		return c.t.say("a whole number")
	case "float64":
		return c.t.say("a number")
	case "duration":
		return c.t.say("a time such as 10s or 2m")
	}
	if v, ok := f.Value.(text); ok {
		return c.t.say("one of %s", c.t.List(v.words))
	}
	return placeholder(f)
}
