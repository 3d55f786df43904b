package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/certstest"
	"oncegate/certs/envelope"
	"oncegate/certs/note"
	"oncegate/certs/pki"
	"oncegate/certs/sdjwt"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/license"
	"oncegate/policy"
	"oncegate/register"
	"oncegate/store"
	"oncegate/tlog"
)

const (
	gatewayID = "yunchuan-gateway"
	publicURL = "https://gateway.yunchuan.example"
	origin    = "gateway.yunchuan.example/log"
	samr      = "11379901MB99103773"
	police    = "11379901MB9910748R"
)

// Synthetic: a company, its legal representative, and somebody who has nothing to do with them.
var (
	company  = license.HolderID{Type: "001", Code: "91379901MA9920002Q"}
	boss     = license.HolderID{Type: "111", Code: "379901198503123015"}
	stranger = license.HolderID{Type: "111", Code: "379901198806244025"}
)

// A world is a gateway of real parts over the sample city's rules: SQLite, log, register, policy, HTTP. Only the legacy
// systems are made up here, so that a test can make them say and do anything.
type world struct {
	t       testing.TB
	certs   *certstest.World
	now     func() time.Time
	gateway *Gateway
	server  *httptest.Server
	db      *store.DB
	log     *tlog.Log
	view    *tlog.View
	auditor *audit.Auditor
	trust   audit.Trust
	legacy  map[string]*legacy
	base    *Snapshot
	files   []policy.File
}

// legacy is a department's system as a test drives it.
type legacy struct {
	mu      sync.Mutex
	records map[license.Question][]license.License
	err     error
	before  func() // runs before an answer, outside mu
	calls   int
}

func (l *legacy) Find(ctx context.Context, questions []license.Question) ([]license.Finding, error) {
	l.mu.Lock()
	before, err := l.before, l.err
	l.calls++
	l.mu.Unlock()
	if before != nil {
		before()
	}
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]license.Finding, len(questions))
	for i, q := range questions {
		out[i] = license.Finding{State: license.IsNotFound}
		q.Number = ""
		if found := l.records[q]; len(found) > 0 {
			out[i] = license.Finding{State: license.IsFound, Records: found}
		}
	}
	return out, nil
}

func (l *legacy) put(q license.Question, records ...license.License) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records[q] = records
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, now: time.Now, legacy: map[string]*legacy{}}
	w.certs = certstest.At(t, "gateway", time.Now().Add(-time.Hour))
	dir := t.TempDir()
	ring := must(envelope.NewKeyring(nil, envelope.Key{ID: "e1", Secret: sm.Digest([]byte("envelope"))}))(t)
	index := sm.Digest([]byte("index"))
	w.db = must(store.Open(t.Context(), store.Config{
		Path: filepath.Join(dir, "oncegate.db"), Log: origin, Sealer: ring,
		Digest: func(b []byte) []byte { d := sm.HMAC(index[:], b); return d[:] },
	}))(t)
	t.Cleanup(func() { _ = w.db.Close() })
	w.openLog(dir)
	config := audit.Config{
		Self: gatewayID, Log: w.log, View: w.view, Storage: w.db.Audit(), Sealer: ring, NewSM3: sm.New, IndexKeys: [][]byte{index[:]},
	}
	recorder := must(audit.NewRecorder(config))(t)
	w.auditor = must(audit.NewAuditor(config))(t)
	w.base = w.snapshot(ring)
	w.gateway = must(New(Config{
		Audience: gatewayID, PublicURL: publicURL, Origin: origin, Cases: w.db.Cases(), Recorder: recorder, Auditor: w.auditor,
		Records: w.db.Audit(), View: w.view, Metrics: prometheus.NewRegistry(),
		StatusList: func(context.Context, string) (string, error) { return "", fs.ErrNotExist },
		Verify: func(context.Context, api.VerifyRequest) (string, []license.Step, error) {
			return "license", []license.Step{{Name: "parse", State: license.OK}}, nil
		},
	}, w.base))(t)
	w.server = httptest.NewServer(w.gateway)
	t.Cleanup(w.server.Close)
	return w
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (w *world) openLog(dir string) {
	w.t.Helper()
	key := w.certs.Signer("log")
	line := must(note.SM2NoteSigner(origin, key))(w.t)
	public := must(note.Ed25519NoteSigner(origin, w.certs.Ed25519("log")))(w.t)
	c := tlog.Config{Origin: origin, Storage: w.db.Log(), NewSM3: sm.New, SM2: line, Ed25519: public, Mark: filepath.Join(dir, "mark")}
	if err := tlog.Create(w.t.Context(), c); err != nil {
		w.t.Fatal(err)
	}
	w.log = must(tlog.Open(w.t.Context(), c))(w.t)
	w.t.Cleanup(func() { _ = w.log.Close(context.Background()) })
	w.view = tlog.NewView(w.db.Log(), sm.New)
	w.trust.Trust = tlog.Trust{Origin: origin, SM2: must(note.SM2NoteVerifier(origin, key.Public(), nil))(w.t), NewSM3: sm.New}
}

func load[T any](t testing.TB, name string) *T {
	t.Helper()
	v := new(T)
	if err := yaml.UnmarshalWithOptions(must(os.ReadFile(filepath.Join("../deploy/city", name)))(t), v, yaml.Strict()); err != nil {
		t.Fatal(name, err)
	}
	return v
}

func (w *world) snapshot(ring *envelope.Keyring) *Snapshot {
	w.t.Helper()
	s := &Snapshot{
		Catalogue: load[license.Catalogue](w.t, "catalogue.yaml"), Book: load[cases.Book](w.t, "matters.yaml"),
		Calendar: load[cases.Calendar](w.t, "calendar.yaml"), Systems: map[string]System{}, Serves: map[string]string{},
		Assertions: map[string]Asserter{},
	}
	for _, name := range []string{"policy/grants.yaml", "policy/permissions.yaml", "policy/guards.cedar"} {
		w.files = append(w.files, policy.File{Path: name, Data: must(os.ReadFile(filepath.Join("../deploy/city", name)))(w.t)})
	}
	s.Policy = w.policy(w.files...)
	for id, department := range map[string]string{
		"acceptance": "service", "food-approval": "service", "land-approval": "land", "invest-platform": "invest", "citizen-portal": "service", "audit-office": "audit",
	} {
		s.Systems[id] = System{ID: id, Department: department, Rate: 1e6, Keys: map[string]Key{id + "-1": {Public: w.certs.Signer(id + "-1").Public()}}}
	}
	for licenseType, department := range map[string]string{
		"business-license": "samr", "resident-id": "police", "real-estate-certificate": "land", "tax-clearance": "tax", "marriage-certificate": "civil",
	} {
		l := &legacy{records: map[license.Question][]license.License{}}
		w.legacy[licenseType] = l
		s.Sources = append(s.Sources, SourceConfig{ID: department + "-system", Department: department, Source: l, Cooldown: 50 * time.Millisecond})
		s.Serves[licenseType] = department + "-system"
	}
	s.Assertions["identity"] = Asserter{Name: "身份认证平台", Key: Key{Public: w.certs.Signer("identity").Public()}}
	secret := sm.Digest([]byte("register"))
	s.Register = must(register.New(register.Config{
		Storage: w.db.Register(), Issuer: issuer{w.certs}, Sealer: ring, Catalogue: s.Catalogue, NewSM3: sm.New, Key: secret[:], BaseURL: publicURL,
	}))(w.t)
	w.fill()
	return s
}

func (w *world) policy(files ...policy.File) *policy.Set {
	w.t.Helper()
	set, faults := policy.New(policy.Data{Files: files, SM3: func(b []byte) []byte { d := sm.Digest(b); return d[:] }})
	for _, f := range faults {
		w.t.Error(f.Path, f.Reason)
	}
	return set
}

// fill gives the company its license and the legal representative an identity card.
func (w *world) fill() {
	w.legacy["business-license"].put(license.Question{Type: "business-license", Holder: company}, businessLicense())
	w.legacy["resident-id"].put(license.Question{Type: "resident-id", Holder: boss}, identityCard(boss, "甲乙丙"))
	w.legacy["resident-id"].put(license.Question{Type: "resident-id", Holder: stranger}, identityCard(stranger, "丁戊己"))
}

func businessLicense() license.License {
	return license.License{
		Type: "business-license", Number: company.Code, Issuer: license.Issuer{Name: "云川市市场监督管理局", Code: samr, Level: "3"},
		Issued: "2024-03-01", ValidFrom: "2024-03-01", Status: license.Valid,
		Holders: []license.Holder{{HolderID: company, Name: "云川市春风食品有限公司"}},
		Fields: map[string]string{
			"legal_representative": "甲乙丙", "legal_representative_code": boss.Code, "enterprise_type": "有限责任公司",
			"registered_capital": "1000000.00", "address": "云川市和平路1号", "business_scope": "食品销售", "founded": "2024-03-01",
		},
	}
}

func identityCard(who license.HolderID, name string) license.License {
	return license.License{
		Type: "resident-id", Number: who.Code, Issuer: license.Issuer{Name: "云川市公安局", Code: police, Level: "3"},
		Issued: "2020-01-01", ValidFrom: "2020-01-01", ValidTo: "2040-01-01", Status: license.Valid,
		Holders: []license.Holder{{HolderID: who, Name: name}},
		Fields:  map[string]string{"sex": "1", "ethnic_group": "汉", "born": "1985-03-12", "address": "云川市和平路2号"},
	}
}

// issuer signs with a key per department, as node does with the keystore.
type issuer struct{ certs *certstest.World }

func (i issuer) Issue(ctx context.Context, department string, is register.Issuance) (string, string, error) {
	if department != samr && department != police {
		return "", "", register.ErrNoSigner
	}
	signer, chain := i.certs.Issue("license-"+department, "license", department, "云川市某局")
	claims := make([]sdjwt.Claim, len(is.Claims))
	for k, c := range is.Claims {
		claims[k] = sdjwt.Claim{Name: c.Path, Value: jsontext.Value(fmt.Sprintf("%q", c.Value))}
	}
	jwt, _, err := sdjwt.Issue(ctx, signer, sdjwt.Issuance{
		Typ: "license+sd-jwt", Kid: signer.KeyID(), Chain: pki.DER(chain...), Always: is.Always, Claims: claims, Digests: is.Digests, Salt: sdjwt.Salts(is.Salt),
	})
	return jwt, signer.KeyID(), err
}

func (i issuer) Disclose(claims []license.Claim, salt register.Salts) ([]string, error) {
	in := make([]sdjwt.Claim, len(claims))
	for k, c := range claims {
		in[k] = sdjwt.Claim{Name: c.Path, Value: jsontext.Value(fmt.Sprintf("%q", c.Value))}
	}
	out, err := sdjwt.Disclose(in, sdjwt.Salts(salt))
	texts := make([]string, len(out))
	for k, d := range out {
		texts[k] = d.Text
	}
	return texts, err
}

// An answered is what came back, with its proof checked.
type answered struct {
	status  int
	header  http.Header
	body    []byte
	answer  jsontext.Value
	problem api.Problem
	record  audit.Record
	index   uint64
}

// call makes a signed call as a system does and checks the receipt of whatever comes back: each answer but the few that law 1
// lists must have one.
func (w *world) call(system, method, path string, body any) answered {
	w.t.Helper()
	raw, ok := body.([]byte)
	if !ok && body != nil {
		raw = must(json.Marshal(body))(w.t)
	}
	return w.send(method, path, raw, w.token(system, method, path, raw, nil))
}

func (w *world) token(system, method, path string, body []byte, change func(*token.Claims)) string {
	w.t.Helper()
	claims := token.Claims{
		Issuer: system, Audience: gatewayID, Method: method, URL: publicURL + path, Body: token.BodyDigest(body), Operator: "clerk-7", Request: "req-" + must(token.NewID(w.now(), nil))(w.t),
	}
	if change != nil {
		change(&claims)
	}
	return must(token.Sign(w.t.Context(), w.certs.Signer(system+"-1"), claims, w.now()))(w.t)
}

func (w *world) send(method, path string, body []byte, compact string) answered {
	w.t.Helper()
	r := must(http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, bytes.NewReader(body)))(w.t)
	r.Header.Set("Content-Type", "application/json")
	if compact != "" {
		r.Header.Set("Authorization", "Bearer "+compact)
	}
	return w.do(r, compact)
}

func (w *world) do(r *http.Request, compact string) answered {
	w.t.Helper()
	resp := must(http.DefaultClient.Do(r))(w.t)
	defer resp.Body.Close()
	a := answered{status: resp.StatusCode, header: resp.Header, body: must(io.ReadAll(resp.Body))(w.t)}
	if resp.Header.Get("Content-Type") == api.ProblemType {
		if err := json.Unmarshal(a.body, &a.problem); err != nil {
			w.t.Fatalf("problem document: %v", err)
		}
		if a.problem.Receipt == nil {
			return a
		}
	}
	a.prove(w, compact)
	return a
}

// prove checks the receipt offline and that the record binds these very answer bytes and this token.
func (a *answered) prove(w *world, compact string) {
	w.t.Helper()
	answer, receipt, err := audit.SplitAnswer(a.body)
	if err != nil {
		return // public artefacts have no receipt
	}
	record, steps, err := audit.VerifyReceipt(audit.Proof{Receipt: receipt, Answer: answer, Token: compact}, w.trust)
	if err != nil {
		w.t.Fatalf("receipt: %v %v", err, steps)
	}
	a.answer, a.record, a.index = answer, record, receipt.Index
}

func read[T any](t testing.TB, a answered) T {
	t.Helper()
	var v T
	if a.status >= 300 {
		t.Fatalf("status %d: %s", a.status, a.problem.Code)
	}
	if err := json.Unmarshal(a.answer, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// accept registers a food case of the company and its legal representative.
func (w *world) accept(no string) {
	w.t.Helper()
	a := w.call("acceptance", "POST", "/v1/cases", map[string]any{
		"no": no, "matter": "YC-FOOD-01", "accepted": api.At(w.now().Add(-time.Minute)), "parties": []any{
			map[string]any{"role": "applicant", "holder": company},
			map[string]any{"role": "legal_representative", "holder": boss},
		},
	})
	if a.status != http.StatusCreated {
		w.t.Fatalf("register case: %d %s", a.status, a.body)
	}
}

func query(licenseType string, holder license.HolderID, no string) map[string]any {
	return map[string]any{"license_type": licenseType, "holder": holder, "purpose": map[string]any{"case": no}}
}
