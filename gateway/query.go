package gateway

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// query answers one question about one holder's licenses (POST /v1/licenses/query).
func (g *Gateway) query(ctx context.Context, c *call, q api.QueryRequest) (*result, error) {
	n, err := g.queried(ctx, c, q)
	if err != nil {
		return nil, err
	}
	if err := g.settle(ctx, c, []*need{n}); err != nil {
		return nil, err
	}
	if err := n.refused(c); err != nil {
		return nil, err
	}
	work := g.newWork(c)
	answer := api.QueryAnswer{
		Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID,
		Decision: decided(n.decision), Found: api.FoundNotFound, Licenses: []api.License{},
	}
	n.outcome = "missing"
	if n.finding.State == license.IsFound {
		if answer.Licenses, err = work.release(ctx, n); err != nil {
			return nil, err
		}
		answer.Found, n.outcome = api.FoundFound, "release"
	} else {
		answer.Source, answer.Freshness, answer.AsOf = n.finding.Source, c.config.freshness(n.finding), api.At(n.finding.AsOf)
	}
	return work.result(answer, []*need{n})
}

// queried turns the question into a need, or refuses what is wrong with it.
func (g *Gateway) queried(ctx context.Context, c *call, q api.QueryRequest) (*need, error) {
	holder := license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal()
	if err := g.checkHolder(c, holder, "/holder"); err != nil {
		return nil, err
	}
	t, ok := c.config.Catalogue.Type(q.LicenseType)
	if !ok {
		return nil, refuse("unknown-license-type").at("/license_type", "no such type in the catalogue")
	}
	n := &need{
		ask: license.Question{Type: t.ID, Holder: holder, Number: q.Number},
		question: policy.Question{
			Operation: c.row.right, System: c.system.ID, Department: c.system.Department, LicenseType: t.ID,
			Provider: c.config.provider(t.ID), Role: cases.Applicant, Fields: slices.Clone(q.Fields), Purpose: policy.Answer, Now: c.now,
		},
	}
	if err := g.purpose(ctx, c, n, q.Purpose); err != nil {
		return nil, err
	}
	return n, g.cited(ctx, c, n, q.Consent)
}

func (g *Gateway) checkHolder(c *call, holder license.HolderID, pointer string) error {
	if _, ok := c.config.Catalogue.CodeType(holder.Type); !ok {
		return refuse("holder-type-unknown").at(pointer+"/type", "no such holder code type in the catalogue")
	}
	if err := c.config.Catalogue.CheckHolder(holder); err != nil {
		return refuse("holder-code-invalid").at(pointer+"/code", reasonCode(err))
	}
	return nil
}

// purpose checks why the caller asks: a registered case, or another legal basis that a grant names.
func (g *Gateway) purpose(ctx context.Context, c *call, n *need, p api.Purpose) error {
	switch {
	case p.Case != "" && p.Basis == "" && p.Reference == "":
		return g.caseOf(ctx, c, n, p)
	case p.Basis != "" && p.Reference != "" && p.Case == "" && p.Matter == "" && p.Material == "":
		if p.Basis == policy.ByCase || p.Basis == policy.ByConsent {
			return refuse("purpose-invalid").at("/purpose/basis", "a case is cited by its number, a consent by its id")
		}
		n.question.Basis = p.Basis
		return nil
	}
	return refuse("purpose-invalid").at("/purpose", "either a case, or a basis with a reference")
}

// caseOf fills in what the cited case says. Whoever may not use the case learns nothing about it, not even that it exists.
func (g *Gateway) caseOf(ctx context.Context, c *call, n *need, p api.Purpose) error {
	n.question.Basis = policy.ByCase
	cited, err := g.Cases.Case(ctx, p.Case)
	if errors.Is(err, fs.ErrNotExist) {
		n.facts = cases.Facts{Reasons: []cases.Reason{"case-unknown"}}
		return n.notUsable(c)
	}
	if err != nil {
		return err
	}
	n.facts = c.config.Book.Facts(cited, cases.Asked{
		Asker: c.system.ID, Matter: p.Matter, Material: p.Material, LicenseType: n.ask.Type, Holder: n.ask.Holder,
	})
	n.question.Matter, n.question.Material = n.facts.Matter.Code, n.facts.Material.Code
	n.question.Attestation = string(n.facts.Attestation)
	if n.facts.Party.Role != "" {
		n.question.Role = n.facts.Party.Role
	}
	switch reasons := n.facts.Reasons; {
	case len(reasons) == 0 && g.entitled(c, cited):
		return nil
	case len(reasons) == 1 && reasons[0] == cases.CaseClosed && g.entitled(c, cited):
		n.outcome = "denied"
		uses, inputs := recordOf(c, []*need{n})
		return refuse("case-closed").with(uses, inputs).because(ofCase(reasons...))
	}
	return n.notUsable(c)
}

// entitled reports whether a system may know of a case at all: it registered it, or a grant or permission that stands names
// one of its matters.
func (g *Gateway) entitled(c *call, cited cases.Case) bool {
	if cited.Registrar == c.system.ID || c.config.Policy.Names(c.system.ID, cited.Matter, c.now) {
		return true
	}
	return slices.ContainsFunc(c.config.Book.MattersOf(cited), func(m cases.Matter) bool {
		return c.config.Policy.Names(c.system.ID, m.Code, c.now)
	})
}

// notUsable is the one answer to everybody who may not know more; the evidence has the reason.
func (n *need) notUsable(c *call) *refusal {
	n.outcome = "denied"
	uses, inputs := recordOf(c, []*need{n})
	reasons := ofCase(n.facts.Reasons...)
	if n.role != nil {
		reasons = append(reasons, reason(reasonCode(n.role)))
	}
	reasons = append(reasons, ofPolicy(n.decision.Reasons)...)
	if len(reasons) == 0 {
		reasons = append(reasons, reason("caller-not-entitled"))
	}
	return refuse("case-not-usable").with(uses, inputs).because(reasons)
}

// cited loads the consent that the caller names. It must cover the question; a wrong one is refused, not ignored.
func (g *Gateway) cited(ctx context.Context, c *call, n *need, id string) error {
	if id == "" {
		return nil
	}
	given, err := g.Cases.Consent(ctx, id)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	asked := cases.Asked{Asker: c.system.ID, Matter: n.question.Matter, Material: n.question.Material, Holder: n.ask.Holder}
	if err == nil {
		err = given.Covers(asked, n.ask.Type, c.now)
	}
	if err != nil {
		n.outcome = "denied"
		uses, inputs := recordOf(c, []*need{n})
		return refuse("consent-not-usable").with(uses, inputs).because(ofCase(cases.Reason(reasonCode(err))))
	}
	n.question.Consent, n.consent = true, id
	return nil
}

// refused turns what settle found into the refusal the caller may see; nil if the need is answered.
func (n *need) refused(c *call) error {
	switch {
	case !n.decision.Allow:
		n.outcome = "denied"
		uses, inputs := recordOf(c, []*need{n})
		ref := refuse(denial(n.decision)).with(uses, inputs).because(ofPolicy(n.decision.Reasons))
		return ref.saying(sentences(n.decision.Reasons))
	case n.role != nil && errors.Is(n.role, cases.RoleUnavailable):
		return n.unavailable(c)
	case n.role != nil:
		return n.notUsable(c)
	case n.finding.State == license.IsUnavailable:
		return n.unavailable(c)
	}
	return nil
}

func (n *need) unavailable(c *call) *refusal {
	n.outcome = "unavailable"
	uses, inputs := recordOf(c, []*need{n})
	ref := refuse("source-unavailable").with(uses, inputs)
	if err := n.finding.Err; err != nil {
		ref.because(inside(string(cases.SourceUnavailable), err))
	}
	return ref
}

// denial is the code of a refused decision: the nearest cause that the caller can do something about.
func denial(d policy.Decision) string {
	has := func(code string) bool {
		return slices.ContainsFunc(d.Reasons, func(r policy.Reason) bool { return r.Code == code })
	}
	only := func(codes ...string) bool {
		return !slices.ContainsFunc(d.Reasons, func(r policy.Reason) bool { return !slices.Contains(codes, r.Code) })
	}
	switch {
	case only(policy.FieldNotGranted, policy.FieldWithheld):
		return "fields-not-granted"
	case has(policy.ConsentMissing) && only(policy.NoGrant, policy.ConsentMissing, policy.FieldNotGranted, policy.FieldWithheld):
		return "consent-missing"
	}
	return "not-permitted"
}
