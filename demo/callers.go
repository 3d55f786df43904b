package demo

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"

	"oncegate/client"
	"oncegate/install"
)

// A caller is one department's system with its own key, its client, and a copy of the last call it sent.
type caller struct {
	*client.Client
	sent *recorder
}

// callersOf makes a client for every system that the story needs, each with an operator of its own.
func (st *stage) callersOf(operators map[string]string) (map[string]caller, error) {
	all := make(map[string]caller, len(operators))
	for system, operator := range operators {
		signer, err := install.CallerSigner(st.setup, st.callers, system)
		if err != nil {
			return nil, err
		}
		sent := &recorder{}
		c, err := client.New(client.Config{
			BaseURL: st.node.PublicURL(), Gateway: st.setup.Gateway.ID, System: system, Operator: operator,
			Signer: signer, Trust: st.trust, HTTP: &http.Client{Transport: sent},
		})
		if err != nil {
			return nil, err
		}
		all[system] = caller{c, sent}
	}
	return all, nil
}

// A recorder keeps what was sent last, so that it can be filed beside the answer.
type recorder struct {
	mu    sync.Mutex
	token string
	body  []byte
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(req.Body)
		if err = firstOf(err, req.Body.Close()); err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.mu.Lock()
	r.token, r.body = strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "), body
	r.mu.Unlock()
	return http.DefaultTransport.RoundTrip(req)
}

// last returns token and body of the last call.
func (r *recorder) last() (token string, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.token, r.body
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
