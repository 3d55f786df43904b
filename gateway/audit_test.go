package gateway

import (
	"cmp"
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/tlog"
)

func (w *world) audit(path string, body any) answered {
	w.t.Helper()
	method := "POST"
	if body == nil {
		method = "GET"
	}
	return w.call("audit-office", method, "/v1/audit/"+path, body)
}

// story makes some history: a check, a refused query and a plain one.
func (w *world) story() (checked, refused answered) {
	w.t.Helper()
	w.accept("SP-1")
	checked = w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{})
	refused = w.call("food-approval", "POST", queryPath, query("resident-id", stranger, "SP-1"))
	w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))
	return checked, refused
}

// An auditor finds records by what they are about, persons by their code, and never sees a code that was not opened.
func TestAuditSearch(t *testing.T) {
	w := newWorld(t)
	w.rules("supervision.yaml", "permissions:\n  - {id: supervision, systems: [audit-office], operations: [audit.supervise], basis: test}\n")
	checked, refused := w.story()
	find := func(ask map[string]any) (indexes []uint64) {
		t.Helper()
		a := w.audit("search", ask)
		got := read[api.SearchAnswer](t, a)
		for _, r := range got.Records {
			indexes = append(indexes, r.Index)
		}
		w.impersonal("a search", string(a.answer))
		return indexes
	}
	has := func(indexes []uint64, index uint64) bool {
		for _, i := range indexes {
			if i == index {
				return true
			}
		}
		return false
	}
	for name, ask := range map[string]map[string]any{
		"by holder":    {"holder": boss},
		"by case":      {"case": "SP-1", "operation": "cases.check"},
		"by matter":    {"matter": "YC-FOOD-01", "decision": "met"},
		"by operator":  {"operator": "clerk-7", "operation": "cases.check"},
		"by system":    {"system": "food-approval", "license_type": "resident-id", "decision": "met"},
		"by operation": {"operation": "cases.check", "limit": 1},
	} {
		if got := find(ask); !has(got, checked.index) || has(got, refused.index) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := find(map[string]any{"holder": stranger}); !has(got, refused.index) || len(got) != 1 {
		t.Errorf("the refused one: %v", got)
	}
	// Looking for a person is an access to them: the next who asks finds it.
	a := w.audit("search", map[string]any{"holder": stranger})
	if u := a.record.Uses; len(u) != 1 || u[0].Decision != "searched" || u[0].Holder == "" {
		t.Errorf("uses %+v", u)
	}
	if got := find(map[string]any{"holder": stranger}); len(got) != 3 {
		t.Errorf("found %v, want the refusal and both searches", got)
	}
	at := api.At(w.now())
	w.refused(w.audit("search", map[string]any{"from": at, "to": at}), "time-implausible")
}

// Evidence shows the real reasons; persons and the call only when asked for, and then the opening is recorded.
func TestAuditEvidence(t *testing.T) {
	w := newWorld(t)
	w.rules("supervision.yaml", "permissions:\n  - {id: supervision, systems: [audit-office], operations: [audit.supervise], basis: test}\n")
	_, refused := w.story()
	path := "records/" + strconv.FormatUint(refused.index, 10)
	a := w.audit(path, map[string]any{"why": "complaint 2026-17"})
	got := read[api.EvidenceAnswer](t, a)
	if len(got.Reasons) == 0 || got.Reasons[0].Code != "holder-not-a-party" || len(got.Persons) != 0 || got.Request.Token != "" || len(a.record.Uses) != 0 {
		t.Errorf("evidence: %s, uses %v", a.answer, a.record.Uses)
	}
	w.impersonal("evidence that opens nobody", string(a.answer))
	a = w.audit(path, map[string]any{"why": "complaint 2026-17", "persons": true})
	got = read[api.EvidenceAnswer](t, a)
	if len(got.Persons) != 3 || got.Persons[2].Type != "case" || got.Persons[2].Code != "SP-1" || got.Persons[0].Code != stranger.Code || got.Persons[1].Code != "clerk-7" || got.Persons[0].Commitment != refused.record.Uses[0].Holder {
		t.Errorf("persons: %+v", got.Persons)
	}
	if u := a.record.Uses; len(u) != 2 || u[0].Decision != "opened" || u[0].Holder == refused.record.Uses[0].Holder {
		t.Errorf("the opening: %+v", u)
	}
	a = w.audit(path, map[string]any{"why": "complaint 2026-17", "request": true})
	if got = read[api.EvidenceAnswer](t, a); got.Request.Token == "" || len(got.Persons) != 0 || len(a.record.Uses) != 2 {
		t.Errorf("the call names people: %d uses", len(a.record.Uses))
	}
	e := must(w.auditor.Evidence(t.Context(), a.index))(t)
	if !strings.Contains(string(e.Inputs), "complaint 2026-17") || !strings.Contains(string(e.Inputs), `"audit.search"`) {
		t.Errorf("why it was opened: %s", e.Inputs)
	}
	order := w.audit(path+"/erase", map[string]any{"why": "objection 2026-3"})
	if done := read[api.EraseAnswer](t, order); strings.Join(done.Parts, " ") != "request person" || uint64(done.Index) != refused.index || order.record.Operation != "audit.erase" {
		t.Errorf("erased: %+v, %+v", done, order.record)
	}
	e = must(w.auditor.Evidence(t.Context(), order.index))(t)
	if e.Order == nil || *e.Order.Index != refused.index || !strings.Contains(string(e.Inputs), "objection 2026-3") || e.Operator != "clerk-7" && e.Request == nil {
		t.Errorf("the order: %+v %s", e.Order, e.Inputs)
	}
	again := map[string]any{"why": "again", "persons": true, "request": true}
	got = read[api.EvidenceAnswer](t, w.audit(path, again))
	if strings.Join(got.Erased, " ") != "request person" || got.ErasedBy != order.index || len(got.Persons) != 0 || len(got.Reasons) == 0 || got.Reasons[0].Code == "evidence-altered" {
		t.Errorf("after erasure: %+v", got)
	}
	if done := read[api.EraseAnswer](t, w.audit(path+"/erase", map[string]any{"why": "twice"})); len(done.Parts) != 0 {
		t.Errorf("erased twice: %+v", done)
	}
	if got = read[api.EvidenceAnswer](t, w.audit(path, again)); got.ErasedBy != order.index {
		t.Errorf("the first order counts, not record %d", got.ErasedBy)
	}
	w.refused(w.audit("records/999999/erase", map[string]any{"why": "x"}), "log-entry-not-found")
	w.refused(w.audit(path+"/erase", map[string]any{}), "missing-field")
	// Zeroed by somebody with the database: damage, and nothing that was ordered.
	if err := w.db.Audit().Erase(t.Context(), a.index); err != nil {
		t.Fatal(err)
	}
	got = read[api.EvidenceAnswer](t, w.audit("records/"+strconv.FormatUint(a.index, 10), again))
	if len(got.Erased) != 0 || got.ErasedBy != 0 || len(got.Reasons) == 0 || got.Reasons[0].Code != "evidence-altered" {
		t.Errorf("zeroed without an order: %+v", got)
	}
	read[api.EraseAnswer](t, w.audit("records/"+strconv.FormatUint(a.index, 10)+"/erase", map[string]any{"why": "damaged"})) // for the check of all records
	w.refused(w.audit("records/999999", map[string]any{"why": "x"}), "log-entry-not-found")
	w.refused(w.audit("records/x", map[string]any{"why": "x"}), "invalid-field")
}

// Receipts of any record, the reuse rate and a report to file are the auditor's; nobody else gets them, and every attempt
// is a record.
func TestAuditReports(t *testing.T) {
	w := newWorld(t)
	checked, _ := w.story()
	path := "records/" + strconv.FormatUint(checked.index, 10)
	got := read[api.ReceiptAnswer](t, w.audit(path+"/receipt", nil))
	receipt := must(tlog.ParseReceipt(must(marshal(got.Receipt))(t)))(t)
	if _, _, err := audit.VerifyReceipt(audit.Proof{Receipt: receipt, Answer: checked.answer}, w.trust); err != nil {
		t.Error(err)
	}
	w.refused(w.audit("records/99999/receipt", nil), "log-entry-not-found")
	period := map[string]any{"from": api.At(w.now().Add(-time.Hour)), "to": api.At(w.now().Add(time.Hour))}
	reuse := read[api.ReuseAnswer](t, w.audit("reuse", period))
	if reuse.Total != (api.Counts{Numerator: 2, Denominator: 2}) || len(reuse.Matters) != 1 {
		t.Errorf("reuse: %+v", reuse)
	}
	a := w.audit("export", period)
	report := read[api.ExportAnswer](t, a)
	if !report.Complete || report.Total < 5 || len(report.Decisions) == 0 || len(report.Reuse) != 1 {
		t.Errorf("report: %+v", report)
	}
	w.impersonal("a report", string(a.answer))
	backwards := map[string]any{"from": period["to"], "to": period["from"]}
	w.refused(w.audit("export", backwards), "time-implausible")
	w.refused(w.audit("reuse", backwards), "time-implausible")

	for path, body := range map[string]any{"search": map[string]any{}, path: map[string]any{"why": "x"}, path + "/receipt": nil, path + "/erase": map[string]any{"why": "x"}, "reuse": period, "export": period} {
		method := "POST"
		if body == nil {
			method = "GET"
		}
		a := w.call("food-approval", method, "/v1/audit/"+path, body)
		w.refused(a, "not-permitted")
		w.impersonal("a refusal", string(a.body))
	}
}

// A report comes in pages that name one another; a page ends where it is large enough.
func TestExportPages(t *testing.T) {
	w := newWorld(t)
	w.story()
	ask := map[string]any{"from": api.At(w.now().Add(-time.Hour)), "to": api.At(w.now().Add(time.Hour)), "matter": "YC-FOOD-01", "limit": 1}
	var seen []uint64
	var last answered
	for pages := 0; ; pages++ {
		last = w.audit("export", ask)
		page := read[api.ExportAnswer](t, last)
		if page.Complete || page.Total != len(page.Records) || page.Asked != (api.ExportAsked{Matter: "YC-FOOD-01"}) || (len(page.Reuse) == 0) != (pages > 0) || page.Covered == 0 {
			t.Fatalf("page %d: %+v", pages, page)
		}
		if before, _ := ask["before"].(uint64); page.Before != before || page.Previous != cmp.Or(ask["previous"], any("")) {
			t.Errorf("page %d does not repeat what was asked: %+v", pages, page)
		}
		for _, r := range page.Records {
			seen = append(seen, uint64(r.Index))
		}
		if page.Next == 0 {
			break
		}
		ask["before"], ask["previous"] = page.Next, sm.DigestB64(last.answer)
	}
	if len(seen) < 2 || !slices.IsSortedFunc(seen, func(a, b uint64) int { return cmp.Compare(b, a) }) {
		t.Errorf("records %v", seen)
	}
	delete(ask, "limit")
	delete(ask, "before")
	w.refused(w.audit("export", ask), "invalid-field") // previous without before
	delete(ask, "previous")
	if whole := read[api.ExportAnswer](t, w.audit("export", ask)); !whole.Complete || whole.Total != len(seen) {
		t.Errorf("in one page: %d records, want %d", whole.Total, len(seen))
	}
	ask["before"] = 1
	w.refused(w.audit("export", ask), "invalid-field")

	found := make([]audit.Found, audit.MaxPage)
	for i := range found {
		found[i] = audit.Found{Index: uint64(5000 - i), Record: audit.Record{Time: "2026-11-30T00:00:00.000Z", Uses: make([]audit.Use, 300)}}
	}
	var page api.ExportAnswer
	next := must(fill(&page, audit.Page{Found: found, Next: 4001}))(t)
	if size := len(must(canonical.Marshal(page))(t)); size > maxReport+1<<20 || page.Total == 0 || next != uint64(page.Records[page.Total-1].Index) || next == 4001 {
		t.Errorf("%d records in %d bytes, next %d", page.Total, size, next)
	}
}

// A report is complete only where search was proven to be: who takes a record out of the file that search reads gets no report signed
// that leaves it out, nor a reuse rate. Search is made again then, and says all.
func TestReportOverAlteredSearch(t *testing.T) {
	w := newWorld(t)
	w.story()
	ask := map[string]any{"from": api.At(w.now().Add(-time.Hour)), "to": api.At(w.now().Add(time.Hour)), "matter": "YC-FOOD-01"}
	before := read[api.ExportAnswer](t, w.audit("export", ask))
	rates := read[api.ReuseAnswer](t, w.audit("reuse", ask))
	if !before.Complete || before.Total < 2 || rates.Total.Denominator == 0 {
		t.Fatalf("report: %+v", before)
	}
	file := must(sql.Open("sqlite", "file:"+w.path+"-search?_pragma=busy_timeout(2000)"))(t)
	defer file.Close()
	hidden := uint64(before.Records[0].Index)
	for _, path := range []string{"export", "reuse", "search"} {
		if n := must(must(file.Exec("DELETE FROM hits WHERE pos % (1 << 40) = ?", int64(hidden)))(t).RowsAffected())(t); n == 0 {
			t.Fatal("search has no such record")
		}
		w.refused(w.audit(path, ask), "tables-altered")
		if !strings.Contains(w.lines.String(), "the tables are not as they were left: hits") {
			t.Error("the log does not say why")
		}
		after, again := read[api.ExportAnswer](t, w.audit("export", ask)), read[api.ReuseAnswer](t, w.audit("reuse", ask))
		if !after.Complete || after.Total != before.Total || after.Records[0].Index != before.Records[0].Index || again.Total != rates.Total {
			t.Errorf("%s: %d records instead of %d, complete %v, rate %v instead of %v", path, after.Total, before.Total, after.Complete, again.Total, rates.Total)
		}
	}
}

// Two records of one person share no value that derives from the person, nor with anything that anybody could compute.
func TestRecordsOfOnePersonAreUnlinkable(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	ask := func() string {
		body := w.bodyOf(query("resident-id", boss, "SP-1"))
		a := w.send("POST", queryPath, body, w.token("food-approval", "POST", queryPath, body, func(c *token.Claims) { c.Request = "same" }))
		leaf := must(marshal(a.record))(t)
		return string(leaf)
	}
	one, two := ask(), ask()
	policy := w.gateway.running.Load().Policy.Digest()
	digests := 0
	for _, value := range values(t, one) {
		if len(value) != len(policy) || value == policy { // all others are words of the configuration, or what the caller said
			continue
		}
		if digests++; strings.Contains(two, value) {
			t.Errorf("two records share %q", value)
		}
	}
	if digests < 3 {
		t.Errorf("only %d digests in %s", digests, one)
	}
}

// values are all texts within a JSON value.
func values(t *testing.T, text string) (out []string) {
	t.Helper()
	var v any
	if err := unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			out = append(out, v)
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	return out
}
