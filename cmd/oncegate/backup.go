package main

import (
	"context"
	"fmt"

	"oncegate/node"
)

type backupCommand struct {
	Config string `short:"c" required:"" placeholder:"FILE" help:"The configuration."`
	To     string `arg:"" help:"File to write; it must not exist."`
}

// Help gives examples.
func (backupCommand) Help() string {
	return examples("oncegate backup -c oncegate.yaml /backup/oncegate-2026-11-23.db")
}

// Run copies the database while it serves.
func (c *backupCommand) Run(ctx context.Context, t *terminal) error {
	bar := t.progress("pages")
	if err := node.Backup(ctx, c.Config, c.To, func(done, total int) { bar(uint64(done), uint64(total)) }); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s %s\n", t.paint(green, "+"), t.say("the database as it was when the backup began, in %s; keys and configuration are not in it", c.To))
	return nil
}

type recoverCommand struct {
	Config     string `short:"c" required:"" placeholder:"FILE" help:"The configuration, with a new log.origin."`
	Checkpoint string `placeholder:"FILE" type:"existingfile" help:"The last checkpoint known of the old log; default: the one in the high-water mark."`
}

// Help says when.
func (recoverCommand) Help() string {
	return recoverHelp + examples("oncegate recover -c oncegate.yaml", "oncegate recover -c oncegate.yaml --checkpoint last-known.checkpoint")
}

const recoverHelp = `After an old backup was restored the gateway refuses to start, because the database is behind what was committed before. Stop
every node, give log.origin a new name in the configuration, and recover: the new log begins with the last known checkpoint of the
old one, so that anybody can prove what is missing.

`

// Run opens a new origin.
func (c *recoverCommand) Run(ctx context.Context, t *terminal) error {
	var o node.RecoverOptions
	if c.Checkpoint != "" {
		text, err := t.readAll(c.Checkpoint, 1<<16)
		if err != nil {
			return err
		}
		o.Checkpoint = string(text)
	}
	done, err := node.Recover(ctx, c.Config, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s %s\n", t.paint(green, "+"), t.say("the log %s begins with the checkpoint of %s at %d entries", done.Origin, done.Old.Origin, done.Old.Size))
	fmt.Fprintln(t.out, t.say("calls that expire before %s are refused; hand out trust for the new log, and keep the old one's", done.Until.UTC().Format("2006-01-02T15:04:05Z")))
	return nil
}
