package gateway

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/sm"
	"oncegate/license"
	"oncegate/policy"
)

// precheck tells a holder, before there is a case, which materials need not be brought (POST /v1/precheck). Its basis is the
// holder's consent; it says "met" or "bring it" and nothing else, and is decided and recorded like any release.
func (g *Gateway) precheck(ctx context.Context, c *call, q api.PrecheckRequest) (*result, error) {
	holder := license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal()
	if err := checkHolder(c, holder, "/holder"); err != nil {
		return nil, err
	}
	c.nameParties(holder)
	if _, ok := c.config.Book.Matter(q.Matter); !ok {
		return nil, refuse("unknown-matter").pointingAt("/matter", "unknown matter; catalog.matters lists them")
	}
	consent, changes, err := g.precheckConsent(ctx, c, q, holder)
	if err != nil {
		return nil, err
	}
	wanted := c.precheckUses(q.Matter, holder, consent)
	asked := slices.DeleteFunc(slices.Clone(wanted), func(u *licenseUse) bool { return !u.askable(consent, c) })
	if len(wanted) > g.Limits.Materials || !audit.Fits(g.largestRecord(c, asked)) {
		return nil, refuse("too-many-materials").withUses(holderUse(holder, q.Matter, outcomeDenied))
	}
	if err := g.resolve(ctx, c, asked); err != nil {
		return nil, err
	}
	answer := api.PrecheckAnswer{Matter: q.Matter, Materials: []api.PrecheckedMaterial{}}
	for _, u := range wanted {
		m := u.facts.Material
		state := api.PrecheckStateBringIt
		if slices.Contains(asked, u) {
			ordered, err := c.applyOrders(ctx, u.finding)
			if err != nil {
				return nil, err
			}
			if u.prejudge(c, ordered).State == cases.Met {
				state = api.PrecheckStateMet
			}
		}
		answer.Materials = append(answer.Materials, api.PrecheckedMaterial{
			Matter: u.facts.Matter.Code, Material: m.Code, Name: m.Name, NameEn: m.NameEN, Need: int(m.Need), State: state,
		})
	}
	res := g.newAttempt(c).result(ctx, answer, asked)
	res.changes = append(res.changes, changes...)
	if len(res.uses) == 0 { // no source was asked, but somebody was asked about
		res.uses = []audit.Use{holderUse(holder, q.Matter, outcomeDenied)}
	}
	return res, nil
}

// holderUse is a record entry about a person of whom no source was asked.
func holderUse(holder license.HolderID, matter, decision string) audit.Use {
	return audit.Use{Matter: matter, Basis: policy.ByConsent, Decision: decision, Rules: []string{}, Fields: []string{}, Person: holder}
}

// precheckConsent finds the consent that a pre-check rests on: a registered one, or an assertion made for this call, which the changes
// use up.
func (g *Gateway) precheckConsent(ctx context.Context, c *call, q api.PrecheckRequest, holder license.HolderID) (consent cases.Consent, changes []any, err error) {
	switch {
	case (q.Consent == "") == (q.Assertion == ""):
		return consent, nil, refuse("invalid-field").pointingAt("/consent", "either a consent or an assertion")
	case q.Consent != "":
		given, err := g.Cases.Consent(ctx, q.Consent)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return given, nil, err
		}
		given = given.Within(c.config.consentLife())
		if reason := uncovered(given, err, c, holder); reason != "" {
			if err == nil { // an unknown id may hold anything
				c.note(map[string]string{"consent": q.Consent})
			}
			return given, nil, refuse("consent-not-usable").withUses(holderUse(holder, q.Matter, outcomeDenied)).withReasons(ofCase(reason))
		}
		return given, nil, nil
	}
	c.note(map[string]string{"assertion": sm.DigestB64([]byte(q.Assertion))})
	asserted, err := g.verifyAssertion(c, q.Assertion, assertionBinding{"precheck", q.Matter, holder, c.system.ID})
	if err != nil {
		return cases.Consent{}, nil, refuse("assertion-invalid").withUses(holderUse(holder, q.Matter, outcomeDenied)).withReasons(evidenceReason("assertion", err))
	}
	if err := g.checkUnspent(ctx, q.Assertion, holderUse(holder, q.Matter, outcomeDenied)); err != nil {
		return cases.Consent{}, nil, err
	}
	once := cases.Consent{Holder: holder, System: c.system.ID, Types: asserted.Types, Matters: asserted.Matters, Expires: asserted.until(c.config.assertionLife())}
	return once, []any{g.spendAssertion(c, q.Assertion, asserted)}, nil
}

// uncovered is why a consent does not cover the holder and the caller at all; each material is checked later.
func uncovered(given cases.Consent, err error, c *call, holder license.HolderID) cases.Reason {
	switch {
	case err != nil:
		return "consent-unknown"
	case given.System != c.system.ID:
		return cases.ConsentOtherSystem
	case given.Holder.Normal() != holder:
		return cases.ConsentOtherHolder
	case !given.Withdrawn.IsZero():
		return cases.ConsentWithdrawn
	case !c.now.Before(given.Expires):
		return cases.ConsentExpired
	}
	return ""
}

// precheckUses are the uses for the materials of a matter, or of all matters of a chain.
func (c *call) precheckUses(matter string, holder license.HolderID, consent cases.Consent) (wanted []*licenseUse) {
	for _, m := range c.config.Book.MattersOf(cases.Case{Matter: matter}) {
		for _, material := range m.Materials {
			wanted = append(wanted, &licenseUse{
				facts:    cases.Facts{Matter: m, Material: material},
				compares: comparedFields(material),
				ask:      license.Question{Type: material.LicenseType, Holder: holder},
				question: policy.Question{
					Operation: c.row.right, System: c.system.ID, Department: c.system.Department, LicenseType: material.LicenseType,
					Provider: c.config.provider(material.LicenseType), Matter: m.Code, Material: material.Code, Role: cases.Applicant,
					Basis: policy.ByConsent, Consent: true, Purpose: policy.Answer, Now: c.now,
				},
				consent: consent.ID,
			})
		}
	}
	return wanted
}

// askable reports whether a source may be asked: the material is the holder's own, a source has it, and the consent covers it.
func (u *licenseUse) askable(consent cases.Consent, c *call) bool {
	return u.facts.Material.FromSource() && u.facts.Material.HolderRole() == cases.Applicant && consent.Covers(u.consentQuestion(c), u.ask.Type, c.now) == nil
}

// prejudge judges a material as a case of this holder would: met only by a license in force that meets the matter's expectations.
func (u *licenseUse) prejudge(c *call, ordered license.Finding) cases.Judgement {
	t, _ := c.config.Catalogue.Type(u.ask.Type)
	facts := u.facts
	facts.Party = cases.Party{Role: cases.Applicant, Holder: u.ask.Holder}
	facts.Parties = []cases.Party{facts.Party}
	day := license.DateOf(c.now)
	j := cases.Judge(cases.Evidence{Facts: facts, Type: t, Allowed: u.decision.Allow, Finding: ordered, Day: day}, c.config.Calendar)
	u.outcome = string(j.State)
	u.judged = &judgedInput{State: j.State, Reason: j.Reason, Record: j.Record, Day: day}
	if j.State == cases.Met || j.Reason == cases.NotAsExpected {
		u.released(u.compares...)
	}
	return j
}

func unix(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
