package main

import "context"

// newProgram declares the command line. Help texts stand beside what they explain in English; texts.go has their Chinese.
func newProgram(t *terminal) *command {
	root := t.group("oncegate", "A data-sharing gateway and electronic-license exchange: ask once, prove it.",
		newServe(t), newCheck(t), newInit(t), newDemo(t), newVerify(t), newCall(t), newKeys(t), newPolicy(t), newAudit(t), newLicense(t),
		newBackup(t), newRecover(t), newHammer(t), newCompletion(t))
	root.PersistentFlags().BoolP("help", "h", false, t.say("Show context-sensitive help."))
	root.SetHelpCommand(newHelp(t, root).Command)
	root.examples("oncegate demo", "oncegate init /srv/oncegate", "oncegate serve -c /srv/oncegate/oncegate.yaml")
	root.CompletionOptions.DisableDefaultCmd = true // ours speaks both languages
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	return root
}

// newHelp is for those who type "help" first.
func newHelp(t *terminal, root *command) *command {
	var of []string
	cmd := t.command("help", "Show context-sensitive help.", func(context.Context, *terminal) error {
		asked, rest, err := root.Find(of)
		switch {
		case err != nil:
			return usage{err}
		case asked.HasSubCommands() && len(rest) > 0:
			return asked.ValidateArgs(rest)
		}
		return asked.Help()
	})
	cmd.arguments = []argument{{name: "command", help: "The command.", many: &of, optional: true}}
	cmd.Hidden = true
	return cmd
}
