package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/gateway/sources"
	"oncegate/license"
	"oncegate/policy"
)

// check reports for every material of a case whether it is met from its source, or what to do instead
// (POST /v1/cases/{no}/check).
func (g *Gateway) check(ctx context.Context, c *call, q api.CheckRequest) (*result, error) {
	checked, err := g.usableCase(ctx, c)
	if err != nil {
		return nil, err
	}
	if !checked.IsOpen() {
		return nil, caseClosed(checked)
	}
	wanted, rest, err := g.plannedUses(c, checked, q)
	if err != nil {
		return nil, err
	}
	received, err := g.Cases.Received(ctx, checked.No)
	if err != nil {
		return nil, err
	}
	if err := g.checkNamed(ctx, c, checked, wanted); err != nil {
		return nil, err
	}
	c.planFilings(wanted, received)
	if q.WaitMs > 0 && c.waitUntil.IsZero() { // of several attempts the first one's
		c.waitUntil = time.Now().Add(time.Duration(q.WaitMs) * time.Millisecond)
	}
	if err := g.resolve(ctx, c, wanted); err != nil {
		return nil, err
	}
	a := g.newAttempt(c)
	answer := api.CheckAnswer{
		Case: checked.No, Matter: checked.Matter,
		Materials: make([]api.CheckedMaterial, 0, len(wanted)),
	}
	judge := caseJudge{c: c, checked: checked, received: received}
	judged := make([]cases.Judgement, len(wanted))
	for i, u := range wanted {
		material, j, err := a.material(ctx, &judge, u)
		if err != nil {
			return nil, err
		}
		answer.Materials, judged[i] = append(answer.Materials, material), j
	}
	all := append(slices.Clone(judged), judge.unasked(rest)...)
	answer.CanProceed = cases.Conclude(all).GoesOn
	answer.Parts = parts(c, checked, judged, all)
	reuse := cases.ReuseOf(checked.No, judged)
	answer.Reuse = api.Counts{Numerator: reuse.Numerator, OnFile: reuse.OnFile, Denominator: reuse.Denominator}
	states, err := g.Cases.States(ctx, checked.No)
	if err != nil {
		return nil, err
	}
	res := a.result(ctx, answer, recordedUses(wanted))
	for _, found := range cases.StatesOf(states, cases.LastState{Case: checked.No, By: c.system.ID, At: c.now}, judged) {
		res.changes = append(res.changes, found)
	}
	res.disclosed = disclosedHolders(answer.Materials, wanted)
	markCounted(res.uses, wanted)
	return res, nil
}

// disclosedHolders are the holders asked about whose code a released license discloses. A case names its parties, but who checks it is
// not told who they are.
func disclosedHolders(materials []api.CheckedMaterial, wanted []*licenseUse) (holders []license.HolderID) {
	for i, m := range materials {
		for path, code := range m.Fields {
			name, _, _ := strings.Cut(path, ".")
			if name == license.FieldHolderCode && license.NormalCode(code) == wanted[i].ask.Holder.Code {
				holders = append(holders, wanted[i].ask.Holder)
			}
		}
	}
	return holders
}

// plannedUses are the uses of a check: every material of every matter that the caller is entitled to, or those asked for; rest
// are the others. A check that is too large to record is refused here, before any source is asked.
func (g *Gateway) plannedUses(c *call, checked cases.Case, q api.CheckRequest) (wanted, rest []*licenseUse, err error) {
	for _, f := range c.config.Book.Plan(checked, c.system.ID) {
		if !c.entitledToMatter(checked, f.Matter.Code) {
			continue
		}
		u := c.plannedUse(f)
		if len(q.Matters) > 0 && !slices.Contains(q.Matters, f.Matter.Code) || len(q.Materials) > 0 && !slices.Contains(q.Materials, f.Material.Code) {
			rest = append(rest, u)
			continue
		}
		wanted = append(wanted, u)
	}
	use := caseUse(checked, nil)
	use.Decision = outcomeDenied
	if at, ok := wantDocuments(wanted, q.Documents); !ok {
		return nil, nil, refuse("unknown-material").pointingAt("/documents/"+strconv.Itoa(at), "no such material is checked").withUses(use)
	}
	if at, ok := wantFiles(wanted, q.Files); !ok {
		return nil, nil, refuse("unknown-material").pointingAt("/files/"+strconv.Itoa(at), "no such material is checked").withUses(use)
	}
	if len(wanted) == 0 {
		return nil, nil, refuse("unknown-material").pointingAt("/materials", "the case has no such material").withUses(use)
	}
	if len(wanted) > g.Limits.Materials || !audit.Fits(g.largestRecord(c, wanted)) {
		return nil, nil, refuse("too-many-materials").withUses(use)
	}
	return wanted, rest, nil
}

func (c *call) plannedUse(f cases.Facts) *licenseUse {
	return &licenseUse{
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

// largestRecord is an upper bound of the record of these uses: every consent given, every role confirmed, every field released.
// Nothing is decided by it.
func (g *Gateway) largestRecord(c *call, wanted []*licenseUse) audit.Draft {
	d := g.draft(c)
	for _, u := range wanted {
		probe := *u
		probe.question.Consent = true
		probe.decision = c.config.Policy.Decide(c.withPerson(probe.question))
		probe.fields, probe.outcome = slices.Concat(probe.decision.Fields, u.compares), outcomeUnavailable
		d.Uses = append(d.Uses, probe.recorded(c))
		if u.facts.Confirm != nil {
			d.Uses = append(d.Uses, probe.recorded(c))
		}
		if u.facts.Material.Filing != "" {
			filing := c.filingUse(u)
			filing.question.Consent = true
			filing.decision = c.config.Policy.Decide(c.withPerson(filing.question))
			filing.fields, filing.outcome, filing.filedAt = cases.FilingFields(), string(cases.OnFile), c.now
			d.Uses = append(d.Uses, filing.recorded(c))
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

// markCounted marks the uses that the reuse rate counts. Confirmations come first among the uses and do not count.
func markCounted(uses []audit.Use, wanted []*licenseUse) {
	offset := len(uses) - len(wanted)
	for i, u := range wanted {
		if u.facts.Material.Need.Counts() {
			uses[offset+i].Need = int(u.facts.Material.Need)
		}
	}
}

// A caseJudge is what all materials of one check are judged on.
type caseJudge struct {
	c        *call
	checked  cases.Case
	received []cases.Received
}

// judge says how one material stands, and keeps for the evidence what that rests on.
func (b *caseJudge) judge(u *licenseUse) cases.Judgement {
	t, _ := b.c.config.Catalogue.Type(u.facts.Material.LicenseType)
	e := cases.Evidence{
		Facts: u.facts, Type: t, Allowed: u.decision.Allow, Confirmed: u.role == nil, Role: u.role, Finding: u.finding, Received: b.received,
		From: license.DateOf(b.checked.Accepted), Day: license.DateOf(b.c.now),
	}
	if errors.Is(u.role, errRoleNotGranted) {
		e.Allowed, e.Role, e.Reason = false, nil, errRoleNotGranted
	}
	if !u.decision.Allow && len(u.decision.Reasons) > 0 {
		e.Reason = cases.Reason(firstReason(u.decision.Reasons))
	}
	j := cases.Judge(e, b.c.config.Calendar)
	u.takesFiling = e.TakesFiling(j)
	switch {
	case j.State == cases.Unavailable && errors.Is(u.finding.Err, errPresented):
		j.Reason = "license-presented"
	case j.Reason == cases.SourceUnavailable && errors.Is(u.finding.Err, sources.ErrNoSlot):
		j.Reason = "source-busy"
	case j.Reason == cases.RoleUnavailable && u.confirm != nil && errors.Is(u.confirm.finding.Err, sources.ErrNoSlot):
		j.Reason = "role-source-busy"
	case j.Reason == cases.SourceUnavailable && errors.Is(u.finding.Err, errLate):
		j.Reason, u.takesFiling = "source-late", false
	case j.Reason == cases.RoleUnavailable && u.confirm != nil && errors.Is(u.confirm.finding.Err, errLate):
		j.Reason, u.takesFiling = "role-source-late", false
	}
	u.outcome = string(j.State)
	u.judged = &judgedInput{
		State: j.State, Reason: j.Reason, Record: j.Record, Covered: j.Covered, From: e.From, Day: e.Day, Deadline: j.Fallback.Deadline,
	}
	for _, r := range b.received {
		if r.Matter == j.Matter && r.Material == j.Material {
			u.judged.Received = append(u.judged.Received, receivedNote{r.How, r.By, r.At})
		}
	}
	return j
}

// unasked judges what a partial check left out: nobody knows how it stands, but the window may have received something
// instead. Without it a case could go on by asking only for what is met.
func (j *caseJudge) unasked(rest []*licenseUse) []cases.Judgement {
	out := make([]cases.Judgement, len(rest))
	for i, u := range rest {
		u.decision.Allow = true
		out[i] = j.judge(u)
	}
	return out
}

// material judges a material and says it as the caller sees it; only a met one releases fields. What cannot be released is
// not met: one faulty record leaves the other materials as they are.
func (a *attempt) material(ctx context.Context, b *caseJudge, u *licenseUse) (api.CheckedMaterial, cases.Judgement, error) {
	j := b.judge(u)
	var l api.License
	var d disclosure
	if j.State == cases.Met {
		var err error
		l, d, err = a.disclose(ctx, u, u.finding.Records[j.Record])
		code := u.unsignable(err)
		switch {
		case code != "":
			recorded := unsignedReasons(code, err)[0].Code
			if code == "source-faulty" {
				err = fmt.Errorf("%w: %w", license.ErrFaulty, err)
			}
			u.finding = license.Finding{State: license.IsUnavailable, Source: u.finding.Source, AsOf: u.finding.AsOf, Err: err}
			j = b.judge(u)
			j.Reason, u.judged.Reason = cases.Reason(code), cases.Reason(recorded)
			u.takesFiling = false // the source has answered
		case err != nil:
			return api.CheckedMaterial{}, j, err
		case l.Status != api.StatusValid: // the register has heard more of it than the kept copy
			u.finding.Records, u.fields, u.versions = slices.Clone(u.finding.Records), nil, nil
			u.finding.Records[j.Record].Status = license.Status(l.Status)
			l, j = api.License{}, b.judge(u)
		}
	}
	m := describeMaterial(u, j)
	if u.file.wanted && j.Covered == cases.HowUploaded && u.facts.Material.Filing != "" {
		if err := a.ownFiling(ctx, u, &m); err != nil {
			return m, j, err
		}
	}
	if u.takesFiling {
		var err error
		if j, err = a.filed(ctx, u, j, &m); err != nil {
			return m, j, err
		}
		if j.State == cases.OnFile {
			m.State, m.Reason, m.Fallback, m.Rules, m.Obligations = api.MaterialStateOnFile, api.Reason{}, api.Fallback{}, u.filing.decision.Rules, u.filing.decision.Obligations
			return m, j, nil
		}
	}
	if u.finding.State == "" {
		return m, j, nil
	}
	m.Source = u.finding.Source
	if u.finding.State != license.IsUnavailable {
		m.Freshness, m.AsOf = a.c.config.freshness(u.finding), api.At(u.finding.AsOf)
	} else if j.Reason == cases.SourceUnavailable {
		m.Expected = a.c.expected(a.c.config.Serves[u.ask.Type])
	}
	if j.Record < 0 {
		return m, j, nil
	}
	if j.State == cases.Met || j.Reason == cases.NotAsExpected {
		u.released(u.compares...)
	}
	record := u.finding.Records[j.Record]
	if !belongs(record, u.ask) { // of somebody else's license nothing is said
		return m, j, nil
	}
	m.Status = api.Status(record.StatusAt(license.DateOf(a.c.now)))
	if j.State != cases.Met {
		return m, j, a.observeStatus(ctx, record, u.finding.AsOf)
	}
	m.License, m.Identifier, m.Version, m.Fields, m.Flags, m.Obligations = l.License, l.Identifier, l.Version, l.Fields, l.Flags, u.decision.Obligations
	if u.form == "" {
		return m, j, nil
	}
	if code := a.whyNoCopy(u, d); code != "" {
		m.Undrawn = problemReason(code)
		return m, j, nil
	}
	var err error
	m.Document, err = a.annotated(ctx, u, d)
	if code := documentProblem(err); code != "" { // the license stands all the same
		m.Undrawn, err = problemReason(code), nil
	}
	return m, j, err
}

func describeMaterial(u *licenseUse, j cases.Judgement) api.CheckedMaterial {
	m := api.CheckedMaterial{
		Matter: j.Matter, Material: j.Material, Name: u.facts.Material.Name, NameEn: u.facts.Material.NameEN, Need: int(j.Need),
		LicenseType: u.facts.Material.LicenseType, State: api.MaterialState(j.State), Rules: notNil(u.decision.Rules),
	}
	if j.Covered != "" {
		m.State = api.MaterialStateCovered
	}
	if j.Reason != "" {
		m.Reason = u.reason(j.Reason)
	}
	if j.Fallback.Kind != "" {
		m.Fallback = api.Fallback{Kind: api.FallbackKind(j.Fallback.Kind), Deadline: string(j.Fallback.Deadline)}
	}
	return m
}

// reason is why a material is not met, in words: the policy's own where it refused.
func (u *licenseUse) reason(r cases.Reason) api.Reason {
	for _, own := range u.decision.Reasons {
		if own.Code == string(r) && !u.decision.Allow {
			return api.Reason{Code: own.Code, Rule: own.Rule, Zh: own.Zh, En: own.En}
		}
	}
	return reason(string(r))
}
