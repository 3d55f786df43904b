package pki

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/sm"
	"oncegate/check"
)

const (
	maxChain = 6 // certificates given with a leaf, leaf included
	maxDepth = 4 // certificates from leaf to anchor, both included
)

// Trust is what a verifier brings.
type Trust struct {
	// Anchors are self-signed roots.
	Anchors []*Certificate
	// Known gives code and usage of certificates that do not carry them in our way, by [Fingerprint]: those of other
	// authorities. It adds to a certificate; chain, dates and signature are still checked.
	Known map[string]Known
	// Usages says where certificates under an anchor say what their keys are for, by the anchor's [Fingerprint]; under others
	// it is the subject's OU. Known goes before it.
	Usages map[string]UsageRule
	// Verify checks signatures in chains; nil means [sm.Verify].
	Verify sm.VerifyFunc
	// VerifyBoth checks the signature of every anchor when it is installed; nil means Verify. Give it [second.VerifyBoth].
	VerifyBoth sm.VerifyFunc
	// Cache is the number of verified chains kept; zero means 4096, negative none.
	Cache int
}

// Known is what trust says about one certificate.
type Known struct{ USCC, Usage string }

// Verifier checks chains against fixed anchors. It is safe for concurrent use.
type Verifier struct {
	anchors []*Certificate
	roots   *smx509.CertPool
	known   map[string]Known
	usages  map[string]UsageRule
	verify  sm.VerifyFunc

	*chainCache
}

// chainCache keeps the chains that hold, as they were given and as paths, also for the verifiers that [Verifier.With] makes.
type chainCache struct {
	size int // chains; each takes two entries

	mu     sync.Mutex // protects chains
	chains map[[sm.DigestSize]byte]cachedChain
}

// cachedChain is what was found about a chain; it holds from one time to another.
type cachedChain struct {
	leaf     Leaf
	path     []*Certificate // from the leaf to its anchor
	from, to time.Time
}

// NewVerifier installs the anchors. An anchor that is not a self-signed SM2 authority, or whose signature VerifyBoth does
// not accept, is ErrBadAnchor.
func NewVerifier(t Trust) (*Verifier, error) {
	v := &Verifier{
		anchors: slices.Clone(t.Anchors), roots: smx509.NewCertPool(), known: t.Known, usages: t.Usages, verify: t.Verify,
		chainCache: &chainCache{size: t.Cache, chains: make(map[[sm.DigestSize]byte]cachedChain)},
	}
	if v.verify == nil {
		v.verify = sm.Verify
	}
	if v.size == 0 {
		v.size = 4096
	}
	confirm := t.VerifyBoth
	if confirm == nil {
		confirm = v.verify
	}
	for _, a := range v.anchors {
		pub, err := publicKey(a)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadAnchor, err)
		}
		if !bytes.Equal(a.RawIssuer, a.RawSubject) || !mayIssue(a) {
			return nil, fmt.Errorf("%w: not a self-signed authority", ErrBadAnchor)
		}
		if err := checkSignature(a, pub, confirm); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadAnchor, err)
		}
		v.roots.AddCert(a)
	}
	return v, nil
}

// With returns the verifier with the signature checks of one call, such as [sm.Budget.Within] makes: no laxer than its own,
// because both keep the chains that hold together. A check that is [check.Undecided] ends a search with that error.
func (v *Verifier) With(verify sm.VerifyFunc) *Verifier {
	bound := *v
	bound.verify = verify
	return &bound
}

// ChainDER is Chain for the DER certificates of an x5c header, leaf first.
func (v *Verifier) ChainDER(chain [][]byte, at time.Time, usage string) (Leaf, error) {
	if len(chain) > 0 && len(chain) <= maxChain {
		if found, ok := v.lookup(chainKey(chain...), at); ok { // a chain that is known need not be read again
			return judge(found, usage)
		}
	}
	certs, err := ParseChain(chain)
	if err != nil {
		return Leaf{}, err
	}
	return v.Chain(certs[0], certs[1:], at, usage)
}

// Chain checks that leaf leads over intermediates to an anchor, that every certificate of the path is valid at the given
// time and allowed to be where it is, and that the leaf is for usage and names a USCC. Errors are those of this package.
func (v *Verifier) Chain(leaf *Certificate, intermediates []*Certificate, at time.Time, usage string) (Leaf, error) {
	found, err := v.find(leaf, intermediates, at)
	if err != nil {
		return Leaf{}, err
	}
	return judge(found, usage)
}

// judge says whether the leaf of a path that holds is for a usage.
func judge(found cachedChain, usage string) (Leaf, error) {
	if !allows(found.path[0], usage) {
		return Leaf{}, fmt.Errorf("%w: its key usage does not allow %q", ErrConstraints, usage)
	}
	if found.leaf.Usage != usage {
		return Leaf{}, fmt.Errorf("%w than %q", ErrWrongUsage, usage)
	}
	if found.leaf.USCC == "" {
		return Leaf{}, ErrNoUSCC
	}
	return found.leaf, nil
}

// Path is the way by which leaf leads to an anchor at a moment, both included, leaf first: what revocation is checked
// along. It judges the chain as Chain does, but asks for no usage, no USCC and nobody about revocation.
func (v *Verifier) Path(leaf *Certificate, intermediates []*Certificate, at time.Time) ([]*Certificate, error) {
	found, err := v.find(leaf, intermediates, at)
	return slices.Clone(found.path), err
}

// find looks a chain up, or builds and keeps it.
func (v *Verifier) find(leaf *Certificate, intermediates []*Certificate, at time.Time) (cachedChain, error) {
	if len(intermediates) >= maxChain {
		return cachedChain{}, fmt.Errorf("%w: more than %d certificates", ErrConstraints, maxChain)
	}
	key := chainKey(DER(append([]*Certificate{leaf}, intermediates...)...)...)
	if found, ok := v.lookup(key, at); ok {
		return found, nil
	}
	found, err := v.build(leaf, intermediates, at)
	if err == nil {
		v.store(key, found)
	}
	return found, err
}

// build finds the path and has the library judge it once more.
func (v *Verifier) build(leaf *Certificate, intermediates []*Certificate, at time.Time) (cachedChain, error) {
	pub, err := publicKey(leaf)
	if err != nil {
		return cachedChain{}, err
	}
	if leaf.IsCA || leaf.KeyUsage&(signs|encrypts) == 0 {
		return cachedChain{}, fmt.Errorf("%w: the leaf has neither signing nor encryption key usage", ErrConstraints)
	}
	path, err := v.climb(leaf, intermediates, at)
	if err != nil {
		return cachedChain{}, err
	}
	// A path that is known need not be judged again, whatever certificates came along besides: those cost a stranger nothing.
	key := chainKey(DER(path...)...)
	if found, ok := v.lookup(key, at); ok {
		return found, nil
	}
	pool := smx509.NewCertPool()
	for _, c := range path[1:] {
		pool.AddCert(c)
	}
	if _, err := leaf.Verify(smx509.VerifyOptions{
		Roots: v.roots, Intermediates: pool, CurrentTime: at, KeyUsages: []smx509.ExtKeyUsage{smx509.ExtKeyUsageAny},
	}); err != nil {
		// Our walk is meant to be no laxer than the library's; if it is, the library is right.
		return cachedChain{}, fmt.Errorf("%w: %w", ErrConstraints, err)
	}
	out := cachedChain{v.describe(path, pub), path, leaf.NotBefore, leaf.NotAfter}
	for _, c := range path {
		if c.NotBefore.After(out.from) {
			out.from = c.NotBefore
		}
		if c.NotAfter.Before(out.to) {
			out.to = c.NotAfter
		}
	}
	v.store(key, out)
	return out, nil
}

// Authority checks that an authority leads to an anchor: who signs revocation data. It returns the path there, the anchor last.
// Errors are those of Chain.
func (v *Verifier) Authority(c *Certificate, intermediates []*Certificate, at time.Time) ([]*Certificate, error) {
	return v.climb(c, intermediates, at)
}

// A reached certificate is one that a search for an anchor has come to.
type reached struct {
	*Certificate
	below *reached // which it issued; nil for the one that the search began with
	depth int      // certificates from there to here, both included
}

// path is the way from the first certificate to this one.
func (r *reached) path() []*Certificate {
	out := make([]*Certificate, r.depth)
	for at := r; at != nil; at = at.below {
		out[at.depth-1] = at.Certificate
	}
	return out
}

// climb finds the shortest path from c to an anchor, by breadth-first search: each certificate is reached once, so that
// intermediates which all signed each other cost one signature check for each pair at most. That loses no path: what can
// stand far above c can stand nearer, too. When none holds it gives the first reason that is more telling than "unknown
// anchor".
func (v *Verifier) climb(c *Certificate, intermediates []*Certificate, at time.Time) ([]*Certificate, error) {
	first := &reached{c, nil, 1}
	if err := first.fits(at); err != nil {
		return nil, err
	}
	reason := error(ErrUnknownAnchor)
	tell := func(err error) {
		if reason == error(ErrUnknownAnchor) {
			reason = err
		}
	}
	all := []*reached{first}
	for i := 0; i < len(all); i++ {
		r := all[i]
		if slices.ContainsFunc(v.anchors, r.Equal) {
			return r.path(), nil
		}
		if r.depth >= maxDepth {
			tell(fmt.Errorf("%w: path is too long", ErrConstraints))
			continue
		}
		for _, issuer := range slices.Concat(v.anchors, intermediates) {
			if !Names(r.Certificate, issuer) || slices.ContainsFunc(all, func(o *reached) bool { return o.Equal(issuer) }) {
				continue
			}
			next := &reached{issuer, r, r.depth + 1}
			err := v.issued(issuer, r.Certificate, r.depth-1)
			if err == nil {
				err = next.fits(at)
			}
			switch {
			case err == nil:
				all = append(all, next)
			case check.Undecided(err):
				return nil, err
			default:
				tell(err)
			}
		}
	}
	return nil, reason
}

// fits tells whether a certificate is valid at a time and has no critical extension that is unknown.
func (r *reached) fits(at time.Time) error {
	place := "the leaf"
	if r.depth > 1 {
		place = "an authority above it"
	}
	switch {
	case at.Before(r.NotBefore):
		return fmt.Errorf("%w: %s", ErrNotYetValid, place)
	case at.After(r.NotAfter):
		return fmt.Errorf("%w: %s", ErrExpired, place)
	case len(r.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("%w: unknown critical extension", ErrConstraints)
	}
	return nil
}

// Above picks from pools, in their order, the certificates that may stand above c, nearest first: by names and key
// identifiers, at most as many as [Verifier.Chain] takes. Self-signed ones are left out: anchors come from the verifier.
func Above(c *Certificate, pools ...[]*Certificate) []*Certificate {
	found := []*Certificate{c}
	for i := 0; i < len(found); i++ {
		for _, pool := range pools {
			for _, p := range pool {
				switch {
				case len(found) == maxChain:
					return found[1:]
				case Names(found[i], p) && !selfSigned(p) && !slices.ContainsFunc(found, p.Equal):
					found = append(found, p)
				}
			}
		}
	}
	return found[1:]
}

// selfSigned tells whether c says that its own key signed it. A self-issued certificate of a new key, which the old one signed
// (RFC 5280 section 3.2), names that key.
func selfSigned(c *Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && (len(c.AuthorityKeyId) == 0 || bytes.Equal(c.AuthorityKeyId, c.SubjectKeyId))
}

// Names tells whether c says that issuer issued it: by name, and by key identifier where both have one.
func Names(c, issuer *Certificate) bool {
	if !bytes.Equal(c.RawIssuer, issuer.RawSubject) {
		return false
	}
	return len(c.AuthorityKeyId) == 0 || len(issuer.SubjectKeyId) == 0 ||
		bytes.Equal(c.AuthorityKeyId, issuer.SubjectKeyId)
}

// issued tells whether issuer signed c and was allowed to; below is the number of authorities under issuer in the path.
func (v *Verifier) issued(issuer, c *Certificate, below int) error {
	if !mayIssue(issuer) {
		return fmt.Errorf("%w: the issuer is no authority", ErrConstraints)
	}
	if limited := issuer.MaxPathLen > 0 || issuer.MaxPathLenZero; limited && below > issuer.MaxPathLen {
		return fmt.Errorf("%w: too many authorities below the issuer", ErrConstraints)
	}
	pub, err := publicKey(issuer)
	if err != nil {
		return err
	}
	return checkSignature(c, pub, v.verify)
}

func mayIssue(c *Certificate) bool {
	return c.BasicConstraintsValid && c.IsCA && c.KeyUsage&smx509.KeyUsageCertSign != 0
}

// describe reads what the leaf of a path says. Two usages or two codes are none: a key has one usage and one owner.
func (v *Verifier) describe(path []*Certificate, pub *ecdsa.PublicKey) Leaf {
	c := path[0]
	l := Leaf{
		Anchor:     Fingerprint(path[len(path)-1]),
		CommonName: c.Subject.CommonName, Public: pub,
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, Fingerprint: Fingerprint(c),
	}
	if len(c.Subject.Organization) == 1 {
		l.Organization = c.Subject.Organization[0]
	}
	l.Usage = v.usages[l.Anchor].usageOf(path)
	var codes []string
	for _, a := range c.Subject.Names {
		if s, ok := a.Value.(string); ok && a.Type.Equal(organizationIdentifier) {
			codes = append(codes, s)
		}
	}
	if len(codes) == 1 {
		l.USCC = codes[0]
	}
	if k, ok := v.known[l.Fingerprint]; ok {
		l.USCC, l.Usage = k.USCC, k.Usage
	}
	return l
}

// chainKey is the name under which a chain is kept.
func chainKey(chain ...[]byte) [sm.DigestSize]byte {
	h := sm.New()
	var n [4]byte
	for _, der := range chain {
		binary.BigEndian.PutUint32(n[:], uint32(len(der)))
		h.Write(n[:])
		h.Write(der)
	}
	return [sm.DigestSize]byte(h.Sum(nil))
}

func (v *chainCache) lookup(key [sm.DigestSize]byte, at time.Time) (cachedChain, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	found, ok := v.chains[key]
	return found, ok && !at.Before(found.from) && !at.After(found.to)
}

// store keeps a chain; a full cache drops an arbitrary one. Only chains that hold are kept, so a stranger cannot fill it.
func (v *chainCache) store(key [sm.DigestSize]byte, found cachedChain) {
	if v.size < 0 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.chains) >= 2*v.size {
		for k := range v.chains {
			delete(v.chains, k)
			break
		}
	}
	v.chains[key] = found
}
