package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"oncegate/api"
	"oncegate/config"
)

// adminHandler serves health, readiness, metrics and profiles. Nothing of it is for the outside.
func (n *Node) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", n.readyz)
	mux.HandleFunc("GET /doctor", n.serveHealth)
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.Registry, promhttp.HandlerOpts{Registry: n.Registry}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return api.Problems(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		clean := path.Clean(r.URL.Path)
		if strings.HasSuffix(r.URL.Path, "/") && clean != "/" {
			clean += "/"
		}
		if clean != r.URL.Path {
			api.NewProblem("not-found").Write(w) // the multiplexer would redirect, in HTML
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

// readiness are the reasons why the node should get no calls.
type readiness struct {
	mu      sync.Mutex
	serving bool
	leaving bool
}

func (r *readiness) set(serving, leaving bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serving, r.leaving = serving, leaving
}

func (r *readiness) reasons() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.serving {
		list = append(list, "the service listener is not served yet")
	}
	if r.leaving {
		list = append(list, "the node is shutting down")
	}
	return list
}

const (
	defaultMarkPatience = time.Minute // for a commit that the mark lacks
	defaultFreeSpace    = 64 << 20    // bytes
)

// A folder is one whose free space is watched, because a file of the node grows in it.
type folder struct {
	name   string // store or mark
	path   string
	asking chan struct{} // holds one token while somebody asks: a file system that hangs keeps one waiting
}

var errHangs = errors.New("the file system does not answer")

// watchSpace begins to watch the folders that records need.
func (n *Node) watchSpace(_ context.Context, s *config.Setup) error {
	n.metrics.watchBackup(s)
	n.folders = foldersOf(s)
	for _, f := range n.folders {
		n.metrics.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "oncegate_free_space_bytes", Help: "Bytes that may still be written to the file system of a folder (store, mark); -1 if it does not say.",
			ConstLabels: prometheus.Labels{"folder": f.name},
		}, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			free, known, err := f.free(ctx)
			if err != nil || !known {
				return -1
			}
			return float64(free)
		}))
	}
	return nil
}

// free returns the bytes that this process may still write there, and whether the system tells.
func (f *folder) free(ctx context.Context) (free uint64, known bool, err error) {
	select {
	case f.asking <- struct{}{}:
	case <-ctx.Done():
		return 0, false, errHangs
	}
	done := make(chan struct{})
	var answer struct {
		free  uint64
		known bool
		err   error
	}
	go func() {
		defer func() { <-f.asking; close(done) }()
		answer.free, answer.known, answer.err = freeSpace(f.path)
	}()
	select {
	case <-done:
		return answer.free, answer.known, answer.err
	case <-ctx.Done():
		return 0, false, errHangs
	}
}

// Ready returns why the node should get no calls; nil if it should.
func (n *Node) Ready(ctx context.Context) []string {
	reasons := n.ready.reasons()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := n.db.Ready(ctx); err != nil {
		reasons = append(reasons, "the database does not answer: "+err.Error())
	}
	if n.log.Stats().InDoubt {
		reasons = append(reasons, "the outcome of a commit is not known, so nothing can be recorded")
	}
	if age := n.log.Stats().MarkAge; age > n.markPatience {
		reasons = append(reasons, fmt.Sprintf("the high-water mark has not been written for %s although records were made: see that its folder can be written", age.Truncate(time.Second)))
	}
	floor := uint64(cmp.Or(n.current.Load().setup.Limits.FreeSpace, defaultFreeSpace))
	for _, f := range n.folders {
		switch free, known, err := f.free(ctx); {
		case err != nil:
			reasons = append(reasons, fmt.Sprintf("the free space of the %s's folder cannot be told: %s", f.name, config.PathReason(err)))
		case known && free < floor:
			reasons = append(reasons, fmt.Sprintf("the file system of the %s is full: %d bytes are free, less than limits.free_space, %d", f.name, free, floor))
		}
	}
	if n.log.Distrusted() != nil {
		reasons = append(reasons, "the log's head in the database is not one that this log signed, so nothing can be recorded: see operations, section 5")
	}
	if n.db.Distrusted() != nil {
		reasons = append(reasons, "the tables are not those that the log's head was left with, so nothing can be recorded: see operations, section 5")
	}
	return reasons
}

func (n *Node) readyz(w http.ResponseWriter, r *http.Request) {
	answer := struct {
		Ready   bool     `json:"ready"`
		Reasons []string `json:"reasons"`
	}{Reasons: n.Ready(r.Context())}
	answer.Ready = len(answer.Reasons) == 0
	w.Header().Set("Content-Type", "application/json")
	if !answer.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.MarshalWrite(w, answer) // the asker is gone: nobody is left to tell
}
