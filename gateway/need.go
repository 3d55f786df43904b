package gateway

import (
	"context"
	"slices"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// A need is one license wanted for one use: the unit that is decided, found, judged and recorded.
type need struct {
	facts    cases.Facts      // what the case says; zero where the purpose is no case
	question policy.Question  // what is decided
	compares []string         // fields that are compared: by the matter with what it expects, or by the caller who names a number
	ask      license.Question // what the source is asked
	form     api.DocumentForm // in which an annotated copy is wanted; "" for none
	cites    string           // reference of a legal basis other than a case

	consent  string             // id of the consent that stands, if one is needed
	decision policy.Decision    //
	in       *input             // the decision's entry in the evidence
	confirm  *need              // what must confirm the role first; nil for the applicant
	role     error              // why the role is not confirmed; nil: it is, or need not be
	known    []license.HolderID // the case's parties whose roles are certain: the applicant, and those confirmed in this call
	finding  license.Finding    // what the source answered; zero if it was not asked
	down     error              // why the source did not answer, where finding is the kept copy in its place

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
	outcomeUnconfirmed = "unconfirmed" // and this one was not
	outcomeMissing     = "missing"     // the source has none
	outcomeDenied      = "denied"      // nothing left
	outcomeUnavailable = "unavailable" // nothing is known
	outcomeUnmatched   = "unmatched"   // the source has other licenses than the one asked about
	outcomeNoted       = "noted"       // a case or consent changed; no license was asked for
)

// settle decides every need, confirms the roles that must be confirmed, and asks the sources: at most two waves, in each of
// which all sources are asked at once.
func (g *Gateway) settle(ctx context.Context, c *call, needs []*need) error {
	c.needs = needs
	if err := g.decide(ctx, c, needs); err != nil {
		return err
	}
	first := c.confirmations(needs)
	if err := g.decide(ctx, c, first); err != nil {
		return err
	}
	g.find(ctx, c, first)
	for _, n := range needs {
		if n.confirm != nil {
			held, err := c.held(ctx, n.confirm.finding)
			if err != nil {
				return err
			}
			n.role = n.confirm.confirmed(c, held)
		}
	}
	acquaint(needs)
	g.find(ctx, c, needs)
	return nil
}

// decide asks the policy about each need that its case supports.
func (g *Gateway) decide(ctx context.Context, c *call, needs []*need) error {
	for _, n := range needs {
		if !n.supported() {
			continue
		}
		if !n.question.Consent && c.config.Policy.AsksConsent(c.system.ID, n.question.LicenseType, n.question.Matter) {
			id, err := g.standing(ctx, c, n)
			if err != nil {
				return err
			}
			n.question.Consent, n.consent = id != "", id
		}
		n.decision = c.weigh(n)
	}
	return nil
}

// standing finds a consent that covers the need; "" where none does.
func (g *Gateway) standing(ctx context.Context, c *call, n *need) (string, error) {
	given, read := c.given[n.ask.Holder]
	if !read {
		var err error
		if given, err = g.Cases.Consents(ctx, n.ask.Holder, c.system.ID); err != nil {
			return "", err
		}
		c.given[n.ask.Holder] = given
	}
	for _, consent := range given {
		if consent.Within(c.config.consentLife()).Covers(n.asked(c), n.question.LicenseType, c.now) == nil {
			return consent.ID, nil
		}
	}
	return "", nil
}

// asked is the need as a question to a consent.
func (n *need) asked(c *call) cases.Asked {
	return cases.Asked{Asker: c.system.ID, Matter: n.question.Matter, Material: n.question.Material, Holder: n.ask.Holder}
}

// weigh decides a need as its question now stands. Comparing a field is a release (design law 3): what is compared and the
// decision does not let leave must at least be granted for confirming; else nothing of the need is.
func (c *call) weigh(n *need) policy.Decision {
	d, in := c.decide(n.question)
	n.in = in
	lacking := slices.DeleteFunc(slices.Clone(n.compares), func(f string) bool { return slices.Contains(d.Fields, f) })
	if !d.Allow || len(lacking) == 0 {
		return d
	}
	q := n.question
	q.Purpose, q.Fields = policy.Confirm, lacking
	inside, _ := c.decide(q)
	rules := slices.Concat(d.Rules, inside.Rules)
	slices.Sort(rules)
	rules = slices.Compact(rules)
	if !inside.Allow || slices.ContainsFunc(lacking, func(f string) bool { return !slices.Contains(inside.Fields, f) }) {
		return policy.Decision{Rules: rules, Reasons: inside.Reasons}
	}
	d.Rules = rules
	return d
}

// supported reports whether the purpose supports the need, so that it may be decided: its case does, or it cites another
// legal basis, which is for the grants to know.
func (n *need) supported() bool {
	return n.facts.Usable() || n.question.Basis != policy.ByCase && n.question.Basis != policy.ByConsent
}

// wanted reports whether the source may be asked about the need.
func (n *need) wanted() bool { return n.supported() && n.decision.Allow && n.role == nil }

// concerns reports whether the purpose is about this holder: the one asked about, or a party whose role is certain.
func (n *need) concerns(holder license.HolderID) bool {
	return holder.Normal() == n.ask.Holder || slices.Contains(n.known, holder.Normal())
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
