package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oncegate/api"
	"oncegate/license"
)

type alwaysFinds license.Finding

func (f alwaysFinds) Find(_ context.Context, questions []license.Question) ([]license.Finding, error) {
	out := make([]license.Finding, len(questions))
	for i := range out {
		out[i] = license.Finding(f)
	}
	return out, nil
}

type findFunc func(context.Context, []license.Question) ([]license.Finding, error)

func (f findFunc) Find(ctx context.Context, q []license.Question) ([]license.Finding, error) {
	return f(ctx, q)
}

func guarded(c SourceConfig) *guardedSource {
	c.ID = "s"
	return guardSource(c, newMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler), time.Now)
}

var oneQuestion = []license.Question{{Type: "business-license", Holder: company}}

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
		s := guarded(SourceConfig{Failures: 3, Cooldown: time.Minute, Source: alwaysFinds{State: license.IsUnavailable, Err: c.err}})
		for range 10 {
			s.Find(t.Context(), oneQuestion)
		}
		if open := s.breaker.State().String() == "open"; open != c.open {
			t.Errorf("fault of %s: breaker open is %v", c.name, open)
		}
	}
}

// A caller who hangs up says nothing about the source: neither do such calls open its breaker, nor close it again.
func TestHangUpsDoNotMoveTheBreaker(t *testing.T) {
	down := errors.New("down")
	fails := func(ctx context.Context, _ []license.Question) ([]license.Finding, error) {
		return nil, errors.Join(down, ctx.Err())
	}
	s := guarded(SourceConfig{Failures: 3, Cooldown: time.Millisecond, Source: findFunc(fails)})
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	for range 10 {
		s.Find(gone, oneQuestion)
	}
	if s.breaker.State().String() != "closed" {
		t.Errorf("after hang-ups: %s", s.breaker.State())
	}
	for range 3 {
		s.Find(t.Context(), oneQuestion)
	}
	for s.breaker.State().String() != "half-open" {
		time.Sleep(time.Millisecond)
	}
	s.Find(gone, oneQuestion)
	if s.breaker.State().String() == "closed" {
		t.Error("a caller who hung up closed the breaker")
	}
}

// Whatever a source answers is either knowledge or "unavailable" with a reason; nothing is guessed, nobody panics.
func TestAnswersThatBreakTheContract(t *testing.T) {
	now := time.Now()
	found := license.Finding{State: license.IsFound, Records: []license.License{businessLicense()}}
	for name, c := range map[string]struct {
		answer []license.Finding
		err    error
		want   license.Found
	}{
		"found":             {[]license.Finding{found}, nil, license.IsFound},
		"found nothing":     {[]license.Finding{{State: license.IsFound}}, nil, license.IsUnavailable},
		"not found, but":    {[]license.Finding{{State: license.IsNotFound, Records: found.Records}}, nil, license.IsUnavailable},
		"no state":          {[]license.Finding{{}}, nil, license.IsUnavailable},
		"no reason":         {[]license.Finding{{State: license.IsUnavailable}}, nil, license.IsUnavailable},
		"too few":           {[]license.Finding{}, nil, license.IsUnavailable},
		"too many":          {[]license.Finding{found, found}, nil, license.IsUnavailable},
		"both":              {[]license.Finding{found}, errors.New("half"), license.IsUnavailable},
		"from the future":   {[]license.Finding{{State: license.IsFound, Records: found.Records, AsOf: now.Add(time.Hour)}}, nil, license.IsFound},
		"stale, as it says": {[]license.Finding{{State: license.IsFound, Records: found.Records, Stale: true}}, nil, license.IsFound},
	} {
		s := guarded(SourceConfig{Source: findFunc(func(context.Context, []license.Question) ([]license.Finding, error) { return c.answer, c.err })})
		got := s.Find(t.Context(), oneQuestion)
		if len(got) != 1 || got[0].State != c.want || (c.want == license.IsUnavailable) != (got[0].Err != nil) || got[0].Stale || got[0].AsOf.After(time.Now()) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	panics := guarded(SourceConfig{Source: findFunc(func(context.Context, []license.Question) ([]license.Finding, error) { panic(stranger.Code) })})
	if got := panics.Find(t.Context(), oneQuestion)[0]; got.State != license.IsUnavailable || strings.Contains(got.Err.Error(), stranger.Code) {
		t.Errorf("panic: %+v", got)
	}
}

// A source that ignores its deadline keeps its slot, not its caller; its slots used up, it is still only itself that is
// unavailable.
func TestDeafSource(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	s := guarded(SourceConfig{Deadline: 10 * time.Millisecond, Concurrent: 2, Failures: 100, Source: findFunc(func(context.Context, []license.Question) ([]license.Finding, error) {
		<-release
		return nil, nil
	})})
	for range 4 {
		if got := s.Find(t.Context(), oneQuestion)[0]; got.State != license.IsUnavailable || !errors.Is(got.Err, context.DeadlineExceeded) {
			t.Errorf("got %+v", got)
		}
	}
	if len(s.slots) != 2 {
		t.Errorf("%d slots are held", len(s.slots))
	}
}

// Law 6: while one source hangs, another answers the same check, and other calls are answered; the case goes on.
func TestOneSourceHangs(t *testing.T) {
	w := newWorld(t)
	w.acceptFlat("BDC-1")
	w.accept("SP-1")
	hanging, release := make(chan struct{}, 8), make(chan struct{})
	w.legacy["tax-clearance"].set(func(l *legacy) {
		l.before = func(ctx context.Context) {
			hanging <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
	})
	police, civil := make(chan struct{}, 8), make(chan struct{}, 8)
	w.legacy["resident-id"].set(func(l *legacy) { l.before = func(context.Context) { police <- struct{}{} } })
	w.legacy["marriage-certificate"].set(func(l *legacy) { l.before = func(context.Context) { civil <- struct{}{} } })
	checked := make(chan answered, 1)
	go func() { checked <- w.call("land-approval", "POST", "/v1/cases/BDC-1/check", map[string]any{}) }()
	<-hanging // the tax source is asked and does not answer; the others are asked meanwhile
	<-civil
	<-police
	other := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1")))
	if other.Found != api.FoundFound {
		t.Errorf("another call: %s", other.Found)
	}
	select {
	case <-checked:
		t.Fatal("the check was answered before its source")
	default:
	}
	w.legacy["tax-clearance"].set(func(l *legacy) { l.err = errors.New("reset by peer") })
	close(release)
	got := read[api.CheckAnswer](t, <-checked)
	if m := material(t, got, "tax-clearance"); m.State != "unavailable" || m.Fallback.Kind != "tolerate" || m.Source != "tax-system" || m.Freshness != "" {
		t.Errorf("the hanging one: %+v", m)
	}
	if !got.CanProceed || got.Reuse.Numerator != 4 {
		t.Errorf("the case: %v, %+v", got.CanProceed, got.Reuse)
	}
}

// A flapping source opens its breaker, which the metrics show, and is answered from again when it is well.
func TestFlappingSource(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	tax := w.legacy["business-license"]
	ask := func() string {
		return w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{"materials": []string{"business-license"}}).problem.Code
	}
	state := func() string {
		for _, line := range strings.Split(w.exposition(), "\n") {
			if value, ok := strings.CutPrefix(line, `oncegate_source_breaker_state{source="samr-system"} `); ok {
				return value
			}
		}
		return "?"
	}
	if state() != "0" {
		t.Errorf("at first: %s", state())
	}
	tax.set(func(l *legacy) { l.err = errors.New("flap") })
	for range 6 {
		ask()
	}
	if calls := tax.asked(); state() != "2" || calls != 5 {
		t.Errorf("after six failures: state %s, asked %d times", state(), calls)
	}
	tax.set(func(l *legacy) { l.err = nil })
	waitClosed(w, "samr-system")
	ask()
	if calls := tax.asked(); state() != "0" || calls != 6 {
		t.Errorf("when it is well: state %s, asked %d times", state(), calls)
	}
	if !strings.Contains(w.lines.String(), `msg="source breaker" source=samr-system from=closed to=open`) {
		t.Error("the log does not say so")
	}
}
