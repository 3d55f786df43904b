package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"oncegate/certs/keystore"
	"oncegate/config"
	"oncegate/demo/legacy"
	"oncegate/install"
	"oncegate/node"
	"oncegate/store"
	"oncegate/verdict"
)

// A stage is the running environment of the demo: the city's legacy systems, the gateway, and its callers' keys.
type stage struct {
	dir     string
	ours    bool         // the folder is temporary
	drop    func() error // removes the schema of a temporary installation on PostgreSQL
	began   time.Time
	ready   time.Duration // how long starting took
	city    *legacy.City
	setup   *config.Setup
	node    *node.Node
	callers *keystore.Store
	trust   *verdict.Trust
	journal *os.File // of the gateway

	password string // of the console's accounts

	stamping string       // host:port of the time-stamping authority
	stamper  *http.Server //

	identity      string       // host:port of the holders' identity provider
	citizenSecret string       // what it knows the console by
	citizens      *http.Server //

	watchers []*watcher // the witnesses of the log

	failed  chan error
	stop    context.CancelFunc
	stopped chan struct{}
}

// open prepares the folder, starts the legacy systems and the gateway.
func open(ctx context.Context, dir, postgres string) (_ *stage, err error) {
	st := &stage{dir: dir, began: time.Now(), failed: make(chan error, 5)}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.close())
		}
	}()
	if dir == "" {
		st.ours = true
		if st.dir, err = os.MkdirTemp("", "oncegate-demo-"); err != nil {
			return nil, err
		}
	}
	if st.dir, err = filepath.Abs(st.dir); err != nil {
		return nil, err
	}
	for _, part := range []string{"city", "gateway", "trust", "artefacts"} {
		if err := os.MkdirAll(st.path(part), 0o700); err != nil {
			return nil, err
		}
	}
	onPostgres := func(ctx context.Context) error { return st.onPostgres(ctx, postgres) }
	for _, step := range []func(context.Context) error{st.openCity, onPostgres, st.configureWitnesses, st.prepareGateway, st.openConsole, st.openStamping, st.openIdentity, st.openWitnesses, st.openGateway} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	st.ready = time.Since(st.began)
	return st, nil
}

// path is a path below the demo's folder.
func (st *stage) path(parts ...string) string {
	return filepath.Join(append([]string{st.dir}, parts...)...)
}

// mainFile is the gateway's configuration.
func (st *stage) mainFile() string { return st.path("gateway", config.MainFile) }

// openCity starts the legacy systems at the addresses in the configuration. If one is taken, it takes a free one and changes the
// configuration. The tax bureau's export is three days old.
func (st *stage) openCity(context.Context) error {
	c, err := configure(st.path("gateway"), st.began)
	if err != nil {
		return err
	}
	st.stamping, st.identity, st.citizenSecret = c.stamping, c.identity, c.citizenSecret
	st.city, err = legacy.Start(legacy.Config{
		Dir: st.path("city"), Police: c.police, PoliceToken: c.policeToken, Civil: c.civil, CivilCode: c.civilCode,
	})
	if err != nil {
		return err
	}
	if err := c.moved(st.city); err != nil {
		return err
	}
	return st.city.Tax.Export(st.began.Add(-72 * time.Hour))
}

// onPostgres gives the gateway a schema of its own in a PostgreSQL database, unless a run before did.
func (st *stage) onPostgres(ctx context.Context, dsn string) error {
	name := st.path("gateway", "dsn")
	if _, err := os.Stat(name); dsn == "" || err == nil {
		return nil
	}
	if _, err := os.Stat(st.path("gateway", "data")); err == nil {
		return fmt.Errorf("the gateway in %s has a SQLite database already: name another folder", st.dir)
	}
	own, drop, err := store.NewSchema(ctx, dsn, "demo")
	if err != nil {
		return err
	}
	if st.ours {
		st.drop = drop
	}
	if err := os.WriteFile(name, []byte(own+"\n"), 0o600); err != nil {
		return err
	}
	written := func(string) error { return nil }
	move, err := install.OnPostgres(ctx, name, written)
	if err != nil {
		return err
	}
	return move(st.path("gateway"))
}

// cost is a cheap key derivation for keystores: here the passphrase is stored beside them anyway.
const cost = 12

// prepareGateway makes keys, certificates and the log, unless a run before did.
func (st *stage) prepareGateway(ctx context.Context) error {
	prepared, err := install.Prepare(ctx, st.mainFile(), install.PrepareOptions{Cost: cost})
	if err != nil {
		return err
	}
	st.setup = prepared.Setup
	st.callers, err = install.OpenCallers(st.setup, "")
	return err
}

// openJournal opens what the gateway and the witnesses log to, once.
func (st *stage) openJournal() (err error) {
	if st.journal != nil {
		return nil
	}
	st.journal, err = os.OpenFile(st.path("gateway", "gateway.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return err
}

// openGateway starts the gateway and writes the trust folder for verifiers.
func (st *stage) openGateway(ctx context.Context) (err error) {
	if err := st.openJournal(); err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(io.Writer(st.journal), nil))
	if st.node, err = st.openNode(ctx, node.Options{Logger: logger}); err != nil {
		return err
	}
	if err := st.node.WriteTrust(st.path("trust")); err != nil {
		return errors.Join(err, st.node.Close())
	}
	if st.trust, err = verdict.LoadTrust(st.path("trust", install.TrustFile)); err != nil {
		return errors.Join(err, st.node.Close())
	}
	st.runWitnesses(ctx)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	st.stop, st.stopped = stop, make(chan struct{})
	go func() {
		defer close(st.stopped)
		if err := st.node.Run(serving); err != nil {
			st.failed <- fmt.Errorf("the gateway stopped: %w", err)
		}
	}()
	return nil
}

// openNode opens the gateway, and retries with other ports when one was taken in the meantime (EADDRINUSE).
func (st *stage) openNode(ctx context.Context, o node.Options) (n *node.Node, err error) {
	for range 5 {
		if n, err = node.Open(ctx, st.mainFile(), o); !errors.Is(err, syscall.EADDRINUSE) {
			return n, err
		}
		if err := freePorts(st.mainFile()); err != nil {
			return nil, err
		}
	}
	return nil, err
}

// close stops everything, the gateway first, and removes the folder if it is temporary.
func (st *stage) close() error {
	var all []error
	if st.stop != nil {
		st.stop()
		<-st.stopped
		select {
		case err := <-st.failed:
			all = append(all, err)
		default:
		}
	}
	all = append(all, st.closeWitnesses())
	if st.stamper != nil {
		all = append(all, st.stamper.Close())
	}
	if st.citizens != nil {
		all = append(all, st.citizens.Close())
	}
	if st.journal != nil {
		all = append(all, st.journal.Close())
	}
	if st.city != nil {
		all = append(all, st.city.Close())
	}
	if st.drop != nil {
		all = append(all, st.drop())
	}
	if st.ours && st.dir != "" {
		all = append(all, os.RemoveAll(st.dir))
	}
	return errors.Join(all...)
}

// departmentOf names the department behind a source.
func (st *stage) departmentOf(source string) (zh, en string) {
	for _, s := range st.setup.Sources {
		if s.ID != source {
			continue
		}
		for _, d := range st.setup.Departments {
			if d.ID == s.Department {
				_, name, _ := strings.Cut(d.Name, "云川市")
				return name, d.NameEN
			}
		}
	}
	return source, source
}

// database is what the gateway keeps its records in.
func (st *stage) database() string {
	if st.setup.Store.Driver == store.Postgres {
		return "PostgreSQL"
	}
	return "SQLite"
}
