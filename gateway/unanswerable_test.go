package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
		s := guardSource(SourceConfig{ID: "s", Failures: 3, Cooldown: time.Minute, Source: alwaysFinds{State: license.IsUnavailable, Err: c.err}},
			newMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler), time.Now)
		for range 10 {
			s.Find(t.Context(), []license.Question{{Type: "business-license"}})
		}
		if open := s.breaker.State().String() == "open"; open != c.open {
			t.Errorf("fault of %s: breaker open is %v", c.name, open)
		}
	}
}
