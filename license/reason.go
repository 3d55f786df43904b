package license

import "errors"

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
