package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"oncegate/config"
	"oncegate/deploy"
	"oncegate/install"
)

type initCommand struct {
	Dir    string
	Config string
	Cost   int
	Sample string
}

func newInit(t *terminal) *command {
	c := &initCommand{Sample: "minimal"}
	cmd := t.command("init", "Make a new installation: configuration, keys, certificates, log.", c.run,
		argument{name: "dir", help: "Folder of the new installation.", kind: "DIR", one: &c.Dir, optional: true})
	cmd.text(&c.Config, "c,config", "FILE", "Make what this configuration names instead of writing one; what is there stays.")
	cmd.number(&c.Cost, "cost", "log2 of scrypt's N for the new keystores, 10 to 20; default 16.").Hidden = true
	cmd.text(&c.Sample, "sample", "WORD", "Which configuration to write; city is the sample city.", "minimal", "city")
	cmd.examples("oncegate init /srv/oncegate", "oncegate init /tmp/city --sample city", "oncegate init -c oncegate.yaml")
	return cmd
}

// run makes an installation.
func (c *initCommand) run(ctx context.Context, t *terminal) error {
	if (c.Dir == "") == (c.Config == "") {
		return misuse{errors.New("say either a folder or -c FILE")}
	}
	var made *install.Prepared
	var err error
	main := c.Config
	if c.Config != "" {
		made, err = install.Prepare(ctx, c.Config, install.PrepareOptions{Cost: c.Cost})
	} else {
		write := install.WriteTemplate
		if c.Sample == "city" {
			write = deploy.WriteCity
		}
		main = filepath.Join(c.Dir, config.MainFile)
		made, err = install.Init(ctx, c.Dir, write, install.PrepareOptions{Cost: c.Cost})
	}
	if err != nil {
		return err
	}
	for _, line := range made.Made {
		fmt.Fprintf(t.out, "%s %s\n", t.paint(green, "+"), line)
	}
	trust := filepath.Join(filepath.Dir(main), "trust")
	if err := install.WriteTrust(made.Setup, trust); err != nil {
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
