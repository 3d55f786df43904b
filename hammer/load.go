package hammer

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
)

// A Phase is what one stretch of load came to. Times are in milliseconds.
type Phase struct {
	Name    string         `json:"name"`
	Callers int            `json:"callers"`
	Offered float64        `json:"offered_per_second,omitzero"` // 0: each caller called again as soon as it was answered
	Calls   int            `json:"calls"`                       // answered
	Seconds float64        `json:"seconds"`
	Rate    float64        `json:"per_second"`
	P50     float64        `json:"p50_ms"`
	P90     float64        `json:"p90_ms"`
	P99     float64        `json:"p99_ms"`
	Max     float64        `json:"max_ms"`
	CPU     float64        `json:"cpu_us"` // microseconds of processor time per call, the callers' own share included; 0 where the system does not say
	Codes   map[string]int `json:"codes"`  // "ok", problem codes, and "no-answer" where the connection failed
	Bytes   int            `json:"bytes"`  // of the mean answer that was ok
}

// A stretch is a phase to come.
type stretch struct {
	name    string
	address string
	callers int
	calls   []*call
	rate    float64 // calls per second over all callers; 0: as fast as they are answered
	longest time.Duration
	keep    *answers // nil: answers are thrown away
	meter   *meter
}

// sign makes the calls of a stretch beforehand, so that signing is no part of what is measured.
func (in *installation) sign(ctx context.Context, calls int, pattern []kind) ([]*call, error) {
	list := make([]*call, calls)
	var failed atomic.Pointer[error]
	var group sync.WaitGroup
	for w := range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := w; i < calls && failed.Load() == nil; i += runtime.GOMAXPROCS(0) {
				k := pattern[i%len(pattern)]
				if k == replay {
					continue
				}
				c, err := in.make(ctx, k, i)
				if err != nil {
					failed.Store(&err)
					return
				}
				list[i] = c
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return nil, fmt.Errorf("sign calls: %w", *err)
	}
	return again(list), nil
}

// again fills the gaps with calls of a moment before. What stands at the front cannot be one.
func again(list []*call) []*call {
	for i, c := range list {
		if c != nil {
			continue
		}
		back := i - 1 - i%37
		if back < 0 || list[back] == nil {
			back = slices.IndexFunc(list, func(c *call) bool { return c != nil })
		}
		once := *list[back]
		once.kind = replay
		list[i] = &once
	}
	return list
}

// run makes the calls until they are used up, the time is over, or ctx ends. What was begun is finished.
func (s stretch) run(ctx context.Context) (Phase, error) {
	lines := make([]*line, s.callers)
	for i := range lines {
		var err error
		if lines[i], err = dial(ctx, s.address); err != nil {
			return Phase{}, err
		}
		defer func() { lines[i].Close() }()
	}
	runtime.GC() // what came before is not this stretch's to clean up
	t := &tally{stretch: s, codes: map[string]int{}}
	t.begin, t.spent = time.Now(), cpuTime()
	s.meter.start(s.name, &t.done, len(s.calls))
	var group sync.WaitGroup
	for i := range lines {
		group.Go(func() { lines[i] = t.call(ctx, lines[i]) })
	}
	group.Wait()
	s.meter.stop()
	return t.phase(time.Since(t.begin)), nil
}

// A tally is a stretch under way.
type tally struct {
	stretch
	begin time.Time
	spent time.Duration // processor time at begin
	next  atomic.Int64
	done  atomic.Int64

	mu    sync.Mutex // protects all below
	took  []time.Duration
	codes map[string]int
	bytes int
}

// call is one caller's work. It returns the line that it has at the end.
func (t *tally) call(ctx context.Context, l *line) *line {
	took, codes, bytes := make([]time.Duration, 0, 1024), map[string]int{}, 0
	for ctx.Err() == nil && time.Since(t.begin) < t.longest {
		i := int(t.next.Add(1)) - 1
		if i >= len(t.calls) {
			break
		}
		from := time.Now()
		if t.rate > 0 { // a late call counts from when it was due
			from = t.begin.Add(time.Duration(float64(i) / t.rate * float64(time.Second)))
			time.Sleep(time.Until(from))
		}
		c := t.calls[i]
		status, body, err := l.do(c.wire)
		if err != nil {
			codes["no-answer"]++
			l.Close()
			if next, err := dial(ctx, t.address); err == nil {
				l = next
				continue
			}
			break
		}
		took = append(took, time.Since(from))
		t.done.Add(1)
		code := codeOf(status, body)
		codes[code]++
		if code == "ok" {
			bytes += len(body)
		}
		if t.keep != nil {
			t.keep.add(answer{c.kind, status, c.jti, c.token, body})
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took, t.bytes = append(t.took, took...), t.bytes+bytes
	for code, n := range codes {
		t.codes[code] += n
	}
	return l
}

// codeOf names an answer: "ok", or the problem's code.
func codeOf(status int, body []byte) string {
	if status == http.StatusOK || status == http.StatusCreated {
		return "ok"
	}
	var p struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" {
		return fmt.Sprint("status-", status)
	}
	return p.Code
}

func (t *tally) phase(took time.Duration) Phase {
	slices.Sort(t.took)
	p := Phase{
		Name: t.name, Callers: t.callers, Offered: t.rate, Calls: len(t.took), Seconds: took.Seconds(), Codes: t.codes,
		P50: quantile(t.took, 0.5), P90: quantile(t.took, 0.9), P99: quantile(t.took, 0.99), Max: quantile(t.took, 1),
	}
	if took > 0 {
		p.Rate = float64(p.Calls) / took.Seconds()
	}
	if p.Calls > 0 {
		p.CPU = float64((cpuTime() - t.spent).Microseconds()) / float64(p.Calls)
	}
	if n := t.codes["ok"]; n > 0 {
		p.Bytes = t.bytes / n
	}
	return p
}

// quantile of sorted times, in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return milliseconds(sorted[max(0, i)])
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
