package client

import (
	"context"
	"fmt"
	"strings"

	"oncegate/certs/token"
)

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
