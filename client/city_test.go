package client

import (
	"context"
	"crypto/ecdsa"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/certs/certstest"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/license"
	"oncegate/tlog"
	"oncegate/verdict"
	"oncegate/verdict/verdicttest"
)

// Made-up bodies and people.
const (
	origin     = "gateway.example/log"
	audience   = "example-city"
	system     = "food-permits"
	department = "11379901MB99103773"
	company    = "91379901MA9920002Q"
	identifier = "1.2.156.3005.2." + department + "001." + department + ".A0000001.001.X"
)

// A city is a small gateway with a real log and real keys behind real HTTP. Its answers are canned; its
// signatures, records and receipts are not.
type city struct {
	tb       testing.TB
	world    *certstest.World
	server   *httptest.Server
	contract *api.Contract
	caller   sm.Signer
	log      *tlog.Log
	recorder *audit.Recorder
	trust    verdict.TrustConfig
	vkey     string

	mu      sync.Mutex
	seen    []token.Claims // of every call that proved who made it
	refuse  []string       // codes to answer the next calls with, instead
	spoil   func([]byte) []byte
	exports func(api.ExportRequest) api.ExportAnswer // answers audit.export
	issues  func(api.IssueRequest) (api.IssueAnswer, *api.Problem)
}

func newCity(tb testing.TB) *city {
	tb.Helper()
	c := &city{tb: tb, world: certstest.New(tb, "client")}
	var err error
	if c.contract, err = api.NewContract(); err != nil {
		tb.Fatal(err)
	}
	c.caller = c.world.Signer("call-1")
	c.openLog()
	c.server = httptest.NewServer(http.HandlerFunc(c.serve))
	tb.Cleanup(c.server.Close)
	return c
}

func (c *city) must(err error) {
	c.tb.Helper()
	if err != nil {
		c.tb.Fatal(err)
	}
}

func (c *city) openLog() {
	made := verdicttest.NewLog(c.tb, c.world, origin)
	c.log, c.recorder, c.vkey = made.Log, made.Recorder, made.VKey
	c.trust = verdict.TrustConfig{
		Logs: []verdict.Log{{Origin: origin, SM2: made.SM2, Ed25519: c.vkey}}, Gateway: audience,
		Now: func() time.Time { return certstest.Epoch },
	}
}

func (c *city) released() api.License {
	return api.License{
		LicenseType: "business-license", License: "license~",
		Identifier: identifier, Version: 1, Status: api.StatusValid,
		Fields: api.Fields{"name": "营业执照", "holder_name.0": "示例食品有限公司"},
		Source: "samr", Freshness: api.FreshnessLive, AsOf: api.At(certstest.Epoch),
	}
}

func (c *city) serve(w http.ResponseWriter, r *http.Request) {
	op, values, err := c.contract.Match(r.Method, r.URL.EscapedPath())
	if err == nil {
		err = op.CheckHeaders(r)
	}
	if err != nil {
		api.AsProblem(err).Write(w)
		return
	}
	if !op.Signed {
		io.WriteString(w, op.ID+" "+values["id"])
		return
	}
	body, _ := op.ReadBody(r)
	compact := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims, err := token.Verify(r.Context(), compact, token.Expect{
		Audience: audience, Method: r.Method, URL: c.server.URL + r.URL.EscapedPath(), Body: token.BodyIs(token.BodyDigest(body)), Now: certstest.Epoch,
		KeyOf: func(iss, kid string) (*ecdsa.PublicKey, error) {
			if iss == system && kid == "call-1" {
				return c.caller.Public(), nil
			}
			return nil, fs.ErrNotExist
		},
	})
	if err != nil {
		api.NewProblem(token.Code(err)).Write(w)
		return
	}
	out, status := c.answer(op, claims, compact, body, values)
	w.Header().Set("Content-Type", "application/json")
	if status >= 400 {
		w.Header().Set("Content-Type", api.ProblemType)
	}
	w.WriteHeader(status)
	w.Write(out)
}

// answer records a call and returns what leaves.
func (c *city) answer(op *api.Operation, claims *token.Claims, compact string, body []byte, values map[string]string) ([]byte, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, *claims)
	use := audit.Use{
		Material: "m1", Matter: "food", Case: "SP-1", Basis: "case", LicenseType: "business-license", Decision: "release",
		Rules: []string{"grant-1"}, Fields: []string{"holder_name", "name"}, Source: "samr", Freshness: "live", Need: 1,
		Person: license.HolderID{Type: "001", Code: company},
	}
	status, answer := 200, any(nil)
	var problem *api.Problem
	switch {
	case len(c.refuse) > 0:
		problem = api.NewProblem(c.refuse[0])
		problem.Nonce, problem.Operation, problem.RetryAfter, problem.Time = "AAAAAAAAAAAAAAAAAAAAAA", op.ID, 0, api.At(certstest.Epoch)
		c.refuse, status, answer, use.Decision = c.refuse[1:], problem.Status, problem, "denied"
	case op.ID == "licenses.query":
		answer = api.QueryAnswer{Nonce: "AAAAAAAAAAAAAAAAAAAAAA", Time: api.At(certstest.Epoch), Operation: op.ID, Found: api.FoundFound,
			Decision: api.Decision{Rules: []string{"grant-1"}}, Licenses: []api.License{c.released()}}
	case op.ID == "cases.check":
		l := c.released()
		use.Decision = "met"
		answer = api.CheckAnswer{Nonce: "AAAAAAAAAAAAAAAAAAAAAA", Time: api.At(certstest.Epoch), Operation: op.ID, Case: values["no"], Matter: "food",
			Materials: []api.CheckedMaterial{{Matter: "food", Material: "m1", Need: 1, State: api.MaterialStateMet, License: l.License,
				LicenseType: l.LicenseType, Identifier: l.Identifier, Version: 1, Status: l.Status, Fields: l.Fields, Source: l.Source,
				Freshness: l.Freshness, AsOf: l.AsOf}}}
	case op.ID == "licenses.issue" && c.issues != nil:
		var q api.IssueRequest
		c.must(json.Unmarshal(body, &q))
		if answer, problem = c.issued(q, op.ID); problem != nil {
			status, answer = problem.Status, problem
		}
	case op.ID == "audit.export" && c.exports != nil:
		answer = c.exported(body)
	default:
		answer = map[string]any{"nonce": "AAAAAAAAAAAAAAAAAAAAAA", "time": api.At(certstest.Epoch), "operation": op.ID, "index": 0}
	}
	draft := audit.Draft{
		Operation: op.ID, System: claims.Issuer, Operator: claims.Operator, RequestID: claims.Request, Token: compact, Body: body,
		Policy: strings.Repeat("A", 43),
		Uses:   []audit.Use{use},
	}
	drawn, err := c.recorder.Hide(&draft)
	c.must(err)
	opened := api.Commitments{}
	for i, d := range drawn {
		if i == 0 && draft.Operator != "" {
			opened.Operator = sm.B64(d.R)
			continue
		}
		holder := api.OpenedHolder{R: sm.B64(d.R)}
		for at, u := range draft.Uses {
			if u.Person == d.Person {
				holder.Uses = append(holder.Uses, at)
			}
		}
		opened.Holders = append(opened.Holders, holder)
	}
	if problem != nil {
		problem.Commitments = opened
	}
	draft.Answer, err = canonical.Marshal(api.Stamped(answer, api.Stamp{Commitments: opened}))
	canonical := draft.Answer
	c.must(err)
	receipt, err := c.recorder.Record(context.Background(), draft)
	c.must(err)
	text, err := json.Marshal(receipt)
	c.must(err)
	out := api.Envelope{Answer: canonical, Receipt: text}.Bytes()
	if problem != nil {
		problem.Receipt = text
		out = problem.Body()
	}
	if c.spoil != nil {
		out = c.spoil(out)
	}
	return out, status
}

// issued answers licenses.issue.
func (c *city) issued(q api.IssueRequest, operation string) (any, *api.Problem) {
	answer, problem := c.issues(q)
	answer.Nonce, answer.Time, answer.Operation = "AAAAAAAAAAAAAAAAAAAAAA", api.At(certstest.Epoch), operation
	if problem != nil {
		problem.Nonce, problem.Operation, problem.RetryAfter, problem.Time = answer.Nonce, operation, 0, answer.Time
	}
	return answer, problem
}

func (c *city) newTrust() *verdict.Trust {
	c.tb.Helper()
	t, err := verdict.NewTrust(c.trust)
	c.must(err)
	return t
}

func (c *city) newClient(trust *verdict.Trust) *Client {
	c.tb.Helper()
	client, err := New(Config{BaseURL: c.server.URL, Gateway: audience, System: system, Signer: c.caller, Operator: "clerk-7",
		Trust: trust, Now: func() time.Time { return certstest.Epoch }})
	c.must(err)
	return client
}
