package witness_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	xnote "golang.org/x/mod/sumdb/note"

	"oncegate/audit"
	lognote "oncegate/certs/note"
	"oncegate/certs/sm"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
	"oncegate/witness"
)

// A ring is a log and the witnesses that it asks.
type ring struct {
	*town
	log     *tlog.Log
	asker   *witness.Asker
	policy  witness.Policy
	metrics *prometheus.Registry
	said    *lines
}

// member adds a witness of an organisation behind a handler.
func (r *ring) member(organization, name string, k ed25519.PrivateKey, h http.Handler) *httptest.Server {
	r.Helper()
	server := httptest.NewServer(h)
	r.Cleanup(server.Close)
	line, err := lognote.MarshalWitnessVKey(name, k.Public().(ed25519.PublicKey))
	if err != nil {
		r.Fatal(err)
	}
	keys, err := lognote.WitnessNoteVerifiers(line)
	if err != nil {
		r.Fatal(err)
	}
	r.policy.Quorum.Members = append(r.policy.Quorum.Members, audit.QuorumMember{Witness: name, Organization: organization, BothTrees: true})
	r.policy.Ask = append(r.policy.Ask, witness.Asked{Witness: name, URL: server.URL, Keys: keys})
	return server
}

// newRing makes a log with honest witnesses of two organisations, of which both are needed.
func newRing(t *testing.T) *ring {
	r := &ring{town: newTown(t), metrics: prometheus.NewRegistry(), said: new(lines)}
	r.log = r.shown.Load()
	r.policy.Quorum.Need = 2
	r.member("audit", "audit.example/witness", key(1), r.server)
	r.member("archives", "archives.example/witness", key(2), r.honest("archives.example/witness", 2))
	r.asker = witness.NewAsker(witness.AskerConfig{Log: r.log, Wait: 2 * time.Second, Now: clock, Registry: r.metrics, Logger: slog.New(slog.NewTextHandler(r.said, nil))})
	return r
}

// honest is another witness of the town's log.
func (r *ring) honest(name string, seed byte) *witness.Server {
	r.Helper()
	c := r.config
	c.Name, c.Key, c.State, c.Registry, c.Logger = name, key(seed), r.TempDir(), prometheus.NewRegistry(), nil
	s, err := witness.Open(c)
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func (r *ring) round() {
	r.Helper()
	if err := r.asker.Round(r.Context(), r.policy); err != nil {
		r.Fatal(err)
	}
}

// stands demands that the newest checkpoint that is kept is of this size, with valid lines of these witnesses.
func (r *ring) stands(size uint64, by ...string) {
	r.Helper()
	kept, err := r.log.LastCosigned(r.Context())
	if size == 0 {
		if !errors.Is(err, fs.ErrNotExist) {
			r.Fatalf("%+v, %v", kept, err)
		}
		return
	}
	if err != nil || kept.Size != size {
		r.Fatalf("%d entries are witnessed, not %d: %v", kept.Size, size, err)
	}
	var all []xnote.Verifier
	for _, w := range r.policy.Ask {
		all = append(all, w.Keys[0])
	}
	n := 0
	for _, c := range audit.Cosignatures(kept.Note, all) {
		if c.State == "ok" {
			n++
		}
	}
	if n != len(by) {
		r.Fatalf("%d lines of %s", n, kept.Note)
	}
	if got, at := r.asker.Witnessed(); got != size || !at.Equal(clock()) {
		r.Fatal(got, at)
	}
}

// result demands how a witness answered last, and that it is counted.
func (r *ring) result(i int, want witness.Result) witness.State {
	r.Helper()
	s := r.asker.States(r.policy)[i]
	if s.Result != want || (want == witness.Signed) != s.Since.IsZero() || counted(r.T, r.metrics, "oncegate_cosignatures_total", string(want)) < 1 {
		r.Fatalf("%+v, want %s", s, want)
	}
	return s
}

// A growing log is witnessed round by round, also by a node that was started anew, and a receipt can be had under the quorum's
// checkpoint.
func TestQuorumIsKept(t *testing.T) {
	r := newRing(t)
	r.round() // an empty log
	r.grow(r.log, 3, "a")
	r.round()
	r.stands(3, "audit", "archives")
	first, err := r.log.LastCosigned(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.round() // nothing new: what is kept stays, with its earlier time
	r.grow(r.log, 300, "a")
	r.asker = witness.NewAsker(witness.AskerConfig{Log: r.log, Now: clock, Registry: prometheus.NewRegistry()})
	r.round()
	r.stands(303, "audit", "archives")
	r.grow(r.log, 5, "a")

	for index, want := range map[uint64]string{0: first.Note, 2: first.Note, 3: "", 302: ""} {
		receipt, err := r.log.CosignedReceipt(t.Context(), index)
		if err != nil || want != "" && receipt.Checkpoint != want || want == "" && !strings.Contains(receipt.Checkpoint, "\n303\n") {
			t.Fatalf("entry %d: %q, %v", index, receipt.Checkpoint, err)
		}
		trust := r.keys.Trust
		trust.NewSM3 = sm.New
		if _, err := tlog.VerifyReceipt(receipt, trust); err != nil || string(receipt.Record) != fmt.Sprintf("a %d", index) {
			t.Errorf("entry %d: %s, %v", index, receipt.Record, err)
		}
	}
	if _, err := r.log.CosignedReceipt(t.Context(), 303); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// What does not come from the witness's key, or is of another checkpoint, log or time, is no cosignature of this one.
func TestFalseCosignatures(t *testing.T) {
	other := tlogtest.NewKeys(t, "other.example/log")
	var asked string // the checkpoint of the request
	line := func(k ed25519.PrivateKey, name, text string) string {
		s, err := lognote.WitnessNoteSigner(name, k, clock)
		if err != nil {
			t.Fatal(err)
		}
		return tlogtest.Line(t, s, text)
	}
	text := func(signed string) string { before, _, _ := strings.Cut(signed, "\n\n"); return before + "\n" }
	const name = "two.example/witness"
	var before string
	for title, answer := range map[string]func() string{
		"of another log":           func() string { return line(key(9), name, strings.Replace(text(asked), origin, "other.example/log", 1)) },
		"of an earlier one":        func() string { return line(key(9), name, text(before)) },
		"by another key":           func() string { return line(key(8), name, text(asked)) },
		"by another's name":        func() string { return line(key(9), "audit.example/witness", text(asked)) },
		"the log's own line":       func() string { return tlogtest.Line(t, other.Ed25519, text(asked)) },
		"of another SM3 root":      func() string { return line(key(9), name, strings.Replace(text(asked), "sm3-root ", "sm3-root A", 1)) },
		"without its time":         func() string { l := line(key(9), name, text(asked)); return l[:len(l)-13] + "\n" },
		"nothing":                  func() string { return "" },
		"prose":                    func() string { return "yes\n" },
		"endless":                  func() string { return strings.Repeat("— x y\n", 1<<16) },
		"a line cut off":           func() string { return strings.TrimSuffix(line(key(9), name, text(asked)), "\n") },
		"a valid one among others": func() string { return "junk\n" + line(key(8), name, text(asked)) + line(key(9), name, text(asked)) },
	} {
		t.Run(title, func(t *testing.T) {
			r := newRing(t)
			r.policy.Quorum.Need = 3
			r.member("two", name, key(9), http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				body, _ := io.ReadAll(q.Body)
				_, asked, _ = strings.Cut(string(body), "\n\n")
				io.WriteString(w, answer())
			}))
			before = r.grow(r.log, 2, "a")
			r.grow(r.log, 2, "a")
			r.round()
			if title == "a valid one among others" {
				r.result(2, witness.Signed)
				r.stands(4, "audit", "archives", "two")
				return
			}
			r.result(2, witness.Invalid)
			r.stands(0)
			if text := r.said.String(); !strings.Contains(text, "witness="+name) || !strings.Contains(text, "result=invalid") {
				t.Errorf("logged: %s", text)
			}
		})
	}
}

// A log that shows two histories to two witnesses finds no quorum for the second, and hears of it; the witnesses have the evidence.
func TestTwoHistories(t *testing.T) {
	r := newRing(t)
	signed := r.grow(r.log, 5, "a")
	r.round()
	r.stands(5, "audit", "archives")
	other := r.town.log(sm.New)
	shown := r.grow(other, 9, "b")
	r.shown.Store(other)
	forger := witness.NewAsker(witness.AskerConfig{Log: other, Now: clock, Registry: r.metrics2(), Logger: slog.New(slog.NewTextHandler(r.said, nil))})
	for range 2 {
		if err := forger.Round(t.Context(), r.policy); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range forger.States(r.policy) {
		if s.Result != witness.Contradicted || s.Size != 0 {
			t.Errorf("%+v", s)
		}
	}
	if _, err := other.LastCosigned(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the second history is witnessed", err)
	}
	if text := r.said.String(); strings.Count(text, "ALARM") != 4 || counted(t, r.metrics, "oncegate_cosignature_alarms_total", "audit.example/witness") != 2 {
		t.Errorf("logged: %s", text)
	}
	r.alarmed("fork", signed, shown)
}

func (r *ring) metrics2() *prometheus.Registry {
	r.metrics = prometheus.NewRegistry()
	return r.metrics
}

// A log that was rewound is told by its witnesses.
func TestRewound(t *testing.T) {
	r := newRing(t)
	r.grow(r.log, 9, "a")
	r.round()
	old := r.town.log(sm.New)
	r.grow(old, 4, "a")
	r.shown.Store(old)
	asker := witness.NewAsker(witness.AskerConfig{Log: old, Now: clock, Registry: r.metrics2(), Logger: slog.New(slog.NewTextHandler(r.said, nil))})
	if err := asker.Round(t.Context(), r.policy); err != nil {
		t.Fatal(err)
	}
	if s := asker.States(r.policy)[0]; s.Result != witness.Contradicted || !strings.Contains(s.Says, "has lost entries") {
		t.Errorf("%+v", s)
	}
	if e := r.evidence(); len(e) != 1 || e[0].Kind != "rewind" {
		t.Errorf("%+v", e)
	}
}

// A witness that is slow, gone, or does not know the log is named, and the others' quorum is kept. Appending never waits.
func TestSlowWitness(t *testing.T) {
	r := newRing(t)
	hang := make(chan struct{})
	defer close(hang)
	r.member("slow", "slow.example/witness", key(3), http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		select {
		case <-hang:
		case <-q.Context().Done():
		case <-time.After(20 * time.Second):
		}
	}))
	gone := r.member("gone", "gone.example/witness", key(4), http.NotFoundHandler())
	gone.Close()
	r.member("strange", "strange.example/witness", key(5), http.NotFoundHandler())
	redirected := r.member("elsewhere", "elsewhere.example/witness", key(6), http.RedirectHandler(gone.URL, http.StatusTemporaryRedirect))
	_ = redirected
	r.grow(r.log, 1, "a")
	begun, done := time.Now(), make(chan error, 1)
	go func() { done <- r.asker.Round(t.Context(), r.policy) }()
	slowest := time.Duration(0)
	for i := 0; time.Since(begun) < time.Second; i++ {
		was := time.Now()
		if _, err := r.log.Append(t.Context(), fmt.Appendf(nil, "b %d", i), nil); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(was))
	}
	if err := <-done; err != nil || time.Since(begun) > 6*time.Second {
		t.Fatal(err, time.Since(begun))
	}
	if slowest > 500*time.Millisecond {
		t.Errorf("an entry took %v while a witness hung", slowest)
	}
	r.stands(1, "audit", "archives")
	r.result(0, witness.Signed)
	r.result(2, witness.Late)
	r.result(3, witness.Late)
	r.result(4, witness.Refused)
	r.result(5, witness.Refused)
}

// A checkpoint with too few organisations is not kept, whatever the number of their keys.
func TestTooFew(t *testing.T) {
	r := newRing(t)
	r.policy.Quorum.Members[1].Organization = "audit"
	r.member("third", "third.example/witness", key(3), http.NotFoundHandler())
	r.grow(r.log, 3, "a")
	r.round()
	r.result(0, witness.Signed)
	r.result(1, witness.Signed)
	r.stands(0)
}

// A witness whose answer was lost after it had signed says where it is, and is asked from there.
func TestLostAnswer(t *testing.T) {
	r := newRing(t)
	lose := true
	r.member("third", "third.example/witness", key(3), func() http.Handler {
		s := r.honest("third.example/witness", 3)
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if !lose {
				s.ServeHTTP(w, q)
				return
			}
			s.ServeHTTP(httptest.NewRecorder(), q)
			panic(http.ErrAbortHandler)
		})
	}())
	r.policy.Quorum.Need = 3
	r.grow(r.log, 7, "a")
	r.round()
	r.result(2, witness.Late)
	r.stands(0)
	lose = false
	r.grow(r.log, 4, "a")
	r.round()
	r.result(2, witness.Signed)
	r.stands(11, "audit", "archives", "third")
	if e := r.evidence(); e != nil {
		t.Errorf("%+v", e)
	}
	if !bytes.Contains([]byte(r.said.String()), []byte("co-signs the log again")) {
		t.Error(r.said.String())
	}
}
