package license

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"oncegate/fault"
)

// A Mode says what happens to a value that breaks a rule. The zero Mode is Strict.
type Mode int

// The modes of Validate.
const (
	Strict Mode = iota // refuse: we are about to issue
	Import             // accept and flag, with the reason: the source's stock is what it is
)

var amount = regexp.MustCompile(`^-?[0-9]{1,30}(\.[0-9]{1,10})?$`)

// Validate checks a license against the catalogue and returns it with holder codes in normal form and, in mode Import,
// with a Flag for each value that was accepted although it breaks a rule. No value is ever repaired.
//
// Some faults are refused in both modes, because nobody could say whose license it is or what it says: an unknown type,
// field or status, no number, no holder, an impossible date, values that cannot be told apart by holder, text that is not
// UTF-8. In mode Strict every fault is in the error at once; each is a *FieldError.
func Validate(cat *Catalogue, l License, mode Mode) (License, error) {
	t, ok := cat.Type(l.Type)
	if !ok {
		return License{}, &FieldError{"type", UnknownType}
	}
	v := validation{mode: mode}
	l.Holders = slices.Clone(l.Holders)
	for i := range l.Holders {
		l.Holders[i].HolderID = l.Holders[i].HolderID.Normal()
	}
	v.dates(l)
	v.issuer(t, l.Issuer)
	v.status(l.Status)
	if err := claimable(t, l); err != nil {
		v.refuse(err)
		return License{}, errors.Join(v.errs...)
	}
	v.common(t, l)
	v.holders(cat, l)
	v.fields(t, l)
	if len(v.errs) > 0 {
		return License{}, errors.Join(v.errs...)
	}
	l.Fields = maps.Clone(l.Fields)
	l.Flags = v.flags
	return l, nil
}

// validation collects what is wrong.
type validation struct {
	mode  Mode
	errs  []error
	flags []Flag
}

func (v *validation) refuse(err error) { v.errs = append(v.errs, err) }

// doubt refuses when strict and flags on import.
func (v *validation) doubt(field string, err error) {
	if err == nil {
		return
	}
	if v.mode == Strict {
		v.refuse(&FieldError{field, ReasonOf(err)})
		return
	}
	v.note(field, err)
}

// note flags in both modes: rules that real and valid codes are known to break.
func (v *validation) note(field string, err error) {
	if err != nil {
		v.flags = append(v.flags, Flag{Field: field, Reason: string(ReasonOf(err))})
	}
}

func (v *validation) dates(l License) {
	sound := true
	for _, d := range [...]struct {
		field string
		date  Date
	}{{FieldIssued, l.Issued}, {FieldValidFrom, l.ValidFrom}, {FieldValidTo, l.ValidTo}} {
		if d.date.Check() != nil {
			v.refuse(&FieldError{d.field, WrongDate})
			sound = false
		}
	}
	if sound && l.ValidTo.Before(l.ValidFrom) {
		v.doubt(FieldValidTo, WrongValidity)
	}
	if l.Issued == "" {
		v.doubt(FieldIssued, Missing)
	}
}

func (v *validation) issuer(t Type, issuer Issuer) {
	if issuer.Name == "" {
		v.doubt(FieldIssuerName, Missing)
	}
	if issuer.Code == "" {
		v.doubt(FieldIssuerCode, Missing)
		return
	}
	v.uscc(FieldIssuerCode, issuer.Code)
	if len(t.Issuers) > 0 && !slices.Contains(t.Issuers, issuer.Code) {
		v.doubt(FieldIssuerCode, WrongIssuer)
	}
	if !oneOf(issuer.Level, "", "1", "2", "3", "4", "5") {
		v.doubt(FieldIssuerLevel, WrongForm)
	}
}

func (v *validation) uscc(path, code string) {
	err := CheckUSCC(code)
	v.doubt(path, err)
	if err == nil {
		v.note(path, CheckInnerCode(code))
	}
}

func (v *validation) status(s Status) {
	if !slices.Contains(Statuses(), s) {
		v.refuse(&FieldError{FieldStatus, WrongStatus})
	}
}

func (v *validation) common(t Type, l License) {
	if l.Number == "" {
		v.refuse(&FieldError{FieldNumber, Missing})
	}
	for _, text := range [...]struct {
		field, value string
	}{{FieldNumber, l.Number}, {FieldIssuerName, l.Issuer.Name}} {
		m, _ := FindMetadatum(text.field)
		v.text(text.field, text.value, m.MaxLength)
	}
}

func (v *validation) holders(cat *Catalogue, l License) {
	for i, holder := range l.Holders {
		code := claimPath(FieldHolderCode, i)
		name := claimPath(FieldHolderName, i)
		if holder.Code == "" {
			v.refuse(&FieldError{code, Missing})
			continue
		}
		err := cat.CheckHolder(holder.HolderID)
		v.doubt(code, err)
		if kind, _ := cat.CodeType(holder.HolderID.Type); err == nil && kind.Check == GB32100 {
			v.note(code, CheckInnerCode(holder.Code))
		}
		v.text(code, holder.Code, maxFreeCode)
		v.text(name, holder.Name, defaultLength)
		if holder.Name == "" {
			v.doubt(name, Missing)
		}
	}
}

func (v *validation) fields(t Type, l License) {
	for _, field := range t.Fields {
		if l.Fields[field.Name] == "" {
			if field.Required {
				v.doubt(field.Name, Missing)
			}
			continue
		}
		if !field.PerHolder {
			v.value(field, field.Name, l.Fields[field.Name])
			continue
		}
		values, _ := perHolder(field, l) // claimable has looked at the number already
		for i, value := range values {
			path := claimPath(field.Name, i)
			if value != "" {
				v.value(field, path, value)
			} else if field.Required {
				v.doubt(path, Missing)
			}
		}
	}
}

func (v *validation) value(field Field, path, value string) {
	length := field.MaxLength
	if length == 0 {
		length = defaultLength
	}
	v.text(path, value, length)
	switch field.Kind {
	case KindDate:
		v.doubt(path, Date(value).Check())
	case KindUSCC:
		v.uscc(path, value)
	case KindResidentID:
		v.doubt(path, CheckResidentID(value))
	case KindAmount:
		if !amount.MatchString(value) {
			v.doubt(path, WrongAmount)
		}
	case KindCode:
		if strings.ContainsFunc(value, unicode.IsSpace) {
			v.doubt(path, WrongAlphabet)
		}
	case KindFoodNumber:
		v.note(path, CheckFoodNumber(value))
	}
}

// text refuses what cannot be signed or shown, and doubts what is too long or was damaged on the way. Notes of several
// lines are ordinary text.
func (v *validation) text(path, value string, length int) {
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unprintable) {
		v.refuse(&FieldError{path, WrongText})
		return
	}
	if strings.ContainsRune(value, utf8.RuneError) {
		v.doubt(path, ReplacedText)
	}
	if utf8.RuneCountInString(value) > length {
		v.doubt(path, WrongLength)
	}
}

func unprintable(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\n\r\t", r) }

// Kinds of field. "food-number" is text whose check digit is looked at for a flag only.
const (
	KindText       = "text"
	KindDate       = "date"
	KindUSCC       = "uscc"
	KindResidentID = "resident-id"
	KindAmount     = "amount"
	KindCode       = "code"
	KindFoodNumber = "food-number"
)

const (
	defaultLength = 512
	longestField  = 8192
)

var (
	kinds     = []string{KindText, KindDate, KindUSCC, KindResidentID, KindAmount, KindCode, KindFoodNumber}
	typeID    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)
	fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	codeForm  = regexp.MustCompile(`^[0-9]{3}$`)
)

// Check returns every fault of the catalogue at once, with YAML paths from the catalogue's root; nil if it is sound.
func (c *Catalogue) Check() fault.List {
	var f faults
	f.Unless(c.List != "", "$.list", "the list id with its version is missing")
	f.Unless(len(c.Types) > 0, "$.types", "there is no license type")
	ids, codes := f.Unique(), f.Unique()
	for i, t := range c.Types {
		path := fmt.Sprintf("$.types[%d]", i)
		ids(path+".id", t.ID)
		codes(path+".code", t.Code)
		f.checkType(path, t)
	}
	holders := f.Unique()
	for i, code := range c.HolderCodes {
		path := fmt.Sprintf("$.holder_codes[%d]", i)
		holders(path+".code", code.Code)
		f.Unless(codeForm.MatchString(code.Code), path+".code", "a holder code type is three digits")
		f.Unless(code.Name != "", path+".name", "the name is missing")
		f.Unless(slices.Contains([]string{"", GB32100, GB11643}, code.Check), path+".check", `the check must be "gb32100", "gb11643" or empty`)
	}
	return f.List
}

// faults collects.
type faults struct{ fault.List }

func (f *faults) checkType(path string, t Type) {
	f.Unless(typeID.MatchString(t.ID), path+".id", "the id must be lower-case letters, digits and hyphens, starting with a letter, at most 64")
	f.Unless(t.Name != "", path+".name", "the name is missing")
	f.checkTypeCode(path, t)
	if t.DefinedBy.Code != "" {
		err := CheckUSCC(t.DefinedBy.Code)
		f.Unless(err == nil, path+".defined_by.code", "not a unified social credit code (%s)", ReasonOf(err))
	}
	f.Unless(oneOf(t.DefinedBy.Level, "", "1", "2", "3", "4", "5"), path+".defined_by.level", `the level must be "1" to "5" or empty`)
	f.Unless(oneOf(t.HolderCategory, "1", "2", "3", "4"), path+".holder_category", `the holder category must be "1" to "4"`)
	if t.ValidityRange != "" {
		f.Unless(!slices.Contains(strings.Split(t.ValidityRange, "^"), ""), path+".validity_range", `a range between two "^" is empty`)
	}
	issuers := f.Unique()
	for i, issuer := range t.Issuers {
		at := fmt.Sprintf("%s.issuers[%d]", path, i)
		issuers(at, issuer)
		err := CheckUSCC(issuer)
		f.Unless(err == nil, at, "not a unified social credit code (%s)", ReasonOf(err))
	}
	f.checkFields(path, t.Fields)
}

// checkTypeCode allows an empty code: where none was published, none is invented.
func (f *faults) checkTypeCode(path string, t Type) {
	if t.Code == "" {
		f.Unless(oneOf(t.CodeConfidence, "", "local"), path+".code_confidence", "there is no published code to be confident of")
		return
	}
	f.Unless(oneOf(t.CodeConfidence, "published", "local"), path+".code_confidence", `the confidence must be "published" or "local"`)
	if err := CheckTypeCode(t.Code); err != nil {
		f.Unless(false, path+".code", "a type code is the credit code of the defining body and three digits (%s)", ReasonOf(err))
		return
	}
	f.Unless(t.DefinedBy.Code == "" || t.Code[:18] == t.DefinedBy.Code, path+".defined_by.code", "the type code starts with the credit code of another body")
}

func (f *faults) checkFields(path string, fields []Field) {
	names, shorts := f.Unique(), f.Unique()
	for i, field := range fields {
		at := fmt.Sprintf("%s.fields[%d]", path, i)
		names(at+".name", field.Name)
		shorts(at+".short", field.Short)
		f.Unless(fieldName.MatchString(field.Name), at+".name", "the name must be lower-case letters, digits and underscores, starting with a letter, at most 64")
		_, common := FindMetadatum(field.Name)
		f.Unless(!common, at+".name", "the name belongs to the metadata that all types share")
		f.Unless(!slices.Contains(openClaims, field.Name), at+".name", "the name belongs to a claim that every signed license shows openly")
		_, common = FindMetadatum(field.Short)
		f.Unless(!common, at+".short", "the short name belongs to the metadata that all types share")
		f.Unless(field.Title != "", at+".title", "the title is missing")
		f.Unless(slices.Contains(kinds, field.Kind), at+".kind", "the kind must be one of %s", strings.Join(kinds, ", "))
		f.Unless(field.MaxLength >= 0 && field.MaxLength <= longestField, at+".max_length", "the length must be 0 to %d", longestField)
	}
}

// openClaims are claims of a signed license that are never disclosed one by one (design §5.5, RFC 7519, RFC 9901); a field of
// the same name could not be told from them.
var openClaims = []string{"iss", "id", "ver", "type", "nbf", "exp", "status", "sub", "aud", "iat", "jti", "cnf", "vct"}

func oneOf(value string, values ...string) bool { return slices.Contains(values, value) }
