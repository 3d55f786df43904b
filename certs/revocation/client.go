package revocation

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// Config of a client. The zero value works.
type Config struct {
	// HTTP fetches; nil means a client of its own that follows three redirects. Every fetch ends after Timeout.
	HTTP *http.Client
	// Timeout of one fetch; zero means 10 s.
	Timeout time.Duration
	// Retry is how long a source that failed is left in peace; zero means one minute.
	Retry time.Duration
	// Allow refuses addresses. They stand in certificates that lead to an anchor; nil allows every http and https address.
	Allow func(*url.URL) error
	// Hash names certificates in questions to responders; empty means SHA1, which all of them know. Licensed authorities
	// in China know SM3.
	Hash Hash
	// NonceRequired refuses answers that were not made for our question. Responders that sign in advance cannot give them.
	NonceRequired bool
	// Keep bounds what is kept, in bytes; zero means 32 MiB. What was not used for longest goes first.
	Keep int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Rand gives nonces; nil means crypto/rand.
	Rand io.Reader
	// Verify checks signatures; nil means [sm.Verify].
	Verify sm.VerifyFunc
}

// Client asks responders and fetches lists, at the addresses that certificates name, and keeps both until the next is due.
// When the next cannot be had, the last is used and called stale. It is safe for concurrent use.
type Client struct {
	Config
	flights singleflight.Group

	mu   sync.Mutex // protects all below
	kept map[string]*kept
	size int
}

var _ Source = (*Client)(nil)

// New returns a client that has kept nothing yet.
func New(c Config) *Client {
	if c.HTTP == nil {
		c.HTTP = &http.Client{CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return errors.New("too many redirects")
			}
			return nil
		}}
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Retry == 0 {
		c.Retry = time.Minute
	}
	if c.Hash == "" {
		c.Hash = SHA1
	}
	if c.Keep == 0 {
		c.Keep = 32 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	c.Verify = orDefault(c.Verify)
	return &Client{Config: c, kept: make(map[string]*kept)}
}

// Status asks the responders that c names, then its lists, until one says good or revoked. Nothing is asked when c names
// nobody: ErrNoSource.
func (c *Client) Status(ctx context.Context, cert, issuer *pki.Certificate, at time.Time) (Status, error) {
	best, err := Status{}, error(ErrNoSource)
	for _, ask := range c.ways(cert, issuer) {
		s, failed := ask(ctx, at)
		switch {
		case failed == nil && s.weight() == settled:
			return s, nil
		case failed == nil && s.weight() > best.weight():
			best = s
		case failed != nil && (err == ErrNoSource || errors.Is(err, ErrUnavailable)):
			err = failed
		}
	}
	if best.State != "" {
		return best, nil
	}
	return Status{}, err
}

const settled = 4

// weight says which of several words counts: a fresh good or revoked settles the matter; then comes an old revocation, then
// an authority that does not know the certificate, then an old good.
func (s Status) weight() int {
	switch {
	case s.State == "":
		return 0
	case s.State == Unknown:
		return 2
	case !s.Stale:
		return settled
	case s.State == Revoked:
		return 3
	}
	return 1
}

// ways are the ways to ask about a certificate, at most four of each kind.
func (c *Client) ways(cert, issuer *pki.Certificate) (list []func(context.Context, time.Time) (Status, error)) {
	const each = 4
	for _, address := range cert.OCSPServer[:min(len(cert.OCSPServer), each)] {
		list = append(list, func(ctx context.Context, at time.Time) (Status, error) {
			r, stale, err := c.Response(ctx, address, cert, issuer)
			if err != nil {
				return Status{}, err
			}
			return label(stale)(r.Status(cert, issuer, moment(at, stale, r.next())))
		})
	}
	for _, address := range cert.CRLDistributionPoints[:min(len(cert.CRLDistributionPoints), each)] {
		list = append(list, func(ctx context.Context, at time.Time) (Status, error) {
			l, stale, err := c.List(ctx, address, issuer)
			if err != nil {
				return Status{}, err
			}
			return label(stale)(l.Status(cert, moment(at, stale, l.next())))
		})
	}
	return list
}

// moment is the moment to ask about: of a stale source the last one that it can speak of.
func moment(at time.Time, stale bool, next time.Time) time.Time {
	if stale && at.After(next) {
		return next
	}
	return at
}

func label(stale bool) func(Status, error) (Status, error) {
	return func(s Status, err error) (Status, error) {
		s.Stale = stale
		return s, err
	}
}

// List returns issuer's list from an address, verified, kept or fetched. stale says that the next one is due and could not
// be had.
func (c *Client) List(ctx context.Context, address string, issuer *pki.Certificate) (l *List, stale bool, err error) {
	key := CRL + " " + pki.Fingerprint(issuer) + " " + address
	v, stale, err := c.get(ctx, key, func(ctx context.Context) (held, error) {
		body, err := c.fetch(ctx, address, nil, MaxList)
		if err != nil {
			return nil, err
		}
		l, err := ParseList(body)
		if err != nil {
			return nil, err
		}
		return l, l.Verify(issuer, c.Verify)
	})
	if err != nil {
		return nil, stale, err
	}
	return v.(*List), stale, nil
}

// Response returns a responder's answer about a certificate, verified, kept or fetched.
func (c *Client) Response(ctx context.Context, address string, cert, issuer *pki.Certificate) (r *Response, stale bool, err error) {
	key := OCSP + " " + pki.Fingerprint(issuer) + " " + cert.SerialNumber.Text(16) + " " + address
	v, stale, err := c.get(ctx, key, func(ctx context.Context) (held, error) { return c.ask(ctx, address, cert, issuer) })
	if err != nil {
		return nil, stale, err
	}
	return v.(*Response), stale, nil
}
