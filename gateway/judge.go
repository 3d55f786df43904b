package gateway

import (
	"context"
	"errors"
	"slices"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
)

// A bench is what all materials of one check are judged on.
type bench struct {
	c        *call
	checked  cases.Case
	received []cases.Received
}

// judge says how one material stands, and keeps for the evidence what that rests on.
func (b *bench) judge(n *need) cases.Judgement {
	t, _ := b.c.config.Catalogue.Type(n.facts.Material.LicenseType)
	e := cases.Evidence{
		Facts: n.facts, Type: t, Allowed: n.decision.Allow, Confirmed: n.role == nil, Role: n.role, Finding: n.finding, Received: b.received,
		From: license.DateOf(b.checked.Accepted), Day: license.DateOf(b.c.now),
	}
	if errors.Is(n.role, errRoleNotGranted) {
		e.Allowed, e.Role, e.Reason = false, nil, errRoleNotGranted
	}
	if !n.decision.Allow && len(n.decision.Reasons) > 0 {
		e.Reason = cases.Reason(n.decision.Reasons[0].Code)
	}
	j := cases.Judge(e, b.c.config.Calendar)
	if j.Reason == cases.SourceUnavailable && errors.Is(n.finding.Err, errNoSlot) {
		j.Reason = "source-busy"
	}
	n.outcome = string(j.State)
	n.judged = &judgedInput{
		State: j.State, Reason: j.Reason, Record: j.Record, Covered: j.Covered, From: e.From, Day: e.Day, Deadline: j.Fallback.Deadline,
	}
	for _, r := range b.received {
		if r.Matter == j.Matter && r.Material == j.Material {
			n.judged.Received = append(n.judged.Received, receivedNote{r.How, r.By, r.At})
		}
	}
	return j
}

// unasked judges what a partial check left out: nobody knows how it stands, but the window may have received something
// instead. Without it a case could go on by asking only for what is met.
func (b *bench) unasked(rest []*need) []cases.Judgement {
	out := make([]cases.Judgement, len(rest))
	for i, n := range rest {
		n.decision.Allow = true
		out[i] = b.judge(n)
	}
	return out
}

// material judges a material and says it as the caller sees it; only a met one releases fields. What cannot be released is
// not met: one faulty record leaves the other materials as they are.
func (w *work) material(ctx context.Context, b *bench, n *need) (api.CheckedMaterial, cases.Judgement, error) {
	j := b.judge(n)
	var l api.License
	var d disclosure
	if j.State == cases.Met {
		var err error
		l, d, err = w.disclose(ctx, n, n.finding.Records[j.Record])
		code := n.unsignable(err)
		switch {
		case code != "":
			n.finding = license.Finding{State: license.IsUnavailable, Source: n.finding.Source, AsOf: n.finding.AsOf, Err: err}
			j = b.judge(n)
			j.Reason, n.judged.Reason = cases.Reason(code), cases.Reason(code)
		case err != nil:
			return api.CheckedMaterial{}, j, err
		case l.Status != api.StatusValid: // the register has heard more of it than the kept copy
			n.finding.Records, n.fields, n.versions = slices.Clone(n.finding.Records), nil, nil
			n.finding.Records[j.Record].Status = license.Status(l.Status)
			l, j = api.License{}, b.judge(n)
		}
	}
	m := describeMaterial(n, j)
	if n.finding.State == "" {
		return m, j, nil
	}
	m.Source = n.finding.Source
	if n.finding.State != license.IsUnavailable {
		m.Freshness, m.AsOf = w.c.config.freshness(n.finding), api.At(n.finding.AsOf)
	}
	if j.Record < 0 {
		return m, j, nil
	}
	if j.State == cases.Met || j.Reason == cases.NotAsExpected {
		n.released(n.compares...)
	}
	record := n.finding.Records[j.Record]
	if !belongs(record, n.ask) { // of somebody else's license nothing is said
		return m, j, nil
	}
	m.Status = api.Status(record.StatusAt(license.DateOf(w.c.now)))
	if j.State != cases.Met {
		return m, j, w.observe(ctx, record, n.finding.AsOf)
	}
	m.License, m.Identifier, m.Version, m.Fields, m.Flags, m.Obligations = l.License, l.Identifier, l.Version, l.Fields, l.Flags, n.decision.Obligations
	if n.form == "" {
		return m, j, nil
	}
	if code := w.notToCopy(n, d); code != "" {
		m.Undrawn = problemReason(code)
		return m, j, nil
	}
	var err error
	m.Document, err = w.annotated(ctx, n, d)
	if code := undrawable(err); code != "" { // the license stands all the same
		m.Undrawn, err = problemReason(code), nil
	}
	return m, j, err
}

func describeMaterial(n *need, j cases.Judgement) api.CheckedMaterial {
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
	return m
}

// reason is why a material is not met, in words: the policy's own where it refused.
func (n *need) reason(r cases.Reason) api.Reason {
	for _, own := range n.decision.Reasons {
		if own.Code == string(r) && !n.decision.Allow {
			return api.Reason{Code: own.Code, Rule: own.Rule, Zh: own.Zh, En: own.En}
		}
	}
	return reason(string(r))
}
