package attack

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A proxy stands between a node and its database. It cuts connections at COMMIT, now before the database has seen it, now after,
// or lets nobody through at all.
type proxy struct {
	listener        net.Listener
	network, server string
	every           atomic.Int64 // one of so many commits is cut; 0: none
	lost, persisted atomic.Int64 // how many were, on either side

	mu    sync.Mutex // protects all fields below
	down  bool
	conns map[net.Conn]bool
}

func newProxy(t testing.TB, network, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, network: network, server: server, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { l.Close(); p.shut(true) })
	go p.serve()
	return p
}

// shut closes every connection and, until it is called with false, every new one.
func (p *proxy) shut(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for c := range p.conns {
		c.Close()
	}
	p.conns = map[net.Conn]bool{}
}

// keep remembers connections to be closed; false if they are to be closed at once.
func (p *proxy) keep(all ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range all {
		if p.down {
			c.Close()
			continue
		}
		p.conns[c] = true
	}
	return !p.down
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(p.network, p.server)
		if err != nil {
			client.Close()
			continue
		}
		if !p.keep(client, server) {
			continue
		}
		go p.forward(server, client)
		go func() {
			io.Copy(client, server)
			client.Close()
		}()
	}
}

// forward sends what the client says. A commit that is cut either never reaches the database, or is carried out while nobody waits
// for its outcome any more.
func (p *proxy) forward(server, client net.Conn) {
	defer server.Close()
	buffer := make([]byte, 1<<20)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		said := buffer[:n]
		if every := p.every.Load(); every > 0 && bytes.Contains(bytes.ToLower(said), []byte("commit\x00")) && rand.N(every) == 0 {
			if rand.N(2) == 0 {
				p.lost.Add(1)
				client.Close()
				return
			}
			p.persisted.Add(1)
			client.Close()
			server.Write(said)
			if half, ok := server.(interface{ CloseWrite() error }); ok {
				half.CloseWrite()
			}
			io.Copy(io.Discard, server)
			return
		}
		if _, err := server.Write(said); err != nil {
			return
		}
	}
}
