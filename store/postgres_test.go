package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/store/sqldb"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// onPostgres runs a test that only makes sense where several processes write one database.
func onPostgres(t *testing.T, test func(t *testing.T, e engine)) {
	for _, e := range engines() {
		if e.name == Postgres {
			test(t, e)
			return
		}
	}
	t.Log("ONCEGATE_TEST_POSTGRES is not set: nothing to test")
}

// TestTwoNodes appends from two stores over one database: one history, no call taken twice, nothing answered missing.
func TestTwoNodes(t *testing.T) {
	onPostgres(t, func(t *testing.T, e engine) {
		c := e.fresh(t)
		c.Nodes = 2
		var logs []*tlog.Log
		var first *DB
		for range 2 {
			db := mustOpen(t, c)
			if first == nil {
				first = db
				if err := tlog.Create(t.Context(), fixedKeys(db)); err != nil {
					t.Fatal(err)
				}
			}
			log, err := tlog.Open(t.Context(), fixedKeys(db))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { log.Close(context.Background()) })
			logs = append(logs, log)
		}
		var mu sync.Mutex
		taken := map[string]uint64{}
		var group sync.WaitGroup
		for w := range 16 {
			group.Go(func() {
				for i := range 10 { // both nodes are sent the same calls
					jti := fmt.Sprintf("j-%d-%d", w/2, i)
					r, err := logs[w%2].Append(t.Context(), fmt.Appendf(nil, "record %s at node %d", jti, w%2),
						audit.Entry{Changes: []any{audit.Claim{System: "window", JTI: jti, Exp: accepted}}})
					mu.Lock()
					if _, twice := taken[jti]; err == nil && twice {
						t.Errorf("call %s was taken twice", jti)
					}
					if err == nil {
						taken[jti] = r.Index
					} else if !errors.Is(err, audit.ErrReplayed) {
						t.Errorf("call %s: %v", jti, err)
					}
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if len(taken) != 80 {
			t.Errorf("%d calls were taken, want 80", len(taken))
		}
		for jti, want := range taken {
			if got, err := first.Audit().ByJTI(t.Context(), "window", jti); err != nil || got != want {
				t.Errorf("call %s: record %d, %v; answered %d", jti, got, err, want)
			}
		}
		if c := tlogtest.CheckLog(t, first.Log(), fixedTrust()); c.Size != 80 {
			t.Errorf("log has %d entries", c.Size)
		}
	})
}

// A cutter stands between the store and the server, and cuts the connection at COMMIT when asked to.
type cutter struct {
	listener net.Listener
	network  string
	server   string
	mu       sync.Mutex
	cut      fault
}

func (c *cutter) arm(f fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = f
}

func (c *cutter) disarm() fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.cut
	c.cut = none
	return f
}

func (c *cutter) serve() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(c.network, c.server)
		if err != nil {
			client.Close()
			continue
		}
		go c.forward(server, client)
		go func() {
			io.Copy(client, server)
			client.Close()
		}()
	}
}

// forward sends what the client says. With lost, COMMIT does not reach the server; with persisted, its answer is awaited
// by nobody: the client is cut off first, and the server only once it had time to commit, at the end of its stream.
func (c *cutter) forward(server, client net.Conn) {
	defer server.Close()
	buffer := make([]byte, 1<<20)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if bytes.Contains(bytes.ToLower(buffer[:n]), []byte("commit\x00")) {
			switch c.disarm() {
			case lost:
				client.Close()
				return
			case persisted:
				client.Close()
				server.Write(buffer[:n])
				server.(interface{ CloseWrite() error }).CloseWrite()
				io.Copy(io.Discard, server)
				return
			}
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// TestCutAtCommit cuts the connection while COMMIT is under way: the outcome is reported as unknown, and then resolved.
func TestCutAtCommit(t *testing.T) {
	onPostgres(t, func(t *testing.T, e engine) {
		c := e.fresh(t)
		config, err := pgx.ParseConfig(c.DSN)
		if err != nil {
			t.Fatal(err)
		}
		between := &cutter{}
		between.network, between.server = pgNetwork(config)
		if between.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		defer between.listener.Close()
		go between.serve()
		u, err := url.Parse(c.DSN)
		if err != nil {
			t.Fatal(err)
		}
		u.Host = between.listener.Addr().String()
		q := u.Query()
		q.Set("sslmode", "disable")
		q.Del("host")
		u.RawQuery = q.Encode()
		c.DSN = u.String()

		b := benchOn(t, mustOpen(t, c))
		for i, f := range []fault{lost, persisted, lost, persisted} {
			between.arm(f)
			s := b.db.Log()
			_, err := s.Commit(t.Context(), claimBatch(byte(i+1), fmt.Sprint("j-", i)))
			wantError(t, "commit", err, tlog.ErrUnknown)
			got, err := s.Committed(t.Context(), [16]byte{byte(i + 1)})
			if err != nil || got != (f == persisted) {
				t.Errorf("fault %d: committed is %v, %v", f, got, err)
			}
		}
	})
}

func pgNetwork(c *pgx.ConnConfig) (network, address string) {
	if len(c.Host) > 0 && c.Host[0] == '/' {
		return "unix", fmt.Sprintf("%s/.s.PGSQL.%d", c.Host, c.Port)
	}
	return "tcp", net.JoinHostPort(c.Host, fmt.Sprint(c.Port))
}

// TestWarnedCommit takes a commit with a warning for unknown, as when a standby did not confirm.
func TestWarnedCommit(t *testing.T) {
	onPostgres(t, func(t *testing.T, e engine) {
		b := benchOn(t, mustOpen(t, e.fresh(t)))
		_, err := b.db.write.DB().Exec(`CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'standby'; RETURN NULL; END $$`)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.db.write.DB().Exec(`CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON batches DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION warn()`)
		if err != nil {
			t.Fatal(err)
		}
		s := b.db.Log()
		_, err = s.Commit(t.Context(), claimBatch(1, "j-1"))
		wantError(t, "commit with a warning", err, tlog.ErrUnknown)
		if got, err := s.Committed(t.Context(), [16]byte{1}); err != nil || !got {
			t.Errorf("committed is %v, %v", got, err)
		}
	})
}

// TestCutConnections ends every connection of a store, as a server does that moves: neither readers nor writers notice.
func TestCutConnections(t *testing.T) {
	onPostgres(t, func(t *testing.T, e engine) {
		b := benchOn(t, mustOpen(t, e.fresh(t)))
		admin, err := sql.Open("pgx", b.db.config.DSN)
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		mustChange(t, b, cases.Register{Case: aCase("C-0")})
		for i := range 3 {
			for _, pid := range slices.Concat(backends(t, b.db.read.DB()), backends(t, b.db.write.DB())) {
				if _, err := admin.Exec("SELECT pg_terminate_backend($1)", pid); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.db.Cases().Case(t.Context(), "C-0"); err != nil {
				t.Errorf("read after cut %d: %v", i, err)
			}
			mustChange(t, b, cases.Register{Case: aCase(fmt.Sprint("C-", i+1))})
		}
	})
}

// backends fills a pool with connections and returns the server's processes behind them.
func backends(t *testing.T, db *sql.DB) (pids []int) {
	t.Helper()
	for range db.Stats().MaxOpenConnections {
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var pid int
		if err := conn.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// TestNodesStartTogether starts many nodes at once on a database without a schema: each starts.
func TestNodesStartTogether(t *testing.T) {
	onPostgres(t, func(t *testing.T, e engine) {
		c := e.fresh(t)
		c.Nodes = 8
		var group sync.WaitGroup
		for range c.Nodes {
			group.Go(func() {
				db, err := Open(t.Context(), c)
				if err != nil {
					t.Error(err)
					return
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	})
}

// TestLongStep starts two nodes on a database of before, in which a step of the schema takes longer than any answer may.
func TestLongStep(t *testing.T) {
	onPostgres(t, func(t *testing.T, e engine) {
		c := e.fresh(t)
		c.Nodes = 2
		atStep(t, c, 4,
			`INSERT INTO records (pos, hashes, system, jti, expires, time, erasable, leaf, search, evidence) VALUES (1, '', 'window', 'j-1', 1, 1, 0, '', '', '')`,
			`CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2.5); RETURN NEW; END $$`,
			`CREATE TRIGGER nap BEFORE UPDATE ON records FOR EACH ROW EXECUTE FUNCTION nap()`)
		var group sync.WaitGroup
		for range c.Nodes {
			group.Go(func() {
				db, err := Open(t.Context(), c)
				if err != nil {
					t.Error(err)
					return
				}
				var left int
				if err := db.read.DB().QueryRow("SELECT count(*) FROM claims").Scan(&left); err != nil || left != 1 {
					t.Errorf("%d calls were taken over, %v", left, err)
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	})
}

// TestLimits: an answer's statements end after two seconds, those of audit and retention may take longer.
func TestLimits(t *testing.T) {
	onPostgres(t, func(t *testing.T, e engine) {
		db := mustOpen(t, e.fresh(t))
		var group sync.WaitGroup
		for name, p := range map[string]*sqldb.Pool{"batches": db.write, "answers": db.read, "search": db.search.read, "projection": db.search.write, "retention": db.upkeep} {
			group.Go(func() {
				_, err := p.Exec(t.Context(), "SELECT pg_sleep(2.3)")
				if quick := name == "batches" || name == "answers"; quick != (err != nil) {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		group.Wait()
	})
}
