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
			return refuse("basis-unknown").pointingAt("/purpose/basis", "unknown legal basis: no policy names it").withUses(callerOnlyUse(api.Purpose{}, u.ask.Type, u.ask.Holder))
		}
		u.question.Basis, u.reference = p.Basis, p.Reference
		return nil
	}
	return refuse("purpose-invalid").pointingAt("/purpose", "give either a case, or a basis with a reference")
}

// checkCodes refuses unknown codes of matters and materials before any case is read: records keep both for ever, and a caller may
// have written a person's number there.
func (c *call) checkCodes(p api.Purpose, ask license.Question) error {
	bare := callerOnlyUse(api.Purpose{Case: p.Case}, ask.Type, ask.Holder)
	switch {
	case p.Matter != "" && !c.config.matters[p.Matter]:
		return refuse("unknown-matter").pointingAt("/purpose/matter", "unknown matter; catalog.matters lists them").withUses(bare)
	case p.Material != "" && !c.config.materials[p.Material]:
		return refuse("unknown-material").pointingAt("/purpose/material", "unknown material; catalog.matters lists them").withUses(bare)
	}
	return nil
}

// caseOf loads the facts of the cited case. A caller that may not use the case learns nothing about it, not even whether it exists.
func (g *Gateway) caseOf(ctx context.Context, c *call, u *licenseUse, p api.Purpose) error {
	u.question.Basis, u.question.Matter, u.question.Material = policy.ByCase, p.Matter, p.Material
	bare := callerOnlyUse(p, u.ask.Type, u.ask.Holder)
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
	return u.notUsable(c, bare)
}

// caseNumbered reads a case. For an unknown number it returns a decoy, a case that nobody may use, and false: the same work is done
// for both, so that the time of a refusal does not reveal which numbers exist (timing side channel).
func (g *Gateway) caseNumbered(ctx context.Context, c *call, no string) (k cases.Case, known bool, err error) {
	k, err = g.Cases.Case(ctx, no)
	if errors.Is(err, fs.ErrNotExist) {
		return c.config.decoy, false, nil
	}
	return k, err == nil, err
}

// entitledToMatter reports whether a system may know of a matter of a case: it registered the case, or a valid grant or permission
// names it together with the case's matter or, within a chain, with that part.
func (c *call) entitledToMatter(k cases.Case, matter string) bool {
	names := c.config.Policy.Names
	return k.Registrar == c.system.ID || names(c.system.ID, k.Matter, c.now) || matter != "" && names(c.system.ID, matter, c.now)
}

// entitledToCase reports whether a system may know of any matter of a case.
func (c *call) entitledToCase(k cases.Case) bool {
	return c.entitledToMatter(k, "") || slices.ContainsFunc(c.config.Book.MattersOf(k), func(m cases.Matter) bool { return c.entitledToMatter(k, m.Code) })
}

// callerOnlyUse is a record entry made only of what the caller sent. The record returns with the receipt, so facts of the case in
// it would tell everybody who asks. The case number is a commitment, whether the case exists or not.
func callerOnlyUse(p api.Purpose, licenseType string, holder license.HolderID) audit.Use {
	return audit.Use{
		Material: p.Material, Matter: p.Matter, CommittedCase: p.Case, Basis: policy.ByCase, LicenseType: licenseType, Person: holder,
		Decision: outcomeDenied, Rules: []string{}, Fields: []string{},
	}
}

// notUsable is the one refusal of callers who may not know more: code, body and record are the same whatever the cause. The sealed
// evidence has the reason.
func (u *licenseUse) notUsable(c *call, bare audit.Use) *refusal {
	u.explain(c)
	return refuse("case-not-usable").withUses(bare).withReasons(ofCase(u.facts.Reasons...))
}

// unconfirmed refuses a question about a person whose role was not confirmed. The record lists the license that was to confirm it,
// because its source was asked.
func (u *licenseUse) unconfirmed(c *call) *refusal {
	u.outcome = outcomeDenied
	return refuse("case-not-usable").withUses(c.usesOf(u)...).withReasons(ofCase(cases.Reason(reasonCode(u.role))))
}

// usableCase loads the case in the path. A caller that may not use it cannot tell why.
func (g *Gateway) usableCase(ctx context.Context, c *call) (cases.Case, error) {
	no := c.path("no")
	u := &licenseUse{question: policy.Question{Operation: c.row.right, System: c.system.ID, Basis: policy.ByCase, Now: c.now}}
	bare := callerOnlyUse(api.Purpose{Case: no}, "", license.HolderID{})
	found, known, err := g.caseNumbered(ctx, c, no)
	if err != nil {
		return found, err
	}
	entitled := c.entitledToCase(found)
	switch {
	case !known:
		u.facts.Reasons = []cases.Reason{"case-unknown"}
		return cases.Case{}, u.notUsable(c, bare)
	case !entitled:
		u.facts = cases.Facts{Case: found.No, Revision: found.Revision, Registrar: found.Registrar, Reasons: []cases.Reason{"caller-not-entitled"}}
		u.question.Matter = found.Matter
		return found, u.notUsable(c, bare)
	}
	return found, nil
}

// caseClosed refuses a caller that may know the case.
func caseClosed(k cases.Case) *refusal {
	use := caseUse(k, nil)
	use.Decision = outcomeDenied
	return refuse("case-closed").withUses(use).withReasons(ofCase(cases.CaseClosed))
}
