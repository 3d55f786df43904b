package sources

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
)

// Metrics are the figures of all sources. Every label comes from the configuration.
type Metrics struct {
	seconds  *prometheus.HistogramVec // source, outcome
	failures *prometheus.CounterVec   // source, cause: one of license.Causes
	breakers *prometheus.GaugeVec     // source
}

// NewMetrics registers the figures of all sources.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "oncegate_source_seconds",
			Help: "Time of a call to a source by its outcome: ok, failed, refused (by the open breaker), or how long it waited in vain for a slot (busy).", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}, []string{"source", "outcome"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_source_failures_total",
			Help: "Questions and calls that a source did not answer, by cause: an outage, or a fault of its data or schema."}, []string{"source", "cause"}),
		breakers: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "oncegate_source_breaker_state",
			Help: "0 closed, 1 half open, 2 open."}, []string{"source"}),
	}
	r.MustRegister(m.seconds, m.failures, m.breakers)
	return m
}

type sourceMetrics struct {
	state                     prometheus.Gauge
	ok, failed, refused, busy prometheus.Observer
	failures                  *prometheus.CounterVec
}

// of binds the labels of one source once, outside of the hot path.
func (m *Metrics) of(id string) *sourceMetrics {
	return &sourceMetrics{
		state:   m.breakers.WithLabelValues(id),
		ok:      m.seconds.WithLabelValues(id, "ok"),
		failed:  m.seconds.WithLabelValues(id, "failed"),
		refused: m.seconds.WithLabelValues(id, "refused"),
		busy:    m.seconds.WithLabelValues(id, "busy"),

		failures: m.failures,
	}
}

func (s *sourceMetrics) observe(d time.Duration, err error) {
	switch {
	case err == nil:
		s.ok.Observe(d.Seconds())
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		s.refused.Observe(d.Seconds())
	case errors.Is(err, ErrNoSlot):
		s.busy.Observe(d.Seconds())
	default:
		s.failed.Observe(d.Seconds())
	}
}
