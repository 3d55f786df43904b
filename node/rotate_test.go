package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"oncegate/install/installtest"
)

// Database passwords rotate without a restart, the store's own and a source's, and so does everything else: of the calls under way during
// all of these reloads none fails.
func TestPasswordsRotateUnderLoad(t *testing.T) {
	t.Parallel()
	d := installtest.NewDatabase(t)
	if d == nil {
		return
	}
	role := d.NewRole("first")
	c := newCity(t)
	c.OnPostgres(role.URL("first"))
	d.In(`create table legacy (no text, uscc text, name text, legal text, addr text, issued text, until text, status text);
		insert into legacy values ('L-1', '` + installtest.Company + `', '云川小面馆有限公司', '甲乙', '示例路 1 号', '2024-03-01', '', '1'); grant select on legacy to public`)
	c.Edit("sources/market.yaml", "driver: sqlite", "driver: pgx", "dsn: file:market.db?mode=ro", "dsn_secret: {file: market.dsn}", "from licenses", "from legacy")
	c.Write("sources/market.dsn", []byte(role.URL("first")+"\n"))
	s := c.serve()
	s.register("SP-1")

	var made, failed atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		caller := s.as("food-approval")
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				made.Add(1)
				if answer, err := caller.Query(t.Context(), question("SP-1")); err != nil || len(answer.Answer.Licenses) != 1 {
					failed.Add(1)
					t.Errorf("a call failed during the reloads: %v", err)
				}
			}
		})
	}
	moment := func() string {
		return fmt.Sprint(d.Count(`SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint`))
	}
	older := func(since string) int { // connections of before
		return d.Count("SELECT count(*) FROM pg_stat_activity WHERE usename = '" + role.Name + "' AND extract(epoch FROM backend_start) * 1e6 < " + since)
	}
	const rounds = 2
	for i := range rounds {
		password := fmt.Sprintf("password-%d", i)
		since := moment()
		role.SetPassword(password)
		c.replace("sources/market.dsn", role.URL(password))
		c.replace("dsn", role.URL(password))
		if i%2 == 0 {
			c.Edit("policy/grants.yaml", "example agreement", "example agreement of round "+fmt.Sprint(i)) // and something else changes
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		begun := made.Load()
		await(t, "all connections are of the new password", func() bool { return older(since) == 0 })
		await(t, "calls go on", func() bool { return made.Load() > begun+20 })
	}

	if role.Asked() {
		// A connection string that does not lead in is refused, and says what is wrong; connections of before go on.
		right := role.URL(fmt.Sprintf("password-%d", rounds-1))
		c.replace("dsn", role.URL("wrong"))
		await(t, "the wrong password is refused", func() bool { return s.refused.Load() != nil })
		if why := s.refused.Load().reason; !strings.Contains(why, "password") || !strings.Contains(why, "dsn") || strings.Contains(why, "wrong@") {
			t.Errorf("the reload was refused for %q", why)
		}
		c.replace("dsn", right)
		await(t, "the right one is taken over", func() bool { return s.refused.Load() == nil })
	} else {
		t.Log("this server asks nobody for a password: a wrong one could not be tried")
	}
	close(stop)
	load.Wait()
	t.Logf("%d calls, %d failed", made.Load(), failed.Load())
	if strings.Contains(s.logs.String(), "password-") {
		t.Error("the log holds a password")
	}
}

// replace writes a file as those do who rotate secrets: under another name, then renamed.
func (c *city) replace(name, content string) {
	c.T.Helper()
	c.Write(name+".new", []byte(content))
	if err := os.Rename(filepath.Join(c.Dir, name+".new"), filepath.Join(c.Dir, name)); err != nil {
		c.T.Fatal(err)
	}
}
