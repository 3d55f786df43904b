package cases

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"oncegate/license"
)

// State is how a material stands.
type State string

// How a material stands. Missing is knowledge, Unavailable is not.
const (
	Met         State = "met"         // the source has it, it is in force and says what is expected
	OnFile      State = "on-file"     // no source answers, and a window filed it, verified, in an earlier case of the holder (Filing)
	Missing     State = "missing"     // the source has none, there is no source, or none can be asked about this holder
	Lapsed      State = "lapsed"      // expired, revoked, suspended, superseded or not yet valid
	Mismatched  State = "mismatched"  // in force, but not what the matter expects
	Denied      State = "denied"      // the policy does not let it be asked
	Unavailable State = "unavailable" // the source did not answer
	Unchecked   State = "unchecked"   // no check has told yet (Stand)
)

// Obtained reports whether the material is there without the applicant: from its source, or on file.
func (s State) Obtained() bool { return s == Met || s == OnFile }

// IsFound reports whether the state is one that a check finds: what may be kept as a LastState.
func (s State) IsFound() bool {
	return slices.Contains([]State{Met, OnFile, Missing, Lapsed, Mismatched, Unavailable}, s)
}

// Evidence is everything a judgement rests on.
type Evidence struct {
	Facts     Facts
	Type      license.Type    // the catalogue's entry of the material's license type
	Allowed   bool            // the decision; the zero value denies
	Reason    Reason          // why it was denied
	Confirmed bool            // the role is confirmed; only looked at where Facts.Confirm asks for it
	Role      error           // why it is not, from RoleCheck.ConfirmBy
	Finding   license.Finding // what the source answered
	Received  []Received      // what was handed in for the case
	Filed     bool            // that a filed material stands in may be told (Stand)
	From      license.Date    // the day deadlines count from: acceptance; empty: Day
	Day       license.Date    // today
}

// A Judgement says how one material of one party stands, and what now.
//
// A material that is not met may be covered: the window received something instead. The state stays what the source
// says, and Covered says how; so a later check can still find it met. Covered materials let the case go on but are not
// reuse. Uploaded and waived cover for good; a promise covers until its deadline.
type Judgement struct {
	Matter   string
	Material string
	Need     Need
	Role     string // whose license: a role of the matter or Applicant
	State    State
	Reason   Reason   // empty if met
	Record   int      // index in Finding.Records of the record that was judged; -1 without one
	Stale    bool     // judged on a kept copy
	Covered  string   // "uploaded", "promised", "waived"; else empty
	Fallback Fallen   // what the applicant can do; zero if met or covered for good
	Next     NextStep //
}

// Fallen is the fallback as it applies now.
type Fallen struct {
	Kind     string       // FallTolerate, FallPromise or FallUpload
	Deadline license.Date // last day to make it good; empty if there is none or Reason says why it is not known
	Overdue  bool         // the deadline has passed: Kind is FallUpload now
	Reason   Reason       // CalendarEnds: the calendar must be extended before the deadline can be told
}

// NextStep is what to do next about a material.
type NextStep string

// What to do next.
const (
	NextNothing NextStep = "none"
	NextUpload  NextStep = "upload"          // the applicant brings it
	NextPromise NextStep = "promise"         // the applicant promises in writing
	NextFollow  NextStep = "make-good-later" // the case goes on; the material follows by the deadline
	NextAgain   NextStep = "check-again"     // the case goes on; check again when the source is back
)

// Judge judges one material of one party. It is pure: the same evidence and calendar always give the same judgement. It
// never leads to a dead end: whatever is not met has a fallback, even where the calendar cannot tell the deadline.
func Judge(e Evidence, calendar *Calendar) Judgement {
	j := Judgement{
		Matter: e.Facts.Matter.Code, Material: e.Facts.Material.Code, Need: e.Facts.Material.Need,
		Role: e.Facts.Material.HolderRole(), Record: -1, Next: NextNothing,
	}
	j.State, j.Reason, j.Record = e.state()
	j.Stale = j.Record >= 0 && e.Finding.Stale
	return e.cover(j, calendar)
}

// cover completes a judgement whose state is known: what covers the material, and what to do where it is not met.
func (e Evidence) cover(j Judgement, calendar *Calendar) Judgement {
	if j.State.Obtained() {
		return j
	}
	from := cmp.Or(e.From, e.Day)
	if last, ok := e.received(); ok {
		j.Covered = last.How
		if last.How != HowPromised {
			return j
		}
		from = license.DateOf(last.At)
	}
	j.Fallback = e.fallback(from, calendar)
	if j.Fallback.Overdue {
		j.Covered, j.Fallback.Kind = "", FallUpload
	}
	j.Next = j.next()
	return j
}

// unasked is the state of a material whose source may not be asked at all; empty where it may.
func (e Evidence) unasked() (State, Reason) {
	for _, reason := range []Reason{NoSource, NoPartyInRole} {
		if slices.Contains(e.Facts.Reasons, reason) {
			return Missing, reason
		}
	}
	if len(e.Facts.Reasons) > 0 {
		return Denied, e.Facts.Reasons[0]
	}
	if !e.Facts.Usable() || !e.Allowed {
		return Denied, cmp.Or(e.Reason, ByPolicy)
	}
	return "", ""
}

// state judges by the source alone.
func (e Evidence) state() (State, Reason, int) {
	if state, reason := e.unasked(); state != "" {
		return state, reason, -1
	}
	if e.Facts.Confirm != nil && !e.Confirmed {
		reason := cmp.Or(ReasonOf(e.Role), RoleUnavailable)
		if errors.Is(reason, RoleUnavailable) {
			return Unavailable, reason, -1
		}
		return Denied, reason, -1
	}
	switch {
	case e.Finding.State == license.IsNotFound, e.Finding.State == license.IsFound && len(e.Finding.Records) == 0:
		return Missing, NotFound, -1
	case e.Finding.State == license.IsFound:
		return e.records()
	case errors.Is(e.Finding.Err, license.ErrCannotAsk):
		return Missing, NotAskable, -1
	case errors.Is(e.Finding.Err, license.ErrFaulty):
		return Unavailable, SourceFaulty, -1
	}
	return Unavailable, SourceUnavailable, -1
}

// records judges every record and keeps the best: one that is met, else one in force, else the first.
func (e Evidence) records() (State, Reason, int) {
	best := -1
	var state State
	var reason Reason
	for i, record := range e.Finding.Records {
		s, r := e.record(record)
		if best < 0 || rank(s) < rank(state) {
			best, state, reason = i, s, r
		}
	}
	return state, reason, best
}

func rank(s State) int { return slices.Index([]State{Met, Mismatched, Lapsed}, s) }

func (e Evidence) record(l license.License) (State, Reason) {
	if l.Type != e.Facts.Material.LicenseType || l.Type != e.Type.ID {
		return Mismatched, OtherType
	}
	if !holds(l, e.Facts.Party.Holder) {
		return Mismatched, OtherHolder
	}
	switch l.StatusAt(e.Day) {
	case license.Valid:
	case license.Expired:
		return Lapsed, IsExpired
	case license.Suspended:
		return Lapsed, IsSuspended
	case license.Superseded:
		return Lapsed, IsSuperseded
	default:
		return Lapsed, IsRevoked
	}
	if !l.Begun(e.Day) {
		return Lapsed, NotYetValid
	}
	for _, expected := range e.Facts.Material.Expect {
		if reason := e.expect(l, expected); reason != "" {
			return Mismatched, reason
		}
	}
	return Met, ""
}

// expect compares one field. A role that several parties have must be found in full.
func (e Evidence) expect(l license.License, expected Expectation) Reason {
	values, err := valuesOf(e.Type, l, expected.Field)
	if err != nil {
		return Unreadable
	}
	if expected.Role == "" {
		if slices.ContainsFunc(values, func(v string) bool { return e.same(expected.Field, v, expected.Equals) }) {
			return ""
		}
		return NotAsExpected
	}
	parties := Case{Parties: e.Facts.Parties}.InRole(expected.Role)
	if len(parties) == 0 {
		return NoPartyInRole
	}
	for _, party := range parties {
		code := license.NormalCode(party.Holder.Code)
		if !slices.ContainsFunc(values, func(v string) bool { return license.NormalCode(v) == code }) {
			return NotAsExpected
		}
	}
	return ""
}

// same compares codes in normal form and texts without the spaces around them.
func (e Evidence) same(field, value, want string) bool {
	f, _ := e.Type.Field(field)
	switch f.Kind {
	case license.KindCode, license.KindUSCC, license.KindResidentID:
		return license.NormalCode(value) == license.NormalCode(want)
	}
	return strings.TrimSpace(value) == strings.TrimSpace(want)
}

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
	RoleFaulty      Reason = "role-source-faulty" // a RoleUnavailable that is the fault of the source's data
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
	SourceFaulty      Reason = "source-faulty" // it answers, and its data or schema is not what the configuration says
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

// Is makes a role whose source is faulty one that could not be confirmed.
func (r Reason) Is(target error) bool { return r == RoleFaulty && target == RoleUnavailable }

// ReasonOf returns the reason inside err, or "" if there is none.
func ReasonOf(err error) Reason {
	var reason Reason
	errors.As(err, &reason)
	return reason
}
