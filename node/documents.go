package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"oncegate/certs/cms"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/seal"
	"oncegate/certs/second"
	"oncegate/certs/timestamp"
	"oncegate/check"
	"oncegate/config"
	"oncegate/console"
	papers "oncegate/document"
	"oncegate/gateway"
	"oncegate/register"
)

// documents makes the drawing and sealing of license documents by a setup; nil where there are no layouts.
func (n *Node) documents(s *config.Setup, codes *papers.Codes) (gateway.Documents, error) {
	if s.Layouts == nil {
		return nil, nil
	}
	stamp, err := n.stamp(s)
	if err != nil {
		return nil, err
	}
	evidence, err := n.evidence(s)
	if err != nil {
		return nil, err
	}
	departments := make(map[string]config.Department, len(s.Departments))
	for _, d := range s.Departments {
		departments[d.USCC] = d
	}
	maker, err := papers.New(papers.Config{
		Catalogue: s.Catalogue, Layouts: s.Layouts, CodeURL: codes.URL, VerifyBoth: second.VerifyBoth, Now: n.Now,
		Seal: func(issuer string) (seal.Holder, error) {
			h, err := sealHolder(s, departments[issuer])
			h.Now, h.VerifyBoth, h.TimeStamp = n.Now, second.VerifyBoth, stamp
			return h, err
		},
		Signer:   func(issuer string) (cms.Identity, error) { return copySigner(s, departments[issuer]) },
		Evidence: evidence,
		Unstapled: func(err error) {
			n.metrics.unstapled.Inc()
			n.Logger.Warn("a document was signed without evidence that its signer's certificate stands", "error", err.Error())
		},
		Unstamped: func(err error) {
			n.metrics.unstamped.Inc()
			n.Logger.Warn("a license was sealed without a time stamp", "error", err.Error())
		},
	})
	if err != nil {
		return nil, err // not a *Maker that is nil
	}
	return maker, nil
}

// documentCodes makes the codes of documents by a setup.
func documentCodes(s *config.Setup, salt []byte, reg *register.Register) (*papers.Codes, error) {
	names := make(map[string]string, len(s.Departments))
	for _, d := range s.Departments {
		names[d.USCC] = d.Name
	}
	return papers.NewCodes(papers.CodesConfig{
		Secret: salt, Register: reg, Catalogue: s.Catalogue, BaseURL: cmp.Or(s.Gateway.DocumentsURL, s.Gateway.PublicURL),
		Issuer: func(uscc string) string { return names[uscc] },
	})
}

// codePages makes the public pages of documents' codes, which always show what is in force.
func (n *Node) codePages() (http.Handler, error) {
	return console.NewCodePages(console.CodeConfig{
		Find: func() console.Finder { return n.current.Load().papers },
		Operator: func() string {
			g := n.current.Load().setup
			i := slices.IndexFunc(g.Departments, func(d config.Department) bool { return d.ID == g.Gateway.Department })
			if i < 0 {
				return ""
			}
			return g.Departments[i].Name
		},
		Turn: func(r *http.Request) (func(), bool) { return n.gateway.Turn(r) }, Now: n.Now, Logger: n.Logger,
	})
}

// evidence collects the revocation evidence that travels with documents; nil where there is none.
func (n *Node) evidence(s *config.Setup) (func(context.Context, *pki.Certificate) (*revocation.Evidence, error), error) {
	c, err := n.stapler(s)
	if c == nil || err != nil {
		return nil, err
	}
	return c.collect, nil
}

// sealHolder is a department with its seal.
func sealHolder(s *config.Setup, d config.Department) (seal.Holder, error) {
	made := s.Seals[d.USCC]
	if made == nil {
		return seal.Holder{}, register.ErrNoSeal
	}
	k, err := d.FindSealKey(s.Keys, made)
	if err != nil {
		return seal.Holder{}, fmt.Errorf("%w: the keystore has no key %s", register.ErrNoSeal, d.Seal.Key)
	}
	chain, err := pki.ParseChain(k.Chain)
	if err != nil {
		return seal.Holder{}, fmt.Errorf("%w: key %s has no certificate", register.ErrNoSeal, k.ID)
	}
	signer, err := s.Keys.SignerByID(k.ID)
	return seal.Holder{Seal: made, Signer: signer, Certificate: chain[0]}, err
}

// copySigner is a department's license key, which signs annotated copies too.
func copySigner(s *config.Setup, d config.Department) (cms.Identity, error) {
	if d.LicenseKey == "" {
		return cms.Identity{}, register.ErrNoSigner
	}
	k, err := d.FindLicenseKey(s.Keys)
	if err != nil {
		return cms.Identity{}, fmt.Errorf("%w: the keystore has no key %s", register.ErrNoSigner, d.LicenseKey)
	}
	chain, err := pki.ParseChain(k.Chain)
	if err != nil {
		return cms.Identity{}, fmt.Errorf("%w: key %s has no certificate", register.ErrNoSigner, k.ID)
	}
	signer, err := s.Keys.SignerByID(k.ID)
	return cms.Identity{Signer: signer, Chain: chain}, err
}

const (
	stampWait = 2 * time.Second  // default of timestamp.wait
	stampRest = 30 * time.Second // how long an authority that failed is not asked
)

// errStampUnavailable says that the circuit breaker of the time-stamping authority is open.
var errStampUnavailable = fmt.Errorf("%w: it failed a moment ago", timestamp.ErrUnavailable)

// stamp gets time stamps from the authority of a setup with a timeout and a circuit breaker; nil where there is none. After a failure the
// authority is not asked for stampRest, so that not every first release of a license waits for it.
func (n *Node) stamp(s *config.Setup) (func(ctx context.Context, signature []byte) ([]byte, error), error) {
	if s.Timestamp.URL == "" {
		return nil, nil
	}
	chains, err := pki.NewVerifier(pki.Trust{Anchors: slices.Concat(s.Anchors, s.TimeStampAnchors), Known: s.Known, Usages: s.Usages, VerifyBoth: second.VerifyBoth})
	if err != nil {
		return nil, err
	}
	client := &timestamp.Client{
		URL: s.Timestamp.URL, Verifier: &timestamp.Verifier{Chain: chains.Chain, Certificates: s.Authorities, VerifySM2: second.VerifyBoth, Now: n.Now}, Tries: 1, Timeout: stampWait,
	}
	if s.Timestamp.Wait > 0 {
		client.Timeout = time.Duration(s.Timestamp.Wait)
	}
	var mu sync.Mutex // protects resting
	var resting time.Time
	return func(ctx context.Context, signature []byte) ([]byte, error) {
		mu.Lock()
		rest := time.Now().Before(resting)
		mu.Unlock()
		if rest {
			return nil, errStampUnavailable
		}
		token, err := client.Stamp(ctx, signature)
		if err != nil && ctx.Err() == nil {
			mu.Lock()
			resting = time.Now().Add(stampRest)
			mu.Unlock()
		}
		return token, err
	}, nil
}

const (
	// stapleLife is how long evidence that was collected travels with signatures before it is collected anew: a revocation
	// is noticed that much later.
	stapleLife = time.Minute
	// stapleWait is how long the first signature after that waits for it.
	stapleWait = 2 * time.Second
)

// A stapler collects revocation evidence about our own certificates (stapling), to travel with documents that they sign. It is a cache, and safe
// for concurrent use.
type stapler struct {
	chains  *pki.Verifier
	between []*pki.Certificate
	kept    *revocation.Evidence
	client  *revocation.Client // nil: nothing is fetched
	now     func() time.Time

	mu    sync.Mutex // protects all below
	known map[string]stapled
}

// stapled is what was collected for a certificate.
type stapled struct {
	evidence *revocation.Evidence
	err      error
	at       time.Time
}

// stapler returns the collector of a setup; nil where nothing was kept and nothing may be fetched.
func (n *Node) stapler(s *config.Setup) (*stapler, error) {
	c := &stapler{between: s.AllAuthorities(), kept: &revocation.Evidence{Verify: second.VerifyBoth}, now: n.Now, known: make(map[string]stapled)}
	for _, a := range s.Evidence { // also holds status lists, which say nothing of certificates
		if l, err := revocation.ParseList(a.Data); err == nil {
			c.kept.Lists = append(c.kept.Lists, l)
		}
		if r, err := revocation.ParseResponse(a.Data); err == nil {
			c.kept.Responses = append(c.kept.Responses, r)
		}
	}
	if s.Trust.Fetch {
		c.client = revocation.New(revocation.Config{Timeout: stapleWait, Now: n.Now, Verify: second.VerifyBoth})
	}
	if c.client == nil && len(c.kept.Lists)+len(c.kept.Responses) == 0 {
		return nil, nil
	}
	var err error
	c.chains, err = pki.NewVerifier(pki.Trust{Anchors: s.Anchors, Known: s.Known, Usages: s.Usages, VerifyBoth: second.VerifyBoth})
	return c, err
}

// collect returns the evidence about a certificate of ours. The error is pki.ErrRevoked where it is revoked.
func (c *stapler) collect(ctx context.Context, certificate *pki.Certificate) (*revocation.Evidence, error) {
	key, now := string(certificate.Raw), c.now()
	c.mu.Lock()
	last, ok := c.known[key]
	c.mu.Unlock()
	if age := now.Sub(last.at); ok && age >= 0 && age < stapleLife {
		return last.evidence, last.err
	}
	fresh := stapled{at: now}
	fresh.evidence, fresh.err = c.ask(ctx, certificate, now)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[key] = fresh
	return fresh.evidence, fresh.err
}

func (c *stapler) ask(ctx context.Context, certificate *pki.Certificate, now time.Time) (*revocation.Evidence, error) {
	path, err := c.chains.Path(certificate, c.between, now)
	if err != nil {
		return nil, fmt.Errorf("collect evidence: %w", err)
	}
	found := c.kept.Relevant(path, now)
	if c.client != nil {
		ctx, cancel := context.WithTimeout(ctx, stapleWait)
		defer cancel()
		fetched, _ := c.client.Collect(ctx, path)
		found = fetched.With(found) // a root's list is often kept by hand, and nowhere to be fetched
	}
	return found, revocationError(revocation.Check(ctx, path, now, found, c.kept))
}

// revocationError is the result of the revocation steps: pki.ErrRevoked, or that the state of a certificate is not known.
func revocationError(steps []check.Step) error {
	var silent error
	for _, step := range steps {
		switch step.State {
		case check.Failed:
			return fmt.Errorf("%w: %s: %s", pki.ErrRevoked, step.Name, step.Reason)
		case check.NotCheckable:
			silent = errors.Join(silent, fmt.Errorf("%s: %s", step.Name, step.Reason))
		}
	}
	return silent
}
