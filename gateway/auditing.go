package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/license"
	"oncegate/tlog"
)

// search finds records for an auditor (POST /v1/audit/search).
func (g *Gateway) search(ctx context.Context, c *call, q api.SearchRequest) (*result, error) {
	page, err := g.Auditor.Search(ctx, audit.Ask{
		From: q.From.Time, To: q.To.Time, System: q.System, Operator: q.Operator, Operation: q.Operation, Matter: q.Matter, Case: q.Case,
		LicenseType: q.LicenseType, Holder: license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal(), Decision: q.Decision,
		Before: q.Before, Limit: q.Limit,
	})
	if err != nil {
		return nil, err
	}
	answer := api.SearchAnswer{
		Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Log: g.Origin, Records: []api.AuditRecord{},
		Covered: page.Covered, Size: page.Size, Next: page.Next,
	}
	for _, f := range page.Found {
		answer.Records = append(answer.Records, auditRecord(f.Index, f.Record))
	}
	return &result{answer: answer}, nil
}

// auditRecord is a record as an auditor sees it: without the commitments, which say nothing without the evidence.
func auditRecord(index uint64, r audit.Record) api.AuditRecord {
	at, _ := api.ParseTime(r.Time)
	out := api.AuditRecord{Index: index, Time: at, System: r.System, Operation: r.Operation, RequestID: r.RequestID, Policy: r.Policy, Uses: []api.AuditUse{}}
	for _, u := range r.Uses {
		out.Uses = append(out.Uses, api.AuditUse{
			Material: u.Material, Matter: u.Matter, Case: u.Case, Basis: u.Basis, LicenseType: u.LicenseType, Decision: u.Decision,
			Rules: notNil(u.Rules), Fields: notNil(u.Fields), Source: u.Source, Freshness: u.Freshness,
		})
	}
	return out
}

// index is the log index in the path; the contract has checked its form.
func (c *call) index() uint64 {
	n, _ := strconv.ParseUint(c.path("index"), 10, 64)
	return n
}

// evidence opens what stands sealed beside a record (POST /v1/audit/records/{index}). Opening persons is a release of its
// own: the record of this call says who opened what, and why.
func (g *Gateway) evidence(ctx context.Context, c *call, q api.EvidenceRequest) (*result, error) {
	e, err := g.Auditor.Evidence(ctx, c.index())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse("log-entry-not-found")
	case errors.Is(err, audit.ErrAltered): // what is sound is shown, what is not is named
	case err != nil:
		return nil, err
	}
	answer := api.EvidenceAnswer{
		Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Record: auditRecord(e.Index, e.Record),
		Inputs: jsontext.Value("null"), Reasons: []api.Reason{}, Erased: []string{},
	}
	if e.Inputs != nil {
		answer.Inputs = e.Inputs
	}
	if e.Reasons != nil {
		_ = json.Unmarshal(e.Reasons, &answer.Reasons) // records of the gateway itself have none
	}
	answer.Reasons = notNil(answer.Reasons)
	if e.Record.TokenDigest != "" && e.Request == nil {
		answer.Erased = append(answer.Erased, audit.KindRequest)
	}
	if q.Request && e.Request != nil {
		answer.Request = api.EvidenceCall{Token: e.Request.Token, Body: base64.RawURLEncoding.EncodeToString(e.Request.Body)}
	}
	var uses []audit.DraftUse
	if q.Persons {
		answer.Persons, uses = opened(e)
	}
	return &result{answer: answer, uses: uses, inputs: map[string]any{"index": strconv.FormatUint(c.index(), 10), "why": q.Why}}, nil
}

// opened lists the persons behind a record's commitments, each once, and the uses that record their opening.
func opened(e audit.Evidence) (persons []api.EvidencePerson, uses []audit.DraftUse) {
	add := func(p api.EvidencePerson) bool {
		if p.Code == "" || slices.Contains(persons, p) {
			return false
		}
		persons = append(persons, p)
		return true
	}
	for i, holder := range e.Holders {
		if add(api.EvidencePerson{Type: holder.Type, Code: holder.Code, Commitment: e.Record.Uses[i].Holder}) {
			uses = append(uses, audit.DraftUse{
				Use:    audit.Use{Basis: "audit", Decision: "opened", Rules: []string{}, Fields: []string{license.FieldHolderCode}},
				Person: holder,
			})
		}
	}
	if e.Operator != "" && len(e.Record.Uses) > 0 {
		add(api.EvidencePerson{Type: "operator", Code: e.Operator, Commitment: e.Record.Uses[0].Operator})
	}
	return persons, uses
}

// recordReceipt proves one record under the newest checkpoint (POST /v1/audit/records/{index}/receipt).
func (g *Gateway) recordReceipt(ctx context.Context, c *call, _ struct{}) (*result, error) {
	return g.proved(ctx, c, c.index(), "log-entry-not-found")
}

// lostReceipt proves the record of a call whose answer the caller lost (POST /v1/receipts); only its own.
func (g *Gateway) lostReceipt(ctx context.Context, c *call, q api.LostRequest) (*result, error) {
	index, err := g.Records.ByJTI(ctx, c.system.ID, q.JTI)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse("receipt-not-found")
	}
	if err != nil {
		return nil, err
	}
	return g.proved(ctx, c, index, "receipt-not-found")
}

func (g *Gateway) proved(ctx context.Context, c *call, index uint64, missing string) (*result, error) {
	receipt, err := g.View.Receipt(ctx, index)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse(missing)
	}
	if err != nil {
		return nil, err
	}
	return &result{answer: api.ReceiptAnswer{Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Index: index, Receipt: wireReceipt(receipt)}}, nil
}

func wireReceipt(r tlog.Receipt) (out api.Receipt) {
	out = api.Receipt{Record: base64.RawURLEncoding.EncodeToString(r.Record), Index: r.Index, Checkpoint: r.Checkpoint}
	out.Proofs.SM3, out.Proofs.SHA256 = hashes(r.Proofs.SM3), hashes(r.Proofs.SHA256)
	return out
}

func hashes(path [][]byte) []string {
	out := make([]string, len(path))
	for i, h := range path {
		out[i] = base64.StdEncoding.EncodeToString(h)
	}
	return out
}

// reuseRate counts materials met from source out of those required (POST /v1/audit/reuse).
func (g *Gateway) reuseRate(ctx context.Context, c *call, q api.ReuseRequest) (*result, error) {
	rates, total, err := g.reuse(ctx, q.From.Time, q.To.Time, q.Matter)
	if err != nil {
		return nil, err
	}
	return &result{answer: api.ReuseAnswer{
		Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, From: q.From, To: q.To, Total: total, Matters: rates,
	}}, nil
}

func (g *Gateway) reuse(ctx context.Context, from, to time.Time, matter string) ([]api.MatterReuse, api.Counts, error) {
	rates, err := g.Auditor.Reuse(ctx, from, to, matter)
	out, total := []api.MatterReuse{}, api.Counts{}
	for _, r := range rates {
		out = append(out, api.MatterReuse{Matter: r.Matter, Numerator: r.Numerator, Denominator: r.Denominator})
		total.Numerator += r.Numerator
		total.Denominator += r.Denominator
	}
	return out, total, err
}

// exportReport is a report to file (POST /v1/audit/export): what was found in a period, how it was decided, and the reuse
// rate; the answer's own receipt signs it.
func (g *Gateway) exportReport(ctx context.Context, c *call, q api.ExportRequest) (*result, error) {
	page, err := g.Auditor.Search(ctx, audit.Ask{
		From: q.From.Time, To: q.To.Time, System: q.System, Operator: q.Operator, Operation: q.Operation, Matter: q.Matter, Case: q.Case,
		LicenseType: q.LicenseType, Holder: license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal(), Decision: q.Decision, Limit: audit.MaxPage,
	})
	if err != nil {
		return nil, err
	}
	rates, _, err := g.reuse(ctx, q.From.Time, q.To.Time, q.Matter)
	if err != nil {
		return nil, err
	}
	answer := api.ExportAnswer{
		Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Log: g.Origin, Size: page.Size, From: q.From, To: q.To, Total: len(page.Found),
		Decisions: []api.DecisionCount{}, Reuse: rates, Records: []api.AuditRecord{}, Complete: page.Next == 0 && page.Covered == page.Size,
	}
	counted := make(map[string]int)
	for _, f := range page.Found {
		answer.Records = append(answer.Records, auditRecord(f.Index, f.Record))
		for _, u := range f.Record.Uses {
			counted[u.Decision]++
		}
	}
	for decision, n := range counted {
		answer.Decisions = append(answer.Decisions, api.DecisionCount{Decision: decision, Uses: n})
	}
	slices.SortFunc(answer.Decisions, func(a, b api.DecisionCount) int { return strings.Compare(a.Decision, b.Decision) })
	return &result{answer: answer}, nil
}

// entries is a bundle of leaves for auditors and mirrors (GET /log/tile/entries/…).
func (g *Gateway) entries(ctx context.Context, c *call, _ struct{}) (*result, error) {
	bundle, err := g.View.Bundle(ctx, "tile/entries/"+c.path("tile"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse("log-entry-not-found")
	}
	return &result{raw: bundle, media: "application/octet-stream", cache: "private, max-age=31536000, immutable"}, err
}
