package revocation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

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
