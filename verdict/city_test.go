package verdict

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/certs/certstest"
	"oncegate/certs/jws"
	"oncegate/certs/pki"
	"oncegate/certs/sdjwt"
	"oncegate/certs/sm"
	"oncegate/certs/statuslist"
	"oncegate/certs/token"
	"oncegate/check"
	"oncegate/license"
	"oncegate/tlog"
	"oncegate/verdict/verdicttest"
)

// Made-up bodies and people.
const (
	origin     = "gateway.example/log"
	audience   = "example-city"
	system     = "food-permits"
	department = "11379901MB99103773"
	company    = "91379901MA9920002Q"
	listURI    = "https://gateway.example/status-lists/1"
)

var question = api.QueryRequest{
	LicenseType: "business-license", Holder: api.HolderID{Type: "001", Code: company},
	Purpose: api.Purpose{Case: "SP-1", Material: "m1"},
}

// has reports whether a step of a name is in a state.
func has(list []check.Step, name string, state check.State) bool {
	return slices.ContainsFunc(list, func(s check.Step) bool { return s.Name == name && s.State == state })
}

// A city is a small gateway with a real log, real keys and one license. Its answers are canned; its signatures, records and receipts
// are not.
type city struct {
	tb       testing.TB
	world    *certstest.World
	caller   sm.Signer
	log      *tlog.Log
	recorder *audit.Recorder
	trust    TrustConfig
	vkey     string
	issuer   sm.Signer
	chain    []*pki.Certificate
	id       string // of the license
	jwt      string
	all      []sdjwt.Disclosure

	refuse []string                  // codes to answer the next calls with, instead
	vouch  func(token.Claims) string // makes the actor token of calls; nil: they have none
	about  func(*audit.Draft)        // changes whom records are about
	opens  func(*api.Commitments)    // changes what answers say of it
}

func newCity(tb testing.TB) *city {
	tb.Helper()
	c := &city{tb: tb, world: certstest.New(tb, "client")}
	c.caller = c.world.Signer("call-1")
	c.openLog()
	c.issue(department, pki.License, certstest.Epoch.AddDate(-1, 0, 0), certstest.Epoch.AddDate(1, 0, 0))
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
	lower, root := c.world.Lists(certstest.Epoch)
	c.trust = TrustConfig{
		Evidence: []Artefact{{"sub.crl", lower}, {"root.crl", root}},
		Logs:     []Log{{Origin: origin, SM2: made.SM2, Ed25519: c.vkey}},
		Anchors:  []*pki.Certificate{c.world.Root.Certificate()}, Gateway: audience,
		Callers: []Caller{{system, "call-1", c.caller.Public()}}, Now: func() time.Time { return certstest.Epoch },
		Issues:      []Issue{{"business-license", department + "001", []string{department}}},
		StatusLists: []ListSigner{{URIPrefix: "https://gateway.example/status-lists", USCC: department}},
	}
}

// issue signs the city's one license with the key of a body, for a validity.
func (c *city) issue(uscc, usage string, from, to time.Time) { c.issueAt(0, uscc, usage, from, to) }

// issueAt is issue for a license that says when it was issued, in Unix seconds; 0 for one that does not.
func (c *city) issueAt(issued int64, uscc, usage string, from, to time.Time) {
	id, err := license.NewIdentifier(department+"001", department, "A0000001", 1)
	c.must(err)
	c.id = id.String()
	c.issuer, c.chain = c.world.Issue("license-"+uscc+usage, usage, uscc, "示例市市场监督管理局")
	claims := map[string]any{
		"iss": department, "id": c.id, "ver": 1, "type": "business-license", "nbf": from.Unix(), "exp": to.Unix(),
		"status": map[string]any{"status_list": map[string]any{"idx": 7, "uri": listURI}},
	}
	if issued != 0 {
		claims["iat"] = issued
	}
	always, err := json.Marshal(claims)
	c.must(err)
	salts := c.world.Stream("salts")
	c.jwt, c.all, err = sdjwt.Issue(context.Background(), c.issuer, sdjwt.Issuance{
		Typ: LicenseType, Chain: pki.DER(c.chain...), Always: always, Digests: 8,
		Claims: []sdjwt.Claim{
			{Name: "name", Value: jsontext.Value(`"营业执照"`)},
			{Name: "holder_name.0", Value: jsontext.Value(`"示例食品有限公司"`)},
			{Name: "capital", Value: jsontext.Value(`"1000000.00"`)},
		},
		Salt: func(string) []byte { b := make([]byte, 32); io.ReadFull(salts, b); return b },
	})
	c.must(err)
}

func (c *city) released() api.License {
	return api.License{
		LicenseType: "business-license", License: sdjwt.Present(c.jwt, sdjwt.Select(c.all, "name", "holder_name.0")),
		Identifier: c.id, Version: 1, Status: api.StatusValid,
		Fields: api.Fields{"name": "营业执照", "holder_name.0": "示例食品有限公司"},
		Source: "samr", Freshness: api.FreshnessLive, AsOf: api.At(certstest.Epoch),
	}
}

// ask signs a call and returns its token with what leaves: {answer, receipt}, or a problem with its receipt.
func (c *city) ask(operation string, body []byte) (compact string, answer []byte) {
	id, err := token.NewID(certstest.Epoch, nil)
	c.must(err)
	claims := token.Claims{
		Issuer: system, Audience: audience, ID: id, Method: "POST", URL: "https://gateway.example/v1/" + operation,
		Body: token.BodyDigest(body), Operator: "clerk-7", Request: "rid-1", IssuedAt: certstest.Epoch.Unix(),
	}
	if c.vouch != nil {
		claims.Actor = c.vouch(claims)
	}
	compact, err = token.Sign(context.Background(), c.caller, claims, certstest.Epoch)
	c.must(err)
	return compact, c.answer(operation, claims, compact, body)
}

// answer records a call and returns what leaves.
func (c *city) answer(operation string, claims token.Claims, compact string, body []byte) []byte {
	use := audit.Use{
		Material: "m1", Matter: "food", Case: "SP-1", Basis: "case", LicenseType: "business-license", Decision: "release",
		Rules: []string{"grant-1"}, Fields: []string{"holder_name", "name"}, Source: "samr", Freshness: "live", Need: 1,
		Person: license.HolderID{Type: "001", Code: company},
	}
	var answer any
	var problem *api.Problem
	switch {
	case len(c.refuse) > 0:
		problem = api.NewProblem(c.refuse[0])
		problem.Nonce, problem.Operation, problem.RetryAfter, problem.Time = "AAAAAAAAAAAAAAAAAAAAAA", operation, 0, api.At(certstest.Epoch)
		c.refuse, answer, use.Decision = c.refuse[1:], problem, "denied"
	case operation == "licenses.query":
		answer = api.QueryAnswer{Nonce: "AAAAAAAAAAAAAAAAAAAAAA", Time: api.At(certstest.Epoch), Operation: operation, Found: api.FoundFound,
			Decision: api.Decision{Rules: []string{"grant-1"}}, Licenses: []api.License{c.released()}}
	case operation == "cases.check":
		l := c.released()
		use.Decision = "met"
		answer = api.CheckAnswer{Nonce: "AAAAAAAAAAAAAAAAAAAAAA", Time: api.At(certstest.Epoch), Operation: operation, Case: "SP-1", Matter: "food",
			Materials: []api.CheckedMaterial{{Matter: "food", Material: "m1", Need: 1, State: api.MaterialStateMet, License: l.License,
				LicenseType: l.LicenseType, Identifier: l.Identifier, Version: 1, Status: l.Status, Fields: l.Fields, Source: l.Source,
				Freshness: l.Freshness, AsOf: l.AsOf}}}
	case operation == "licenses.render": // the body names the picture
		answer = api.RenderAnswer{Nonce: "AAAAAAAAAAAAAAAAAAAAAA", Time: api.At(certstest.Epoch), Operation: operation, AsOf: api.At(certstest.Epoch), Rules: []string{"grant-1"},
			Document: api.LicenseDocument{Form: api.LicenseDocumentForm(pictureForm(body)), Content: sm.B64(body), SM3: sm.DigestB64(body)}}
	case operation == reportOperation:
		var q api.ExportRequest
		c.must(json.Unmarshal(body, &q))
		answer = c.page(q)
	default:
		answer = map[string]any{"nonce": "AAAAAAAAAAAAAAAAAAAAAA", "time": api.At(certstest.Epoch), "operation": operation, "index": 0}
	}
	draft := audit.Draft{
		Operation: operation, System: claims.Issuer, Operator: claims.Operator, RequestID: claims.Request, Token: compact, Body: body,
		Policy: strings.Repeat("A", 43),
		Uses:   []audit.Use{use},
	}
	if c.about != nil {
		c.about(&draft)
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
	if c.opens != nil {
		c.opens(&opened)
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
	return out
}

// statusList publishes the list that the license is in.
func (c *city) statusList(status int) string { return c.statusListOf(c.world, status) }

// statusListOf publishes it with the keys of some world.
func (c *city) statusListOf(world *certstest.World, status int) string {
	return c.signedList(world, pki.Status, department, status, statuslist.Token{Subject: listURI, IssuedAt: certstest.Epoch})
}

// signedList signs a list in which the license has a status, as a body's key of some usage.
func (c *city) signedList(world *certstest.World, usage, uscc string, status int, t statuslist.Token) string {
	var err error
	t.List, err = statuslist.New(2, 64)
	c.must(err)
	c.must(t.List.Set(7, status))
	name := "status-" + usage + uscc
	signer, chain := world.Issue(name, usage, uscc, "示例市政务服务局")
	compact, err := statuslist.Sign(context.Background(), signer, jws.Header{Kid: name, X5C: pki.DER(chain...)}, t)
	c.must(err)
	return compact
}

func (c *city) newTrust() *Trust {
	c.tb.Helper()
	t, err := NewTrust(c.trust)
	c.must(err)
	return t
}

// trustDir writes the trust as files.
func (c *city) trustDir() string {
	dir := c.tb.TempDir()
	write := func(name string, data []byte) { c.must(os.WriteFile(filepath.Join(dir, name), data, 0o600)) }
	point := func(s sm.Signer) []byte { b, err := sm.MarshalPEM(s.Public()); c.must(err); return b }
	write("log.sm2.pub.pem", point(c.world.Signer("log-1")))
	write("log.ed25519.pub", []byte(c.vkey+"\n"))
	write("ca.cert.pem", pki.MarshalPEM(c.world.Root.Certificate()))
	write("call.pub.pem", point(c.caller))
	c.must(os.Mkdir(filepath.Join(dir, EvidenceDir), 0o700))
	for _, a := range c.trust.Evidence {
		write(filepath.Join(EvidenceDir, a.Name), a.Data)
	}
	write("trust.json", []byte(`{
  "logs": [{"origin": "`+origin+`", "sm2": "log.sm2.pub.pem", "ed25519": "log.ed25519.pub"}],
  "anchors": ["ca.cert.pem"],
  "callers": [{"iss": "`+system+`", "kid": "call-1", "key": "call.pub.pem"}],
  "gateway": "`+audience+`",
  "delegations": [{"type": "business-license", "type_code": "`+department+`001", "issuer": "`+department+`", "delegate": "`+company+`"}],
  "issues": [{"type": "business-license", "type_code": "`+department+`001", "issuers": ["`+department+`"]}],
  "status_lists": [{"uri_prefix": "https://gateway.example/status-lists", "uscc": "`+department+`", "not_after": "2099-12-31"}],
  "witnesses": []
}`))
	return dir
}
