// Package license is the data model of e-licenses (电子证照): licenses, holders, identifiers and the catalogue of types, and the
// questions and findings that pass between a gateway and its sources.
//
// Metadata follow GB/T 36903, identifiers GB/T 36904, types GB/T 36902. The package imports nothing of ours.
package license

import (
	"errors"
	"fmt"
	"time"
)

// A HolderID names a holder (持证主体) by a code and the type of that code.
type HolderID struct {
	Type string `json:"type" yaml:"type"` // holder code type (持证主体代码类型代码), three digits: "001" 统一社会信用代码, "111" 公民身份号码, …
	Code string `json:"code" yaml:"code"` // the code itself, upper case, without spaces
}

// A Holder is one holder of a license. A license may have several (marriage, joint ownership).
type Holder struct {
	HolderID
	Name string `json:"name"` // CZZT
}

// An Issuer is the body that issued a license (证照颁发机构).
type Issuer struct {
	Name  string `json:"name" yaml:"name"`   // ZZBFJG
	Code  string `json:"code" yaml:"code"`   // ZZBFJGDM: 统一社会信用代码, 18 characters
	Level string `json:"level" yaml:"level"` // ZZBFJGJB: "1" 国家级 … "5" 其他; may be empty
}

// A Date is a calendar day in the form "2006-01-02"; the empty Date means "not stated" and, as the end of a
// validity, "unlimited" (长期). Dates of this form compare as strings. ParseDate makes them.
type Date string

// A License is one e-license as its source states it, in the terms of the catalogue.
type License struct {
	Type      string            // catalogue id of the type, such as "business-license"
	Number    string            // 证照编号 (ZZBH), as the issuer numbers it
	Issuer    Issuer            //
	Issued    Date              // ZZBFRQ
	ValidFrom Date              // ZZYXQQSRQ
	ValidTo   Date              // ZZYXQJZRQ; empty: unlimited
	Holders   []Holder          // at least one, in the source's order (parallel lists of GB/T 36903)
	Status    Status            //
	Fields    map[string]string // the type's own fields by dictionary name; amounts are strings
	Flags     []Flag            // what was accepted on import although it is faulty; nil when strict
}

// A Flag says that a value was accepted from a source although it breaks a rule. Value itself is never repeated here.
type Flag struct {
	Field  string `json:"field"`
	Reason string `json:"reason"` // stable code, such as "check-character"
}

// Status is a license's standing, in the one internal list; adapters map each source's own list to it.
type Status string

// The internal status list, "oncegate-license-status/1".
const (
	Valid      Status = "valid"      // 有效
	Suspended  Status = "suspended"  // 暂扣, 暂时失效
	Revoked    Status = "revoked"    // 撤销, 吊销, 注销
	Superseded Status = "superseded" // 已换发: a newer version exists
	Expired    Status = "expired"    // 过期失效
)

// A Question asks a source for the licenses of one type that one holder has.
type Question struct {
	Type   string   // catalogue id
	Holder HolderID //
	Number string   // 证照编号, to ask for that one only; empty: all of the holder's
}

// Found says what came of a Question.
type Found string

// What came of a Question. "Not found" is knowledge: the source answered and has none. It is never confused with
// "unavailable", which says nothing about the license.
const (
	IsFound       Found = "found"
	IsNotFound    Found = "not-found"
	IsUnavailable Found = "unavailable"
)

// ErrUnanswerable is in the error of an unavailable Finding when the source itself is well: it cannot be asked this question,
// or what it keeps about this holder cannot be read. It says nothing about other questions, so it must not count as a
// failure of the source; else one bad record, or one caller asking oddly, would cut everybody off.
var ErrUnanswerable = errors.New("the question cannot be answered")

// ErrCannotAsk is an ErrUnanswerable whose cause is the question: no source, or not this one, can ever answer it, whatever is tried
// again. Who asks must ask otherwise.
var ErrCannotAsk = fmt.Errorf("%w: it cannot be asked", ErrUnanswerable)

// A Request is what a source is asked in one call: each question once, however many uses wait for its answer. An adapter whose
// legacy system asks for no reason needs nothing but Questions.
type Request struct {
	Operator  string // code of the person who acts, as the calling system states it; empty for automatic work
	Questions []Question
	// Purposes are, for each question, why it is asked: one for each use that the rules allow, at least one. A source that
	// takes one purpose at a time asks once for each. Nil where the source is only tried, not asked for a call.
	Purposes [][]Purpose
}

// A Purpose is why a question is asked.
type Purpose struct {
	Operation   string // such as "cases.check"
	Basis       string // "case", "consent", "owner", or a legal basis that a grant names
	Case        string // number of the case; empty for another basis
	Matter      string // code of the matter
	Material    string // code of the material within the matter
	Role        string // in which the holder is a party of the case
	Attestation string // how the case is attested: "platform", "holder" or "self"
	Reference   string // what the caller cites for a legal basis other than a case
}

// A Finding answers one Question.
type Finding struct {
	State     Found
	Records   []License   // with Presented at least one when State is IsFound, else empty
	Presented []Presented // licenses that were signed elsewhere
	AsOf      time.Time   // the moment whose truth this is: now for a live source, the drop's time for a file
	Source    string      // id of the source that answered
	Stale     bool        // a kept copy, because the source was unavailable
	Err       error       // why it is unavailable: for logs and metrics, never for a caller; carries no personal data
}

// Presented is a license that another gateway or its issuer has signed and that passes through as it is: nobody here may sign
// it anew. Nothing about it is trusted before its signature is verified. The gateway releases none yet: it refuses the finding as
// license-presented.
type Presented struct {
	MediaType string   // MediaSDJWT, or that of a document
	Data      []byte   // exactly as it was signed
	Beside    [][]byte // evidence of the issuer that Data does not carry: certificates, revocation and status lists
}

// MediaSDJWT is the media type of a compact SD-JWT with its disclosures (RFC 9901).
const MediaSDJWT = "application/dc+sd-jwt"

// Type returns the type with a catalogue id.
func (c *Catalogue) Type(id string) (Type, bool) {
	for i := range c.Types {
		if c.Types[i].ID == id {
			return c.Types[i], true
		}
	}
	return Type{}, false
}

// TypeByCode returns the type with a national or local type code.
func (c *Catalogue) TypeByCode(code string) (Type, bool) {
	for i := range c.Types {
		if code != "" && c.Types[i].Code == code {
			return c.Types[i], true
		}
	}
	return Type{}, false
}

// CodeType returns a holder code type. A catalogue that lists none uses the national list.
func (c *Catalogue) CodeType(code string) (CodeType, bool) {
	list := c.HolderCodes
	if len(list) == 0 {
		list = HolderCodes()
	}
	for _, entry := range list {
		if entry.Code == code {
			return entry, true
		}
	}
	return CodeType{}, false
}

// CanHold reports whether a license of a type can be held under a code of a type: natural persons (HolderCategory "1") have no code of
// an organisation (001, 099), and legal persons ("2") no code of a person. Of types that the catalogue or the national list does not
// know nothing is certain, so that they can.
func (c *Catalogue) CanHold(licenseType, codeType string) bool {
	t, _ := c.Type(licenseType)
	switch t.HolderCategory {
	case "1":
		return !oneOf(codeType, "001", "099")
	case "2":
		return !oneOf(codeType, "111", "114", "115", "118", "119", "120", "122", "411", "412", "413", "414", "511", "516", "999")
	}
	return true
}

// CheckHolder checks a holder's code by the rule of its code type. The error wraps a Reason and names nobody.
func (c *Catalogue) CheckHolder(h HolderID) error {
	kind, ok := c.CodeType(h.Type)
	if !ok {
		return fmt.Errorf("check holder code: %w", UnknownCode)
	}
	if err := CheckCode(kind.Check, h.Code); err != nil {
		return fmt.Errorf("check holder code: %w", err)
	}
	return nil
}

// Field returns the dictionary entry of one of the type's own or of the common fields.
func (t Type) Field(name string) (Field, bool) {
	for _, f := range t.Fields {
		if f.Name == name {
			return f, true
		}
	}
	if m, ok := FindMetadatum(name); ok && m.Name == name {
		return m.Field, true
	}
	return Field{}, false
}

// Grantable returns the names a grant may give of this type: the common ones that do not stand openly in every license,
// then the type's own, in the order of claims.
func (t Type) Grantable() []string {
	var names []string
	for _, m := range metadata {
		if !m.Always {
			names = append(names, m.Name)
		}
	}
	for _, f := range t.Fields {
		names = append(names, f.Name)
	}
	return names
}

// A Reason is a stable code for one broken rule. It is an error itself, so that errors.Is tells reasons apart, and the
// text of a Flag where the value was accepted all the same. It never carries the value.
type Reason string

// The rules that a value can break.
const (
	WrongLength    Reason = "length"                // too short or too long
	WrongAlphabet  Reason = "alphabet"              // a character that the code does not know; lower case is one
	WrongCheck     Reason = "check-character"       // the check character does not fit
	WrongInner     Reason = "inner-check-character" // GB 11714 inside a USCC; a flag only
	WrongDate      Reason = "date"                  // not a calendar day in an accepted form
	WrongRegion    Reason = "region"                // no province has this region code (GB/T 2260)
	WrongForm      Reason = "form"                  // the parts are not what the standard says
	WrongRoot      Reason = "root"                  // an identifier that does not start with 1.2.156.3005.2
	WrongVersion   Reason = "version"               // not three digits from 001 to 999
	WrongText      Reason = "text"                  // not UTF-8, or control characters
	ReplacedText   Reason = "replaced-character"    // U+FFFD: a character was lost on the way here
	WrongAmount    Reason = "amount"                // not a decimal number
	WrongValidity  Reason = "validity"              // ends before it begins
	WrongStatus    Reason = "status"                // not in the internal status list
	WrongIssuer    Reason = "issuer"                // this body may not issue the type
	WrongHolders   Reason = "holders"               // none, or not one value per holder
	Missing        Reason = "required"              // a required value is missing
	UnknownType    Reason = "license-type"          // the catalogue has no such type
	UnknownField   Reason = "field"                 // the type has no such field
	UnknownCode    Reason = "code-type"             // the holder code list has no such code type
	UnknownRule    Reason = "check-rule"            // a check rule that does not exist
	VersionsAreOut Reason = "versions-exhausted"    // no version after 999
)

// Error makes a Reason an error.
func (r Reason) Error() string { return "rule broken: " + string(r) }

// ReasonOf returns the reason inside err, or "" if there is none.
func ReasonOf(err error) Reason {
	var reason Reason
	errors.As(err, &reason)
	return reason
}

// A FieldError says which field broke which rule. Field is a claim path such as "holder_code.0".
type FieldError struct {
	Field  string
	Reason Reason
}

// Error names the field and the rule, never the value.
func (e *FieldError) Error() string { return "field " + e.Field + ": " + e.Reason.Error() }

// Unwrap returns the reason.
func (e *FieldError) Unwrap() error { return e.Reason }
