package gateway

import (
	"slices"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/license"
)

// use is what the record says of a need.
func (n *need) use(c *call) audit.DraftUse {
	u := audit.DraftUse{
		Use: audit.Use{
			Material: n.question.Material, Matter: n.question.Matter, Case: n.facts.Case, Basis: n.question.Basis,
			LicenseType: n.question.LicenseType, Decision: orDefault(n.outcome, outcomeDenied), Rules: notNil(n.decision.Rules), Fields: notNil(n.fields),
			Source: n.finding.Source,
		},
		Person: n.ask.Holder,
	}
	if n.finding.State == license.IsFound || n.finding.State == license.IsNotFound {
		u.Freshness = string(c.config.freshness(n.finding)) + " " + api.At(n.finding.AsOf).String()
	}
	return u
}

// released notes fields that left, or were compared.
func (n *need) released(fields ...string) {
	n.fields = slices.Concat(n.fields, fields)
	slices.Sort(n.fields)
	n.fields = slices.Compact(n.fields)
}

// usesOf returns the uses of needs and of what confirmed their roles, confirmations first, and completes their entries in
// the evidence.
func (c *call) usesOf(needs ...*need) (uses []audit.DraftUse) {
	seen := make(map[*need]bool)
	add := func(n *need) {
		if n != nil && !seen[n] {
			seen[n] = true
			n.explain(c)
			uses = append(uses, n.use(c))
		}
	}
	for _, n := range needs {
		add(n.confirm)
	}
	for _, n := range needs {
		add(n)
	}
	return uses
}

// aboutCase is a use that releases no license: a case was registered, closed, or something was noted of it.
func aboutCase(k cases.Case, rules []string) audit.DraftUse {
	return audit.DraftUse{Use: audit.Use{
		Case: k.No, Matter: k.Matter, Basis: "case", Decision: outcomeNoted, Rules: notNil(rules), Fields: []string{},
	}}
}

// guards are the changes that refuse the record if what the decisions rest on has changed.
func guards(c *call, needs []*need) (changes []any) {
	seen := make(map[any]bool)
	for _, n := range needs {
		if o := (cases.StillOpen{No: n.facts.Case, Revision: n.facts.Revision}); o.No != "" && !seen[o] {
			seen[o] = true
			changes = append(changes, o)
		}
		for _, id := range []string{n.consent, n.confirmConsent()} {
			if id != "" && !seen[id] {
				seen[id] = true
				changes = append(changes, cases.StillGiven{ID: id, At: c.now})
			}
		}
	}
	return changes
}

func (n *need) confirmConsent() string {
	if n.confirm == nil {
		return ""
	}
	return n.confirm.consent
}
