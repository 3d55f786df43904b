package revocation

import (
	"context"
	"fmt"
	"io"

	"oncegate/certs/pki"
)

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
		return fmt.Errorf("%w: nobody says that its certificate was not revoked", ErrResponder)
	}
	return nil
}
