package hammer

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/certs/second"
	"oncegate/certs/token"
)

// load runs the stretches: bare, full and half load, in alternating rounds so that changes of the machine's speed affect all alike,
// then the mixed load.
func (b *session) load(ctx context.Context) error {
	if err := b.warm(ctx); err != nil {
		return err
	}
	length, err := b.answerLength(ctx)
	if err != nil {
		return err
	}
	floor, err := b.startBare(length, nil)
	if err != nil {
		return err
	}
	defer floor.close(context.WithoutCancel(ctx))
	for range b.Rounds {
		r, err := b.round(ctx, floor.address)
		if err != nil || ctx.Err() != nil {
			return err
		}
		b.report.Rounds = append(b.report.Rounds, r)
	}
	b.report.summarize()
	mixed, err := b.stretch(ctx, "mixed load", b.service, b.Mix.pattern(), 0, b.answers)
	if err == nil {
		b.report.Mixed = mixed
	}
	return err
}

// round measures each stretch once.
func (b *session) round(ctx context.Context, bareAddress string) (r Round, err error) {
	queries := []kind{query}
	if r.Bare, err = b.stretch(ctx, "bare handler", bareAddress, queries, 0, nil); err != nil {
		return r, err
	}
	if r.Full, err = b.stretch(ctx, "full load", b.service, queries, 0, b.answers); err != nil {
		return r, err
	}
	rate := b.Rate
	if rate == 0 {
		rate = max(1, r.Full.Rate/2)
	}
	if r.Half, err = b.stretch(ctx, "half load", b.service, queries, rate, b.answers); err != nil {
		return r, err
	}
	if r.Bare.Rate > 0 {
		r.Ratio = r.Full.Rate / r.Bare.Rate
	}
	if r.Full.CPU > 0 {
		r.CPU = r.Bare.CPU / r.Full.CPU
	}
	return r, nil
}

func (b *session) stretch(ctx context.Context, name, address string, pattern []kind, rate float64, keep *answers) (Phase, error) {
	calls := b.Calls
	if rate > 0 {
		calls = min(calls, int(rate*b.Duration.Seconds())+1)
	}
	b.meter.say("signing " + fmt.Sprint(calls) + " calls")
	list, err := b.sign(ctx, calls, pattern)
	if err != nil {
		return Phase{}, err
	}
	s := stretch{name: name, address: address, callers: b.Callers, calls: list, rate: rate, longest: b.Duration, keep: keep, meter: b.meter}
	return s.run(ctx)
}

// warm registers the cases and has every license signed once.
func (b *session) warm(ctx context.Context) error {
	var list []*call
	add := func(c *call, err error) error {
		list = append(list, c)
		return err
	}
	var errs []error
	for i := range b.companies {
		errs = append(errs, add(b.body(ctx, register, acceptance, "/v1/cases", b.acceptance(caseNumber(i), foodMatter, i))))
	}
	for i := range chains {
		errs = append(errs, add(b.body(ctx, register, acceptance, "/v1/cases", b.acceptance(chainNumber(i), "YC-INVEST-CHAIN", i))))
	}
	errs = append(errs, add(b.body(ctx, register, acceptance, "/v1/cases", b.acceptance(eightCase, eightMatter, 0))))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := b.all(ctx, "registering cases", list); err != nil {
		return err
	}
	queries, err := b.sign(ctx, len(b.companies), []kind{query})
	if err != nil {
		return err
	}
	eights, err := b.body(ctx, check, approval, "/v1/cases/"+eightCase+"/check", struct{}{})
	if err != nil {
		return err
	}
	return b.all(ctx, "signing licenses", append(queries, eights))
}

// all makes every call, and fails unless each is answered with success.
func (b *session) all(ctx context.Context, name string, list []*call) error {
	s := stretch{name: name, address: b.service, callers: min(b.Callers, len(list)), calls: list, longest: maxDuration, keep: b.answers, meter: b.meter}
	p, err := s.run(ctx)
	if err != nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	if p.Codes["ok"] != len(list) {
		return fmt.Errorf("%s: not every call was answered: %v", name, p.Codes)
	}
	return nil
}

// answerLength is the mean length of a query's answer, with its receipt as it is under load.
func (b *session) answerLength(ctx context.Context) (int, error) {
	list, err := b.sign(ctx, min(b.Calls, 4*b.Callers), []kind{query})
	if err != nil {
		return 0, err
	}
	p, err := stretch{name: "warming up", address: b.service, callers: b.Callers, calls: list, longest: b.Duration, keep: b.answers, meter: b.meter}.run(ctx)
	if err == nil && p.Bytes == 0 && ctx.Err() == nil {
		err = fmt.Errorf("no query was answered: %v", p.Codes)
	}
	return p.Bytes, errors.Join(err, ctx.Err())
}

// A Phase is the measured result of one stretch of load. Times are in milliseconds.
type Phase struct {
	Name    string         `json:"name"`
	Callers int            `json:"callers"`
	Offered float64        `json:"offered_per_second,omitzero"` // 0: each caller called again as soon as it was answered
	Calls   int            `json:"calls"`                       // answered
	Seconds float64        `json:"seconds"`
	Rate    float64        `json:"per_second"`
	P50     float64        `json:"p50_ms"`
	P90     float64        `json:"p90_ms"`
	P99     float64        `json:"p99_ms"`
	Max     float64        `json:"max_ms"`
	CPU     float64        `json:"cpu_us"` // microseconds of processor time per call, the callers' own share included; 0 where the system does not say
	Codes   map[string]int `json:"codes"`  // "ok", problem codes, and "no-answer" where the connection failed
	Bytes   int            `json:"bytes"`  // of the mean answer that was ok
}

// A stretch is a period of load with its parameters; running it gives a Phase.
type stretch struct {
	name    string
	address string
	callers int
	calls   []*call
	rate    float64 // calls per second over all callers; 0: as fast as they are answered
	longest time.Duration
	keep    *answers // nil: answers are thrown away
	meter   *meter
}

// sign makes the calls of a stretch beforehand, so that signing is no part of what is measured.
func (in *installation) sign(ctx context.Context, calls int, pattern []kind) ([]*call, error) {
	list := make([]*call, calls)
	var failed atomic.Pointer[error]
	var group sync.WaitGroup
	for w := range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := w; i < calls && failed.Load() == nil; i += runtime.GOMAXPROCS(0) {
				k := pattern[i%len(pattern)]
				if k == replay {
					continue
				}
				c, err := in.make(ctx, k, i)
				if err != nil {
					failed.Store(&err)
					return
				}
				list[i] = c
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return nil, fmt.Errorf("sign calls: %w", *err)
	}
	return withReplays(list), nil
}

// withReplays fills the gaps of a list with replays of earlier calls; a gap before the first call repeats the first.
func withReplays(list []*call) []*call {
	for i, c := range list {
		if c != nil {
			continue
		}
		back := i - 1 - i%37
		if back < 0 || list[back] == nil {
			back = slices.IndexFunc(list, func(c *call) bool { return c != nil })
		}
		once := *list[back]
		once.kind = replay
		list[i] = &once
	}
	return list
}

// run makes the calls until the list is exhausted, the time is over, or ctx ends. Calls under way are finished.
func (s stretch) run(ctx context.Context) (Phase, error) {
	lines := make([]*connection, s.callers)
	for i := range lines {
		var err error
		if lines[i], err = dial(ctx, s.address); err != nil {
			return Phase{}, err
		}
		defer func() { lines[i].Close() }()
	}
	runtime.GC() // what came before is not this stretch's to clean up
	t := &tally{stretch: s, codes: map[string]int{}}
	t.begin, t.spent = time.Now(), cpuTime()
	s.meter.start(s.name, &t.done, len(s.calls))
	var group sync.WaitGroup
	for i := range lines {
		group.Go(func() { lines[i] = t.call(ctx, lines[i]) })
	}
	group.Wait()
	s.meter.stop()
	return t.phase(time.Since(t.begin)), nil
}

// A tally counts the results of a stretch under way.
type tally struct {
	stretch
	begin time.Time
	spent time.Duration // processor time at begin
	next  atomic.Int64
	done  atomic.Int64

	mu    sync.Mutex // protects all below
	took  []time.Duration
	codes map[string]int
	bytes int
}

// call is the loop of one caller. It reconnects after a failure, and returns its last connection.
func (t *tally) call(ctx context.Context, l *connection) *connection {
	took, codes, bytes := make([]time.Duration, 0, 1024), map[string]int{}, 0
	for ctx.Err() == nil && time.Since(t.begin) < t.longest {
		i := int(t.next.Add(1)) - 1
		if i >= len(t.calls) {
			break
		}
		from := time.Now()
		if t.rate > 0 { // a late call counts from when it was due
			from = t.begin.Add(time.Duration(float64(i) / t.rate * float64(time.Second)))
			time.Sleep(time.Until(from))
		}
		c := t.calls[i]
		status, body, err := l.do(c.wire)
		if err != nil {
			codes["no-answer"]++
			l.Close()
			if next, err := dial(ctx, t.address); err == nil {
				l = next
				continue
			}
			break
		}
		took = append(took, time.Since(from))
		t.done.Add(1)
		code := codeOf(status, body)
		codes[code]++
		if code == "ok" {
			bytes += len(body)
		}
		if t.keep != nil {
			t.keep.add(answer{c.kind, status, c.jti, c.token, body})
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took, t.bytes = append(t.took, took...), t.bytes+bytes
	for code, n := range codes {
		t.codes[code] += n
	}
	return l
}

// codeOf names an answer: "ok", or the problem's code.
func codeOf(status int, body []byte) string {
	if status == http.StatusOK || status == http.StatusCreated {
		return "ok"
	}
	var p struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" {
		return fmt.Sprint("status-", status)
	}
	return p.Code
}

func (t *tally) phase(took time.Duration) Phase {
	slices.Sort(t.took)
	p := Phase{
		Name: t.name, Callers: t.callers, Offered: t.rate, Calls: len(t.took), Seconds: took.Seconds(), Codes: t.codes,
		P50: quantile(t.took, 0.5), P90: quantile(t.took, 0.9), P99: quantile(t.took, 0.99), Max: quantile(t.took, 1),
	}
	if took > 0 {
		p.Rate = float64(p.Calls) / took.Seconds()
	}
	if p.Calls > 0 {
		p.CPU = float64((cpuTime() - t.spent).Microseconds()) / float64(p.Calls)
	}
	if n := t.codes["ok"]; n > 0 {
		p.Bytes = t.bytes / n
	}
	return p
}

// quantile of sorted times, in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return milliseconds(sorted[max(0, i)])
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// A bare server is the baseline: it verifies the same token by the same code as the gateway, writes an answer of the same length,
// and does nothing else.
type bare struct {
	address string
	server  *http.Server
	dual    *second.DualVerifier
}

// A verifiedCall is a call whose token the bare server has verified.
type verifiedCall struct {
	claims *token.Claims
	token  string
	body   []byte
	answer []byte // what is answered
}

// startBare starts a bare server whose answers are length bytes. More, if not nil, is done before each is written.
func (in *installation) startBare(length int, more func(context.Context, verifiedCall) error) (*bare, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the bare server: %w", err)
	}
	b := &bare{address: l.Addr().String(), dual: second.New(second.Config{})}
	text := []byte(`"` + strings.Repeat("x", max(0, length-2)) + `"`)
	b.server = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call, err := in.verified(b.dual, r)
		if err != nil {
			http.Error(w, "unauthenticated", http.StatusUnauthorized)
			return
		}
		if call.answer = text; more != nil {
			if err := more(r.Context(), call); err != nil {
				http.Error(w, "failed", http.StatusServiceUnavailable)
				return
			}
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(http.StatusOK)
		w.Write(text)
	})}
	go b.server.Serve(l)
	return b, nil
}

func (in *installation) verified(dual *second.DualVerifier, r *http.Request) (call verifiedCall, err error) {
	var ok bool
	if call.token, ok = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !ok {
		return call, errors.New("no token")
	}
	call.claims, err = token.Verify(r.Context(), call.token, token.Expect{
		Audience: in.setup.Gateway.ID, Method: r.Method, URL: in.publicURL() + r.URL.EscapedPath(), Now: time.Now(), Verify: dual.Verify,
		Body: func() (string, error) {
			var err error
			call.body, err = io.ReadAll(io.LimitReader(r.Body, maxAnswer))
			return token.BodyDigest(call.body), err
		},
		KeyOf: func(iss, kid string) (*ecdsa.PublicKey, error) {
			if key, ok := in.setup.Callers[iss].Keys[kid]; ok {
				return key.Public, nil
			}
			return nil, fs.ErrNotExist
		},
	})
	return call, err
}

func (b *bare) close(ctx context.Context) error {
	defer b.dual.Close()
	return b.server.Shutdown(ctx)
}
