package license

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
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
