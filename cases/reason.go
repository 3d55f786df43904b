package cases

import "errors"

// A Reason is a stable code that says why. It stands in evidence and in judgements; callers who are not entitled to know
// get a public code instead. It is an error, so that errors.Is tells reasons apart, and never carries a value.
type Reason string

// Why a case does not support a question. Only evidence shows these.
const (
	CaseClosed        Reason = "case-closed"
	MatterUnknown     Reason = "matter-unknown"     // the book has no such matter (any more)
	MatterNotInCase   Reason = "matter-not-in-case" // a chain's question must name one of the case's parts
	MaterialNotListed Reason = "matter-does-not-list-material"
	OtherLicenseType  Reason = "material-is-other-license-type"
	NoSource          Reason = "material-has-no-source" // its route is promise or upload
	NotAParty         Reason = "holder-not-a-party"
	RoleMismatch      Reason = "role-mismatch"    // a party, but not in the role that the material names
	NoPartyInRole     Reason = "no-party-in-role" // the material names a role that nobody has in this case
	NoApplicant       Reason = "no-applicant"     // whose license would confirm the role
)

// Why a role is not confirmed.
const (
	RoleNotFound    Reason = "role-record-not-found"
	RoleUnavailable Reason = "role-source-unavailable"
	RoleOtherType   Reason = "role-record-of-other-type"
	RoleOtherHolder Reason = "role-record-of-other-holder"
	RoleNotInForce  Reason = "role-record-not-in-force"
	RoleNotInRecord Reason = "role-not-in-record" // the source's record does not name the party
)

// Why a material is not met.
const (
	NotFound          Reason = "not-found"             // the source answered and has none
	NotAskable        Reason = "question-unanswerable" // no source can have such a license of this holder, or be asked about it
	SourceUnavailable Reason = "source-unavailable"
	IsExpired         Reason = "expired"
	IsRevoked         Reason = "revoked"
	IsSuspended       Reason = "suspended"
	IsSuperseded      Reason = "superseded"
	NotYetValid       Reason = "not-yet-valid"
	OtherHolder       Reason = "record-of-other-holder"
	OtherType         Reason = "record-of-other-type"
	NotAsExpected     Reason = "not-as-expected" // a field does not say what the matter expects
	Unreadable        Reason = "record-unreadable"
	ByPolicy          Reason = "policy" // denied without a nearer reason
	CalendarEnds      Reason = "calendar-not-covered"
)

// Why a registration, a consent or a receipt of material is refused. Codes of holders give the reasons of package
// license, such as "check-character".
const (
	BadNumber      Reason = "number"      // not 1 to 64 of A-Z a-z 0-9 . _ -
	BadAttestation Reason = "attestation" // not in the list
	BadParts       Reason = "parts"       // an ordinary case has none, a chain's are of the chain, each once
	BadRegistrar   Reason = "registrar"   // empty
	ApplicantCount Reason = "applicant"   // there must be exactly one
	RoleUnknown    Reason = "role"        // the matter has no such role
	DuplicateParty Reason = "duplicate-party"
	TooManyParties Reason = "too-many-parties"
	InFuture       Reason = "accepted-in-future"
	TooEarly       Reason = "accepted-too-early" // before 1900
	NoTime         Reason = "time"               // a required time is missing
	BadSystem      Reason = "system"
	BadLicenseType Reason = "license-type"
	BadEvidence    Reason = "evidence"
	BadDigest      Reason = "digest" // not base64url of 32 bytes, or where there must be none
	BadHow         Reason = "how"    // not "uploaded", "promised" or "waived"
	NoPromise      Reason = "promise-not-possible"
)

// Why a consent does not cover a question.
const (
	ConsentWithdrawn    Reason = "consent-withdrawn"
	ConsentExpired      Reason = "consent-expired"
	ConsentTooLong      Reason = "consent-too-long" // to be given for longer than the configuration allows
	ConsentOtherHolder  Reason = "consent-of-other-holder"
	ConsentOtherSystem  Reason = "consent-for-other-system"
	ConsentOtherLicense Reason = "consent-for-other-license-type"
	ConsentOtherMatter  Reason = "consent-for-other-matter"
)

// Error makes a Reason an error.
func (r Reason) Error() string { return "not so: " + string(r) }

// ReasonOf returns the reason inside err, or "" if there is none.
func ReasonOf(err error) Reason {
	var reason Reason
	errors.As(err, &reason)
	return reason
}
