package license

import (
	"fmt"
	"oncegate/fault"
	"regexp"
	"slices"
	"strings"
)

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
