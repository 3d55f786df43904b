package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"oncegate/certs/keystore"
	lognote "oncegate/certs/note"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/config"
)

// A Keystore is a gateway's keystore together with its configuration, for key management by an operator.
type Keystore struct {
	setup *config.Setup
	keys  *keystore.Store
	now   func() time.Time
}

// OpenKeystore opens the keystore of a configuration whatever other faults that has: a missing key may be one.
func OpenKeystore(file string, now func() time.Time) (*Keystore, error) {
	if now == nil {
		now = time.Now
	}
	setup, faults := config.Load(file, now())
	if setup.Keys == nil {
		return nil, errors.Join(setup.KeysErr, faults.Err())
	}
	return &Keystore{setup, setup.Keys, now}, nil
}

// List returns every key, oldest first.
func (r *Keystore) List() []keystore.Info { return r.keys.List() }

// Find returns the key of an id; fs.ErrNotExist if there is none.
func (r *Keystore) Find(id string) (keystore.Info, error) {
	for _, k := range r.keys.List() {
		if k.ID == id {
			return k, nil
		}
	}
	return keystore.Info{}, fmt.Errorf("find key %s: %w", id, fs.ErrNotExist)
}

// owner turns a department's id into its code, under which license and seal keys stand.
func (r *Keystore) owner(usage, owner string) string {
	for _, d := range r.setup.Departments {
		if (usage == keystore.License || usage == keystore.Seal) && d.ID == owner {
			return d.USCC
		}
	}
	return owner
}

// New makes the first key of a purpose, with a certificate where the configuration's authority is at hand.
func (r *Keystore) New(ctx context.Context, p keystore.Purpose) (keystore.Info, error) {
	p.Owner = r.owner(p.Usage, p.Owner)
	k, err := r.keys.Generate(p)
	if err != nil {
		return k, err
	}
	return r.certified(ctx, k)
}

// ErrFixed says that a key can never be rotated.
var ErrFixed = errors.New("this key cannot be replaced")

// Rotate replaces the current key of a purpose; the old one still verifies and opens. Two keys cannot be replaced: the log's,
// whose history is signed by it (recovery opens a new origin instead), and the salt, without which no disclosure could be
// made again and the codes on documents, which are on paper, would open nothing.
func (r *Keystore) Rotate(ctx context.Context, p keystore.Purpose) (keystore.Info, error) {
	switch p.Usage {
	case keystore.Log:
		return keystore.Info{}, fmt.Errorf("rotate log key: %w: verifiers know the log by it; a new key means a new log origin", ErrFixed)
	case keystore.Salt:
		return keystore.Info{}, fmt.Errorf("rotate salt key: %w: the disclosures of every license and the codes on all documents follow from it", ErrFixed)
	}
	p.Owner = r.owner(p.Usage, p.Owner)
	k, err := r.keys.Rotate(p)
	if err != nil {
		return k, err
	}
	return r.certified(ctx, k)
}

// certified gives a key its certificate where the authority is at hand; else the key waits for one.
func (r *Keystore) certified(ctx context.Context, k keystore.Info) (keystore.Info, error) {
	if k.SM2 == nil || k.Usage == keystore.Log || k.Usage == keystore.CA {
		return k, nil
	}
	d, ok := r.body(k)
	a, err := r.authority(ctx)
	if errors.Is(err, fs.ErrNotExist) || !ok {
		return k, nil
	}
	if err != nil {
		return k, err
	}
	chain, err := a.Issue(ctx, r.request(k, d))
	if err != nil {
		return k, err
	}
	k.Chain = pki.DER(chain...)
	return k, r.keys.SetChain(k.ID, k.Chain)
}

func (r *Keystore) request(k keystore.Info, d config.Department) pki.Request {
	name := k.Owner
	if name == "" || name == d.USCC {
		name = d.Name
	}
	return pki.Request{Organization: d.Name, USCC: d.USCC, Usage: k.Usage, CommonName: name, Public: k.SM2}
}

// body is the department whose key it is.
func (r *Keystore) body(k keystore.Info) (config.Department, bool) {
	for _, d := range r.setup.Departments {
		if d.USCC == k.Owner || k.Owner == "" && d.ID == r.setup.Gateway.Department || k.Owner == r.setup.Gateway.ID && d.ID == r.setup.Gateway.Department {
			return d, true
		}
	}
	return config.Department{}, false
}

// authority opens the authority beside the configuration; fs.ErrNotExist if it was taken off the machine.
func (r *Keystore) authority(ctx context.Context) (*Authority, error) {
	dir := filepath.Join(filepath.Dir(r.setup.File), CAFolder)
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	phrase, err := r.setup.Config.Keys.ReadPassphrase()
	if err != nil {
		return nil, err
	}
	return NewAuthority(ctx, AuthorityConfig{Dir: dir, Passphrase: phrase, Now: r.now})
}

// Request asks for a certificate of a key (PKCS#10, PEM).
func (r *Keystore) Request(ctx context.Context, id string) ([]byte, error) {
	k, err := r.Find(id)
	if err != nil {
		return nil, err
	}
	d, ok := r.body(k)
	if k.SM2 == nil || !ok {
		return nil, fmt.Errorf("request certificate of %s: it is no SM2 key of a department", id)
	}
	signer, err := r.keys.SignerByID(id)
	if err != nil {
		return nil, err
	}
	return pki.CreateRequest(ctx, r.request(k, d), signer)
}

// Install puts a certificate chain (PEM, leaf first) beside its key, if it is of this key, of its usage, and leads to an
// anchor of the configuration.
func (r *Keystore) Install(id string, text []byte) error {
	k, err := r.Find(id)
	if err != nil {
		return err
	}
	chain, err := pki.ParsePEM(text)
	if err != nil {
		return err
	}
	leaf := chain[0]
	if chain, err = r.anchored(chain, k.Usage); err != nil {
		return fmt.Errorf("install certificate of %s: %w", id, err)
	}
	if k.SM2 == nil || !k.SM2.Equal(leaf.PublicKey) {
		return fmt.Errorf("install certificate of %s: the certificate is of another key", id)
	}
	return r.keys.SetChain(id, pki.DER(chain...))
}

// Certify has the installation's own authority certify the key of a request, for a system of the configuration: what to do
// with a request that a system sends in. The chain comes back as PEM, leaf first.
func (r *Keystore) Certify(ctx context.Context, system string, request []byte) ([]byte, error) {
	pub, err := pki.ParseRequest(request)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(r.setup.Systems, func(s config.System) bool { return s.ID == system })
	if i < 0 {
		return nil, fmt.Errorf("certify: there is no system %s in the configuration", system)
	}
	j := slices.IndexFunc(r.setup.Departments, func(d config.Department) bool { return d.ID == r.setup.Systems[i].Department })
	if j < 0 {
		return nil, fmt.Errorf("certify: system %s has no department", system)
	}
	a, err := r.authority(ctx)
	if err != nil {
		return nil, fmt.Errorf("certify: open the certificate authority: %w", err)
	}
	d := r.setup.Departments[j]
	chain, err := a.Issue(ctx, pki.Request{Organization: d.Name, USCC: d.USCC, Usage: pki.Call, CommonName: system, Public: pub})
	if err != nil {
		return nil, err
	}
	return pki.MarshalPEM(chain...), nil
}

// Export writes what is public of a key: SPKI PEM, for the log's Ed25519 key its vkey line, or the certificate chain.
func (r *Keystore) Export(id string, certificate bool) ([]byte, error) {
	k, err := r.Find(id)
	if err != nil {
		return nil, err
	}
	switch {
	case certificate:
		chain, err := pki.ParseChain(k.Chain)
		if err != nil {
			return nil, fmt.Errorf("export %s: it has no certificate", id)
		}
		return pki.MarshalPEM(chain...), nil
	case k.SM2 != nil:
		return sm.MarshalPEM(k.SM2)
	case k.Ed25519 != nil:
		line, err := lognote.MarshalVKey(r.setup.Log.Origin, k.Ed25519)
		return []byte(line + "\n"), err
	}
	return nil, fmt.Errorf("export %s: it is a secret and has no public part", strings.TrimSpace(id))
}

// NewCallKey makes a call key for a system in a PEM file of its own and returns its certificate request: what a system does
// that has no keystore. The file must not be there.
func NewCallKey(ctx context.Context, name, system string) ([]byte, error) {
	priv, err := sm.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	text, err := sm.MarshalPrivatePEM(priv)
	if err != nil {
		return nil, err
	}
	if err := createFile(name, text); err != nil {
		return nil, fmt.Errorf("write private key: %w", err)
	}
	signer, err := sm.NewSigner(system, priv, nil)
	if err != nil {
		return nil, err
	}
	return pki.CreateRequest(ctx, pki.Request{Organization: system, Usage: pki.Call, CommonName: system}, signer)
}

// Revoke revokes a certificate of the installation's own authority: the first of a PEM file.
func (r *Keystore) Revoke(ctx context.Context, certificate []byte, reason pki.Reason) error {
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
func (r *Keystore) Lists(ctx context.Context) ([]byte, error) {
	a, err := r.authority(ctx)
	if err != nil {
		return nil, fmt.Errorf("sign revocation lists: open the certificate authority: %w", err)
	}
	return a.pemLists(ctx)
}
