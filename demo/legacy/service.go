package legacy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// A Service is a legacy system with an HTTP interface on a loopback port of its own.
type Service struct {
	server *http.Server
	addr   string
	done   chan struct{}
}

// serve listens on an address, or on any free loopback port if that one is taken.
func serve(addr string, handler http.Handler) (*Service, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("start legacy service: %w", err)
	}
	s := &Service{addr: l.Addr().String(), done: make(chan struct{})}
	s.server = &http.Server{Handler: bounded(handler), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l)
	}()
	return s, nil
}

// bounded bounds the bodies of requests.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		next.ServeHTTP(w, r)
	})
}

// Addr returns host:port.
func (s *Service) Addr() string { return s.addr }

// Close stops the service, after what it is answering.
func (s *Service) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	<-s.done
	return err
}

// answer writes a body as it is.
func answer(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// body reads a request's body, which counted has bounded.
func body(r *http.Request) []byte {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	return b
}
