package witness_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/note"

	lognote "oncegate/certs/note"
	"oncegate/certs/sm"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
	"oncegate/witness"
)

const origin = "gate.example/log"

// A town is a log on HTTP, whose operator may show another one of the same keys instead, and a witness.
type town struct {
	*testing.T
	keys   tlogtest.Keys
	shown  atomic.Pointer[tlog.Log] // what is published
	tiles  *httptest.Server
	server *witness.Server
	config witness.Config
	state  string
	logged *lines
}

// lines are what a logger wrote. It is safe for concurrent use.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

func newTown(t *testing.T, change ...func(*witness.Config)) *town {
	w := &town{T: t, keys: tlogtest.NewKeys(t, origin), state: t.TempDir(), logged: new(lines)}
	w.tiles = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		http.StripPrefix("/log", w.shown.Load().Handler()).ServeHTTP(rw, r)
	}))
	t.Cleanup(w.tiles.Close)
	w.shown.Store(w.log(sm.New))
	w.config = witness.Config{Name: "audit.example/witness", Key: key(1), State: w.state, Now: clock,
		Logs:   []witness.Log{{Origin: origin, Keys: []note.Verifier{w.keys.Trust.Ed25519}, SM2: []note.Verifier{w.keys.Trust.SM2}, Tiles: &tlog.Remote{Base: w.tiles.URL + "/log"}}},
		Logger: slog.New(slog.NewTextHandler(w.logged, nil))}
	for _, c := range change {
		c(&w.config)
	}
	w.open()
	return w
}

func (w *town) open() {
	w.Helper()
	w.config.Registry = prometheus.NewRegistry()
	server, err := witness.Open(w.config)
	if err != nil {
		w.Fatal(err)
	}
	w.server = server
}

func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func clock() time.Time { return time.Date(2026, 12, 1, 4, 0, 0, 0, time.UTC) }

// log is an empty log of the town's keys.
func (w *town) log(newSM3 func() hash.Hash) *tlog.Log {
	w.Helper()
	config := w.keys.Config(new(tlogtest.Memory))
	config.NewSM3, config.Logger = newSM3, slog.New(slog.DiscardHandler)
	if err := tlog.Create(w.Context(), config); err != nil {
		w.Fatal(err)
	}
	l, err := tlog.Open(w.Context(), config)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { l.Close(context.Background()) })
	return l
}

// grow appends n leaves of a history and returns the checkpoint then.
func (w *town) grow(l *tlog.Log, n int, history string) string {
	w.Helper()
	for range n {
		if _, err := l.Append(w.Context(), fmt.Appendf(nil, "%s %d", history, l.Stats().Size), nil); err != nil {
			w.Fatal(err)
		}
	}
	c, err := l.Checkpoint(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// body is a request with the proof that a log has.
func (w *town) body(l *tlog.Log, old uint64, checkpoint string) string {
	w.Helper()
	is, err := tlog.ParseCheckpoint(checkpoint)
	if err != nil {
		w.Fatal(err)
	}
	text := fmt.Sprintf("old %d\n", old)
	if old > 0 && old < is.Size {
		p, err := l.ProveConsistency(w.Context(), old, is.Size)
		if err != nil {
			w.Fatal(err)
		}
		for _, h := range p.SHA256 {
			text += base64.StdEncoding.EncodeToString(h) + "\n"
		}
	}
	return text + "\n" + checkpoint
}

type answer struct {
	status     int
	kind, text string
}

func (w *town) post(body string) answer {
	rw := httptest.NewRecorder()
	w.server.ServeHTTP(rw, httptest.NewRequest(http.MethodPost, "/add-checkpoint", strings.NewReader(body)))
	return answer{rw.Code, rw.Header().Get("Content-Type"), rw.Body.String()}
}

func (w *town) ask(l *tlog.Log, old uint64, checkpoint string) answer {
	w.Helper()
	return w.post(w.body(l, old, checkpoint))
}

// signs demands a cosignature of the checkpoint by the witness's key, at the clock's time.
func (w *town) signs(a answer, checkpoint string) {
	w.Helper()
	keys, err := lognote.WitnessNoteVerifiers(w.server.VKey())
	if err != nil {
		w.Fatal(err)
	}
	n, err := note.Open([]byte(checkpoint+a.text), note.VerifierList(keys[0]))
	if a.status != http.StatusOK || err != nil || len(n.Sigs) != 1 || !keys[0].SignedAt(n.Sigs[0]).Equal(clock()) {
		w.Fatalf("%+v: %v", a, err)
	}
}

// refuses demands a status, and for a conflict the size that was co-signed.
func (w *town) refuses(a answer, status int, size string) {
	w.Helper()
	if a.status != status || size != "" && (a.text != size+"\n" || a.kind != "text/x.tlog.size") || strings.Contains(a.text, "—") {
		w.Fatalf("%+v, want %d %s", a, status, size)
	}
}

func (w *town) evidence() (list []witness.Evidence) {
	w.Helper()
	files, _ := filepath.Glob(filepath.Join(w.state, "evidence", "*.json"))
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			w.Fatal(err)
		}
		var e witness.Evidence
		if err := json.Unmarshal(data, &e); err != nil {
			w.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// alarmed demands exactly one piece of evidence, a log line and a count, with both checkpoints.
func (w *town) alarmed(kind, signed, shown string) {
	w.Helper()
	e := w.evidence()
	if len(e) != 1 || e[0].Kind != kind || e[0].Log != origin || e[0].Signed != signed || e[0].Shown != shown || !e[0].At.Equal(clock()) {
		w.Fatalf("evidence %+v", e)
	}
	_, last, _ := strings.Cut(shown, "\n\n")
	if text := w.logged.String(); !strings.Contains(text, "ALARM") || !strings.Contains(text, "kind="+kind) || !strings.Contains(text, strings.Fields(last)[2]) {
		w.Fatalf("logged: %s", text)
	}
	if got := counted(w.T, w.config.Registry, "oncegate_witness_alarms_total", kind); got < 1 {
		w.Fatalf("%v alarms are counted", got)
	}
}

// counted is the value of a counter with a label.
func counted(t *testing.T, r *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetValue() == label {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

// A log that only grows is co-signed, from whatever size it was asked before, over the edges of tiles, and after a restart.
func TestCosigns(t *testing.T) {
	w := newTown(t)
	l := w.shown.Load()
	first := w.grow(l, 0, "a")
	w.signs(w.ask(l, 0, first), first) // an empty log
	last, size := first, uint64(0)
	for _, n := range []int{1, 1, 5, 249, 1, 600} {
		next := w.grow(l, n, "a")
		w.signs(w.ask(l, size, next), next)
		w.signs(w.ask(l, size+uint64(n), next), next) // again
		last, size = next, size+uint64(n)
	}
	w.open()
	w.refuses(w.ask(l, 0, last), http.StatusConflict, "857")
	w.signs(w.ask(l, 857, last), last)
	if e := w.evidence(); e != nil || counted(t, w.config.Registry, "oncegate_witness_log_size", origin) != 857 {
		t.Errorf("%+v", e)
	}
}

// What is not of the protocol, of another log, or not signed by the log, is refused by the status that the protocol says.
func TestRefuses(t *testing.T) {
	w := newTown(t)
	l := w.shown.Load()
	c := w.grow(l, 3, "a")
	w.signs(w.ask(l, 0, c), c)
	text, sigs, _ := strings.Cut(c, "\n\n")
	sm2, ed, _ := strings.Cut(strings.TrimSuffix(sigs, "\n"), "\n")
	stranger := tlogtest.NewKeys(t, origin)
	foreign := tlogtest.NewKeys(t, "other.example/log")
	line := func(k tlogtest.Keys, text string) string {
		return tlogtest.Line(t, k.SM2, text+"\n") + tlogtest.Line(t, k.Ed25519, text+"\n")
	}
	other := strings.Replace(text, origin, "other.example/log", 1)
	good := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for name, x := range map[string]struct {
		body   string
		status int
	}{
		"nothing":                    {"", http.StatusBadRequest},
		"no old":                     {"\n" + c, http.StatusBadRequest},
		"no checkpoint":              {"old 3\n\n", http.StatusBadRequest},
		"a size with zeros":          {"old 03\n\n" + c, http.StatusBadRequest},
		"a negative size":            {"old -3\n\n" + c, http.StatusBadRequest},
		"a plus":                     {"old +3\n\n" + c, http.StatusBadRequest},
		"no hash":                    {"old 3\nAAAA\n\n" + c, http.StatusBadRequest},
		"another base64":             {"old 3\n" + strings.TrimSuffix(good, "=") + "\n\n" + c, http.StatusBadRequest},
		"64 lines":                   {"old 3\n" + strings.Repeat(good+"\n", 64) + "\n" + c, http.StatusBadRequest},
		"endless":                    {"old 3\n" + strings.Repeat(good+"\n", 1000) + "\n" + c, http.StatusBadRequest},
		"old above":                  {"old 4\n\n" + c, http.StatusBadRequest},
		"a checkpoint without SM3":   {"old 3\n\n" + strings.Join(strings.Split(text, "\n")[:3], "\n") + "\n\n" + sigs, http.StatusBadRequest},
		"another log":                {"old 0\n\n" + other + "\n\n" + line(foreign, other), http.StatusNotFound},
		"another log's name":         {"old 3\n\n" + other + "\n\n" + sigs, http.StatusNotFound},
		"a stranger's key":           {"old 3\n\n" + text + "\n\n" + line(stranger, text), http.StatusForbidden},
		"a line of another text":     {"old 3\n\n" + strings.Replace(text, "\n3\n", "\n4\n", 1) + "\n\n" + sigs, http.StatusForbidden},
		"without the Ed25519 line":   {"old 3\n\n" + text + "\n\n" + sm2 + "\n", http.StatusForbidden},
		"without the SM2 line":       {"old 3\n\n" + text + "\n\n" + ed + "\n", http.StatusForbidden},
		"a proof for the same size":  {"old 3\n" + good + "\n\n" + c, http.StatusUnprocessableEntity},
		"from the beginning":         {"old 0\n\n" + c, http.StatusConflict},
		"a proof from the beginning": {"old 0\n" + good + "\n\n" + c, http.StatusConflict},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.post(x.body)
			if a.status != x.status || strings.Contains(a.text, "—") {
				t.Errorf("%+v, want %d", a, x.status)
			}
		})
	}
	next := w.grow(l, 4, "a")
	body := w.body(l, 3, next)
	w.refuses(w.post(strings.Replace(body, "\n", "\n"+good+"\n", 1)), http.StatusUnprocessableEntity, "") // a wrong proof of a log that is right
	w.signs(w.post(body), next)
	if e := w.evidence(); e != nil {
		t.Errorf("a slip in a request is no evidence: %+v", e)
	}
	for method, path := range map[string]string{http.MethodGet: "/add-checkpoint", http.MethodPost: "/"} {
		rw := httptest.NewRecorder()
		w.server.ServeHTTP(rw, httptest.NewRequest(method, path, strings.NewReader(body)))
		if rw.Code != http.StatusMethodNotAllowed && rw.Code != http.StatusNotFound {
			t.Errorf("%s %s: %d", method, path, rw.Code)
		}
	}
}

// A log that shows two histories is refused in every shape, and convicted by what is kept.
func TestForks(t *testing.T) {
	for name, x := range map[string]struct {
		common, signed, forged int // entries before the fork; then of what was co-signed, and of what is shown
		kind                   string
		status                 int
	}{
		"the same size":       {10, 5, 5, "fork", http.StatusConflict},
		"larger":              {10, 5, 300, "fork", http.StatusUnprocessableEntity},
		"from the first":      {0, 5, 9, "fork", http.StatusUnprocessableEntity},
		"a power of two":      {3, 5, 9, "fork", http.StatusUnprocessableEntity},
		"a rewound log":       {10, 5, 0, "rewind", http.StatusConflict},
		"another, rewound":    {10, 5, 2, "rewind", http.StatusConflict},
		"over a tile's edge":  {250, 10, 300, "fork", http.StatusUnprocessableEntity},
		"a tile and no other": {256, 256, 256, "fork", http.StatusConflict},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t)
			one, other := w.shown.Load(), w.log(sm.New)
			w.grow(one, x.common, "a")
			signed := w.grow(one, x.signed, "a")
			w.signs(w.ask(one, 0, signed), signed)
			w.grow(other, x.common, "a")
			shown := w.grow(other, x.forged, "b")
			w.shown.Store(other)
			old := uint64(x.common + x.signed)
			if x.forged < x.signed {
				old = 0
			}
			a := w.ask(other, old, shown)
			w.refuses(a, x.status, "")
			w.alarmed(x.kind, signed, shown)
			w.ask(other, old, shown)
			w.alarmed(x.kind, signed, shown) // once
			// The honest log is co-signed still, by a witness that was started anew, too.
			w.shown.Store(one)
			w.open()
			next := w.grow(one, 3, "a")
			w.signs(w.ask(one, uint64(x.common+x.signed), next), next)
		})
	}
}

// A late checkpoint of the same history is no alarm; an older one of another history is, although the log has grown since.
func TestOlderCheckpoints(t *testing.T) {
	w := newTown(t)
	one, other := w.shown.Load(), w.log(sm.New)
	early := w.grow(one, 5, "a")
	signed := w.grow(one, 5, "a")
	w.signs(w.ask(one, 0, signed), signed)
	w.refuses(w.ask(one, 0, early), http.StatusConflict, "10")
	w.refuses(w.ask(one, 5, early), http.StatusConflict, "10")
	if e := w.evidence(); e != nil {
		t.Fatalf("%+v", e)
	}
	forged := w.grow(other, 7, "b")
	w.refuses(w.ask(other, 0, forged), http.StatusConflict, "10")
	w.alarmed("fork", signed, forged)
}

// salted is SM3 that gives another hash for one leaf.
type salted struct {
	hash.Hash
	first []byte
	wrote bytes.Buffer
}

func (s *salted) Write(p []byte) (int, error) { s.wrote.Write(p); return s.Hash.Write(p) }
func (s *salted) Reset()                      { s.wrote.Reset(); s.Hash.Reset() }
func (s *salted) Sum(b []byte) []byte {
	if bytes.Equal(s.wrote.Bytes(), s.first) {
		d := s.Hash.Sum(nil)
		d[0] ^= 1
		return append(b, d...)
	}
	return s.Hash.Sum(b)
}

// The SHA-256 tree grows rightly, and the SM3 tree shows another past: only who reads its tiles can tell.
func TestSM3TreeAltered(t *testing.T) {
	altered := func() hash.Hash { return &salted{Hash: sm.New(), first: []byte("\x00a 7")} }
	for name, x := range map[string]struct {
		reads bool
		more  int
	}{"larger": {true, 20}, "the same size": {true, 0}, "nobody reads": {false, 20}, "nobody reads, the same size": {false, 0}} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, func(c *witness.Config) {
				if !x.reads {
					c.Logs[0].Tiles = nil
				}
			})
			one, other := w.shown.Load(), w.log(altered)
			signed := w.grow(one, 12, "a")
			w.signs(w.ask(one, 0, signed), signed)
			shown := w.grow(other, 12+x.more, "a")
			w.shown.Store(other)
			a := w.ask(other, 12, shown)
			switch {
			case !x.reads && x.more > 0: // its root stands in the signed text, but nobody has judged it
				w.signs(a, shown)
			default:
				w.refuses(a, map[bool]int{true: http.StatusConflict, false: http.StatusUnprocessableEntity}[x.more == 0], "")
				w.alarmed("fork", signed, shown)
				if e := w.evidence(); !strings.Contains(e[0].Says, "sm3 tree") {
					t.Error(e[0].Says)
				}
			}
		})
	}
}

// Tiles that do not add up to what the log signs are an alarm of their own, and no conviction; tiles that cannot be read are none.
func TestTiles(t *testing.T) {
	w := newTown(t)
	l := w.shown.Load()
	signed := w.grow(l, 300, "a")
	w.signs(w.ask(l, 0, signed), signed)
	next := w.grow(l, 300, "a")
	honest := http.StripPrefix("/log", l.Handler())
	w.tiles.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		honest.ServeHTTP(rec, r)
		body := rec.Body.Bytes()
		if strings.HasPrefix(r.URL.Path, "/log/sm3/tile/0/001") {
			body[40] ^= 1
		}
		rw.WriteHeader(rec.Code)
		rw.Write(body)
	})
	w.refuses(w.ask(l, 300, next), http.StatusUnprocessableEntity, "")
	w.alarmed("tiles", signed, next)
	w.tiles.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { http.Error(rw, "no", http.StatusBadGateway) })
	w.refuses(w.ask(l, 300, next), http.StatusServiceUnavailable, "")
	w.tiles.Config.Handler = honest
	if len(w.evidence()) != 1 {
		t.Errorf("%+v", w.evidence())
	}
}

// Requests of one log that come at once are answered one after another: of two histories at most one is ever co-signed.
func TestConcurrentForks(t *testing.T) {
	w := newTown(t, func(c *witness.Config) { c.Logs[0].Tiles = nil })
	var logs []*tlog.Log
	var shown []string
	for i := range 8 {
		l := w.log(sm.New)
		logs, shown = append(logs, l), append(shown, w.grow(l, 5, fmt.Sprint(i)))
	}
	var signed atomic.Int32
	var all sync.WaitGroup
	for i, l := range logs {
		body := w.body(l, 0, shown[i])
		all.Go(func() {
			if w.post(body).status == http.StatusOK {
				signed.Add(1)
			}
		})
	}
	all.Wait()
	if signed.Load() != 1 {
		t.Errorf("%d histories were co-signed", signed.Load())
	}
}

// A slow log does not let more than so many requests wait, and those of others go on.
func TestSlowTiles(t *testing.T) {
	second := tlogtest.NewKeys(t, "second.example/log")
	w := newTown(t, func(c *witness.Config) {
		c.Logs = append(c.Logs, witness.Log{Origin: "second.example/log", Keys: []note.Verifier{second.Trust.Ed25519}})
	})
	l := w.shown.Load()
	c := w.grow(l, 3, "a")
	release := make(chan struct{})
	honest := w.tiles.Config.Handler
	w.tiles.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { <-release; honest.ServeHTTP(rw, r) })
	body := w.body(l, 0, c)
	answers := make(chan int, 64)
	for range 40 {
		go func() { answers <- w.post(body).status }()
	}
	for range 24 {
		if status := <-answers; status != http.StatusServiceUnavailable {
			t.Fatalf("%d", status)
		}
	}
	config := second.Config(new(tlogtest.Memory))
	config.NewSM3, config.Logger = sm.New, slog.New(slog.DiscardHandler)
	if err := tlog.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	other, err := tlog.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	its := w.grow(other, 2, "b")
	w.signs(w.ask(other, 0, its), its)
	close(release)
	one := 0
	for range 16 {
		switch status := <-answers; status {
		case http.StatusOK:
			one++
		case http.StatusConflict: // the others said that nothing was co-signed
		default:
			t.Errorf("%d", status)
		}
	}
	if one != 1 {
		t.Errorf("%d were co-signed", one)
	}
}

// The checkpoint is kept before it is signed: if it cannot be, nothing is signed. What died between the two harms nothing.
func TestKeepsBeforeItSigns(t *testing.T) {
	w := newTown(t)
	l := w.shown.Load()
	c := w.grow(l, 3, "a")
	if err := os.Chmod(w.state, 0o500); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 { // root writes everywhere
		w.refuses(w.ask(l, 0, c), http.StatusInternalServerError, "")
	}
	if err := os.Chmod(w.state, 0o700); err != nil {
		t.Fatal(err)
	}
	w.signs(w.ask(l, 0, c), c)
	files, _ := filepath.Glob(filepath.Join(w.state, "*.checkpoint"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	if kept, err := os.ReadFile(files[0]); err != nil || string(kept) != c {
		t.Fatalf("%q, %v", kept, err)
	}
	// Killed after the write: the next start knows the newer checkpoint, whose cosignature nobody got.
	next := w.grow(l, 2, "a")
	if err := os.WriteFile(files[0], []byte(next), 0o600); err != nil {
		t.Fatal(err)
	}
	w.open()
	w.refuses(w.ask(l, 3, next), http.StatusConflict, "5")
	w.signs(w.ask(l, 5, next), next)

	// A memory that is damaged, of another log, or gone, must not count as none.
	for name, text := range map[string]string{"empty": "", "damaged": strings.Replace(next, "\n5\n", "\n05\n", 1), "another log": strings.ReplaceAll(next, origin, "x.example/log")} {
		if err := os.WriteFile(files[0], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w.config.Registry = prometheus.NewRegistry()
		if _, err := witness.Open(w.config); err == nil {
			t.Errorf("%s: it starts", name)
		}
	}
	w.config.State = filepath.Join(w.state, "gone")
	w.config.Registry = prometheus.NewRegistry()
	if _, err := witness.Open(w.config); err == nil {
		t.Error("it starts without its folder")
	}
}

// The line is what the text of c2sp.org/tlog-cosignature says.
func TestLine(t *testing.T) {
	w := newTown(t)
	c := w.grow(w.shown.Load(), 1, "a")
	a := w.ask(w.shown.Load(), 0, c)
	text, _, _ := strings.Cut(c, "\n\n")
	fields := strings.Fields(a.text)
	raw, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil || len(fields) != 3 || fields[0] != "—" || fields[1] != "audit.example/witness" || len(raw) != 4+8+64 || strings.Count(a.text, "\n") != 1 {
		t.Fatalf("%q: %v", a.text, err)
	}
	at := binary.BigEndian.Uint64(raw[4:])
	if at != uint64(clock().Unix()) || !ed25519.Verify(key(1).Public().(ed25519.PublicKey), fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s\n", at, text), raw[12:]) {
		t.Error("the signature is over something else")
	}
}
