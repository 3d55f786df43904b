package gateway

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net/http"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/license"
)

// registerCase makes a case known (POST /v1/cases). The number is the caller's; the same again is the same case.
func (g *Gateway) registerCase(ctx context.Context, c *call, q api.CaseRequest) (*result, error) {
	stated := c.caseFromRequest(q)
	for _, p := range stated.Parties {
		c.nameParties(p.Holder)
	}
	if !c.config.matters[q.Matter] {
		stated.Matter = "" // it stands in no record
		return nil, refuse("unknown-matter").pointingAt("/matter", "no such matter in the book").withUses(unregisteredUses(partyUses(stated, nil))...)
	}
	may := c.may(c.row.right, q.Matter)
	uses := partyUses(stated, may.Rules)
	if !may.Allow {
		return nil, refuseDenied(may).withUses(unregisteredUses(uses)...)
	}
	if err := checkCase(c, stated); err != nil {
		return nil, err
	}
	changes := []any{cases.Register{Case: stated, R: g.blinding()}}
	if stated.Attestation == cases.ByHolder {
		want := assertionBinding{For: "case", Reference: stated.No, Holder: applicant(stated), System: c.system.ID}
		said, err := g.verifyAssertion(c, q.Assertion, want)
		if err != nil {
			return nil, refuse("assertion-invalid").withUses(unregisteredUses(uses)...).withReasons(evidenceReason("assertion", err))
		}
		changes = append(changes, g.spendAssertion(c, q.Assertion, said))
	}
	standing, err := g.Cases.Case(ctx, stated.No)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if q.Assertion != "" {
			if err := g.checkUnspent(ctx, q.Assertion, unregisteredUses(uses)...); err != nil {
				return nil, err
			}
		}
		return &result{status: http.StatusCreated, answer: g.caseAnswer(c, stated), uses: uses, changes: changes}, nil
	case err != nil:
		return nil, err
	case standing.Registrar != c.system.ID:
		return nil, refuse("case-not-usable").withUses(callerOnlyUse(api.Purpose{Case: q.No}, "", license.HolderID{})).withReasons(ofCase("case-of-other-registrar"))
	case !cases.SameStatement(standing, stated):
		return nil, refuse("case-exists").withUses(deniedUses(uses)...)
	}
	return &result{answer: g.caseAnswer(c, standing), uses: uses}, nil
}

// checkCase finds what is wrong with a case as it is stated.
func checkCase(c *call, stated cases.Case) error {
	if namesPerson(stated.No, license.DateOf(c.now)) { // it would stand in records that nobody can erase
		return refuse("case-invalid").pointingAt("/no", "holds the number of a person")
	}
	if err := cases.CheckCase(c.config.Book, c.config.Catalogue, stated, c.now); err != nil {
		return refuseFlaws("case-invalid", err)
	}
	return nil
}

// partyUses are the uses of a registration, one for each party: whoever looks for a person finds what was registered
// about them.
func partyUses(k cases.Case, rules []string) []audit.DraftUse {
	uses := make([]audit.DraftUse, len(k.Parties))
	for i, p := range k.Parties {
		uses[i] = caseUse(k, rules)
		uses[i].Person = p.Holder
	}
	return uses
}

// unregisteredUses are the uses of a registration that is refused: the number is no case's, and stands as a commitment.
func unregisteredUses(uses []audit.DraftUse) []audit.DraftUse {
	uses = deniedUses(uses)
	for i := range uses {
		uses[i].Case, uses[i].CommittedCase = "", uses[i].Case
	}
	return uses
}

// caseFromRequest is the case as the caller states it, in normal form.
func (c *call) caseFromRequest(q api.CaseRequest) cases.Case {
	stated := cases.Case{
		No: q.No, Matter: q.Matter, Registrar: c.system.ID, Attestation: cmp.Or(cases.Attestation(q.Attestation), cases.Platform),
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
		Case: k.No, Matter: k.Matter,
		Attestation: api.Attestation(k.Attestation), Registered: api.At(k.Registered), Revision: k.Revision,
	}
	for _, p := range k.Parts {
		a.Parts = append(a.Parts, p.Matter)
	}
	return a
}

// ownCase loads the case in the path for somebody who may change it: its registrar, or a system permitted for its matter.
// Whoever may know the case is told why not; others cannot tell it from none.
func (g *Gateway) ownCase(ctx context.Context, c *call) (cases.Case, audit.DraftUse, error) {
	found, err := g.usableCase(ctx, c)
	use := caseUse(found, nil)
	if err != nil {
		return found, use, err
	}
	if found.Registrar != c.system.ID {
		may := c.may(c.row.right, found.Matter)
		use.Rules = notNil(may.Rules)
		if !may.Allow {
			use.Decision = outcomeDenied
			return found, use, refuseDenied(may).withUses(use)
		}
	}
	if !found.IsOpen() {
		return found, use, caseClosed(found)
	}
	return found, use, nil
}

// closeCase ends a case as a purpose (POST /v1/cases/{no}/close).
func (g *Gateway) closeCase(ctx context.Context, c *call, _ api.CloseRequest) (*result, error) {
	open, use, err := g.ownCase(ctx, c)
	if err != nil {
		return nil, err
	}
	answer := api.CloseAnswer{Case: open.No, Closed: api.At(c.now)}
	change := cases.Close{No: open.No, Revision: open.Revision, At: c.now}
	return &result{answer: answer, uses: []audit.DraftUse{use}, changes: []any{change}}, nil
}

// receive notes what the window received instead of a reused license (POST /v1/cases/{no}/materials).
func (g *Gateway) receive(ctx context.Context, c *call, q api.MaterialRequest) (*result, error) {
	open, use, err := g.ownCase(ctx, c)
	if err != nil {
		return nil, err
	}
	got := cases.Received{
		Case: open.No, Matter: cmp.Or(q.Matter, open.Matter), Material: q.Material, How: string(q.How), Digest: q.Digest, By: c.system.ID, At: c.now,
	}
	if err := cases.CheckReceived(c.config.Book, open, got); err != nil {
		return nil, refuseFlaws("invalid-field", err)
	}
	use.Matter, use.Material = got.Matter, got.Material
	answer := api.MaterialAnswer{
		Case: open.No, Matter: got.Matter, Material: got.Material, How: q.How,
		Deadline: string(c.promised(got)),
	}
	return &result{answer: answer, uses: []audit.DraftUse{use}, changes: []any{cases.Receive{Received: got}}}, nil
}

// promised is the day until which a promise must be made good, as the next check counts it: from the day of the promise;
// empty without one.
func (c *call) promised(got cases.Received) license.Date {
	m, _ := c.config.Book.Matter(got.Matter)
	material, _ := m.Material(got.Material)
	if got.How != cases.HowPromised || material.Fallback.Days == 0 {
		return ""
	}
	day, err := c.config.Calendar.Add(license.DateOf(got.At), material.Fallback.Days)
	if err != nil {
		return ""
	}
	return day
}
