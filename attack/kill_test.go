package attack

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/client"
	"oncegate/tlog"
	"oncegate/verdict"
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

// TestKill kills -9 a node under load, at a random moment, again and again. Whatever a client has received is recorded, its receipt
// verifies against the log that comes back, the same call is refused; what nobody received is either recorded and refused, or can
// be made again.
func TestKill(t *testing.T) {
	in := newInstallation(t)
	v := newVictim(t, in)
	in.churn()
	runs := kills(t)
	for run := range runs {
		v.survive(run == runs-1 || run%50 == 49)
		if run%50 == 49 {
			v.report(run + 1)
		}
	}
	if v.answers == 0 {
		t.Fatal("nothing was answered before any kill")
	}
	v.report(runs)
}

// report logs the counts so far.
func (v *victim) report(runs int) {
	v.t.Logf("%d kills, %d of them while starting: %d answers, 0 lost; %d calls without an answer, %d of them recorded; %d replays refused; log of %d entries, %d license versions",
		runs+v.early, v.early, v.answers, v.unanswered, v.recorded, v.replays, len(v.history.leaves), len(v.versions))
}

// A victim is an installation whose node is killed again and again, and all that was ever heard from it.
type victim struct {
	t        *testing.T
	in       *installation
	callers  *callers
	wire     *wire
	load     *load
	asks     map[string]*client.Client // verifies as it goes
	history  *history
	versions versions

	early, answers, unanswered, recorded, replays int
}

func newVictim(t *testing.T, in *installation) *victim {
	c := in.callers()
	v := &victim{t: t, in: in, callers: c, wire: &wire{}, asks: map[string]*client.Client{}, history: newHistory(c.trust), versions: versions{}}
	v.load = newLoad(c, in.city, v.wire)
	for _, system := range []string{"acceptance", "food-approval", "audit-office"} {
		v.asks[system] = c.trusting(system, v.wire, c.trust)
	}
	return v
}

// churn has market regulation correct addresses until the test ends, so that new versions are signed all the time, and the source's
// file is locked again and again.
func (in *installation) churn() {
	db, err := sql.Open("sqlite", "file:"+cityGround(in.t).path("city", "market.db")+"?_pragma=busy_timeout(2000)")
	in.must(err)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		every := time.NewTicker(40 * time.Millisecond)
		defer every.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-every.C:
				company := in.city.Population.Companies[n%7].Code
				db.Exec("update t_scztxx set zs = ? where tyshxydm = ?", "云川市示例区改名路"+strconv.Itoa(n)+"号", company) // a busy register is tried again
			}
		}
	}()
	in.t.Cleanup(func() { close(stop); <-stopped; db.Close() })
}

// survive is one life and death of the node, and the life after.
func (v *victim) survive(whole bool) {
	v.t.Helper()
	if rand.N(5) == 0 {
		v.dieEarly()
	}
	p := v.in.start()
	v.wire.to(p)
	ctx, cancel := context.WithCancel(v.t.Context())
	kill := time.AfterFunc(5*time.Millisecond+rand.N(400*time.Millisecond), func() {
		p.cmd.Process.Kill()
		cancel()
	})
	defer kill.Stop()
	v.load.run(ctx, 12)
	p.kill()
	v.check(v.wire.take(), whole)
}

// dieEarly kills a node while it starts.
func (v *victim) dieEarly() {
	v.early++
	p := v.in.launch(v.in.main, nil)
	select {
	case <-p.says:
	case <-time.After(rand.N(300 * time.Millisecond)):
	}
	p.kill()
}

// check starts the node again and holds it to everything that was answered.
func (v *victim) check(all []*exchange, whole bool) {
	v.t.Helper()
	mark, err := tlog.ReadMark(v.in.path("mark", "checkpoint"))
	if err != nil {
		v.t.Fatal(err)
	}
	p := v.in.start() // a good head is never refused
	v.wire.to(p)
	log := v.asks["audit-office"].Log()
	head := v.history.follow(v.t, log)
	if c := v.history.checkpoint(v.t, mark); c.Size > head.Size {
		v.t.Fatalf("the mark is at %d, ahead of the head at %d", c.Size, head.Size)
	}
	answered, lost := sort(v.t, all)
	for _, e := range answered {
		v.history.answered(v.t, e)
		v.versions.take(v.t, e.answer)
	}
	v.answers += len(answered)
	v.replay(p, answered)
	v.resolve(p, log, lost)
	if whole {
		v.history.whole(v.t, log)
	}
	p.stop()
	v.wire.take()
	if left := files(v.t, v.in.path("mark")); len(left) != 1 {
		v.t.Fatalf("%d files beside the mark", len(left)-1)
	}
}

// replay makes some answered calls again: each is refused, and leaves no record.
func (v *victim) replay(p *process, answered []*exchange) {
	v.t.Helper()
	before := p.figure("oncegate_log_size")
	for i, e := range answered {
		if i > 10 && i < len(answered)-20 { // the first, and those nearest to the kill
			continue
		}
		v.replays++
		if code := problemOf(e.again(v.t, p)); code != "token-replayed" {
			v.t.Fatalf("%s was answered, and made again after the restart it is %q", e.path, code)
		}
	}
	if after := p.figure("oncegate_log_size"); after != before {
		v.t.Fatalf("replays left %v records", after-before)
	}
}

// resolve asks what became of calls that got no answer. Each is recorded, with a receipt to be had and no second time, or was never
// made.
func (v *victim) resolve(p *process, log *tlog.Remote, lost []*exchange) {
	v.t.Helper()
	for _, e := range lost {
		if e.token == "" {
			continue
		}
		v.unanswered++
		c := claimed(v.t, e)
		found, err := v.asks[c.Issuer].LostReceipt(v.t.Context(), c.ID)
		if p, ok := errors.AsType[*api.Problem](err); err != nil && (!ok || p.Code != "receipt-not-found") {
			v.t.Fatal(err)
		}
		status, answer := e.again(v.t, p)
		v.history.follow(v.t, log)
		if err == nil {
			v.recorded++
			receipt, err := json.Marshal(found.Answer.Receipt)
			if err != nil {
				v.t.Fatal(err)
			}
			if s := v.callers.trust.Verify(verdict.Artefact{Name: "receipt", Data: receipt})[0]; s.Err() != nil {
				v.t.Fatal(s.Err())
			}
			if code := problemOf(status, answer); code != "token-replayed" {
				v.t.Fatalf("%s was recorded, and made again it is %q", e.path, code)
			}
			continue
		}
		if !hasReceipt(answer) {
			v.t.Fatalf("%s was never made, and made now it is %d %s", e.path, status, answer)
		}
		e.answer = answer
		v.history.answered(v.t, e)
		v.versions.take(v.t, answer)
	}
}

// problemOf is the code of a problem, "" of an answer.
func problemOf(status int, body []byte) string {
	var p api.Problem
	if status < 400 {
		return ""
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return "no problem document: " + string(body)
	}
	return p.Code
}

func payload(t testing.TB, compact string) []byte {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatal("not a token")
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return b
}
