// Package register is the license register: which content was signed as which version, the version's status and its slot
// in a status list. It keeps the signed JWT and a keyed digest of the content, and no disclosure: disclosures are recomputed
// from the source record.
package register

import (
	"context"
	"errors"
	"time"

	"oncegate/license"
)

// A Version is one signed version of a license.
type Version struct {
	Subject    [32]byte       // HMAC-SM3(key, JCS([type, issuer, license number])): which license this is, unguessable
	Type       string         // catalogue id
	Issuer     string         // USCC
	Serial     string         // 流水号 of the identifier; random, the same for all versions of a license that one log has
	Number     int            // version, from 1
	Identifier string         // GB/T 36904, with root and check character
	Content    [32]byte       // HMAC-SM3(key, canonical content)
	JWT        string         // issuer-signed JWT of the SD-JWT, without disclosures
	KeyID      string         // the signing key
	Signed     time.Time      //
	Status     license.Status // what holds: Standing(Stated, Ordered)
	Stated     license.Status // what the source stated last; Superseded once a newer version is signed
	StatusAt   time.Time      // the moment whose truth Stated is
	Ordered    license.Status // what the department ordered: Suspended, Expired, Revoked or Superseded; "" for nothing
	OrderedAt  time.Time      //
	List       string         // id of the status list
	Slot       int            // position in it, random
}

// A List is a status list that has an occupied slot.
type List struct {
	ID string
	// Closed says that it was begun before the log was recovered from an old backup. What was signed after that backup is
	// lost: nobody knows which of its slots and versions were given away, so none is given again.
	Closed bool
	// Changes counts what changed in it: it rises with every commit that changes the status of a slot.
	Changes int64
}

// A Snapshot is the last source record of a question, sealed; kept only where some grant allows its age.
type Snapshot struct {
	Key     [32]byte  // HMAC-SM3(key, JCS([type, holder type, holder code])), with the number at the end where one was asked for
	Sealed  []byte    // the finding's records
	AsOf    time.Time //
	Expires time.Time // when it must be gone: AsOf and the longest age any grant allows
}

// Storage reads the register. Writing happens only with a record: the change types below stand in audit.Entry.Changes.
// Implementations are safe for concurrent use and see every change whose record was answered.
type Storage interface {
	// Latest returns the highest version of the license; fs.ErrNotExist if it was never signed.
	Latest(ctx context.Context, subject [32]byte) (Version, error)
	// ByIdentifier returns that version; fs.ErrNotExist if unknown.
	ByIdentifier(ctx context.Context, identifier string) (Version, error)
	// Snapshot returns the kept copy; fs.ErrNotExist if there is none or it has expired at now.
	Snapshot(ctx context.Context, key [32]byte, now time.Time) (Snapshot, error)
	// Statuses calls yield for every occupied slot of a list whose status is not Valid, in no particular order.
	Statuses(ctx context.Context, list string, yield func(slot int, status license.Status)) error
	// Lists returns all lists with an occupied slot, in the order of their first version.
	Lists(ctx context.Context) ([]List, error)
	// Occupied calls yield for every occupied slot of a list, in no particular order.
	Occupied(ctx context.Context, list string, yield func(slot int)) error
	// Versions returns the versions that a filter names, by identifier.
	Versions(ctx context.Context, f Filter) ([]Version, error)
	// Taken reports whether a slot of a list is occupied.
	Taken(ctx context.Context, list string, slot int) (bool, error)
	// Original returns the original of a version; fs.ErrNotExist if there is none or it has expired at now.
	Original(ctx context.Context, identifier string, now time.Time) (Original, error)
	// Purge deletes the kept copies and originals that have expired at now.
	Purge(ctx context.Context, now time.Time) error
}

// Changes that commit with a record, which binds them (Bound).
type (
	// Issue adds a version and marks the one before it superseded, stated so at the moment the new one was signed. Refused with
	// ErrTaken if (Subject, Number), the identifier or the slot is taken, if Number is not the latest plus one, or if it is not
	// ordered what it inherits from the one before it. Supersedes is the identifier of the one before it, "" for the first; refused with
	// ErrTaken too if that is another.
	Issue struct {
		Version    Version
		Supersedes string
	}
	// SetStatus moves what the source states of a version. Refused with ErrTaken if that is not From any more, or the version
	// unknown.
	SetStatus struct {
		Identifier string
		From, To   license.Status
		At         time.Time
	}
	// Order moves what is ordered of a version. Refused with ErrTaken if that is not From any more, the version unknown, or a
	// newer one signed.
	Order struct {
		Identifier string
		From, To   license.Status
		At         time.Time
	}
	// Keep replaces the kept copy of a question, unless a newer one stands.
	Keep struct{ Snapshot Snapshot }
)

// ErrTaken says that somebody else was first: read again, and sign the next version if the content differs.
var ErrTaken = errors.New("the version is taken")
