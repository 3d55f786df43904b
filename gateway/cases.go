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

// registerCase registers a case (POST /v1/cases). It is idempotent: the caller gives the number, and the same case again is answered
// alike.
func (g *Gateway) registerCase(ctx context.Context, c *call, q api.CaseRequest) (*result, error) {
	requested := c.caseFromRequest(q)
	for _, p := range requested.Parties {
		c.nameParties(p.Holder)
	}
	if !c.config.matters[q.Matter] {
		requested.Matter = "" // an unknown code stands in no record
		return nil, refuse("unknown-matter").pointingAt("/matter", "unknown matter; catalog.matters lists them").withUses(unregisteredUses(partyUses(requested, nil))...)
	}
	may := c.may(c.row.right, q.Matter)
	uses := partyUses(requested, may.Rules)
	if !may.Allow {
		return nil, refuseDenied(may).withUses(unregisteredUses(uses)...)
	}
	if err := checkCase(c, requested); err != nil {
		return nil, err
	}
	changes := []any{cases.Register{Case: requested, R: g.blinding()}}
	if requested.Attestation == cases.ByHolder {
		want := assertionBinding{For: "case", Reference: requested.No, Holder: applicant(requested), System: c.system.ID}
		asserted, err := g.verifyAssertion(c, q.Assertion, want)
		if err != nil {
			return nil, refuse("assertion-invalid").withUses(unregisteredUses(uses)...).withReasons(evidenceReason("assertion", err))
		}
		changes = append(changes, g.spendAssertion(c, q.Assertion, asserted))
	}
	existing, err := g.Cases.Case(ctx, requested.No)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if q.Assertion != "" {
			if err := g.checkUnspent(ctx, q.Assertion, unregisteredUses(uses)...); err != nil {
				return nil, err
			}
		}
		return &result{status: http.StatusCreated, answer: g.caseAnswer(c, requested), uses: uses, changes: changes}, nil
	case err != nil:
		return nil, err
	case existing.Registrar != c.system.ID:
		return nil, refuse("case-not-usable").withUses(callerOnlyUse(api.Purpose{Case: q.No}, "", license.HolderID{})).withReasons(ofCase("case-of-other-registrar"))
	case !cases.SameStatement(existing, requested):
		return nil, refuse("case-exists").withUses(deniedUses(uses)...)
	}
	return &result{answer: g.caseAnswer(c, existing), uses: uses}, nil
}

// checkCase validates a case before it is registered.
func checkCase(c *call, requested cases.Case) error {
	if namesPerson(requested.No, license.DateOf(c.now)) { // it would stand in records that nobody can erase
		return refuse("case-invalid").pointingAt("/no", "contains a resident id number; choose another number")
	}
	if err := cases.CheckCase(c.config.Book, c.config.Catalogue, requested, c.now); err != nil {
		return refuseFlaws("case-invalid", err)
	}
	return nil
}

// partyUses are the record entries of a registration, one for each party: a search for a person finds what was registered about
// them.
func partyUses(k cases.Case, rules []string) []audit.Use {
	uses := make([]audit.Use, len(k.Parties))
	for i, p := range k.Parties {
		uses[i] = caseUse(k, rules)
		uses[i].Person = p.Holder
	}
	return uses
}

// unregisteredUses are the record entries of a refused registration: the number belongs to no case, and is a commitment.
func unregisteredUses(uses []audit.Use) []audit.Use {
	uses = deniedUses(uses)
	for i := range uses {
		uses[i].Case, uses[i].CommittedCase = "", uses[i].Case
	}
	return uses
}

// caseFromRequest is the requested case in normal form.
func (c *call) caseFromRequest(q api.CaseRequest) cases.Case {
	requested := cases.Case{
		No: q.No, Matter: q.Matter, Registrar: c.system.ID, Attestation: cmp.Or(cases.Attestation(q.Attestation), cases.Platform),
		Accepted: q.Accepted.Time, Registered: c.now,
	}
	for _, p := range q.Parties {
		requested.Parties = append(requested.Parties, cases.Party{Role: p.Role, Holder: license.HolderID{Type: p.Holder.Type, Code: p.Holder.Code}})
	}
	if m, ok := c.config.Book.Matter(q.Matter); ok {
		for _, code := range m.Chain {
			requested.Parts = append(requested.Parts, cases.Part{Matter: code})
		}
	}
	return requested.Normal()
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

// ownCase loads the case in the path for a caller that may change it: its registrar, or a system permitted for its matter. A caller
// that may know the case is told why not; for others it is as if there were none.
func (g *Gateway) ownCase(ctx context.Context, c *call) (cases.Case, audit.Use, error) {
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

// closeCase closes a case: it is a purpose no more (POST /v1/cases/{no}/close).
func (g *Gateway) closeCase(ctx context.Context, c *call, _ api.CloseRequest) (*result, error) {
	open, use, err := g.ownCase(ctx, c)
	if err != nil {
		return nil, err
	}
	answer := api.CloseAnswer{Case: open.No, Closed: api.At(c.now)}
	change := cases.Close{No: open.No, Revision: open.Revision, At: c.now}
	return &result{answer: answer, uses: []audit.Use{use}, changes: []any{change}}, nil
}

// receive registers what the window received instead of a reused license (POST /v1/cases/{no}/materials).
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
	if err := g.comes(ctx, c, open, license.HolderID{Type: q.BroughtBy.Type, Code: q.BroughtBy.Code}.Normal(), &use); err != nil {
		return nil, err
	}
	answer := api.MaterialAnswer{
		Case: open.No, Matter: got.Matter, Material: got.Material, How: q.How,
		Deadline: string(c.promised(got)),
	}
	return &result{answer: answer, uses: []audit.Use{use}, changes: []any{cases.Receive{Received: got}}}, nil
}

// promised is the deadline of a promise, as the next check computes it, from the day of the promise; empty without one.
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

// handOver records that the file of a case was handed over to the archive (POST /v1/cases/{no}/handover). Closed cases are handed over, too: it
// releases nothing.
func (g *Gateway) handOver(ctx context.Context, c *call, q api.HandOverRequest) (*result, error) {
	k, err := g.usableCase(ctx, c)
	if err != nil {
		return nil, err
	}
	may := c.may(c.row.right, k.Matter)
	use := caseUse(k, may.Rules)
	if !may.Allow {
		use.Decision = outcomeDenied
		return nil, refuseDenied(may).withUses(use)
	}
	over, err := g.Cases.HandOvers(ctx, k.No)
	if err != nil {
		return nil, err
	}
	answer := api.HandOverAnswer{Case: k.No, Digest: q.Digest, HandedOver: api.At(c.now), Rules: notNil(may.Rules)}
	changes := []any{cases.AddHandOver{HandOver: cases.HandOver{Case: k.No, Digest: q.Digest, By: c.system.ID, At: c.now}}}
	for _, was := range over {
		if was.Digest == q.Digest && was.By == c.system.ID {
			answer.HandedOver, changes = api.At(was.At), nil
		}
	}
	return &result{answer: answer, uses: []audit.Use{use}, changes: changes}, nil
}
