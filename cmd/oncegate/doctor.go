package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/config"
	"oncegate/node"
)

type doctorCommand struct {
	Config string
	Admin  string
	JSON   bool
}

func newDoctor(t *terminal) *command {
	c := &doctorCommand{}
	cmd := t.command("doctor", "Say how well a gateway is, and what to do: disk, clock, certificates, mark, backups, search, reload, sources.", c.run)
	cmd.Long = t.say(doctorHelp)
	cmd.config(&c.Config)
	cmd.text(&c.Admin, "admin", "HOST:PORT", "The node's admin listener; default: gateway.admin in the configuration.")
	cmd.yes(&c.JSON, "json", "Print the findings as JSON.")
	cmd.examples("oncegate doctor -c oncegate.yaml", "oncegate doctor -c oncegate.yaml --json")
	return cmd
}

const doctorHelp = "The running gateway is asked at its admin listener. Of one that does not answer, its files are examined. Exit code: 0 all is well, 1 something needs to be done now, 3 something needs to be done soon or could not be checked (2 is misuse)."

// run prints the findings, and what to do about each.
func (c *doctorCommand) run(ctx context.Context, t *terminal) error {
	setup, faults := config.Load(c.Config, now())
	address := c.Admin
	if address == "" {
		address = setup.Gateway.Admin
	}
	health, err := askDoctor(ctx, address)
	if err != nil {
		if address == "" {
			return faults
		}
		away := node.Finding{Check: "gateway", State: node.HealthFailed, Figure: address, Says: fmt.Sprintf("no gateway answers at %s, the admin listener", address), Do: "start it: oncegate serve -c " + c.Config}
		health = node.Health{Build: node.ReadBuild(), Time: now().UTC(), Findings: append([]node.Finding{away}, node.Examine(ctx, setup, faults, now())...)}
	}
	if c.JSON {
		if err := t.json(health); err != nil {
			return err
		}
	} else {
		t.findings(health.Findings)
	}
	return outcomeOf(health.Findings)
}

// askDoctor asks the running gateway.
func askDoctor(ctx context.Context, address string) (h node.Health, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/doctor", nil)
	if err != nil {
		return h, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: the listener is on this machine
	res, err := client.Do(r)
	if err != nil {
		return h, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return h, errors.New(res.Status)
	}
	return h, json.UnmarshalRead(io.LimitReader(res.Body, 4<<20), &h)
}

// findings prints each finding on a line, and below it what to do.
func (t *terminal) findings(list []node.Finding) {
	for _, f := range list {
		mark := map[node.HealthState]string{
			node.HealthOK: t.paint(green, "✓"), node.HealthWarning: t.paint(yellow, "!"), node.HealthFailed: t.paint(red, "✗"), node.HealthUnknown: t.paint(yellow, "?"),
		}[f.State]
		fmt.Fprintf(t.out, "%s %s\n", mark, t.Text(f.Says))
		if f.Do != "" {
			fmt.Fprintf(t.out, "    → %s\n", t.Text(f.Do))
		}
	}
}

// outcomeOf is the error that sets the exit code.
func outcomeOf(list []node.Finding) (err error) {
	for _, f := range list {
		switch f.State {
		case node.HealthFailed:
			return errNo
		case node.HealthWarning, node.HealthUnknown:
			err = errOpen
		}
	}
	return err
}
