package attack

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/install"
	"oncegate/install/installtest"
)

// A database is one of a test's own, before which a proxy can be put.
type database struct{ *installtest.Database }

// newDatabase makes an empty database; nil where there is no server.
func newDatabase(t testing.TB) *database {
	t.Helper()
	d := installtest.NewDatabase(t)
	if d == nil {
		return nil
	}
	return &database{d}
}

// drop ends every connection to the database.
func (d *database) drop() {
	d.Do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + d.Name + "'")
}

// between puts a proxy before the server and returns it with the URL that leads through it.
func (d *database) between() (*proxy, string) {
	network, address := "tcp", d.URL.Host
	if dir := d.URL.Query().Get("host"); strings.HasPrefix(dir, "/") {
		port := d.URL.Port()
		if port == "" {
			port = "5432"
		}
		network, address = "unix", dir+"/.s.PGSQL."+port
	} else if d.URL.Port() == "" {
		address = net.JoinHostPort(d.URL.Hostname(), "5432")
	}
	p := newProxy(d.T, network, address)
	through := *d.URL
	through.Host = p.listener.Addr().String()
	q := through.Query()
	q.Del("host")
	q.Set("sslmode", "disable")
	through.RawQuery = q.Encode()
	return p, through.String()
}

// installOn installs a gateway whose database is this one, for two nodes, and makes its log.
func installOn(t testing.TB, d *database) *installation {
	t.Helper()
	in := newInstallation(t)
	in.must(os.RemoveAll(in.path("data")))
	in.must(os.Remove(in.path("mark", "checkpoint"))) // it is of the log that stood in the file
	in.write("dsn", d.URL.String())
	in.edit("driver: sqlite", "driver: postgres", "path: data/oncegate.db", "dsn_file: dsn", "  department: service ", "  nodes: 2\n  department: service ")
	if _, err := install.Prepare(t.Context(), in.main, install.PrepareOptions{Cost: 10}); err != nil {
		t.Fatal(err)
	}
	return in
}

// second writes the main file of a second node: a mark of its own, and perhaps another way to the database.
func (in *installation) second(dsn string) string {
	in.t.Helper()
	text, err := os.ReadFile(in.main)
	in.must(err)
	in.must(os.MkdirAll(in.path("mark-2"), 0o700))
	in.write("second.yaml", string(text))
	in.must(edit(in.path("second.yaml"), "mark: mark/checkpoint", "mark: mark-2/checkpoint"))
	if dsn != "" {
		in.write("dsn-2", dsn)
		in.must(edit(in.path("second.yaml"), "dsn_file: dsn", "dsn_file: dsn-2"))
	}
	return in.path("second.yaml")
}

// TestTwoNodes has two nodes over one database: one history, no call taken twice, one license signed once. One is killed under
// load, and the other goes on.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	if d == nil {
		return
	}
	in := installOn(t, d)
	c := in.callers()
	nodes := []*process{in.start(), in.startWith(in.second(""), nil)}
	twice(t, in, c, nodes)
	signedOnce(t, in, c, nodes)

	wires := []*wire{wireTo(nodes[0]), wireTo(nodes[1])}
	var windows sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	loads := make([]*load, 2)
	for i, w := range wires {
		loads[i] = newLoad(c, in.city, w)
		loads[i].cases.Store(int64(i+1) * 1e6)
		windows.Go(func() { loads[i].run(ctx, 6) })
	}
	begun := loads[0].cases.Load()
	await(t, "the first node is at work", soon, func() bool { return loads[0].cases.Load() > begun+20 })
	nodes[0].kill()
	killed := loads[1].cases.Load()
	await(t, "the second node goes on", soon, func() bool { return loads[1].cases.Load() > killed+20 })
	cancel()
	windows.Wait()

	h := newHistory(c.trust)
	log := c.as("audit-office", wireTo(nodes[1])).Log()
	h.follow(t, log)
	seen, total := versions{}, 0
	for _, w := range wires {
		answered, _ := sort(t, w.take())
		h.each(t, answered, 5)
		for _, e := range answered {
			seen.take(t, e.answer)
		}
		total += len(answered)
	}
	again := in.start()
	h.follow(t, c.as("audit-office", wireTo(again)).Log())
	h.whole(t, log)
	again.stop()
	nodes[1].stop()
	t.Logf("%d answers of two nodes, 0 lost; %d license versions", total, len(seen))
}

// twice makes the same calls at both nodes at the same time: each is taken once.
func twice(t *testing.T, in *installation, c *callers, nodes []*process) {
	t.Helper()
	path := "/v1/catalog/matters"
	for range 15 {
		e := &exchange{method: "GET", path: path, token: c.sign("acceptance", "GET", path, nil)}
		codes := make([]string, len(nodes))
		var both sync.WaitGroup
		for i, p := range nodes {
			p.over()
			both.Go(func() { codes[i] = problemOf(e.again(t, p)) })
		}
		both.Wait()
		if got := codes[0] + codes[1]; got != "token-replayed" {
			t.Fatalf("one call at two nodes: %q and %q", codes[0], codes[1])
		}
	}
}

// signedOnce asks both nodes for the same license, which was never requested before: it is signed once.
func signedOnce(t *testing.T, in *installation, c *callers, nodes []*process) {
	t.Helper()
	wires := []*wire{wireTo(nodes[0]), wireTo(nodes[1])}
	company := in.city.Population.Companies[11]
	if _, err := c.as("acceptance", wires[0]).RegisterCase(t.Context(), foodCase("SP-ONCE", party("applicant", company.Holder()))); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	signed := map[string]int{}
	var all sync.WaitGroup
	for i := range 12 {
		cl := c.as("food-approval", wires[i%2])
		all.Go(func() {
			a, err := cl.Query(t.Context(), businessLicense("SP-ONCE", company.Holder()))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			signed[firstPart(a.Answer.Licenses[0].License)]++
		})
	}
	all.Wait()
	if len(signed) != 1 {
		t.Fatalf("one license was signed %d times", len(signed))
	}
}

// TestCutAtCommit cuts one node's connection at its commits, before or after the database has seen them, while another node works
// beside it. Every call is answered or refused, nothing stays in doubt, and the history does not fork.
func TestCutAtCommit(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	if d == nil {
		return
	}
	in := installOn(t, d)
	c := in.callers()
	proxy, through := d.between()
	nodes := []*process{in.startWith(in.second(through), nil), in.start()}
	v := newVictim(t, in)
	v.wire.to(nodes[0])
	beside := newLoad(c, in.city, wireTo(nodes[1]))
	beside.cases.Store(1e6)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var windows sync.WaitGroup
	windows.Go(func() { v.load.run(ctx, 8) })
	windows.Go(func() { beside.run(ctx, 4) })
	proxy.every.Store(4)
	await(t, "commits are cut on both sides", soon, func() bool { return proxy.lost.Load() > 5 && proxy.persisted.Load() > 5 })
	proxy.every.Store(0)
	cancel()
	windows.Wait()
	kept := [][]*exchange{v.wire.take(), beside.wire.take()}

	s := &sufferer{process: nodes[0], t: t, in: in, callers: c, wire: wireTo(nodes[0])}
	s.accepts = c.as("acceptance", s.wire)
	took := s.until("", recovery)
	if status, body := nodes[0].ask("/readyz"); status != 200 {
		t.Errorf("not ready after the last cut: %s", body)
	}
	if unknown := nodes[0].figure("oncegate_log_unknown_commits_total"); unknown == 0 {
		t.Error("no commit was ever unknown")
	}
	log := v.asks["audit-office"].Log()
	v.history.follow(t, log)
	total := 0
	for i, exchanges := range kept {
		answered, lost := sort(t, exchanges)
		v.history.each(t, answered, 5)
		for _, e := range answered {
			v.versions.take(t, e.answer)
		}
		total += len(answered)
		if i == 0 {
			v.resolve(nodes[0], log, lost)
		}
	}
	v.history.whole(t, log)
	for _, p := range nodes {
		p.stop()
	}
	t.Logf("%d commits cut before and %d after the database saw them: %d answers, 0 lost; %d calls without one, %d of them recorded; well again after %s",
		proxy.lost.Load(), proxy.persisted.Load(), total, v.unanswered, v.recorded, took.Round(time.Millisecond))
}

// TestDatabaseAway lets the database go away, and then only refuse to write: no call is answered meanwhile, and the node comes back
// by itself.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	if d == nil {
		return
	}
	in := installOn(t, d)
	proxy, through := d.between()
	in.write("dsn", through)
	s := newSufferer(t, in, in.start())
	s.suffers(func() { proxy.shut(true) }, func() { proxy.shut(false) })
	s.suffers(func() {
		d.Do("ALTER DATABASE " + d.Name + " SET default_transaction_read_only = on")
		d.drop()
	}, func() {
		d.Do("ALTER DATABASE " + d.Name + " RESET default_transaction_read_only")
		d.drop()
	})
	s.proven()
}

// TestWeakDurability refuses a database that may lose answered commits.
func TestWeakDurability(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	if d == nil {
		return
	}
	in := installOn(t, d)
	d.Do("ALTER DATABASE " + d.Name + " SET synchronous_commit = off")
	in.refuses("weak durability")
	d.Do("ALTER DATABASE " + d.Name + " RESET synchronous_commit")
	in.edit("dsn_file: dsn", "dsn_file: dsn\n  standby: true")
	in.refuses("weak durability")
	in.edit("\n  standby: true", "")
	in.start().stop()
}
