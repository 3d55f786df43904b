package node

import (
	"context"
	"net/http"
	"net/http/pprof"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"oncegate/api"
)

// adminHandler serves health, readiness, metrics and profiles. Nothing of it is for the outside.
func (n *Node) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", n.readyz)
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

// readiness is what the node knows of itself: why it should get no calls.
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
	if n.log.Distrusted() != nil {
		reasons = append(reasons, "the log's head in the database is not one that this log signed, so nothing can be recorded: see operations, section 5")
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
