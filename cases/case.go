// Package cases models the purpose of a request: matters (事项) and the materials (材料) they need, registered cases (办件) with
// their parties and roles, consents, the judgement of a material, and the working-day calendar.
package cases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"oncegate/canonical"
	"oncegate/license"
)

// Attestation says who vouches for a case. The constants are ordered: each is stronger than the one before.
type Attestation string

// How a case is attested.
const (
	Self     Attestation = "self"     // by the asking system alone
	ByHolder Attestation = "holder"   // by a signed identity assertion of the holder
	Platform Attestation = "platform" // by acceptance signed by a system other than the asker
)

// Applicant is the one role that needs no confirmation by a source.
const Applicant = "applicant"

// A Case is one registered case: the purpose that a call cites.
type Case struct {
	No          string      `json:"no"`          // the number the registering system gave (办件编号), ≤ 64 characters
	Matter      string      `json:"matter"`      // code of the matter; for a chain, of the chain itself
	Parts       []Part      `json:"parts"`       // a chain's parts, one per matter; empty for an ordinary case
	Registrar   string      `json:"registrar"`   // id of the system that registered it
	Attestation Attestation `json:"attestation"` // what the registration proves; Platform is judged against the asker
	Parties     []Party     `json:"parties"`     //
	Accepted    time.Time   `json:"accepted"`    // 受理时间, as the registrar states it
	Registered  time.Time   `json:"registered"`  // when this gateway recorded it
	Closed      time.Time   `json:"closed"`      // zero: open
	Revision    int         `json:"revision"`    // rises with every change; what a decision was made on
}

// A Part is one matter of a chain of departments (一件事).
type Part struct {
	Matter string `json:"matter"`
}

// A Party is somebody a case is about, in a role that the matter knows.
type Party struct {
	Role   string           `json:"role"` // Applicant, "legal_representative", "co_owner", "spouse", …
	Holder license.HolderID `json:"holder"`
}

// A Received is what the window received instead of a reused license (POST /v1/cases/{no}/materials).
type Received struct {
	Case     string    `json:"case"`
	Matter   string    `json:"matter"` // the matter within a chain; else the case's
	Material string    `json:"material"`
	How      string    `json:"how"`    // "uploaded", "promised" or "waived"
	Digest   string    `json:"digest"` // base64url SM3 of the uploaded file; only with "uploaded"
	By       string    `json:"by"`     // system id
	At       time.Time `json:"at"`
}

// A LastState is how a check found a material of a case to stand: what is known of it until the next one. Of a material that several
// parties have, it is the worst. A check that could not tell (Denied) leaves none.
type LastState struct {
	Case     string
	Matter   string // the matter within a chain; else the case's
	Material string
	State    State
	By       string    // id of the system that checked
	At       time.Time // of the first of the checks that found it so one after another
}

// A Filter selects cases of one registrar.
type Filter struct {
	Registrar string // id of the system; required
	Handled   bool   // also open cases of others for which the system received a material, or checked one
	Matter    string // code; empty: any
	Open      bool   // only open cases
	Closed    bool   // only closed cases
	After     Place  // only cases behind this place; zero: from the first
	Limit     int    // most cases; required
}

// A Place is where a case stands among those of its registrar: by the time of its registration, then by its number. It never changes,
// so that a list can be read page by page while cases come and close.
type Place struct {
	Registered time.Time
	No         string
}

// A Consent is a holder's permission: what, to whom, until when.
type Consent struct {
	ID        string           `json:"id"`
	Holder    license.HolderID `json:"holder"`
	System    string           `json:"system"`   // who may use it
	Types     []string         `json:"types"`    // license types it covers, catalogue ids, and types of filed materials
	Matters   []string         `json:"matters"`  // matters it covers; empty: any
	Expires   time.Time        `json:"expires"`  //
	Evidence  string           `json:"evidence"` // who signed the assertion, or "session"
	Digest    string           `json:"digest"`   // base64url SM3 of the signed assertion; of the id where nothing was signed
	Given     time.Time        `json:"given"`
	Withdrawn time.Time        `json:"withdrawn"` // zero: stands
}

// Storage reads what was registered. Writing happens only with a record (audit.Entry.Changes): store applies the change
// types below inside the record's own transaction, and refuses the entry with the errors below.
//
// Implementations are safe for concurrent use and see every change whose record was answered.
type Storage interface {
	// Case returns the case; fs.ErrNotExist if the number is unknown.
	Case(ctx context.Context, no string) (Case, error)
	// Received returns what was handed in for a case, oldest first; empty if nothing.
	Received(ctx context.Context, no string) ([]Received, error)
	// States returns how checks found the materials of a case to stand, oldest first: of a material, the last counts.
	States(ctx context.Context, no string) ([]LastState, error)
	// Representatives returns who came for a case's parties, oldest first.
	Representatives(ctx context.Context, no string) ([]Representative, error)
	// Results returns the licenses of a type with which cases ended, of one holder, oldest first.
	Results(ctx context.Context, licenseType string, holder license.HolderID) ([]license.License, error)
	// HandOvers returns the hand-overs of a case's file to the archive, oldest first.
	HandOvers(ctx context.Context, no string) ([]HandOver, error)
	// Registered returns the cases that a filter selects, in the order of their places.
	Registered(ctx context.Context, f Filter) ([]Case, error)
	// Consent returns the consent; fs.ErrNotExist if unknown.
	Consent(ctx context.Context, id string) (Consent, error)
	// Consents returns the holder's consents to a system, or to any where it is empty, newest first, withdrawn and expired ones too.
	Consents(ctx context.Context, holder license.HolderID, system string) ([]Consent, error)
	FilingStorage
}

// Changes that commit with a record, which binds them (Bound). Store refuses the entry where the stated condition does not hold any more.
type (
	// Register adds a case. Refused with ErrRegistered if the number is taken, be it by the same content: of many who register
	// it at once, one has registered it. R is 32 fresh random bytes, with which the record commits to the parties; they are kept sealed with
	// them. A zero R refuses the entry.
	Register struct {
		Case Case
		R    [32]byte
	}
	// Close closes an open case at a moment. Refused with ErrChanged if it is closed or its revision differs.
	Close struct {
		No       string
		Revision int
		At       time.Time
	}
	// Receive adds what the window received. Refused with ErrChanged if the case is closed.
	Receive struct{ Received Received }
	// SetState adds how a check found a material to stand. Refused with ErrChanged if the case is closed.
	SetState struct{ LastState }
	// AddHandOver adds that a case's file was handed over, also of a closed case. Refused with ErrChanged if there is no such case.
	AddHandOver struct{ HandOver }
	// Represent adds who comes for the parties. Refused with ErrChanged if the case is closed. R is as in Register, for the person.
	Represent struct {
		Representative
		R [32]byte
	}
	// Issue adds a license with which the case ends, for one of its holders. Refused with ErrChanged if the case is closed. R is as in
	// Register, for holder and license.
	Issue struct {
		Result
		R [32]byte
	}
	// Give adds a consent. Refused with ErrRegistered if the id is taken. R is as in Register, for the holder.
	Give struct {
		Consent Consent
		R       [32]byte
	}
	// Withdraw ends a consent. Refused with ErrChanged if it is withdrawn already.
	Withdraw struct {
		ID string
		At time.Time
	}
	// StillOpen changes nothing: it refuses the entry with ErrChanged if the case was closed or changed since the
	// decision was made on Revision.
	StillOpen struct {
		No       string
		Revision int
	}
	// StillGiven changes nothing: it refuses the entry with ErrChanged if the consent was withdrawn meanwhile or
	// has expired at At.
	StillGiven struct {
		ID string
		At time.Time
	}
)

const (
	maxParties = 64
	firstYear  = 1900             // of acceptance: microseconds of an earlier one need not fit what JSON carries exactly (Register.Bound)
	clockSkew  = 60 * time.Second // of signed calls
)

// A Flaw is one thing wrong in what a caller registers.
type Flaw struct {
	Path   string // in the call's body, such as "parties[1].holder.code"
	Reason Reason //
}

// Flaws is everything wrong in what a caller registers, at once. It is an error whose text names no value.
type Flaws []Flaw

// Error lists the flaws.
func (f Flaws) Error() string {
	texts := make([]string, len(f))
	for i, flaw := range f {
		texts[i] = flaw.Path + ": " + string(flaw.Reason)
	}
	return "check registration: " + strings.Join(texts, ", ")
}

// Unwrap returns the reasons, so that errors.Is finds each.
func (f Flaws) Unwrap() []error {
	reasons := make([]error, len(f))
	for i, flaw := range f {
		reasons[i] = flaw.Reason
	}
	return reasons
}

func (f *Flaws) unless(ok bool, path string, reason Reason) {
	if !ok {
		*f = append(*f, Flaw{path, reason})
	}
}

// err is nil without flaws; a plain conversion would make a non-nil error of no flaws.
func (f Flaws) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// Normal returns the case as it is stored: codes in normal form, times in UTC and whole milliseconds.
func (c Case) Normal() Case {
	c.Parts = slices.Clone(c.Parts)
	c.Parties = slices.Clone(c.Parties)
	for i := range c.Parties {
		c.Parties[i].Holder = c.Parties[i].Holder.Normal()
	}
	for _, t := range []*time.Time{&c.Accepted, &c.Registered, &c.Closed} {
		*t = t.UTC().Truncate(time.Millisecond)
	}
	return c
}

// CheckCase checks a registration in normal form: a number of 1 to 64 of A-Z a-z 0-9 . _ -, a known matter, parts of its
// chain, exactly one applicant, roles that the matter (for a chain: one of its matters) knows, codes with right check
// characters, no party twice, acceptance from 1900 on and not in the future. The error is Flaws.
func CheckCase(book *Book, cat *license.Catalogue, c Case, now time.Time) error {
	var f Flaws
	f.unless(opaque.MatchString(c.No), "no", BadNumber)
	f.unless(c.Registrar != "", "registrar", BadRegistrar)
	f.unless(c.Attestation.AtLeast(Self), "attestation", BadAttestation)
	f.unless(!c.Accepted.IsZero(), "accepted", NoTime)
	f.unless(!c.Accepted.After(now.Add(clockSkew)), "accepted", InFuture)
	f.unless(c.Accepted.IsZero() || c.Accepted.Year() >= firstYear, "accepted", TooEarly)
	matter, ok := book.Matter(c.Matter)
	f.unless(ok, "matter", MatterUnknown)
	f.parts(matter, c.Parts)
	if len(c.Parties) > maxParties {
		f.unless(false, "parties", TooManyParties)
		return f.err()
	}
	f.unless(len(c.InRole(Applicant)) == 1, "parties", ApplicantCount)
	f.parties(book.MattersOf(c), cat, c.Parties)
	return f.err()
}

func (f *Flaws) parts(matter Matter, parts []Part) {
	if len(parts) > len(matter.Chain) {
		f.unless(false, "parts", BadParts)
		return
	}
	for i, part := range parts {
		ok := slices.Contains(matter.Chain, part.Matter) && !slices.Contains(parts[:i], part)
		f.unless(ok, fmt.Sprintf("parts[%d]", i), BadParts)
	}
}

func (f *Flaws) parties(matters []Matter, cat *license.Catalogue, parties []Party) {
	seen := map[Party]bool{}
	for i, p := range parties {
		at := fmt.Sprintf("parties[%d]", i)
		known := slices.ContainsFunc(matters, func(m Matter) bool { _, ok := m.Role(p.Role); return ok })
		// Without a matter there is nothing to compare the role with; that fault is reported already.
		f.unless(known || p.Role == Applicant || len(matters) == 0, at+".role", RoleUnknown)
		f.unless(!seen[p], at, DuplicateParty)
		seen[p] = true
		f.holder(at+".holder", cat, p.Holder)
	}
}

func (f *Flaws) holder(at string, cat *license.Catalogue, holder license.HolderID) {
	switch reason := license.ReasonOf(cat.CheckHolder(holder)); reason {
	case "":
	case license.UnknownCode:
		f.unless(false, at+".type", Reason(reason))
	default:
		f.unless(false, at+".code", Reason(reason))
	}
}

// Statement returns the canonical bytes (RFC 8785) of what the registrar states, for digesting and comparing: number,
// registrar, matter, parts, attestation, parties and acceptance, whatever their order. What the gateway adds later
// (registration, closing, revision) is no part of it.
func (c Case) Statement() ([]byte, error) {
	c = c.Normal()
	slices.SortFunc(c.Parts, func(a, b Part) int { return cmp.Compare(a.Matter, b.Matter) })
	slices.SortFunc(c.Parties, func(a, b Party) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Holder.Type, b.Holder.Type), cmp.Compare(a.Holder.Code, b.Holder.Code))
	})
	c.Registered, c.Closed, c.Revision = time.Time{}, time.Time{}, 0
	text, err := canonical.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write case statement: %w", license.WrongText)
	}
	return text, nil
}

// SameStatement reports whether two registrations state the same: then the second answers as the first did.
func SameStatement(a, b Case) bool {
	left, errLeft := a.Statement()
	right, errRight := b.Statement()
	return errLeft == nil && errRight == nil && string(left) == string(right)
}

// Why a change is refused at commit.
var (
	// ErrRegistered says that the number or id is taken by something else.
	ErrRegistered = errors.New("the number is registered with other content")
	// ErrChanged says that the case or consent changed since it was read.
	ErrChanged = errors.New("the case or consent changed meanwhile")
)
