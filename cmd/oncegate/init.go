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
	"oncegate/fault"
	"oncegate/install"
	"oncegate/store"
)

type initCommand struct {
	Dir    string
	Config string
	Cost   int
	Sample string

	Store   string
	DSNFile string
}

func newInit(t *terminal) *command {
	c := &initCommand{Sample: "minimal", Store: store.SQLite}
	cmd := t.command("init", "Make a new installation: configuration, keys, certificates, log.", c.run,
		argument{name: "dir", help: "Folder of the new installation.", kind: "DIR", one: &c.Dir, optional: true})
	cmd.text(&c.Config, "c,config", "FILE", "Make what this configuration names instead of writing one; what is there stays.")
	cmd.number(&c.Cost, "cost", "log2 of scrypt's N for the new keystores, 10 to 20; default 16.").Hidden = true
	cmd.text(&c.Sample, "sample", "WORD", "Which configuration to write; city is the sample city.", "minimal", "city")
	cmd.text(&c.Store, "store", "WORD", "Which database the new installation has.", store.SQLite, store.Postgres)
	cmd.text(&c.DSNFile, "dsn-file", "FILE", "File with PostgreSQL's connection string, which holds the password and is readable by the gateway only.")
	cmd.examples("oncegate init /srv/oncegate", "oncegate init /srv/oncegate --store postgres --dsn-file /etc/oncegate/dsn", "oncegate init /tmp/city --sample city", "oncegate init -c oncegate.yaml")
	return cmd
}

// run makes an installation.
func (c *initCommand) run(ctx context.Context, t *terminal) error {
	if (c.Dir == "") == (c.Config == "") {
		return misuse{errors.New("say either a folder or -c FILE")}
	}
	if c.Config != "" && (c.Store != store.SQLite || c.DSNFile != "") {
		return misuse{errors.New("the configuration says which database it has: --store and --dsn-file are for a new one")}
	}
	if (c.Store == store.Postgres) != (c.DSNFile != "") {
		return misuse{errors.New("PostgreSQL needs both: --store postgres --dsn-file FILE")}
	}
	if strings.Contains(c.DSNFile, "://") || strings.Contains(c.DSNFile, "password=") {
		return misuse{errors.New("--dsn-file names a file: on the command line everybody on this machine could read the password")}
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
		if c.Store == store.Postgres {
			if write, err = install.OnPostgres(ctx, c.DSNFile, write); err != nil {
				return err
			}
		}
		main = filepath.Join(c.Dir, config.MainFile)
		made, err = install.Init(ctx, c.Dir, write, install.PrepareOptions{Cost: c.Cost})
	}
	if err != nil {
		return err
	}
	if f := made.Setup.Store.CheckDSNFile(); c.Store == store.Postgres && f != nil {
		t.faults(fault.List{*f})
	}
	for _, line := range made.Made {
		fmt.Fprintf(t.out, "%s %s\n", t.paint(green, "+"), line)
	}
	trust := filepath.Join(filepath.Dir(main), "trust")
	if err := install.WriteTrust(made.Setup, trust); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s %s\n\n", t.paint(green, "+"), t.say("what verifiers must trust, in %s: hand it to them yourself", trust))
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
