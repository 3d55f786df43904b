package node

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"time"

	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/certs/second"
	"oncegate/certs/sm"
)

// AuthorityConfig says where a small certificate authority is kept. Dir and Passphrase are required.
type AuthorityConfig struct {
	Dir          string // keystore of its own, which can be taken off this machine
	Passphrase   []byte
	Organization string // whose authority it is; default 政务服务
	Now          func() time.Time
	Rand         io.Reader
	Cost         int // of a new keystore (keystore.Config.Cost)
}

// An Authority is a small SM2 certificate authority of two levels: enough for a city that has none, and for demonstrations.
// Where the city has one, its certificates are named in the configuration instead.
type Authority struct {
	root    *pki.Certificate
	rootCA  *pki.CA
	issuing *pki.CA
	keys    *keystore.Store
	dir     string
	now     func() time.Time
}

// Owners of the authority's two keys.
const (
	rootOwner    = "root"
	issuingOwner = "issuing"
)

// NewAuthority opens an authority, or makes one where there is none.
func NewAuthority(ctx context.Context, c AuthorityConfig) (*Authority, error) {
	a, err := c.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open certificate authority: %w", err)
	}
	return a, nil
}

func (c AuthorityConfig) open(ctx context.Context) (*Authority, error) {
	keys, err := keystore.Config{Dir: c.Dir, Passphrase: c.Passphrase, Now: c.Now, Rand: c.Rand, Cost: c.Cost}.Open()
	if err != nil {
		return nil, err
	}
	if c.Organization == "" {
		c.Organization = "政务服务"
	}
	p := pki.Config{Now: c.Now, Rand: c.Rand, Confirm: confirm}
	root, err := c.level(keys, rootOwner, p, func(signer keystore.Info) (*pki.CA, error) {
		s, err := keys.SignerByID(signer.ID)
		if err != nil {
			return nil, err
		}
		return pki.NewRoot(ctx, p, c.Organization, c.Organization+" 根 CA", s)
	})
	if err != nil {
		return nil, err
	}
	issuing, err := c.level(keys, issuingOwner, p, func(signer keystore.Info) (*pki.CA, error) {
		s, err := keys.SignerByID(signer.ID)
		if err != nil {
			return nil, err
		}
		return root.NewIntermediate(ctx, c.Organization, c.Organization+" 签发 CA", s)
	})
	if err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Authority{root.Certificate(), root, issuing, keys, c.Dir, c.Now}, nil
}

// level continues one level of the authority, or makes it.
func (c AuthorityConfig) level(keys *keystore.Store, owner string, p pki.Config, make func(keystore.Info) (*pki.CA, error)) (*pki.CA, error) {
	k, err := keys.Ensure(keystore.Purpose{Usage: keystore.CA, Owner: owner, Algorithm: keystore.SM2})
	if err != nil {
		return nil, err
	}
	if len(k.Chain) > 0 {
		chain, err := pki.ParseChain(k.Chain)
		if err != nil {
			return nil, err
		}
		signer, err := keys.SignerByID(k.ID)
		if err != nil {
			return nil, err
		}
		return pki.LoadCA(p, chain, signer)
	}
	ca, err := make(k)
	if err != nil {
		return nil, err
	}
	chain := ca.Chain()
	if owner == rootOwner {
		chain = []*pki.Certificate{ca.Certificate()}
	}
	return ca, keys.SetChain(k.ID, pki.DER(chain...))
}

// confirm asks both voices, for what nobody is in a hurry for. It has the shape of sm.VerifyFunc.
func confirm(pub *ecdsa.PublicKey, message, rs []byte) error {
	fast, other := sm.Verify(pub, message, rs), second.Check(pub, message, rs)
	if (fast == nil) != (other == nil) {
		return second.ErrDisagree
	}
	return fast
}

// Root is the authority's anchor.
func (a *Authority) Root() *pki.Certificate { return a.root }

// Issue makes a certificate and returns it with the authorities above it, leaf first, without the root.
func (a *Authority) Issue(ctx context.Context, r pki.Request) ([]*pki.Certificate, error) {
	return a.issuing.Issue(ctx, r)
}

// IssueDepartment makes sure that a department has a current license key in the keystore, with a certificate.
func (a *Authority) IssueDepartment(ctx context.Context, keys *keystore.Store, d Department) (keystore.Info, error) {
	return a.certify(ctx, keys, keystore.Purpose{Usage: keystore.License, Owner: d.USCC, Algorithm: keystore.SM2}, d, d.Name)
}

// IssueSystem makes sure that a system of a department has a current call key in a keystore, with a certificate. That
// keystore is the system's, not the gateway's.
func (a *Authority) IssueSystem(ctx context.Context, keys *keystore.Store, s System, d Department) (keystore.Info, error) {
	return a.certify(ctx, keys, keystore.Purpose{Usage: keystore.Call, Owner: s.ID, Algorithm: keystore.SM2}, d, s.ID)
}

// IssueAsserter does it for an identity service.
func (a *Authority) IssueAsserter(ctx context.Context, keys *keystore.Store, s Asserter, d Department) (keystore.Info, error) {
	return a.certify(ctx, keys, keystore.Purpose{Usage: keystore.Attest, Owner: s.Issuer, Algorithm: keystore.SM2}, d, s.Issuer)
}

// certify makes sure that the purpose has a current key with a certificate.
func (a *Authority) certify(ctx context.Context, keys *keystore.Store, p keystore.Purpose, d Department, name string) (keystore.Info, error) {
	k, err := keys.Ensure(p)
	if err != nil || len(k.Chain) > 0 {
		return k, err
	}
	chain, err := a.Issue(ctx, pki.Request{Organization: d.Name, USCC: d.USCC, Usage: p.Usage, CommonName: name, Public: k.SM2})
	if err != nil {
		return k, err
	}
	k.Chain = pki.DER(chain...)
	return k, keys.SetChain(k.ID, k.Chain)
}

// errNoOperator says whose certificate could not be made.
var errNoOperator = errors.New("say under gateway.department which department runs the gateway: its code stands in the certificate of the status lists")
