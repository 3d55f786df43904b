package install

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"oncegate/certs/der"
	"oncegate/certs/keystore"
	"oncegate/certs/keystore/pkcs12"
	"oncegate/certs/pki"
	"oncegate/certs/second"
	"oncegate/certs/sm"
)

// A KeyImport is a key delivered by a certificate authority, as files.
type KeyImport struct {
	// Usage and Owner (a department's id or code) of the signing key. An encryption key goes by keystore.Encryption, under the
	// same owner.
	Usage, Owner string
	// File is one of: a PKCS#12 file, with the signing key or both keys of a pair (双证书); a private key as PEM, certificates
	// after it; an SM2EnvelopedKey (GB/T 35276) as DER, base64 or PEM, which WrappedTo says how to open.
	File []byte
	// Password of a PKCS#12 file.
	Password string
	// Chain is a PEM chain, leaf first, for a file that holds no certificates.
	Chain []byte
	// WrappedTo is the id of the signing key to which an SM2EnvelopedKey is wrapped.
	WrappedTo string
	// Replace retires the purpose's current key.
	Replace bool
}

// Import takes delivered keys into the keystore, each with certificates that lead to an anchor of the configuration, are of
// the key and allow its use. Either all keys of the file are found right, or none is taken.
func (r *Keystore) Import(_ context.Context, i KeyImport) ([]keystore.Info, error) {
	if i.WrappedTo != "" {
		k, err := r.importEnveloped(i)
		if err != nil {
			return nil, err
		}
		return []keystore.Info{k}, nil
	}
	list, err := i.deliveries()
	if err != nil {
		return nil, fmt.Errorf("import key: %w", err)
	}
	for n, d := range list {
		d.Owner, d.Replace = r.owner(i.Usage, i.Owner), i.Replace
		if d.Chain, err = r.anchored(d.Chain, d.Usage); err != nil {
			return nil, fmt.Errorf("import %s key: %w", d.Usage, err)
		}
		list[n] = d
	}
	var taken []keystore.Info
	for _, d := range list {
		k, err := r.keys.Import(d)
		if err != nil {
			return taken, err
		}
		taken = append(taken, k)
	}
	return taken, nil
}

func (r *Keystore) importEnveloped(i KeyImport) (keystore.Info, error) {
	chain, err := pki.ParsePEM(i.Chain)
	if err != nil {
		return keystore.Info{}, fmt.Errorf("import enveloped key: its encryption certificate: %w", err)
	}
	if chain, err = r.anchored(chain, keystore.Encryption); err != nil {
		return keystore.Info{}, fmt.Errorf("import enveloped key: %w", err)
	}
	return r.keys.ImportEnveloped(i.WrappedTo, decodeArmour(i.File), chain, i.Replace)
}

// decodeArmour decodes PEM or base64; DER is itself.
func decodeArmour(file []byte) []byte {
	if blocks, err := der.Blocks(file); err == nil && len(blocks) == 1 {
		return blocks[0].Bytes
	}
	text := bytes.Join(bytes.Fields(file), nil)
	if der, err := base64.StdEncoding.AppendDecode(nil, text); err == nil {
		return der
	}
	return file
}

// deliveries reads the file.
func (i KeyImport) deliveries() ([]keystore.Delivery, error) {
	entries, err := i.entries()
	if err != nil {
		return nil, err
	}
	var list []keystore.Delivery
	for _, e := range entries {
		if len(e.Chain) == 0 && len(i.Chain) > 0 {
			if e.Chain, err = pki.ParsePEM(i.Chain); err != nil {
				return nil, err
			}
		}
		if len(e.Chain) == 0 {
			return nil, errors.New("it comes without a certificate: give the chain along")
		}
		usage := i.Usage
		if pki.IsEncryption(e.Chain[0]) && !pki.IsSigning(e.Chain[0]) {
			usage = keystore.Encryption
		}
		list = append(list, keystore.Delivery{
			Purpose: keystore.Purpose{Usage: usage, Algorithm: keystore.SM2}, Key: e.Key, Chain: e.Chain,
		})
	}
	return list, nil
}

// entries reads a PKCS#12 file, or PEM: a key, and certificates after it.
func (i KeyImport) entries() ([]pkcs12.Entry, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(i.File), []byte("-----BEGIN ")) {
		return pkcs12.Parse(i.File, i.Password)
	}
	key, err := sm.ParsePrivatePEM(i.File)
	if err != nil {
		return nil, err
	}
	e := pkcs12.Entry{Key: key}
	blocks, err := der.Blocks(i.File)
	if err != nil {
		return nil, err
	}
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := pki.Parse(block.Bytes)
		if err != nil {
			return nil, err
		}
		e.Chain = append(e.Chain, c)
	}
	return []pkcs12.Entry{e}, nil
}

// anchored verifies that a chain leads to an anchor of the configuration and is for a usage, and gives it without the
// anchor. The encryption certificates of other authorities do not name their usage: for them their key usage speaks.
func (r *Keystore) anchored(chain []*pki.Certificate, usage string) ([]*pki.Certificate, error) {
	v, err := pki.NewVerifier(pki.Trust{Anchors: r.setup.Anchors, Known: r.setup.Known, Usages: r.setup.Usages, VerifyBoth: second.VerifyBoth})
	if err != nil {
		return nil, err
	}
	if usage == keystore.Encryption {
		_, err = v.Path(chain[0], chain[1:], r.now())
	} else {
		_, err = v.Chain(chain[0], chain[1:], r.now(), usage)
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(chain), func(c *pki.Certificate) bool { return slices.ContainsFunc(r.setup.Anchors, c.Equal) }), nil
}
