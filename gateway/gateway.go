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
	View     *tlog.View // of the tlog.Log: any other believes whatever head is stored, and refuses what needs one

	StatusList func(ctx context.Context, id string) (SignedList, error)                 // as it stands now; fs.ErrNotExist if there is none
	Verify     func(ctx context.Context, v api.VerifyRequest) (api.VerifyAnswer, error) // kind, steps and signatures of licenses, documents, answers and receipts
	VerifySM2  sm.VerifyFunc                                                            // default sm.Verify

	// ClientHeader is the header in which a proxy before us says where a request comes from; its last element counts, which
	// the proxy itself has added. Empty: the address of the connection counts. Callers who prove nothing are limited by it;
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
	Unproven  int           // calls per second, network and key that prove nobody before signatures are checked in turns; default 100
}

// A Gateway answers calls. It is safe for concurrent use.
type Gateway struct {
	Config
	contract            *api.Contract
	routes              map[string]http.Handler // by operation id
	running             atomic.Pointer[running]
	claims              *claims
	limits              *limits
	refused, unrecorded tally // calls whose system had used up its share; whose record failed
	suspects            *suspects
	metrics             *metrics
	security            *securityLog
	intake              *intake
	logger              *slog.Logger
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
		Config: c, contract: contract, claims: newClaims(), limits: &limits{}, suspects: newSuspects(c.Limits.Unproven), metrics: newMetrics(c.Metrics),
		security: newSecurityLog(c.Logger, c.Now), intake: newIntake(c.Limits), logger: c.Logger,
	}
	g.Use(s)
	if err := g.route(); err != nil {
		return nil, fmt.Errorf("make gateway: %w", err)
	}
	return g, nil
}

// check finds what is missing.
func (c Config) check(s *Snapshot) error {
	switch {
	case c.Audience == "" || c.PublicURL == "" || c.Origin == "":
		return errors.New("audience, public URL and log origin are required")
	case c.Cases == nil || c.Recorder == nil || c.Auditor == nil || c.Records == nil || c.View == nil:
		return errors.New("a room is missing")
	case c.StatusList == nil || c.Verify == nil || c.Metrics == nil:
		return errors.New("status lists, verification and metrics are required")
	case s == nil || s.Catalogue == nil || s.Book == nil || s.Calendar == nil || s.Policy == nil || s.Register == nil:
		return errors.New("the snapshot is not complete")
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
	c.Limits.Materials = orDefault(c.Limits.Materials, 64)
	c.Limits.Call = orDefault(c.Limits.Call, 15*time.Second)
	c.Limits.InFlight = orDefault(c.Limits.InFlight, 1024)
	c.Limits.Memory = orDefault(c.Limits.Memory, 256<<20)
	c.Limits.Unproven = orDefault(c.Limits.Unproven, 100)
	return c
}

func (g *Gateway) now() time.Time { return g.Now() }

// Use swaps the snapshot: calls that have not been recorded yet are decided again by it. Sources that did not change keep
// their breakers and their calls under way. The caller has checked the snapshot and recorded that it is in force.
func (g *Gateway) Use(s *Snapshot) {
	old, weights := g.running.Load(), weights(s.Systems)
	next := &running{Snapshot: s, sources: make(map[string]*guardedSource, len(s.Sources))}
	for _, c := range s.Sources {
		if old != nil && old.sources[c.ID] != nil && old.sources[c.ID].same(c) {
			next.sources[c.ID] = old.sources[c.ID]
		} else {
			next.sources[c.ID] = guardSource(c, g.metrics, g.logger, g.now)
		}
		next.sources[c.ID].slots.Divide(weights)
	}
	next.learnWords()
	g.limits.use(s.Systems)
	g.intake.use(weights)
	g.running.Store(next)
}
