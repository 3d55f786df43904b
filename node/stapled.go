package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/check"
)

const (
	// stapleLife is how long evidence that was collected travels with signatures before it is collected anew: a revocation
	// is noticed that much later.
	stapleLife = time.Minute
	// stapleWait is how long the first signature after that waits for it.
	stapleWait = 2 * time.Second
)

// A stapler collects what shows that our own certificates stand, to travel with what they sign. It is safe for concurrent use.
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
func (n *Node) stapler(s *Setup) (*stapler, error) {
	c := &stapler{between: s.authorities(), kept: &revocation.Evidence{Verify: confirm}, now: n.Now, known: make(map[string]stapled)}
	for _, a := range s.Evidence { // also holds status lists, which say nothing of certificates
		if l, err := revocation.ParseList(a.Data); err == nil {
			c.kept.Lists = append(c.kept.Lists, l)
		}
		if r, err := revocation.ParseResponse(a.Data); err == nil {
			c.kept.Responses = append(c.kept.Responses, r)
		}
	}
	if s.Trust.Fetch {
		c.client = revocation.New(revocation.Config{Timeout: stapleWait, Now: n.Now, Verify: confirm})
	}
	if c.client == nil && len(c.kept.Lists)+len(c.kept.Responses) == 0 {
		return nil, nil
	}
	var err error
	c.chains, err = pki.NewVerifier(pki.Trust{Anchors: s.Anchors, Known: s.Known, Usages: s.Usages, Confirm: confirm})
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
	found := c.kept.Speaking(path, now)
	if c.client != nil {
		ctx, cancel := context.WithTimeout(ctx, stapleWait)
		defer cancel()
		fetched, _ := c.client.Collect(ctx, path)
		found = fetched.With(found) // a root's list is often kept by hand, and nowhere to be fetched
	}
	return found, shown(revocation.Check(ctx, path, now, found, c.kept))
}

// shown is what the steps of revocation come to: pki.ErrRevoked, or that nobody says whether a certificate stands.
func shown(steps []check.Step) error {
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
