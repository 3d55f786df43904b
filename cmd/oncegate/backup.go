package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"oncegate/install"
)

type backupCommand struct {
	Config string
	To     string
}

func newBackup(t *terminal) *command {
	c := &backupCommand{}
	cmd := t.command("backup", "Copy the SQLite database to a file, while a node serves it or not.", c.run,
		argument{name: "to", help: "File to write; it must not exist.", kind: "FILE", one: &c.To})
	cmd.config(&c.Config)
	cmd.examples("oncegate backup -c oncegate.yaml /backup/oncegate-2026-11-23.db")
	return cmd
}

// run copies the database while it serves.
func (c *backupCommand) run(ctx context.Context, t *terminal) error {
	bar := t.progress("pages")
	if err := install.Backup(ctx, c.Config, c.To, func(done, total int) { bar(uint64(done), uint64(total)) }); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s %s\n", t.paint(green, "+"), t.say("the database as it was when the backup began, in %s; keys and configuration are not in it", c.To))
	return nil
}

type recoverCommand struct {
	Config     string
	Checkpoint string
	Adopt      bool
}

func newRecover(t *terminal) *command {
	c := &recoverCommand{}
	cmd := t.command("recover", "Open a new log origin after an old backup was restored.", c.run)
	cmd.Long = t.say(recoverHelp)
	cmd.text(&c.Config, "c,config", "FILE", "The configuration, with a new log.origin.")
	cmd.required("config")
	cmd.text(&c.Checkpoint, "checkpoint", "FILE", "The last checkpoint known of the old log; default: the one in the high-water mark.")
	cmd.yes(&c.Adopt, "adopt", "The backup was made before rows were authenticated: trust its rows, and record how many.")
	cmd.examples("oncegate recover -c oncegate.yaml", "oncegate recover -c oncegate.yaml --checkpoint last-known.checkpoint")
	return cmd
}

const recoverHelp = "After an old backup was restored the gateway refuses to start, because the database is behind what was committed before. Stop every node, give log.origin a new name in the configuration, and recover: the new log begins with the last known checkpoint of the old one, so that anybody can prove what is missing."

// run opens a new origin.
func (c *recoverCommand) run(ctx context.Context, t *terminal) error {
	o := install.RecoverOptions{Adopt: c.Adopt}
	if c.Checkpoint != "" {
		if info, err := os.Stat(c.Checkpoint); c.Checkpoint != "-" && (err != nil || info.IsDir()) {
			return usage{errors.New(t.say("--checkpoint must be a file that is there, not %q", c.Checkpoint))}
		}
		text, err := t.readAll(c.Checkpoint, 1<<16)
		if err != nil {
			return err
		}
		o.Checkpoint = string(text)
	}
	done, err := install.Recover(ctx, c.Config, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s %s\n", t.paint(green, "+"), t.say("the log %s begins with the checkpoint of %s at %d entries", done.Origin, done.Old.Origin, done.Old.Size))
	fmt.Fprintln(t.out, t.say("calls that expire before %s are refused; hand out trust for the new log, and keep the old one's", done.Until.UTC().Format("2006-01-02T15:04:05Z")))
	return nil
}
