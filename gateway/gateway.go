// Package gateway is where calls flow: open, facts, decide, confirm, find, register, select, record, answer (design §4).
// Nothing leaves it that is not recorded first.
package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/sm"
	"oncegate/license"
	"oncegate/tlog"
)

// Config is what a gateway is made of. All fields without a default are required.
type Config struct {
	Audience  string // the gateway's id: aud of every call
	PublicURL string // what callers put before path and query in htu, without a slash at its end
	Origin    string // of the log

	Cases    cases.Storage
	Recorder *audit.Recorder
	Auditor  *audit.Auditor
	Records  Records
	View     *tlog.View

	StatusList func(ctx context.Context, id string) (token string, err error)                          // signed status list; fs.ErrNotExist if there is none
	Verify     func(ctx context.Context, v api.VerifyRequest) (kind string, _ []license.Step, _ error) // of licenses, answers and receipts
	VerifySM2  sm.VerifyFunc                                                                           // default sm.Verify

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
	InFlight  int           // calls under way at once; default 1024
}

// A Gateway answers calls. It is safe for concurrent use.
type Gateway struct {
	Config
	contract *api.Contract
	routes   map[string]http.Handler // by operation id
	running  atomic.Pointer[running]
	claims   *claims
	metrics  *metrics
	security *securityLog
	inFlight chan struct{} // one slot per call under way
	logger   *slog.Logger
}

// New returns a gateway that answers by a snapshot. Use replaces the snapshot later.
func New(c Config, s *Snapshot) (*Gateway, error) {
	switch {
	case c.Audience == "" || c.PublicURL == "" || c.Origin == "":
		return nil, errors.New("make gateway: audience, public URL and log origin are required")
	case c.Cases == nil || c.Recorder == nil || c.Auditor == nil || c.Records == nil || c.View == nil:
		return nil, errors.New("make gateway: a room is missing")
	case c.StatusList == nil || c.Verify == nil || c.Metrics == nil:
		return nil, errors.New("make gateway: status lists, verification and metrics are required")
	}
	contract, err := api.NewContract()
	if err != nil {
		return nil, fmt.Errorf("make gateway: %w", err)
	}
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
	c.Limits.Materials = orDefault(c.Limits.Materials, 64)
	c.Limits.Call = orDefault(c.Limits.Call, 15*time.Second)
	c.Limits.InFlight = orDefault(c.Limits.InFlight, 1024)
	g := &Gateway{Config: c, contract: contract, claims: newClaims(), metrics: newMetrics(c.Metrics), logger: c.Logger,
		security: newSecurityLog(c.Logger, c.Now), inFlight: make(chan struct{}, c.Limits.InFlight)}
	g.Use(s)
	if err := g.route(); err != nil {
		return nil, fmt.Errorf("make gateway: %w", err)
	}
	return g, nil
}

func (g *Gateway) now() time.Time { return g.Now() }

// Use swaps the snapshot: calls that have not been recorded yet are decided again by it. Sources that did not change keep
// their breakers and their calls under way. The caller has checked the snapshot and recorded that it is in force.
func (g *Gateway) Use(s *Snapshot) {
	old := g.running.Load()
	next := &running{Snapshot: s, sources: make(map[string]*guardedSource, len(s.Sources)), limits: newLimits(s.Systems)}
	for _, c := range s.Sources {
		if old != nil {
			if was := old.sources[c.ID]; was != nil && was.Source == c.Source && was.sameBounds(c) {
				next.sources[c.ID] = was
				continue
			}
		}
		next.sources[c.ID] = guardSource(c, g.metrics, g.now)
	}
	if old != nil {
		next.limits.adopt(old.limits)
	}
	g.running.Store(next)
}

// Run does what recurs until ctx ends: once a minute, one record per system whose calls were refused by its limit.
func (g *Gateway) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			g.recordLimits(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			g.recordLimits(ctx)
		}
	}
}

func (g *Gateway) recordLimits(ctx context.Context) {
	config := g.running.Load()
	for system, n := range config.limits.take() {
		_, err := g.Recorder.RecordOwn(ctx, audit.Own{
			Operation: "limits.refused", System: system, Policy: config.Policy.Digest(), Inputs: map[string]int{"calls": n},
		})
		if err != nil {
			g.logger.ErrorContext(ctx, "refused calls were not recorded", "system", system, "calls", n, "error", err.Error())
		}
	}
}
