package gateway

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"

	"oncegate/audit"
)

// metrics are the gateway's figures. Every label has a bounded set of values: operations and sources come from tables,
// outcomes and problem codes from the problem table. No label comes from a caller.
type metrics struct {
	calls     *prometheus.CounterVec   // operation, code
	seconds   *prometheus.HistogramVec // operation
	replays   prometheus.Counter
	refused   *prometheus.CounterVec // code; callers who did not prove who they are
	limited   *prometheus.CounterVec // system, share
	inFlight  prometheus.Gauge
	again     prometheus.Counter
	sources   *prometheus.HistogramVec // source, outcome
	breakers  *prometheus.GaugeVec     // source
	materials *prometheus.CounterVec   // state
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_calls_total",
			Help: "Calls of authenticated systems, by operation and problem code (ok: answered)."}, []string{"operation", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "oncegate_call_seconds",
			Help: "Time from the call's first byte to the answer's last.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15)}, []string{"operation"}),
		replays: prometheus.NewCounter(prometheus.CounterOpts{Name: "oncegate_replays_total", Help: "Signed calls that were made before."}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_unauthenticated_total",
			Help: "Calls refused before their caller had proved who it is."}, []string{"code"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_limited_total",
			Help: "Calls refused because their system had used up its share (rate, calls, memory, verifications)."}, []string{"system", "share"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "oncegate_calls_in_flight", Help: "Calls under way."}),
		again:    prometheus.NewCounter(prometheus.CounterOpts{Name: "oncegate_decided_again_total", Help: "Calls decided again because something changed before the record."}),
		sources: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "oncegate_source_seconds",
			Help: "Time of a call to a source by its outcome: ok, failed, refused (by the open breaker), or how long it waited in vain for a slot (busy).", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}, []string{"source", "outcome"}),
		breakers: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "oncegate_source_breaker_state",
			Help: "0 closed, 1 half open, 2 open."}, []string{"source"}),
		materials: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_materials_total",
			Help: "Required materials judged, by state."}, []string{"state"}),
	}
	r.MustRegister(m.calls, m.seconds, m.replays, m.refused, m.limited, m.inFlight, m.again, m.sources, m.breakers, m.materials)
	return m
}

// call counts one call that was answered, and what became of the materials it checked.
func (m *metrics) call(operation, code string, took time.Duration, uses []audit.DraftUse) {
	m.calls.WithLabelValues(operation, code).Inc()
	m.seconds.WithLabelValues(operation).Observe(took.Seconds())
	for _, u := range uses {
		if u.Need != 0 {
			m.materials.WithLabelValues(u.Decision).Inc()
		}
	}
}

type sourceMetrics struct {
	state                     prometheus.Gauge
	ok, failed, refused, busy prometheus.Observer
}

// source binds the labels of one source once, outside the hot path.
func (m *metrics) source(id string) *sourceMetrics {
	return &sourceMetrics{
		state:   m.breakers.WithLabelValues(id),
		ok:      m.sources.WithLabelValues(id, "ok"),
		failed:  m.sources.WithLabelValues(id, "failed"),
		refused: m.sources.WithLabelValues(id, "refused"),
		busy:    m.sources.WithLabelValues(id, "busy"),
	}
}

func (s *sourceMetrics) observe(d time.Duration, err error) {
	switch {
	case err == nil:
		s.ok.Observe(d.Seconds())
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		s.refused.Observe(d.Seconds())
	case errors.Is(err, errNoSlot):
		s.busy.Observe(d.Seconds())
	default:
		s.failed.Observe(d.Seconds())
	}
}
