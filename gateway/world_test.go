package gateway

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/certstest"
	"oncegate/certs/envelope"
	"oncegate/certs/note"
	"oncegate/certs/sm"
	"oncegate/gateway/sources"
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
)

// A world is a gateway of real parts over the sample city's rules: SQLite, log, register, policy, HTTP. Only the legacy
// systems are made up here, so that a test can make them say and do anything. When a test ends, the whole truth of its
// world is checked.
type world struct {
	t        testing.TB
	certs    *certstest.World
	now      func() time.Time
	gateway  *Gateway
	recorder *audit.Recorder
	server   *httptest.Server
	db       *store.DB
	path     string // of its file
	log      *tlog.Log
	view     *tlog.View
	auditor  *audit.Auditor
	auditing audit.Config
	trust    audit.Trust
	legacy   map[string]*legacy
	base     *Snapshot
	files    []policy.File
	lines    *lines
	metrics  *prometheus.Registry
	ring     *envelope.Keyring

	skipWhole bool // the test checks its records itself

	bound sync.Map // index → what the record binds

	mu   sync.Mutex
	seen map[uint64]bool // records that an answer came with
}

// lines is a log that may be written to and read at once.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	return newWorldIn(t, store.Config{Path: filepath.Join(t.TempDir(), "oncegate.db")}, change...)
}

// newWorldIn is newWorld in a database of its own.
func newWorldIn(t testing.TB, database store.Config, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, now: time.Now, legacy: map[string]*legacy{}, lines: &lines{}, metrics: prometheus.NewRegistry(), seen: map[uint64]bool{}}
	w.certs = certstest.At(t, "gateway", time.Now().Add(-time.Hour))
	dir := t.TempDir()
	ring := must(envelope.NewKeyring(nil, envelope.Key{ID: "e1", Secret: sm.Digest([]byte("envelope"))}))(t)
	w.ring = ring
	index := sm.Digest([]byte("index"))
	w.path = database.Path
	database.Log, database.Sealer = origin, ring
	database.Digest = func(b []byte) []byte { d := sm.HMAC(index[:], b); return d[:] }
	w.db = must(store.Open(t.Context(), database))(t)
	t.Cleanup(func() { _ = w.db.Close() })
	w.openLog(dir)
	config := audit.Config{
		Self: gatewayID, Log: boundLog{w}, View: w.view, Storage: w.db.Audit(), Sealer: ring, NewSM3: sm.New, IndexKeys: [][]byte{index[:]},
	}
	w.auditing = config
	w.recorder = must(audit.NewRecorder(config))(t)
	w.auditor = must(audit.NewAuditor(config))(t)
	w.base = w.snapshot(ring)
	w.activate(w.base.Policy)
	c := Config{
		Audience: gatewayID, PublicURL: publicURL, Origin: origin, Cases: w.db.Cases(), Recorder: w.recorder, Auditor: w.auditor,
		Records: w.db.Audit(), View: w.view, Metrics: w.metrics, Logger: slog.New(slog.NewTextHandler(w.lines, nil)),
		StatusList: func(context.Context, string) (SignedList, error) { return SignedList{}, fs.ErrNotExist },
		Node: func(context.Context) (api.NodeAnswer, error) {
			return api.NodeAnswer{
				Node: api.NodeState{Version: "v1", Since: api.At(w.now()), Ready: true, Nodes: 1}, Log: api.NodeLog{Origin: origin}, Mark: api.NodeMark{Agrees: api.NodeMarkAgreesYes},
				Configuration: api.NodeConfiguration{Digest: "d", Policy: "p", Since: api.At(w.now()), Last: api.NodeReload{At: api.At(w.now()), By: api.NodeReloadByStart, Result: api.NodeReloadResultOk}},
				Findings:      []api.NodeFinding{},
			}, nil
		},
		Verify: func(context.Context, api.VerifyRequest) (api.VerifyAnswer, error) {
			return api.VerifyAnswer{Kind: "license", Verdict: api.VerdictProven, Says: api.Sentence{Zh: "已证实。", En: "Proven."}, Steps: []api.Step{{Name: "parse", State: api.StepStateOk}}}, nil
		},
	}
	for _, f := range change {
		f(&c)
	}
	w.gateway = must(New(c, w.base))(t)
	w.server = httptest.NewServer(w.gateway)
	t.Cleanup(func() {
		w.server.Close()
		http.DefaultClient.CloseIdleConnections()
		if !w.skipWhole {
			w.whole()
		}
	})
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
	c := tlog.Config{Origin: origin, Storage: w.db.Log(), NewSM3: sm.New, SM2: line, Ed25519: public, Mark: filepath.Join(dir, "mark"),
		Own: must(note.Ed25519NoteVerifiers(origin, w.certs.Ed25519("log").Public().(ed25519.PublicKey)))(w.t)}
	c.OwnSM2 = append(c.OwnSM2, must(note.SM2NoteVerifier(origin, key.Public(), nil))(w.t))
	if err := tlog.Create(w.t.Context(), c); err != nil {
		w.t.Fatal(err)
	}
	w.log = must(tlog.Open(w.t.Context(), c))(w.t)
	w.t.Cleanup(func() { _ = w.log.Close(context.Background()) })
	w.view = w.log.View
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
		"acceptance": "service", "food-approval": "service", "land-approval": "land", "invest-platform": "invest", "citizen-portal": "service",
		"audit-office": "audit", "samr-licenses": "samr", "court-enforcement-system": "court",
	} {
		s.Systems[id] = System{ID: id, Department: department, Rate: 1e6, Keys: map[string]Key{id + "-1": {Public: w.certs.Signer(id + "-1").Public()}}}
	}
	for licenseType, department := range map[string]string{
		"business-license": "samr", "resident-id": "police", "real-estate-certificate": "land", "tax-clearance": "tax", "marriage-certificate": "civil",
	} {
		l := &legacy{records: map[license.Question][]license.License{}}
		w.legacy[licenseType] = l
		s.Sources = append(s.Sources, sources.Config{ID: department + "-system", Department: department, Source: l, Cooldown: 50 * time.Millisecond})
		s.Serves[licenseType] = department + "-system"
	}
	s.Assertions["identity"] = Asserter{Name: "身份认证平台", Key: Key{Public: w.certs.Signer("identity").Public()}}
	secret := sm.Digest([]byte("register"))
	s.Register = must(register.New(register.Config{
		Storage: w.db.Register(), Issuer: newIssuer(w.certs), Sealer: ring, Catalogue: s.Catalogue, NewSM3: sm.New, Key: secret[:], BaseURL: publicURL,
	}))(w.t)
	w.fill()
	return s
}

func (w *world) policy(files ...policy.File) *policy.Set {
	w.t.Helper()
	set, faults := policy.New(policy.Data{Files: files, NewSM3: sm.New})
	for _, f := range faults {
		w.t.Error(f.Path, f.Reason)
	}
	return set
}

// activate keeps a policy set by its digest, as node does before it is in force.
func (w *world) activate(set *policy.Set) {
	w.t.Helper()
	must(w.recorder.Activate(context.Background(), set.Files()))(w.t)
}

// reload swaps a changed copy of the snapshot in.
func (w *world) reload(change func(*Snapshot)) {
	w.t.Helper()
	now := w.gateway.running.Load().Snapshot
	next := *now
	change(&next)
	if next.Policy != now.Policy {
		w.activate(next.Policy)
	}
	w.gateway.Use(&next)
}

// reloadOnly swaps a policy in without keeping it for replay.
func (w *world) reloadOnly(files []policy.File) {
	w.t.Helper()
	next := *w.gateway.running.Load().Snapshot
	if next.Policy = w.policy(files...); next.Policy == nil {
		w.t.Fatalf("%s\n%s", files[0].Data, files[1].Data)
	}
	w.gateway.Use(&next)
}

// rules reloads with one more policy file.
func (w *world) rules(name, text string) {
	w.t.Helper()
	files := append(append([]policy.File(nil), w.files...), policy.File{Path: "policy/" + name, Data: []byte(text)})
	w.reload(func(s *Snapshot) { s.Policy = w.policy(files...) })
}

// size is how many records the log holds.
func (w *world) size() uint64 {
	w.t.Helper()
	return must(w.db.Log().Head(context.Background()))(w.t).Size
}

func policyFile(name, text string) policy.File {
	return policy.File{Path: "policy/" + name, Data: []byte(text)}
}
