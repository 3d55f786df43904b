package rest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"oncegate/adapters/failure"
	"oncegate/license"
)

const (
	dialTimeout    = 5 * time.Second
	maxHeaderBytes = 64 << 10
)

func base(c Config) string { return strings.TrimSuffix(c.BaseURL, "/") }

// client makes an HTTP client that follows no redirect, uses no proxy of the environment and keeps its connections.
func (c Config) client() (*http.Client, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLS.ServerName}
	if c.TLS.CA != "" {
		pem, err := os.ReadFile(c.TLS.CA)
		if err != nil {
			return nil, fmt.Errorf("cannot read tls.ca: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("cannot read tls.ca: no certificate in it")
		}
	}
	if c.TLS.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(c.TLS.Certificate, c.TLS.Key)
		if err != nil {
			return nil, fmt.Errorf("cannot read tls.certificate and tls.key: %w", err)
		}
		trust.Certificates = []tls.Certificate{pair}
	}
	connections := cmp.Or(c.MaxConnections, defaultConnections)
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:        trust,
			TLSHandshakeTimeout:    dialTimeout,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // so that the bound on bytes is one
			MaxConnsPerHost:        connections,
			MaxIdleConnsPerHost:    connections,
			IdleConnTimeout:        cmp.Or(c.IdleTimeout, defaultIdle),
			MaxResponseHeaderBytes: maxHeaderBytes,
		},
	}, nil
}

// send makes one exchange. Its errors never carry the URL, headers or anything of the answer.
func (s *Source) send(ctx context.Context, method, target string, body []byte, contentType string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return reply{}, &license.SourceError{Cause: license.OtherCause, Detail: "cannot write the request"}
	}
	for name, value := range s.cfg.Header {
		req.Header.Set(name, value)
	}
	req.Header.Set("Accept", "application/json")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if err := s.authorize(req, body); err != nil {
		return reply{}, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return reply{}, transportError(ctx, err)
	}
	defer res.Body.Close()
	limit := cmp.Or(s.cfg.MaxBytes, defaultBytes)
	read, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return reply{}, transportError(ctx, err)
	}
	if int64(len(read)) > limit {
		return reply{}, errLong
	}
	if res.Header.Get("Content-Encoding") != "" {
		return reply{}, &license.SourceError{Cause: license.UnreadableAnswer, Detail: "it is compressed, which was not asked for"}
	}
	return reply{res.StatusCode, res.Header.Get("Content-Type"), read}, nil
}

func (s *Source) authorize(req *http.Request, body []byte) error {
	a := s.cfg.Auth
	value := s.secret
	if a.Signed {
		var err error
		if value, err = s.deps.Sign(req.Context(), req.Method, req.URL.String(), body); err != nil {
			return &license.SourceError{Cause: license.OtherCause, Detail: "cannot sign the request"}
		}
	}
	if value != "" {
		req.Header.Set(cmp.Or(a.Header, "Authorization"), a.Prefix+value)
	}
	return nil
}

// transportError keeps what helps an operator and drops what may repeat a request or an answer.
func transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("cannot reach the source: %w", ctx.Err())
	}
	if e := failure.OfNetwork(err); e != nil {
		return e
	}
	return &license.SourceError{Cause: license.OtherCause, Detail: "the exchange failed"}
}
