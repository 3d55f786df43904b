package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/node"
)

type keysCommand struct {
	List   keysList   `cmd:"" help:"List the gateway's keys."`
	New    keysNew    `cmd:"" help:"Make a key: the first of a purpose in the keystore, or a system's call key in a file."`
	Rotate keysRotate `cmd:"" help:"Replace a key by a new one; the old one still verifies and opens."`
	CSR    keysCSR    `cmd:"" name:"csr" help:"Print a certificate request (PKCS#10) of a key."`
	Cert   keysCert   `cmd:"" help:"Install a certificate chain beside its key."`
	Sign   keysSign   `cmd:"" help:"Certify a system's request with the installation's own authority."`
	Export keysExport `cmd:"" help:"Print what is public of a key."`
	Import keysImport `cmd:"" help:"Take in a key that a certificate authority delivered, with its certificates."`
	Revoke keysRevoke `cmd:"" help:"Revoke a certificate of the installation's own authority."`
	CRL    keysCRL    `cmd:"" name:"crl" help:"Sign and print the revocation lists of the installation's own authority."`
}

type ofConfig struct {
	Config string `short:"c" required:"" placeholder:"FILE" help:"The configuration."`
}

func (c ofConfig) ring() (*node.KeyRing, error) { return node.OpenKeyRing(c.Config, nil) }

type keysList struct {
	ofConfig
	JSON bool `help:"Print as JSON."`
}

// Help gives examples.
func (keysList) Help() string { return examples("oncegate keys list -c oncegate.yaml") }

// Run lists keys without anything secret.
func (c *keysList) Run(t *terminal) error {
	ring, err := c.ring()
	if err != nil {
		return err
	}
	type key struct {
		ID        string `json:"id"`
		Usage     string `json:"usage"`
		Owner     string `json:"owner"`
		Algorithm string `json:"algorithm"`
		State     string `json:"state"`
		Created   string `json:"created"`
		Expires   string `json:"certificate_expires,omitzero"`
	}
	var all []key
	for _, k := range ring.List() {
		row := key{k.ID, k.Usage, k.Owner, string(k.Algorithm), string(k.State), k.Created.Format(time.RFC3339), ""}
		if chain, err := pki.ParseChain(k.Chain); err == nil {
			row.Expires = chain[0].NotAfter.UTC().Format(time.RFC3339)
		}
		all = append(all, row)
	}
	if c.JSON {
		return t.json(all)
	}
	w := tabwriter.NewWriter(t.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, t.say("ID\tUSAGE\tOWNER\tALGORITHM\tSTATE\tCREATED\tCERTIFICATE UNTIL"))
	for _, k := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Usage, k.Owner, k.Algorithm, k.State, k.Created, k.Expires)
	}
	return w.Flush()
}

type keysNew struct {
	Config string `short:"c" placeholder:"FILE" help:"The configuration whose keystore gets the key."`
	Usage  string `enum:"call,license,status,seal,attest,envelope,index" default:"call" help:"What the key is for."`
	Owner  string `placeholder:"ID" help:"Department (id or code) or system it belongs to; empty: the gateway."`
	File   string `placeholder:"FILE" help:"Write a system's call key to this new PEM file instead, and print its certificate request."`
}

// Help gives examples.
func (keysNew) Help() string {
	return examples("oncegate keys new -c oncegate.yaml --usage license --owner market", "oncegate keys new --file food-approval-2.pem --owner food-approval > food-approval-2.csr")
}

// Run makes a key.
func (c *keysNew) Run(ctx context.Context, t *terminal) error {
	if c.File != "" {
		if c.Owner == "" {
			return misuse{errors.New("--owner is required: the system whose key it is")}
		}
		request, err := node.NewCallKey(ctx, c.File, c.Owner)
		if err != nil {
			return err
		}
		_, err = t.out.Write(request)
		return err
	}
	if c.Config == "" {
		return misuse{errors.New("say -c FILE or --file FILE")}
	}
	ring, err := ofConfig{c.Config}.ring()
	if err != nil {
		return err
	}
	k, err := ring.New(ctx, purpose(c.Usage, c.Owner))
	return t.madeKey(k, err)
}

func purpose(usage, owner string) keystore.Purpose {
	p := keystore.Purpose{Usage: usage, Owner: owner, Algorithm: keystore.SM2}
	if usage == keystore.Envelope || usage == keystore.Index || usage == keystore.Salt {
		p.Algorithm = keystore.Symmetric
	}
	return p
}

// madeKey prints a new key's id, and what is still to be done.
func (t *terminal) madeKey(k keystore.Info, err error) error {
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out, k.ID)
	if k.SM2 != nil && len(k.Chain) == 0 {
		t.tell("It has no certificate yet: oncegate keys csr %s, then oncegate keys cert %s FILE", k.ID, k.ID)
	}
	return nil
}

type keysRotate struct {
	ofConfig
	Usage string `arg:"" enum:"call,license,status,seal,attest,envelope,index,log,salt" help:"What the key is for: license, status, envelope, index, call, seal or attest."`
	Owner string `arg:"" optional:"" help:"Department (id or code) it belongs to; empty: the gateway."`
}

// Help gives examples.
func (keysRotate) Help() string {
	return examples("oncegate keys rotate -c oncegate.yaml license market", "oncegate keys rotate -c oncegate.yaml envelope")
}

// Run replaces a key.
func (c *keysRotate) Run(ctx context.Context, t *terminal) error {
	ring, err := c.ring()
	if err != nil {
		return err
	}
	k, err := ring.Rotate(ctx, purpose(c.Usage, c.Owner))
	return t.madeKey(k, err)
}

type keysCSR struct {
	ofConfig
	ID string `arg:"" help:"Key id."`
}

// Help gives examples.
func (keysCSR) Help() string {
	return examples("oncegate keys csr -c oncegate.yaml license-0123456789abcdef > license.csr")
}

// Run prints a request.
func (c *keysCSR) Run(ctx context.Context, t *terminal) error {
	ring, err := c.ring()
	if err != nil {
		return err
	}
	text, err := ring.Request(ctx, c.ID)
	if err == nil {
		_, err = t.out.Write(text)
	}
	return err
}

type keysCert struct {
	ofConfig
	ID   string `arg:"" help:"Key id."`
	File string `arg:"" help:"PEM file with the certificate chain, leaf first."`
}

// Help gives examples.
func (keysCert) Help() string {
	return examples("oncegate keys cert -c oncegate.yaml license-0123456789abcdef chain.pem")
}

// Run installs a chain.
func (c *keysCert) Run(t *terminal) error {
	ring, err := c.ring()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return misuse{err}
	}
	return ring.Install(c.ID, text)
}

type keysSign struct {
	ofConfig
	System  string `arg:"" help:"System of the configuration whose request it is."`
	Request string `arg:"" help:"File with the certificate request; - is standard input."`
}

// Help gives examples.
func (keysSign) Help() string {
	return examples("oncegate keys sign -c oncegate.yaml food-approval food-approval-2.csr > certificates/food-approval-2.pem")
}

// Run certifies a request.
func (c *keysSign) Run(ctx context.Context, t *terminal) error {
	ring, err := c.ring()
	if err != nil {
		return err
	}
	request, err := t.readAll(c.Request, 64<<10)
	if err != nil {
		return err
	}
	chain, err := ring.Certify(ctx, c.System, request)
	if err == nil {
		_, err = t.out.Write(chain)
	}
	return err
}

type keysExport struct {
	ofConfig
	ID          string `arg:"" optional:"" help:"Key id."`
	Certificate bool   `help:"The certificate chain instead of the bare key."`
	Trust       string `placeholder:"DIR" help:"Instead: write everything that verifiers must believe into this folder."`
}

// Help gives examples.
func (keysExport) Help() string {
	return examples("oncegate keys export -c oncegate.yaml log-0123456789abcdef", "oncegate keys export -c oncegate.yaml --trust trust")
}

// Run prints a public key, or writes the trust folder.
func (c *keysExport) Run(t *terminal) error {
	if (c.ID == "") == (c.Trust == "") {
		return misuse{errors.New("say either a key id or --trust DIR")}
	}
	if c.Trust != "" {
		setup, faults := node.Load(c.Config, now())
		if len(faults.Fatal()) > 0 {
			return faults
		}
		return setup.WriteTrust(c.Trust)
	}
	ring, err := c.ring()
	if err != nil {
		return err
	}
	text, err := ring.Export(c.ID, c.Certificate)
	if err == nil {
		_, err = t.out.Write(text)
	}
	return err
}
