package gateway

import (
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
func (g *Gateway) purpose(ctx context.Context, c *call, n *need, p api.Purpose) error {
	switch {
	case p.Case != "" && p.Basis == "" && p.Reference == "":
		if err := c.inWords(p, n.ask); err != nil {
			return err
		}
		return g.caseOf(ctx, c, n, p)
	case p.Basis != "" && p.Reference != "" && p.Case == "" && p.Matter == "" && p.Material == "":
		if p.Basis == policy.ByCase || p.Basis == policy.ByConsent {
			return refuse("purpose-invalid").at("/purpose/basis", "a case is cited by its number, a consent by its id")
		}
		if _, known := c.config.Policy.Basis(p.Basis); !known {
			return refuse("basis-unknown").at("/purpose/basis", "no policy names such a basis").with(said(api.Purpose{}, n.ask.Type, n.ask.Holder))
		}
		n.question.Basis, n.cites = p.Basis, p.Reference
		return nil
	}
	return refuse("purpose-invalid").at("/purpose", "either a case, or a basis with a reference")
}

// inWords refuses a matter or a material that the book does not have, before any case is read: records keep both for ever, and a caller
// may have written a person's number there.
func (c *call) inWords(p api.Purpose, ask license.Question) error {
	said := said(api.Purpose{Case: p.Case}, ask.Type, ask.Holder)
	switch {
	case p.Matter != "" && !c.config.matters[p.Matter]:
		return refuse("unknown-matter").at("/purpose/matter", "no such matter in the book").with(said)
	case p.Material != "" && !c.config.materials[p.Material]:
		return refuse("unknown-material").at("/purpose/material", "no matter of the book has such a material").with(said)
	}
	return nil
}

// caseOf fills in what the cited case says. Whoever may not use the case learns nothing about it, not even that it exists.
func (g *Gateway) caseOf(ctx context.Context, c *call, n *need, p api.Purpose) error {
	n.question.Basis, n.question.Matter, n.question.Material = policy.ByCase, p.Matter, p.Material
	said := said(p, n.ask.Type, n.ask.Holder)
	cited, known, err := g.caseNumbered(ctx, c, p.Case)
	if err != nil {
		return err
	}
	n.facts = c.config.Book.Facts(cited, cases.Asked{
		Asker: c.system.ID, Matter: p.Matter, Material: p.Material, LicenseType: n.ask.Type, Holder: n.ask.Holder,
	})
	n.question.Matter, n.question.Material = n.facts.Matter.Code, n.facts.Material.Code
	n.question.Attestation = string(n.facts.Attestation)
	n.question.Role = orDefault(n.facts.Party.Role, n.question.Role)
	entitled := c.knows(cited, n.facts.Matter.Code)
	switch {
	case !known:
		n.facts = cases.Facts{Reasons: []cases.Reason{"case-unknown"}}
		n.question.Matter, n.question.Material, n.question.Attestation = p.Matter, p.Material, ""
	case !entitled:
		n.facts.Reasons = append(n.facts.Reasons, "caller-not-entitled")
	}
	switch reasons := n.facts.Reasons; {
	case len(reasons) == 0:
		return nil
	case len(reasons) == 1 && reasons[0] == cases.CaseClosed:
		n.outcome = outcomeDenied
		return refuse("case-closed").with(c.usesOf(n)...).because(ofCase(reasons...))
	}
	return n.notUsable(c, said)
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

// knows reports whether a system has to do with a matter of a case: it registered the case, or a grant or permission that
// stands names it together with the case's matter or, within a chain, with that part. Others learn nothing of the case.
func (c *call) knows(k cases.Case, matter string) bool {
	names := c.config.Policy.Names
	return k.Registrar == c.system.ID || names(c.system.ID, k.Matter, c.now) || matter != "" && names(c.system.ID, matter, c.now)
}

// entitled reports whether a system has to do with any matter of a case.
func (c *call) entitled(k cases.Case) bool {
	return c.knows(k, "") || slices.ContainsFunc(c.config.Book.MattersOf(k), func(m cases.Matter) bool { return c.knows(k, m.Code) })
}

// said is a use that holds nothing but what the caller itself said. The record comes back with the receipt: one of what
// the case says would tell everybody who asks. The number stands there as a commitment, whether there is such a case or not.
func said(p api.Purpose, licenseType string, holder license.HolderID) audit.DraftUse {
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
func (n *need) notUsable(c *call, said audit.DraftUse) *refusal {
	n.explain(c)
	return refuse("case-not-usable").with(said).because(ofCase(n.facts.Reasons...))
}

// unconfirmed refuses a question about somebody whom only the caller's side calls a party. The record has the use of the
// license that was to confirm the role: it was asked for, whoever may infer what from that.
func (n *need) unconfirmed(c *call) *refusal {
	n.outcome = outcomeDenied
	return refuse("case-not-usable").with(c.usesOf(n)...).because(ofCase(cases.Reason(reasonCode(n.role))))
}
