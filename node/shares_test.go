package node

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oncegate/config"
)

// hold opens connections that send the same bytes and say no more.
func hold(t testing.TB, address string, n int, text string) (all []net.Conn) {
	t.Helper()
	for range n {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_, _ = io.WriteString(conn, text) // it may be closed already
		all = append(all, conn)
	}
	return all
}

// value reads a figure of the admin listener.
func (s *served) value(name string) (v float64) {
	s.t.Helper()
	_, text := s.get("/metrics")
	for line := range strings.Lines(text) {
		if n, _ := fmt.Sscanf(line, name+" %g", &v); n == 1 {
			return v
		}
	}
	s.t.Fatalf("there is no figure %s", name)
	return 0
}

// Connections are bounded, however many somebody opens who says nothing, or half a header: who calls gets a place.
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.Edit(config.MainFile, "\nstore:", "\nlimits: {connections: 40}\n\nstore:")
	s := c.serve()
	s.register("SP-1")
	for _, text := range []string{"", "GET /v1/catalog/types HTTP/1.1\r\nHost: gateway\r\nX-Slow: "} {
		hold(t, s.Addr(), 200, text)
		if got := s.released(s.as("food-approval")); len(got) == 0 {
			t.Errorf("after %q nobody is served", text)
		}
		if open := s.value("oncegate_connections"); open > 40 {
			t.Errorf("%v connections are open", open)
		}
	}
	if dropped := s.value("oncegate_connections_dropped_total"); dropped < 300 {
		t.Errorf("%v connections were dropped", dropped)
	}
	if code, text := s.get("/readyz"); code != 200 {
		t.Errorf("readyz: %d %s", code, text)
	}
}

// One network has no more than half of what is left; who else comes finds room, and takes nobody's who speaks.
func TestConnectionsOfNetworks(t *testing.T) {
	c := newConnections(40, false)
	connect := func(network string) *problemConn { return &problemConn{of: c, network: network} }
	admitted := func(conn *problemConn) bool { ok, _ := c.take(conn); return ok }
	var flood []*problemConn
	for conn := connect("flood"); admitted(conn); conn = connect("flood") {
		flood = append(flood, conn)
	}
	if len(flood) != 20 {
		t.Errorf("one network has %d of 40", len(flood))
	}
	for i := range 5 {
		if !admitted(connect(fmt.Sprint("honest", i))) {
			t.Errorf("honest network %d finds no room", i)
		}
	}
	for _, conn := range flood {
		c.mu.Lock()
		c.setWaiting(conn, false) // all of them have spoken
		c.mu.Unlock()
	}
	if ok, victim := c.take(connect("flood")); ok || victim != nil {
		t.Error("the flood goes on")
	}
	behind := newConnections(3, true)
	for range 3 {
		if ok, _ := behind.take(&problemConn{of: behind, network: "proxy"}); !ok {
			t.Error("a proxy is held to a share")
		}
	}
}

// Descriptors are reserved for what a node cannot do without.
func TestDescriptorsAreReserved(t *testing.T) {
	s := &config.Setup{Config: config.Config{Sources: []config.Source{{Concurrent: 8}, {}}}}
	const reserved = ownDescriptors + adminConnections + 8 + config.DefaultSlots
	for _, c := range []struct {
		files uint64
		most  int
		less  bool
		fails bool
	}{
		{0, config.DefaultConnections, false, false}, {1 << 20, config.DefaultConnections, false, false}, {1<<64 - 1, config.DefaultConnections, false, false},
		{reserved + 100, 100, true, false}, {reserved + config.MinConnections - 1, 0, false, true}, {10, 0, false, true},
	} {
		most, less, err := connectionsFor(s, c.files)
		if most != c.most || less != c.less || (err != nil) != c.fails {
			t.Errorf("%d files: %d connections, less %v, %v", c.files, most, less, err)
		}
	}
}

// A node whose disk is full, or whose mark is old, says so where load balancers ask, and says why.
func TestReadyzKnowsDiskAndMark(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.Edit(config.MainFile, "\nstore:", "\nlimits: {free_space: 9000000000000000000}\n\nstore:")
	s := c.serve()
	code, text := s.get("/readyz")
	if code != 503 || !strings.Contains(text, "the file system of the store is full") || !strings.Contains(text, "the file system of the mark is full") || !strings.Contains(text, "limits.free_space") {
		t.Errorf("full disk: %d %s", code, text)
	}
	for _, name := range []string{"store", "mark"} {
		if free := s.value(`oncegate_free_space_bytes{folder="` + name + `"}`); free <= 0 {
			t.Errorf("%s: %v bytes are free", name, free)
		}
	}

	c = newCity(t)
	s = c.serveAs(func(n *Node) { n.markPatience = 300 * time.Millisecond })
	s.register("SP-1")
	if code, text := s.get("/readyz"); code != 200 {
		t.Errorf("all well: %d %s", code, text)
	}
	folder := filepath.Dir(s.current.Load().setup.Log.Mark)
	if err := os.Rename(folder, folder+"-away"); err != nil {
		t.Fatal(err)
	}
	s.register("SP-2") // a record is made all the same
	wait := func(what string, holds func() bool) {
		t.Helper()
		for late := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(late) {
				t.Fatal(what)
			}
		}
	}
	wait("readyz does not know that the mark is old", func() bool {
		code, text := s.get("/readyz")
		return code == 503 && strings.Contains(text, "the high-water mark has not been written")
	})
	if s.value("oncegate_log_mark_behind_seconds") <= 0 {
		t.Error("no figure says that the mark is old")
	}
	if err := os.Rename(folder+"-away", folder); err != nil {
		t.Fatal(err)
	}
	wait("readyz goes on saying that the mark is old", func() bool { code, _ := s.get("/readyz"); return code == 200 })
}
