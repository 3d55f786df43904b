package node

import (
	"container/list"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"oncegate/config"
	"oncegate/gateway/intake"
	"oncegate/gateway/share"
)

// Descriptors of the process. A node that has none left can reach no source, write no mark and tell nobody.
const (
	adminConnections = 64
	ownDescriptors   = 128 // the store, the log's mark, keys, files that are read again, name look-ups
)

// connectionsFor is how many connections the service may have open: the configured number, or fewer where the limit
// of open files leaves fewer beside those reserved for sources, mark and admin (less).
func connectionsFor(s *config.Setup, files uint64) (most int, less bool, err error) {
	if most = s.Limits.Connections; most == 0 {
		most = config.DefaultConnections
	}
	reserved := ownDescriptors + adminConnections
	for _, source := range s.Sources {
		if reserved += source.Concurrent; source.Concurrent == 0 {
			reserved += config.DefaultSlots
		}
	}
	switch left := int64(files) - int64(reserved); {
	case files == 0 || files > 1<<40 || left >= int64(most): // no limit, or a high one
		return most, false, nil
	case left < config.MinConnections:
		return 0, false, fmt.Errorf("the process may open %d files; %d are reserved for sources, store, mark and admin, and at least %d connections are needed: raise the limit (ulimit -n, LimitNOFILE) to %d or more",
			files, reserved, config.MinConnections, reserved+most)
	default:
		return int(left), true, nil
	}
}

// connections bounds the open connections of a listener, and what one network may have of them. A connection too many takes the place
// of the one that has waited longest for a request of its own, of the same network or, when the bound of all is reached, of any:
// silent and slow connections give way to active ones (slowloris protection).
type connections struct {
	mu      sync.Mutex // protects all fields below
	most    int
	shares  *share.Pool // by network; nil behind a proxy, from which all come
	open    int
	waiting list.List // of *problemConn that wait for a request, the longest first
	dropped int
}

func newConnections(most int, behindProxy bool) *connections {
	c := &connections{most: most}
	if !behindProxy {
		c.shares = share.NewPool(most)
	}
	return c
}

// counts are the open connections, and how many had to give way or were refused.
func (c *connections) counts() (open, dropped int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open, c.dropped
}

// admit makes room for a connection, or closes it.
func (c *connections) admit(tcp *net.TCPConn) (*problemConn, bool) {
	conn := &problemConn{TCPConn: tcp, of: c}
	if from, err := netip.ParseAddrPort(tcp.RemoteAddr().String()); err == nil {
		conn.network = intake.Network(from.Addr())
	}
	for {
		admitted, victim := c.take(conn)
		if admitted {
			return conn, true
		}
		if victim == nil {
			tcp.Close()
			return nil, false
		}
		victim.Close()
	}
}

// take counts a connection, or names one that gives way; neither if there is none.
func (c *connections) take(conn *problemConn) (admitted bool, victim *problemConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	full := c.open >= c.most
	if !full && (c.shares == nil || c.shares.Take(conn.network, 1)) {
		c.open++
		conn.place = c.waiting.PushBack(conn)
		return true, nil
	}
	c.dropped++
	for e := c.waiting.Front(); e != nil; e = e.Next() {
		if other := e.Value.(*problemConn); full || other.network == conn.network {
			c.forget(other)
			return false, other
		}
	}
	return false, nil
}

// forget no longer counts a connection. Callers hold mu.
func (c *connections) forget(conn *problemConn) {
	if conn.gone {
		return
	}
	conn.gone = true
	c.open--
	if c.shares != nil {
		c.shares.Give(conn.network, 1)
	}
	c.setWaiting(conn, false)
}

// setWaiting puts a connection among those that wait, or takes it out. Callers hold mu.
func (c *connections) setWaiting(conn *problemConn, waits bool) {
	if conn.place != nil {
		c.waiting.Remove(conn.place)
		conn.place = nil
	}
	if waits && !conn.gone {
		conn.place = c.waiting.PushBack(conn)
	}
}

// changed is the server's ConnState: a connection is active from when a request's headers have come until its answer is sent.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	p, ok := conn.(*problemConn)
	if !ok || state != http.StateActive && state != http.StateIdle {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setWaiting(p, state == http.StateIdle)
}
