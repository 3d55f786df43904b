package hammer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/envelope"
	lognote "oncegate/certs/note"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/license"
	"oncegate/store"
	"oncegate/tlog"
)

// measureParts benchmarks the parts besides the load on one gateway. Each figure is the median of the run's rounds. A measurement
// that fails is reported as missing and stops nothing, except for a lost answer.
func (b *session) measureParts(ctx context.Context) error {
	for _, step := range []struct {
		name    string
		measure func(context.Context) error
	}{{"eight slow sources", b.measureEight}, {"a process of its own", b.measureProcess}, {"records", b.measureRecords}, {"PostgreSQL", b.measurePostgres}} {
		err := step.measure(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, ErrLost):
			return err
		case err != nil:
			b.missing("%s: %v", step.name, err)
		}
		if b.gateway == nil { // the step stopped it
			if b.gateway, err = b.open(ctx); err != nil {
				return fmt.Errorf("start again: %w", err)
			}
		}
	}
	b.measureSize()
	return nil
}

func (b *session) figure(name, unit, detail string, values ...float64) {
	b.report.Figures = append(b.report.Figures, Figure{name, spreadOf(values), unit, detail})
}

func (b *session) missing(format string, args ...any) {
	b.report.Missing = append(b.report.Missing, fmt.Sprintf(format, args...))
}

// measureEight compares the latency of a check of eight materials from eight systems of 50 ms each, whose licenses are signed
// already, with that of the slowest system asked directly at the same time.
func (b *session) measureEight(ctx context.Context) error {
	b.meter.say("a case from eight slow sources")
	const times = 20
	var ratios []float64
	for range b.Rounds {
		var whole, slowest []time.Duration
		for range times {
			d, err := b.checkEight(ctx)
			if err != nil {
				return err
			}
			whole = append(whole, d)
			if d, err = b.slow.slowest(ctx, b.companies[0]); err != nil {
				return err
			}
			slowest = append(slowest, d)
		}
		ratios = append(ratios, p50(whole)/p50(slowest))
	}
	b.figure("a case of 8 materials from 8 sources of 50 ms ÷ the slowest source", "×", "at most 1.2", ratios...)
	return nil
}

// checkEight checks the case once.
func (b *session) checkEight(ctx context.Context) (time.Duration, error) {
	c, err := b.body(ctx, check, approval, "/v1/cases/"+eightCase+"/check", struct{}{})
	if err != nil {
		return 0, err
	}
	l, err := dial(ctx, b.service)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	begin := time.Now()
	status, body, err := l.do(c.wire)
	took := time.Since(begin)
	if err != nil {
		return 0, err
	}
	b.answers.add(answer{c.kind, status, c.jti, c.token, body})
	if met := countMet(body); met != eight {
		return 0, fmt.Errorf("check the case of eight: %d of %d materials are met", met, eight)
	}
	return took, nil
}

// measureProcess measures a gateway in a process of its own: start, and memory under load.
func (b *session) measureProcess(ctx context.Context) error {
	if len(b.Serve) == 0 {
		b.missing("cold start and memory: no command to serve with was given")
		return nil
	}
	if err := b.stopGateway(); err != nil {
		return err
	}
	var starts, peaks []float64
	for range b.Rounds {
		b.meter.say("starting a gateway in a process of its own")
		begin := time.Now()
		g, err := b.spawn(ctx, b.Serve)
		if err != nil {
			return err
		}
		starts = append(starts, milliseconds(time.Since(begin)))
		b.gateway = g
		if _, err := b.stretch(ctx, "load on a process of its own", b.service, b.Mix.pattern(), 0, b.answers); err != nil {
			return err
		}
		peaks = append(peaks, float64(peak(g.pid))/1e6)
		if err := b.stopGateway(); err != nil {
			return err
		}
	}
	b.figure("cold start to ready", "ms", fmt.Sprintf("at most 1000 on a small database; a new process, a log of some %d records, keystore of full cost", b.answers.count), starts...)
	if peaks[0] > 0 {
		b.figure("peak of resident memory under mixed load", "MB", "at most 200; VmHWM of the process", peaks...)
	} else {
		b.missing("memory: this system does not say")
	}
	return nil
}

// measureSize measures the file of this program.
func (b *session) measureSize() {
	name, err := os.Executable()
	if err != nil {
		return
	}
	info, err := os.Stat(name)
	without, known := stripped(name)
	switch {
	case err != nil || !known:
		b.missing("size of the stripped program: it cannot be told here")
	case !without:
		b.missing("size of the stripped program: this one has symbols (build it with -trimpath -ldflags=-s)")
	default:
		b.figure("size of the stripped program", "MB", "at most 120", float64(info.Size())/1e6)
	}
}

// measurePostgres puts the same load on a gateway over PostgreSQL.
func (b *session) measurePostgres(ctx context.Context) error {
	if b.DSN == "" || b.Store == Postgres {
		b.missing("SQLite against PostgreSQL: no connection URL was given, or the run itself is on PostgreSQL")
		return nil
	}
	if err := b.stopGateway(); err != nil {
		return err
	}
	o := b.Options
	o.Store, o.All, o.Dir, o.Out = Postgres, false, filepath.Join(b.Dir, "postgres"), nil
	other, err := run(ctx, o)
	if err != nil {
		return fmt.Errorf("on PostgreSQL: %w", err)
	}
	if !other.Proof.Holds {
		return fmt.Errorf("on PostgreSQL: %w", ErrLost)
	}
	var ratios []float64
	for i := range min(len(other.Rounds), len(b.report.Rounds)) {
		ratios = append(ratios, other.Rounds[i].Full.Rate/b.report.Rounds[i].Full.Rate)
	}
	p := other.Rounds
	full := spreadOf(pick(p, func(r Round) float64 { return r.Full.Rate }))
	p50s := spreadOf(pick(p, func(r Round) float64 { return r.Full.P50 }))
	b.figure("full load on PostgreSQL ÷ full load on SQLite", "×", fmt.Sprintf("%s calls/s, p50 %s ms; its proof holds", full, p50s), ratios...)
	return nil
}

// A ledger is an audit recorder over a log and store of its own, without a gateway.
type ledger struct {
	db       *store.DB
	log      *tlog.Log
	recorder *audit.Recorder
}

const ledgerOrigin = "hammer.example/log"

// openLedger makes a new log in a folder, with keys of its own.
func openLedger(ctx context.Context, dir string) (_ *ledger, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ring, err := envelope.NewKeyring(nil, envelope.Key{ID: "hammer", Secret: sm.Digest([]byte(rand.Text()))})
	if err != nil {
		return nil, err
	}
	index := sm.Digest([]byte(rand.Text()))
	l := &ledger{}
	l.db, err = store.Open(ctx, store.Config{
		Path: filepath.Join(dir, "oncegate.db"), Log: ledgerOrigin, Sealer: ring, Digest: func(b []byte) []byte { d := sm.HMAC(index[:], b); return d[:] },
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	c := tlog.Config{Origin: ledgerOrigin, Storage: l.db.Log(), NewSM3: sm.New, Mark: filepath.Join(dir, "mark")}
	if err := throwAwayKeys(&c); err != nil {
		return nil, err
	}
	if err := tlog.Create(ctx, c); err != nil {
		return nil, err
	}
	if l.log, err = tlog.Open(ctx, c); err != nil {
		return nil, err
	}
	l.recorder, err = audit.NewRecorder(audit.Config{Self: "hammer", Log: l.log, Sealer: ring, NewSM3: sm.New, IndexKeys: [][]byte{index[:]}})
	return l, err
}

// throwAwayKeys gives a log keys that nobody keeps.
func throwAwayKeys(c *tlog.Config) error {
	key, err := sm.GenerateKey(nil)
	if err != nil {
		return err
	}
	signer, err := sm.NewSigner("hammer", key, nil)
	if err != nil {
		return err
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	if c.SM2, err = lognote.SM2NoteSigner(c.Origin, signer); err != nil {
		return err
	}
	if c.Ed25519, err = lognote.Ed25519NoteSigner(c.Origin, private); err != nil {
		return err
	}
	c.Own, err = lognote.Ed25519NoteVerifiers(c.Origin, public)
	return err
}

func (l *ledger) close() error {
	var err error
	if l.log != nil {
		err = l.log.Close(context.Background())
	}
	return errors.Join(err, l.db.Close())
}

// ledgerHolder is who the records are about.
var ledgerHolder = companyCode(0)

// draft is a query's record with its evidence and its claim, as a gateway makes it: a new call each.
func draft() (audit.Draft, error) {
	now := time.Now()
	jti, err := token.NewID(now, nil)
	return audit.Draft{
		Operation: "licenses.query", System: approval, Operator: "hammer", RequestID: jti, Token: strings.Repeat("t", 700) + jti,
		Body:   []byte(`{"purpose":{"case":"HM-2026-000001","material":"business-license"},"license_type":"business-license","holder":{"type":"001","code":"` + ledgerHolder + `"}}`),
		Answer: []byte(`{"nonce":"` + jti + `","text":"` + strings.Repeat("x", 3000) + `"}`), Policy: sm.DigestB64([]byte("policy")),
		Uses: []audit.Use{{
			Person: license.HolderID{Type: "001", Code: ledgerHolder}, Material: "business-license", Matter: foodMatter, Case: "HM-2026-000001", Basis: "case", LicenseType: "business-license", Decision: "release",
			Rules: []string{"food/business-license"}, Fields: []string{"address", "business_scope", "enterprise_type", "holder_code", "holder_name", "name", "number", "status"},
			Source: "market-registration", Freshness: "live",
		}},
		Inputs: map[string]any{"decisions": []any{map[string]any{"operation": "licenses.query", "system": approval, "matter": foodMatter}}},
		Claim:  &audit.Claim{System: approval, JTI: jti, Exp: now.Add(5 * time.Minute)},
	}, err
}

// measureRecords measures what a durable record costs: at Recorder.Record with 64 callers, and appends by 1, 64 and 512 writers
// against the rate at which one writer can sync a file on the same disk in the same minute.
func (b *session) measureRecords(ctx context.Context) error {
	longest := min(2*time.Second, b.Duration)
	var syncs, p50s []float64
	rates, ratios := map[int][]float64{}, map[int][]float64{}
	writers := []int{1, 64, 512}
	for round := range b.Rounds {
		dir := b.path("ledger", fmt.Sprint(round))
		l, err := openLedger(ctx, dir)
		if err != nil {
			return err
		}
		b.meter.say("syncing a file")
		rate, err := syncRate(filepath.Join(dir, "sync"), longest/2)
		if err != nil {
			return errors.Join(err, l.close())
		}
		syncs = append(syncs, rate)
		for _, w := range writers {
			b.meter.say(fmt.Sprintf("records by %d writers", w))
			took, spent, err := l.recordFor(ctx, w, math.MaxInt, longest)
			if err != nil || ctx.Err() != nil {
				return errors.Join(err, ctx.Err(), l.close())
			}
			per := float64(len(took)) / spent.Seconds()
			rates[w], ratios[w] = append(rates[w], per), append(ratios[w], per/rate)
			if w == 64 {
				slices.Sort(took)
				p50s = append(p50s, quantile(took, 0.5))
			}
		}
		if err := l.close(); err != nil {
			return err
		}
	}
	b.figure("what the durable record adds at 64 callers, p50 at Recorder.Record", "ms", "at most 4", p50s...)
	b.figure("syncs of one writer, 512 bytes appended each", "per second", "", syncs...)
	for _, w := range writers {
		b.figure(fmt.Sprintf("records by %d writers ÷ syncs of one writer", w), "×", fmt.Sprintf("%s records/s, sealed evidence and claim included", spreadOf(rates[w])), ratios[w]...)
	}
	return nil
}

// recordFor makes at most so many records from so many concurrent callers, for a time, and returns the latency of each.
func (l *ledger) recordFor(ctx context.Context, callers, most int, longest time.Duration) (all []time.Duration, spent time.Duration, err error) {
	var mu sync.Mutex
	var failed atomic.Pointer[error]
	var begun atomic.Int64
	begin := time.Now()
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			var own []time.Duration
			for ctx.Err() == nil && failed.Load() == nil && begun.Add(1) <= int64(most) && time.Since(begin) < longest {
				d, err := draft()
				from := time.Now()
				if err == nil {
					_, err = l.recorder.Record(ctx, d)
				}
				if err != nil && ctx.Err() == nil {
					failed.Store(&err)
					return
				}
				own = append(own, time.Since(from))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		})
	}
	group.Wait()
	if p := failed.Load(); p != nil {
		err = *p
	}
	return all, time.Since(begin), err
}

// syncRate is the number of appends of 512 bytes with fsync that one writer makes in a second.
func syncRate(name string, longest time.Duration) (float64, error) {
	f, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	block := make([]byte, 512)
	begin, n := time.Now(), 0
	for ; time.Since(begin) < longest; n++ {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

func p50(list []time.Duration) float64 {
	slices.Sort(list)
	return quantile(list, 0.5)
}

// The matter whose eight materials come from eight systems.
const (
	eightMatter = "YC-EIGHT-08"
	eightCase   = "HM-2026-EIGHT"
	eight       = 8
	slowness    = 50 * time.Millisecond // of each of its sources
	samr        = "11379901MB99103773"
)

// slowSources are eight legacy systems with a fixed latency for every answer.
type slowSources struct {
	server *http.Server
	base   string
}

func startSlow() (*slowSources, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start slow sources: %w", err)
	}
	s := &slowSources{server: &http.Server{Handler: http.HandlerFunc(answerSlowly)}, base: "http://" + l.Addr().String()}
	go s.server.Serve(l)
	return s, nil
}

func (s *slowSources) close() error { return s.server.Close() }

// answerSlowly answers with the one permit that the company has here.
func answerSlowly(w http.ResponseWriter, r *http.Request) {
	code := r.URL.Query().Get("code")
	select {
	case <-time.After(slowness):
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"list":[{"no":"P%s-%s","code":%q,"name":"云川示例有限公司","scope":"示例经营","from":"20240301","state":"1"}]}`, strings.Trim(r.URL.Path, "/"), code[len(code)-6:], code)
}

// ask queries a system directly, as the baseline.
func (s *slowSources) ask(ctx context.Context, n int, company string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/%d?code=%s", s.base, n, company), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		err = errors.New("a slow source refused")
	}
	return errors.Join(err, res.Body.Close())
}

// each joins a text for each of the eight.
func each(format string, args func(n int) []any) string {
	var b strings.Builder
	for n := 1; n <= eight; n++ {
		fmt.Fprintf(&b, format, args(n)...)
	}
	return b.String()
}

func number(n int) []any { return []any{n} }

// types stand at the end of the catalogue.
func (s *slowSources) types() string {
	return each(`
  - id: permit-%[1]d
    code: `+samr+`90%[1]d
    code_confidence: local
    name: 示例许可%[1]d
    name_en: sample permit %[1]d
    defined_by: {name: 云川市市场监督管理局, code: `+samr+`, level: "3"}
    holder_category: "2"
    validity_range: 长期
    issuers: [`+samr+`]
    fields:
      - {name: scope, title: 许可范围, title_en: scope, kind: text, required: true}
`, number)
}

func (s *slowSources) matters() string {
	return "list: hammer-matters/1\nmatters:\n  - code: " + eightMatter + "\n    name: 八源示例\n    name_en: eight sources\n    department: service\n    materials:\n" + each(`
      - code: permit-%[1]d
        name: 示例许可%[1]d
        name_en: sample permit %[1]d
        is_need: 1
        route: license
        license_type: permit-%[1]d
        fallback: {kind: upload}
`, number)
}

func (s *slowSources) grants() string {
	return "shares:\n" + each("  - {license_type: permit-%d, share: 1, provider: samr}\n", number) +
		"permissions:\n  - {id: eight/cases, systems: [" + acceptance + "], operations: [cases.register], matters: [" + eightMatter + "], basis: load}\n" +
		"grants:\n" + each(`
  - id: eight/permit-%[1]d
    agreement: 示例
    provider: samr
    systems: [`+approval+`]
    license_type: permit-%[1]d
    operations: [cases.check]
    matters: [`+eightMatter+`]
    fields: [name, number, status, holder_name, holder_code, scope]
    basis: load
    basis_kind: rule
    scenario: load
    attestation: platform
    valid_until: "2099-12-31"
`, number)
}

func (s *slowSources) sources() string {
	return "sources:\n" + each(`
  - id: slow-%[1]d
    department: samr
    rest:
      base_url: %[2]s
      calls:
        - method: GET
          path: /%[1]d
          query: {code: "{holder_code}"}
          answer: {records: /list, not_found: [{empty: true}]}
          record:
            type: permit-%[1]d
            number: /no
            issuer: {name: {const: 云川市市场监督管理局}, code: {const: `+samr+`}, level: {const: "3"}}
            issued: {from: /from, layouts: [yyyyMMdd]}
            valid_from: {from: /from, layouts: [yyyyMMdd]}
            status: {from: /state, list: hammer/1, codes: {"1": valid}}
            holders: {code: /code, name: /name, type: {const: "001"}}
            fields: {scope: /scope}
`, func(n int) []any { return []any{n, s.base} })
}

// slowest asks all eight concurrently, and returns the latency of the slowest.
func (s *slowSources) slowest(ctx context.Context, company string) (time.Duration, error) {
	errs := make([]error, eight)
	begin := time.Now()
	var all sync.WaitGroup
	for n := range eight {
		all.Go(func() { errs[n] = s.ask(ctx, n+1, company) })
	}
	all.Wait()
	return time.Since(begin), errors.Join(errs...)
}

// countMet counts the materials that an answer calls met.
func countMet(body []byte) (met int) {
	var e struct {
		Answer api.CheckAnswer `json:"answer"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return 0
	}
	for _, m := range e.Answer.Materials {
		if m.State == api.MaterialStateMet {
			met++
		}
	}
	return met
}
