package store

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// kills is how often TestKill kills; ONCEGATE_TEST_KILLS asks for more.
func kills(t *testing.T) int {
	if s := os.Getenv("ONCEGATE_TEST_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal("ONCEGATE_TEST_KILLS is no number")
		}
		return n
	}
	return 3
}

// TestKill kills -9 a process that appends, at a random moment, again and again on one database: everything it has
// answered is there, and both trees are whole.
func TestKill(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		c := e.fresh(t)
		db, err := Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.Create(t.Context(), fixedKeys(db)); err != nil {
			t.Fatal(err)
		}
		db.Close()
		where := c.Path
		if e.name == Postgres {
			where = c.DSN
		}
		total := 0
		for range kills(t) {
			answered := killed(t, e.name, where)
			total += len(answered)
			checkAnswered(t, c, answered)
		}
		if total == 0 {
			t.Fatal("nothing was answered before any kill")
		}
		t.Logf("%d answers", total)
	})
}

// killed runs a child, kills it after up to 100 ms of answering, and returns what it has answered.
func killed(t *testing.T, driver, where string) map[string]uint64 {
	t.Helper()
	cmd := child(t, "append", driver, where)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "open" {
		t.Fatalf("child says %q", lines.Text())
	}
	kill := time.AfterFunc(rand.N(100*time.Millisecond)+5*time.Millisecond, func() { cmd.Process.Kill() })
	defer kill.Stop()
	answered := map[string]uint64{}
	for lines.Scan() {
		var index uint64
		var jti string
		if n, _ := fmt.Sscan(lines.Text(), &index, &jti); n == 2 && len(jti) == 32 {
			answered[jti] = index
		}
	}
	cmd.Wait()
	return answered
}

func checkAnswered(t *testing.T, c Config, answered map[string]uint64) {
	t.Helper()
	db, err := Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for jti, want := range answered {
		if got, err := db.Audit().ByJTI(t.Context(), "window", jti); err != nil || got != want {
			t.Fatalf("call %s: record %d, %v; answered %d", jti, got, err, want)
		}
		leaf, sealed, err := db.Audit().Entry(t.Context(), want)
		if err != nil || string(leaf) != "record "+jti || len(sealed) != 1 || string(sealed[0].Digest) != jti {
			t.Fatalf("record %d is %s with %d parts, %v", want, leaf, len(sealed), err)
		}
		if _, err := db.Cases().Case(t.Context(), "C-"+jti); err != nil {
			t.Fatal(err)
		}
	}
	tlogtest.CheckLog(t, db.Log(), fixedTrust())
}
