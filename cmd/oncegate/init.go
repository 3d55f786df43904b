package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"oncegate/deploy"
	"oncegate/node"
)

type initCommand struct {
	Dir    string `arg:"" optional:"" help:"Folder of the new installation."`
	Config string `short:"c" placeholder:"FILE" help:"Make what this configuration names instead of writing one; what is there stays."`
	Cost   int    `hidden:"" help:"log2 of scrypt's N for the new keystores, 10 to 20; default 16."`
	Sample string `enum:"minimal,city" default:"minimal" help:"Which configuration to write: minimal, or the sample city."`
}

// Help gives examples.
func (initCommand) Help() string {
	return examples("oncegate init /srv/oncegate", "oncegate init /tmp/city --sample city", "oncegate init -c oncegate.yaml")
}

// Run makes an installation.
func (c *initCommand) Run(ctx context.Context, t *terminal) error {
	if (c.Dir == "") == (c.Config == "") {
		return misuse{fmt.Errorf("%s", t.say("say either a folder or -c FILE"))}
	}
	var made *node.Prepared
	var err error
	main := c.Config
	if c.Config != "" {
		made, err = node.Prepare(ctx, c.Config, node.PrepareOptions{Cost: c.Cost})
	} else {
		write := node.WriteTemplate
		if c.Sample == "city" {
			write = deploy.WriteCity
		}
		main = filepath.Join(c.Dir, node.MainFile)
		made, err = node.Init(ctx, c.Dir, write, node.PrepareOptions{Cost: c.Cost})
	}
	if err != nil {
		return err
	}
	for _, line := range made.Made {
		fmt.Fprintf(t.out, "%s %s\n", t.paint(green, "+"), line)
	}
	trust := filepath.Join(filepath.Dir(main), "trust")
	if err := made.Setup.WriteTrust(trust); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s %s\n\n", t.paint(green, "+"), t.say("what verifiers must believe, in %s: hand it to them yourself", trust))
	fmt.Fprintln(t.out, t.say(nextSteps, main, main, trust, strings.TrimSuffix(filepath.Dir(main), "/")))
	return nil
}

const nextSteps = `Next:
  1. Edit %[1]s: departments, systems, legacy systems. Check it:  oncegate check -c %[1]s
  2. Run it:                                  oncegate serve -c %[2]s
  3. Call it from another terminal:           oncegate call -c %[1]s --system SYSTEM catalog.types
  4. Verify what it hands out:                oncegate verify --trust %[3]s FILE…
Before real use: copy the passphrase to a safe, take %[4]s/ca off this machine, hand the keys in %[4]s/callers to
their systems (better: let each make its own and send a request), put the high-water mark on another disk.`

func now() time.Time { return time.Now() }
