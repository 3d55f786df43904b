package gateway

import (
	"context"
	"errors"
	"fmt"
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
// holder's consent, and for the materials of each further party that party's own; it says "met" or "bring it" and nothing else, and is decided and recorded like any release.
func (g *Gateway) precheck(ctx context.Context, c *call, q api.PrecheckRequest) (*result, error) {
	holder := license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal()
	if err := checkHolder(c, holder, "/holder"); err != nil {
		return nil, err
	}
	c.nameParties(holder)
	if _, ok := c.config.Book.Matter(q.Matter); !ok {
		return nil, refuse("unknown-matter").pointingAt("/matter", "unknown matter; catalog.matters lists them")
	}
	parties, err := g.precheckParties(ctx, c, q)
	if err != nil {
		return nil, err
	}
	consent, standing, changes, err := g.precheckConsent(ctx, c, q, holder)
	if err != nil {
		return nil, err
	}
	wanted, asked := c.precheckUses(q.Matter, precheckParty{cases.Party{Role: cases.Applicant, Holder: holder}, consent}, parties)
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
	res.uses = append(standing, res.uses...)
	if len(res.uses) == 0 { // no source was asked, but somebody was asked about
		res.uses = []audit.Use{holderUse(holder, q.Matter, outcomeDenied)}
	}
	return res, nil
}

// holderUse is a record entry about a person of whom no source was asked.
func holderUse(holder license.HolderID, matter, decision string) audit.Use {
	return audit.Use{Matter: matter, Basis: policy.ByConsent, Decision: decision, Rules: []string{}, Fields: []string{}, Person: holder}
}

// A precheckParty is somebody whose materials a pre-check asks for, with the consent that covers them.
type precheckParty struct {
	cases.Party
	consent cases.Consent // zero: it covers nothing
}

// precheckParties finds the registered consents of the further parties; one who asks in person consents by asking. One that cannot be used covers nothing, whatever the cause: of
// somebody's consents only who holds their ids learns.
func (g *Gateway) precheckParties(ctx context.Context, c *call, q api.PrecheckRequest) (parties []precheckParty, err error) {
	for i, p := range q.Parties {
		holder := license.HolderID{Type: p.Holder.Type, Code: p.Holder.Code}.Normal()
		at := fmt.Sprintf("/parties/%d", i)
		if err := checkHolder(c, holder, at+"/holder"); err != nil {
			return nil, err
		}
		if p.Role == cases.Applicant || slices.ContainsFunc(parties, func(o precheckParty) bool { return o.Role == p.Role }) {
			return nil, refuse("invalid-field").pointingAt(at+"/role", "another role than applicant, each once")
		}
		c.nameParties(holder)
		if person, proven := c.actingHolder(); p.Consent == "" && proven && person == holder {
			parties = append(parties, precheckParty{cases.Party{Role: p.Role, Holder: holder}, c.consentTo(q.Matter, holder)})
			continue
		}
		given, err := g.Cases.Consent(ctx, p.Consent)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		given = given.Within(c.config.consentLife())
		if uncovered(given, err, c, holder) != "" {
			given = cases.Consent{}
		}
		parties = append(parties, precheckParty{cases.Party{Role: p.Role, Holder: holder}, given})
	}
	return parties, nil
}

// precheckConsent finds the consent that a pre-check rests on: a registered one, an assertion made for this call, which the changes use up, or
// that the holder asks in person, or somebody whom the holder's license names; standing are the record entries of the latter.
func (g *Gateway) precheckConsent(ctx context.Context, c *call, q api.PrecheckRequest, holder license.HolderID) (consent cases.Consent, standing []audit.Use, changes []any, err error) {
	switch {
	case q.Consent != "" && q.Assertion != "", q.As != "" && (q.Consent != "" || q.Assertion != ""):
		return consent, nil, nil, refuse("invalid-field").pointingAt("/consent", "either a consent or an assertion, or the holder asks in person")
	case q.Consent == "" && q.Assertion == "":
		standing, err := g.precheckInPerson(ctx, c, q, holder)
		return c.consentTo(q.Matter, holder), standing, nil, err
	case q.Consent != "":
		given, err := g.Cases.Consent(ctx, q.Consent)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return given, nil, nil, err
		}
		given = given.Within(c.config.consentLife())
		if reason := uncovered(given, err, c, holder); reason != "" {
			if err == nil { // an unknown id may hold anything
				c.note(map[string]string{"consent": q.Consent})
			}
			return given, nil, nil, refuse("consent-not-usable").withUses(holderUse(holder, q.Matter, outcomeDenied)).withReasons(ofCase(reason))
		}
		return given, nil, nil, nil
	}
	c.note(map[string]string{"assertion": sm.DigestB64([]byte(q.Assertion))})
	asserted, err := g.verifyAssertion(c, q.Assertion, assertionBinding{"precheck", q.Matter, holder, c.system.ID})
	if err != nil {
		return cases.Consent{}, nil, nil, refuse("assertion-invalid").withUses(holderUse(holder, q.Matter, outcomeDenied)).withReasons(evidenceReason("assertion", err))
	}
	if err := g.checkUnspent(ctx, q.Assertion, holderUse(holder, q.Matter, outcomeDenied)); err != nil {
		return cases.Consent{}, nil, nil, err
	}
	once := cases.Consent{Holder: holder, System: c.system.ID, Types: asserted.Types, Matters: asserted.Matters, Expires: asserted.until(c.config.assertionLife())}
	return once, nil, []any{g.spendAssertion(c, q.Assertion, asserted)}, nil
}

// precheckInPerson makes sure that the holder asks in person, or somebody whom the holder's license names.
func (g *Gateway) precheckInPerson(ctx context.Context, c *call, q api.PrecheckRequest, holder license.HolderID) ([]audit.Use, error) {
	denied := holderUse(holder, q.Matter, outcomeDenied)
	if q.As == "" {
		return nil, c.holderConsents(holder, denied)
	}
	person, proven := c.actingHolder()
	if !proven {
		return nil, refuse("holder-not-proven").withUses(denied)
	}
	use := holderUse(holder, q.Matter, outcomeNoted)
	use.Basis = byHolder
	c.note(map[string]string{"evidence": cases.EvidenceSession})
	return g.confirmStanding(ctx, c, holder, person, q.As, use)
}

// consentTo is the consent of somebody who asks in person: to this call, for the license types of this matter.
func (c *call) consentTo(matter string, holder license.HolderID) cases.Consent {
	given := cases.Consent{Holder: holder, System: c.system.ID, Expires: c.now.Add(c.config.assertionLife())}
	for _, m := range c.config.Book.MattersOf(cases.Case{Matter: matter}) {
		given.Matters = append(given.Matters, m.Code)
		for _, material := range m.Materials {
			if !slices.Contains(given.Types, material.LicenseType) {
				given.Types = append(given.Types, material.LicenseType)
			}
		}
	}
	return given
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

// precheckUses are the uses for the materials of a matter, or of all matters of a chain, and those of them that are asked: a source has the
// material, a party has its role, that party's consent covers it, and the applicant's covers what confirms the role.
func (c *call) precheckUses(matter string, applicant precheckParty, others []precheckParty) (wanted, asked []*licenseUse) {
	parties := []cases.Party{applicant.Party}
	for _, p := range others {
		parties = append(parties, p.Party)
	}
	for _, m := range c.config.Book.MattersOf(cases.Case{Matter: matter}) {
		for _, material := range m.Materials {
			of := applicant
			facts := cases.Facts{Matter: m, Material: material, Parties: parties}
			i := slices.IndexFunc(others, func(p precheckParty) bool { return p.Role == material.HolderRole() })
			if role, ok := m.Role(material.HolderRole()); ok && i >= 0 {
				of = others[i]
				proof, _ := m.Material(role.ConfirmedBy.Material)
				facts.Confirm = &cases.RoleCheck{Matter: m.Code, Party: of.Party, Material: proof, Field: role.ConfirmedBy.Field, Holder: applicant.Holder}
			}
			facts.Party = of.Party
			u := &licenseUse{
				facts:    facts,
				compares: comparedFields(material),
				ask:      license.Question{Type: material.LicenseType, Holder: of.Holder},
				question: policy.Question{
					Operation: c.row.right, System: c.system.ID, Department: c.system.Department, LicenseType: material.LicenseType,
					Provider: c.config.provider(material.LicenseType), Matter: m.Code, Material: material.Code, Role: material.HolderRole(),
					Basis: policy.ByConsent, Consent: true, Purpose: policy.Answer, Now: c.now,
				},
				consent: of.consent.ID,
			}
			wanted = append(wanted, u)
			covers := func(p precheckParty, licenseType string) bool {
				q := u.consentQuestion(c)
				q.Holder = p.Holder
				return p.consent.Covers(q, licenseType, c.now) == nil
			}
			switch {
			case !material.FromSource(), material.HolderRole() != of.Role, !covers(of, material.LicenseType):
			case facts.Confirm != nil && !covers(applicant, facts.Confirm.Material.LicenseType): // the applicant's license confirms the role
			default:
				u.proofConsent = facts.Confirm != nil
				asked = append(asked, u)
			}
		}
	}
	return wanted, asked
}

// prejudge judges a material as a case of this holder would: met only by a license in force that meets the matter's expectations.
func (u *licenseUse) prejudge(c *call, ordered license.Finding) cases.Judgement {
	t, _ := c.config.Catalogue.Type(u.ask.Type)
	day := license.DateOf(c.now)
	j := cases.Judge(cases.Evidence{Facts: u.facts, Type: t, Allowed: u.decision.Allow, Confirmed: u.confirm != nil && u.role == nil, Role: u.role, Finding: ordered, Day: day}, c.config.Calendar)
	u.outcome = string(j.State)
	u.judged = &judgedInput{State: j.State, Reason: j.Reason, Record: j.Record, Day: day}
	if j.State == cases.Met || j.Reason == cases.NotAsExpected {
		u.released(u.compares...)
	}
	return j
}

func unix(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
