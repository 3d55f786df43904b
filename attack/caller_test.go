package attack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/keystore"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/client"
	"oncegate/config"
	"oncegate/install"
	"oncegate/license"
	"oncegate/verdict"
)

// gatewayID is the audience of every call.
const gatewayID = "yunchuan-gateway"

// callers holds the keys of all systems of an installation, and the trust of its verifiers.
type callers struct {
	t     testing.TB
	keys  *keystore.Store
	setup *config.Setup
	trust *verdict.Trust
	ahead time.Duration // of the callers' clocks
}

// callers opens the keys that Prepare has made for the systems.
func (in *installation) callers() *callers {
	in.t.Helper()
	setup, faults := config.Load(in.main, time.Now())
	if setup == nil || setup.Keys == nil {
		in.t.Fatal(faults)
	}
	keys, err := install.OpenCallers(setup, in.path(install.CallersFolder))
	in.must(err)
	dir := in.t.TempDir()
	in.must(install.WriteTrust(setup, dir))
	trust, err := verdict.LoadTrust(dir + "/" + install.TrustFile)
	in.must(err)
	return &callers{t: in.t, keys: keys, setup: setup, trust: trust}
}

func (c *callers) signer(system string) sm.Signer {
	c.t.Helper()
	s, err := install.CallerSigner(c.setup, c.keys, system)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// as returns a client that calls as a system, once per call, over a transport that records all traffic.
func (c *callers) as(system string, wire *wire) *client.Client {
	c.t.Helper()
	return c.trusting(system, wire, nil)
}

// trusting returns a client that verifies every answer as it comes.
func (c *callers) trusting(system string, over http.RoundTripper, trust *verdict.Trust) *client.Client {
	c.t.Helper()
	cl, err := client.New(client.Config{
		BaseURL: publicURL, Gateway: gatewayID, System: system, Signer: c.signer(system), Operator: "window-3", Tries: 1,
		HTTP: &http.Client{Transport: over, Timeout: soon}, Trust: trust, Now: func() time.Time { return time.Now().Add(c.ahead) },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return cl
}

// sign makes the token of a call that is then sent by other means.
func (c *callers) sign(system, method, target string, body []byte) string {
	c.t.Helper()
	return c.signAt(publicURL, system, method, target, body...)
}

// signAt signs for a gateway under another URL.
func (c *callers) signAt(base, system, method, target string, body ...byte) string {
	c.t.Helper()
	now := time.Now()
	compact, err := token.Sign(context.Background(), c.signer(system), token.Claims{
		Issuer: system, Audience: gatewayID, Method: method, URL: base + target, Body: token.BodyDigest(body), Operator: "window-3", Request: "r-1",
		IssuedAt: now.Unix(), Expires: now.Unix() + 300,
	}, now)
	if err != nil {
		c.t.Fatal(err)
	}
	return compact
}

// An exchange is one call as it went over the wire, and its answer if one came.
type exchange struct {
	method, path string
	token        string
	body         []byte
	status       int    // 0: no answer
	answer       []byte // whole
}

// A wire leads to a node, and keeps every exchange that passes over it.
type wire struct {
	mu   sync.Mutex
	over *http.Transport
	kept []*exchange
}

// wireTo returns a wire to a node.
func wireTo(p *process) *wire { return &wire{over: p.transport()} }

// to leads the wire to another node.
func (w *wire) to(p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over != nil {
		w.over.CloseIdleConnections()
	}
	w.over = p.transport()
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	e := &exchange{method: r.Method, path: r.URL.RequestURI(), token: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")}
	if r.Body != nil {
		var err error
		if e.body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(e.body))
	}
	w.mu.Lock()
	w.kept = append(w.kept, e)
	over := w.over
	w.mu.Unlock()
	res, err := over.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	e.status, e.answer = res.StatusCode, body
	w.mu.Unlock()
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

// take returns the exchanges recorded since the last call.
func (w *wire) take() []*exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.kept
	w.kept = nil
	return kept
}

// again sends an exchange's request once more, byte for byte.
func (e *exchange) again(t testing.TB, p *process) (status int, answer []byte) {
	t.Helper()
	r, err := http.NewRequest(e.method, publicURL+e.path, bytes.NewReader(e.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+e.token)
	if len(e.body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := (&http.Client{Transport: p.over(), Timeout: soon}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer
}

// holderID is a holder as calls name it.
func holderID(h license.HolderID) api.HolderID { return api.HolderID{Type: h.Type, Code: h.Code} }

func party(role string, h license.HolderID) api.Party {
	return api.Party{Role: role, Holder: holderID(h)}
}

// foodCase is a case of a food business permit.
func foodCase(no string, parties ...api.Party) api.CaseRequest {
	return api.CaseRequest{No: no, Matter: "YC-FOOD-01", Attestation: "platform", Accepted: api.At(time.Now().Add(-time.Minute)), Parties: parties}
}

// landCase is a case of a transfer of real estate.
func landCase(no string, parties ...api.Party) api.CaseRequest {
	c := foodCase(no, parties...)
	c.Matter = "YC-LAND-07"
	return c
}

// businessLicense asks for a company's business license for its case.
func businessLicense(no string, company license.HolderID) api.QueryRequest {
	return api.QueryRequest{LicenseType: "business-license", Holder: holderID(company), Purpose: api.Purpose{Case: no, Material: "business-license"}}
}

// caseNo numbers the cases of a test.
func caseNo(kind string, n ...any) string {
	return strings.Trim(fmt.Sprint(append([]any{"SP-" + kind + "-"}, n...)...), " ")
}
