package gateway

import (
	"context"
	"slices"
	"strconv"
	"strings"

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
		return nil, caseClosed(checked)
	}
	needs, rest, err := g.planned(c, checked, q)
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
	bench := bench{c: c, checked: checked, received: received}
	judged := make([]cases.Judgement, len(needs))
	for i, n := range needs {
		material, j, err := work.material(ctx, &bench, n)
		if err != nil {
			return nil, err
		}
		answer.Materials, judged[i] = append(answer.Materials, material), j
	}
	all := append(slices.Clone(judged), bench.unasked(rest)...)
	answer.CanProceed = cases.Conclude(all).GoesOn
	answer.Parts = parts(c, checked, judged, all)
	reuse := cases.ReuseOf(checked.No, judged)
	answer.Reuse = api.Counts{Numerator: reuse.Numerator, Denominator: reuse.Denominator}
	res := work.result(ctx, answer, needs)
	res.tells = disclosedHolders(answer.Materials, needs)
	count(res.uses, needs)
	return res, nil
}

// disclosedHolders are the holders asked about whose code a released license discloses. A case names its parties, but who checks it is
// not told who they are.
func disclosedHolders(materials []api.CheckedMaterial, needs []*need) (holders []license.HolderID) {
	for i, m := range materials {
		for path, code := range m.Fields {
			name, _, _ := strings.Cut(path, ".")
			if name == license.FieldHolderCode && license.NormalCode(code) == needs[i].ask.Holder.Code {
				holders = append(holders, needs[i].ask.Holder)
			}
		}
	}
	return holders
}

// usableCase loads the case in the path. Who may not use it cannot tell why.
func (g *Gateway) usableCase(ctx context.Context, c *call) (cases.Case, error) {
	no := c.path("no")
	n := &need{question: policy.Question{Operation: c.row.right, System: c.system.ID, Basis: policy.ByCase, Now: c.now}}
	said := said(api.Purpose{Case: no}, "", license.HolderID{})
	found, known, err := g.caseNumbered(ctx, c, no)
	if err != nil {
		return found, err
	}
	entitled := c.entitled(found)
	switch {
	case !known:
		n.facts.Reasons = []cases.Reason{"case-unknown"}
		return cases.Case{}, n.notUsable(c, said)
	case !entitled:
		n.facts = cases.Facts{Case: found.No, Revision: found.Revision, Registrar: found.Registrar, Reasons: []cases.Reason{"caller-not-entitled"}}
		n.question.Matter = found.Matter
		return found, n.notUsable(c, said)
	}
	return found, nil
}

// caseClosed is what somebody who may know the case is told.
func caseClosed(k cases.Case) *refusal {
	use := aboutCase(k, nil)
	use.Decision = outcomeDenied
	return refuse("case-closed").with(use).because(ofCase(cases.CaseClosed))
}

// planned are the needs of a check: every material of every matter of the case that the caller has to do with, or those
// asked for; rest are the others. How many there are is known before any source is asked, so a check too large to record
// is refused here.
func (g *Gateway) planned(c *call, checked cases.Case, q api.CheckRequest) (needs, rest []*need, err error) {
	for _, f := range c.config.Book.Plan(checked, c.system.ID) {
		if !c.knows(checked, f.Matter.Code) {
			continue
		}
		n := c.planNeed(f)
		if len(q.Matters) > 0 && !slices.Contains(q.Matters, f.Matter.Code) || len(q.Materials) > 0 && !slices.Contains(q.Materials, f.Material.Code) {
			rest = append(rest, n)
			continue
		}
		needs = append(needs, n)
	}
	use := aboutCase(checked, nil)
	use.Decision = outcomeDenied
	if at, ok := wantDocuments(needs, q.Documents); !ok {
		return nil, nil, refuse("unknown-material").at("/documents/"+strconv.Itoa(at), "no such material is checked").with(use)
	}
	if len(needs) == 0 {
		return nil, nil, refuse("unknown-material").at("/materials", "the case has no such material").with(use)
	}
	if len(needs) > g.Limits.Materials || !audit.Fits(g.largest(c, needs)) {
		return nil, nil, refuse("too-many-materials").with(use)
	}
	return needs, rest, nil
}

func (c *call) planNeed(f cases.Facts) *need {
	return &need{
		facts:    f,
		compares: comparedFields(f.Material),
		ask:      license.Question{Type: f.Material.LicenseType, Holder: f.Party.Holder.Normal()},
		question: policy.Question{
			Operation: c.row.right, System: c.system.ID, Department: c.system.Department, LicenseType: f.Material.LicenseType,
			Provider: c.config.provider(f.Material.LicenseType), Matter: f.Matter.Code, Material: f.Material.Code, Role: f.Material.HolderRole(),
			Attestation: string(f.Attestation), Basis: policy.ByCase, Purpose: policy.Answer, Now: c.now,
		},
	}
}

// largest is a draft as large as the record of these needs can become: every consent given, every role confirmed, every
// field left. Nothing is decided by it.
func (g *Gateway) largest(c *call, needs []*need) audit.Draft {
	d := g.draft(c)
	for _, n := range needs {
		probe := *n
		probe.question.Consent = true
		probe.decision = c.config.Policy.Decide(probe.question)
		probe.fields, probe.outcome = slices.Concat(probe.decision.Fields, n.compares), outcomeUnavailable
		d.Uses = append(d.Uses, probe.use(c))
		if n.facts.Confirm != nil {
			d.Uses = append(d.Uses, probe.use(c))
		}
	}
	return d
}

// parts says of each matter of a chain that was checked whether it can go on.
func parts(c *call, checked cases.Case, judged, all []cases.Judgement) (out []api.CheckedPart) {
	if m, ok := c.config.Book.Matter(checked.Matter); !ok || !m.IsChain() {
		return nil
	}
	of := func(list []cases.Judgement, matter string) []cases.Judgement {
		return slices.DeleteFunc(slices.Clone(list), func(j cases.Judgement) bool { return j.Matter != matter })
	}
	for _, m := range c.config.Book.MattersOf(checked) {
		if len(of(judged, m.Code)) > 0 {
			out = append(out, api.CheckedPart{Matter: m.Code, CanProceed: cases.Conclude(of(all, m.Code)).GoesOn})
		}
	}
	return out
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
