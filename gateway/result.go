package gateway

import (
	"context"
	"fmt"
	"slices"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// outcomeIssued is the outcome of a use with which a license was issued.
const outcomeIssued = "issued"

// issueResult issues the license with which a case ends (结果证照, POST /v1/cases/{no}/result): it is signed, recorded, and kept sealed, in one
// record, and from then on found by the next case through the source that has the type.
func (g *Gateway) issueResult(ctx context.Context, c *call, q api.ResultRequest) (*result, error) {
	k, err := g.usableCase(ctx, c)
	if err != nil {
		return nil, err
	}
	if !k.IsOpen() {
		return nil, caseClosed(k)
	}
	l, err := licenseFromRequest(q)
	if err != nil {
		return nil, err
	}
	uses := make([]audit.Use, len(l.Holders))
	for i, h := range l.Holders {
		c.nameParties(h.HolderID)
		uses[i] = caseUse(k, nil)
		uses[i].Decision, uses[i].Person = outcomeDenied, h.HolderID
	}
	if _, ok := c.config.Catalogue.Type(l.Type); !ok {
		return nil, refuse("unknown-license-type").pointingAt("/license_type", "unknown license type; catalog.types lists them").withUses(uses...)
	}
	matter, d, denied := c.mayIssue(k, l.Type)
	for i := range uses {
		uses[i].Matter, uses[i].LicenseType, uses[i].Rules = matter, l.Type, notNil(d.Rules)
	}
	if denied != nil {
		return nil, denied.withUses(uses...)
	}
	if err := c.checkResult(k, l); err != nil {
		return nil, err.withUses(uses...)
	}
	l, err = license.Validate(c.config.Catalogue, l, license.Strict)
	if err != nil {
		return nil, refuse("result-invalid").withUses(uses...).withReasons(evidenceReason("source-faulty", err))
	}
	a := g.newAttempt(c)
	holder := l.Holders[0].HolderID.Normal()
	signed, err := a.current(ctx, &licenseUse{ask: license.Question{Type: l.Type, Holder: holder}, finding: license.Finding{State: license.IsFound, AsOf: c.now}}, l)
	if code := unsignable(err); code != "" {
		return nil, refuse("result-invalid").withUses(uses...).withReasons(evidenceReason(code, err))
	}
	if err != nil {
		return nil, err
	}
	if signed.Version.Number > 1 || !signed.New {
		if err := g.ownNumber(ctx, l, uses); err != nil {
			return nil, err
		}
	}
	changes := append([]any{cases.StillOpen{No: k.No, Revision: k.Revision}}, a.changes...)
	for i, h := range l.Holders {
		uses[i].Decision, uses[i].Source = outcomeIssued, c.config.Serves[l.Type]
		one := cases.Result{Case: k.No, Holder: h.HolderID.Normal(), License: l, By: c.system.ID, At: c.now}
		changes = append(changes, cases.Issue{Result: one, R: g.blinding()})
	}
	answer := api.ResultAnswer{
		Case: k.No, LicenseType: l.Type, Identifier: signed.Version.Identifier, Version: signed.Version.Number, Rules: notNil(d.Rules),
	}
	return &result{answer: answer, uses: uses, changes: changes}, nil
}

// mayIssue authorises the caller to issue licenses of a type with which the case ends: a permission names the type and a matter that ends so
// (of a chain, the part: a permission for one part is none for another), and the caller is of the department whose own source keeps them
// here. It returns the matter that was decided on.
func (c *call) mayIssue(k cases.Case, licenseType string) (matter string, d policy.Decision, denied *refusal) {
	owner := c.config.provider(licenseType)
	ending := c.config.Book.EndingWith(k, licenseType)
	if len(ending) == 0 { // checkResult refuses it, to those that a permission entitles to know
		ending = []string{k.Matter}
	}
	for _, matter = range ending {
		d, _ = c.decide(policy.Question{
			Operation: c.row.right, System: c.system.ID, Department: c.system.Department, LicenseType: licenseType, Provider: owner, Matter: matter,
			Attestation: string(k.AttestationFor(c.system.ID)), Basis: policy.ByCase, Now: c.now,
		})
		if d.Allow {
			break
		}
	}
	switch {
	case !d.Allow:
		return matter, d, asRefusal(refuseDenied(d))
	case owner == "" || owner != c.system.Department:
		why := reason("not-owner")
		return matter, d, refuse("not-permitted").withDetail(why.En).withReasons([]api.Reason{why})
	}
	return matter, d, nil
}

// checkResult refuses a license with which the case does not end: of another type, of a type that a legacy system has, or of others than its
// applicant and parties.
func (c *call) checkResult(k cases.Case, l license.License) *refusal {
	if len(c.config.Book.EndingWith(k, l.Type)) == 0 || !c.config.Results[c.config.Serves[l.Type]] {
		return refuse("not-a-result").withReasons(ofCase(cases.NotAResult))
	}
	if !k.MayHold(l.Holders) {
		return refuse("result-holder").withReasons(ofCase(cases.NotForParty))
	}
	return nil
}

// ownNumber refuses to issue a license under the number of one that others have, or have too: what they hold would change.
func (g *Gateway) ownNumber(ctx context.Context, l license.License, uses []audit.Use) error {
	for _, h := range l.Holders {
		all, err := g.Cases.Results(ctx, l.Type, h.HolderID.Normal())
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(was license.License) bool {
			return was.Number == l.Number && was.Issuer.Code == l.Issuer.Code && len(was.Holders) == len(l.Holders)
		}) {
			return refuse("result-number-taken").withUses(uses...).withReasons(ofCase(cases.NumberTaken))
		}
	}
	return nil
}

func licenseFromRequest(q api.ResultRequest) (license.License, error) {
	l := license.License{
		Type: q.LicenseType, Number: q.Number, Issuer: license.Issuer{Name: q.Issuer.Name, Code: q.Issuer.Code, Level: string(q.Issuer.Level)},
		Issued: license.Date(q.Issued), ValidFrom: license.Date(q.ValidFrom), ValidTo: license.Date(q.ValidTo), Status: license.Valid, Fields: make(map[string]string, len(q.Fields)),
	}
	for _, h := range q.Holders {
		l.Holders = append(l.Holders, license.Holder{HolderID: license.HolderID{Type: h.Type, Code: h.Code}.Normal(), Name: h.Name})
	}
	for i, f := range q.Fields {
		if _, twice := l.Fields[f.Name]; twice {
			return l, refuse("invalid-field").pointingAt(fmt.Sprintf("/fields/%d/name", i), "the field stands twice")
		}
		l.Fields[f.Name] = f.Value
	}
	return l, nil
}
