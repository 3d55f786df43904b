package witness

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"oncegate/store/sqldb"
)

// Bounds of a connection.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	idleTimeout       = 3 * time.Minute // logs ask about once a minute
	maxHeader         = 16 << 10
	shutdownPatience  = patience + 5*time.Second
	tilePatience      = 10 * time.Second // for one tile
)

// newClient is for the tiles of a log: it follows no redirect.
func newClient() *http.Client {
	return &http.Client{Timeout: tilePatience, Transport: http.DefaultTransport.(*http.Transport).Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// A Service is a witness that listens.
type Service struct {
	*Server
	settings Settings
	lock     *os.File
	listener net.Listener
	admin    net.Listener // nil: none
}

// Start opens the state, which no other process may use at the same time, and binds the listeners.
func Start(ctx context.Context, s Settings, c Config) (_ *Service, err error) {
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	v := &Service{settings: s}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.close())
		}
	}()
	if v.Server, err = Open(c); err != nil {
		return nil, err
	}
	if v.lock, err = sqldb.LockFile(filepath.Join(c.State, "lock")); err != nil {
		return nil, fmt.Errorf("open witness: another process uses the state folder %s: %w", c.State, err)
	}
	c.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var net net.ListenConfig
	if v.listener, err = net.Listen(ctx, "tcp", s.Listen); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if s.Admin == "" {
		return v, nil
	}
	if v.admin, err = net.Listen(ctx, "tcp", s.Admin); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return v, nil
}

// Addr is where logs ask.
func (v *Service) Addr() string { return v.listener.Addr().String() }

// AdminAddr is where health and metrics are; empty: nowhere.
func (v *Service) AdminAddr() string {
	if v.admin == nil {
		return ""
	}
	return v.admin.Addr().String()
}

// Run serves until ctx ends; what was asked before is answered still.
func (v *Service) Run(ctx context.Context, serving func()) error {
	service := v.server(v.Server)
	failed := make(chan error, 2)
	var all sync.WaitGroup
	all.Go(func() {
		if v.settings.TLS != (TLS{}) {
			failed <- service.ServeTLS(v.listener, v.settings.TLS.Certificate, v.settings.TLS.Key)
		} else {
			failed <- service.Serve(v.listener)
		}
	})
	admin := v.server(v.adminHandler())
	if v.admin != nil {
		all.Go(func() { failed <- admin.Serve(v.admin) })
	}
	v.Logger.Info("witnessing", "address", v.Addr(), "admin", v.AdminAddr(), "vkey", v.VKey(), "logs", len(v.logs))
	serving()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
	defer cancel()
	err = errors.Join(err, service.Shutdown(last), admin.Close())
	all.Wait()
	v.Logger.Info("stopped")
	return errors.Join(err, v.close())
}

func (v *Service) server(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: patience + readTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: log.New(quiet{v.Logger}, "", 0)}
}

// quiet has net/http's own lines at a level that nobody needs.
type quiet struct{ logger *slog.Logger }

func (q quiet) Write(line []byte) (int, error) {
	q.logger.Debug("connection", "says", string(line))
	return len(line), nil
}

func (v *Service) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(v.Registry, promhttp.HandlerOpts{Registry: v.Registry}))
	return mux
}

// Close lets go of what Start took, where the service is not to be run. Run closes by itself.
func (v *Service) Close() error { return v.close() }

// close lets go of what Start took. Listeners that were served are closed already.
func (v *Service) close() error {
	for _, l := range []net.Listener{v.listener, v.admin} {
		if l != nil {
			_ = l.Close()
		}
	}
	if v.lock != nil {
		return v.lock.Close()
	}
	return nil
}
