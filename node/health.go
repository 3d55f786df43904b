package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"

	"oncegate/adapters/files"
	"oncegate/audit"
	"oncegate/config"
	"oncegate/fault"
	"oncegate/install"
)

// A Finding is what one check of a gateway's health found. Its texts are English sentences; a program that knows the reader's language
// translates them.
type Finding struct {
	Check  string      `json:"check"`           // stable name, such as "disk"
	About  string      `json:"about,omitzero"`  // what in particular, where there are several: store, a key's usage, a source
	State  HealthState `json:"state"`           //
	Figure string      `json:"figure,omitzero"` // what was measured
	Says   string      `json:"says"`            // what was found
	Do     string      `json:"do,omitzero"`     // what to do about it
}

// A HealthState is how well something is.
type HealthState string

// The states. A warning needs somebody soon, a failure now.
const (
	HealthOK      HealthState = "ok"
	HealthWarning HealthState = "warning"
	HealthFailed  HealthState = "failed"
	HealthUnknown HealthState = "unknown" // it could not be checked
)

// A Health is what the admin listener says under /doctor.
type Health struct {
	Build    Build     `json:"build"`
	Time     time.Time `json:"time"`
	Findings []Finding `json:"findings"`
}

// Thresholds of warnings.
const (
	spaceWarning       = 8                   // times the floor limits.free_space
	clockWarning       = time.Second         // calls are refused beyond a minute
	clockFailure       = 30 * time.Second    //
	certificateWarning = 30 * 24 * time.Hour // time to have another one issued
	backupWarning      = 48 * time.Hour      // of a daily backup one failed
	lagWarning         = 1000                // records
)

// Findings checks the running gateway.
func (n *Node) Findings(ctx context.Context) []Finding {
	s, now := n.current.Load().setup, n.Now()
	return slices.Concat(n.readyFindings(ctx), n.reloadFindings(), diskFindings(ctx, n.folders, s), n.clockFindings(ctx), certificateFindings(s, now),
		n.markFindings(), backupFindings(s, now), n.projectionFindings(), n.sourceFindings())
}

// Examine checks what can be checked of a gateway that is not running, or does not answer: its files.
func Examine(ctx context.Context, s *config.Setup, faults fault.List, now time.Time) []Finding {
	list := slices.Concat(configurationFindings(faults), diskFindings(ctx, foldersOf(s), s))
	if s.Keys != nil {
		list = append(list, certificateFindings(s, now)...)
	}
	return slices.Concat(list, markFileFindings(s), backupFindings(s, now))
}

func (n *Node) serveHealth(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.MarshalWrite(w, Health{ReadBuild(), n.Now().UTC(), n.Findings(r.Context())}) // the asker is gone: nobody is left to tell
}

// readyFindings are the reasons why the node should get no calls.
func (n *Node) readyFindings(ctx context.Context) (list []Finding) {
	for _, reason := range n.Ready(ctx) {
		list = append(list, Finding{Check: "ready", State: HealthFailed, Says: reason, Do: "until it is mended, calls are refused: operations, section 5"})
	}
	if list == nil {
		list = append(list, Finding{Check: "ready", State: HealthOK, Says: "the gateway takes calls, and records them"})
	}
	return list
}

func (n *Node) reloadFindings() []Finding {
	why := n.refused.Load()
	if why == nil {
		return []Finding{{Check: "configuration", State: HealthOK, Figure: n.current.Load().setup.Digest, Says: "the configuration in the files is in force"}}
	}
	return []Finding{{Check: "configuration", State: HealthFailed, Figure: why.since.UTC().Format(time.RFC3339),
		Says: "the last reload was refused, the configuration before stays in force: " + why.reason,
		Do:   "correct it, and see with oncegate check; it is taken over by itself then"}}
}

func configurationFindings(faults fault.List) []Finding {
	fatal := faults.Fatal()
	if len(fatal) == 0 {
		return []Finding{{Check: "configuration", State: HealthOK, Says: "the configuration can be used"}}
	}
	return []Finding{{Check: "configuration", State: HealthFailed, Figure: fmt.Sprint(len(fatal)), Says: "the configuration cannot be used: " + fatal[0].String(), Do: "correct it; oncegate check says all faults"}}
}

// foldersOf are the folders in which files of the node grow.
func foldersOf(s *config.Setup) (list []*folder) {
	add := func(name, file string) {
		if file != "" {
			list = append(list, &folder{name, filepath.Dir(file), make(chan struct{}, 1)})
		}
	}
	add("store", s.Store.Path)
	add("mark", s.Log.Mark)
	return list
}

func diskFindings(ctx context.Context, folders []*folder, s *config.Setup) (list []Finding) {
	floor := uint64(cmp.Or(s.Limits.FreeSpace, defaultFreeSpace))
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for _, f := range folders {
		free, known, err := f.free(ctx)
		found := Finding{Check: "disk", About: f.name, State: HealthOK, Figure: fmt.Sprintf("%d MiB", free>>20)}
		found.Says = fmt.Sprintf("the file system of the %s has %d MiB free", f.name, free>>20)
		switch {
		case err != nil || !known:
			found.State, found.Figure, found.Says = HealthUnknown, "", fmt.Sprintf("the free space of the %s's folder is not known", f.name)
			found.Do = "see that the folder is there and its file system answers"
		case free < floor:
			found.State, found.Do = HealthFailed, "free space now: below limits.free_space the gateway takes no calls"
		case free < spaceWarning*floor:
			found.State, found.Do = HealthWarning, "free space, or move to a larger disk: below limits.free_space the gateway takes no calls"
		}
		list = append(list, found)
	}
	return list
}

// clockFindings compares this machine's clock with the database server's and with the newest record.
func (n *Node) clockFindings(ctx context.Context) (list []Finding) {
	const correct = "correct the clock with NTP or BeiDou time: calls are refused beyond 60 s"
	judge := func(about, says string, off time.Duration) {
		f := Finding{Check: "clock", About: about, State: HealthOK, Figure: fmt.Sprintf("%.3f s", off.Seconds()), Says: says}
		switch {
		case off.Abs() >= clockFailure:
			f.State, f.Do = HealthFailed, correct
		case off.Abs() >= clockWarning:
			f.State, f.Do = HealthWarning, correct
		}
		list = append(list, f)
	}
	off, asked, err := n.db.ClockOffset(ctx, n.Now)
	switch {
	case err != nil:
		list = append(list, Finding{Check: "clock", About: "database", State: HealthUnknown, Says: "the database server does not say what time it is", Do: "see why the database does not answer"})
	case asked:
		judge("database", fmt.Sprintf("this clock is %.3f s from the database server's", off.Seconds()), off)
	}
	page, err := n.auditor.Search(ctx, audit.Ask{Limit: 1})
	if err != nil || len(page.Found) == 0 {
		return append(list, Finding{Check: "clock", About: "log", State: HealthUnknown, Says: "the newest record cannot be read", Do: "see why the database does not answer"})
	}
	if at, err := time.Parse(time.RFC3339, page.Found[0].Record.Time); err == nil {
		behind := max(0, at.Sub(n.Now()))
		says := "this clock is not behind the newest record"
		if behind > 0 {
			says = fmt.Sprintf("this clock is %.3f s behind the newest record", behind.Seconds())
		}
		judge("log", says, behind)
	}
	return list
}

func certificateFindings(s *config.Setup, now time.Time) (list []Finding) {
	judge := func(about, name string, left time.Duration, do string) {
		days := int(left / (24 * time.Hour))
		f := Finding{Check: "certificate", About: about, State: HealthOK, Figure: fmt.Sprintf("%d d", days), Says: fmt.Sprintf("the certificate of %s ends in %d days", name, days)}
		switch {
		case left <= 0:
			f.State, f.Says, f.Do = HealthFailed, fmt.Sprintf("the certificate of %s has expired", name), do
		case left < certificateWarning:
			f.State, f.Do = HealthWarning, do
		}
		list = append(list, f)
	}
	for of, left := range ownExpiry(s, now) {
		judge(of.usage+"/"+of.department, of.usage+"/"+of.department, left, "have a new one issued: oncegate keys csr, then oncegate keys cert (operations, section 7)")
	}
	for id, c := range s.Callers {
		for kid, k := range c.Keys {
			judge(id+"/"+kid, id+"/"+kid, k.NotAfter.Sub(now), "let the system send a request, certify it, and name the new certificate beside this one (operations, section 7)")
		}
	}
	for id, v := range s.Vouchers {
		for kid, k := range v.Keys {
			judge(id+"/"+kid, id+"/"+kid, k.NotAfter.Sub(now), "let the identity service send a new certificate, and name it beside this one (operations, section 7)")
		}
	}
	slices.SortFunc(list, func(a, b Finding) int { return strings.Compare(a.About, b.About) })
	return list
}

// markFindings checks the tree-head mark of a running gateway.
func (n *Node) markFindings() []Finding {
	age := n.log.Stats().MarkAge
	f := Finding{Check: "mark", State: HealthOK, Figure: fmt.Sprintf("%.0f s", age.Seconds()), Says: "the high-water mark has the newest records"}
	if age > n.markPatience {
		f.State, f.Says = HealthFailed, fmt.Sprintf("the high-water mark has lacked records for %.0f s", age.Seconds())
		f.Do = "see that its folder can be written: without it a restored old backup goes unnoticed"
	}
	return []Finding{f}
}

func markFileFindings(s *config.Setup) []Finding {
	if _, err := os.Stat(s.Log.Mark); err != nil {
		return []Finding{{Check: "mark", State: HealthFailed, Says: "the high-water mark cannot be read", Do: "put its folder back: without it a restored old backup goes unnoticed"}}
	}
	return []Finding{{Check: "mark", State: HealthOK, Says: "the high-water mark is there"}}
}

func backupFindings(s *config.Setup, now time.Time) []Finding {
	f := Finding{Check: "backup", State: HealthWarning, Do: "back up every day: oncegate backup, or the tools of PostgreSQL and then touch " + install.BackupNote(s)}
	info, err := os.Stat(install.BackupNote(s))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Says = "no backup is known"
	case err != nil:
		f.State, f.Says = HealthUnknown, "the note of the last backup cannot be read"
	default:
		hours := int(now.Sub(info.ModTime()) / time.Hour)
		f.Figure, f.Says = fmt.Sprintf("%d h", hours), fmt.Sprintf("the last backup was made %d hours ago", hours)
		if now.Sub(info.ModTime()) < backupWarning {
			f.State, f.Do = HealthOK, ""
		}
	}
	return []Finding{f}
}

// projectionFindings checks how far audit search lags behind the log.
func (n *Node) projectionFindings() []Finding {
	size, covered := float64(n.log.Stats().Size), n.figure("projection_records")[""]
	lag := int(max(0, size-covered))
	f := Finding{Check: "search", State: HealthOK, Figure: fmt.Sprint(lag), Says: fmt.Sprintf("audit search lacks %d of the newest records", lag)}
	if lag > lagWarning {
		f.State, f.Do = HealthWarning, "wait, or see oncegate_upkeep_failures_total and the log: searches and reports lack these records"
	}
	return []Finding{f}
}

// sourceFindings says what the gateway knows of its sources from the calls that it made; it asks none.
func (n *Node) sourceFindings() (list []Finding) {
	states := n.figure("source_breaker_state")
	for id, s := range n.current.Load().sources {
		f := Finding{Check: "source", About: id, State: HealthOK, Figure: "closed", Says: fmt.Sprintf("source %s answers, or was not asked yet", id)}
		switch states[id] {
		case 1:
			f.State, f.Figure, f.Says = HealthWarning, "half open", fmt.Sprintf("source %s is tried again after it failed", id)
		case 2:
			f.State, f.Figure, f.Says = HealthFailed, "open", fmt.Sprintf("source %s does not answer: its materials are unavailable", id)
			f.Do = "see the reasons in the log and in oncegate_source_failures_total, and call the department"
		}
		if d, ok := s.Adapter.(interface{ Status() files.Status }); ok && f.State == HealthOK {
			if st := d.Status(); st.Err != nil || st.Refused != nil {
				f.State, f.Says = HealthWarning, fmt.Sprintf("the newest file of source %s was refused, or its folder cannot be read", id)
				f.Do = "the log names file and line; tell the department"
			}
		}
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b Finding) int { return strings.Compare(a.About, b.About) })
	return list
}

// figure are the values of one of our metrics, by the label source, which may be missing.
func (n *Node) figure(name string) map[string]float64 {
	values := map[string]float64{}
	families, err := n.Registry.Gather()
	if err != nil && len(families) == 0 {
		return values
	}
	for _, f := range families {
		if f.GetName() != prometheus.BuildFQName("oncegate", "", name) {
			continue
		}
		for _, m := range f.GetMetric() {
			source := ""
			for _, l := range m.GetLabel() {
				if l.GetName() == "source" {
					source = l.GetValue()
				}
			}
			values[source] = m.GetGauge().GetValue()
		}
	}
	return values
}

// measureClock keeps the metric of the clock.
func (n *Node) measureClock(ctx context.Context) {
	n.every(ctx, "clock", 0, time.Minute, func(ctx context.Context) error {
		off, _, err := n.db.ClockOffset(ctx, n.Now)
		if err == nil {
			n.metrics.clock.Set(off.Seconds())
		}
		return err
	})
}
