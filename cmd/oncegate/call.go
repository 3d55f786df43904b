package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/client"
	"oncegate/node"
)

// calling are the flags of every command that calls a gateway.
type calling struct {
	Config         string `short:"c" placeholder:"FILE" help:"The gateway's configuration, on its own machine: URL, id, keys and trust come from it."`
	URL            string `placeholder:"URL" help:"The gateway's public base URL."`
	Gateway        string `placeholder:"ID" help:"The gateway's id."`
	System         string `placeholder:"ID" help:"The system that calls."`
	Operator       string `default:"oncegate" placeholder:"CODE" help:"Who acts (经办人)."`
	Keys           string `placeholder:"DIR" help:"Keystore with the system's call key."`
	PassphraseFile string `placeholder:"FILE" help:"File with the keystore's passphrase."`
	PassphraseEnv  string `placeholder:"NAME" help:"Environment variable with the keystore's passphrase."`
	Key            string `placeholder:"FILE" help:"PEM file with the system's private key, instead of a keystore."`
	Kid            string `placeholder:"ID" help:"Key id, where it is not the file's or key's own name."`
	Trust          string `placeholder:"DIR" help:"What is believed: receipts of answers are verified with it."`
	Connect        string `placeholder:"HOST:PORT" help:"Connect there instead of to the URL's address."`
}

func (c calling) client() (*client.Client, error) {
	if c.System == "" {
		return nil, misuse{errors.New("--system is required: whose call is it?")}
	}
	caller, err := node.CallOptions{
		Config: c.Config, URL: c.URL, Gateway: c.Gateway, System: c.System, Operator: c.Operator, Keys: c.Keys,
		Pass: node.Keys{PassphraseFile: c.PassphraseFile, PassphraseEnv: c.PassphraseEnv}, Key: c.Key, KeyID: c.Kid, Trust: c.Trust, Connect: c.Connect,
	}.Caller(nil)
	if err != nil {
		return nil, misuse{err}
	}
	return caller, nil
}

type callCommand struct {
	calling
	Data      string   `short:"d" placeholder:"JSON" help:"The body: JSON, @FILE, or - for standard input. Its bytes are signed as they are."`
	Curl      bool     `help:"Print a curl command that makes the call once within five minutes, instead of making it."`
	Operation string   `arg:"" help:"Operation, such as licenses.query or cases.check; docs/api.md lists them."`
	Values    []string `arg:"" optional:"" name:"name=value" help:"Values of the path's parameters, such as no=SP-2026-000123."`
}

// Help gives examples.
func (callCommand) Help() string {
	return examples("oncegate call -c oncegate.yaml --system food-approval catalog.types", `oncegate call -c oncegate.yaml --system food-approval cases.check no=SP-1 -d '{}'`, "oncegate call --url https://gateway.example --gateway example-gateway --system food-approval --key food-approval-1.pem --trust trust licenses.query -d @question.json", "oncegate call -c oncegate.yaml --system food-approval --curl catalog.matters")
}

// Run makes the call and prints the answer with its receipt as it came.
func (c *callCommand) Run(ctx context.Context, t *terminal) error {
	values := map[string]string{}
	for _, v := range c.Values {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return misuse{fmt.Errorf("%q is no name=value", v)}
		}
		values[name] = value
	}
	body, err := c.body(t)
	if err != nil {
		return err
	}
	caller, err := c.client()
	if err != nil {
		return err
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

// answer prints an answer's bytes, and beside them whether its receipt was verified.
func (t *terminal) answer(r *client.Response) error {
	if _, err := t.out.Write(append(r.Raw, '\n')); err != nil {
		return err
	}
	if r.Steps != nil {
		t.tell("receipt verified: entry %d; request %s, jti %s", r.Receipt.Index, r.RequestID, r.JTI)
	}
	return nil
}

// refused prints a problem document as it came, and what it says in the reader's language.
func (t *terminal) refused(err error) error {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return err
	}
	fmt.Fprintf(t.out, "%s\n", p.Body())
	t.explain(p)
	return errNo
}

func (t *terminal) explain(p *api.Problem) {
	sentence, advice := p.En, p.Advice.En
	if t.zh {
		sentence, advice = p.Zh, p.Advice.Zh
	}
	fmt.Fprintf(t.err, "%s %s\n  %s\n", t.paint(red, p.Code+":"), sentence, advice)
	for _, f := range p.Faults {
		fmt.Fprintf(t.err, "  %s: %s\n", f.Pointer, f.Reason)
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
