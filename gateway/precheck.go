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

// precheck tells a holder, before there is a case, which materials need not be brought (POST /v1/precheck). Its basis is the
// holder's consent; it says "met" or "bring it" and nothing else, and is decided and recorded like any release.
func (g *Gateway) precheck(ctx context.Context, c *call, q api.PrecheckRequest) (*result, error) {
	holder := license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal()
	if err := g.checkHolder(c, holder, "/holder"); err != nil {
		return nil, err
	}
	if _, ok := c.config.Book.Matter(q.Matter); !ok {
		return nil, refuse("unknown-matter").at("/matter", "no such matter in the book")
	}
	consent, err := g.preconsent(ctx, c, q, holder)
	if err != nil {
		return nil, err
	}
	needs := g.preneeds(c, q.Matter, holder, consent)
	if len(needs) > g.Limits.Materials {
		return nil, refuse("too-many-materials")
	}
	asked := slices.DeleteFunc(slices.Clone(needs), func(n *need) bool { return !n.askable(consent, c) })
	if err := g.settle(ctx, c, asked); err != nil {
		return nil, err
	}
	answer := api.PrecheckAnswer{Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Matter: q.Matter, Materials: []api.PrecheckedMaterial{}}
	for _, n := range needs {
		m := n.facts.Material
		state := api.PrecheckStateBringIt
		if slices.Contains(asked, n) {
			state = n.precheckState(c)
		}
		answer.Materials = append(answer.Materials, api.PrecheckedMaterial{
			Matter: n.facts.Matter.Code, Material: m.Code, Name: m.Name, NameEn: m.NameEN, Need: int(m.Need), State: state,
		})
	}
	return g.newWork(c).result(answer, asked)
}

// preconsent finds the consent that a pre-check rests on: one registered before, or an assertion made for this very call.
func (g *Gateway) preconsent(ctx context.Context, c *call, q api.PrecheckRequest, holder license.HolderID) (cases.Consent, error) {
	switch {
	case (q.Consent == "") == (q.Assertion == ""):
		return cases.Consent{}, refuse("invalid-field").at("/consent", "either a consent or an assertion")
	case q.Consent != "":
		given, err := g.Cases.Consent(ctx, q.Consent)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (given.System != c.system.ID || given.Holder.Normal() != holder) {
			return given, refuse("consent-not-usable")
		}
		return given, err
	}
	said, err := c.config.asserted(q.Assertion, assertion{"precheck", q.Matter, holder, c.system.ID}, g.Audience, g.VerifySM2, c.now)
	if err != nil {
		return cases.Consent{}, refuse("assertion-invalid").because(inside("assertion", err))
	}
	return cases.Consent{Holder: holder, System: c.system.ID, Types: said.Types, Matters: said.Matters, Expires: unix(said.Expires)}, nil
}

// preneeds are the materials of a matter, or of all matters of a chain.
func (g *Gateway) preneeds(c *call, matter string, holder license.HolderID, consent cases.Consent) (needs []*need) {
	for _, m := range c.config.Book.MattersOf(cases.Case{Matter: matter}) {
		for _, material := range m.Materials {
			needs = append(needs, &need{
				facts: cases.Facts{Matter: m, Material: material},
				ask:   license.Question{Type: material.LicenseType, Holder: holder},
				question: policy.Question{
					Operation: c.row.right, System: c.system.ID, Department: c.system.Department, LicenseType: material.LicenseType,
					Provider: c.config.provider(material.LicenseType), Matter: m.Code, Material: material.Code, Role: cases.Applicant,
					Basis: policy.ByConsent, Consent: true, Purpose: policy.Answer, Now: c.now,
				},
				consent: consent.ID,
			})
		}
	}
	return needs
}

// askable reports whether a source may be asked: the material is the holder's own, a source has it, and the consent covers it.
func (n *need) askable(consent cases.Consent, c *call) bool {
	asked := cases.Asked{Asker: c.system.ID, Matter: n.question.Matter, Material: n.question.Material, Holder: n.ask.Holder}
	return n.facts.Material.FromSource() && n.facts.Material.HolderRole() == cases.Applicant && consent.Covers(asked, n.ask.Type, c.now) == nil
}

// precheckState is met only if a license in force says what the matter expects.
func (n *need) precheckState(c *call) api.PrecheckState {
	t, _ := c.config.Catalogue.Type(n.ask.Type)
	facts := n.facts
	facts.Party = cases.Party{Role: cases.Applicant, Holder: n.ask.Holder}
	facts.Parties = []cases.Party{facts.Party}
	j := cases.Judge(cases.Evidence{Facts: facts, Type: t, Allowed: n.decision.Allow, Finding: n.finding, Day: license.DateOf(c.now)}, c.config.Calendar)
	n.outcome = string(j.State)
	if j.State == cases.Met {
		return api.PrecheckStateMet
	}
	return api.PrecheckStateBringIt
}
