package main

import (
	"context"

	"github.com/spf13/cobra"
)

type completionCommand struct {
	Shell string
	root  func() *cobra.Command
}

func newCompletion(t *terminal) *command {
	c := &completionCommand{}
	cmd := t.command("completion", "Print a script with which a shell completes commands, flags and their values.", c.run)
	cmd.arguments = []argument{{name: "shell", help: "The shell.", one: &c.Shell, words: []string{"bash", "zsh", "fish", "powershell"}}}
	cmd.Long = t.say(completionHelp)
	cmd.examples("source <(oncegate completion bash)", "oncegate completion bash > /etc/bash_completion.d/oncegate", `oncegate completion zsh > "${fpath[1]}/_oncegate"`,
		"oncegate completion fish > ~/.config/fish/completions/oncegate.fish", "oncegate completion powershell | Out-String | Invoke-Expression")
	c.root = cmd.Root
	return cmd
}

const completionHelp = "Load the script in a shell to try it, or put it where the shell looks for such scripts and start a new shell. Bash needs its package bash-completion, zsh that compinit was run."

// run prints the script. Descriptions come from the program itself, in the reader's language.
func (c *completionCommand) run(_ context.Context, t *terminal) error {
	switch c.Shell {
	case "bash":
		return c.root().GenBashCompletionV2(t.out, true)
	case "zsh":
		return c.root().GenZshCompletion(t.out)
	case "fish":
		return c.root().GenFishCompletion(t.out, true)
	}
	return c.root().GenPowerShellCompletionWithDesc(t.out)
}
