// Package witness is a witness of transparency logs (见证方): it co-signs the checkpoints of logs that only grow, and it is how a gateway
// asks its witnesses.
//
// A [Server] speaks C2SP tlog-witness (POST /add-checkpoint) and signs cosignature/v1 (C2SP tlog-cosignature). The protocol carries a
// proof that the SHA-256 tree grew. Of a log whose tiles it may read, a Server proves the growth of the SM3 tree, too, before it signs. A log that
// shows it two histories is refused, and both checkpoints are kept: each is signed by the log, so together they convict it.
package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/note"

	lognote "oncegate/certs/note"
	"oncegate/certs/sm"
	"oncegate/tlog"
)

// Bounds of what one request may cost.
const (
	maxProof    = 63 // lines, by the protocol
	maxRequest  = tlog.MaxCheckpoint + 64*(maxProof+2)
	waiting     = 16               // requests of one log that are under way or wait for their turn
	patience    = 20 * time.Second // the longest that one request waits and reads tiles
	maxEvidence = 1000             // pairs of checkpoints that are kept
	maxStale    = 256              // older checkpoints that were found to be of the same history
)

// A Log is a log that a witness co-signs.
type Log struct {
	Origin string
	Keys   []note.Verifier // of its Ed25519 lines: the present key's and those of retired ones; one must have signed
	SM2    []note.Verifier // of its SM2 lines; one must have signed, too. None: these lines are not looked at
	Tiles  *tlog.Remote    // where it publishes its tiles; nil: only the SHA-256 tree is proven to grow, by what the log sends along
}

// Config says what a witness is called, signs with and watches.
type Config struct {
	Name  string             // of its key, such as "audit.example/witness"
	Key   ed25519.PrivateKey //
	State string             // folder with a checkpoint for each log, and the evidence of forks. It must be there: a witness without its memory would sign a fork
	Logs  []Log

	Now      func() time.Time     // default time.Now
	Logger   *slog.Logger         // default: discard
	Registry *prometheus.Registry // default: one of its own
}

// A Server co-signs the checkpoints of logs. It is an http.Handler and safe for concurrent use. One process only may use a state folder.
type Server struct {
	Config
	signer   *lognote.Signer
	logs     map[string]*watched
	requests *prometheus.CounterVec
	alarms   *prometheus.CounterVec
	sizes    *prometheus.GaugeVec
}

// watched is a log with what is known of it. Whoever holds the turn may read and change the rest.
type watched struct {
	Log
	file  string
	place chan struct{} // a place for each request that is under way or waits
	turn  chan struct{} // holds the one token of who may go on

	note  string          // the checkpoint that was co-signed last, verbatim; empty: none
	known tlog.Checkpoint // what it says; of size 0 where there is none
	stale map[string]bool // texts of older checkpoints that are of the same history
}

// Open reads what was co-signed before.
func Open(c Config) (*Server, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	signer, err := lognote.WitnessNoteSigner(c.Name, c.Key, c.Now)
	if err != nil {
		return nil, fmt.Errorf("open witness: %w", err)
	}
	if info, err := os.Stat(c.State); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("open witness: the state folder %s is not there: put it back; a witness that has forgotten what it signed would sign a fork", c.State)
	}
	s := &Server{Config: c, signer: signer, logs: make(map[string]*watched),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_witness_requests_total", Help: "Requests to co-sign a checkpoint, by what came of them."}, []string{"result"}),
		alarms:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_witness_alarms_total", Help: "How often a log showed a history that contradicts what was co-signed before: an alarm. The kinds are fork, rewind and tiles."}, []string{"kind"}),
		sizes:    prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "oncegate_witness_log_size", Help: "Entries of the log at the checkpoint that was co-signed last."}, []string{"log"}),
	}
	c.Registry.MustRegister(s.requests, s.alarms, s.sizes)
	for _, kind := range []string{alarmFork, alarmRewind, alarmTiles} {
		s.alarms.WithLabelValues(kind)
	}
	for _, l := range c.Logs {
		w, err := s.watch(l)
		if err != nil {
			return nil, fmt.Errorf("open witness: log %s: %w", l.Origin, err)
		}
		s.logs[l.Origin] = w
		s.sizes.WithLabelValues(l.Origin).Set(float64(w.known.Size))
	}
	return s, nil
}

// watch reads what is known of a log. A file that is there and cannot be read must not count as none.
func (s *Server) watch(l Log) (*watched, error) {
	switch {
	case l.Origin == "" || len(l.Keys) == 0:
		return nil, errors.New("a log has an origin and a key")
	case s.logs[l.Origin] != nil:
		return nil, errors.New("it is named twice")
	}
	sum := sha256.Sum256([]byte(l.Origin))
	w := &watched{Log: l, file: filepath.Join(s.State, hex.EncodeToString(sum[:16])+".checkpoint"),
		place: make(chan struct{}, waiting), turn: make(chan struct{}, 1), stale: make(map[string]bool), known: tlog.EmptyCheckpoint(l.Origin, sm.New)}
	text, err := tlog.ReadMark(w.file)
	if errors.Is(err, fs.ErrNotExist) {
		s.Logger.Warn("no checkpoint of this log was co-signed before: the next one is taken as it comes", "log", l.Origin)
		return w, nil
	}
	if err != nil {
		return nil, err
	}
	if w.known, err = tlog.ParseCheckpoint(text); err != nil {
		return nil, err
	}
	if w.known.Origin != l.Origin {
		return nil, fmt.Errorf("%s holds a checkpoint of log %s", w.file, w.known.Origin)
	}
	w.note = text
	return w, nil
}

// VKey is the witness's key as verifiers write it.
func (s *Server) VKey() string {
	line, _ := s.Config.VKey() // the name was checked
	return line
}

// VKey is the key of a witness that is configured so.
func (c Config) VKey() (string, error) {
	return lognote.MarshalWitnessVKey(c.Name, c.Key.Public().(ed25519.PublicKey))
}

// A refusal is an answer that is no cosignature.
type refusal struct {
	status int
	result string // label of the metric
	says   string
	size   *uint64 // with 409: what was co-signed last
}

func (r *refusal) Error() string { return r.says }

func refuse(status int, result, format string, args ...any) *refusal {
	return &refusal{status: status, result: result, says: fmt.Sprintf(format, args...)}
}

// conflict says up to where the log was co-signed.
func conflict(size uint64) *refusal {
	return &refusal{status: http.StatusConflict, result: "conflict", size: &size}
}

// ServeHTTP answers POST /add-checkpoint.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case r.URL.Path != "/add-checkpoint":
		http.Error(w, "there is only /add-checkpoint here (c2sp.org/tlog-witness)", http.StatusNotFound)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST a checkpoint (c2sp.org/tlog-witness)", http.StatusMethodNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	lines, err := s.answer(ctx, http.MaxBytesReader(w, r.Body, maxRequest))
	no, refused := errors.AsType[*refusal](err)
	switch {
	case err == nil:
		s.requests.WithLabelValues("signed").Inc()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, lines) // the asker is gone: it asks again
	case refused && no.size != nil:
		s.requests.WithLabelValues(no.result).Inc()
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(no.status)
		_, _ = fmt.Fprintf(w, "%d\n", *no.size)
	case refused:
		s.requests.WithLabelValues(no.result).Inc()
		http.Error(w, no.says, no.status)
	default:
		s.requests.WithLabelValues("failed").Inc()
		s.Logger.Error("a checkpoint could not be co-signed", "error", err.Error())
		http.Error(w, "the witness cannot keep what it would sign", http.StatusInternalServerError)
	}
}

// A question is what add-checkpoint asks.
type question struct {
	old   uint64
	proof [][]byte
	note  string
	is    tlog.Checkpoint
}

// parse reads a request's body.
func parse(body string) (q question, err error) {
	head, signed, ok := strings.Cut(body, "\n\n")
	lines := strings.Split(head, "\n")
	size, old := strings.CutPrefix(lines[0], "old ")
	if !ok || !old {
		return q, errors.New("not of the form: old N, proof lines, an empty line, a checkpoint")
	}
	if q.old, err = strconv.ParseUint(size, 10, 63); err != nil || strconv.FormatUint(q.old, 10) != size {
		return q, errors.New("old is followed by no size")
	}
	if len(lines)-1 > maxProof {
		return q, fmt.Errorf("more than %d lines of proof", maxProof)
	}
	for _, line := range lines[1:] {
		h, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(h) != tlog.HashSize || base64.StdEncoding.EncodeToString(h) != line {
			return q, errors.New("a line of the proof is no hash in base64")
		}
		q.proof = append(q.proof, h)
	}
	q.note = signed
	q.is, err = tlog.ParseCheckpoint(signed)
	return q, err
}

func (s *Server) answer(ctx context.Context, body io.Reader) (string, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return "", refuse(http.StatusBadRequest, "malformed", "the request is too long, or was cut off")
	}
	q, err := parse(string(data))
	if err != nil {
		return "", refuse(http.StatusBadRequest, "malformed", "%v", err)
	}
	w := s.logs[q.is.Origin]
	if w == nil {
		return "", refuse(http.StatusNotFound, "unknown", "this log is not known here")
	}
	if !w.signed(q.note) {
		return "", refuse(http.StatusForbidden, "unsigned", "no key of this log that is known here has signed the checkpoint")
	}
	if q.old > q.is.Size {
		return "", refuse(http.StatusBadRequest, "malformed", "old is above the checkpoint's size")
	}
	busy := refuse(http.StatusServiceUnavailable, "busy", "too many requests of this log are waiting")
	select {
	case w.place <- struct{}{}:
		defer func() { <-w.place }()
	default:
		return "", busy
	}
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return "", busy
	}
	if err := s.judge(ctx, w, q); err != nil {
		return "", err
	}
	return s.sign(ctx, w, q)
}

// signed reports whether the log signed a checkpoint.
func (w *watched) signed(checkpoint string) bool {
	for _, keys := range [][]note.Verifier{w.Keys, w.SM2} {
		if len(keys) == 0 {
			continue
		}
		if _, err := note.Open([]byte(checkpoint), note.VerifierList(keys...)); err != nil {
			return false
		}
	}
	return true
}

// judge decides whether a checkpoint is to be co-signed: it must extend what was co-signed last, in every tree that can be proven.
func (s *Server) judge(ctx context.Context, w *watched, q question) error {
	sameSize, same := q.is.Size == w.known.Size, q.is == w.known
	switch {
	case sameSize && !same:
		tree := tlog.SM3
		if q.is.SHA256 != w.known.SHA256 {
			tree = tlog.SHA256
		}
		s.alarm(w, alarmFork, q.note, fmt.Sprintf("two roots of the %s tree at size %d", tree, q.is.Size))
		return refuse(http.StatusConflict, alarmFork, "another root of this size was co-signed")
	case q.is.Size < w.known.Size:
		s.lookBack(ctx, w, q)
		return conflict(w.known.Size)
	case q.old != w.known.Size:
		return conflict(w.known.Size)
	}
	unproven := tlog.VerifySHA256Growth(w.known, q.is, q.proof)
	if same {
		if unproven != nil {
			return refuse(http.StatusUnprocessableEntity, "unproven", "a checkpoint of the same size needs no proof")
		}
		return nil
	}
	if w.Tiles == nil {
		if unproven != nil {
			s.Logger.Warn("a checkpoint does not prove that it extends the one that was co-signed last", "log", w.Origin, "known_size", w.known.Size, "size", q.is.Size)
			return refuse(http.StatusUnprocessableEntity, "unproven", "the proof does not hold: %v", unproven)
		}
		return nil
	}
	// What the log sends along may be wrong without a fork; its tiles tell.
	err := tlog.VerifyExtends(ctx, w.Tiles, sm.New, w.known, q.is)
	switch {
	case errors.Is(err, tlog.ErrFork):
		s.alarm(w, alarmFork, q.note, err.Error())
		return refuse(http.StatusUnprocessableEntity, alarmFork, "%v", err)
	case errors.Is(err, tlog.ErrUnproven):
		s.alarm(w, alarmTiles, q.note, err.Error())
		return refuse(http.StatusUnprocessableEntity, alarmTiles, "%v", err)
	case unproven != nil:
		return refuse(http.StatusUnprocessableEntity, "unproven", "the proof does not hold: %v", unproven)
	case err != nil:
		s.Logger.Warn("the tiles of a log cannot be read: nothing is co-signed before its SM3 tree is proven", "log", w.Origin, "error", err.Error())
		return refuse(http.StatusServiceUnavailable, "unreadable", "the tiles of the log cannot be read, so the growth of its SM3 tree is not proven")
	}
	return nil
}

// lookBack looks whether an older checkpoint than the one co-signed last means harm. A late one of the same history does not; one of
// another history is a fork, and a log whose own newest checkpoint is older has been rewound. Without tiles nothing can be told.
func (s *Server) lookBack(ctx context.Context, w *watched, q question) {
	text := q.is.Text()
	if w.Tiles == nil || w.stale[text] {
		return
	}
	newest, err := w.Tiles.Checkpoint(ctx)
	if err != nil {
		s.Logger.Warn("an older checkpoint came, and the log does not say which is its newest", "log", w.Origin, "error", err.Error())
		return
	}
	is, err := tlog.ParseCheckpoint(newest)
	if err != nil || is.Origin != w.Origin || !w.signed(newest) {
		s.Logger.Warn("an older checkpoint came, and what the log shows as its newest is not signed by it", "log", w.Origin)
		return
	}
	if is.Size < w.known.Size {
		s.alarm(w, alarmRewind, newest, fmt.Sprintf("the log has %d entries now, and had %d", is.Size, w.known.Size))
		return
	}
	switch err := tlog.VerifyExtends(ctx, w.Tiles, sm.New, q.is, is); {
	case errors.Is(err, tlog.ErrFork):
		s.alarm(w, alarmFork, q.note, err.Error())
	case err == nil:
		if len(w.stale) >= maxStale {
			clear(w.stale)
		}
		w.stale[text] = true
	}
}

// sign keeps a checkpoint, durably, and then co-signs it. Whoever dies between the two has signed nothing, and says at the next request
// how far it is.
func (s *Server) sign(ctx context.Context, w *watched, q question) (string, error) {
	if q.is != w.known || w.note == "" {
		if err := tlog.WriteMark(w.file, q.note); err != nil {
			return "", fmt.Errorf("keep the checkpoint: %w", err)
		}
		w.known, w.note = q.is, q.note
		s.sizes.WithLabelValues(w.Origin).Set(float64(w.known.Size))
	}
	signed, err := note.Sign(&note.Note{Text: q.is.Text()}, s.signer.Bind(context.WithoutCancel(ctx)))
	if err != nil {
		return "", err
	}
	_, lines, _ := bytes.Cut(signed, []byte("\n\n"))
	return string(lines), nil
}

// Kinds of alarms.
const (
	alarmFork   = "fork"   // two histories
	alarmRewind = "rewind" // the log has lost entries
	alarmTiles  = "tiles"  // what it publishes does not add up to what it signs
)

// An Evidence is what convicts a log: two checkpoints that it signed and that cannot both be of one history. It stands in a file of its
// own in the folder "evidence" of the state.
type Evidence struct {
	Kind   string    `json:"kind"` // fork, rewind or tiles
	Log    string    `json:"log"`
	At     time.Time `json:"at"`
	Says   string    `json:"says"`
	Signed string    `json:"signed"` // the checkpoint that was co-signed last, verbatim; empty: none was
	Shown  string    `json:"shown"`  // the one that was shown then
}

// alarm keeps both checkpoints and says so, each pair once.
func (s *Server) alarm(w *watched, kind, shown, says string) {
	s.alarms.WithLabelValues(kind).Inc()
	s.Logger.Error("ALARM: a log contradicts what was co-signed before; both checkpoints are kept", "kind", kind, "log", w.Origin, "says", says, "signed", w.note, "shown", shown)
	sum := sha256.Sum256([]byte(kind + "\x00" + w.note + "\x00" + shown))
	dir := filepath.Join(s.State, "evidence")
	file := filepath.Join(dir, hex.EncodeToString(sum[:16])+".json")
	if _, err := os.Stat(file); err == nil {
		return
	}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		var kept []os.DirEntry
		if kept, err = os.ReadDir(dir); len(kept) >= maxEvidence {
			err = fmt.Errorf("%s holds %d pieces of evidence: move them elsewhere", dir, len(kept))
		}
	}
	if err == nil {
		var data []byte
		data, err = json.Marshal(Evidence{kind, w.Origin, s.Now().UTC().Truncate(time.Second), says, w.note, shown}, jsontext.WithIndent("  "))
		if err == nil {
			err = os.WriteFile(file, append(data, '\n'), 0o600)
		}
	}
	if err != nil {
		s.Logger.Error("the evidence could not be kept: it stands in the line before only", "error", err.Error())
	}
}
