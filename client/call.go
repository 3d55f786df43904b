package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/token"
	"oncegate/check"
	"oncegate/tlog"
	"oncegate/verdict"
)

// maxAnswer bounds a response's body in bytes.
const maxAnswer = 64 << 20

// A CallError says which call went wrong without an answer. The gateway may have recorded it: ask [Client.LostReceipt] for
// JTI, and make the call again with [Client.Again] for RequestID.
type CallError struct {
	Operation, JTI, RequestID string
	Err                       error
}

func (e *CallError) Error() string { return fmt.Sprintf("call %s: %v", e.Operation, e.Err) }
func (e *CallError) Unwrap() error { return e.Err }

// An UnreachableError says that no answer came from the gateway, and why.
type UnreachableError struct {
	Host string // of the URL that was called
	Err  error  // of net/http
}

// Error says what the operator can look at; the URL is no part of it.
func (e *UnreachableError) Error() string {
	var network net.Error
	switch {
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return "nothing listens at " + e.Host + " (is the gateway running?)"
	case errors.Is(e.Err, context.Canceled):
		return "it was broken off"
	case errors.As(e.Err, &network) && network.Timeout():
		return "the gateway at " + e.Host + " did not answer in time"
	}
	err := e.Err
	if of, ok := errors.AsType[*url.Error](err); ok {
		err = of.Err
	}
	return "the gateway at " + e.Host + " cannot be reached: " + err.Error()
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// A Response is an answer as it came.
type Response struct {
	Status    int          // 200, or 201 where something was made
	Raw       []byte       // {answer, receipt}: what to file
	JTI       string       // of the attempt that was answered
	RequestID string       //
	Receipt   tlog.Receipt //
	Steps     []check.Step // of the receipt's verification; nil without Trust
}

// Call makes a call by the name of its operation, with the values of its path's parameters and the body's bytes, which go out
// as they are. Other methods of Client are typed forms of it.
//
// The error is a *api.Problem in a chain with *CallError, or verdict.ErrUnproven if an answer came whose receipt does not hold.
func (c *Client) Call(ctx context.Context, operation string, values map[string]string, body []byte) (*Response, error) {
	op := c.contract.Operation(operation)
	if op == nil {
		return nil, fmt.Errorf("call %s: there is no such operation", operation)
	}
	rid, err := c.requestID()
	if err != nil {
		return nil, err
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = 100 * time.Millisecond
	return backoff.Retry(ctx, func() (*Response, error) {
		r, err := c.attempt(ctx, op, values, body, rid)
		return r, again(err)
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(uint(c.config.Tries)), backoff.WithMaxElapsedTime(c.config.Patience))
}

// again classifies an error for the retry loop: permanent, or to be retried after the time that the problem names. Only the gateway
// knows whether the same call may succeed later.
func again(err error) error {
	p, ok := errors.AsType[*api.Problem](err)
	switch {
	case err == nil:
		return nil
	case !ok || !p.Retry:
		return backoff.Permanent(err)
	case p.RetryAfter > 0:
		return postponed{err, &backoff.RetryAfterError{Duration: time.Duration(p.RetryAfter) * time.Second}}
	}
	return err
}

// postponed is an error with the time to wait; it says what the error says.
type postponed struct {
	error
	after *backoff.RetryAfterError
}

func (p postponed) Unwrap() []error { return []error{p.error, p.after} }

// attempt makes the call once, with a token of its own.
func (c *Client) attempt(ctx context.Context, op *api.Operation, values map[string]string, body []byte, rid string) (*Response, error) {
	call, err := c.sign(ctx, op, values, body, rid, 0)
	if err != nil {
		return nil, err
	}
	r, err := c.send(ctx, call)
	if err != nil {
		return nil, &CallError{op.ID, call.jti, rid, err}
	}
	return r, nil
}

func (c *Client) send(ctx context.Context, call *signedCall) (*Response, error) {
	req, err := http.NewRequestWithContext(ctx, call.op.Method, call.url, bytes.NewReader(call.body))
	if err != nil {
		return nil, errors.New("the URL cannot be called")
	}
	if call.token != "" {
		req.Header.Set("Authorization", "Bearer "+call.token)
	}
	if call.op.Body {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.config.HTTP.Do(req)
	if err != nil {
		return nil, &UnreachableError{req.URL.Host, err}
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", err)
	case len(raw) > maxAnswer:
		return nil, errors.New("read the answer: it is too large")
	}
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	r := &Response{Status: res.StatusCode, Raw: raw, JTI: call.jti, RequestID: call.rid}
	switch {
	case media == api.ProblemType:
		return nil, c.problem(call, raw)
	case res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated:
		return nil, fmt.Errorf("unexpected status %d", res.StatusCode)
	case media != "application/json":
		return r, nil // a public artefact
	}
	return r, c.verify(call, r)
}

// problem reads a problem document, and verifies its receipt if it has one.
func (c *Client) problem(call *signedCall, raw []byte) error {
	var p api.Problem
	if err := json.Unmarshal(raw, &p); err != nil || p.Code == "" {
		return errors.New("the problem document cannot be read")
	}
	if p.Receipt == nil || c.config.Trust == nil {
		return &p
	}
	if err := c.verify(call, &Response{Raw: raw}); err != nil {
		return err
	}
	return &p
}

// verify reads the receipt and, with trust, holds it against the answer and our own token.
func (c *Client) verify(call *signedCall, r *Response) error {
	answer, receipt, err := audit.SplitAnswer(r.Raw)
	if err != nil {
		return fmt.Errorf("%w: %w", verdict.ErrUnproven, err)
	}
	r.Receipt = receipt
	if c.config.Trust == nil {
		return nil
	}
	r.Steps, err = c.config.Trust.VerifyAnswer(receipt, answer, call.token)
	return err
}

// Curl returns a curl command that makes the call once, for anybody, within the next five minutes: it carries a signed token.
// A second run is refused as a replay.
func (c *Client) Curl(ctx context.Context, operation string, values map[string]string, body []byte) (string, error) {
	op := c.contract.Operation(operation)
	if op == nil {
		return "", fmt.Errorf("call %s: there is no such operation", operation)
	}
	rid, err := c.requestID()
	if err != nil {
		return "", err
	}
	call, err := c.sign(ctx, op, values, body, rid, token.MaxLifetime)
	if err != nil {
		return "", err
	}
	args := []string{"curl", "-sS", "-X", op.Method}
	if call.token != "" {
		args = append(args, "-H", quote("Authorization: Bearer "+call.token))
	}
	if op.Body {
		// Without Expect and with --data-binary the bytes go out as they were signed.
		args = append(args, "-H", quote("Content-Type: application/json"), "--data-binary", quote(string(body)))
	}
	return strings.Join(append(args, quote(call.url)), " "), nil
}

// quote quotes an argument for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
