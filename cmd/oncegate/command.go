package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"oncegate/node"
)

// A command is cobra's, declared in the reader's language, with what cobra has no place for: names and texts of its arguments.
type command struct {
	*cobra.Command
	t         *terminal
	arguments []argument
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

// newProgram declares the command line. Help texts stand beside what they explain in English; zh.go has their Chinese.
func newProgram(t *terminal) *command {
	root := t.group("oncegate", "A data-sharing gateway and electronic-license exchange: ask once, prove it.",
		newReady(t),
		newServe(t), newCheck(t), newInit(t), newDemo(t), newVerify(t), newExplain(t), newCall(t), newKeys(t), newPolicy(t), newAudit(t), newLicense(t), newCase(t),
		newSource(t), newConsole(t), newBackup(t), newRecover(t), newWitness(t), newHammer(t), newVersion(t), newDoctor(t))
	root.Long = t.say("Exit code: 0 done; 1 refused, refuted or could not be done; 2 wrong usage, or a configuration that cannot be used; 3 not proven.")
	root.examples("oncegate demo", "oncegate init /srv/oncegate", "oncegate serve -c /srv/oncegate/oncegate.yaml")
	for _, g := range []struct{ title, names string }{
		{"Run a gateway:", "init check serve ready doctor keys backup recover"}, {"Call and verify:", "call verify explain witness"},
		{"Look after records, licenses and the policy:", "audit license case policy source console"}, {"Try it:", "demo hammer completion help version"},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: t.paint(bold, t.Message(g.title))})
		for _, name := range strings.Fields(g.names) {
			if c, _, err := root.Find([]string{name}); err == nil {
				c.GroupID = g.title
			}
		}
	}
	root.SetCompletionCommandGroupID("Try it:")
	root.SetHelpCommandGroupID("Try it:")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	t.localizeHelp(root.Command)
	root.SetFlagErrorFunc(t.misread)
	root.Version = node.ReadBuild().Version
	root.SetVersionTemplate("oncegate {{.Version}}\n")
	root.Flags().Bool("version", false, t.say("Say which version this is; more says oncegate version."))
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	t.localize(root.Command)
	return root
}

// localize puts cobra's own commands in the reader's language, and holds their arguments as ours.
func (t *terminal) localize(root *cobra.Command) {
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Use, c.Short, c.Long = "help "+t.say("<command>"), t.say("Show context-sensitive help."), ""
			c.Run, c.RunE = nil, func(_ *cobra.Command, words []string) error { return t.helpOn(root, words) }
		case "completion":
			c.Short, c.Long = t.say("Print a script with which a shell completes commands, flags and their values."), t.say(completionHelp)
			c.Use += " " + t.say("<command>")
			c.Example = "source <(oncegate completion bash)\noncegate completion bash > /etc/bash_completion.d/oncegate\noncegate completion zsh > \"${fpath[1]}/_oncegate\"\n" +
				"oncegate completion fish > ~/.config/fish/completions/oncegate.fish\noncegate completion powershell | Out-String | Invoke-Expression"
			t.holds(c)
			for _, shell := range c.Commands() {
				shell.Short, shell.Long, shell.Example = t.say("Print the script."), t.say(completionHelp), "oncegate completion "+shell.Name()
				shell.Flags().VisitAll(func(f *pflag.Flag) { f.Usage = t.say("Leave out descriptions.") })
			}
		}
	}
	root.PersistentFlags().BoolP("help", "h", false, t.say("Show context-sensitive help."))
}

// helpOn is for those who type "help" first.
func (t *terminal) helpOn(root *cobra.Command, words []string) error {
	asked, rest, err := root.Find(words)
	switch {
	case err != nil:
		return usage{err}
	case asked.HasSubCommands() && len(rest) > 0:
		return t.unknown(asked, rest)
	}
	return asked.Help()
}

const completionHelp = "Load the script in a shell to try it, or put it where the shell looks for such scripts and start a new shell. Bash needs its package bash-completion, zsh that compinit was run."

// command declares a command that runs; its flags and arguments follow.
func (t *terminal) command(name, help string, run func(context.Context, *terminal) error, arguments ...argument) *command {
	c := &command{t: t, arguments: arguments}
	use := []string{name}
	for _, a := range arguments {
		use = append(use, a.shown())
	}
	c.Command = &cobra.Command{
		Use: strings.Join(append(use, t.say("[flags]")), " "), Short: t.Message(help), DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, words []string) error { return c.accept(words) },
		RunE: func(cmd *cobra.Command, _ []string) error { t.understood = true; return run(cmd.Context(), t) },
		ValidArgsFunction: func(_ *cobra.Command, words []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return c.completions(len(words))
		},
	}
	if len(arguments) > 0 {
		c.Annotations = map[string]string{"arguments": t.explained(arguments, t.width())}
	}
	c.Flags().SortFlags = false
	return c
}

// group declares a command that only holds others.
func (t *terminal) group(name, help string, children ...*command) *command {
	c := &command{t: t, Command: &cobra.Command{Use: name + " " + t.say("<command>"), Short: t.Message(help), DisableFlagsInUseLine: true}}
	t.holds(c.Command)
	for _, child := range children {
		c.AddCommand(child.Command)
	}
	return c
}

// holds makes a command one that only holds others: cobra would show its help, whatever stands behind it.
func (t *terminal) holds(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, words []string) error { return t.unknown(c, words) }
}

// examples are what its help ends with, as they are typed.
func (c *command) examples(lines ...string) { c.Example = strings.Join(lines, "\n") }

// accept puts the arguments where they go.
func (c *command) accept(words []string) error {
	for _, a := range c.arguments {
		switch {
		case len(words) == 0 && !a.optional:
			return c.t.wrong("%s is missing", a)
		case a.many != nil:
			*a.many, words = words, nil
		case len(words) > 0:
			if len(a.words) > 0 && !slices.Contains(a.words, words[0]) {
				return c.t.wrong("%s must be one of %s, not %q", a, c.t.List(a.words), words[0])
			}
			*a.one, words = words[0], words[1:]
		}
	}
	if len(words) > 0 {
		return c.t.wrong("unexpected argument %s", words[0])
	}
	return nil
}

// String is the argument as messages name it.
func (a argument) String() string {
	if a.many != nil {
		return "<" + a.name + ">..."
	}
	return "<" + a.name + ">"
}

// shown is the argument as help shows it.
func (a argument) shown() string {
	if a.optional {
		return "[" + a.String() + "]"
	}
	return a.String()
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

// misuse is an error of whoever called the command.
type misuse struct{ error }

func (m misuse) Unwrap() error { return m.error }

// usage is a command line that cannot be understood: where help is follows it.
type usage struct{ error }

// wrong is what is wrong with a command line, in the reader's language.
func (t *terminal) wrong(format string, args ...any) error {
	return usage{errors.New(t.say(format, args...))}
}

// misread adds to what the parser found wrong with a flag: which flag was meant, and what its value must be.
func (t *terminal) misread(c *cobra.Command, err error) error {
	if words := c.Flags().Args(); c.HasSubCommands() && len(words) > 0 {
		return t.unknown(c, words) // it is no wonder that its flags are unknown, too
	}
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		typed := e.GetSpecifiedShortnames()
		if typed == "" {
			typed = e.GetSpecifiedName()
		}
		flags := &cobra.Command{SuggestionsMinimumDistance: 2} // cobra measures the distance of commands only
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				flags.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
			}
		})
		return usage{errors.New(t.Text(err.Error()) + t.meant("--", flags.SuggestionsFor(typed)))}
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if errors.Is(err, errFlagLike) {
			return t.wrong("--%s needs a value: %s; %s looks like a flag", e.GetFlag().Name, e.GetFlag().Value.Type(), e.GetValue())
		}
		return t.wrong("--%s must be %s, not %q", e.GetFlag().Name, t.wanted(e.GetFlag()), e.GetValue())
	}
	return usage{err}
}

// unknown says that there is no such command, or that none was given.
func (t *terminal) unknown(c *cobra.Command, words []string) error {
	if len(words) == 0 {
		var names []string
		for _, child := range c.Commands() {
			if child.IsAvailableCommand() {
				names = append(names, child.Name())
			}
		}
		return t.wrong("which command? %s", t.List(names))
	}
	_, path, _ := strings.Cut(c.CommandPath()+" ", " ")
	c.SuggestionsMinimumDistance = 2
	return t.wrong("unknown command %s%s", path+words[0], t.meant(path, c.SuggestionsFor(words[0])))
}

// meant asks whether one of the names was meant; lead stands before each.
func (t *terminal) meant(lead string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	for i := range names {
		names[i] = lead + names[i]
	}
	return t.say("; did you mean %s?", t.List(names))
}
