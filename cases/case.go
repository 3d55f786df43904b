// Package cases knows why somebody may ask: matters (事项) and the materials (材料) they need, registered cases (办件) with
// their parties and roles, consents, the judgement of a material, and the working-day calendar.
package cases

import (
	"context"
	"time"

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

// A Consent is a holder's permission: what, to whom, until when.
type Consent struct {
	ID        string           `json:"id"`
	Holder    license.HolderID `json:"holder"`
	System    string           `json:"system"`   // who may use it
	Types     []string         `json:"types"`    // license types it covers, catalogue ids
	Matters   []string         `json:"matters"`  // matters it covers; empty: any
	Expires   time.Time        `json:"expires"`  //
	Evidence  string           `json:"evidence"` // "holder" or "identity-service": who signed the assertion
	Digest    string           `json:"digest"`   // base64url SM3 of the signed assertion
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
	// Consent returns the consent; fs.ErrNotExist if unknown.
	Consent(ctx context.Context, id string) (Consent, error)
	// Consents returns the holder's consents to a system, newest first, withdrawn and expired ones too.
	Consents(ctx context.Context, holder license.HolderID, system string) ([]Consent, error)
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
