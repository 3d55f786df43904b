package revocation

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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

	mu    sync.Mutex // protects all below
	cache map[string]*cacheEntry
	size  int
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
	return &Client{Config: c, cache: make(map[string]*cacheEntry)}
}

// Status asks the responders that c names, then its lists, until one says good or revoked. Nothing is asked when c names
// nobody: ErrNoSource.
func (c *Client) Status(ctx context.Context, cert, issuer *pki.Certificate, at time.Time) (Status, error) {
	best, err := Status{}, error(ErrNoSource)
	for _, ask := range c.queries(cert, issuer) {
		s, failed := ask(ctx, at)
		switch {
		case failed == nil && s.precedence() == decisive:
			return s, nil
		case failed == nil && s.precedence() > best.precedence():
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

const decisive = 4

// precedence says which of several words counts: a fresh good or revoked settles the matter; then comes an old revocation, then
// an authority that does not know the certificate, then an old good.
func (s Status) precedence() int {
	switch {
	case s.State == "":
		return 0
	case s.State == Unknown:
		return 2
	case !s.Stale:
		return decisive
	case s.State == Revoked:
		return 3
	}
	return 1
}

// queries are the ways to ask about a certificate, at most four of each kind.
func (c *Client) queries(cert, issuer *pki.Certificate) (list []func(context.Context, time.Time) (Status, error)) {
	const each = 4
	for _, address := range cert.OCSPServer[:min(len(cert.OCSPServer), each)] {
		list = append(list, func(ctx context.Context, at time.Time) (Status, error) {
			r, stale, err := c.Response(ctx, address, cert, issuer)
			if err != nil {
				return Status{}, err
			}
			return withStale(stale)(r.Status(cert, issuer, lastCovered(at, stale, r.next())))
		})
	}
	for _, address := range cert.CRLDistributionPoints[:min(len(cert.CRLDistributionPoints), each)] {
		list = append(list, func(ctx context.Context, at time.Time) (Status, error) {
			l, stale, err := c.List(ctx, address, issuer)
			if err != nil {
				return Status{}, err
			}
			return withStale(stale)(l.Status(cert, lastCovered(at, stale, l.next())))
		})
	}
	return list
}

// lastCovered is the time to ask about: of a stale source the last one that it can speak of.
func lastCovered(at time.Time, stale bool, next time.Time) time.Time {
	if stale && at.After(next) {
		return next
	}
	return at
}

func withStale(stale bool) func(Status, error) (Status, error) {
	return func(s Status, err error) (Status, error) {
		s.Stale = stale
		return s, err
	}
}

// List returns issuer's list from an address, verified, kept or fetched. stale says that the next one is due and could not
// be had.
func (c *Client) List(ctx context.Context, address string, issuer *pki.Certificate) (l *List, stale bool, err error) {
	key := CRL + " " + pki.Fingerprint(issuer) + " " + address
	v, stale, err := c.get(ctx, key, func(ctx context.Context) (cacheItem, error) {
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
	v, stale, err := c.get(ctx, key, func(ctx context.Context) (cacheItem, error) { return c.ask(ctx, address, cert, issuer) })
	if err != nil {
		return nil, stale, err
	}
	return v.(*Response), stale, nil
}

// ask asks a responder once.
func (c *Client) ask(ctx context.Context, address string, cert, issuer *pki.Certificate) (*Response, error) {
	id, err := NewCertID(issuer, cert.SerialNumber, c.Hash)
	if err != nil {
		return nil, err
	}
	q := Request{IDs: []CertID{id}, Nonce: make([]byte, nonceLength)}
	if _, err := io.ReadFull(c.Rand, q.Nonce); err != nil {
		return nil, fmt.Errorf("%w: no randomness for a nonce", ErrUnavailable)
	}
	der, err := q.Marshal()
	if err != nil {
		return nil, err
	}
	body, err := c.fetch(ctx, address, der, maxResponse)
	if err != nil {
		return nil, err
	}
	r, err := ParseResponse(body)
	if err != nil {
		return nil, err
	}
	if string(r.Nonce) != string(q.Nonce) && (len(r.Nonce) > 0 || c.NonceRequired) {
		return nil, fmt.Errorf("%w: the answer is not to our question", ErrReplayed)
	}
	responder, err := r.Verify(issuer, c.Verify)
	if err != nil {
		return nil, err
	}
	if _, err := r.Status(cert, issuer, c.Now()); err != nil {
		return nil, err
	}
	return r, c.checkResponder(ctx, responder, issuer)
}

// checkResponder asks the lists about a responder whose certificate does not say that it need not be.
func (c *Client) checkResponder(ctx context.Context, responder, issuer *pki.Certificate) error {
	if responder == nil || pki.NoCheck(responder) {
		return nil
	}
	lists := *responder
	lists.OCSPServer = nil // it must not vouch for itself
	s, err := c.Status(ctx, &lists, issuer, c.Now())
	if err != nil || s.State != Good || s.Stale {
		return fmt.Errorf("%w: responder certificate has no ocsp-nocheck and no CRL covers it", ErrResponder)
	}
	return nil
}

// fetch gets an address, or posts a question to it, and reads at most limit bytes.
func (c *Client) fetch(ctx context.Context, address string, question []byte, limit int64) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(address) > 2048 {
		return nil, fmt.Errorf("%w: the address is not http", ErrUnavailable)
	}
	if c.Allow != nil {
		if err := c.Allow(u); err != nil {
			return nil, fmt.Errorf("%w: the address is not allowed", ErrUnavailable)
		}
	}
	method, body := http.MethodGet, io.Reader(nil)
	if question != nil {
		method, body = http.MethodPost, bytes.NewReader(question)
	}
	q, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, fmt.Errorf("%w: the address cannot be used", ErrUnavailable)
	}
	if question != nil {
		q.Header.Set("Content-Type", "application/ocsp-request")
	}
	resp, err := c.HTTP.Do(q)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, plain(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: it answers %d", ErrUnavailable, resp.StatusCode)
	}
	return readAll(resp, limit)
}

// readAll reads a body without ever holding much more than it: a large list is in memory once, and a little.
func readAll(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, malformed("more than %d bytes", limit)
	}
	size := resp.ContentLength
	if size < 0 {
		size = 32 << 10
	}
	body := make([]byte, 0, size+1) // one more, to see the end
	for {
		n, err := resp.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return nil, malformed("more than %d bytes", limit)
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, plain(err))
		}
		if len(body) == cap(body) {
			more := make([]byte, len(body), min(2*len(body), int(limit)+1))
			copy(more, body)
			body = more
		}
	}
}

// plain takes the address out of an error of net/http.
func plain(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
