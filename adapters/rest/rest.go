// Package rest is the adapter for REST interfaces: it finds licenses in a legacy system that answers JSON over HTTP.
//
// Only what the configuration expects is an answer. Another status, another content type, malformed JSON, a missing
// path, one page of several: each makes the finding unavailable, never "not found". URLs stay out of all errors, because
// legacy interfaces put persons' codes into them.
package rest

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"oncegate/adapters/mapping"
	"oncegate/license"
)

// Deps are what a source needs from its house. The zero value is usable where auth.signed is not set.
type Deps struct {
	// Sign makes the token for one request: method, full URL and exact body. Needed where auth.signed is set.
	Sign func(ctx context.Context, method, url string, body []byte) (string, error)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// A Source answers questions from an HTTP interface. Any number of goroutines may use it.
type Source struct {
	cfg    Config
	client *http.Client
	calls  map[string]prepared // by license type
	secret string
	deps   Deps
	closed atomic.Bool
}

type prepared struct {
	call    Call
	request *request
	plan    *mapping.Plan
}

// Open checks the configuration and reads its secret and its certificates. It does not connect.
func Open(cfg Config, cat *license.Catalogue, deps Deps) (*Source, error) {
	if f := cfg.Check(cat); len(f) > 0 {
		return nil, fmt.Errorf("cannot open source %s: %s: %s", cfg.ID, f[0].Path, f[0].Reason)
	}
	if cfg.Auth.Signed && deps.Sign == nil {
		return nil, fmt.Errorf("cannot open source %s: its requests are to be signed, and there is no signer", cfg.ID)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s := &Source{cfg: cfg, deps: deps, calls: map[string]prepared{}}
	for _, call := range cfg.Calls {
		plan, err := call.Record.Bind(cat)
		if err != nil {
			return nil, fmt.Errorf("cannot open source %s: %w", cfg.ID, err)
		}
		r, _ := call.compile() // Check has seen its faults
		s.calls[call.Record.Type] = prepared{call, r, plan}
	}
	var err error
	if !cfg.Auth.Secret.IsZero() {
		if s.secret, err = cfg.Auth.Secret.Read(); err != nil {
			return nil, fmt.Errorf("cannot open source %s: %w", cfg.ID, err)
		}
		if !validHeader("x", s.secret) {
			return nil, fmt.Errorf("cannot open source %s: its secret cannot stand in a header", cfg.ID)
		}
	}
	if s.client, err = cfg.client(); err != nil {
		return nil, fmt.Errorf("cannot open source %s: %w", cfg.ID, err)
	}
	return s, nil
}

// Check says whether the system can be reached now, and is well if the configuration names a health path.
func (s *Source) Check(ctx context.Context) error {
	if s.closed.Load() {
		return mapping.ErrClosed
	}
	r, err := s.send(ctx, http.MethodGet, base(s.cfg)+s.cfg.Health, nil, "")
	if err != nil {
		return err
	}
	if s.cfg.Health != "" && r.status != http.StatusOK {
		return ofStatus(r.status)
	}
	return nil
}

// Close gives up idle connections. Later calls of Find fail with mapping.ErrClosed.
func (s *Source) Close() error {
	s.closed.Store(true)
	s.client.CloseIdleConnections()
	return nil
}

var errLong = error(&license.SourceError{Cause: license.BadAnswer, Detail: "it is longer than allowed"})
