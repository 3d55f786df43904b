package client

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"oncegate/audit"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/license"
	"oncegate/tlog"
)

// Log reads the gateway's log: checkpoint and hash tiles, which are public, and entries, for which we need the auditor's
// right. Nothing it returns is proven; [Trust.VerifyLog] does that.
func (c *Client) Log() *tlog.Remote {
	return &tlog.Remote{Base: c.base + "/log", Client: c.config.HTTP, Authorize: c.authorize}
}

// authorize signs a request for part of the log.
func (c *Client) authorize(r *http.Request) error {
	now := c.config.Now()
	rid, err := c.requestID()
	if err != nil {
		return err
	}
	compact, err := token.Sign(r.Context(), c.config.Signer, token.Claims{
		Issuer: c.config.System, Audience: c.config.Gateway, Method: r.Method, URL: r.URL.String(), Body: token.BodyDigest(nil),
		Operator: c.config.Operator, Request: rid,
	}, now)
	if err == nil {
		r.Header.Set("Authorization", "Bearer "+compact)
	}
	return err
}

// VerifyLog reads a whole log and proves that it is the one of a checkpoint that the trusted log's keys have signed, and that
// every entry is a record. progress, if not nil, is called with the number of entries done and of all. The steps say what
// held; the error is ErrUnproven where something did not, and names the first wrong entry.
func (t *Trust) VerifyLog(ctx context.Context, r tlog.Reader, checkpoint string, progress func(done, total uint64)) (tlog.Checkpoint, []license.Step, error) {
	var done steps
	trust, err := t.logOf(checkpoint)
	if err != nil {
		done.fail("log-known", err.Error())
		return tlog.Checkpoint{}, done, errors.Join(ErrUnproven, err)
	}
	c, list, err := tlog.VerifyCheckpoint(checkpoint, trust.Trust)
	for _, s := range list {
		done = append(done, license.Step{Name: s.Name, State: license.StepState(s.State), Reason: s.Reason})
	}
	if err != nil {
		return c, done, err
	}
	err = audit.VerifyLog(ctx, r, c, sm.New, progress)
	done.result("log-entries", err)
	return c, done, err
}

// Origins returns the names of the logs that the trust names, sorted.
func (t *Trust) Origins() []string { return slices.Sorted(maps.Keys(t.logs)) }
