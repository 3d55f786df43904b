package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// The outcomes of a holder's own record entries.
const (
	outcomeTold     = "told"     // a holder was told who used their licenses
	outcomeDisputed = "disputed" // a holder says that a use was not theirs
)

// byHolder is the basis of record entries that a holder's own question makes.
const byHolder = "holder"

// toldOutcomes are the outcomes that a holder is told of: those by which something of a license, or that there is none, left.
var toldOutcomes = []string{
	outcomeRelease, outcomeStatus, outcomeConfirm, outcomeUnconfirmed, outcomeMissing, outcomeUnmatched,
	string(cases.Met), string(cases.Lapsed), string(cases.Mismatched),
}

// holderInterval is the timing grid on which a holder's answers leave: how many uses are kept from the holder shows in the time that
// passing them over takes (timing side channel). One takes some 100 µs.
const holderInterval = 250 * time.Millisecond

// pageOf is how many records are searched at once for a holder's page. Each is proven, with a tile of either tree where none is near it. As many
// again as the page shows may be kept back before there is a second search.
func pageOf(limit int) int { return min(2*(limit+1), audit.MaxPage) }

// restricted is said to every holder, whether something is kept from them or not.
var restricted = api.Sentence{
	Zh: "依法不予告知的使用不在此列。",
	En: "Uses that the law forbids to tell are not listed.",
}

// accesses tells a holder who used their licenses (POST /v1/holders/accesses; 个人信息保护法 art. 44, 45). The holder is the person who acts in
// the call, as an identity service proves, or somebody for whom that person stands. What a restriction keeps back leaves no trace: not in what
// is listed, nor in the numbers and places of pages, nor in the time of the answer.
func (g *Gateway) accesses(ctx context.Context, c *call, q api.AccessesRequest) (*result, error) {
	holder := license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal()
	earliest := c.now.AddDate(0, -c.config.Holders.Back(), 0)
	from, to := q.From.Time, q.To.Time
	switch {
	case to.IsZero():
		to = c.now
	case to.After(c.now):
		return nil, refuse("time-implausible").pointingAt("/to", "is in the future")
	}
	switch {
	case from.IsZero():
		from = earliest
	case from.Before(earliest):
		return nil, refuse("time-implausible").pointingAt("/from", "is longer ago than holders may look back")
	}
	if !from.Before(to) {
		return nil, refuse("time-implausible").pointingAt("/to", "is not after from")
	}
	uses, err := g.asksAsHolder(ctx, c, holder, q.As, outcomeTold)
	if err != nil {
		return nil, err
	}
	c.note(map[string]string{"from": formatTime(from), "to": formatTime(to)})
	limit := q.Limit
	if limit == 0 {
		limit = 20
	}
	ask := audit.Ask{From: from, To: to, Holder: holder, Before: q.Before, Limit: pageOf(limit)}
	answer := api.AccessesAnswer{From: api.At(from), To: api.At(to), Accesses: []api.Access{}, Says: restricted}
	if answer.Accesses, answer.Next, err = g.told(ctx, c, ask, limit); err != nil {
		return nil, err
	}
	return &result{answer: answer, uses: uses}, nil
}

// dispute takes down that a holder does not recognise a use of theirs (POST /v1/holders/disputes): a finding for the auditors, who find it by
// its operation. A record that the holder is not told of, and one that there is not, get the same answer.
func (g *Gateway) dispute(ctx context.Context, c *call, q api.DisputeRequest) (*result, error) {
	holder := license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal()
	uses, err := g.asksAsHolder(ctx, c, holder, q.As, outcomeDisputed)
	if err != nil {
		return nil, err
	}
	ask := audit.Ask{From: c.now.AddDate(0, -c.config.Holders.Back(), 0), Holder: holder, Before: q.Record + 1, Limit: 1}
	page, err := g.searchAll(ctx, ask)
	if err != nil {
		return nil, err
	}
	known := false
	if len(page.Found) == 1 && page.Found[0].Index == q.Record {
		access, err := g.access(ctx, c, holder, page.Found[0])
		if err != nil {
			return nil, err
		}
		known = access != nil
	}
	if !known {
		return nil, refuse("access-unknown").withUses(deniedUses(uses)...)
	}
	c.note(map[string]any{"record": q.Record, "why": withoutPersons(q.Why, license.DateOf(c.now))})
	return &result{answer: api.DisputeAnswer{Record: q.Record}, uses: uses}, nil
}

// asksAsHolder makes sure that who acts is the holder, or stands for the holder, and returns the record entries of the question.
func (g *Gateway) asksAsHolder(ctx context.Context, c *call, holder license.HolderID, as, outcome string) ([]audit.Use, error) {
	if err := checkHolder(c, holder, "/holder"); err != nil {
		return nil, err
	}
	c.nameParties(holder)
	use := personUse(holder, outcome)
	use.Basis = byHolder
	refused := use
	refused.Decision = outcomeDenied
	d := c.may(c.row.right, "")
	if !d.Allow {
		return nil, refuseDenied(d).withUses(refused)
	}
	use.Rules = notNil(d.Rules)
	person, proven := c.actingHolder()
	switch {
	case !proven:
		return nil, refuse("holder-not-proven").withUses(refused)
	case as == "" && person == holder:
		return []audit.Use{use}, nil
	case as == "":
		return nil, refuse("holder-not-represented").withUses(refused).withReasons(ofCase("holder-is-somebody-else"))
	}
	return g.confirmStanding(ctx, c, holder, person, as, use)
}

// actingHolder is the person who acts, as a holder: only an identity service whose subjects are holders proves that. Staff who vouch for
// themselves are no holders.
func (c *call) actingHolder() (license.HolderID, bool) {
	p := c.principal.Person
	if p.Proof != audit.OperatorBySession && p.Proof != audit.OperatorByCall {
		return license.HolderID{}, false
	}
	kind := c.config.Subjects[p.Service]
	person := license.HolderID{Type: kind, Code: p.ID}.Normal()
	return person, kind != "" && c.config.Catalogue.CheckHolder(person) == nil
}

// confirmStanding asks the source of the holder's license whether it names the person who asks. Comparing is a release: it needs a grant for
// confirming that cites the basis of the holder rules, and it stands in the record.
func (g *Gateway) confirmStanding(ctx context.Context, c *call, holder, person license.HolderID, as string, use audit.Use) ([]audit.Use, error) {
	denied := use
	denied.Decision = outcomeDenied
	rule, ok := c.config.Holders.Standing(as)
	if !ok {
		return nil, refuse("holder-not-represented").withUses(denied).withReasons(ofCase("standing-unknown"))
	}
	u := &licenseUse{
		ask: license.Question{Type: rule.LicenseType, Holder: holder},
		question: policy.Question{
			Operation: c.row.right, System: c.system.ID, Department: c.system.Department, LicenseType: rule.LicenseType,
			Provider: c.config.provider(rule.LicenseType), Basis: c.config.Holders.Basis, Role: cases.Applicant, Fields: []string{rule.Field}, Purpose: policy.Confirm, Now: c.now,
		},
	}
	if err := g.resolve(ctx, c, []*licenseUse{u}); err != nil {
		return nil, err
	}
	if !u.decision.Allow || !slices.Contains(u.decision.Fields, rule.Field) {
		u.outcome = outcomeDenied
		return nil, refuseDenied(u.decision).withUses(append(c.usesOf(u), denied)...)
	}
	ordered, err := c.applyOrders(ctx, u.finding)
	if err != nil {
		return nil, err
	}
	check := cases.RoleCheck{Party: cases.Party{Role: as, Holder: person}, Material: cases.Material{LicenseType: rule.LicenseType}, Field: rule.Field, Holder: holder}
	t, _ := c.config.Catalogue.Type(rule.LicenseType)
	switch err := check.ConfirmBy(t, ordered, license.DateOf(c.now)); {
	case err == nil:
		u.outcome, u.fields = outcomeConfirm, []string{rule.Field}
		return append(c.usesOf(u), use), nil
	case errors.Is(err, cases.RoleUnavailable), errors.Is(err, cases.RoleFaulty):
		u.outcome = outcomeUnavailable
		return nil, refuse("standing-unavailable").withUses(append(c.usesOf(u), denied)...).withReasons(ofCase(cases.Reason(reasonCode(err))))
	default:
		u.outcome, u.fields = outcomeUnconfirmed, []string{rule.Field}
		return nil, refuse("holder-not-represented").withUses(append(c.usesOf(u), denied)...).withReasons(ofCase(cases.Reason(reasonCode(err))))
	}
}

// told returns what the holder is told, newest first, and where the next page begins: 0 where nothing more is told. It looks for one more
// than the page holds, because a next page on which nothing stands would say that something was kept back.
func (g *Gateway) told(ctx context.Context, c *call, ask audit.Ask, limit int) ([]api.Access, uint64, error) {
	all := []api.Access{}
	for {
		page, err := g.searchAll(ctx, ask)
		if err != nil {
			return nil, 0, err
		}
		for _, f := range page.Found {
			access, err := g.access(ctx, c, ask.Holder, f)
			switch {
			case err != nil:
				return nil, 0, err
			case access == nil:
			case len(all) == limit:
				return all, all[limit-1].Record, nil
			default:
				all = append(all, *access)
			}
		}
		if page.Next == 0 {
			return all, 0, nil
		}
		ask.Before = page.Next
	}
}

// searchAll searches records where the search covers the whole log. While it follows the log from far behind, as after a recovery, a holder is
// told to come again, and not that nobody used anything.
func (g *Gateway) searchAll(ctx context.Context, ask audit.Ask) (audit.Page, error) {
	page, err := g.Auditor.Search(ctx, ask)
	switch {
	case err != nil:
		return page, searchFailed(err)
	case page.Covered < page.Size:
		return page, refuse("search-behind")
	}
	return page, nil
}

// access is a record as its holder sees it; nil where nothing of it is told. Other persons' uses in it are left out. Whose each use is
// stands in the sealed evidence only; after its erasure nothing is told.
func (g *Gateway) access(ctx context.Context, c *call, holder license.HolderID, f audit.Found) (*api.Access, error) {
	if !slices.ContainsFunc(f.Record.Uses, func(u audit.Use) bool { return c.tells(f.Record.System, u) }) {
		return nil, nil
	}
	e, err := g.Auditor.EvidenceOf(ctx, f)
	if err != nil {
		return nil, err
	}
	var uses []api.AccessUse
	for i, u := range e.Record.Uses {
		if e.Holders[i].Normal() != holder || !c.tells(f.Record.System, u) {
			continue
		}
		uses = append(uses, api.AccessUse{
			LicenseType: u.LicenseType, Matter: u.Matter, Material: u.Material, Basis: u.Basis, Outcome: u.Decision, Fields: notNil(u.Fields),
			Spared: u.Decision == string(cases.Met) && (cases.Need(u.Need).Counts()),
		})
	}
	if len(uses) == 0 {
		return nil, nil
	}
	at, err := canonical.ParseTime(e.Record.Time)
	if err != nil {
		return nil, err
	}
	by := c.config.Systems[e.Record.System]
	return &api.Access{
		Record: f.Index, Time: at, ByOperation: e.Record.Operation, System: e.Record.System, SystemName: by.Name,
		Department: by.Department, DepartmentName: c.config.Departments[by.Department], Uses: uses,
	}, nil
}

// tells reports whether a holder is told of a use: something left, and no restriction keeps it back. An audit is never told: neither the
// bodies audited nor the persons looked for learn of it (审计法).
func (c *call) tells(system string, u audit.Use) bool {
	return slices.Contains(toldOutcomes, u.Decision) && u.Basis != "audit" && u.Basis != byHolder &&
		c.config.Holders.Tells(cases.UseOf{System: system, Basis: u.Basis, Matter: u.Matter, Case: u.Case}, license.DateOf(c.now))
}
