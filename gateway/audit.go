package gateway

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/license"
)

// search finds records for an auditor (POST /v1/audit/search). A search for a person is recorded as a use about that person: "who
// looked" finds the auditor too.
func (g *Gateway) search(ctx context.Context, c *call, q api.SearchRequest) (*result, error) {
	ask := audit.Ask{
		From: q.From.Time, To: q.To.Time, System: q.System, Operator: q.Operator, Operation: q.Operation, Matter: q.Matter, Case: q.Case,
		LicenseType: q.LicenseType, Holder: license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal(), Decision: q.Decision,
		Before: q.Before, Limit: q.Limit,
	}
	page, uses, err := g.searchRecords(ctx, c, ask)
	if err != nil {
		return nil, err
	}
	answer := api.SearchAnswer{
		Log: g.Origin, Records: []api.AuditRecord{},
		Covered: page.Covered, Size: page.Size, Next: page.Next,
	}
	for _, f := range page.Found {
		answer.Records = append(answer.Records, auditRecord(f))
	}
	return &result{answer: answer, uses: uses}, nil
}

// searchRecords returns a page of what was found, with the record entries of the persons searched for.
func (g *Gateway) searchRecords(ctx context.Context, c *call, ask audit.Ask) (audit.Page, []audit.Use, error) {
	uses, err := c.searchedPersons(ask)
	if err != nil {
		return audit.Page{}, nil, err
	}
	ask.About = c.about
	page, err := g.Auditor.Search(ctx, ask)
	if err != nil {
		return audit.Page{}, nil, searchFailed(err)
	}
	return page, uses, nil
}

// searchedPersons notes what an auditor searches for, and refuses a period that ends before it begins. It returns the record entries.
func (c *call) searchedPersons(ask audit.Ask) (uses []audit.Use, err error) {
	if !ask.To.IsZero() && !ask.From.IsZero() && !ask.From.Before(ask.To) {
		return nil, refuse("time-implausible").pointingAt("/to", "is not after from")
	}
	note := map[string]string{
		"system": ask.System, "operation": ask.Operation, "matter": ask.Matter, "license_type": ask.LicenseType, "decision": ask.Decision,
		"from": formatTime(ask.From), "to": formatTime(ask.To),
	}
	for key, value := range note {
		if value == "" {
			delete(note, key)
		} else {
			note[key] = withoutPersons(value, license.DateOf(c.now))
		}
	}
	c.note(note)
	if ask.Case != "" {
		use := personUse(license.HolderID{}, outcomeSearched)
		use.CommittedCase = ask.Case
		uses = append(uses, use)
	}
	for _, person := range []license.HolderID{ask.Holder, {Type: audit.OperatorType, Code: ask.Operator}} {
		if person.Code != "" {
			c.nameParties(person)
			uses = append(uses, personUse(person, outcomeSearched))
		}
	}
	c.searched = uses
	return uses, nil
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return api.At(t).String()
}

// The outcomes of an auditor's record entries.
const (
	outcomeSearched = "searched"
	outcomeOpened   = "opened"
)

// personUse is a record entry of an auditor about a person.
func personUse(person license.HolderID, outcome string) audit.Use {
	return audit.Use{Basis: "audit", Decision: outcome, Rules: []string{}, Fields: []string{}, Person: person}
}

// operationUnreadable is the operation shown for a leaf that is proven to be in the log but is no record of a known version: a newer
// node wrote it, or it is the last checkpoint of a log before a recovery. An altered leaf is not shown at all.
const operationUnreadable = "unreadable"

// auditRecord is a record as an auditor sees it, without the commitments, which mean nothing without the evidence.
func auditRecord(f audit.Found) api.AuditRecord {
	if f.Fault != "" {
		return api.AuditRecord{Index: f.Index, Operation: operationUnreadable, Uses: []api.AuditUse{}}
	}
	at, _ := canonical.ParseTime(f.Record.Time)
	out := api.AuditRecord{
		Index: f.Index, Time: at, System: f.Record.System, Operation: f.Record.Operation, RequestID: f.Record.RequestID, Policy: f.Record.Policy,
		OperatorProof: f.Record.OperatorProof, OperatorRoles: f.Record.OperatorRoles, OperatorService: f.Record.OperatorService,
		Uses: make([]api.AuditUse, len(f.Record.Uses)),
	}
	for i, u := range f.Record.Uses {
		out.Uses[i] = api.AuditUse{
			Material: u.Material, Matter: u.Matter, Case: u.Case, Basis: u.Basis, LicenseType: u.LicenseType, Decision: u.Decision,
			Rules: notNil(u.Rules), Fields: notNil(u.Fields), Source: u.Source, Freshness: u.Freshness, Need: u.Need,
		}
	}
	return out
}

// maxReport bounds the records of one page of a report in bytes, so that a page is no larger than what verifies.
const maxReport = 4 << 20

// exportReport is a page of a report to file (POST /v1/audit/export): what was found in a period, how it was decided, and, on the first
// page, the reuse rate. The answer's own receipt signs it; the digest of the page before chains the pages.
func (g *Gateway) exportReport(ctx context.Context, c *call, q api.ExportRequest) (*result, error) {
	if (q.Before == 0) != (q.Previous == "") {
		return nil, refuse("invalid-field").pointingAt("/previous", "before and previous come together, from the page before")
	}
	ask := audit.Ask{
		From: q.From.Time, To: q.To.Time, System: q.System, Operator: q.Operator, Operation: q.Operation, Matter: q.Matter, Case: q.Case,
		LicenseType: q.LicenseType, Holder: license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal(), Decision: q.Decision,
		Before: q.Before, Limit: cmp.Or(q.Limit, audit.MaxPage), Whole: true, // each page is signed, and one of several says as much as one alone
	}
	page, uses, err := g.searchRecords(ctx, c, ask)
	if err != nil {
		return nil, err
	}
	answer := api.ExportAnswer{
		Log: g.Origin, Size: page.Size, Covered: page.Covered, From: q.From, To: q.To,
		Asked: api.ExportAsked{
			System: q.System, Operation: q.Operation, Matter: q.Matter, Case: q.Case, LicenseType: q.LicenseType, Decision: q.Decision,
			Holder: q.Holder.Code != "", Operator: q.Operator != "",
		},
		Before: q.Before, Previous: q.Previous, Decisions: []api.DecisionCount{}, Reuse: []api.MatterReuse{}, Records: []api.AuditRecord{},
	}
	if q.Before == 0 {
		if answer.Reuse, _, err = g.reuse(ctx, q.From.Time, q.To.Time, q.Matter); err != nil {
			return nil, err
		}
	}
	if answer.Next, err = fill(&answer, page); err != nil {
		return nil, err
	}
	answer.Complete = q.Before == 0 && answer.Next == 0 && page.Covered == page.Size
	return &result{answer: answer, uses: uses}, nil
}

// fill adds records to a page of a report up to maxReport bytes, counts their decisions, and returns where the next page begins.
func fill(answer *api.ExportAnswer, page audit.Page) (next uint64, err error) {
	counted, size := make(map[string]int), 0
	next = page.Next
	for i, f := range page.Found {
		record := auditRecord(f)
		raw, err := canonical.Marshal(record)
		if err != nil {
			return 0, err
		}
		if size += len(raw); size > maxReport && i > 0 {
			next = page.Found[i-1].Index
			break
		}
		answer.Records = append(answer.Records, record)
		for _, u := range f.Record.Uses {
			counted[u.Decision]++
		}
	}
	answer.Total = len(answer.Records)
	for _, decision := range slices.Sorted(maps.Keys(counted)) {
		answer.Decisions = append(answer.Decisions, api.DecisionCount{Decision: decision, Uses: counted[decision]})
	}
	return next, nil
}

// reuseRate counts materials met from source out of those required (POST /v1/audit/reuse).
func (g *Gateway) reuseRate(ctx context.Context, c *call, q api.ReuseRequest) (*result, error) {
	if _, err := c.searchedPersons(audit.Ask{From: q.From.Time, To: q.To.Time, Matter: q.Matter}); err != nil {
		return nil, err
	}
	rates, total, err := g.reuse(ctx, q.From.Time, q.To.Time, q.Matter)
	if err != nil {
		return nil, err
	}
	return &result{answer: api.ReuseAnswer{
		From: q.From, To: q.To, Total: total, Matters: rates,
	}}, nil
}

func (g *Gateway) reuse(ctx context.Context, from, to time.Time, matter string) ([]api.MatterReuse, api.Counts, error) {
	rates, err := g.Auditor.Reuse(ctx, from, to, matter)
	if err != nil {
		return nil, api.Counts{}, searchFailed(err)
	}
	out, total := []api.MatterReuse{}, api.Counts{}
	for _, r := range rates {
		out = append(out, api.MatterReuse{Matter: r.Matter, Numerator: r.Numerator, OnFile: r.OnFile, Denominator: r.Denominator})
		total.Numerator += r.Numerator
		total.OnFile += r.OnFile
		total.Denominator += r.Denominator
	}
	return out, total, nil
}

// searchFailed tells the auditor to retry while the search index is being rebuilt.
func searchFailed(err error) error {
	if errors.Is(err, audit.ErrBehind) {
		return refuse("search-behind")
	}
	return err
}
