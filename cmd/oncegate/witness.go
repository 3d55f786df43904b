package main

import (
	"context"
	"fmt"
	"path/filepath"

	"oncegate/witness"
)

func newWitness(t *terminal) *command {
	return t.group("witness", "Be a witness of gateways' logs: co-sign what only grows, elsewhere than they run.", newWitnessInit(t), newWitnessServe(t), newWitnessKey(t))
}

type witnessInit struct {
	Dir  string
	Name string
}

func newWitnessInit(t *terminal) *command {
	c := &witnessInit{}
	cmd := t.command("init", "Make a new witness: configuration, key and an empty state.", c.run,
		argument{name: "dir", help: "Folder of the new witness.", kind: "DIR", one: &c.Dir})
	cmd.text(&c.Name, "name", "NAME", "Name of its key, such as audit.example/witness; it stands in every line that it signs.")
	cmd.required("name")
	cmd.examples("oncegate witness init /srv/witness --name audit.example/witness")
	return cmd
}

// run makes the files and prints the line by which verifiers know the witness.
func (c *witnessInit) run(_ context.Context, t *terminal) error {
	vkey, err := witness.Init(c.Dir, c.Name)
	if err != nil {
		return misuse{err}
	}
	t.tell("name the logs in %s; this line is the witness's key, for gateways and verifiers:", filepath.Join(c.Dir, witness.SettingsFile))
	fmt.Fprintln(t.out, vkey)
	return nil
}

type witnessServe struct {
	serveCommand
}

func newWitnessServe(t *terminal) *command {
	c := &witnessServe{serveCommand{LogFormat: "text", LogLevel: "info"}}
	cmd := t.command("serve", "Run the witness.", c.run)
	cmd.config(&c.Config)
	cmd.text(&c.LogFormat, "log-format", "WORD", "Form of the log on standard error.", "text", "json")
	cmd.text(&c.LogLevel, "log-level", "WORD", "The least level that is logged.", "debug", "info", "warn", "error")
	cmd.examples("oncegate witness serve -c /srv/witness/witness.yaml")
	return cmd
}

// run co-signs until a signal ends it.
func (c *witnessServe) run(ctx context.Context, t *terminal) error {
	settings, config, faults := witness.Load(c.Config)
	if err := faults.Err(); err != nil {
		return err
	}
	t.faults(faults)
	config.Logger = c.logger(t)
	service, err := witness.Start(ctx, settings, config)
	if err != nil {
		return err
	}
	t.tell("witness %s, admin %s", service.Addr(), service.AdminAddr())
	fmt.Fprintln(t.out, service.VKey())
	return service.Run(ctx, tellSystemd)
}

type witnessKey struct {
	Config string
}

func newWitnessKey(t *terminal) *command {
	c := &witnessKey{}
	cmd := t.command("key", "Check a witness's configuration and print the line by which verifiers know it.", c.run)
	cmd.config(&c.Config)
	cmd.examples("oncegate witness key -c /srv/witness/witness.yaml > audit.vkey")
	return cmd
}

// run prints the key.
func (c *witnessKey) run(_ context.Context, t *terminal) error {
	_, config, faults := witness.Load(c.Config)
	if err := faults.Err(); err != nil {
		return err
	}
	t.faults(faults)
	vkey, err := config.VKey()
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out, vkey)
	return nil
}
