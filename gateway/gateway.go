// Package gateway is the request handling of a gateway: it authorises each call against the facts of its case and the policy, asks the sources,
// releases the granted fields of signed licenses, and records the call before its answer leaves.
//
// A call comes in by HTTP (http.go) or from this process (do.go), and then takes the same path: call.go decides it, again where
// something changed meanwhile; purpose.go checks why it is asked, decide.go what is allowed, find.go what the sources have;
// release.go selects what leaves; record.go makes it durable, evidence.go says what is recorded. Each operation is a method of
// the table in operations.go.
package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/sm"
	"oncegate/gateway/intake"
	"oncegate/gateway/sources"
	"oncegate/tlog"
)

// Config is the configuration and the dependencies of a gateway. All fields without a default are required.
type Config struct {
	Audience  string // the gateway's id: aud of every call
	PublicURL string // what callers put before path and query in htu, without a slash at its end
	Origin    string // of the log

	Cases    cases.Storage
	Recorder *audit.Recorder
	Auditor  *audit.Auditor
	Records  Records
	View     *tlog.View // of the tlog.Log: any other view trusts whatever head is stored

	// Cosigned returns the receipt of an entry under the first checkpoint beyond it that a quorum of witnesses has co-signed;
	// fs.ErrNotExist if there is none yet. Default: there is none.
	Cosigned func(ctx context.Context, index uint64) (tlog.Receipt, error)

	StatusList func(ctx context.Context, id string) (SignedList, error)                 // as it stands now; fs.ErrNotExist if there is none
	Verify     func(ctx context.Context, v api.VerifyRequest) (api.VerifyAnswer, error) // kind, steps and signatures of licenses, documents, answers and receipts
	Node       func(ctx context.Context) (api.NodeAnswer, error)                        // how well the node is
	VerifySM2  sm.VerifyFunc                                                            // default sm.Verify

	// Pages serves the pages for people that need no sign-in: the public pages of documents' codes. It bounds its own work with Turn. Nil: there are none.
	Pages http.Handler

	// ClientHeader is the header in which a proxy before us says where a request comes from; its last element counts, which
	// the proxy itself has added. Empty: the address of the connection counts. Unauthenticated callers are limited by it;
	// behind a proxy that is not named here all of them share one limit.
	ClientHeader string

	Limits  Limits
	Metrics prometheus.Registerer
	Logger  *slog.Logger     // default: discard
	Now     func() time.Time // default time.Now
	Rand    io.Reader        // default crypto/rand
}

// Records finds what a system's own call left.
type Records interface {
	// ByJTI returns the index of the record of a call; fs.ErrNotExist if there is none.
	ByJTI(ctx context.Context, system, jti string) (uint64, error)
}

// Limits bound what calls may cost. Zero values take the defaults.
type Limits struct {
	Materials int           // materials in one check; default 64
	Call      time.Duration // longest time of one call; default 15 s
	InFlight  int           // calls under way at once, of all systems; default 1024
	Memory    int           // bytes of memory for the bodies of all calls under way, four for each byte of a body; default 256 MiB
	Unproven  int           // failed signatures per second, network and key before further ones are queued; default 100
}

// A Gateway answers calls. It is safe for concurrent use.
type Gateway struct {
	Config
	contract   *api.Contract
	operations map[string]*operation   // that take a token, by id
	handlers   map[string]http.Handler // of all operations, by id
	running    atomic.Pointer[running]
	intake     *intake.Intake
	limited    systemCounter // calls refused because their system had reached a limit
	failed     systemCounter // calls not answered because their record failed
	metrics    *metrics
	logger     *slog.Logger
	earlier    earlierSets
	late       lateAnswers
}

// New returns a gateway that answers by a snapshot. Use replaces the snapshot later.
func New(c Config, s *Snapshot) (*Gateway, error) {
	if err := c.check(s); err != nil {
		return nil, fmt.Errorf("make gateway: %w", err)
	}
	contract, err := api.NewContract()
	if err != nil {
		return nil, fmt.Errorf("make gateway: %w", err)
	}
	c = c.withDefaults()
	g := &Gateway{
		Config: c, contract: contract, operations: make(map[string]*operation), intake: c.newIntake(), metrics: newMetrics(c.Metrics), logger: c.Logger,
	}
	g.Use(s)
	if err := g.bind(); err != nil {
		return nil, fmt.Errorf("make gateway: %w", err)
	}
	return g, nil
}

func (c Config) newIntake() *intake.Intake {
	return intake.New(intake.Config{
		Audience: c.Audience, PublicURL: c.PublicURL, ClientHeader: c.ClientHeader, InFlight: c.Limits.InFlight, Memory: c.Limits.Memory,
		Failures: c.Limits.Unproven, VerifySM2: c.VerifySM2, Now: c.Now, Logger: c.Logger,
	})
}

// check finds what is missing.
func (c Config) check(s *Snapshot) error {
	switch {
	case c.Audience == "" || c.PublicURL == "" || c.Origin == "":
		return errors.New("audience, public URL and log origin are required")
	case c.Cases == nil || c.Recorder == nil || c.Auditor == nil || c.Records == nil || c.View == nil:
		return errors.New("case storage, recorder, auditor, records and log view are required")
	case c.StatusList == nil || c.Verify == nil || c.Node == nil || c.Metrics == nil:
		return errors.New("status lists, verification, the state of the node and metrics are required")
	case s == nil || s.Catalogue == nil || s.Book == nil || s.Calendar == nil || s.Policy == nil || s.Register == nil:
		return errors.New("the snapshot needs a catalogue, matters, a calendar, a policy and a register")
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.VerifySM2 == nil {
		c.VerifySM2 = sm.Verify
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Limits.Materials = cmp.Or(c.Limits.Materials, 64)
	c.Limits.Call = cmp.Or(c.Limits.Call, 15*time.Second)
	c.Limits.InFlight = cmp.Or(c.Limits.InFlight, 1024)
	c.Limits.Memory = cmp.Or(c.Limits.Memory, 256<<20)
	c.Limits.Unproven = cmp.Or(c.Limits.Unproven, 100)
	return c
}

func (g *Gateway) now() time.Time { return g.Now() }

// Use swaps the snapshot: calls that have not been recorded yet are decided again by it. Sources that did not change keep
// their breakers and their calls under way. The caller has checked the snapshot and recorded that it is in force.
func (g *Gateway) Use(s *Snapshot) {
	old, allowances, weights := g.running.Load(), make(map[string]intake.Allowance, len(s.Systems)), make(map[string]float64, len(s.Systems))
	for id, system := range s.Systems {
		allowances[id] = system.allowance()
		weights[id] = allowances[id].Share
	}
	next := &running{Snapshot: s, sources: make(map[string]*sources.Resilient, len(s.Sources))}
	for _, c := range s.Sources {
		if old != nil && old.sources[c.ID] != nil && old.sources[c.ID].Same(c) {
			next.sources[c.ID] = old.sources[c.ID]
		} else {
			next.sources[c.ID] = sources.New(c, g.metrics.sources, g.logger, g.now)
		}
		next.sources[c.ID].Divide(weights)
	}
	next.indexCodes()
	g.intake.Use(allowances)
	g.running.Store(next)
}

// An Outage is a source that answered none of the calls made lately.
type Outage struct {
	Source     string
	Department string // id of the department whose system it is
	Since      time.Time
	Until      time.Time    // when it is expected back, by its planned maintenance; zero: not known
	Why        api.Sentence // of the maintenance
}

// Outages returns the sources that do not answer, as calls of the last minutes tell, in the order of the configuration. No source is asked.
func (g *Gateway) Outages() (list []Outage) {
	config := g.running.Load()
	for _, c := range config.Sources {
		if since, down := config.sources[c.ID].DownSince(); down {
			o := Outage{Source: c.ID, Department: c.Department, Since: since}
			if m, ok := config.maintained(c.ID, g.now()); ok {
				o.Until, o.Why = m.To, m.Why
			}
			list = append(list, o)
		}
	}
	return list
}

// A systemCounter counts calls by system, so that one line or record a minute summarises what one for each call would flood.
// The zero value is ready for use.
type systemCounter struct {
	mu    sync.Mutex // protects calls
	calls map[string]int
}

// add counts calls of a system and returns how many there are since the last time.
func (t *systemCounter) add(system string, calls int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls == nil {
		t.calls = make(map[string]int)
	}
	t.calls[system] += calls
	return t.calls[system]
}

// take returns the calls counted since the last time, by system.
func (t *systemCounter) take() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := t.calls
	t.calls = nil
	return taken
}

// Run summarises until ctx ends: once a minute, for each system, one record and one log line of the calls that were refused by a
// limit, and one log line of those that could not be recorded.
func (g *Gateway) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			g.summarize(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			g.summarize(context.WithoutCancel(ctx))
		}
	}
}

// summarize writes the summaries. What could not be recorded is counted again for the next one.
func (g *Gateway) summarize(ctx context.Context) {
	config := g.running.Load()
	for system, calls := range g.failed.take() {
		g.logger.ErrorContext(ctx, "calls not answered: their records failed", "system", system, "calls", calls)
	}
	for system, calls := range g.limited.take() {
		_, err := g.Recorder.RecordOwn(ctx, audit.Own{
			Operation: "limits.refused", System: system, Policy: config.Policy.Digest(), Inputs: map[string]int{"calls": calls},
		})
		if err != nil {
			g.limited.add(system, calls)
			g.logger.ErrorContext(ctx, "summary of refused calls was not recorded", "system", system, "calls", calls, "error", err.Error())
			continue
		}
		g.logger.WarnContext(ctx, "calls refused: the system had reached a limit", "system", system, "calls", calls)
	}
}

// nodeStatus says how well the node is that answers (GET /v1/node).
func (g *Gateway) nodeStatus(ctx context.Context, _ *call, _ struct{}) (*result, error) {
	answer, err := g.Node(ctx)
	if err != nil {
		return nil, err
	}
	return &result{answer: answer}, nil
}
