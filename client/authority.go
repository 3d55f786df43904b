package client

import (
	"errors"
	"slices"

	"oncegate/license"
)

// An Issue says which bodies issue the licenses of one type.
type Issue struct {
	Type     string   // catalogue id, as licenses name it
	TypeCode string   // type code (证照类型代码) in the identifiers of such licenses, as documents name it; 21 characters
	Issuers  []string // USCCs of the bodies
}

// A Delegation lets another body sign an issuer's licenses of one type.
type Delegation struct {
	Type     string // catalogue id
	TypeCode string // type code in the license's identifier; "" leaves it to the Issues of the same type
	Issuer   string // USCC in the license's identifier
	Delegate string // USCC of the signing certificate
}

func (t *Trust) addIssue(i Issue) error {
	switch {
	case i.Type == "":
		return errors.New("type is required: the catalogue id")
	case license.CheckTypeCode(i.TypeCode) != nil:
		return errors.New("type_code is required: the type code (证照类型代码) of 21 characters")
	case len(i.Issuers) == 0:
		return errors.New("issuers are required")
	case slices.ContainsFunc(i.Issuers, func(code string) bool { return license.CheckUSCC(code) != nil }):
		return errors.New("issuers are unified social credit codes (统一社会信用代码)")
	}
	t.issues = append(t.issues, i)
	return nil
}

func (t *Trust) addDelegation(d Delegation) error {
	switch {
	case d.Type == "":
		return errors.New("type is required")
	case d.TypeCode != "" && license.CheckTypeCode(d.TypeCode) != nil:
		return errors.New("type_code is a type code (证照类型代码) of 21 characters")
	case license.CheckUSCC(d.Issuer) != nil || license.CheckUSCC(d.Delegate) != nil:
		return errors.New("issuer and delegate are unified social credit codes (统一社会信用代码)")
	}
	t.delegations = append(t.delegations, d)
	return nil
}

// Names of the steps on who may issue and sign a license.
const (
	StepIssuerOfType    = "issuer-of-type"
	StepIssuerAuthority = "issuer-authority"
)

// issuerOfType says whether the trust names the issuing body for the type of a license. A document names its type by the code
// alone: typ is "".
func (s *steps) issuerOfType(t *Trust, typ string, id license.Identifier) {
	others, mixed := false, false
	for _, i := range t.issues {
		switch sameType, sameCode := typ == "" || i.Type == typ, i.TypeCode == id.TypeCode(); {
		case sameType && sameCode && slices.Contains(i.Issuers, id.Issuer()):
			s.ok(StepIssuerOfType, "the trust names the issuing body for this type")
			return
		case sameType && sameCode:
			others = true
		case sameCode || typ != "" && sameType:
			mixed = true
		}
	}
	switch {
	case others:
		s.fail(StepIssuerOfType, "the trust names other bodies for this type than the issuing body of the license")
	case mixed:
		s.fail(StepIssuerOfType, "the trust binds type and type code otherwise than the license")
	default:
		s.unknown(StepIssuerOfType, "the trust does not say who issues this type")
	}
}

// A delegated is what the trust says of a body that signs for an issuer.
type delegated int

const (
	notDelegated    delegated = iota
	unboundDelegate           // for a type whose code the trust does not say
	boundDelegate
)

// delegate says whether a body may sign an issuer's licenses of a type: both the catalogue id, which documents do not name
// (typ is ""), and the type code must be those of the delegation. One of them may come from the issues of the same type,
// because older trust files name one only.
func (t *Trust) delegate(typ string, id license.Identifier, body string) (best delegated) {
	for _, d := range t.delegations {
		if d.Issuer != id.Issuer() || d.Delegate != body {
			continue
		}
		found := notDelegated
		switch code := id.TypeCode(); {
		case d.TypeCode != "":
			if d.TypeCode == code && (typ == "" || typ == d.Type) {
				found = boundDelegate
			}
		case d.Type == code: // names the code instead of the catalogue id
			found = unboundDelegate
			if typ == "" || t.binds(typ, code) {
				found = boundDelegate
			}
		case (typ == "" || typ == d.Type) && t.binds(d.Type, code):
			found = boundDelegate
		case (typ == "" || typ == d.Type) && !t.bindsAny(d.Type) && license.CheckTypeCode(d.Type) != nil:
			found = unboundDelegate
		}
		best = max(best, found)
	}
	return best
}

// binds tells whether the issues say that a type has a type code.
func (t *Trust) binds(typ, code string) bool {
	return slices.ContainsFunc(t.issues, func(i Issue) bool { return i.Type == typ && i.TypeCode == code })
}

// bindsAny tells whether the issues say which type code a type has.
func (t *Trust) bindsAny(typ string) bool {
	return slices.ContainsFunc(t.issues, func(i Issue) bool { return i.Type == typ })
}

// issuerAuthority says whether a body that signed, or one of several, is the issuing body or its delegate for the type.
func (s *steps) issuerAuthority(t *Trust, typ string, id license.Identifier, bodies ...string) {
	best := notDelegated
	for _, body := range bodies {
		if body == id.Issuer() {
			s.ok(StepIssuerAuthority, "signed by the issuing body itself")
			return
		}
		best = max(best, t.delegate(typ, id, body))
	}
	switch best {
	case boundDelegate:
		s.ok(StepIssuerAuthority, "signed by a body that the trust names as the issuer's delegate for this type")
	case unboundDelegate:
		s.unknown(StepIssuerAuthority, "the trust names a delegate, but binds the delegation to no type code: add type_code to it, or the type to issues")
	default:
		s.fail(StepIssuerAuthority, "nobody who signed is the issuing body or a delegate that the trust names for this type")
	}
}
