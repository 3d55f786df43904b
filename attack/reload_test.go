package attack

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/client"
)

// reloads is how often TestReloads reloads; ONCEGATE_TEST_RELOADS asks for more.
func reloads(t *testing.T) int {
	if s := os.Getenv("ONCEGATE_TEST_RELOADS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal("ONCEGATE_TEST_RELOADS is no number")
		}
		return n
	}
	return 200
}

// TestReloads changes the configuration again and again while calls go on and a department writes to its own register: no call fails,
// memory and goroutines do not grow, and a bad file changes nothing.
func TestReloads(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	c := in.callers()
	in.churn()
	p := in.start()
	l := newLoad(c, in.city, wireTo(p))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var windows sync.WaitGroup
	for range 2 {
		windows.Go(func() { l.stroll(ctx, 200*time.Millisecond) })
	}

	r := reloader{process: p, in: in}
	r.read()
	total := reloads(t)
	for range total / 4 {
		r.reload(false)
	}
	warm := p.footprint()
	for n := range total - total/4 {
		r.reload(n%10 == 9)
	}
	cancel()
	windows.Wait()
	end := p.footprint()
	if ok := p.figure(`oncegate_config_reloads_total{result="ok"}`); int(ok) < r.good {
		t.Errorf("%d reloads are counted as %v", r.good, ok)
	}

	answered, lost := sort(t, l.wire.take())
	if len(l.failed) > 0 || len(lost) > 2 { // each window has at most one call under way at the end
		t.Errorf("calls failed: %v; %d got no answer", l.failed, len(lost))
		explain(t, c.as("audit-office", wireTo(p)), answered)
	}
	if end.heap > warm.heap+6<<20 {
		t.Errorf("%d reloads grew the heap from %d to %d KiB", total-total/4, warm.heap>>10, end.heap>>10)
	}
	if end.goroutines > warm.goroutines+10 {
		t.Errorf("%d reloads grew the goroutines from %v to %v", total-total/4, warm.goroutines, end.goroutines)
	}
	h := newHistory(c.trust)
	h.follow(t, c.as("audit-office", l.wire).Log())
	h.each(t, answered, 20)
	t.Logf("%d reloads and %d bad files during %d answers; heap %d to %d KiB, goroutines %v to %v",
		r.good, r.bad, len(answered), warm.heap>>10, end.heap>>10, warm.goroutines, end.goroutines)
	p.stop()
}

// explain logs what the evidence says of the first refusals among recorded answers: the caller is told less.
func explain(t *testing.T, auditor *client.Client, answered []*exchange) {
	t.Helper()
	explained := 0
	for _, e := range answered {
		if e.status < 400 || explained == 5 {
			continue
		}
		explained++
		found, err := auditor.Evidence(t.Context(), receiptOf(t, e).Index, api.EvidenceRequest{Why: "a refusal that no caller deserved"})
		if err != nil {
			t.Errorf("the evidence of a refusal: %v", err)
			continue
		}
		t.Logf("%s was refused because of %+v, decided on %s", e.path, found.Answer.Reasons, found.Answer.Inputs)
	}
}

// A reloader edits the grants and has the node read them.
type reloader struct {
	*process
	in        *installation
	grants    string // as they stood in the beginning
	n         int
	good, bad int
}

func (r *reloader) read() {
	text, err := os.ReadFile(r.in.path("policy", "grants.yaml"))
	r.in.must(err)
	r.grants = string(text)
}

// reload writes grants that differ from those before, good or bad, and waits until the node has taken or refused them.
func (r *reloader) reload(bad bool) {
	r.t.Helper()
	r.n++
	text, says, count := r.grants+fmt.Sprintf("# %d\n", r.n), "configuration in force", &r.good
	if bad {
		text, says, count = strings.Replace(text, "business-license", "no-such-license", 1), "reload refused, the configuration before stays in force", &r.bad
	}
	*count++
	before, _ := r.logs.mentions(says)
	r.in.write("policy/grants.yaml", text)
	r.cmd.Process.Signal(syscall.SIGHUP)
	r.logs.await(r.t, says, before)
}

// A footprint is a node's memory after a garbage collection.
type footprint struct {
	heap       int
	goroutines float64
}

func (p *process) footprint() footprint {
	p.t.Helper()
	least := footprint{heap: math.MaxInt}
	for range 3 { // what calls that have just ended let go of is not all gone at the first
		for range 2 { // the second collection takes what finalizers have let go
			if status, _ := p.ask("/debug/pprof/heap?gc=1&debug=1"); status != 200 {
				p.t.Fatal("no heap profile")
			}
		}
		if now := (footprint{int(p.figure("go_memstats_heap_alloc_bytes")), p.figure("go_goroutines")}); now.heap < least.heap {
			least = now
		}
	}
	return least
}
