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
		return nil, refuse("identifier-invalid").pointingAt("/identifier", reasonCode(err))
	}
	if q.Purpose.Case == "" || q.Purpose.Basis != "" || q.Purpose.Reference != "" {
		return nil, refuse("purpose-invalid").pointingAt("/purpose/case", "a status is asked for a case")
	}
	wanted, err := g.holdersOf(ctx, c, q, id)
	if err != nil {
		return nil, err
	}
	if err := g.resolve(ctx, c, wanted); err != nil {
		return nil, err
	}
	version, err := c.config.Register.Version(ctx, q.Identifier)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	a := g.newAttempt(c)
	for _, u := range wanted {
		u.markUnmatched()
	}
	for _, u := range wanted {
		answer, err := a.statusOf(ctx, u, version)
		if err != nil {
			return nil, err
		}
		if answer != nil {
			u.outcome = outcomeStatus
			return a.result(ctx, *answer, wanted), nil
		}
	}
	return nil, statusRefused(c, wanted)
}

// holdersOf are the uses of every party of whom the case asks a license of the type; at least one, or a refusal.
func (g *Gateway) holdersOf(ctx context.Context, c *call, q api.StatusRequest, id license.Identifier) ([]*licenseUse, error) {
	if err := c.checkCodes(q.Purpose, license.Question{}); err != nil {
		return nil, err
	}
	u := &licenseUse{}
	u.question.Operation, u.question.System, u.question.Basis, u.question.Now = c.row.right, c.system.ID, "case", c.now
	bare := callerOnlyUse(q.Purpose, "", license.HolderID{})
	cited, known, err := g.caseNumbered(ctx, c, q.Purpose.Case)
	if err != nil {
		return nil, err
	}
	entitled := c.entitledToCase(cited)
	switch {
	case !known:
		u.facts.Reasons = []cases.Reason{"case-unknown"}
		return nil, u.notUsable(c, bare)
	case !entitled:
		u.facts.Reasons = []cases.Reason{"caller-not-entitled"}
		return nil, u.notUsable(c, bare)
	case !cited.IsOpen():
		return nil, caseClosed(cited)
	}
	t, _ := c.config.Catalogue.TypeByCode(id.TypeCode())
	var wanted []*licenseUse
	for _, f := range c.config.Book.Plan(cited, c.system.ID) {
		if f.Usable() && f.Material.LicenseType == t.ID && c.entitledToMatter(cited, f.Matter.Code) &&
			(q.Purpose.Matter == "" || q.Purpose.Matter == f.Matter.Code) && (q.Purpose.Material == "" || q.Purpose.Material == f.Material.Code) {
			u := c.plannedUse(f)
			u.compares = nil // a status compares nothing
			wanted = append(wanted, u)
		}
	}
	if len(wanted) == 0 || len(wanted) > g.Limits.Materials {
		u.facts.Reasons = []cases.Reason{cases.MaterialNotListed}
		return nil, u.notUsable(c, bare)
	}
	return wanted, g.citedByAny(ctx, c, wanted, q.Consent)
}

// citedByAny loads the consent that the caller names. It must cover one of the holders asked about.
func (g *Gateway) citedByAny(ctx context.Context, c *call, wanted []*licenseUse, id string) error {
	var refusal error
	for _, u := range wanted {
		err := g.cited(ctx, c, u, id)
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

// markUnmatched sets what the record says of a use until one of its licenses turns out to be the one asked about.
func (u *licenseUse) markUnmatched() {
	switch {
	case !u.decision.Allow, u.role != nil && !errors.Is(u.role, cases.RoleUnavailable):
		u.outcome = outcomeDenied
	case u.role != nil, u.finding.State == license.IsUnavailable && !errors.Is(u.finding.Err, license.ErrCannotAsk):
		u.outcome = outcomeUnavailable
	case u.finding.State == license.IsNotFound, u.finding.State == license.IsUnavailable:
		u.outcome = outcomeMissing
	default:
		u.outcome = outcomeUnmatched
	}
}

// statusRefused says that no party's license is the one asked about: why, where that does not depend on whose it is.
func statusRefused(c *call, wanted []*licenseUse) error {
	if i := slices.IndexFunc(wanted, func(u *licenseUse) bool { return u.outcome == outcomeUnavailable }); i >= 0 {
		return unanswered(wanted[i].finding.Err, "").withUses(c.usesOf(wanted...)...)
	}
	if !slices.ContainsFunc(wanted, func(u *licenseUse) bool { return u.decision.Allow }) {
		return wanted[0].notPermitted(c)
	}
	return refuse("case-not-usable").withUses(c.usesOf(wanted...)...).withReasons(ofCase("license-of-nobody-in-the-case"))
}

// statusOf finds the license among what the source says of one holder; nil if it is not there.
func (a *attempt) statusOf(ctx context.Context, u *licenseUse, version register.Version) (*api.StatusAnswer, error) {
	for _, record := range u.finding.Records {
		if version.Number == 0 || !belongs(record, u.ask) || !a.c.config.Register.IsOf(version, record) {
			continue
		}
		signed, err := a.current(ctx, u, record)
		if code := u.unsignable(err); code != "" {
			return nil, u.unusable(a.c, code, unsignedReasons(code, err))
		}
		if err != nil {
			return nil, err
		}
		status, next := a.c.effectiveStatus(signed.Version, record), api.Successor{}
		if signed.Version.Number > version.Number {
			status, next = license.Superseded, successor(signed.Version)
		}
		u.versions = []string{version.Identifier}
		return &api.StatusAnswer{
			Decision: decided(u.decision), Identifier: version.Identifier,
			Version: version.Number, Status: api.Status(status), SupersededBy: next, Source: u.finding.Source, Freshness: a.c.config.freshness(u.finding), AsOf: api.At(u.finding.AsOf),
		}, nil
	}
	return nil, nil
}

// verify checks somebody's license, document or answer step by step (POST /v1/licenses/verify).
func (g *Gateway) verify(ctx context.Context, c *call, q api.VerifyRequest) (*result, error) {
	answer, err := g.Verify(ctx, q)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil { // what it says may quote what was sent
		return nil, refuse("invalid-field").withReasons([]api.Reason{reason("unverifiable")})
	}
	answer.Steps = notNil(answer.Steps)
	return &result{answer: answer}, nil
}
