package session

import "github.com/prometheus/client_golang/prometheus"

// metrics count what happens at the console's door. Labels are codes and ids of the configuration, never persons.
type metrics struct {
	signIns *prometheus.CounterVec // by means (local, or a provider's id) and outcome
	refused *prometheus.CounterVec // by code
	locks   prometheus.Counter
	unlocks *prometheus.CounterVec // by outcome
	ended   *prometheus.CounterVec // by cause
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		signIns: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_console_sign_ins_total", Help: "Tries to sign in to the console, by means (local, or the id of a provider) and outcome (ok or a code)."}, []string{"means", "outcome"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_console_refused_total", Help: "Requests to the console that were refused, by code."}, []string{"code"}),
		locks:   prometheus.NewCounter(prometheus.CounterOpts{Name: "oncegate_console_locks_total", Help: "Sessions of the console that were locked because nobody used them."}),
		unlocks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_console_unlocks_total", Help: "Tries to give the second factor again, by outcome (ok or a code)."}, []string{"outcome"}),
		ended:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_console_ended_total", Help: "Sessions of the console that a person ended, by how (sign-out, change-person or sign-in)."}, []string{"how"}),
	}
	for code := range sentences {
		m.refused.WithLabelValues(code)
	}
	for _, how := range []string{"sign-out", "change-person", "sign-in"} {
		m.ended.WithLabelValues(how)
	}
	m.signIns.WithLabelValues("local", "ok")
	m.unlocks.WithLabelValues("ok")
	r.MustRegister(m.signIns, m.refused, m.locks, m.unlocks, m.ended)
	return m
}

// outcome is the label of an error.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return codeOf(err)
}
