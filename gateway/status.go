package gateway

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/register"
)

// status says how a license stands now (POST /v1/licenses/status). The identifier does not say who holds it, so the source
// is asked about the parties that the case names for a material of that type. The type stands in the identifier itself:
// for one that was never signed here, or is somebody else's, the same is done, recorded and answered.
func (g *Gateway) status(ctx context.Context, c *call, q api.StatusRequest) (*result, error) {
	id, err := license.ParseIdentifier(q.Identifier)
	if err != nil {
		return nil, refuse("identifier-invalid").at("/identifier", reasonCode(err))
	}
	if q.Purpose.Case == "" || q.Purpose.Basis != "" || q.Purpose.Reference != "" {
		return nil, refuse("purpose-invalid").at("/purpose/case", "a status is asked for a case")
	}
	needs, err := g.holdersOf(ctx, c, q, id)
	if err != nil {
		return nil, err
	}
	if err := g.settle(ctx, c, needs); err != nil {
		return nil, err
	}
	version, err := c.config.Register.Version(ctx, q.Identifier)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	work := g.newWork(c)
	for _, n := range needs {
		n.unmatched()
	}
	for _, n := range needs {
		answer, err := work.statusOf(ctx, n, version)
		if err != nil {
			return nil, err
		}
		if answer != nil {
			n.outcome = outcomeStatus
			return work.result(ctx, *answer, needs), nil
		}
	}
	return nil, statusRefused(c, needs)
}

// holdersOf are the needs of every party whose license of the type the case is about; at least one, or a refusal.
func (g *Gateway) holdersOf(ctx context.Context, c *call, q api.StatusRequest, id license.Identifier) ([]*need, error) {
	if err := c.inWords(q.Purpose, license.Question{}); err != nil {
		return nil, err
	}
	n := &need{}
	n.question.Operation, n.question.System, n.question.Basis, n.question.Now = c.row.right, c.system.ID, "case", c.now
	said := said(q.Purpose, "", license.HolderID{})
	cited, known, err := g.caseNumbered(ctx, c, q.Purpose.Case)
	if err != nil {
		return nil, err
	}
	entitled := c.entitled(cited)
	switch {
	case !known:
		n.facts.Reasons = []cases.Reason{"case-unknown"}
		return nil, n.notUsable(c, said)
	case !entitled:
		n.facts.Reasons = []cases.Reason{"caller-not-entitled"}
		return nil, n.notUsable(c, said)
	case !cited.IsOpen():
		return nil, caseClosed(cited)
	}
	t, _ := c.config.Catalogue.TypeByCode(id.TypeCode())
	var needs []*need
	for _, f := range c.config.Book.Plan(cited, c.system.ID) {
		if f.Usable() && f.Material.LicenseType == t.ID && c.knows(cited, f.Matter.Code) &&
			(q.Purpose.Matter == "" || q.Purpose.Matter == f.Matter.Code) && (q.Purpose.Material == "" || q.Purpose.Material == f.Material.Code) {
			n := c.planNeed(f)
			n.compares = nil // a status compares nothing
			needs = append(needs, n)
		}
	}
	if len(needs) == 0 || len(needs) > g.Limits.Materials {
		n.facts.Reasons = []cases.Reason{cases.MaterialNotListed}
		return nil, n.notUsable(c, said)
	}
	return needs, g.citedByAny(ctx, c, needs, q.Consent)
}

// citedByAny loads the consent that the caller names. It must cover one of the holders asked about.
func (g *Gateway) citedByAny(ctx context.Context, c *call, needs []*need, id string) error {
	var refusal error
	for _, n := range needs {
		err := g.cited(ctx, c, n, id)
		if err == nil {
			refusal = nil
			if id != "" {
				return nil
			}
			continue
		}
		refusal = err
	}
	return refusal
}

// unmatched is what the record says of a need until a license turns out to be the one asked about.
func (n *need) unmatched() {
	switch {
	case !n.decision.Allow, n.role != nil && !errors.Is(n.role, cases.RoleUnavailable):
		n.outcome = outcomeDenied
	case n.role != nil, n.finding.State == license.IsUnavailable && !errors.Is(n.finding.Err, license.ErrCannotAsk):
		n.outcome = outcomeUnavailable
	case n.finding.State == license.IsNotFound, n.finding.State == license.IsUnavailable:
		n.outcome = outcomeMissing
	default:
		n.outcome = outcomeUnmatched
	}
}

// statusRefused says that no party's license is the one asked about: why, where that does not depend on whose it is.
func statusRefused(c *call, needs []*need) error {
	if i := slices.IndexFunc(needs, func(n *need) bool { return n.outcome == outcomeUnavailable }); i >= 0 {
		return unanswered(needs[i].finding.Err, "").with(c.usesOf(needs...)...)
	}
	if !slices.ContainsFunc(needs, func(n *need) bool { return n.decision.Allow }) {
		return needs[0].notPermitted(c)
	}
	return refuse("case-not-usable").with(c.usesOf(needs...)...).because(ofCase("license-of-nobody-in-the-case"))
}

// statusOf finds the license among what the source says of one holder; nil if it is not there.
func (w *work) statusOf(ctx context.Context, n *need, version register.Version) (*api.StatusAnswer, error) {
	for _, record := range n.finding.Records {
		if version.Number == 0 || !belongs(record, n.ask) || !w.c.config.Register.IsOf(version, record) {
			continue
		}
		signed, err := w.current(ctx, n, record)
		if code := n.unsignable(err); code != "" {
			return nil, n.unusable(w.c, code, code)
		}
		if err != nil {
			return nil, err
		}
		status, next := w.c.standing(signed.Version, record), api.Successor{}
		if signed.Version.Number > version.Number {
			status, next = license.Superseded, successor(signed.Version)
		}
		n.versions = []string{version.Identifier}
		return &api.StatusAnswer{
			Nonce: w.g.nonce(), Time: api.At(w.c.now), Operation: w.c.row.ID, Decision: decided(n.decision), Identifier: version.Identifier,
			Version: version.Number, Status: api.Status(status), SupersededBy: next, Source: n.finding.Source, Freshness: w.c.config.freshness(n.finding), AsOf: api.At(n.finding.AsOf),
		}, nil
	}
	return nil, nil
}
