package gateway

import (
	"context"
	"errors"
	"io/fs"
	"net/http"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// may asks the policy whether the system may do something that releases no license, about a matter.
func (g *Gateway) may(c *call, operation, matter string) (policy.Question, policy.Decision) {
	q := policy.Question{Operation: operation, System: c.system.ID, Department: c.system.Department, Matter: matter, Basis: policy.ByCase, Now: c.now}
	return q, c.config.Policy.Decide(q)
}

// permitted holds a row to its right where the right depends on nothing but the caller.
func (g *Gateway) permitted(c *call) error {
	if !c.row.byCaller {
		return nil
	}
	q, d := g.may(c, c.row.right, "")
	if d.Allow {
		return nil
	}
	return refuse("not-permitted").saying(sentences(d.Reasons)).because(ofPolicy(d.Reasons)).with(nil, []input{{Question: q, Decision: d}})
}

// registerCase makes a case known (POST /v1/cases). The number is the caller's; the same again is the same case.
func (g *Gateway) registerCase(ctx context.Context, c *call, q api.CaseRequest) (*result, error) {
	question, decision := g.may(c, c.row.right, q.Matter)
	inputs := []input{{Question: question, Decision: decision}}
	if !decision.Allow {
		return nil, refuse("not-permitted").saying(sentences(decision.Reasons)).because(ofPolicy(decision.Reasons)).with(nil, inputs)
	}
	stated := g.stated(c, q)
	if err := cases.CheckCase(c.config.Book, c.config.Catalogue, stated, c.now); err != nil {
		return nil, flawed("case-invalid", err)
	}
	if stated.Attestation == cases.ByHolder {
		if _, err := c.config.asserted(q.Assertion, assertion{For: "case", Reference: stated.No, Holder: applicant(stated), System: c.system.ID}, g.Audience, g.VerifySM2, c.now); err != nil {
			return nil, refuse("assertion-invalid").because(inside("assertion", err))
		}
	}
	standing, err := g.Cases.Case(ctx, stated.No)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &result{status: http.StatusCreated, answer: g.caseAnswer(c, stated), inputs: inputs, changes: []any{cases.Register{Case: stated}}}, nil
	case err != nil:
		return nil, err
	case standing.Registrar != c.system.ID:
		return nil, refuse("case-not-usable").because(ofCase("case-of-other-registrar"))
	case !cases.SameStatement(standing, stated):
		return nil, refuse("case-exists")
	}
	return &result{answer: g.caseAnswer(c, standing), inputs: inputs}, nil
}

// stated is the case as the caller states it, in normal form.
func (g *Gateway) stated(c *call, q api.CaseRequest) cases.Case {
	stated := cases.Case{
		No: q.No, Matter: q.Matter, Registrar: c.system.ID, Attestation: orDefault(cases.Attestation(q.Attestation), cases.Platform),
		Accepted: q.Accepted.Time, Registered: c.now,
	}
	for _, p := range q.Parties {
		stated.Parties = append(stated.Parties, cases.Party{Role: p.Role, Holder: license.HolderID{Type: p.Holder.Type, Code: p.Holder.Code}})
	}
	if m, ok := c.config.Book.Matter(q.Matter); ok {
		for _, code := range m.Chain {
			stated.Parts = append(stated.Parts, cases.Part{Matter: code})
		}
	}
	return stated.Normal()
}

func applicant(c cases.Case) license.HolderID {
	for _, p := range c.InRole(cases.Applicant) {
		return p.Holder
	}
	return license.HolderID{}
}

func (g *Gateway) caseAnswer(c *call, k cases.Case) api.CaseAnswer {
	a := api.CaseAnswer{
		Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Case: k.No, Matter: k.Matter,
		Attestation: api.Attestation(k.Attestation), Registered: api.At(k.Registered), Revision: k.Revision,
	}
	for _, p := range k.Parts {
		a.Parts = append(a.Parts, p.Matter)
	}
	return a
}

// ownCase loads the case in the path for somebody who may change it: its registrar, or a system permitted for its matter.
func (g *Gateway) ownCase(ctx context.Context, c *call) (cases.Case, error) {
	found, err := g.usableCase(ctx, c)
	if err != nil {
		return found, err
	}
	if found.Registrar != c.system.ID {
		if q, d := g.may(c, c.row.right, found.Matter); !d.Allow {
			return found, refuse("case-not-usable").because(ofPolicy(d.Reasons)).with(nil, []input{{Question: q, Decision: d}})
		}
	}
	if !found.IsOpen() {
		return found, refuse("case-closed")
	}
	return found, nil
}

// closeCase ends a case as a purpose (POST /v1/cases/{no}/close).
func (g *Gateway) closeCase(ctx context.Context, c *call, _ api.CloseRequest) (*result, error) {
	open, err := g.ownCase(ctx, c)
	if err != nil {
		return nil, err
	}
	answer := api.CloseAnswer{Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Case: open.No, Closed: api.At(c.now)}
	return &result{answer: answer, changes: []any{cases.Close{No: open.No, Revision: open.Revision, At: c.now}}}, nil
}

// receive notes what the window received instead of a reused license (POST /v1/cases/{no}/materials).
func (g *Gateway) receive(ctx context.Context, c *call, q api.MaterialRequest) (*result, error) {
	open, err := g.ownCase(ctx, c)
	if err != nil {
		return nil, err
	}
	got := cases.Received{
		Case: open.No, Matter: orDefault(q.Matter, open.Matter), Material: q.Material, How: string(q.How), Digest: q.Digest, By: c.system.ID, At: c.now,
	}
	if err := cases.CheckReceived(c.config.Book, open, got); err != nil {
		return nil, flawed("invalid-field", err)
	}
	answer := api.MaterialAnswer{
		Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Case: open.No, Matter: got.Matter, Material: got.Material, How: q.How,
		Deadline: string(g.promised(c, open, got)),
	}
	return &result{answer: answer, changes: []any{cases.Receive{Received: got}}}, nil
}

// promised is the day until which a promise must be made good; empty without one.
func (g *Gateway) promised(c *call, open cases.Case, got cases.Received) license.Date {
	m, _ := c.config.Book.Matter(got.Matter)
	material, _ := m.Material(got.Material)
	if got.How != cases.HowPromised || material.Fallback.Days == 0 {
		return ""
	}
	day, err := c.config.Calendar.Add(license.DateOf(open.Accepted), material.Fallback.Days)
	if err != nil {
		return ""
	}
	return day
}
