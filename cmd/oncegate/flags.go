package main

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

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

// split takes "s,long" apart, or "long".
func split(names string) (name, short string) {
	short, name, ok := strings.Cut(names, ",")
	if !ok {
		return names, ""
	}
	return name, short
}

// declared says what completes a flag. The error is of a flag that is not there.
func (c *command) declared(name string, words []string, d cobra.ShellCompDirective) *pflag.Flag {
	_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, d))
	return c.Flags().Lookup(name)
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

// required marks flags that must be given, and shows them in the line of usage.
func (c *command) required(names ...string) {
	for _, name := range names {
		_ = c.MarkFlagRequired(name) // the error is of a flag that is not there
		shown := " --" + name + " " + c.Flags().Lookup(name).Value.Type()
		c.Use = strings.TrimSuffix(c.Use, " "+c.t.say("[flags]")) + shown + " " + c.t.say("[flags]")
	}
}

// wanted says what a flag's value must be.
func (t *terminal) wanted(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return t.say("true or false")
	case "int":
		return t.say("a whole number")
	case "float64":
		return t.say("a number")
	case "duration":
		return t.say("a time such as 10s or 2m")
	}
	if v, ok := f.Value.(text); ok {
		return t.say("one of %s", t.List(v.words))
	}
	return f.Value.Type()
}
