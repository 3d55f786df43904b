package sources

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
	"go.uber.org/goleak"

	"oncegate/license"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type alwaysFinds license.Finding

func (f alwaysFinds) Find(_ context.Context, r license.Request) ([]license.Finding, error) {
	out := make([]license.Finding, len(r.Questions))
	for i := range out {
		out[i] = license.Finding(f)
	}
	return out, nil
}

type findFunc func(context.Context, license.Request) ([]license.Finding, error)

func (f findFunc) Find(ctx context.Context, r license.Request) ([]license.Finding, error) {
	return f(ctx, r)
}

func resilient(c Config) *Resilient {
	c.ID = "s"
	return New(c, NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler), time.Now)
}

var oneQuestion = license.Request{Questions: []license.Question{{Type: "business-license", Holder: license.HolderID{Type: "001", Code: "91379901MA9920002R"}}}}

// settle waits until something holds.
func settle(t *testing.T, what string, want func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !want(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it does not settle", what)
		}
	}
}

// One bad record, or one caller asking oddly, must not cut everybody off from a source that is well.
func TestBreakerKnowsWhoseFaultItIs(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		open bool
	}{
		{"the question", fmt.Errorf("%w: unreadable record", license.ErrUnanswerable), false},
		{"the source", errors.New("connection refused"), true},
	} {
		s := resilient(Config{Failures: 3, Cooldown: time.Minute, Source: alwaysFinds{State: license.IsUnavailable, Err: c.err}})
		for range 10 {
			s.Find(t.Context(), "a", oneQuestion)
		}
		if open := s.breaker.State().String() == "open"; open != c.open {
			t.Errorf("fault of %s: breaker open is %v", c.name, open)
		}
	}
}

// A caller who hangs up says nothing about the source: neither do such calls open its breaker, nor close it again.
func TestHangUpsDoNotMoveTheBreaker(t *testing.T) {
	down := errors.New("down")
	fails := func(ctx context.Context, _ license.Request) ([]license.Finding, error) {
		return nil, errors.Join(down, ctx.Err())
	}
	s := resilient(Config{Failures: 3, Cooldown: time.Millisecond, Source: findFunc(fails)})
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	for range 10 {
		s.Find(gone, "a", oneQuestion)
	}
	if s.breaker.State().String() != "closed" {
		t.Errorf("after hang-ups: %s", s.breaker.State())
	}
	for range 3 {
		s.Find(t.Context(), "a", oneQuestion)
	}
	for s.breaker.State().String() != "half-open" {
		time.Sleep(time.Millisecond)
	}
	s.Find(gone, "a", oneQuestion)
	if s.breaker.State().String() == "closed" {
		t.Error("a caller who hung up closed the breaker")
	}
}

// Whatever a source answers is either knowledge or "unavailable" with a reason; nothing is guessed, nobody panics.
func TestAnswersThatBreakTheContract(t *testing.T) {
	now := time.Now()
	found := license.Finding{State: license.IsFound, Records: []license.License{license.License{Number: "1"}}}
	presented := []license.Presented{{MediaType: license.MediaSDJWT, Data: []byte("a.b.c~")}}
	for name, c := range map[string]struct {
		answer []license.Finding
		err    error
		want   license.Found
	}{
		"found":                             {[]license.Finding{found}, nil, license.IsFound},
		"found nothing":                     {[]license.Finding{{State: license.IsFound}}, nil, license.IsUnavailable},
		"not found, but":                    {[]license.Finding{{State: license.IsNotFound, Records: found.Records}}, nil, license.IsUnavailable},
		"no state":                          {[]license.Finding{{}}, nil, license.IsUnavailable},
		"no reason":                         {[]license.Finding{{State: license.IsUnavailable}}, nil, license.IsUnavailable},
		"too few":                           {[]license.Finding{}, nil, license.IsUnavailable},
		"too many":                          {[]license.Finding{found, found}, nil, license.IsUnavailable},
		"both":                              {[]license.Finding{found}, errors.New("half"), license.IsUnavailable},
		"from the future":                   {[]license.Finding{{State: license.IsFound, Records: found.Records, AsOf: now.Add(time.Hour)}}, nil, license.IsFound},
		"stale, as it says":                 {[]license.Finding{{State: license.IsFound, Records: found.Records, Stale: true}}, nil, license.IsFound},
		"presented":                         {[]license.Finding{{State: license.IsFound, Presented: presented}}, nil, license.IsFound},
		"not found, but one is presented":   {[]license.Finding{{State: license.IsNotFound, Presented: presented}}, nil, license.IsUnavailable},
		"unavailable, but one is presented": {[]license.Finding{{State: license.IsUnavailable, Presented: presented}}, nil, license.IsUnavailable},
	} {
		s := resilient(Config{Source: findFunc(func(context.Context, license.Request) ([]license.Finding, error) { return c.answer, c.err })})
		got := s.Find(t.Context(), "a", oneQuestion)
		if len(got) != 1 || got[0].State != c.want || (c.want == license.IsUnavailable) != (got[0].Err != nil) || got[0].Stale || c.want == license.IsUnavailable && got[0].Presented != nil || got[0].AsOf.After(time.Now()) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	panics := resilient(Config{Source: findFunc(func(context.Context, license.Request) ([]license.Finding, error) { panic("110101199003074610") })})
	if got := panics.Find(t.Context(), "a", oneQuestion)[0]; got.State != license.IsUnavailable || strings.Contains(got.Err.Error(), "110101199003074610") {
		t.Errorf("panic: %+v", got)
	}
}

// A source that ignores its deadline keeps its slot, not its caller; its slots used up, it is still only itself that is
// unavailable.
func TestDeafSource(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	s := resilient(Config{Deadline: 10 * time.Millisecond, Concurrent: 2, Failures: 100, Source: findFunc(func(context.Context, license.Request) ([]license.Finding, error) {
		<-release
		return nil, nil
	})})
	for i := range 4 {
		want := context.DeadlineExceeded
		if i > 1 {
			want = ErrNoSlot
		}
		if got := s.Find(t.Context(), []string{"a", "b"}[i%2], oneQuestion)[0]; got.State != license.IsUnavailable || !errors.Is(got.Err, want) {
			t.Errorf("got %+v", got)
		}
	}
	if s.slots.Used() != 2 {
		t.Errorf("%d slots are held", s.slots.Used())
	}
}

// Waiting for a slot says nothing about the source, whose deadline runs from the slot: one system that asks a slow source more than
// it can take waits for itself. It does not open the breaker, and another system is answered meanwhile.
func TestSlowSourceIsShared(t *testing.T) {
	var busy, most atomic.Int64
	s := resilient(Config{Deadline: 200 * time.Millisecond, Concurrent: 4, Failures: 3, Cooldown: time.Minute, Source: findFunc(func(_ context.Context, r license.Request) ([]license.Finding, error) {
		most.Store(max(most.Load(), busy.Add(1)))
		defer busy.Add(-1)
		time.Sleep(50 * time.Millisecond)
		return alwaysFinds{State: license.IsNotFound}.Find(t.Context(), r)
	})})
	s.slots.Divide(map[string]float64{"greedy": 1, "modest": 1})
	var all sync.WaitGroup
	var noSlot, answered atomic.Int64
	for range 100 {
		all.Go(func() {
			switch f := s.Find(t.Context(), "greedy", oneQuestion)[0]; {
			case errors.Is(f.Err, ErrNoSlot):
				noSlot.Add(1)
			case f.State == license.IsNotFound:
				answered.Add(1)
			default:
				t.Errorf("greedy: %+v", f)
			}
		})
	}
	settle(t, "the greedy one", func() bool { return busy.Load() > 0 })
	for range 4 {
		if f := s.Find(t.Context(), "modest", oneQuestion)[0]; f.State != license.IsNotFound {
			t.Errorf("modest: %+v", f)
		}
	}
	all.Wait()
	if noSlot.Load() == 0 || answered.Load() < 4 || s.breaker.State() != gobreaker.StateClosed || most.Load() > 4 {
		t.Errorf("%d found no slot, %d were answered, the breaker is %s, %d at once", noSlot.Load(), answered.Load(), s.breaker.State(), most.Load())
	}
	settle(t, "the slots", func() bool { return s.slots.Used() == 0 })
}

// A call that has no time left for a source says nothing about it, and a source that hangs is still found out.
func TestCallWithoutTime(t *testing.T) {
	hangs := findFunc(func(ctx context.Context, _ license.Request) ([]license.Finding, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	s := resilient(Config{Deadline: 20 * time.Millisecond, Failures: 3, Cooldown: time.Minute, Source: hangs})
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		s.Find(ctx, "a", oneQuestion)
		cancel()
	}
	if s.breaker.State() != gobreaker.StateClosed {
		t.Error("callers without time open the breaker")
	}
	for range 3 {
		s.Find(t.Context(), "a", oneQuestion)
	}
	if s.breaker.State() != gobreaker.StateOpen {
		t.Errorf("a source that hangs: %s", s.breaker.State())
	}
	settle(t, "the slots", func() bool { return s.slots.Used() == 0 })
}
