package gateway

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// purpose checks why the caller asks: a registered case, or another legal basis that a grant names.
func (g *Gateway) purpose(ctx context.Context, c *call, u *licenseUse, p api.Purpose) error {
	switch {
	case p.Case != "" && p.Basis == "" && p.Reference == "":
		if err := c.checkCodes(p, u.ask); err != nil {
			return err
		}
		return g.caseOf(ctx, c, u, p)
	case p.Basis != "" && p.Reference != "" && p.Case == "" && p.Matter == "" && p.Material == "":
		if p.Basis == policy.ByCase || p.Basis == policy.ByConsent {
			return refuse("purpose-invalid").pointingAt("/purpose/basis", "a case is cited by its number, a consent by its id")
		}
		if _, known := c.config.Policy.Basis(p.Basis); !known {
			return refuse("basis-unknown").pointingAt("/purpose/basis", "no policy names such a basis").withUses(callerOnlyUse(api.Purpose{}, u.ask.Type, u.ask.Holder))
		}
		u.question.Basis, u.reference = p.Basis, p.Reference
		return nil
	}
	return refuse("purpose-invalid").pointingAt("/purpose", "either a case, or a basis with a reference")
}

// checkCodes refuses a matter or a material that the book does not have, before any case is read: records keep both for ever, and a caller
// may have written a person's number there.
func (c *call) checkCodes(p api.Purpose, ask license.Question) error {
	said := callerOnlyUse(api.Purpose{Case: p.Case}, ask.Type, ask.Holder)
	switch {
	case p.Matter != "" && !c.config.matters[p.Matter]:
		return refuse("unknown-matter").pointingAt("/purpose/matter", "no such matter in the book").withUses(said)
	case p.Material != "" && !c.config.materials[p.Material]:
		return refuse("unknown-material").pointingAt("/purpose/material", "no matter of the book has such a material").withUses(said)
	}
	return nil
}

// caseOf fills in what the cited case says. Whoever may not use the case learns nothing about it, not even that it exists.
func (g *Gateway) caseOf(ctx context.Context, c *call, u *licenseUse, p api.Purpose) error {
	u.question.Basis, u.question.Matter, u.question.Material = policy.ByCase, p.Matter, p.Material
	said := callerOnlyUse(p, u.ask.Type, u.ask.Holder)
	cited, known, err := g.caseNumbered(ctx, c, p.Case)
	if err != nil {
		return err
	}
	u.facts = c.config.Book.Facts(cited, cases.Asked{
		Asker: c.system.ID, Matter: p.Matter, Material: p.Material, LicenseType: u.ask.Type, Holder: u.ask.Holder,
	})
	u.question.Matter, u.question.Material = u.facts.Matter.Code, u.facts.Material.Code
	u.question.Attestation = string(u.facts.Attestation)
	u.question.Role = cmp.Or(u.facts.Party.Role, u.question.Role)
	entitled := c.entitledToMatter(cited, u.facts.Matter.Code)
	switch {
	case !known:
		u.facts = cases.Facts{Reasons: []cases.Reason{"case-unknown"}}
		u.question.Matter, u.question.Material, u.question.Attestation = p.Matter, p.Material, ""
	case !entitled:
		u.facts.Reasons = append(u.facts.Reasons, "caller-not-entitled")
	}
	switch reasons := u.facts.Reasons; {
	case len(reasons) == 0:
		return nil
	case len(reasons) == 1 && reasons[0] == cases.CaseClosed:
		u.outcome = outcomeDenied
		return refuse("case-closed").withUses(c.usesOf(u)...).withReasons(ofCase(reasons...))
	}
	return u.notUsable(c, said)
}

// caseNumbered reads a case. Where nobody registered the number it returns a case that nobody may use, and false: whatever is found out of
// a case is found out of that one too, so that the time of a refusal does not tell which numbers there are (timing side channel).
func (g *Gateway) caseNumbered(ctx context.Context, c *call, no string) (k cases.Case, known bool, err error) {
	k, err = g.Cases.Case(ctx, no)
	if errors.Is(err, fs.ErrNotExist) {
		return c.config.decoy, false, nil
	}
	return k, err == nil, err
}

// entitledToMatter reports whether a system has to do with a matter of a case: it registered the case, or a grant or permission that
// stands names it together with the case's matter or, within a chain, with that part. Others learn nothing of the case.
func (c *call) entitledToMatter(k cases.Case, matter string) bool {
	names := c.config.Policy.Names
	return k.Registrar == c.system.ID || names(c.system.ID, k.Matter, c.now) || matter != "" && names(c.system.ID, matter, c.now)
}

// entitledToCase reports whether a system has to do with any matter of a case.
func (c *call) entitledToCase(k cases.Case) bool {
	return c.entitledToMatter(k, "") || slices.ContainsFunc(c.config.Book.MattersOf(k), func(m cases.Matter) bool { return c.entitledToMatter(k, m.Code) })
}

// callerOnlyUse is a use that holds nothing but what the caller itself said. The record comes back with the receipt: one of what
// the case says would tell everybody who asks. The number stands there as a commitment, whether there is such a case or not.
func callerOnlyUse(p api.Purpose, licenseType string, holder license.HolderID) audit.DraftUse {
	return audit.DraftUse{
		Use: audit.Use{
			Material: p.Material, Matter: p.Matter, Basis: policy.ByCase, LicenseType: licenseType,
			Decision: outcomeDenied, Rules: []string{}, Fields: []string{},
		},
		CommittedCase: p.Case,
		Person:        holder,
	}
}

// notUsable is the one answer to everybody who may not know more, alike in code, body and record whatever the cause; the
// evidence has the reason.
func (u *licenseUse) notUsable(c *call, said audit.DraftUse) *refusal {
	u.explain(c)
	return refuse("case-not-usable").withUses(said).withReasons(ofCase(u.facts.Reasons...))
}

// unconfirmed refuses a question about somebody whom only the caller's side calls a party. The record has the use of the
// license that was to confirm the role: it was asked for, whoever may infer what from that.
func (u *licenseUse) unconfirmed(c *call) *refusal {
	u.outcome = outcomeDenied
	return refuse("case-not-usable").withUses(c.usesOf(u)...).withReasons(ofCase(cases.Reason(reasonCode(u.role))))
}

// usableCase loads the case in the path. Who may not use it cannot tell why.
func (g *Gateway) usableCase(ctx context.Context, c *call) (cases.Case, error) {
	no := c.path("no")
	u := &licenseUse{question: policy.Question{Operation: c.row.right, System: c.system.ID, Basis: policy.ByCase, Now: c.now}}
	said := callerOnlyUse(api.Purpose{Case: no}, "", license.HolderID{})
	found, known, err := g.caseNumbered(ctx, c, no)
	if err != nil {
		return found, err
	}
	entitled := c.entitledToCase(found)
	switch {
	case !known:
		u.facts.Reasons = []cases.Reason{"case-unknown"}
		return cases.Case{}, u.notUsable(c, said)
	case !entitled:
		u.facts = cases.Facts{Case: found.No, Revision: found.Revision, Registrar: found.Registrar, Reasons: []cases.Reason{"caller-not-entitled"}}
		u.question.Matter = found.Matter
		return found, u.notUsable(c, said)
	}
	return found, nil
}

// caseClosed is what somebody who may know the case is told.
func caseClosed(k cases.Case) *refusal {
	use := caseUse(k, nil)
	use.Decision = outcomeDenied
	return refuse("case-closed").withUses(use).withReasons(ofCase(cases.CaseClosed))
}
