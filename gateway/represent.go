package gateway

import (
	"context"
	"errors"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// represent records who comes for the parties of a case (POST /v1/cases/{no}/representative): a handler, an agent by a power of attorney, or
// a guardian whom a source confirms in this very call. A representative is no party (design law 4).
func (g *Gateway) represent(ctx context.Context, c *call, q api.RepresentRequest) (*result, error) {
	open, use, err := g.ownCase(ctx, c)
	if err != nil {
		return nil, err
	}
	r := cases.Representative{
		Case: open.No, Kind: string(q.Kind), Person: license.HolderID{Type: q.Person.Type, Code: q.Person.Code}.Normal(),
		Mandate: q.Mandate.Digest, Until: license.Date(q.Mandate.Until), By: c.system.ID, At: c.now,
	}
	c.nameParties(r.Person)
	use.Person = r.Person
	if err := r.Check(c.config.Book, c.config.Catalogue, open, license.DateOf(c.now)); err != nil {
		return nil, refuseRepresentative(err, use)
	}
	answer := api.RepresentAnswer{Case: open.No, Kind: q.Kind}
	res := &result{uses: []audit.Use{use}, changes: []any{cases.StillOpen{No: open.No, Revision: open.Revision}, cases.Represent{Representative: r, R: g.blinding()}}}
	if r.Kind == cases.Guardian {
		confirmed, err := g.confirmGuardian(ctx, c, open, r.Person, use)
		if err != nil {
			return nil, err
		}
		res.uses = append(res.uses, c.usesOf(c.uses...)...)
		res.changes = append(preconditions(c, c.uses), res.changes[1])
		answer.ConfirmedBy, answer.Rules = confirmed.facts.Material.Code, notNil(confirmed.decision.Rules)
	}
	res.answer = answer
	return res, nil
}

// refuseRepresentative refuses a representative by a code of its own where it is one that the window must act on.
func refuseRepresentative(err error, use audit.Use) error {
	use.Decision = outcomeDenied
	for _, own := range []struct {
		reason cases.Reason
		code   string
	}{
		{cases.IsParty, "representative-is-party"}, {cases.MandateExpired, "mandate-expired"}, {cases.NotRepresentative, "representative-unknown"},
	} {
		if errors.Is(err, own.reason) {
			return refuse(own.code).withUses(use).withReasons(ofCase(own.reason))
		}
	}
	refused := refuseFlaws("representative-invalid", err)
	if r := asRefusal(refused); r != nil {
		return r.withUses(use)
	}
	return refused
}

// confirmGuardian asks the sources whether a license names the guardian: of a party, or the guardian's own. One license that does is enough.
// Comparing is a release, so each question needs a grant that lists the field for confirming; it stands in the record with its outcome.
func (g *Gateway) confirmGuardian(ctx context.Context, c *call, k cases.Case, guardian license.HolderID, use audit.Use) (*licenseUse, error) {
	checks := c.config.Book.GuardianChecks(k, c.system.ID, guardian)
	wanted := make([]*licenseUse, len(checks))
	for i, check := range checks {
		u := c.plannedUse(check.Facts)
		u.compares = nil
		u.ask.Holder = check.Check.Holder.Normal()
		u.question.Role = check.Facts.Party.Role
		u.question.Purpose, u.question.Fields = policy.Confirm, []string{check.Check.Field}
		wanted[i] = u
	}
	use.Decision = outcomeDenied
	if len(wanted) > g.Limits.Materials || !audit.Fits(g.largestRecord(c, wanted)) {
		return nil, refuse("too-many-materials").withUses(use)
	}
	if err := g.resolve(ctx, c, wanted); err != nil {
		return nil, err
	}
	var confirmed *licenseUse
	unavailable, granted := false, false
	var denied policy.Decision
	for i, u := range wanted {
		if !u.decision.Allow {
			u.outcome, denied = outcomeDenied, u.decision
			continue
		}
		granted = true
		if u.role != nil { // whose license it is is not certain
			u.outcome = outcomeUnconfirmed
			unavailable = unavailable || errors.Is(u.role, cases.RoleUnavailable)
			continue
		}
		ordered, err := c.applyOrders(ctx, u.finding)
		if err != nil {
			return nil, err
		}
		t, _ := c.config.Catalogue.Type(u.facts.Material.LicenseType)
		switch err := checks[i].Check.ConfirmBy(t, ordered, license.DateOf(c.now)); {
		case err == nil:
			u.outcome, u.fields = outcomeConfirm, []string{checks[i].Check.Field}
			if confirmed == nil {
				confirmed = u
			}
		case errors.Is(err, cases.RoleUnavailable):
			u.outcome, unavailable = outcomeUnavailable, true
		default:
			u.outcome, u.fields = outcomeUnconfirmed, []string{checks[i].Check.Field}
		}
	}
	uses := append([]audit.Use{use}, c.usesOf(wanted...)...)
	switch {
	case confirmed != nil:
		return confirmed, nil
	case !granted && len(wanted) > 0:
		return nil, refuseDenied(denied).withUses(uses...)
	case unavailable:
		return nil, refuse("guardian-unavailable").withUses(uses...).withReasons(ofCase(cases.RoleUnavailable))
	}
	return nil, refuse("guardian-not-named").withUses(uses...).withReasons(ofCase(cases.GuardianNotNamed))
}

// comes checks who brings something for a case: a party, or a representative who was recorded and whose mandate stands. Nobody is named in
// zero.
func (g *Gateway) comes(ctx context.Context, c *call, k cases.Case, who license.HolderID, use *audit.Use) error {
	if who == (license.HolderID{}) {
		return nil
	}
	if err := checkHolder(c, who, "/brought_by"); err != nil {
		return err
	}
	c.nameParties(who)
	use.Person = who
	all, err := g.Cases.Representatives(ctx, k.No)
	if err != nil {
		return err
	}
	if err := cases.Comes(k, all, who, license.DateOf(c.now)); err != nil {
		return refuseRepresentative(err, *use)
	}
	return nil
}
