package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/go-json-experiment/json"

	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/certs/second"
	"oncegate/certs/sm"
	"oncegate/config"
	"oncegate/sheet"
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
	p := pki.Config{Now: c.Now, Rand: c.Rand, VerifyBoth: second.VerifyBoth}
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

// level opens one level of the authority, or makes it.
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

// Root is the authority's anchor.
func (a *Authority) Root() *pki.Certificate { return a.root }

// Issue makes a certificate and returns it with the authorities above it, leaf first, without the root.
func (a *Authority) Issue(ctx context.Context, r pki.Request) ([]*pki.Certificate, error) {
	return a.issuing.Issue(ctx, r)
}

// IssueDepartment makes sure that a department has a current license key in the keystore, with a certificate.
func (a *Authority) IssueDepartment(ctx context.Context, keys *keystore.Store, d config.Department) (keystore.Info, error) {
	return a.certify(ctx, keys, keystore.Purpose{Usage: keystore.License, Owner: d.USCC, Algorithm: keystore.SM2}, d, d.Name)
}

// IssueSystem makes sure that a system of a department has a current call key in a keystore, with a certificate. That
// keystore is the system's, not the gateway's.
func (a *Authority) IssueSystem(ctx context.Context, keys *keystore.Store, s config.System, d config.Department) (keystore.Info, error) {
	return a.certify(ctx, keys, keystore.Purpose{Usage: keystore.Call, Owner: s.ID, Algorithm: keystore.SM2}, d, s.ID)
}

// IssueAsserter does it for an identity service.
func (a *Authority) IssueAsserter(ctx context.Context, keys *keystore.Store, s config.Asserter, d config.Department) (keystore.Info, error) {
	return a.certify(ctx, keys, keystore.Purpose{Usage: keystore.Attest, Owner: s.Issuer, Algorithm: keystore.SM2}, d, s.Issuer)
}

// certify makes sure that the purpose has a current key with a certificate.
func (a *Authority) certify(ctx context.Context, keys *keystore.Store, p keystore.Purpose, d config.Department, name string) (keystore.Info, error) {
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

// errNoOperator says that no department can stand in the certificate of the status lists.
var errNoOperator = errors.New("say under gateway.department which department runs the gateway: its code stands in the certificate of the status lists")

// A Pair is what an authority that certifies in pairs (双证书) gives for one signing key: its certificate, and an encryption
// key of the authority's making with a certificate of its own, wrapped to the signing key (SM2EnvelopedKey, GB/T 35276).
type Pair struct {
	Signing, Encryption []*pki.Certificate // leaf first, without the root
	Enveloped           []byte             // DER
}

// IssuePair certifies a signing key and makes the encryption key beside it. This small authority keeps no copy of that, as
// licensed ones must: what was encrypted to a lost key is lost.
func (a *Authority) IssuePair(ctx context.Context, r pki.Request) (p Pair, err error) {
	if p.Signing, err = a.Issue(ctx, r); err != nil {
		return Pair{}, err
	}
	key, err := sm.GenerateKey(nil)
	if err != nil {
		return Pair{}, err
	}
	if p.Enveloped, err = keystore.SealEnveloped(nil, r.Public, key); err != nil {
		return Pair{}, err
	}
	r.Usage, r.Public = pki.Encryption, &key.PublicKey
	p.Encryption, err = a.Issue(ctx, r)
	return p, err
}

// ListValid is how long a revocation list of the small authority counts: sign a new one every week.
const ListValid = 14 * 24 * time.Hour

// revocations are the revoked certificates of an authority, kept beside its keys. No file means none.
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

func (a *Authority) saveRevocations(list revocations) error {
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
	return a.saveRevocations(list)
}

// Lists signs new revocation lists, that of the authority and that of its root (which has revoked nothing), as DER. Their
// number is kept before they leave: it never stands on two lists.
func (a *Authority) Lists(ctx context.Context) ([][]byte, error) {
	list, err := a.revocations()
	if err != nil {
		return nil, err
	}
	list.Number++
	if err := a.saveRevocations(list); err != nil {
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

// pemLists are Lists as one PEM text.
func (a *Authority) pemLists(ctx context.Context) (text []byte, err error) {
	lists, err := a.Lists(ctx)
	for _, der := range lists {
		text = append(text, pki.MarshalCRL(der)...)
	}
	return text, err
}

// IssueSeal makes sure that a department has a current seal key in the keystore, with a certificate.
func (a *Authority) IssueSeal(ctx context.Context, keys *keystore.Store, d config.Department) (keystore.Info, error) {
	return a.certify(ctx, keys, keystore.Purpose{Usage: keystore.Seal, Owner: d.USCC, Algorithm: keystore.SM2}, d, d.Name)
}

// MakeSeal makes a department's seal for the key of a chain, with a seal maker (制章者) of the authority's own, whose key lies
// beside the authority's. It is for trying things out: a real seal comes from the licensed seal maker (公安机关备案的印章制作单位).
func (a *Authority) MakeSeal(ctx context.Context, operator, d config.Department, chain [][]byte) (*seal.Seal, error) {
	made, err := a.makeSeal(ctx, operator, d, chain)
	if err != nil {
		return nil, fmt.Errorf("make seal of %s: %w", d.ID, err)
	}
	return made, nil
}

func (a *Authority) makeSeal(ctx context.Context, operator, d config.Department, chain [][]byte) (*seal.Seal, error) {
	k, err := a.certify(ctx, a.keys, keystore.Purpose{Usage: pki.SealMaker, Algorithm: keystore.SM2}, operator, operator.Name+" 印章制作")
	if err != nil {
		return nil, err
	}
	maker, err := pki.ParseChain(k.Chain)
	if err != nil {
		return nil, err
	}
	signer, err := a.keys.SignerByID(k.ID)
	if err != nil {
		return nil, err
	}
	certs, err := pki.ParseChain(chain)
	if err != nil {
		return nil, err
	}
	picture, err := drawSeal(d.Name)
	if err != nil {
		return nil, err
	}
	now := a.now().UTC().Truncate(time.Second)
	to := certs[0].NotAfter
	if end := maker[0].NotAfter; end.Before(to) {
		to = end
	}
	return seal.Make(ctx, seal.Maker{Signer: signer, Certificate: maker[0], Now: a.now, VerifyBoth: second.VerifyBoth}, seal.Spec{
		ID: fmt.Sprintf("%s-%d", d.USCC, now.Unix()), Name: d.Name + sealLine, From: now, To: to.UTC().Truncate(time.Second),
		Signers: certs[:1], Picture: picture,
	})
}

// sealLine stands under the star.
const sealLine = "电子证照专用章"

// drawSeal draws a round seal in the first font that has every character of the name.
func drawSeal(name string) (seal.Picture, error) {
	var missing error
	for _, font := range []string{sheet.Song, sheet.Hei} {
		data, err := sheet.Font(font)
		if err != nil {
			return seal.Picture{}, err
		}
		png, err := sheet.DrawSeal(sheet.SealDrawing{Name: name, Line: sealLine, Font: data})
		if !errors.Is(err, sheet.ErrSealGlyph) {
			return seal.Picture{Data: png, Width: sheet.SealDiameter, Height: sheet.SealDiameter}, err
		}
		missing = err
	}
	return seal.Picture{}, missing
}
