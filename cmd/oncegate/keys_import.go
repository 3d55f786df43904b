package main

import (
	"context"
	"os"
	"strings"

	"oncegate/certs/keystore"
	"oncegate/certs/keystore/pkcs12"
	"oncegate/certs/pki"
	"oncegate/install"
)

type keysImport struct {
	ofConfig
	File      string
	Usage     string
	Owner     string
	Password  string
	Chain     string
	WrappedTo string
	Replace   bool
}

func newKeysImport(t *terminal) *command {
	c := &keysImport{Usage: "license"}
	cmd := t.command("import", "Take in a key that a certificate authority delivered, with its certificates.", c.run,
		argument{name: "file", help: "PKCS#12 file, PEM file with key and chain, or SM2EnvelopedKey (GB/T 35276) as DER, base64 or PEM.", kind: "FILE", one: &c.File})
	cmd.config(&c.Config)
	cmd.text(&c.Usage, "usage", "WORD", "What the signing key is for; an encryption certificate is recognised by itself.", "call", "license", "status", "seal", "attest")
	cmd.text(&c.Owner, "owner", "ID", "Department (id or code) it belongs to; empty: the gateway.")
	cmd.text(&c.Password, "password", "FILE", "File with the password of a PKCS#12 file.")
	cmd.text(&c.Chain, "chain", "FILE", "PEM file with the certificate chain, leaf first, where the key comes without it.")
	cmd.text(&c.WrappedTo, "wrapped-to", "KEY", "Id of the signing key to which an SM2EnvelopedKey is wrapped.")
	cmd.yes(&c.Replace, "replace", "Retire the current key of the same purpose.")
	cmd.examples("oncegate keys import -c oncegate.yaml --usage license --owner market --password p12.pass market.p12",
		"oncegate keys import -c oncegate.yaml --wrapped-to license-0123456789abcdef --chain encryption.pem encryption.key")
	return cmd
}

// run takes in keys that a certificate authority delivered.
func (c *keysImport) run(ctx context.Context, t *terminal) error {
	ring, err := c.ring()
	if err != nil {
		return err
	}
	in := install.KeyImport{Usage: c.Usage, Owner: c.Owner, WrappedTo: c.WrappedTo, Replace: c.Replace}
	if in.File, err = t.readAll(c.File, pkcs12.MaxSize); err != nil {
		return err
	}
	if c.Chain != "" {
		if in.Chain, err = t.readAll(c.Chain, pkcs12.MaxSize); err != nil {
			return err
		}
	}
	if c.Password != "" {
		text, err := os.ReadFile(c.Password)
		if err != nil {
			return misuse{err}
		}
		in.Password = strings.TrimRight(string(text), "\r\n")
	}
	keys, err := ring.Import(ctx, in)
	for _, k := range keys {
		t.println("%s", k.ID)
		if k.Usage == keystore.Encryption {
			t.tell("%s decrypts and never signs: the authority that made it has a copy", k.ID)
		}
	}
	return err
}

type keysRevoke struct {
	ofConfig
	Certificate string
	Reason      string
}

func newKeysRevoke(t *terminal) *command {
	c := &keysRevoke{Reason: "unspecified"}
	cmd := t.command("revoke", "Revoke a certificate of the installation's own authority.", c.run,
		argument{name: "certificate", help: "PEM file with the certificate.", kind: "FILE", one: &c.Certificate})
	cmd.config(&c.Config)
	cmd.text(&c.Reason, "reason", "WORD", "Why, as revocation lists say it (RFC 5280).", "unspecified", "key-compromise", "affiliation-changed", "superseded",
		"cessation-of-operation", "certificate-hold", "privilege-withdrawn")
	cmd.examples("oncegate keys revoke -c oncegate.yaml --reason key-compromise certificates/food-approval-1.pem", "oncegate keys crl -c oncegate.yaml > crl.pem")
	return cmd
}

// run revokes a certificate of the installation's own authority.
func (c *keysRevoke) run(ctx context.Context, t *terminal) error {
	reason, err := pki.ParseReason(c.Reason)
	if err != nil {
		return misuse{err}
	}
	ring, err := c.ring()
	if err != nil {
		return err
	}
	text, err := t.readAll(c.Certificate, 64<<10)
	if err != nil {
		return err
	}
	if err := ring.Revoke(ctx, text, reason); err != nil {
		return err
	}
	t.tell("Revoked. Others learn of it from the next list: oncegate keys crl")
	return nil
}

type keysCRL struct {
	ofConfig
}

func newKeysCRL(t *terminal) *command {
	c := &keysCRL{}
	cmd := t.command("crl", "Sign and print the revocation lists of the installation's own authority.", c.run)
	cmd.config(&c.Config)
	cmd.examples("oncegate keys crl -c oncegate.yaml > crl.pem")
	return cmd
}

// run signs and prints the revocation lists of the installation's own authority.
func (c *keysCRL) run(ctx context.Context, t *terminal) error {
	ring, err := c.ring()
	if err != nil {
		return err
	}
	text, err := ring.Lists(ctx)
	if err == nil {
		_, err = t.out.Write(text)
	}
	return err
}
