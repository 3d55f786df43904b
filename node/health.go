package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
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
	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/keystore"
	"oncegate/config"
	"oncegate/fault"
	"oncegate/install"
	"oncegate/tlog"
	"oncegate/witness"
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
	Until  time.Time   `json:"until,omitzero"`  // of a certificate: when it ends

	whose api.Sentence // of a certificate: who has it, and what for
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
	lateWarning        = 5 * time.Minute     // for a witness that does not co-sign
)

// Findings checks the running gateway.
func (n *Node) Findings(ctx context.Context) []Finding {
	s, now := n.current.Load().setup, n.Now()
	return slices.Concat(n.readyFindings(ctx), n.reloadFindings(), diskFindings(ctx, n.folders, s), n.clockFindings(ctx), certificateFindings(s, now),
		n.markFindings(s), backupFindings(s, now), n.projectionFindings(), n.witnessFindings(), n.sourceFindings())
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
	switch {
	case why == nil:
		return []Finding{{Check: "configuration", State: HealthOK, Figure: n.current.Load().setup.Digest, Says: "the configuration in the files is in force"}}
	case why.failed:
		return []Finding{{Check: "configuration", State: HealthFailed, Figure: why.since.UTC().Format(time.RFC3339),
			Says: "the last reload failed, the configuration before stays in force: " + why.reason, Do: "it is tried again by itself every 30 s"}}
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

// certificateFindings says how long every certificate in use lasts: of keys of our own, of callers and identity services, of the server, and of
// the authorities above them.
func certificateFindings(s *config.Setup, now time.Time) (list []Finding) {
	judge := func(about string, whose api.Sentence, end time.Time, do string) {
		left := end.Sub(now)
		days := int(left / (24 * time.Hour))
		f := Finding{Check: "certificate", About: about, State: HealthOK, Figure: fmt.Sprintf("%d d", days), Says: fmt.Sprintf("the certificate of %s ends in %d days", about, days), Until: end, whose: whose}
		switch {
		case left <= 0:
			f.State, f.Says, f.Do = HealthFailed, fmt.Sprintf("the certificate of %s has expired", about), do
		case left < certificateWarning:
			f.State, f.Do = HealthWarning, do
		}
		list = append(list, f)
	}
	for of, x := range ownExpiry(s, now) {
		judge(of.usage+"/"+of.department, whoseKey(s, of), now.Add(x.left), fmt.Sprintf("have a new one issued: oncegate keys csr %s, then oncegate keys cert %s FILE (operations, section 7)", x.key, x.key))
	}
	for id, c := range s.Callers {
		for kid, k := range c.Keys {
			judge(id+"/"+kid, api.Sentence{Zh: cmp.Or(c.Name, id) + " · 调用", En: cmp.Or(c.Name, id) + " · calls"}, k.NotAfter, "let the system send a request, certify it with oncegate keys sign, and name the new certificate beside this one (operations, section 7)")
		}
	}
	const anew = "let the identity service send a new certificate, and name it beside this one (operations, section 7)"
	for id, v := range s.Vouchers {
		for kid, k := range v.Keys {
			judge(id+"/"+kid, identityOf(s, id), k.NotAfter, anew)
		}
	}
	for issuer, a := range s.Asserters {
		judge(issuer+"/assertions", api.Sentence{Zh: cmp.Or(a.Name, issuer) + " · 同意", En: cmp.Or(a.Name, issuer) + " · consents"}, a.Key.NotAfter, anew)
	}
	for _, a := range s.Anchors {
		judge("anchor/"+a.Subject.CommonName, api.Sentence{Zh: a.Subject.CommonName + " · 信任锚", En: a.Subject.CommonName + " · trust anchor"}, a.NotAfter, "name the authority's next certificate beside this one under trust.anchors, before it signs with it")
	}
	if name := s.Gateway.TLS.Certificate; name != "" {
		if end, err := endOfTLS(s.Gateway.TLS); err != nil {
			list = append(list, Finding{Check: "certificate", About: "tls", State: HealthUnknown, Says: "the certificate of tls cannot be read", Do: "see that the file of the certificate is there and is PEM", whose: serverKey})
		} else {
			judge("tls", serverKey, end, "have a new one issued, and replace the files under gateway.tls: they are taken over by themselves")
		}
	}
	slices.SortFunc(list, func(a, b Finding) int { return strings.Compare(a.About, b.About) })
	return list
}

var serverKey = api.Sentence{Zh: "本网关 · HTTPS", En: "this gateway · HTTPS"}

// endOfTLS is when the server's certificate ends, or the first above it that it brings.
func endOfTLS(t config.TLS) (end time.Time, err error) {
	pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return end, err
	}
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return end, err
		}
		if end.IsZero() || c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end, nil
}

// uses are what keys are for, in words.
var uses = map[string]api.Sentence{
	keystore.License: {Zh: "签发证照", En: "licenses"}, keystore.Seal: {Zh: "电子印章", En: "seal"}, keystore.Status: {Zh: "状态清单", En: "status lists"},
	keystore.Call: {Zh: "调用", En: "calls"}, keystore.Log: {Zh: "日志", En: "log"}, keystore.Attest: {Zh: "身份证明", En: "identity"},
}

func whoseKey(s *config.Setup, of certified) api.Sentence {
	names, use := api.Sentence{Zh: of.department, En: of.department}, uses[of.usage]
	for _, d := range s.Departments {
		if d.ID == of.department {
			names = api.Sentence{Zh: cmp.Or(d.Name, d.ID), En: cmp.Or(d.NameEN, d.Name, d.ID)}
		}
	}
	return api.Sentence{Zh: names.Zh + " · " + cmp.Or(use.Zh, of.usage), En: names.En + " · " + cmp.Or(use.En, of.usage)}
}

func identityOf(s *config.Setup, id string) api.Sentence {
	name := id
	for _, v := range s.IdentityServices {
		if v.ID == id {
			name = cmp.Or(v.Name, id)
		}
	}
	return api.Sentence{Zh: name + " · 身份证明", En: name + " · identity"}
}

// markFindings checks the tree-head mark of a running gateway.
func (n *Node) markFindings(s *config.Setup) []Finding {
	age := n.log.Stats().MarkAge
	f := Finding{Check: "mark", State: HealthOK, Figure: fmt.Sprintf("%.0f s", age.Seconds()), Says: "the high-water mark has the newest records"}
	agrees, _ := n.compareMark(s)
	switch {
	case agrees == api.NodeMarkAgreesOther:
		f.State, f.Says, f.Do = HealthFailed, "the high-water mark is of another log, or of another past of this one", "stop this node, and find out which database is the right one (operations, section 5)"
	case agrees == api.NodeMarkAgreesUnreadable:
		return markUnreadable
	case age > n.markPatience:
		f.State, f.Says = HealthFailed, fmt.Sprintf("the high-water mark has lacked records for %.0f s", age.Seconds())
		f.Do = "see that its folder can be written: without it a restored old backup goes unnoticed"
	}
	return []Finding{f}
}

var markUnreadable = []Finding{{Check: "mark", State: HealthFailed, Says: "the high-water mark cannot be read", Do: "put its folder back: without it a restored old backup goes unnoticed"}}

// compareMark compares the checkpoint in the high-water mark's file with the log's head as this node knows it.
func (n *Node) compareMark(s *config.Setup) (api.NodeMarkAgrees, uint64) {
	text, err := tlog.ReadMark(s.Log.Mark)
	if err != nil {
		return api.NodeMarkAgreesUnreadable, 0
	}
	mark, err := tlog.ParseCheckpoint(text)
	if err != nil {
		return api.NodeMarkAgreesUnreadable, 0
	}
	head, err := tlog.ParseCheckpoint(n.log.Known()) // after the mark: it is never ahead of what was known when it was written
	switch {
	case err != nil:
		return api.NodeMarkAgreesUnreadable, mark.Size
	case mark.Origin != head.Origin || mark.Size == head.Size && (mark.SHA256 != head.SHA256 || mark.SM3 != head.SM3):
		return api.NodeMarkAgreesOther, mark.Size
	case mark.Size < head.Size:
		return api.NodeMarkAgreesBehind, mark.Size
	case mark.Size > head.Size:
		return api.NodeMarkAgreesAhead, mark.Size
	}
	return api.NodeMarkAgreesYes, mark.Size
}

func markFileFindings(s *config.Setup) []Finding {
	if _, err := os.Stat(s.Log.Mark); err != nil {
		return markUnreadable
	}
	return []Finding{{Check: "mark", State: HealthOK, Says: "the high-water mark is there"}}
}

func backupFindings(s *config.Setup, now time.Time) []Finding {
	f := Finding{Check: "backup", State: HealthWarning, Do: "back up every day: oncegate backup, or the tools of PostgreSQL and then touch " + install.BackupNote(s)}
	made, err := install.LastBackup(s)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Says = "no backup is known"
	case err != nil:
		f.State, f.Says = HealthUnknown, "the note of the last backup cannot be read"
	case made.Sub(now) > clockFailure: // else a note of tomorrow would be a backup for ever
		hours := int(made.Sub(now)/time.Hour) + 1
		f.Figure, f.Says = fmt.Sprintf("-%d h", hours), fmt.Sprintf("the last backup was made %d hours from now, so nobody knows when it was", hours)
	default:
		hours := max(0, int(now.Sub(made)/time.Hour))
		f.Figure, f.Says = fmt.Sprintf("%d h", hours), fmt.Sprintf("the last backup was made %d hours ago", hours)
		if now.Sub(made) < backupWarning {
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
	if lag == 0 {
		f.Says = "audit search has every record"
	}
	if lag > lagWarning {
		f.State, f.Do = HealthWarning, "wait, or see oncegate_upkeep_failures_total and the log: searches and reports lack these records"
	}
	return []Finding{f}
}

// witnessFindings says how each witness answered last, and how far the quorum stands.
func (n *Node) witnessFindings() (list []Finding) {
	policy := n.current.Load().setup.AskWitnesses
	if len(policy.Ask) == 0 {
		return nil
	}
	now := n.Now()
	for _, w := range n.asker.States(policy) {
		f := Finding{Check: "witness", About: w.Witness, State: HealthOK, Figure: fmt.Sprint(w.Size), Says: fmt.Sprintf("witness %s has co-signed %d records", w.Witness, w.Size)}
		late := now.Sub(w.Since)
		switch {
		case w.Result == "":
			f.Figure, f.Says = "", fmt.Sprintf("witness %s was not asked yet", w.Witness)
		case w.Result == witness.Contradicted:
			f.State, f.Says = HealthFailed, fmt.Sprintf("witness %s has co-signed another history of this log", w.Witness)
			f.Do = "stop, and find out who has the log's keys or which backup was restored: operations, section 13"
		case w.Result != witness.Signed && late >= lateWarning:
			f.State, f.Says = HealthWarning, fmt.Sprintf("witness %s has not co-signed for %d minutes", w.Witness, int(late/time.Minute))
			f.Do = "see why in the log, and call whoever runs it"
		}
		list = append(list, f)
	}
	size, at := n.asker.Witnessed()
	f := Finding{Check: "quorum", State: HealthOK, Figure: fmt.Sprint(size), Says: fmt.Sprintf("a quorum of witnesses has co-signed %d records", size)}
	switch logged := n.log.Stats().Size; {
	case size < logged && now.Sub(n.asker.Begun()) >= lateWarning && now.Sub(at) >= lateWarning:
		f.State, f.Do = HealthWarning, "see which witnesses do not answer: times of records are not proven meanwhile"
	}
	return append(list, f)
}

// sourceFindings says what the gateway knows of its sources from the calls that it made; it asks none.
func (n *Node) sourceFindings() (list []Finding) {
	states, planned := n.figure("source_breaker_state"), map[string]time.Time{}
	for _, o := range n.gateway.Outages() {
		planned[o.Source] = o.Until
	}
	for id, s := range n.current.Load().sources {
		f := Finding{Check: "source", About: id, State: HealthOK, Figure: "closed", Says: fmt.Sprintf("source %s answers, or was not asked yet", id)}
		switch states[id] {
		case 1:
			f.State, f.Figure, f.Says = HealthWarning, "half open", fmt.Sprintf("source %s is tried again after it failed", id)
		case 2:
			f.State, f.Figure, f.Says = HealthFailed, "open", fmt.Sprintf("source %s does not answer: its materials are unavailable", id)
			f.Do = "see the reasons in the log and in oncegate_source_failures_total, and call the department"
		}
		if until := planned[id]; !until.IsZero() {
			f.State, f.Do, f.Says = HealthOK, "", fmt.Sprintf("source %s does not answer: its maintenance is planned until %s", id, until.UTC().Format(time.RFC3339))
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
