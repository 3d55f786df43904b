package gateway

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// A need is one license wanted for one use: the unit that is decided, found, judged and recorded.
type need struct {
	facts    cases.Facts     // what the case says; zero where the purpose is no case
	question policy.Question // what is decided
	decision policy.Decision
	ask      license.Question // what the source is asked
	consent  string           // id of the consent that stands, if one is needed
	confirm  *need            // what must confirm the role first; nil for the applicant
	role     error            // why the role is not confirmed; nil: it is, or need not be
	finding  license.Finding  // what the source answered; zero if it was not asked
	outcome  string           // for the record: "release", "met", "missing", "denied", …
	fields   []string         // what left
}

// settle decides every need, confirms the roles that must be confirmed, and asks the sources: at most two waves, in each of
// which all sources are asked at once.
func (g *Gateway) settle(ctx context.Context, c *call, needs []*need) error {
	if err := g.decide(ctx, c, needs); err != nil {
		return err
	}
	first := g.confirmations(c, needs)
	if err := g.decide(ctx, c, first); err != nil {
		return err
	}
	if err := g.find(ctx, c, first); err != nil {
		return err
	}
	for _, n := range needs {
		if n.confirm != nil {
			n.role = n.confirm.confirmed(c)
		}
	}
	return g.find(ctx, c, needs)
}

// decide asks the policy about each need that its case supports.
func (g *Gateway) decide(ctx context.Context, c *call, needs []*need) error {
	for _, n := range needs {
		if !n.facts.Usable() {
			continue
		}
		if !n.question.Consent && c.config.Policy.AsksConsent(c.system.ID, n.question.LicenseType, n.question.Matter) {
			id, err := g.standing(ctx, c, n)
			if err != nil {
				return err
			}
			n.question.Consent, n.consent = id != "", id
		}
		n.decision = c.config.Policy.Decide(n.question)
	}
	return nil
}

// standing finds a consent that covers the need; "" where none does.
func (g *Gateway) standing(ctx context.Context, c *call, n *need) (string, error) {
	given, err := g.Cases.Consents(ctx, n.ask.Holder, c.system.ID)
	if err != nil {
		return "", err
	}
	asked := cases.Asked{Asker: c.system.ID, Matter: n.question.Matter, Material: n.question.Material, Holder: n.ask.Holder}
	for _, consent := range given {
		if consent.Covers(asked, n.question.LicenseType, c.now) == nil {
			return consent.ID, nil
		}
	}
	return "", nil
}

// confirmations are the needs that must be settled first: one for each role of each party, however many materials wait
// for it. Each has its own decision and its own use in the record.
func (g *Gateway) confirmations(c *call, needs []*need) []*need {
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
			seen[key] = g.confirmation(c, n, check)
			first = append(first, seen[key])
		}
		n.confirm = seen[key]
	}
	return first
}

func (g *Gateway) confirmation(c *call, n *need, check *cases.RoleCheck) *need {
	q := n.question
	q.LicenseType, q.Material, q.Role = check.Material.LicenseType, check.Material.Code, check.Material.HolderRole()
	q.Provider, q.Purpose, q.Fields, q.Consent = c.config.provider(q.LicenseType), policy.Confirm, []string{check.Field}, false
	facts := n.facts
	facts.Material = check.Material
	return &need{facts: facts, question: q, ask: license.Question{Type: q.LicenseType, Holder: check.Holder}}
}

// confirmed judges the record that a role rests on: nil, or why the role is not confirmed.
func (n *need) confirmed(c *call) error {
	check := n.facts.Confirm
	if !n.decision.Allow || !slices.Contains(n.decision.Fields, check.Field) {
		n.outcome = "denied"
		return errRoleNotGranted
	}
	t, _ := c.config.Catalogue.Type(check.Material.LicenseType)
	err := check.ConfirmBy(t, n.finding, license.DateOf(c.now))
	switch {
	case err == nil:
		n.outcome, n.fields = "confirm", []string{check.Field}
	case errors.Is(err, cases.RoleUnavailable):
		n.outcome = "unavailable"
	default:
		n.outcome, n.fields = "unconfirmed", []string{check.Field}
	}
	return err
}

var errRoleNotGranted = errors.New("no grant lets the role be confirmed")

// wanted reports whether the source may be asked about the need.
func (n *need) wanted() bool { return n.facts.Usable() && n.decision.Allow && n.role == nil }

// find asks the sources what the needs want: each source once with all its questions, all sources at once, and nothing that
// this call asked before.
func (g *Gateway) find(ctx context.Context, c *call, needs []*need) error {
	bySource := make(map[*guardedSource][]license.Question)
	for _, n := range needs {
		if _, known := c.asked[n.ask]; known || !n.wanted() {
			continue
		}
		source := c.config.source(n.ask.Type)
		if source == nil {
			c.asked[n.ask] = license.Finding{State: license.IsUnavailable, Err: errNoSource, AsOf: c.now}
			continue
		}
		if !slices.Contains(bySource[source], n.ask) {
			bySource[source] = append(bySource[source], n.ask)
		}
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for source, questions := range bySource {
		all.Go(func() {
			findings := source.Find(ctx, questions)
			mu.Lock()
			defer mu.Unlock()
			for i, q := range questions {
				c.asked[q] = findings[i]
			}
		})
	}
	all.Wait()
	for _, n := range needs {
		if !n.wanted() {
			continue
		}
		n.finding = c.asked[n.ask]
		if n.finding.State == license.IsUnavailable {
			if err := g.fallBack(ctx, c, n); err != nil {
				return err
			}
		}
	}
	return nil
}

var errNoSource = errors.New("no source serves this license type")

// fallBack takes the kept copy instead of an unavailable source, where the grant allows its age. The decision is made again
// with the age, so that guards see it.
func (g *Gateway) fallBack(ctx context.Context, c *call, n *need) error {
	if n.decision.MaxAge <= 0 {
		return nil
	}
	copied, err := c.config.Register.LastCopy(ctx, n.ask, n.decision.MaxAge)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	question := n.question
	question.Age = max(c.now.Sub(copied.AsOf).Truncate(time.Millisecond), time.Millisecond)
	decision := c.config.Policy.Decide(question)
	if !decision.Allow {
		return nil
	}
	if copied.Source == "" {
		copied.Source = n.finding.Source
	}
	n.question, n.decision, n.finding = question, decision, copied
	n.finding.Stale = true
	return nil
}

// freshness labels where a finding comes from.
func (r *running) freshness(f license.Finding) api.Freshness {
	if f.Stale {
		return api.FreshnessStale
	}
	if s := r.sources[f.Source]; s != nil && s.Kind == "drop" {
		return api.FreshnessDrop
	}
	return api.FreshnessLive
}

// use is what the record says of a need.
func (n *need) use(c *call) audit.DraftUse {
	u := audit.DraftUse{
		Use: audit.Use{
			Material: n.question.Material, Matter: n.question.Matter, Case: n.facts.Case, Basis: n.question.Basis,
			LicenseType: n.question.LicenseType, Decision: n.outcome, Rules: n.decision.Rules, Fields: n.fields,
		},
		Person: n.ask.Holder,
	}
	if u.Rules == nil {
		u.Rules = []string{}
	}
	if u.Fields == nil {
		u.Fields = []string{}
	}
	if n.finding.State != "" && n.finding.Source != "" {
		u.Source = n.finding.Source
		u.Freshness = string(c.config.freshness(n.finding)) + " " + api.At(n.finding.AsOf).String()
	}
	return u
}

// An input is what one decision was made on, for the sealed evidence.
type input struct {
	Question policy.Question `json:"question"`
	Decision policy.Decision `json:"decision"`
	Facts    []cases.Reason  `json:"facts,omitempty"`   // why the case did not support it
	Role     string          `json:"role,omitempty"`    // why the role was not confirmed
	Found    license.Found   `json:"found,omitempty"`   //
	Consent  string          `json:"consent,omitempty"` //
	Revision int             `json:"revision,omitempty"`
}

func (n *need) input() input {
	in := input{Question: n.question, Decision: n.decision, Facts: n.facts.Reasons, Found: n.finding.State, Consent: n.consent, Revision: n.facts.Revision}
	if n.role != nil {
		in.Role = n.role.Error()
	}
	return in
}

// recordOf returns uses and inputs of needs and of what confirmed their roles, confirmations first.
func recordOf(c *call, needs []*need) (uses []audit.DraftUse, inputs []input) {
	seen := make(map[*need]bool)
	add := func(n *need) {
		if n != nil && !seen[n] {
			seen[n] = true
			uses, inputs = append(uses, n.use(c)), append(inputs, n.input())
		}
	}
	for _, n := range needs {
		add(n.confirm)
	}
	for _, n := range needs {
		add(n)
	}
	return uses, inputs
}

// guards are the changes that refuse the record if what the decisions rest on has changed.
func guards(c *call, needs []*need) (changes []any) {
	type open struct {
		no       string
		revision int
	}
	seen := make(map[any]bool)
	for _, n := range needs {
		if o := (open{n.facts.Case, n.facts.Revision}); o.no != "" && !seen[o] {
			seen[o] = true
			changes = append(changes, cases.StillOpen{No: o.no, Revision: o.revision})
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
