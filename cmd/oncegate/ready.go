package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

type readyCommand struct{ Admin string }

// newReady declares the readiness probe: an image from scratch has no shell and no curl that could ask instead.
func newReady(t *terminal) *command {
	c := &readyCommand{Admin: "127.0.0.1:8421"}
	cmd := t.command("ready", "Ask a running node whether it is ready, as a health check does.", c.run)
	cmd.text(&c.Admin, "admin", "HOST:PORT", "The node's admin listener, gateway.admin in its configuration.")
	cmd.examples("oncegate ready", "oncegate ready --admin 127.0.0.1:9421")
	return cmd
}

// run ends with 0 only if the node says that it is ready.
func (c *readyCommand) run(ctx context.Context, t *terminal) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Admin+"/readyz", nil)
	if err != nil {
		return usage{errors.New(t.say("--admin must be HOST:PORT, not %q", c.Admin))}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: the listener is on this machine
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", t.say("no node answers at %s: is it running, and is that its gateway.admin?", c.Admin), errors.Unwrap(err))
	}
	defer response.Body.Close()
	var answer struct {
		Ready   *bool    `json:"ready"`
		Reasons []string `json:"reasons"`
	}
	if err := json.UnmarshalRead(io.LimitReader(response.Body, 1<<16), &answer); err != nil || answer.Ready == nil {
		return errors.New(t.say("what answers at %s is not the admin listener of a node", c.Admin))
	}
	if !*answer.Ready {
		t.println("not ready:")
		for _, reason := range answer.Reasons {
			fmt.Fprintln(t.out, "  "+reason)
		}
		return errNo
	}
	t.println("ready")
	return nil
}
