package witness

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/note"

	"oncegate/audit"
	lognote "oncegate/certs/note"
	"oncegate/tlog"
)

// A Policy is whom a log asks to co-sign, and when that is enough.
type Policy struct {
	Quorum audit.Quorum
	Ask    []Asked // one for each member of the quorum, in the same order
}

// Asked is where a witness is, and its key.
type Asked struct {
	Witness string // name of its key
	URL     string // before /add-checkpoint
	Keys    []*lognote.Witness
}

// verifiers are the keys whose lines count: those with a time.
func (a Asked) verifiers() (list []note.Verifier) {
	for _, k := range a.Keys {
		list = append(list, k)
	}
	return list
}

// OwnLog is the log that is to be co-signed, as *tlog.Log is.
type OwnLog interface {
	// Checkpoint returns the newest committed checkpoint, a signed note.
	Checkpoint(ctx context.Context) (string, error)
	// ProveConsistency proves that the tree of size to extends that of size from; fs.ErrNotExist if the log is smaller.
	ProveConsistency(ctx context.Context, from, to uint64) (tlog.Proofs, error)
	// Cosign keeps a checkpoint with the lines of witnesses, durably.
	Cosign(ctx context.Context, note string) error
	// LastCosigned returns the newest kept one, or fs.ErrNotExist.
	LastCosigned(ctx context.Context) (tlog.Cosigned, error)
}

// AskerConfig says how witnesses are asked.
type AskerConfig struct {
	Log      OwnLog
	Wait     time.Duration        // the longest that one witness is waited for; default 10 s
	Client   *http.Client         // default: one of its own, that follows no redirect
	Now      func() time.Time     // default time.Now
	Logger   *slog.Logger         // default: discard
	Registry *prometheus.Registry // default: one of its own
}

// An Asker has the checkpoints of a log co-signed, and remembers how each witness answered.
type Asker struct {
	AskerConfig
	results    *prometheus.CounterVec
	alarms     *prometheus.CounterVec
	sizes      *prometheus.GaugeVec
	quorumSize prometheus.Gauge
	quorumTime prometheus.Gauge

	begun time.Time
	round sync.Mutex // held during a round

	mu     sync.Mutex // protects what follows
	states map[string]State
	witnessed
}

// witnessed is the newest checkpoint that a quorum stands for.
type witnessed struct {
	size  uint64
	at    time.Time
	ready bool // it was read
}

// A State is how one witness answered.
type State struct {
	Witness string
	Size    uint64    // entries that it has co-signed
	Signed  time.Time // when it signed last; zero: never since the start
	Asked   time.Time // when it was asked last
	Since   time.Time // since when it has not co-signed what it was asked for; zero: it has
	Result  Result    // of the last time
	Says    string    // what was wrong then
}

// A Result is what came of asking one witness.
type Result string

// The results. Contradicted is an alarm: the witness has seen another history of this log, or the log has lost entries.
const (
	Signed       Result = "signed"
	Late         Result = "late"         // no answer in time, or none at all
	Refused      Result = "refused"      // it does not know the log or its key, or cannot read its tiles
	Contradicted Result = "contradicted" // it has signed what this log is no continuation of
	Invalid      Result = "invalid"      // its answer is no cosignature of this checkpoint by its key
)

// NewAsker registers the metrics.
func NewAsker(c AskerConfig) *Asker {
	c.Wait = cmp.Or(c.Wait, 10*time.Second)
	if c.Client == nil {
		c.Client = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	a := &Asker{AskerConfig: c, begun: c.Now(), states: make(map[string]State),
		results:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_cosignatures_total", Help: "How often witnesses were asked to co-sign the log, by what came of it: signed, late, refused, contradicted, invalid."}, []string{"witness", "result"}),
		alarms:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_cosignature_alarms_total", Help: "How often a witness said that it has signed another history of this log: an alarm."}, []string{"witness"}),
		sizes:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "oncegate_cosigned_size", Help: "Entries of the log that a witness has co-signed since the start."}, []string{"witness"}),
		quorumSize: prometheus.NewGauge(prometheus.GaugeOpts{Name: "oncegate_witnessed_size", Help: "Entries of the log at the newest checkpoint that a quorum of witnesses has co-signed; 0 if there is none."}),
		quorumTime: prometheus.NewGauge(prometheus.GaugeOpts{Name: "oncegate_witnessed_timestamp_seconds", Help: "By when a quorum of witnesses had co-signed that checkpoint; 0 if there is none."}),
	}
	c.Registry.MustRegister(a.results, a.alarms, a.sizes, a.quorumSize, a.quorumTime)
	return a
}

// States are how the witnesses of a policy answered, in its order. One that was not asked yet has no result.
func (a *Asker) States(p Policy) []State {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]State, len(p.Ask))
	for i, w := range p.Ask {
		list[i] = a.states[w.Witness]
		list[i].Witness = w.Witness
	}
	return list
}

// Witnessed is the size of the newest checkpoint that a quorum stands for, and by when it stood; 0 if there is none.
func (a *Asker) Witnessed() (size uint64, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.size, a.at
}

// Begun is since when witnesses are asked.
func (a *Asker) Begun() time.Time { return a.begun }

// Round asks every witness once, all at the same time, to co-sign the newest checkpoint, and keeps it with their lines if the quorum
// stands. It returns when all have answered or were waited for. The error says that the log could not be read or kept; what witnesses do
// is no error of a round.
func (a *Asker) Round(ctx context.Context, p Policy) error {
	a.round.Lock()
	defer a.round.Unlock()
	if err := a.remember(ctx, p); err != nil {
		return err
	}
	signed, err := a.Log.Checkpoint(ctx)
	if err != nil {
		return err
	}
	is, err := tlog.ParseCheckpoint(signed)
	if err != nil {
		return err
	}
	lines := make([]string, len(p.Ask))
	var asking sync.WaitGroup
	for i, w := range p.Ask {
		asking.Go(func() { lines[i] = a.ask(ctx, w, signed, is) })
	}
	asking.Wait()
	return a.keep(ctx, p, signed+strings.Join(lines, ""), is)
}

// remember reads once, after a start, how far a quorum stands already.
func (a *Asker) remember(ctx context.Context, p Policy) error {
	a.mu.Lock()
	known := a.ready
	a.mu.Unlock()
	if known {
		return nil
	}
	last, err := a.Log.LastCosigned(ctx)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ready = true
	if w := p.judge(last.Note); err == nil && w.Stands {
		a.stands(last.Size, w.Time)
	}
	return nil
}

// stands notes the newest checkpoint that a quorum stands for. The lock is held.
func (a *Asker) stands(size uint64, at time.Time) {
	a.size, a.at = size, at
	a.quorumSize.Set(float64(size))
	a.quorumTime.Set(float64(at.Unix()))
}

// judge applies the policy to the lines of a checkpoint.
func (p Policy) judge(checkpoint string) audit.Witnessed {
	var all []note.Verifier
	for _, w := range p.Ask {
		all = append(all, w.verifiers()...)
	}
	return p.Quorum.Judge(audit.Cosignatures(checkpoint, all))
}

// keep stores a cosigned checkpoint if the quorum stands, once for each size: the first has the earliest time.
func (a *Asker) keep(ctx context.Context, p Policy, cosigned string, is tlog.Checkpoint) error {
	w := p.judge(cosigned)
	size, _ := a.Witnessed()
	if !w.Stands || is.Size <= size {
		return nil
	}
	if err := a.Log.Cosign(ctx, cosigned); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stands(is.Size, w.Time)
	return nil
}

// ask has one witness co-sign a checkpoint and returns its lines; none where it did not.
func (a *Asker) ask(ctx context.Context, w Asked, signed string, is tlog.Checkpoint) string {
	ctx, cancel := context.WithTimeout(ctx, a.Wait)
	defer cancel()
	a.mu.Lock()
	old := a.states[w.Witness].Size
	a.mu.Unlock()
	lines, said, err := a.request(ctx, w, old, signed, is)
	if conflict, ok := errors.AsType[sizeError](err); ok && uint64(conflict) != old && uint64(conflict) <= is.Size { // it, or this node, has been restarted
		old = uint64(conflict)
		lines, said, err = a.request(ctx, w, old, signed, is)
	}
	if conflict, ok := errors.AsType[sizeError](err); ok {
		said, err = a.ahead(ctx, uint64(conflict), is)
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return "" // the node stops
	}
	a.note(w, said, err, is)
	return lines
}

// ahead judges a witness that has signed more entries than this log had a moment ago. Another node may have been faster.
func (a *Asker) ahead(ctx context.Context, size uint64, is tlog.Checkpoint) (Result, error) {
	newest, err := a.Log.Checkpoint(ctx)
	if err != nil {
		return Late, err
	}
	now, err := tlog.ParseCheckpoint(newest)
	switch {
	case err != nil:
		return Late, err
	case size > now.Size:
		return Contradicted, fmt.Errorf("it has co-signed %d entries, and this log has %d: it has lost entries", size, now.Size)
	case size <= is.Size:
		return Refused, fmt.Errorf("it says that it has co-signed %d entries, and does not take the proof from there", size)
	}
	return Late, fmt.Errorf("it has co-signed %d entries already, for another node", size)
}

// note remembers how a witness answered, and says so where that is new.
func (a *Asker) note(w Asked, said Result, err error, is tlog.Checkpoint) {
	now := a.Now()
	a.results.WithLabelValues(w.Witness, string(said)).Inc()
	a.mu.Lock()
	was := a.states[w.Witness]
	next := State{Witness: w.Witness, Size: was.Size, Signed: was.Signed, Asked: now, Since: was.Since, Result: said}
	if said == Signed {
		next.Size, next.Signed, next.Since = is.Size, now, time.Time{}
		a.sizes.WithLabelValues(w.Witness).Set(float64(is.Size))
	} else {
		next.Says = err.Error()
		if next.Since.IsZero() {
			next.Since = now
		}
	}
	a.states[w.Witness] = next
	a.mu.Unlock()
	switch {
	case said == Contradicted:
		a.alarms.WithLabelValues(w.Witness).Inc()
		a.Logger.Error("ALARM: a witness has co-signed another history of this log", "witness", w.Witness, "says", next.Says, "checkpoint", is.Text())
	case said == Signed && was.Result != "" && was.Result != Signed:
		a.Logger.Info("a witness co-signs the log again", "witness", w.Witness, "size", is.Size)
	case said != Signed && said != was.Result:
		a.Logger.Warn("a witness does not co-sign the log", "witness", w.Witness, "result", string(said), "says", next.Says)
	}
}

// sizeError is a 409: up to where a witness has co-signed the log.
type sizeError uint64

func (e sizeError) Error() string { return fmt.Sprintf("it has co-signed %d entries", uint64(e)) }

// maxAnswer bounds a witness's answer, in bytes.
const maxAnswer = 8 << 10

// request asks once.
func (a *Asker) request(ctx context.Context, w Asked, old uint64, signed string, is tlog.Checkpoint) (lines string, said Result, err error) {
	var body bytes.Buffer
	fmt.Fprintf(&body, "old %d\n", old)
	if old > 0 && old < is.Size {
		p, err := a.Log.ProveConsistency(ctx, old, is.Size)
		if err != nil {
			return "", Late, fmt.Errorf("the log cannot prove that it has grown: %w", err)
		}
		for _, h := range p.SHA256 {
			body.WriteString(base64.StdEncoding.EncodeToString(h) + "\n")
		}
	}
	body.WriteString("\n" + signed)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(w.URL, "/")+"/add-checkpoint", &body)
	if err != nil {
		return "", Late, err
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	answer, err := a.Client.Do(r)
	if err != nil {
		return "", Late, fmt.Errorf("it does not answer: %w", err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return "", Late, fmt.Errorf("its answer was cut off: %w", err)
	case len(data) > maxAnswer:
		return "", Invalid, errors.New("its answer is too long")
	}
	switch answer.StatusCode {
	case http.StatusOK:
		if lines, err = w.lines(signed, string(data)); err != nil {
			return "", Invalid, err
		}
		return lines, Signed, nil
	case http.StatusConflict:
		if size, err := strconv.ParseUint(strings.TrimSuffix(string(data), "\n"), 10, 53); err == nil && size != is.Size {
			return "", Late, sizeError(size)
		} else if err == nil && old != size {
			return "", Late, sizeError(size)
		}
		return "", Contradicted, errors.New("it has co-signed another root of this size")
	case http.StatusUnprocessableEntity:
		return "", Contradicted, fmt.Errorf("the log does not prove to it that %d entries extend the %d that it has co-signed", is.Size, old)
	case http.StatusForbidden, http.StatusNotFound:
		return "", Refused, fmt.Errorf("it answers %d: it does not know this log, or its key", answer.StatusCode)
	}
	return "", Refused, fmt.Errorf("it answers %d", answer.StatusCode)
}

// lines are those of an answer that are cosignatures of this checkpoint by this witness. Whatever else stands there is left out.
func (w Asked) lines(signed, answer string) (string, error) {
	var all []string
	for line := range strings.Lines(answer) {
		one := signed + line
		opened, err := note.Open([]byte(one), note.VerifierList(w.verifiers()...))
		if err != nil || len(opened.Sigs) == 0 {
			continue
		}
		timed := slices.ContainsFunc(w.Keys, func(k *lognote.Witness) bool {
			return k.KeyHash() == opened.Sigs[0].Hash && !k.SignedAt(opened.Sigs[0]).IsZero()
		})
		if timed {
			all = append(all, line)
		}
	}
	if len(all) == 0 {
		return "", errors.New("its answer is no cosignature of this checkpoint by its key")
	}
	return strings.Join(all[:min(len(all), len(w.Keys))], ""), nil
}
