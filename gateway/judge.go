package gateway

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/certs/sm"
	"oncegate/license"
	"oncegate/policy"
)

// operationDispose is the operation of records by which an auditor judges another record.
const operationDispose = "audit.dispose"

// readRecord shows a record with its proof and what belongs to it (GET /v1/audit/records/{index}): the rules that decided as they were then,
// what became of the case, and how auditors judged the record. Nobody is named.
func (g *Gateway) readRecord(ctx context.Context, c *call, _ struct{}) (*result, error) {
	c.note(map[string]string{"index": c.path("index")})
	receipt, found, err := g.shownReceipt(ctx, c)
	if err != nil {
		return nil, err
	}
	answer := api.RecordAnswer{Record: auditRecord(found), Receipt: wireReceipt(receipt), Rules: []api.RecordRule{}, Judgements: []api.Judgement{}}
	if found.Fault != "" {
		return &result{answer: answer}, nil
	}
	if answer.Rules, err = g.rulesOf(ctx, c, found.Record); err != nil {
		return nil, err
	}
	if answer.Judgements, err = g.judgements(ctx, found.Index); err != nil {
		return nil, err
	}
	if at := slices.IndexFunc(found.Record.Uses, func(u audit.Use) bool { return u.Case != "" }); at >= 0 {
		if answer.Case, err = g.recordCase(ctx, found.Record.Uses[at].Case); err != nil {
			return nil, err
		}
	}
	return &result{answer: answer}, nil
}

// rulesOf are the sharing agreements by which a record's uses were decided, as the policy set of the time has them, each once.
func (g *Gateway) rulesOf(ctx context.Context, c *call, r audit.Record) ([]api.RecordRule, error) {
	all := []api.RecordRule{}
	if !slices.ContainsFunc(r.Uses, func(u audit.Use) bool { return len(u.Rules) > 0 }) {
		return all, nil
	}
	grants, err := g.grantsOf(ctx, c, r.Policy)
	if err != nil {
		return nil, err
	}
	for _, u := range r.Uses {
		for _, id := range u.Rules {
			at := slices.IndexFunc(grants, func(g policy.Grant) bool { return g.ID == id })
			if at < 0 || len(all) == maxRules || slices.ContainsFunc(all, func(k api.RecordRule) bool { return k.ID == id }) {
				continue
			}
			k := grants[at]
			all = append(all, api.RecordRule{
				ID: id, Agreement: k.Agreement, Provider: k.Provider, LicenseType: k.LicenseType, Basis: k.Basis, BasisKind: k.BasisKind,
				Scenario: k.Scenario, Fields: notNil(k.Fields), ValidUntil: k.ValidUntil,
			})
		}
	}
	return all, nil
}

// maxRules bounds the agreements that are shown of one record.
const maxRules = 64

// grantsOf are the agreements of a policy set: of the one in force, or of an earlier one, whose files were kept. A set that is not known any
// more has none.
func (g *Gateway) grantsOf(ctx context.Context, c *call, digest string) ([]policy.Grant, error) {
	if digest == c.config.Policy.Digest() {
		return c.config.Policy.Grants(), nil
	}
	if grants, ok := g.earlier.of(digest); ok {
		return grants, nil
	}
	files, err := g.Auditor.PolicyFiles(ctx, digest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	set, faults := policy.New(policy.Data{Files: files, NewSM3: sm.New})
	if faults.Err() != nil { // of an earlier version, which knew other rules
		return nil, nil
	}
	grants := set.Grants()
	g.earlier.keep(digest, grants)
	return grants, nil
}

// judgements are how auditors judged a record, newest first.
func (g *Gateway) judgements(ctx context.Context, index uint64) ([]api.Judgement, error) {
	all := []api.Judgement{}
	judged, err := g.Auditor.Judgements(ctx, index, operationDispose)
	if err != nil {
		return nil, searchFailed(err)
	}
	for _, j := range judged {
		if len(j.Evidence.Record.Uses) == 0 || j.Evidence.Record.Uses[0].Decision == outcomeDenied {
			continue
		}
		at, err := canonical.ParseTime(j.Evidence.Record.Time)
		if err != nil {
			return nil, err
		}
		one := api.Judgement{Index: api.Index(j.Index), Time: at, Disposition: api.Disposition(j.Evidence.Record.Uses[0].Decision)}
		var inputs []struct {
			Asked judgement `json:"asked"`
		}
		if json.Unmarshal(j.Evidence.Inputs, &inputs) == nil {
			for _, in := range inputs {
				if in.Asked.Note != "" {
					one.Note, one.To, one.Due = in.Asked.Note, in.Asked.To, in.Asked.Due
				}
			}
		}
		all = append(all, one)
	}
	return all, nil
}

// recordCase is what became of the case of a record; nil where it is not known any more.
func (g *Gateway) recordCase(ctx context.Context, no string) (*api.RecordCase, error) {
	k, err := g.Cases.Case(ctx, no)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &api.RecordCase{
		Case: k.No, Matter: k.Matter, Registrar: k.Registrar, Attestation: api.Attestation(k.Attestation), Accepted: api.At(k.Accepted),
		Registered: api.At(k.Registered), Closed: api.At(k.Closed),
	}, nil
}

// A judgement is what the sealed evidence keeps of one.
type judgement struct {
	Record      uint64   `json:"record"`
	Disposition string   `json:"disposition"`
	Note        string   `json:"note"`
	To          string   `json:"to,omitempty"`
	Due         api.Date `json:"due,omitempty"`
}

// dispose takes down how an auditor judges a record (POST /v1/audit/records/{index}/dispositions): the record of the call is the judgement, and
// nothing else changes. A later one stands beside it.
func (g *Gateway) dispose(ctx context.Context, c *call, q api.DisposeRequest) (*result, error) {
	switch referred := q.Disposition == api.DispositionReferred; {
	case referred && c.config.Departments[q.To] == "":
		return nil, refuse("invalid-field").pointingAt("/to", "is no department; a referral names one")
	case !referred && (q.To != "" || q.Due != ""):
		return nil, refuse("invalid-field").pointingAt("/to", "belongs to a referral")
	case q.Due != "" && license.Date(q.Due).Before(license.DateOf(c.now)):
		return nil, refuse("time-implausible").pointingAt("/due", "is over")
	}
	e, err := g.Auditor.Evidence(ctx, c.index())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !audit.NoInquiry.Has(e.Record.Operation) {
		return nil, refuse("log-entry-not-found")
	}
	if err != nil && !errors.Is(err, audit.ErrAltered) { // altered evidence can be judged
		return nil, err
	}
	about := audit.NumberOf(c.index())
	c.nameParties(about)
	c.note(judgement{Record: c.index(), Disposition: string(q.Disposition), Note: withoutPersons(q.Note, license.DateOf(c.now)), To: q.To, Due: q.Due})
	answer := api.DisposeAnswer{Index: api.Index(c.index()), Disposition: q.Disposition}
	return &result{answer: answer, uses: []audit.Use{personUse(about, string(q.Disposition))}}, nil
}

// summary counts what was decided day by day (POST /v1/audit/summary).
func (g *Gateway) summary(ctx context.Context, c *call, q api.SummaryRequest) (*result, error) {
	days := q.Days
	if days == 0 {
		days = 14
	}
	ask := audit.Ask{
		From: q.From.Time, To: q.From.AddDate(0, 0, days), System: q.System, Operator: q.Operator, Operation: q.Operation, Matter: q.Matter,
		LicenseType: q.LicenseType, Holder: license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal(), Decision: q.Decision, About: c.about,
	}
	uses, err := c.searchedPersons(ask)
	if err != nil {
		return nil, err
	}
	var at []time.Time
	for i := range days + 1 {
		at = append(at, q.From.AddDate(0, 0, i))
	}
	s, err := g.Auditor.Summarize(ctx, ask, at)
	if err != nil {
		return nil, searchFailed(err)
	}
	answer := api.SummaryAnswer{Log: g.Origin, Covered: s.Covered, Size: s.Size, Days: []api.SummaryDay{}, Disputes: []api.Dispute{}}
	for i, p := range s.Periods {
		day := api.SummaryDay{From: api.At(at[i]), Records: p.Records, Decisions: []api.OperationCount{}}
		for _, k := range p.Counted {
			day.Decisions = append(day.Decisions, api.OperationCount{Of: k.Operation, Decision: k.Decision, Uses: k.Uses, Records: k.Records})
			switch {
			case slices.Contains(toldOutcomes, k.Decision):
				day.Released += k.Uses
			case k.Decision == outcomeDenied:
				day.Refused += k.Uses
			case k.Decision == outcomeUnavailable:
				day.Unavailable += k.Uses
			}
		}
		answer.Days = append(answer.Days, day)
	}
	if q.Disputes && c.about != audit.InquiryAlone {
		if answer.Disputes, err = g.openDisputes(ctx, c); err != nil {
			return nil, err
		}
	}
	return &result{answer: answer, uses: uses}, nil
}

// What is looked at for disputes that wait.
const (
	disputesBack = 90 // days
	maxDisputes  = 20
)

// openDisputes are findings of holders (不是我办的) that no auditor has judged yet, newest first. Who complains, and why, is sealed.
func (g *Gateway) openDisputes(ctx context.Context, c *call) ([]api.Dispute, error) {
	all := []api.Dispute{}
	page, err := g.Auditor.Search(ctx, audit.Ask{From: c.now.AddDate(0, 0, -disputesBack), Operation: "holders.dispute", Decision: outcomeDisputed, Limit: 200})
	if err != nil {
		return nil, searchFailed(err)
	}
	for _, f := range page.Found {
		if f.Fault != "" {
			continue
		}
		judged, err := g.Auditor.Search(ctx, audit.Ask{Operation: operationDispose, Holder: audit.NumberOf(f.Index), Limit: 1})
		if err != nil {
			return nil, searchFailed(err)
		}
		if len(judged.Found) > 0 {
			continue
		}
		at, err := canonical.ParseTime(f.Record.Time)
		if err != nil {
			return nil, err
		}
		one := api.Dispute{Index: api.Index(f.Index), Time: at}
		e, err := g.Auditor.EvidenceOf(ctx, f)
		if err == nil {
			var inputs []struct {
				Asked struct {
					Record *uint64 `json:"record"`
				} `json:"asked"`
			}
			if json.Unmarshal(e.Inputs, &inputs) == nil {
				for _, in := range inputs {
					if in.Asked.Record != nil {
						index := api.Index(*in.Asked.Record)
						one.Record = &index
					}
				}
			}
		} else if !errors.Is(err, audit.ErrAltered) {
			return nil, err
		}
		if all = append(all, one); len(all) == maxDisputes {
			break
		}
	}
	return all, nil
}

// earlierSets remembers the agreements of policy sets that were in force before: reading one takes longer than showing it. The zero value is
// usable.
type earlierSets struct {
	mu  sync.Mutex // protects all
	all map[string][]policy.Grant
}

const maxEarlier = 8

func (e *earlierSets) of(digest string) ([]policy.Grant, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	grants, ok := e.all[digest]
	return grants, ok
}

func (e *earlierSets) keep(digest string, grants []policy.Grant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil || len(e.all) >= maxEarlier {
		e.all = make(map[string][]policy.Grant)
	}
	e.all[digest] = grants
}
