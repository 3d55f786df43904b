package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/certs/token"
	"oncegate/client"
	"oncegate/config"
	"oncegate/install"
)

// calling are the flags of every command that calls a gateway.
type calling struct {
	Config         string
	URL            string
	Gateway        string
	System         string
	Operator       string
	Keys           string
	PassphraseFile string
	PassphraseEnv  string
	Key            string
	Kid            string
	Trust          string
	Connect        string
	ActorToken     string
}

func (c *calling) declare(cmd *command) {
	c.Operator = "oncegate"
	cmd.text(&c.Config, "c,config", "FILE", "The gateway's configuration, on its own machine: URL, id, keys and trust come from it.")
	cmd.text(&c.URL, "url", "URL", "The gateway's public base URL.")
	cmd.text(&c.Gateway, "gateway", "ID", "The gateway's id.")
	cmd.text(&c.System, "system", "ID", "The system that calls.")
	cmd.text(&c.Operator, "operator", "CODE", "Who acts (经办人).")
	cmd.text(&c.ActorToken, "actor-token", "FILE", "An identity service's word on who acts: a compact JWS, or - for standard input.")
	cmd.text(&c.Keys, "keys", "DIR", "Keystore with the system's call key.")
	cmd.text(&c.PassphraseFile, "passphrase-file", "FILE", "File with the keystore's passphrase.")
	cmd.text(&c.PassphraseEnv, "passphrase-env", "NAME", "Environment variable with the keystore's passphrase.")
	cmd.text(&c.Key, "key", "FILE", "PEM file with the system's private key, instead of a keystore.")
	cmd.text(&c.Kid, "kid", "ID", "Key id, where it is not the file's or key's own name.")
	cmd.text(&c.Trust, "trust", "DIR", "What is trusted: receipts of answers are verified with it.")
	cmd.text(&c.Connect, "connect", "HOST:PORT", "Connect there instead of to the URL's address.")
}

func (c calling) client(t *terminal) (*client.Client, error) {
	if c.System == "" {
		return nil, misuse{errors.New("--system is required: whose call is it?")}
	}
	caller, err := install.CallOptions{
		Config: c.Config, URL: c.URL, Gateway: c.Gateway, System: c.System, Operator: c.Operator, Keys: c.Keys,
		Pass: config.Keys{PassphraseFile: c.PassphraseFile, PassphraseEnv: c.PassphraseEnv}, Key: c.Key, KeyID: c.Kid, Trust: c.Trust, Connect: c.Connect,
	}.Caller(nil)
	if err != nil {
		return nil, misuse{err}
	}
	if c.ActorToken == "" {
		return caller, nil
	}
	text, err := t.readAll(c.ActorToken, token.MaxActorSize+2)
	if err != nil {
		return nil, err
	}
	actor := strings.TrimSpace(string(text))
	return caller.Vouched(func(context.Context, client.ActorBinding) (string, error) { return actor, nil }), nil
}

type callCommand struct {
	calling
	Data      string
	Curl      bool
	JTI       string
	Binding   bool
	Operation string
	Values    []string
}

func newCall(t *terminal) *command {
	c := &callCommand{}
	cmd := t.command("call", "Make a signed call by hand.", c.run,
		argument{name: "operation", help: "Operation, such as licenses.query or cases.check; docs/api.md lists them.", one: &c.Operation},
		argument{name: "name=value", help: "Values of the path's parameters, such as no=SP-2026-000123.", many: &c.Values, optional: true})
	cmd.text(&c.Data, "d,data", "JSON", "The body: JSON, @FILE, or - for standard input. Its bytes are signed as they are.")
	cmd.yes(&c.Curl, "curl", "Print a curl command that makes the call once within five minutes, instead of making it.")
	cmd.text(&c.JTI, "jti", "ID", "Call id to use, once, such as a UUIDv7; empty: a new one.")
	cmd.yes(&c.Binding, "actor-binding", "Print what an identity service signs in an actor token for this call, with its jti, instead of making it.")
	c.declare(cmd)
	cmd.examples("oncegate call -c oncegate.yaml --system food-approval catalog.types", "oncegate call -c oncegate.yaml --system food-approval cases.check no=SP-1 -d '{}'",
		"oncegate call --url https://gateway.example --gateway example-gateway --system food-approval --key food-approval-1.pem --trust trust licenses.query -d @question.json",
		"oncegate call -c oncegate.yaml --system food-approval --curl catalog.matters")
	return cmd
}

// run makes the call and prints the answer with its receipt as it came.
func (c *callCommand) run(ctx context.Context, t *terminal) error {
	values := map[string]string{}
	for _, v := range c.Values {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return misuse{errors.New(t.say("%q is no name=value", v))}
		}
		values[name] = value
	}
	body, err := c.body(t)
	if err != nil {
		return err
	}
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	if c.JTI != "" {
		caller = caller.WithID(c.JTI)
	}
	if c.Binding {
		return c.printBinding(ctx, t, caller, values, body)
	}
	if c.Curl {
		line, err := caller.Curl(ctx, c.Operation, values, body)
		if err != nil {
			return misuse{err}
		}
		fmt.Fprintln(t.out, line)
		return nil
	}
	r, err := caller.Call(ctx, c.Operation, values, body)
	if err != nil {
		return t.refused(err)
	}
	return t.answer(r)
}

// errBound ends a call whose binding was printed.
var errBound = errors.New("the binding was printed")

// printBinding prints what an actor token of the call is bound to. The call that follows names the same jti.
func (c *callCommand) printBinding(ctx context.Context, t *terminal, caller *client.Client, values map[string]string, body []byte) error {
	jti, err := c.JTI, error(nil)
	if jti == "" {
		if jti, err = token.NewID(time.Now(), nil); err != nil {
			return err
		}
	}
	bound := struct {
		JTI string `json:"jti"`
		client.ActorBinding
	}{JTI: jti}
	_, err = caller.WithID(jti).Vouched(func(_ context.Context, b client.ActorBinding) (string, error) {
		bound.ActorBinding = b
		return "", errBound
	}).Curl(ctx, c.Operation, values, body)
	switch {
	case errors.Is(err, errBound):
		return t.json(bound)
	case err != nil:
		return misuse{err}
	}
	return misuse{errors.New(t.say("operation %s is not signed", c.Operation))}
}

func (c *callCommand) body(t *terminal) ([]byte, error) {
	most := int64(api.MaxBody)
	if contract, err := api.NewContract(); err == nil && contract.Operation(c.Operation) != nil {
		most = int64(contract.Operation(c.Operation).Most)
	}
	switch {
	case c.Data == "-":
		return t.readAll("-", most+1)
	case strings.HasPrefix(c.Data, "@"):
		return t.readAll(c.Data[1:], most+1)
	}
	return []byte(c.Data), nil
}

// answer prints an answer, and beside it whether its receipt was verified.
func (t *terminal) answer(r *client.Response) error {
	if err := t.raw(r.Raw); err != nil {
		return err
	}
	if r.Steps != nil {
		t.tell("receipt verified: entry %d; request %s, jti %s", r.Receipt.Index, r.RequestID, r.JTI)
	}
	return nil
}

// raw prints bytes as they came, so that what is piped or kept can be verified; to somebody who looks at it JSON is indented.
func (t *terminal) raw(data []byte) error {
	if t.shown {
		indented := jsontext.Value(slices.Clone(data))
		if indented.Indent(jsontext.WithIndent("  ")) == nil {
			data = indented
		}
	}
	_, err := t.out.Write(append(data[:len(data):len(data)], '\n'))
	return err
}

// refused prints a problem document as it came, and what it says in the reader's language. A screen shows it without its receipt.
func (t *terminal) refused(err error) error {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return err
	}
	body := p.Body()
	if t.shown {
		body = p.Bytes()
	}
	if err := t.raw(body); err != nil {
		return err
	}
	t.explain(p)
	if t.shown && p.Receipt != nil {
		t.tell("its receipt is not shown: > FILE keeps the whole document")
	}
	return errNo
}

func (t *terminal) explain(p *api.Problem) {
	fmt.Fprintf(t.err, "%s %s\n  %s\n", t.paint(red, p.Code+":"), t.pick(p.Zh, p.En), t.pick(p.Advice.Zh, p.Advice.En))
	if said := strings.TrimSuffix(p.Detail, "."); said != "" && (!t.chinese() || t.Text(said) != said) { // the policy's sentences are in the evidence in both languages
		fmt.Fprintf(t.err, "  %s\n", printable(t.Text(said)))
	}
	for _, f := range p.Faults {
		fmt.Fprintf(t.err, "  %s: %s\n", f.Pointer, printable(t.Text(f.Reason)))
	}
}

// json prints a value for machines.
func (t *terminal) json(v any) error {
	if err := json.MarshalWrite(t.out, v, jsontext.Multiline(true), json.Deterministic(true)); err != nil {
		return err
	}
	_, err := fmt.Fprintln(t.out)
	return err
}
