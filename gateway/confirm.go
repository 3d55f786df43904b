package gateway

import (
	"errors"
	"slices"

	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// confirmations are the needs that must be settled first: one for each role of each party, however many materials wait
// for it. Each has its own decision and its own use in the record.
func (c *call) confirmations(needs []*need) []*need {
	type role struct {
		matter string
		party  cases.Party
	}
	seen := make(map[role]*need)
	var first []*need
	for _, n := range needs {
		check := n.facts.Confirm
		if check == nil || !n.decision.Allow {
			continue
		}
		key := role{check.Matter, check.Party}
		if seen[key] == nil {
			seen[key] = c.confirmation(n, check)
			first = append(first, seen[key])
		}
		n.confirm = seen[key]
	}
	return first
}

func (c *call) confirmation(n *need, check *cases.RoleCheck) *need {
	q := n.question
	q.LicenseType, q.Material, q.Role = check.Material.LicenseType, check.Material.Code, check.Material.HolderRole()
	q.Provider, q.Purpose, q.Fields, q.Consent = c.config.provider(q.LicenseType), policy.Confirm, []string{check.Field}, false
	facts := n.facts
	facts.Material = check.Material
	return &need{facts: facts, question: q, ask: license.Question{Type: q.LicenseType, Holder: check.Holder.Normal()}}
}

// errRoleNotGranted says that no grant lets anybody look whether a role holds.
const errRoleNotGranted cases.Reason = "role-not-granted"

// confirmed judges the record that a role rests on, as it holds: nil, or why the role is not confirmed.
func (n *need) confirmed(c *call, held license.Finding) error {
	check := n.facts.Confirm
	if !n.decision.Allow || !slices.Contains(n.decision.Fields, check.Field) {
		n.outcome = outcomeDenied
		return errRoleNotGranted
	}
	t, _ := c.config.Catalogue.Type(check.Material.LicenseType)
	err := check.ConfirmBy(t, held, license.DateOf(c.now))
	switch {
	case err == nil:
		n.outcome, n.fields = outcomeConfirm, []string{check.Field}
	case errors.Is(err, cases.RoleUnavailable):
		n.outcome = outcomeUnavailable
	case errors.Is(err, cases.RoleNotFound):
		n.outcome = outcomeUnconfirmed
	default:
		n.outcome, n.fields = outcomeUnconfirmed, []string{check.Field}
	}
	return err
}

// acquaint tells every need which parties of its matter are certain. What a license says of a holder leaves only for them:
// a role that the caller claims makes nobody a party.
func acquaint(needs []*need) {
	byMatter := make(map[string][]license.HolderID)
	for _, n := range needs {
		if n.confirm != nil && n.role == nil {
			byMatter[n.facts.Matter.Code] = append(byMatter[n.facts.Matter.Code], n.facts.Party.Holder.Normal())
		}
	}
	for _, n := range needs {
		n.known = slices.Clone(byMatter[n.facts.Matter.Code])
		for _, p := range n.facts.Parties {
			if p.Role == cases.Applicant {
				n.known = append(n.known, p.Holder.Normal())
			}
		}
	}
}
