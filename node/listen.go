package node

import (
	"bytes"
	"container/list"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"oncegate/api"
	"oncegate/config"
	"oncegate/gateway/intake"
)

// Bounds of a connection. A call's own deadline is the gateway's; these are for peers that are slow or silent.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeMargin       = time.Minute // beyond the longest call, for large answers over slow lines
	idleTimeout       = 2 * time.Minute
	maxHeader         = 32 << 10 // a token has at most 8 KiB
)

// A listener is a bound address with the server that is to serve it.
type listener struct {
	net.Listener
	server      *http.Server
	pair        *certificatePair // nil: plain HTTP
	connections *connections
}

// listen binds both addresses, so that they are known, and taken, before anything is served.
func (n *Node) listen(ctx context.Context, s *config.Setup) (err error) {
	call := s.Limits.CallTimeout()
	most, less, err := connectionsFor(s, openFiles())
	if err != nil {
		return err
	}
	if less {
		n.Logger.Warn("the limit of open files leaves fewer connections than limits.connections: raise it (ulimit -n, LimitNOFILE)", "connections", most, "files", openFiles())
	}
	if n.service, err = n.bind(ctx, s.Gateway.Listen, call, newConnections(most, s.Gateway.BehindTLS)); err != nil {
		return err
	}
	n.metrics.watchConnections(n.service.connections)
	if s.Gateway.TLS != (config.TLS{}) {
		n.service.pair = &certificatePair{}
		if err := n.service.pair.load(s.Gateway.TLS); err != nil {
			return err
		}
		n.service.server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: n.service.pair.get}
	}
	if n.admin, err = n.bind(ctx, s.Gateway.Admin, time.Minute, newConnections(adminConnections, true)); err != nil {
		return err
	}
	n.fillPort(s)
	n.service.server.Handler = n.limitedHandler(s.Limits.Body, s.Limits.Documents)
	n.admin.server.Handler = n.adminHandler()
	return nil
}

func (n *Node) bind(ctx context.Context, address string, call time.Duration, c *connections) (*listener, error) {
	bound, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l := &listener{Listener: bound, connections: c, server: &http.Server{
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: call + writeMargin, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ConnState: c.changed, ErrorLog: log.New(&serverLog{logger: n.Logger, now: n.Now}, "", 0),
	}}
	n.onClose(func(context.Context) error { l.Listener.Close(); return nil })
	return l, nil
}

// Accept returns connections on which what net/http answers by itself is a problem too.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		tcp, ok := c.(*net.TCPConn)
		if err != nil || !ok {
			return c, err
		}
		if conn, admitted := l.connections.admit(tcp); admitted {
			return conn, nil
		}
	}
}

// A problemConn replaces the answers that net/http makes before any handler runs: in plain text, whole in one write, to what it
// cannot read as a request, such as a malformed Host or headers past MaxHeaderBytes. Inside TLS they are not seen here, and stay.
type problemConn struct {
	*net.TCPConn

	of      *connections
	network string
	place   *list.Element // among those that wait; protected by of.mu
	gone    bool          // protected by of.mu
}

// Close closes the connection and makes room for another one.
func (c *problemConn) Close() error {
	c.of.mu.Lock()
	c.of.forget(c)
	c.of.mu.Unlock()
	return c.TCPConn.Close()
}

var (
	ownHeaders = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n") // net/http's errorHeaders
	toHTTPS    = []byte("HTTP/1.0 400 Bad Request\r\n\r\n")                                         // plain HTTP to a port of TLS
	unexpected = []byte("HTTP/1.1 417 ")                                                            // an Expect that net/http does not know
)

func (c *problemConn) Write(b []byte) (int, error) {
	if !bytes.HasPrefix(b, []byte("HTTP/1.")) {
		return c.TCPConn.Write(b)
	}
	line := max(0, bytes.Index(b, []byte("\r\n")))
	status, err := strconv.Atoi(string(b[min(len(b), len("HTTP/1.1 ")):min(len(b), len("HTTP/1.1 400"))]))
	if err != nil || !bytes.HasPrefix(b[line:], ownHeaders) && !bytes.HasPrefix(b, toHTTPS) && !bytes.HasPrefix(b, unexpected) {
		return c.TCPConn.Write(b)
	}
	p := api.ForStatus(status)
	body := p.Body()
	if _, err := fmt.Fprintf(c.TCPConn, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		p.Status, http.StatusText(p.Status), api.ProblemType, len(body), body); err != nil {
		return 0, err
	}
	return len(b), nil
}

// ReadFrom keeps copies to the connection going through Write.
func (c *problemConn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

// serve serves until Shutdown.
func (l *listener) serve() error {
	var err error
	if l.server.TLSConfig != nil {
		err = l.server.ServeTLS(l, "", "")
	} else {
		err = l.server.Serve(l)
	}
	if err == http.ErrServerClosed {
		return nil
	}
	return err
}

// fillPort puts the port that was bound into a public URL that leaves it open, "http://127.0.0.1:0": for demonstrations
// and tests.
func (n *Node) fillPort(s *config.Setup) {
	u, err := url.Parse(s.Gateway.PublicURL)
	if err != nil || u.Port() != "0" {
		return
	}
	_, port, err := net.SplitHostPort(n.Addr())
	if err == nil {
		u.Host = net.JoinHostPort(u.Hostname(), port)
		s.Gateway.PublicURL = u.String()
	}
}

// Addr is the address of the service, with the port that was bound.
func (n *Node) Addr() string { return n.service.Addr().String() }

// AdminAddr is the address of health, readiness and metrics.
func (n *Node) AdminAddr() string { return n.admin.Addr().String() }

// PublicURL is what callers sign for.
func (n *Node) PublicURL() string { return n.current.Load().setup.Gateway.PublicURL }

// limitedHandler is the gateway behind the limit of body sizes and a panic handler. The value of a panic is not logged: it could quote what a caller
// sent.
func (n *Node) limitedHandler(body, documents int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				n.Logger.Error("a call panicked", "value", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
				api.NewProblem("internal").Write(w)
			}
		}()
		if len(r.TransferEncoding) > 0 {
			// A proxy before us may have seen another end of this body than we do: what follows on the line is not taken
			// for a request of anybody (RFC 9112 section 6.1).
			w.Header().Set("Connection", "close")
		}
		limit := body
		if bringsDocument(r.URL.Path) {
			limit = documents
		}
		if n.isConsole(r) {
			n.console.ServeHTTP(w, r) // it has limits of its own, and one larger for files
			return
		}
		if limit > 0 {
			r.Body = http.MaxBytesReader(w, r.Body, int64(limit))
		}
		n.gateway.ServeHTTP(w, r)
	})
}

// bringsDocument reports whether a call at a path brings a document: licenses.verify and cases.file. What they may be long stands in the contract.
func bringsDocument(path string) bool {
	return path == "/v1/licenses/verify" || strings.HasPrefix(path, "/v1/cases/") && strings.HasSuffix(path, "/filings")
}

// A certificatePair is the server's certificate, replaced when its files are.
type certificatePair struct {
	current atomic.Pointer[tls.Certificate]
}

func (p *certificatePair) load(t config.TLS) error {
	pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return fmt.Errorf("load TLS certificate: %s", config.PathReason(err))
	}
	p.current.Store(&pair)
	return nil
}

func (p *certificatePair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return p.current.Load(), nil
}

// A serverLog is the rate-limited error log of an HTTP server, so that no peer fills the log by failing handshakes.
type serverLog struct {
	logger *slog.Logger
	now    func() time.Time
	limit  intake.LineLimit
}

// Write logs one line.
func (l *serverLog) Write(line []byte) (int, error) {
	ok, dropped := l.limit.Allow(l.now())
	ctx := context.Background()
	if dropped > 0 {
		l.logger.WarnContext(ctx, "server: lines dropped", "count", dropped)
	}
	if ok {
		l.logger.WarnContext(ctx, "server", "says", strings.TrimSpace(string(line)))
	}
	return len(line), nil
}
