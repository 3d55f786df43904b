package cases

import (
	"errors"
	"slices"

	"oncegate/license"
)

// Asked is a question about one material of a case. Material or LicenseType may be empty, not both: a license type alone
// means the matter's material of that type whose role the holder has.
type Asked struct {
	Asker       string           // system id
	Matter      string           // for a chain the part; may be empty for an ordinary case
	Material    string           // code of the material
	LicenseType string           // catalogue id
	Holder      license.HolderID //
}

// Facts is what a case says about a question: everything about the purpose that a decision needs. It is pure data; the
// same case, book and question always give the same facts.
type Facts struct {
	Case        string
	Revision    int // of the case
	Registrar   string
	Matter      Matter      // as the book has it; zero if MatterUnknown or MatterNotInCase
	Material    Material    // as the matter lists it; zero if MaterialNotListed
	Party       Party       // who is asked about, in the role that the material names; zero without one
	Parties     []Party     // all of the case
	Attestation Attestation // as the asker may rely on it
	Confirm     *RoleCheck  // what must confirm the role first; nil for the applicant
	Reasons     []Reason    // why the case does not support the question; empty: it does
}

// Usable reports whether the case supports the question. The role may still have to be confirmed.
func (f Facts) Usable() bool { return len(f.Reasons) == 0 && f.Material.Code != "" }

// AttestationFor returns how far the asker may rely on the case. Acceptance by the platform counts only if it was signed
// by another system than the asker; a system's word for itself is Self. What is not in the list is "".
func (c Case) AttestationFor(asker string) Attestation {
	switch {
	case c.Attestation == Platform && c.Registrar != asker:
		return Platform
	case c.Attestation == Platform:
		return Self
	case c.Attestation == ByHolder, c.Attestation == Self:
		return c.Attestation
	}
	return ""
}

// AtLeast reports whether an attestation is as strong as a minimum. What is not in the list is never enough, and no
// minimum is ever met that is not in the list.
func (a Attestation) AtLeast(minimum Attestation) bool {
	order := []Attestation{Self, ByHolder, Platform}
	have, need := slices.Index(order, a), slices.Index(order, minimum)
	return have >= 0 && need >= 0 && have >= need
}

// Facts collects what a case says about a question. It finds as many reasons against it as can be told.
func (b *Book) Facts(c Case, q Asked) Facts {
	f := c.facts(q.Asker)
	matter, reason := b.matterFor(c, q.Matter)
	if reason != "" {
		f.Reasons = append(f.Reasons, reason)
	}
	roles := c.RolesOf(q.Holder)
	if len(roles) == 0 {
		f.Reasons = append(f.Reasons, NotAParty)
	}
	if reason != "" {
		return f
	}
	f.Matter = matter
	f.Material, reason = matter.pick(q, roles)
	if reason != "" {
		f.Reasons = append(f.Reasons, reason)
		return f
	}
	if !f.Material.FromSource() {
		f.Reasons = append(f.Reasons, NoSource)
	}
	role := f.Material.HolderRole()
	switch {
	case slices.Contains(roles, role):
		f.about(c, Party{Role: role, Holder: q.Holder.Normal()})
	case len(roles) > 0:
		f.Reasons = append(f.Reasons, RoleMismatch)
	}
	return f
}

// Plan returns the facts of every material of every matter of a case, one for each party in the material's role: what a
// case check has to ask. A material that no source has, or whose role nobody has, stands there too, with the reason.
func (b *Book) Plan(c Case, asker string) []Facts {
	var plan []Facts
	for _, matter := range b.MattersOf(c) {
		for _, material := range matter.Materials {
			f := c.facts(asker)
			f.Matter, f.Material = matter, material
			if !material.FromSource() {
				f.Reasons = append(f.Reasons, NoSource)
			}
			parties := c.InRole(material.HolderRole())
			if len(parties) == 0 {
				f.Reasons = append(f.Reasons, NoPartyInRole)
				plan = append(plan, f)
			}
			for _, party := range parties {
				one := f
				one.Reasons = slices.Clone(f.Reasons)
				one.about(c, party)
				plan = append(plan, one)
			}
		}
	}
	return plan
}

// facts holds what does not depend on the material.
func (c Case) facts(asker string) Facts {
	f := Facts{Case: c.No, Revision: c.Revision, Registrar: c.Registrar, Parties: c.Parties, Attestation: c.AttestationFor(asker)}
	if !c.IsOpen() {
		f.Reasons = append(f.Reasons, CaseClosed)
	}
	return f
}

// about fills in the party and what must confirm its role.
func (f *Facts) about(c Case, party Party) {
	f.Party = party
	role, ok := f.Matter.Role(party.Role)
	if !ok {
		return // the applicant
	}
	proof, _ := f.Matter.Material(role.ConfirmedBy.Material)
	applicants := c.InRole(Applicant)
	if len(applicants) == 0 {
		f.Reasons = append(f.Reasons, NoApplicant)
		return
	}
	f.Confirm = &RoleCheck{Matter: f.Matter.Code, Party: party, Material: proof, Field: role.ConfirmedBy.Field, Holder: applicants[0].Holder}
}

// matterFor finds the matter a question means.
func (b *Book) matterFor(c Case, asked string) (Matter, Reason) {
	matters := b.MattersOf(c)
	if len(matters) == 0 {
		return Matter{}, MatterUnknown
	}
	if whole, _ := b.Matter(c.Matter); asked == "" && !whole.IsChain() {
		return whole, ""
	}
	for _, m := range matters {
		if m.Code == asked {
			return m, ""
		}
	}
	return Matter{}, MatterNotInCase
}

// pick finds the material a question means. By type alone, one whose role the holder has comes before others.
func (m Matter) pick(q Asked, roles []string) (Material, Reason) {
	if q.Material != "" {
		material, ok := m.Material(q.Material)
		if !ok {
			return Material{}, MaterialNotListed
		}
		if q.LicenseType != "" && material.LicenseType != q.LicenseType {
			return Material{}, OtherLicenseType
		}
		return material, ""
	}
	var found Material
	for _, material := range m.Materials {
		if q.LicenseType == "" || material.LicenseType != q.LicenseType {
			continue
		}
		if slices.Contains(roles, material.HolderRole()) {
			return material, ""
		}
		if found.Code == "" {
			found = material
		}
	}
	if found.Code == "" {
		return Material{}, MaterialNotListed
	}
	return found, ""
}

// A RoleCheck says which license of whom must confirm a party's role: the question to ask first.
type RoleCheck struct {
	Matter   string           // code of the matter that knows the role
	Party    Party            // whose role is to be confirmed
	Material Material         // the material whose license proves it
	Field    string           // the field that must hold the party's code
	Holder   license.HolderID // whose license it is: the applicant
}

// ConfirmBy confirms the role by what a source answered: one record that confirms is enough. The error is nil if the role
// is confirmed, else a Reason; RoleUnavailable and RoleFaulty say nothing about the role.
func (r RoleCheck) ConfirmBy(t license.Type, found license.Finding, day license.Date) error {
	switch found.State {
	case license.IsNotFound:
		return RoleNotFound
	case license.IsFound:
	default:
		if errors.Is(found.Err, license.ErrCannotAsk) {
			return RoleNotFound // and never will be
		}
		if errors.Is(found.Err, license.ErrFaulty) {
			return RoleFaulty
		}
		return RoleUnavailable
	}
	var reason error = RoleNotFound
	for _, record := range found.Records {
		if reason = r.Confirm(t, record, day); reason == nil {
			return nil
		}
	}
	return reason
}

// Confirm confirms the role by one record: of the material's type, of the applicant, in force on the day, and one of the
// values of the field is the party's code, both in normal form. Among holders the type of the code counts too.
func (r RoleCheck) Confirm(t license.Type, record license.License, day license.Date) error {
	if record.Type != r.Material.LicenseType || t.ID != record.Type {
		return RoleOtherType
	}
	if !holds(record, r.Holder) {
		return RoleOtherHolder
	}
	if !record.InForce(day) {
		return RoleNotInForce
	}
	party := r.Party.Holder.Normal()
	if r.Field == license.FieldHolderCode {
		if !holds(record, party) {
			return RoleNotInRecord
		}
		return nil
	}
	values, err := valuesOf(t, record, r.Field)
	if err != nil {
		return RoleNotInRecord
	}
	for _, value := range values {
		if party.Code != "" && license.NormalCode(value) == party.Code {
			return nil
		}
	}
	return RoleNotInRecord
}

// holds reports whether somebody is a holder of the license.
func holds(record license.License, holder license.HolderID) bool {
	return slices.ContainsFunc(record.Holders, func(h license.Holder) bool {
		return h.Code != "" && h.HolderID.Normal() == holder.Normal()
	})
}

// valuesOf returns what the license says in a field, holder after holder where it says it of each.
func valuesOf(t license.Type, record license.License, field string) ([]string, error) {
	claims, err := license.Claims(t, record)
	if err != nil {
		return nil, err
	}
	var values []string
	for _, claim := range claims {
		if claim.Field == field {
			values = append(values, claim.Value)
		}
	}
	return values, nil
}
