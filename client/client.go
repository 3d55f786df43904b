// Package client is the Go client (SDK) of a gateway: signed calls as typed methods, with retries, and verified receipts.
//
//	trust, err := verdict.LoadTrust("trust/trust.json")
//	c, err := client.New(client.Config{BaseURL: "https://gateway.example", Gateway: "example-city", System: "food-permits",
//		Signer: signer, Operator: "window-3", Trust: trust})
//	checked, err := c.Check(ctx, "SP-2026-000123", api.CheckRequest{})
//
// Errors are *api.Problem where the gateway answered one (errors.As). With Trust set, an answer is handed out only after its
// receipt has been verified; [verdict.ErrUnproven] otherwise. Package verdict verifies everything that a gateway hands out, offline.
package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/tlog"
	"oncegate/verdict"
)

// Config says which gateway is called, as whom, and what is trusted.
type Config struct {
	BaseURL  string    // the gateway's public base URL exactly as it publishes it: calls are signed for it
	Gateway  string    // the gateway's id: the audience of calls
	System   string    // our id as the gateway knows it
	Signer   sm.Signer // our call key; its KeyID is registered for System
	Operator string    // who acts (经办人), where [Client.As] names nobody else

	// HTTP makes the calls. Default: a client with a timeout of 30 s. Redirects are never followed: a call is signed for
	// one URL.
	HTTP *http.Client

	// Trust verifies the receipt of every answer before it is handed out. Nil: receipts are not verified.
	Trust *verdict.Trust

	// Tries bounds the attempts of a call (retry with exponential backoff), where the problem says that a retry may succeed. Default 4.
	Tries int

	// Patience bounds the time of all retries of a call together. Default 15 s.
	Patience time.Duration

	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// A Client makes signed calls. It is safe for concurrent use.
type Client struct {
	config   Config
	contract *api.Contract
	base     string // without a slash at its end
	request  string // request id to keep; "": a new one for each call
	id       string // jti to use; "": a new one for each attempt
	actor    ActorFunc
}

// New checks the configuration.
func New(c Config) (*Client, error) {
	base, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("make client: the base URL is no http or https URL")
	case c.Gateway == "" || c.System == "" || c.Operator == "":
		return nil, errors.New("make client: gateway, system and operator are required")
	case c.Signer == nil:
		return nil, errors.New("make client: the signer is required")
	}
	contract, err := api.NewContract()
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return &Client{config: c.withDefaults(), contract: contract, base: strings.TrimSuffix(c.BaseURL, "/")}, nil
}

func (c Config) withDefaults() Config {
	if c.Tries == 0 {
		c.Tries = 4
	}
	if c.Patience == 0 {
		c.Patience = 15 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	once := &http.Client{Timeout: 30 * time.Second}
	if c.HTTP != nil {
		copied := *c.HTTP
		once = &copied
	}
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.HTTP = once
	return c
}

// As returns a client whose calls name another operator.
func (c *Client) As(operator string) *Client {
	other := *c
	other.config.Operator = operator
	return &other
}

// Again returns a client whose calls carry this request id: an idempotency key for a call that is made again after its answer was lost,
// so that statistics count it once.
func (c *Client) Again(requestID string) *Client {
	other := *c
	other.request = requestID
	return &other
}

// WithID returns a client whose calls carry this jti, which starts with the time as token.NewID makes it: for a call that something is
// bound to before it is made, such as an actor token. The gateway takes a jti once.
func (c *Client) WithID(jti string) *Client {
	other := *c
	other.id = jti
	return &other
}

// An ActorBinding is what an identity service signs in an actor token for one attempt at a call. It puts either Request or Key into the
// token: Request where the person has confirmed this very call, Key where the person is signed in at the system.
type ActorBinding struct {
	Gateway  string `json:"aud"`
	System   string `json:"sys"`
	Operator string `json:"sub"`
	Request  string `json:"req"` // token.RequestDigest
	Key      string `json:"key"` // token.KeyDigest, for cnf["spki#SM3"]
}

// An ActorFunc gets the actor token of an attempt from an identity service: its compact JWS.
type ActorFunc func(ctx context.Context, b ActorBinding) (string, error)

// Vouched returns a client whose calls carry actor tokens: an identity service vouches for the operator.
func (c *Client) Vouched(by ActorFunc) *Client {
	other := *c
	other.actor = by
	return &other
}

// vouch adds the actor token to the claims of a call.
func (c *Client) vouch(ctx context.Context, claims *token.Claims) error {
	if c.actor == nil {
		return nil
	}
	b := ActorBinding{Gateway: claims.Audience, System: claims.Issuer, Operator: claims.Operator}
	var err error
	if b.Request, err = token.RequestDigest(claims); err != nil {
		return err
	}
	if b.Key, err = token.KeyDigest(c.config.Signer.Public()); err != nil {
		return err
	}
	if claims.Actor, err = c.actor(ctx, b); err != nil {
		return fmt.Errorf("get actor token: %w", err)
	}
	return nil
}

// A signedCall is one attempt: a request that can be made once.
type signedCall struct {
	op    *api.Operation
	url   string
	token string
	jti   string
	rid   string
	body  []byte
}

// sign makes a token for one attempt. A life of zero is the token's default.
func (c *Client) sign(ctx context.Context, op *api.Operation, values map[string]string, body []byte, rid string, life time.Duration) (*signedCall, error) {
	now := c.config.Now()
	target := c.base + fill(op.Path, values)
	call := &signedCall{op: op, url: target, rid: rid, body: body}
	if !op.Signed {
		return call, nil
	}
	var err error
	if call.jti = c.id; call.jti == "" {
		if call.jti, err = token.NewID(now, nil); err != nil {
			return nil, err
		}
	}
	claims := token.Claims{
		Issuer: c.config.System, Audience: c.config.Gateway, ID: call.jti, Method: op.Method, URL: target,
		Body: token.BodyDigest(body), Operator: c.config.Operator, Request: rid, IssuedAt: now.Unix(),
	}
	if life > 0 {
		claims.Expires = claims.IssuedAt + int64(life/time.Second)
	}
	if err := c.vouch(ctx, &claims); err != nil {
		return nil, err
	}
	call.token, err = token.Sign(ctx, c.config.Signer, claims, now)
	return call, err
}

// requestID is the id to keep, or a new one.
func (c *Client) requestID() (string, error) {
	if c.request != "" {
		return c.request, nil
	}
	return token.NewID(c.config.Now(), nil)
}

// fill puts values into a path, escaped; a tile's number keeps its slashes.
func fill(path string, values map[string]string) string {
	for name, value := range values {
		escaped := url.PathEscape(value)
		if name == "tile" {
			escaped = strings.ReplaceAll(escaped, "%2F", "/")
		}
		path = strings.Replace(path, "{"+name+"}", escaped, 1)
	}
	return path
}

// Log reads the gateway's log: checkpoint and hash tiles, which are public, and entries, for which we need the auditor's
// right. Nothing it returns is proven; [verdict.Trust.VerifyLog] does that.
func (c *Client) Log() *tlog.Remote {
	return &tlog.Remote{Base: c.base + "/log", Client: c.config.HTTP, Authorize: c.authorize, Refused: refusedLog}
}

// refusedLog is the problem that the gateway answered with. Its receipt is not looked at: it proves nothing about the log.
func refusedLog(_ int, body []byte) error {
	var p api.Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" {
		return nil
	}
	return &p
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
