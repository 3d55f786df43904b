package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
)

func (w *world) supervise(method, path string, body any) answered {
	w.t.Helper()
	return w.call("audit-supervision", method, "/v1/audit/"+path, body)
}

func (w *world) withSupervision() {
	w.t.Helper()
	w.reload(func(s *Snapshot) {
		s.Systems["audit-supervision"] = System{ID: "audit-supervision", Department: "audit", Rate: 1e6, Keys: map[string]Key{"audit-supervision-1": {Public: w.certs.Signer("audit-supervision-1").Public()}}}
		s.Departments = map[string]string{"service": "云川市行政审批服务局"}
	})
}

// Whoever audits sees what was asked of the gateway, and whoever supervises sees who looked: neither sees the other's, whatever operation
// they try, and nobody else sees any.
func TestInquiriesAreTheSupervisors(t *testing.T) {
	w := newWorld(t)
	w.withSupervision()
	checked, _ := w.story()
	looked := w.audit("search", map[string]any{"holder": boss})
	opened := w.audit(fmt.Sprintf("records/%d", checked.index), map[string]any{"why": "complaint", "persons": true})
	judged := w.audit(fmt.Sprintf("records/%d/dispositions", checked.index), map[string]any{"disposition": "normal", "note": "核对无误"})
	listed := func(a answered) (all []uint64) {
		t.Helper()
		for _, r := range read[api.SearchAnswer](t, a).Records {
			all = append(all, r.Index)
		}
		return all
	}
	auditors, supervisors := listed(w.audit("search", map[string]any{})), listed(w.supervise("POST", "search", map[string]any{}))
	for _, index := range []uint64{looked.index, opened.index} {
		if slices.Contains(auditors, index) || !slices.Contains(supervisors, index) {
			t.Errorf("record %d of an inquiry: auditors %v, supervisors %v", index, auditors, supervisors)
		}
	}
	for _, index := range []uint64{checked.index, judged.index} {
		if !slices.Contains(auditors, index) || slices.Contains(supervisors, index) {
			t.Errorf("record %d: auditors %v, supervisors %v", index, auditors, supervisors)
		}
	}
	why := map[string]any{"why": "inspection"}
	for name, call := range map[string]func(index uint64) (auditor, supervisor answered){
		"record": func(index uint64) (answered, answered) {
			path := fmt.Sprintf("records/%d", index)
			return w.audit(path, nil), w.supervise("GET", path, nil)
		},
		"evidence": func(index uint64) (answered, answered) {
			path := fmt.Sprintf("records/%d", index)
			return w.audit(path, why), w.supervise("POST", path, why)
		},
		"receipt": func(index uint64) (answered, answered) {
			path := fmt.Sprintf("records/%d/receipt", index)
			return w.audit(path, nil), w.supervise("GET", path, nil)
		},
	} {
		auditor, supervisor := call(checked.index)
		if auditor.status != 200 || supervisor.status == 200 {
			t.Errorf("%s of a check: auditor %d, supervisor %d", name, auditor.status, supervisor.status)
		}
		w.refused(supervisor, "log-entry-not-found")
		auditor, supervisor = call(opened.index)
		if supervisor.status != 200 {
			t.Errorf("%s of an inquiry: supervisor %d", name, supervisor.status)
		}
		w.refused(auditor, "log-entry-not-found")
	}
	w.refused(w.audit(fmt.Sprintf("records/%d/dispositions", opened.index), map[string]any{"disposition": "normal", "note": "…"}), "log-entry-not-found")
	for _, refused := range []answered{
		w.supervise("POST", "export", map[string]any{"from": "2020-01-01T00:00:00.000Z", "to": "2030-01-01T00:00:00.000Z"}),
		w.supervise("POST", fmt.Sprintf("records/%d/dispositions", checked.index), map[string]any{"disposition": "normal", "note": "…"}),
		w.supervise("POST", "reuse", map[string]any{"from": "2020-01-01T00:00:00.000Z", "to": "2030-01-01T00:00:00.000Z"}),
		w.call("food-approval", "GET", fmt.Sprintf("/v1/audit/records/%d", checked.index), nil),
		w.call("samr-licenses", "POST", "/v1/audit/summary", map[string]any{"from": "2026-11-01T00:00:00.000Z"}),
		w.call("land-approval", "POST", fmt.Sprintf("/v1/audit/records/%d/dispositions", checked.index), map[string]any{"disposition": "normal", "note": "…"}),
	} {
		w.refused(refused, "not-permitted")
	}
	w.rules("both.yaml", "permissions:\n  - {id: both, systems: [audit-office], operations: [audit.supervise], basis: test}\n")
	if all := listed(w.audit("search", map[string]any{})); !slices.Contains(all, checked.index) || !slices.Contains(all, opened.index) {
		t.Errorf("who may see both sees %v", all)
	}
}

// A record is shown with its proof, the agreements as they were worded when it was decided, its case and how it was judged.
func TestReadRecord(t *testing.T) {
	w := newWorld(t)
	w.withSupervision()
	checked, refused := w.story()
	path := fmt.Sprintf("records/%d", checked.index)
	got := read[api.RecordAnswer](t, w.audit(path, nil))
	if got.Record.Index != checked.index || got.Record.Operation != "cases.check" || got.Receipt.Index != checked.index || len(got.Judgements) != 0 {
		t.Errorf("record: %+v", got.Record)
	}
	if got.Case == nil || got.Case.Case != "SP-1" || got.Case.Registrar != "acceptance" || !got.Case.Closed.IsZero() {
		t.Errorf("case: %+v", got.Case)
	}
	if len(got.Rules) == 0 || got.Rules[0].Agreement == "" || got.Rules[0].Basis == "" || got.Rules[0].ValidUntil == "" {
		t.Fatalf("rules: %+v", got.Rules)
	}
	was := got.Rules
	w.reload(func(s *Snapshot) { // the agreements are of the time
		files := slices.Clone(w.files)
		for i := range files {
			if strings.HasSuffix(files[i].Path, "grants.yaml") {
				files[i] = policyFile(files[i].Path, strings.ReplaceAll(string(files[i].Data), was[0].Agreement, "另一个文号"))
			}
		}
		s.Policy = w.policy(files...)
		w.activate(s.Policy)
	})
	for range 2 { // the second time from memory
		if now := read[api.RecordAnswer](t, w.audit(path, nil)).Rules; len(now) != len(was) || now[0].Agreement != was[0].Agreement {
			t.Errorf("after the agreement was worded anew: %+v", now)
		}
	}

	judge := func(index uint64, body map[string]any) answered {
		t.Helper()
		return w.audit(fmt.Sprintf("records/%d/dispositions", index), body)
	}
	for name, body := range map[string]map[string]any{
		"no department":         {"disposition": "referred", "note": "查后无办结"},
		"unknown department":    {"disposition": "referred", "note": "查后无办结", "to": "moon"},
		"department for naught": {"disposition": "normal", "note": "…", "to": "service"},
	} {
		if a := judge(checked.index, body); a.status != 422 && a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.answer)
		}
	}
	w.refused(judge(checked.index, map[string]any{"disposition": "referred", "note": "…", "to": "service", "due": "2020-01-01"}), "time-implausible")
	w.refused(judge(1<<40, map[string]any{"disposition": "normal", "note": "…"}), "log-entry-not-found")
	due := string(canonicalDay(w.now().AddDate(0, 0, 10)))
	first := judge(checked.index, map[string]any{"disposition": "referred", "note": "查后无办结，请说明 " + stranger.Code, "to": "service", "due": due})
	second := judge(checked.index, map[string]any{"disposition": "false-alarm", "note": "已核实"})
	judge(refused.index, map[string]any{"disposition": "normal", "note": "另一条"})
	all := read[api.RecordAnswer](t, w.audit(path, nil)).Judgements
	if len(all) != 2 || uint64(all[0].Index) != second.index || all[0].Disposition != api.DispositionFalseAlarm || all[0].Note != "已核实" {
		t.Fatalf("judgements: %+v", all)
	}
	if one := all[1]; uint64(one.Index) != first.index || one.To != "service" || string(one.Due) != due || strings.Contains(one.Note, stranger.Code) {
		t.Errorf("the first: %+v", one)
	}
	if u := second.record.Uses; len(u) != 1 || u[0].Decision != "false-alarm" || u[0].Holder == "" || u[0].Basis != "audit" {
		t.Errorf("what the judgement leaves: %+v", u)
	}
	e := read[api.EvidenceAnswer](t, w.audit(fmt.Sprintf("records/%d", refused.index), map[string]any{"why": "complaint"}))
	if e.Said.Code != refused.problem.Code || e.Said.Zh == "" {
		t.Errorf("said %+v, want %s", e.Said, refused.problem.Code)
	}
}

func canonicalDay(at time.Time) api.Date { return api.Date(at.Format(time.DateOnly)) }

// The summary is what a count of the records themselves gives, day by day.
func TestSummaryIsTheRecords(t *testing.T) {
	w := newWorld(t)
	w.withSupervision()
	w.story()
	w.legacy["resident-id"].set(func(l *legacy) { l.err = errors.New("reset by peer") })
	w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{})
	w.audit("search", map[string]any{"operator": "clerk-7"})
	from := w.now().AddDate(0, 0, -2).Truncate(24 * time.Hour)
	for name, test := range map[string]struct {
		ask   map[string]any
		about audit.About
		call  func(map[string]any) answered
		fits  func(audit.Record, audit.Use) bool
	}{
		"auditor":    {map[string]any{}, audit.NoInquiry, func(q map[string]any) answered { return w.audit("summary", q) }, func(audit.Record, audit.Use) bool { return true }},
		"supervisor": {map[string]any{}, audit.InquiryAlone, func(q map[string]any) answered { return w.supervise("POST", "summary", q) }, func(audit.Record, audit.Use) bool { return true }},
		"of one system": {map[string]any{"system": "food-approval", "license_type": "resident-id"}, audit.NoInquiry, func(q map[string]any) answered { return w.audit("summary", q) },
			func(r audit.Record, u audit.Use) bool {
				return r.System == "food-approval" && u.LicenseType == "resident-id"
			}},
	} {
		size := w.size()
		ask := map[string]any{"from": api.At(from), "days": 4}
		for k, v := range test.ask {
			ask[k] = v
		}
		got := read[api.SummaryAnswer](t, test.call(ask))
		type key struct {
			day                 int
			operation, decision string
		}
		want, is := map[key]int{}, map[key]int{}
		for i := range size {
			e, err := w.auditor.Evidence(t.Context(), i)
			if err != nil {
				continue // a leaf of the log's own
			}
			at, err := canonical.ParseTime(e.Record.Time)
			if err != nil {
				t.Fatal(err)
			}
			day := int(at.Sub(from) / (24 * time.Hour))
			if day < 0 || day > 3 || !test.about.Has(e.Record.Operation) {
				continue
			}
			uses := e.Record.Uses
			if len(uses) == 0 {
				uses = []audit.Use{{}}
			}
			for _, u := range uses {
				if test.fits(e.Record, u) {
					want[key{day, e.Record.Operation, u.Decision}]++
				}
			}
		}
		released := 0
		for i, d := range got.Days {
			for _, k := range d.Decisions {
				is[key{i, k.Of, k.Decision}] += k.Uses
			}
			released += d.Released
		}
		if len(want) == 0 || fmt.Sprint(want) != fmt.Sprint(is) {
			t.Errorf("%s: counted %v, want %v", name, is, want)
		}
		if name == "auditor" && released == 0 {
			t.Error("nothing was released")
		}
	}
	if strconv.Itoa(len(read[api.SummaryAnswer](t, w.audit("summary", map[string]any{"from": api.At(from), "disputes": true})).Days)) != "14" {
		t.Error("14 days are the default")
	}
}

// A holder's dispute waits until an auditor judges it.
func TestDisputesWait(t *testing.T) {
	w := newWorld(t)
	w.withHolders()
	w.story()
	used := read[api.AccessesAnswer](t, w.accessesOf(boss, boss, nil))
	if len(used.Accesses) == 0 {
		t.Fatal("nothing to dispute")
	}
	about := used.Accesses[0].Record
	w.asHolder("citizen-id", "citizen-1", boss, disputesPath, map[string]any{"holder": boss, "record": about, "why": "不是我办的"})
	waiting := func() []api.Dispute {
		t.Helper()
		return read[api.SummaryAnswer](t, w.audit("summary", map[string]any{"from": api.At(w.now().AddDate(0, 0, -1)), "disputes": true})).Disputes
	}
	all := waiting()
	if len(all) != 1 || all[0].Record == nil || *all[0].Record != uint64(about) {
		t.Fatalf("waiting: %+v", all)
	}
	w.audit(fmt.Sprintf("records/%d/dispositions", all[0].Index), map[string]any{"disposition": "false-alarm", "note": "本人委托办理"})
	if all = waiting(); len(all) != 0 {
		t.Errorf("after it was judged: %+v", all)
	}
}
