package docs_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/certstest"
	"oncegate/certs/envelope"
	lognote "oncegate/certs/note"
	"oncegate/certs/pki"
	"oncegate/certs/sdjwt"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/client"
	"oncegate/license"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// Made-up names of a run.
const (
	origin     = "gateway.example/log"
	audience   = "example-city"
	caller     = "food-approval"
	department = "11379901MB99103773"
	listURI    = "https://gateway.example/status-lists/1"
)

// A run makes artefacts and trust as a demonstration leaves them, with real keys, certificates and log.
type run struct {
	*testing.T
	world    *certstest.World
	now      time.Time
	dir      string
	caller   sm.Signer
	log      *tlog.Log
	recorder *audit.Recorder
}

// artefacts writes DIR/artefacts and DIR/trust and returns DIR.
func artefacts(t *testing.T) string {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	r := &run{T: t, world: certstest.At(t, "documents", now), now: now, dir: t.TempDir()}
	r.caller = r.world.Signer("call-1")
	r.openLog()
	for i := range 5 { // so that proofs have something to prove
		_, err := r.recorder.RecordOwn(t.Context(), audit.Own{Operation: "config.activate", RequestID: fmt.Sprint(i)})
		r.must(err)
	}
	presented, released := r.license()
	r.write("artefacts/license.sdjwt", presented)
	use := audit.Use{Material: "business-license", Matter: "YC-FOOD-01", Case: "SP-1", Basis: "case", LicenseType: "business-license", Decision: "release",
		Rules: []string{"food/business-license"}, Fields: []string{"holder_name", "name"}, Source: "market", Freshness: "live"}
	compact, body, answer := r.call("licenses.query", "/v1/licenses/query", `{"license_type":"business-license"}`, api.QueryAnswer{
		Nonce: "AAAAAAAAAAAAAAAAAAAAAA", Time: api.At(now), Operation: "licenses.query", Found: api.FoundFound,
		Decision: api.Decision{Rules: use.Rules, Fields: use.Fields}, Licenses: []api.License{released},
	}, use)
	r.write("artefacts/request.jwt", compact)
	r.write("artefacts/request.body", body)
	r.write("artefacts/answer.json", answer)
	_, _, report := r.call("audit.export", "/v1/audit/export", `{}`, api.ExportAnswer{
		Nonce: "BBBBBBBBBBBBBBBBBBBBBB", Time: api.At(now), Operation: "audit.export", Log: origin, Size: 6, From: api.At(now), To: api.At(now),
		Decisions: []api.DecisionCount{}, Reuse: []api.MatterReuse{}, Records: []api.AuditRecord{}, Complete: true,
	})
	r.write("artefacts/report.json", report)
	head, err := r.log.Checkpoint(t.Context())
	r.must(err)
	r.write("artefacts/checkpoint", head)
	return r.dir
}

func (r *run) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *run) write(name, content string) {
	r.Helper()
	path := filepath.Join(r.dir, filepath.FromSlash(name))
	r.must(os.MkdirAll(filepath.Dir(path), 0o700))
	r.must(os.WriteFile(path, []byte(content), 0o600))
}

func (r *run) key(s sm.Signer) string {
	text, err := sm.MarshalPEM(s.Public())
	r.must(err)
	return string(text)
}

// leaves appends records without what commits beside them: the memory storage knows no such changes.
type leaves struct{ *tlog.Log }

func (l leaves) Append(ctx context.Context, leaf []byte, _ any) (tlog.Receipt, error) {
	return l.Log.Append(ctx, leaf, nil)
}

// openLog makes the log and writes what verifiers believe.
func (r *run) openLog() {
	signer, ed := r.world.Signer("log-1"), r.world.Ed25519("log-1")
	one, err := lognote.SM2NoteSigner(origin, signer)
	r.must(err)
	two, err := lognote.Ed25519NoteSigner(origin, ed)
	r.must(err)
	config := tlog.Config{Origin: origin, Storage: new(tlogtest.Memory), NewSM3: sm.New, SM2: one, Ed25519: two, Logger: slog.New(slog.DiscardHandler)}
	r.must(tlog.Create(r.Context(), config))
	r.log, err = tlog.Open(r.Context(), config)
	r.must(err)
	r.Cleanup(func() { r.log.Close(context.Background()) })
	ring, err := envelope.NewKeyring(nil, envelope.Key{ID: "k1"})
	r.must(err)
	r.recorder, err = audit.NewRecorder(audit.Config{Self: audience, Log: leaves{r.log}, Sealer: ring, NewSM3: sm.New,
		IndexKeys: [][]byte{make([]byte, 32)}, Now: func() time.Time { return r.now }})
	r.must(err)
	vkey, err := lognote.MarshalVKey(origin, ed.Public().(ed25519.PublicKey))
	r.must(err)
	for _, folder := range []string{"artefacts", "trust"} {
		r.write(folder+"/log.sm2.pub.pem", r.key(signer))
		r.write(folder+"/log.ed25519.pub", vkey+"\n")
		r.write(folder+"/ca.cert.pem", string(pki.MarshalPEM(r.world.Root.Certificate())))
	}
	r.write("trust/callers/"+caller+".call-1.pub.pem", r.key(r.caller))
	r.write("trust/trust.json", `{"logs": [{"origin": "`+origin+`", "sm2": "log.sm2.pub.pem", "ed25519": "log.ed25519.pub"}],
  "anchors": ["ca.cert.pem"], "gateway": "`+audience+`",
  "callers": [{"iss": "`+caller+`", "kid": "call-1", "key": "callers/`+caller+`.call-1.pub.pem"}]}`)
}

// license makes a license of three fields and discloses two.
func (r *run) license() (string, api.License) {
	id, err := license.NewIdentifier(department+"001", department, "A0000001", 1)
	r.must(err)
	issuer, chain := r.world.Issue("license-1", pki.License, department, "云川市市场监督管理局")
	always, err := json.Marshal(map[string]any{
		"iss": department, "id": id.String(), "ver": 1, "type": "business-license", "iat": r.now.Unix(), "nbf": r.now.Unix(), "exp": 0,
		"status": map[string]any{"status_list": map[string]any{"idx": 7, "uri": listURI}},
	})
	r.must(err)
	salts := r.world.Stream("salts")
	jwt, all, err := sdjwt.Issue(r.Context(), issuer, sdjwt.Issuance{
		Typ: client.LicenseType, Kid: "license-1", Chain: pki.DER(chain...), Always: always, Digests: 8,
		Claims: []sdjwt.Claim{
			{Name: "name", Value: jsontext.Value(`"营业执照"`)},
			{Name: "holder_name.0", Value: jsontext.Value(`"云川示例食品有限公司"`)},
			{Name: "registered_capital", Value: jsontext.Value(`"1000000.00"`)},
		},
		Salt: func(string) []byte { b := make([]byte, 32); io.ReadFull(salts, b); return b },
	})
	r.must(err)
	r.write("artefacts/issuer.cert.pem", string(pki.MarshalPEM(chain...)))
	presented := sdjwt.Present(jwt, sdjwt.Select(all, "name", "holder_name.0"))
	return presented, api.License{LicenseType: "business-license", License: presented, Identifier: id.String(), Version: 1, Status: api.StatusValid,
		Fields: api.Fields{"name": "营业执照", "holder_name.0": "云川示例食品有限公司"}, Source: "market", Freshness: api.FreshnessLive, AsOf: api.At(r.now)}
}

// call signs a call, records it with its answer, and returns token, body and what leaves.
func (r *run) call(operation, path, body string, answer any, uses ...audit.Use) (compact, _, _ string) {
	compact, err := token.Sign(r.Context(), r.caller, token.Claims{
		Issuer: caller, Audience: audience, Method: "POST", URL: "https://gateway.example" + path, Body: token.BodyDigest([]byte(body)),
		Operator: "clerk-7", Request: operation,
	}, r.now)
	r.must(err)
	canonical, err := api.Canonical(answer)
	r.must(err)
	draft := audit.Draft{Operation: operation, System: caller, Operator: "clerk-7", RequestID: operation, Token: compact, Body: []byte(body),
		Answer: canonical, Policy: strings.Repeat("A", 43)}
	for _, use := range uses {
		draft.Uses = append(draft.Uses, audit.DraftUse{Use: use, Person: license.HolderID{Type: "001", Code: "91379901MA9920002Q"}, Need: 1})
	}
	recorded, err := r.recorder.Record(r.Context(), draft)
	r.must(err)
	receipt, err := json.Marshal(recorded.Receipt)
	r.must(err)
	return compact, body, string(api.Envelope{Answer: canonical, Receipt: receipt}.Bytes())
}
