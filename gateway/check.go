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
	"oncegate/license"
	"oncegate/policy"
)

// check says of every material of a case whether it is met from its source, or what to do instead
// (POST /v1/cases/{no}/check).
func (g *Gateway) check(ctx context.Context, c *call, q api.CheckRequest) (*result, error) {
	checked, err := g.usableCase(ctx, c)
	if err != nil {
		return nil, err
	}
	if !checked.IsOpen() {
		return nil, refuse("case-closed")
	}
	needs, err := g.planned(c, checked, q)
	if err != nil {
		return nil, err
	}
	received, err := g.Cases.Received(ctx, checked.No)
	if err != nil {
		return nil, err
	}
	if err := g.settle(ctx, c, needs); err != nil {
		return nil, err
	}
	work := g.newWork(c)
	answer := api.CheckAnswer{
		Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Case: checked.No, Matter: checked.Matter,
		Materials: make([]api.CheckedMaterial, 0, len(needs)),
	}
	judged := make([]cases.Judgement, len(needs))
	for i, n := range needs {
		judged[i] = g.judge(c, n, checked, received)
		material, err := g.checkedMaterial(ctx, work, n, judged[i])
		if err != nil {
			return nil, err
		}
		answer.Materials = append(answer.Materials, material)
		g.metrics.materials.WithLabelValues(n.outcome).Inc()
	}
	answer.CanProceed = cases.Conclude(judged).GoesOn
	answer.Parts = parts(c, checked, judged)
	answer.Reuse = reuse(checked.No, license.DateOf(c.now), judged)
	res, err := work.result(answer, needs)
	if err != nil {
		return nil, err
	}
	count(res.uses, needs)
	return res, nil
}

// usableCase loads the case in the path. Who may not use it cannot tell why.
func (g *Gateway) usableCase(ctx context.Context, c *call) (cases.Case, error) {
	n := &need{facts: cases.Facts{Case: c.path("no")}, question: policy.Question{Operation: c.row.ID, System: c.system.ID, Basis: policy.ByCase, Now: c.now}}
	found, err := g.Cases.Case(ctx, c.path("no"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		n.facts.Reasons = []cases.Reason{"case-unknown"}
		return found, n.notUsable(c)
	case err != nil:
		return found, err
	case !g.entitled(c, found):
		n.question.Matter = found.Matter
		return found, n.notUsable(c)
	}
	return found, nil
}

// planned are the needs of a check: every material of every matter of the case, or those asked for. How many there are is
// known before any source is asked, so a check too large to record is refused here.
func (g *Gateway) planned(c *call, checked cases.Case, q api.CheckRequest) ([]*need, error) {
	var needs []*need
	for _, f := range c.config.Book.Plan(checked, c.system.ID) {
		if len(q.Matters) > 0 && !slices.Contains(q.Matters, f.Matter.Code) || len(q.Materials) > 0 && !slices.Contains(q.Materials, f.Material.Code) {
			continue
		}
		needs = append(needs, g.planNeed(c, f))
	}
	if len(needs) == 0 {
		return nil, refuse("unknown-material").at("/materials", "the case has no such material")
	}
	if len(needs) > g.Limits.Materials || !audit.Fits(g.largest(c, needs)) {
		return nil, refuse("too-many-materials")
	}
	return needs, nil
}

func (g *Gateway) planNeed(c *call, f cases.Facts) *need {
	return &need{
		facts: f,
		ask:   license.Question{Type: f.Material.LicenseType, Holder: f.Party.Holder.Normal()},
		question: policy.Question{
			Operation: c.row.right, System: c.system.ID, Department: c.system.Department, LicenseType: f.Material.LicenseType,
			Provider: c.config.provider(f.Material.LicenseType), Matter: f.Matter.Code, Material: f.Material.Code, Role: f.Material.HolderRole(),
			Attestation: string(f.Attestation), Basis: policy.ByCase, Purpose: policy.Answer, Now: c.now,
		},
	}
}

// largest is a draft as large as the record of these needs can become: every role confirmed, every field left.
func (g *Gateway) largest(c *call, needs []*need) audit.Draft {
	d := g.draft(c)
	for _, n := range needs {
		probe := *n
		probe.decision = c.config.Policy.Decide(n.question)
		probe.fields, probe.outcome = probe.decision.Fields, string(cases.Unavailable)
		d.Uses = append(d.Uses, probe.use(c))
		if n.facts.Confirm != nil {
			d.Uses = append(d.Uses, probe.use(c))
		}
	}
	return d
}

// judge says how one material stands.
func (g *Gateway) judge(c *call, n *need, checked cases.Case, received []cases.Received) cases.Judgement {
	t, _ := c.config.Catalogue.Type(n.facts.Material.LicenseType)
	e := cases.Evidence{
		Facts: n.facts, Type: t, Allowed: n.decision.Allow, Confirmed: n.role == nil, Role: n.role, Finding: n.finding, Received: received,
		From: license.DateOf(checked.Accepted), Day: license.DateOf(c.now),
	}
	if errors.Is(n.role, errRoleNotGranted) {
		e.Allowed, e.Role = false, nil
	}
	if len(n.decision.Reasons) > 0 && !e.Allowed {
		e.Reason = cases.Reason(n.decision.Reasons[0].Code)
	}
	j := cases.Judge(e, c.config.Calendar)
	n.outcome = string(j.State)
	return j
}

// checkedMaterial is a judged material as the caller sees it; only a met one releases fields.
func (g *Gateway) checkedMaterial(ctx context.Context, w *work, n *need, j cases.Judgement) (api.CheckedMaterial, error) {
	m := api.CheckedMaterial{
		Matter: j.Matter, Material: j.Material, Name: n.facts.Material.Name, NameEn: n.facts.Material.NameEN, Need: int(j.Need),
		LicenseType: n.facts.Material.LicenseType, State: api.MaterialState(j.State), Rules: notNil(n.decision.Rules),
	}
	if j.Covered != "" {
		m.State = api.MaterialStateCovered
	}
	if j.Reason != "" {
		m.Reason = n.reason(j.Reason)
	}
	if j.Fallback.Kind != "" {
		m.Fallback = api.Fallback{Kind: api.FallbackKind(j.Fallback.Kind), Deadline: string(j.Fallback.Deadline)}
	}
	if n.finding.State == "" {
		return m, nil
	}
	m.Source = n.finding.Source
	if n.finding.State != license.IsUnavailable {
		m.Freshness, m.AsOf = w.c.config.freshness(n.finding), api.At(n.finding.AsOf)
	}
	if j.Record < 0 {
		return m, nil
	}
	record := n.finding.Records[j.Record]
	m.Status = api.Status(record.StatusAt(license.DateOf(w.c.now)))
	if j.State != cases.Met {
		return m, w.observe(ctx, record, n.finding.AsOf)
	}
	l, err := w.disclose(ctx, n, record)
	if err != nil {
		return m, withNeed(err, w.c, n)
	}
	m.License, m.Identifier, m.Version, m.Fields, m.Flags, m.Obligations = l.License, l.Identifier, l.Version, l.Fields, l.Flags, n.decision.Obligations
	return m, nil
}

// reason is why a material is not met, in words: the policy's own where it refused.
func (n *need) reason(r cases.Reason) api.Reason {
	for _, own := range n.decision.Reasons {
		if own.Code == string(r) {
			return ofPolicy([]policy.Reason{own})[0]
		}
	}
	return reason(string(r))
}

// observe takes over what a source says of a license that is not released: its status, if it was signed before.
func (w *work) observe(ctx context.Context, record license.License, asOf time.Time) error {
	changes, err := w.c.config.Register.Observe(ctx, record, asOf)
	if err != nil {
		return err
	}
	w.changes = append(w.changes, changes...)
	return nil
}

// parts says of each matter of a chain whether it can go on.
func parts(c *call, checked cases.Case, judged []cases.Judgement) (out []api.CheckedPart) {
	if m, ok := c.config.Book.Matter(checked.Matter); !ok || !m.IsChain() {
		return nil
	}
	for _, m := range c.config.Book.MattersOf(checked) {
		var own []cases.Judgement
		for _, j := range judged {
			if j.Matter == m.Code {
				own = append(own, j)
			}
		}
		if len(own) > 0 {
			out = append(out, api.CheckedPart{Matter: m.Code, CanProceed: cases.Conclude(own).GoesOn})
		}
	}
	return out
}

func reuse(no string, day license.Date, judged []cases.Judgement) api.Counts {
	tally := cases.Tally{From: day, To: day}
	tally.Add(no, day, judged)
	total := tally.Total()
	return api.Counts{Numerator: total.Numerator, Denominator: total.Denominator}
}

// count marks the uses that the reuse rate counts. Confirmations come first among the uses and do not count.
func count(uses []audit.DraftUse, needs []*need) {
	offset := len(uses) - len(needs)
	for i, n := range needs {
		if n.facts.Material.Need.Counts() {
			uses[offset+i].Need = int(n.facts.Material.Need)
		}
	}
}
