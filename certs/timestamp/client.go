package timestamp

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// ErrUnavailable says that no authority answered in time, or that it cannot at the moment: asking later may help.
var ErrUnavailable = errors.New("time-stamping authority is unavailable")

// Client asks one authority over HTTP and trusts only what its Verifier lets pass. It is safe for concurrent use.
type Client struct {
	// URL of the authority.
	URL string
	// Verifier judges every token before it is returned; required, its zero value trusts anybody's certificate.
	Verifier *Verifier
	// Algorithm of imprints; nil means SM3.
	Algorithm asn1.ObjectIdentifier
	// Policy to ask for; nil leaves it to the authority.
	Policy asn1.ObjectIdentifier
	// HTTP carries the requests; nil means a client that follows no redirects.
	HTTP *http.Client
	// Rand gives nonces; nil means crypto/rand.
	Rand io.Reader
	// Timeout of one try; zero means 10 s.
	Timeout time.Duration
	// Tries in all; zero means 3. Wait is the first pause between two, growing and random after that; zero means 200 ms.
	Tries int
	Wait  time.Duration
}

const nonceSize = 16

// Media types of RFC 3161 section 3.4.
const (
	queryType = "application/timestamp-query"
	replyType = "application/timestamp-reply"
)

// Stamp returns a token over the value of a signature, verified against the request. Errors: ErrUnavailable; a *[Refusal];
// or the step that the token failed.
func (c *Client) Stamp(ctx context.Context, signature []byte) ([]byte, error) {
	if c.Verifier == nil {
		return nil, errors.New("stamp: the client has no verifier")
	}
	wait := backoff.NewExponentialBackOff()
	if wait.InitialInterval = c.Wait; c.Wait == 0 {
		wait.InitialInterval = 200 * time.Millisecond
	}
	tries := c.Tries
	if tries <= 0 {
		tries = 3
	}
	token, err := backoff.Retry(ctx, func() ([]byte, error) {
		token, err := c.stamp(ctx, signature)
		if err != nil && !errors.Is(err, ErrUnavailable) {
			return nil, backoff.Permanent(err)
		}
		return token, err
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(uint(tries)))
	if err != nil {
		return nil, fmt.Errorf("stamp: %w", err)
	}
	return token, nil
}

// stamp asks once.
func (c *Client) stamp(ctx context.Context, signature []byte) ([]byte, error) {
	request, err := c.request(signature)
	if err != nil {
		return nil, err
	}
	query, err := request.Marshal()
	if err != nil {
		return nil, err
	}
	reply, err := c.post(ctx, query)
	if err != nil {
		return nil, err
	}
	response, err := ParseResponse(reply)
	if err != nil {
		return nil, err
	}
	if f := response.Refusal; f != nil {
		if f.Failure.temporary() {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, f)
		}
		return nil, f
	}
	result := c.Verifier.Verify(ctx, response.Token, signature, request.Nonce)
	if err := result.Failure(); err != nil {
		return nil, fmt.Errorf("the authority's token does not hold: %w", err)
	}
	// The verifier takes any algorithm that it knows, and any policy when none are listed; the request was more exact.
	if !result.Info.Imprint.Equal(request.Imprint) || request.Policy != nil && !result.Info.Policy.Equal(request.Policy) {
		return nil, errors.New("the authority's token answers another question")
	}
	return response.Token, nil
}

func (c *Client) request(signature []byte) (r Request, err error) {
	algorithm := c.Algorithm
	if algorithm == nil {
		algorithm = SM3
	}
	if r.Imprint, err = ImprintOf(algorithm, signature); err != nil {
		return r, err
	}
	random := c.Rand
	if random == nil {
		random = rand.Reader
	}
	nonce := make([]byte, nonceSize)
	if _, err := io.ReadFull(random, nonce); err != nil {
		return r, fmt.Errorf("make nonce: %w", err)
	}
	r.Nonce, r.Policy, r.Certificates = new(big.Int).SetBytes(nonce), c.Policy, true
	return r, nil
}

// post sends a request and returns the response's bytes. Whatever another try may mend is ErrUnavailable.
func (c *Client) post(ctx context.Context, query []byte) ([]byte, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(query))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Content-Type", queryType)
	request.Header.Set("Accept", replyType)
	carrier := c.HTTP
	if carrier == nil {
		carrier = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	response, err := carrier.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer response.Body.Close()
	switch code := response.StatusCode; {
	case code == http.StatusTooManyRequests || code >= 500:
		return nil, postponed(code, response.Header.Get("Retry-After"))
	case code != http.StatusOK:
		return nil, fmt.Errorf("the time-stamping authority answered with HTTP status %d", code)
	}
	if kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || kind != replyType {
		return nil, errors.New("the time-stamping authority answered with something else than " + replyType)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReply+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return body, nil // ParseResponse refuses what is longer
}

// maxPause bounds the pause that an authority may ask for, in seconds; who asks for more is asked again by a later call.
const maxPause = 30

// postponed is ErrUnavailable, and heeds Retry-After where it is a small number of seconds.
func postponed(code int, after string) error {
	err := fmt.Errorf("%w: HTTP status %d", ErrUnavailable, code)
	if seconds, e := strconv.Atoi(after); e == nil && seconds > 0 && seconds <= maxPause {
		return errors.Join(err, &backoff.RetryAfterError{Duration: time.Duration(seconds) * time.Second})
	}
	return err
}
