package cases

import (
	"errors"
	"slices"

	"oncegate/license"
)

// A RoleCheck says which license of whom must confirm a party's role: the question to ask first.
type RoleCheck struct {
	Matter   string           // code of the matter that knows the role
	Party    Party            // whose role is to be confirmed
	Material Material         // the material whose license proves it
	Field    string           // the field that must hold the party's code
	Holder   license.HolderID // whose license it is: the applicant
}

// ConfirmBy confirms the role by what a source answered: one record that confirms is enough. The error is nil if the role
// is confirmed, else a Reason; RoleUnavailable says nothing about the role.
func (r RoleCheck) ConfirmBy(t license.Type, found license.Finding, day license.Date) error {
	switch found.State {
	case license.IsNotFound:
		return RoleNotFound
	case license.IsFound:
	default:
		if errors.Is(found.Err, license.ErrCannotAsk) {
			return RoleNotFound // and never will be
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
