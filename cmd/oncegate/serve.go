package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"

	"oncegate/config"
	"oncegate/node"
)

type serveCommand struct {
	Config    string
	LogFormat string
	LogLevel  string
}

func newServe(t *terminal) *command {
	c := &serveCommand{LogFormat: "text", LogLevel: "info"}
	cmd := t.command("serve", "Run the gateway.", c.run)
	cmd.config(&c.Config)
	cmd.text(&c.LogFormat, "log-format", "WORD", "Form of the log on standard error.", "text", "json")
	cmd.text(&c.LogLevel, "log-level", "WORD", "The least level that is logged.", "debug", "info", "warn", "error")
	cmd.examples("oncegate serve -c oncegate.yaml", "kill -HUP PID   # reload; a changed file does it too")
	return cmd
}

// run serves until a signal ends it.
func (c *serveCommand) run(ctx context.Context, t *terminal) error {
	tuneGC()
	signal.Ignore(syscall.SIGHUP) // until the node reloads on it: one that comes during the start must not end the process
	n, err := node.Open(ctx, c.Config, node.Options{Logger: c.logger(t), Serving: tellSystemd})
	if err != nil {
		return err
	}
	t.tell("service %s, admin %s, public URL %s", n.Addr(), n.AdminAddr(), n.PublicURL())
	return n.Run(ctx)
}

// tellSystemd tells the service manager that the service is up (sd_notify), so that "systemctl start" fails where the start does, and what
// is ordered after the gateway waits for it. It does nothing where no service manager asks.
func tellSystemd() {
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady) // a service manager that is not told ends the start by its own time limit
}

// tuneGC tunes the garbage collector: it lets garbage grow to twice the live heap: the heap of a gateway is small, and collecting it at every doubling costs a
// fifth of its processor time under load. GOGC and GOMEMLIMIT say otherwise where they are set.
func tuneGC() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(200)
	}
}

func (c *serveCommand) logger(t *terminal) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // the flag has checked it
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(t.err, o))
	}
	return slog.New(slog.NewTextHandler(t.err, o))
}

type checkCommand struct {
	Config  string
	Sources bool
	JSON    bool
}

func newCheck(t *terminal) *command {
	c := &checkCommand{}
	cmd := t.command("check", "Check a configuration and everything it names; report all faults at once.", c.run)
	cmd.config(&c.Config)
	cmd.yes(&c.Sources, "sources", "Try every source too, as oncegate source try does.")
	cmd.yes(&c.JSON, "json", "Print the faults as JSON.")
	cmd.examples("oncegate check -c oncegate.yaml", "oncegate check -c oncegate.yaml --sources")
	return cmd
}

// run reports every fault, and whether the configuration can be used.
func (c *checkCommand) run(ctx context.Context, t *terminal) error {
	setup, faults := config.Load(c.Config, now())
	if len(faults.Fatal()) == 0 {
		faults = append(faults, setup.CheckStart(now)...).Sorted()
	}
	var trials []config.Trial
	if c.Sources && len(faults.Fatal()) == 0 {
		for _, source := range setup.Sources {
			trials = append(trials, setup.Try(ctx, source, 0))
		}
	}
	silent := slices.ContainsFunc(trials, func(trial config.Trial) bool { return trial.Err != nil })
	if c.JSON {
		type row struct {
			File    string `json:"file"`
			Line    int    `json:"line"`
			Column  int    `json:"column"`
			Reason  string `json:"reason"`
			Warning bool   `json:"warning"`
		}
		list := make([]row, len(faults))
		for i, f := range faults {
			list[i] = row{f.Place.File, f.Place.Line, f.Place.Column, f.Reason, f.Warning}
		}
		result := map[string]any{"ok": len(faults.Fatal()) == 0 && !silent, "faults": list}
		if c.Sources {
			tried := make([]any, len(trials))
			for i, trial := range trials {
				tried[i] = jsonTrial(trial)
			}
			result["sources"] = tried
		}
		if err := t.json(result); err != nil {
			return err
		}
		switch {
		case len(faults.Fatal()) > 0:
			return misuse{errNo}
		case silent:
			return errNo
		}
		return nil
	}
	if len(faults.Fatal()) > 0 {
		return faults
	}
	t.faults(faults)
	verdict := "%s can be used: %d departments, %d systems, %d sources, %d license types, %d matters, %d grants (%d warnings)"
	if setup.Unmade {
		verdict = "%s can be used once oncegate init has made its keys: %d departments, %d systems, %d sources, %d license types, %d matters, %d grants (%d warnings)"
	}
	t.println(verdict, c.Config, len(setup.Departments),
		len(setup.Systems), len(setup.Sources), len(setup.Catalogue.Types), len(setup.Book.Matters), len(setup.Policy.Grants()), len(faults))
	fmt.Fprintln(t.out, t.paint(faint, t.say("configuration %s  policy %s", setup.Digest, setup.Policy.Digest())))
	if q := setup.AskWitnesses.Quorum; q.Need > 0 {
		t.println("witnesses: %d of %d organisations make a quorum; no fork while at most %d of them are false", q.Need, len(q.Organizations()), q.Tolerates())
	}
	for _, trial := range trials {
		t.printTrial(trial)
	}
	if silent {
		return errNo
	}
	return nil
}
