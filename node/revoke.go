package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// ListValid is how long a revocation list of the small authority counts: sign a new one every week.
const ListValid = 14 * 24 * time.Hour

// revocations is what an authority has revoked, kept beside its keys. A file that is not there means nothing yet.
type revocations struct {
	Number  int64     `json:"number"` // of the last list signed
	Revoked []revoked `json:"revoked"`
}

type revoked struct {
	Serial string    `json:"serial"` // hex
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
}

const revocationsFile = "revoked.json"

func (a *Authority) revocations() (list revocations, err error) {
	data, err := os.ReadFile(filepath.Join(a.dir, revocationsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return list, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &list, json.RejectUnknownMembers(true))
	}
	if err != nil {
		return list, fmt.Errorf("read what was revoked: %w", err)
	}
	return list, nil
}

func (a *Authority) keepRevocations(list revocations) error {
	data, err := json.Marshal(list, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(a.dir, revocationsFile), append(data, '\n'), 0o600)
}

// Revoke revokes a certificate of this authority, from now on. The next list says so. Revoking again changes nothing but the
// reason, and that only to a worse one: a compromised key.
func (a *Authority) Revoke(c *pki.Certificate, reason pki.Reason) error {
	if err := pki.SignedBy(c, a.issuing.Certificate(), sm.Verify); err != nil {
		return fmt.Errorf("revoke certificate: it is not of this authority: %w", err)
	}
	list, err := a.revocations()
	if err != nil {
		return err
	}
	serial := c.SerialNumber.Text(16)
	i := slices.IndexFunc(list.Revoked, func(r revoked) bool { return r.Serial == serial })
	switch {
	case i < 0:
		list.Revoked = append(list.Revoked, revoked{serial, a.now().UTC().Truncate(time.Second), reason.String()})
	case reason == pki.KeyCompromise:
		list.Revoked[i].Reason = reason.String()
	default:
		return nil
	}
	return a.keepRevocations(list)
}

// Lists signs new revocation lists, that of the authority and that of its root (which has revoked nothing), as DER. Their
// number is kept before they leave: it never stands on two lists.
func (a *Authority) Lists(ctx context.Context) ([][]byte, error) {
	list, err := a.revocations()
	if err != nil {
		return nil, err
	}
	list.Number++
	if err := a.keepRevocations(list); err != nil {
		return nil, err
	}
	var entries []pki.Revoked
	for _, r := range list.Revoked {
		serial, ok := new(big.Int).SetString(r.Serial, 16)
		reason, err := pki.ParseReason(r.Reason)
		if !ok || err != nil {
			return nil, fmt.Errorf("read what was revoked: serial number or reason cannot be read")
		}
		entries = append(entries, pki.Revoked{Serial: serial, Time: r.Time, Reason: reason})
	}
	number := big.NewInt(list.Number)
	own, err := a.issuing.RevocationList(ctx, number, ListValid, entries)
	if err != nil {
		return nil, err
	}
	root, err := a.rootCA.RevocationList(ctx, number, ListValid, nil)
	return [][]byte{own, root}, err
}

// Revoke revokes a certificate of the installation's own authority: the first of a PEM file.
func (r *KeyRing) Revoke(ctx context.Context, certificate []byte, reason pki.Reason) error {
	certs, err := pki.ParsePEM(certificate)
	if err != nil {
		return err
	}
	a, err := r.authority(ctx)
	if err != nil {
		return fmt.Errorf("revoke: open the certificate authority: %w", err)
	}
	return a.Revoke(certs[0], reason)
}

// Lists signs the authority's revocation lists, as PEM.
func (r *KeyRing) Lists(ctx context.Context) ([]byte, error) {
	a, err := r.authority(ctx)
	if err != nil {
		return nil, fmt.Errorf("sign revocation lists: open the certificate authority: %w", err)
	}
	return a.pemLists(ctx)
}

// pemLists are Lists as one PEM text.
func (a *Authority) pemLists(ctx context.Context) (text []byte, err error) {
	lists, err := a.Lists(ctx)
	for _, der := range lists {
		text = append(text, pki.MarshalCRL(der)...)
	}
	return text, err
}
