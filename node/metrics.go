package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"oncegate/adapters/files"
	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/certs/second"
	"oncegate/config"
	"oncegate/install"
	"oncegate/store"
	"oncegate/tlog"
)

// A certified names the keys that one label set of a metric is about.
type certified struct{ usage, department string }

// An expiry is how long a certificate will last, and the id of its key.
type expiry struct {
	left time.Duration
	key  string
}

// ownExpiry is how long the certificates of the keys that sign for us will last, the shortest of each usage and department. Keys
// that sign nothing any more do not count.
func ownExpiry(s *config.Setup, now time.Time) map[certified]expiry {
	shortest := make(map[certified]expiry)
	note := func(k keystore.Info, department string) {
		chain, err := pki.ParseChain(k.Chain)
		if err != nil || len(chain) == 0 {
			return
		}
		of, left := certified{k.Usage, department}, chain[0].NotAfter.Sub(now)
		for _, above := range chain[1:] { // a chain holds as long as its shortest certificate
			left = min(left, above.NotAfter.Sub(now))
		}
		if known, ok := shortest[of]; !ok || left < known.left {
			shortest[of] = expiry{left, k.ID}
		}
	}
	departments := make(map[string]string, len(s.Departments))
	for _, d := range s.Departments {
		departments[d.USCC] = d.ID
		if k, err := d.FindLicenseKey(s.Keys); err == nil && d.LicenseKey != "" {
			note(k, d.ID)
		}
	}
	for _, k := range s.Keys.List() {
		if k.State != keystore.Current || k.Usage == keystore.License {
			continue
		}
		department, known := departments[k.Owner]
		if !known { // the gateway's own
			department = s.Gateway.Department
		}
		note(k, department)
	}
	return shortest
}

// metrics are the Prometheus metrics of the node itself; the gateway has its own. Labels come from the configuration, never from a
// caller.
type metrics struct {
	registry      prometheus.Registerer
	disagreements prometheus.Counter
	reloads       *prometheus.CounterVec // result
	loaded        prometheus.Gauge
	reloaded      prometheus.Gauge // 1 unless the last reload was refused or failed
	covered, size prometheus.Gauge
	clock         prometheus.Gauge
	erased        prometheus.Counter
	filesErased   prometheus.Counter
	unstamped     prometheus.Counter
	unstapled     prometheus.Counter
	loops         *prometheus.CounterVec // loop: failures
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		registry:      r,
		disagreements: prometheus.NewCounter(prometheus.CounterOpts{Name: "oncegate_sm2_disagreements_total", Help: "Signatures about which the two SM2 verifiers disagree: an alarm."}),
		reloads:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_config_reloads_total", Help: "Reloads of the configuration, by result."}, []string{"result"}),
		loaded:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "oncegate_config_loaded_timestamp_seconds", Help: "When the configuration in force was loaded."}),
		reloaded:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "oncegate_config_last_reload_successful", Help: "0 while the files of the configuration are not what is in force, because the last reload was refused or failed."}),
		clock:         prometheus.NewGauge(prometheus.GaugeOpts{Name: "oncegate_clock_offset_seconds", Help: "This machine's clock minus the database server's, measured every minute; 0 on SQLite."}),
		covered:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "oncegate_projection_records", Help: "Records that audit search finds."}),
		size:          prometheus.NewGauge(prometheus.GaugeOpts{Name: "oncegate_projection_log_records", Help: "Records there were when the projection was last followed."}),
		filesErased:   prometheus.NewCounter(prometheus.CounterOpts{Name: "oncegate_filed_files_erased_total", Help: "Files of filed materials that were erased at the end of their retention."}),
		erased:        prometheus.NewCounter(prometheus.CounterOpts{Name: "oncegate_evidence_erased_total", Help: "Records whose evidence was erased at the end of its retention."}),
		unstamped:     prometheus.NewCounter(prometheus.CounterOpts{Name: "oncegate_unstamped_originals_total", Help: "Licenses that were sealed without a time stamp because the authority did not give one."}),
		unstapled:     prometheus.NewCounter(prometheus.CounterOpts{Name: "oncegate_unstapled_documents_total", Help: "Documents that were signed without evidence that the signer's certificate is not revoked, although there should be some."}),
		loops:         prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oncegate_upkeep_failures_total", Help: "Failures of recurring work, by kind."}, []string{"kind"}),
	}
	r.MustRegister(m.disagreements, m.reloads, m.loaded, m.reloaded, m.clock, m.covered, m.size, m.erased, m.filesErased, m.unstamped, m.unstapled, m.loops,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	m.reloaded.Set(1)
	b := ReadBuild()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "oncegate_build_info", Help: "1; which program runs stands in the labels."}, []string{"version", "commit", "go", "platform"})
	build.WithLabelValues(b.Version, b.Commit, b.Go, b.Platform).Set(1)
	r.MustRegister(build)
	for _, result := range []string{"ok", "unchanged", "refused", "failed"} {
		m.reloads.WithLabelValues(result)
	}
	return m
}

func (m *metrics) gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

func (m *metrics) counter(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
}

// watchLog shows the log's own counts.
func (m *metrics) watchLog(l *tlog.Log) {
	m.gauge("oncegate_log_size", "Records in the log.", func() float64 { return float64(l.Stats().Size) })
	m.gauge("oncegate_log_waiting", "Records that wait for a batch.", func() float64 { return float64(l.Stats().Waiting) })
	m.gauge("oncegate_log_in_doubt", "1 while the outcome of a commit is not known and calls are refused.", func() float64 {
		if l.Stats().InDoubt {
			return 1
		}
		return 0
	})
	m.counter("oncegate_log_batches_total", "Batches committed.", func() float64 { return float64(l.Stats().Batches) })
	m.counter("oncegate_log_entries_total", "Records committed.", func() float64 { return float64(l.Stats().Entries) })
	m.counter("oncegate_log_refused_total", "Records refused by the store, such as replays.", func() float64 { return float64(l.Stats().Refused) })
	m.counter("oncegate_log_failed_commits_total", "Commits that failed for certain.", func() float64 { return float64(l.Stats().Failed) })
	m.counter("oncegate_log_unknown_commits_total", "Commits whose outcome was not known at once.", func() float64 { return float64(l.Stats().Unknown) })
	m.gauge("oncegate_log_mark_behind_seconds", "For how long the high-water mark has lacked a commit; 0 if it lacks none.", func() float64 { return l.Stats().MarkAge.Seconds() })
	m.counter("oncegate_log_mark_failures_total", "Failed writes of the high-water mark.", func() float64 { return float64(l.Stats().MarkFail) })
}

// watchBackup shows when the newest backup was made.
func (m *metrics) watchBackup(s *config.Setup) {
	m.gauge("oncegate_backup_timestamp_seconds", "When the newest backup was made, as the note beside the high-water mark says; 0 if none is known.", func() float64 {
		made, err := install.LastBackup(s)
		if err != nil {
			return 0
		}
		return float64(made.Unix())
	})
}

// watchTables shows how often the database was found altered.
func (m *metrics) watchTables(db *store.DB) {
	m.counter("oncegate_database_alterations_total", "How often something was met in the database that was not written with this gateway's keys: an alarm.", func() float64 { return float64(db.Altered()) })
}

// watchConnections shows the connections of the service.
func (m *metrics) watchConnections(c *connections) {
	m.gauge("oncegate_connections", "Open connections of the service.", func() float64 { open, _ := c.counts(); return float64(open) })
	m.counter("oncegate_connections_dropped_total", "Connections that were refused or closed because there were too many.", func() float64 { _, dropped := c.counts(); return float64(dropped) })
}

// watchDualVerifier shows how many signatures the second verifier checked.
func (m *metrics) watchDualVerifier(v *second.DualVerifier) {
	m.counter("oncegate_sm2_second_checks_total", "Signatures checked again by the second verifier.", func() float64 { checked, _ := v.Counts(); return float64(checked) })
	m.counter("oncegate_sm2_second_dropped_total", "Signatures the second verifier was too busy for.", func() float64 { _, dropped := v.Counts(); return float64(dropped) })
}

// A stateCollector shows what follows from the configuration in force: certificates and drops.
type stateCollector struct{ node *Node }

var (
	expiresDesc = prometheus.NewDesc("oncegate_certificate_expires_timestamp_seconds", "When the certificate of a registered caller or identity service expires.", []string{"system", "key"}, nil)
	ownDesc     = prometheus.NewDesc("oncegate_own_certificate_seconds_to_expiry", "Seconds until the certificate of a key of our own expires, by usage (license, status, log, call, seal) and department; negative once it has. Of several keys the first to expire.", []string{"usage", "department"}, nil)
	dropDesc    = prometheus.NewDesc("oncegate_drop_timestamp_seconds", "The moment whose truth the drop in use is.", []string{"source"}, nil)
	rowsDesc    = prometheus.NewDesc("oncegate_drop_rows", "Rows of the drop in use.", []string{"source"}, nil)
	refusedDesc = prometheus.NewDesc("oncegate_drop_refused", "1 while the newest drop is refused and an older one serves.", []string{"source"}, nil)
)

// Describe implements prometheus.Collector.
func (c stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{expiresDesc, ownDesc, dropDesc, rowsDesc, refusedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c stateCollector) Collect(ch chan<- prometheus.Metric) {
	now := c.node.current.Load()
	if now == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for id, s := range now.setup.Callers {
		for kid, k := range s.Keys {
			gauge(expiresDesc, float64(k.NotAfter.Unix()), id, kid)
		}
	}
	for id, s := range now.setup.Vouchers {
		for kid, k := range s.Keys {
			gauge(expiresDesc, float64(k.NotAfter.Unix()), id, kid)
		}
	}
	for of, x := range ownExpiry(now.setup, c.node.Now()) {
		gauge(ownDesc, x.left.Seconds(), of.usage, of.department)
	}
	for id, s := range now.sources {
		if f, ok := s.Adapter.(interface{ Status() files.Status }); ok {
			st := f.Status()
			refused := 0.0
			if st.Refused != nil {
				refused = 1
			}
			gauge(dropDesc, float64(st.AsOf.Unix()), id)
			gauge(rowsDesc, float64(st.Rows), id)
			gauge(refusedDesc, refused, id)
		}
	}
}
