// Package node runs a gateway: it opens what a checked configuration names, listens, serves, does recurring work, and reloads the
// configuration when its files change (hot reload).
package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/keystore"
	"oncegate/certs/second"
	"oncegate/certs/sm"
	"oncegate/config"
	"oncegate/console/barcode"
	"oncegate/console/session"
	papers "oncegate/document"
	"oncegate/gateway"
	"oncegate/install"
	"oncegate/register"
	"oncegate/store"
	"oncegate/tlog"
	"oncegate/verdict"
	"oncegate/witness"
)

// Options are what a node takes from its program. The zero value is usable.
type Options struct {
	Logger   *slog.Logger         // default: discard
	Registry *prometheus.Registry // default: one of its own
	Now      func() time.Time     // default time.Now
	Serving  func()               // called once, when calls are taken and a SIGHUP reloads; default: nothing
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Serving == nil {
		o.Serving = func() {}
	}
	return o
}

// A Node is one running gateway with its store, log, sources and listeners.
type Node struct {
	Options
	metrics  *metrics
	db       *store.DB
	log      *tlog.Log
	asker    *witness.Asker
	dual     *second.DualVerifier
	keyring  *config.Keyring
	recorder *audit.Recorder
	auditor  *audit.Auditor
	lists    statusLists
	seen     *verdict.SeenLists
	gateway  *gateway.Gateway
	console  http.Handler // nil where the configuration has no console
	today    handledToday
	service  *listener
	admin    *listener

	current atomic.Pointer[running]
	reload  sync.Mutex // held during a reload
	ready   readiness

	attempted   atomic.Pointer[[]string] // the inputs of what the last reload read, in force or not
	refused     atomic.Pointer[unloaded] // why it is not in force; nil if it is
	lastReload  atomic.Pointer[attempt]
	started     time.Time
	reloadRetry time.Duration

	folders []*folder

	markPatience time.Duration

	closers []func(context.Context) error // in the order of opening
	changes *fileWatcher
}

// running is the snapshot that a reload replaces atomically.
type running struct {
	setup    *config.Setup
	sources  sources
	snapshot *gateway.Snapshot
	trust    *verdict.Trust
	console  *session.Current
	codes    *barcode.Reader // of what scanners read at windows
	papers   *papers.Codes   // of documents
	since    time.Time       // in force
}

// Open reads the configuration, opens everything it names and binds both listeners; Run then serves. The error is a fault.List if
// the configuration is unusable. A log that was never created is not made here: Prepare does that.
func Open(ctx context.Context, path string, o Options) (_ *Node, err error) {
	ignoreFileSizeSignal()
	n := &Node{Options: o.withDefaults(), markPatience: defaultMarkPatience, reloadRetry: reloadRetry}
	n.started = n.Now()
	n.lastReload.Store(&attempt{cause{by: api.NodeReloadByStart}, n.started, api.NodeReloadResultOk})
	setup, faults := config.Load(path, n.Now())
	for _, w := range faults.Warnings() {
		n.Logger.Warn("configuration", "at", w.String())
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	if setup.Keys == nil {
		return nil, fmt.Errorf("open node: %w; run: oncegate init -c %s", setup.KeysErr, path)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close(context.WithoutCancel(ctx)))
		}
	}()
	for _, step := range []func(context.Context, *config.Setup) error{n.openVerifiers, n.openStore, n.openLog, n.openSeen, n.openAudit, n.checkTables, n.watchSpace, n.listen, n.openGateway, n.openConsole} {
		if err := step(ctx, setup); err != nil {
			return nil, fmt.Errorf("open node: %w", err)
		}
	}
	n.changes = n.watchFiles() // before anybody is told where the node listens
	n.onClose(func(context.Context) error { n.changes.close(); return nil })
	return n, nil
}

// onClose registers a function that close calls, last opened first.
func (n *Node) onClose(close func(context.Context) error) { n.closers = append(n.closers, close) }

func (n *Node) close(ctx context.Context) error {
	var all []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		all = append(all, n.closers[i](ctx))
	}
	n.closers = nil
	return errors.Join(all...)
}

// Close releases a node that was opened and is not to be run. Run closes by itself.
func (n *Node) Close() error { return n.close(context.Background()) }

func (n *Node) openVerifiers(context.Context, *config.Setup) error {
	n.metrics = newMetrics(n.Registry)
	n.dual = second.New(second.Config{Alarm: func(d second.Disagreement) {
		n.metrics.disagreements.Inc()
		n.Logger.Error("the two SM2 verifiers disagree", "key", d.Key, "message", d.Message, "fast", d.Fast == nil, "second", d.Second == nil)
	}})
	n.onClose(func(context.Context) error { n.dual.Close(); return nil })
	return nil
}

func (n *Node) openStore(ctx context.Context, s *config.Setup) (err error) {
	if n.db, n.keyring, err = s.OpenStore(ctx, config.OpenOptions{Now: n.Now, Alarm: n.alarm(), Name: nodeName()}); err != nil {
		return err
	}
	n.onClose(func(context.Context) error { return n.db.Close() })
	return nil
}

func (n *Node) openLog(ctx context.Context, s *config.Setup) error {
	c, err := s.LogConfig(n.db.Log(), n.Logger)
	if err != nil {
		return err
	}
	n.log, err = tlog.Open(ctx, c)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return install.LogMissing(s)
	case errors.Is(err, tlog.ErrRolledBack):
		return fmt.Errorf("%w: put the newest backup of the database back, or, if nothing newer is left, run oncegate recover (operations, section 4)", err)
	case errors.Is(err, tlog.ErrForged): // by a key that this keystore does not have, or by none
		return fmt.Errorf("%w; either the database was tampered with (operations, section 5), or %w; %s", err, install.ErrOldKeys, install.OldKeysAdvice)
	case err != nil:
		return err
	}
	n.onClose(n.log.Close)
	n.metrics.watchLog(n.log)
	n.asker = witness.NewAsker(witness.AskerConfig{Log: n.log, Now: n.Now, Logger: n.Logger, Registry: n.Registry})
	n.metrics.watchDualVerifier(n.dual)
	n.Registry.MustRegister(stateCollector{n})
	return nil
}

// openSeen reads which status lists were seen last, so that no older one is accepted (rollback), even after a restart. The file lies beside
// the log's mark: outside the database and its backups, which would bring an old one back.
func (n *Node) openSeen(_ context.Context, s *config.Setup) (err error) {
	n.seen, err = verdict.OpenSeenLists(s.Log.Mark+".status-lists", func(err error) { n.Logger.Error("status list", "error", err.Error()) })
	return err
}

func (n *Node) openAudit(_ context.Context, s *config.Setup) error {
	c, err := s.AuditConfig(n.log, n.db.Audit(), n.keyring, n.Now)
	if err != nil {
		return err
	}
	if n.recorder, err = audit.NewRecorder(c); err != nil {
		return err
	}
	n.auditor, err = audit.NewAuditor(c)
	return err
}

func (n *Node) openGateway(ctx context.Context, s *config.Setup) error {
	next, err := n.prepare(ctx, s, nil)
	if err != nil {
		return err
	}
	n.onClose(func(context.Context) error { return n.current.Load().sources.close() })
	next.since = n.Now()
	n.current.Store(next)
	if err := n.activate(ctx, next); err != nil {
		return err
	}
	pages, err := n.codePages()
	if err != nil {
		return err
	}
	audits := n.db.Audit()
	n.gateway, err = gateway.New(gateway.Config{
		Audience: s.Gateway.ID, PublicURL: s.Gateway.PublicURL, Origin: s.Log.Origin,
		Cases: n.db.Cases(), Recorder: n.recorder, Auditor: n.auditor, Records: audits, View: n.log.View, Cosigned: n.log.CosignedReceipt,
		StatusList: n.statusList, Verify: n.verify, Node: n.status, VerifySM2: n.dual.Verify, Pages: pages,
		Limits:       gateway.Limits{Materials: s.Limits.Materials, Call: time.Duration(s.Limits.Call), InFlight: s.Limits.InFlight, Memory: s.Limits.Memory, Unproven: s.Limits.Unproven},
		ClientHeader: s.Gateway.ClientFrom,
		Metrics:      n.Registry, Logger: n.Logger, Now: n.Now,
	}, next.snapshot)
	return err
}

// prepare opens what a setup names and makes its snapshot, without using it yet. Sources that did not change are those of
// was.
func (n *Node) prepare(_ context.Context, s *config.Setup, was *running) (*running, error) {
	var old sources
	if was != nil {
		old = was.sources
	}
	config, err := s.TrustConfig(n.Now)
	if err != nil {
		return nil, err
	}
	config.Seen = n.seen
	trust, err := verdict.NewTrust(config)
	if err != nil {
		return nil, err
	}
	salt, err := s.Keys.Secret(keystore.Salt, "")
	if err != nil {
		return nil, err
	}
	reg, err := register.New(register.Config{
		Storage: n.db.Register(), Issuer: newIssuer(s, n.dual, n.Now), Sealer: n.keyring, Catalogue: s.Catalogue, NewSM3: sm.New,
		Key: salt.Secret[:], Origin: s.Log.Origin, BaseURL: s.Gateway.PublicURL, Now: n.Now,
		Originals: time.Duration(s.Retention.Originals),
	})
	if err != nil {
		return nil, err
	}
	onPaper, err := documentCodes(s, salt.Secret[:], reg)
	if err != nil {
		return nil, err
	}
	documents, err := n.documents(s, onPaper)
	if err != nil {
		return nil, err
	}
	opened, err := old.open(s, n.Logger, n.Now, n.db.Cases())
	if err != nil {
		return nil, err
	}
	codes, err := codesOf(s)
	if err != nil {
		return nil, err
	}
	departments := make(map[string]string, len(s.Departments))
	for _, d := range s.Departments {
		departments[d.ID] = d.Name
	}
	return &running{setup: s, sources: opened, trust: trust, console: consoleOf(s), codes: codes, papers: onPaper, snapshot: &gateway.Snapshot{
		Catalogue: s.Catalogue, Book: s.Book, Calendar: s.Calendar, Policy: s.Policy, Systems: s.Callers, Departments: departments,
		Sources: opened.configs(s), Serves: s.Serves, Maintenance: s.Maintenance, Results: issuing(s), Assertions: s.Asserters, IdentityServices: s.Vouchers, Subjects: s.Subjects(), Holders: s.Holders, Register: reg,
		Documents: documents, CopyLife: time.Duration(s.Gateway.CopyLife),
		AssertionLife: time.Duration(s.Gateway.AssertionLife), ConsentLife: time.Duration(s.Gateway.ConsentLife),
	}}, nil
}

func (n *Node) statusList(ctx context.Context, id string) (gateway.SignedList, error) {
	now := n.current.Load()
	expires := time.Duration(now.setup.Gateway.StatusList)
	if expires == 0 {
		expires = statusExpires
	}
	return n.lists.get(ctx, id, listMaker{now.snapshot.Register, now.setup.Keys, n.dual, expires, n.Now})
}

// AskWitnesses has the newest checkpoint co-signed now, besides the round of every minute.
func (n *Node) AskWitnesses(ctx context.Context) error {
	policy := n.current.Load().setup.AskWitnesses
	if len(policy.Ask) == 0 {
		return nil
	}
	return n.asker.Round(ctx, policy)
}

// WitnessedReceipt proves a record under the first checkpoint beyond it that a quorum of witnesses has co-signed; the error is fs.ErrNotExist
// if there is none yet. It asks nobody whether the record may be seen.
func (n *Node) WitnessedReceipt(ctx context.Context, index uint64) (tlog.Receipt, error) {
	return n.log.CosignedReceipt(ctx, index)
}

// WriteTrust writes the trust of the configuration in force.
func (n *Node) WriteTrust(dir string) error { return install.WriteTrust(n.current.Load().setup, dir) }

// verify verifies with the trust of the configuration in force.
func (n *Node) verify(ctx context.Context, v api.VerifyRequest) (api.VerifyAnswer, error) {
	return n.current.Load().trust.VerifyRequest(ctx, v)
}
