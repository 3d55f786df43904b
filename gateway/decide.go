package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// A licenseUse is one license asked about for one purpose: the unit that is authorised, found, judged and recorded.
type licenseUse struct {
	facts     cases.Facts      // what the case says; zero where the purpose is no case
	question  policy.Question  // what is decided
	compares  []string         // fields that are compared: by the matter with what it expects, or by the caller who names a number
	ask       license.Question // what the source is asked
	form      api.DocumentForm // in which an annotated copy is wanted; "" for none
	archived  bool             // the copy is for the case's file
	reference string           // reference of a legal basis other than a case

	filing      *licenseUse // whether a filed material may stand in; nil where none can
	file        fileWish    // whether its file is wanted
	ownFile     *licenseUse // that the file which the caller's department filed in this case left; nil: it did not
	filedAt     time.Time   // of a filed material that stands in: when it was filed
	takesFiling bool        // no source answers, and one may stand in

	consent          string             // id of the consent that covers the use, where one is needed
	proofConsent     bool               // the applicant's consent is known to cover the license that confirms the role
	decision         policy.Decision    //
	input            *input             // the decision's entry in the evidence
	confirm          *licenseUse        // what must confirm the role first; nil for the applicant
	role             error              // why the role is not confirmed; nil: it is, or need not be
	confirmedParties []license.HolderID // parties of the case whose roles are certain
	finding          license.Finding    // what the source answered; zero if it was not asked
	sourceErr        error              // why the source did not answer, where finding is the kept copy in its place

	outcome  string   // for the record: one of the outcomes
	fields   []string // what left, or was compared
	versions []string // identifiers of the signed versions that left
	judged   *judgedInput
}

// The outcomes of a use besides the states of a judgement (cases.State).
const (
	outcomeRelease     = "release"     // fields left
	outcomeStatus      = "status"      // the status left
	outcomeConfirm     = "confirm"     // a role was confirmed
	outcomeUnconfirmed = "unconfirmed" // a role was not confirmed
	outcomeMissing     = "missing"     // the source has none
	outcomeDenied      = "denied"      // nothing left
	outcomeUnavailable = "unavailable" // the source did not answer
	outcomeUnmatched   = "unmatched"   // the source has other licenses than the one asked about
	outcomeNoted       = "noted"       // a case or consent changed; no license was asked for
)

// resolve authorises every use, confirms the roles that must be confirmed, and asks the sources: at most two rounds, in each
// of which all sources are asked concurrently.
func (g *Gateway) resolve(ctx context.Context, c *call, wanted []*licenseUse) error {
	all := withFilings(wanted)
	c.uses = all
	if err := g.decide(ctx, c, all); err != nil {
		return err
	}
	first := c.confirmations(all)
	if err := g.decide(ctx, c, first); err != nil {
		return err
	}
	asked := first
	if !c.waitUntil.IsZero() { // whatever waits for no role is asked at once, though its source may be asked twice: the bound is over when a late source has not confirmed a role
		asked = slices.Concat(first, slices.DeleteFunc(slices.Clone(wanted), func(u *licenseUse) bool { return u.confirm != nil }))
	}
	g.find(ctx, c, asked)
	for _, u := range all {
		if u.confirm != nil {
			ordered, err := c.applyOrders(ctx, u.confirm.finding)
			if err != nil {
				return err
			}
			u.role = u.confirm.confirmed(c, ordered)
		}
	}
	attachConfirmedParties(all)
	g.find(ctx, c, wanted)
	return nil
}

// decide authorises each use whose purpose supports it.
func (g *Gateway) decide(ctx context.Context, c *call, wanted []*licenseUse) error {
	for _, u := range wanted {
		if !u.supported() {
			continue
		}
		if !u.question.Consent && c.config.Policy.AsksConsent(c.system.ID, u.question.LicenseType, u.question.Matter) {
			id, err := g.findConsent(ctx, c, u)
			if err != nil {
				return err
			}
			u.question.Consent, u.consent = id != "", id
		}
		u.decision = c.evaluate(u)
	}
	return nil
}

// findConsent finds a consent that covers the use; "" where none does. Consents are read once for each holder and attempt.
func (g *Gateway) findConsent(ctx context.Context, c *call, u *licenseUse) (string, error) {
	given, read := c.consents[u.ask.Holder]
	if !read {
		var err error
		if given, err = g.Cases.Consents(ctx, u.ask.Holder, c.system.ID); err != nil {
			return "", err
		}
		c.consents[u.ask.Holder] = given
	}
	for _, consent := range given {
		if consent.Within(c.config.consentLife()).Covers(u.consentQuestion(c), u.question.LicenseType, c.now) == nil {
			return consent.ID, nil
		}
	}
	return "", nil
}

// consentQuestion is what a consent must cover.
func (u *licenseUse) consentQuestion(c *call) cases.Asked {
	return cases.Asked{Asker: c.system.ID, Matter: u.question.Matter, Material: u.question.Material, Holder: u.ask.Holder}
}

// evaluate decides a use as its question now is. Comparing a field is a release (design law 3): compared fields that the
// decision does not release must at least be granted for confirming; else the use is denied.
func (c *call) evaluate(u *licenseUse) policy.Decision {
	d, in := c.decide(u.question)
	u.input = in
	lacking := slices.DeleteFunc(slices.Clone(u.compares), func(f string) bool { return slices.Contains(d.Fields, f) })
	if !d.Allow || len(lacking) == 0 {
		return d
	}
	q := u.question
	q.Purpose, q.Fields = policy.Confirm, lacking
	confirming, _ := c.decide(q)
	rules := slices.Concat(d.Rules, confirming.Rules)
	slices.Sort(rules)
	rules = slices.Compact(rules)
	if !confirming.Allow || slices.ContainsFunc(lacking, func(f string) bool { return !slices.Contains(confirming.Fields, f) }) {
		return policy.Decision{Rules: rules, Reasons: confirming.Reasons}
	}
	d.Rules = rules
	return d
}

// supported reports whether the use may be decided: its case supports it, or it cites another legal basis, which the grants
// decide about.
func (u *licenseUse) supported() bool {
	return u.facts.Usable() || u.question.Basis != policy.ByCase && u.question.Basis != policy.ByConsent
}

// mayAsk reports whether the source may be asked.
func (u *licenseUse) mayAsk() bool { return u.supported() && u.decision.Allow && u.role == nil }

// isAbout reports whether the purpose is about this holder: the one asked about, or a party whose role is confirmed.
func (u *licenseUse) isAbout(holder license.HolderID) bool {
	return holder.Normal() == u.ask.Holder || slices.Contains(u.confirmedParties, holder.Normal())
}

// comparedFields are the fields that a material's expectations look at, each once.
func comparedFields(m cases.Material) (fields []string) {
	for _, e := range m.Expect {
		if !slices.Contains(fields, e.Field) {
			fields = append(fields, e.Field)
		}
	}
	return fields
}

// confirmations are the uses that must be resolved first: one for each role of each party, however many materials wait for
// it. Each has its own decision and its own entry in the record.
func (c *call) confirmations(wanted []*licenseUse) []*licenseUse {
	type role struct {
		matter string
		party  cases.Party
	}
	seen := make(map[role]*licenseUse)
	var first []*licenseUse
	for _, u := range wanted {
		check := u.facts.Confirm
		if check == nil || !u.decision.Allow {
			continue
		}
		key := role{check.Matter, check.Party}
		if seen[key] == nil {
			seen[key] = c.confirmation(u, check)
			first = append(first, seen[key])
		}
		u.confirm = seen[key]
	}
	return first
}

func (c *call) confirmation(u *licenseUse, check *cases.RoleCheck) *licenseUse {
	q := u.question
	q.LicenseType, q.Material, q.Role = check.Material.LicenseType, check.Material.Code, check.Material.HolderRole()
	q.Provider, q.Purpose, q.Fields, q.Consent, q.Trust = c.config.provider(q.LicenseType), policy.Confirm, []string{check.Field}, u.proofConsent, nil
	facts := u.facts
	facts.Material = check.Material
	return &licenseUse{facts: facts, question: q, ask: license.Question{Type: q.LicenseType, Holder: check.Holder.Normal()}}
}

// errRoleNotGranted: no grant lets the role be confirmed.
const errRoleNotGranted cases.Reason = "role-not-granted"

// confirmed judges the license that must confirm a role, with the orders of its department applied: nil, or why the role is
// not confirmed.
func (u *licenseUse) confirmed(c *call, ordered license.Finding) error {
	check := u.facts.Confirm
	if !u.decision.Allow || !slices.Contains(u.decision.Fields, check.Field) {
		u.outcome = outcomeDenied
		return errRoleNotGranted
	}
	t, _ := c.config.Catalogue.Type(check.Material.LicenseType)
	err := check.ConfirmBy(t, ordered, license.DateOf(c.now))
	switch {
	case err == nil:
		u.outcome, u.fields = outcomeConfirm, []string{check.Field}
	case errors.Is(err, cases.RoleUnavailable):
		u.outcome = outcomeUnavailable
	case errors.Is(err, cases.RoleNotFound):
		u.outcome = outcomeUnconfirmed
	default:
		u.outcome, u.fields = outcomeUnconfirmed, []string{check.Field}
	}
	return err
}

// attachConfirmedParties attaches to every use the parties of its matter whose roles are certain: the applicant, and those
// confirmed in this call. What a license says of a holder is released for them only: a role that the caller claims makes
// nobody a party.
func attachConfirmedParties(wanted []*licenseUse) {
	byMatter := make(map[string][]license.HolderID)
	for _, u := range wanted {
		if u.confirm != nil && u.role == nil {
			byMatter[u.facts.Matter.Code] = append(byMatter[u.facts.Matter.Code], u.facts.Party.Holder.Normal())
		}
	}
	for _, u := range wanted {
		u.confirmedParties = slices.Clone(byMatter[u.facts.Matter.Code])
		for _, p := range u.facts.Parties {
			if p.Role == cases.Applicant {
				u.confirmedParties = append(u.confirmedParties, p.Holder.Normal())
			}
		}
	}
}
