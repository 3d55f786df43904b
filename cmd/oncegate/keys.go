package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/config"
	"oncegate/install"
)

func newKeys(t *terminal) *command {
	return t.group("keys", "Look after the gateway's keys and certificates.", newKeysList(t), newKeysNew(t), newKeysRotate(t), newKeysAccept(t), newKeysCSR(t), newKeysCert(t),
		newKeysSign(t), newKeysExport(t), newKeysImport(t), newKeysRevoke(t), newKeysCRL(t))
}

type ofConfig struct {
	Config string
}

func (c ofConfig) ring() (*install.Keystore, error) { return install.OpenKeystore(c.Config, nil) }

type keysList struct {
	ofConfig
	JSON bool
}

func newKeysList(t *terminal) *command {
	c := &keysList{}
	cmd := t.command("list", "List the gateway's keys.", c.run)
	cmd.config(&c.Config)
	cmd.yes(&c.JSON, "json", "Print as JSON.")
	cmd.examples("oncegate keys list -c oncegate.yaml")
	return cmd
}

// run lists keys without anything secret.
func (c *keysList) run(_ context.Context, t *terminal) error {
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
	w := t.table(t.say("ID\tUSAGE\tOWNER\tALGORITHM\tSTATE\tCREATED\tCERTIFICATE UNTIL"))
	for _, k := range all {
		w.row(k.ID, k.Usage, k.Owner, k.Algorithm, t.word(k.State), k.Created, k.Expires)
	}
	return w.flush()
}

type keysNew struct {
	Config string
	Usage  string
	Owner  string
	File   string
}

func newKeysNew(t *terminal) *command {
	c := &keysNew{Usage: "call"}
	cmd := t.command("new", "Make a key: the first of a purpose in the keystore, or a system's call key in a file.", c.run)
	cmd.text(&c.Config, "c,config", "FILE", "The configuration whose keystore gets the key.")
	cmd.text(&c.Usage, "usage", "WORD", "What the key is for.", "call", "license", "status", "seal", "attest", "envelope", "index")
	cmd.text(&c.Owner, "owner", "ID", "Department (id or code) or system it belongs to; empty: the gateway.")
	cmd.text(&c.File, "file", "FILE", "Write a system's call key to this new PEM file instead, and print its certificate request.")
	cmd.examples("oncegate keys new -c oncegate.yaml --usage license --owner market", "oncegate keys new --file food-approval-2.pem --owner food-approval > food-approval-2.csr")
	return cmd
}

// run makes a key.
func (c *keysNew) run(ctx context.Context, t *terminal) error {
	if c.File != "" {
		if c.Owner == "" {
			return misuse{errors.New("--owner is required: the system whose key it is")}
		}
		request, err := install.NewCallKey(ctx, c.File, c.Owner)
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
	Usage string
	Owner string
}

func newKeysRotate(t *terminal) *command {
	c := &keysRotate{}
	cmd := t.command("rotate", "Replace a key by a new one; the old one still verifies and opens.", c.run,
		argument{name: "usage", help: "What the key is for; log and salt are never replaced.", one: &c.Usage, words: []string{"call", "license", "status", "seal", "attest", "envelope", "index", "log", "salt"}},
		argument{name: "owner", help: "Department (id or code) it belongs to; empty: the gateway.", one: &c.Owner, optional: true})
	cmd.config(&c.Config)
	cmd.examples("oncegate keys rotate -c oncegate.yaml license market", "oncegate keys rotate -c oncegate.yaml envelope")
	return cmd
}

// run replaces a key.
func (c *keysRotate) run(ctx context.Context, t *terminal) error {
	ring, err := c.ring()
	if err != nil {
		return err
	}
	k, err := ring.Rotate(ctx, purpose(c.Usage, c.Owner))
	return t.madeKey(k, err)
}

type keysAccept struct {
	ofConfig
	Why string
}

func newKeysAccept(t *terminal) *command {
	c := &keysAccept{}
	cmd := t.command("accept", "Go on with an older keystore that was put back, because the newer one is lost.", c.run)
	cmd.Long = t.say(acceptHelp)
	cmd.config(&c.Config)
	cmd.text(&c.Why, "why", "TEXT", "Why; it stands in the record, sealed.")
	cmd.required("why")
	cmd.examples("oncegate keys accept -c oncegate.yaml --why 'the machine burnt, keystore of 1 November'")
	return cmd
}

const acceptHelp = "The gateway refuses to start with keys that the log knows as replaced. First look for the newest backup of the keystore; if it is lost, prefer new keys (oncegate keys rotate). This command leaves a record that the keys as they are now are meant. Stop every node before."

// run leaves the record.
func (c *keysAccept) run(ctx context.Context, t *terminal) error {
	if err := install.AcceptKeys(ctx, c.Config, c.Why, now); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s %s\n", t.paint(green, "+"), t.say("the log has a record that these keys are meant"))
	return nil
}

type keysCSR struct {
	ofConfig
	ID string
}

func newKeysCSR(t *terminal) *command {
	c := &keysCSR{}
	cmd := t.command("csr", "Print a certificate request (PKCS#10) of a key.", c.run,
		argument{name: "id", help: "Key id.", one: &c.ID})
	cmd.config(&c.Config)
	cmd.examples("oncegate keys csr -c oncegate.yaml license-0123456789abcdef > license.csr")
	return cmd
}

// run prints a request.
func (c *keysCSR) run(ctx context.Context, t *terminal) error {
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
	ID   string
	File string
}

func newKeysCert(t *terminal) *command {
	c := &keysCert{}
	cmd := t.command("cert", "Install a certificate chain beside its key.", c.run,
		argument{name: "id", help: "Key id.", one: &c.ID},
		argument{name: "file", help: "PEM file with the certificate chain, leaf first.", kind: "FILE", one: &c.File})
	cmd.config(&c.Config)
	cmd.examples("oncegate keys cert -c oncegate.yaml license-0123456789abcdef chain.pem")
	return cmd
}

// run installs a chain.
func (c *keysCert) run(_ context.Context, t *terminal) error {
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
	System  string
	Request string
}

func newKeysSign(t *terminal) *command {
	c := &keysSign{}
	cmd := t.command("sign", "Certify a system's request with the installation's own authority.", c.run,
		argument{name: "system", help: "System of the configuration whose request it is.", one: &c.System},
		argument{name: "request", help: "File with the certificate request; - is standard input.", kind: "FILE", one: &c.Request})
	cmd.config(&c.Config)
	cmd.examples("oncegate keys sign -c oncegate.yaml food-approval food-approval-2.csr > certificates/food-approval-2.pem")
	return cmd
}

// run certifies a request.
func (c *keysSign) run(ctx context.Context, t *terminal) error {
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
	ID          string
	Certificate bool
	Trust       string
}

func newKeysExport(t *terminal) *command {
	c := &keysExport{}
	cmd := t.command("export", "Print what is public of a key.", c.run,
		argument{name: "id", help: "Key id.", one: &c.ID, optional: true})
	cmd.config(&c.Config)
	cmd.yes(&c.Certificate, "certificate", "The certificate chain instead of the bare key.")
	cmd.text(&c.Trust, "trust", "DIR", "Instead: write everything that verifiers must trust into this folder.")
	cmd.examples("oncegate keys export -c oncegate.yaml log-0123456789abcdef", "oncegate keys export -c oncegate.yaml --trust trust")
	return cmd
}

// run prints a public key, or writes the trust folder.
func (c *keysExport) run(_ context.Context, t *terminal) error {
	if (c.ID == "") == (c.Trust == "") {
		return misuse{errors.New("say either a key id or --trust DIR")}
	}
	if c.Trust != "" {
		setup, faults := config.Load(c.Config, now())
		if len(faults.Fatal()) > 0 {
			return faults
		}
		return install.WriteTrust(setup, c.Trust)
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
