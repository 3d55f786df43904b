package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/prometheus/client_golang/prometheus"

	"oncegate/audit"
	"oncegate/gateway/intake"
	"oncegate/gateway/sources"
	"oncegate/license"
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
	sources   *sources.Metrics
	materials *prometheus.CounterVec // state
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
		sources:  sources.NewMetrics(r),
		materials: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_materials_total",
			Help: "Required materials judged, by state."}, []string{"state"}),
	}
	r.MustRegister(m.calls, m.seconds, m.replays, m.refused, m.limited, m.inFlight, m.again, m.materials)
	return m
}

// call counts one call that was answered, and what became of the materials it checked.
func (m *metrics) call(operation, code string, took time.Duration, uses []audit.Use) {
	m.calls.WithLabelValues(operation, code).Inc()
	m.seconds.WithLabelValues(operation).Observe(took.Seconds())
	for _, u := range uses {
		if u.Need != 0 {
			m.materials.WithLabelValues(u.Decision).Inc()
		}
	}
}

// observe counts the call and writes its one log line; of those that got a fixed answer there is one line for each system and
// minute. Nothing in either comes from a caller but a request id that is a UUID.
func (g *Gateway) observe(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		c := request.(*call)
		g.metrics.inFlight.Inc()
		defer g.metrics.inFlight.Dec()
		response, err := next(ctx, request)
		if errors.As(err, new(*intake.Unauthenticated)) {
			return nil, err // counted where it is written: it proved nobody
		}
		if l := (*intake.Limited)(nil); errors.As(err, &l) {
			g.metrics.call(c.row.ID, "too-many-requests", g.now().Sub(c.start), nil)
			return nil, l // counted where it is written: a line for each would be a flood of lines
		}
		code, rep := "record-unavailable", &Reply{}
		if answered, ok := response.(*Reply); ok && err == nil {
			code, rep = answered.Code, answered
		}
		took := g.now().Sub(c.start)
		g.metrics.call(c.row.ID, code, took, rep.uses)
		if err != nil && g.failed.add(c.principal.System, 1) > 1 {
			return response, err // the first of a minute says why
		}
		line := []any{
			"operation", c.row.ID, "system", c.principal.System, "request", c.loggedRequestID(), "code", code,
			"decisions", decisions(rep.uses), "ms", float64(took.Microseconds()) / 1000,
		}
		if err == nil {
			line = append(line, "record", rep.Record)
		}
		g.logger.InfoContext(ctx, "call", line...)
		if err != nil {
			g.logger.ErrorContext(ctx, "call not answered: its record failed", "operation", c.row.ID, "error", err.Error())
		}
		return response, err
	}
}

// loggedRequestID is the request id as a log line shows it: only where the record has it openly too.
func (c *call) loggedRequestID() string {
	if open, said := requestID(c.requestID, license.DateOf(c.now)); said == "" {
		return open
	}
	return "withheld"
}

// decisions counts what was decided of the uses of a record, in the order in which each came first: "confirm:1 met:2".
func decisions(uses []audit.Use) string {
	var order []string
	counted := make(map[string]int)
	for _, u := range uses {
		if counted[u.Decision]++; counted[u.Decision] == 1 {
			order = append(order, u.Decision)
		}
	}
	var b strings.Builder
	for i, decision := range order {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s:%d", decision, counted[decision])
	}
	return b.String()
}
